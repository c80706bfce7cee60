//! The four shapes in which `BackupRead` hands out a sparse stream, brought into one.
//!
//! DATA with the sparse attribute and size 0, then blocks; DATA that holds everything; blocks without DATA; a last
//! block without data whose offset gives the length. A shape that fits none of them (blocks that go back or overlap)
//! is not a sparse stream: [`Collector::push`] returns `false`.

use super::StreamHeader;
use crate::source::SparseRange;

/// Gathers the blocks of one sparse stream.
#[derive(Debug, Default, Clone)]
pub struct Collector {
    ranges: Vec<SparseRange>,
    end: u64,
    closed: bool,
}

impl Collector {
    /// Takes a block; `false` when it does not fit behind those before it.
    pub fn push(&mut self, block: &StreamHeader) -> bool {
        let (Some(offset), length) = (block.sparse_offset, block.data_size()) else { return false };
        let Some(end) = offset.checked_add(length) else { return false };
        if self.closed || offset < self.end || !block.name.is_empty() || i64::try_from(end).is_err() {
            return false;
        }
        self.closed = length == 0;
        self.ranges.push(SparseRange { offset, length });
        self.end = end;
        true
    }

    /// Length of the stream: the end of the last block.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.end
    }

    /// The blocks, the closing one included.
    #[must_use]
    pub fn ranges(&self) -> &[SparseRange] {
        &self.ranges
    }
}
