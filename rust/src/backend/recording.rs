//! A backend for tests, around a real one: it records the calls, refuses those that HCS would refuse, and fails on
//! request.

use super::{Backend, Capabilities, Change, Export, Imported, LayerKind};
use crate::backend::LayerId;
use crate::error::{Error, Result};
use crate::problem::ProblemCode;
use crate::progress::Progress;
use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How far a layer is on its way to being visible.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readiness {
    /// After activate.
    Active,
    /// After prepare.
    Prepared,
}

/// A backend that records calls. As with HCS, a prepared layer cannot be exported, unless the real backend can.
pub struct Recording {
    inner: Arc<dyn Backend>,
    /// Whether a diff flavour drives it, whose layers need not be active.
    any_order: bool,
    capabilities: Capabilities,
    notes: Mutex<Notes>,
}

#[derive(Default)]
struct Notes {
    calls: Vec<String>,
    fail_at: Option<usize>,
    ready: BTreeMap<String, Readiness>,
}

impl Recording {
    /// Around a backend, which is said to export only what is not prepared.
    #[must_use]
    pub fn new(inner: Arc<dyn Backend>) -> Self {
        let capabilities = Capabilities { exports_prepared: false, ..inner.capabilities() };
        Recording { inner, any_order: false, capabilities, notes: Mutex::default() }
    }

    /// As for the diff flavour.
    #[must_use]
    pub fn in_any_order(self) -> Self {
        Recording { any_order: true, ..self }
    }

    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The calls since the last time, each as a verb of HCS and an id.
    pub fn take_calls(&self) -> Vec<String> {
        std::mem::take(&mut self.notes().calls)
    }

    /// Makes a later call fail, after as many that succeed; `None` makes none fail.
    pub fn fail_after(&self, calls: Option<usize>) {
        let mut notes = self.notes();
        notes.calls.clear();
        notes.fail_at = calls;
    }

    /// The layers that are active or prepared.
    pub fn ready(&self) -> BTreeMap<String, Readiness> {
        self.notes().ready.clone()
    }

    fn call(&self, verb: &str, id: &LayerId) -> Result<()> {
        let mut notes = self.notes();
        let n = notes.calls.len();
        notes.calls.push(format!("{verb} {id}"));
        if notes.fail_at == Some(n) {
            return Err(Error::io("do as HCS is told", None, io::Error::other("injected")));
        }
        Ok(())
    }

    fn want(&self, id: &LayerId, wanted: &[Option<Readiness>]) {
        let ready = self.notes().ready.get(id.key()).copied();
        assert!(wanted.contains(&ready), "{id} is {ready:?}, and should be one of {wanted:?}");
    }

    fn set(&self, id: &LayerId, readiness: Option<Readiness>) {
        let mut notes = self.notes();
        match readiness {
            Some(readiness) => notes.ready.insert(id.key().to_owned(), readiness),
            None => notes.ready.remove(id.key()),
        };
    }

    fn want_exportable(&self, id: &LayerId) {
        if !self.any_order {
            self.want(id, &[Some(Readiness::Active)]);
        }
    }
}

impl Backend for Recording {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn capabilities(&self) -> Capabilities {
        self.capabilities.clone()
    }

