//! Where bytes come from: a stream, or something that can be read at any offset; and which ranges of a file hold data.

use std::io::{self, Read};
use std::sync::Arc;

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
