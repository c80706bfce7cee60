//! File attributes: the 32 bits that say hidden, directory, reparse point and so on.

use std::fmt;

/// File attributes (`FILE_ATTRIBUTE_*`). Bits without a name are kept.
///
/// ```
/// use winlayers::nt::FileAttributes;
/// let attributes = FileAttributes::DIRECTORY | FileAttributes::REPARSE_POINT;
/// assert!(attributes.contains(FileAttributes::DIRECTORY));
/// assert_eq!(attributes.to_string(), "DIRECTORY|REPARSE_POINT");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct FileAttributes(pub u32);

macro_rules! attributes {
    ($($name:ident = $value:literal, $doc:literal;)+) => {
        impl FileAttributes {
            $(#[doc = $doc] pub const $name: FileAttributes = FileAttributes($value);)+

            /// Every named attribute with its Windows name, by value.
            pub const NAMES: &'static [(&'static str, FileAttributes)] = &[$((stringify!($name), Self::$name)),+];
        }
    };
}

attributes! {
    READONLY = 0x1, "May not be written or deleted.";
    HIDDEN = 0x2, "Left out of ordinary listings.";
    SYSTEM = 0x4, "Used by the operating system.";
    DIRECTORY = 0x10, "A directory, or a symlink or junction to one.";
    ARCHIVE = 0x20, "Changed since the last backup.";
    DEVICE = 0x40, "Reserved for system use.";
    NORMAL = 0x80, "No other attribute is set.";
    TEMPORARY = 0x100, "Short-lived data.";
    SPARSE_FILE = 0x200, "Has holes that take no space.";
    REPARSE_POINT = 0x400, "Carries a reparse buffer.";
    COMPRESSED = 0x800, "Compressed by the file system.";
    OFFLINE = 0x1000, "The data is not on this disk.";
    NOT_CONTENT_INDEXED = 0x2000, "Left out by the indexer.";
    ENCRYPTED = 0x4000, "Encrypted by the file system.";
    INTEGRITY_STREAM = 0x8000, "ReFS keeps checksums of the data.";
    VIRTUAL = 0x1_0000, "Reserved for system use.";
    NO_SCRUB_DATA = 0x2_0000, "ReFS does not scrub the data.";
    EA = 0x4_0000, "Has extended attributes (or RECALL_ON_OPEN, in directory listings).";
    PINNED = 0x8_0000, "Kept on this disk by cloud software.";
    UNPINNED = 0x10_0000, "Not kept on this disk by cloud software.";
    RECALL_ON_DATA_ACCESS = 0x40_0000, "Reading fetches the data from elsewhere.";
}

impl FileAttributes {
    /// Whether all bits of `other` are set.
    #[must_use]
    pub fn contains(self, other: FileAttributes) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether it is a directory, or a link to one.
    #[must_use]
    pub fn is_directory(self) -> bool {
        self.contains(Self::DIRECTORY)
    }

    /// Whether it carries a reparse buffer.
    #[must_use]
    pub fn is_reparse_point(self) -> bool {
        self.contains(Self::REPARSE_POINT)
    }

    /// The Windows names of the set bits, by value; bits without a name are left out.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Self::NAMES.iter().filter(move |(_, bit)| self.contains(*bit)).map(|(name, _)| *name)
    }

    /// The set bits that have no name.
    #[must_use]
    pub fn unnamed(self) -> FileAttributes {
        FileAttributes(Self::NAMES.iter().fold(self.0, |rest, (_, bit)| rest & !bit.0))
    }
}

impl std::ops::BitOr for FileAttributes {
    type Output = FileAttributes;

    fn bitor(self, other: FileAttributes) -> FileAttributes {
        FileAttributes(self.0 | other.0)
    }
}

impl std::ops::BitOrAssign for FileAttributes {
    fn bitor_assign(&mut self, other: FileAttributes) {
        self.0 |= other.0;
    }
}

/// The names joined by `|`, then bits without a name in hexadecimal; `0` when nothing is set.
impl fmt::Display for FileAttributes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts: Vec<String> = self.names().map(str::to_owned).collect();
        let rest = self.unnamed().0;
        if rest != 0 || parts.is_empty() {
            parts.push(if rest == 0 { "0".to_owned() } else { format!("{rest:#x}") });
        }
        f.write_str(&parts.join("|"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_distinct_single_bits_in_order() {
        assert!(FileAttributes::NAMES.windows(2).all(|pair| pair[0].1 < pair[1].1));
        assert!(FileAttributes::NAMES.iter().all(|(_, bit)| bit.0.is_power_of_two()));
    }

    #[test]
    fn unnamed_bits_are_shown() {
        assert_eq!(FileAttributes(0).to_string(), "0");
        assert_eq!(FileAttributes(0x8000_0008).to_string(), "0x80000008");
        assert_eq!(FileAttributes(0x21 | 0x8).to_string(), "READONLY|ARCHIVE|0x8");
    }
}
