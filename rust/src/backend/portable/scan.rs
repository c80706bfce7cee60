//! What was changed in a folder since it was laid out.

use super::view::View;
use crate::backend::Change;
use crate::error::Result;
use crate::limits::Limits;
use std::io::Write;
use std::path::Path;

/// Tells what was changed.
///
/// # Errors
/// None yet.
pub fn changes(_tree: &Path, _record: &Path, _view: &View, _visit: &mut dyn FnMut(Change) -> Result<()>) -> Result<()> {
    todo!()
}

/// Writes what was changed as a layer tar.
///
/// # Errors
/// None yet.
pub fn export<W: Write>(_tree: &Path, _record: &Path, _view: &View, _sink: W, _limits: &Limits) -> Result<W> {
    todo!()
}
