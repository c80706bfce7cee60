//! Files whose errors name them, however many readers and writers the error passes through.

use crate::error::{Error, Result, named_io};
use crate::source::ReadAt;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// The error without the name of a temporary file in its text, which means nothing to the caller.
pub(super) fn unnamed(error: io::Error) -> io::Error {
    if error.raw_os_error().is_some() { error } else { error.kind().into() }
}

/// A file without a name in a folder.
///
/// # Errors
/// [`Error::Io`] with the folder.
pub(crate) fn temporary_file(folder: &Path) -> Result<File> {
    tempfile::tempfile_in(folder).map_err(|e| Error::io("create a temporary file in", Some(folder), unnamed(e)))
}

/// An opened file under the name that the caller knows it by.
#[derive(Debug)]
pub(crate) struct NamedFile {
    file: File,
    path: PathBuf,
}

impl NamedFile {
    pub fn new(file: File, path: impl Into<PathBuf>) -> Self {
        NamedFile { file, path: path.into() }
    }

    /// The file alone.
    pub fn into_file(self) -> File {
        self.file
    }
}

impl Read for NamedFile {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.file.read(buf).map_err(|e| named_io("read", &self.path, e))
    }
}

impl Write for NamedFile {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.file.write(buf).map_err(|e| named_io("write", &self.path, e))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush().map_err(|e| named_io("write", &self.path, e))
    }
}

impl ReadAt for NamedFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(buf, offset).map_err(|e| named_io("read", &self.path, e))
    }

    fn size(&self) -> io::Result<u64> {
        self.file.size().map_err(|e| named_io("stat", &self.path, e))
    }
}
