//! Which backends this system has, and opening one.

use super::{Backend, BackendKind, BackendOptions};
#[cfg(not(windows))]
use crate::error::Error;
use crate::error::Result;
use std::path::Path;
use std::sync::Arc;

impl Default for BackendKind {
    /// The system's own.
    fn default() -> Self {
        if cfg!(windows) { BackendKind::Hcs } else { BackendKind::Portable }
    }
}

/// Whether this system has a backend.
///
/// # Errors
/// [`Error::Unsupported`], which says what is missing.
pub fn check_available(kind: BackendKind) -> Result<()> {
    match kind {
        BackendKind::Portable => Ok(()),
        #[cfg(windows)]
        BackendKind::Hcs => super::windows::Hcs::is_there(),
        #[cfg(not(windows))]
        BackendKind::Hcs => Err(Error::Unsupported {
            operation: "backend \"hcs\"".into(),
            reason: "only Windows has the Host Compute Service; backend=\"portable\" works on every system".into(),
        }),
    }
}

/// Opens a backend on a home, which exists.
///
/// # Errors
/// As [`check_available`]; [`Error::Store`] and [`Error::Io`] where the home cannot hold its layers.
pub fn open(kind: BackendKind, home: &Path, options: &BackendOptions) -> Result<Arc<dyn Backend>> {
    match kind {
        BackendKind::Portable => Ok(Arc::new(super::portable::Portable::open(home, options)?)),
        #[cfg(windows)]
        BackendKind::Hcs => Ok(Arc::new(super::windows::Hcs::open(home, options)?)),
        #[cfg(not(windows))]
        BackendKind::Hcs => Err(check_available(kind).expect_err("only Windows has it")),
    }
}
