//! Reparse points: what makes a file a symlink, a junction or something that another driver explains.
//!
//! The buffer is `u32 tag, u16 data length, u16 reserved`, a GUID when the tag is not Microsoft's (bit 31 clear), then
//! the data ([MS-FSCC] 2.1.2). Windows writes a symlink's print name before its substitute name and a junction's names
//! the other way round with NULs, others write other orders: so the raw buffer is the value, and names are read from
//! it when asked for.

use crate::closed_set::closed_set;
use crate::error::{Error, Format, Result};

use super::Guid;
use super::bytes::{push_units, u16_at, u32_at, units};

mod tags;

pub use tags::{AppExecLink, Decoded, Tag, Wci, Wof};

/// A reparse buffer of any tag: the raw bytes, with views into them.
///
/// ```
/// use winlayers::nt::reparse::{ReparsePoint, Tag};
/// let units = |text: &str| text.encode_utf16().collect::<Vec<u16>>();
/// let link = ReparsePoint::symlink_to(&units(r"C:\Windows")).unwrap();
/// assert_eq!(link.tag(), Tag::SYMLINK);
/// assert_eq!(link.substitute_name(), Some(units(r"\??\C:\Windows")));
/// assert_eq!(link.print_name(), Some(units(r"C:\Windows")));
/// assert_eq!(ReparsePoint::parse(link.raw().to_vec()).unwrap(), link);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReparsePoint {
    raw: Vec<u8>,
}

closed_set! {
    /// What a reparse point is to someone who walks a tree.
    pub enum ReparseKind {
        /// A symbolic link of Windows.
        Symlink = "symlink";
        /// A junction (mount point).
        Junction = "junction";
        /// Any other tag.
        Other = "reparse";
    }
}

const HEADER: usize = 8;
const GUID_HEADER: usize = 24;
const SYMLINK_FLAG_RELATIVE: u32 = 1;
/// The fields before a symlink's names; a junction has four bytes less.
const SYMLINK_FIELDS: usize = 12;
const JUNCTION_FIELDS: usize = 8;

impl ReparsePoint {
    /// Takes a reparse buffer of any tag.
    ///
    /// # Errors
    /// A format error when the buffer is shorter than its header, or when its length is not the one the header gives.
    /// The data is not looked at: a buffer that its own driver would reject is carried as it is.
    pub fn parse(raw: Vec<u8>) -> Result<Self> {
        let (Some(tag), Some(data_length)) = (u32_at(&raw, 0), u16_at(&raw, 4)) else {
            return Err(fault("header", format!("{HEADER} bytes"), format!("{} bytes", raw.len()), 0));
        };
        let header = header_length(tag);
        if raw.len() != header + usize::from(data_length) {
            let expected =
                format!("{} (what the buffer holds after {header} bytes of header)", raw.len() as i64 - header as i64);
            return Err(fault("data length", expected, data_length.to_string(), 4));
        }
        Ok(ReparsePoint { raw })
    }

    /// The symlink Windows itself would make: print name first, no NULs.
    ///
    /// # Errors
    /// A format error when the names do not fit the 16-bit length of the buffer.
    pub fn symlink(substitute: &[u16], print: &[u16], relative: bool) -> Result<Self> {
        let (substitute_size, print_size) = (substitute.len() * 2, print.len() * 2);
        let flags = if relative { SYMLINK_FLAG_RELATIVE } else { 0 };
        let fields = [print_size, substitute_size, 0, print_size];
        let mut names = flags.to_le_bytes().to_vec();
        push_units(&mut names, print);
        push_units(&mut names, substitute);
        Self::build(Tag::SYMLINK, fields, &names)
    }

    /// A symlink with the substitute name that Windows derives from its target; see [`nt_target`].
    ///
    /// # Errors
    /// As [`ReparsePoint::symlink`].
    pub fn symlink_to(target: &[u16]) -> Result<Self> {
        let (substitute, relative) = nt_target(target);
        Self::symlink(&substitute, target, relative)
    }