    fn reserved_names(&self) -> &'static [&'static str] {
        self.inner.reserved_names()
    }

    fn layer_exists(&self, id: &LayerId) -> Result<bool> {
        self.inner.layer_exists(id)
    }

    fn layer_kind(&self, id: &LayerId) -> Result<LayerKind> {
        self.inner.layer_kind(id)
    }

    fn layers(&self) -> Result<Vec<LayerId>> {
        self.inner.layers()
    }

    fn layer_path(&self, id: &LayerId) -> Result<PathBuf> {
        self.call("GetLayerMountPath", id)?;
        self.inner.layer_path(id)
    }

    fn create_layer(&self, id: &LayerId, parent: Option<&LayerId>) -> Result<()> {
        self.call("CreateLayer", id)?;
        self.inner.create_layer(id, parent)
    }

    fn create_sandbox_layer(&self, id: &LayerId, chain: &[LayerId]) -> Result<()> {
        self.call("CreateSandboxLayer", id)?;
        self.inner.create_sandbox_layer(id, chain)
    }

    fn expand_sandbox_size(&self, id: &LayerId, size: u64) -> Result<()> {
        self.call("ExpandSandboxSize", id)?;
        self.inner.expand_sandbox_size(id, size)
    }

    fn destroy_layer(&self, id: &LayerId) -> Result<()> {
        self.call("DestroyLayer", id)?;
        self.want(id, &[None]);
        self.inner.destroy_layer(id)
    }

    fn activate_layer(&self, id: &LayerId) -> Result<()> {
        self.call("ActivateLayer", id)?;
        self.want(id, &[None]);
        self.inner.activate_layer(id)?;
        self.set(id, Some(Readiness::Active));
        Ok(())
    }

    fn deactivate_layer(&self, id: &LayerId) -> Result<()> {
        self.want(id, &[Some(Readiness::Active), Some(Readiness::Prepared)]);
        // A failure to unprepare or deactivate a layer is reported, but has taken place.
        self.set(id, None);
        self.call("DeactivateLayer", id)?;
        self.inner.deactivate_layer(id)
    }

    fn prepare_layer(&self, id: &LayerId, chain: &[LayerId]) -> Result<()> {
        self.call("PrepareLayer", id)?;
        self.want(id, &[Some(Readiness::Active)]);
        self.inner.prepare_layer(id, chain)?;
        self.set(id, Some(Readiness::Prepared));
        Ok(())
    }

    fn unprepare_layer(&self, id: &LayerId) -> Result<()> {
        self.call("UnprepareLayer", id)?;
        self.want(id, &[Some(Readiness::Prepared)]);
        self.inner.unprepare_layer(id)?;
        self.set(id, Some(Readiness::Active));
        Ok(())
    }

    fn layer_mount_path(&self, id: &LayerId) -> Result<Option<PathBuf>> {
        self.call("GetLayerMountPath", id)?;
        self.inner.layer_mount_path(id)
    }

    fn import_layer(
        &self,
        id: &LayerId,
        chain: &[LayerId],
        tar: Box<dyn Read + Send>,
        progress: Progress,
    ) -> Result<Imported> {
        self.call("ImportLayer", id)?;
        self.want(id, &[None]);
        self.inner.import_layer(id, chain, tar, progress)
    }

    fn clear_layer(&self, id: &LayerId) -> Result<()> {
        self.inner.clear_layer(id)
    }

    fn export_layer(&self, id: &LayerId, chain: &[LayerId]) -> Result<Export> {
        self.call("ExportLayer", id)?;
        self.want_exportable(id);
        self.inner.export_layer(id, chain)
    }

    fn layer_changes(
        &self,
        id: &LayerId,
        chain: &[LayerId],
        visit: &mut dyn FnMut(Change) -> Result<()>,
    ) -> Result<()> {
        self.call("ExportLayer", id)?;
        self.want_exportable(id);
        self.inner.layer_changes(id, chain, visit)
    }

    fn layer_view(&self, id: &LayerId, chain: &[LayerId]) -> Result<crate::view::View> {
        self.inner.layer_view(id, chain)
    }

    fn open_layer_file(&self, id: &LayerId, name: &[u8]) -> Result<Box<dyn Read + Send>> {
        self.inner.open_layer_file(id, name)
    }

    fn imported(&self, id: &LayerId) -> Result<Option<Imported>> {
        self.inner.imported(id)
    }

    fn check_layer(
        &self,
        id: &LayerId,
        repair: bool,
        progress: &Progress,
        problem: &mut dyn FnMut(ProblemCode, String),
    ) -> Result<()> {
        self.inner.check_layer(id, repair, progress, problem)
    }

    fn sweep(&self, in_use: &dyn Fn(&LayerId) -> Result<bool>) -> Result<()> {
        self.inner.sweep(in_use)
    }

    fn shared_base_images(&self) -> Result<String> {
        self.inner.shared_base_images()
    }
}
