//! `verify_layer`, `pack`, `extract`, and the report that they give.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::io;
use std::path::{Path, PathBuf};

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyTuple};

use super::convert::{name_bytes, str_from_wtf8};
use super::io::{Given, Sink, path_of};
use super::policy::{Limits, Policy, limits_or_default, losses, on_loss, policy_or_default, totals};
use super::writer::dialect_of;
use crate::compress::{self, Compression};
use crate::error::{Error, Misuse, Result};
use crate::layer::{self, PackOptions};
use crate::problem::{ProblemCode, Severity};
use crate::progress::Progress;

pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Problem>()?;
    module.add_class::<LayerReport>()?;
    module.add_function(wrap_pyfunction!(verify_layer, module)?)?;
    module.add_function(wrap_pyfunction!(pack, module)?)?;
    module.add_function(wrap_pyfunction!(extract, module)?)
}

/// One thing that is wrong with a layer.
///
/// `code` is a stable word, `path` the member (str; empty for the archive itself), `offset` the place in the
/// uncompressed tar or None, `message` for people. docs/formats/problems.md lists the codes with their severities.
///
/// >>> import winlayers as wl
/// >>> problem = wl.Problem("end_blocks", "", 1024, "the archive should end with two zero blocks")
/// >>> problem.offset, problem.severity
/// (1024, 'warning')
#[pyclass(frozen, eq, ord, hash, module = "winlayers")]
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Problem {
    pub(super) code: String,
    pub(super) path: Vec<u8>,
    pub(super) offset: Option<u64>,
    pub(super) message: String,
}

#[pymethods]
impl Problem {
    #[new]
    #[pyo3(signature = (code, path, offset, message))]
    fn new(code: String, path: &Bound<'_, PyAny>, offset: Option<u64>, message: String) -> PyResult<Self> {
        Ok(Problem { code, path: name_bytes(path)?, offset, message })
    }

    #[getter]
    fn code(&self) -> &str {
        &self.code
    }

    /// What a Windows host makes of it: "error", "warning" or "info". It follows from the code; an unknown one is an
    /// error.
    #[getter]
    fn severity(&self) -> &'static str {
        ProblemCode::from_name(&self.code).map_or(Severity::Error, ProblemCode::severity).name()
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
    fn offset(&self) -> Option<u64> {
        self.offset
    }

    #[getter]
    fn message(&self) -> &str {
        &self.message
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let path = self.path(py)?.repr()?.to_string();
        let offset = self.offset.map_or_else(|| "None".to_owned(), |offset| offset.to_string());
        Ok(format!("Problem({:?}, {path}, {offset}, {:?})", self.code, self.message))
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyTuple>)> {
        let fields = (&self.code, PyBytes::new(py, &self.path), self.offset, &self.message).into_pyobject(py)?;
        Ok((py.get_type::<Problem>().into_any(), fields))
    }
}

/// What was seen of a layer.
///
/// `diff_id` is "sha256:" and the digest of the uncompressed tar, None where a broken compression hides it; `entries`
/// counts entries without their named streams; `size` is that of the uncompressed tar in bytes. `problems` and `losses`
/// hold the first 10,000 of each, `problem_totals` and `loss_totals` how many there were of each code and kind.
///
/// >>> import winlayers as wl
/// >>> wl.LayerReport("sha256:00", 3, 4096, [], []).entries
/// 3
#[pyclass(frozen, module = "winlayers")]
pub(crate) struct LayerReport {
    diff_id: Option<String>,
    entries: u64,
    size: u64,
    problems: Py<PyTuple>,
    losses: Py<PyTuple>,
    problem_totals: Vec<(String, u64)>,
    loss_totals: Vec<(String, u64)>,
}

