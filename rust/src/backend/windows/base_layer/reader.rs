//! A base layer's folder to entries.

use super::super::backup::BackupReader;
use super::super::folder::{Folder, Security};
use super::super::handle::{FileId, Info, Object};
use super::{BaseLayerOptions, saved_copy_of};
use crate::backup_stream::ReplacedData;
use crate::error::{Limit, Result};
use crate::layer_name::{FILES, HIVES, UTILITY_VM, join};
use crate::layer_tar::{EntryKind, LayerEntry, UnnamedData};
use crate::nt::BasicInfo;
use crate::nt::name::fold_wtf8;
use crate::nt::path::check_member_name;
use crate::nt::reparse::Tag;
use crate::policy::Policy;
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};

/// An entry of a base layer.
pub struct BaseLayerEntry {
    /// Name, kind, all four times, attributes, size, and of a hard link its target.
    pub entry: LayerEntry,
    /// Its backup stream; `None` for a hard link.
    pub stream: Option<BaseLayerStream>,
}

/// The backup stream of an entry.
pub struct BaseLayerStream(Source);

enum Source {
    Own(BackupReader),
    Saved(Box<ReplacedData<BackupReader, File>>),
}

impl Read for BaseLayerStream {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match &mut self.0 {
            Source::Own(stream) => stream.read(buf),
            Source::Saved(stream) => stream.read(buf),
        }
    }
}

/// Walks the folder of a base layer: `Files`, then `UtilityVM` with its `Files`, then `Hives` where asked for. A folder
/// comes before what is in it, the names of a folder in the order in which NTFS keeps them, and the second name of a
/// file that was there already as a hard link. Links are not followed. The recycle bin is left out, and boot files have
/// the data that they came with.
///
/// The thread must hold [`Privilege::READ`](super::super::privilege::Privilege::READ) for as long as it reads.
pub struct BaseLayerReader<'a> {
    folder: &'a Folder,
    options: BaseLayerOptions,
    /// What comes after the folders that the reader is in.
    roots: std::vec::IntoIter<&'static [u8]>,
    /// The folders that it is in, with the names that are left of each.
    open: Vec<(Vec<u8>, std::vec::IntoIter<Vec<u8>>)>,
    /// The first names of files that have several.
    linked: HashMap<FileId, Vec<u8>>,
    entries: u64,
}

impl<'a> BaseLayerReader<'a> {
    /// A reader at the start of a layer; `folder` is the layer's, in which `Files` is.
    #[must_use]
    pub fn new(folder: &'a Folder, options: BaseLayerOptions) -> Self {
        let mut roots = vec![FILES, UTILITY_VM];
        if options.hives {
            roots.push(HIVES);
        }
        BaseLayerReader {
            folder,
            options,
            roots: roots.into_iter(),
            open: Vec::new(),
            linked: HashMap::new(),
            entries: 0,
        }
    }

    /// The next entry.
    ///
    /// # Errors
    /// [`Error::Refused`] and [`Error::Limit`] for names; [`Error::Io`], without `Files` too.
    pub fn next_entry(&mut self) -> Result<Option<BaseLayerEntry>> {
        loop {
            let name = match self.open.last_mut() {
                Some((folder, names)) => match names.next() {
                    Some(component) => join(folder, &component),
                    None => {
                        self.open.pop();
                        continue;
                    }
                },
                None => match self.roots.next() {
                    Some(root) if root != FILES && !self.is_there(root)? => continue,
                    Some(root) => root.to_vec(),
                    None => return Ok(None),
                },
            };
            if fold_wtf8(&name).as_deref() == Some(b"FILES/$RECYCLE.BIN") {
                continue;
            }
            return self.visit(&name).map(Some).map_err(|e| e.in_member(&name));
        }
    }

    fn visit(&mut self, name: &[u8]) -> Result<BaseLayerEntry> {
        self.entries += 1;
        self.options.limits.check(Limit::Entries, self.entries)?;
        check_member_name(name, &Policy::strict(), &self.options.limits)?;
        let object = self.folder.open_read(name, Security::Included)?;
        let info = object.info()?;
        let mut entry = LayerEntry::new(name, kind(&info));
        entry.basic_info = info.basic;
        if info.is_directory() {
            if !info.is_link() {
                let names = self.names(name)?;
                self.open.push((name.to_vec(), names.into_iter()));
            }
        } else {
            entry.data = Some(UnnamedData::new(info.size));
            if info.links > 1
                && let Some(first) = self.first_name(&object, name)?
            {
                entry.kind = EntryKind::HardLink;
                entry.link_name = Some(first);
                entry.data = None;
                return Ok(BaseLayerEntry { entry, stream: None });
            }
        }
        let stream = self.stream(object, &mut entry)?;
        Ok(BaseLayerEntry { entry, stream: Some(BaseLayerStream(stream)) })
    }

    /// The name under which a file came before, if it did.
    fn first_name(&mut self, object: &Object, name: &[u8]) -> Result<Option<Vec<u8>>> {
        use std::collections::hash_map::Entry;
        Ok(match self.linked.entry(object.id()?) {
            Entry::Occupied(known) => Some(known.get().clone()),
            Entry::Vacant(free) => {
                free.insert(name.to_vec());
                None
            }
        })
    }

    fn stream(&self, object: Object, entry: &mut LayerEntry) -> Result<Source> {
        let copy = saved_copy_of(&entry.name).filter(|_| entry.kind == EntryKind::File);
        let saved = match copy.map(|copy| self.folder.open_read(copy, Security::Left)) {
            None => None,
            Some(Ok(saved)) => Some(saved),
            Some(Err(error)) if error.is_absent() => None,
            Some(Err(error)) => return Err(error),
        };
        let own = BackupReader::new(object, Security::Included);
        let Some(saved) = saved else { return Ok(Source::Own(own)) };
        let info = saved.info()?;
        // The copy has kept the times as well.
        entry.basic_info = BasicInfo { attributes: entry.basic_info.attributes, ..info.basic };
        entry.data = Some(UnnamedData::new(info.size));
        Ok(Source::Saved(Box::new(ReplacedData::new(own, saved.into_file(), info.size, &self.options.limits))))
    }

    /// The names in a folder, as NTFS sorts them: without case.
    fn names(&self, name: &[u8]) -> Result<Vec<Vec<u8>>> {
        let mut names = self.folder.list(name)?;
        if name == UTILITY_VM {
            names.retain(|name| name.eq_ignore_ascii_case(FILES));
        }
        self.options.limits.check(Limit::Entries, names.len() as u64)?;
        names.sort_by_cached_key(|name| (fold_wtf8(name), name.clone()));
        Ok(names)
    }

    fn is_there(&self, root: &[u8]) -> Result<bool> {
        match self.folder.info(root) {
            Ok(_) => Ok(true),
            Err(error) if error.is_absent() => Ok(false),
            Err(error) => Err(error),
        }
    }
}

fn kind(info: &Info) -> EntryKind {
    match (info.reparse_tag, info.is_directory()) {
        (Some(Tag::SYMLINK), _) => EntryKind::Symlink,
        (Some(Tag::MOUNT_POINT), _) => EntryKind::Junction,
        (Some(_), _) => EntryKind::Reparse,
        (None, true) => EntryKind::Directory,
        (None, false) => EntryKind::File,
    }
}
