//! What killed processes left.

use super::state::{Record, Stage};
use super::{HOLDERS, Inner, LayerId, LayerStore, WORK};
use crate::error::Result;
use crate::fs::{Kind, Lock};
use std::path::Path;

impl LayerStore {
    /// Finishes removals, undoes what killed processes had begun, ends their holds, and sweeps what is not in use.
    /// `force` also ends all mounts that [`LayerStore::get`] made, in this process or another.
    ///
    /// # Errors
    /// What could not be removed, the first of it; the rest is done nevertheless.
    pub fn cleanup(&self, force: bool) -> Result<()> {
        self.0.work().map(drop)?;
        self.0.recover(force)
    }
}

impl Inner {
    pub(super) fn recover(&self, force: bool) -> Result<()> {
        // One at a time; and the files of the holders stay what they are while they are looked at.
        let _alone = Lock::exclusive(&self.home.path().join(HOLDERS).join("recover"))?;
        self.adopt()?;
        let mut first = Ok(());
        let mut note = |result: Result<()>| {
            if let Err(error) = result
                && first.is_ok()
            {
                first = Err(error);
            }
        };
        let dead = self.dead_owners()?;
        for record in self.state.records()? {
            let abandoned = match &record.owner {
                Some(owner) => dead.contains(owner),
                // Destroying it failed before.
                None => record.stage == Stage::Removing,
            };
            if abandoned {
                note(self.finish_or_undo(&record));
            }
        }
        for owner in &dead {
            for key in self.state.held_by(owner)? {
                note(LayerId::new(&key).and_then(|id| self.release_dead(&id, owner)));
            }
            let _ = self.home.remove_file(&Path::new(HOLDERS).join(owner));
        }
        if force {
            for record in self.state.records()? {
                note(LayerId::new(&record.id).and_then(|id| self.release_dead(&id, super::state::NOBODY)));
            }
        }
        if let Some(_nobody_works) = Lock::try_exclusive(&self.home.path().join(WORK))? {
            note(self.backend.sweep(&|id| {
                use super::state::Hold::{Export, Mount};
                Ok(self.state.holds(id, Mount)? + self.state.holds(id, Export)? > 0)
            }));
            note(self.sweep_holders());
            note(self.sweep_staging());
        }
        first
    }

    /// Writes down the layers that are there and in no record, and forgets records of layers that are not there: the
    /// folders are the truth.
    fn adopt(&self) -> Result<()> {
        for id in self.backend.layers()? {
            if self.state.record(&id)?.is_none() {
                let parent = self.chain(&id).ok().and_then(|chain| chain.into_iter().next());
                self.state.put(&id, parent.as_ref(), Stage::Ready, None)?;
            }
        }
        for record in self.state.records()? {
            let id = LayerId::new(&record.id)?;
            if record.stage == Stage::Ready && !self.backend.layer_exists(&id)? {
                self.state.forget(&id)?;
            }
        }
        Ok(())
    }

    /// Owners whose lock can be taken, or is gone.
    fn dead_owners(&self) -> Result<Vec<String>> {
        let mut dead = Vec::new();
        for owner in self.state.owners()? {
            if self.owner.get().is_some_and(|(_, name)| *name == owner) {
                continue;
            }
            let path = Path::new(HOLDERS).join(&owner);
            let is_dead = match self.home.try_metadata(&path)? {
                Some(metadata) if metadata.kind == Kind::File => {
                    Lock::try_exclusive(&self.home.path().join(&path))?.is_some()
                }
                Some(_) | None => true,
            };
            if is_dead {
                dead.push(owner);
            }
        }
        Ok(dead)
    }

    fn finish_or_undo(&self, record: &Record) -> Result<()> {
        let id = LayerId::new(&record.id)?;
        let _lock = self.lock(&id)?;
        match record.stage {
            Stage::Ready => self.state.set_stage(&id, Stage::Ready, None),
            Stage::Importing => {
                self.undo_import(&id)?;
                self.state.set_stage(&id, Stage::Ready, None)
            }
            Stage::Creating | Stage::Removing if !self.backend.layer_exists(&id)? => self.state.forget(&id),
            Stage::Creating | Stage::Removing => {
                self.state.set_stage(&id, Stage::Removing, None)?;
                self.backend.destroy_layer(&id)?;
                self.state.forget(&id)
            }
        }
    }

    fn release_dead(&self, id: &LayerId, owner: &str) -> Result<()> {
        use super::state::Hold::{Export, Mount};
        let _lock = self.lock(id)?;
        let before = (self.state.holds(id, Mount)?, self.state.holds(id, Export)?);
        if self.state.holds_of(id, owner, Mount)? + self.state.holds_of(id, owner, Export)? == 0 {
            return self.state.release_all(id, owner);
        }
        self.state.release_all(id, owner)?;
        let after = (self.state.holds(id, Mount)?, self.state.holds(id, Export)?);
        if before.0 > 0 && after.0 == 0 {
            return self.unprepare(id, after.1 == 0);
        }
        if after == (0, 0) { self.backend.deactivate_layer(id) } else { Ok(()) }
    }

    /// Removes the files of dead holders that hold nothing. No other work is under way, so none of them is about to be
    /// used.
    fn sweep_holders(&self) -> Result<()> {
        let folder = Path::new(HOLDERS);
        for name in self.home.list(folder)? {
            let path = folder.join(&name);
            let is_ours = self.owner.get().is_some_and(|(_, own)| **own == *name);
            if name == "recover" || is_ours {
                continue;
            }
            if Lock::try_exclusive(&self.home.path().join(&path))?.is_some() {
                self.home.remove_file(&path)?;
            }
        }
        Ok(())
    }
}
