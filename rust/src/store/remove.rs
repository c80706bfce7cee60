//! Layers that go.

use super::state::{Hold, Stage};
use super::{Inner, LayerId, LayerStore};
use crate::error::{Error, Result, StoreFault};
use std::path::Path;

/// Where the host keeps copies of the files of a layer that it rewrites.
const BACKUPS: &str = "sysfile-backups";

impl LayerStore {
    /// Removes a layer, with all that is in a sandbox. A layer that is mounted, or that others stand on, stays.
    ///
    /// # Errors
    /// [`StoreFault::LayerNotFound`], [`StoreFault::LayerInUse`], [`StoreFault::HasChildren`]; [`Error::Io`] for what
    /// could not be deleted: [`LayerStore::cleanup`] tries again.
    pub fn remove(&self, id: &str) -> Result<()> {
        self.0.on(id, || self.take_out(id))
    }

    fn take_out(&self, id: &str) -> Result<()> {
        let _work = self.0.work()?;
        let id = self.0.existing(id)?;
        let _lock = self.0.lock(&id)?;
        if !self.0.is_there(&id)? {
            return Err(super::not_found(id.as_str()));
        }
        self.0.refuse_held(&id)?;
        if let Some(child) = self.0.state.children(&id)?.first() {
            return Err(Error::store(StoreFault::HasChildren, id.as_str(), format!("\"{child}\"")));
        }
        self.0.state.set_stage(&id, Stage::Removing, Some(self.0.owner()?))?;
        self.0.destroy(&id)
    }
}

impl Inner {
    pub(super) fn refuse_held(&self, id: &LayerId) -> Result<()> {
        if self.state.record(id)?.is_some_and(|record| record.stage == Stage::Importing) {
            return Err(Error::store(StoreFault::LayerInUse, id.as_str(), "it is being filled"));
        }
        for (hold, what) in [(Hold::Mount, "mounted"), (Hold::Export, "exported"), (Hold::Stream, "read")] {
            let count = self.state.holds(id, hold)?;
            if count > 0 {
                return Err(Error::store(StoreFault::LayerInUse, id.as_str(), format!("it is {what}, {count} times")));
            }
        }
        Ok(())
    }

    /// Goes on with a removal that is written down. The lock on the layer is held.
    pub(super) fn destroy(&self, id: &LayerId) -> Result<()> {
        // Copies of a few files: no reason to keep the layer.
        let backups = Path::new(BACKUPS).join(id.as_str());
        if self.home.metadata(&backups).is_ok() {
            let _ = self.home.remove_tree(&backups);
        }
        match self.backend.destroy_layer(id) {
            Ok(()) => self.state.forget(id),
            Err(error) => {
                if self.backend.layer_exists(id).unwrap_or(true) {
                    self.state.set_stage(id, Stage::Ready, None)?;
                } else {
                    self.state.forget(id)?;
                }
                Err(error)
            }
        }
    }
}
