//! What a layer changes in its chain.

use super::LayerStore;
use crate::backend::{Change, ChangeKind, LayerKind};
use crate::error::Result;
use crate::view::View;

impl LayerStore {
    /// Tells what a layer adds, modifies and deletes, in the order of its tar. `parent` is the recorded one, or `""`.
    ///
    /// # Errors
    /// [`crate::error::StoreFault::LayerNotFound`], [`crate::error::StoreFault::WrongParent`]; what `visit` returned.
    pub fn changes(&self, id: &str, parent: &str, visit: &mut dyn FnMut(Change) -> Result<()>) -> Result<()> {
        self.0.on(id, || self.visit_changes(id, parent, visit))
    }

    fn visit_changes(&self, id: &str, parent: &str, visit: &mut dyn FnMut(Change) -> Result<()>) -> Result<()> {
        let id = self.0.existing(id)?;
        self.0.check_parent(&id, parent)?;
        if self.0.is_plain(&id)? {
            return self.0.plain_changes(&id, visit);
        }
        let chain = self.0.whole_chain(&id)?;
        if self.0.read_only {
            return self.0.backend.layer_changes(&id, &chain, visit);
        }
        let _work = self.0.work()?;
        let _lock = self.0.lock(&id)?;
        let undo = self.0.make_exportable(&id)?;
        let told = self.0.backend.layer_changes(&id, &chain, visit);
        let undone = self.0.undo_exportable(&id, &chain, undo);
        told.and(undone)
    }

    /// All that is seen of a layer merged over its chain, with its metadata, without mounting it. What is changed in a
    /// sandbox later is not in it.
    ///
    /// # Errors
    /// [`crate::error::StoreFault::LayerNotFound`], [`crate::error::StoreFault::BadChain`];
    /// [`crate::error::Error::Io`].
    pub fn view(&self, id: &str) -> Result<View> {
        self.0.on(id, || self.merged(id))
    }

    fn merged(&self, id: &str) -> Result<View> {
        let id = self.0.existing(id)?;
        let chain = self.0.whole_chain(&id)?;
        if self.0.read_only {
            return self.0.backend.layer_view(&id, &chain);
        }
        let _work = self.0.work()?;
        let backend = &self.0.backend;
        if backend.capabilities().exports_prepared || backend.layer_kind(&id)? != LayerKind::Sandbox {
            return backend.layer_view(&id, &chain);
        }
        let _lock = self.0.lock(&id)?;
        let undo = self.0.make_exportable(&id)?;
        let view = backend.layer_view(&id, &chain);
        let undone = self.0.undo_exportable(&id, &chain, undo);
        view.and_then(|view| undone.map(|()| view))
    }

    /// Bytes of file data that a layer adds or modifies. Nothing is mounted for it.
    ///
    /// # Errors
    /// As [`LayerStore::changes`].
    pub fn diff_size(&self, id: &str, parent: &str) -> Result<u64> {
        let mut size = 0;
        self.changes(id, parent, &mut |change| {
            if change.kind != ChangeKind::Delete {
                size += change.size;
            }
            Ok(())
        })?;
        Ok(size)
    }
}
