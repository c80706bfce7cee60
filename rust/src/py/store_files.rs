//! What a store gives that must be given back: mounts, and streams of layers.

use std::io::{Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, TryLockError};

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList};

use super::convert::name_bytes;
use super::data::{read_into, read_rest, read_sized};
use super::io::Sink;
use super::layer::progress_of;
use super::policy::losses;
use crate::error::{Error, Misuse, Result};
use crate::store as core;

/// What is copied between two calls that tell the progress: by the system, and through memory.
const PIECE: u64 = 1 << 20;
const CHUNK: usize = 256 << 10;

/// Something that belongs to the process that made it: the child of a fork neither uses nor drops it.
pub(super) struct Own<T> {
    process: u32,
    value: Option<T>,
}

impl<T> Own<T> {
    pub fn new(value: T) -> Self {
        Own { process: std::process::id(), value: Some(value) }
    }

    fn is_ours(&self) -> bool {
        self.process == std::process::id()
    }

    pub fn get(&self) -> Option<&T> {
        if self.is_ours() { self.value.as_ref() } else { None }
    }

    fn get_mut(&mut self) -> Option<&mut T> {
        if self.is_ours() { self.value.as_mut() } else { None }
    }

    fn take(&mut self) -> Option<T> {
        if self.is_ours() { self.value.take() } else { None }
    }
}

impl<T> Drop for Own<T> {
    fn drop(&mut self) {
        if !self.is_ours() {
            std::mem::forget(self.value.take());
        }
    }
}

/// Something that is used by one thread at a time, and closed once.
struct Slot<T: Send>(Mutex<Own<T>>);

impl<T: Send> Slot<T> {
    fn new(value: T) -> Self {
        Slot(Mutex::new(Own::new(value)))
    }

    fn lock(&self) -> Result<MutexGuard<'_, Own<T>>> {
        match self.0.try_lock() {
            Ok(slot) => Ok(slot),
            Err(TryLockError::Poisoned(poisoned)) => Ok(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => Err(Error::misuse(Misuse::InUse, "")),
        }
    }

    fn close(&self, py: Python<'_>, close: impl FnOnce(T) -> Result<()> + Send) -> PyResult<()> {
        let value = self.lock()?.take();
        Ok(py.detach(|| value.map_or(Ok(()), close))?)
    }
}

impl<T: Send> Drop for Slot<T> {
    fn drop(&mut self) {
        let slot = self.0.get_mut().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(value) = slot.take() {
            // Giving it back may wait for another thread, which may wait for the GIL.
            Python::attach(|py| py.detach(move || drop(value)));
        }
    }
}

/// A layer that is seen while this is open: `with store.mount(id) as path`.
///
/// >>> import tempfile
/// >>> import winlayers as wl
/// >>> folder = tempfile.TemporaryDirectory()
/// >>> store = wl.LayerStore(folder.name)
/// >>> _ = store.apply_diff("base", "", bytes(1024))
/// >>> with store.mount("base") as path:
/// ...     store.info("base").mounted
/// 1
/// >>> store.info("base").mounted
/// 0
/// >>> del store
/// >>> folder.cleanup()
#[pyclass(frozen, module = "winlayers")]
pub(crate) struct Mount {
    path: std::ffi::OsString,
    slot: Slot<core::Mount>,
}

impl Mount {
    pub fn new(mount: core::Mount) -> Self {
        Mount { path: mount.path().as_os_str().to_owned(), slot: Slot::new(mount) }
    }
}

#[pymethods]
impl Mount {
    /// Where it is seen.
    #[getter]
    fn path(&self) -> &std::ffi::OsStr {
        &self.path
    }

    fn __fspath__(&self) -> &std::ffi::OsStr {
        &self.path
    }

    /// End it; a second time does nothing.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        self.slot.close(py, core::Mount::close)
    }

    fn __enter__(&self) -> &std::ffi::OsStr {
        &self.path
    }

    #[pyo3(signature = (*_exception))]
    fn __exit__(&self, py: Python<'_>, _exception: &Bound<'_, PyAny>) -> PyResult<()> {
        self.close(py)
    }
}

