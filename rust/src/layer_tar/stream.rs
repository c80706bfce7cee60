//! The backup stream of an entry, made while its data is read.

use super::entry::{Body, LayerEntry, PlannedStream};
use super::forward::Forward;
use super::place::DataPlace;
use super::plan;
use super::reader::LayerReader;
use crate::backup_stream::StreamId;
use crate::error::{Error, Format, Result};
use crate::source::ReadAt;
use std::collections::VecDeque;
use std::io::{self, Read};

/// Where the data of an entry is read from.
pub enum EntryData<'a> {
    /// A source that can be read anywhere.
    Random {
        /// The archive.
        source: &'a dyn ReadAt,
        /// The places of the entry's members.
        places: &'a [DataPlace],
    },
    /// The reader that stands at the entry: its members come by once.
    Forward(&'a mut LayerReader),
}

/// The backup stream of one entry, made a piece at a time.
pub struct BackupStream {
    plan: VecDeque<PlannedStream>,
    /// Header and inline bytes that were not handed out yet.
    bytes: Vec<u8>,
    bytes_at: usize,
    /// The member piece that is being copied: which member, where, up to where.
    copying: Option<(usize, u64, u64)>,
    /// How far each member was read.
    positions: Vec<u64>,
    sizes: Option<Vec<u64>>,
    recorded: bool,
    in_tar_order: bool,
    name: Vec<u8>,
    forward: Forward,
}

impl BackupStream {
    /// A backup stream at its start.
    ///
    /// # Errors
    /// What encoding its extended attributes gives.
    pub fn new(entry: &LayerEntry) -> Result<Self> {
        let recorded = entry.recorded.is_some();
        let plan = match &entry.recorded {
            Some(plan) => plan.clone(),
            None => plan::usual(entry)?,
        };
        let members = plan.iter().filter_map(|stream| match stream.body {
            Body::Member { index, .. } => Some(index),
            Body::Inline(_) => None,
        });
        let in_tar_order = members.is_sorted();
        let sizes = entry.streams.as_ref().map(|_| plan::sizes(entry));
        Ok(BackupStream {
            plan: plan.into(),
            bytes: Vec::new(),
            bytes_at: 0,
            copying: None,
            positions: Vec::new(),
            sizes,
            recorded,
            in_tar_order,
            name: entry.name.clone(),
            forward: Forward::default(),
        })
    }

    /// Reads the next bytes; 0 at the end. All reads of one stream take the same data.
    ///
    /// # Errors
    /// [`Error::Format`] when the data does not fit what was recorded about it, [`Error::Io`].
    pub fn read(&mut self, data: &mut EntryData<'_>, buf: &mut [u8]) -> Result<usize> {
        if let EntryData::Forward(reader) = data
            && !self.in_tar_order
            && !self.forward.is_spooled()
        {
            self.forward.spool(reader)?;
        }
        let mut done = 0;
        while done < buf.len() {
            if self.bytes_at < self.bytes.len() {
                let n = (self.bytes.len() - self.bytes_at).min(buf.len() - done);
                buf[done..done + n].copy_from_slice(&self.bytes[self.bytes_at..self.bytes_at + n]);
                self.bytes_at += n;
                done += n;
            } else if let Some((index, position, end)) = self.copying.filter(|(_, position, end)| position < end) {
                let want = usize::try_from(end - position).unwrap_or(usize::MAX).min(buf.len() - done);
                let n = self.read_member(data, index, position, &mut buf[done..done + want])?;
                if n == 0 {
                    return Err(self.mismatch("all recorded data", format!("the end at {position}")));
                }
                self.copying = Some((index, position + n as u64, end));
                self.positions[index] = position + n as u64;
                done += n;
            } else if !self.next_piece(data)? {
                break;
            }
        }
        Ok(done)
    }

    /// Reads some bytes of a member at `offset`; 0 at its end. Offsets of one member ascend without gaps.
    fn read_member(&mut self, data: &mut EntryData<'_>, index: usize, offset: u64, buf: &mut [u8]) -> Result<usize> {
        match data {
            EntryData::Random { source, places } => {
                places.get(index).map_or(Ok(0), |place| place.read_at(*source, offset, buf))
            }
            EntryData::Forward(reader) => self.forward.read(reader, index, offset, buf),
        }
    }

