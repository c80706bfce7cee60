//! Bytes that must have an expected digest.

use super::{Sha256, hex};
use crate::error::{Error, Result};
use std::io::{self, Read};

/// What is expected of bytes.
pub(crate) struct Expected {
    /// How many there are, if that is known.
    pub size: Option<u64>,
    /// `sha256:` and the digest.
    pub digest: String,
    /// Which bytes these are, for the error.
    pub what: String,
}

impl Expected {
    pub fn check_size(&self, found: u64) -> Result<()> {
        match self.size {
            Some(size) if size != found => Err(self.mismatch(format!("{size} bytes"), format!("{found} bytes"))),
            _ => Ok(()),
        }
    }

    pub fn check(&self, bytes: &[u8]) -> Result<()> {
        self.check_size(bytes.len() as u64)?;
        let mut hash = Sha256::new();
        hash.update(bytes);
        self.check_digest(hash)
    }

    fn check_digest(&self, hash: Sha256) -> Result<()> {
        let found = format!("sha256:{}", hex(&hash.finish()));
        if found == self.digest { Ok(()) } else { Err(self.mismatch(self.digest.clone(), found)) }
    }

    fn mismatch(&self, expected: String, found: String) -> Error {
        Error::Integrity { what: self.what.as_str().into(), expected: expected.into(), found: found.into() }
    }
}

/// A reader that ends in an error unless its bytes are the expected ones.
pub(crate) struct Verified<R> {
    inner: R,
    expected: Expected,
    /// `None` after the end.
    hash: Option<Sha256>,
    read: u64,
}

impl<R: Read> Verified<R> {
    pub fn new(inner: R, expected: Expected) -> Self {
        Verified { inner, expected, hash: Some(Sha256::new()), read: 0 }
    }
}

impl<R: Read> Read for Verified<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let Some(hash) = &mut self.hash else { return Ok(0) };
        if buf.is_empty() {
            return Ok(0);
        }
        let n = self.inner.read(buf)?;
        self.read += n as u64;
        hash.update(&buf[..n]);
        if n > 0 {
            return Ok(n);
        }
        let hash = self.hash.take().unwrap_or_default();
        let checked = self.expected.check_size(self.read).and_then(|()| self.expected.check_digest(hash));
        checked.map(|()| 0).map_err(io::Error::other)
    }
}
