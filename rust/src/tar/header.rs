//! One 512-byte header block, read and written.
//!
//! Layout: POSIX.1-1988 ustar, GNU tar and star (`tar.h`); numbers as Go's archive/tar reads and writes them.

use super::BLOCK;
use crate::error::{Error, Format, Result};
use std::borrow::Cow;
use std::ops::Range;

pub(crate) const NAME: Range<usize> = 0..100;
const MODE: Range<usize> = 100..108;
const UID: Range<usize> = 108..116;
const GID: Range<usize> = 116..124;
const SIZE: Range<usize> = 124..136;
const MTIME: Range<usize> = 136..148;
const CHECKSUM: Range<usize> = 148..156;
pub(crate) const TYPEFLAG: usize = 156;
const LINK_NAME: Range<usize> = 157..257;
const MAGIC: Range<usize> = 257..265;
const DEV_MAJOR: Range<usize> = 329..337;
const DEV_MINOR: Range<usize> = 337..345;
const PREFIX: Range<usize> = 345..500;
const STAR_PREFIX: Range<usize> = 345..476;
const STAR_ATIME: Range<usize> = 476..488;
const STAR_CTIME: Range<usize> = 488..500;
const STAR_TRAILER: Range<usize> = 508..512;
const GNU_ATIME: Range<usize> = 345..357;
const GNU_CTIME: Range<usize> = 357..369;

/// Member types that this crate knows by name.
pub mod typeflag {
    /// A regular file.
    pub const FILE: u8 = b'0';
    /// A hard link to a member of this or a lower layer.
    pub const HARD_LINK: u8 = b'1';
    /// A symbolic link, or a junction.
    pub const SYMLINK: u8 = b'2';
    /// A character device.
    pub const CHAR_DEVICE: u8 = b'3';
    /// A block device.
    pub const BLOCK_DEVICE: u8 = b'4';
    /// A directory.
    pub const DIRECTORY: u8 = b'5';
    /// A FIFO.
    pub const FIFO: u8 = b'6';
    /// A file that should lie in one piece; read as a file.
    pub const CONTIGUOUS: u8 = b'7';
    /// PAX records for the next member.
    pub const PAX: u8 = b'x';
    /// PAX records for all members that follow.
    pub const PAX_GLOBAL: u8 = b'g';
    /// GNU: the name of the next member.
    pub const GNU_LONG_NAME: u8 = b'L';
    /// GNU: the link target of the next member.
    pub const GNU_LONG_LINK: u8 = b'K';
    /// GNU: a sparse file of the old format.
    pub const GNU_SPARSE: u8 = b'S';
}

/// Which dialect the magic of a header announces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Magic {
    V7,
    Ustar,
    Star,
    Gnu,
}

/// A header block whose checksum holds.
#[derive(Clone, Copy)]
pub(crate) struct Header<'a> {
    block: &'a [u8; BLOCK],
}

impl<'a> Header<'a> {
    /// Checks the checksum.
    pub fn parse(block: &'a [u8; BLOCK], position: u64) -> Result<Self> {
        let header = Header { block };
        let stored = header.number(CHECKSUM, "checksum").map_err(|e| e.at(position))?;
        let unsigned = unsigned_checksum(block);
        if stored != unsigned && stored != signed_checksum(block) {
            return Err(bad("checksum", format!("{unsigned:o}"), format!("{stored:o}")).at(position));
        }
        Ok(header)
    }

    pub fn magic(&self) -> Magic {
        match &self.block[MAGIC] {
            b"ustar  \0" => Magic::Gnu,
            m if m.starts_with(b"ustar\0") && &self.block[STAR_TRAILER] == b"tar\0" => Magic::Star,
            m if m.starts_with(b"ustar\0") => Magic::Ustar,
            _ => Magic::V7,
        }
    }

    pub fn typeflag(&self) -> u8 {
        self.block[TYPEFLAG]
    }

    pub fn size(&self) -> Result<i64> {
        self.number(SIZE, "size")
    }

    pub fn mode(&self) -> Result<i64> {
        self.number(MODE, "mode")
    }

