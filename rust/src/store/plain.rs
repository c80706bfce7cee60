//! Layers of the diff flavour: plain tars, unpacked in the home as they are, below the folder of their layer.

use super::{Inner, LayerId};
use crate::backend::{Change, ChangeKind, Imported, LayerKind, What};
use crate::error::{Error, Result, Rule};
use crate::fs::disk::name_bytes;
use crate::fs::{Kind, Root, Walk, sync_names};
use crate::nt::name::fold_wtf8;
use crate::progress::Progress;
use crate::source::Source;
use crate::transport::{CHAIN, OTHER_IDS, from_plain_tar_below, is_of_driver, to_plain_tar_below};
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

impl Inner {
    /// Whether a layer is plain files.
    pub(super) fn is_plain(&self, id: &LayerId) -> Result<bool> {
        Ok(self.driver == super::Driver::WindowsDiff && self.backend.layer_kind(id)? == LayerKind::Folder)
    }

    /// Unpacks a plain tar into an empty layer.
    pub(super) fn untar(&self, id: &LayerId, tar: impl Read, progress: &Progress) -> Result<Imported> {
        let limits = &self.options.limits;
        let (spooled, diff_id, size) = self.spool(tar, progress)?;
        let staging = self.staging()?;
        let files = Root::create(&staging.path().join("files"))?;
        let below = Some(id.as_str().as_bytes());
        let report = from_plain_tar_below(Source::Random(Arc::new(spooled)), &files, below, limits)?;
        let names = files.list(Path::new(""))?;
        for name in &names {
            let folded = fold_wtf8(&name_bytes(name));
            if self.reserved_names().any(|reserved| fold_wtf8(reserved.as_bytes()) == folded) {
                let detail = format!("{} is a name of the store's own", name.display());
                return Err(Error::refused(Rule::TargetExists, detail).in_member(&name_bytes(name)));
            }
        }
        if self.options.fsync {
            for visit in Walk::new(&files)? {
                let visit = visit?;
                match visit.metadata.kind {
                    Kind::Directory => files.sync_dir(&visit.path)?,
                    _ => files.sync_file(&visit.path)?,
                }
            }
        }
        // Windows renames nothing that is open.
        drop(files);
        let folder = Path::new(id.as_str());
        let staged =
            Path::new(super::STAGING).join(staging.path().file_name().expect("it was made there")).join("files");
        for name in names {
            self.home.rename(&staged.join(&name), &folder.join(&name))?;
        }
        if self.options.fsync {
            sync_names(&self.home.path().join(folder))?;
        }
        Ok(Imported { diff_id, size, entries: report.entries, data: report.bytes })
    }

    /// Takes out what a plain tar brought, when all of it did not come.
    pub(super) fn clear_plain(&self, id: &LayerId) -> Result<()> {
        let folder = Path::new(id.as_str());
        for name in self.home.list(folder)? {
            if is_of_driver(&name) {
                continue;
            }
            let path = folder.join(&name);
            match self.home.metadata(&path)?.kind {
                Kind::Directory => self.home.remove_tree(&path)?,
                _ => self.home.remove_file(&path)?,
            }
        }
        Ok(())
    }

    /// The plain tar of a layer.
    pub(super) fn plain_tar(&self, id: &LayerId) -> Result<File> {
        let root = Root::open(&self.home.path().join(id.as_str()))?;
        let sink = self.temporary_file()?;
        let (tar, _) = to_plain_tar_below(
            &root,
            Some(id.as_str().as_bytes()),
            &|name| !self.is_reserved(name),
            sink,
            &self.options.limits,
        )?;
        self.rewound(tar)
    }

    /// All files of a layer, as additions: what was below them is not known.
    pub(super) fn plain_changes(&self, id: &LayerId, visit: &mut dyn FnMut(Change) -> Result<()>) -> Result<()> {
        let root = Root::open(&self.home.path().join(id.as_str()))?;
        for found in Walk::new(&root)? {
            let found = found?;
            let components: Vec<_> = found.path.components().map(|part| name_bytes(part.as_os_str())).collect();
            if self.is_reserved(&components[0]) {
                continue;
            }
            let size = if found.metadata.kind == Kind::File { found.metadata.size } else { 0 };
            visit(Change { path: components.join(&b'/'), kind: ChangeKind::Add, what: What::default(), size })?;
        }
        Ok(())
    }

    /// The names at the top of a layer's folder that no plain tar may bring: those of the backend and of the graph
    /// driver.
    fn reserved_names(&self) -> impl Iterator<Item = &'static str> {
        self.backend.reserved_names().iter().copied().chain([CHAIN]).chain(OTHER_IDS)
    }

    fn is_reserved(&self, name: &[u8]) -> bool {
        self.reserved_names().any(|reserved| reserved.as_bytes() == name)
    }
}
