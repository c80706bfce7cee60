//! What the targets share.

use libfuzzer_sys::fuzzer_mutate;
use std::io::{BufReader, Read};
use std::path::Path;
use winlayers::layer_tar::{BackupStream, MemberData};
use winlayers::limits::Limits;

/// Bounds small enough that a target which reads all it is told to, holes too, stays quick.
#[must_use]
pub fn limits() -> Limits {
    Limits { entries: 4096, member_bytes: 1 << 20, total_bytes: 4 << 20, ..Limits::default() }
}

/// Changes an input that is a tar from byte `start` on as libFuzzer does, and, but for one time in eight, puts the
/// checksums of its headers right: else a reader sees no more than that nearly every changed header is a bad one.
pub fn mutate_tar(start: usize, data: &mut [u8], size: usize, max_size: usize, seed: u32) -> usize {
    let size = fuzzer_mutate(data, size, max_size);
    if !seed.is_multiple_of(8) {
        mend_checksums(&mut data[start.min(size)..size]);
    }
    size
}

/// A header is known by its magic; data that looks like one may be changed as well as any other.
fn mend_checksums(tar: &mut [u8]) {
    for block in tar.as_chunks_mut::<512>().0 {
        if block[257..262] == *b"ustar" {
            block[148..156].fill(b' ');
            let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
            block[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        }
    }
}

/// All bytes of a backup stream that is made of an entry.
#[must_use]
pub fn read(mut backup: BackupStream, data: &mut dyn MemberData) -> Vec<u8> {
    let (mut bytes, mut chunk) = (Vec::new(), [0; 1000]);
    loop {
        let n = backup.read(data, &mut chunk).expect("it was accepted before");
        if n == 0 {
            return bytes;
        }
        bytes.extend_from_slice(&chunk[..n]);
    }
}

/// The names in a folder, in order.
#[must_use]
pub fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).expect("a folder");
    let mut names: Vec<_> =
        entries.map(|entry| entry.expect("a folder").file_name().into_string().expect("UTF-8")).collect();
    names.sort();
    names
}

/// The input in pieces of at most `size` bytes, as a slow pipe would give it.
#[must_use]
pub fn in_pieces(bytes: &[u8], size: u8) -> BufReader<Box<dyn Read + Send>> {
    let pieces = Pieces { bytes: bytes.to_vec(), at: 0, size: usize::from(size).max(1) };
    BufReader::with_capacity(pieces.size, Box::new(pieces))
}

struct Pieces {
    bytes: Vec<u8>,
    at: usize,
    size: usize,
}

impl Read for Pieces {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        let rest = &self.bytes[self.at..];
        let n = rest.len().min(self.size).min(buf.len());
        buf[..n].copy_from_slice(&rest[..n]);
        self.at += n;
        Ok(n)
    }
}
