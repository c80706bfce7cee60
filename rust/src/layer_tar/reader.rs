//! A layer tar as entries, one after the other.

use super::decode::{self, Decoded};
use super::entry::{LayerEntry, NamedStream, PlannedStream};
use super::plan;
use crate::error::{Error, Format, Limit, Result, from_io};
use crate::limits::Limits;
use crate::policy::Policy;
use crate::source::{ReadAt, Source, SparseRange};
use crate::tar::{self, Expander, Piece};
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
    fn of(member: &tar::Member) -> Self {
        DataPlace {
            position: member.data_position,
            stored: member.size,
            size: member.real_size,
            sparse: member.sparse.as_deref().map(with_sums),
        }
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

/// The unnamed data of an entry, or one of its named streams.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The stream name without its colon; `None` is the unnamed data.
    pub stream: Option<Vec<u8>>,
    /// Bytes of data, holes included.
    pub size: u64,
}

/// An entry of a source that can be read anywhere, with the places of its data.
#[derive(Debug, Clone)]
pub struct Found {
    /// The entry, its named streams included.
    pub entry: LayerEntry,
    /// The unnamed data first (empty where there is none), then the named streams.
    pub places: Vec<DataPlace>,
    /// Offset of its first header block: where [`LayerReader::starting_in`] finds it again.
    pub position: u64,
    /// Bytes of the global records before that block, of [`LayerReader::global_records`].
    pub globals: u64,
}

struct Pending {
    decoded: Decoded,
    place: DataPlace,
    position: u64,
    globals: u64,
}

/// Reads the entries of an uncompressed layer tar.
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
    tar: tar::Reader,
    policy: Policy,
    limits: Limits,
    pending: Option<Result<Pending>>,
    current: Option<Current>,
    zeros: Vec<u8>,
}

