//! What a layer has above its chain: as a tar, as changes, file by file.

use super::index::{Index, join, split};
use super::merged::Merged;
use super::view::View;
use super::{INDEX, Portable, RECORD, TAR, TREE, scan};
use crate::backend::piped::{Piped, Sender};
use crate::backend::{Backend, Change, ChangeKind, Export, ExportedTar, LayerId, LayerKind, What};
use crate::error::{Error, Result, display_name};
use crate::layer_tar::{EntryKind, Found, whiteout};
use crate::nt::name::fold_wtf8;
use crate::transport;
use std::io::{self, Cursor, Read};
use std::path::Path;
use std::sync::Arc;

impl Portable {
    pub(super) fn export(&self, id: &LayerId, chain: &[LayerId]) -> Result<Export> {
        match self.layer_kind(id)? {
            LayerKind::Imported => {
                let tar = self.home.open_file(&Path::new(id.as_str()).join(TAR))?;
                Ok(Export { tar: ExportedTar::File(tar), live: false })
            }
            LayerKind::Sandbox if self.laid_out(id)?.is_some() => {
                let (tree, record) = (self.path(id, TREE), self.path(id, RECORD));
                let (view, limits) = (self.view(chain)?, self.limits.clone());
                let write = move |sink: Sender| scan::export(&tree, &record, &view, sink, &limits).map(drop);
                Ok(Export { tar: ExportedTar::Made(Box::new(Piped::start(write)?)), live: true })
            }
            LayerKind::Folder => {
                let (root, options) = (self.transport_folder(id)?, self.lossless());
                let write = move |sink: Sender| transport::to_layer_tar(&root, sink, options).map(drop);
                Ok(Export { tar: ExportedTar::Made(Box::new(Piped::start(write)?)), live: false })
            }
            // Nothing was ever written to it.
            LayerKind::Sandbox | LayerKind::Empty => {
                let nothing = Cursor::new(vec![0; 2 * crate::tar::BLOCK]);
                Ok(Export { tar: ExportedTar::Made(Box::new(nothing)), live: false })
            }
        }
    }

    pub(super) fn changes(
        &self,
        id: &LayerId,
        chain: &[LayerId],
        visit: &mut dyn FnMut(Change) -> Result<()>,
    ) -> Result<()> {
        let below = self.view(chain)?;
        match self.layer_kind(id)? {
            LayerKind::Imported | LayerKind::Folder => {
                let index = self.index(id)?.expect("it has content");
                let mut reader = index.reader()?;
                while let Some(found) = reader.next_found()? {
                    imported_change(&index, &found, &below, visit)?;
                }
                Ok(())
            }
            LayerKind::Sandbox if self.laid_out(id)?.is_some() => {
                scan::changes(&self.path(id, TREE), &self.path(id, RECORD), &below, visit)
            }
            LayerKind::Sandbox | LayerKind::Empty => Ok(()),
        }
    }

    pub(super) fn merged(&self, id: &LayerId, chain: &[LayerId]) -> Result<Merged> {
        let mut layers = self.indexes_of(chain)?;
        match self.layer_kind(id)? {
            LayerKind::Imported | LayerKind::Folder => layers.insert(0, self.index(id)?.expect("it has content")),
            LayerKind::Sandbox if self.laid_out(id)?.is_some() => {
                // A layer for the moment: what was changed, as it is now.
                let staging = self.scratch()?;
                let (path, index) = (staging.path().join(TAR), staging.path().join(INDEX));
                let (tree, record, below) = (self.path(id, TREE), self.path(id, RECORD), View::new(layers.clone()));
                let tar = staging.root()?.create_file(Path::new(TAR))?;
                let tar = scan::export(&tree, &record, &below, tar, &self.limits)?;
                Index::build(Arc::new(tar), &index, "", &self.limits)?;
                let index = Index::open(&path, &index, &self.limits)?;
                layers.insert(0, Arc::new(index.for_the_moment(staging)));
            }
            LayerKind::Sandbox | LayerKind::Empty => {}
        }
        Ok(Merged::new(layers))
    }

