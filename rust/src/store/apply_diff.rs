//! A layer out of a tar.

use super::state::Stage;
use super::{Driver, LayerId, LayerStore, TarForm};
use crate::backend::{Imported, LayerKind};
use crate::compress::Reader;
use crate::error::{Error, Result, StoreFault};
use crate::progress::Progress;
use std::io::Read;

impl LayerStore {
    /// Fills an empty layer from a layer tar, plain or compressed with gzip or zstd, or makes one. `parent` is `""` for
    /// none, or for the recorded one of a layer that is there. With [`super::TarForm::Transport`] it is a plain tar of
    /// a transport folder, and with [`super::Driver::WindowsDiff`] any plain tar whose members lie below a folder of
    /// the layer's name: its files become the layer's folder.
    ///
    /// # Errors
    /// [`StoreFault::LayerExists`] for a layer that is filled, [`StoreFault::WrongKind`] for a sandbox,
    /// [`StoreFault::LayerInUse`] for one that is seen or that others stand on, [`StoreFault::WrongParent`]; those of
    /// reading a layer tar, with the member. The store is as it was then.
    pub fn apply_diff(
        &self,
        id: &str,
        parent: &str,
        source: impl Read + Send + 'static,
        progress: Progress,
    ) -> Result<Imported> {
        self.fill(id, parent, source, progress, self.0.options.format, |_| Ok(()))
    }

    /// As [`LayerStore::apply_diff`]; the new layer is kept only if `check` accepts it.
    pub(super) fn fill(
        &self,
        id: &str,
        parent: &str,
        source: impl Read + Send + 'static,
        progress: Progress,
        form: TarForm,
        check: impl FnOnce(&Imported) -> Result<()>,
    ) -> Result<Imported> {
        self.0.on(id, || self.import(id, parent, source, progress, form, check))
    }

    fn import(
        &self,
        id: &str,
        parent: &str,
        source: impl Read + Send + 'static,
        progress: Progress,
        form: TarForm,
        check: impl FnOnce(&Imported) -> Result<()>,
    ) -> Result<Imported> {
        let _work = self.0.work()?;
        let id = self.0.spelled(LayerId::new(id)?)?;
        let exists = self.0.is_there(&id)?;
        let paths = if exists {
            self.0.check_parent(&id, parent)?;
            self.0.begin_import(&id)?;
            self.0.chain_paths(&id)?
        } else {
            let below = self.0.parent(parent)?;
            let paths = below.as_ref().map_or_else(|| Ok(Vec::new()), |parent| self.0.paths_above(parent))?;
            self.0.begin(&id, below.as_ref())?;
            paths
        };
        let result = (|| {
            let chain = paths.iter().map(|path| LayerId::new(path)).collect::<Result<Vec<_>>>()?;
            let tar = Reader::new(source)?;
            let imported = if self.0.driver == Driver::WindowsDiff {
                if !exists {
                    self.0.backend.create_layer(&id, chain.first())?;
                }
                self.0.untar(&id, tar, &progress)?
            } else if form == TarForm::Transport {
                let tar = self.0.layer_tar_of(tar, &progress)?;
                self.0.backend.import_layer(&id, &chain, Box::new(tar), Progress::none())?
            } else {
                self.0.backend.import_layer(&id, &chain, Box::new(tar), progress)?
            };
            check(&imported)?;
            if !exists {
                self.0.set_chain(&id, &paths)?;
            }
            self.0.state.set_stage(&id, Stage::Ready, None)?;
            Ok(imported)
        })();
        result.map_err(|error| {
            if !exists {
                return self.0.undo_create(&id, error);
            }
            if self.0.undo_import(&id).is_ok() {
                let _ = self.0.state.set_stage(&id, Stage::Ready, None);
            }
            error
        })
    }
}

impl super::Inner {
    /// Writes down that an empty layer is being filled.
    fn begin_import(&self, id: &LayerId) -> Result<()> {
        let _lock = self.lock(id)?;
        self.refuse_held(id)?;
        match self.backend.layer_kind(id)? {
            LayerKind::Empty => {}
            LayerKind::Imported | LayerKind::Folder => {
                return Err(Error::store(StoreFault::LayerExists, id.as_str(), "it is filled"));
            }
            LayerKind::Sandbox => return Err(Error::store(StoreFault::WrongKind, id.as_str(), "it is a sandbox")),
        }
        if let Some(child) = self.state.children(id)?.first() {
            let detail = format!("\"{child}\" stands on it already");
            return Err(Error::store(StoreFault::LayerInUse, id.as_str(), detail));
        }
        self.state.set_stage(id, Stage::Importing, Some(self.owner()?))
    }

    /// Makes a layer empty again whose filling ended early.
    pub(super) fn undo_import(&self, id: &LayerId) -> Result<()> {
        self.backend.clear_layer(id)?;
        if self.backend.layer_kind(id)? == LayerKind::Folder { self.clear_plain(id) } else { Ok(()) }
    }
}
