//! The one buffer between a source and the parser: what is in it is handed out without a copy.

use crate::error::{Error, Result, from_io};
use crate::source::Source;
use std::io;

/// What one read takes from the source once data is being consumed.
const CAPACITY: usize = 256 << 10;
/// What the first read after a skip takes: a PAX header, its records and the header they belong to. Each read that
/// follows without another skip takes twice as much.
const AFTER_SKIP: usize = 4 << 10;

pub(super) struct Buffer {
    source: Source,
    /// Grows with the reads, so that looking at one member needs little memory.
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    /// Offset in the source of `bytes[start]`.
    position: u64,
    /// What the next read takes.
    ahead: usize,
    /// How far a source that can be read anywhere is known to go.
    known: u64,
}

impl Buffer {
    pub fn new(source: Source) -> Result<Self> {
        let known = match &source {
            Source::Stream(_) => 0,
            Source::Random(bytes) => bytes.reach(0).map_err(|e| Error::io("stat", None, e))?,
        };
        let ahead = if source.is_random() { AFTER_SKIP } else { CAPACITY };
        Ok(Buffer { source, bytes: Vec::new(), start: 0, end: 0, position: 0, ahead, known })
    }

    /// Offset in the source of the next byte.
    pub fn position(&self) -> u64 {
        self.position
    }

    pub fn source(&self) -> &Source {
        &self.source
    }

    /// At least `want` bytes (at most a quarter of the capacity) where the source has them: fewer only at its end.
    pub fn peek(&mut self, want: usize) -> Result<&[u8]> {
        debug_assert!(want <= CAPACITY / 4);
        while self.end - self.start < want && self.fill()? > 0 {}
        Ok(&self.bytes[self.start..self.end])
    }

    /// Whatever is buffered, or the next read; empty only at the end.
    pub fn chunk(&mut self) -> Result<&[u8]> {
        if self.start == self.end {
            self.ahead = CAPACITY;
            self.fill()?;
        }
        Ok(&self.bytes[self.start..self.end])
    }

    /// Takes `n` bytes that [`Buffer::peek`] or [`Buffer::chunk`] showed.
    pub fn consume(&mut self, n: usize) {
        debug_assert!(n <= self.end - self.start);
        self.start += n;
        self.position += n as u64;
    }

    /// Copies `n` bytes to the end of `out`, or fewer at the end of the source; returns how many.
    pub fn take_into(&mut self, n: u64, out: &mut Vec<u8>) -> Result<u64> {
        let mut left = n;
        while left > 0 {
            let chunk = self.peek(1)?;
            let take = chunk.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            if take == 0 {
                break;
            }
            out.extend_from_slice(&chunk[..take]);
            self.consume(take);
            left -= take as u64;
        }
        Ok(n - left)
    }

    /// Passes over `n` bytes, or fewer at the end of the source; returns how many.
    pub fn skip(&mut self, n: u64) -> Result<u64> {
        let buffered = n.min((self.end - self.start) as u64);
        self.consume(usize::try_from(buffered).expect("no more than is buffered"));
        let mut left = n - buffered;
        if left > 0 {
            if let Source::Random(bytes) = &self.source {
                let target = self.position.saturating_add(left);
                if target > self.known {
                    self.known = bytes.reach(target).map_err(|e| Error::io("stat", None, e))?;
                }
                let step = left.min(self.known.saturating_sub(self.position));
                self.position += step;
                left -= step;
                self.ahead = AFTER_SKIP;
            } else {
                while left > 0 {
                    let take = left.min(self.chunk()?.len() as u64);
                    if take == 0 {
                        break;
                    }
                    self.consume(usize::try_from(take).expect("no more than is buffered"));
                    left -= take;
                }
            }
        }
        Ok(n - left)
    }

    fn fill(&mut self) -> Result<usize> {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        } else if CAPACITY - self.end < CAPACITY / 4 {
            self.bytes.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        let room = CAPACITY - self.end;
        let want = room.min(self.ahead);
        if self.bytes.len() < self.end + want {
            self.bytes.resize(self.end + want, 0);
        }
        self.ahead = (2 * self.ahead).min(CAPACITY);
        let target = &mut self.bytes[self.end..self.end + want];
        let at = self.position + (self.end - self.start) as u64;
        let got = loop {
            let result = match &mut self.source {
                Source::Stream(stream) => stream.read(target),
                Source::Random(bytes) => bytes.read_at(target, at),
            };
            match result {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(from_io(e)),
                Ok(n) => break n,
            }
        };
        self.end += got;
        Ok(got)
    }
}
