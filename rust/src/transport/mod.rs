//! The transport folder: what the Host Compute Service imports a layer from, and exports it to.
//!
//! - [`TransportReader`] and [`TransportWriter`]: such a folder and the entries of a layer.
//! - [`to_layer_tar`] and [`from_layer_tar`]: such a folder and a layer tar.
//! - [`to_plain_tar`] and [`from_plain_tar`]: such a folder and a plain tar of it, which is how Docker moved layers
//!   before there was a layer tar ("TP4").
//!
//! The folder is described in `docs/formats/transport.md`, with what it cannot hold.

pub(crate) mod convert;
pub(crate) mod names;
mod plain;
mod reader;
mod tombstones;
pub mod wcidirs;
mod writer;

pub use convert::{from_layer_tar, to_layer_tar};
pub(crate) use names::{CHAIN, OTHER_IDS, is_of_driver};
pub use plain::{from_plain_tar, to_plain_tar};
pub(crate) use plain::{from_plain_tar_below, to_plain_tar_below};
pub use reader::{Content, TransportEntry, TransportReader};
pub use tombstones::FILE as TOMBSTONES;
pub use writer::TransportWriter;

use crate::fs::KEEPS_ALL_TIMES;
use crate::fs::disk::unix_time;
use crate::limits::Limits;
use crate::nt::{BasicInfo, FileTime};
use crate::policy::{Capped, Loss, OnLoss};
use std::time::SystemTime;

/// What becomes of a hard link: the folder has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum HardLinks {
    /// A file of its own with a copy of the data, which is told as a loss. Its target must have come before.
    #[default]
    Copy,
    /// It is left out, and listed in [`Report::hard_links`], to be made when HCS has imported the folder: so does
    /// hcsshim. This reaches files of lower layers, too. The list grows with the layer.
    Defer,
}

/// How a transport folder is written.
#[derive(Debug, Clone, Default)]
pub struct TransportOptions {
    /// What becomes of hard links.
    pub hard_links: HardLinks,
    /// What happens when the folder cannot hold something.
    pub on_loss: OnLoss,
    /// Bounds.
    pub limits: Limits,
}

/// A hard link that is left to be made.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HardLink {
    /// Its name as a member: `Files/...`.
    pub name: Vec<u8>,
    /// The name of the file that it is another name of, in this layer or in a lower one.
    pub target: Vec<u8>,
}

/// What was read or written.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    /// Entries, whiteouts and hard links included; of a plain tar its members.
    pub entries: u64,
    /// Bytes that were written, but for the end of a tar.
    pub bytes: u64,
    /// What could not be held.
    pub losses: Capped<Loss>,
    /// Hard links that are left to be made.
    pub hard_links: Vec<HardLink>,
}

/// The times that an entry has by those of its file on the disk, without attributes. Outside of `Files`, and on systems
/// that set no other, the last write counts for all of them. There is no time of change: nobody can set it.
fn kept_times(
    modified: Option<SystemTime>,
    accessed: Option<SystemTime>,
    created: Option<SystemTime>,
    has_metadata: bool,
) -> BasicInfo {
    let write = modified.and_then(file_time);
    let or_write = |time: Option<SystemTime>| {
        let time = time.filter(|_| KEEPS_ALL_TIMES && has_metadata);
        time.and_then(file_time).or(write)
    };
    BasicInfo {
        creation_time: or_write(created),
        last_access_time: or_write(accessed),
        last_write_time: write,
        ..BasicInfo::default()
    }
}

fn file_time(time: SystemTime) -> Option<FileTime> {
    let (seconds, nanoseconds) = unix_time(time);
    FileTime::from_unix(seconds, nanoseconds)
}

#[cfg(test)]
mod tests;
