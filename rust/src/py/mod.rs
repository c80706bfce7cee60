//! The Python face: thin shells that unpack, release the GIL and call.

use pyo3::prelude::*;

mod convert;
pub(crate) mod errors;
mod flags;
mod security;
mod values;

#[pymodule]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    values::register(module)?;
    security::register(module)?;
    Ok(())
}
