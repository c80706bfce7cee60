//! Wire bytes to headers and bodies, whatever the chunks they come in.

use super::{StreamHeader, StreamId};
use crate::error::{Error, Format, Limit, Result, from_io};
use crate::limits::Limits;
use std::io::{BufRead, ErrorKind, Read, Seek, SeekFrom};

/// Reads the streams of one file.
///
/// ```
/// use winlayers::backup_stream::{Reader, StreamHeader, StreamId, Writer};
/// let mut writer = Writer::new(Vec::new());
/// writer.start(&StreamHeader::new(StreamId::DATA, 5))?;
/// writer.data(b"hello")?;
/// let wire = writer.finish()?;
///
/// let mut reader = Reader::new(wire.as_slice(), &Default::default());
/// assert_eq!(reader.advance()?.unwrap().id, StreamId::DATA);
/// assert_eq!(reader.body(100)?, b"hello");
/// assert!(reader.advance()?.is_none());
/// # Ok::<(), winlayers::error::Error>(())
/// ```
pub struct Reader<R> {
    source: R,
    limits: Limits,
    position: u64,
    data_left: u64,
}

impl<R: BufRead> Reader<R> {
    /// A reader at the start of a backup stream.
    pub fn new(source: R, limits: &Limits) -> Self {
        Reader { source, limits: limits.clone(), position: 0, data_left: 0 }
    }

    /// Offset of the next byte.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Bytes of data of the current stream that were not consumed yet.
    pub fn data_left(&self) -> u64 {
        self.data_left
    }

    /// The source, at the place this reader has reached.
    pub fn into_inner(self) -> R {
        self.source
    }

    /// The header of the next stream, over data that was not consumed; `None` at the end.
    ///
    /// # Errors
    /// [`Error::Format`] for a header or body that ends early or has an impossible size, [`Error::Limit`] for a name
    /// longer than `limits.path`, [`Error::Io`].
    pub fn advance(&mut self) -> Result<Option<StreamHeader>> {
        self.skip()?;
        let at = self.position;
        let mut fixed = [0; 20];
        if self.source_chunk()?.is_empty() {
            return Ok(None);
        }
        self.fill(&mut fixed, "stream header")?;
        let u32_at = |i: usize| u32::from_le_bytes([fixed[i], fixed[i + 1], fixed[i + 2], fixed[i + 3]]);
        let size = u64::from(u32_at(8)) | u64::from(u32_at(12)) << 32;
        let name_size = u32_at(16);
        let wrong = |field, expected: &str, found: String| {
            Err(Error::format(Format::BackupStream, field, expected, found).at(at))
        };
        if i64::try_from(size).is_err() {
            return wrong("stream size", "a size from 0", format!("{}", size.cast_signed()));
        }
        if name_size % 2 != 0 {
            return wrong("stream name size", "whole UTF-16 units", format!("{name_size} bytes"));
        }
        self.limits.check(Limit::Path, u64::from(name_size / 2))?;
        let mut name = vec![0; name_size as usize];
        self.fill(&mut name, "stream name")?;
        let name = name.chunks_exact(2).map(|unit| u16::from_le_bytes([unit[0], unit[1]])).collect();
        let id = StreamId(u32_at(0));
        let mut sparse_offset = None;
        if id == StreamId::SPARSE_BLOCK {
            if size < 8 {
                return wrong("sparse block size", "at least 8 bytes, for its offset", format!("{size}"));
            }
            let mut offset = [0; 8];
            self.fill(&mut offset, "sparse block offset")?;
            sparse_offset = Some(u64::from_le_bytes(offset));
        }
        let header = StreamHeader { id, attributes: u32_at(4), size, name, sparse_offset };
        self.data_left = header.data_size();
        Ok(Some(header))
    }

    /// The next bytes of data as they lie in the source's buffer; empty at the end of the stream.
    ///
    /// # Errors
    /// [`Error::Format`] when the input ends first, [`Error::Io`].
    pub fn data(&mut self) -> Result<&[u8]> {
        if self.data_left == 0 {
            return Ok(&[]);
        }
        if self.source_chunk()?.is_empty() {
            return Err(self.truncated("stream data", self.data_left));
        }
        let left = usize::try_from(self.data_left).unwrap_or(usize::MAX);
        let chunk = self.source_chunk()?;
        Ok(&chunk[..chunk.len().min(left)])
    }

    /// Takes `n` bytes that [`Reader::data`] showed.
    pub fn consume(&mut self, n: usize) {
        self.source.consume(n);
        self.position += n as u64;
        self.data_left -= n as u64;
    }

    /// All data of the current stream that was not consumed yet, at most `max` bytes of it.
    ///
    /// # Errors
    /// As [`Reader::data`]; [`Error::Limit`] ([`Limit::PaxBody`]) when there is more.
    pub fn body(&mut self, max: u64) -> Result<Vec<u8>> {
        if self.data_left > max {
            return Err(Error::limit(Limit::PaxBody, self.data_left, max));
        }
        let mut body = Vec::new();
        loop {
            let chunk = self.data()?;
            if chunk.is_empty() {
                return Ok(body);
            }
            body.extend_from_slice(chunk);
            let n = chunk.len();
            self.consume(n);
        }
    }

    /// Passes over the rest of the current stream.
    ///
    /// # Errors
    /// As [`Reader::data`].
    pub fn skip(&mut self) -> Result<()> {
        loop {
            let n = self.data()?.len();
            if n == 0 {
                return Ok(());
            }
            self.consume(n);
        }
    }

    fn fill(&mut self, out: &mut [u8], field: &'static str) -> Result<()> {
        let mut done = 0;
        while done < out.len() {
            let chunk = self.source_chunk()?;
            if chunk.is_empty() {
                return Err(self.truncated(field, (out.len() - done) as u64));
            }
            let n = chunk.len().min(out.len() - done);
            out[done..done + n].copy_from_slice(&chunk[..n]);
            self.source.consume(n);
            self.position += n as u64;
            done += n;
        }
        Ok(())
    }

    fn source_chunk(&mut self) -> Result<&[u8]> {
        loop {
            match self.source.fill_buf() {
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(from_io(e)),
                Ok(_) => break,
            }
        }
        // A second call hands out what the first one buffered; the borrow of the first cannot outlive the loop.
        self.source.fill_buf().map_err(from_io)
    }

    fn truncated(&self, field: &'static str, missing: u64) -> Error {
        let found = format!("the end, {missing} bytes early");
        Error::format(Format::BackupStream, field, "more bytes", found).at(self.position)
    }
}

impl<R: BufRead + Seek> Reader<R> {
    /// Passes over the rest of the current stream without reading it: an end that comes early shows only when the
    /// data is read after all.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn seek_over(&mut self) -> Result<()> {
        let Ok(distance) = i64::try_from(self.data_left) else { return self.skip() };
        self.source.seek_relative(distance).map_err(from_io)?;
        self.position += self.data_left;
        self.data_left = 0;
        Ok(())
    }

    /// Goes back to `position`, an offset that [`Reader::position`] returned between two streams.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn rewind(&mut self, position: u64) -> Result<()> {
        let back = position.cast_signed().wrapping_sub(self.position.cast_signed());
        self.source.seek(SeekFrom::Current(back)).map_err(from_io)?;
        self.position = position;
        self.data_left = 0;
        Ok(())
    }
}

impl<R: BufRead> Read for Reader<R> {
    /// Reads data of the current stream.
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        let chunk = self.data().map_err(std::io::Error::other)?;
        let n = chunk.len().min(buf.len());
        buf[..n].copy_from_slice(&chunk[..n]);
        self.consume(n);
        Ok(n)
    }
}
