//! The tar under way to its sink: in chunks, which say which of their bytes a checksum is about.

use super::integrity;
use crate::digest::Crc64;
use crate::error::{Limit, Result};
use crate::limits::Limits;
use std::io::Write;
use std::ops::Range;

/// What is written at a time, at most. Data is read to where it is written from, and is not copied on the way.
const SIZE: usize = 256 << 10;
/// With less room than this the buffer is written before more is read.
const LITTLE: usize = 16 << 10;

/// The next bytes of the tar.
pub(super) struct Chunk {
    bytes: Vec<u8>,
    filled: usize,
    parts: Vec<Part>,
    /// Bytes that the parts take: many tiny files with long names pass a chunk on before it is full.
    weight: usize,
}

/// Data of a member.
struct Part {
    range: Range<usize>,
    /// The member's name and its checksum, where this is the last of its data.
    end: Option<(Box<[u8]>, u64)>,
}

impl Chunk {
    pub fn new() -> Self {
        Chunk { bytes: vec![0; SIZE], filled: 0, parts: Vec::new(), weight: 0 }
    }

    pub fn clear(&mut self) {
        self.filled = 0;
        self.parts.clear();
        self.weight = 0;
    }
}

/// Fills chunks, and passes each on for an empty one.
pub(super) struct Output<'a> {
    chunk: Chunk,
    pass: &'a mut dyn FnMut(Chunk) -> Result<Chunk>,
    size: u64,
    pub limits: &'a Limits,
}

impl<'a> Output<'a> {
    pub fn new(pass: &'a mut dyn FnMut(Chunk) -> Result<Chunk>, limits: &'a Limits) -> Self {
        Output { chunk: Chunk::new(), pass, size: 0, limits }
    }

    /// Bytes that are not data.
    pub fn put(&mut self, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            let room = self.room()?;
            let n = room.len().min(bytes.len());
            room[..n].copy_from_slice(&bytes[..n]);
            bytes = &bytes[n..];
            self.take(n)?;
        }
        Ok(())
    }

    /// Where the next bytes may be put.
    pub fn room(&mut self) -> Result<&mut [u8]> {
        if self.chunk.bytes.len() - self.chunk.filled < LITTLE || self.chunk.weight >= SIZE {
            self.pass_on()?;
        }
        Ok(&mut self.chunk.bytes[self.chunk.filled..])
    }

    /// Takes the first `n` bytes of [`Output::room`] as data.
    pub fn take_data(&mut self, n: usize) -> Result<()> {
        let start = self.chunk.filled;
        self.chunk.parts.push(Part { range: start..start + n, end: None });
        self.chunk.weight += size_of::<Part>();
        self.take(n)
    }

    /// The data of a member is complete.
    pub fn end_data(&mut self, name: &[u8], crc: u64) {
        let end = Some((name.into(), crc));
        self.chunk.weight += name.len() + size_of::<Part>();
        match self.chunk.parts.last_mut().filter(|part| part.end.is_none()) {
            Some(part) => part.end = end,
            None => self.chunk.parts.push(Part { range: 0..0, end }),
        }
    }

    /// Passes on what is left; gives the number of bytes in all.
    pub fn finish(mut self) -> Result<u64> {
        self.pass_on()?;
        Ok(self.size)
    }

    fn take(&mut self, n: usize) -> Result<()> {
        self.chunk.filled += n;
        self.size += n as u64;
        self.limits.check(Limit::TotalBytes, self.size)
    }

    fn pass_on(&mut self) -> Result<()> {
        let empty = Chunk { bytes: Vec::new(), filled: 0, parts: Vec::new(), weight: 0 };
        self.chunk = (self.pass)(std::mem::replace(&mut self.chunk, empty))?;
        Ok(())
    }
}

/// Checks the data in chunks, and writes them.
pub(super) struct Checked<W> {
    sink: W,
    sum: Crc64,
}

impl<W: Write> Checked<W> {
    pub fn new(sink: W) -> Self {
        Checked { sink, sum: Crc64::new() }
    }

    pub fn write(&mut self, chunk: &Chunk) -> Result<()> {
        for part in &chunk.parts {
            self.sum.update(&chunk.bytes[part.range.clone()]);
            if let Some((name, crc)) = &part.end {
                let found = std::mem::take(&mut self.sum).finish();
                if found != *crc {
                    return Err(integrity(name, format!("CRC-64 {crc:016x}"), format!("{found:016x}")));
                }
            }
        }
        self.sink.write_all(&chunk.bytes[..chunk.filled]).map_err(crate::error::from_io)
    }

    pub fn finish(mut self) -> Result<()> {
        self.sink.flush().map_err(crate::error::from_io)
    }
}
