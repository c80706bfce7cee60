//! What a layer has above its chain: as a tar, as changes, file by file.

use super::{INDEX, Portable, RECORD, TAR, TREE, scan};
use crate::backend::piped::{Piped, Sender};
use crate::backend::{Backend, Change, Export, ExportedTar, LayerId, LayerKind};
use crate::error::{Error, Result, display_name};
use crate::fs::NamedFile;
use crate::layer_name::trimmed;
use crate::layer_tar::WriterOptions;
use crate::nt::name::fold_wtf8;
use crate::transport;
use crate::view::compare::imported_changes;
use crate::view::{Index, LayerSource, View};
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
                let (root, options) = (self.transport_folder(id)?, WriterOptions::lossless(&self.limits));
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
                imported_changes(&*index, &below, visit)
            }
            LayerKind::Sandbox if self.laid_out(id)?.is_some() => {
                scan::changes(&self.path(id, TREE), &self.path(id, RECORD), &below, visit)
            }
            LayerKind::Sandbox | LayerKind::Empty => Ok(()),
        }
    }

    pub(super) fn merged(&self, id: &LayerId, chain: &[LayerId]) -> Result<View> {
        let mut layers = self.indexes_of(chain)?;
        match self.layer_kind(id)? {
            LayerKind::Imported | LayerKind::Folder => layers.insert(0, self.index(id)?.expect("it has content")),
            LayerKind::Sandbox if self.laid_out(id)?.is_some() => {
                // A temporary layer: what was changed, as it is now.
                let staging = self.scratch()?;
                let (path, index) = (staging.path().join(TAR), staging.path().join(INDEX));
                let (tree, record, below) = (self.path(id, TREE), self.path(id, RECORD), View::new(layers.clone()));
                let tar = NamedFile::new(staging.root()?.create_file(Path::new(TAR))?, &path);
                let tar = scan::export(&tree, &record, &below, tar, &self.limits)?;
                Index::build(Arc::new(tar), &index, "", &self.limits)?;
                let index = Index::open(&path, &index, &self.limits)?;
                layers.insert(0, Arc::new(index.keeping(staging)));
            }
            LayerKind::Sandbox | LayerKind::Empty => {}
        }
        Ok(View::new(layers))
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
        let key = fold_wtf8(trimmed(owner)).ok_or_else(missing)?;
        let row = index.get(&key)?.ok_or_else(missing)?;
        Ok(Box::new(index.open(&index.entry(&row)?, stream)?))
    }
}
