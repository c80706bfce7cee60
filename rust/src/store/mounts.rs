//! Layers that are seen: get and put, and mounts that end with a scope.

use super::state::{Hold, NOBODY, Stage};
use super::{Inner, LayerId, LayerStore};
use crate::error::{Error, Result, StoreFault};
use std::path::{Path, PathBuf};

impl LayerStore {
    /// Shows a layer merged over its chain: the content of `Files`. Each get wants a [`LayerStore::put`], by any
    /// process; the count outlives this one. The first get prepares the layer, and others wait for it.
    ///
    /// # Errors
    /// [`StoreFault::LayerNotFound`], [`StoreFault::BadChain`]; [`Error::Refused`] for what this disk cannot hold;
    /// what was prepared is undone then.
    pub fn get(&self, id: &str) -> Result<PathBuf> {
        let id = self.0.existing(id)?;
        self.0.on(id.as_str(), || self.0.mount(&id, NOBODY))
    }

    /// The opposite of [`LayerStore::get`]. A layer that is not in use stays as it is, without an error.
    ///
    /// # Errors
    /// What undoing the last get gives; the layer counts as put even then.
    pub fn put(&self, id: &str) -> Result<()> {
        let id = self.0.existing(id)?;
        self.0.unmount(&id, NOBODY)
    }

    /// As [`LayerStore::get`], until the result is dropped or this process ends.
    ///
    /// # Errors
    /// As [`LayerStore::get`].
    pub fn mount(&self, id: &str) -> Result<Mount> {
        let id = self.0.existing(id)?;
        let path = self.0.on(id.as_str(), || self.0.mount(&id, self.0.owner()?))?;
        Ok(Mount { store: self.clone(), id, path, open: true })
    }
}

/// A layer that is seen while this exists.
pub struct Mount {
    store: LayerStore,
    id: LayerId,
    path: PathBuf,
    open: bool,
}

impl Mount {
    /// Where it is seen.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Ends it and returns errors, which dropping it ignores.
    ///
    /// # Errors
    /// As [`LayerStore::put`].
    pub fn close(mut self) -> Result<()> {
        self.release()
    }

    fn release(&mut self) -> Result<()> {
        if !std::mem::take(&mut self.open) {
            return Ok(());
        }
        self.store.0.unmount(&self.id, self.store.0.owner()?)
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // A caller that wants the error calls `close`.
        let _ = self.release();
    }
}

impl Inner {
    fn mount(&self, id: &LayerId, owner: &str) -> Result<PathBuf> {
        let _work = self.work()?;
        let _lock = self.lock(id)?;
        if !self.is_there(id)? {
            return Err(super::not_found(id.as_str()));
        }
        if self.state.record(id)?.is_some_and(|record| record.stage == Stage::Importing) {
            return Err(Error::store(StoreFault::LayerInUse, id.as_str(), "it is being filled"));
        }
        if self.is_plain(id)? {
            self.state.hold(id, owner, Hold::Mount)?;
            return self.dir(id);
        }
        let chain = self.whole_chain(id)?;
        let exports = self.state.holds(id, Hold::Export)?;
        let mut path = None;
        let mut first = self.state.holds(id, Hold::Mount)? == 0;
        if !first {
            path = self.backend.layer_mount_path(id)?;
            // The host was restarted since then: what was prepared is gone.
            first = path.is_none();
        }
        if first {
            if exports > 0 && !self.backend.capabilities().exports_prepared {
                return Err(Error::store(StoreFault::LayerInUse, id.as_str(), "it is being exported"));
            }
            path = self.prepare(id, &chain, exports == 0)?;
        }
        if let Err(error) = self.state.hold(id, owner, Hold::Mount) {
            if first {
                let _ = self.unprepare(id, exports == 0);
            }
            return Err(error);
        }
        path.map_or_else(|| self.dir(id), Ok)
    }

    /// Activates (unless it is active), prepares, and asks for the path; unwinds what it did when one of them fails.
    fn prepare(&self, id: &LayerId, chain: &[LayerId], activate: bool) -> Result<Option<PathBuf>> {
        if activate {
            self.backend.activate_layer(id)?;
        }
        if let Err(error) = self.backend.prepare_layer(id, chain) {
            if activate {
                let _ = self.backend.deactivate_layer(id);
            }
            return Err(error);
        }
        self.backend.layer_mount_path(id).inspect_err(|_| {
            let _ = self.unprepare(id, activate);
        })
    }

    /// Unprepares and deactivates; the first does not keep the second from being done.
    pub(super) fn unprepare(&self, id: &LayerId, deactivate: bool) -> Result<()> {
        let unprepared = self.backend.unprepare_layer(id);
        let deactivated = if deactivate { self.backend.deactivate_layer(id) } else { Ok(()) };
        unprepared.and(deactivated)
    }

    fn unmount(&self, id: &LayerId, owner: &str) -> Result<()> {
        let _work = self.work()?;
        let _lock = self.lock(id)?;
        if self.state.holds_of(id, owner, Hold::Mount)? == 0 {
            return Ok(());
        }
        let mut undone = Ok(());
        if self.state.holds(id, Hold::Mount)? == 1 && !self.is_plain(id)? {
            undone = self.unprepare(id, self.state.holds(id, Hold::Export)? == 0);
        }
        self.state.release(id, owner, Hold::Mount)?;
        undone
    }
}