enum Source {
    Diff(core::DiffStream),
    File(Box<dyn Read + Send>),
}

impl Source {
    fn close(self) -> Result<()> {
        match self {
            Source::Diff(stream) => stream.close(),
            Source::File(_) => Ok(()),
        }
    }

    /// Copies some bytes; 0 at the end of the data. From file to file the system does it.
    fn copy_piece(&mut self, sink: &mut Sink, buffer: &mut Vec<u8>) -> Result<u64> {
        let path = sink.path();
        let failed = |e| Error::io("write", path.as_deref(), e);
        if let Source::Diff(stream) = self
            && let (Some(from), Some(to)) = (stream.file(), sink.file())
        {
            return std::io::copy(&mut from.take(PIECE), to).map_err(failed);
        }
        buffer.resize(CHUNK, 0);
        let n = self.fill(buffer)?;
        sink.write_all(&buffer[..n]).map_err(failed)?;
        Ok(n as u64)
    }

    /// Reads until `out` is full or the data ends.
    fn fill(&mut self, out: &mut [u8]) -> Result<usize> {
        let source: &mut dyn Read = match self {
            Source::Diff(stream) => stream,
            Source::File(file) => file,
        };
        let mut done = 0;
        while done < out.len() {
            match source.read(&mut out[done..]) {
                Ok(0) => break,
                Ok(n) => done += n,
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                Err(e) => return Err(crate::error::from_io(e)),
            }
        }
        Ok(done)
    }
}

/// A binary file, read from front to end: the tar of a layer, a file of it, or a backup stream.
///
/// The GIL is released while it reads. It belongs to one thread at a time: a second use raises MisuseError("in_use").
#[pyclass(frozen, module = "winlayers")]
pub(crate) struct LayerStream {
    slot: Slot<Source>,
    closed: AtomicBool,
}

impl LayerStream {
    pub fn of_diff(stream: core::DiffStream) -> Self {
        LayerStream { slot: Slot::new(Source::Diff(stream)), closed: AtomicBool::new(false) }
    }

    pub fn of_file(file: Box<dyn Read + Send>) -> Self {
        LayerStream { slot: Slot::new(Source::File(file)), closed: AtomicBool::new(false) }
    }

    fn with<T>(&self, run: impl FnOnce(&mut Source) -> PyResult<T>) -> PyResult<T> {
        let mut slot = self.slot.lock()?;
        run(slot.get_mut().ok_or_else(|| Error::misuse(Misuse::Closed, "the stream"))?)
    }
}

