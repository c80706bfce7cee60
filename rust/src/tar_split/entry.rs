//! The lines of the metadata, written and read.
//!
//! A line is what Go's encoding/json makes of `{type, name | name_raw, size, payload, position}`, in this order: an
//! empty name and a size of 0 are left out, and bytes are base64. Type 1 is a file, whose payload is its CRC-64/ISO,
//! big-endian, or `null` when its size is 0. Type 2 is a segment, whose payload is its bytes.

use crate::error::{Error, Format, Limit, Result};
use crate::limits::Limits;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Deserialize;
use std::borrow::Cow;
use std::io::{BufRead, Read as _, Write};

/// Writes lines, and counts them.
pub(super) struct EntryWriter<W> {
    sink: W,
    lines: Vec<u8>,
    files: u64,
    segments: u64,
}

/// How many bytes of lines are collected before they are written.
const BUFFER: usize = 256 << 10;
/// Bytes of the longest payload, so that its line stays under the default of [`Limits::line`].
const LONGEST_PAYLOAD: usize = (3 << 20) - 48;

impl<W: Write> EntryWriter<W> {
    pub fn new(sink: W) -> Self {
        EntryWriter { sink, lines: Vec::new(), files: 0, segments: 0 }
    }

    /// Writes a line for bytes that are not data; no line if there are no bytes.
    pub fn segment(&mut self, bytes: &[u8]) -> Result<()> {
        for payload in bytes.chunks(LONGEST_PAYLOAD) {
            self.lines.extend_from_slice(b"{\"type\":2,\"payload\":\"");
            self.base64(payload);
            self.lines.push(b'"');
            self.position()?;
            self.segments += 1;
        }
        Ok(())
    }

    /// A line for a member; `crc` is there unless `size` is 0.
    pub fn file(&mut self, name: &[u8], size: u64, crc: Option<u64>) -> Result<()> {
        self.lines.extend_from_slice(b"{\"type\":1");
        match std::str::from_utf8(name) {
            Ok("") => {}
            Ok(text) => {
                self.lines.extend_from_slice(b",\"name\":\"");
                escape(text, &mut self.lines);
                self.lines.push(b'"');
            }
            Err(_) => {
                self.lines.extend_from_slice(b",\"name_raw\":\"");
                self.base64(name);
                self.lines.push(b'"');
            }
        }
        if size > 0 {
            self.lines.extend_from_slice(b",\"size\":");
            self.number(size);
        }
        self.lines.extend_from_slice(b",\"payload\":");
        match crc {
            Some(crc) => {
                self.lines.push(b'"');
                self.base64(&crc.to_be_bytes());
                self.lines.push(b'"');
            }
            None => self.lines.extend_from_slice(b"null"),
        }
        self.position()?;
        self.files += 1;
        Ok(())
    }

    /// Writes what is left; gives the counts of files and segments.
    pub fn finish(mut self) -> Result<(u64, u64)> {
        self.flush()?;
        self.sink.flush().map_err(|e| Error::io("write", None, e))?;
        Ok((self.files, self.segments))
    }

