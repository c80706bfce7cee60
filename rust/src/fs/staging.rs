//! Folders for what is on its way into a home, or out of it.

use super::named::unnamed;
use super::{Root, sync_names};
use crate::error::{Error, Result};
use std::path::{Path, PathBuf};

/// Passes over the failure to delete what somebody has open, which Windows does not delete: a view, of whichever
/// process, takes it along when it is closed, and the next sweep where that process was killed.
///
/// # Errors
/// Every other failure.
pub(crate) fn unless_open(error: Error) -> Result<()> {
    /// ERROR_SHARING_VIOLATION; ERROR_DIR_NOT_EMPTY, of the folder that it is in.
    const OPEN: [Option<i32>; 2] = [Some(32), Some(145)];
    match error {
        Error::Io { source, .. } if cfg!(windows) && OPEN.contains(&source.raw_os_error()) => Ok(()),
        other => Err(other),
    }
}

/// A folder for what is not whole yet, or not any more; it goes with all that is in it when it is dropped.
pub(crate) struct Staging(Option<tempfile::TempDir>);

impl Staging {
    pub fn new(folder: &Path) -> Result<Self> {
        let made = tempfile::Builder::new().prefix("").tempdir_in(folder);
        Ok(Staging(Some(made.map_err(|e| Error::io("create a folder in", Some(folder), unnamed(e)))?)))
    }

    pub fn path(&self) -> &Path {
        self.0.as_ref().expect("taken at its end only").path()
    }

    pub fn root(&self) -> Result<Root> {
        Root::open(self.path())
    }

    /// Replaces a path in the staging folder, which means nothing to the caller, by the folder that it lies in.
    pub fn unnamed(&self, mut error: Error) -> Error {
        if let Error::Io { path: Some(path), .. } = &mut error
            && path.starts_with(self.path())
        {
            *path = self.path().parent().unwrap_or(Path::new("")).to_path_buf();
        }
        error
    }

    /// Its path below the home.
    pub fn relative(&self, home: &Root) -> Result<PathBuf> {
        let below = self.path().strip_prefix(home.path());
        Ok(below.map_err(|_| Error::io("find", Some(self.path()), std::io::ErrorKind::NotFound.into()))?.to_path_buf())
    }

    /// Becomes a folder of the home, in one step.
    pub fn settle(mut self, home: &Root, name: &str, fsync: bool) -> Result<()> {
        if fsync {
            sync_names(self.path())?;
        }
        super::make_accessible(self.path())?;
        home.rename_new(&self.relative(home)?, Path::new(name))?;
        // Its old name is gone: nothing to remove any more.
        let _ = self.0.take().map(tempfile::TempDir::keep);
        if fsync { sync_names(home.path()) } else { Ok(()) }
    }

    /// Keeps the folder and returns its path; the caller deletes it.
    #[cfg(windows)]
    pub fn keep(mut self) -> PathBuf {
        self.0.take().expect("taken at its end only").keep()
    }

    /// Deletes it now. What cannot be deleted is an error and stays to be swept.
    pub fn remove(mut self) -> Result<()> {
        let Some(folder) = self.0.take() else { return Ok(()) };
        let path = folder.keep();
        super::remove_tree(&path)
    }
}
