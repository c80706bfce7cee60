//! A tar to metadata, in one pass.

use super::entry::EntryWriter;
use super::names::{self, Seen};
use super::{Apart, ApartMember, ContentSink, Summary};
use crate::digest::Crc64;
use crate::error::{Limit, Result};
use crate::limits::Limits;
use crate::source::Source;
use crate::tar::{Member, Reader};
use std::io::Write;

/// Takes an uncompressed tar apart: metadata to `metadata`, the data of members to `content`.
///
/// Memory does not grow with the archive but for the names that came before, at most 24 bytes each.
///
/// # Errors
/// [`Error::Format`](crate::error::Error::Format) and [`Error::Limit`](crate::error::Error::Limit) of the archive,
/// [`Error::Io`](crate::error::Error::Io), and those of `content`. What was written until then is of no use.
pub fn disassemble(
    source: Source,
    metadata: impl Write,
    mut content: Option<&mut dyn ContentSink>,
    limits: &Limits,
) -> Result<Summary> {
    let mut reader = Reader::new(source, limits)?;
    reader.keep_raw();
    reader.global_headers_as_members();
    let mut out = EntryWriter::new(metadata);
    let mut seen = Seen::new();
    let mut summary = Summary::default();
    let mut raw = Vec::new();
    while reader.advance()? {
        reader.swap_raw(&mut raw);
        let member = reader.member();
        let mut apart = reason(member, &mut seen);
        if let Some(sink) = content.as_mut().filter(|_| apart.is_none() && member.size > 0)
            && !sink.start(&member.name, member.size).map_err(|e| e.in_member(&member.name))?
        {
            apart = Some(Apart::Content);
        }
        if let Some(reason) = apart {
            let (name, size) = (member.name.clone(), member.size);
            summary.apart.push(reason.name(), ApartMember { name, reason, size });
            data_into_segments(&mut reader, &mut raw, &mut out)?;
        } else {
            out.segment(&raw)?;
            let crc = if member.size > 0 { Some(data(&mut reader, &mut content)?) } else { None };
            let member = reader.member();
            out.file(&member.name, member.size, crc)?;
            summary.data += member.size;
        }
        raw.clear();
    }
    reader.swap_raw(&mut raw);
    out.segment(&raw)?;
    raw.clear();
    rest(&mut reader, &mut raw, &mut out, limits)?;
    summary.size = reader.position();
    (summary.files, summary.segments) = out.finish()?;
    Ok(summary)
}

/// The Go tool reads what follows the end of the archive in pieces of this size. Segments of data are cut here, too.
const PIECE: usize = 1 << 20;

/// Why this member cannot be a file of the metadata, if so.
fn reason(member: &Member, seen: &mut Seen) -> Option<Apart> {
    if !names::is_inside(&member.name) || (member.size > 0 && names::is_root(&member.name)) {
        Some(Apart::UnsafeName)
    } else if member.size > 0 && member.size != member.real_size {
        // Without a hole what the archive holds is the file, and the Go tool is right.
        Some(Apart::Sparse)
    } else if !seen.insert(&member.name) {
        Some(Apart::DuplicateName)
    } else {
        None
    }
}

/// The data of the member into `content`; gives its checksum.
fn data(reader: &mut Reader, content: &mut Option<&mut dyn ContentSink>) -> Result<u64> {
    let mut crc = Crc64::new();
    loop {
        let chunk = reader.data()?;
        let n = chunk.len();
        if n == 0 {
            break;
        }
        crc.update(chunk);
        if let Some(sink) = content.as_mut() {
            sink.write(chunk)?;
        }
        reader.consume(n);
    }
    if let Some(sink) = content {
        sink.finish()?;
    }
    Ok(crc.finish())
}

/// The headers in `raw` and the data of the member as segments: one where they fit, so that a segment starts with
/// padding and headers wherever it can, which the Go package's IterateHeaders counts on.
fn data_into_segments<W: Write>(reader: &mut Reader, raw: &mut Vec<u8>, out: &mut EntryWriter<W>) -> Result<()> {
    loop {
        let chunk = reader.data()?;
        let n = chunk.len().min(PIECE.saturating_sub(raw.len()));
        raw.extend_from_slice(&chunk[..n]);
        let end = chunk.is_empty();
        reader.consume(n);
        if end || raw.len() >= PIECE {
            out.segment(raw)?;
            raw.clear();
        }
        if end {
            return Ok(());
        }
    }
}

/// What follows the end of the archive.
fn rest<W: Write>(reader: &mut Reader, raw: &mut Vec<u8>, out: &mut EntryWriter<W>, limits: &Limits) -> Result<()> {
    loop {
        let chunk = reader.rest()?;
        let n = chunk.len().min(PIECE - raw.len());
        raw.extend_from_slice(&chunk[..n]);
        let end = chunk.is_empty();
        reader.consume_rest(n);
        limits.check(Limit::TotalBytes, reader.position())?;
        if end || raw.len() == PIECE {
            out.segment(raw)?;
            raw.clear();
        }
        if end {
            return Ok(());
        }
    }
}
