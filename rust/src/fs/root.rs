//! A folder that nothing leaves.

use super::metadata::{Kind, Metadata};
use crate::error::{Error, Result, Rule};
use cap_fs_ext::{DirExt, FollowSymlinks, OpenOptionsFollowExt, SystemTimeSpec};
use cap_std::ambient_authority;
use cap_std::fs::{Dir, File as CapFile, OpenOptions};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

/// An open folder. Every path is relative to it and made of plain names: `..`, an absolute path or a drive is refused,
/// and so is a path that leads through a link, wherever the link points. What is opened, changed or removed lies below
/// the folder therefore, even while others move things about in it.
///
/// A link as the last name is the thing acted upon, never what it points to.
///
/// ```
/// use std::path::Path;
/// use winlayers::fs::Root;
///
/// let folder = tempfile::tempdir().expect("a temporary folder");
/// let root = Root::open(folder.path())?;
/// root.create_dir(Path::new("Files"))?;
/// root.create_file(Path::new("Files/hello.txt"))?;
/// root.create_symlink(Path::new("out"), Path::new("/etc"), true)?;
/// assert_eq!(root.create_file(Path::new("out/passwd")).unwrap_err().code(), "link_escapes");
/// assert_eq!(root.create_file(Path::new("../passwd")).unwrap_err().code(), "name_escapes");
/// # Ok::<(), winlayers::error::Error>(())
/// ```
pub struct Root {
    dir: Arc<Dir>,
    path: PathBuf,
    /// The parent that was used last, after those of its own parents that are kept open: an archive and a walk stay in
    /// a folder for a while, and go on near it.
    last_parents: Open,
    /// As `last_parents`, for the sources of hard links, which lie far from their new names.
    last_sources: Open,
}

type Open = Mutex<Vec<(PathBuf, Arc<Dir>)>>;

impl Root {
    /// Opens an existing folder; the way to it is the caller's, links are followed.
    ///
    /// # Errors
    /// [`Error::Io`] with the path.
    pub fn open(path: &Path) -> Result<Self> {
        Self::open_as(path, path)
    }

    /// Opens a folder that errors call by another path: the one that it is going to have.
    pub(super) fn open_as(path: &Path, shown: &Path) -> Result<Self> {
        let dir = Dir::open_ambient_dir(path, ambient_authority()).map_err(|e| Error::io("open", Some(shown), e))?;
        Ok(Root {
            dir: Arc::new(dir),
            path: shown.to_path_buf(),
            last_parents: Mutex::default(),
            last_sources: Mutex::default(),
        })
    }

    /// Makes a folder that did not exist, and opens it.
    ///
    /// # Errors
    /// [`Rule::TargetExists`]; [`Error::Io`] with the path.
    pub fn create(path: &Path) -> Result<Self> {
        std::fs::create_dir(path).map_err(|e| created("create folder", path, e))?;
        Root::open(path)
    }

    /// The same folder for another thread: which folders in it are open each remembers for itself.
    #[must_use]
    pub fn again(&self) -> Self {
        let (dir, path) = (Arc::clone(&self.dir), self.path.clone());
        Root { dir, path, last_parents: Mutex::default(), last_sources: Mutex::default() }
    }

    /// The path that messages have: the one it was opened by, or the one that it is going to have.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes a folder.
    ///
    /// # Errors
    /// [`Rule::TargetExists`]; [`Rule::NameEscapes`], [`Rule::LinkEscapes`] and the other rules of names;
    /// [`Error::Io`].
    pub fn create_dir(&self, path: &Path) -> Result<()> {
        let (parent, name) = self.parent(path)?;
        parent.create_dir(name).map_err(|e| created("create folder", &self.path.join(path), e))
    }

