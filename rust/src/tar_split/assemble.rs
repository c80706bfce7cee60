//! Metadata and data to the tar they came from.

use super::entry::{Entry, EntryReader, wrong};
use super::{ContentSource, Summary, names};
use crate::digest::Crc64;
use crate::error::{Error, Limit, Result, display_name};
use crate::limits::Limits;
use crate::tar::{BLOCK, TYPEFLAG, has_no_data};
use std::io::{self, BufRead, BufWriter, Read, Write};

/// Puts a tar together from metadata and the data of its members.
///
/// # Errors
/// [`Error::Format`] with the offset of a line that is not what it should be, [`Error::Integrity`] with the name of a
/// member whose data has another size or checksum, [`Error::Limit`], [`Error::Io`], and those of `content`. What was
/// written until then is of no use.
pub fn assemble(
    metadata: impl BufRead,
    content: &mut dyn ContentSource,
    sink: impl Write,
    limits: &Limits,
) -> Result<Summary> {
    let mut entries = EntryReader::new(metadata, limits);
    let mut out = Output { sink: BufWriter::with_capacity(BUFFER, sink), size: 0, limits };
    let mut buffer = vec![0; BUFFER];
    let mut summary = Summary::default();
    // The type in the header block that ended the segment before.
    let mut kind = None;
    while let Some(entry) = entries.next()? {
        match entry {
            Entry::Segment => {
                summary.segments += 1;
                out.put(entries.bytes())?;
                kind = entries.bytes().last_chunk::<BLOCK>().map(|block| block[TYPEFLAG]);
            }
            Entry::File { size, crc } => {
                summary.files += 1;
                limits.check(Limit::Entries, summary.files)?;
                let name = entries.bytes();
                // The Go tool gives a link or a directory the size in its header, and the checksum of no data.
                let no_data = kind.is_some_and(|k| has_no_data(k) || (k == 0 && name.ends_with(b"/")));
                if size > 0 && !(no_data && crc == 0) {
                    limits.check(Limit::MemberBytes, size)?;
                    if names::relative_name(name).is_none() {
                        let found = format!("\"{}\"", display_name(name));
                        return Err(wrong("name", "a path inside the layer", found).at(entries.offset()));
                    }
                    let file = content.open(name).map_err(|e| e.in_member(name))?;
                    member(file, name, size, crc, &mut buffer, &mut out)?;
                    summary.data += size;
                }
                kind = None;
            }
        }
    }
    out.sink.flush().map_err(crate::tar::from_io)?;
    summary.size = out.size;
    Ok(summary)
}

const BUFFER: usize = 256 << 10;

struct Output<'a, W: Write> {
    sink: BufWriter<W>,
    size: u64,
    limits: &'a Limits,
}

impl<W: Write> Output<'_, W> {
    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        self.size += bytes.len() as u64;
        self.limits.check(Limit::TotalBytes, self.size)?;
        self.sink.write_all(bytes).map_err(crate::tar::from_io)
    }
}

/// Copies the data of a member, and checks its size and its checksum.
fn member<W: Write>(
    mut file: Box<dyn Read + '_>,
    name: &[u8],
    size: u64,
    crc: u64,
    buffer: &mut [u8],
    out: &mut Output<'_, W>,
) -> Result<()> {
    let integrity = |expected: String, found: String| Error::Integrity {
        what: display_name(name).into(),
        expected: expected.into(),
        found: found.into(),
    };
    let mut sum = Crc64::new();
    let mut left = size;
    loop {
        let n = match file.read(buffer) {
            Ok(n) => n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(crate::tar::from_io(e)),
        };
        if n == 0 {
            break;
        }
        let Some(rest) = left.checked_sub(n as u64) else {
            return Err(integrity(format!("{size} bytes"), "more".into()));
        };
        left = rest;
        sum.update(&buffer[..n]);
        out.put(&buffer[..n])?;
    }
    if left > 0 {
        return Err(integrity(format!("{size} bytes"), (size - left).to_string()));
    }
    let found = sum.finish();
    if found != crc {
        return Err(integrity(format!("CRC-64 {crc:016x}"), format!("{found:016x}")));
    }
    Ok(())
}
