//! Where bytes come from: a stream, or something that can be read at any offset; which ranges of a file hold data; and
//! where bytes are kept until they are needed.

use crate::error::named_io;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::sync::Arc;
use tempfile::SpooledTempFile;

/// Bytes that can be read at any offset, from any thread, without a cursor.
pub trait ReadAt: Send + Sync {
    /// Reads some bytes at `offset`; 0 means the end.
    ///
    /// # Errors
    /// What the system answers.
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Length in bytes.
    ///
    /// # Errors
    /// What the system answers.
    fn size(&self) -> io::Result<u64>;

    /// A lower bound of the length: at least `offset`, or the whole length if that is less. If a file is still being
    /// written, this waits until `offset` is reached, not until the end.
    ///
    /// # Errors
    /// What the system answers.
    fn reach(&self, offset: u64) -> io::Result<u64> {
        let _ = offset;
        self.size()
    }
}

impl ReadAt for Vec<u8> {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let rest = usize::try_from(offset).ok().and_then(|start| self.get(start..)).unwrap_or_default();
        let n = rest.len().min(buf.len());
        buf[..n].copy_from_slice(&rest[..n]);
        Ok(n)
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.len() as u64)
    }
}

/// The bytes of an archive.
pub enum Source {
    /// Read once, from front to end.
    Stream(Box<dyn Read + Send>),
    /// Read at any offset, so that data can be skipped and entries opened in any order.
    Random(Arc<dyn ReadAt>),
}

impl Source {
    /// A source over bytes in memory.
    #[must_use]
    pub fn memory(bytes: Vec<u8>) -> Self {
        Source::Random(Arc::new(bytes))
    }

    /// Whether data can be read at any offset.
    #[must_use]
    pub fn is_random(&self) -> bool {
        matches!(self, Source::Random(_))
    }
}

/// A cursor over a [`ReadAt`], limited to a range: the data of one member.
pub struct Slice {
    bytes: Arc<dyn ReadAt>,
    position: u64,
    end: u64,
}

impl Slice {
    /// The bytes from `start` to `end`.
    #[must_use]
    pub fn new(bytes: Arc<dyn ReadAt>, start: u64, end: u64) -> Self {
        Slice { bytes, position: start, end }
    }
}

impl Read for Slice {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = buf.len().min(usize::try_from(self.end.saturating_sub(self.position)).unwrap_or(usize::MAX));
        if n == 0 {
            return Ok(0);
        }
        let got = self.bytes.read_at(&mut buf[..n], self.position)?;
        if got == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.position += got as u64;
        Ok(got)
    }
}

/// A piece of a sparse file that holds data; everything between ranges reads as zeros.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SparseRange {
    /// Where it lies in the file, in bytes.
    pub offset: u64,
    /// Its length, in bytes.
    pub length: u64,
}

/// Bytes that are kept in memory, and in a temporary file without a name when there are many. Its errors name the
/// folder for temporary files, where somebody can make room.
#[derive(Debug)]
pub(crate) struct Spool(SpooledTempFile);

impl Spool {
    /// Keeps up to `in_memory` bytes in memory.
    pub fn new(in_memory: usize) -> Self {
        Spool(SpooledTempFile::new(in_memory))
    }

    /// Moves what is in memory to the file.
    pub fn roll(&mut self) -> io::Result<()> {
        self.0.roll().map_err(failed)
    }

    pub fn set_len(&mut self, size: u64) -> io::Result<()> {
        self.0.set_len(size).map_err(failed)
    }
}

fn failed(error: io::Error) -> io::Error {
    named_io("use a temporary file in", &std::env::temp_dir(), error)
}

impl Read for Spool {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.read(buf).map_err(failed)
    }
}

impl Write for Spool {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.0.write(buf).map_err(failed)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush().map_err(failed)
    }
}

impl Seek for Spool {
    fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
        self.0.seek(position).map_err(failed)
    }
}
