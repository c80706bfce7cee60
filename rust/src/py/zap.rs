//! `winlayers zap`.

use std::path::PathBuf;

use pyo3::prelude::*;

use crate::error::Result;
use std::path::Path;

pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(_zap, module)?)
}

/// Deletes the folder of a layer that nothing else can delete, or only finds out whether it would; gives what it holds:
/// "layer", "sandbox" or "remains".
#[pyfunction]
#[pyo3(signature = (path, *, delete))]
fn _zap(py: Python<'_>, path: PathBuf, delete: bool) -> PyResult<&'static str> {
    Ok(py.detach(|| zap(&path, delete))?)
}

#[cfg(windows)]
fn zap(path: &Path, delete: bool) -> Result<&'static str> {
    use crate::backend::windows::zap::{Kind, LayerFolder};
    let found = LayerFolder::find(path)?;
    let kind = match found.kind() {
        Kind::Layer => "layer",
        Kind::Sandbox => "sandbox",
        Kind::Remains => "remains",
    };
    if delete {
        found.delete()?;
    }
    Ok(kind)
}

#[cfg(not(windows))]
fn zap(_path: &Path, _delete: bool) -> Result<&'static str> {
    let reason = "only Windows has folders that nothing else deletes; `rm -r` does it here".into();
    Err(crate::error::Error::Unsupported { operation: "deleting the folder of a layer".into(), reason })
}
