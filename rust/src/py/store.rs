//! `LayerStore`: the graph driver's verbs.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyFrozenSet, PyList, PyMapping, PyTuple};

use super::convert::str_from_wtf8;
use super::io::Given;
use super::layer::{Problem, progress_of};
use super::policy::{Limits, limits_or_default};
use super::store_files::{DiffGetter, LayerStream, Mount, Own};
use super::store_view::{LayerView, ViewIterator};
use crate::backend::Change;
use crate::error::{Error, Misuse, Result};
use crate::store::{self as core, BackendKind, Driver, HcsApi, StoreOptions, TarForm};

pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<LayerStore>()?;
    module.add_class::<Mount>()?;
    module.add_class::<LayerStream>()?;
    module.add_class::<DiffGetter>()?;
    module.add_class::<LayerView>()?;
    module.add_class::<ViewIterator>()?;
    // A child opens databases of its own.
    let os = module.py().import("os")?;
    if os.hasattr("register_at_fork")? {
        let hooks = PyDict::new(module.py());
        let before = wrap_pyfunction!(_before_fork, module)?;
        let after = wrap_pyfunction!(_after_fork, module)?;
        hooks.set_item("before", before)?;
        hooks.set_item("after_in_parent", &after)?;
        hooks.set_item("after_in_child", after)?;
        os.call_method("register_at_fork", (), Some(&hooks))?;
    }
    Ok(())
}

/// Close the databases of all stores, until `_after_fork`.
#[pyfunction]
fn _before_fork(py: Python<'_>) {
    // Held on to the GIL: no other thread forks meanwhile, and none of those that are waited for needs it.
    let _ = py;
    core::before_fork();
}

/// Let the databases be opened again.
#[pyfunction]
fn _after_fork() {
    core::after_fork();
}

/// A layer store: a folder with Windows container layers, with the operations of Docker's Windows graph driver.
///
/// `home` is made where it is missing; what a killed process left there is finished or undone. `driver` is
/// "windowsfilter" or "windowsdiff". `backend` is "portable", which works everywhere, or "hcs", the Host Compute
/// Service, which only Windows has; None is what the environment variable WINLAYERS_BACKEND says, or else the system's
/// own, which on Windows is "hcs". `options` is a `StoreOptions`, or a mapping with its fields. Ids compare without
/// case. A parent of "" means none, or the recorded one of a layer that exists.
///
/// Threads and processes may share a store; after a fork a child opens it for itself. A home that cannot be written
/// opens for reading. docs/store.md says what lies in a home.
///
/// Raises StoreError with codes such as "wrong_parent" and its subclasses LayerNotFoundError, LayerExistsError,
/// LayerInUseError and StoreDamagedError; UnsupportedOperationError where the backend cannot be had, saying what is
/// missing; HcsError for what the Host Compute Service returns; OSError.
///
/// >>> import io, tempfile
/// >>> import winlayers as wl
/// >>> folder = tempfile.TemporaryDirectory()
/// >>> store = wl.LayerStore(folder.name, backend="portable")
/// >>> sink = io.BytesIO()
/// >>> with wl.LayerWriter(sink) as writer:
/// ...     writer.add(wl.Entry("Files", kind="directory"))
/// ...     writer.add(wl.Entry("Files/hello.txt"), b"hello")
/// >>> store.apply_diff("base", "", sink.getvalue())
/// 5
/// >>> store.info("base").state
/// 'imported'
/// >>> with store.diff("base") as tar:
/// ...     tar.read() == sink.getvalue()
/// True
/// >>> [change.path for change in store.changes("base")]
/// ['Files', 'Files/hello.txt']
/// >>> store.remove("base")
/// >>> del store
/// >>> folder.cleanup()
#[pyclass(frozen, module = "winlayers")]
pub(crate) struct LayerStore {
    home: PathBuf,
    driver: Driver,
    backend: BackendKind,
    options: StoreOptions,
    /// Locked for moments, and only with the GIL held.
    open: Mutex<Own<core::LayerStore>>,
}

impl LayerStore {
    /// The store, opened anew where this process is the child of the one that opened it.
    fn store(&self, py: Python<'_>) -> PyResult<core::LayerStore> {
        let slot = || self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(store) = slot().get() {
            return Ok(store.clone());
        }
        let store =
            py.detach(|| core::LayerStore::open_on(self.backend, &self.home, self.driver, self.options.clone()))?;
        *slot() = Own::new(store.clone());
        Ok(store)
    }

    /// Runs something without the GIL.
    fn run<T: Send>(&self, py: Python<'_>, work: impl FnOnce(&core::LayerStore) -> Result<T> + Send) -> PyResult<T> {
        let store = self.store(py)?;
        Ok(py.detach(move || work(&store))?)
    }
}