/// The entry that a forward-only reader stands at.
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
    /// [`Error::Io`].
    pub fn new(source: Source, policy: Policy, limits: &Limits) -> Result<Self> {
        let tar = tar::Reader::new(source, limits)?;
        Ok(LayerReader { tar, policy, limits: limits.clone(), pending: None, current: None, zeros: Vec::new() })
    }

    /// A reader in the middle of a tar: at the first header block of a member, with the global records before it.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Format`] for records that are none.
    pub fn starting_in(
        source: Source,
        position: u64,
        global_records: &[u8],
        policy: Policy,
        limits: &Limits,
    ) -> Result<Self> {
        let mut reader = Self::new(source, policy, limits)?;
        reader.tar.start_in(position, global_records)?;
        Ok(reader)
    }

    /// The global records so far, as their headers have them.
    #[must_use]
    pub fn global_records(&self) -> &[u8] {
        self.tar.global_records()
    }

    /// Offset in the tar of the next byte.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.tar.position()
    }

    /// The tar member behind what [`LayerReader::next_entry`] or [`LayerReader::next_part`] returned just now. At the
    /// end of the archive its position is where the end blocks begin, or should.
    #[must_use]
    pub fn member(&self) -> &tar::Member {
        self.tar.member()
    }

    /// How many zero blocks ended the archive: two where it is complete.
    #[must_use]
    pub fn zero_blocks(&self) -> u8 {
        self.tar.zero_blocks()
    }

    /// The source, when it can be read anywhere.
    #[must_use]
    pub fn random_source(&self) -> Option<Arc<dyn ReadAt>> {
        match self.tar.source() {
            Source::Random(bytes) => Some(Arc::clone(bytes)),
            Source::Stream(_) => None,
        }
    }

    /// What follows the end of the archive, a chunk at a time; empty at the end of the source.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn rest(&mut self) -> Result<&[u8]> {
        self.tar.rest()
    }

    /// Takes `n` bytes that [`LayerReader::rest`] showed.
    pub fn consume_rest(&mut self, n: usize) {
        self.tar.consume_rest(n);
    }

    /// The next entry with all its named streams: reads the headers ahead, and no data. For random sources.
    ///
    /// After an error in the records of a member (not in the framing) the next call goes on behind that member.
    ///
    /// # Errors
    /// [`Error::Format`], [`Error::Limit`], [`Error::Refused`], [`Error::Io`].
    pub fn next_found(&mut self) -> Result<Option<Found>> {
        let Some(Pending { decoded, place, position, globals }) = self.next_pending()? else { return Ok(None) };
        let mut places = vec![place];
        let mut streams = Vec::new();
        loop {
            match self.tar.advance() {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    self.pending = Some(Err(error));
                    break;
                }
            }
            let member = self.tar.member();
            let Some(stream) = decode::stream_of(member, &decoded.entry.name) else {
                self.pending = Some(decode_member(member, &self.policy, &self.limits));
                break;
            };
            streams.push(NamedStream { name: stream.to_vec(), size: member.real_size });
            self.limits.check(Limit::Streams, streams.len() as u64).map_err(|e| e.in_member(&decoded.entry.name))?;
            places.push(DataPlace::of(member));
        }
        let entry = decoded.complete(streams, &self.limits)?;
        if entry.data.is_none() {
            // Of a device, say, which a permissive policy lets pass.
            places[0] = DataPlace { stored: 0, size: 0, sparse: None, ..places[0] };
        }
        Ok(Some(Found { entry, places, position, globals }))
    }

    /// As [`LayerReader::next_found`], without a look at what follows: named streams are not known.
    ///
    /// # Errors
    /// As [`LayerReader::next_found`].
    pub fn next_head(&mut self) -> Result<Option<Found>> {
        let Some(Pending { decoded, place, position, globals }) = self.next_pending()? else { return Ok(None) };
        let entry = decoded.partial(&self.limits)?;
        Ok(Some(Found { entry, places: vec![place], position, globals }))
    }

    /// The next entry, over data that was not read. On a forward-only source its named streams are not known yet.
    ///
    /// # Errors
    /// As [`LayerReader::next_found`].
    pub fn next_entry(&mut self) -> Result<Option<LayerEntry>> {
        while self.next_part()?.is_some() {}
        self.current = None;
        let Some(Pending { decoded, place, position, .. }) = self.next_pending()? else { return Ok(None) };
        let entry = decoded.partial(&self.limits)?;
        let ranges = place.sparse.as_deref().map(|ranges| ranges.iter().map(|(range, _)| *range).collect());
        self.current = Some(Current {
            name: entry.name.clone(),
            position,
            recorded: entry.recorded.clone(),
            sizes: vec![entry.size()],
            started: false,
            has_data: entry.data.is_some(),
            data: expander(ranges, place.size),
        });
        Ok(Some(entry))
    }

    /// Goes to the next part of the current entry: its unnamed data, then its named streams in the order of the tar.
    ///
    /// # Errors
    /// As [`LayerReader::next_found`]; at the end of the parts, where an entry tells of other streams than it has.
    pub fn next_part(&mut self) -> Result<Option<Part>> {
        let Some(current) = &mut self.current else { return Ok(None) };
        if !std::mem::replace(&mut current.started, true) && current.has_data {
            return Ok(Some(Part { stream: None, size: current.data.size() }));
        }
        if self.pending.is_some() || !self.tar.advance()? {
            return current.finish().map(|()| None);
        }
        let member = self.tar.member();
        let Some(stream) = decode::stream_of(member, &current.name) else {
            self.pending = Some(decode_member(member, &self.policy, &self.limits));
            return current.finish().map(|()| None);
        };
        self.limits.check(Limit::Streams, current.sizes.len() as u64).map_err(|e| e.in_member(&current.name))?;
        current.sizes.push(member.real_size);
        current.data = expander(member.sparse.clone(), member.real_size);
        Ok(Some(Part { stream: Some(stream.to_vec()), size: member.real_size }))
    }

    /// The next bytes of the current part, holes as zeros; empty at its end.
    ///
    /// # Errors
    /// [`Error::Format`] when the source ends first, [`Error::Io`].
    pub fn data(&mut self) -> Result<&[u8]> {
        let Some(current) = &self.current else { return Ok(&[]) };
        match current.data.peek() {
            Piece::End => Ok(&[]),
            Piece::Hole(n) => {
                self.zeros.resize(64 << 10, 0);
                Ok(&self.zeros[..self.zeros.len().min(usize::try_from(n).unwrap_or(usize::MAX))])
            }
            Piece::Data(n) => {
                let chunk = self.tar.data()?;
                Ok(&chunk[..chunk.len().min(usize::try_from(n).unwrap_or(usize::MAX))])
            }
        }
    }

    /// Takes `n` bytes that [`LayerReader::data`] showed.
    pub fn consume(&mut self, n: usize) {
        let Some(current) = &mut self.current else { return };
        if matches!(current.data.peek(), Piece::Data(_)) {
            self.tar.consume(n);
        }
        current.data.advance(n as u64);
    }

    fn next_pending(&mut self) -> Result<Option<Pending>> {
        if let Some(pending) = self.pending.take() {
            return pending.map(Some);
        }
        if !self.tar.advance()? {
            return Ok(None);
        }
        decode_member(self.tar.member(), &self.policy, &self.limits).map(Some)
    }
}

fn decode_member(member: &tar::Member, policy: &Policy, limits: &Limits) -> Result<Pending> {
    let decoded = decode::decode(member, policy, limits)?;
    let (position, globals) = (member.position, member.globals);
    Ok(Pending { decoded, place: DataPlace::of(member), position, globals })
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

fn expander(ranges: Option<Vec<SparseRange>>, size: u64) -> Expander {
    Expander::new(ranges.unwrap_or_else(|| vec![SparseRange { offset: 0, length: size }]), size)
}