#[pymethods]
impl LayerReport {
    #[new]
    #[pyo3(signature = (diff_id, entries, size, problems, losses, problem_totals=None, loss_totals=None))]
    fn new(
        diff_id: Option<String>,
        entries: u64,
        size: u64,
        problems: &Bound<'_, PyAny>,
        losses: &Bound<'_, PyAny>,
        problem_totals: Option<&Bound<'_, PyDict>>,
        loss_totals: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Self> {
        let totals = |given: Option<&Bound<'_, PyDict>>, items: &[Bound<'_, PyAny>], word| match given {
            Some(given) => given.iter().map(|(key, value)| Ok((key.extract()?, value.extract()?))).collect(),
            None => {
                let mut counts = std::collections::BTreeMap::<String, u64>::new();
                for item in items {
                    *counts.entry(item.getattr(word)?.extract()?).or_default() += 1;
                }
                Ok::<_, PyErr>(counts.into_iter().collect::<Vec<_>>())
            }
        };
        let py = problems.py();
        let problems = problems.try_iter()?.collect::<PyResult<Vec<_>>>()?;
        let losses = losses.try_iter()?.collect::<PyResult<Vec<_>>>()?;
        Ok(LayerReport {
            diff_id,
            entries,
            size,
            problem_totals: totals(problem_totals, &problems, "code")?,
            loss_totals: totals(loss_totals, &losses, "kind")?,
            problems: PyTuple::new(py, problems)?.unbind(),
            losses: PyTuple::new(py, losses)?.unbind(),
        })
    }

    #[getter]
    fn diff_id(&self) -> Option<&str> {
        self.diff_id.as_deref()
    }

    #[getter]
    fn entries(&self) -> u64 {
        self.entries
    }

    #[getter]
    fn size(&self) -> u64 {
        self.size
    }

    #[getter]
    fn problems<'py>(&self, py: Python<'py>) -> Bound<'py, PyList> {
        self.problems.bind(py).to_list()
    }

    #[getter]
    fn losses<'py>(&self, py: Python<'py>) -> Bound<'py, PyList> {
        self.losses.bind(py).to_list()
    }

    #[getter]
    fn problem_totals<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        dict(py, &self.problem_totals)
    }

    #[getter]
    fn loss_totals<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        dict(py, &self.loss_totals)
    }

    fn __eq__(&self, py: Python<'_>, other: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        let Ok(other) = other.cast::<LayerReport>() else { return Ok(py.NotImplemented()) };
        let other = other.get();
        let same = self.diff_id == other.diff_id
            && (self.entries, self.size) == (other.entries, other.size)
            && self.problem_totals == other.problem_totals
            && self.loss_totals == other.loss_totals
            && self.problems.bind(py).eq(other.problems.bind(py))?
            && self.losses.bind(py).eq(other.losses.bind(py))?;
        Ok(same.into_pyobject(py)?.to_owned().into_any().unbind())
    }

    fn __hash__(&self, py: Python<'_>) -> PyResult<u64> {
        let mut hasher = DefaultHasher::new();
        (&self.diff_id, self.entries, self.size).hash(&mut hasher);
        self.problems.bind(py).hash()?.hash(&mut hasher);
        self.losses.bind(py).hash()?.hash(&mut hasher);
        Ok(hasher.finish())
    }

    fn __repr__(&self) -> String {
        let count = |totals: &[(String, u64)]| totals.iter().map(|(_, count)| count).sum::<u64>();
        format!(
            "<LayerReport {} {} entries, {} bytes, {} problems, {} losses>",
            self.diff_id.as_deref().unwrap_or("without a digest,"),
            self.entries,
            self.size,
            count(&self.problem_totals),
            count(&self.loss_totals)
        )
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyTuple>)> {
        let totals = (self.problem_totals(py)?, self.loss_totals(py)?);
        let (problems, losses) = (self.problems.bind(py), self.losses.bind(py));
        let fields = (&self.diff_id, self.entries, self.size, problems, losses, totals.0, totals.1);
        Ok((py.get_type::<LayerReport>().into_any(), fields.into_pyobject(py)?))
    }
}

/// Read a layer once: recompute its digest to the very end of the source, and list every problem with its place.
///
/// The source is a path, bytes or a binary file object; gzip and zstd are recognised. What the go-winio dialect could
/// not carry of a layer in the lossless dialect is listed as losses. `progress(done, total)` is called for each MiB;
/// total is None where it is not known.
///
/// Raises OSError, and LimitExceededError for more entries or bytes than the limits allow; nothing else, whatever the
/// bytes are.
///
/// >>> import hashlib
/// >>> import winlayers as wl
/// >>> report = wl.verify_layer(bytes(1024))
/// >>> report.diff_id == "sha256:" + hashlib.sha256(bytes(1024)).hexdigest()
/// True
/// >>> [problem.code for problem in wl.verify_layer(bytes(512)).problems]
/// ['end_blocks']
#[pyfunction]
#[pyo3(signature = (source, policy=None, limits=None, progress=None))]
fn verify_layer(
    py: Python<'_>,
    source: &Bound<'_, PyAny>,
    policy: Option<&Bound<'_, Policy>>,
    limits: Option<&Bound<'_, Limits>>,
    progress: Option<Py<PyAny>>,
) -> PyResult<LayerReport> {
    let given = Given::from_python(source)?;
    let (policy, limits) = (policy_or_default(policy), limits_or_default(limits));
    let report = py.detach(|| layer::verify(given.open()?, &policy, &limits, progress_of(progress)))?;
    to_python(py, &report)
}

