//! `LayerWriter`: entries and backup streams to a layer tar.

use std::io::{BufRead, BufReader, BufWriter, Cursor};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, TryLockError};

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyMapping};

use super::convert::{bytes_of, name_bytes};
use super::data::DataFile;
use super::entry::Entry;
use super::io::{Backed, FileObject, Given, Sink};
use super::origin::Origin;
use super::policy::{Limits, Policy, limits_or_default, losses, on_loss, policy_or_default, totals};
use super::values::BasicInfo;
use crate::error::{Error, Misuse, Result};
use crate::layer_tar::{
    Dialect, EntryData, EntryKind, EntryStream, LayerEntry, LayerWriter as Core, NamedStream, WriterOptions,
};
use crate::policy::{Capped, Loss};

/// Bytes that are gathered before they go to the sink: they are copied once more, so that they should stay in the
/// processor's cache.
const BUFFER: usize = 64 << 10;

enum State {
    Open(Box<Core<BufWriter<Sink>>>),
    Done { losses: Capped<Loss> },
}

/// Writes a layer tar to a path or to a binary file object.
///
/// `dialect`: "go-winio" writes byte for byte what Microsoft's backuptar writes, "lossless" adds records of its own for
/// what that loses. `on_loss`: "report" lists a loss in `losses`, "error" refuses the entry, "ignore" does neither.
///
/// Names are str or bytes; a backslash becomes a slash. A path appears when the writer is closed without an error, and
/// not before. After an error the writer is poisoned: it takes nothing more, and the end of the archive is missing.
/// Losses that nobody read are told by one LossWarning when it is closed.
///
/// Raises RefusedError, LimitExceededError, FormatError (a malformed backup stream), MisuseError, OSError.
///
/// >>> import io
/// >>> import winlayers as wl
/// >>> sink = io.BytesIO()
/// >>> with wl.LayerWriter(sink, dialect="lossless") as writer:
/// ...     writer.add(wl.Entry("Files", kind="directory"))
/// ...     writer.add_whiteout("Files/old.txt")
/// >>> [entry.name for entry in wl.LayerReader(sink.getvalue())]
/// ['Files', 'Files/.wh.old.txt']
#[pyclass(frozen, module = "winlayers")]
pub(crate) struct LayerWriter {
    state: Mutex<State>,
    losses_read: AtomicBool,
}

impl LayerWriter {
    fn lock(&self) -> Result<MutexGuard<'_, State>> {
        match self.state.try_lock() {
            Ok(state) => Ok(state),
            Err(TryLockError::Poisoned(poisoned)) => Ok(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => Err(Error::misuse(Misuse::InUse, "the writer")),
        }
    }

    fn with<T: Send>(
        &self,
        py: Python<'_>,
        run: impl FnOnce(&mut Core<BufWriter<Sink>>) -> Result<T> + Send,
    ) -> PyResult<T> {
        let mut state = self.lock()?;
        let State::Open(core) = &mut *state else { return Err(Error::misuse(Misuse::Closed, "the writer").into()) };
        let core = &mut **core;
        Ok(py.detach(|| run(core))?)
    }
}

#[pymethods]
impl LayerWriter {
    #[new]
    #[pyo3(signature = (sink, dialect="go-winio", on_loss="report", policy=None, limits=None))]
    fn new(
        sink: &Bound<'_, PyAny>,
        dialect: &str,
        on_loss: &str,
        policy: Option<&Bound<'_, Policy>>,
        limits: Option<&Bound<'_, Limits>>,
    ) -> PyResult<Self> {
        let options = WriterOptions {
            dialect: dialect_of(dialect)?,
            on_loss: self::on_loss(on_loss)?,
            policy: policy_or_default(policy),
            limits: limits_or_default(limits),
        };
        let sink = BufWriter::with_capacity(BUFFER, Sink::from_python(sink)?);
        let state = Mutex::new(State::Open(Box::new(Core::new(sink, options))));
        Ok(LayerWriter { state, losses_read: AtomicBool::new(false) })
    }

