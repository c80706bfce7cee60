//! Layers in plain files, on any system.
//!
//! A layer is a folder of the home: with `layer.tar` (the uncompressed tar as it came) and `layer.index` when it was
//! imported, with `tree/` and `layout.db` when it is a sandbox, with neither when it is empty. A folder with other
//! files came from a Windows host, and is read if it is a transport folder. Unfinished layers lie in `.winlayers/tmp`,
//! those being deleted in `.winlayers/trash`, and read-only views in `.winlayers/views`.

pub(crate) mod export;
mod growing;
mod import;
pub mod layout;
mod link_text;
mod mount;
mod record;
pub mod scan;
#[cfg(test)]
mod testing;
mod tree;

use super::{Backend, BackendOptions, Capabilities, Change, Export, Imported, LayerKind};
use crate::backend::LayerId;
use crate::error::{Error, Result, Rule, StoreFault};
use crate::fs::{Kind, NamedFile, Root, Staging, staging, sync_names};
use crate::layer_tar::WriterOptions;
use crate::limits::Limits;
use crate::problem::ProblemCode;
use crate::progress::Progress;
use crate::transport;
use crate::view::{Index, Indexes, LayerSource, View};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const TAR: &str = "layer.tar";
const INDEX: &str = "layer.index";
const TREE: &str = "tree";
const RECORD: &str = "layout.db";
const TMP: &str = ".winlayers/tmp";
const TRASH: &str = ".winlayers/trash";
const VIEWS: &str = ".winlayers/views";

/// The backend for every system.
pub struct Portable {
    home: Root,
    fsync: bool,
    limits: Limits,
    base_images: Option<String>,
    indexes: Indexes,
}

impl Portable {
    /// The layers in a home.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn open(home: &Path, options: &BackendOptions) -> Result<Self> {
        let home = Root::open(home)?;
        for folder in [TMP, TRASH, VIEWS] {
            match home.create_dir(Path::new(folder)) {
                Ok(()) | Err(Error::Refused { rule: Rule::TargetExists, .. }) => {}
                // A home that opens for reading.
                Err(e) if e.is_read_only() => {}
                Err(e) => return Err(e),
            }
        }
        Ok(Portable {
            home,
            fsync: options.fsync,
            limits: options.limits.clone(),
            base_images: options.base_images.clone(),
            indexes: Indexes::default(),
        })
    }

    /// What is at a path below a layer's folder; `None` for nothing.
    fn kind_of(&self, id: &LayerId, name: &str) -> Result<Option<Kind>> {
        let found = self.home.try_metadata(&Path::new(id.as_str()).join(name))?;
        Ok(found.map(|metadata| metadata.kind))
    }

    fn path(&self, id: &LayerId, name: &str) -> PathBuf {
        self.home.path().join(id.as_str()).join(name)
    }

    /// The index of a layer that has content of its own; `None` where it has none, or is a sandbox.
    fn index(&self, id: &LayerId) -> Result<Option<Arc<Index>>> {
        let kind = self.layer_kind(id)?;
        if matches!(kind, LayerKind::Empty | LayerKind::Sandbox) {
            self.indexes.forget(id.key());
            return Ok(None);
        }
        let open = || match kind {
            LayerKind::Imported => Index::open(&self.path(id, TAR), &self.path(id, INDEX), &self.limits),
            _ => self.index_of_folder(id),
        };
        self.indexes.get(id.key(), || open().map_err(|e| e.in_layer(id.as_str()))).map(Some)
    }

    /// A temporary index, of the transport folder of a Windows host.
    fn index_of_folder(&self, id: &LayerId) -> Result<Index> {
        let root = self.transport_folder(id)?;
        let staging = self.scratch()?;
        let (path, index) = (staging.path().join(TAR), staging.path().join(INDEX));
        let tar = NamedFile::new(staging.root()?.create_file(Path::new(TAR))?, &path);
        let (tar, _) = transport::to_layer_tar(&root, tar, WriterOptions::lossless(&self.limits))?;
        Index::build(Arc::new(tar), &index, "", &self.limits)?;
        Ok(Index::open(&path, &index, &self.limits)?.keeping(staging))
    }

    /// The folder of a layer that came from a Windows host, where its metadata is in it.
    fn transport_folder(&self, id: &LayerId) -> Result<Root> {
        if self.kind_of(id, transport::TOMBSTONES)?.is_none() {
            return Err(Error::Unsupported {
                operation: format!("reading layer \"{id}\"").into(),
                reason:
                    "it is a plain folder of a Windows host, and its metadata stayed there: export it on the host, \
                         or import it from its image"
                        .into(),
            });
        }
        Root::open(&self.path(id, ""))
    }

    /// The merged view of layers, nearest first; those without content of their own add nothing.
    fn view(&self, layers: &[LayerId]) -> Result<View> {
        Ok(View::new(self.indexes_of(layers)?))
    }

    fn indexes_of(&self, layers: &[LayerId]) -> Result<Vec<Arc<dyn LayerSource>>> {
        let indexes = layers.iter().filter_map(|id| self.index(id).transpose());
        indexes.map(|index| Ok(index? as Arc<dyn LayerSource>)).collect()
    }

    /// A new folder for what is not whole yet; it goes when it is dropped.
    fn staging(&self) -> Result<Staging> {
        Staging::new(&self.home.path().join(TMP))
    }

    /// A new folder for what nobody keeps; elsewhere where the home cannot be written.
    fn scratch(&self) -> Result<Staging> {
        match self.staging() {
            Err(e) if e.is_read_only() => Staging::new(&std::env::temp_dir()),
            made => made,
        }
    }

    /// Moves a folder or file of the home out of sight, in one step, and deletes it.
    fn discard(&self, path: &Path) -> Result<()> {
        let staging = Staging::new(&self.home.path().join(TRASH))?;
        let aside = staging.relative(&self.home)?.join("gone");
        self.home.rename(path, &aside)?;
        if self.fsync {
            sync_names(self.home.path().join(path).parent().expect("it is below the home"))?;
        }
        staging.remove()
    }
}

