//! A store whose tars are plain tars of transport folders, which Docker's driver calls TP4.

use super::Inner;
use crate::digest::copy_hashed;
use crate::error::{Error, Result};
use crate::fs::{NamedFile, Root, Staging, temporary_file};
use crate::layer_tar::WriterOptions;
use crate::policy::{Capped, Loss};
use crate::progress::Progress;
use crate::source::Source;
use crate::transport::{TransportOptions, from_layer_tar, from_plain_tar, to_layer_tar, to_plain_tar};
use std::fs::File;
use std::io::{Read, Seek};
use std::path::{Path, PathBuf};
use std::sync::Arc;

impl Inner {
    /// The layer tar of what a plain tar of a transport folder has. It loses nothing.
    pub(super) fn layer_tar_of(&self, tar: impl Read, progress: &Progress) -> Result<File> {
        let limits = &self.options.limits;
        let (tar, ..) = self.spool(tar, progress)?;
        let staging = self.staging()?;
        let folder = Root::create(&staging.path().join("folder"))?;
        from_plain_tar(Source::Random(Arc::new(tar)), &folder, limits)?;
        let (tar, _) = to_layer_tar(&folder, self.temporary_file()?, WriterOptions::lossless(limits))?;
        self.rewound(tar)
    }

    /// The plain tar of the transport folder of a layer tar, and what the folder cannot hold.
    pub(super) fn plain_tar_of(&self, tar: impl Read + Send + 'static) -> Result<(File, Capped<Loss>)> {
        let (folder, losses) = self.transport_folder_of(tar)?;
        let root = Root::open(&folder.path().join("folder"))?;
        let (tar, _) = to_plain_tar(&root, self.temporary_file()?, &self.options.limits)?;
        Ok((self.rewound(tar)?, losses))
    }

    /// The transport folder of a layer tar, `folder` in one that goes when it is dropped.
    pub(super) fn transport_folder_of(&self, tar: impl Read + Send + 'static) -> Result<(Staging, Capped<Loss>)> {
        let staging = self.staging()?;
        let folder = Root::create(&staging.path().join("folder"))?;
        let options = TransportOptions { limits: self.options.limits.clone(), ..TransportOptions::default() };
        let report = from_layer_tar(Source::Stream(Box::new(tar)), folder, options)?;
        Ok((staging, report.losses))
    }

    /// All of a tar in a file without a name, up to the end of what it came in; its digest and its size.
    pub(super) fn spool(&self, tar: impl Read, progress: &Progress) -> Result<(File, String, u64)> {
        let (mut file, scratch) = (self.temporary_file()?, self.scratch());
        let (diff_id, size) = copy_hashed(tar, &mut file, &scratch, &self.options.limits, progress)?;
        Ok((self.rewound(file)?, diff_id, size))
    }

    /// A folder for what is under way. It is removed when it is dropped, or swept when no work is under way.
    pub(super) fn staging(&self) -> Result<Staging> {
        Staging::new(&self.scratch())
    }

    /// A file there, without a name.
    pub(super) fn temporary_file(&self) -> Result<NamedFile> {
        let folder = self.scratch();
        Ok(NamedFile::new(temporary_file(&folder)?, folder))
    }

    /// On the volume of the store, where that can be written.
    fn scratch(&self) -> PathBuf {
        if self.read_only { std::env::temp_dir() } else { self.home.path().join(super::STAGING) }
    }

    pub(super) fn rewound(&self, file: NamedFile) -> Result<File> {
        let mut file = file.into_file();
        file.rewind().map_err(|e| Error::io("read", Some(self.home.path()), e))?;
        Ok(file)
    }

    /// Removes what killed processes left there. No work is under way when it is called.
    pub(super) fn sweep_staging(&self) -> Result<()> {
        let folder = Path::new(super::STAGING);
        for name in self.home.list(folder)? {
            let path = folder.join(name);
            // A stream may have one open still, which Windows does not delete: another time, then.
            let _ = match self.home.metadata(&path)?.kind {
                crate::fs::Kind::Directory => self.home.remove_tree(&path),
                _ => self.home.remove_file(&path),
            };
        }
        Ok(())
    }
}