    /// Adds an entry.
    ///
    /// `data` is the unnamed data of a file: bytes or a binary file object. `streams` gives the named streams: a
    /// mapping from name to bytes or binary file object. Without both, an entry that a LayerReader gave is copied
    /// whole, from its reader. The size of the entry counts where it is not 0; data that does not fit it is a
    /// MisuseError.
    #[pyo3(signature = (entry, data=None, streams=None))]
    fn add(
        &self,
        py: Python<'_>,
        entry: &Bound<'_, Entry>,
        data: Option<&Bound<'_, PyAny>>,
        streams: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let entry = entry.get();
        let plain = matches!(entry.inner.kind, EntryKind::HardLink | EntryKind::Whiteout);
        if data.is_none()
            && streams.is_none()
            && !plain
            && let Some(origin) = &entry.origin
        {
            return self.copy(py, entry, origin);
        }
        let mut inner = (*entry.inner).clone();
        // The order of the streams belongs to the data that the entry came with.
        inner.recorded = None;
        let mut members: Vec<Input> = Vec::new();
        if let Some(data) = data {
            let (input, size) = Input::from_python(data)?;
            let known = inner.data.get_or_insert_default();
            match size {
                Some(size) if known.size == 0 => known.size = size,
                Some(size) if known.size != size => {
                    let detail = format!("the entry has {} bytes, its data {size}", known.size);
                    return Err(Error::misuse(Misuse::Data, detail).into());
                }
                _ => {}
            }
            members.push(input);
        } else if inner.kind == EntryKind::File {
            let size = inner.data.get_or_insert_default().size;
            if size > 0 {
                return Err(Error::misuse(Misuse::Data, format!("the entry has {size} bytes, but no data")).into());
            }
            members.push(Input::empty());
        } else if !plain {
            inner.data = None;
        }
        if let Some(streams) = streams {
            let mut named = Vec::new();
            let items = match streams.cast::<PyMapping>() {
                Ok(mapping) => mapping.items()?.into_any(),
                Err(_) => streams.clone(),
            };
            for item in items.try_iter()? {
                let (name, data): (Bound<'_, PyAny>, Bound<'_, PyAny>) = item?.extract()?;
                let name = name_bytes(&name)?;
                let (input, size) = Input::from_python(&data)?;
                let told = inner.streams.iter().flatten().find(|stream| stream.name == name).map(|stream| stream.size);
                let size = size.or(told).ok_or_else(|| {
                    Error::misuse(Misuse::Data, "the size of a stream that cannot seek must stand in the entry")
                })?;
                named.push(NamedStream { name, size });
                members.push(input);
            }
            inner.streams = Some(named);
        } else if inner.streams.as_ref().is_some_and(|streams| !streams.is_empty()) {
            return Err(Error::misuse(Misuse::Data, "the entry has named streams, but no data for them").into());
        }
        self.with(py, move |core| {
            core.add(&inner, members.into_iter().map(|input| Box::new(input) as Box<dyn BufRead>).collect())
        })
    }

    /// Adds a file from its backup stream: bytes, or a binary file object.
    ///
    /// One that can seek is read twice, so that extended attributes may follow the data. Without `size` (bytes of the
    /// unnamed data) it is taken from a plain DATA header.
    #[pyo3(signature = (name, basic_info, stream, size=None))]
    fn add_backup_stream(
        &self,
        py: Python<'_>,
        name: &Bound<'_, PyAny>,
        basic_info: &Bound<'_, BasicInfo>,
        stream: &Bound<'_, PyAny>,
        size: Option<u64>,
    ) -> PyResult<()> {
        let entry = LayerEntry::with_info(name_bytes(name)?, basic_info.get().0);
        match Given::from_python(stream)? {
            Given::Bytes(bytes) => {
                self.with(py, move |core| core.add_seekable_backup_stream(&entry, Cursor::new(Backed(bytes)), size))
            }
            Given::Copied(bytes) => {
                self.with(py, move |core| core.add_seekable_backup_stream(&entry, Cursor::new(bytes), size))
            }
            Given::Object { object, seekable: true } => self.with(py, move |core| {
                let stream = BufReader::with_capacity(BUFFER, FileObject::new(object));
                core.add_seekable_backup_stream(&entry, stream, size)
            }),
            Given::Object { object, seekable: false } => self.with(py, move |core| {
                core.add_backup_stream(&entry, BufReader::with_capacity(BUFFER, FileObject::new(object)), size)
            }),
            Given::Path(path) => self.with(py, move |core| {
                let stream = BufReader::with_capacity(BUFFER, super::io::open(&path)?);
                core.add_seekable_backup_stream(&entry, stream, size)
            }),
        }
    }

