//! The tags seen in images, by name, and what their data says.
//!
//! Tag values are those of [MS-FSCC] 2.1.2.1; the layouts of AppExecLink and WCI are not published by Microsoft and are
//! as James Forshaw's NtObjectManager reads them.

use super::super::Guid;
use super::super::bytes::{u16_at, u32_at, units};
use super::ReparsePoint;

/// The reparse tags with a meaning here.
#[derive(Debug, Clone, Copy)]
pub struct Tag;

macro_rules! tags {
    ($($name:ident = $value:literal, $doc:literal;)+) => {
        impl Tag {
            $(#[doc = $doc] pub const $name: u32 = $value;)+
        }

        const NAMES: &[(u32, &str)] = &[$(($value, stringify!($name))),+];
    };
}

tags! {
    MOUNT_POINT = 0xA000_0003, "A junction, or a volume mounted on a directory.";
    HSM = 0xC000_0004, "Hierarchical storage, obsolete.";
    HSM2 = 0x8000_0006, "Hierarchical storage, obsolete.";
    SIS = 0x8000_0007, "Single-instance storage.";
    WIM = 0x8000_0008, "A file of a mounted WIM image.";
    CSV = 0x8000_0009, "Clustered shared volumes.";
    DFS = 0x8000_000A, "Distributed file system.";
    SYMLINK = 0xA000_000C, "A symbolic link.";
    IIS_CACHE = 0xA000_0010, "IIS caching.";
    DFSR = 0x8000_0012, "Distributed file system replication.";
    DEDUP = 0x8000_0013, "Data deduplication.";
    NFS = 0x8000_0014, "Special files of the NFS server.";
    FILE_PLACEHOLDER = 0x8000_0015, "Windows Shell, obsolete.";
    DFM = 0x8000_0016, "Dynamic file filter.";
    WOF = 0x8000_0017, "Data kept compressed, in the file or in a WIM, by the Windows Overlay Filter.";
    WCI = 0x8000_0018, "A file whose content is in a lower layer, by the Windows Container Isolation filter.";
    WCI_1 = 0x9000_1018, "As WCI, for directories.";
    GLOBAL_REPARSE = 0xA000_0019, "A link of NPFS that leaves a silo.";
    APPEXECLINK = 0x8000_001B, "An alias that starts a packaged application.";
    PROJFS = 0x9000_001C, "A file of a projected file system.";
    LX_SYMLINK = 0xA000_001D, "A symbolic link of the Windows Subsystem for Linux.";
    STORAGE_SYNC = 0x8000_001E, "Azure File Sync.";
    STORAGE_SYNC_FOLDER = 0x9000_0027, "Azure File Sync, for directories.";
    WCI_TOMBSTONE = 0xA000_001F, "A name deleted from a lower layer.";
    UNHANDLED = 0x8000_0020, "Left for no driver.";
    ONEDRIVE = 0x8000_0021, "OneDrive, unused.";
    PROJFS_TOMBSTONE = 0xA000_0022, "A name deleted from a projected file system.";
    AF_UNIX = 0x8000_0023, "A Unix domain socket.";
    LX_FIFO = 0x8000_0024, "A FIFO of the Windows Subsystem for Linux.";
    LX_CHR = 0x8000_0025, "A character device of the Windows Subsystem for Linux.";
    LX_BLK = 0x8000_0026, "A block device of the Windows Subsystem for Linux.";
    WCI_LINK = 0xA000_0027, "A link of the Windows Container Isolation filter.";
    WCI_LINK_1 = 0xA000_1027, "As WCI_LINK, for directories.";
}

/// The sixteen cloud tags differ in one digit.
const CLOUD_MASK: u32 = 0xFFFF_0FFF;
const CLOUD: u32 = 0x9000_001A;

/// `CLOUD`, `CLOUD_1` to `CLOUD_F` for the cloud tags, else the constant's own name.
pub(super) fn name(tag: u32) -> Option<String> {
    if tag & CLOUD_MASK == CLOUD {
        return Some(match tag >> 12 & 0xF {
            0 => "CLOUD".to_owned(),
            digit => format!("CLOUD_{digit:X}"),
        });
    }
    NAMES.iter().find(|(value, _)| *value == tag).map(|(_, name)| (*name).to_owned())
}

/// The data of a reparse point in the terms of its tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decoded {
    /// A symlink or junction: its names are those of [`ReparsePoint`].
    Link,
    /// Where a link of WSL leads: bytes, usually UTF-8.
    LxSymlink(Vec<u8>),
    /// An application alias.
    AppExecLink(AppExecLink),
    /// A file or directory whose content is in a lower layer.
    Wci(Wci),
    /// A name deleted from a lower layer.
    WciTombstone,
    /// A compressed file.
    Wof(Wof),
    /// A cloud file: the data is the provider's own.
    Cloud,
    /// A Unix domain socket.
    AfUnix,
    /// A tag without a decoder, or data that is not as its tag says.
    Opaque,
}

