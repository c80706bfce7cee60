//! Entries to a base layer's folder.

use super::super::backup::{BackupReader, BackupWriter};
use super::super::folder::{Folder, Security};
use super::super::handle::{Object, lost_attributes};
use super::{BOOT_FILES, BaseLayerOptions};
use crate::backup_stream::{Fate, StreamId, restore};
use crate::error::{Error, Limit, Misuse, Result, Rule, display_name, from_io};
use crate::layer_name::{UTILITY_VM_FILES, base_name, components, parent, root_name};
use crate::layer_tar::{EntryKind, LayerEntry};
use crate::nt::{BasicInfo, FileAttributes, FileTime};
use crate::policy::{Capped, Loss, LossKind, Losses};
use crate::source::Spool;
use crate::transport::names::{Directory, Taken, Tree, check_name};
use std::collections::BTreeMap;
use std::io::{Read, Seek, SeekFrom, Write};

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BaseLayerReport {
    /// Entries, hard links included.
    pub entries: u64,
    /// Bytes of backup streams that were written.
    pub bytes: u64,
    /// What the folder could not hold.
    pub losses: Capped<Loss>,
}

/// What is there when all files are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Finished {
    /// Whether the layer has a utility VM, which `ProcessUtilityImage` wants to see.
    pub has_utility_vm: bool,
}

/// Fills the folder of a new base layer: each object is made with its attributes, and given its backup stream.
///
/// Links to folders, hard links and the times of folders come at the end, in that they are changed by, or stand in the
/// way of, what is put into folders:
///
/// 1. [`BaseLayerWriter::add`] and [`BaseLayerWriter::add_hard_link`] for each entry;
/// 2. [`BaseLayerWriter::finish_files`]; then Windows is asked to process the image;
/// 3. [`BaseLayerWriter::finish_times`].
///
/// The thread must hold [`Privilege::WRITE`](super::super::privilege::Privilege::WRITE) all the while. After an error
/// the folder is not complete, and nothing more can be added.
pub struct BaseLayerWriter<'a> {
    folder: &'a Folder,
    options: BaseLayerOptions,
    tree: Tree,
    /// Of folders, in the order in which they were made: those above come first.
    times: BTreeMap<Directory, BasicInfo>,
    hard_links: Vec<(Vec<u8>, Vec<u8>)>,
    /// The reparse points of folders, one behind the other, and where each is.
    reparse_points: Spool,
    reparse_places: BTreeMap<Directory, (u64, usize)>,
    losses: Losses,
    report: BaseLayerReport,
    poisoned: bool,
}

impl<'a> BaseLayerWriter<'a> {
    /// A writer into a layer's folder, in which there is none of `Files`, `Hives` and `UtilityVM` yet.
    #[must_use]
    pub fn new(folder: &'a Folder, options: BaseLayerOptions) -> Self {
        BaseLayerWriter {
            folder,
            tree: Tree::new(&options.limits),
            losses: Losses::new(options.on_loss),
            options,
            times: BTreeMap::new(),
            hard_links: Vec::new(),
            reparse_points: Spool::new(SPOOL),
            reparse_places: BTreeMap::new(),
            report: BaseLayerReport::default(),
            poisoned: false,
        }
    }

    /// Adds a file, a folder or a link with its backup stream. Nothing else of the entry is looked at than its name,
    /// its kind, its times and its attributes.
    ///
    /// # Errors
    /// [`Rule::TransportForm`] for a whiteout: a base layer stands on nothing; [`Error::Misuse`] for a hard link, which
    /// has a method of its own; [`Error::Refused`] and [`Error::Limit`] for names and for losses where they are errors;
    /// [`Rule::TargetExists`]; what the stream gives; [`Error::Io`].
    pub fn add(&mut self, entry: &LayerEntry, stream: impl Read) -> Result<()> {
        self.guarded(&entry.name, |writer, name| match entry.kind {
            EntryKind::Whiteout => {
                let detail = "a whiteout in a base layer, which has none below to delete from";
                Err(Error::refused(Rule::TransportForm, detail))
            }
            EntryKind::HardLink => Err(Error::misuse(Misuse::Argument, "a hard_link has no backup stream")),
            EntryKind::Directory => writer.directory(name, entry, stream),
            EntryKind::Symlink | EntryKind::Junction | EntryKind::Reparse
                if entry.basic_info.attributes.is_directory() =>
            {
                writer.directory(name, entry, stream)
            }
            EntryKind::File | EntryKind::Symlink | EntryKind::Junction | EntryKind::Reparse => {
                writer.file(name, entry, stream)
            }
        })
    }

    /// Adds another name of a file of this layer, which may come later.
    ///
    /// # Errors
    /// [`Rule::LinkEscapes`] for a target that is no name of a layer; else as [`BaseLayerWriter::add`]. That a target
    /// is no file of the layer shows in [`BaseLayerWriter::finish_files`].
    pub fn add_hard_link(&mut self, name: &[u8], target: &[u8]) -> Result<()> {
        self.guarded(name, |writer, name| {
            let checked = check_name(target, &writer.options.limits);
            let target = checked.map_err(|_| Error::refused(Rule::LinkEscapes, display_name(target)))?.to_vec();
            let (parent, component) = writer.place(name)?;
            writer.tree.add_other(parent, &component)?;
            writer.hard_links.push((writer.tree.path(parent, &component), target));
            Ok(())
        })
    }