    /// Adds another name of a file: `target` is a member name of this layer or of a lower one.
    #[pyo3(signature = (name, target, basic_info=None))]
    fn add_hard_link(
        &self,
        py: Python<'_>,
        name: &Bound<'_, PyAny>,
        target: &Bound<'_, PyAny>,
        basic_info: Option<&Bound<'_, BasicInfo>>,
    ) -> PyResult<()> {
        let (name, target) = (name_bytes(name)?, name_bytes(target)?);
        let info = basic_info.map(|info| info.get().0);
        self.with(py, move |core| core.add_hard_link(&name, &target, info.as_ref()))
    }

    /// Adds the deletion of `name` from the layers below.
    fn add_whiteout(&self, py: Python<'_>, name: &Bound<'_, PyAny>) -> PyResult<()> {
        let name = name_bytes(name)?;
        self.with(py, move |core| core.add_whiteout(&name))
    }

    /// What the dialect lost so far: a list of Loss, the first 10,000 of them.
    #[getter]
    fn losses<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        self.losses_read.store(true, Ordering::Relaxed);
        match &*self.lock()? {
            State::Open(core) => losses(py, core.losses()),
            State::Done { losses: list } => losses(py, list),
        }
    }

    /// How many losses of each kind there were, those that `losses` did not keep included.
    #[getter]
    fn loss_totals<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        self.losses_read.store(true, Ordering::Relaxed);
        match &*self.lock()? {
            State::Open(core) => totals(py, core.losses()),
            State::Done { losses: list } => totals(py, list),
        }
    }

    /// Writes the end of the archive; a path appears under its name. Does nothing the second time.
    ///
    /// After an error of an `add` it raises MisuseError("poisoned"), and a path does not appear.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        let mut state = self.lock()?;
        let State::Open(core) = &*state else { return Ok(()) };
        let list = core.losses().clone();
        let total = list.total();
        let State::Open(core) = std::mem::replace(&mut *state, State::Done { losses: list }) else { return Ok(()) };
        drop(state);
        py.detach(|| {
            let sink = core.finish()?.into_inner().map_err(|e| crate::error::from_io(e.into_error()))?;
            sink.commit()
        })?;
        if total > 0 && !self.losses_read.load(Ordering::Relaxed) {
            let warning = py.import("winlayers.exceptions")?.getattr("LossWarning")?;
            let text = format!("the tar does not carry everything: {total} losses; read LayerWriter.losses");
            py.import("warnings")?.call_method1("warn", (text, warning, 2))?;
        }
        Ok(())
    }

    fn __enter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    #[pyo3(signature = (kind, _error, _traceback))]
    fn __exit__(
        &self,
        py: Python<'_>,
        kind: &Bound<'_, PyAny>,
        _error: &Bound<'_, PyAny>,
        _traceback: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        if kind.is_none() {
            return self.close(py);
        }
        // Behind an exception nothing is completed: the writer goes without end blocks, and a path never appears.
        let mut state = self.lock()?;
        if let State::Open(core) = &*state {
            let losses = core.losses().clone();
            *state = State::Done { losses };
        }
        Ok(())
    }
}