    pub fn uid(&self) -> Result<i64> {
        self.number(UID, "uid")
    }

    pub fn gid(&self) -> Result<i64> {
        self.number(GID, "gid")
    }

    /// `None` for a field of NULs, which Microsoft's layers have.
    pub fn mtime(&self) -> Result<Option<i64>> {
        let absent = self.block[MTIME].iter().all(|&b| b == 0);
        if absent { Ok(None) } else { self.number(MTIME, "mtime").map(Some) }
    }

    /// Numbers that say nothing here, but are refused where they do not parse: those of a PAX or GNU header.
    pub fn check_numbers(&self) -> Result<()> {
        self.mode()?;
        self.uid()?;
        self.gid()?;
        self.mtime()?;
        if self.magic() == Magic::Star {
            self.extra_times()?;
        }
        self.check_devices()
    }

    /// Device numbers; only devices use them, but a number that does not parse is refused for all.
    pub fn check_devices(&self) -> Result<()> {
        if self.magic() != Magic::V7 {
            self.number(DEV_MAJOR, "devmajor")?;
            self.number(DEV_MINOR, "devminor")?;
        }
        Ok(())
    }

    /// Access and change time of a GNU or star header, in seconds, where set.
    pub fn extra_times(&self) -> Result<(Option<i64>, Option<i64>)> {
        match self.magic() {
            Magic::Star => Ok((Some(self.number(STAR_ATIME, "atime")?), Some(self.number(STAR_CTIME, "ctime")?))),
            Magic::Gnu => {
                let time = |field: Range<usize>, name| {
                    (self.block[field.start] != 0).then(|| self.number(field, name)).transpose()
                };
                Ok((time(GNU_ATIME, "atime")?, time(GNU_CTIME, "ctime")?))
            }
            Magic::V7 | Magic::Ustar => Ok((None, None)),
        }
    }

    /// The name with its prefix, into `out`.
    pub fn name(&self, out: &mut Vec<u8>) {
        out.clear();
        let prefix = match self.magic() {
            Magic::Ustar => until_nul(&self.block[PREFIX]),
            Magic::Star => until_nul(&self.block[STAR_PREFIX]),
            // Go before 1.8 wrote ustar prefixes under the GNU magic: seen where the times do not parse.
            Magic::Gnu if self.extra_times().is_err() && self.block[PREFIX].is_ascii() => {
                until_nul(&self.block[PREFIX])
            }
            Magic::V7 | Magic::Gnu => &[],
        };
        if !prefix.is_empty() {
            out.extend_from_slice(prefix);
            out.push(b'/');
        }
        out.extend_from_slice(until_nul(&self.block[NAME]));
    }

    pub fn link_name(&self, out: &mut Vec<u8>) {
        out.clear();
        out.extend_from_slice(until_nul(&self.block[LINK_NAME]));
    }

    pub fn number(&self, field: Range<usize>, name: &'static str) -> Result<i64> {
        number(&self.block[field], name)
    }
}

/// The bytes before the first NUL.
pub(crate) fn until_nul(field: &[u8]) -> &[u8] {
    field.split(|&b| b == 0).next().unwrap_or_default()
}

