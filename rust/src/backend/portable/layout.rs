//! A view as a folder.

use super::view::View;
use crate::error::Result;
use crate::limits::Limits;
use std::path::Path;

/// How a view is laid out.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Whether to wait until everything is on the disk.
    pub durable: bool,
    /// Bounds on what is read.
    pub limits: Limits,
}

/// Lays the content of `Files` out in an empty folder, and records what it laid out.
///
/// # Errors
/// None yet.
pub fn lay_out(_view: &View, _folder: &Path, _record: &Path, _options: &Options) -> Result<()> {
    todo!()
}
