//! Binary files over the data of entries: unnamed data, named streams, backup streams.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, TryLockError};

use pyo3::buffer::PyBuffer;
use pyo3::exceptions::{PyLookupError, PyOSError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyMemoryView, PySlice, PyString};

use super::convert::str_from_wtf8;
use super::origin::{Origin, Shared};
use crate::error::{Error, Misuse, Result};
use crate::layer_tar::{BackupStream, DataPlace, EntryData, LayerEntry, Part};

/// What is read in one go without the GIL, where the size of the whole is not known.
const CHUNK: usize = 256 << 10;
/// What is copied in one go: small enough to stay in the processor's cache between the read and the copy.
const COPY: usize = 64 << 10;

pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<DataFile>()?;
    module.add_class::<PartIterator>()
}

/// Where a file takes its bytes from.
enum Kind {
    Random {
        place: DataPlace,
        position: u64,
    },
    RandomStream {
        stream: BackupStream,
        places: Arc<[DataPlace]>,
    },
    /// The current part of a forward-only reader; `part` is its number in an iteration over parts.
    Forward {
        generation: u64,
        part: Option<u64>,
    },
    ForwardStream {
        generation: u64,
        stream: BackupStream,
    },
}

thread_local! {
    /// Where data waits between the disk and a Python buffer: one for each thread, since most files are small.
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Runs with at least `size` bytes of scratch memory.
fn with_scratch<T>(size: usize, run: impl FnOnce(&mut Vec<u8>) -> T) -> T {
    let mut scratch = SCRATCH.take();
    if scratch.len() < size {
        scratch.resize(size, 0);
    }
    let result = run(&mut scratch);
    // A large read does not keep its memory.
    if scratch.len() <= 4 * CHUNK {
        SCRATCH.set(scratch);
    }
    result
}

/// What fills a buffer, to its end but at the end of the data, without the GIL.
pub(super) type Fill<'a> = dyn FnMut(&mut [u8]) -> Result<usize> + Send + 'a;

/// `size` bytes, fewer only at the end.
pub(super) fn read_sized<'py>(py: Python<'py>, size: usize, fill: &mut Fill<'_>) -> PyResult<Bound<'py, PyBytes>> {
    with_scratch(size.min(CHUNK), |scratch| {
        let n = py.detach(|| {
            let mut done = 0;
            while done < size {
                let step = (size - done).min(CHUNK);
                if scratch.len() < done + step {
                    scratch.resize(done + step, 0);
                }
                let n = fill(&mut scratch[done..done + step])?;
                done += n;
                if n < step {
                    break;
                }
            }
            Ok::<_, Error>(done)
        })?;
        Ok(PyBytes::new(py, &scratch[..n]))
    })
}

/// All that is left, where nobody knows how much that is.
pub(super) fn read_rest<'py>(py: Python<'py>, fill: &mut Fill<'_>) -> PyResult<Bound<'py, PyBytes>> {
    let all = py.detach(|| {
        let mut all = Vec::new();
        loop {
            let at = all.len();
            all.resize(at + CHUNK, 0);
            let n = fill(&mut all[at..])?;
            all.truncate(at + n);
            if n < CHUNK {
                return Ok::<_, Error>(all);
            }
        }
    })?;
    Ok(PyBytes::new(py, &all))
}

/// Fills a writable buffer, and tells how many bytes there were.
pub(super) fn read_into(buffer: &Bound<'_, PyAny>, py: Python<'_>, fill: &mut Fill<'_>) -> PyResult<usize> {
    let view = PyMemoryView::from(buffer)?.call_method1("cast", ("B",))?;
    let size = view.len()?;
    with_scratch(size.min(COPY), |scratch| {
        let mut done = 0;
        while done < size {
            let step = (size - done).min(COPY);
            // The buffer belongs to Python, which may change it: it is only touched with the GIL held.
            let n = py.detach(|| fill(&mut scratch[..step]))?;
            let part = view.get_item(PySlice::new(py, done as isize, (done + n) as isize, 1))?;
            PyBuffer::<u8>::get(&part)?.copy_from_slice(py, &scratch[..n])?;
            done += n;
            if n < step {
                break;
            }
        }
        Ok(done)
    })
}

/// A binary file, read only: `read`, `readinto`, `close`, and `seek` where the reader is seekable.
///
/// The GIL is released while it reads. It belongs to one thread at a time: a second use raises MisuseError("in_use").
#[pyclass(frozen, module = "winlayers")]
pub(crate) struct DataFile {
    shared: Arc<Shared>,
    state: Mutex<Kind>,
    closed: AtomicBool,
    size: Option<u64>,
    parts: Option<Arc<std::sync::atomic::AtomicU64>>,
}

impl DataFile {
    fn new(shared: &Arc<Shared>, kind: Kind, size: Option<u64>) -> Self {
        DataFile {
            shared: Arc::clone(shared),
            state: Mutex::new(kind),
            closed: AtomicBool::new(false),
            size,
            parts: None,
        }
    }

    fn random(shared: &Arc<Shared>, place: DataPlace) -> Self {
        let size = place.size();
        DataFile::new(shared, Kind::Random { place, position: 0 }, Some(size))
    }

    /// The unnamed data, or that of a named stream.
    pub fn open(py: Python<'_>, origin: &Origin, entry: &LayerEntry, stream: Option<&[u8]>) -> PyResult<Self> {
        let missing = || {
            let name = stream.map_or_else(|| "unnamed data".to_owned(), |s| format!("stream \"{}\"", s.escape_ascii()));
            PyLookupError::new_err(format!("the entry has no {name}"))
        };
        match origin {
            Origin::Random { shared, places } => {
                shared.random()?;
                let index = match stream {
                    None => entry.data.is_some().then_some(0),
                    Some(name) => entry.streams.iter().flatten().position(|stream| stream.name == name).map(|i| i + 1),
                };
                let place = index.and_then(|i| places.get(i)).ok_or_else(missing)?;
                Ok(DataFile::random(shared, place.clone()))
            }
            Origin::Forward { shared, generation } => {
                // The unnamed data comes first; a named stream is searched for, over what comes before it.
                let found = py.detach(|| {
                    shared.take(*generation, |core| {
                        while let Some(part) = core.next_part()? {
                            if part.stream.as_deref() == stream {
                                return Ok(Some(part.size));
                            }
                            if stream.is_none() {
                                break;
                            }
                        }
                        Ok(None)
                    })
                })?;
                let size = found.ok_or_else(missing)?;
                Ok(DataFile::new(shared, Kind::Forward { generation: *generation, part: None }, Some(size)))
            }
        }
    }

    /// The backup stream of an entry.
    pub fn backup_stream(py: Python<'_>, origin: &Origin, entry: &LayerEntry) -> PyResult<Self> {
        Ok(match origin {
            Origin::Random { shared, places } => {
                shared.random()?;
                let stream = BackupStream::new(entry)?;
                DataFile::new(shared, Kind::RandomStream { stream, places: Arc::clone(places) }, None)
            }
            Origin::Forward { shared, generation } => {
                let stream = py.detach(|| shared.take(*generation, |_| BackupStream::new(entry)))?;
                DataFile::new(shared, Kind::ForwardStream { generation: *generation, stream }, None)
            }
        })
    }

    /// Everything that is left.
    pub fn read_all<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let mut guard = self.lock()?;
        let state = &mut *guard;
        let known = match &*state {
            Kind::Random { place, position } => Some(place.size().saturating_sub(*position)),
            _ => None,
        };
        if let Some(size) = known.and_then(|n| usize::try_from(n).ok()) {
            return PyBytes::new_with(py, size, |out| {
                let got = py.detach(|| self.fill(state, out))?;
                if got < out.len() { Err(PyOSError::new_err("the file ended early")) } else { Ok(()) }
            });
        }
        read_rest(py, &mut |out| self.fill(state, out))
    }

    fn lock(&self) -> Result<MutexGuard<'_, Kind>> {
        if self.closed.load(Ordering::Relaxed) {
            return Err(Error::misuse(Misuse::Closed, "the file"));
        }
        match self.state.try_lock() {
            Ok(state) => Ok(state),
            Err(TryLockError::Poisoned(poisoned)) => Ok(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => Err(Error::misuse(Misuse::InUse, "the file")),
        }
    }

    /// Reads until `out` is full or the data ends.
    fn fill(&self, state: &mut Kind, out: &mut [u8]) -> Result<usize> {
        let mut done = 0;
        while done < out.len() {
            let n = self.read_some(state, &mut out[done..])?;
            if n == 0 {
                break;
            }
            done += n;
        }
        Ok(done)
    }

    fn read_some(&self, kind: &mut Kind, out: &mut [u8]) -> Result<usize> {
        match kind {
            Kind::Random { place, position } => {
                let n = place.read_at(&**self.shared.random()?, *position, out)?;
                *position += n as u64;
                Ok(n)
            }
            Kind::RandomStream { stream, places } => {
                stream.read(&mut EntryData::Random { source: &**self.shared.random()?, places }, out)
            }
            Kind::Forward { generation, part } => {
                if let (Some(part), Some(current)) = (part, &self.parts)
                    && current.load(Ordering::Relaxed) != *part
                {
                    return Err(Error::misuse(Misuse::EntryPassed, "the part"));
                }
                self.shared.forward(*generation, |core| {
                    let chunk = core.data()?;
                    let n = chunk.len().min(out.len());
                    out[..n].copy_from_slice(&chunk[..n]);
                    core.consume(n);
                    Ok(n)
                })
            }
            Kind::ForwardStream { generation, stream } => {
                self.shared.forward(*generation, |reader| stream.read(&mut EntryData::Forward(reader), out))
            }
        }
    }
}

