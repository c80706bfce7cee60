//! What working on a whole layer gives back.

use crate::policy::{Capped, Loss};
pub use crate::problem::Problem;

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
