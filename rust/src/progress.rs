//! How far a long operation has come, and a way to stop it.

use crate::error::Result;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A function that is called at least once for each MiB of work, with how much is done and, if known, the total. Its
/// error stops the work and is returned by it.
#[derive(Clone)]
pub struct Progress(Arc<Mutex<Inner>>);

type Call = dyn FnMut(u64, Option<u64>) -> Result<()> + Send;

struct Inner {
    call: Box<Call>,
    total: Option<u64>,
    done: u64,
    next: u64,
    /// Work that does not count as done.
    aside: u64,
}

/// Bytes between two calls.
const STEP: u64 = 1 << 20;

impl Progress {
    /// Reports to this function.
    pub fn new(call: impl FnMut(u64, Option<u64>) -> Result<()> + Send + 'static) -> Self {
        Progress(Arc::new(Mutex::new(Inner { call: Box::new(call), total: None, done: 0, next: 0, aside: 0 })))
    }

    /// Reports to no one.
    #[must_use]
    pub fn none() -> Self {
        Self::new(|_, _| Ok(()))
    }

    pub(crate) fn set_total(&self, total: Option<u64>) {
        self.inner().total = total;
    }

    /// Reports that `done` bytes are done.
    pub(crate) fn at(&self, done: u64) -> Result<()> {
        let mut inner = self.inner();
        inner.done = done;
        if done < inner.next {
            return Ok(());
        }
        inner.next = done.saturating_add(STEP);
        inner.report()
    }

    /// Adds bytes of work that do not count as done, such as those of a hole.
    pub(crate) fn aside(&self, n: u64) -> Result<()> {
        let mut inner = self.inner();
        inner.aside += n;
        if inner.aside < STEP {
            return Ok(());
        }
        inner.aside = 0;
        inner.report()
    }

    /// The progress of a part of the work, which begins behind `start` bytes of `total`.
    pub(crate) fn part(&self, start: u64, total: u64) -> Self {
        let whole = self.clone();
        Self::new(move |done, _| {
            whole.set_total(Some(total));
            whole.at(start.saturating_add(done))
        })
    }

    /// Reports that the work is done.
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
