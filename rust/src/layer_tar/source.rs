//! Where a writer takes the streams of an entry from: a backup stream, or the fields of an entry with its data.

use super::entry::{Body, LayerEntry, PlannedStream};
use super::plan;
use crate::backup_stream::{Reader, StreamHeader};
use crate::error::{Error, Misuse, Result, from_io};
use std::io::{BufRead, Seek};

/// Streams one after the other.
pub(super) trait StreamSource {
    /// The next header, over data that was not consumed.
    ///
    /// # Errors
    /// What reading or the format gives.
    fn next(&mut self) -> Result<Option<StreamHeader>>;
    /// All data of the current stream, at most `max` bytes.
    ///
    /// # Errors
    /// As [`StreamSource::next`]; [`Error::Limit`] for more.
    fn body(&mut self, max: u64) -> Result<Vec<u8>>;
    /// The next bytes of data; empty at the end of the stream.
    ///
    /// # Errors
    /// As [`StreamSource::next`].
    fn data(&mut self) -> Result<&[u8]>;
    /// Takes `n` bytes that `data` showed.
    fn consume(&mut self, n: usize);
    /// Passes over the data of the current stream, without reading it where that is possible.
    ///
    /// # Errors
    /// As [`StreamSource::next`].
    fn pass_over(&mut self) -> Result<()>;
    /// A place to come back to, before the next header.
    fn mark(&self) -> u64;
    /// Whether one can come back to a mark.
    fn can_rewind(&self) -> bool;
    /// Goes back to a mark.
    ///
    /// # Errors
    /// [`Error::Io`].
    fn rewind(&mut self, mark: u64) -> Result<()>;
}

/// A backup stream that is read once.
pub(super) struct Forward<R>(pub Reader<R>);

/// A backup stream that can be read twice.
pub(super) struct Seekable<R>(pub Reader<R>);

macro_rules! reader_source {
    () => {
        fn next(&mut self) -> Result<Option<StreamHeader>> {
            self.0.advance()
        }
        fn body(&mut self, max: u64) -> Result<Vec<u8>> {
            self.0.body(max)
        }
        fn data(&mut self) -> Result<&[u8]> {
            self.0.data()
        }
        fn consume(&mut self, n: usize) {
            self.0.consume(n);
        }
        fn mark(&self) -> u64 {
            self.0.position()
        }
    };
}

impl<R: BufRead> StreamSource for Forward<R> {
    reader_source!();
    fn pass_over(&mut self) -> Result<()> {
        self.0.skip()
    }
    fn can_rewind(&self) -> bool {
        false
    }
    fn rewind(&mut self, _mark: u64) -> Result<()> {
        Err(Error::misuse(Misuse::Argument, "this stream cannot be read twice"))
    }
}

impl<R: BufRead + Seek> StreamSource for Seekable<R> {
    reader_source!();
    fn pass_over(&mut self) -> Result<()> {
        self.0.seek_over()
    }
    fn can_rewind(&self) -> bool {
        true
    }
    fn rewind(&mut self, mark: u64) -> Result<()> {
        self.0.rewind(mark)
    }
}

/// The streams that follow from an entry's fields, with the data of its members given beside it.
///
/// It can be rewound, since all headers are known; the data of each member is read once, and in order.
pub(super) struct EntryStreams<'a> {
    plan: Vec<PlannedStream>,
    next: usize,
    data_left: u64,
    inline_at: usize,
    members: Vec<Box<dyn BufRead + 'a>>,
    /// How far each member was read.
    positions: Vec<u64>,
}

impl<'a> EntryStreams<'a> {
    /// The entry's streams: in their recorded order, or the usual ones where none is recorded. `members` holds the
    /// unnamed data first, where the entry has any, then that of its named streams in order; each gives as many bytes
    /// as the entry says (holes included).
    ///
    /// # Errors
    /// [`Error::Misuse`] when the number of members does not fit; [`Error::Format`] for an order that does not tell all
    /// data; what encoding extended attributes gives.
    pub fn new(entry: &LayerEntry, mut members: Vec<Box<dyn BufRead + 'a>>) -> Result<Self> {
        let plan = match &entry.recorded {
            Some(recorded) => {
                plan::validate(recorded, &plan::sizes(entry))?;
                recorded.clone()
            }
            None => plan::usual(entry)?,
        };
        let expected = usize::from(entry.data.is_some()) + entry.streams.as_ref().map_or(0, Vec::len);
        if members.len() != expected {
            let detail = format!("the entry has {expected} streams of data, and {} were given", members.len());
            return Err(Error::misuse(Misuse::Data, detail));
        }
        if entry.data.is_none() {
            members.insert(0, Box::new(std::io::empty()));
        }
        let positions = vec![0; members.len()];
        Ok(EntryStreams { plan, next: 0, data_left: 0, inline_at: 0, members, positions })
    }