/// Make a layer of a directory, on any system; the same tree gives the same bytes.
///
/// A directory with nothing but Files, Hives and UtilityVM at its top is taken for a layer; any other is the content of
/// Files. Where extract() left a sidecar beside it, all that has not changed since comes back as it was, and problems
/// tell of the rest.
///
/// The sink is a path or a binary file object. `compression` is "none", "gzip" or "zstd"; without it, the suffix of a
/// path says so: .gz, .tgz, .zst, .tzst. A path appears when the layer is complete. `dialect` is "go-winio" or
/// "lossless"; without it, the one that a sidecar asks for, else "go-winio". `sd_file` and `sd_dir` are the descriptors
/// of files and directories as SDDL. Times later than the environment variable SOURCE_DATE_EPOCH become that time.
///
/// Raises RefusedError for names and files that no layer can hold and for a file that changes while it is read,
/// FormatError for SDDL or a sidecar that does not parse, OSError.
///
/// >>> import io, pathlib, tempfile
/// >>> import winlayers as wl
/// >>> folder = tempfile.TemporaryDirectory()
/// >>> _ = pathlib.Path(folder.name, "hello.txt").write_text("hello")
/// >>> sink = io.BytesIO()
/// >>> wl.pack(folder.name, sink).entries
/// 3
/// >>> [entry.name for entry in wl.LayerReader(sink.getvalue())]
/// ['Files', 'Files/hello.txt', 'Hives']
/// >>> folder.cleanup()
#[pyfunction]
#[pyo3(signature = (directory, sink, dialect=None, sd_file=None, sd_dir=None, *, compression=None, on_loss="report", limits=None, progress=None))]
#[allow(clippy::too_many_arguments)]
fn pack(
    py: Python<'_>,
    directory: PathBuf,
    sink: &Bound<'_, PyAny>,
    dialect: Option<&str>,
    sd_file: Option<String>,
    sd_dir: Option<String>,
    compression: Option<&str>,
    on_loss: &str,
    limits: Option<&Bound<'_, Limits>>,
    progress: Option<Py<PyAny>>,
) -> PyResult<LayerReport> {
    let target = path_of(sink)?;
    let options = PackOptions {
        dialect: dialect.map(dialect_of).transpose()?,
        on_loss: self::on_loss(on_loss)?,
        sd_file,
        sd_dir,
        source_date_epoch: source_date_epoch()?,
        limits: limits_or_default(limits),
    };
    let compression = compression_of(compression, target.as_deref())?;
    if let Some(target) = &target {
        check_outside(target, &directory)?;
    }
    let sink = Sink::from_python(sink)?;
    let report = py.detach(move || -> Result<_> {
        let sink = compress::Writer::new(sink, compression)?;
        let (sink, report) = layer::pack(&directory, sink, &options, progress_of(progress))?;
        sink.finish()?.commit()?;
        Ok(report)
    })?;
    to_python(py, &report)
}

