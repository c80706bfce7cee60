//! Every bound on input, with the attack it stops.

use crate::error::{Error, Limit, Result};

/// Bounds on what a reader takes from its input. Each has a default that every real Windows layer stays under.
///
/// ```
/// let limits = winlayers::limits::Limits { entries: 1_000, ..Default::default() };
/// assert!(limits.check(winlayers::error::Limit::Entries, 1_001).is_err());
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Limits {
    /// UTF-16 units of a path; NT itself allows **32,767**. Stops names that cost memory at each level.
    pub path: u64,
    /// UTF-16 units of a path component; NTFS allows **255**. Stops names that no disk can hold.
    pub component: u64,
    /// Bytes of one PAX header, **1 MiB** as in Go's archive/tar. Stops a header that fills memory.
    pub pax_body: u64,
    /// Bytes of one list of extended attributes, **64 KiB** as on NTFS. Stops lists that fill memory.
    pub extended_attributes: u64,
    /// Bytes of one reparse buffer, **16 KiB** (MAXIMUM_REPARSE_DATA_BUFFER_SIZE) plus its header of at most 24.
    pub reparse_point: u64,
    /// Bytes of one security descriptor, **64 KiB**, which is what the size field of an ACL can hold. Stops descriptors
    /// that fill memory.
    pub security_descriptor: u64,
    /// Named streams of one entry, **4,096**. Stops one file from holding a directory's worth of streams in memory.
    pub streams: u64,
    /// Entries of a layer, **16 million**. Bounds what `verify` and `pack` keep for each entry.
    pub entries: u64,
    /// Bytes of one member, holes included, **1 TiB**. Stops a sparse header from writing zeros for days.
    pub member_bytes: u64,
    /// Bytes of a layer after decompression, **4 TiB**. Stops decompression bombs.
    pub total_bytes: u64,
    /// Sparse ranges of one member, **1 million**. Stops sparse maps that fill memory.
    pub sparse_ranges: u64,
    /// Bytes of one line of tar-split metadata or of a sidecar, or of one JSON document of an image, **4 MiB**. Stops
    /// lines and documents that fill memory.
    pub line: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Limits::DEFAULT
    }
}

impl Limits {
    /// The defaults.
    pub const DEFAULT: Limits = Limits {
        path: 32_767,
        component: 255,
        pax_body: 1 << 20,
        extended_attributes: 64 << 10,
        reparse_point: (16 << 10) + 24,
        security_descriptor: 64 << 10,
        streams: 4_096,
        entries: 16_000_000,
        member_bytes: 1 << 40,
        total_bytes: 4 << 40,
        sparse_ranges: 1_000_000,
        line: 4 << 20,
    };

    /// The largest value that a bound allows.
    #[must_use]
    pub fn of(&self, limit: Limit) -> u64 {
        match limit {
            Limit::Path => self.path,
            Limit::Component => self.component,
            Limit::PaxBody => self.pax_body,
            Limit::ExtendedAttributes => self.extended_attributes,
            Limit::ReparsePoint => self.reparse_point,
            Limit::SecurityDescriptor => self.security_descriptor,
            Limit::Streams => self.streams,
            Limit::Entries => self.entries,
            Limit::MemberBytes => self.member_bytes,
            Limit::TotalBytes => self.total_bytes,
            Limit::SparseRanges => self.sparse_ranges,
            Limit::Line => self.line,
        }
    }

    /// Refuses a size over its bound.
    ///
    /// # Errors
    /// [`Error::Limit`] with the bound, the size and what is allowed.
    pub fn check(&self, limit: Limit, size: u64) -> Result<()> {
        let max = self.of(limit);
        if size > max { Err(Error::limit(limit, size, max)) } else { Ok(()) }
    }
}