    /// The streams without their data, which can only be passed over.
    ///
    /// # Errors
    /// What encoding extended attributes gives.
    pub(super) fn headers(entry: &LayerEntry) -> Result<Self> {
        let plan = entry.recorded.clone().map_or_else(|| plan::usual(entry), Ok)?;
        Ok(EntryStreams { plan, next: 0, data_left: 0, inline_at: 0, members: Vec::new(), positions: Vec::new() })
    }

    /// Checks that no member has more data than the entry says.
    ///
    /// # Errors
    /// [`Error::Misuse`], [`Error::Io`].
    pub fn finish(mut self, entry: &LayerEntry) -> Result<()> {
        let sizes = plan::sizes(entry);
        for (index, ((member, position), size)) in
            self.members.iter_mut().zip(&mut self.positions).zip(sizes).enumerate()
        {
            // A stream that nobody asked for was dropped, and told as a loss.
            let dropped = *position == 0 && (index > 0 || entry.sparse_ranges().is_none());
            loop {
                let chunk = member.fill_buf().map_err(from_io)?;
                if chunk.is_empty() {
                    break;
                }
                let n = chunk.len();
                if *position + n as u64 > size || !dropped && chunk.iter().any(|&b| b != 0) {
                    return Err(Error::misuse(Misuse::Data, format!("more data than the {size} bytes of the entry")));
                }
                member.consume(n);
                *position += n as u64;
            }
        }
        Ok(())
    }

    fn current(&self) -> Option<&PlannedStream> {
        self.plan.get(self.next.checked_sub(1)?)
    }
}

impl StreamSource for EntryStreams<'_> {
    fn next(&mut self) -> Result<Option<StreamHeader>> {
        let Some(stream) = self.plan.get(self.next) else { return Ok(None) };
        self.next += 1;
        self.data_left = stream.header.data_size();
        self.inline_at = 0;
        Ok(Some(stream.header.clone()))
    }

    fn body(&mut self, max: u64) -> Result<Vec<u8>> {
        match self.current().map(|stream| &stream.body) {
            Some(Body::Inline(bytes)) if bytes.len() as u64 <= max => Ok(bytes.clone()),
            // A stream that was a member, and cannot be one where it goes.
            Some(Body::Member { .. }) if self.data_left <= max => {
                let mut bytes = Vec::new();
                while self.data_left > 0 {
                    let chunk = self.data()?;
                    let n = chunk.len();
                    bytes.extend_from_slice(chunk);
                    self.consume(n);
                }
                Ok(bytes)
            }
            _ => Err(Error::limit(crate::error::Limit::PaxBody, self.data_left, max)),
        }
    }

    fn data(&mut self) -> Result<&[u8]> {
        if self.data_left == 0 {
            return Ok(&[]);
        }
        let at = self.next - 1;
        let (index, offset) = match &self.plan[at].body {
            Body::Inline(bytes) => return Ok(&bytes[self.inline_at..]),
            Body::Member { index, offset } => (*index, *offset),
        };
        let done = self.plan[at].header.data_size() - self.data_left;
        let (member, position) = (&mut self.members[index], &mut self.positions[index]);
        // The data given is the whole file: pass over its holes.
        while *position < offset + done {
            let n = member.fill_buf().map_err(from_io)?.len();
            let n = n.min(usize::try_from(offset + done - *position).unwrap_or(usize::MAX));
            if n == 0 {
                break;
            }
            if member.fill_buf().map_err(from_io)?[..n].iter().any(|&b| b != 0) {
                return Err(Error::misuse(Misuse::Data, "data outside the sparse ranges of the entry"));
            }
            member.consume(n);
            *position += n as u64;
        }
        let chunk = self.members[index].fill_buf().map_err(from_io)?;
        if chunk.is_empty() {
            let detail = format!("the data ends {} bytes early", self.data_left);
            return Err(Error::misuse(Misuse::Data, detail));
        }
        Ok(&chunk[..chunk.len().min(usize::try_from(self.data_left).unwrap_or(usize::MAX))])
    }

    fn consume(&mut self, n: usize) {
        match self.current().map(|stream| &stream.body) {
            Some(Body::Member { index, .. }) => {
                let index = *index;
                self.members[index].consume(n);
                self.positions[index] += n as u64;
            }
            _ => self.inline_at += n,
        }
        self.data_left -= n as u64;
    }

    fn pass_over(&mut self) -> Result<()> {
        self.data_left = 0;
        Ok(())
    }

    fn mark(&self) -> u64 {
        self.next as u64
    }

    fn can_rewind(&self) -> bool {
        true
    }

    fn rewind(&mut self, mark: u64) -> Result<()> {
        self.next = usize::try_from(mark).unwrap_or(usize::MAX);
        self.data_left = 0;
        Ok(())
    }
}
