//! A transport folder to layer entries.

use super::kept_times;
use super::names::{check_component, has_metadata, is_of_driver};
use super::tombstones::{self, Tombstones};
use super::wcidirs::{ATTRIBUTES, directory_of, is_reserved, metadata_name, read_attributes};
use crate::error::{Error, Format, Limit, Result, Rule, display_name};
use crate::fs::disk::{disk_path, name_bytes};
use crate::fs::{Kind, Metadata, Root, StableFile};
use crate::layer_name::{FILES, base_name, is_root, join, whiteout_of};
use crate::layer_tar::{EntryKind, LayerEntry, UnnamedData};
use crate::limits::Limits;
use crate::nt::name::fold_into;
use crate::nt::path::check_member_name;
use crate::nt::{BasicInfo, FileAttributes};
use crate::policy::Policy;
use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

const BUFFER: usize = 256 << 10;
/// Whose times the roots have: an import makes their own anew (as hcsshim reads them).
const TIMES_OF_ROOTS: &str = "Hives/System_Delta";

/// The data of an entry.
pub enum Content {
    /// None: a whiteout, or a directory without metadata.
    None,
    /// A backup stream, from its start.
    BackupStream(BufReader<File>),
    /// Data alone, of so many bytes: a file outside of `Files`.
    Data(BufReader<StableFile>, u64),
}

/// An entry of the folder.
pub struct TransportEntry {
    /// Name, kind, times and attributes. The kind is what the disk tells: `File`, `Directory` or `Whiteout`; whether it
    /// is a link, its backup stream does.
    pub entry: LayerEntry,
    /// Its data.
    pub content: Content,
}

/// Walks a transport folder in the order in which hcsshim does: a directory before what is in it, the names of a
/// directory in the order of their bytes, and what is deleted from a directory right behind it. What is deleted from
/// directories that the folder does not have comes at the end of `Files`.
///
/// ```
/// use winlayers::fs::Root;
/// use winlayers::layer_tar::EntryKind;
/// use winlayers::transport::{TransportReader, TransportWriter};
///
/// let folder = tempfile::tempdir().expect("a temporary folder");
/// let mut writer = TransportWriter::new(Root::open(folder.path())?, Default::default())?;
/// writer.add_whiteout(b"Files/old.txt")?;
/// writer.finish()?;
///
/// let root = Root::open(folder.path())?;
/// let mut reader = TransportReader::new(&root, &Default::default())?;
/// let whiteout = reader.next_entry()?.unwrap();
/// assert_eq!((whiteout.entry.name, whiteout.entry.kind), (b"Files/.wh.old.txt".to_vec(), EntryKind::Whiteout));
/// assert!(reader.next_entry()?.is_none());
/// # Ok::<(), winlayers::error::Error>(())
/// ```
pub struct TransportReader<'a> {
    root: &'a Root,
    limits: Limits,
    tombstones: Tombstones,
    /// Whiteouts that come next.
    whiteouts: std::vec::IntoIter<Vec<u8>>,
    /// The directories that the reader is in.
    open: Vec<Listing>,
    entries: u64,
}

/// What is left of a directory.
struct Listing {
    name: Vec<u8>,
    names: std::vec::IntoIter<Vec<u8>>,
    /// Those of its names beside which there is metadata.
    with_metadata: HashSet<Vec<u8>>,
}

impl<'a> TransportReader<'a> {
    /// A reader at the start of a folder.
    ///
    /// # Errors
    /// [`Error::Format`] with [`Format::Transport`] when `tombstones.txt` is missing or malformed: HCS writes one
    /// always. Else as [`TransportReader::next_entry`].
    pub fn new(root: &'a Root, limits: &Limits) -> Result<Self> {
        let file = root.open_file(Path::new(tombstones::FILE)).map_err(|error| match error {
            error if error.is_absent() => Error::format(Format::Transport, tombstones::FILE, "a file", "nothing"),
            other => other,
        })?;
        let tombstones = Tombstones::read(BufReader::new(file), limits)?;
        let mut reader = TransportReader {
            root,
            limits: limits.clone(),
            tombstones,
            whiteouts: Vec::new().into_iter(),
            open: Vec::new(),
            entries: 0,
        };
        let top = reader.list(b"")?;
        for name in top.names.as_slice() {
            if !is_root(name) {
                return Err(Error::refused(Rule::RootUnknown, "").in_member(name));
            }
        }
        reader.open.push(top);
        Ok(reader)
    }

