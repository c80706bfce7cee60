//! What a layer has above its chain: as a tar, as changes, file by file.

use super::base_layer::{BaseLayerEntry, BaseLayerOptions, BaseLayerReader};
use super::files::LayerFiles;
use super::folder::Folder;
use super::privilege::{Privilege, Privileges};
use super::{Hcs, INDEX, SPLIT};
use crate::backend::piped::{Piped, Sender};
use crate::backend::{Backend, Change, Export, ExportedTar, LayerId, LayerKind};
use crate::digest::{Expected, Verified};
use crate::error::{Error, ErrorKind, Result, StoreFault};
use crate::fs::staging::Staging;
use crate::fs::{NamedFile, Root, temporary_file};
use crate::layer_name::trimmed;
use crate::layer_tar::{LayerWriter, WriterOptions};
use crate::problem::{Flaw, ProblemCode};
use crate::source::{ReadAt, Slice};
use crate::tar_split::Assembled;
use crate::transport::to_layer_tar;
use crate::view::compare::imported_changes;
use crate::view::{Index, LayerSource, View};
use std::io::{self, BufReader, Cursor, Read, Write};
use std::path::Path;
use std::sync::Arc;

impl Hcs {
    pub(super) fn export(&self, id: &LayerId, chain: &[LayerId]) -> Result<Export> {
        let tar: Box<dyn Read + Send> = match self.layer_kind(id)? {
            LayerKind::Imported => {
                let index = self.index(id)?;
                let tar = index.tar();
                let size = tar.size().map_err(|e| Error::io("read", Some(&self.path(id)), e))?;
                let what = format!("layer \"{id}\"");
                let expected = Expected { size: Some(size), digest: index.imported().diff_id, what };
                Box::new(Verified::new(Slice::new(tar, 0, size), expected))
            }
            LayerKind::Sandbox | LayerKind::Folder => {
                let write = self.transfer(id, chain)?;
                Box::new(Piped::start(move |sink: Sender| write(sink))?)
            }
            LayerKind::Empty => Box::new(Cursor::new(vec![0; 2 * crate::tar::BLOCK])),
        };
        // All that HCS is needed for is done.
        Ok(Export { tar: ExportedTar::Made(tar), live: false })
    }