#[pymethods]
impl LayerStore {
    #[new]
    #[pyo3(signature = (home, driver="windowsfilter", backend=None, options=None))]
    fn new(
        py: Python<'_>,
        home: PathBuf,
        driver: &str,
        backend: Option<&str>,
        options: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let driver = Driver::from_name(driver)
            .ok_or_else(|| argument(format!("driver is \"windowsfilter\" or \"windowsdiff\", not {driver:?}")))?;
        let asked = std::env::var("WINLAYERS_BACKEND").ok().filter(|name| !name.is_empty());
        let backend = match backend.or(asked.as_deref()) {
            None => BackendKind::default(),
            Some(name) => BackendKind::from_name(name)
                .ok_or_else(|| argument(format!("backend is \"portable\" or \"hcs\", not {name:?}")))?,
        };
        let options = options_of(py, options)?;
        let store = py.detach(|| core::LayerStore::open_on(backend, &home, driver, options.clone()))?;
        let home = store.home().to_path_buf();
        Ok(LayerStore { home, driver, backend, options, open: Mutex::new(Own::new(store)) })
    }

    /// The driver's name.
    #[getter]
    fn name(&self) -> &'static str {
        self.driver.name()
    }

    /// The folder that the store is in.
    #[getter]
    fn home(&self) -> std::ffi::OsString {
        self.home.clone().into_os_string()
    }

    /// Make an empty layer above a parent, to be filled by `apply_diff`. Above a parent whose id ends in "-init" it
    /// makes a sandbox on the parent's own parents, as the graph driver did.
    #[pyo3(signature = (id, parent=""))]
    fn create(&self, py: Python<'_>, id: &str, parent: &str) -> PyResult<()> {
        self.run(py, |store| store.create(id, parent))
    }

    /// Make a sandbox above a parent: a layer to be mounted and written to. `size` in bytes, where the backend knows
    /// such.
    #[pyo3(signature = (id, parent, size=None))]
    fn create_read_write(&self, py: Python<'_>, id: &str, parent: &str, size: Option<u64>) -> PyResult<()> {
        self.run(py, |store| store.create_read_write(id, parent, size))
    }

    /// Whether there is a layer of this id.
    fn exists(&self, py: Python<'_>, id: &str) -> PyResult<bool> {
        self.run(py, |store| store.exists(id))
    }

    /// Remove a layer, with all that is in a sandbox.
    ///
    /// Raises LayerInUseError for one that is mounted or that others stand on.
    fn remove(&self, py: Python<'_>, id: &str) -> PyResult<()> {
        self.run(py, |store| store.remove(id))
    }

    /// Show a layer merged over its chain: the path of a folder with the content of Files. Each `get` wants a `put`,
    /// from any process; the count outlives this one. A sandbox may be written to, and keeps what was written.
    #[pyo3(name = "get")]
    fn get_layer(&self, py: Python<'_>, id: &str) -> PyResult<std::ffi::OsString> {
        self.run(py, |store| store.get(id)).map(PathBuf::into_os_string)
    }

    /// Undo one `get`. A layer that nobody got stays as it is, without an error.
    fn put(&self, py: Python<'_>, id: &str) -> PyResult<()> {
        self.run(py, |store| store.put(id))
    }

    /// Show a layer as `get` does until the result is closed or this process ends: `with store.mount(id) as path`.
    fn mount(&self, py: Python<'_>, id: &str) -> PyResult<Mount> {
        Ok(Mount::new(self.run(py, |store| store.mount(id))?))
    }

    /// What a layer has above its parent, as an uncompressed layer tar: a binary file. An imported layer gives the very
    /// bytes that came in. While it is open the layer cannot be removed; a file of a sandbox that changes while it is
    /// read ends it with RefusedError("file_changed").
    #[pyo3(signature = (id, parent=""))]
    fn diff(&self, py: Python<'_>, id: &str, parent: &str) -> PyResult<LayerStream> {
        Ok(LayerStream::of_diff(self.run(py, |store| store.diff(id, parent))?))
    }

    /// What a layer adds, modifies and deletes, in the order of its tar.
    #[pyo3(signature = (id, parent=""))]
    fn changes<'py>(&self, py: Python<'py>, id: &str, parent: &str) -> PyResult<Bound<'py, PyList>> {
        let changes = self.run(py, |store| {
            let mut changes = Vec::new();
            store.changes(id, parent, &mut |change| {
                changes.push(change);
                Ok(())
            })?;
            Ok(changes)
        })?;
        let class = value_class(py, "Change")?;
        let out = PyList::empty(py);
        for Change { path, kind, what, size } in changes {
            let what = PyFrozenSet::new(py, what.words())?;
            out.append(class.call1((str_from_wtf8(py, &path)?.0, kind.name(), what, size))?)?;
        }
        Ok(out)
    }

    /// Fill an empty layer, or make one, from a layer tar: a path, bytes or a binary file object; gzip and zstd are
    /// recognised. Gives the bytes of file data in it; `info` has its digest then. `progress(done, total)` is called
    /// for each MiB.
    ///
    /// Raises LayerExistsError for a layer that is filled; FormatError, RefusedError and OSError as reading a layer
    /// does. The store is as it was then.
    #[pyo3(signature = (id, parent, source, progress=None))]
    fn apply_diff(
        &self,
        py: Python<'_>,
        id: &str,
        parent: &str,
        source: &Bound<'_, PyAny>,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<u64> {
        let given = Given::from_python(source)?;
        let imported = self.run(py, |store| store.apply_diff(id, parent, given.read()?, progress_of(progress)))?;
        Ok(imported.data)
    }

    /// Import the layers of an OCI layout (a folder or a tar) or of a `docker save` archive, lowest first, and give
    /// their ids: each is the hex part of its chain ID, so that images share what they have in common. Layers that are
    /// there are left alone. `name` chooses among several images.
    ///
    /// Raises FormatError where the image is malformed or a layer is not in it; IntegrityError for a layer of another
    /// digest than the image says. No layer is left behind then.
    #[pyo3(signature = (path, name=None, progress=None))]
    fn import_image(
        &self,
        py: Python<'_>,
        path: PathBuf,
        name: Option<&str>,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<Vec<String>> {
        self.run(py, |store| store.import_image(&path, name, &progress_of(progress)))
    }

    /// Bytes of file data that a layer adds or modifies; nothing is mounted for it.
    #[pyo3(signature = (id, parent=""))]
    fn diff_size(&self, py: Python<'_>, id: &str, parent: &str) -> PyResult<u64> {
        self.run(py, |store| store.diff_size(id, parent))
    }

    /// The reference's metadata: "dir", the folder of the layer, whether it is there or not.
    fn metadata<'py>(&self, py: Python<'py>, id: &str) -> PyResult<Bound<'py, PyDict>> {
        let dir = self.run(py, |store| store.dir(id))?;
        let out = PyDict::new(py);
        out.set_item("dir", dir.into_os_string())?;
        Ok(out)
    }

    /// Names and values, for people.
    fn status(&self, py: Python<'_>) -> PyResult<Vec<(String, String)>> {
        self.run(py, core::LayerStore::status)
    }

    /// Finish removals, undo what killed processes had under way, take their holds back, and sweep what is in nobody's
    /// hands. `force` ends the mounts that `get` made, too.
    #[pyo3(signature = (force=false))]
    fn cleanup(&self, py: Python<'_>, force: bool) -> PyResult<()> {
        self.run(py, |store| store.cleanup(force))
    }

    /// The base images that the host has, each with a layer that stands for it.
    fn custom_image_infos<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let class = value_class(py, "CustomImageInfo")?;
        let out = PyList::empty(py);
        for image in self.run(py, core::LayerStore::custom_image_infos)? {
            let core::CustomImageInfo { id, name, version, path, size, created_time } = image;
            out.append(class.call1((id, name, version, path, size, created_time))?)?;
        }
        Ok(out)
    }

    /// Open files of a layer by their names in its tar, for putting the tar together with `tarsplit.assemble`.
    fn diff_getter(&self, py: Python<'_>, id: &str) -> PyResult<DiffGetter> {
        Ok(DiffGetter::new(self.run(py, |store| store.diff_getter(id))?))
    }

    /// What is seen of a layer merged over its chain, entry by entry; nothing is mounted for it.
    fn view(&self, py: Python<'_>, id: &str) -> PyResult<LayerView> {
        Ok(LayerView::new(self.run(py, |store| store.view(id))?))
    }

    /// What is known about a layer without reading it.
    fn info<'py>(&self, py: Python<'py>, id: &str) -> PyResult<Bound<'py, PyAny>> {
        let info = self.run(py, |store| store.info(id))?;
        info_to_python(&value_class(py, "LayerInfo")?, info)
    }

    /// What is known about each layer, in the order of their ids.
    fn layers<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let class = value_class(py, "LayerInfo")?;
        let layers = self.run(py, core::LayerStore::layers)?;
        let layers = layers.into_iter().map(|info| info_to_python(&class, info)).collect::<PyResult<Vec<_>>>()?;
        PyList::new(py, layers)
    }

    /// Read all layers, and tell what is wrong: `path` of a problem is the layer's id. `repair` makes anew what follows
    /// from the rest; what it repaired is told, too. `progress` is called with the bytes of tars that were read and how
    /// many there are; what it raises ends the check.
    #[pyo3(signature = (repair=false, progress=None))]
    fn check(&self, py: Python<'_>, repair: bool, progress: Option<Py<PyAny>>) -> PyResult<Vec<Problem>> {
        let findings = self.run(py, |store| store.check(repair, &progress_of(progress)))?;
        let problem = |finding: core::Finding| Problem {
            code: finding.code.name().to_owned(),
            path: finding.layer.into_bytes(),
            offset: None,
            message: finding.message,
        };
        Ok(findings.into_iter().map(problem).collect())
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let home = self.home().into_pyobject(py)?.repr()?;
        Ok(format!("LayerStore({home}, '{}')", self.driver.name()))
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyTuple>)> {
        let options = PyDict::new(py);
        options.set_item("fsync", self.options.fsync)?;
        options.set_item("sandbox_size", self.options.sandbox_size)?;
        options.set_item("base_images", &self.options.base_images)?;
        options.set_item("format", self.options.format.name())?;
        options.set_item("limits", Py::new(py, Limits(self.options.limits.clone()))?)?;
        let fields = (self.home(), self.driver.name(), "portable", options).into_pyobject(py)?;
        Ok((py.get_type::<LayerStore>().into_any(), fields))
    }
}