#[pymethods]
impl DataFile {
    /// Reads `size` bytes, or all that is left; fewer only at the end.
    #[pyo3(signature = (size=-1))]
    fn read<'py>(&self, py: Python<'py>, size: Option<i64>) -> PyResult<Bound<'py, PyBytes>> {
        let Some(size) = size.and_then(|size| usize::try_from(size).ok()) else { return self.read_all(py) };
        let mut guard = self.lock()?;
        let state = &mut *guard;
        read_sized(py, size, &mut |out| self.fill(state, out))
    }

    /// Reads into a writable buffer; tells how many bytes, fewer than it holds only at the end.
    fn readinto(&self, py: Python<'_>, buffer: &Bound<'_, PyAny>) -> PyResult<usize> {
        let mut guard = self.lock()?;
        let state = &mut *guard;
        read_into(buffer, py, &mut |out| self.fill(state, out))
    }

    fn readable(&self) -> bool {
        true
    }

    fn writable(&self) -> bool {
        false
    }

    /// Whether `seek` works: for data of a seekable reader.
    fn seekable(&self) -> PyResult<bool> {
        Ok(matches!(*self.lock()?, Kind::Random { .. }))
    }

    /// Goes to a position, as `io.IOBase.seek`.
    #[pyo3(signature = (offset, whence=0))]
    fn seek(&self, offset: i64, whence: u8) -> PyResult<u64> {
        let mut state = self.lock()?;
        let Kind::Random { place, position } = &mut *state else {
            return Err(PyOSError::new_err("this file does not seek"));
        };
        let base = match whence {
            0 => 0,
            1 => *position,
            2 => place.size(),
            _ => return Err(PyValueError::new_err("whence is 0, 1 or 2")),
        };
        let target = i128::from(base) + i128::from(offset);
        *position = u64::try_from(target).map_err(|_| PyValueError::new_err("a position before the start"))?;
        Ok(*position)
    }

    /// The position, where `seek` works.
    fn tell(&self) -> PyResult<u64> {
        match &*self.lock()? {
            Kind::Random { position, .. } => Ok(*position),
            _ => Err(PyOSError::new_err("this file does not seek")),
        }
    }

    /// Bytes in all, or None where that is not known before the end.
    #[getter]
    fn size(&self) -> Option<u64> {
        self.size
    }

    #[getter]
    fn closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
    }

    fn __enter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    #[pyo3(signature = (*_exception))]
    fn __exit__(&self, _exception: &Bound<'_, PyAny>) {
        self.close();
    }
}

