//! Sparse members: the maps of GNU tar (old format; PAX 0.0, 0.1 and 1.0), and data put back into its holes.
//!
//! Source: GNU tar manual, "Storing Sparse Files". PAX 1.0 keeps its map in front of the data.

use super::header::number;
use super::{BLOCK, PaxRecords};
use crate::error::{Error, Format, Limit, Result};
use crate::limits::Limits;
use crate::source::SparseRange;

/// How a member says that it is sparse.
pub(super) enum SparseMap {
    Ranges(Vec<SparseRange>),
    /// The map stands in front of the data.
    InData,
}

/// The sparse map of PAX records, with the name and the size that they give; `None` when they describe none.
pub(super) fn from_pax(pax: &PaxRecords) -> Result<Option<SparseMap>> {
    if pax.is_empty() {
        return Ok(None);
    }
    let get = |key: &[u8]| pax.get(key).filter(|v| !v.is_empty());
    match (get(b"GNU.sparse.major"), get(b"GNU.sparse.minor")) {
        (Some(b"1"), Some(b"0")) => return Ok(Some(SparseMap::InData)),
        (Some(b"0"), Some(b"0" | b"1")) => {}
        (None, None) if get(b"GNU.sparse.map").is_some() || get(b"GNU.sparse.offset").is_some() => {}
        _ => return Ok(None),
    }
    let mut numbers = Vec::new();
    let version_0_0 = get(b"GNU.sparse.offset").is_some();
    if let Some(map) = get(b"GNU.sparse.map").filter(|_| !version_0_0) {
        for text in map.split(|&b| b == b',') {
            numbers.push(decimal(text)?);
        }
    } else {
        // Version 0.0 repeats one record for each number: offset, numbytes, offset, ...
        for (key, value) in pax.iter() {
            let expected = if numbers.len() % 2 == 0 { &b"GNU.sparse.offset"[..] } else { b"GNU.sparse.numbytes" };
            if matches!(key, b"GNU.sparse.offset" | b"GNU.sparse.numbytes") {
                if key != expected {
                    return Err(wrong("an offset, then its length", key.escape_ascii().to_string()));
                }
                numbers.push(decimal(value)?);
            }
        }
    }
    if let Some(count) = get(b"GNU.sparse.numblocks")
        && decimal(count)?.checked_mul(2) != Some(numbers.len() as u64)
    {
        return Err(wrong("as many ranges as GNU.sparse.numblocks says", format!("{} numbers", numbers.len())));
    }
    pairs(&numbers).map(|ranges| Some(SparseMap::Ranges(ranges)))
}

/// The real size that PAX records give a sparse member.
pub(super) fn real_size(pax: &PaxRecords) -> Result<Option<u64>> {
    let value = pax.get(b"GNU.sparse.size").filter(|v| !v.is_empty());
    value.or_else(|| pax.get(b"GNU.sparse.realsize").filter(|v| !v.is_empty())).map(decimal).transpose()
}

/// Ranges that one extension block of the old GNU format has room for.
pub(super) const OLD_GNU_RANGES: u64 = 21;

/// Reads the entries of an old GNU header or of one of its extension blocks; returns whether another block follows.
pub(super) fn old_gnu(block: &[u8; BLOCK], first: bool, ranges: &mut Vec<SparseRange>) -> Result<bool> {
    let (start, count, extended) = if first { (386, 4, 482) } else { (0, OLD_GNU_RANGES as usize, 504) };
    for entry in block[start..start + count * 24].chunks_exact(24) {
        if entry[0] == 0 {
            break;
        }
        let field =
            |bytes| u64::try_from(number(bytes, "sparse map")?).map_err(|_| wrong("a number from 0", "a negative one"));
        ranges.push(SparseRange { offset: field(&entry[..12])?, length: field(&entry[12..])? });
    }
    Ok(block[extended] != 0)
}

/// The real size field of an old GNU header.
pub(super) fn old_gnu_size(block: &[u8; BLOCK]) -> Result<u64> {
    u64::try_from(number(&block[483..495], "real size")?).map_err(|_| wrong("a size from 0", "a negative one"))
}

/// Parser of the map in front of the data (PAX 1.0): decimal lines, the first of which is the number of pairs.
#[derive(Default)]
pub(super) struct MapInData {
    line: Vec<u8>,
    numbers: Vec<u64>,
    count: Option<u64>,
}