/// An application alias, as in `%LOCALAPPDATA%\Microsoft\WindowsApps`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppExecLink {
    /// Always 3 so far.
    pub version: u32,
    /// Package family name, application id, target path, application type, in this order.
    pub strings: Vec<Vec<u16>>,
}

/// A placeholder of the Windows Container Isolation filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wci {
    /// Always 1 so far.
    pub version: u32,
    /// Which layer has the content.
    pub layer: Guid,
    /// The path in that layer.
    pub path: Vec<u16>,
}

/// A file that the Windows Overlay Filter decompresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wof {
    /// The data is in a WIM archive.
    Wim {
        /// Which archive.
        data_source: u64,
        /// SHA-1 of the data.
        hash: [u8; 20],
    },
    /// The data is in the stream `WofCompressedData`.
    File {
        /// 0 XPRESS4K, 1 LZX, 2 XPRESS8K, 3 XPRESS16K.
        algorithm: u32,
    },
}

pub(super) fn decode(reparse: &ReparsePoint) -> Decoded {
    let data = reparse.data();
    let decoded = match reparse.tag() {
        Tag::SYMLINK | Tag::MOUNT_POINT => reparse.substitute_name().and(reparse.print_name()).map(|_| Decoded::Link),
        Tag::LX_SYMLINK => lx_symlink(data).map(Decoded::LxSymlink),
        Tag::APPEXECLINK => app_exec_link(data).map(Decoded::AppExecLink),
        Tag::WCI | Tag::WCI_1 => wci(data).map(Decoded::Wci),
        Tag::WCI_TOMBSTONE => Some(Decoded::WciTombstone),
        Tag::WOF => wof(data).map(Decoded::Wof),
        Tag::AF_UNIX => Some(Decoded::AfUnix),
        tag if tag & CLOUD_MASK == CLOUD => Some(Decoded::Cloud),
        _ => None,
    };
    decoded.unwrap_or(Decoded::Opaque)
}

/// Version 2, then the target, which ends at a NUL if there is one.
fn lx_symlink(data: &[u8]) -> Option<Vec<u8>> {
    let target = data.get(4..)?;
    u32_at(data, 0).filter(|version| *version == 2)?;
    target.split(|byte| *byte == 0).next().map(<[u8]>::to_vec)
}

/// Version, then strings that end with a NUL each.
fn app_exec_link(data: &[u8]) -> Option<AppExecLink> {
    let version = u32_at(data, 0)?;
    let text = units(data.get(4..)?);
    let mut strings: Vec<Vec<u16>> = text.split(|unit| *unit == 0).map(<[u16]>::to_vec).collect();
    let unterminated = strings.pop()?;
    unterminated.is_empty().then_some(AppExecLink { version, strings })
}

/// Version, reserved, layer, path length in bytes, path.
fn wci(data: &[u8]) -> Option<Wci> {
    let version = u32_at(data, 0)?;
    let layer = Guid(*data.get(8..)?.first_chunk()?);
    let length = usize::from(u16_at(data, 24)?);
    Some(Wci { version, layer, path: units(data.get(26..26 + length)?) })
}

/// Version 1 and the provider, then the provider's own record ([MS-FSCC] leaves it out; WOF_EXTERNAL_INFO in wofapi.h).
fn wof(data: &[u8]) -> Option<Wof> {
    const WIM: u32 = 1;
    const FILE: u32 = 2;
    match (u32_at(data, 0)?, u32_at(data, 4)?, u32_at(data, 8)?) {
        (1, WIM, 2) => Some(Wof::Wim {
            data_source: super::super::bytes::u64_at(data, 16)?,
            hash: *data.get(24..)?.first_chunk()?,
        }),
        (1, FILE, 1) => Some(Wof::File { algorithm: u32_at(data, 12)? }),
        _ => None,
    }
}