/// A class of `winlayers._store`.
fn value_class<'py>(py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyAny>> {
    py.import("winlayers._store")?.getattr(name)
}

fn info_to_python<'py>(class: &Bound<'py, PyAny>, info: core::LayerInfo) -> PyResult<Bound<'py, PyAny>> {
    let core::LayerInfo { id, parents, diff_id, chain_id, size, entries, kind, mounted } = info;
    let parents = PyTuple::new(class.py(), parents)?;
    class.call1((id, parents, diff_id, chain_id, size, entries, kind.name(), mounted))
}

/// A `StoreOptions`, or a mapping with its fields and no other.
fn options_of(py: Python<'_>, given: Option<&Bound<'_, PyAny>>) -> PyResult<StoreOptions> {
    let Some(given) = given else { return Ok(StoreOptions::default()) };
    let class = value_class(py, "StoreOptions")?;
    let options = if given.is_instance(&class)? {
        given.clone()
    } else if let Ok(mapping) = given.cast::<PyMapping>() {
        let fields = PyDict::new(py);
        let known = class.getattr("__dataclass_fields__")?;
        for key in mapping.keys()? {
            if !known.contains(&key)? {
                return Err(argument(format!("no option of a store: {}", key.repr()?)));
            }
            fields.set_item(&key, mapping.get_item(&key)?)?;
        }
        class.call((), Some(&fields))?
    } else {
        return Err(PyTypeError::new_err("options is a StoreOptions or a mapping with its fields"));
    };
    let limits: Option<Bound<'_, Limits>> = options.getattr("limits")?.extract()?;
    Ok(StoreOptions {
        fsync: options.getattr("fsync")?.extract()?,
        sandbox_size: options.getattr("sandbox_size")?.extract()?,
        base_images: options.getattr("base_images")?.extract()?,
        format: form_of(&options.getattr("format")?)?,
        hcs_timeout: timeout_of(&options.getattr("hcs_timeout")?)?,
        hcs_api: api_of(&options.getattr("hcs_api")?)?,
        limits: limits_or_default(limits.as_ref()),
    })
}

fn form_of(name: &Bound<'_, PyAny>) -> PyResult<TarForm> {
    let name: String = name.extract()?;
    TarForm::from_name(&name).ok_or_else(|| argument(format!("format is \"layer\" or \"transport\", not {name:?}")))
}

/// Seconds, or None.
fn timeout_of(seconds: &Bound<'_, PyAny>) -> PyResult<Option<Duration>> {
    let Some(seconds) = seconds.extract::<Option<f64>>()? else { return Ok(None) };
    let timeout = Duration::try_from_secs_f64(seconds).ok().filter(|timeout| !timeout.is_zero());
    timeout.map(Some).ok_or_else(|| argument(format!("hcs_timeout is a positive number of seconds, not {seconds}")))
}

fn api_of(name: &Bound<'_, PyAny>) -> PyResult<HcsApi> {
    let name: String = name.extract()?;
    let expected = "hcs_api is \"auto\", \"vmcompute\" or \"computestorage\"";
    HcsApi::from_name(&name).ok_or_else(|| argument(format!("{expected}, not {name:?}")))
}

fn argument(detail: String) -> PyErr {
    Error::misuse(Misuse::Argument, detail).into()
}
