//! Files and folders that appear complete, or not at all.

use super::named::unnamed;
use super::root::{Root, absent, created};
use crate::error::{Error, Result, named_io};
use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use tempfile::{Builder, NamedTempFile, TempDir};

/// Begins the name of whatever is not complete yet. Only a process that was killed leaves one behind.
pub const STAGED_PREFIX: &str = ".winlayers-";

/// A file that takes its name on [`AtomicFile::commit`]; dropped before, it leaves nothing behind, and what was there
/// before stays. A name that stands for a device, a FIFO or the like is written to directly.
///
/// ```
/// use std::io::Write;
/// use winlayers::fs::AtomicFile;
///
/// let folder = tempfile::tempdir().expect("a temporary folder");
/// let path = folder.path().join("layer.tar");
/// let mut file = AtomicFile::create(&path)?;
/// file.write_all(b"data").expect("room on the disk");
/// assert!(!path.exists());
/// file.commit()?;
/// assert!(path.exists());
/// # Ok::<(), winlayers::error::Error>(())
/// ```
#[derive(Debug)]
pub struct AtomicFile {
    file: Target,
    path: PathBuf,
    durable: bool,
}

#[derive(Debug)]
enum Target {
    Staged(NamedTempFile),
    Direct(File),
}

impl AtomicFile {
    /// Makes a file without a name of its own in the folder of `path`. Where `path` is a link, the file it points to
    /// will be replaced, not the link.
    ///
    /// # Errors
    /// [`Error::Io`] with the path.
    pub fn create(path: &Path) -> Result<Self> {
        Self::with_mode(path, 0o666)
    }

    /// As [`AtomicFile::create`], for a file that only its owner may read, if the system has such permissions.
    ///
    /// # Errors
    /// As [`AtomicFile::create`].
    pub fn create_private(path: &Path) -> Result<Self> {
        Self::with_mode(path, 0o600)
    }

    fn with_mode(path: &Path, mode: u32) -> Result<Self> {
        let failed = |e| Error::io("create", Some(path), e);
        let mut target = path.to_path_buf();
        match std::fs::metadata(path) {
            Ok(existing) if existing.is_dir() => return Err(failed(io::ErrorKind::IsADirectory.into())),
            Ok(existing) if !existing.is_file() => {
                let file = OpenOptions::new().write(true).open(path).map_err(failed)?;
                return Ok(AtomicFile { file: Target::Direct(file), path: target, durable: false });
            }
            Ok(_) => {
                if std::fs::symlink_metadata(path).map_err(failed)?.is_symlink() {
                    target = std::fs::canonicalize(path).map_err(failed)?;
                }
            }
            // Nothing there yet; whatever else is wrong shows when the file is made.
            Err(_) => {}
        }
        let mut builder = Builder::new();
        builder.prefix(STAGED_PREFIX);
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(mode));
        #[cfg(not(unix))]
        let _ = mode;
        let staged = builder.tempfile_in(folder_of(&target)).map_err(|e| failed(unnamed(e)))?;
        Ok(AtomicFile { file: Target::Staged(staged), path: target, durable: false })
    }

    /// Makes the commit wait until data and name are on the disk. Without it, a power failure soon after the commit
    /// may leave the old state, the new one, or a name without its data.
    #[must_use]
    pub fn durable(self) -> Self {
        AtomicFile { durable: true, ..self }
    }

    /// Gives the file its name; a file of that name is replaced.
    ///
    /// # Errors
    /// [`Error::Io`] with the path; nothing is left behind then.
    pub fn commit(self) -> Result<()> {
        self.finish(|staged, path| staged.persist(path).map_err(|e| e.error))
    }

    /// Gives the file its name, unless something has that name.
    ///
    /// # Errors
    /// [`Rule::TargetExists`](crate::error::Rule::TargetExists); [`Error::Io`] with the path; nothing is left behind
    /// then.
    pub fn commit_new(self) -> Result<()> {
        self.finish(|staged, path| staged.persist_noclobber(path).map_err(|e| e.error))
    }

    fn finish(self, persist: impl FnOnce(NamedTempFile, &Path) -> io::Result<File>) -> Result<()> {
        let path = self.path;
        let failed = |e| Error::io("write", Some(&path), e);
        match self.file {
            Target::Direct(mut file) => file.flush().map_err(failed),
            Target::Staged(staged) => {
                if self.durable {
                    staged.as_file().sync_all().map_err(failed)?;
                }
                persist(staged, &path).map_err(|e| created("rename", &path, e))?;
                if self.durable { sync_folder(&path) } else { Ok(()) }
            }
        }
    }

    /// The name that it is going to have.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file, to be written to; its errors have no path.
    pub fn file(&mut self) -> &mut File {
        match &mut self.file {
            Target::Staged(staged) => staged.as_file_mut(),
            Target::Direct(file) => file,
        }
    }
}