    /// Makes the hard links, keeps copies of the boot files, and sets the reparse points of folders.
    ///
    /// # Errors
    /// [`Rule::LinkEscapes`] for a hard link whose target is no file of this layer; [`Error::Misuse`] after an error;
    /// [`Error::Io`].
    pub fn finish_files(&mut self) -> Result<Finished> {
        if std::mem::replace(&mut self.poisoned, true) {
            return Err(Error::misuse(Misuse::Poisoned, ""));
        }
        for (name, target) in std::mem::take(&mut self.hard_links) {
            self.hard_link(&name, &target).map_err(|e| e.in_member(&name))?;
        }
        for (name, copy) in BOOT_FILES {
            if let Some(name) = self.find_file(name) {
                self.keep_copy(&name, copy).map_err(|e| e.in_member(&name))?;
            }
        }
        for (directory, place) in std::mem::take(&mut self.reparse_places) {
            let name = self.tree.directory_path(directory);
            self.set_reparse_point(&name, place).map_err(|e| e.in_member(&name))?;
        }
        self.poisoned = false;
        Ok(Finished { has_utility_vm: matches!(self.tree.find(UTILITY_VM_FILES).1, Taken::Directory(_)) })
    }

    /// Sets the times and the attributes of folders, the deepest first, and tells what was done.
    ///
    /// # Errors
    /// [`Error::Misuse`] after an error, or before [`BaseLayerWriter::finish_files`]; [`Error::Io`].
    pub fn finish_times(mut self) -> Result<BaseLayerReport> {
        if self.poisoned {
            return Err(Error::misuse(Misuse::Poisoned, ""));
        }
        if !self.hard_links.is_empty() || !self.reparse_places.is_empty() {
            return Err(Error::misuse(Misuse::Argument, "the files are not finished"));
        }
        for (directory, info) in self.times.iter().rev() {
            let name = self.tree.directory_path(*directory);
            self.folder.set_basic_info(&name, info).map_err(|e| e.in_member(&name))?;
        }
        self.report.losses = self.losses.into_list();
        Ok(self.report)
    }

    /// Checks the name, and poisons the writer when anything fails.
    fn guarded(&mut self, name: &[u8], write: impl FnOnce(&mut Self, &[u8]) -> Result<()>) -> Result<()> {
        if std::mem::replace(&mut self.poisoned, true) {
            return Err(Error::misuse(Misuse::Poisoned, ""));
        }
        let added = check_name(name, &self.options.limits).and_then(|name| {
            self.report.entries += 1;
            self.options.limits.check(Limit::Entries, self.report.entries)?;
            write(self, name)
        });
        added.map_err(|e| e.in_member(name))?;
        self.poisoned = false;
        Ok(())
    }

    fn file(&mut self, name: &[u8], entry: &LayerEntry, stream: impl Read) -> Result<()> {
        let (parent, component) = self.place(name)?;
        self.tree.add_other(parent, &component)?;
        let path = self.tree.path(parent, &component);
        let object = self.folder.create_file(&path, entry.basic_info.attributes, Security::Included)?;
        self.restore(name, &object, stream, false)?;
        object.set_basic_info(&entry.basic_info)?;
        self.lost(name, &entry.basic_info)
    }

    fn directory(&mut self, name: &[u8], entry: &LayerEntry, stream: impl Read) -> Result<()> {
        let component = base_name(name);
        let (parent, component) = if name.contains(&b'/') {
            (self.parents(parent(name))?, component.to_vec())
        } else {
            (Tree::TOP, spelled_root(component)?.to_vec())
        };
        let (directory, object) = match self.tree.get(parent, &component) {
            Taken::Other(other) => return Err(collision(other, &component)),
            Taken::Directory(known) => {
                let path = self.tree.directory_path(known);
                (known, self.folder.open_write(&path, Security::Included)?)
            }
            Taken::Nothing => {
                let directory = self.tree.add_directory(parent, &component)?;
                let path = self.tree.directory_path(directory);
                let attributes = entry.basic_info.attributes;
                (directory, self.folder.create_folder(&path, attributes, Security::Included)?)
            }
        };
        let reparse_point = self.restore(name, &object, stream, true)?;
        let is_link = matches!(entry.kind, EntryKind::Symlink | EntryKind::Junction)
            || reparse_point.get(REPARSE_TAG_END).is_some_and(|byte| byte & NAME_SURROGATE != 0);
        if self.tree.tell(directory, is_link)? {
            self.losses.note(name, LossKind::DuplicateDirectory)?;
            self.reparse_places.remove(&directory);
        }
        if !reparse_point.is_empty() {
            let start = self.reparse_points.stream_position().map_err(from_io)?;
            self.reparse_points.write_all(&reparse_point).map_err(from_io)?;
            self.reparse_places.insert(directory, (start, reparse_point.len()));
        }
        self.times.insert(directory, entry.basic_info);
        self.lost(name, &entry.basic_info)
    }

