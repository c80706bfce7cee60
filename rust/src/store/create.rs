//! New layers, still empty, and sandboxes.

use super::state::Stage;
use super::{Inner, LayerId, LayerStore};
use crate::backend::LayerKind;
use crate::error::{Error, Result, StoreFault};

/// Marks the layer below a container's own, which chains leave out.
const INIT: &str = "-init";

impl LayerStore {
    /// Makes an empty layer above a parent (none: `""`), to be filled by [`LayerStore::apply_diff`]. Above a parent
    /// whose id ends in `-init` it makes a sandbox on the parent's own parents, as the graph driver did.
    ///
    /// # Errors
    /// [`StoreFault::LayerExists`], [`StoreFault::LayerNotFound`] for the parent, [`StoreFault::WrongKind`] for a
    /// sandbox as the parent, [`StoreFault::NoParent`] for an `-init` parent without one; nothing is left behind.
    pub fn create(&self, id: &str, parent: &str) -> Result<()> {
        let parent = self.0.parent(parent)?;
        match &parent {
            Some(init) if init.as_str().ends_with(INIT) => {
                let paths = self.0.chain_paths(init)?;
                self.0.create(id, Some(init), paths, Make::Sandbox(None))
            }
            Some(parent) => self.0.create(id, Some(parent), self.0.paths_above(parent)?, Make::Layer),
            None => self.0.create(id, None, Vec::new(), Make::Layer),
        }
    }

    /// Makes a sandbox above a parent: a layer to be mounted and written to. `size` is in bytes, for backends that have
    /// one; `None` is the size in the options of the store.
    ///
    /// # Errors
    /// As [`LayerStore::create`]; [`Error::Unsupported`] for a size on the portable backend.
    pub fn create_read_write(&self, id: &str, parent: &str, size: Option<u64>) -> Result<()> {
        let Some(parent) = self.0.parent(parent)? else {
            return Err(Error::store(StoreFault::NoParent, id, ""));
        };
        let size = size.or(self.0.options.sandbox_size);
        self.0.create(id, Some(&parent), self.0.paths_above(&parent)?, Make::Sandbox(size))
    }
}

enum Make {
    Layer,
    Sandbox(Option<u64>),
}

impl Inner {
    /// The parent that was named, when it is there and whole, down to its last parent.
    pub(super) fn parent(&self, parent: &str) -> Result<Option<LayerId>> {
        if parent.is_empty() {
            return Ok(None);
        }
        let parent = self.existing(parent)?;
        self.whole_chain(&parent)?;
        if !parent.as_str().ends_with(INIT) && self.backend.layer_kind(&parent)? == LayerKind::Sandbox {
            return Err(Error::store(StoreFault::WrongKind, parent.as_str(), "a sandbox is no parent"));
        }
        Ok(Some(parent))
    }

    fn create(&self, id: &str, parent: Option<&LayerId>, chain_paths: Vec<String>, make: Make) -> Result<()> {
        self.on(id, || self.make(id, parent, &chain_paths, make))
    }

    fn make(&self, id: &str, parent: Option<&LayerId>, chain_paths: &[String], make: Make) -> Result<()> {
        let _work = self.work()?;
        let id = LayerId::new(id)?;
        if matches!(make, Make::Sandbox(_)) && chain_paths.is_empty() {
            return Err(Error::store(StoreFault::NoParent, id.as_str(), "its parent has none"));
        }
        let chain = chain_paths.iter().map(|path| LayerId::new(path)).collect::<Result<Vec<_>>>()?;
        self.begin(&id, parent)?;
        let made = match make {
            Make::Layer => self.backend.create_layer(&id, parent),
            Make::Sandbox(_) => self.backend.create_sandbox_layer(&id, &chain),
        };
        let finished = made.and_then(|()| {
            if let Make::Sandbox(Some(size)) = make {
                self.backend.expand_sandbox_size(&id, size)?;
            }
            self.set_chain(&id, chain_paths)?;
            self.state.set_stage(&id, Stage::Ready, None)
        });
        finished.map_err(|error| self.undo_create(&id, error))
    }

    /// Writes down that a layer is being made, after a look at what is there: from now on it is this process's.
    pub(super) fn begin(&self, id: &LayerId, parent: Option<&LayerId>) -> Result<()> {
        // Both locks in one order: two that name each other wait for neither.
        let mut ids = vec![id];
        ids.extend(parent);
        ids.sort_by_key(|id| id.key());
        ids.dedup();
        let _locks = ids.into_iter().map(|id| self.lock(id)).collect::<Result<Vec<_>>>()?;
        if let Some(record) = self.state.record(id)? {
            let detail = if record.stage == Stage::Ready { "" } else { record.stage.name() };
            return Err(Error::store(StoreFault::LayerExists, id.as_str(), detail));
        }
        if self.backend.layer_exists(id)? {
            return Err(Error::store(StoreFault::LayerExists, id.as_str(), ""));
        }
        if let Some(parent) = parent
            && !self.is_there(parent)?
        {
            return Err(super::not_found(parent.as_str()));
        }
        self.state.put(id, parent, Stage::Creating, Some(self.owner()?))
    }

    /// Destroys what was made, and gives back the error that it was for; where that fails, too, `cleanup` goes on.
    pub(super) fn undo_create(&self, id: &LayerId, error: Error) -> Error {
        let there = self.backend.layer_exists(id).unwrap_or(true);
        if !there || self.backend.destroy_layer(id).is_ok() {
            let _ = self.state.forget(id);
        } else {
            let _ = self.state.set_stage(id, Stage::Removing, None);
        }
        error
    }
}