    /// Makes an empty file, and opens it for reading and writing.
    ///
    /// # Errors
    /// As [`Root::create_dir`].
    pub fn create_file(&self, path: &Path) -> Result<File> {
        let (parent, name) = self.parent(path)?;
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true).follow(FollowSymlinks::No);
        let file = parent.open_with(name, &options).map_err(|e| created("create", &self.path.join(path), e))?;
        Ok(file.into_std())
    }

    /// Makes a symbolic link with any text as its target. Windows has a kind of link for folders and one for files, and
    /// takes no absolute target here.
    ///
    /// # Errors
    /// As [`Root::create_dir`].
    pub fn create_symlink(&self, path: &Path, target: &Path, to_directory: bool) -> Result<()> {
        let (parent, name) = self.parent(path)?;
        #[cfg(windows)]
        let result = if to_directory { parent.symlink_dir(target, name) } else { parent.symlink_file(target, name) };
        #[cfg(not(windows))]
        let result = {
            let _ = to_directory;
            parent.symlink_contents(target, name)
        };
        result.map_err(|e| created("create link", &self.path.join(path), e))
    }

    /// Gives an existing file, or link, a second name.
    ///
    /// # Errors
    /// As [`Root::create_dir`].
    pub fn create_hard_link(&self, path: &Path, existing: &Path) -> Result<()> {
        let (from, from_name) = self.parent_in(&self.last_sources, existing)?;
        let (to, to_name) = self.parent(path)?;
        from.hard_link(from_name, &to, to_name).map_err(|e| created("create hard link", &self.path.join(path), e))
    }

    /// Opens a regular file for reading.
    ///
    /// # Errors
    /// [`Rule::MemberType`] for anything but a regular file; the rules of names; [`Error::Io`].
    pub fn open_file(&self, path: &Path) -> Result<File> {
        self.open_regular(path).map(CapFile::into_std)
    }

    pub(super) fn open_regular(&self, path: &Path) -> Result<CapFile> {
        let (parent, name) = self.parent(path)?;
        let failed = |e| Error::io("open", Some(&self.path.join(path)), e);
        let refused = || Error::refused(Rule::MemberType, format!("{} is no regular file", path.display()));
        if Metadata::new(&parent.symlink_metadata(name).map_err(failed)?).kind != Kind::File {
            return Err(refused());
        }
        let mut options = OpenOptions::new();
        options.read(true).follow(FollowSymlinks::No);
        // A FIFO that takes the file's place here must not stall us.
        #[cfg(unix)]
        cap_fs_ext::OpenOptionsSyncExt::nonblock(&mut options, true);
        let file = parent.open_with(name, &options).map_err(failed)?;
        if file.metadata().map_err(failed)?.is_file() { Ok(file) } else { Err(refused()) }
    }

    /// What is known about an entry; the empty path is the root itself.
    ///
    /// # Errors
    /// The rules of names; [`Error::Io`].
    pub fn metadata(&self, path: &Path) -> Result<Metadata> {
        let metadata = if path.as_os_str().is_empty() {
            self.dir.dir_metadata()
        } else {
            let (parent, name) = self.parent(path)?;
            parent.symlink_metadata(name)
        };
        metadata.map(|m| Metadata::new(&m)).map_err(|e| Error::io("stat", Some(&self.path.join(path)), e))
    }

    /// As [`Root::metadata`], with `None` where nothing is at the path ([`Error::is_absent`]).
    ///
    /// ```
    /// use std::path::Path;
    /// use winlayers::fs::Root;
    ///
    /// let folder = tempfile::tempdir().expect("a temporary folder");
    /// let root = Root::open(folder.path())?;
    /// root.create_file(Path::new("file"))?;
    /// assert!(root.try_metadata(Path::new("file"))?.is_some());
    /// assert!(root.try_metadata(Path::new("other"))?.is_none());
    /// assert!(root.try_metadata(Path::new("file/in it"))?.is_none());
    /// # Ok::<(), winlayers::error::Error>(())
    /// ```
    ///
    /// # Errors
    /// The rules of names; [`Error::Io`].
    pub fn try_metadata(&self, path: &Path) -> Result<Option<Metadata>> {
        match self.metadata(path) {
            Err(error) if error.is_absent() => Ok(None),
            found => found.map(Some),
        }
    }

    /// The text of a link.
    ///
    /// # Errors
    /// The rules of names; [`Error::Io`].
    pub fn read_link(&self, path: &Path) -> Result<PathBuf> {
        let (parent, name) = self.parent(path)?;
        parent.read_link_contents(name).map_err(|e| Error::io("read link", Some(&self.path.join(path)), e))
    }

    /// The names in a folder, sorted by their bytes; the empty path is the root itself.
    ///
    /// # Errors
    /// The rules of names; [`Error::Io`].
    pub fn list(&self, path: &Path) -> Result<Vec<OsString>> {
        let failed = |e| Error::io("list", Some(&self.path.join(path)), e);
        let dir = self.folder(path)?;
        let entries = dir.entries().map_err(failed)?;
        let mut names = entries.map(|entry| Ok(entry?.file_name())).collect::<io::Result<Vec<_>>>().map_err(failed)?;
        names.sort_unstable_by(|a, b| a.as_encoded_bytes().cmp(b.as_encoded_bytes()));
        Ok(names)
    }

    /// The entries of a folder in no order, each with what is known about it; one that goes away meanwhile is left out.
    /// The empty path is the root itself.
    ///
    /// # Errors
    /// The rules of names; [`Error::Io`].
    pub fn list_metadata(&self, path: &Path) -> Result<Vec<(OsString, Metadata)>> {
        let failed = |e| Error::io("list", Some(&self.path.join(path)), e);
        let dir = self.folder(path)?;
        let mut found = Vec::new();
        for entry in dir.entries().map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            match dir.symlink_metadata(&name) {
                Ok(metadata) => found.push((name, Metadata::new(&metadata))),
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                Err(e) => return Err(Error::io("stat", Some(&self.path.join(path).join(&name)), e)),
            }
        }
        Ok(found)
    }

    /// Waits until the names in a folder are on the disk; the empty path is the root itself. Does nothing on Windows,
    /// which has no call for it and journals its names.
    ///
    /// # Errors
    /// The rules of names; [`Error::Io`].
    pub fn sync_dir(&self, path: &Path) -> Result<()> {
        if cfg!(windows) {
            return Ok(());
        }
        let failed = |e| Error::io("sync", Some(&self.path.join(path)), e);
        let dir = self.folder(path)?;
        self.open_dir(&dir).and_then(|dir| dir.sync_all()).map_err(failed)
    }

    /// Removes a file or a link.
    ///
    /// # Errors
    /// The rules of names; [`Error::Io`].
    pub fn remove_file(&self, path: &Path) -> Result<()> {
        let (parent, name) = self.parent(path)?;
        parent.remove_file_or_symlink(name).map_err(|e| Error::io("remove", Some(&self.path.join(path)), e))
    }

    /// Removes an empty folder.
    ///
    /// # Errors
    /// The rules of names; [`Error::Io`].
    pub fn remove_dir(&self, path: &Path) -> Result<()> {
        self.forget();
        let (parent, name) = self.parent(path)?;
        parent.remove_dir(name).map_err(|e| Error::io("remove", Some(&self.path.join(path)), e))
    }

    /// Removes a folder and everything in it; links in it go, what they point to stays.
    ///
    /// # Errors
    /// The rules of names; [`Error::Io`].
    pub fn remove_tree(&self, path: &Path) -> Result<()> {
        self.forget();
        let (parent, name) = self.parent(path)?;
        parent.remove_dir_all(name).map_err(|e| Error::io("remove", Some(&self.path.join(path)), e))
    }

    /// Renames within the root; a file at the new name is replaced.
    ///
    /// # Errors
    /// The rules of names; [`Error::Io`].
    pub fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        self.forget();
        let (from_parent, from_name) = self.parent(from)?;
        let (to_parent, to_name) = self.parent(to)?;
        let renamed = from_parent.rename(from_name, &to_parent, to_name);
        self.forget();
        renamed.map_err(|e| Error::io("rename", Some(&self.path.join(from)), e))
    }

    /// Waits until the data of a regular file is on the disk.
    ///
    /// # Errors
    /// As [`Root::open_file`].
    pub fn sync_file(&self, path: &Path) -> Result<()> {
        let failed = |e| Error::io("sync", Some(&self.path.join(path)), e);
        let (parent, name) = self.parent(path)?;
        let mut options = OpenOptions::new();
        // Windows syncs only what may be written to.
        options.read(true).write(cfg!(windows)).follow(FollowSymlinks::No);
        parent.open_with(name, &options).and_then(|file| file.sync_all()).map_err(failed)
    }

    /// Renames within the root to a name that nothing has.
    ///
    /// # Errors
    /// [`Rule::TargetExists`]; the rules of names; [`Error::Io`].
    pub fn rename_new(&self, from: &Path, to: &Path) -> Result<()> {
        // Unix would replace an empty folder. The caller's lock keeps another rename to this name out.
        absent(&self.path.join(to))?;
        self.rename(from, to)
    }

    /// Sets times, as exactly as the file system keeps them; `None` leaves one as it is.
    ///
    /// # Errors
    /// The rules of names; [`Error::Io`].
    pub fn set_times(&self, path: &Path, accessed: Option<SystemTime>, modified: Option<SystemTime>) -> Result<()> {
        let (parent, name) = self.parent(path)?;
        // Below, times before 1970 panic; a link cannot be opened, and keeps the time that it has.
        #[cfg(unix)]
        if [accessed, modified].into_iter().flatten().any(|time| time < SystemTime::UNIX_EPOCH) {
            let failed = |e| Error::io("set times", Some(&self.path.join(path)), e);
            if parent.symlink_metadata(name).map_err(failed)?.is_symlink() {
                return Ok(());
            }
            let mut options = OpenOptions::new();
            options.read(true).follow(FollowSymlinks::No);
            cap_fs_ext::OpenOptionsMaybeDirExt::maybe_dir(&mut options, true);
            let mut times = std::fs::FileTimes::new();
            times = accessed.map_or(times, |time| times.set_accessed(time));
            times = modified.map_or(times, |time| times.set_modified(time));
            let file = parent.open_with(name, &options).map_err(failed)?.into_std();
            return file.set_times(times).map_err(failed);
        }
        let spec = |time: SystemTime| SystemTimeSpec::Absolute(cap_std::time::SystemTime::from_std(time));
        parent
            .set_symlink_times(name, accessed.map(spec), modified.map(spec))
            .map_err(|e| Error::io("set times", Some(&self.path.join(path)), e))
    }

    /// As [`Root::set_times`], for the root itself.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn set_own_times(&self, accessed: Option<SystemTime>, modified: Option<SystemTime>) -> Result<()> {
        let failed = |e| Error::io("set times", Some(&self.path), e);
        let mut times = std::fs::FileTimes::new();
        times = accessed.map_or(times, |time| times.set_accessed(time));
        times = modified.map_or(times, |time| times.set_modified(time));
        self.open_dir(&self.dir).and_then(|dir| dir.set_times(times)).map_err(failed)
    }

    /// Makes a regular file read-only (on Unix: clears the write bits), or writable by its owner again.
    ///
    /// # Errors
    /// As [`Root::open_file`].
    pub fn set_read_only(&self, path: &Path, read_only: bool) -> Result<()> {
        let failed = |e| Error::io("set permissions", Some(&self.path.join(path)), e);
        let file = self.open_file(path)?;
        let mut permissions = file.metadata().map_err(failed)?.permissions();
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = permissions.mode();
            permissions.set_mode(if read_only { mode & !0o222 } else { mode | 0o200 });
        }
        #[cfg(not(unix))]
        permissions.set_readonly(read_only);
        file.set_permissions(permissions).map_err(failed)
    }

    /// A folder as a file, for what only files can do.
    fn open_dir(&self, dir: &Dir) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.read(true);
        #[cfg(windows)]
        options.write(true);
        cap_fs_ext::OpenOptionsMaybeDirExt::maybe_dir(&mut options, true);
        dir.open_with(".", &options).map(CapFile::into_std)
    }

    /// The open folder that holds `path`, and the last name.
    fn parent<'a>(&self, path: &'a Path) -> Result<(Arc<Dir>, &'a OsStr)> {
        self.parent_in(&self.last_parents, path)
    }

    fn parent_in<'a>(&self, open: &Open, path: &'a Path) -> Result<(Arc<Dir>, &'a OsStr)> {
        check(path)?;
        let name = path.file_name().expect("a checked path ends in a name");
        Ok((self.folder_in(open, path.parent().expect("it has a last name"))?, name))
    }

    fn folder(&self, path: &Path) -> Result<Arc<Dir>> {
        self.folder_in(&self.last_parents, path)
    }

    fn folder_in(&self, open: &Open, path: &Path) -> Result<Arc<Dir>> {
        if path.as_os_str().is_empty() {
            return Ok(self.dir.clone());
        }
        check(path)?;
        let mut open = open.lock().unwrap_or_else(PoisonError::into_inner);
        while open.last().is_some_and(|(known, _)| !path.starts_with(known)) {
            open.pop();
        }
        let (mut at, mut dir) = open.last().cloned().unwrap_or_else(|| (PathBuf::new(), self.dir.clone()));
        let below = path.strip_prefix(&at).expect("it starts with it").to_path_buf();
        if let Some(found) = open_below(&dir, &below).map(Arc::new) {
            keep(&mut open, path.to_path_buf(), &found);
            return Ok(found);
        }
        for name in below.components() {
            let next = dir.open_dir_nofollow(name);
            at.push(name);
            dir = Arc::new(next.map_err(|e| match dir.symlink_metadata(name) {
                Ok(metadata) if metadata.is_symlink() => {
                    Error::refused(Rule::LinkEscapes, format!("{} is a link", at.display()))
                }
                _ => Error::io("open", Some(&self.path.join(&at)), e),
            })?);
            keep(&mut open, at.clone(), &dir);
        }
        Ok(dir)
    }

    fn forget(&self) {
        for open in [&self.last_parents, &self.last_sources] {
            open.lock().unwrap_or_else(PoisonError::into_inner).clear();
        }
    }
}

