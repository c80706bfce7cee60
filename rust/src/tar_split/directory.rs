//! Content in a directory: each member's data in a file of the member's name.

use super::content::{ContentSink, ContentSource};
use super::names::relative_name;
use crate::error::{Error, Result, Rule, display_name};
use crate::fs::disk::disk_path;
use crate::fs::{AtomicDir, Root};
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// Reads the data of members from the files of a folder, such as an extracted layer; no name and no link leads out
/// of it.
pub struct Directory {
    root: Root,
}

impl Directory {
    /// The directory at `path`.
    ///
    /// # Errors
    /// [`Error::Io`] with the path.
    pub fn open(path: &Path) -> Result<Self> {
        Ok(Directory { root: Root::open(path)? })
    }
}

impl ContentSource for Directory {
    fn open(&mut self, name: &[u8]) -> Result<Box<dyn Read + '_>> {
        Ok(Box::new(self.root.open_file(&path_of(name)?)?))
    }
}

/// Writes the data of members to the files of a new directory, which appears by [`NewDirectory::commit`]; dropped
/// before, it leaves nothing.
///
/// A name that the file system cannot hold, or holds already without regard to case, is declined.
pub struct NewDirectory {
    // Dropped in this order: Windows removes no folder in which a file is open.
    root: Root,
    file: Option<(File, PathBuf)>,
    folder: AtomicDir,
}

impl NewDirectory {
    /// A directory that will appear at `path`, where there is nothing, or an empty directory to be replaced.
    ///
    /// # Errors
    /// [`Rule::TargetExists`]; [`Error::Io`] with the path.
    pub fn create(path: &Path) -> Result<Self> {
        let folder = AtomicDir::create_over_empty(path)?;
        Ok(NewDirectory { root: folder.open()?, folder, file: None })
    }

    /// Gives the directory its name.
    ///
    /// # Errors
    /// [`Rule::TargetExists`]; [`Error::Io`] with the path.
    pub fn commit(self) -> Result<()> {
        // Windows renames no directory that is open.
        drop((self.root, self.file));
        self.folder.commit()
    }

    fn create_file(&self, path: &Path) -> Result<File> {
        match self.root.create_file(path) {
            Err(e) if e.io_kind() == Some(io::ErrorKind::NotFound) => {
                let parents: Vec<&Path> = path.ancestors().skip(1).filter(|p| !p.as_os_str().is_empty()).collect();
                for parent in parents.into_iter().rev() {
                    match self.root.create_dir(parent) {
                        Err(Error::Refused { rule: Rule::TargetExists, .. }) | Ok(()) => {}
                        Err(e) => return Err(e),
                    }
                }
                self.root.create_file(path)
            }
            result => result,
        }
    }
}

impl ContentSink for NewDirectory {
    fn start(&mut self, name: &[u8], _size: u64) -> Result<bool> {
        let created = path_of(name).and_then(|path| Ok((self.create_file(&path)?, self.root.path().join(path))));
        match created {
            Ok(file) => self.file = Some(file),
            Err(Error::Refused { .. }) => return Ok(false),
            Err(e) => match e.io_kind() {
                Some(io::ErrorKind::NotADirectory | io::ErrorKind::InvalidFilename | io::ErrorKind::InvalidInput) => {
                    return Ok(false);
                }
                _ => return Err(e),
            },
        }
        Ok(true)
    }

    fn write(&mut self, data: &[u8]) -> Result<()> {
        let (file, path) = self.file.as_mut().expect("a file is started before it is written");
        file.write_all(data).map_err(|e| Error::io("write", Some(path), e))
    }

    fn finish(&mut self) -> Result<()> {
        self.file = None;
        Ok(())
    }
}

/// The path below the directory.
fn path_of(name: &[u8]) -> Result<PathBuf> {
    let escapes = || Error::refused(Rule::NameEscapes, display_name(name));
    relative_name(name).ok_or_else(escapes)?.into_iter().map(disk_path).collect()
}
