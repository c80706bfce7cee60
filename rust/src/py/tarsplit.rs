//! `winlayers.tarsplit`: tars taken apart and put together.

use std::io::{self, BufReader, Read, Write};
use std::sync::{Arc, Mutex, PoisonError};

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyMapping, PyTuple};

use super::convert::str_from_wtf8;
use super::io::{FileObject, Given, Sink, path_of};
use super::policy::{Limits, limits_or_default, totals};
use crate::compress::{self, Compression};
use crate::error::{Error, Result};
use crate::source::{ReadAt, Source};
use crate::tar_split::{self, ContentSink, ContentSource, Directory, NewDirectory, Summary};

pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(tarsplit_disassemble, module)?)?;
    module.add_function(wrap_pyfunction!(tarsplit_assemble, module)?)
}

/// Bytes of metadata that are read at a time, and that come between two calls of `progress`.
const CHUNK: usize = 256 << 10;
const STEP: u64 = 1 << 20;

/// `winlayers.tarsplit.disassemble`; gives the fields of its summary.
#[pyfunction]
#[pyo3(signature = (source, metadata, content=None, *, limits=None, progress=None))]
fn tarsplit_disassemble<'py>(
    py: Python<'py>,
    source: &Bound<'py, PyAny>,
    metadata: &Bound<'py, PyAny>,
    content: Option<&Bound<'py, PyAny>>,
    limits: Option<&Bound<'py, Limits>>,
    progress: Option<Py<PyAny>>,
) -> PyResult<Bound<'py, PyTuple>> {
    let limits = limits_or_default(limits);
    let source = Given::from_python(source)?;
    let mut content = content.map(SinkGiven::from_python).transpose()?;
    let compression = match path_of(metadata)? {
        Some(path) if path.extension().is_some_and(|e| e.eq_ignore_ascii_case("gz")) => Compression::Gzip,
        _ => Compression::None,
    };
    let sink = Sink::from_python(metadata)?;
    let summary = py.detach(|| {
        let source = watch(source.open()?, progress)?;
        let mut writer = compress::Writer::new(sink, compression)?;
        let into = content.as_mut().map(SinkGiven::as_content);
        let summary = tar_split::disassemble(source, &mut writer, into, &limits)?;
        let sink = writer.finish()?;
        if let Some(SinkGiven::Directory(directory)) = content {
            directory.commit()?;
        }
        sink.commit()?;
        Ok::<_, Error>(summary)
    })?;
    fields(py, &summary)
}

/// `winlayers.tarsplit.assemble`; gives the fields of its summary.
#[pyfunction]
#[pyo3(signature = (metadata, content, sink, *, limits=None, progress=None))]
fn tarsplit_assemble<'py>(
    py: Python<'py>,
    metadata: &Bound<'py, PyAny>,
    content: &Bound<'py, PyAny>,
    sink: &Bound<'py, PyAny>,
    limits: Option<&Bound<'py, Limits>>,
    progress: Option<Py<PyAny>>,
) -> PyResult<Bound<'py, PyTuple>> {
    let limits = limits_or_default(limits);
    let metadata = Given::from_python(metadata)?;
    let native = !matches!(metadata, Given::Object { .. });
    let mut content = SourceGiven::from_python(content)?;
    let mut sink = Sink::from_python(sink)?;
    let summary = py.detach(|| {
        let lines = BufReader::with_capacity(CHUNK, compress::Reader::new(metadata.read()?)?);
        let out = WatchedSink { sink: &mut sink, done: 0, watch: Watch::new(progress, None) };
        // Python is called on the caller's thread only.
        let summary = match &mut content {
            SourceGiven::Directory(directory) if native => {
                tar_split::assemble_reading_ahead(lines, directory, out, &limits)?
            }
            other => tar_split::assemble(lines, other.as_content(), out, &limits)?,
        };
        sink.commit()?;
        Ok::<_, Error>(summary)
    })?;
    fields(py, &summary)
}

fn fields<'py>(py: Python<'py>, summary: &Summary) -> PyResult<Bound<'py, PyTuple>> {
    let apart = PyList::empty(py);
    for member in &summary.apart.items {
        let name = str_from_wtf8(py, &member.name)?.0;
        apart.append((name, PyBytes::new(py, &member.name), member.reason.name(), member.size))?;
    }
    let totals = totals(py, &summary.apart)?;
    (summary.size, summary.files, summary.segments, summary.data, apart, totals).into_pyobject(py)
}