    /// The next entry.
    ///
    /// # Errors
    /// [`Error::Format`] with [`Format::Transport`] for what such a folder cannot hold: links and devices on the disk,
    /// metadata of no directory, an empty directory below `Files` without metadata, a file without its attributes;
    /// [`Error::Refused`] for names; [`Error::Limit`]; [`Error::Io`].
    pub fn next_entry(&mut self) -> Result<Option<TransportEntry>> {
        loop {
            if let Some(target) = self.whiteouts.next() {
                let name = whiteout_of(&target);
                return self.entry(name, EntryKind::Whiteout, BasicInfo::default(), Content::None).map(Some);
            }
            let Some(directory) = self.open.last_mut() else { return Ok(None) };
            let Some(component) = directory.names.next() else {
                let closed = self.open.pop();
                // What the folder says of directories that it does not have.
                if closed.is_some_and(|closed| closed.name == FILES) || self.open.is_empty() {
                    self.whiteouts = self.tombstones.take_rest().into_iter();
                }
                continue;
            };
            let has_metadata = directory.with_metadata.remove(&component);
            let name = join(&directory.name, &component);
            let found = self.visit(&name, has_metadata).map_err(|e| e.in_member(&name))?;
            if found.is_some() {
                return Ok(found);
            }
        }
    }

    fn visit(&mut self, name: &[u8], has_metadata_file: bool) -> Result<Option<TransportEntry>> {
        check_member_name(name, &Policy::strict(), &self.limits)?;
        let path = disk_path(name)?;
        let metadata = self.root.metadata(&path)?;
        match metadata.kind {
            Kind::Directory => self.directory(name, has_metadata_file),
            Kind::File if has_metadata_file => {
                Err(wrong("metadata of a directory", "a directory beside it", "a file of that name"))
            }
            Kind::File if !name.contains(&b'/') => Err(wrong("root", "a directory", "a file")),
            Kind::File if has_metadata(name) => self.with_attributes(name, EntryKind::File, name).map(Some),
            Kind::File => {
                let file = StableFile::open(self.root, &path, &metadata)?;
                let info = BasicInfo { attributes: FileAttributes::ARCHIVE, ..times(&metadata, false) };
                let data = Content::Data(BufReader::with_capacity(BUFFER, file), metadata.size);
                let mut entry = self.entry(name.to_vec(), EntryKind::File, info, data)?;
                entry.entry.data = Some(UnnamedData::new(metadata.size));
                Ok(Some(entry))
            }
            Kind::Symlink => Err(wrong("file type", "a regular file or a directory", "a link")),
            Kind::Other => Err(wrong("file type", "a regular file or a directory", "a device, a FIFO or a socket")),
        }
    }

    fn directory(&mut self, name: &[u8], has_metadata_file: bool) -> Result<Option<TransportEntry>> {
        let listing = self.list(name)?;
        let is_empty = listing.names.as_slice().is_empty();
        self.open.push(listing);
        self.whiteouts = self.tombstones.take(name).into_iter();
        if has_metadata_file {
            return self.with_attributes(name, EntryKind::Directory, &metadata_name(name)).map(Some);
        }
        if !has_metadata(name) {
            let kept = if name.contains(&b'/') { BasicInfo::default() } else { self.times_of_roots()? };
            let info = BasicInfo { attributes: FileAttributes::DIRECTORY, ..kept };
            return self.entry(name.to_vec(), EntryKind::Directory, info, Content::None).map(Some);
        }
        // It is there for what is in it.
        if is_empty && self.whiteouts.as_slice().is_empty() {
            let expected = format!("{} beside it", display_name(&metadata_name(base_name(name))));
            return Err(wrong("empty directory", expected, "nothing"));
        }
        Ok(None)
    }