impl MapInData {
    /// Takes one block; `true` when the map is complete.
    pub fn feed(&mut self, block: &[u8], limits: &Limits) -> Result<bool> {
        for &byte in block {
            if byte != b'\n' {
                if self.line.len() >= 20 {
                    return Err(wrong("a number of at most 20 digits", "a longer line"));
                }
                self.line.push(byte);
                continue;
            }
            let number = decimal(&self.line)?;
            self.line.clear();
            match self.count {
                None => {
                    limits.check(Limit::SparseRanges, number)?;
                    self.count = Some(number);
                }
                Some(_) => self.numbers.push(number),
            }
            if self.count.and_then(|n| n.checked_mul(2)) == Some(self.numbers.len() as u64) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    pub fn finish(self) -> Result<Vec<SparseRange>> {
        pairs(&self.numbers)
    }
}

/// Checks that ranges ascend, stay inside the file, and hold as much data as there is.
pub(super) fn validate(ranges: &[SparseRange], real_size: u64, data_size: u64, limits: &Limits) -> Result<()> {
    limits.check(Limit::SparseRanges, ranges.len() as u64)?;
    let (mut end, mut sum) = (0_u64, 0_u64);
    for range in ranges {
        let next = range.offset.checked_add(range.length).filter(|&n| range.offset >= end && n <= real_size);
        let Some(next) = next else {
            let found = format!("{} bytes at {}", range.length, range.offset);
            return Err(wrong(format!("ascending ranges inside {real_size} bytes"), found));
        };
        end = next;
        sum += range.length;
    }
    if sum != data_size {
        return Err(wrong(format!("ranges of {data_size} bytes in all"), format!("{sum}")));
    }
    Ok(())
}

fn pairs(numbers: &[u64]) -> Result<Vec<SparseRange>> {
    if !numbers.len().is_multiple_of(2) {
        return Err(wrong("pairs of offset and length", format!("{} numbers", numbers.len())));
    }
    Ok(numbers.chunks_exact(2).map(|pair| SparseRange { offset: pair[0], length: pair[1] }).collect())
}

fn decimal(text: &[u8]) -> Result<u64> {
    let number = std::str::from_utf8(text).ok().filter(|t| t.bytes().all(|b| b.is_ascii_digit()));
    let number = number.and_then(|t| t.parse().ok()).filter(|&n: &u64| i64::try_from(n).is_ok());
    number.ok_or_else(|| wrong("a decimal number of 63 bits", format!("\"{}\"", text.escape_ascii())))
}

fn wrong(expected: impl Into<Box<str>>, found: impl Into<Box<str>>) -> Error {
    Error::format(Format::Tar, "sparse map", expected, found)
}

/// Walks a file as alternating holes and data: says what the next bytes are.
#[derive(Debug, Clone)]
pub struct Expander {
    ranges: Vec<SparseRange>,
    next: usize,
    position: u64,
    size: u64,
}

/// What comes next in a sparse file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece {
    /// That many zero bytes.
    Hole(u64),
    /// That many bytes of data.
    Data(u64),
    /// Nothing.
    End,
}

impl Expander {
    /// A file of `size` bytes whose data lies in `ranges`, which ascend and stay inside it.
    #[must_use]
    pub fn new(mut ranges: Vec<SparseRange>, size: u64) -> Self {
        // Ranges without data say nothing, and must not be walked over again for every piece.
        ranges.retain(|range| range.length > 0);
        Expander { ranges, next: 0, position: 0, size }
    }

    /// Length of the file, in bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// What the next bytes are.
    #[must_use]
    pub fn peek(&self) -> Piece {
        match self.ranges.get(self.next) {
            Some(range) if range.offset <= self.position => Piece::Data(range.offset + range.length - self.position),
            Some(range) => Piece::Hole(range.offset - self.position),
            None if self.position < self.size => Piece::Hole(self.size - self.position),
            None => Piece::End,
        }
    }

    /// Passes `n` bytes of the piece that [`Expander::peek`] returned.
    pub fn advance(&mut self, n: u64) {
        self.position += n;
        while self.ranges.get(self.next).is_some_and(|range| range.offset + range.length <= self.position) {
            self.next += 1;
        }
    }
}
