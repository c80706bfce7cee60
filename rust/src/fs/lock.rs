//! A lock between processes that no dead one can keep.

use super::named::unnamed;
use crate::error::{Error, Result};
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::Path;

/// A lock on a file, held until it is dropped; the system lets go of it when the process dies. The file is made where
/// it is missing, and stays. Two locks of one process exclude each other as those of two processes do.
///
/// ```
/// use winlayers::fs::Lock;
///
/// let folder = tempfile::tempdir().expect("a temporary folder");
/// let path = folder.path().join("lock");
/// let lock = Lock::exclusive(&path)?;
/// assert!(Lock::try_shared(&path)?.is_none());
/// drop(lock);
/// assert!(Lock::try_shared(&path)?.is_some());
/// # Ok::<(), winlayers::error::Error>(())
/// ```
#[derive(Debug)]
pub struct Lock {
    file: File,
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing it would do, were there not the copies that forked processes have of it.
        let _ = self.file.unlock();
    }
}

impl Lock {
    /// Waits for a lock that nobody else holds.
    ///
    /// # Errors
    /// [`Error::Io`] with the path.
    pub fn exclusive(path: &Path) -> Result<Self> {
        wait(path, File::lock)
    }

    /// Waits for a lock that others may share.
    ///
    /// # Errors
    /// [`Error::Io`] with the path.
    pub fn shared(path: &Path) -> Result<Self> {
        wait(path, File::lock_shared)
    }

    /// The exclusive lock, unless somebody holds one.
    ///
    /// # Errors
    /// [`Error::Io`] with the path.
    pub fn try_exclusive(path: &Path) -> Result<Option<Self>> {
        attempt(path, File::try_lock)
    }

    /// A shared lock, unless somebody holds the exclusive one.
    ///
    /// # Errors
    /// [`Error::Io`] with the path.
    pub fn try_shared(path: &Path) -> Result<Option<Self>> {
        attempt(path, File::try_lock_shared)
    }
}

/// Makes a file of a new name in a folder, and the exclusive lock on it: proof that this process lives.
///
/// # Errors
/// [`Error::Io`] with the folder.
pub fn new_lock(folder: &Path) -> Result<(Lock, String)> {
    let failed = |e| Error::io("create a lock in", Some(folder), e);
    let mut builder = tempfile::Builder::new();
    let file = builder.prefix("").rand_bytes(16).tempfile_in(folder).map_err(|e| failed(unnamed(e)))?;
    let (file, path) = file.keep().map_err(|e| failed(e.error))?;
    file.lock().map_err(failed)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok((Lock { file }, name))
}

fn wait(path: &Path, lock: fn(&File) -> io::Result<()>) -> Result<Lock> {
    let file = open(path)?;
    loop {
        match lock(&file) {
            Ok(()) => return Ok(Lock { file }),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(Error::io("lock", Some(path), e)),
        }
    }
}

fn attempt(path: &Path, lock: fn(&File) -> Result<(), TryLockError>) -> Result<Option<Lock>> {
    let file = open(path)?;
    match lock(&file) {
        Ok(()) => Ok(Some(Lock { file })),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(e)) => Err(Error::io("lock", Some(path), e)),
    }
}

fn open(path: &Path) -> Result<File> {
    let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
    opened.map_err(|e| Error::io("open", Some(path), e))
}
