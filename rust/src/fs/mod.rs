//! The only place that touches the disk.

pub mod atomic;

use crate::error::{Error, Result};
use std::fs::File;
use std::path::Path;

/// Opens a file that the caller named, for reading.
///
/// # Errors
/// [`Error::Io`] with the path.
pub fn open_file(path: &Path) -> Result<File> {
    File::open(path).map_err(|e| Error::io("open", Some(path), e))
}
