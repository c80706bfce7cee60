//! What only tests of the module call; no wheel that is shipped has it.

use pyo3::prelude::*;

use crate::backend::{BackendKind, HcsApi, open};
use crate::store::StoreOptions;
use crate::store::conformance::CHECKS;

pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(_conformance_checks, module)?)?;
    module.add_function(wrap_pyfunction!(_check_conformance, module)?)?;
    Ok(())
}

/// The names of the checks that every backend must pass.
#[pyfunction]
fn _conformance_checks() -> Vec<&'static str> {
    CHECKS.iter().map(|(name, _)| *name).collect()
}

/// Runs one of them: it panics where the backend fails it.
#[pyfunction]
#[pyo3(signature = (name, backend, fsync=true, hcs_api="auto"))]
fn _check_conformance(py: Python<'_>, name: &str, backend: &str, fsync: bool, hcs_api: &str) {
    let check = CHECKS.iter().find(|(known, _)| *known == name).expect("one of the names").1;
    let kind = BackendKind::from_name(backend).expect("a backend");
    let hcs_api = HcsApi::from_name(hcs_api).expect("a choice of functions");
    let options = StoreOptions { fsync, hcs_api, ..StoreOptions::default() };
    py.detach(|| {
        check(
            &|home, driver, options| open(kind, home, &options.of_backend(driver)).expect("the backend, and a home"),
            &options,
        )
    });
}