    /// The junction Windows itself would make: substitute name first, each name with a NUL after it.
    ///
    /// # Errors
    /// A format error when the names do not fit the 16-bit length of the buffer.
    pub fn junction(substitute: &[u16], print: &[u16]) -> Result<Self> {
        let (substitute_size, print_size) = (substitute.len() * 2, print.len() * 2);
        let mut names = Vec::with_capacity(substitute_size + print_size + 4);
        for name in [substitute, print] {
            push_units(&mut names, name);
            names.extend([0, 0]);
        }
        Self::build(Tag::MOUNT_POINT, [0, substitute_size, substitute_size + 2, print_size], &names)
    }

    /// A junction with the substitute name that Windows derives from its target, an absolute path.
    ///
    /// # Errors
    /// As [`ReparsePoint::junction`].
    pub fn junction_to(target: &[u16]) -> Result<Self> {
        Self::junction(&nt_target(target).0, target)
    }

    fn build(tag: u32, fields: [usize; 4], names: &[u8]) -> Result<Self> {
        let size = JUNCTION_FIELDS + names.len();
        let data_length = u16::try_from(size)
            .map_err(|_| fault("names", "at most 65535 bytes of data", format!("{size} bytes"), 4))?;
        let mut raw = Vec::with_capacity(HEADER + size);
        raw.extend(tag.to_le_bytes());
        raw.extend(data_length.to_le_bytes());
        raw.extend([0, 0]);
        for field in fields {
            // Each of them is smaller than the whole, which fits.
            raw.extend(u16::try_from(field).unwrap_or(data_length).to_le_bytes());
        }
        raw.extend(names);
        Ok(ReparsePoint { raw })
    }

    /// The whole buffer, as it came.
    #[must_use]
    pub fn raw(&self) -> &[u8] {
        &self.raw
    }

    /// The whole buffer, as it came.
    #[must_use]
    pub fn into_raw(self) -> Vec<u8> {
        self.raw
    }

    /// The tag; see [`Tag`] for the known ones.
    #[must_use]
    pub fn tag(&self) -> u32 {
        u32_at(&self.raw, 0).expect("checked when it was made")
    }

    /// The name of the tag, without `IO_REPARSE_TAG_`, where it is a known one.
    #[must_use]
    pub fn tag_name(&self) -> Option<String> {
        tags::name(self.tag())
    }

    /// The identifier of the driver, when the tag is not Microsoft's.
    #[must_use]
    pub fn guid(&self) -> Option<Guid> {
        let bytes = self.raw.get(HEADER..header_length(self.tag()))?;
        bytes.first_chunk().map(|bytes| Guid(*bytes))
    }

    /// What follows the header.
    #[must_use]
    pub fn data(&self) -> &[u8] {
        &self.raw[header_length(self.tag())..]
    }

    /// Symlink, junction or something else, by its tag alone.
    #[must_use]
    pub fn kind(&self) -> ReparseKind {
        match self.tag() {
            Tag::SYMLINK => ReparseKind::Symlink,
            Tag::MOUNT_POINT => ReparseKind::Junction,
            _ => ReparseKind::Other,
        }
    }

    /// Where a symlink or junction leads, as the kernel resolves it. `None` for other tags, and for a name that does
    /// not lie within the data.
    #[must_use]
    pub fn substitute_name(&self) -> Option<Vec<u16>> {
        self.link_name(0)
    }

    /// Where a symlink or junction leads, as programs show it; often empty. `None` as for
    /// [`ReparsePoint::substitute_name`].
    #[must_use]
    pub fn print_name(&self) -> Option<Vec<u16>> {
        self.link_name(4)
    }

    fn link_name(&self, fields_at: usize) -> Option<Vec<u16>> {
        let fields = match self.kind() {
            ReparseKind::Symlink => SYMLINK_FIELDS,
            ReparseKind::Junction => JUNCTION_FIELDS,
            ReparseKind::Other => return None,
        };
        let data = self.data();
        let names = data.get(fields..)?;
        let offset = usize::from(u16_at(data, fields_at)?);
        let length = usize::from(u16_at(data, fields_at + 2)?);
        names.get(offset..offset + length).map(units)
    }