/// Octal text, or a base-256 number where the first byte's top bit is set.
pub(crate) fn number(field: &[u8], name: &'static str) -> Result<i64> {
    // What nearly every field is: as many digits as fit, and a closing NUL or space.
    if let [digits @ .., 0 | b' '] = field
        && digits.len() <= 20
    {
        let (mut value, mut odd) = (0_i64, 0);
        for byte in digits {
            let digit = byte.wrapping_sub(b'0');
            odd |= digit & !7;
            value = value << 3 | i64::from(digit & 7);
        }
        if odd == 0 {
            return Ok(value);
        }
    }
    let wrong = || bad(name, "an octal or base-256 number of 63 bits", format!("\"{}\"", field.escape_ascii()));
    if field.first().is_some_and(|b| b & 0x80 != 0) {
        let invert = if field[0] & 0x40 != 0 { 0xff } else { 0 };
        let mut value: u64 = 0;
        for (i, &byte) in field.iter().enumerate() {
            let byte = if i == 0 { (byte ^ invert) & 0x7f } else { byte ^ invert };
            if value >> 55 != 0 {
                return Err(wrong());
            }
            value = value << 8 | u64::from(byte);
        }
        let value = i64::try_from(value).map_err(|_| wrong())?;
        return Ok(if invert == 0 { value } else { !value });
    }
    let blank = |b: &u8| *b == b' ' || *b == 0;
    let start = field.iter().position(|b| !blank(b)).unwrap_or(field.len());
    let digits = until_nul(&field[start..]);
    let end = digits.iter().rposition(|b| !blank(b)).map_or(0, |last| last + 1);
    let mut value: i64 = 0;
    for &digit in &digits[..end] {
        if !(b'0'..=b'7').contains(&digit) {
            return Err(wrong());
        }
        value = value.checked_mul(8).and_then(|v| v.checked_add(i64::from(digit - b'0'))).ok_or_else(wrong)?;
    }
    Ok(value)
}

fn bad(field: &'static str, expected: impl Into<Box<str>>, found: impl Into<Box<str>>) -> Error {
    Error::format(Format::Tar, field, expected, found)
}

/// The sum of all bytes, the checksum field taken as spaces.
fn unsigned_checksum(block: &[u8; BLOCK]) -> i64 {
    // Four 16-bit lanes in each word: 64 words of two bytes a lane stay under 2^16.
    const EVEN: u64 = 0x00ff_00ff_00ff_00ff;
    let lanes = block.as_chunks::<8>().0.iter().fold(0_u64, |lanes, word| {
        let word = u64::from_le_bytes(*word);
        lanes + (word & EVEN) + (word >> 8 & EVEN)
    });
    let sum: u64 = (0..4).map(|lane| lanes >> (16 * lane) & 0xffff).sum();
    let field: i64 = block[CHECKSUM].iter().map(|&b| i64::from(b)).sum();
    sum.cast_signed() - field + 8 * i64::from(b' ')
}

/// The same with signed bytes, as some old tools summed.
fn signed_checksum(block: &[u8; BLOCK]) -> i64 {
    let field = &block[CHECKSUM];
    let sum = |bytes: &[u8]| bytes.iter().map(|&b| i64::from(b.cast_signed())).sum::<i64>();
    sum(block) - sum(field) + 8 * i64::from(b' ')
}

/// The fields of a header block to write, after anything too large for them has gone into PAX records.
pub(crate) struct BlockFields<'a> {
    pub prefix: &'a [u8],
    pub name: &'a [u8],
    pub link_name: &'a [u8],
    pub mode: u32,
    pub size: u64,
    /// Seconds since 1970; `None` leaves NULs.
    pub mtime: Option<i64>,
    pub typeflag: u8,
    /// Whether device fields are zero numbers (a member) or empty (a PAX header).
    pub devices: bool,
}

/// Writes a ustar header block as Go's archive/tar does: ASCII names cut to the field, numbers that do not fit as 0.
pub(crate) fn block(fields: &BlockFields<'_>) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    put_name(&mut block[NAME], fields.name);
    put_octal(&mut block[MODE], fields.mode.into());
    put_octal(&mut block[UID], 0);
    put_octal(&mut block[GID], 0);
    put_octal(&mut block[SIZE], i64::try_from(fields.size).unwrap_or(-1));
    if let Some(mtime) = fields.mtime {
        put_octal(&mut block[MTIME], mtime);
    }
    block[TYPEFLAG] = fields.typeflag;
    put_name(&mut block[LINK_NAME], fields.link_name);
    block[MAGIC].copy_from_slice(b"ustar\x0000");
    if fields.devices {
        put_octal(&mut block[DEV_MAJOR], 0);
        put_octal(&mut block[DEV_MINOR], 0);
    }
    block[PREFIX.start..PREFIX.start + fields.prefix.len()].copy_from_slice(fields.prefix);
    let sum = unsigned_checksum(&block);
    put_octal(&mut block[CHECKSUM.start..CHECKSUM.end - 1], sum);
    block[CHECKSUM.end - 1] = b' ';
    block
}

