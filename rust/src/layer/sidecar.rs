//! The sidecar of an extracted layer: one line of JSON for each member, with all that the disk could not hold.
//!
//! It lies beside the directory, as `DIR.winlayers.ndjson`. Described in `docs/formats/sidecar.md`. It is read as
//! hostile: lines are bounded, unknown fields and versions are errors, and names are checked by whoever uses them.

use crate::error::{Error, Format, Limit, Misuse, Result};
use crate::fs::disk::check_stream_name;
use crate::layer_name::is_whiteout;
use crate::layer_tar::{Dialect, EntryKind, LayerEntry, NamedStream, UnnamedData};
use crate::limits::Limits;
use crate::nt::basic_info::BasicInfo;
use crate::nt::ea::ExtendedAttribute;
use crate::nt::{FileAttributes, FileTime};
use crate::source::SparseRange;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::borrow::Cow;
use std::io::{BufRead, Read, Write};
use std::path::{Path, PathBuf};

/// The version that is written, and the only one that is read.
pub(super) const VERSION: u32 = 1;
/// Sparse ranges on one line.
const RANGES: usize = 10_000;
/// Bytes of stream data on one line.
pub(super) const DATA: usize = 192 << 10;

/// Where the sidecar of a directory lies.
///
/// # Errors
/// [`Error::Misuse`] for a path without a name of its own; [`Error::Io`].
pub fn sidecar_path(directory: &Path) -> Result<PathBuf> {
    let mut path = match directory.file_name() {
        Some(name) => directory.with_file_name(name),
        None => crate::fs::absolute(directory)?,
    };
    let Some(name) = path.file_name() else {
        let detail = format!("{} has no name that a sidecar could have", directory.display());
        return Err(Error::misuse(Misuse::Argument, detail));
    };
    let mut name = name.to_os_string();
    name.push(".winlayers.ndjson");
    path.set_file_name(name);
    Ok(path)
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Line {
    /// The first line.
    WinlayersSidecar(Header),
    /// A directory that was made for what lies in it, and is no member.
    Parent(Bytes),
    Member(Box<Member>),
    /// Sparse ranges of the member before, offset and length of each.
    Ranges(Vec<(u64, u64)>),
    /// Data of the named streams of the member before, one after the other; a line never holds data of two.
    Data(Base64),
    /// So many zeros among that data.
    Zeros(u64),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Header {
    pub version: u32,
    /// `go-winio` or `lossless`: what the layer needs to come back the same.
    pub dialect: String,
}

/// What stands for a member on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum OnDisk {
    File,
    Directory,
    Symlink,
    HardLink,
    Nothing,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Member {
    pub name: Bytes,
    pub kind: String,
    pub disk: OnDisk,
    /// Whether the mode of a file's tar member says directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub directory: Option<bool>,
    /// Of what is in the file on disk, hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// Bytes of unnamed data; absent where the member has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    #[serde(default, skip_serializing_if = "is_default")]
    pub attributes: u32,
    /// Creation, last access, last write, change, in ticks.
    #[serde(default, skip_serializing_if = "is_default")]
    pub times: [Option<i64>; 4],
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub security_descriptor: Option<Base64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub extended_attributes: Vec<Attribute>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reparse_point: Option<Base64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link_name: Option<Bytes>,
    /// How many sparse ranges the lines behind hold; absent where it is not sparse.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sparse_ranges: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object_id: Option<Base64>,
    /// Named streams, whose data the lines behind hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub streams: Vec<Stream>,
    /// The recorded order of all streams, as the lossless dialect writes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Attribute {
    pub name: Bytes,
    pub value: Base64,
    #[serde(default, skip_serializing_if = "is_default")]
    pub flags: u8,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Stream {
    pub name: Bytes,
    pub size: u64,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Bytes that are text as a rule: text where they are UTF-8, else `base64:` and their base64.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Bytes(pub Vec<u8>);

/// Bytes in base64.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Base64(pub Vec<u8>);

const PREFIX: &str = "base64:";

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        match std::str::from_utf8(&self.0) {
            Ok(text) if !text.starts_with(PREFIX) => serializer.serialize_str(text),
            _ => serializer.serialize_str(&format!("{PREFIX}{}", STANDARD.encode(&self.0))),
        }
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        match text.strip_prefix(PREFIX) {
            Some(encoded) => STANDARD.decode(encoded).map(Bytes).map_err(serde::de::Error::custom),
            None => Ok(Bytes(text.into_owned().into_bytes())),
        }
    }
}

impl Serialize for Base64 {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Base64 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        STANDARD.decode(text.as_bytes()).map(Base64).map_err(serde::de::Error::custom)
    }
}

impl Member {
    /// Everything about an entry but its data and its sparse ranges.
    pub fn of(entry: &LayerEntry, disk: OnDisk) -> Self {
        let info = &entry.basic_info;
        let times = [info.creation_time, info.last_access_time, info.last_write_time, info.change_time];
        let base64 = |bytes: &Option<Vec<u8>>| bytes.clone().map(Base64);
        Member {
            name: Bytes(entry.name.clone()),
            kind: entry.kind.name().to_owned(),
            disk,
            directory: entry.directory_mode.then_some(true),
            sha256: None,
            size: entry.data.as_ref().map(|data| data.size),
            attributes: info.attributes.0,
            times: times.map(|time| time.map(|time| time.0)),
            security_descriptor: base64(&entry.security_descriptor),
            extended_attributes: entry
                .extended_attributes
                .iter()
                .map(|ea| Attribute { name: Bytes(ea.name.clone()), value: Base64(ea.value.clone()), flags: ea.flags })
                .collect(),
            reparse_point: base64(&entry.reparse_point),
            link_name: entry.link_name.clone().map(Bytes),
            sparse_ranges: entry.sparse_ranges().map(|ranges| ranges.len() as u64),
            object_id: base64(&entry.object_id),
            streams: entry
                .streams
                .iter()
                .flatten()
                .map(|stream| Stream { name: Bytes(stream.name.clone()), size: stream.size })
                .collect(),
            order: entry.recorded_text(),
        }
    }

    /// The entry, with the ranges that stood on the lines behind.
    pub fn entry(self, ranges: Vec<SparseRange>) -> Result<LayerEntry> {
        let bad = |what: &'static str, expected: &str, found: String| {
            Error::format(Format::Sidecar, what, expected, found).in_member(&self.name.0)
        };
        let Some(kind) = EntryKind::from_name(&self.kind) else {
            return Err(bad("kind", "the kind of an entry", format!("\"{}\"", self.kind.escape_debug())));
        };
        if (kind == EntryKind::Whiteout) != is_whiteout(&self.name.0)? {
            return Err(bad("kind", "whiteouts, and only those, to be named .wh.", self.kind.clone()));
        }
        let mut entry = LayerEntry::new(self.name.0, kind);
        let [creation_time, last_access_time, last_write_time, change_time] = self.times.map(|t| t.map(FileTime));
        let attributes = FileAttributes(self.attributes);
        entry.basic_info = BasicInfo { creation_time, last_access_time, last_write_time, change_time, attributes };
        entry.security_descriptor = self.security_descriptor.map(|bytes| bytes.0);
        entry.extended_attributes = self
            .extended_attributes
            .into_iter()
            .map(|ea| ExtendedAttribute { name: ea.name.0, value: ea.value.0, flags: ea.flags })
            .collect();
        entry.reparse_point = self.reparse_point.map(|bytes| bytes.0);
        entry.link_name = self.link_name.map(|name| name.0);
        let sparse_ranges = self.sparse_ranges.map(|_| ranges);
        entry.data = self.size.map(|size| UnnamedData { size, sparse_ranges });
        entry.directory_mode = self.directory == Some(true);
        entry.object_id = self.object_id.map(|bytes| bytes.0);
        let streams: Vec<_> = self.streams.into_iter().map(|s| NamedStream { name: s.name.0, size: s.size }).collect();
        let named = streams.iter().try_for_each(|stream| check_stream_name(&stream.name));
        named.map_err(|e| e.in_member(&entry.name))?;
        entry.streams = Some(streams);
        if let Some(text) = &self.order {
            entry.set_recorded(text)?;
        }
        Ok(entry)
    }
}

