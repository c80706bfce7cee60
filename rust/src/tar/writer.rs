//! Members to bytes, exactly as Go's archive/tar writes its PAX format.

use super::header::{self, BlockFields, MTIME_WIDTH, SIZE_WIDTH, fits_octal, has_no_data, typeflag};
use super::pax::{self, Time};
use super::{BLOCK, padding};
use crate::error::{Error, Limit, Result, Rule};
use std::borrow::Cow;
use std::io::Write;

/// Key and value of a PAX record: most keys are constants.
pub type Record = (Cow<'static, [u8]>, Vec<u8>);

/// What a member's headers shall say.
#[derive(Debug, Clone, Default)]
pub struct MemberHeader<'a> {
    /// Name, raw bytes.
    pub name: &'a [u8],
    /// Link target, raw bytes; empty for none.
    pub link_name: &'a [u8],
    /// Type.
    pub typeflag: u8,
    /// Permission and type bits.
    pub mode: u32,
    /// Bytes of data that follow.
    pub size: u64,
    /// Last write; `None` leaves NULs, or writes zero where there are no records at all, as Go does.
    pub mtime: Option<Time>,
    /// Last access, always a record.
    pub atime: Option<Time>,
    /// Change of metadata, always a record.
    pub ctime: Option<Time>,
    /// More records; they are sorted by key with the others.
    pub records: Vec<Record>,
}

/// Longest PAX header body that is written: what Go's archive/tar reads back.
const MAX_PAX_BODY: u64 = 1 << 20;

/// Writes members one after the other.
pub struct Writer<W> {
    sink: W,
    position: u64,
    data_left: u64,
    padding_left: u64,
    /// The headers of the last member: their memory serves the next.
    headers: Vec<u8>,
}

impl<W: Write> Writer<W> {
    /// A writer at the start of an archive.
    pub fn new(sink: W) -> Self {
        Writer { sink, position: 0, data_left: 0, padding_left: 0, headers: Vec::new() }
    }

    /// Offset of the next byte.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Bytes of data that the current member still lacks.
    pub fn data_left(&self) -> u64 {
        self.data_left
    }

    /// Writes the headers of a member. Nothing is written when they cannot be.
    ///
    /// # Errors
    /// [`Error::Refused`] with [`Rule::PaxKey`], [`Error::Limit`], [`Error::Io`].
    pub fn start(&mut self, member: &MemberHeader<'_>) -> Result<()> {
        debug_assert_eq!(self.data_left, 0, "the data of the member before is complete");
        let mut blocks = std::mem::take(&mut self.headers);
        headers(member, &mut blocks)?;
        self.pad()?;
        self.put(&blocks)?;
        self.headers = blocks;
        // The size field of a link may say something; no data follows.
        let size = if has_no_data(member.typeflag) { 0 } else { member.size };
        self.data_left = size;
        self.padding_left = padding(size);
        Ok(())
    }

    /// Writes data of the current member.
    ///
    /// # Errors
    /// [`Error::Misuse`] for more than its header said, [`Error::Io`].
    pub fn data(&mut self, bytes: &[u8]) -> Result<()> {
        let Some(left) = self.data_left.checked_sub(bytes.len() as u64) else {
            let detail = format!("{} bytes more than the header says", bytes.len() as u64 - self.data_left);
            return Err(Error::misuse(crate::error::Misuse::Data, detail));
        };
        self.put(bytes)?;
        self.data_left = left;
        Ok(())
    }

    /// Writes the end blocks, and gives the sink back.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn finish(mut self) -> Result<W> {
        self.pad()?;
        self.put(&[0; 2 * BLOCK])?;
        self.sink.flush().map_err(|e| Error::io("write", None, e))?;
        Ok(self.sink)
    }

    /// The sink, for looking at it.
    pub fn get_ref(&self) -> &W {
        &self.sink
    }

    /// The sink, without end blocks.
    pub fn into_inner(self) -> W {
        self.sink
    }

    /// Pads the data of the current member.
    pub fn pad(&mut self) -> Result<()> {
        let padding = std::mem::take(&mut self.padding_left) as usize;
        self.put(&[0; BLOCK][..padding])
    }

    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        self.sink.write_all(bytes).map_err(crate::error::from_io)?;
        self.position += bytes.len() as u64;
        Ok(())
    }
}

type RecordList<'a> = Vec<(&'a [u8], Cow<'a, [u8]>)>;

/// All header blocks of a member: the PAX header, where it needs one, and its own. `out` is what the last ones were in.
fn headers(member: &MemberHeader<'_>, out: &mut Vec<u8>) -> Result<()> {
    let mut records = records_of(member);
    let mut split = None;
    if does_not_fit(member.name) {
        // A name alone fits into a header without records, as Go writes the header of a whiteout.
        split = header::split_name(member.name).filter(|_| records.is_empty());
        if split.is_none() {
            records.push((b"path", member.name.into()));
        }
    }
    records.sort();
    out.clear();
    if !records.is_empty() {
        pax_header(member, &records, out)?;
    }
    let (prefix, name) = split.unwrap_or((b"", member.name));
    out.extend_from_slice(&header::block(&BlockFields {
        prefix,
        name,
        link_name: member.link_name,
        mode: member.mode,
        size: member.size,
        mtime: member.mtime.or(records.is_empty().then(Time::default)).map(|time| time.seconds),
        typeflag: member.typeflag,
        devices: true,
    }));
    Ok(())
}

