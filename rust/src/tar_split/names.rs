//! Names in the metadata: which of them are paths inside a directory, and which came before.

use std::collections::HashSet;
use std::hash::{BuildHasher, BuildHasherDefault, Hasher, RandomState};

/// The parts of a member name below the directory that holds the content, or `None` when it leaves it or names it.
///
/// A leading `/` is dropped, as the Go tool's directory getter does; [`disassemble`](super::disassemble) never writes
/// one.
///
/// ```
/// use winlayers::tar_split::relative_name;
/// assert_eq!(relative_name(b"./Files//a.txt"), Some(vec![&b"Files"[..], b"a.txt"]));
/// assert_eq!(relative_name(b"Files/../../a.txt"), None);
/// ```
#[must_use]
pub fn relative_name(name: &[u8]) -> Option<Vec<&[u8]>> {
    let name = &name[name.iter().take_while(|&&b| b == b'/').count()..];
    let parts: Vec<&[u8]> = parts(name).collect();
    (is_inside(name) && !parts.is_empty()).then_some(parts)
}

/// Whether a name is a path inside a directory on every system: relative, without `..`, drive and NUL.
pub(super) fn is_inside(name: &[u8]) -> bool {
    let separator = |b: &u8| matches!(b, b'/' | b'\\');
    let drive = name.len() >= 2 && name[0].is_ascii_alphabetic() && name[1] == b':';
    !name.first().is_some_and(separator)
        && !drive
        && !name.contains(&0)
        && !name.split(separator).any(|part| part == b"..")
}

/// Whether a name is the directory itself, under which no data can lie.
pub(super) fn is_root(name: &[u8]) -> bool {
    parts(name).next().is_none()
}

fn parts(name: &[u8]) -> impl Iterator<Item = &[u8]> {
    name.split(|&b| b == b'/').filter(|part| !matches!(*part, b"" | b"."))
}

/// The names that came before, as keyed hashes: 8 bytes a name, at most 24 with the room a table needs.
///
/// Two names of one hash would only send a member's data into the metadata, and the key keeps an archive from bringing
/// that about.
pub(super) struct Seen {
    key: RandomState,
    /// Many tables, so that only one at a time is twice in memory while it grows.
    tables: Vec<HashSet<u64, BuildHasherDefault<Identity>>>,
}

impl Seen {
    pub fn new() -> Self {
        Seen { key: RandomState::new(), tables: (0..64).map(|_| HashSet::default()).collect() }
    }

    /// Adds a name that [`is_inside`]; `false` when it came before, spelt so or otherwise.
    pub fn insert(&mut self, name: &[u8]) -> bool {
        let mut hasher = self.key.build_hasher();
        for part in parts(name) {
            hasher.write(part);
            hasher.write_u8(b'/');
        }
        let hash = hasher.finish();
        let table = (hash >> 40) as usize % self.tables.len();
        self.tables[table].insert(hash)
    }
}

/// The hash is one already.
#[derive(Default)]
struct Identity(u64);

impl Hasher for Identity {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("only u64 keys are hashed");
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_leave() {
        for name in ["/", "..", "../a", "a/..", "a/../b", "\\a", "a\\..\\..\\b", "C:", "C:a", "c:\\a", "a\0b"] {
            assert!(!is_inside(name.as_bytes()), "{name:?}");
        }
        for name in ["a", "./a", "a/b:stream", "a\\b", "a..b/...", "Files/C:x", "", ".", "a//"] {
            assert!(is_inside(name.as_bytes()), "{name:?}");
        }
        assert_eq!(relative_name(b"//a/./b/"), Some(vec![&b"a"[..], b"b"]));
        for name in ["", ".", "./", "/", "/..", "//C:/a"] {
            assert_eq!(relative_name(name.as_bytes()), None, "{name:?}");
        }
    }

    #[test]
    fn cleaned_names_are_one() {
        let mut seen = Seen::new();
        assert!(seen.insert(b"a/b") && seen.insert(b"a/b/c") && seen.insert(b"ab") && seen.insert(b"."));
        for again in [&b"./a/b"[..], b"a//b", b"a/./b/", b"./"] {
            assert!(!seen.insert(again), "{}", again.escape_ascii());
        }
        assert!(seen.insert(b"A/b"));
    }

    /// A table of n buckets has room for 7/8 n entries of 8 bytes, and a byte of its own for each bucket.
    #[test]
    fn a_name_takes_at_most_24_bytes() {
        let mut seen = Seen::new();
        for i in 0..200_000_u32 {
            assert!(seen.insert(format!("Files/{i}").as_bytes()));
            if i > 50_000 && i % 1000 == 0 {
                let size = |capacity: usize| (capacity * 8 / 7) as u64 * 9;
                let all: u64 = seen.tables.iter().map(|table| size(table.capacity())).sum();
                let growing: u64 = seen.tables.iter().map(|table| size(table.capacity())).max().unwrap() / 2;
                assert!(all + growing <= 24 * u64::from(i), "{all} + {growing} bytes for {i} names");
            }
        }
    }
}