/// Prefix and name of a long ASCII name that a ustar header holds without a record.
pub(crate) fn split_name(name: &[u8]) -> Option<(&[u8], &[u8])> {
    if name.len() <= NAME.len() || !name.is_ascii() || name.contains(&0) {
        return None;
    }
    let end =
        if name.len() > PREFIX.len() + 1 { PREFIX.len() + 1 } else { name.len() - usize::from(name.ends_with(b"/")) };
    let slash = name[..end].iter().rposition(|&b| b == b'/').filter(|&slash| slash > 0)?;
    let (prefix, rest) = (&name[..slash], &name[slash + 1..]);
    (prefix.len() <= PREFIX.len() && rest.len() <= NAME.len() && !rest.is_empty()).then_some((prefix, rest))
}

/// Types whose size field counts no data.
pub(crate) fn has_no_data(kind: u8) -> bool {
    use typeflag::{BLOCK_DEVICE, CHAR_DEVICE, DIRECTORY, FIFO, HARD_LINK, SYMLINK};
    matches!(kind, HARD_LINK | SYMLINK | CHAR_DEVICE | BLOCK_DEVICE | DIRECTORY | FIFO)
}

/// Whether a number fits into an octal field of `width` bytes with its closing NUL.
pub(crate) fn fits_octal(width: u32, value: i64) -> bool {
    value >= 0 && value < 1 << (3 * (width - 1)).min(62)
}

pub(crate) const SIZE_WIDTH: u32 = 12;
pub(crate) const MTIME_WIDTH: u32 = 12;

fn put_octal(field: &mut [u8], value: i64) {
    let width = field.len() as u32;
    let value = if fits_octal(width, value) { value } else { 0 };
    let mut left = value.unsigned_abs();
    for digit in field[..width as usize - 1].iter_mut().rev() {
        *digit = b'0' + (left & 7) as u8;
        left >>= 3;
    }
}

fn put_name(field: &mut [u8], name: &[u8]) {
    let ascii: Cow<'_, [u8]> =
        if name.is_ascii() { name.into() } else { name.iter().copied().filter(u8::is_ascii).collect() };
    let n = ascii.len().min(field.len());
    field[..n].copy_from_slice(&ascii[..n]);
    if ascii.len() > field.len() && field[n - 1] == b'/' {
        // A cut that ends in a slash would read as a directory.
        let end = field[..n - 1].iter().rposition(|&b| b != b'/').map_or(0, |last| last + 1);
        field[end] = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        let ok = |field: &[u8]| number(field, "size").unwrap();
        assert_eq!(ok(b"0000644\0"), 0o644);
        assert_eq!(ok(b" 644 \0\0\0"), 0o644);
        assert_eq!(ok(b"\0\0\0\0\0\0\0\0"), 0);
        assert_eq!(ok(b"\x80\0\0\0\0\0\0\0\0\0\x01\x02"), 0x102);
        assert_eq!(ok(b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xfe"), -2);
        for wrong in [&b"0009000\0"[..], b"-644\0\0\0\0", b"\x80\0\0\x80\0\0\0\0\0\0\0\0"] {
            assert_eq!(number(wrong, "size").unwrap_err().code(), "bad_tar");
        }
    }

    #[test]
    fn signed_checksums_are_accepted() {
        let mut bytes = block(&BlockFields {
            prefix: b"",
            name: b"x",
            link_name: b"",
            mode: 0o644,
            size: 0,
            mtime: Some(0),
            typeflag: b'0',
            devices: true,
        });
        bytes[1] = 0xe4;
        let signed = signed_checksum(&bytes);
        put_octal(&mut bytes[148..155], signed);
        assert!(Header::parse(&bytes, 0).is_ok());
        bytes[2] ^= 1;
        let error = Header::parse(&bytes, 512).err().unwrap();
        assert!(error.to_string().starts_with("at byte 512: tar checksum: expected"), "{error}");
    }
}
