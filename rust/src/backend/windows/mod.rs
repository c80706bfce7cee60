//! Layers as Windows itself keeps them: through the Host Compute Service (HCS), and as backup streams of real files.
//!
//! A layer is a folder of the home, in the form that HCS gives it. Beside what HCS has there, an imported layer has
//! `layer.split`, the tar-split metadata of its tar, and `layer.index`: from these and the files the very tar is put
//! together again, and its entries are found without reading it. What is not whole yet lies in `.winlayers/tmp`, what
//! is being deleted in `.winlayers/trash`; `.winlayers/ready` tells which layers are active, since when the host runs.
//!
//! The only `unsafe` of the crate is here; every foreign function that is not of the `windows` crate is in `sys`.
#![allow(unsafe_code)]

pub mod backup;
pub mod base_layer;
mod destroy;
mod disk;
mod export;
mod files;
pub mod folder;
pub mod handle;
pub mod host;
mod import;
mod mount;
pub mod privilege;
mod service;
mod sys;
mod sys_backup;
mod utility_vm;
pub mod zap;

use super::{Backend, BackendOptions, Capabilities, Change, Export, Imported, LayerKind};
use crate::backend::LayerId;
use crate::error::{Error, Result, Rule, StoreFault};
use crate::fs::{Kind, Root, Staging, staging};
use crate::layer_name::ROOTS;
use crate::limits::Limits;
use crate::problem::ProblemCode;
use crate::progress::Progress;
use crate::view::{Indexes, View};
use service::{Place, Service};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

const SPLIT: &str = "layer.split";
const INDEX: &str = "layer.index";
/// What HCS makes of a sandbox.
const DISK: &str = "sandbox.vhdx";
/// What HCS keeps the files of a layer in.
const TMP: &str = ".winlayers/tmp";
const TRASH: &str = ".winlayers/trash";
const READY: &str = ".winlayers/ready";

/// The backend that hands layers to the Host Compute Service.
pub struct Hcs {
    home: Root,
    service: Service,
    fsync: bool,
    limits: Limits,
    indexes: Indexes,
}

impl Hcs {
    /// Whether this Windows has the service.
    ///
    /// # Errors
    /// [`Error::Unsupported`] that says what is missing, and how to have it.
    pub fn is_there() -> Result<()> {
        Service::is_there()
    }

    /// The functions of the service that are looked up: DLL, name, and whether they are there.
    #[must_use]
    pub fn functions() -> Vec<(&'static str, &'static str, bool)> {
        sys::all()
    }

    /// The layers in a home.
    ///
    /// # Errors
    /// [`StoreFault::HomeUnsupported`] for a file system that keeps no layers; [`Error::Unsupported`], [`Error::Io`].
    pub fn open(home: &Path, options: &BackendOptions) -> Result<Self> {
        Self::is_there()?;
        let file_system = host::file_system(home)?;
        if file_system != "NTFS" {
            let detail = format!("{} is on {file_system}, and HCS keeps layers on NTFS alone", home.display());
            return Err(Error::store(StoreFault::HomeUnsupported, "", detail));
        }
        let home = Root::open(home)?;
        for folder in [TMP, TRASH, READY] {
            match home.create_dir(Path::new(folder)) {
                Ok(()) | Err(Error::Refused { rule: Rule::TargetExists, .. }) => {}
                Err(e) => return Err(e),
            }
        }
        Ok(Hcs {
            home,
            service: Service { flavour: options.flavour as u32, timeout: options.hcs_timeout, api: options.hcs_api },
            fsync: options.fsync,
            limits: options.limits.clone(),
            indexes: Indexes::default(),
        })
    }

    fn place(&self, id: &LayerId) -> Place {
        Place { home: self.home.path().to_path_buf(), id: id.as_str().to_owned() }
    }

    fn path(&self, id: &LayerId) -> PathBuf {
        self.home.path().join(id.as_str())
    }

    fn paths(&self, chain: &[LayerId]) -> Vec<PathBuf> {
        chain.iter().map(|id| self.path(id)).collect()
    }

    /// Whether something of this name is in a layer's folder.
    fn has(&self, id: &LayerId, name: &str) -> Result<bool> {
        Ok(self.kind_of(&Path::new(id.as_str()).join(name))?.is_some())
    }

    /// What is at a path below the home; `None` for nothing.
    fn kind_of(&self, path: &Path) -> Result<Option<Kind>> {
        Ok(self.home.try_metadata(path)?.map(|metadata| metadata.kind))
    }

    fn staging(&self) -> Result<Staging> {
        Staging::new(&self.home.path().join(TMP))
    }
}

