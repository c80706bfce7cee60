//! Policy, Limits, Loss and Problem: plain values.

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyTuple};

use super::convert::{name_bytes, str_from_wtf8};
use crate::policy::{self, Capped, LossKind, OnLoss};
use crate::problem::Severity;
use crate::{error, limits};

pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Policy>()?;
    module.add_class::<Limits>()?;
    module.add_class::<Loss>()
}

/// Which well-formed names and members are refused.
///
/// All are False by default: what no layer of Windows holds is refused. `Policy.permissive()` refuses nothing, for
/// looking at archives of other tools, never for extracting them.
///
/// - `allow_escaping_names`: names with `..`, absolute names, drives.
/// - `allow_backslash`: a backslash in a member name.
/// - `allow_colon`: a colon that names no stream of the member before.
/// - `allow_empty_names`: an empty name or component.
/// - `allow_devices`: devices and FIFOs, read as files without data.
///
/// >>> import winlayers as wl
/// >>> wl.Policy(allow_colon=True).allow_colon
/// True
#[pyclass(frozen, eq, hash, module = "winlayers")]
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Policy(pub policy::Policy);

#[pymethods]
impl Policy {
    #[new]
    #[pyo3(signature = (*, allow_escaping_names=false, allow_backslash=false, allow_colon=false, allow_empty_names=false, allow_devices=false))]
    fn new(
        allow_escaping_names: bool,
        allow_backslash: bool,
        allow_colon: bool,
        allow_empty_names: bool,
        allow_devices: bool,
    ) -> Self {
        Policy(policy::Policy { allow_escaping_names, allow_backslash, allow_colon, allow_empty_names, allow_devices })
    }

    /// A policy that refuses nothing.
    #[staticmethod]
    fn permissive() -> Self {
        Policy(policy::Policy::permissive())
    }

    #[getter]
    fn allow_escaping_names(&self) -> bool {
        self.0.allow_escaping_names
    }

    #[getter]
    fn allow_backslash(&self) -> bool {
        self.0.allow_backslash
    }

    #[getter]
    fn allow_colon(&self) -> bool {
        self.0.allow_colon
    }

    #[getter]
    fn allow_empty_names(&self) -> bool {
        self.0.allow_empty_names
    }

    #[getter]
    fn allow_devices(&self) -> bool {
        self.0.allow_devices
    }

    fn __repr__(&self) -> String {
        let word = |value| if value { "True" } else { "False" };
        format!(
            "Policy(allow_escaping_names={}, allow_backslash={}, allow_colon={}, allow_empty_names={}, allow_devices={})",
            word(self.0.allow_escaping_names),
            word(self.0.allow_backslash),
            word(self.0.allow_colon),
            word(self.0.allow_empty_names),
            word(self.0.allow_devices),
        )
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyTuple>)> {
        let fields = PyDict::new(py);
        fields.set_item("allow_escaping_names", self.0.allow_escaping_names)?;
        fields.set_item("allow_backslash", self.0.allow_backslash)?;
        fields.set_item("allow_colon", self.0.allow_colon)?;
        fields.set_item("allow_empty_names", self.0.allow_empty_names)?;
        fields.set_item("allow_devices", self.0.allow_devices)?;
        rebuild(py, "Policy", fields)
    }
}

macro_rules! limits_class {
    ($($field:ident),+) => {
        /// Bounds on what a reader takes from its input; each stops an attack, and no real layer comes near it.
        ///
        /// - `path`: UTF-16 units of a path, 32,767 as in NT.
        /// - `component`: UTF-16 units of a path component, 255 as on NTFS.
        /// - `pax_body`: bytes of one PAX header, 1 MiB.
        /// - `extended_attributes`: bytes of one list of extended attributes, 64 KiB.
        /// - `reparse_point`: bytes of one reparse buffer, 16 KiB and its header.
        /// - `security_descriptor`: bytes of one security descriptor, 64 KiB.
        /// - `streams`: named streams of one entry, 4,096.
        /// - `entries`: entries of a layer, 16 million.
        /// - `member_bytes`: bytes of one member, holes included, 1 TiB.
        /// - `total_bytes`: bytes of a layer after decompression, 4 TiB: stops decompression bombs.
        /// - `sparse_ranges`: sparse ranges of one member, 1 million.
        /// - `line`: bytes of one line of tar-split metadata or of a sidecar, or of a JSON document of an image, 4 MiB.
        ///
        /// >>> import winlayers as wl
        /// >>> wl.Limits(entries=1000).entries
        /// 1000
        #[pyclass(frozen, eq, hash, module = "winlayers")]
        #[derive(Clone, PartialEq, Eq, Hash)]
        pub(crate) struct Limits(pub limits::Limits);

        #[pymethods]
        impl Limits {
            #[new]
            #[pyo3(signature = (*, $($field = limits::Limits::DEFAULT.$field),+))]
            #[allow(clippy::too_many_arguments)]
            fn new($($field: u64),+) -> Self {
                Limits(limits::Limits { $($field),+ })
            }

            $(#[getter]
            fn $field(&self) -> u64 {
                self.0.$field
            })+

            fn __repr__(&self) -> String {
                let fields = [$(format!(concat!(stringify!($field), "={}"), self.0.$field)),+];
                format!("Limits({})", fields.join(", "))
            }

            fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyTuple>)> {
                let fields = PyDict::new(py);
                $(fields.set_item(stringify!($field), self.0.$field)?;)+
                rebuild(py, "Limits", fields)
            }
        }
    };
}

