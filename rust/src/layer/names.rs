//! Which names were seen, in at most 24 bytes each: keyed hashes of names as NTFS compares them.
//!
//! A hash has 56 bits. In a layer of a million entries one pair of names would be taken for one name in some 140,000
//! layers; the key is random, so that nobody can make such a pair.

use crate::error::{Limit, Result};
use crate::layer_name::trimmed;
use crate::limits::Limits;
use crate::nt::name::fold_into;
use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, BuildHasherDefault, Hasher, RandomState};

/// What is known about a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Known(u16);

impl Known {
    pub const SEEN: Known = Known(1);
    pub const DIRECTORY: Known = Known(2);
    /// It cannot be the target of a hard link.
    pub const UNLINKABLE: Known = Known(4);
    /// It is the parent of a member that came before it.
    pub const PARENT_WANTED: Known = Known(8);
    /// It is the target of a hard link that came before it.
    pub const LINK_WANTED: Known = Known(16);
    /// Ten bits of the hash of the exact spelling.
    const SPELLING: u16 = 0xffc0;

    pub fn has(self, other: Known) -> bool {
        self.0 & other.0 == other.0
    }

    pub fn add(&mut self, other: Known) {
        self.0 |= other.0;
    }
}

/// A name, hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NameHash {
    shard: usize,
    key: [u8; 7],
    spelling: u16,
}

#[derive(Default)]
pub(super) struct KeyIsHash(u64);

impl Hasher for KeyIsHash {
    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = self.0 << 8 | u64::from(byte);
        }
    }

    fn finish(&self) -> u64 {
        // The table takes a tag from the uppermost bits, which the 56 of the key leave empty.
        self.0 ^ self.0 << 8
    }
}

type Shard = HashMap<[u8; 7], [u8; 2], BuildHasherDefault<KeyIsHash>>;

/// The names of a layer.
///
/// Sharded, so that a rehash doubles one shard of the table, not the whole.
pub(super) struct Names {
    shards: Vec<Shard>,
    keys: RandomState,
    len: u64,
    limits: Limits,
    folded: Vec<u8>,
}

impl Names {
    pub fn new(limits: &Limits) -> Self {
        Names {
            shards: vec![Shard::default(); 256],
            keys: RandomState::new(),
            len: 0,
            limits: limits.clone(),
            folded: Vec::new(),
        }
    }

    /// The hash of a name; a slash at its end does not count.
    pub fn hash(&mut self, name: &[u8]) -> NameHash {
        let name = trimmed(name);
        fold_into(name, &mut self.folded);
        let [shard, key @ ..] = self.keys.hash_one(self.folded.as_slice()).to_le_bytes();
        let spelling = self.keys.hash_one(name).to_le_bytes();
        let spelling = u16::from_le_bytes([spelling[0], spelling[1]]) & Known::SPELLING;
        NameHash { shard: usize::from(shard), key, spelling }
    }

    /// What is known about a name so far.
    pub fn get(&self, name: NameHash) -> Known {
        self.shards[name.shard].get(&name.key).map_or(Known::default(), |bytes| Known(u16::from_le_bytes(*bytes)))
    }

    /// Whether the name was seen in the very same spelling.
    pub fn same_spelling(&self, name: NameHash) -> bool {
        self.get(name).0 & Known::SPELLING == name.spelling
    }

    /// How many names there are of which `what` holds.
    pub fn count(&self, what: impl Fn(Known) -> bool) -> u64 {
        let known = self.shards.iter().flat_map(HashMap::values).map(|bytes| Known(u16::from_le_bytes(*bytes)));
        known.filter(|known| what(*known)).count() as u64
    }

    /// Learns more about a name.
    ///
    /// # Errors
    /// [`Limit::Entries`] when there are too many names.
    pub fn learn(&mut self, name: NameHash, what: Known) -> Result<()> {
        let slot = self.shards[name.shard].entry(name.key).or_insert_with(|| {
            self.len += 1;
            [0; 2]
        });
        let mut known = Known(u16::from_le_bytes(*slot));
        if what.has(Known::SEEN) && !known.has(Known::SEEN) {
            known.0 |= name.spelling;
        }
        known.add(what);
        *slot = known.0.to_le_bytes();
        self.limits.check(Limit::Entries, self.len)
    }
}

/// Names in their very spelling: keyed hashes of 64 bits.
pub(super) struct ExactNames {
    hashes: HashSet<u64>,
    keys: RandomState,
}

impl ExactNames {
    pub fn new() -> Self {
        ExactNames { hashes: HashSet::new(), keys: RandomState::new() }
    }

    /// Adds a name; `false` when it was there. A slash at its end does not count.
    pub fn insert(&mut self, name: &[u8], limits: &Limits) -> Result<bool> {
        let new = self.hashes.insert(self.hash(name));
        limits.check(Limit::Entries, self.hashes.len() as u64)?;
        Ok(new)
    }

    pub fn contains(&self, name: &[u8]) -> bool {
        self.hashes.contains(&self.hash(name))
    }

    fn hash(&self, name: &[u8]) -> u64 {
        self.keys.hash_one(trimmed(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_compared_as_ntfs_does() {
        let mut names = Names::new(&Limits::default());
        let a = names.hash("Files/straße/ÿ".as_bytes());
        names.learn(a, Known::SEEN).unwrap();
        let b = names.hash("FILES/STRAßE/Ÿ/".as_bytes());
        assert!(names.get(b).has(Known::SEEN) && !names.same_spelling(b) && names.same_spelling(a));
        let c = names.hash("Files/STRASSE/ÿ".as_bytes());
        assert_eq!(names.get(c), Known::default());
    }

    #[test]
    fn no_two_of_many_names_are_one() {
        let mut names = Names::new(&Limits::default());
        for i in 0..200_000 {
            let hash = names.hash(format!("Files/{i}").as_bytes());
            assert_eq!(names.get(hash), Known::default());
            names.learn(hash, Known::SEEN).unwrap();
        }
        let bytes: usize = names.shards.iter().map(|shard| (shard.capacity() * 8 / 7).next_power_of_two() * 10).sum();
        assert!(bytes <= 24 * 200_000, "{bytes}");
    }

    #[test]
    fn they_are_bounded() {
        let mut names = Names::new(&Limits { entries: 1, ..Limits::default() });
        let (a, b) = (names.hash(b"a"), names.hash(b"b"));
        names.learn(a, Known::SEEN).unwrap();
        assert_eq!(names.learn(b, Known::SEEN).unwrap_err().code(), "limit_entries");
    }
}
