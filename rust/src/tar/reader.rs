//! Bytes to members: one pass, data handed out as it lies in the buffer.

use super::buffer::Buffer;
use super::header::{Header, Magic, has_no_data, typeflag, until_nul};
use super::pax::{PaxRecords, Time};
use super::sparse::{self, MapInData, SparseMap};
use super::{BLOCK, padding};
use crate::error::{Error, Format, Limit, Result};
use crate::limits::Limits;
use crate::source::{Source, SparseRange};

/// One member as its headers describe it.
#[derive(Debug, Clone, Default)]
pub struct Member {
    /// Offset of the first block that belongs to it, PAX and GNU headers included.
    pub position: u64,
    /// Offset of its data; after the map, where a sparse map stands in front of the data.
    pub data_position: u64,
    /// Name, raw bytes.
    pub name: Vec<u8>,
    /// Link target, raw bytes; empty where there is none.
    pub link_name: Vec<u8>,
    /// Type; the old NUL type is resolved to file or directory.
    pub typeflag: u8,
    /// Permission and type bits as they stand in the header.
    pub mode: i64,
    /// Bytes of data in the archive.
    pub size: u64,
    /// Bytes of the file: larger than `size` where it is sparse.
    pub real_size: u64,
    /// Where the data lies in the file, when it is sparse: no range is empty.
    pub sparse: Option<Vec<SparseRange>>,
    /// Last write; `None` where the field holds NULs and no record says more.
    pub mtime: Option<Time>,
    /// Last access, where the headers have it.
    pub atime: Option<Time>,
    /// Change of metadata, where the headers have it.
    pub ctime: Option<Time>,
    /// PAX records: global ones first, then its own.
    pub pax: PaxRecords,
    /// Bytes of the global records before its first header block, of those that [`Reader::global_records`] has by now.
    pub globals: u64,
}

impl Member {
    /// Applies the records and returns the size, if one of them has it. The last record of a key counts; an empty one
    /// restores what the header says.
    fn apply_pax(&mut self) -> Result<Option<i64>> {
        const KEYS: [&[u8]; 8] = [b"path", b"linkpath", b"size", b"mtime", b"atime", b"ctime", b"uid", b"gid"];
        let mut last: [&[u8]; KEYS.len()] = Default::default();
        for (key, value) in self.pax.iter() {
            if let Some(i) = KEYS.iter().position(|k| *k == key) {
                last[i] = value;
            }
        }
        let [path, link, size, mtime, atime, ctime, uid, gid] = last.map(|v| (!v.is_empty()).then_some(v));
        if let Some(path) = path {
            path.clone_into(&mut self.name);
        }
        if let Some(link) = link {
            link.clone_into(&mut self.link_name);
        }
        if let Some(value) = mtime {
            self.mtime = Some(time(value, "PAX mtime")?);
        }
        if let Some(value) = atime {
            self.atime = Some(time(value, "PAX atime")?);
        }
        if let Some(value) = ctime {
            self.ctime = Some(time(value, "PAX ctime")?);
        }
        for (value, field) in [(uid, "PAX uid"), (gid, "PAX gid")] {
            value.map(|value| decimal(value, field)).transpose()?;
        }
        size.map(|value| decimal(value, "PAX size")).transpose()
    }
}

/// How many PAX and GNU headers of the largest size one member may have.
const SPECIAL_HEADERS: u64 = 4;
/// Bytes of all global records: tools write a comment of some dozen bytes.
const GLOBAL_RECORDS: u64 = 16 << 10;

/// Reads members one after the other.
///
/// ```
/// use winlayers::tar::{MemberHeader, Reader, Writer};
/// use winlayers::source::Source;
/// let mut writer = Writer::new(Vec::new());
/// writer.start(&MemberHeader { name: b"Files", typeflag: b'5', ..Default::default() })?;
/// let mut reader = Reader::new(Source::memory(writer.finish()?), &Default::default())?;
/// assert!(reader.advance()?);
/// assert_eq!(reader.member().name, b"Files");
/// assert!(!reader.advance()?);
/// # Ok::<(), winlayers::error::Error>(())
/// ```
pub struct Reader {
    buffer: Buffer,
    limits: Limits,
    member: Member,
    globals: PaxRecords,
    members: u64,
    /// Bytes of data of this member that were not consumed yet.
    data_left: u64,
    padding_left: u64,
    at_end: bool,
    zero_blocks: u8,
    keep_raw: bool,
    global_members: bool,
    raw: Vec<u8>,
    scratch: Vec<u8>,
}

