//! A layer tar from front to end: its entries, and the data of each while the reader stands at it.

use super::entry::{LayerEntry, PlannedStream};
use super::framing::{Framing, Head};
use super::place::DataPlace;
use super::plan;
use crate::error::Result;
use crate::limits::Limits;
use crate::policy::Policy;
use crate::source::Source;
use crate::tar::{self, Expander, Piece};

/// The unnamed data of an entry, or one of its named streams.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The stream name without its colon; `None` is the unnamed data.
    pub stream: Option<Vec<u8>>,
    /// Bytes of data, holes included.
    pub size: u64,
}

/// Reads the entries of an uncompressed layer tar in one pass, from any source.
///
/// ```
/// use winlayers::layer_tar::{EntryKind, LayerEntry, LayerReader, LayerWriter};
/// use winlayers::source::Source;
/// let mut writer = LayerWriter::new(Vec::new(), Default::default());
/// writer.add(&LayerEntry::new("Files", EntryKind::Directory), vec![])?;
/// let tar = writer.finish()?;
///
/// let mut reader = LayerReader::new(Source::memory(tar), Default::default(), &Default::default())?;
/// assert_eq!(reader.next_entry()?.unwrap().name, b"Files");
/// assert!(reader.next_entry()?.is_none());
/// # Ok::<(), winlayers::error::Error>(())
/// ```
pub struct LayerReader {
    framing: Framing,
    current: Option<Current>,
    zeros: Vec<u8>,
}

/// The entry that the reader stands at.
struct Current {
    name: Vec<u8>,
    position: u64,
    /// What it says of its streams, and their sizes so far: they are compared when all have come.
    recorded: Option<Vec<PlannedStream>>,
    sizes: Vec<u64>,
    started: bool,
    has_data: bool,
    data: Expander,
}

impl Current {
    /// Compares, once, at the end of its parts.
    fn finish(&mut self) -> Result<()> {
        let Some(plan) = self.recorded.take() else { return Ok(()) };
        plan::validate(&plan, &self.sizes).map_err(|e| e.at(self.position).in_member(&self.name))
    }
}

impl LayerReader {
    /// A reader at the start of an uncompressed tar.
    ///
    /// # Errors
    /// [`Error::Io`](crate::error::Error::Io).
    pub fn new(source: Source, policy: Policy, limits: &Limits) -> Result<Self> {
        Ok(LayerReader { framing: Framing::new(source, policy, limits)?, current: None, zeros: Vec::new() })
    }

    /// Offset in the tar of the next byte.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.framing.tar.position()
    }

    /// The tar member behind what [`LayerReader::next_entry`] or [`LayerReader::next_part`] returned just now. At the
    /// end of the archive its position is where the end blocks begin, or should.
    #[must_use]
    pub fn member(&self) -> &tar::Member {
        self.framing.tar.member()
    }

    /// How many zero blocks ended the archive: two where it is complete.
    #[must_use]
    pub fn zero_blocks(&self) -> u8 {
        self.framing.tar.zero_blocks()
    }

    /// What follows the end of the archive, a chunk at a time; empty at the end of the source.
    ///
    /// # Errors
    /// [`Error::Io`](crate::error::Error::Io).
    pub fn rest(&mut self) -> Result<&[u8]> {
        self.framing.tar.rest()
    }

    /// Takes `n` bytes that [`LayerReader::rest`] showed.
    pub fn consume_rest(&mut self, n: usize) {
        self.framing.tar.consume_rest(n);
    }

    /// The next entry, over data that was not read. Its named streams are not known yet.
    ///
    /// After an error in the records of a member (not in the framing) the next call goes on behind that member.
    ///
    /// # Errors
    /// What the format, the policy and the limits refuse, and [`Error::Io`](crate::error::Error::Io).
    pub fn next_entry(&mut self) -> Result<Option<LayerEntry>> {
        while self.next_part()?.is_some() {}
        self.current = None;
        let Some(Head { decoded, place, position, .. }) = self.framing.next()? else { return Ok(None) };
        let entry = decoded.partial(&self.framing.limits)?;
        self.current = Some(Current {
            name: entry.name.clone(),
            position,
            recorded: entry.recorded.clone(),
            sizes: vec![entry.size()],
            started: false,
            has_data: entry.data.is_some(),
            data: place.expander(),
        });
        Ok(Some(entry))
    }

    /// Goes to the next part of the current entry: its unnamed data, then its named streams in the order of the tar.
    ///
    /// # Errors
    /// As [`LayerReader::next_entry`]; at the end of the parts, where an entry tells of other streams than it has.
    pub fn next_part(&mut self) -> Result<Option<Part>> {
        let Some(current) = &mut self.current else { return Ok(None) };
        if !std::mem::replace(&mut current.started, true) && current.has_data {
            return Ok(Some(Part { stream: None, size: current.data.size() }));
        }
        if !self.framing.advance()? {
            return current.finish().map(|()| None);
        }
        let Some(stream) = self.framing.stream_of(&current.name, current.sizes.len() - 1)? else {
            return current.finish().map(|()| None);
        };
        current.sizes.push(stream.size);
        current.data = DataPlace::of(self.framing.tar.member()).expander();
        Ok(Some(Part { stream: Some(stream.name), size: stream.size }))
    }

    /// The next bytes of the current part, holes as zeros; empty at its end.
    ///
    /// # Errors
    /// [`Error::Format`](crate::error::Error::Format) when the source ends first,
    /// [`Error::Io`](crate::error::Error::Io).
    pub fn data(&mut self) -> Result<&[u8]> {
        let Some(current) = &self.current else { return Ok(&[]) };
        match current.data.peek() {
            Piece::End => Ok(&[]),
            Piece::Hole(n) => {
                self.zeros.resize(64 << 10, 0);
                Ok(&self.zeros[..self.zeros.len().min(usize::try_from(n).unwrap_or(usize::MAX))])
            }
            Piece::Data(n) => {
                let chunk = self.framing.tar.data()?;
                Ok(&chunk[..chunk.len().min(usize::try_from(n).unwrap_or(usize::MAX))])
            }
        }
    }

    /// Takes `n` bytes that [`LayerReader::data`] showed.
    pub fn consume(&mut self, n: usize) {
        let Some(current) = &mut self.current else { return };
        if matches!(current.data.peek(), Piece::Data(_)) {
            self.framing.tar.consume(n);
        }
        current.data.advance(n as u64);
    }
}
