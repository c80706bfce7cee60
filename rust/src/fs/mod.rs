//! The only place that touches the disk.
//!
//! - [`Root`]: a folder that nothing leaves: every path is relative to it, and no link on the way is followed.
//! - [`Walk`]: everything below a root, in an order that depends on the names alone; [`StableFile`] notices a file that
//!   changes while it is read.
//! - [`AtomicFile`] and [`AtomicDir`]: appear complete, or not at all.
//! - [`Lock`]: held by at most one process, and by no dead one.
//!
//! Everything else in the crate gets opened files from here; `clippy.toml` holds it to that.
#![allow(clippy::disallowed_methods)]

pub mod atomic;
mod lock;
mod metadata;
mod root;
mod walk;

pub(crate) use atomic::absent;
pub use atomic::{AtomicDir, AtomicFile, STAGED_PREFIX};
pub use lock::Lock;
pub use metadata::{Kind, Metadata};
pub use root::Root;
pub use walk::{StableFile, Visit, Walk};

use crate::error::{Error, Result};
use std::fs::File;
use std::path::{Path, PathBuf};

/// Opens a file that the caller named, anywhere, following links: for input that is not below a [`Root`].
///
/// # Errors
/// [`Error::Io`] with the path.
pub fn open_file(path: &Path) -> Result<File> {
    File::open(path).map_err(|e| Error::io("open", Some(path), e))
}

/// The path of something that exists without links, `.` and `..`.
///
/// # Errors
/// [`Error::Io`] with the path.
pub fn absolute(path: &Path) -> Result<PathBuf> {
    std::fs::canonicalize(path).map_err(|e| Error::io("open", Some(path), e))
}

#[cfg(test)]
mod tests;
