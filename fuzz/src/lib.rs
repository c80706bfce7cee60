//! What the targets share.

pub mod mutate;

use std::io::{BufReader, Read};
use std::path::Path;
use winlayers::layer_tar::EntryStream;
use winlayers::limits::Limits;

/// Bounds small enough that a target which reads all it is told to, holes too, stays quick.
#[must_use]
pub fn limits() -> Limits {
    Limits { entries: 4096, member_bytes: 1 << 20, total_bytes: 4 << 20, ..Limits::default() }
}

/// All bytes of a backup stream that is made of an entry.
#[must_use]
pub fn read(mut backup: EntryStream<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    backup.read_to_end(&mut bytes).expect("it was accepted before");
    bytes
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
