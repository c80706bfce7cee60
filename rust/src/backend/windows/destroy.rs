//! Layers that go: out of sight first, then for good.

use super::folder::Folder;
use super::privilege::{Privilege, Privileges};
use super::service::Place;
use super::{DISK, Hcs, TRASH, is_held};
use crate::backend::LayerId;
use crate::error::Result;
use crate::fs::disk::name_bytes;
use crate::fs::staging::Staging;
use crate::transport::is_of_driver;
use std::path::Path;

impl Hcs {
    pub(super) fn destroy(&self, id: &LayerId) -> Result<()> {
        self.indexes.forget(id.key());
        let aside = Staging::new(&self.home.path().join(TRASH))?;
        let relative = aside.relative(&self.home)?;
        let gone = relative.join(id.as_str());
        let rename = || self.home.rename(Path::new(id.as_str()), &gone);
        if let Err(error) = rename() {
            // A disk that a failed unmount left attached keeps its folder.
            let disk = self.path(id).join(DISK);
            if !is_held(&error) || !self.has(id, DISK)? || super::disk::detach(&disk).is_err() {
                return Err(error);
            }
            rename()?;
        }
        // What cannot be deleted now stays aside, for a sweep.
        let home = aside.keep();
        self.service.destroy_layer(&Place { home, id: id.as_str().to_owned() })?;
        self.home.remove_tree(&relative)
    }

    /// Destroys what was put aside, by whomever: the first failure is told when all of it was tried.
    pub(super) fn sweep_trash(&self) -> Result<()> {
        let mut first = Ok(());
        for name in self.home.list(Path::new(TRASH))? {
            let folder = Path::new(TRASH).join(&name);
            let swept = self.home.list(&folder).and_then(|layers| {
                let home = self.home.path().join(&folder);
                for layer in layers {
                    let id = layer.to_string_lossy().into_owned();
                    self.service.destroy_layer(&Place { home: home.clone(), id })?;
                }
                // It is listed through a handle, which this one lets go of: Windows deletes nothing that is open.
                self.home.remove_tree(&folder)
            });
            if first.is_ok() {
                first = swept;
            }
        }
        first
    }

    /// Takes out of a layer's folder all that is not the store's own.
    pub(super) fn clear(&self, id: &LayerId) -> Result<()> {
        self.indexes.forget(id.key());
        let _held = Privileges::hold(&Privilege::WRITE)?;
        let folder = Folder::open(&self.path(id))?;
        for name in self.home.list(Path::new(id.as_str()))? {
            if !is_of_driver(&name) {
                folder.remove_tree(&name_bytes(&name))?;
            }
        }
        Ok(())
    }
}
