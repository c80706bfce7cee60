//! What a layer changes in the layers below it.

use crate::closed_set::closed_set;
use std::fmt;
use std::ops::{BitOr, BitOrAssign};

/// One path that a layer adds, modifies or deletes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// As in a layer tar, with its root: `Files/Windows/x.dll`.
    pub path: Vec<u8>,
    /// What happens to it.
    pub kind: ChangeKind,
    /// What of it is new; empty for what is deleted.
    pub what: What,
    /// Bytes of unnamed data that the layer itself has for it; 0 for all but files.
    pub size: u64,
}

closed_set! {
    /// What happens to a path.
    pub enum ChangeKind {
        /// No layer below has it.
        Add = "add";
        /// A layer below has it.
        Modify = "modify";
        /// A layer below has it, and it is gone.
        Delete = "delete";
    }
}

/// A set of the sides that a file has.
///
/// ```
/// use winlayers::view::What;
/// let what = What::DATA | What::TIMES;
/// assert_eq!(what.words().collect::<Vec<_>>(), ["data", "times"]);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct What(u8);

const WORDS: [(What, &str); 6] = [
    (What::DATA, "data"),
    (What::ATTRIBUTES, "attributes"),
    (What::SECURITY, "security"),
    (What::TIMES, "times"),
    (What::STREAMS, "streams"),
    (What::LINKS, "links"),
];

impl What {
    /// The unnamed data; where a link points to.
    pub const DATA: What = What(1);
    /// The attributes, the kind, the extended attributes.
    pub const ATTRIBUTES: What = What(2);
    /// The security descriptor.
    pub const SECURITY: What = What(4);
    /// Creation, last access, last write, change.
    pub const TIMES: What = What(8);
    /// The named streams.
    pub const STREAMS: What = What(16);
    /// Which names share one file.
    pub const LINKS: What = What(32);

    /// Whether all of `other` is in it.
    #[must_use]
    pub fn has(self, other: What) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether nothing is in it.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The words for what is in it.
    pub fn words(self) -> impl Iterator<Item = &'static str> {
        WORDS.into_iter().filter(move |(what, _)| self.has(*what)).map(|(_, word)| word)
    }
}

impl BitOr for What {
    type Output = What;

    fn bitor(self, other: What) -> What {
        What(self.0 | other.0)
    }
}

impl BitOrAssign for What {
    fn bitor_assign(&mut self, other: What) {
        self.0 |= other.0;
    }
}

impl fmt::Debug for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.words()).finish()
    }
}
