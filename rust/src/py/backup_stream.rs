//! `BackupStreamReader`, `BackupStreamWriter` and `StreamHeader`.

use std::io::{BufReader, BufWriter, Read};
use std::sync::{Arc, Mutex, MutexGuard, TryLockError};

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString, PyTuple};

use super::convert::{bytes_of, str_from_utf16, utf16_of};
use super::io::{FileObject, Given, Sink};
use super::policy::{Limits, limits_or_default};
use crate::backup_stream::{Reader, StreamHeader as Header, StreamId, Writer};
use crate::error::{Error, Misuse, Result};

const BUFFER: usize = 256 << 10;

pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<StreamHeader>()?;
    module.add_class::<BackupStreamReader>()?;
    module.add_class::<BackupStreamWriter>()
}

struct ReaderState {
    core: Reader<BufReader<Box<dyn Read + Send>>>,
    generation: u64,
}

fn lock<T>(mutex: &Mutex<T>) -> Result<MutexGuard<'_, T>> {
    match mutex.try_lock() {
        Ok(state) => Ok(state),
        Err(TryLockError::Poisoned(poisoned)) => Ok(poisoned.into_inner()),
        Err(TryLockError::WouldBlock) => Err(Error::misuse(Misuse::InUse, "the backup stream")),
    }
}

/// One stream of a backup stream (`WIN32_STREAM_ID`), as it stands on the wire.
///
/// `id` (1 DATA, 2 EA_DATA, 3 SECURITY_DATA, 4 ALTERNATE_DATA, 5 LINK, 6 PROPERTY_DATA, 7 OBJECT_ID, 8 REPARSE_DATA,
/// 9 SPARSE_BLOCK, 10 TXFS_DATA, 11 GHOSTED_FILE_EXTENTS, or any other number), `attributes`, `size` in bytes (of a
/// sparse block: its 8 offset bytes included), `name` (":name:$DATA"), `sparse_offset` (bytes, of a sparse block).
///
/// A value; `read` works until its reader goes on.
///
/// >>> import winlayers as wl
/// >>> wl.StreamHeader(4, 0, 26, ":Zone.Identifier:$DATA").name
/// ':Zone.Identifier:$DATA'
#[pyclass(frozen, module = "winlayers")]
pub(crate) struct StreamHeader {
    header: Header,
    origin: Option<(Arc<Mutex<ReaderState>>, u64)>,
}

#[pymethods]
impl StreamHeader {
    #[new]
    #[pyo3(signature = (id, attributes=0, size=0, name=None, sparse_offset=None))]
    fn new(
        id: u32,
        attributes: u32,
        size: u64,
        name: Option<&Bound<'_, PyString>>,
        sparse_offset: Option<u64>,
    ) -> PyResult<Self> {
        let name = name.map(utf16_of).transpose()?.unwrap_or_default();
        Ok(StreamHeader { header: Header { id: StreamId(id), attributes, size, name, sparse_offset }, origin: None })
    }

    #[getter]
    fn id(&self) -> u32 {
        self.header.id.0
    }

    #[getter]
    fn attributes(&self) -> u32 {
        self.header.attributes
    }

    #[getter]
    fn size(&self) -> u64 {
        self.header.size
    }

    #[getter]
    fn name<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyString>> {
        str_from_utf16(py, &self.header.name)
    }

    #[getter]
    fn sparse_offset(&self) -> Option<u64> {
        self.header.sparse_offset
    }

    /// Reads `size` bytes of its data, or all that is left; without the 8 offset bytes of a sparse block.
    #[pyo3(signature = (size=-1))]
    fn read<'py>(&self, py: Python<'py>, size: Option<i64>) -> PyResult<Bound<'py, PyBytes>> {
        let Some((shared, generation)) = &self.origin else {
            return Err(Error::misuse(Misuse::EntryDetached, "a stream header without reader").into());
        };
        let want = size.and_then(|size| u64::try_from(size).ok()).unwrap_or(u64::MAX);
        let bytes = py.detach(|| {
            let mut state = lock(shared)?;
            if state.generation != *generation {
                return Err(Error::misuse(Misuse::EntryPassed, "the stream"));
            }
            let mut bytes = Vec::new();
            while (bytes.len() as u64) < want {
                let chunk = state.core.data()?;
                let n = chunk.len().min(usize::try_from(want - bytes.len() as u64).unwrap_or(usize::MAX));
                if n == 0 {
                    break;
                }
                bytes.extend_from_slice(&chunk[..n]);
                state.core.consume(n);
            }
            Ok(bytes)
        })?;
        Ok(PyBytes::new(py, &bytes))
    }

    fn __eq__(&self, other: &Self) -> bool {
        self.header == other.header
    }

    fn __hash__(&self) -> u64 {
        use std::hash::{DefaultHasher, Hash, Hasher};
        let mut hasher = DefaultHasher::new();
        self.header.hash(&mut hasher);
        hasher.finish()
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let Header { id, attributes, size, sparse_offset, .. } = &self.header;
        let offset = sparse_offset.map_or_else(|| "None".to_owned(), |offset| offset.to_string());
        Ok(format!("StreamHeader({}, {attributes}, {size}, {}, {offset})", id.0, self.name(py)?.repr()?))
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyTuple>)> {
        let Header { id, attributes, size, sparse_offset, .. } = &self.header;
        let fields = (id.0, *attributes, *size, self.name(py)?, *sparse_offset).into_pyobject(py)?;
        Ok((py.get_type::<StreamHeader>().into_any(), fields))
    }
}

