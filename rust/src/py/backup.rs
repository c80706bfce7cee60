//! `winlayers.backup`: files as backup streams, by Windows itself.

use std::path::PathBuf;

use pyo3::prelude::*;

use super::io::Given;
use super::policy::{Limits, limits_or_default};
use super::store_files::LayerStream;
use crate::error::Result;
use crate::limits::Limits as Bounds;
use std::io::Read;
use std::path::Path;

pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(backup_read, module)?)?;
    module.add_function(wrap_pyfunction!(backup_write, module)?)
}

#[pyfunction]
fn backup_read(py: Python<'_>, path: PathBuf) -> PyResult<LayerStream> {
    Ok(LayerStream::of_file(py.detach(|| read_file(&path))?))
}

#[pyfunction]
#[pyo3(signature = (path, stream, *, directory=false, limits=None))]
fn backup_write(
    py: Python<'_>,
    path: PathBuf,
    stream: &Bound<'_, PyAny>,
    directory: bool,
    limits: Option<&Bound<'_, Limits>>,
) -> PyResult<()> {
    let limits = limits_or_default(limits);
    let stream = Given::from_python(stream)?;
    Ok(py.detach(|| write_file(&path, stream.read()?, directory, &limits))?)
}

#[cfg(windows)]
fn read_file(path: &Path) -> Result<Box<dyn Read + Send>> {
    Ok(Box::new(crate::backend::windows::backup::read_file(path)?))
}

#[cfg(windows)]
fn write_file(path: &Path, stream: impl Read, directory: bool, limits: &Bounds) -> Result<()> {
    crate::backend::windows::backup::write_file(path, stream, directory, limits)
}

#[cfg(not(windows))]
fn read_file(_path: &Path) -> Result<Box<dyn Read + Send>> {
    Err(unsupported("reading a file as a backup stream", "only Windows has BackupRead"))
}

#[cfg(not(windows))]
fn write_file(_path: &Path, _stream: impl Read, _directory: bool, _limits: &Bounds) -> Result<()> {
    Err(unsupported("writing a file from a backup stream", "only Windows has BackupWrite"))
}

#[cfg(not(windows))]
fn unsupported(operation: &str, reason: &str) -> crate::error::Error {
    let reason = format!("{reason}; BackupStreamReader and BackupStreamWriter work everywhere");
    crate::error::Error::Unsupported { operation: operation.into(), reason: reason.into() }
}
