//! A tar that comes in: its bytes are kept once, beside an index of them.

use super::growing::Growing;
use super::{INDEX, Portable, TAR};
use crate::backend::{Backend, Imported, LayerId, LayerKind};
use crate::digest::copy_hashed;
use crate::error::{Error, ErrorKind, Result, StoreFault};
use crate::fs::sync_names;
use crate::problem::{Flaw, ProblemCode};
use crate::progress::Progress;
use crate::source::ReadAt;
use crate::view::index::{Draft, Index, Summary};
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

impl Portable {
    pub(super) fn import(&self, id: &LayerId, tar: Box<dyn Read + Send>, progress: Progress) -> Result<Imported> {
        let staging = self.staging()?;
        let root = staging.root()?;
        let file = Arc::new(root.create_file(Path::new(TAR))?);
        let path = staging.path().join(INDEX);
        let (diff_id, size, draft) = self.write_and_index(tar, &file, &path, &progress)?;
        let Summary { entries, data } = draft.finish(&diff_id, size)?;
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

    /// Writes a tar to a file; its rows are made of what is there, and the disk is at work, while the rest comes.
    fn write_and_index(
        &self,
        tar: Box<dyn Read + Send>,
        file: &Arc<File>,
        index: &Path,
        progress: &Progress,
    ) -> Result<(String, u64, Draft)> {
        let (growing, writer) = Growing::start(Arc::clone(file));
        std::thread::scope(|scope| {
            let spawn = |name: &str| std::thread::Builder::new().name(format!("winlayers-{name}"));
            let failed = |e| Error::io("start a thread", None, e);
            let bytes = Arc::clone(&growing) as Arc<dyn ReadAt>;
            let draft = spawn("index").spawn_scoped(scope, || Index::draft(bytes, index, &self.limits));
            let draft = draft.map_err(failed)?;
            let syncs = self.fsync.then(|| spawn("sync").spawn_scoped(scope, || growing.sync_behind()));
            let syncs = syncs.transpose().map_err(failed)?;
            let copied = copy_hashed(tar, writer, index, &self.limits, progress);
            let (draft, synced) = (join(draft), syncs.map_or(Ok(()), join).map_err(|e| e.on(Some(index))));
            // Of several errors always the same one: bytes that could not be had, then what is wrong with them.
            let (diff_id, size) = copied?;
            synced?;
            Ok((diff_id, size, draft?))
        })
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
        problem: &mut dyn FnMut(ProblemCode, String),
    ) -> Result<()> {
        if self.layer_kind(id)? != LayerKind::Imported {
            return Ok(());
        }
        let tar = match self.home.open_file(&Path::new(id.as_str()).join(TAR)) {
            Ok(tar) => Arc::new(tar),
            Err(error) => {
                problem(StoreFault::Damaged.into(), format!("its tar cannot be read: {error}"));
                return Ok(());
            }
        };
        let (diff_id, size) = copy_hashed(&*tar, std::io::sink(), self.home.path(), &self.limits, progress)?;
        let claimed = Index::open(&self.path(id, TAR), &self.path(id, INDEX), &self.limits);
        match claimed.map(|index| index.imported()) {
            Ok(claimed) if claimed.diff_id != diff_id => {
                // The digest says which bytes it had: no index can be made of other ones.
                let message = format!("expected {} in {}, found {diff_id}, {size} bytes", claimed.diff_id, TAR);
                problem(ErrorKind::Integrity.into(), message);
                return Ok(());
            }
            Ok(claimed) => {
                if self.index_differs(&tar, &claimed, &self.path(id, INDEX), problem)? && repair {
                    self.rebuild(id, tar, &diff_id)?;
                }
            }
            Err(error) => {
                problem(Flaw::IndexDamaged.into(), error.to_string());
                if repair && let Err(error) = self.rebuild(id, tar, &diff_id) {
                    problem(StoreFault::Damaged.into(), error.to_string());
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
        problem: &mut dyn FnMut(ProblemCode, String),
    ) -> Result<bool> {
        let staging = self.scratch()?;
        let anew = staging.path().join(INDEX);
        if let Err(error) = Index::build(tar.clone(), &anew, &claimed.diff_id, &self.limits) {
            problem(StoreFault::Damaged.into(), error.to_string());
            return Ok(false);
        }
        let same = Index::same_rows(index, &anew);
        if !matches!(same, Ok(true)) {
            problem(Flaw::IndexDamaged.into(), "it does not say what is in the tar".into());
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
        self.indexes.forget(id.key());
        if self.fsync { sync_names(&self.path(id, "")) } else { Ok(()) }
    }
}

fn join<T>(thread: std::thread::ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}
