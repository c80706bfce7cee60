//! Everything below a root, in an order that depends on the names alone.

use super::metadata::{Kind, Metadata};
use super::root::Root;
use crate::error::{Error, Result, Rule};
use cap_std::fs::File;
use std::ffi::OsString;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// One entry of a [`Walk`].
#[derive(Debug, Clone)]
pub struct Visit {
    /// Relative to the root.
    pub path: PathBuf,
    /// What it is; links are not followed.
    pub metadata: Metadata,
}

/// Visits everything below a root but the root itself: a folder before what is in it, the entries of a folder sorted by
/// the bytes of their names. Keeps the names of the folders it is in, and nothing else. After an error it goes on with
/// the next entry.
///
/// ```
/// use std::path::Path;
/// use winlayers::fs::{Root, Walk};
///
/// let folder = tempfile::tempdir().expect("a temporary folder");
/// let root = Root::open(folder.path())?;
/// root.create_dir(Path::new("a"))?;
/// root.create_file(Path::new("a/z"))?;
/// root.create_file(Path::new("a.txt"))?;
/// let paths = Walk::new(&root)?.map(|visit| Ok(visit?.path)).collect::<winlayers::error::Result<Vec<_>>>()?;
/// assert_eq!(paths, [Path::new("a"), Path::new("a/z"), Path::new("a.txt")]);
/// # Ok::<(), winlayers::error::Error>(())
/// ```
pub struct Walk<'a> {
    root: &'a Root,
    /// The folder whose names are the top of `pending`.
    at: PathBuf,
    pending: Vec<std::vec::IntoIter<OsString>>,
}

impl<'a> Walk<'a> {
    /// Starts at the root.
    ///
    /// # Errors
    /// [`Error::Io`] when the root cannot be listed.
    pub fn new(root: &'a Root) -> Result<Self> {
        let names = root.list(Path::new(""))?;
        Ok(Walk { root, at: PathBuf::new(), pending: vec![names.into_iter()] })
    }

    fn visit(&mut self, name: &OsString) -> Result<Visit> {
        let path = self.at.join(name);
        let metadata = self.root.metadata(&path)?;
        if metadata.kind == Kind::Directory {
            let names = self.root.list(&path)?;
            self.pending.push(names.into_iter());
            self.at.push(name);
        }
        Ok(Visit { path, metadata })
    }
}

impl Iterator for Walk<'_> {
    type Item = Result<Visit>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(name) = self.pending.last_mut()?.next() {
                return Some(self.visit(&name));
            }
            self.pending.pop();
            self.at.pop();
        }
    }
}

/// A file that must not change between its visit and the end of its data.
///
/// ```
/// use std::io::{Read, Write};
/// use std::path::Path;
/// use winlayers::fs::{Root, StableFile};
///
/// let folder = tempfile::tempdir().expect("a temporary folder");
/// let root = Root::open(folder.path())?;
/// root.create_file(Path::new("log"))?.write_all(b"one").expect("room on the disk");
/// let metadata = root.metadata(Path::new("log"))?;
///
/// let mut file = StableFile::open(&root, Path::new("log"), &metadata)?;
/// std::io::copy(&mut file, &mut std::io::sink()).expect("it can be read");
/// file.finish()?;
///
/// std::fs::write(folder.path().join("log"), "four").expect("room on the disk");
/// assert_eq!(StableFile::open(&root, Path::new("log"), &metadata).err().map(|e| e.code()), Some("file_changed"));
/// # Ok::<(), winlayers::error::Error>(())
/// ```
pub struct StableFile {
    file: File,
    path: PathBuf,
    before: Metadata,
}

impl StableFile {
    /// Opens a file that was visited.
    ///
    /// # Errors
    /// [`Rule::FileChanged`] when it is another file or has changed since; what [`Root::open_file`] says.
    pub fn open(root: &Root, path: &Path, before: &Metadata) -> Result<Self> {
        let file = StableFile { file: root.open_regular(path)?, path: root.path().join(path), before: before.clone() };
        file.check()?;
        Ok(file)
    }

    /// Says whether what was read is one state of the file.
    ///
    /// # Errors
    /// [`Rule::FileChanged`] when it has changed; [`Error::Io`].
    pub fn finish(self) -> Result<()> {
        self.check()
    }

    fn check(&self) -> Result<()> {
        let now = self.file.metadata().map_err(|e| Error::io("stat", Some(&self.path), e))?;
        if Metadata::new(&now).is_unchanged(&self.before) {
            return Ok(());
        }
        Err(Error::refused(Rule::FileChanged, self.path.display().to_string()))
    }
}

impl Read for StableFile {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.file.read(buf)
    }
}