/// Iterates over the streams of a backup stream: a path, bytes, or a binary file object.
///
/// Raises FormatError with the offset, LimitExceededError, OSError.
///
/// >>> import io
/// >>> import winlayers as wl
/// >>> sink = io.BytesIO()
/// >>> with wl.BackupStreamWriter(sink) as writer:
/// ...     writer.add(1, b"hello")
/// >>> [(header.id, header.size, header.read()) for header in wl.BackupStreamReader(sink.getvalue())]
/// [(1, 5, b'hello')]
#[pyclass(frozen, module = "winlayers")]
pub(crate) struct BackupStreamReader {
    shared: Arc<Mutex<ReaderState>>,
}

#[pymethods]
impl BackupStreamReader {
    #[new]
    #[pyo3(signature = (source, limits=None))]
    fn new(source: &Bound<'_, PyAny>, limits: Option<&Bound<'_, Limits>>) -> PyResult<Self> {
        let source = Given::from_python(source)?.read()?;
        let core = Reader::new(BufReader::with_capacity(BUFFER, source), &limits_or_default(limits));
        Ok(BackupStreamReader { shared: Arc::new(Mutex::new(ReaderState { core, generation: 0 })) })
    }

    fn __iter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Option<StreamHeader>> {
        let (header, generation) = py.detach(|| {
            let mut state = lock(&self.shared)?;
            state.generation += 1;
            Ok::<_, Error>((state.core.advance()?, state.generation))
        })?;
        Ok(header.map(|header| StreamHeader { header, origin: Some((Arc::clone(&self.shared), generation)) }))
    }
}

/// Writes a backup stream to a path or to a binary file object.
///
/// A path appears when the writer is closed, and not before.
///
/// >>> import io
/// >>> import winlayers as wl
/// >>> sink = io.BytesIO()
/// >>> with wl.BackupStreamWriter(sink) as writer:
/// ...     writer.add(4, b"[ZoneTransfer]", name=":Zone.Identifier:$DATA")
/// >>> len(sink.getvalue())
/// 78
#[pyclass(frozen, module = "winlayers")]
pub(crate) struct BackupStreamWriter {
    state: Mutex<Option<Writer<BufWriter<Sink>>>>,
}

#[pymethods]
impl BackupStreamWriter {
    #[new]
    fn new(sink: &Bound<'_, PyAny>) -> PyResult<Self> {
        let sink = BufWriter::with_capacity(BUFFER, Sink::from_python(sink)?);
        Ok(BackupStreamWriter { state: Mutex::new(Some(Writer::new(sink))) })
    }

    /// Adds a stream. `data`: bytes, or a binary file object with its `size` in bytes. A sparse block (id 9) needs its
    /// `sparse_offset`; no other stream has one.
    #[pyo3(signature = (id, data, *, attributes=0, name=None, size=None, sparse_offset=None))]
    #[allow(clippy::too_many_arguments)]
    fn add(
        &self,
        py: Python<'_>,
        id: u32,
        data: &Bound<'_, PyAny>,
        attributes: u32,
        name: Option<&Bound<'_, PyString>>,
        size: Option<u64>,
        sparse_offset: Option<u64>,
    ) -> PyResult<()> {
        let name = name.map(utf16_of).transpose()?.unwrap_or_default();
        let (mut input, length): (Box<dyn Read + Send>, u64) = if data.hasattr("read")? {
            let size = size.ok_or_else(|| Error::misuse(Misuse::Argument, "the data of a file object needs a size"))?;
            (Box::new(FileObject::new(data.clone().unbind())), size)
        } else {
            let bytes = bytes_of(data)?;
            let length = bytes.len() as u64;
            if size.is_some_and(|size| size != length) {
                let detail = format!("{length} bytes of data, and a size of {}", size.unwrap_or_default());
                return Err(Error::misuse(Misuse::Data, detail).into());
            }
            (Box::new(std::io::Cursor::new(bytes)), length)
        };
        let on_wire = if sparse_offset.is_some() { length.checked_add(8) } else { Some(length) };
        let on_wire = on_wire.filter(|&n| i64::try_from(n).is_ok());
        let on_wire = on_wire.ok_or_else(|| Error::misuse(Misuse::Argument, "a size of more than 63 bits"))?;
        let header = Header { id: StreamId(id), attributes, size: on_wire, name, sparse_offset };
        let mut state = lock(&self.state)?;
        let writer = state.as_mut().ok_or_else(|| Error::misuse(Misuse::Closed, "the writer"))?;
        py.detach(|| {
            writer.start(&header)?;
            let mut buf = vec![0; usize::try_from(length).unwrap_or(usize::MAX).clamp(1, BUFFER)];
            loop {
                let n = input.read(&mut buf).map_err(crate::error::from_io)?;
                if n == 0 {
                    return Ok::<_, Error>(());
                }
                writer.data(&buf[..n])?;
            }
        })?;
        Ok(())
    }

    /// Ends the backup stream; does nothing the second time. Raises MisuseError while data is missing.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        let Some(writer) = lock(&self.state)?.take() else { return Ok(()) };
        py.detach(|| {
            let sink = writer.finish()?.into_inner().map_err(|e| crate::error::from_io(e.into_error()))?;
            sink.commit()
        })?;
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
        lock(&self.state)?.take();
        Ok(())
    }
}