    /// Name and size of a named stream that was not known before: they count from 1.
    fn new_stream(&mut self, data: &mut EntryData<'_>, index: usize) -> Result<Option<(Vec<u8>, u64)>> {
        match data {
            EntryData::Random { .. } => Ok(None),
            EntryData::Forward(reader) => self.forward.stream(reader, index),
        }
    }

    fn next_piece(&mut self, data: &mut EntryData<'_>) -> Result<bool> {
        self.copying = None;
        self.bytes.clear();
        self.bytes_at = 0;
        let stream = match self.plan.pop_front() {
            Some(mut stream) => {
                // A recorded plan that was read from the front does not know the names of its members yet.
                if let Body::Member { index: index @ 1.., .. } = stream.body
                    && stream.header.id == StreamId::ALTERNATE_DATA
                    && stream.header.name.is_empty()
                {
                    let Some((name, _)) = self.new_stream(data, index)? else {
                        return Err(self.mismatch("the streams of the tar", format!("no stream {index}")));
                    };
                    stream.header.name = plan::wire_name(&name);
                }
                stream
            }
            None => {
                self.finish(data)?;
                let next = self.positions.len().max(1);
                match self.new_stream(data, next)? {
                    None => return Ok(false),
                    Some((name, _)) if self.recorded => {
                        let found = format!("a stream \"{}\" that it does not have", name.escape_ascii());
                        return Err(self.mismatch("the streams of the tar", found));
                    }
                    Some((name, size)) => plan::alternate(&name, size, next),
                }
            }
        };
        stream.header.encode(&mut self.bytes);
        match stream.body {
            Body::Inline(body) => self.bytes.extend_from_slice(&body),
            Body::Member { index, offset } => {
                if index >= self.positions.len() {
                    self.positions.resize(index + 1, 0);
                }
                self.check_hole(data, index, offset)?;
                self.copying = Some((index, offset, offset.saturating_add(stream.header.data_size())));
            }
        }
        Ok(true)
    }

    /// Reads the data between two blocks, which must be zeros: it is not handed out.
    fn check_hole(&mut self, data: &mut EntryData<'_>, index: usize, end: u64) -> Result<()> {
        let mut zeros = [0; 4096];
        while self.positions[index] < end {
            let want = usize::try_from(end - self.positions[index]).unwrap_or(usize::MAX).min(zeros.len());
            let n = self.read_member(data, index, self.positions[index], &mut zeros[..want])?;
            if n == 0 {
                return Err(self.mismatch("all recorded data", format!("the end at {}", self.positions[index])));
            }
            if zeros[..n].iter().any(|&b| b != 0) {
                return Err(self.mismatch("zeros in a hole", format!("data behind {}", self.positions[index])));
            }
            self.positions[index] += n as u64;
        }
        Ok(())
    }

    /// At the end of the plan: what is left of each member must be a hole.
    fn finish(&mut self, data: &mut EntryData<'_>) -> Result<()> {
        let Some(sizes) = self.sizes.take() else { return Ok(()) };
        for (index, size) in sizes.into_iter().enumerate().take(self.positions.len()) {
            self.check_hole(data, index, size)?;
        }
        Ok(())
    }

    fn mismatch(&self, expected: &str, found: String) -> Error {
        Error::format(Format::LayerTar, "WINLAYERS.streams", expected, found).in_member(&self.name)
    }
}

/// The backup stream of one entry as a file that is read from front to end.
pub struct EntryStream<'a> {
    stream: BackupStream,
    data: EntryData<'a>,
}

impl<'a> EntryStream<'a> {
    /// A stream at its start, of an entry with its data.
    ///
    /// # Errors
    /// As [`BackupStream::new`].
    pub fn new(entry: &LayerEntry, data: EntryData<'a>) -> Result<Self> {
        Ok(EntryStream { stream: BackupStream::new(entry)?, data })
    }
}

impl Read for EntryStream<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.stream.read(&mut self.data, buf).map_err(|error| match error {
            Error::Io { source, .. } => source,
            other => io::Error::other(other),
        })
    }
}

impl LayerReader {
    /// The backup stream of an entry that [`LayerReader::next_entry`] returned just now, read in one pass.
    ///
    /// # Errors
    /// As [`BackupStream::new`].
    pub fn backup_stream(&mut self, entry: &LayerEntry) -> Result<EntryStream<'_>> {
        EntryStream::new(entry, EntryData::Forward(self))
    }
}
