//! Headers and bodies to wire bytes.

use super::StreamHeader;
use crate::error::{Error, Misuse, Result, from_io};
use std::io::Write;

/// Writes the streams of one file. See [`super::Reader`] for an example.
pub struct Writer<W> {
    sink: W,
    data_left: u64,
    header: Vec<u8>,
}

impl<W: Write> Writer<W> {
    /// A writer at the start of a backup stream.
    pub fn new(sink: W) -> Self {
        Writer { sink, data_left: 0, header: Vec::new() }
    }

    /// Writes a header; `header.data_size()` bytes of data must follow.
    ///
    /// # Errors
    /// [`Error::Misuse`] while data of the stream before is missing, or when the offset of a sparse block is missing or
    /// superfluous; [`Error::Io`].
    pub fn start(&mut self, header: &StreamHeader) -> Result<()> {
        self.complete()?;
        let is_block = header.id == super::StreamId::SPARSE_BLOCK;
        if is_block != header.sparse_offset.is_some() || is_block && header.size < 8 {
            return Err(Error::misuse(Misuse::Argument, "a sparse block, and nothing else, has a sparse offset"));
        }
        self.header.clear();
        header.encode(&mut self.header);
        self.sink.write_all(&self.header).map_err(from_io)?;
        self.data_left = header.data_size();
        Ok(())
    }

    /// Writes data of the current stream.
    ///
    /// # Errors
    /// [`Error::Misuse`] for more than its header said, [`Error::Io`].
    pub fn data(&mut self, bytes: &[u8]) -> Result<()> {
        let left = self.data_left.checked_sub(bytes.len() as u64);
        let left = left.ok_or_else(|| Error::misuse(Misuse::Data, "more bytes than the stream header says"))?;
        self.sink.write_all(bytes).map_err(from_io)?;
        self.data_left = left;
        Ok(())
    }

    /// Ends the backup stream, and gives the sink back.
    ///
    /// # Errors
    /// [`Error::Misuse`] while data is missing, [`Error::Io`].
    pub fn finish(mut self) -> Result<W> {
        self.complete()?;
        self.sink.flush().map_err(from_io)?;
        Ok(self.sink)
    }

    fn complete(&self) -> Result<()> {
        if self.data_left == 0 {
            return Ok(());
        }
        Err(Error::misuse(Misuse::Data, format!("{} bytes of the stream before are missing", self.data_left)))
    }
}