/// Iterates over (stream name or None, size, file) of one entry.
#[pyclass(frozen, module = "winlayers")]
pub(crate) struct PartIterator {
    origin: Origin,
    entry: Arc<LayerEntry>,
    next: Arc<std::sync::atomic::AtomicU64>,
}

impl PartIterator {
    pub fn new(origin: &Origin, entry: &Arc<LayerEntry>) -> PyResult<Self> {
        origin.claim()?;
        Ok(PartIterator { origin: origin.clone(), entry: Arc::clone(entry), next: Arc::default() })
    }
}

#[pymethods]
impl PartIterator {
    fn __iter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    #[allow(clippy::type_complexity)]
    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<(Option<Bound<'py, PyString>>, u64, DataFile)>> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let (part, file) = match &self.origin {
            Origin::Random { shared, places } => {
                let index = usize::try_from(number)
                    .unwrap_or(usize::MAX)
                    .saturating_add(usize::from(self.entry.data.is_none()));
                let Some(place) = places.get(index) else { return Ok(None) };
                let streams = self.entry.streams.as_deref().unwrap_or_default();
                let stream = index.checked_sub(1).and_then(|i| streams.get(i)).map(|stream| stream.name.clone());
                (Part { stream, size: place.size() }, DataFile::random(shared, place.clone()))
            }
            Origin::Forward { shared, generation } => {
                let part = py.detach(|| shared.forward(*generation, |core| core.next_part()))?;
                let Some(part) = part else { return Ok(None) };
                let kind = Kind::Forward { generation: *generation, part: Some(number + 1) };
                let mut file = DataFile::new(shared, kind, Some(part.size));
                file.parts = Some(Arc::clone(&self.next));
                (part, file)
            }
        };
        let name = part.stream.map(|name| Ok::<_, PyErr>(str_from_wtf8(py, &name)?.0)).transpose()?;
        Ok(Some((name, part.size, file)))
    }
}
