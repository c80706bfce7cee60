//! The Python face: thin shells that unpack, release the GIL and call.

use pyo3::prelude::*;

mod backup;
mod backup_stream;
mod convert;
mod data;
mod entry;
pub(crate) mod errors;
mod flags;
mod host;
mod io;
mod layer;
mod origin;
mod policy;
mod reader;
mod security;
mod store;
mod store_files;
mod store_view;
mod tarsplit;
#[cfg(feature = "testing")]
mod testing;
mod values;
#[cfg(all(windows, feature = "testing"))]
mod windows_probe;
mod writer;
mod zap;

#[pymodule]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("debug_build", cfg!(debug_assertions))?;
    values::register(module)?;
    security::register(module)?;
    policy::register(module)?;
    entry::register(module)?;
    data::register(module)?;
    writer::register(module)?;
    layer::register(module)?;
    backup_stream::register(module)?;
    backup::register(module)?;
    tarsplit::register(module)?;
    store::register(module)?;
    host::register(module)?;
    zap::register(module)?;
    #[cfg(feature = "testing")]
    testing::register(module)?;
    #[cfg(all(windows, feature = "testing"))]
    windows_probe::register(module)?;
    Ok(())
}
