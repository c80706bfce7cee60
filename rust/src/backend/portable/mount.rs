//! Layers laid out as folders: a sandbox's tree once, and read-only views while they are wanted.

use super::{Portable, RECORD, TREE, VIEWS, layout};
use crate::backend::{Backend, LayerId, LayerKind};
use crate::error::Result;
use crate::fs::{Kind, sync_names};
use std::path::{Path, PathBuf};

impl Portable {
    /// Where a layer lies when it is laid out, below the home.
    fn tree(&self, id: &LayerId) -> Result<PathBuf> {
        Ok(match self.layer_kind(id)? {
            LayerKind::Sandbox => Path::new(id.as_str()).join(TREE),
            LayerKind::Empty | LayerKind::Imported | LayerKind::Folder => Path::new(VIEWS).join(id.as_str()),
        })
    }

    pub(super) fn laid_out(&self, id: &LayerId) -> Result<Option<PathBuf>> {
        let tree = self.tree(id)?;
        Ok(self.is_folder(&tree)?.then(|| self.home.path().join(tree)))
    }

    fn is_folder(&self, path: &Path) -> Result<bool> {
        Ok(self.home.try_metadata(path)?.is_some_and(|metadata| metadata.kind == Kind::Directory))
    }

    /// Lays a layer out, unless it is: a sandbox's tree is the user's from then on.
    pub(super) fn lay_out(&self, id: &LayerId, chain: &[LayerId]) -> Result<()> {
        if self.laid_out(id)?.is_some() {
            return Ok(());
        }
        let is_sandbox = self.layer_kind(id)? == LayerKind::Sandbox;
        let mut layers = chain.to_vec();
        if !is_sandbox {
            layers.insert(0, id.clone());
        }
        let view = self.view(&layers)?;
        let staging = self.staging()?;
        staging.root()?.create_dir(Path::new(TREE))?;
        // A view, too: the hold on it is durable, and whoever holds it would see files without their data.
        let options = layout::Options { durable: self.fsync, limits: self.limits.clone() };
        layout::lay_out(&view, &staging.path().join(TREE), &staging.path().join(RECORD), &options)?;
        let staged = staging.relative(&self.home)?;
        if is_sandbox {
            // The record first: a tree is never without the record that belongs to it.
            if self.fsync {
                staging.root()?.sync_file(Path::new(RECORD))?;
            }
            self.home.rename(&staged.join(RECORD), &Path::new(id.as_str()).join(RECORD))?;
            if self.fsync {
                sync_names(&self.path(id, ""))?;
            }
        }
        self.home.rename(&staged.join(TREE), &self.tree(id)?)?;
        // A view that lost its name is laid out again; a tree must be found, with what was written to it.
        if self.fsync && is_sandbox { sync_names(&self.path(id, "")) } else { Ok(()) }
    }

    /// Deletes the read-only view of a layer, if there is one.
    pub(super) fn remove_view(&self, id: &LayerId) -> Result<()> {
        let view = Path::new(VIEWS).join(id.as_str());
        if self.is_folder(&view)? { self.discard(&view) } else { Ok(()) }
    }
}
