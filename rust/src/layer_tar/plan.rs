//! The streams of one entry in order, and where the bytes of each are: the bridge between backup streams and members.
//!
//! A plan is what a backup stream is made from on the way out, and what it is compared with on the way in: only where
//! the records of a tar would give another plan is it written down (`WINLAYERS.streams`).

mod text;

pub(super) use text::{PlanText, to_text};

use super::entry::{Body, LayerEntry, NamedStream, PlannedStream};
use crate::backup_stream::sparse::Collector;
use crate::backup_stream::{StreamHeader, StreamId, stream_attributes};
use crate::error::{Error, Format, Result};
use crate::nt::{ea, name};

/// The plan that follows from the fields of an entry alone: SECURITY, EA, REPARSE, OBJECT_ID, DATA, named streams.
pub(super) fn usual(entry: &LayerEntry) -> Result<Vec<PlannedStream>> {
    let mut plan = Vec::new();
    if let Some(sd) = entry.security_descriptor.as_ref().filter(|sd| !sd.is_empty()) {
        plan.push(PlannedStream::inline(StreamId::SECURITY_DATA, sd.clone()));
    }
    if !entry.extended_attributes.is_empty() {
        plan.push(PlannedStream::inline(StreamId::EA_DATA, ea::encode(&entry.extended_attributes)?));
    }
    if let Some(reparse) = &entry.reparse_point {
        plan.push(PlannedStream::inline(StreamId::REPARSE_DATA, reparse.clone()));
    }
    if let Some(id) = &entry.object_id {
        plan.push(PlannedStream::inline(StreamId::OBJECT_ID, id.clone()));
    }
    if let Some(data) = &entry.data {
        let mut header = StreamHeader::new(StreamId::DATA, data.size);
        if let Some(ranges) = &data.sparse_ranges {
            (header.size, header.attributes) = (0, stream_attributes::SPARSE);
            plan.push(PlannedStream { header, body: Body::Member { index: 0, offset: 0 } });
            let blocks = ranges.iter().filter(|range| range.length > 0);
            plan.extend(blocks.map(|range| block(0, range.offset, range.length)));
            // An empty sparse file has no blocks at all; another ends with a block that tells its length.
            if data.size > 0 {
                plan.push(block(0, data.size, 0));
            }
        } else {
            plan.push(PlannedStream { header, body: Body::Member { index: 0, offset: 0 } });
        }
    }
    for (i, stream) in entry.streams.iter().flatten().enumerate() {
        plan.push(alternate(&stream.name, stream.size, i + 1));
    }
    Ok(plan)
}

/// Bytes of the members of an entry: its own data, then its named streams as far as they are known.
pub(super) fn sizes(entry: &LayerEntry) -> Vec<u64> {
    [entry.size()].into_iter().chain(entry.streams.iter().flatten().map(|stream| stream.size)).collect()
}

pub(super) fn block(index: usize, offset: u64, length: u64) -> PlannedStream {
    PlannedStream { header: StreamHeader::sparse_block(offset, length), body: Body::Member { index, offset } }
}

pub(super) fn alternate(stream: &[u8], size: u64, index: usize) -> PlannedStream {
    let header = StreamHeader { name: wire_name(stream), ..StreamHeader::new(StreamId::ALTERNATE_DATA, size) };
    PlannedStream { header, body: Body::Member { index, offset: 0 } }
}

/// `:name:$DATA` for the stream name of a member; bytes that are no WTF-8 become U+FFFD, as in Go.
pub(super) fn wire_name(stream: &[u8]) -> Vec<u16> {
    let units =
        name::utf16_from_wtf8(stream).unwrap_or_else(|| String::from_utf8_lossy(stream).encode_utf16().collect());
    let colon = u16::from(b':');
    [colon].into_iter().chain(units).chain(":$DATA".encode_utf16()).collect()
}

/// The member's stream name for `:name:$DATA`, when it gives the same wire name back and names one file only.
pub(super) fn member_stream_name(wire: &[u16]) -> Option<Vec<u8>> {
    let inner = wire.strip_prefix(&[u16::from(b':')])?;
    let suffix: Vec<u16> = ":$DATA".encode_utf16().collect();
    let inner = inner.strip_suffix(suffix.as_slice())?;
    let odd = |unit: &u16| [u16::from(b':'), u16::from(b'/'), u16::from(b'\\'), 0].contains(unit);
    if inner.is_empty() || inner.iter().any(odd) { None } else { Some(name::wtf8_from_utf16(inner)) }
}

/// Gives the streams of a recorded plan the names of their members.
pub(super) fn name_members(plan: &mut [PlannedStream], streams: &[NamedStream]) {
    for stream in plan {
        if let (Body::Member { index, .. }, StreamId::ALTERNATE_DATA) = (&stream.body, stream.header.id)
            && let Some(named) = index.checked_sub(1).and_then(|i| streams.get(i))
        {
            stream.header.name = wire_name(&named.name);
        }
    }
}

/// Takes into an entry what only a recorded plan tells: sparse ranges and object id.
pub(super) fn adopt(plan: &[PlannedStream], entry: &mut LayerEntry) {
    let mut ranges = Vec::new();
    let mut blocks = false;
    for stream in plan {
        let header = &stream.header;
        match &stream.body {
            Body::Member { index: 0, .. } if header.id == StreamId::DATA && header.size == 0 && header.is_sparse() => {
                blocks = true;
            }
            Body::Member { index: 0, offset } if header.sparse_offset.is_some() => {
                blocks = true;
                let length = stream.header.data_size();
                if length > 0 {
                    ranges.push(crate::source::SparseRange { offset: *offset, length });
                }
            }
            Body::Inline(bytes) if stream.header.id == StreamId::OBJECT_ID && entry.object_id.is_none() => {
                entry.object_id = Some(bytes.clone());
            }
            _ => {}
        }
    }
    if let Some(data) = entry.data.as_mut().filter(|_| blocks) {
        data.sparse_ranges = Some(ranges);
    }
}