impl Reader {
    /// A reader at the start of an uncompressed tar.
    ///
    /// # Errors
    /// [`Error::Io`] when the length of a random source is not known.
    pub fn new(source: Source, limits: &Limits) -> Result<Self> {
        Ok(Reader {
            buffer: Buffer::new(source)?,
            limits: limits.clone(),
            member: Member::default(),
            globals: PaxRecords::default(),
            members: 0,
            data_left: 0,
            padding_left: 0,
            at_end: false,
            zero_blocks: 0,
            keep_raw: false,
            global_members: false,
            raw: Vec::new(),
            scratch: Vec::new(),
        })
    }

    /// The global records so far, as their headers have them.
    #[must_use]
    pub fn global_records(&self) -> &[u8] {
        self.globals.raw()
    }

    /// Begins in the middle of an archive: at the first block of a member, with the global records before it.
    ///
    /// # Errors
    /// [`Error::Format`] for bytes that are not records; [`Error::Io`].
    pub fn start_in(&mut self, position: u64, records: &[u8]) -> Result<()> {
        self.buffer.skip(position)?;
        self.globals.parse(records, 0)
    }

    /// Keeps every byte that is not data: see [`Reader::take_raw`].
    pub fn keep_raw(&mut self) {
        self.keep_raw = true;
    }

    /// Makes every global header a member without data, of type `g`, whose records apply to no other: as in Go's
    /// archive/tar, so in Go's tar-split.
    pub fn global_headers_as_members(&mut self) {
        self.global_members = true;
    }

