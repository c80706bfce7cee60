//! What is known about a file without reading it.

use cap_fs_ext::MetadataExt;
use std::time::SystemTime;

/// What a directory entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link; on Windows a junction, too.
    Symlink,
    /// A device, FIFO or socket.
    Other,
}

/// What a file system knows about a file, a folder or a link itself; a link is not followed. Times that it does not
/// keep are `None`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metadata {
    /// What it is.
    pub kind: Kind,
    /// Bytes of data.
    pub size: u64,
    /// Together with `inode`: equal for two names of one file.
    pub device: u64,
    /// Number of the file on its device.
    pub inode: u64,
    /// How many names the file has.
    pub links: u64,
    /// Unix: no write bit is set; Windows: the attribute.
    pub read_only: bool,
    /// Last change of the data.
    pub modified: Option<SystemTime>,
    /// Last read.
    pub accessed: Option<SystemTime>,
    /// Birth.
    pub created: Option<SystemTime>,
    /// Last change of data or metadata, seconds and nanoseconds since 1970; Unix only.
    pub changed: Option<(i64, i64)>,
}

impl Metadata {
    pub(super) fn new(metadata: &cap_std::fs::Metadata) -> Self {
        let kind = if metadata.is_symlink() {
            Kind::Symlink
        } else if metadata.is_dir() {
            Kind::Directory
        } else if metadata.is_file() {
            Kind::File
        } else {
            Kind::Other
        };
        let time = |time: std::io::Result<cap_std::time::SystemTime>| time.ok().map(|time| time.into_std());
        Metadata {
            kind,
            size: metadata.len(),
            device: metadata.dev(),
            inode: metadata.ino(),
            links: metadata.nlink(),
            read_only: metadata.permissions().readonly(),
            modified: time(metadata.modified()),
            accessed: time(metadata.accessed()),
            created: time(metadata.created()),
            changed: changed(metadata),
        }
    }

    /// Whether both are of the same file with the same data, judged by numbers, size and times. A second write within
    /// one tick of the file system's clock is not noticed.
    #[must_use]
    pub fn is_unchanged(&self, since: &Metadata) -> bool {
        let identity = |m: &Metadata| (m.kind, m.size, m.device, m.inode, m.modified, m.changed);
        identity(self) == identity(since)
    }
}

#[cfg(unix)]
fn changed(metadata: &cap_std::fs::Metadata) -> Option<(i64, i64)> {
    use cap_std::fs::MetadataExt;
    Some((metadata.ctime(), metadata.ctime_nsec()))
}

#[cfg(not(unix))]
fn changed(_: &cap_std::fs::Metadata) -> Option<(i64, i64)> {
    None
}
