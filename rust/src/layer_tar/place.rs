//! Where the data of a member lies.

use crate::error::{Error, Format, Result, from_io};
use crate::source::{ReadAt, SparseRange};
use crate::tar::{self, Expander};
use std::sync::Arc;

/// Where the data of a member lies in a source that can be read anywhere.
#[derive(Debug, Clone)]
pub struct DataPlace {
    position: u64,
    stored: u64,
    size: u64,
    /// The ranges that hold data, each with how many bytes of data lie before it in the archive.
    sparse: Option<Arc<[(SparseRange, u64)]>>,
}

impl DataPlace {
    pub(super) fn of(member: &tar::Member) -> Self {
        DataPlace {
            position: member.data_position,
            stored: member.size,
            size: member.real_size,
            sparse: member.sparse.as_deref().map(with_sums),
        }
    }

    /// Makes it the place of no data.
    pub(super) fn clear(&mut self) {
        (self.stored, self.size, self.sparse) = (0, 0, None);
    }

    /// The data in its order, holes included.
    pub(super) fn expander(&self) -> Expander {
        let ranges = match &self.sparse {
            Some(ranges) => ranges.iter().map(|(range, _)| *range).collect(),
            None => vec![SparseRange { offset: 0, length: self.size }],
        };
        Expander::new(ranges, self.size)
    }

    /// Bytes of data, holes included.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Reads some bytes at `offset` of the data; 0 at its end.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Format`] when the source ends first.
    pub fn read_at(&self, source: &dyn ReadAt, offset: u64, buf: &mut [u8]) -> Result<usize> {
        let left = usize::try_from(self.size.saturating_sub(offset)).unwrap_or(usize::MAX);
        let mut n = buf.len().min(left);
        if n == 0 {
            return Ok(0);
        }
        let mut stored_at = offset;
        if let Some(ranges) = &self.sparse {
            let i = ranges.partition_point(|(range, _)| range.offset + range.length <= offset);
            let hole = match ranges.get(i) {
                Some((range, before)) if range.offset <= offset => {
                    n = n.min(usize::try_from(range.offset + range.length - offset).unwrap_or(usize::MAX));
                    stored_at = before + (offset - range.offset);
                    None
                }
                Some((range, _)) => Some(range.offset - offset),
                None => Some(self.size - offset),
            };
            if let Some(hole) = hole {
                n = n.min(usize::try_from(hole).unwrap_or(usize::MAX));
                buf[..n].fill(0);
                return Ok(n);
            }
        }
        debug_assert!(stored_at < self.stored);
        loop {
            match source.read_at(&mut buf[..n], self.position + stored_at) {
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                Err(e) => return Err(from_io(e)),
                Ok(0) => {
                    let error = Error::format(Format::Tar, "data", "more bytes", "the end");
                    return Err(error.at(self.position + stored_at));
                }
                Ok(got) => return Ok(got),
            }
        }
    }
}

/// Sums once, so that a read somewhere does not add up all ranges before it.
fn with_sums(ranges: &[SparseRange]) -> Arc<[(SparseRange, u64)]> {
    let mut sum = 0;
    let with_sum = |range: &SparseRange| {
        let before = sum;
        sum += range.length;
        (*range, before)
    };
    ranges.iter().filter(|range| range.length > 0).map(with_sum).collect()
}
