//! Files that appear under their name when they are complete, and not before.

use crate::error::{Error, Result};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use tempfile::{Builder, NamedTempFile};

/// A file that lies under a temporary name in the folder of its target until [`AtomicFile::commit`]. Dropped without
/// it, it is removed.
pub struct AtomicFile {
    file: NamedTempFile,
    target: PathBuf,
}

impl AtomicFile {
    /// Starts a file that will appear as `target`.
    ///
    /// # Errors
    /// [`Error::Io`] with the path.
    pub fn create(target: &Path) -> Result<Self> {
        let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut builder = Builder::new();
        builder.prefix(".winlayers-");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            // The process's umask takes its part, as for any new file.
            builder.permissions(std::fs::Permissions::from_mode(0o666));
        }
        let file = builder.tempfile_in(folder).map_err(|e| Error::io("create", Some(target), e))?;
        Ok(AtomicFile { file, target: target.to_path_buf() })
    }

    /// Makes the file appear, in place of one that is there.
    ///
    /// # Errors
    /// [`Error::Io`] with the path.
    pub fn commit(self) -> Result<()> {
        let target = self.target;
        self.file.persist(&target).map(drop).map_err(|e| Error::io("rename", Some(&target), e.error))
    }
}

impl Write for AtomicFile {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.file.write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