    /// Writes a backup stream; hands a folder's reparse point back.
    fn restore(&mut self, name: &[u8], object: &Object, stream: impl Read, is_folder: bool) -> Result<Vec<u8>> {
        let mut sink = BackupWriter::new(object, Security::Included);
        let losses = &mut self.losses;
        let restored = restore(&mut sink, stream, &self.options.limits, |header| {
            Ok(match header.id {
                StreamId::REPARSE_DATA if is_folder => Fate::Keep,
                StreamId::LINK => {
                    losses.add(name, LossKind::Stream, "LINK, which names other files")?;
                    Fate::Leave
                }
                _ => Fate::Write,
            })
        })?;
        sink.finish()?;
        self.report.bytes += restored.bytes;
        self.options.limits.check(Limit::TotalBytes, self.report.bytes)?;
        Ok(restored.kept)
    }

    /// What a file system cannot be told.
    fn lost(&mut self, name: &[u8], info: &BasicInfo) -> Result<()> {
        let times = [
            ("creation", info.creation_time),
            ("last access", info.last_access_time),
            ("last write", info.last_write_time),
            ("change", info.change_time),
        ];
        let unset = |time: Option<FileTime>| time.is_some_and(|time| time.0 <= 0);
        let lost: Vec<_> = times.into_iter().filter_map(|(word, time)| unset(time).then_some(word)).collect();
        if !lost.is_empty() {
            self.losses.add(name, LossKind::Times, lost.join(", "))?;
        }
        let lost = lost_attributes(info.attributes);
        if lost == FileAttributes::default() {
            Ok(())
        } else {
            self.losses.add(name, LossKind::Attributes, lost.to_string())
        }
    }

    fn hard_link(&mut self, name: &[u8], target: &[u8]) -> Result<()> {
        let Some(existing) = self.find_file(target) else {
            let detail = format!("a hard link to {}, which is no file of this layer", display_name(target));
            return Err(Error::refused(Rule::LinkEscapes, detail));
        };
        self.folder.create_hard_link(name, self.folder, &existing)
    }

    /// Keeps a file as it came beside the layer.
    fn keep_copy(&self, name: &[u8], copy: &[u8]) -> Result<()> {
        let from = self.folder.open_read(name, Security::Included)?;
        let info = from.basic_info()?;
        let to = self.folder.create_file(copy, info.attributes, Security::Included)?;
        let mut sink = BackupWriter::new(&to, Security::Included);
        std::io::copy(&mut BackupReader::new(from, Security::Included), &mut sink).map_err(from_io)?;
        sink.finish()?;
        to.set_basic_info(&info)
    }

    fn set_reparse_point(&mut self, name: &[u8], (start, length): (u64, usize)) -> Result<()> {
        let mut bytes = vec![0; length];
        self.reparse_points.seek(SeekFrom::Start(start)).map_err(from_io)?;
        self.reparse_points.read_exact(&mut bytes).map_err(from_io)?;
        let object = self.folder.open_write(name, Security::Left)?;
        let mut sink = BackupWriter::new(&object, Security::Left);
        sink.write_all(&bytes).map_err(from_io)?;
        sink.finish()
    }

    /// Where a new file goes: its folder and its name there, which is free.
    fn place(&mut self, name: &[u8]) -> Result<(Directory, Vec<u8>)> {
        let component = base_name(name).to_vec();
        if !name.contains(&b'/') {
            return Err(Error::refused(Rule::RootUnknown, "a file at the top"));
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

    /// Finds a folder, and makes what is missing of it.
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
                Taken::Nothing => {
                    let path = self.tree.path(at, component);
                    self.losses.note(&path, LossKind::ImpliedDirectory)?;
                    self.folder.create_folder(&path, FileAttributes::default(), Security::Included)?;
                    self.tree.add_directory(at, component)?
                }
            };
            self.tree.enter(at)?;
        }
        Ok(at)
    }

    /// A file that was made, by its name in whatever spelling.
    fn find_file(&mut self, name: &[u8]) -> Option<Vec<u8>> {
        let (Some(parent), Taken::Other(spelling)) = self.tree.find(name) else { return None };
        let spelling = spelling.to_vec();
        Some(self.tree.path(parent, &spelling))
    }
}

/// The name of a root as Windows spells it.
fn spelled_root(component: &[u8]) -> Result<&'static [u8]> {
    root_name(component).ok_or_else(|| Error::refused(Rule::RootUnknown, display_name(component)))
}

fn collision(there: &[u8], component: &[u8]) -> Error {
    if there == component {
        return Error::refused(Rule::DuplicateName, "");
    }
    Error::refused(Rule::CaseCollision, format!("{} is there", display_name(there)))
}

/// Reparse points up to this size are kept in memory until all files are there.
const SPOOL: usize = 1 << 20;
/// Where the uppermost byte of a reparse tag is in a backup stream that begins with its stream.
const REPARSE_TAG_END: usize = 20 + 3;
/// The bit in that byte that says that the name stands for another one.
const NAME_SURROGATE: u8 = 0x20;