impl Backend for Hcs {
    fn name(&self) -> &'static str {
        "hcs"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { exports_prepared: false, sandbox_size: true }
    }

    fn reserved_names(&self) -> &'static [&'static str] {
        &[SPLIT, INDEX, DISK]
    }

    fn layer_exists(&self, id: &LayerId) -> Result<bool> {
        self.service.layer_exists(&self.place(id))
    }

    fn layer_kind(&self, id: &LayerId) -> Result<LayerKind> {
        if self.has(id, INDEX)? {
            return Ok(LayerKind::Imported);
        }
        if self.has(id, DISK)? {
            return Ok(LayerKind::Sandbox);
        }
        for name in ROOTS {
            if self.has(id, name)? {
                return Ok(LayerKind::Folder);
            }
        }
        if self.kind_of(Path::new(id.as_str()))? == Some(Kind::Directory) {
            return Ok(LayerKind::Empty);
        }
        Err(Error::store(StoreFault::LayerNotFound, id.as_str(), ""))
    }

    fn layers(&self) -> Result<Vec<LayerId>> {
        let mut layers = Vec::new();
        for name in self.home.list(Path::new(""))? {
            let Some(id) = name.to_str().and_then(|name| LayerId::new(name).ok()) else { continue };
            if id.as_str() == name && self.kind_of(Path::new(&name))? == Some(Kind::Directory) {
                layers.push(id);
            }
        }
        Ok(layers)
    }

    fn layer_path(&self, id: &LayerId) -> Result<PathBuf> {
        let folder = self.path(id);
        let mounted = self.service.mount_path(&self.place(id))?;
        // Chains name layers by the last part: that of a volume says nothing.
        Ok(mounted.filter(|path| path.file_name() == folder.file_name()).unwrap_or(folder))
    }

    fn create_layer(&self, id: &LayerId, parent: Option<&LayerId>) -> Result<()> {
        self.service.create_layer(&self.place(id), parent.map_or("", LayerId::as_str))
    }

    fn create_sandbox_layer(&self, id: &LayerId, chain: &[LayerId]) -> Result<()> {
        self.service.create_sandbox_layer(&self.place(id), &self.paths(chain))
    }

    fn expand_sandbox_size(&self, id: &LayerId, size: u64) -> Result<()> {
        self.service.expand_sandbox_size(&self.place(id), size)
    }

    fn destroy_layer(&self, id: &LayerId) -> Result<()> {
        self.destroy(id)
    }

    fn activate_layer(&self, id: &LayerId) -> Result<()> {
        self.activate(id)
    }

    fn deactivate_layer(&self, id: &LayerId) -> Result<()> {
        self.deactivate(id)
    }

    fn prepare_layer(&self, id: &LayerId, chain: &[LayerId]) -> Result<()> {
        self.prepare(id, chain)
    }

    fn unprepare_layer(&self, id: &LayerId) -> Result<()> {
        self.service.unprepare_layer(&self.place(id))
    }

    fn layer_mount_path(&self, id: &LayerId) -> Result<Option<PathBuf>> {
        self.mounted(id)
    }

    fn import_layer(
        &self,
        id: &LayerId,
        chain: &[LayerId],
        tar: Box<dyn Read + Send>,
        progress: Progress,
    ) -> Result<Imported> {
        self.import(id, chain, tar, progress)
    }

    fn clear_layer(&self, id: &LayerId) -> Result<()> {
        if self.layer_kind(id)? != LayerKind::Folder {
            return Ok(());
        }
        self.clear(id)
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
        self.view(id, chain)
    }

    fn open_layer_file(&self, id: &LayerId, name: &[u8]) -> Result<Box<dyn Read + Send>> {
        self.open_file(id, name)
    }

    fn imported(&self, id: &LayerId) -> Result<Option<Imported>> {
        if self.layer_kind(id)? != LayerKind::Imported {
            return Ok(None);
        }
        Ok(Some(self.index(id)?.imported()))
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
        self.sweep_ready(in_use)?;
        self.sweep_trash()?;
        for name in self.home.list(Path::new(TMP))? {
            self.home.remove_tree(&Path::new(TMP).join(name)).or_else(staging::unless_open)?;
        }
        Ok(())
    }

    fn shared_base_images(&self) -> Result<String> {
        self.service.base_images()
    }
}

/// Whether something keeps a folder from being renamed.
fn is_held(error: &Error) -> bool {
    /// ERROR_SHARING_VIOLATION.
    const SHARING_VIOLATION: i32 = 32;
    matches!(error, Error::Io { source, .. } if source.kind() == io::ErrorKind::PermissionDenied
        || source.raw_os_error() == Some(SHARING_VIOLATION))
}
