//! What working on a whole layer gives back.

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