impl Backend for Portable {
    fn name(&self) -> &'static str {
        "portable"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { exports_prepared: true, sandbox_size: false }
    }

    fn reserved_names(&self) -> &'static [&'static str] {
        &[TAR, INDEX, TREE, RECORD]
    }

    fn layer_exists(&self, id: &LayerId) -> Result<bool> {
        Ok(self.kind_of(id, "")? == Some(Kind::Directory))
    }

    fn layer_kind(&self, id: &LayerId) -> Result<LayerKind> {
        if self.kind_of(id, INDEX)?.is_some() {
            return Ok(LayerKind::Imported);
        }
        if self.kind_of(id, RECORD)?.is_some() || self.kind_of(id, TREE)?.is_some() {
            return Ok(LayerKind::Sandbox);
        }
        if self.layer_exists(id)? {
            let names = self.home.list(Path::new(id.as_str()))?;
            let is_empty = names.iter().all(|name| name == TAR || transport::is_of_driver(name));
            return Ok(if is_empty { LayerKind::Empty } else { LayerKind::Folder });
        }
        Err(Error::store(StoreFault::LayerNotFound, id.as_str(), ""))
    }

    fn layers(&self) -> Result<Vec<LayerId>> {
        let mut layers = Vec::new();
        for name in self.home.list(Path::new(""))? {
            let Some(id) = name.to_str().and_then(|name| LayerId::new(name).ok()) else { continue };
            if id.as_str() == name && self.layer_exists(&id)? {
                layers.push(id);
            }
        }
        Ok(layers)
    }

    fn layer_path(&self, id: &LayerId) -> Result<PathBuf> {
        Ok(self.home.path().join(id.as_str()))
    }

    fn create_layer(&self, id: &LayerId, _parent: Option<&LayerId>) -> Result<()> {
        let staging = self.staging()?;
        staging.settle(&self.home, id.as_str(), self.fsync)
    }

    fn create_sandbox_layer(&self, id: &LayerId, _chain: &[LayerId]) -> Result<()> {
        let staging = self.staging()?;
        let mark = staging.root()?.create_file(Path::new(RECORD))?;
        if self.fsync {
            mark.sync_all().map_err(|e| Error::io("sync", Some(staging.path()), e))?;
        }
        // Windows renames no folder in which something is open.
        drop(mark);
        staging.settle(&self.home, id.as_str(), self.fsync)
    }

    fn expand_sandbox_size(&self, _id: &LayerId, _size: u64) -> Result<()> {
        Err(Error::Unsupported {
            operation: "a size for a sandbox".into(),
            reason: "a folder has none; use a file system with quotas below the store".into(),
        })
    }

    fn destroy_layer(&self, id: &LayerId) -> Result<()> {
        self.indexes.forget(id.key());
        self.remove_view(id)?;
        self.discard(Path::new(id.as_str()))
    }

    fn activate_layer(&self, _id: &LayerId) -> Result<()> {
        Ok(())
    }

    fn deactivate_layer(&self, id: &LayerId) -> Result<()> {
        self.remove_view(id)
    }

    fn prepare_layer(&self, id: &LayerId, chain: &[LayerId]) -> Result<()> {
        self.lay_out(id, chain)
    }

    fn unprepare_layer(&self, _id: &LayerId) -> Result<()> {
        Ok(())
    }

    fn layer_mount_path(&self, id: &LayerId) -> Result<Option<PathBuf>> {
        self.laid_out(id)
    }

    fn import_layer(
        &self,
        id: &LayerId,
        _chain: &[LayerId],
        tar: Box<dyn Read + Send>,
        progress: Progress,
    ) -> Result<Imported> {
        self.import(id, tar, progress)
    }

    fn clear_layer(&self, _id: &LayerId) -> Result<()> {
        // An import fills a layer as a whole or not at all; `sweep` takes the tar that a killed one moved in.
        Ok(())
    }

    fn export_layer(&self, id: &LayerId, chain: &[LayerId]) -> Result<Export> {
        self.export(id, chain)
    }

    fn layer_changes(
        &self,
        id: &LayerId,
        chain: &[LayerId],
        visit: &mut dyn FnMut(Change) -> Result<()>,
    ) -> Result<()> {
        self.changes(id, chain, visit)
    }

    fn layer_view(&self, id: &LayerId, chain: &[LayerId]) -> Result<View> {
        self.merged(id, chain)
    }

    fn open_layer_file(&self, id: &LayerId, name: &[u8]) -> Result<Box<dyn Read + Send>> {
        self.open_file(id, name)
    }

    fn imported(&self, id: &LayerId) -> Result<Option<Imported>> {
        self.recorded_import(id)
    }

    fn check_layer(
        &self,
        id: &LayerId,
        repair: bool,
        progress: &Progress,
        problem: &mut dyn FnMut(ProblemCode, String),
    ) -> Result<()> {
        self.check(id, repair, progress, problem)
    }

    fn sweep(&self, in_use: &dyn Fn(&LayerId) -> Result<bool>) -> Result<()> {
        for name in self.home.list(Path::new(VIEWS))? {
            let id = name.to_str().and_then(|name| LayerId::new(name).ok());
            if !id.map_or(Ok(false), |id| in_use(&id))? {
                self.discard(&Path::new(VIEWS).join(name))?;
            }
        }
        for folder in [TMP, TRASH] {
            for name in self.home.list(Path::new(folder))? {
                let path = Path::new(folder).join(name);
                let removed = match self.home.metadata(&path)?.kind {
                    Kind::Directory => self.home.remove_tree(&path),
                    _ => self.home.remove_file(&path),
                };
                removed.or_else(staging::unless_open)?;
            }
        }
        // What a killed import moved in before the index that would have made it count.
        for id in self.layers()? {
            if self.kind_of(&id, INDEX)?.is_none() && self.kind_of(&id, TAR)?.is_some() {
                self.home.remove_file(&Path::new(id.as_str()).join(TAR))?;
            }
        }
        Ok(())
    }

    fn shared_base_images(&self) -> Result<String> {
        Ok(self.base_images.clone().unwrap_or_else(|| "{\"Images\":[]}".to_owned()))
    }
}
