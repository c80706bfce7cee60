//! Changes as members of a layer tar.

use super::candidates::Before;
use super::inherit::inherited;
use super::judge::{Body, CHUNK, Edit};
use crate::backend::portable::record::{Moment, Stat};
use crate::backend::portable::tree::place;
use crate::error::{Error, Result};
use crate::fs::Metadata;
use crate::fs::disk::{Disk, disk_path};
use crate::fs::symlink::{Target, resolve};
use crate::layer::pack::{FileData, all_times};
use crate::layer::{DEFAULT_SD_DIR, DEFAULT_SD_FILE};
use crate::layer_name::{below, parents};
use crate::layer_tar::{Dialect, EntryKind, LayerEntry, LayerWriter, UnnamedData, WriterOptions, reparse_from_link};
use crate::limits::Limits;
use crate::nt::basic_info::BasicInfo;
use crate::nt::security::SecurityDescriptor;
use crate::nt::{FileAttributes, FileTime};
use crate::view::chain::{Node, View};
use std::io::{BufRead, BufReader, BufWriter, Write};

/// Begins the names of extended attributes that NTFS drops when the data of a file changes: they vouch for it.
const PURGED: &[u8] = b"$KERNEL.PURGE.";

/// A directory that stands in the tar already.
struct Listed {
    path: Vec<u8>,
    security_descriptor: Option<Vec<u8>>,
}

pub(super) struct Members<'a, W: Write> {
    disk: &'a Disk,
    view: &'a View,
    writer: LayerWriter<BufWriter<W>>,
    /// The directories on the way to the member that was written last.
    listed: Vec<Listed>,
    default_directory: Vec<u8>,
    default_file: Vec<u8>,
    buffer: Vec<u8>,
}

/// An entry that metadata was put into, and where its named streams are.
struct Draft {
    entry: LayerEntry,
    from: Option<Node>,
}

impl<'a, W: Write> Members<'a, W> {
    pub fn new(disk: &'a Disk, view: &'a View, sink: W, limits: &Limits) -> Result<Self> {
        let options = WriterOptions { dialect: Dialect::Lossless, limits: limits.clone(), ..WriterOptions::default() };
        let sd = |text| Ok::<_, Error>(SecurityDescriptor::from_sddl(text, None)?.into_raw());
        Ok(Members {
            disk,
            view,
            writer: LayerWriter::new(BufWriter::with_capacity(CHUNK, sink), options),
            listed: Vec::new(),
            default_directory: sd(DEFAULT_SD_DIR)?,
            default_file: sd(DEFAULT_SD_FILE)?,
            buffer: vec![0; CHUNK],
        })
    }

    /// Writes what became of a path; paths come in the order of a scan.
    ///
    /// # Errors
    /// Those of [`super::export`].
    pub fn add(&mut self, edit: Edit) -> Result<()> {
        let path = edit.path.as_slice();
        self.enter(path)?;
        match edit.body {
            Body::Gone => self.writer.add_whiteout(path),
            Body::Directory { of, now } => {
                let draft = self.draft(path, of.as_ref(), &now, FileAttributes::DIRECTORY)?;
                let security_descriptor = draft.entry.security_descriptor.clone();
                self.write(draft, None)?;
                self.listed.push(Listed { path: path.to_vec(), security_descriptor });
                Ok(())
            }
            Body::File { of, now, same_data } => self.file(path, of.as_ref(), &now, same_data),
            Body::Symlink { of, now, text, same_link } => self.symlink(path, of.as_ref(), &now, text, same_link),
            Body::Link { of, now, target } => {
                let info = self.draft(path, of.as_ref(), &now, FileAttributes::ARCHIVE)?.entry.basic_info;
                self.writer.add_hard_link(path, &target, Some(&info))
            }
        }
    }

    pub fn finish(self) -> Result<W> {
        self.writer.finish()?.into_inner().map_err(|e| crate::error::from_io(e.into_error()))
    }

    /// Lists the directories above a path that are not listed yet: they did not change.
    fn enter(&mut self, path: &[u8]) -> Result<()> {
        while self.listed.last().is_some_and(|listed| below(path, &listed.path).is_none()) {
            self.listed.pop();
        }
        let known = self.listed.last().map_or(0, |listed| listed.path.len() + 1);
        for above in parents(path).filter(|above| above.len() >= known) {
            let draft = match self.view.find(above)? {
                Some(node) => {
                    let entry = LayerEntry { name: above.to_vec(), ..self.view.entry(&node)?.entry };
                    Draft { entry, from: Some(node) }
                }
                // The tree itself, above no layer.
                None => {
                    let metadata = self.disk.root.metadata(&disk_path(place(above))?)?;
                    self.draft(above, None, &Stat::of(&metadata), FileAttributes::DIRECTORY)?
                }
            };
            let security_descriptor = draft.entry.security_descriptor.clone();
            self.write(draft, None)?;
            self.listed.push(Listed { path: above.to_vec(), security_descriptor });
        }
        Ok(())
    }

