//! What a layer has above its parent, as a tar.

use super::state::Hold;
use super::{Inner, LayerId, LayerStore, TarForm};
use crate::backend::{Export, ExportedTar};
use crate::error::{Error, Result};
use crate::fs::disk::disk_path;
use crate::fs::{Lock, Root, Staging};
use crate::layer_name::trimmed;
use crate::policy::{Capped, Loss};
use std::fs::File;
use std::io::{self, Read};

impl LayerStore {
    /// The uncompressed layer tar of a layer, which holds the layer until it is dropped. An imported layer gives the
    /// very bytes that came in. `parent` is the recorded one, or `""` for it.
    ///
    /// With [`super::TarForm::Transport`] it is the plain tar of the layer's transport folder, and
    /// [`DiffStream::losses`] lists what that cannot hold. For a layer that [`super::Driver::WindowsDiff`] unpacked it
    /// is a plain tar of its files. Both are written completely before this returns.
    ///
    /// # Errors
    /// [`crate::error::StoreFault::LayerNotFound`], [`crate::error::StoreFault::WrongParent`],
    /// [`crate::error::StoreFault::BadChain`]. A sandbox is read while the stream is: a file that changes meanwhile
    /// ends the stream with [`crate::error::Rule::FileChanged`].
    pub fn diff(&self, id: &str, parent: &str) -> Result<DiffStream> {
        self.0.on(id, || self.export(id, parent))
    }

    fn export(&self, id: &str, parent: &str) -> Result<DiffStream> {
        let id = self.0.existing(id)?;
        self.0.check_parent(&id, parent)?;
        let whole =
            |tar, losses| DiffStream { tar: Some(tar), store: self.clone(), id: id.clone(), hold: None, losses };
        // Nobody sweeps what is being written.
        let _work = if self.0.read_only { None } else { Some(self.0.work()?) };
        if self.0.is_plain(&id)? {
            let _lock = if self.0.read_only { None } else { Some(self.0.lock(&id)?) };
            return Ok(whole(ExportedTar::File(self.0.plain_tar(&id)?), Capped::default()));
        }
        if self.0.options.format == TarForm::Transport {
            let (tar, losses) = self.0.plain_tar_of(self.layer_tar(&id)?)?;
            return Ok(whole(ExportedTar::File(tar), losses));
        }
        self.layer_tar(&id)
    }

    fn layer_tar(&self, id: &LayerId) -> Result<DiffStream> {
        let id = id.clone();
        let losses = Capped::default();
        let chain = self.0.whole_chain(&id)?;
        if self.0.read_only {
            let tar = self.0.backend.export_layer(&id, &chain)?.tar;
            return Ok(DiffStream { tar: Some(tar), store: self.clone(), id, hold: None, losses });
        }
        let _work = self.0.work()?;
        let _lock = self.0.lock(&id)?;
        let undo = self.0.make_exportable(&id)?;
        let export = match self.0.backend.export_layer(&id, &chain) {
            Ok(export) => export,
            Err(error) => {
                let _ = self.0.undo_exportable(&id, &chain, undo);
                return Err(error);
            }
        };
        let Export { tar, live } = export;
        let hold = if live { Hold::Export } else { Hold::Stream };
        let held = self.0.owner().and_then(|owner| self.0.state.hold(&id, owner, hold));
        if live && held.is_ok() {
            return Ok(DiffStream { tar: Some(tar), store: self.clone(), id, hold: Some(hold), losses });
        }
        // The export needs the layer no longer: restore its state now.
        let hold = held.is_ok().then_some(hold);
        let stream = DiffStream { tar: Some(tar), store: self.clone(), id, hold, losses };
        let undone = self.0.undo_exportable(&stream.id, &chain, undo);
        if let Err(error) = held.and(undone) {
            // Dropping it takes the lock that is held here.
            drop((_lock, stream));
            return Err(error);
        }
        Ok(stream)
    }
}

/// How a layer was made ready for an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Undo {
    Nothing,
    Deactivate,
    Prepare,
}

impl Inner {
    /// Makes a layer active and, where the backend wants it so, not prepared. The lock on the layer is held.
    pub(super) fn make_exportable(&self, id: &LayerId) -> Result<Undo> {
        if self.driver == super::Driver::WindowsDiff {
            return Ok(Undo::Nothing);
        }
        let (mounts, exports) = (self.state.holds(id, Hold::Mount)?, self.state.holds(id, Hold::Export)?);
        if mounts + exports == 0 {
            self.backend.activate_layer(id)?;
            return Ok(Undo::Deactivate);
        }
        if mounts > 0 && exports == 0 && !self.backend.capabilities().exports_prepared {
            self.backend.unprepare_layer(id)?;
            return Ok(Undo::Prepare);
        }
        Ok(Undo::Nothing)
    }

    pub(super) fn undo_exportable(&self, id: &LayerId, chain: &[LayerId], undo: Undo) -> Result<()> {
        match undo {
            Undo::Nothing => Ok(()),
            Undo::Deactivate => self.backend.deactivate_layer(id),
            Undo::Prepare => self.backend.prepare_layer(id, chain),
        }
    }