    /// What writes the tar of a layer that was not imported, when HCS has done its part.
    fn transfer<W: Write + 'static>(
        &self,
        id: &LayerId,
        chain: &[LayerId],
    ) -> Result<Box<dyn FnOnce(W) -> Result<()> + Send>> {
        let options = WriterOptions::lossless(&self.limits);
        if chain.is_empty() {
            let path = self.path(id);
            return Ok(Box::new(move |sink| base_layer_tar(&path, sink, options)));
        }
        let staging = self.staging()?;
        let folder = Root::create(&staging.path().join("folder"))?;
        let writable = self.layer_kind(id)? == LayerKind::Sandbox;
        self.service.export_layer(&self.place(id), folder.path(), &self.paths(chain), writable)?;
        Ok(Box::new(move |sink| {
            let written = Privileges::hold(&[Privilege::Backup]).and_then(|_held| to_layer_tar(&folder, sink, options));
            // Windows deletes no folder that is open.
            drop(folder);
            drop(staging);
            written.map(drop)
        }))
    }

    pub(super) fn changes(
        &self,
        id: &LayerId,
        chain: &[LayerId],
        visit: &mut dyn FnMut(Change) -> Result<()>,
    ) -> Result<()> {
        if self.layer_kind(id)? == LayerKind::Empty {
            return Ok(());
        }
        let index = self.any_index(id, chain)?;
        let below = View::new(self.indexes_of(chain)?);
        imported_changes(&*index, &below, visit)
    }

    pub(super) fn view(&self, id: &LayerId, chain: &[LayerId]) -> Result<View> {
        let mut layers = self.indexes_of(chain)?;
        if self.layer_kind(id)? != LayerKind::Empty {
            layers.insert(0, self.any_index(id, chain)?);
        }
        Ok(View::new(layers))
    }

    pub(super) fn open_file(&self, id: &LayerId, name: &[u8]) -> Result<Box<dyn Read + Send>> {
        let files = LayerFiles::open(&self.path(id), &self.limits)?;
        Ok(Box::new(files.file(trimmed(name))?))
    }

    /// The index of an imported layer.
    pub(super) fn index(&self, id: &LayerId) -> Result<Arc<Index>> {
        let path = self.path(id);
        self.indexes.get(id.key(), || self.open_index(&path, &path).map_err(|error| error.in_layer(id.as_str())))
    }

    /// The index in one folder, of the files of a layer in another.
    pub(super) fn open_index(&self, folder: &Path, layer: &Path) -> Result<Index> {
        let tar = self.assembled(&folder.join(SPLIT), layer)?;
        Index::open_with(Arc::new(tar), &folder.join(INDEX), &self.limits)
    }

    pub(super) fn assembled(&self, split: &Path, layer: &Path) -> Result<Assembled> {
        let metadata = Arc::new(crate::fs::open_file(split)?);
        Assembled::open(metadata, Arc::new(LayerFiles::open(layer, &self.limits)?), &self.limits)
    }

    /// The indexes of a chain, nearest first; an empty layer adds nothing.
    fn indexes_of(&self, chain: &[LayerId]) -> Result<Vec<Arc<dyn LayerSource>>> {
        let mut indexes: Vec<Arc<dyn LayerSource>> = Vec::with_capacity(chain.len());
        for (n, id) in chain.iter().enumerate() {
            if self.layer_kind(id)? != LayerKind::Empty {
                indexes.push(self.any_index(id, &chain[n + 1..])?);
            }
        }
        Ok(indexes)
    }

    /// The index of a layer. One that was not imported is exported for it, into a file that goes when it is closed.
    fn any_index(&self, id: &LayerId, chain: &[LayerId]) -> Result<Arc<Index>> {
        match self.layer_kind(id)? {
            LayerKind::Imported => self.index(id),
            LayerKind::Sandbox => Ok(Arc::new(self.index_of_export(id, chain)?)),
            LayerKind::Folder if chain.is_empty() || self.is_marked(id)? => {
                Ok(Arc::new(self.index_of_export(id, chain)?))
            }
            LayerKind::Folder => {
                // Whoever asks for its child did not make it active.
                self.activate(id)?;
                let index = self.index_of_export(id, chain);
                let done = self.deactivate(id);
                index.and_then(|index| done.map(|()| Arc::new(index)))
            }
            LayerKind::Empty => Err(Error::store(StoreFault::WrongKind, id.as_str(), "it is empty")),
        }
    }

    fn index_of_export(&self, id: &LayerId, chain: &[LayerId]) -> Result<Index> {
        let mut tar = temporary_file(&self.home.path().join(super::TMP))?;
        let failed = |e| Error::io("write", Some(&self.path(id)), e);
        let write = self.transfer(id, chain)?;
        write(NamedFile::new(tar.try_clone().map_err(failed)?, self.path(id)))?;
        tar.flush().map_err(failed)?;
        let staging = self.staging()?;
        let path = staging.path().join(INDEX);
        let tar = Arc::new(tar);
        Index::build(tar.clone(), &path, "", &self.limits)?;
        Ok(Index::open_with(tar, &path, &self.limits)?.keeping(staging))
    }

    pub(super) fn check(
        &self,
        id: &LayerId,
        repair: bool,
        progress: &crate::progress::Progress,
        problem: &mut dyn FnMut(ProblemCode, String),
    ) -> Result<()> {
        if self.layer_kind(id)? != LayerKind::Imported {
            return Ok(());
        }
        let path = self.path(id);
        let tar = match self.assembled(&path.join(SPLIT), &path) {
            Ok(tar) => Arc::new(tar),
            Err(error) => {
                problem(StoreFault::Damaged.into(), format!("its tar cannot be put together: {error}"));
                return Ok(());
            }
        };
        let size = tar.size().map_err(|e| Error::io("read", Some(&self.path(id)), e))?;
        let whole = Slice::new(tar.clone(), 0, size);
        let diff_id = match crate::digest::copy_hashed(whole, io::sink(), &path, &self.limits, progress) {
            Ok((diff_id, _)) => diff_id,
            Err(error) => {
                problem(StoreFault::Damaged.into(), format!("its tar cannot be put together: {error}"));
                return Ok(());
            }
        };
        let claimed = Index::open_with(tar.clone(), &path.join(INDEX), &self.limits).map(|index| index.imported());
        let staging = self.staging()?;
        let anew = staging.path().join(INDEX);
        let claimed = match claimed {
            Ok(claimed) if claimed.diff_id != diff_id => {
                problem(
                    ErrorKind::Integrity.into(),
                    format!("expected {}, found {diff_id}, {size} bytes", claimed.diff_id),
                );
                return Ok(());
            }
            Ok(claimed) => {
                Index::build(tar, &anew, &claimed.diff_id, &self.limits)?;
                if matches!(Index::same_rows(&path.join(INDEX), &anew), Ok(true)) {
                    return Ok(());
                }
                "it does not say what is in the tar".to_owned()
            }
            Err(error) => {
                Index::build(tar, &anew, &diff_id, &self.limits)?;
                error.to_string()
            }
        };
        problem(Flaw::IndexDamaged.into(), claimed);
        if repair {
            self.indexes.forget(id.key());
            self.settle(&staging, id, INDEX)?;
        }
        Ok(())
    }

    /// Moves a file into a layer's folder.
    pub(super) fn settle(&self, staging: &Staging, id: &LayerId, name: &str) -> Result<()> {
        if self.fsync {
            staging.root()?.sync_file(Path::new(name))?;
        }
        self.home.rename(&staging.relative(&self.home)?.join(name), &Path::new(id.as_str()).join(name))
    }
}

/// Writes the tar of a base layer, which lies there as real files.
fn base_layer_tar(layer: &Path, sink: impl Write, options: WriterOptions) -> Result<()> {
    let _held = Privileges::hold(&Privilege::READ)?;
    let folder = Folder::open(layer)?;
    let limits = options.limits.clone();
    let mut reader = BaseLayerReader::new(&folder, BaseLayerOptions { limits, ..BaseLayerOptions::default() });
    let mut writer = LayerWriter::new(sink, options);
    while let Some(BaseLayerEntry { entry, stream }) = reader.next_entry()? {
        match stream {
            Some(stream) => {
                writer.add_backup_stream(&entry, BufReader::with_capacity(BUFFER, stream), Some(entry.size()))?
            }
            None => {
                let target = entry.link_name.as_deref().unwrap_or_default();
                writer.add_hard_link(&entry.name, target, Some(&entry.basic_info))?;
            }
        }
    }
    writer.finish()?.flush().map_err(|e| Error::io("write", None, e))
}

const BUFFER: usize = 256 << 10;