#[pymethods]
impl LayerStream {
    /// Read `size` bytes, or all that is left; fewer only at the end.
    #[pyo3(signature = (size=-1))]
    fn read<'py>(&self, py: Python<'py>, size: Option<i64>) -> PyResult<Bound<'py, PyBytes>> {
        self.with(|source| match size.and_then(|size| usize::try_from(size).ok()) {
            Some(size) => read_sized(py, size, &mut |out| source.fill(out)),
            None => read_rest(py, &mut |out| source.fill(out)),
        })
    }

    /// Read into a writable buffer; tells how many bytes, fewer than it holds only at the end.
    fn readinto(&self, py: Python<'_>, buffer: &Bound<'_, PyAny>) -> PyResult<usize> {
        self.with(|source| read_into(buffer, py, &mut |out| source.fill(out)))
    }

    /// Write all that is left to a path, where a file appears when it is complete, or to a binary file; tell how many
    /// bytes. Faster than `read` and `write`, as nothing goes through Python. `progress` is called with the bytes done,
    /// and at the end with those in all.
    ///
    /// >>> import tempfile
    /// >>> import winlayers as wl
    /// >>> folder = tempfile.TemporaryDirectory()
    /// >>> store = wl.LayerStore(folder.name)
    /// >>> _ = store.apply_diff("base", "", bytes(1024))
    /// >>> with store.diff("base") as tar:
    /// ...     tar.copy_to(folder.name + "/base.tar")
    /// 1024
    /// >>> del store
    /// >>> folder.cleanup()
    #[pyo3(signature = (target, progress=None))]
    fn copy_to(&self, py: Python<'_>, target: &Bound<'_, PyAny>, progress: Option<Py<PyAny>>) -> PyResult<u64> {
        self.with(|source| {
            let mut sink = Sink::from_python(target)?;
            let progress = progress_of(progress);
            let copy = || {
                let (mut buffer, mut done) = (Vec::new(), 0);
                loop {
                    let n = source.copy_piece(&mut sink, &mut buffer)?;
                    if n == 0 {
                        break;
                    }
                    done += n;
                    progress.at(done)?;
                }
                progress.finish(done)?;
                sink.commit().map(|()| done)
            };
            Ok(py.detach(copy)?)
        })
    }

    fn readable(&self) -> bool {
        true
    }

    fn writable(&self) -> bool {
        false
    }

    fn seekable(&self) -> bool {
        false
    }

    /// What the form of the tar cannot hold, at most the first 10,000 things: of a store whose `format` is "transport".
    #[getter]
    fn losses<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        self.with(|source| match source {
            Source::Diff(stream) => losses(py, stream.losses()),
            Source::File(_) => Ok(PyList::empty(py)),
        })
    }

    #[getter]
    fn closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    /// End it, and give the layer back; a second time does nothing.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        self.slot.close(py, Source::close)?;
        self.closed.store(true, Ordering::Relaxed);
        Ok(())
    }

    fn __enter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    #[pyo3(signature = (*_exception))]
    fn __exit__(&self, py: Python<'_>, _exception: &Bound<'_, PyAny>) -> PyResult<()> {
        self.close(py)
    }
}

/// The files of a layer by their names in its tar; what `tarsplit.assemble` takes as its content.
///
/// While it is open the layer cannot be removed.
///
/// >>> import io, tempfile
/// >>> import winlayers as wl
/// >>> folder = tempfile.TemporaryDirectory()
/// >>> store = wl.LayerStore(folder.name)
/// >>> sink, metadata, again = io.BytesIO(), io.BytesIO(), io.BytesIO()
/// >>> with wl.LayerWriter(sink) as writer:
/// ...     writer.add(wl.Entry("Files", kind="directory"))
/// ...     writer.add(wl.Entry("Files/a.txt"), b"hello")
/// >>> _ = store.apply_diff("base", "", sink.getvalue())
/// >>> _ = wl.tarsplit.disassemble(sink.getvalue(), metadata)
/// >>> with store.diff_getter("base") as getter:
/// ...     getter.open("Files/a.txt").read()
/// ...     wl.tarsplit.assemble(metadata.getvalue(), getter, again).files
/// b'hello'
/// 2
/// >>> again.getvalue() == sink.getvalue()
/// True
/// >>> del store
/// >>> folder.cleanup()
#[pyclass(frozen, module = "winlayers")]
pub(crate) struct DiffGetter {
    slot: Slot<core::DiffGetter>,
}

impl DiffGetter {
    pub fn new(getter: core::DiffGetter) -> Self {
        DiffGetter { slot: Slot::new(getter) }
    }
}

#[pymethods]
impl DiffGetter {
    /// Open a file by its name in the layer's tar; a named stream is a member of its own there.
    ///
    /// Raises FileNotFoundError where the layer itself has no such file.
    fn open(&self, py: Python<'_>, name: &Bound<'_, PyAny>) -> PyResult<LayerStream> {
        let name = name_bytes(name)?;
        let slot = self.slot.lock()?;
        let getter = slot.get().ok_or_else(|| Error::misuse(Misuse::Closed, "the diff getter"))?;
        Ok(LayerStream::of_file(py.detach(|| getter.open(&name))?))
    }

    /// End it, and give the layer back; a second time does nothing.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        self.slot.close(py, core::DiffGetter::close)
    }

    fn __enter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    #[pyo3(signature = (*_exception))]
    fn __exit__(&self, py: Python<'_>, _exception: &Bound<'_, PyAny>) -> PyResult<()> {
        self.close(py)
    }
}