/// Folders that are kept open, however deep a path is.
const MOST_OPEN: usize = 16;

fn keep(open: &mut Vec<(PathBuf, Arc<Dir>)>, path: PathBuf, dir: &Arc<Dir>) {
    if open.len() == MOST_OPEN {
        open.remove(0);
    }
    open.push((path, Arc::clone(dir)));
}

/// Opens a folder more than one name below another in one call; the system refuses links on the way. `None` for every
/// failure: going name by name finds out which.
#[cfg(target_os = "linux")]
fn open_below(dir: &Dir, path: &Path) -> Option<Dir> {
    use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};
    path.components().nth(1)?;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    openat2(dir, path, flags, Mode::empty(), resolve).ok().map(|folder| Dir::from_std_file(folder.into()))
}

#[cfg(not(target_os = "linux"))]
fn open_below(_: &Dir, _: &Path) -> Option<Dir> {
    None
}

/// Refuses every path that is not a chain of plain names, or that names something else on this system.
fn check(path: &Path) -> Result<()> {
    if path.as_os_str().is_empty() {
        return Err(Error::refused(Rule::NameEmpty, ""));
    }
    let bytes = path.as_os_str().as_encoded_bytes();
    if bytes.contains(&0) {
        return Err(Error::refused(Rule::NameNul, path.display().to_string()));
    }
    // `components` passes over `.` in the middle and over a slash at the end.
    for component in path.components() {
        let Component::Normal(name) = component else {
            return Err(Error::refused(Rule::NameEscapes, path.display().to_string()));
        };
        if cfg!(windows) {
            check_windows(name)?;
        }
    }
    Ok(())
}

/// A colon would open a stream of another file, `NUL` a device, and `end.` the file `end`.
fn check_windows(name: &OsStr) -> Result<()> {
    use crate::nt::name::{utf16_from_wtf8, win32_trouble};
    let trouble = utf16_from_wtf8(name.as_encoded_bytes()).is_none_or(|units| win32_trouble(&units).is_some());
    if trouble { Err(Error::refused(Rule::NameReserved, name.display().to_string())) } else { Ok(()) }
}

/// Refuses a path that is taken.
pub(crate) fn absent(path: &Path) -> Result<()> {
    match std::fs::symlink_metadata(path) {
        Ok(_) => Err(Error::refused(Rule::TargetExists, path.display().to_string())),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(e) => Err(Error::io("stat", Some(path), e)),
    }
}

pub(super) fn created(operation: &'static str, path: &Path, error: io::Error) -> Error {
    if error.kind() == io::ErrorKind::AlreadyExists {
        return Error::refused(Rule::TargetExists, path.display().to_string());
    }
    Error::io(operation, Some(path), error)
}