    /// An entry with the metadata that it keeps, or that a new one gets.
    fn draft(&self, path: &[u8], of: Option<&Before>, now: &Stat, attributes: FileAttributes) -> Result<Draft> {
        let time = file_time(now.modified);
        let node = match of {
            Some(of) => self.view.find(&of.path)?,
            None => None,
        };
        let Some((of, node)) = of.zip(node) else {
            let is_directory = attributes.is_directory();
            let kind = if is_directory { EntryKind::Directory } else { EntryKind::File };
            let mut entry = LayerEntry::new(path, kind);
            entry.basic_info = all_times(time, attributes);
            set_read_only(&mut entry.basic_info, now.read_only);
            let parent = self.listed.last().and_then(|listed| listed.security_descriptor.as_deref());
            let default = if is_directory { &self.default_directory } else { &self.default_file };
            let sd = parent.and_then(|parent| inherited(parent, is_directory));
            entry.security_descriptor = Some(sd.unwrap_or_else(|| default.clone()));
            return Ok(Draft { entry, from: None });
        };
        let shown = self.view.data(&node)?;
        let mut entry = self.view.entry(&shown)?.entry;
        entry.name = path.to_vec();
        let info = &mut entry.basic_info;
        if of.stat.modified != now.modified {
            (info.last_write_time, info.last_access_time, info.change_time) = (Some(time), Some(time), Some(time));
        }
        if of.stat.read_only != now.read_only {
            set_read_only(info, now.read_only);
        }
        Ok(Draft { entry, from: Some(shown) })
    }

    fn file(&mut self, path: &[u8], of: Option<&Before>, now: &Metadata, same_data: bool) -> Result<()> {
        let mut draft = self.draft(path, of, &Stat::of(now), FileAttributes::ARCHIVE)?;
        if !same_data {
            let entry = &mut draft.entry;
            (entry.kind, entry.data) = (EntryKind::File, Some(UnnamedData::new(now.size)));
            (entry.reparse_point, entry.link_name, entry.recorded) = (None, None, None);
            let gone = FileAttributes::SPARSE_FILE | FileAttributes::REPARSE_POINT | FileAttributes::DIRECTORY;
            entry.basic_info.attributes.0 &= !gone.0;
            entry
                .extended_attributes
                .retain(|ea| !ea.name.get(..PURGED.len()).is_some_and(|start| start.eq_ignore_ascii_case(PURGED)));
        }
        let file = draft.entry.data.is_some().then_some(now);
        self.write(draft, file)
    }

    fn symlink(&mut self, path: &[u8], of: Option<&Before>, now: &Stat, text: Vec<u8>, same_link: bool) -> Result<()> {
        let mut attributes = FileAttributes::REPARSE_POINT;
        if resolve(self.disk, b"", place(path), &text)? == Target::Directory {
            attributes |= FileAttributes::DIRECTORY;
        }
        let mut draft = self.draft(path, of, now, attributes)?;
        if !same_link {
            let entry = &mut draft.entry;
            (entry.kind, entry.recorded) = (EntryKind::Symlink, None);
            let kind = FileAttributes::REPARSE_POINT | FileAttributes::DIRECTORY;
            entry.basic_info.attributes.0 = entry.basic_info.attributes.0 & !kind.0 | attributes.0;
            entry.reparse_point = Some(reparse_from_link(&text, false)?.into_raw());
            entry.link_name = Some(text);
        }
        self.write(draft, None)
    }

    /// Writes an entry, with the data of a file in the tree and the streams that its metadata came with.
    fn write(&mut self, draft: Draft, file: Option<&Metadata>) -> Result<()> {
        let Draft { mut entry, from } = draft;
        // What a directory or a link had beside it is not in the tree.
        entry.data = entry.data.filter(|_| file.is_some());
        let mut file = match file {
            Some(now) => Some(FileData::open(self.disk, place(&entry.name), now, &mut self.buffer)?),
            None => None,
        };
        let mut data: Vec<Box<dyn BufRead + '_>> = Vec::new();
        if let Some(file) = &mut file {
            data.push(Box::new(file));
        }
        if let Some(from) = &from {
            for stream in entry.streams.iter().flatten() {
                data.push(Box::new(BufReader::new(self.view.open(from, Some(&stream.name))?)));
            }
        }
        self.writer.add(&entry, data)?;
        file.map_or(Ok(()), FileData::finish)
    }
}

fn set_read_only(info: &mut BasicInfo, read_only: bool) {
    if read_only {
        info.attributes |= FileAttributes::READONLY;
    } else {
        info.attributes.0 &= !FileAttributes::READONLY.0;
    }
}

fn file_time(moment: Moment) -> FileTime {
    let (seconds, nanoseconds) = moment.unwrap_or((0, 0));
    FileTime::from_unix(seconds, nanoseconds).unwrap_or(FileTime(FileTime::UNIX_EPOCH_TICKS))
}
