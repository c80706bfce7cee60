//! How far a long piece of work is, and a way to stop it.

use crate::error::Result;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Called at least once for each MiB of work with what is done and, where that is known, with how much it is in all.
/// Its error stops the work, and comes out of it.
#[derive(Clone)]
pub struct Progress(Arc<Mutex<Inner>>);

type Call = dyn FnMut(u64, Option<u64>) -> Result<()> + Send;

struct Inner {
    call: Box<Call>,
    total: Option<u64>,
    done: u64,
    next: u64,
    /// Work that does not move `done`.
    aside: u64,
}

/// Bytes between two calls.
const STEP: u64 = 1 << 20;

impl Progress {
    /// Reports to this function.
    pub fn new(call: impl FnMut(u64, Option<u64>) -> Result<()> + Send + 'static) -> Self {
        Progress(Arc::new(Mutex::new(Inner { call: Box::new(call), total: None, done: 0, next: 0, aside: 0 })))
    }

    /// Reports to nobody.
    #[must_use]
    pub fn none() -> Self {
        Self::new(|_, _| Ok(()))
    }

    pub(crate) fn set_total(&self, total: Option<u64>) {
        self.inner().total = total;
    }

    /// `done` bytes are done.
    pub(crate) fn at(&self, done: u64) -> Result<()> {
        let mut inner = self.inner();
        inner.done = done;
        if done < inner.next {
            return Ok(());
        }
        inner.next = done.saturating_add(STEP);
        inner.report()
    }

    /// So many bytes of work were done that do not count, such as those of a hole.
    pub(crate) fn aside(&self, n: u64) -> Result<()> {
        let mut inner = self.inner();
        inner.aside += n;
        if inner.aside < STEP {
            return Ok(());
        }
        inner.aside = 0;
        inner.report()
    }

    /// For a part of the work, which begins behind `start` bytes of `total`.
    pub(crate) fn part(&self, start: u64, total: u64) -> Self {
        let whole = self.clone();
        Self::new(move |done, _| {
            whole.set_total(Some(total));
            whole.at(start.saturating_add(done))
        })
    }

    /// The work is done.
    pub(crate) fn finish(&self, done: u64) -> Result<()> {
        let mut inner = self.inner();
        inner.done = done;
        inner.total = Some(done);
        inner.report()
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn report(&mut self) -> Result<()> {
        (self.call)(self.done, self.total)
    }
}