limits_class!(
    path,
    component,
    pax_body,
    extended_attributes,
    reparse_point,
    security_descriptor,
    streams,
    entries,
    member_bytes,
    total_bytes,
    sparse_ranges,
    line
);

/// What pickle needs to make a value from keyword arguments: `_values.rebuild(class name, fields)`.
pub(crate) fn rebuild<'py>(
    py: Python<'py>,
    class: &str,
    fields: Bound<'py, PyDict>,
) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyTuple>)> {
    let function = py.import("winlayers._values")?.getattr("rebuild")?;
    Ok((function, (class, fields).into_pyobject(py)?))
}

/// One thing that a dialect could not carry.
///
/// `path` is the member (str), `stream` the named stream it happened in or None, `kind` a stable word, `detail` for
/// people. docs/formats/losses.md lists the kinds with their severities.
///
/// >>> import winlayers as wl
/// >>> loss = wl.Loss("Files/a", None, "sparse", "holes become zeros")
/// >>> loss.kind, loss.severity
/// ('sparse', 'warning')
#[pyclass(frozen, eq, hash, ord, module = "winlayers")]
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Loss {
    path: Vec<u8>,
    stream: Option<Vec<u8>>,
    kind: String,
    detail: String,
}

#[pymethods]
impl Loss {
    #[new]
    fn new(path: &Bound<'_, PyAny>, stream: Option<&Bound<'_, PyAny>>, kind: String, detail: String) -> PyResult<Self> {
        Ok(Loss { path: name_bytes(path)?, stream: stream.map(name_bytes).transpose()?, kind, detail })
    }

    #[getter]
    fn path<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        Ok(str_from_wtf8(py, &self.path)?.0.into_any())
    }

    /// The member name, exact bytes.
    #[getter]
    fn raw_path<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.path)
    }

    #[getter]
    fn stream<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.stream.as_ref().map(|name| Ok(str_from_wtf8(py, name)?.0.into_any())).transpose()
    }

    #[getter]
    fn kind(&self) -> &str {
        &self.kind
    }

    /// What a Windows host makes of it: "error", "warning" or "info". It follows from the kind; an unknown one is an
    /// error.
    #[getter]
    fn severity(&self) -> &'static str {
        LossKind::from_name(&self.kind).map_or(Severity::Error, LossKind::severity).name()
    }

    #[getter]
    fn detail(&self) -> &str {
        &self.detail
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let stream = self.stream(py)?.map_or_else(|| Ok("None".to_owned()), |s| s.repr().map(|r| r.to_string()))?;
        let path = self.path(py)?.repr()?.to_string();
        Ok(format!("Loss({path}, {stream}, {:?}, {:?})", self.kind, self.detail))
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyTuple>)> {
        let stream = self.stream.as_ref().map(|s| PyBytes::new(py, s));
        let fields = (PyBytes::new(py, &self.path), stream, &self.kind, &self.detail).into_pyobject(py)?;
        Ok((py.get_type::<Loss>().into_any(), fields))
    }
}

/// A list of losses as Python objects.
pub(crate) fn losses<'py>(py: Python<'py>, list: &Capped<policy::Loss>) -> PyResult<Bound<'py, PyList>> {
    let out = PyList::empty(py);
    for loss in &list.items {
        let policy::Loss { path, stream, kind, detail } = loss.clone();
        out.append(Py::new(py, Loss { path, stream, kind: kind.name().to_owned(), detail })?)?;
    }
    Ok(out)
}

/// How many there were of each kind, those that the list did not keep included.
pub(crate) fn totals<'py, T>(py: Python<'py>, list: &Capped<T>) -> PyResult<Bound<'py, PyDict>> {
    let out = PyDict::new(py);
    for (kind, count) in &list.totals {
        out.set_item(kind, count)?;
    }
    Ok(out)
}

/// The policy given, or the default.
pub(crate) fn policy_or_default(given: Option<&Bound<'_, Policy>>) -> policy::Policy {
    given.map_or_else(policy::Policy::default, |policy| policy.get().0.clone())
}

/// The limits given, or the defaults.
pub(crate) fn limits_or_default(given: Option<&Bound<'_, Limits>>) -> limits::Limits {
    given.map_or_else(limits::Limits::default, |limits| limits.get().0.clone())
}

/// `"report"`, `"error"` or `"ignore"`.
pub(crate) fn on_loss(word: &str) -> error::Result<OnLoss> {
    OnLoss::from_name(word).ok_or_else(|| {
        let detail = format!("on_loss is \"report\", \"error\" or \"ignore\", not {word:?}");
        error::Error::misuse(error::Misuse::Argument, detail)
    })
}
