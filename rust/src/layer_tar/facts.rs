//! What the dialects and their reader have in common: the header of a member, its times, and its link.

use super::entry::EntryKind;
use super::keys;
use super::keys::BASE64;
use super::source::StreamSource;
use crate::error::{Error, Format, Result, Rule};
use crate::layer_name::with_backslashes;
use crate::nt::basic_info::BasicInfo;
use crate::nt::filetime::FileTime;
use crate::nt::reparse::{self, ReparseKind, ReparsePoint};
use crate::tar::{MemberHeader, Record, Time, Writer, typeflag};
use base64::Engine;
use std::io::Write;

pub(super) const MODE_DIRECTORY: u32 = 0o040_000;
pub(super) const MODE_REGULAR: u32 = 0o100_000;
pub(super) const MODE_SYMLINK: u32 = 0o120_000;
const IO_REPARSE_TAG_LX_SYMLINK: u32 = 0xa000_001d;
static ZEROS: [u8; 64 << 10] = [0; 64 << 10];

/// A FILETIME as the dialect writes it: through 64-bit nanoseconds, which wrap outside 1677 to 2262.
pub(super) fn written_time(time: FileTime) -> Time {
    let nanoseconds = time.0.wrapping_sub(FileTime::UNIX_EPOCH_TICKS).wrapping_mul(100);
    let (seconds, rest) = (nanoseconds.div_euclid(1_000_000_000), nanoseconds.rem_euclid(1_000_000_000));
    Time { seconds, nanoseconds: u32::try_from(rest).expect("less than a second") }
}

/// A time of a tar as a FILETIME: cut towards 1970 to 100 ns, as Go's conversion does.
pub(super) fn read_time(time: Time) -> Option<FileTime> {
    let fraction = if time.seconds < 0 { time.nanoseconds.div_ceil(100) } else { time.nanoseconds / 100 };
    let ticks = time.seconds.checked_mul(10_000_000)?.checked_add(i64::from(fraction))?;
    ticks.checked_add(FileTime::UNIX_EPOCH_TICKS).map(FileTime)
}

/// Attributes, creation time, descriptor, mount point or a few extended attributes: room for them at once.
const USUAL_RECORDS: usize = 5;

/// What the headers of a member and of its named streams have in common.
pub(super) struct Facts {
    pub mode: u32,
    pub typeflag: u8,
    pub link_name: Vec<u8>,
    pub mtime: Option<Time>,
    pub atime: Option<Time>,
    pub ctime: Option<Time>,
    pub records: Vec<Record>,
}

impl Facts {
    /// Those of an entry that its kind, times and attributes tell.
    pub fn new(kind: EntryKind, info: &BasicInfo) -> Self {
        let mut records = Vec::with_capacity(USUAL_RECORDS);
        records.push((keys::FILE_ATTRIBUTES.into(), info.attributes.0.to_string().into_bytes()));
        if let Some(time) = info.creation_time {
            records.push((keys::CREATION_TIME.into(), written_time(time).text().into_bytes()));
        }
        let directory = match kind {
            EntryKind::Directory => true,
            EntryKind::File => false,
            _ => info.attributes.is_directory(),
        };
        Facts {
            mode: if directory { MODE_DIRECTORY } else { 0 },
            typeflag: if directory { typeflag::DIRECTORY } else { typeflag::FILE },
            link_name: Vec::new(),
            mtime: info.last_write_time.map(written_time),
            atime: info.last_access_time.map(written_time),
            ctime: info.change_time.map(written_time),
            records,
        }
    }

    pub fn set(&mut self, key: &'static [u8], value: Vec<u8>) {
        self.records.retain(|(k, _)| *k != key);
        self.records.push((key.into(), value));
    }

    pub fn set_security_descriptor(&mut self, sd: &[u8]) {
        self.set(keys::RAW_SECURITY_DESCRIPTOR, BASE64.encode(sd).into_bytes());
    }

    /// The header of the member itself; it takes the records.
    pub fn header<'a>(&mut self, name: &'a [u8], link_name: &'a [u8], size: u64) -> MemberHeader<'a> {
        MemberHeader { records: std::mem::take(&mut self.records), ..self.bare(name, link_name, size) }
    }

    fn bare<'a>(&self, name: &'a [u8], link_name: &'a [u8], size: u64) -> MemberHeader<'a> {
        MemberHeader {
            name,
            link_name,
            typeflag: self.typeflag,
            mode: self.mode,
            size,
            mtime: self.mtime,
            atime: self.atime,
            ctime: self.ctime,
            records: Vec::new(),
        }
    }

    /// The header of a named stream: times and mode of its owner, and nothing else.
    pub fn stream_header<'a>(&self, name: &'a [u8], size: u64) -> MemberHeader<'a> {
        MemberHeader { typeflag: typeflag::FILE, ..self.bare(name, b"", size) }
    }
}

/// The link target that the dialect keeps of a reparse buffer, and whether it is that of a junction.
///
/// # Errors
/// [`Rule::ReparseTag`] for tags that it does not carry, [`Error::Format`] for a name outside the buffer.
pub(super) fn link_target(point: &ReparsePoint) -> Result<(Vec<u8>, bool)> {
    if point.tag() == IO_REPARSE_TAG_LX_SYMLINK {
        let data = point.data();
        let target = data.get(4..).ok_or_else(|| {
            Error::format(Format::ReparsePoint, "LX symlink", "4 bytes of version", data.len().to_string())
        })?;
        return Ok((target.split(|&b| b == 0).next().unwrap_or_default().to_vec(), false));
    }
    if point.kind() == ReparseKind::Other {
        return Err(Error::refused(Rule::ReparseTag, format!("{:#010x}", point.tag())));
    }
    let print = point.print_name().ok_or_else(|| {
        Error::format(Format::ReparsePoint, "print name", "a name inside the buffer", "one that reaches past it")
    })?;
    Ok((String::from_utf16_lossy(&print).into_bytes(), point.kind() == ReparseKind::Junction))
}

/// The reparse buffer that the dialect makes of a link target, `/` taken for `\`.
///
/// # Errors
/// [`Error::Format`] for a target that no buffer can hold.
pub fn reparse_from_link(link: &[u8], junction: bool) -> Result<ReparsePoint> {
    reparse::encode_go_winio(&with_backslashes(link), junction)
}

/// The spelling of a link target that was given, such as one with other slashes, where it gives the same reparse
/// buffer.
pub(super) fn spelled(given: Option<&[u8]>, target: Vec<u8>, junction: bool) -> Vec<u8> {
    let buffer = |link: &[u8]| reparse_from_link(link, junction).ok();
    match given {
        Some(given) if *given != target && buffer(given) == buffer(&target) => given.to_vec(),
        _ => target,
    }
}

/// Copies the data of the current stream.
pub(super) fn copy<S: StreamSource, W: Write>(source: &mut S, tar: &mut Writer<W>) -> Result<()> {
    loop {
        let chunk = source.data()?;
        if chunk.is_empty() {
            return Ok(());
        }
        tar.data(chunk)?;
        let n = chunk.len();
        source.consume(n);
    }
}

/// Writes `n` zero bytes.
pub(super) fn zeros<W: Write>(tar: &mut Writer<W>, mut n: u64) -> Result<()> {
    while n > 0 {
        let chunk = n.min(ZEROS.len() as u64);
        tar.data(&ZEROS[..chunk as usize])?;
        n -= chunk;
    }
    Ok(())
}
