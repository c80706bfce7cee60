//! What working on a whole layer gives back, and how it tells how far it is.

use crate::error::Result;
use crate::policy::{Capped, Loss};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// One thing that is wrong, with its place.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Problem {
    /// A stable snake_case word: the code of an [`crate::error::Error`], or one of `docs/formats/problems.md`.
    pub code: &'static str,
    /// The member, raw bytes; empty where it is the archive itself.
    pub path: Vec<u8>,
    /// Offset in the uncompressed tar of the member's first header block, or of the fault where that is known better.
    pub offset: Option<u64>,
    /// More about it, for people.
    pub message: String,
}

/// What was seen of a layer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LayerReport {
    /// `sha256:` and the digest of the uncompressed tar to its very end; `None` where a broken compression hides it.
    pub diff_id: Option<String>,
    /// Entries, named streams not counted.
    pub entries: u64,
    /// Bytes of the uncompressed tar.
    pub size: u64,
    /// What is wrong.
    pub problems: Capped<Problem>,
    /// What a dialect could not carry, or would not.
    pub losses: Capped<Loss>,
}

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
    /// Tells this function.
    pub fn new(call: impl FnMut(u64, Option<u64>) -> Result<()> + Send + 'static) -> Self {
        Progress(Arc::new(Mutex::new(Inner { call: Box::new(call), total: None, done: 0, next: 0, aside: 0 })))
    }

    /// Tells nobody.
    #[must_use]
    pub fn none() -> Self {
        Self::new(|_, _| Ok(()))
    }

    pub(super) fn set_total(&self, total: Option<u64>) {
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
        inner.tell()
    }

    /// So many bytes of work were done that do not count, such as those of a hole.
    pub(super) fn aside(&self, n: u64) -> Result<()> {
        let mut inner = self.inner();
        inner.aside += n;
        if inner.aside < STEP {
            return Ok(());
        }
        inner.aside = 0;
        inner.tell()
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
        inner.tell()
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn tell(&mut self) -> Result<()> {
        (self.call)(self.done, self.total)
    }
}