    /// Whether it is a symlink that is resolved from the directory it lies in.
    #[must_use]
    pub fn is_relative(&self) -> bool {
        let flags = u32_at(self.data(), 8).unwrap_or(0);
        self.kind() == ReparseKind::Symlink && flags & SYMLINK_FLAG_RELATIVE != 0
    }

    /// The data in the terms of its tag.
    #[must_use]
    pub fn decoded(&self) -> Decoded {
        tags::decode(self)
    }
}

/// The NT path that Windows derives from the target of a new link, and whether the link is a relative one.
///
/// `\\?\X` and `\\.\X` become `\??\X`, `\\server\share` becomes `\??\UNC\server\share`, a path with a drive gets
/// `\??\`, a target that starts with `\??\` stays, and every other one is relative.
#[must_use]
pub fn nt_target(target: &[u16]) -> (Vec<u16>, bool) {
    let prefixed = |prefix: &str, rest: &[u16]| prefix.encode_utf16().chain(rest.iter().copied()).collect();
    if let Some(rest) = after(target, r"\\?\").or_else(|| after(target, r"\\.\")) {
        (prefixed(r"\??\", rest), false)
    } else if let Some(rest) = after(target, r"\\") {
        (prefixed(r"\??\UNC\", rest), false)
    } else if has_drive(target) {
        (prefixed(r"\??\", target), false)
    } else {
        (target.to_vec(), after(target, r"\??\").is_none())
    }
}

/// What go-winio's EncodeReparsePoint makes of a link target: substitute name first, NULs after both names.
///
/// The target is bytes as a tar has them. WTF-8 gives the units it stands for, lone surrogates included; each byte that
/// is not WTF-8 gives U+FFFD, as in Go. Unlike Windows, `\\.\pipe` is taken for a share and `\??\C:` for relative.
///
/// # Errors
/// A format error for a target too long for the 16-bit lengths of the buffer, where go-winio writes a broken one.
pub fn encode_go_winio(target: &[u8], mount_point: bool) -> Result<ReparsePoint> {
    let print = go_units(target);
    let (substitute, relative) = match after(&print, r"\\.\") {
        Some(_) => (r"\??\UNC\".encode_utf16().chain(print[2..].iter().copied()).collect(), false),
        None if after(&print, r"\??\").is_some() => (print.clone(), true),
        None => nt_target(&print),
    };
    if mount_point {
        return ReparsePoint::junction(&substitute, &print);
    }
    let (substitute_size, print_size) = (substitute.len() * 2, print.len() * 2);
    let mut names = u32::from(relative).to_le_bytes().to_vec();
    for name in [&substitute, &print] {
        push_units(&mut names, name);
        names.extend([0, 0]);
    }
    ReparsePoint::build(Tag::SYMLINK, [0, substitute_size, substitute_size + 2, print_size], &names)
}

fn go_units(target: &[u8]) -> Vec<u16> {
    super::name::utf16_from_wtf8(target).unwrap_or_else(|| {
        let mut out = Vec::with_capacity(target.len());
        for chunk in target.utf8_chunks() {
            out.extend(chunk.valid().encode_utf16());
            out.extend(chunk.invalid().iter().map(|_| 0xfffd));
        }
        out
    })
}

fn after<'a>(units: &'a [u16], prefix: &str) -> Option<&'a [u16]> {
    let start = units.get(..prefix.len())?;
    start.iter().copied().eq(prefix.encode_utf16()).then(|| &units[prefix.len()..])
}

fn has_drive(target: &[u16]) -> bool {
    matches!(target, [letter, 0x3a, ..] if u8::try_from(*letter).is_ok_and(|byte| byte.is_ascii_alphabetic()))
}

fn header_length(tag: u32) -> usize {
    if tag & 0x8000_0000 == 0 { GUID_HEADER } else { HEADER }
}

fn fault(field: &'static str, expected: impl Into<Box<str>>, found: impl Into<Box<str>>, at: u64) -> Error {
    Error::format(Format::ReparsePoint, field, expected, found).at(at)
}

#[cfg(test)]
mod tests;
