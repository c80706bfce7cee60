//! The only place that touches the disk.
//!
//! - [`Root`]: a folder that no path leaves: every path is relative to it, and no link on the way is followed.
//! - [`Walk`]: everything below a root, in an order that depends on the names alone; [`StableFile`] notices a file that
//!   changes while it is read.
//! - [`AtomicFile`] and [`AtomicDir`]: appear complete, or not at all.
//! - [`Lock`]: held by at most one process, and released when that dies.
//! - `Disk`: a folder under the names that members of a layer have; `symlink` resolves a link without leaving it.
//!
//! Everything else in the crate gets opened files from here; `clippy.toml` enforces it.
#![allow(clippy::disallowed_methods)]

pub mod atomic;
pub(crate) mod disk;
mod lock;
mod metadata;
mod named;
mod read_at;
mod root;
pub(crate) mod staging;
pub(crate) mod symlink;
mod walk;

pub use atomic::{AtomicDir, AtomicFile, STAGED_PREFIX};
pub use lock::{Lock, new_lock};
pub use metadata::{Kind, Metadata};
pub(crate) use named::{NamedFile, temporary_file};
pub use root::Root;
pub(crate) use root::absent;
pub(crate) use staging::Staging;
pub use walk::{StableFile, Visit, Walk};

use crate::error::{Error, Result};
use std::fs::{File, FileTimes};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Whether symlinks of a layer are made on a disk: on Windows that takes a privilege.
pub(crate) const MAKES_LINKS: bool = cfg!(not(windows));

/// Whether a file keeps the times of creation and of last access that it was given.
pub(crate) const KEEPS_ALL_TIMES: bool = cfg!(windows);

/// Whether a file can be deleted while it is open.
pub(crate) const DELETES_OPEN_FILES: bool = cfg!(not(windows));

/// Opens a file that the caller named, anywhere, following links: for input that is not below a [`Root`].
///
/// # Errors
/// [`Error::Io`] with the path.
pub fn open_file(path: &Path) -> Result<File> {
    File::open(path).map_err(|e| Error::io("open", Some(path), e))
}

/// Sets the times of an open file; that of creation only where [`KEEPS_ALL_TIMES`].
pub(crate) fn set_times(file: &File, times: FileTimes, created: Option<SystemTime>) -> io::Result<()> {
    #[cfg(windows)]
    let times = created.map_or(times, |created| std::os::windows::fs::FileTimesExt::set_created(times, created));
    #[cfg(not(windows))]
    let _ = created;
    file.set_times(times)
}

/// Writes to the end of a file that is read by offset at the same time; `end` is where that is.
pub(crate) fn append(file: &File, bytes: &[u8], end: u64) -> io::Result<usize> {
    // On Windows, reading by offset moves the place where a plain write goes.
    #[cfg(windows)]
    {
        std::os::windows::fs::FileExt::seek_write(file, bytes, end)
    }
    #[cfg(not(windows))]
    {
        let _ = end;
        io::Write::write(&mut &*file, bytes)
    }
}

/// The path of something that exists without links, `.` and `..`.
///
/// # Errors
/// [`Error::Io`] with the path.
pub fn absolute(path: &Path) -> Result<PathBuf> {
    let path = std::fs::canonicalize(path).map_err(|e| Error::io("open", Some(path), e))?;
    // The long form that Windows gives is for paths that are longer than any of these.
    let short = path.to_str().and_then(|text| text.strip_prefix(r"\\?\"));
    let is_drive = |text: &str| text.as_bytes().get(1) == Some(&b':') && text.len() < 200;
    Ok(match short.filter(|text| cfg!(windows) && is_drive(text)) {
        Some(short) => PathBuf::from(short),
        None => path,
    })
}

/// Makes a folder and those above it, where they are missing; `durable` waits until their names are on the disk.
///
/// # Errors
/// [`Error::Io`] with the path.
pub fn create_dir_all(path: &Path, durable: bool) -> Result<()> {
    let is_missing = |folder: &&Path| !folder.as_os_str().is_empty() && !folder.exists();
    let missing: Vec<&Path> = path.ancestors().take_while(is_missing).collect();
    std::fs::create_dir_all(path).map_err(|e| Error::io("create folder", Some(path), e))?;
    if durable { missing.into_iter().try_for_each(atomic::sync_folder) } else { Ok(()) }
}

/// Removes a folder and everything in it; links in it go, what they point to stays.
///
/// # Errors
/// [`Error::Io`] with the path.
pub fn remove_tree(path: &Path) -> Result<()> {
    std::fs::remove_dir_all(path).map_err(|e| Error::io("remove", Some(path), e))
}

/// Gives a folder that was made for its maker alone the permissions of any new folder.
///
/// # Errors
/// [`Error::Io`] with the path.
pub fn make_accessible(path: &Path) -> Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let set = std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755));
        set.map_err(|e| Error::io("set permissions", Some(path), e))
    }
    #[cfg(not(unix))]
    {
        let _ = path;
        Ok(())
    }
}

/// The name of the kind of network file system that a folder is on; `None` if it is on none, as far as is known.
///
/// # Errors
/// [`Error::Io`].
pub fn network_file_system(path: &Path) -> Result<Option<String>> {
    if cfg!(windows) {
        let text = path.to_string_lossy();
        let is_network = text.starts_with(r"\\?\UNC\") || (text.starts_with(r"\\") && !text.starts_with(r"\\?\"));
        return Ok(is_network.then(|| "a network share".to_owned()));
    }
    let Ok(mounts) = std::fs::read_to_string("/proc/self/mountinfo") else { return Ok(None) };
    let mut best: Option<(usize, &str)> = None;
    for line in mounts.lines() {
        // "36 35 98:0 /root /mount options optional... - type source ..."
        let (Some(mount), Some(kind)) =
            (line.split(' ').nth(4), line.split(" - ").nth(1).and_then(|rest| rest.split(' ').next()))
        else {
            continue;
        };
        let mount = mount.replace("\\040", " ");
        if path.starts_with(&mount) && best.is_none_or(|(length, _)| mount.len() >= length) {
            best = Some((mount.len(), kind));
        }
    }
    const NETWORK: [&str; 11] =
        ["nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "ceph", "afs", "glusterfs", "fuse.sshfs", "fuse.glusterfs"];
    Ok(best.map(|(_, kind)| kind).filter(|kind| NETWORK.contains(kind)).map(str::to_owned))
}

/// Waits until what a folder holds, by name, is on the disk.
///
/// # Errors
/// [`Error::Io`] with the path.
pub fn sync_names(folder: &Path) -> Result<()> {
    atomic::sync_folder(&folder.join("name"))
}

/// Waits until the clock of the disk is past `moment`, in seconds and nanoseconds since 1970: each later change of a
/// file has another time than one recorded up to then. Waits two seconds at most, in case the clock was put back.
///
/// # Errors
/// [`Error::Io`] with the path.
pub fn outlast(folder: &Path, moment: (i64, i64)) -> Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let failed = |e| Error::io("probe", Some(folder), e);
        let probe = temporary_file(folder)?;
        for _ in 0..2_000 {
            probe.set_modified(std::time::SystemTime::now()).map_err(failed)?;
            let now = probe.metadata().map_err(failed)?;
            if (now.ctime(), now.ctime_nsec()) > moment {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
    }
    #[cfg(not(unix))]
    let _ = (folder, moment);
    Ok(())
}

#[cfg(test)]
mod tests;
