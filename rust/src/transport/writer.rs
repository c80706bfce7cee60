//! Layer entries to a transport folder.

use super::names::{Directory, Taken, Tree, check_name, has_metadata};
use super::tombstones::{self, write_line};
use super::wcidirs::{ATTRIBUTES, is_reserved, metadata_name};
use super::{HardLink, HardLinks, Report, TransportOptions};
use crate::backup_stream::{Reader, StreamId};
use crate::error::{Error, Limit, Misuse, Result, Rule, display_name, from_io};
use crate::fs::disk::{disk_path, system_time};
use crate::fs::{self, KEEPS_ALL_TIMES, Root};
use crate::layer_name::{HIVES, base_name, below, components, is_named_like_whiteout, parent, root_name};
use crate::layer_tar::{EntryKind, LayerEntry};
use crate::nt::{BasicInfo, FileAttributes, FileTime};
use crate::policy::{LossKind, Losses};
use crate::source::Spool;
use std::fs::{File, FileTimes};
use std::io::{BufReader, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

const BUFFER: usize = 256 << 10;
/// Tombstones up to this size are kept in memory until the folder is complete.
const SPOOL: usize = 1 << 20;

/// Fills an empty folder with a layer. `tombstones.txt` comes last: a folder without it is not complete.
///
/// ```
/// use winlayers::fs::Root;
/// use winlayers::layer_tar::{EntryKind, LayerEntry};
/// use winlayers::transport::TransportWriter;
///
/// let folder = tempfile::tempdir().expect("a temporary folder");
/// let mut writer = TransportWriter::new(Root::open(folder.path())?, Default::default())?;
/// writer.add(&LayerEntry::new("Files", EntryKind::Directory), std::io::empty())?;
/// writer.add_whiteout(b"Files/old.txt")?;
/// let report = writer.finish()?;
///
/// assert_eq!(report.entries, 2);
/// let tombstones = std::fs::read(folder.path().join("tombstones.txt")).expect("it was written");
/// assert_eq!(tombstones, b"\xef\xbb\xbfVersion 1.0\n\\old.txt\n");
/// # Ok::<(), winlayers::error::Error>(())
/// ```
pub struct TransportWriter {
    root: Root,
    options: TransportOptions,
    tree: Tree,
    tombstones: Spool,
    losses: Losses,
    report: Report,
    buffer: Vec<u8>,
    poisoned: bool,
}

impl TransportWriter {
    /// A writer into a folder in which nothing is.
    ///
    /// # Errors
    /// [`Rule::TargetExists`] when something is in it; [`Error::Io`].
    pub fn new(root: Root, options: TransportOptions) -> Result<Self> {
        if !root.list(Path::new(""))?.is_empty() {
            let detail = format!("{} is not empty", root.path().display());
            return Err(Error::refused(Rule::TargetExists, detail));
        }
        let mut spool = Spool::new(SPOOL);
        spool.write_all(tombstones::HEADER).map_err(from_io)?;
        Ok(TransportWriter {
            tree: Tree::new(&options.limits),
            losses: Losses::new(options.on_loss),
            root,
            options,
            tombstones: spool,
            report: Report::default(),
            buffer: vec![0; BUFFER],
            poisoned: false,
        })
    }

    /// Adds a file, a directory or a link with its backup stream. Nothing else of the entry is looked at than its name,
    /// its kind, its times and its attributes.
    ///
    /// Outside of `Files` a file is written as its data alone.
    ///
    /// # Errors
    /// [`Error::Misuse`] for hard links and whiteouts, which have methods of their own; [`Error::Refused`] and
    /// [`Error::Limit`] for names, for links outside of `Files`, and for losses where they are errors; what the stream
    /// gives; [`Error::Io`]. After an error the folder is not complete, and nothing more can be added.
    pub fn add(&mut self, entry: &LayerEntry, stream: impl Read) -> Result<()> {
        self.guarded(&entry.name, |writer, name| {
            let attributes = entry.basic_info.attributes;
            match entry.kind {
                EntryKind::HardLink | EntryKind::Whiteout => {
                    let detail = format!("a {} has no backup stream", entry.kind.name());
                    Err(Error::misuse(Misuse::Argument, detail))
                }
                EntryKind::Directory => writer.directory(name, &entry.basic_info, false, stream),
                EntryKind::Symlink | EntryKind::Junction | EntryKind::Reparse if attributes.is_directory() => {
                    // Some reparse points of other tags are directories with entries inside.
                    writer.directory(name, &entry.basic_info, entry.kind != EntryKind::Reparse, stream)
                }
                EntryKind::File | EntryKind::Symlink | EntryKind::Junction | EntryKind::Reparse => {
                    let file = writer.create(name)?;
                    if has_metadata(name) {
                        writer.with_attributes(name, file, &entry.basic_info, stream)
                    } else {
                        writer.data_alone(name, file, &entry.basic_info, stream)
                    }
                }
            }
        })
    }

    /// Adds another name of a file, as [`TransportOptions::hard_links`] says.
    ///
    /// # Errors
    /// [`Rule::TransportForm`] where the target cannot be copied, since it is not in this folder, or not yet; else as
    /// [`TransportWriter::add`].
    pub fn add_hard_link(&mut self, name: &[u8], target: &[u8]) -> Result<()> {
        self.guarded(name, |writer, name| {
            let limits = &writer.options.limits;
            let checked = check_name(target, limits);
            let target = checked.map_err(|_| Error::refused(Rule::LinkEscapes, display_name(target)))?.to_vec();
            let refused = |detail: &str| {
                let detail = format!("a hard link to {}, {detail}", display_name(&target));
                Err(Error::refused(Rule::TransportForm, detail))
            };
            if has_metadata(name) != has_metadata(&target) || below(name, HIVES).is_some() {
                return refused("from another root");
            }
            match writer.options.hard_links {
                HardLinks::Defer => {
                    let (parent, component) = writer.place(name)?;
                    writer.tree.add_other(parent, &component)?;
                    writer.report.hard_links.push(HardLink { name: name.to_vec(), target });
                    Ok(())
                }
                HardLinks::Copy => {
                    let Some(source) = writer.find_file(&target)? else {
                        return refused("which is no file of this layer that came before");
                    };
                    writer.copy(name, &source)?;
                    writer.losses.note(name, LossKind::HardLink)
                }
            }
        })
    }

    /// Deletes a name from the layers below.
    ///
    /// # Errors
    /// [`Rule::TransportForm`] for a name outside of `Files`, or with a character that `tombstones.txt` cannot hold;
    /// else as [`TransportWriter::add`].
    pub fn add_whiteout(&mut self, target: &[u8]) -> Result<()> {
        self.guarded(target, |writer, name| {
            if is_named_like_whiteout(name) {
                return Err(Error::refused(Rule::TransportForm, "a whiteout of a whiteout, or an opaque directory"));
            }
            if let Taken::Other(_) = writer.tree.find(parent(name)).1 {
                return Err(Error::refused(Rule::LinkEscapes, "its directory is none"));
            }
            write_line(&mut writer.tombstones, name)
        })
    }

    /// Writes `tombstones.txt`, and tells what was done.
    ///
    /// # Errors
    /// [`Error::Misuse`] after an error; [`Error::Io`].
    pub fn finish(mut self) -> Result<Report> {
        if self.poisoned {
            return Err(Error::misuse(Misuse::Poisoned, ""));
        }
        let mut file = self.root.create_file(Path::new(tombstones::FILE))?;
        self.tombstones.seek(SeekFrom::Start(0)).map_err(from_io)?;
        let failed = |e| Error::io("write", Some(&self.root.path().join(tombstones::FILE)), e);
        std::io::copy(&mut self.tombstones, &mut file).map_err(failed)?;
        // A time of its own would make two folders of one layer differ.
        let times = FileTimes::new().set_modified(UNIX_EPOCH).set_accessed(UNIX_EPOCH);
        file.set_times(times).map_err(failed)?;
        self.report.losses = self.losses.into_list();
        Ok(self.report)
    }

    /// Checks the name, and poisons the writer when anything fails.
    fn guarded(&mut self, name: &[u8], write: impl FnOnce(&mut Self, &[u8]) -> Result<()>) -> Result<()> {
        if self.poisoned {
            return Err(Error::misuse(Misuse::Poisoned, ""));
        }
        self.poisoned = true;
        let added = check_name(name, &self.options.limits).and_then(|name| {
            self.report.entries += 1;
            self.options.limits.check(Limit::Entries, self.report.entries)?;
            write(self, name)
        });
        added.map_err(|e| e.in_member(name))?;
        self.poisoned = false;
        Ok(())
    }

    /// A directory; below `Files`, and for what we write elsewhere too, its metadata lies beside it.
    fn directory(&mut self, name: &[u8], info: &BasicInfo, link: bool, stream: impl Read) -> Result<()> {
        let (parent, component) = self.directory_place(name)?;
        let directory = match self.tree.get(parent, &component) {
            Taken::Directory(known) => known,
            Taken::Nothing => self.make_directory(parent, &component)?,
            Taken::Other(other) => return Err(collision(other, &component)),
        };
        let path = disk_path(&metadata_name(&self.tree.directory_path(directory)))?;
        if self.tree.tell(directory, link)? {
            self.losses.note(name, LossKind::DuplicateDirectory)?;
            self.root.remove_file(&path)?;
        }
        let file = self.root.create_file(&path)?;
        // Without a record of the attributes go-winio takes this for granted.
        let attributes = if info.attributes.0 == 0 { FileAttributes::DIRECTORY } else { info.attributes };
        self.with_attributes(name, file, &BasicInfo { attributes, ..*info }, stream)
    }

    /// Attributes, then the backup stream as it is.
    fn with_attributes(&mut self, name: &[u8], mut file: File, info: &BasicInfo, stream: impl Read) -> Result<()> {
        self.buffer[..ATTRIBUTES].copy_from_slice(&info.attributes.0.to_le_bytes());
        self.fill(&mut file, stream, ATTRIBUTES)?;
        self.times(name, &file, info)
    }

    /// Copies a stream behind what the buffer holds already.
    fn fill(&mut self, file: &mut File, mut stream: impl Read, mut held: usize) -> Result<()> {
        let failed = |root: &Root, e| Error::io("write to", Some(root.path()), e);
        loop {
            match stream.read(&mut self.buffer[held..]) {
                Ok(0) => break,
                Ok(n) => held += n,
                Err(e) if e.kind() == ErrorKind::Interrupted => continue,
                Err(e) => return Err(from_io(e)),
            }
            if held == self.buffer.len() {
                self.count(held as u64)?;
                file.write_all(&self.buffer).map_err(|e| failed(&self.root, e))?;
                held = 0;
            }
        }
        self.count(held as u64)?;
        file.write_all(&self.buffer[..held]).map_err(|e| failed(&self.root, e))
    }

    /// The unnamed data of a backup stream; the rest is lost.
    fn data_alone(&mut self, name: &[u8], mut file: File, info: &BasicInfo, stream: impl Read) -> Result<()> {
        let root = self.root.again();
        let failed = |e| Error::io("write to", Some(root.path()), e);
        let mut reader = Reader::new(BufReader::with_capacity(BUFFER, stream), &self.options.limits);
        let (mut end, mut has_data) = (0, false);
        while let Some(header) = reader.advance()? {
            match header.id {
                StreamId::DATA if !has_data => {
                    has_data = true;
                    if header.is_sparse() {
                        self.losses.note(name, LossKind::Sparse)?;
                    }
                }
                StreamId::SPARSE_BLOCK if has_data => {
                    let offset = header.sparse_offset.unwrap_or_default();
                    self.options.limits.check(Limit::MemberBytes, offset.saturating_add(header.data_size()))?;
                    file.seek(SeekFrom::Start(offset)).map_err(failed)?;
                    end = end.max(offset);
                }
                StreamId::REPARSE_DATA => {
                    return Err(Error::refused(Rule::TransportForm, "a link outside of Files"));
                }
                id => {
                    self.losses.add(
                        name,
                        LossKind::Stream,
                        format!("{id}, which a file outside of Files does not have"),
                    )?;
                    continue;
                }
            }
            loop {
                let chunk = reader.data()?;
                let n = chunk.len();
                if n == 0 {
                    break;
                }
                file.write_all(chunk).map_err(failed)?;
                reader.consume(n);
                self.count(n as u64)?;
            }
            end = end.max(file.stream_position().map_err(failed)?);
        }
        file.set_len(end).map_err(failed)?;
        if info.attributes != FileAttributes::ARCHIVE {
            let detail = format!("{}: outside of Files all files are ARCHIVE", info.attributes);
            self.losses.add(name, LossKind::Attributes, detail)?;
        }
        self.times(name, &file, info)
    }

    /// The times that are kept are those of the file on the disk, and the system sets some of them only.
    fn times(&mut self, name: &[u8], file: &File, info: &BasicInfo) -> Result<()> {
        let kept = set_times(&self.root, file, info, has_metadata(name))?;
        let lost = [
            ("creation", kept.creation_time != info.creation_time),
            ("last access", kept.last_access_time != info.last_access_time),
            ("last write", kept.last_write_time != info.last_write_time),
            ("change", kept.change_time != info.change_time),
        ];
        let lost: Vec<_> = lost.into_iter().filter_map(|(word, differs)| differs.then_some(word)).collect();
        if lost.is_empty() { Ok(()) } else { self.losses.add(name, LossKind::Times, lost.join(", ")) }
    }

    fn copy(&mut self, name: &[u8], source: &Path) -> Result<()> {
        let mut from = self.root.open_file(source)?;
        let mut to = self.create(name)?;
        self.fill(&mut to, &mut from, 0)?;
        let modified = from.metadata().and_then(|metadata| metadata.modified());
        let copied = modified.and_then(|time| to.set_times(FileTimes::new().set_modified(time).set_accessed(time)));
        copied.map_err(|e| Error::io("set times", Some(source), e))
    }

    /// Makes an empty file, and the directories that it is in.
    fn create(&mut self, name: &[u8]) -> Result<File> {
        let (parent, component) = self.place(name)?;
        self.tree.add_other(parent, &component)?;
        self.root.create_file(&disk_path(&self.tree.path(parent, &component))?)
    }

    /// Where a new file goes: its directory and its name there, which is free.
    fn place(&mut self, name: &[u8]) -> Result<(Directory, Vec<u8>)> {
        let component = base_name(name).to_vec();
        if !name.contains(&b'/') {
            return Err(Error::refused(Rule::RootUnknown, "a file at the top"));
        }
        if is_reserved(&component) {
            return Err(Error::refused(Rule::TransportForm, "the name is that of a directory's metadata"));
        }
        let parent = self.parents(parent(name))?;
        match self.tree.get(parent, &component) {
            Taken::Nothing => Ok((parent, component)),
            Taken::Directory(other) => {
                let other = self.tree.directory_path(other);
                Err(collision(base_name(&other), &component))
            }
            Taken::Other(other) => Err(collision(other, &component)),
        }
    }

    fn directory_place(&mut self, name: &[u8]) -> Result<(Directory, Vec<u8>)> {
        let component = base_name(name);
        if is_reserved(component) {
            return Err(Error::refused(Rule::TransportForm, "the name is that of a directory's metadata"));
        }
        if name.contains(&b'/') {
            return Ok((self.parents(parent(name))?, component.to_vec()));
        }
        Ok((Tree::TOP, spelled_root(component)?.to_vec()))
    }

    /// Finds a directory, and makes what is missing of it.
    fn parents(&mut self, name: &[u8]) -> Result<Directory> {
        let mut at = Tree::TOP;
        for component in components(name) {
            let component = if at == Tree::TOP { spelled_root(component)? } else { component };
            at = match self.tree.get(at, component) {
                Taken::Directory(next) => next,
                Taken::Other(other) => {
                    let detail = format!("{} is no directory", display_name(other));
                    return Err(Error::refused(Rule::LinkEscapes, detail));
                }
                Taken::Nothing if is_reserved(component) => {
                    return Err(Error::refused(Rule::TransportForm, "the name is that of a directory's metadata"));
                }
                Taken::Nothing => {
                    let path = self.tree.path(at, component);
                    if !has_metadata(&path) {
                        let detail = "it has no entry, and will be read as one";
                        self.losses.add(&path, LossKind::ImpliedDirectory, detail)?;
                    }
                    self.make_directory(at, component)?
                }
            };
            self.tree.enter(at)?;
        }
        Ok(at)
    }

    fn make_directory(&mut self, parent: Directory, component: &[u8]) -> Result<Directory> {
        let directory = self.tree.add_directory(parent, component)?;
        self.root.create_dir(&disk_path(&self.tree.path(parent, component))?)?;
        Ok(directory)
    }

    /// The path of a file that was made, whatever its spelling.
    fn find_file(&mut self, name: &[u8]) -> Result<Option<PathBuf>> {
        let (Some(parent), Taken::Other(spelling)) = self.tree.find(name) else { return Ok(None) };
        let spelling = spelling.to_vec();
        disk_path(&self.tree.path(parent, &spelling)).map(Some)
    }

    fn count(&mut self, bytes: u64) -> Result<()> {
        self.report.bytes += bytes;
        self.options.limits.check(Limit::TotalBytes, self.report.bytes)
    }
}

/// The name of a root as HCS spells it.
fn spelled_root(component: &[u8]) -> Result<&'static [u8]> {
    root_name(component).ok_or_else(|| Error::refused(Rule::RootUnknown, display_name(component)))
}

fn collision(there: &[u8], component: &[u8]) -> Error {
    if there == component {
        return Error::refused(Rule::DuplicateName, "");
    }
    Error::refused(Rule::CaseCollision, format!("{} is there", display_name(there)))
}

/// Gives a file its times, as far as the system can; tells what a reader of the folder will find.
fn set_times(root: &Root, file: &File, info: &BasicInfo, has_metadata: bool) -> Result<BasicInfo> {
    let failed = |e| Error::io("set times in", Some(root.path()), e);
    let write = info.last_write_time.unwrap_or(FileTime(FileTime::UNIX_EPOCH_TICKS));
    let write = system_time(write).unwrap_or(UNIX_EPOCH);
    let keeps_all = KEEPS_ALL_TIMES && has_metadata;
    let or_write = |time: Option<FileTime>| time.filter(|_| keeps_all).and_then(system_time).unwrap_or(write);
    let times = FileTimes::new().set_modified(write).set_accessed(or_write(info.last_access_time));
    fs::set_times(file, times, keeps_all.then(|| or_write(info.creation_time))).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    Ok(super::kept_times(metadata.modified().ok(), metadata.accessed().ok(), metadata.created().ok(), has_metadata))
}