    fn position(&mut self) -> Result<()> {
        self.lines.extend_from_slice(b",\"position\":");
        self.number(self.files + self.segments);
        self.lines.extend_from_slice(b"}\n");
        if self.lines.len() >= BUFFER { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<()> {
        self.sink.write_all(&self.lines).map_err(crate::error::from_io)?;
        self.lines.clear();
        Ok(())
    }

    fn base64(&mut self, bytes: &[u8]) {
        let start = self.lines.len();
        self.lines.resize(start + bytes.len().div_ceil(3) * 4, 0);
        BASE64.encode_slice(bytes, &mut self.lines[start..]).expect("room for four characters for each three bytes");
    }

    fn number(&mut self, number: u64) {
        self.lines.extend_from_slice(number.to_string().as_bytes());
    }
}

/// Escapes as Go's encoding/json does by default: what HTML and JavaScript would take for their own, too.
fn escape(text: &str, out: &mut Vec<u8>) {
    let special = |c: char| matches!(c, '"' | '\\' | '\0'..' ' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}');
    let mut rest = text;
    // U+2028 and U+2029 begin with this byte.
    while let Some(at) = rest.bytes().position(|b| b == 0xe2 || b < 0x80 && special(b.into())) {
        let c = rest[at..].chars().next().expect("a character begins at each of these bytes");
        out.extend_from_slice(&rest.as_bytes()[..at]);
        match c {
            '"' => out.extend_from_slice(b"\\\""),
            '\\' => out.extend_from_slice(b"\\\\"),
            '\u{8}' => out.extend_from_slice(b"\\b"),
            '\u{c}' => out.extend_from_slice(b"\\f"),
            '\n' => out.extend_from_slice(b"\\n"),
            '\r' => out.extend_from_slice(b"\\r"),
            '\t' => out.extend_from_slice(b"\\t"),
            c if special(c) => out.extend_from_slice(format!("\\u{:04x}", u32::from(c)).as_bytes()),
            c => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
        rest = &rest[at + c.len_utf8()..];
    }
    out.extend_from_slice(rest.as_bytes());
}

/// What a line says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Entry {
    /// A member: its data, where its size is not 0. The name is in [`EntryReader::bytes`].
    File { size: u64, crc: u64 },
    /// Bytes that are not data: in [`EntryReader::bytes`].
    Segment,
}

/// Reads lines, and checks that each is whole and in its place.
pub(super) struct EntryReader<R> {
    source: R,
    limits: Limits,
    line: Vec<u8>,
    /// Offset of the current line.
    start: u64,
    /// Offset of the next line.
    next: u64,
    position: u64,
    bytes: Vec<u8>,
}

impl<R: BufRead> EntryReader<R> {
    pub fn new(source: R, limits: &Limits) -> Self {
        let (line, bytes) = (Vec::new(), Vec::new());
        EntryReader { source, limits: limits.clone(), line, start: 0, next: 0, position: 0, bytes }
    }

    /// A reader that goes on at the line that begins at `offset` and is that of `position`.
    pub fn at(source: R, limits: &Limits, offset: u64, position: u64) -> Self {
        EntryReader { next: offset, position, ..EntryReader::new(source, limits) }
    }

    /// The next line, or `None` at the end.
    pub fn next(&mut self) -> Result<Option<Entry>> {
        loop {
            if !self.read_line()? {
                return Ok(None);
            }
            if !self.line.trim_ascii().is_empty() {
                break;
            }
        }
        self.bytes.clear();
        let entry = match segment(&self.line, self.position, &mut self.bytes) {
            Some(entry) => entry,
            None => parse(&self.line, self.position, &mut self.bytes).map_err(|e| e.at(self.start))?,
        };
        self.position += 1;
        Ok(Some(entry))
    }

    /// The name of the file, or the bytes of the segment, of the last line.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Offset of the last line in the metadata.
    pub fn offset(&self) -> u64 {
        self.start
    }

    fn read_line(&mut self) -> Result<bool> {
        self.line.clear();
        self.start = self.next;
        let most = self.limits.line.saturating_add(1);
        let got =
            self.source.by_ref().take(most).read_until(b'\n', &mut self.line).map_err(crate::error::from_io)? as u64;
        self.next += got;
        self.limits.check(Limit::Line, got)?;
        Ok(got > 0)
    }
}

/// A segment as all writers spell it: most of the metadata, and no work for a JSON parser. `None` leaves the line to
/// [`parse`].
fn segment(line: &[u8], position: u64, bytes: &mut Vec<u8>) -> Option<Entry> {
    let rest = line.strip_prefix(b"{\"type\":2,\"payload\":\"")?;
    let payload = rest.strip_suffix(format!("\",\"position\":{position}}}\n").as_bytes())?;
    BASE64.decode_vec(payload, bytes).is_ok().then_some(Entry::Segment)
}

/// The object of one line. Unknown fields are passed over, as Go does.
#[derive(Deserialize)]
struct Object<'a> {
    r#type: u64,
    #[serde(borrow, default)]
    name: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    name_raw: Option<Cow<'a, str>>,
    #[serde(default)]
    size: Option<u64>,
    #[serde(borrow, default)]
    payload: Option<Cow<'a, str>>,
    #[serde(default)]
    position: Option<u64>,
}

fn parse(line: &[u8], position: u64, bytes: &mut Vec<u8>) -> Result<Entry> {
    let object: Object<'_> = serde_json::from_slice(line)
        .map_err(|e| wrong("entry", "one JSON object of known fields", format!("{e}: {}", excerpt(line))))?;
    let found = object.position.unwrap_or(0);
    if found != position {
        return Err(wrong("position", position.to_string(), found.to_string()));
    }
    bytes.clear(); // of what the attempt at a segment left
    let payload = object.payload.as_deref().unwrap_or_default();
    match object.r#type {
        2 => {
            decode(payload, "payload", bytes)?;
            Ok(Entry::Segment)
        }
        1 => {
            let size = object.size.unwrap_or(0);
            let mut crc = Vec::new();
            decode(payload, "payload", &mut crc)?;
            let crc = match <[u8; 8]>::try_from(&crc[..]) {
                Ok(crc) => u64::from_be_bytes(crc),
                Err(_) if crc.is_empty() && size == 0 => 0,
                Err(_) => return Err(wrong("payload", "a checksum of 8 bytes", format!("{} bytes", crc.len()))),
            };
            match object.name_raw.as_deref() {
                Some(raw) if !raw.is_empty() => decode(raw, "name_raw", bytes)?,
                _ => bytes.extend_from_slice(object.name.as_deref().unwrap_or_default().as_bytes()),
            }
            Ok(Entry::File { size, crc })
        }
        other => Err(wrong("type", "1 (file) or 2 (segment)", other.to_string())),
    }
}

fn decode(text: &str, field: &'static str, out: &mut Vec<u8>) -> Result<()> {
    BASE64.decode_vec(text, out).map_err(|e| wrong(field, "base64", format!("{e}: {}", excerpt(text.as_bytes()))))
}

fn excerpt(bytes: &[u8]) -> String {
    format!("\"{}\"", bytes.trim_ascii_end()[..bytes.trim_ascii_end().len().min(64)].escape_ascii())
}

pub(super) fn wrong(field: &'static str, expected: impl Into<Box<str>>, found: impl Into<Box<str>>) -> Error {
    Error::format(Format::TarSplit, field, expected, found)
}
