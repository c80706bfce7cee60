//! What this host has for layers: for `winlayers doctor`.

use std::path::PathBuf;

use pyo3::prelude::*;
use pyo3::types::PyDict;

pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(_host_compute_service, module)?)?;
    module.add_function(wrap_pyfunction!(_file_system, module)?)?;
    Ok(())
}

/// What this system has of the Host Compute Service: a dict with "available", "reason" (None where it is available),
/// "functions" (the name of each, with its DLL, and whether it is there) and "privileges" (whether each can be held).
#[pyfunction]
fn _host_compute_service(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
    let facts = PyDict::new(py);
    let (functions, privileges) = (PyDict::new(py), PyDict::new(py));
    #[cfg(windows)]
    let reason = {
        use crate::backend::windows::{Hcs, privilege::Privilege, privilege::Privileges};
        for (dll, name, there) in Hcs::functions() {
            functions.set_item(format!("{dll}!{name}"), there)?;
        }
        for (name, privilege) in [
            ("SeBackupPrivilege", Privilege::Backup),
            ("SeRestorePrivilege", Privilege::Restore),
            ("SeSecurityPrivilege", Privilege::Security),
        ] {
            privileges.set_item(name, Privileges::hold(&[privilege]).is_ok())?;
        }
        Hcs::is_there().err().map(|error| error.to_string())
    };
    #[cfg(not(windows))]
    let reason = Some("this is not Windows; reading, writing, checking and storing layers needs no Windows".to_owned());
    facts.set_item("available", reason.is_none())?;
    facts.set_item("reason", reason)?;
    facts.set_item("functions", functions)?;
    facts.set_item("privileges", privileges)?;
    Ok(facts)
}

/// The name of the file system that a folder is on, where this system tells it: Windows does.
#[pyfunction]
fn _file_system(folder: PathBuf) -> PyResult<Option<String>> {
    #[cfg(windows)]
    return Ok(Some(crate::backend::windows::host::file_system(&folder)?));
    #[cfg(not(windows))]
    {
        let _ = folder;
        Ok(None)
    }
}
