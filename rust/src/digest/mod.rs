//! SHA-256 for diff IDs and contents and CRC-64 for tar-split, with readers and writers that compute or verify them.

pub(crate) mod hashing;
mod verified;

pub(crate) use hashing::{HashedSink, Tee, copy_hashed, digest, front_to_back};
pub(crate) use verified::{Expected, Verified};

use crc_fast::{CrcAlgorithm, Digest as CrcDigest};
use sha2::Digest as _;
use std::io;

/// SHA-256, by the processor's own instructions if it has them.
///
/// ```
/// use winlayers::digest::{Sha256, hex};
/// let mut hash = Sha256::new();
/// hash.update(b"a");
/// hash.update(b"bc");
/// assert_eq!(hex(&hash.finish()), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
/// ```
#[derive(Clone, Default)]
pub struct Sha256(sha2::Sha256);

impl Sha256 {
    /// A hash of nothing so far.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The hash of everything so far.
    #[must_use]
    pub fn finish(self) -> [u8; 32] {
        self.0.finalize().into()
    }
}

impl io::Write for Sha256 {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.update(buf);
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// CRC-64 with the ISO polynomial as Go's `hash/crc64` computes it, which is what tar-split stores, big-endian.
///
/// ```
/// use winlayers::digest::Crc64;
/// let mut crc = Crc64::new();
/// crc.update(b"1234");
/// crc.update(b"56789");
/// assert_eq!(crc.finish(), 0xb909_56c7_75a4_1001);
/// ```
#[derive(Clone)]
pub struct Crc64(CrcDigest);

impl Crc64 {
    /// A checksum of nothing so far.
    #[must_use]
    pub fn new() -> Self {
        Crc64(CrcDigest::new(CrcAlgorithm::Crc64GoIso))
    }

    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The checksum of everything so far.
    #[must_use]
    pub fn finish(&self) -> u64 {
        self.0.finalize()
    }
}

impl Default for Crc64 {
    fn default() -> Self {
        Self::new()
    }
}

/// Bytes in lower-case hexadecimal.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a String takes everything");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `hash/crc64` of Go 1.26 over the bytes `i * i >> 3`.
    #[test]
    fn crc64_agrees_with_go() {
        let data: Vec<u8> = (0..100_000u32).map(|i| (i.wrapping_mul(i) >> 3) as u8).collect();
        for (len, expected) in GO_CRC64 {
            for step in [1, 7, 4096, usize::MAX] {
                let mut crc = Crc64::new();
                data[..len].chunks(step.min(len.max(1))).for_each(|chunk| crc.update(chunk));
                assert_eq!(crc.finish(), expected, "length {len}, step {step}");
            }
        }
    }

    const GO_CRC64: [(usize, u64); 6] = [
        (0, 0),
        (1, 0x6f90_0000_0000_0000),
        (15, 0x0274_5a1d_21b1_1229),
        (255, 0x3280_6272_ae2b_d18a),
        (4097, 0x66f0_a6b9_1e71_407a),
        (100_000, 0xe62a_f896_eba7_7ec9),
    ];

    #[test]
    fn sha256_agrees_with_nist() {
        let mut hash = Sha256::new();
        (0..1000).for_each(|_| hash.update(&[b'a'; 1000]));
        // FIPS 180-2, appendix B.3: a million times `a`.
        assert_eq!(hex(&hash.finish()), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    }
}