    /// The bytes since the last data (padding, headers, end blocks), when they are kept; leaves none.
    pub fn take_raw(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.raw)
    }

    /// Gives `out` the bytes that [`Reader::take_raw`] would, and keeps its allocation for the next ones.
    pub(crate) fn swap_raw(&mut self, out: &mut Vec<u8>) {
        out.clear();
        std::mem::swap(&mut self.raw, out);
    }

    /// The member that [`Reader::advance`] found.
    #[must_use]
    pub fn member(&self) -> &Member {
        &self.member
    }

    /// Offset of the next byte that was not consumed.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.buffer.position()
    }

    /// Where the bytes come from.
    #[must_use]
    pub fn source(&self) -> &Source {
        self.buffer.source()
    }

    /// Goes to the next member, over data that was not consumed; `false` at the end of the archive.
    ///
    /// # Errors
    /// [`Error::Format`] with the offset, [`Error::Limit`], [`Error::Io`].
    pub fn advance(&mut self) -> Result<bool> {
        if self.at_end {
            return Ok(false);
        }
        // After an error it is not known where the next member begins.
        self.at_end = true;
        let found = self.find_next()?;
        self.at_end = !found;
        Ok(found)
    }

    fn find_next(&mut self) -> Result<bool> {
        let left = self.data_left;
        let skipped = self.buffer.skip(left)?;
        self.data_left -= skipped;
        if skipped < left {
            return Err(self.truncated(left - skipped));
        }
        let padding = std::mem::take(&mut self.padding_left);
        // The archive may end without the padding of its last member.
        if self.take(padding)? < padding || !self.headers()? {
            return Ok(false);
        }
        self.members += 1;
        self.limits.check(Limit::Entries, self.members)?;
        Ok(true)
    }

    /// The next bytes of data as they lie in the buffer; empty at the end of the data.
    ///
    /// # Errors
    /// [`Error::Format`] when the archive ends first, [`Error::Io`].
    pub fn data(&mut self) -> Result<&[u8]> {
        if self.data_left == 0 {
            return Ok(&[]);
        }
        if self.buffer.chunk()?.is_empty() {
            return Err(self.truncated(self.data_left));
        }
        let chunk = self.buffer.chunk()?;
        let n = chunk.len().min(usize::try_from(self.data_left).unwrap_or(usize::MAX));
        Ok(&chunk[..n])
    }

    /// Takes `n` bytes that [`Reader::data`] showed.
    pub fn consume(&mut self, n: usize) {
        self.data_left -= n as u64;
        self.buffer.consume(n);
    }

    /// How many zero blocks ended the archive: two where it is complete. Known once [`Reader::advance`] said `false`.
    #[must_use]
    pub fn zero_blocks(&self) -> u8 {
        self.zero_blocks
    }

    /// What follows the end of the archive, a chunk at a time; empty at the end of the source.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn rest(&mut self) -> Result<&[u8]> {
        self.buffer.chunk()
    }

    /// Takes `n` bytes that [`Reader::rest`] showed.
    pub fn consume_rest(&mut self, n: usize) {
        self.buffer.consume(n);
    }

    /// Reads blocks up to the next member's data; `false` at the end of the archive.
    fn headers(&mut self) -> Result<bool> {
        self.member.position = self.position();
        self.member.pax.clear();
        self.member.pax.extend(&self.globals);
        self.member.globals = self.globals.size();
        let (mut long_name, mut long_link) = (None, None);
        loop {
            let at = self.position();
            self.limits.check(Limit::TotalBytes, at)?;
            // Each header has its own bound; this one stops a run of them, all of which may have to be kept.
            let allowance = self.limits.pax_body.saturating_add(2 * BLOCK as u64).saturating_mul(SPECIAL_HEADERS);
            if at - self.member.position > allowance {
                return Err(Error::limit(Limit::PaxBody, at - self.member.position, allowance));
            }
            let Some(block) = self.block()? else { return Ok(false) };
            if block.iter().all(|&b| b == 0) {
                return self.end_blocks(at);
            }
            let header = Header::parse(&block, at)?;
            match header.typeflag() {
                typeflag::PAX => {
                    self.special(&header, at)?;
                    self.member.pax.clear();
                    self.member.pax.extend(&self.globals);
                    self.member.pax.parse(&self.scratch, at + BLOCK as u64)?;
                }
                typeflag::PAX_GLOBAL if self.global_members => {
                    let size = self.special_body(&header, at)?;
                    self.member.pax.clear();
                    self.member.pax.parse(&self.scratch, at + BLOCK as u64)?;
                    return self.global_member(&header, size).map(|()| true).map_err(|e| e.at(at));
                }
                typeflag::PAX_GLOBAL => {
                    self.special(&header, at)?;
                    self.globals.parse(&self.scratch, at + BLOCK as u64)?;
                    // They are gone through once more for every member.
                    if self.globals.size() > GLOBAL_RECORDS.min(self.limits.pax_body) {
                        let max = GLOBAL_RECORDS.min(self.limits.pax_body);
                        return Err(Error::limit(Limit::PaxBody, self.globals.size(), max));
                    }
                    self.member.pax.clear();
                    self.member.pax.extend(&self.globals);
                }
                typeflag::GNU_LONG_NAME => {
                    self.special(&header, at)?;
                    long_name = Some(until_nul(&self.scratch).to_vec());
                }
                typeflag::GNU_LONG_LINK => {
                    self.special(&header, at)?;
                    long_link = Some(until_nul(&self.scratch).to_vec());
                }
                _ => {
                    let result = self.member_header(&header, &block, long_name, long_link);
                    return result.map(|()| true).map_err(|e| e.at(at).in_member(&self.member.name));
                }
            }
        }
    }

    fn member_header(
        &mut self,
        header: &Header<'_>,
        block: &[u8; BLOCK],
        long_name: Option<Vec<u8>>,
        long_link: Option<Vec<u8>>,
    ) -> Result<()> {
        let member = &mut self.member;
        header.name(&mut member.name);
        header.link_name(&mut member.link_name);
        let mut size = header.size()?;
        member.mode = header.mode()?;
        header.uid()?;
        header.gid()?;
        header.check_devices()?;
        member.mtime = header.mtime()?.map(|seconds| Time { seconds, nanoseconds: 0 });
        // Times that do not parse mark a buggy GNU header, whose prefix field is a prefix after all.
        let (atime, ctime) = if header.magic() == Magic::Gnu {
            header.extra_times().unwrap_or_default()
        } else {
            header.extra_times()?
        };
        let whole = |seconds| Time { seconds, nanoseconds: 0 };
        (member.atime, member.ctime) = (atime.map(whole), ctime.map(whole));

        if let Some(value) = member.apply_pax()? {
            size = value;
        }
        if let Some(name) = long_name.filter(|name| !name.is_empty()) {
            member.name = name;
        }
        if let Some(link) = long_link.filter(|link| !link.is_empty()) {
            member.link_name = link;
        }
        member.typeflag = match header.typeflag() {
            0 if member.name.ends_with(b"/") => typeflag::DIRECTORY,
            0 => typeflag::FILE,
            other => other,
        };
        let size =
            u64::try_from(size).map_err(|_| Error::format(Format::Tar, "size", "a size from 0", format!("{size}")))?;
        member.size = if has_no_data(member.typeflag) { 0 } else { size };
        self.limits.check(Limit::MemberBytes, self.member.size)?;
        self.sparse(block, header.magic())?;
        let member = &mut self.member;
        member.data_position = self.buffer.position();
        self.data_left = member.size;
        // The map in front of the data fills whole blocks, so that the padding is that of what is left.
        self.padding_left = padding(member.size);
        Ok(())
    }

    fn global_member(&mut self, header: &Header<'_>, size: u64) -> Result<()> {
        let member = &mut self.member;
        header.name(&mut member.name);
        header.link_name(&mut member.link_name);
        (member.atime, member.ctime, member.sparse) = (None, None, None);
        member.apply_pax()?;
        member.typeflag = typeflag::PAX_GLOBAL;
        member.mode = header.mode()?;
        (member.size, member.real_size) = (0, 0);
        member.data_position = self.buffer.position();
        self.data_left = 0;
        self.padding_left = padding(size);
        Ok(())
    }

    fn sparse(&mut self, block: &[u8; BLOCK], magic: Magic) -> Result<()> {
        self.member.sparse = None;
        self.member.real_size = self.member.size;
        let mut ranges = if self.member.typeflag == typeflag::GNU_SPARSE {
            // star uses the same type for another layout.
            if magic != Magic::Gnu {
                return Err(Error::format(Format::Tar, "magic", "that of GNU tar on a sparse member", "another"));
            }
            let mut ranges = Vec::new();
            let mut more = sparse::old_gnu(block, true, &mut ranges)?;
            let mut room = 0;
            while more {
                room += sparse::OLD_GNU_RANGES;
                self.limits.check(Limit::SparseRanges, room)?;
                let at = self.position();
                let Some(next) = self.block()? else {
                    return Err(Error::format(Format::Tar, "sparse map", "another block", "the end").at(at));
                };
                more = sparse::old_gnu(&next, false, &mut ranges)?;
            }
            self.member.real_size = sparse::old_gnu_size(block)?;
            ranges
        } else {
            if has_no_data(self.member.typeflag) {
                return Ok(());
            }
            let Some(map) = sparse::from_pax(&self.member.pax)? else { return Ok(()) };
            if let Some(name) = self.member.pax.get(b"GNU.sparse.name").filter(|v| !v.is_empty()) {
                self.member.name = name.to_vec();
            }
            if let Some(size) = sparse::real_size(&self.member.pax)? {
                self.member.real_size = size;
            }
            match map {
                SparseMap::Ranges(ranges) => ranges,
                SparseMap::InData => self.map_in_data()?,
            }
        };
        self.limits.check(Limit::MemberBytes, self.member.real_size)?;
        sparse::validate(&ranges, self.member.real_size, self.member.size, &self.limits)?;
        // GNU tar ends a map with a range of no bytes; wherever one stands, it says nothing.
        ranges.retain(|range| range.length > 0);
        self.member.sparse = Some(ranges);
        Ok(())
    }

    fn map_in_data(&mut self) -> Result<Vec<SparseRange>> {
        let mut map = MapInData::default();
        loop {
            let at = self.position();
            let short = |found: &str| Error::format(Format::Tar, "sparse map", "another block", found).at(at);
            self.member.size =
                self.member.size.checked_sub(BLOCK as u64).ok_or_else(|| short("the end of the data"))?;
            let block = self.block()?.ok_or_else(|| short("the end"))?;
            if map.feed(&block, &self.limits).map_err(|e| e.at(at))? {
                return map.finish().map_err(|e| e.at(at));
            }
        }
    }

    /// After a zero block: another one, or the end of the source.
    fn end_blocks(&mut self, at: u64) -> Result<bool> {
        self.zero_blocks = 1;
        match self.block()? {
            Some(block) if block.iter().any(|&b| b != 0) => {
                Err(Error::format(Format::Tar, "end of archive", "a second zero block", "data").at(at + BLOCK as u64))
            }
            Some(_) => {
                self.zero_blocks = 2;
                Ok(false)
            }
            None => Ok(false),
        }
    }

    /// One block, or `None` at the end of the source.
    fn block(&mut self) -> Result<Option<[u8; BLOCK]>> {
        let at = self.position();
        let bytes = self.buffer.peek(BLOCK)?;
        let Some(block) = bytes.first_chunk::<BLOCK>().copied() else {
            let found = bytes.len();
            if found == 0 {
                return Ok(None);
            }
            return Err(Error::format(Format::Tar, "header", "512 bytes", format!("the end after {found}")).at(at));
        };
        if self.keep_raw {
            self.raw.extend_from_slice(&block);
        }
        self.buffer.consume(BLOCK);
        Ok(Some(block))
    }

    /// The body of a PAX or GNU header, into `scratch`, and its padding.
    fn special(&mut self, header: &Header<'_>, at: u64) -> Result<()> {
        let padding = padding(self.special_body(header, at)?);
        if self.take(padding)? < padding {
            return Err(self.truncated(padding));
        }
        Ok(())
    }

    /// The body of a PAX or GNU header, into `scratch`; gives its size.
    fn special_body(&mut self, header: &Header<'_>, at: u64) -> Result<u64> {
        header.check_numbers().map_err(|e| e.at(at))?;
        let size = header.size().map_err(|e| e.at(at))?;
        let size = u64::try_from(size)
            .map_err(|_| Error::format(Format::Tar, "size", "a size from 0", format!("{size}")).at(at))?;
        self.limits.check(Limit::PaxBody, size)?;
        let mut body = std::mem::take(&mut self.scratch);
        body.clear();
        let got = self.buffer.take_into(size, &mut body)?;
        if self.keep_raw {
            self.raw.extend_from_slice(&body);
        }
        self.scratch = body;
        if got < size {
            return Err(self.truncated(size - got));
        }
        Ok(size)
    }

    /// Passes over a few bytes that are not data, keeping them if raw bytes are kept; returns how many there were.
    fn take(&mut self, n: u64) -> Result<u64> {
        if self.keep_raw { self.buffer.take_into(n, &mut self.raw) } else { self.buffer.skip(n) }
    }

    fn truncated(&self, missing: u64) -> Error {
        let found = format!("the end, {missing} bytes early");
        let error = Error::format(Format::Tar, "data", "more bytes", found).at(self.position());
        if self.member.name.is_empty() { error } else { error.in_member(&self.member.name) }
    }
}

fn decimal(value: &[u8], field: &'static str) -> Result<i64> {
    let number = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
    number.ok_or_else(|| Error::format(Format::Tar, field, "a decimal number", format!("\"{}\"", value.escape_ascii())))
}

fn time(value: &[u8], field: &'static str) -> Result<Time> {
    Time::parse(value)
        .ok_or_else(|| Error::format(Format::Tar, field, "decimal seconds", format!("\"{}\"", value.escape_ascii())))
}