/// The records of a member, without that of its name: its own, and what its header cannot hold.
fn records_of<'a>(member: &'a MemberHeader<'_>) -> RecordList<'a> {
    let mut records: RecordList = Vec::with_capacity(member.records.len() + 5);
    records.extend(member.records.iter().map(|(key, value)| (key.as_ref(), Cow::Borrowed(value.as_slice()))));
    if does_not_fit(member.link_name) {
        records.push((b"linkpath", member.link_name.into()));
    }
    if !fits_octal(SIZE_WIDTH, i64::try_from(member.size).unwrap_or(-1)) {
        records.push((b"size", member.size.to_string().into_bytes().into()));
    }
    let mtime = member.mtime.unwrap_or_default();
    if mtime.nanoseconds != 0 || !fits_octal(MTIME_WIDTH, mtime.seconds) {
        records.push((b"mtime", mtime.text().into_bytes().into()));
    }
    for (key, time) in [(&b"atime"[..], member.atime), (b"ctime", member.ctime)] {
        if let Some(time) = time {
            records.push((key, time.text().into_bytes().into()));
        }
    }
    records
}

/// Whether the name fields of a header cannot hold a name as it is.
fn does_not_fit(name: &[u8]) -> bool {
    name.len() > header::NAME.len() || !name.is_ascii() || name.contains(&0)
}

/// Writes a PAX header with these records to the empty `out`.
fn pax_header(member: &MemberHeader<'_>, records: &RecordList<'_>, out: &mut Vec<u8>) -> Result<()> {
    out.resize(BLOCK, 0);
    for (key, value) in records {
        if !pax::valid(key, value) {
            let detail = format!("{} = {}", key.escape_ascii(), value[..value.len().min(64)].escape_ascii());
            return Err(Error::refused(Rule::PaxKey, detail).in_member(member.name));
        }
        pax::put(out, key, value);
    }
    let size = (out.len() - BLOCK) as u64;
    if size > MAX_PAX_BODY {
        return Err(Error::limit(Limit::PaxBody, size, MAX_PAX_BODY).in_member(member.name));
    }
    out[..BLOCK].copy_from_slice(&header::block(&BlockFields {
        prefix: b"",
        name: &pax_header_name(member.name),
        link_name: b"",
        mode: 0,
        size,
        mtime: Some(0),
        typeflag: typeflag::PAX,
        devices: false,
    }));
    out.resize(out.len() + padding(size) as usize, 0);
    Ok(())
}

/// `DIR/PaxHeaders.0/FILE`, cleaned, ASCII only, cut to the name field.
fn pax_header_name(name: &[u8]) -> Vec<u8> {
    let split = name.iter().rposition(|&b| b == b'/').map_or(0, |slash| slash + 1);
    let mut ascii = clean(&[&name[..split], b"/PaxHeaders.0/", &name[split..]].concat(), split == 0);
    ascii.retain(u8::is_ascii);
    ascii.truncate(header::NAME.len());
    while ascii.last() == Some(&b'/') {
        ascii.pop();
    }
    ascii
}

/// Lexical cleaning as Go's path.Clean does it; `relative` drops the leading slash that joining made.
fn clean(path: &[u8], relative: bool) -> Vec<u8> {
    let root = usize::from(!relative && path.first() == Some(&b'/'));
    let mut out = Vec::with_capacity(path.len());
    out.extend_from_slice(&path[..root]);
    for part in path.split(|&b| b == b'/') {
        let last = out[root..].iter().rposition(|&b| b == b'/').map_or(root, |slash| root + slash + 1);
        match part {
            b"" | b"." => {}
            b".." if out.len() > root && out[last..] != *b".." => out.truncate(last.saturating_sub(1).max(root)),
            b".." if root == 1 => {}
            _ => {
                if out.len() > root {
                    out.push(b'/');
                }
                out.extend_from_slice(part);
            }
        }
    }
    if out.is_empty() {
        out.push(b'.');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_cleaned_as_go_does() {
        for (path, cleaned) in [
            ("", "."),
            ("abc/def", "abc/def"),
            ("a//b/", "a/b"),
            ("./a/./b/.", "a/b"),
            ("a/..", "."),
            ("a/../../b", "../b"),
            ("../../a", "../../a"),
            ("../a/..", ".."),
            ("/..", "/"),
            ("/a/../../b", "/b"),
            ("/", "/"),
            ("//a", "/a"),
            ("a/b/../../..", ".."),
        ] {
            assert_eq!(clean(path.as_bytes(), false), cleaned.as_bytes(), "{path}");
        }
        assert_eq!(clean(b"/a/b", true), b"a/b");
    }
}