impl LayerWriter {
    /// Copies an entry from its reader.
    fn copy(&self, py: Python<'_>, entry: &Entry, origin: &Origin) -> PyResult<()> {
        let inner = Arc::clone(&entry.inner);
        match origin {
            Origin::Random { shared, places } => {
                let source = Arc::clone(shared.random()?);
                let places = Arc::clone(places);
                self.with(py, move |core| {
                    if inner.recorded.is_none() {
                        let skip = usize::from(inner.data.is_none());
                        let members = places.iter().skip(skip).map(|place| {
                            let reader = PlaceReader { source: &*source, place, position: 0 };
                            Box::new(BufReader::with_capacity(BUFFER, reader)) as Box<dyn BufRead>
                        });
                        return core.add(&inner, members.collect());
                    }
                    let data = EntryData::Random { source: &*source, places: &places };
                    let stream = BufReader::with_capacity(BUFFER, EntryStream::new(&inner, data)?);
                    core.add_backup_stream(&inner, stream, inner.data.as_ref().map(|data| data.size))
                })
            }
            Origin::Forward { .. } => {
                let file = Py::new(py, DataFile::backup_stream(py, origin, &inner)?)?.into_any();
                self.with(py, move |core| {
                    let stream = BufReader::with_capacity(BUFFER, FileObject::new(file));
                    let size = (inner.kind == EntryKind::File || inner.size() > 0).then_some(inner.size());
                    core.add_backup_stream(&inner, stream, size)
                })
            }
        }
    }
}

struct PlaceReader<'a> {
    source: &'a dyn crate::source::ReadAt,
    place: &'a crate::layer_tar::DataPlace,
    position: u64,
}

impl std::io::Read for PlaceReader<'_> {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        let n = self.place.read_at(self.source, self.position, buf).map_err(std::io::Error::other)?;
        self.position += n as u64;
        Ok(n)
    }
}

/// Data that a caller gave for a member.
enum Input {
    Bytes(Cursor<Backed>),
    Copied(Cursor<Vec<u8>>),
    Object(BufReader<FileObject>),
}

impl Input {
    fn empty() -> Self {
        Input::Copied(Cursor::default())
    }

    /// The data, and its size where that can be told.
    fn from_python(value: &Bound<'_, PyAny>) -> PyResult<(Self, Option<u64>)> {
        if let Ok(bytes) = value.cast::<PyBytes>() {
            let size = bytes.as_bytes().len() as u64;
            return Ok((Input::Bytes(Cursor::new(Backed(value.extract()?))), Some(size)));
        }
        if !value.hasattr("read")? {
            let bytes = bytes_of(value)?;
            let size = bytes.len() as u64;
            return Ok((Input::Copied(Cursor::new(bytes)), Some(size)));
        }
        let mut size = None;
        if value.hasattr("seekable")? && value.call_method0("seekable")?.is_truthy()? {
            let here: u64 = value.call_method0("tell")?.extract()?;
            value.call_method1("seek", (0, 2))?;
            let end: u64 = value.call_method0("tell")?.extract()?;
            value.call_method1("seek", (here,))?;
            size = Some(end.saturating_sub(here));
        }
        Ok((Input::Object(BufReader::with_capacity(BUFFER, FileObject::new(value.clone().unbind()))), size))
    }

    fn inner(&mut self) -> &mut dyn BufRead {
        match self {
            Input::Bytes(input) => input,
            Input::Copied(input) => input,
            Input::Object(input) => input,
        }
    }
}

impl std::io::Read for Input {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        self.inner().read(buf)
    }
}

impl BufRead for Input {
    fn fill_buf(&mut self) -> std::io::Result<&[u8]> {
        self.inner().fill_buf()
    }

    fn consume(&mut self, n: usize) {
        self.inner().consume(n);
    }
}

/// `"go-winio"` or `"lossless"`.
pub(crate) fn dialect_of(word: &str) -> Result<Dialect> {
    Dialect::from_name(word).ok_or_else(|| {
        Error::misuse(Misuse::Argument, format!("dialect is \"go-winio\" or \"lossless\", not {word:?}"))
    })
}

pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<super::reader::LayerReader>()?;
    module.add_class::<LayerWriter>()
}
