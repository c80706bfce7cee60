//! What working on a whole layer gives back, and how it tells how far it is.

use crate::error::Result;
use crate::policy::{Capped, Loss};

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
pub struct Progress {
    call: Box<dyn FnMut(u64, Option<u64>) -> Result<()> + Send>,
    total: Option<u64>,
    next: u64,
}

/// Bytes between two calls.
const STEP: u64 = 1 << 20;

impl Progress {
    /// Tells this function.
    pub fn new(call: impl FnMut(u64, Option<u64>) -> Result<()> + Send + 'static) -> Self {
        Progress { call: Box::new(call), total: None, next: 0 }
    }

    /// Tells nobody.
    #[must_use]
    pub fn none() -> Self {
        Self::new(|_, _| Ok(()))
    }

    pub(super) fn set_total(&mut self, total: Option<u64>) {
        self.total = total;
    }

    /// `done` bytes are done.
    pub(super) fn at(&mut self, done: u64) -> Result<()> {
        if done < self.next {
            return Ok(());
        }
        self.next = done.saturating_add(STEP);
        (self.call)(done, self.total)
    }

    /// The work is done.
    pub(super) fn finish(&mut self, done: u64) -> Result<()> {
        (self.call)(done, self.total.map(|total| total.max(done)))
    }
}