    /// What the metadata of a file or a directory tells; `on_disk` is the file that holds it.
    fn with_attributes(&mut self, name: &[u8], kind: EntryKind, on_disk: &[u8]) -> Result<TransportEntry> {
        let path = disk_path(on_disk)?;
        let metadata = self.root.metadata(&path)?;
        // Small files do not need a large buffer.
        let buffer = BUFFER.min(usize::try_from(metadata.size).unwrap_or(BUFFER)).max(ATTRIBUTES);
        let mut stream = BufReader::with_capacity(buffer, self.root.open_file(&path)?);
        let attributes = read_attributes(&mut stream)?;
        let info = BasicInfo { attributes, ..times(&metadata, has_metadata(name)) };
        self.entry(name.to_vec(), kind, info, Content::BackupStream(stream))
    }

    fn times_of_roots(&self) -> Result<BasicInfo> {
        let found = self.root.try_metadata(Path::new(TIMES_OF_ROOTS))?;
        Ok(found.map_or_else(BasicInfo::default, |metadata| times(&metadata, false)))
    }

    /// The names in a directory, checked, with those of metadata set apart.
    fn list(&self, name: &[u8]) -> Result<Listing> {
        let mut names: Vec<Vec<u8>> = self.root.list(&disk_path(name)?)?.iter().map(|name| name_bytes(name)).collect();
        self.limits.check(Limit::Entries, names.len() as u64)?;
        let mut owners = HashSet::new();
        let mut seen = HashMap::with_capacity(names.len());
        for component in &names {
            let told = |error: Error| error.in_member(&join(name, component));
            check_component(component).map_err(told)?;
            let mut folded = Vec::new();
            fold_into(component, &mut folded);
            if let Some(other) = seen.insert(folded, component) {
                let detail = format!("{} and {}", display_name(other), display_name(component));
                return Err(told(Error::refused(Rule::CaseCollision, detail)));
            }
            if let Some(owner) = directory_of(component) {
                owners.insert(owner.to_vec());
            } else if is_reserved(component) {
                return Err(told(wrong("metadata of a directory", "a name that ends in .$wcidirs$", "another case")));
            }
        }
        names.retain(|component| directory_of(component).is_none());
        if name.is_empty() {
            // The graph driver keeps its own files beside those of a layer.
            let is_driver_file = |name: &[u8]| std::str::from_utf8(name).is_ok_and(is_of_driver);
            names.retain(|name| name != tombstones::FILE.as_bytes() && !is_driver_file(name));
        }
        for owner in &owners {
            if names.binary_search(owner).is_err() {
                let error = wrong("metadata of a directory", "a directory beside it", "nothing of that name");
                return Err(error.in_member(&join(name, &metadata_name(owner))));
            }
        }
        Ok(Listing { name: name.to_vec(), names: names.into_iter(), with_metadata: owners })
    }

    fn entry(
        &mut self,
        name: Vec<u8>,
        kind: EntryKind,
        basic_info: BasicInfo,
        content: Content,
    ) -> Result<TransportEntry> {
        self.entries += 1;
        self.limits.check(Limit::Entries, self.entries)?;
        Ok(TransportEntry { entry: LayerEntry { basic_info, ..LayerEntry::new(name, kind) }, content })
    }
}

fn times(metadata: &Metadata, has_metadata: bool) -> BasicInfo {
    kept_times(metadata.modified, metadata.accessed, metadata.created, has_metadata)
}

fn wrong(field: &'static str, expected: impl Into<Box<str>>, found: &str) -> Error {
    Error::format(Format::Transport, field, expected, found)
}