/// What a caller gave as a place for content.
enum SinkGiven {
    Directory(NewDirectory),
    Mapping(IntoMapping),
    Callable(IntoCallable),
}

impl SinkGiven {
    fn from_python(value: &Bound<'_, PyAny>) -> PyResult<Self> {
        if let Some(path) = path_of(value)? {
            return Ok(SinkGiven::Directory(NewDirectory::create(&path)?));
        }
        if value.is_callable() {
            return Ok(SinkGiven::Callable(IntoCallable { call: value.clone().unbind(), file: None }));
        }
        if value.hasattr("__setitem__")? {
            let (mapping, data) = (value.clone().unbind(), Vec::new());
            return Ok(SinkGiven::Mapping(IntoMapping { mapping, name: Vec::new(), data }));
        }
        Err(PyTypeError::new_err("content is a directory, a mapping or a callable that gives a binary file"))
    }

    fn as_content(&mut self) -> &mut dyn ContentSink {
        match self {
            SinkGiven::Directory(directory) => directory,
            SinkGiven::Mapping(mapping) => mapping,
            SinkGiven::Callable(callable) => callable,
        }
    }
}

/// Sets `mapping[name]` to the bytes of each file.
struct IntoMapping {
    mapping: Py<PyAny>,
    name: Vec<u8>,
    data: Vec<u8>,
}

impl ContentSink for IntoMapping {
    fn start(&mut self, name: &[u8], _size: u64) -> Result<bool> {
        name.clone_into(&mut self.name);
        self.data.clear();
        Ok(true)
    }

    fn write(&mut self, data: &[u8]) -> Result<()> {
        self.data.extend_from_slice(data);
        Ok(())
    }

    fn finish(&mut self) -> Result<()> {
        python("write", |py| {
            let name = str_from_wtf8(py, &self.name)?.0;
            self.mapping.bind(py).set_item(name, PyBytes::new(py, &self.data))
        })
    }
}

/// Calls for a binary file to write each file to; `None` declines the name.
struct IntoCallable {
    call: Py<PyAny>,
    file: Option<Py<PyAny>>,
}

impl ContentSink for IntoCallable {
    fn start(&mut self, name: &[u8], _size: u64) -> Result<bool> {
        self.file = python("open", |py| {
            let file = self.call.bind(py).call1((str_from_wtf8(py, name)?.0,))?;
            Ok((!file.is_none()).then(|| file.unbind()))
        })?;
        Ok(self.file.is_some())
    }

    fn write(&mut self, data: &[u8]) -> Result<()> {
        let file = self.file.as_ref().expect("a file is started before it is written");
        let file = Python::attach(|py| file.clone_ref(py));
        FileObject::new(file).write_all(data).map_err(|e| Error::io("write", None, e))
    }

    fn finish(&mut self) -> Result<()> {
        self.file.take().map_or(Ok(()), |file| python("close", |py| close(file.bind(py))))
    }
}

impl Drop for IntoCallable {
    /// Closes the file that an error left open.
    fn drop(&mut self) {
        if let Some(file) = self.file.take() {
            close_quietly(&file);
        }
    }
}

/// Where a caller said that content is.
enum SourceGiven {
    Directory(Directory),
    Mapping(FromMapping),
    Callable(FromCallable),
}

impl SourceGiven {
    fn from_python(value: &Bound<'_, PyAny>) -> PyResult<Self> {
        if let Some(path) = path_of(value)? {
            return Ok(SourceGiven::Directory(Directory::open(&path)?));
        }
        if value.is_callable() {
            return Ok(SourceGiven::Callable(FromCallable(value.clone().unbind())));
        }
        if let Ok(mapping) = value.cast::<PyMapping>() {
            return Ok(SourceGiven::Mapping(FromMapping(mapping.clone().unbind())));
        }
        if value.hasattr("open")? {
            return Ok(SourceGiven::Callable(FromCallable(value.getattr("open")?.unbind())));
        }
        Err(PyTypeError::new_err("content is a directory, a mapping or a callable that gives a binary file"))
    }

    fn as_content(&mut self) -> &mut dyn ContentSource {
        match self {
            SourceGiven::Directory(directory) => directory,
            SourceGiven::Mapping(mapping) => mapping,
            SourceGiven::Callable(callable) => callable,
        }
    }
}

/// Takes `mapping[name]`, the name as str or, where that is no key, as bytes: bytes, or a binary file.
struct FromMapping(Py<PyMapping>);