/// Extract a layer into a new directory, and write DIRECTORY.winlayers.ndjson beside it with all that a disk cannot
/// hold: descriptors, attributes, streams, links that would lead out. pack() reads it back.
///
/// Nothing is written outside of the directory or through a link, and nothing appears before all is complete. The
/// losses of the report tell what is in the sidecar only.
///
/// Raises RefusedError when the directory or the sidecar exists and for names and links that lead out, FormatError,
/// LimitExceededError, OSError; then nothing is left.
///
/// >>> import io, pathlib, tempfile
/// >>> import winlayers as wl
/// >>> sink = io.BytesIO()
/// >>> with wl.LayerWriter(sink) as writer:
/// ...     writer.add(wl.Entry("Files", kind="directory"))
/// ...     writer.add(wl.Entry("Files/a.txt"), b"hello")
/// >>> folder = pathlib.Path(tempfile.mkdtemp())
/// >>> wl.extract(sink.getvalue(), folder / "layer").entries
/// 2
/// >>> (folder / "layer/Files/a.txt").read_bytes()
/// b'hello'
#[pyfunction]
#[pyo3(signature = (source, directory, *, limits=None, progress=None))]
fn extract(
    py: Python<'_>,
    source: &Bound<'_, PyAny>,
    directory: PathBuf,
    limits: Option<&Bound<'_, Limits>>,
    progress: Option<Py<PyAny>>,
) -> PyResult<LayerReport> {
    let given = Given::from_python(source)?;
    let limits = limits_or_default(limits);
    let report = py.detach(|| layer::extract(given.open()?, &directory, &limits, progress_of(progress)))?;
    to_python(py, &report)
}

/// Calls Python, and looks whether a signal came.
pub(super) fn progress_of(callable: Option<Py<PyAny>>) -> Progress {
    Progress::new(move |done, total| {
        let told = Python::attach(|py| {
            py.check_signals()?;
            callable.as_ref().map_or(Ok(()), |callable| callable.call1(py, (done, total)).map(drop))
        });
        told.map_err(|e: PyErr| Error::io("tell the progress", None, io::Error::other(e)))
    })
}

fn to_python(py: Python<'_>, report: &layer::LayerReport) -> PyResult<LayerReport> {
    let problems = report.problems.items.iter().map(|problem| {
        let layer::Problem { code, path, offset, message } = problem.clone();
        Py::new(py, Problem { code: code.name().to_owned(), path, offset, message })
    });
    let problems = PyList::new(py, problems.collect::<PyResult<Vec<_>>>()?)?;
    let problem_totals = totals(py, &report.problems)?;
    let loss_totals = totals(py, &report.losses)?;
    LayerReport::new(
        report.diff_id.clone(),
        report.entries,
        report.size,
        problems.as_any(),
        losses(py, &report.losses)?.as_any(),
        Some(&problem_totals),
        Some(&loss_totals),
    )
}

fn dict<'py>(py: Python<'py>, totals: &[(String, u64)]) -> PyResult<Bound<'py, PyDict>> {
    let out = PyDict::new(py);
    for (word, count) in totals {
        out.set_item(word, count)?;
    }
    Ok(out)
}

fn compression_of(word: Option<&str>, path: Option<&Path>) -> PyResult<Compression> {
    let Some(word) = word else {
        let name = path.and_then(Path::file_name).unwrap_or_default().to_string_lossy().to_ascii_lowercase();
        let ends = |suffixes: [&str; 2]| suffixes.iter().any(|suffix| name.ends_with(suffix));
        return Ok(if ends([".gz", ".tgz"]) {
            Compression::Gzip
        } else if ends([".zst", ".tzst"]) {
            Compression::Zstd
        } else {
            Compression::None
        });
    };
    Compression::from_name(word)
        .ok_or_else(|| argument(format!("compression is \"none\", \"gzip\" or \"zstd\", not {word:?}")))
}

/// The environment variable that reproducible builds set.
fn source_date_epoch() -> PyResult<Option<i64>> {
    match std::env::var("SOURCE_DATE_EPOCH") {
        Ok(text) if text.is_empty() => Ok(None),
        Ok(text) => match text.parse() {
            Ok(seconds) => Ok(Some(seconds)),
            Err(_) => Err(argument(format!("SOURCE_DATE_EPOCH is decimal seconds, not {text:?}"))),
        },
        Err(_) => Ok(None),
    }
}

/// A layer inside the directory that it is made of would be a part of itself.
fn check_outside(target: &Path, directory: &Path) -> PyResult<()> {
    let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let (Ok(folder), Ok(directory)) = (crate::fs::absolute(folder), crate::fs::absolute(directory)) else {
        // What is not there is told where it is opened.
        return Ok(());
    };
    if folder.starts_with(&directory) {
        return Err(argument("the layer cannot be written into the directory that it is made of".to_owned()));
    }
    Ok(())
}

fn argument(detail: String) -> PyErr {
    Error::misuse(Misuse::Argument, detail).into()
}