/// Tells which streams of a sequence are in members of the tar: the first DATA, named ones whose name a member can
/// have, and the blocks of both.
pub(super) struct Placing {
    has_main: bool,
    /// The member whose blocks may follow.
    open: Option<(usize, Collector)>,
    /// Of the entry, then of its named streams so far.
    sizes: Vec<u64>,
}

impl Placing {
    pub fn new() -> Self {
        Placing { has_main: false, open: None, sizes: vec![0] }
    }

    /// The member that has the data of the next stream, and where in it; `None` when that stays beside its header.
    /// `is_named`: whether a member can have its name.
    pub fn place(&mut self, header: &StreamHeader, is_named: bool) -> Option<(usize, u64)> {
        if header.id == StreamId::SPARSE_BLOCK {
            if self.open.is_none() && !self.has_main {
                self.has_main = true;
                self.open = Some((0, Collector::default()));
            }
            let (index, mut collector) = self.open.take()?;
            if !collector.push(header) {
                return None;
            }
            self.sizes[index] = collector.size();
            self.open = Some((index, collector));
            return Some((index, header.sparse_offset.unwrap_or(0)));
        }
        self.open = None;
        let index = match header.id {
            StreamId::DATA if !self.has_main && header.name.is_empty() => {
                self.has_main = true;
                0
            }
            StreamId::ALTERNATE_DATA if is_named => {
                self.sizes.push(0);
                self.sizes.len() - 1
            }
            _ => return None,
        };
        self.sizes[index] = header.size;
        if header.is_sparse() && header.size == 0 {
            self.open = Some((index, Collector::default()));
        }
        Some((index, 0))
    }

    /// Bytes of a member, as far as its streams came.
    pub fn size(&self, index: usize) -> u64 {
        self.sizes[index]
    }
}

/// Checks that a recorded plan has its streams where a writer puts them, and that they tell all data of the members
/// (`sizes`: the entry, then its named streams).
pub(super) fn validate(plan: &[PlannedStream], sizes: &[u64]) -> Result<()> {
    let wrong = |expected: String, found: String| Error::format(Format::LayerTar, "WINLAYERS.streams", expected, found);
    let mut placing = Placing::new();
    for PlannedStream { header, body } in plan {
        let told = match body {
            Body::Inline(_) => None,
            Body::Member { index, offset } => Some((*index, *offset)),
        };
        // The name of a member's stream is that of the member.
        let place = placing.place(header, told.is_some() || member_stream_name(&header.name).is_some());
        if told != place {
            let text = |place: Option<(usize, u64)>| match place {
                Some((index, offset)) => format!("member {index} at {offset}"),
                None => "inline".to_owned(),
            };
            return Err(wrong(format!("{} in its place, {}", header.id, text(place)), text(told)));
        }
    }
    let told = &placing.sizes;
    if let Some(index) = (0..told.len().max(sizes.len())).find(|&index| told.get(index) != sizes.get(index)) {
        let text = |size: Option<&u64>| size.map_or("nothing".to_owned(), |size| format!("{size} bytes"));
        return Err(wrong(format!("{} in member {index}", text(sizes.get(index))), text(told.get(index))));
    }
    Ok(())
}

/// The body of the first stream of a kind, where no member holds it: that of the records of a tar.
pub(super) fn first_body(plan: &[PlannedStream], id: StreamId) -> Option<&[u8]> {
    plan.iter().find_map(|stream| match &stream.body {
        Body::Inline(bytes) if stream.header.id == id => Some(bytes.as_slice()),
        _ => None,
    })
}

/// Checks that a recorded plan has the bodies that records hold: an entry shows those, its backup stream is made of the
/// plan.
pub(super) fn check_records(plan: &[PlannedStream], entry: &LayerEntry) -> Result<()> {
    let attributes = first_body(plan, StreamId::EA_DATA).and_then(|bytes| ea::decode(bytes).ok()).unwrap_or_default();
    let field = if first_body(plan, StreamId::SECURITY_DATA) != entry.security_descriptor.as_deref() {
        "security descriptor"
    } else if attributes != entry.extended_attributes {
        "extended attributes"
    } else if first_body(plan, StreamId::REPARSE_DATA) != entry.reparse_point.as_deref() {
        "reparse buffer"
    } else {
        return Ok(());
    };
    Err(Error::format(Format::LayerTar, "WINLAYERS.streams", format!("the {field} of the entry"), "another or none"))
}

impl LayerEntry {
    /// Takes the named streams, when a forward-only reader has reached them all. A recorded order that is the usual one
    /// goes.
    ///
    /// # Errors
    /// [`Error::Format`] for streams that are not those of the recorded order, and what encoding extended attributes
    /// gives.
    pub fn set_streams(&mut self, streams: Vec<NamedStream>) -> Result<()> {
        self.streams = Some(streams);
        let Some(mut recorded) = self.recorded.take() else { return Ok(()) };
        name_members(&mut recorded, self.streams.as_deref().unwrap_or_default());
        validate(&recorded, &sizes(self))?;
        self.recorded = (recorded != usual(self)?).then_some(recorded);
        Ok(())
    }
}