    /// Ends a live export: what it was made ready for is undone, unless others need it so.
    fn end_export(&self, id: &LayerId, hold: Hold) -> Result<()> {
        let _work = self.work()?;
        let _lock = self.lock(id)?;
        self.state.release(id, self.owner()?, hold)?;
        if hold != Hold::Export || self.driver == super::Driver::WindowsDiff || self.state.holds(id, Hold::Export)? > 0
        {
            return Ok(());
        }
        if self.state.holds(id, Hold::Mount)? == 0 {
            self.backend.deactivate_layer(id)
        } else if self.backend.capabilities().exports_prepared {
            Ok(())
        } else {
            self.backend.prepare_layer(id, &self.whole_chain(id)?)
        }
    }
}

/// The tar of a layer, read from front to end. While it is open the layer cannot be removed.
pub struct DiffStream {
    tar: Option<ExportedTar>,
    store: LayerStore,
    id: LayerId,
    hold: Option<Hold>,
    losses: Capped<Loss>,
}

impl DiffStream {
    /// What the form of the tar cannot hold.
    #[must_use]
    pub fn losses(&self) -> &Capped<Loss> {
        &self.losses
    }

    /// The file whose rest is the rest of the tar, where there is one.
    pub fn file(&mut self) -> Option<&mut File> {
        match &mut self.tar {
            Some(ExportedTar::File(file)) => Some(file),
            _ => None,
        }
    }

    /// Ends it and returns errors, which dropping it ignores.
    ///
    /// # Errors
    /// What giving the layer back gives.
    pub fn close(mut self) -> Result<()> {
        self.release()
    }

    fn release(&mut self) -> Result<()> {
        self.tar = None;
        match self.hold.take() {
            Some(hold) => self.store.0.end_export(&self.id, hold),
            None => Ok(()),
        }
    }
}

impl Read for DiffStream {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match &mut self.tar {
            // What the layer is read for may need temporary files.
            Some(tar) => tar.read(buf).map_err(|error| match error.downcast() {
                Ok(inner) => io::Error::other(self.store.0.named(self.id.as_str(), inner)),
                Err(other) => other,
            }),
            None => Err(io::Error::other(Error::misuse(crate::error::Misuse::Closed, ""))),
        }
    }
}

impl Drop for DiffStream {
    fn drop(&mut self) {
        // A caller that wants the error calls `close`.
        let _ = self.release();
    }
}

impl LayerStore {
    /// Opens a file that a layer itself holds, by its name in the layer's tar: with [`crate::tar_split`] the tar can be
    /// put together again.
    ///
    /// # Errors
    /// [`crate::error::StoreFault::LayerNotFound`]; [`Error::Io`] where the layer has no such file.
    pub fn open_layer_file(&self, id: &str, name: &[u8]) -> Result<Box<dyn Read + Send>> {
        let id = self.0.existing(id)?;
        self.0.backend.open_layer_file(&id, name)
    }

    /// Gives the files of a layer one by one, as [`LayerStore::open_layer_file`] does; the layer stays until the result
    /// is dropped.
    ///
    /// # Errors
    /// [`crate::error::StoreFault::LayerNotFound`].
    pub fn diff_getter(&self, id: &str) -> Result<DiffGetter> {
        self.0.on(id, || self.getter(id))
    }

    fn getter(&self, id: &str) -> Result<DiffGetter> {
        let id = self.0.existing(id)?;
        let work = if self.0.read_only { None } else { Some(self.0.work()?) };
        let folder = match self.0.options.format {
            TarForm::Transport => Some((self.0.transport_folder_of(self.layer_tar(&id)?)?.0, work)),
            TarForm::Layer => None,
        };
        if self.0.read_only {
            return Ok(DiffGetter { store: self.clone(), id, hold: None, folder });
        }
        let _work = self.0.work()?;
        let _lock = self.0.lock(&id)?;
        if !self.0.is_there(&id)? {
            return Err(super::not_found(id.as_str()));
        }
        self.0.state.hold(&id, self.0.owner()?, Hold::Stream)?;
        Ok(DiffGetter { store: self.clone(), id, hold: Some(Hold::Stream), folder })
    }
}

/// The files of a layer, one by one. While it is open the layer cannot be removed.
pub struct DiffGetter {
    store: LayerStore,
    id: LayerId,
    hold: Option<Hold>,
    /// The transport folder that the files come from, in a store of that form, with a lock that keeps it from being
    /// swept.
    folder: Option<(Staging, Option<Lock>)>,
}

impl DiffGetter {
    /// Opens a file by its name in the layer's tar; a named stream is a member of its own there.
    ///
    /// # Errors
    /// [`Error::Io`] where the layer has no such file.
    pub fn open(&self, name: &[u8]) -> Result<Box<dyn Read + Send>> {
        self.store.0.on(self.id.as_str(), || match &self.folder {
            Some((folder, _)) => {
                let root = Root::open(&folder.path().join("folder"))?;
                Ok(Box::new(root.open_file(&disk_path(trimmed(name))?)?) as Box<dyn Read + Send>)
            }
            None => self.store.0.backend.open_layer_file(&self.id, name),
        })
    }

    /// Ends it and returns errors, which dropping it ignores.
    ///
    /// # Errors
    /// What giving the layer back gives.
    pub fn close(mut self) -> Result<()> {
        self.release()
    }

    fn release(&mut self) -> Result<()> {
        match self.hold.take() {
            Some(hold) => self.store.0.end_export(&self.id, hold),
            None => Ok(()),
        }
    }
}

impl Drop for DiffGetter {
    fn drop(&mut self) {
        // A caller that wants the error calls `close`.
        let _ = self.release();
    }
}
