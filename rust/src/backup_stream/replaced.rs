//! The backup stream of a file with the data of another one.

use super::{Reader, StreamHeader, StreamId};
use crate::error::{Error, Result};
use crate::limits::Limits;
use std::io::{self, BufReader, ErrorKind, Read};

/// Gives the streams of a backup stream, but for the unnamed data, which comes from elsewhere. Blocks of named streams
/// are left out with those of the data.
///
/// ```
/// use std::io::Read;
/// use winlayers::backup_stream::{ReplacedData, StreamHeader, StreamId, Writer};
/// let mut writer = Writer::new(Vec::new());
/// writer.start(&StreamHeader::new(StreamId::DATA, 3))?;
/// writer.data(b"new")?;
/// let mut out = Vec::new();
/// let own = writer.finish()?;
/// ReplacedData::new(own.as_slice(), b"old!".as_slice(), 4, &Default::default()).read_to_end(&mut out).unwrap();
/// assert_eq!((out[8], &out[20..]), (4, b"old!".as_slice()));
/// # Ok::<(), winlayers::error::Error>(())
/// ```
pub struct ReplacedData<R, S> {
    own: Reader<BufReader<R>>,
    saved: S,
    saved_size: u64,
    /// Bytes of a header that were not handed out yet.
    wire: Vec<u8>,
    wire_at: usize,
    /// What is left of the saved data, once its header was handed out.
    saved_left: Option<u64>,
    passing: bool,
    ended: bool,
}

impl<R: Read, S: Read> ReplacedData<R, S> {
    /// The streams of `own`, with `saved_size` bytes of data from `saved`.
    pub fn new(own: R, saved: S, saved_size: u64, limits: &Limits) -> Self {
        ReplacedData {
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
        let failed = |e| Error::io("read", None, e);
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
            // Blocks of the data that is replaced.
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

impl<R: Read, S: Read> Read for ReplacedData<R, S> {
    /// Fails with the crate's errors as the inner ones.
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        self.fill(buf).map_err(io::Error::other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(header: &StreamHeader, body: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        header.encode(&mut out);
        out.extend_from_slice(body);
        out
    }

    fn replaced(own: &[u8], saved: &[u8], size: u64) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        let mut reader = ReplacedData::new(own, saved, size, &Limits::default());
        let mut buf = [0; 7];
        loop {
            match reader.read(&mut buf)? {
                0 => return Ok(out),
                n => out.extend_from_slice(&buf[..n]),
            }
        }
    }

    #[test]
    fn data_of_every_shape() {
        let security = stream(&StreamHeader::new(StreamId::SECURITY_DATA, 3), b"acl");
        let object = stream(&StreamHeader::new(StreamId::OBJECT_ID, 2), b"id");
        let sparse = StreamHeader { attributes: 8, ..StreamHeader::new(StreamId::DATA, 0) };
        let shapes = [
            stream(&StreamHeader::new(StreamId::DATA, 9), b"rewritten"),
            stream(&StreamHeader::new(StreamId::DATA, 0), b""),
            [stream(&sparse, b""), stream(&StreamHeader::sparse_block(100, 3), b"abc")].concat(),
        ];
        for saved in [b"as it came".as_slice(), b""] {
            let size = saved.len() as u64;
            let data = stream(&StreamHeader::new(StreamId::DATA, size), saved);
            for shape in &shapes {
                let own = [security.as_slice(), shape, &object].concat();
                assert_eq!(replaced(&own, saved, size).unwrap(), [security.as_slice(), &data, &object].concat());
            }
        }
    }

    #[test]
    fn an_empty_file_may_have_no_data() {
        let security = stream(&StreamHeader::new(StreamId::SECURITY_DATA, 3), b"acl");
        let data = stream(&StreamHeader::new(StreamId::DATA, 2), b"hi");
        assert_eq!(replaced(&security, b"hi", 2).unwrap(), [security.as_slice(), &data].concat());
        assert_eq!(replaced(&security, b"", 0).unwrap(), security);
    }

    #[test]
    fn data_that_ends_early() {
        let own = stream(&StreamHeader::new(StreamId::DATA, 0), b"");
        assert!(replaced(&own, b"hi", 3).unwrap_err().to_string().contains("end"));
        assert!(replaced(&own[..10], b"hi", 2).unwrap_err().to_string().contains("stream header"));
    }
}
