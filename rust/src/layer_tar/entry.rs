//! One entry of a layer: what Windows knows about a file, a directory, a link or a deletion.

use crate::backup_stream::{StreamHeader, StreamId};
use crate::closed_set::closed_set;
use crate::nt::basic_info::BasicInfo;
use crate::nt::ea::ExtendedAttribute;
use crate::source::SparseRange;

closed_set! {
    /// What an entry is.
    pub enum EntryKind {
        /// A file with data.
        File = "file";
        /// A directory.
        Directory = "directory";
        /// A symbolic link.
        Symlink = "symlink";
        /// A junction (mount point).
        Junction = "junction";
        /// A reparse point of another tag.
        Reparse = "reparse";
        /// Another name of a file in this or in a lower layer.
        HardLink = "hard_link";
        /// A name that is deleted from the layers below.
        Whiteout = "whiteout";
    }
}

/// A named data stream: `name` of `owner:name`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct NamedStream {
    /// The name without its colon and without `:$DATA`, raw bytes as in the tar.
    pub name: Vec<u8>,
    /// Bytes of data, holes included.
    pub size: u64,
}

/// Where the data of a stream is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Body {
    /// Here.
    Inline(Vec<u8>),
    /// In a member: 0 is the entry's own, 1 its first named stream, and so on.
    Member {
        /// Which one.
        index: usize,
        /// Where in its data, in bytes.
        offset: u64,
    },
}

/// One stream of an entry.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PlannedStream {
    /// Its header as on the wire.
    pub header: StreamHeader,
    /// Where its data is.
    pub body: Body,
}

impl PlannedStream {
    pub(super) fn inline(id: StreamId, bytes: Vec<u8>) -> Self {
        PlannedStream { header: StreamHeader::new(id, bytes.len() as u64), body: Body::Inline(bytes) }
    }
}

/// The unnamed data of an entry, even of no bytes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct UnnamedData {
    /// Bytes, holes included.
    pub size: u64,
    /// Where the data lies, when the file is sparse; a range of no bytes says nothing.
    pub sparse_ranges: Option<Vec<SparseRange>>,
}

impl UnnamedData {
    /// Data without holes.
    #[must_use]
    pub fn new(size: u64) -> Self {
        UnnamedData { size, sparse_ranges: None }
    }
}

/// One entry of a layer. Bytes are carried raw: nothing here was encoded anew.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LayerEntry {
    /// The member name, raw bytes.
    pub name: Vec<u8>,
    /// What it is.
    pub kind: EntryKind,
    /// Times and attributes.
    pub basic_info: BasicInfo,
    /// The self-relative security descriptor; `None` where there is none, empty where an empty one was stored.
    pub security_descriptor: Option<Vec<u8>>,
    /// Extended attributes in order, duplicates included.
    pub extended_attributes: Vec<ExtendedAttribute>,
    /// The reparse buffer.
    pub reparse_point: Option<Vec<u8>>,
    /// Link target as the tar has it: of a hard link a member name, of a symlink or junction the print name. Where the
    /// reparse buffer names another target, the lossless dialect keeps both; go-winio's keeps the buffer's.
    pub link_name: Option<Vec<u8>>,
    /// The unnamed data. A file has some; a reparse point may.
    pub data: Option<UnnamedData>,
    /// Whether the mode of a file has the directory bit. The lossless dialect carries a directory with data as such a
    /// file; of other entries the bit says nothing.
    pub directory_mode: bool,
    /// The body of the OBJECT_ID stream.
    pub object_id: Option<Vec<u8>>,
    /// Named streams in order; `None` while a forward-only reader has not reached them.
    pub streams: Option<Vec<NamedStream>>,
    /// The streams of the file in their recorded order, if it differs from the usual one. A forward-only reader cannot
    /// compare the two yet and keeps any order that the tar records.
    pub recorded: Option<Vec<PlannedStream>>,
}

impl LayerEntry {
    /// An entry without metadata: a file of no bytes, anything else without data.
    #[must_use]
    pub fn new(name: impl Into<Vec<u8>>, kind: EntryKind) -> Self {
        LayerEntry {
            name: name.into(),
            kind,
            basic_info: BasicInfo::default(),
            security_descriptor: None,
            extended_attributes: Vec::new(),
            reparse_point: None,
            link_name: None,
            data: (kind == EntryKind::File).then(UnnamedData::default),
            directory_mode: false,
            object_id: None,
            streams: Some(Vec::new()),
            recorded: None,
        }
    }

    /// A directory or a file, whichever its attributes say: an entry to go with a backup stream, which has the rest.
    #[must_use]
    pub fn with_info(name: impl Into<Vec<u8>>, info: BasicInfo) -> Self {
        let kind = if info.attributes.is_directory() { EntryKind::Directory } else { EntryKind::File };
        LayerEntry { basic_info: info, ..LayerEntry::new(name, kind) }
    }

    /// Bytes of the unnamed data, holes included; 0 without any.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.data.as_ref().map_or(0, |data| data.size)
    }

    /// Where the unnamed data lies, when the file is sparse.
    #[must_use]
    pub fn sparse_ranges(&self) -> Option<&[SparseRange]> {
        self.data.as_ref()?.sparse_ranges.as_deref()
    }
}
