//! The entries of a layer tar that can be read anywhere, with the places of their data.

use super::entry::LayerEntry;
use super::framing::{Framing, Head};
use super::place::DataPlace;
use crate::error::Result;
use crate::limits::Limits;
use crate::policy::Policy;
use crate::source::{ReadAt, Source};
use std::sync::Arc;

/// An entry of a source that can be read anywhere, with the places of its data.
#[derive(Debug, Clone)]
pub struct Found {
    /// The entry, its named streams included.
    pub entry: LayerEntry,
    /// The unnamed data first (empty where there is none), then the named streams.
    pub places: Vec<DataPlace>,
    /// Offset of its first header block: where [`RandomReader::starting_in`] finds it again.
    pub position: u64,
    /// Bytes of the global records before that block, of [`RandomReader::global_records`].
    pub globals: u64,
}

/// Reads the entries of an uncompressed layer tar in a source that can be read anywhere: all that an entry has is known
/// at once, and its data is read when it is wanted, in any order.
///
/// ```
/// use std::sync::Arc;
/// use winlayers::layer_tar::{EntryKind, LayerEntry, LayerWriter, RandomReader, UnnamedData};
/// let mut writer = LayerWriter::new(Vec::new(), Default::default());
/// let entry = LayerEntry { data: Some(UnnamedData::new(5)), ..LayerEntry::new("Files/a", EntryKind::File) };
/// writer.add(&entry, vec![Box::new(&b"hello"[..])])?;
/// let tar = Arc::new(writer.finish()?);
///
/// let mut reader = RandomReader::new(tar.clone(), Default::default(), &Default::default())?;
/// let found = reader.next_found()?.unwrap();
/// let mut data = [0; 5];
/// assert_eq!(found.places[0].read_at(&*tar, 0, &mut data)?, 5);
/// assert_eq!((found.entry, &data), (entry, b"hello"));
/// # Ok::<(), winlayers::error::Error>(())
/// ```
pub struct RandomReader {
    framing: Framing,
}

impl RandomReader {
    /// A reader at the start of an uncompressed tar.
    ///
    /// # Errors
    /// [`Error::Io`](crate::error::Error::Io).
    pub fn new(source: Arc<dyn ReadAt>, policy: Policy, limits: &Limits) -> Result<Self> {
        Ok(RandomReader { framing: Framing::new(Source::Random(source), policy, limits)? })
    }

    /// A reader in the middle of a tar: at the first header block of a member, with the global records before it.
    ///
    /// # Errors
    /// [`Error::Io`](crate::error::Error::Io); [`Error::Format`](crate::error::Error::Format) for records that are
    /// malformed.
    pub fn starting_in(
        source: Arc<dyn ReadAt>,
        position: u64,
        global_records: &[u8],
        policy: Policy,
        limits: &Limits,
    ) -> Result<Self> {
        let mut reader = Self::new(source, policy, limits)?;
        reader.framing.tar.start_in(position, global_records)?;
        Ok(reader)
    }

    /// The global records so far, as their headers have them.
    #[must_use]
    pub fn global_records(&self) -> &[u8] {
        self.framing.tar.global_records()
    }

    /// The next entry with all its named streams: reads the headers ahead, and no data.
    ///
    /// After an error in the records of a member (not in the framing) the next call goes on behind that member.
    ///
    /// # Errors
    /// What the format, the policy and the limits refuse, and [`Error::Io`](crate::error::Error::Io).
    pub fn next_found(&mut self) -> Result<Option<Found>> {
        let Some(Head { decoded, place, position, globals }) = self.framing.next()? else { return Ok(None) };
        let mut places = vec![place];
        let mut streams = Vec::new();
        loop {
            match self.framing.advance() {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    self.framing.fail_next(error);
                    break;
                }
            }
            let Some(stream) = self.framing.stream_of(&decoded.entry.name, streams.len())? else { break };
            streams.push(stream);
            places.push(DataPlace::of(self.framing.tar.member()));
        }
        let entry = decoded.complete(streams, &self.framing.limits)?;
        if entry.data.is_none() {
            // Of a device, say, which a permissive policy lets pass.
            places[0].clear();
        }
        Ok(Some(Found { entry, places, position, globals }))
    }

    /// As [`RandomReader::next_found`], without a look at what follows: named streams are not known.
    ///
    /// # Errors
    /// As [`RandomReader::next_found`].
    pub fn next_head(&mut self) -> Result<Option<Found>> {
        let Some(Head { decoded, place, position, globals }) = self.framing.next()? else { return Ok(None) };
        let entry = decoded.partial(&self.framing.limits)?;
        Ok(Some(Found { entry, places: vec![place], position, globals }))
    }
}
