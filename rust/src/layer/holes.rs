//! Holes that a recorded stream order tells of, in data that the tar has whole. They must be zeros: no backup stream
//! has what lies in them.

use crate::layer_tar::{Body, LayerEntry};
use crate::source::SparseRange;
use crate::tar::{Expander, Member, Piece};
use std::collections::HashMap;

/// Where the data of each part of an entry lies, of those that the recorded order has in blocks.
pub(super) struct RecordedBlocks(HashMap<usize, Vec<SparseRange>>);

impl RecordedBlocks {
    pub fn of(entry: &LayerEntry) -> Self {
        let mut blocks: HashMap<usize, Vec<SparseRange>> = HashMap::new();
        for stream in entry.recorded.iter().flatten() {
            if let (Body::Member { index, offset }, Some(_)) = (&stream.body, stream.header.sparse_offset) {
                let range = SparseRange { offset: *offset, length: stream.header.data_size() };
                blocks.entry(*index).or_default().push(range);
            }
        }
        RecordedBlocks(blocks)
    }

    /// The holes of a part, 0 for the unnamed data, 1 for the first named stream, ..., that is in `member`.
    pub fn holes(&mut self, part: usize, member: &Member) -> Holes {
        let told = self.0.remove(&part).map(|blocks| Expander::new(blocks, member.real_size));
        let mut holes = Holes { told, position: 0, data: None };
        // A tar may say itself where a member has data: its holes may be too long to be looked at.
        if let Some(ranges) = &member.sparse {
            for range in ranges {
                holes.pass_piece(range.offset - holes.position, |_, _| None);
                holes.pass_piece(range.length, |_, _| Some(0));
            }
            holes.told = None;
        }
        holes
    }
}

/// The holes of one part, whose data comes by.
#[derive(Default)]
pub(super) struct Holes {
    told: Option<Expander>,
    position: u64,
    data: Option<u64>,
}

impl Holes {
    /// Whether there may be holes among the bytes that follow.
    pub fn is_told(&self) -> bool {
        self.told.is_some()
    }

    /// Looks at the next bytes of the part.
    pub fn pass(&mut self, bytes: &[u8]) {
        self.pass_piece(bytes.len() as u64, |start, length| {
            bytes[start as usize..(start + length) as usize].iter().position(|&byte| byte != 0).map(|at| at as u64)
        });
    }

    /// Where the first data in a hole lies.
    pub fn data(&self) -> Option<u64> {
        self.data
    }

    /// Goes on by `n` bytes; `data_in` finds data in a piece of them that lies in a hole.
    fn pass_piece(&mut self, n: u64, data_in: impl Fn(u64, u64) -> Option<u64>) {
        let Some(told) = &mut self.told else { return };
        let mut done = 0;
        while done < n {
            let (length, in_hole) = match told.peek() {
                Piece::End => return,
                Piece::Hole(length) => (length.min(n - done), true),
                Piece::Data(length) => (length.min(n - done), false),
            };
            if in_hole && self.data.is_none() {
                self.data = data_in(done, length).map(|at| self.position + at);
            }
            told.advance(length);
            self.position += length;
            done += length;
        }
    }
}
