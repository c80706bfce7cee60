//! Untrusted backup streams on their way to `BackupWrite`.

use super::{Reader, StreamHeader, StreamId};
use crate::error::{Error, Limit, Result, Rule, display_name, from_io};
use crate::limits::Limits;
use crate::nt::name::wtf8_from_utf16;
use std::io::{self, BufReader, Read, Write};

/// What becomes of one stream that [`restore`] comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fate {
    /// It is written.
    Write,
    /// It is left out.
    Leave,
    /// It is left out for now, and handed back; its body must fit into `limits.reparse_point`.
    Keep,
}

/// What [`restore`] did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Restored {
    /// Bytes that were written.
    pub bytes: u64,
    /// The streams that were kept, as a backup stream.
    pub kept: Vec<u8>,
}

/// Writes an untrusted backup stream. Each header is checked before the system sees it. Nothing is written from the
/// first mistake on; what comes before it is.
///
/// # Errors
/// What [`Reader`] finds; [`Rule::NameColon`] for a name that is not `:name:$DATA`, since it could lead to another
/// file; [`Error::Limit`]; what `fate` gives; [`Error::Io`].
pub fn restore(
    sink: &mut impl Write,
    stream: impl Read,
    limits: &Limits,
    mut fate: impl FnMut(&StreamHeader) -> Result<Fate>,
) -> Result<Restored> {
    let mut reader = Reader::new(BufReader::with_capacity(BUFFER, stream), limits);
    let mut restored = Restored::default();
    let mut wire = Vec::new();
    while let Some(header) = reader.advance()? {
        check_stream_name(&header)?;
        if let Some(offset) = header.sparse_offset {
            limits.check(Limit::MemberBytes, offset.saturating_add(header.data_size()))?;
        }
        let fate = fate(&header)?;
        wire.clear();
        header.encode(&mut wire);
        match fate {
            Fate::Leave => continue,
            Fate::Keep => {
                limits.check(Limit::ReparsePoint, (restored.kept.len() as u64).saturating_add(header.data_size()))?;
                restored.kept.extend_from_slice(&wire);
                restored.kept.extend(reader.body(header.data_size())?);
                continue;
            }
            Fate::Write => {}
        }
        sink.write_all(&wire).map_err(written)?;
        restored.bytes += wire.len() as u64;
        loop {
            let chunk = reader.data()?;
            let n = chunk.len();
            if n == 0 {
                break;
            }
            sink.write_all(chunk).map_err(written)?;
            reader.consume(n);
            restored.bytes += n as u64;
        }
    }
    Ok(restored)
}

/// A name is opened relative to the file, and is only that of a stream when it looks like one.
fn check_stream_name(header: &StreamHeader) -> Result<()> {
    const COLON: u16 = b':' as u16;
    let is_part = |part: &[u16]| !part.iter().any(|unit| [0, COLON, b'/' as u16, b'\\' as u16].contains(unit));
    let is_name = match &*header.name {
        [] => header.id != StreamId::ALTERNATE_DATA,
        [COLON, rest @ ..] => {
            let data: Vec<u16> = ":$DATA".encode_utf16().collect();
            rest.strip_suffix(&*data).is_some_and(|name| !name.is_empty() && is_part(name))
        }
        _ => false,
    };
    if is_name {
        return Ok(());
    }
    let name = display_name(&wtf8_from_utf16(&header.name));
    Err(Error::refused(Rule::NameColon, format!("the {} stream \"{name}\"", header.id)))
}

/// The error of a failed write; one that the system returned has its path already.
fn written(error: io::Error) -> Error {
    match from_io(error) {
        Error::Io { path: None, source, .. } => Error::io("write", None, source),
        other => other,
    }
}

