//! A tar that comes in: its bytes are kept once, beside an index of them.

use super::index::{Index, Summary};
use super::{INDEX, Portable, TAR};
use crate::backend::{Backend, Imported, LayerKind};
use crate::error::{Error, Result};
use crate::fs::sync_names;
use crate::layer::{Progress, copy_hashed};
use crate::store::LayerId;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

impl Portable {
    pub(super) fn import(&self, id: &LayerId, tar: Box<dyn Read + Send>, progress: Progress) -> Result<Imported> {
        let staging = self.staging()?;
        let root = staging.root()?;
        let file = Arc::new(root.create_file(Path::new(TAR))?);
        let (diff_id, size) = copy_hashed(tar, &*file, self.home.path(), &self.limits, &progress)?;
        let path = staging.path().join(INDEX);
        let Summary { entries, data } = Index::build(file.clone(), &path, &diff_id, &self.limits)?;
        if self.fsync {
            file.sync_all().map_err(|e| Error::io("sync", Some(staging.path()), e))?;
            root.sync_file(Path::new(INDEX))?;
        }
        // Windows renames no folder in which something is open.
        drop((file, root));
        if !self.layer_exists(id)? {
            staging.settle(&self.home, id.as_str(), self.fsync)?;
        } else {
            let (from, to) = (staging.relative(&self.home)?, Path::new(id.as_str()));
            self.home.rename(&from.join(TAR), &to.join(TAR))?;
            if self.fsync {
                sync_names(&self.path(id, ""))?;
            }
            // From here on the layer is filled.
            self.home.rename(&from.join(INDEX), &to.join(INDEX))?;
            if self.fsync
                && let Err(error) = sync_names(&self.path(id, ""))
            {
                let _ = self.home.remove_file(&to.join(INDEX));
                let _ = self.home.remove_file(&to.join(TAR));
                return Err(error);
            }
        }
        Ok(Imported { diff_id, size, entries, data })
    }

    pub(super) fn recorded_import(&self, id: &LayerId) -> Result<Option<Imported>> {
        if self.layer_kind(id)? != LayerKind::Imported {
            return Ok(None);
        }
        Ok(self.index(id)?.map(|index| index.imported()))
    }

    pub(super) fn check(
        &self,
        id: &LayerId,
        repair: bool,
        progress: &Progress,
        problem: &mut dyn FnMut(&'static str, String),
    ) -> Result<()> {
        if self.layer_kind(id)? != LayerKind::Imported {
            return Ok(());
        }
        let tar = match self.home.open_file(&Path::new(id.as_str()).join(TAR)) {
            Ok(tar) => Arc::new(tar),
            Err(error) => {
                problem("layer_damaged", format!("its tar cannot be read: {error}"));
                return Ok(());
            }
        };
        let (diff_id, size) = copy_hashed(&*tar, std::io::sink(), self.home.path(), &self.limits, progress)?;
        let claimed = Index::open(&self.path(id, TAR), &self.path(id, INDEX), &self.limits);
        match claimed.map(|index| index.imported()) {
            Ok(claimed) if claimed.diff_id != diff_id => {
                // The digest says which bytes it had: no index can be made of other ones.
                let message = format!("expected {} in {}, found {diff_id}, {size} bytes", claimed.diff_id, TAR);
                problem("integrity", message);
                return Ok(());
            }
            Ok(claimed) => {
                if self.index_differs(&tar, &claimed, &self.path(id, INDEX), problem)? && repair {
                    self.rebuild(id, tar, &diff_id)?;
                }
            }
            Err(error) => {
                problem("index_damaged", error.to_string());
                if repair && let Err(error) = self.rebuild(id, tar, &diff_id) {
                    problem("layer_damaged", error.to_string());
                }
            }
        }
        Ok(())
    }

    /// Whether an index made anew has other rows.
    fn index_differs(
        &self,
        tar: &Arc<File>,
        claimed: &Imported,
        index: &Path,
        problem: &mut dyn FnMut(&'static str, String),
    ) -> Result<bool> {
        let staging = self.scratch()?;
        let anew = staging.path().join(INDEX);
        if let Err(error) = Index::build(tar.clone(), &anew, &claimed.diff_id, &self.limits) {
            problem("layer_damaged", error.to_string());
            return Ok(false);
        }
        let same = Index::same_rows(index, &anew);
        if !matches!(same, Ok(true)) {
            problem("index_damaged", "it does not say what is in the tar".into());
            return Ok(true);
        }
        Ok(false)
    }

    /// Makes the index of a layer anew, in one step.
    fn rebuild(&self, id: &LayerId, tar: Arc<File>, diff_id: &str) -> Result<()> {
        let staging = self.staging()?;
        Index::build(tar, &staging.path().join(INDEX), diff_id, &self.limits)?;
        if self.fsync {
            staging.root()?.sync_file(Path::new(INDEX))?;
        }
        let from = staging.relative(&self.home)?.join(INDEX);
        self.home.rename(&from, &Path::new(id.as_str()).join(INDEX))?;
        self.indexes.lock().unwrap_or_else(std::sync::PoisonError::into_inner).remove(id.key());
        if self.fsync { sync_names(&self.path(id, "")) } else { Ok(()) }
    }
}
