//! The backup stream of a file with the data of another one.

use super::super::backup::BackupReader;
use crate::backup_stream::{Reader, StreamHeader, StreamId};
use crate::error::Result;
use crate::limits::Limits;
use std::fs::File;
use std::io::{self, BufReader, ErrorKind, Read};

/// Gives the streams of one file, but for its unnamed data, which comes from another.
pub(super) struct SavedData {
    own: Reader<BufReader<BackupReader>>,
    saved: File,
    saved_size: u64,
    /// Bytes of a header that were not handed out yet.
    wire: Vec<u8>,
    wire_at: usize,
    /// What is left of the saved data, once its header was handed out.
    saved_left: Option<u64>,
    passing: bool,
    ended: bool,
}

impl SavedData {
    pub fn new(own: BackupReader, saved: File, saved_size: u64, limits: &Limits) -> Self {
        SavedData {
            own: Reader::new(BufReader::new(own), limits),
            saved,
            saved_size,
            wire: Vec::new(),
            wire_at: 0,
            saved_left: None,
            passing: false,
            ended: false,
        }
    }

    fn fill(&mut self, buf: &mut [u8]) -> Result<usize> {
        loop {
            if self.wire_at < self.wire.len() {
                let n = buf.len().min(self.wire.len() - self.wire_at);
                buf[..n].copy_from_slice(&self.wire[self.wire_at..self.wire_at + n]);
                self.wire_at += n;
                return Ok(n);
            }
            if let Some(left) = self.saved_left.filter(|left| *left > 0) {
                return self.fill_saved(buf, left);
            }
            if self.passing {
                let chunk = self.own.data()?;
                let n = chunk.len().min(buf.len());
                if n > 0 {
                    buf[..n].copy_from_slice(&chunk[..n]);
                    self.own.consume(n);
                    return Ok(n);
                }
            }
            if self.ended {
                return Ok(0);
            }
            self.next_stream()?;
        }
    }

    fn fill_saved(&mut self, buf: &mut [u8], left: u64) -> Result<usize> {
        let want = buf.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let failed = |e| crate::error::Error::io("read the saved copy of a boot file", None, e);
        let n = self.saved.read(&mut buf[..want]).map_err(failed)?;
        if n == 0 {
            return Err(failed(ErrorKind::UnexpectedEof.into()));
        }
        self.saved_left = Some(left - n as u64);
        Ok(n)
    }

    fn next_stream(&mut self) -> Result<()> {
        self.wire.clear();
        self.wire_at = 0;
        self.passing = false;
        let header = self.own.advance()?;
        match header.as_ref().map(|header| header.id) {
            Some(StreamId::DATA) => self.start_saved(),
            // Blocks of the data that is replaced. A boot file has no named stream, so no blocks of one.
            Some(StreamId::SPARSE_BLOCK) => {}
            None => {
                self.ended = true;
                if self.saved_left.is_none() && self.saved_size > 0 {
                    self.start_saved();
                }
            }
            Some(_) => {
                self.passing = true;
                if let Some(header) = header {
                    header.encode(&mut self.wire);
                }
            }
        }
        Ok(())
    }

    fn start_saved(&mut self) {
        if self.saved_left.is_none() {
            StreamHeader::new(StreamId::DATA, self.saved_size).encode(&mut self.wire);
            self.saved_left = Some(self.saved_size);
        }
    }
}

impl Read for SavedData {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        self.fill(buf).map_err(io::Error::other)
    }
}