/// A piece of stream data.
pub(super) enum Piece {
    Data(Vec<u8>),
    Zeros(u64),
}

impl Piece {
    pub fn len(&self) -> u64 {
        match self {
            Piece::Data(bytes) => bytes.len() as u64,
            Piece::Zeros(n) => *n,
        }
    }
}

/// Writes lines.
pub(super) struct SidecarWriter<W: Write> {
    sink: W,
    limits: Limits,
}

impl<W: Write> SidecarWriter<W> {
    pub fn new(sink: W, limits: &Limits) -> Self {
        SidecarWriter { sink, limits: limits.clone() }
    }

    pub fn line(&mut self, line: &Line) -> Result<()> {
        let mut text = serde_json::to_vec(line).expect("maps with string keys only");
        self.limits.check(Limit::Line, text.len() as u64)?;
        text.push(b'\n');
        self.sink.write_all(&text).map_err(|e| Error::io("write the sidecar", None, e))
    }

    pub fn ranges(&mut self, ranges: &[SparseRange]) -> Result<()> {
        for some in ranges.chunks(RANGES) {
            self.line(&Line::Ranges(some.iter().map(|range| (range.offset, range.length)).collect()))?;
        }
        Ok(())
    }

    pub fn finish(mut self) -> Result<W> {
        self.sink.flush().map_err(|e| Error::io("write the sidecar", None, e))?;
        Ok(self.sink)
    }
}