impl ContentSource for FromMapping {
    fn open(&mut self, name: &[u8]) -> Result<Box<dyn Read + '_>> {
        let given = python("open", |py| {
            let (mapping, text) = (self.0.bind(py), str_from_wtf8(py, name)?.0);
            let value = if mapping.contains(&text)? {
                mapping.get_item(text)?
            } else {
                mapping.get_item(PyBytes::new(py, name))?
            };
            Given::from_python(&value)
        })?;
        Ok(Box::new(given.read()?))
    }
}

/// Calls for a binary file, and closes it after reading.
struct FromCallable(Py<PyAny>);

impl ContentSource for FromCallable {
    fn open(&mut self, name: &[u8]) -> Result<Box<dyn Read + '_>> {
        let object = python("open", |py| {
            let relative = &name[name.iter().take_while(|&&b| b == b'/').count()..];
            let file = self.0.bind(py).call1((str_from_wtf8(py, relative)?.0,))?;
            if !file.hasattr("read")? {
                return Err(PyTypeError::new_err("content gave something that is no binary file"));
            }
            Ok(file.unbind())
        })?;
        let reader = FileObject::new(Python::attach(|py| object.clone_ref(py)));
        Ok(Box::new(Closing { reader, object }))
    }
}

/// A file of the caller that is ours to close.
struct Closing {
    reader: FileObject,
    object: Py<PyAny>,
}

impl Read for Closing {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.reader.read(buf)
    }
}

impl Drop for Closing {
    fn drop(&mut self) {
        close_quietly(&self.object);
    }
}

/// Closes a file where no exception can be raised any more: it is told as unraisable.
fn close_quietly(file: &Py<PyAny>) {
    Python::attach(|py| {
        let file = file.bind(py);
        if let Err(e) = close(file) {
            e.write_unraisable(py, Some(file));
        }
    });
}

fn close(file: &Bound<'_, PyAny>) -> PyResult<()> {
    if file.hasattr("close")? {
        file.call_method0("close")?;
    }
    Ok(())
}

/// Runs with the GIL; an exception comes out of the work as itself.
fn python<T>(operation: &'static str, run: impl FnOnce(Python<'_>) -> PyResult<T>) -> Result<T> {
    Python::attach(run).map_err(|e| Error::io(operation, None, io::Error::from(e)))
}

/// Tells the caller how far the work is, and lets signals through: Ctrl-C ends it.
struct Watch {
    call: Option<Py<PyAny>>,
    total: Option<u64>,
    next: u64,
}

impl Watch {
    fn new(call: Option<Py<PyAny>>, total: Option<u64>) -> Self {
        Watch { call, total, next: 0 }
    }

    fn at(&mut self, done: u64) -> io::Result<()> {
        if done < self.next && Some(done) != self.total {
            return Ok(());
        }
        self.next = done.saturating_add(STEP);
        Python::attach(|py| {
            py.check_signals()?;
            self.call.as_ref().map_or(Ok(()), |call| call.call1(py, (done, self.total)).map(drop))
        })
        .map_err(io::Error::from)
    }
}

fn watch(source: Source, progress: Option<Py<PyAny>>) -> Result<Source> {
    Ok(match source {
        Source::Random(bytes) => {
            let size = bytes.size().map_err(|e| Error::io("stat", None, e))?;
            Source::Random(Arc::new(WatchedBytes { bytes, watch: Mutex::new(Watch::new(progress, Some(size))) }))
        }
        Source::Stream(stream) => {
            Source::Stream(Box::new(WatchedStream { stream, done: 0, watch: Watch::new(progress, None) }))
        }
    })
}

struct WatchedBytes {
    bytes: Arc<dyn ReadAt>,
    watch: Mutex<Watch>,
}

impl ReadAt for WatchedBytes {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let n = self.bytes.read_at(buf, offset)?;
        self.watch.lock().unwrap_or_else(PoisonError::into_inner).at(offset + n as u64)?;
        Ok(n)
    }

    fn size(&self) -> io::Result<u64> {
        self.bytes.size()
    }
}

struct WatchedStream {
    stream: Box<dyn Read + Send>,
    done: u64,
    watch: Watch,
}

impl Read for WatchedStream {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.stream.read(buf)?;
        self.done += n as u64;
        self.watch.at(self.done)?;
        Ok(n)
    }
}

struct WatchedSink<'a> {
    sink: &'a mut Sink,
    done: u64,
    watch: Watch,
}

impl Write for WatchedSink<'_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let n = self.sink.write(buf)?;
        self.done += n as u64;
        self.watch.at(self.done)?;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.sink.flush()
    }
}
