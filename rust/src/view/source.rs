//! One layer as a view sees it: entries by name and in order, and data that is read when it is wanted.

use crate::error::{Error, Result, display_name};
use crate::layer_name::components;
use crate::layer_tar::{DataPlace, EntryKind, Found};
use crate::source::ReadAt;
use std::io::{self, ErrorKind, Read};
use std::path::Path;
use std::sync::Arc;

/// The number of the folder that the roots lie in.
pub const TOP: u64 = 0;

/// What a layer has of one name in a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The name, folded.
    pub key: Vec<u8>,
    /// The name as the layer has it; of a directory, as the layer has it first.
    pub name: Vec<u8>,
    /// What it has there.
    pub what: Holds,
    /// The number of the directory, for [`LayerSource::children`]; [`TOP`] for anything else.
    pub folder: u64,
    /// Where the source has the entry: no two entries of a source have one place. `None` for a directory that exists
    /// only because something lies in it.
    pub place: Option<u64>,
    /// Bytes of the global records that apply to the member, in a source that is a tar.
    pub(super) globals: u64,
    /// Bytes of unnamed data.
    pub size: u64,
    /// The folded path that a hard link leads to.
    pub link: Option<Vec<u8>>,
    /// Whether what lower layers have of the name is hidden.
    pub hides: bool,
    /// Whether what lower layers have in the directory is hidden.
    pub opaque: bool,
}

/// What a layer has of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holds {
    /// Nothing of its own: a whiteout.
    Nothing,
    /// Whiteouts below it, and nothing else: no directory, unless a lower layer has one.
    Passage,
    /// An entry, or a directory that entries lie in.
    Entry(EntryKind),
}

impl Holds {
    /// Whether other names can lie in it.
    #[must_use]
    pub fn is_folder(self) -> bool {
        matches!(self, Holds::Passage | Holds::Entry(EntryKind::Directory))
    }
}

/// One layer of a [`View`](super::View): a layer of a store, a tar in the hand, a layer of an image.
///
/// Names and metadata are at hand. Data need not be: [`LayerSource::data`] is called only when data is read, and not
/// for listing or looking up.
///
/// ```
/// use std::{fs::File, sync::Arc};
/// use winlayers::layer_tar::{EntryKind, LayerEntry, LayerWriter, UnnamedData};
/// use winlayers::view::{Index, LayerSource};
///
/// let folder = tempfile::tempdir().unwrap();
/// let (tar, index) = (folder.path().join("layer.tar"), folder.path().join("layer.index"));
/// let mut writer = LayerWriter::new(File::create(&tar).unwrap(), Default::default());
/// let entry = LayerEntry { data: Some(UnnamedData::new(5)), ..LayerEntry::new("Files/Hello.txt", EntryKind::File) };
/// writer.add(&entry, vec![Box::new(&b"hello"[..])])?;
/// writer.finish()?;
/// Index::build(Arc::new(File::open(&tar).unwrap()), &index, "sha256:0", &Default::default())?;
///
/// let layer: Arc<dyn LayerSource> = Arc::new(Index::open(&tar, &index, &Default::default())?);
/// let row = layer.get(b"FILES/HELLO.TXT")?.unwrap();
/// let mut text = String::new();
/// std::io::Read::read_to_string(&mut layer.open(&layer.entry(&row)?, None)?, &mut text).unwrap();
/// assert_eq!(text, "hello");
/// # Ok::<(), winlayers::error::Error>(())
/// ```
pub trait LayerSource: Send + Sync {
    /// What the layer has of one folded name in a folder.
    ///
    /// # Errors
    /// [`StoreFault::Damaged`](crate::error::StoreFault::Damaged), [`Error::Io`].
    fn get_in(&self, folder: u64, name: &[u8]) -> Result<Option<Row>>;

    /// What the layer has in a folder, in the order of the folded names.
    ///
    /// # Errors
    /// As [`LayerSource::get_in`].
    fn children(&self, folder: u64) -> Result<Vec<Row>>;

    /// The entry of a row. A directory that exists only because something lies in it has its name alone.
    ///
    /// # Errors
    /// Those of reading a layer tar; [`StoreFault::Damaged`](crate::error::StoreFault::Damaged) where the source has no
    /// such entry there.
    fn entry(&self, row: &Row) -> Result<Found>;

    /// As [`LayerSource::entry`], without the named streams, which may cost more.
    ///
    /// # Errors
    /// As [`LayerSource::entry`].
    fn head(&self, row: &Row) -> Result<Found>;

    /// All entries, in the order of the layer.
    ///
    /// # Errors
    /// [`Error::Io`]; the iterator ends after an error.
    fn entries(&self) -> Result<Box<dyn Iterator<Item = Result<Found>> + '_>>;

    /// The bytes that the places of a [`Found`] lie in. The first call may take long, as where a layer must be
    /// decompressed for it; later ones must not.
    ///
    /// # Errors
    /// What keeps the data from being read: it may be absent.
    fn data(&self) -> Result<Arc<dyn ReadAt>>;

    /// What the layer has at a folded path.
    ///
    /// # Errors
    /// As [`LayerSource::get_in`].
    fn get(&self, path: &[u8]) -> Result<Option<Row>> {
        let mut folder = TOP;
        let mut parts = components(path).peekable();
        while let Some(part) = parts.next() {
            match self.get_in(folder, part)? {
                found if parts.peek().is_none() => return Ok(found),
                Some(row) if row.what.is_folder() => folder = row.folder,
                _ => break,
            }
        }
        Ok(None)
    }

    /// Reads the unnamed data of an entry, or a named stream; of two streams of one name the first.
    ///
    /// # Errors
    /// [`Error::Io`] where there is no such stream; as [`LayerSource::data`].
    fn open(&self, found: &Found, stream: Option<&[u8]>) -> Result<Data> {
        let i = match stream {
            None => found.entry.data.is_some().then_some(0),
            Some(name) => found.entry.streams.iter().flatten().position(|stream| stream.name == name).map(|i| i + 1),
        };
        let Some(place) = i.and_then(|i| found.places.get(i)) else {
            let path = display_name(&found.entry.name);
            return Err(Error::io("open", Some(Path::new(&path)), ErrorKind::NotFound.into()));
        };
        Ok(Data { bytes: self.data()?, place: place.clone(), offset: 0 })
    }
}

/// The data of a file, from front to end; holes are zeros.
pub struct Data {
    bytes: Arc<dyn ReadAt>,
    place: DataPlace,
    offset: u64,
}

impl Data {
    /// Goes on at an offset.
    pub fn seek_to(&mut self, offset: u64) {
        self.offset = offset;
    }
}

impl Read for Data {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.place.read_at(&*self.bytes, self.offset, buf).map_err(io::Error::other)?;
        self.offset += n as u64;
        Ok(n)
    }
}

/// The data of a source, which is asked for when the first byte is read.
pub(super) struct Deferred(pub(super) Arc<dyn LayerSource>);

impl ReadAt for Deferred {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.0.data().map_err(io::Error::other)?.read_at(buf, offset)
    }

    fn size(&self) -> io::Result<u64> {
        self.0.data().map_err(io::Error::other)?.size()
    }
}

#[cfg(test)]
#[path = "source_tests.rs"]
mod tests;