impl Write for AtomicFile {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.file().write(buf).map_err(|e| named_io("write", &self.path, e))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file().flush().map_err(|e| named_io("write", &self.path, e))
    }
}

impl Seek for AtomicFile {
    fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
        self.file().seek(position).map_err(|e| named_io("seek", &self.path, e))
    }
}

/// A folder that takes its name on [`AtomicDir::commit`]; dropped before, it is removed with everything in it.
///
/// ```
/// use std::path::Path;
/// use winlayers::fs::AtomicDir;
///
/// let folder = tempfile::tempdir().expect("a temporary folder");
/// let path = folder.path().join("layer");
/// let staged = AtomicDir::create(&path)?;
/// staged.open()?.create_file(Path::new("data"))?;
/// assert!(!path.exists());
/// staged.commit()?;
/// assert!(path.join("data").exists());
/// # Ok::<(), winlayers::error::Error>(())
/// ```
#[derive(Debug)]
pub struct AtomicDir {
    staged: TempDir,
    path: PathBuf,
    durable: bool,
    /// Whether an empty folder of that name goes.
    replace_empty: bool,
}

impl AtomicDir {
    /// Makes an empty folder beside `path`.
    ///
    /// # Errors
    /// [`Rule::TargetExists`](crate::error::Rule::TargetExists); [`Error::Io`] with the path.
    pub fn create(path: &Path) -> Result<Self> {
        absent(path)?;
        Self::stage(path, false)
    }

    /// Makes an empty folder beside `path`, where there is nothing or an empty folder, which the commit replaces.
    ///
    /// # Errors
    /// As [`AtomicDir::create`].
    pub fn create_over_empty(path: &Path) -> Result<Self> {
        match std::fs::read_dir(path).map(|mut entries| entries.next().is_none()) {
            Ok(true) => Self::stage(path, true),
            _ => Self::create(path),
        }
    }

    fn stage(path: &Path, replace_empty: bool) -> Result<Self> {
        let mut builder = Builder::new();
        builder.prefix(STAGED_PREFIX);
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o777));
        let failed = |e| Error::io("create folder", Some(path), unnamed(e));
        let staged = builder.tempdir_in(folder_of(path)).map_err(failed)?;
        Ok(AtomicDir { staged, path: path.to_path_buf(), durable: false, replace_empty })
    }

    /// The folder, to be filled; its errors have the path that it is going to have. Windows renames no folder that is
    /// open: drop it before the commit.
    ///
    /// # Errors
    /// [`Error::Io`] with the path.
    pub fn open(&self) -> Result<Root> {
        Root::open_as(self.staged.path(), &self.path)
    }

    /// Where the folder is until the commit.
    #[must_use]
    pub fn staged_path(&self) -> &Path {
        self.staged.path()
    }

    /// Makes the commit wait until the name is on the disk. The caller syncs the files in it.
    #[must_use]
    pub fn durable(self) -> Self {
        AtomicDir { durable: true, ..self }
    }

    /// Gives the folder its name.
    ///
    /// # Errors
    /// [`Rule::TargetExists`](crate::error::Rule::TargetExists) when something has that name by now; [`Error::Io`];
    /// nothing is left behind then.
    pub fn commit(self) -> Result<()> {
        if self.replace_empty {
            // One that was filled by now stays, and is in the way.
            let _ = std::fs::remove_dir(&self.path);
        }
        // Unix would replace an empty folder.
        absent(&self.path)?;
        std::fs::rename(self.staged.path(), &self.path).map_err(|e| created("rename", &self.path, e))?;
        // Its old name is gone: nothing to remove any more.
        let _ = self.staged.keep();
        if self.durable { sync_folder(&self.path) } else { Ok(()) }
    }
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// A new name is on the disk when its folder is. Windows has no call for it, and journals its names.
pub(super) fn sync_folder(path: &Path) -> Result<()> {
    if cfg!(windows) {
        return Ok(());
    }
    let folder = folder_of(path);
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(|e| Error::io("sync", Some(folder), e))
}
