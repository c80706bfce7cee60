//! Members of the Python flag enumerations, made once for each value.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

/// A cache from numbers to members of an enum.IntFlag in `winlayers._values`.
///
/// Calling an IntFlag takes microseconds, and it keeps each new combination for ever: so no more than [`Self::KEEP`]
/// are asked of it, and the rest come from a function that keeps none.
pub(crate) struct Flags {
    make: &'static str,
    function: PyOnceLock<Py<PyAny>>,
    known: Mutex<Option<HashMap<u32, Py<PyAny>>>>,
}

/// `winlayers.FileAttributes`.
pub(crate) static FILE_ATTRIBUTES: Flags = Flags::new("file_attributes");
/// `winlayers.SecurityControl`.
pub(crate) static SECURITY_CONTROL: Flags = Flags::new("security_control");

impl Flags {
    const KEEP: usize = 1024;

    const fn new(make: &'static str) -> Self {
        Flags { make, function: PyOnceLock::new(), known: Mutex::new(None) }
    }

    pub(crate) fn member<'py>(&self, py: Python<'py>, value: u32) -> PyResult<Bound<'py, PyAny>> {
        if let Some(member) = self.lookup(py, value) {
            return Ok(member);
        }
        // The lock is not held here: Python code runs.
        let function = self.function.get_or_try_init(py, || -> PyResult<Py<PyAny>> {
            Ok(py.import("winlayers._values")?.getattr(self.make)?.unbind())
        })?;
        let member = function.bind(py).call1((value,))?;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let known = known.get_or_insert_default();
        if known.len() < Self::KEEP {
            known.insert(value, member.clone().unbind());
        }
        Ok(member)
    }

    fn lookup<'py>(&self, py: Python<'py>, value: u32) -> Option<Bound<'py, PyAny>> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.as_ref()?.get(&value).map(|member| member.bind(py).clone())
    }
}