/// What is moved in one go.
const BUFFER: usize = 256 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn wire(streams: &[(StreamHeader, &[u8])]) -> Vec<u8> {
        let mut out = Vec::new();
        for (header, body) in streams {
            header.encode(&mut out);
            out.extend_from_slice(body);
        }
        out
    }

    fn named(name: &str) -> StreamHeader {
        StreamHeader { name: name.encode_utf16().collect(), ..StreamHeader::new(StreamId::ALTERNATE_DATA, 1) }
    }

    fn code(stream: &[u8]) -> &'static str {
        let limits = Limits { member_bytes: 1 << 30, reparse_point: 10, ..Limits::default() };
        let fate =
            |header: &StreamHeader| Ok(if header.id == StreamId::REPARSE_DATA { Fate::Keep } else { Fate::Write });
        restore(&mut Vec::new(), stream, &limits, fate).map_or_else(|e| e.code(), |_| "ok")
    }

    #[test]
    fn what_is_written_is_what_came() {
        let block = StreamHeader::sparse_block(1 << 20, 3);
        let sparse = StreamHeader { attributes: 8, ..StreamHeader::new(StreamId::DATA, 0) };
        let stream = wire(&[
            (StreamHeader::new(StreamId::SECURITY_DATA, 2), b"sd"),
            (sparse, b""),
            (block, b"abc"),
            (named(":a b.c:$DATA"), b"x"),
        ]);
        let mut out = Vec::new();
        let restored = restore(&mut out, stream.as_slice(), &Limits::default(), |_| Ok(Fate::Write)).unwrap();
        assert_eq!(out, stream);
        assert_eq!(restored, Restored { bytes: stream.len() as u64, kept: Vec::new() });
    }

    #[test]
    fn streams_are_kept_and_left() {
        let reparse = wire(&[(StreamHeader::new(StreamId::REPARSE_DATA, 4), b"buf!")]);
        let link = wire(&[(StreamHeader::new(StreamId::LINK, 1), b"x")]);
        let data = wire(&[(StreamHeader::new(StreamId::DATA, 2), b"hi")]);
        let mut out = Vec::new();
        let restored = restore(
            &mut out,
            [reparse.clone(), link, data.clone()].concat().as_slice(),
            &Limits::default(),
            |header| {
                Ok(match header.id {
                    StreamId::REPARSE_DATA => Fate::Keep,
                    StreamId::LINK => Fate::Leave,
                    _ => Fate::Write,
                })
            },
        );
        assert_eq!(out, data);
        assert_eq!(restored.unwrap(), Restored { bytes: data.len() as u64, kept: reparse });
    }

    #[test]
    fn names_that_could_be_other_files() {
        for name in
            ["", ":", "a", "::$DATA", ":a", ":a:b:$DATA", ":a:$DATA:$DATA", ":a/b:$DATA", ":a\\b:$DATA", ":\0:$DATA"]
        {
            assert_eq!(code(&wire(&[(named(name), b"x")])), "name_colon", "{name}");
        }
        let data = StreamHeader { name: "file".encode_utf16().collect(), ..StreamHeader::new(StreamId::DATA, 0) };
        assert_eq!(code(&wire(&[(data, b"")])), "name_colon");
    }

    #[test]
    fn bounds() {
        let reparse = || (StreamHeader::new(StreamId::REPARSE_DATA, 8), b"12345678".as_slice());
        assert_eq!(code(&wire(&[reparse()])), "ok");
        assert_eq!(code(&wire(&[reparse(), reparse()])), "limit_reparse_point");
        assert_eq!(code(&wire(&[(StreamHeader::sparse_block(1 << 31, 1), b"x")])), "limit_member_bytes");
    }

    #[test]
    fn nothing_behind_a_mistake_is_written() {
        let good = wire(&[(StreamHeader::new(StreamId::DATA, 2), b"hi")]);
        let mut out = Vec::new();
        let error = restore(&mut out, [good.as_slice(), &[4, 0, 0]].concat().as_slice(), &Limits::default(), |_| {
            Ok(Fate::Write)
        });
        assert_eq!((error.unwrap_err().code(), out), ("bad_backup_stream", good));
    }
}
