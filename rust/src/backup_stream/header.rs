//! `WIN32_STREAM_ID`: 20 bytes, a name in UTF-16, and the offset of a sparse block.

use std::fmt;

/// Which kind of data a stream holds. Any number can stand in a stream; the known ones have names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamId(pub u32);

impl StreamId {
    /// The unnamed data of a file.
    pub const DATA: StreamId = StreamId(1);
    /// Extended attributes.
    pub const EA_DATA: StreamId = StreamId(2);
    /// A self-relative security descriptor.
    pub const SECURITY_DATA: StreamId = StreamId(3);
    /// A named data stream.
    pub const ALTERNATE_DATA: StreamId = StreamId(4);
    /// Hard link information.
    pub const LINK: StreamId = StreamId(5);
    /// Property data.
    pub const PROPERTY_DATA: StreamId = StreamId(6);
    /// An object identifier.
    pub const OBJECT_ID: StreamId = StreamId(7);
    /// A reparse buffer.
    pub const REPARSE_DATA: StreamId = StreamId(8);
    /// A piece of a sparse stream, which begins with its offset.
    pub const SPARSE_BLOCK: StreamId = StreamId(9);
    /// Transactional file system data.
    pub const TXFS_DATA: StreamId = StreamId(10);
    /// Extents of a ghosted file.
    pub const GHOSTED_FILE_EXTENTS: StreamId = StreamId(11);

    /// The Windows name without `BACKUP_`, where the id is known.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        Some(match self {
            StreamId::DATA => "DATA",
            StreamId::EA_DATA => "EA_DATA",
            StreamId::SECURITY_DATA => "SECURITY_DATA",
            StreamId::ALTERNATE_DATA => "ALTERNATE_DATA",
            StreamId::LINK => "LINK",
            StreamId::PROPERTY_DATA => "PROPERTY_DATA",
            StreamId::OBJECT_ID => "OBJECT_ID",
            StreamId::REPARSE_DATA => "REPARSE_DATA",
            StreamId::SPARSE_BLOCK => "SPARSE_BLOCK",
            StreamId::TXFS_DATA => "TXFS_DATA",
            StreamId::GHOSTED_FILE_EXTENTS => "GHOSTED_FILE_EXTENTS",
            _ => return None,
        })
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "stream id {}", self.0),
        }
    }
}

/// Bits of `dwStreamAttributes`.
pub mod stream_attributes {
    /// The data changes when it is read.
    pub const MODIFIED_WHEN_READ: u32 = 1;
    /// The stream holds security data.
    pub const CONTAINS_SECURITY: u32 = 2;
    /// The stream holds properties.
    pub const CONTAINS_PROPERTIES: u32 = 4;
    /// The stream is sparse.
    pub const SPARSE: u32 = 8;
    /// The stream holds ghosted extents.
    pub const CONTAINS_GHOSTED_FILE_EXTENTS: u32 = 16;
}

/// One stream header as it stands on the wire.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct StreamHeader {
    /// Kind of stream.
    pub id: StreamId,
    /// Bits of [`stream_attributes`].
    pub attributes: u32,
    /// Bytes of the body, the eight offset bytes of a sparse block included.
    pub size: u64,
    /// Name in UTF-16 units, `:name:$DATA` for a named data stream.
    pub name: Vec<u16>,
    /// Where the data of a sparse block lies in its stream, in bytes.
    pub sparse_offset: Option<u64>,
}

impl StreamHeader {
    /// A stream without name and attributes.
    #[must_use]
    pub fn new(id: StreamId, size: u64) -> Self {
        StreamHeader { id, attributes: 0, size, name: Vec::new(), sparse_offset: None }
    }

    /// A block of a sparse stream with `length` bytes of data.
    #[must_use]
    pub fn sparse_block(offset: u64, length: u64) -> Self {
        let size = length.saturating_add(8);
        StreamHeader { sparse_offset: Some(offset), ..StreamHeader::new(StreamId::SPARSE_BLOCK, size) }
    }

    /// Bytes of data that follow the header: the size without the offset of a sparse block.
    #[must_use]
    pub fn data_size(&self) -> u64 {
        if self.sparse_offset.is_some() { self.size.saturating_sub(8) } else { self.size }
    }

    /// Whether [`stream_attributes::SPARSE`] is set.
    #[must_use]
    pub fn is_sparse(&self) -> bool {
        self.attributes & stream_attributes::SPARSE != 0
    }

    /// Appends the header in wire form, the offset of a sparse block included.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let name_size = u32::try_from(self.name.len() * 2).expect("names are bounded by limits.path");
        out.extend_from_slice(&self.id.0.to_le_bytes());
        out.extend_from_slice(&self.attributes.to_le_bytes());
        out.extend_from_slice(&self.size.to_le_bytes());
        out.extend_from_slice(&name_size.to_le_bytes());
        out.extend(self.name.iter().flat_map(|unit| unit.to_le_bytes()));
        if let Some(offset) = self.sparse_offset {
            out.extend_from_slice(&offset.to_le_bytes());
        }
    }
}