    pub(super) fn open_file(&self, id: &LayerId, name: &[u8]) -> Result<Box<dyn Read + Send>> {
        let missing = || {
            let path = Path::new(id.as_str()).join(display_name(name));
            Error::io("open", Some(&path), io::ErrorKind::NotFound.into())
        };
        let Some(index) = self.index(id)? else { return Err(missing()) };
        // A named stream is a member of its own; no other name has a colon, and a stream's may have more of them.
        let (owner, stream) = match name.iter().position(|byte| *byte == b':') {
            Some(at) => (&name[..at], Some(&name[at + 1..])),
            None => (name, None),
        };
        let key = fold_wtf8(owner.strip_suffix(b"/").unwrap_or(owner)).ok_or_else(missing)?;
        let row = index.get(&key)?.ok_or_else(missing)?;
        Ok(Box::new(index.open_row(&row, stream)?))
    }
}

/// What a member of an imported layer does to the layers below; nothing for one that is as it was.
pub(crate) fn imported_change(
    index: &Index,
    found: &Found,
    below: &View,
    visit: &mut dyn FnMut(Change) -> Result<()>,
) -> Result<()> {
    let entry = &found.entry;
    let path = entry.name.strip_suffix(b"/").unwrap_or(&entry.name);
    let change = |path: &[u8], kind, what, size| Change { path: path.to_vec(), kind, what, size };
    if entry.kind == EntryKind::Whiteout {
        let (folder, name) = split(path);
        if name == whiteout::OPAQUE {
            let Some(folder) = below.find(folder)? else { return Ok(()) };
            for child in below.children(&folder)? {
                visit(change(&child.path, ChangeKind::Delete, What::default(), 0))?;
            }
            return Ok(());
        }
        return match below.find(&join(folder, &name[whiteout::PREFIX.len()..]))? {
            Some(hidden) => visit(change(&hidden.path, ChangeKind::Delete, What::default(), 0)),
            None => Ok(()),
        };
    }
    let size = if entry.kind == EntryKind::File { entry.size } else { 0 };
    let Some(node) = below.find(path)? else {
        return visit(change(path, ChangeKind::Add, What::default(), size));
    };
    let mut what = differences(found, &below.entry(&node)?);
    let data_differs = match (entry.kind, node.kind) {
        (EntryKind::File, EntryKind::File) if entry.size == node.size => {
            !same_bytes(&mut index.open_found(found, None)?, &mut below.open(&node, None)?)?
        }
        (EntryKind::File, _) | (_, EntryKind::File) => true,
        _ => false,
    };
    if data_differs {
        what |= What::DATA;
    }
    // A directory that is as it was is listed for what lies in it.
    if what.is_empty() { Ok(()) } else { visit(change(path, ChangeKind::Modify, what, size)) }
}

/// What differs between two entries, apart from data that would have to be read.
pub(super) fn differences(new: &Found, old: &Found) -> What {
    let (a, b) = (&new.entry, &old.entry);
    let mut what = What::default();
    let mut note = |differs: bool, side: What| {
        if differs {
            what |= side;
        }
    };
    note(a.reparse_point != b.reparse_point || a.kind != b.kind, What::DATA);
    note(a.basic_info.attributes != b.basic_info.attributes, What::ATTRIBUTES);
    note(a.extended_attributes != b.extended_attributes, What::ATTRIBUTES);
    note(a.security_descriptor != b.security_descriptor, What::SECURITY);
    let times = |info: &crate::nt::basic_info::BasicInfo| {
        (info.creation_time, info.last_access_time, info.last_write_time, info.change_time)
    };
    note(times(&a.basic_info) != times(&b.basic_info), What::TIMES);
    note(a.streams != b.streams, What::STREAMS);
    note(a.link_name != b.link_name, What::LINKS);
    what
}

/// Whether two readers give the same bytes.
pub(super) fn same_bytes(a: &mut dyn Read, b: &mut dyn Read) -> Result<bool> {
    let (mut left, mut right) = (vec![0; 64 << 10], vec![0; 64 << 10]);
    loop {
        let (n, m) = (fill(a, &mut left)?, fill(b, &mut right)?);
        if left[..n] != right[..m] {
            return Ok(false);
        }
        if n == 0 {
            return Ok(true);
        }
    }
}

fn fill(from: &mut dyn Read, buffer: &mut [u8]) -> Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match from.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(crate::error::from_io(e)),
        }
    }
    Ok(filled)
}