/// Reads lines.
pub(super) struct SidecarReader<R: BufRead> {
    source: R,
    limits: Limits,
    text: Vec<u8>,
    number: u64,
    position: u64,
}

impl<R: BufRead> SidecarReader<R> {
    /// Reads the first line, and gives the dialect that it names.
    pub fn new(source: R, limits: &Limits) -> Result<(Self, Dialect)> {
        let mut reader = SidecarReader { source, limits: limits.clone(), text: Vec::new(), number: 0, position: 0 };
        let Some(Line::WinlayersSidecar(header)) = reader.line()? else {
            return Err(reader.wrong("header", "{\"winlayers_sidecar\": ...}", "another line"));
        };
        if header.version != VERSION {
            return Err(reader.wrong("version", &VERSION.to_string(), &header.version.to_string()));
        }
        match Dialect::from_name(&header.dialect) {
            Some(dialect) => Ok((reader, dialect)),
            None => Err(reader.wrong("dialect", "go-winio or lossless", &header.dialect.escape_debug().to_string())),
        }
    }

    pub fn line(&mut self) -> Result<Option<Line>> {
        if self.text()? { self.parse().map(Some) } else { Ok(None) }
    }

    /// Reads the text of a line; `false` at the end.
    fn text(&mut self) -> Result<bool> {
        self.position += self.text.len() as u64;
        self.text.clear();
        self.number += 1;
        let max = self.limits.line.saturating_add(1);
        let got = self.source.by_ref().take(max).read_until(b'\n', &mut self.text);
        got.map_err(|e| Error::io("read the sidecar", None, e))?;
        if !self.text.is_empty() && self.text.last() != Some(&b'\n') {
            self.limits.check(Limit::Line, self.text.len() as u64)?;
            return Err(self.wrong("line", "a line feed at its end", "the end of the file"));
        }
        Ok(!self.text.is_empty())
    }

    fn parse(&self) -> Result<Line> {
        serde_json::from_slice(&self.text).map_err(|e| self.wrong("line", "a line of a sidecar", &e.to_string()))
    }

    /// The ranges on the lines behind a member.
    pub fn ranges(&mut self, count: u64) -> Result<Vec<SparseRange>> {
        self.limits.check(Limit::SparseRanges, count)?;
        let mut ranges = Vec::new();
        while (ranges.len() as u64) < count {
            let Some(Line::Ranges(some)) = self.line()? else {
                return Err(self.wrong("ranges", "sparse ranges of the member before", "another line"));
            };
            ranges.extend(some.into_iter().map(|(offset, length)| SparseRange { offset, length }));
            if ranges.len() as u64 > count {
                return Err(self.wrong("ranges", &format!("{count} in all"), "more"));
            }
        }
        Ok(ranges)
    }

    /// The next piece of stream data, of which `left` bytes are to come.
    pub fn data(&mut self, left: u64) -> Result<Piece> {
        match self.line()? {
            Some(Line::Data(Base64(bytes))) if !bytes.is_empty() && bytes.len() as u64 <= left => {
                Ok(Piece::Data(bytes))
            }
            Some(Line::Zeros(n)) if n > 0 && n <= left => Ok(Piece::Zeros(n)),
            _ => Err(self.wrong("data", &format!("stream data, of which {left} bytes are missing"), "another line")),
        }
    }

    pub fn wrong(&self, field: &'static str, expected: &str, found: &str) -> Error {
        let found = format!("{found} (line {})", self.number);
        Error::format(Format::Sidecar, field, expected, found).at(self.position)
    }
}
