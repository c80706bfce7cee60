//! Python's paths, bytes and file objects as sources and sinks.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyBytes, PyString};

use super::convert::bytes_of;
use crate::compress;
use crate::error::{Error, Misuse, Result};
use crate::fs::NamedFile;
use crate::fs::atomic::AtomicFile;
use crate::source::{ReadAt, Source};

/// What one call of a Python `read` or `write` moves. The heap of Windows gives larger blocks back to the system when
/// they are freed, and gets them back page by page: half of the time of writing a layer to an object.
const CHUNK: usize = if cfg!(windows) { 64 << 10 } else { 256 << 10 };

/// What a caller gave as a source.
pub(crate) enum Given {
    Path(PathBuf),
    Bytes(PyBackedBytes),
    Copied(Vec<u8>),
    Object { object: Py<PyAny>, seekable: bool },
}

impl Given {
    /// Sorts out a `str | os.PathLike | bytes | binary file`.
    pub fn from_python(value: &Bound<'_, PyAny>) -> PyResult<Self> {
        if let Some(path) = path_of(value)? {
            return Ok(Given::Path(path));
        }
        if value.cast::<PyBytes>().is_ok() {
            return Ok(Given::Bytes(value.extract()?));
        }
        if value.hasattr("read")? {
            let seekable = value.hasattr("seekable")? && value.call_method0("seekable")?.is_truthy()?;
            return Ok(Given::Object { object: value.clone().unbind(), seekable });
        }
        let copied = bytes_of(value).map_err(|_| {
            let kind = value.get_type().name().map_or_else(|_| "?".into(), |name| name.to_string());
            PyTypeError::new_err(format!("expected a path, bytes or a binary file object, not {kind}"))
        })?;
        Ok(Given::Copied(copied))
    }

    /// The uncompressed bytes: read anywhere where they are stored so, from the front where they are compressed or
    /// come through a pipe.
    pub fn open(self) -> Result<Source> {
        match self {
            Given::Path(path) => {
                let file = crate::fs::open_file(&path)?;
                let regular = file.metadata().map_err(|e| Error::io("stat", Some(&path), e))?.is_file();
                let file = NamedFile::new(file, path);
                if regular { decompressed(Arc::new(file)) } else { stream(file) }
            }
            Given::Bytes(bytes) => decompressed(Arc::new(Backed(bytes))),
            Given::Copied(bytes) => decompressed(Arc::new(bytes)),
            Given::Object { object, seekable: true } => decompressed(Arc::new(SeekableObject::new(object)?)),
            Given::Object { object, seekable: false } => stream(FileObject::new(object)),
        }
    }

    /// The bytes as they are, front to back.
    pub fn read(self) -> Result<Box<dyn Read + Send>> {
        Ok(match self {
            Given::Path(path) => Box::new(NamedFile::new(crate::fs::open_file(&path)?, path)),
            Given::Bytes(bytes) => Box::new(io::Cursor::new(Backed(bytes))),
            Given::Copied(bytes) => Box::new(io::Cursor::new(bytes)),
            Given::Object { object, .. } => Box::new(FileObject::new(object)),
        })
    }
}

/// A path, where the value is one.
pub(crate) fn path_of(value: &Bound<'_, PyAny>) -> PyResult<Option<PathBuf>> {
    if value.is_instance_of::<PyString>() || value.hasattr("__fspath__")? {
        return value.extract().map(Some);
    }
    Ok(None)
}

fn stream<R: Read + Send + 'static>(source: R) -> Result<Source> {
    Ok(Source::Stream(Box::new(compress::Reader::new(source)?)))
}

fn decompressed(bytes: Arc<dyn ReadAt>) -> Result<Source> {
    let mut magic = [0; 4];
    let mut n = 0;
    while n < magic.len() {
        match bytes.read_at(&mut magic[n..], n as u64).map_err(|e| Error::io("read", None, e))? {
            0 => break,
            more => n += more,
        }
    }
    match compress::Compression::detect(&magic[..n]) {
        compress::Compression::None => Ok(Source::Random(bytes)),
        compress::Compression::Gzip | compress::Compression::Zstd => stream(Front { bytes, position: 0 }),
    }
}

/// Reads a random source from its front.
struct Front {
    bytes: Arc<dyn ReadAt>,
    position: u64,
}

impl Read for Front {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.bytes.read_at(buf, self.position)?;
        self.position += n as u64;
        Ok(n)
    }
}

/// A `bytes` object, read in place.
pub(crate) struct Backed(pub PyBackedBytes);

impl AsRef<[u8]> for Backed {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl ReadAt for Backed {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let rest = usize::try_from(offset).ok().and_then(|start| self.0.get(start..)).unwrap_or_default();
        let n = rest.len().min(buf.len());
        buf[..n].copy_from_slice(&rest[..n]);
        Ok(n)
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.0.len() as u64)
    }
}

/// A binary file object, for use without the GIL: it is taken for each call.
pub(crate) struct FileObject {
    object: Py<PyAny>,
}

impl FileObject {
    pub fn new(object: Py<PyAny>) -> Self {
        FileObject { object }
    }
}

impl Read for FileObject {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        Python::attach(|py| {
            let want = buf.len().min(CHUNK);
            let result = self.object.bind(py).call_method1("read", (want,))?;
            if result.is_none() {
                return Err(PyValueError::new_err("read() returned None: the file is in non-blocking mode"));
            }
            let copied;
            let bytes = match result.cast::<PyBytes>() {
                Ok(bytes) => bytes.as_bytes(),
                Err(_) => {
                    copied = bytes_of(&result)?;
                    &copied
                }
            };
            let room = buf.get_mut(..bytes.len()).filter(|room| room.len() <= want);
            let room =
                room.ok_or_else(|| PyValueError::new_err(format!("read({want}) returned {} bytes", bytes.len())))?;
            room.copy_from_slice(bytes);
            Ok(bytes.len())
        })
        .map_err(io::Error::from)
    }
}

impl Write for FileObject {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let buf = &buf[..buf.len().min(CHUNK)];
        Python::attach(|py| {
            let result = self.object.bind(py).call_method1("write", (PyBytes::new(py, buf),))?;
            // A raw file may take less; objects that return nothing took everything.
            let n = if result.is_none() { buf.len() } else { result.extract()? };
            if n > buf.len() {
                return Err(PyValueError::new_err(format!("write() of {} bytes returned {n}", buf.len())));
            }
            Ok(n)
        })
        .map_err(io::Error::from)
    }

    fn flush(&mut self) -> io::Result<()> {
        Python::attach(|py| {
            let object = self.object.bind(py);
            if object.hasattr("flush")? {
                object.call_method0("flush")?;
            }
            Ok::<_, PyErr>(())
        })
        .map_err(io::Error::from)
    }
}

impl Seek for FileObject {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let (offset, whence) = match to {
            SeekFrom::Start(offset) => (i128::from(offset), 0),
            SeekFrom::Current(offset) => (i128::from(offset), 1),
            SeekFrom::End(offset) => (i128::from(offset), 2),
        };
        Python::attach(|py| {
            let object = self.object.bind(py);
            let position = object.call_method1("seek", (offset, whence))?;
            if position.is_none() { object.call_method0("tell")?.extract() } else { position.extract() }
        })
        .map_err(io::Error::from)
    }
}

/// A seekable file object, read anywhere from where it stood when it was given.
struct SeekableObject {
    object: Py<PyAny>,
    start: u64,
    busy: AtomicBool,
}

impl SeekableObject {
    fn new(object: Py<PyAny>) -> Result<Self> {
        let start = FileObject::new(Python::attach(|py| object.clone_ref(py)))
            .stream_position()
            .map_err(|e| Error::io("seek", None, e))?;
        Ok(SeekableObject { object, start, busy: AtomicBool::new(false) })
    }

    /// Runs with the file object to itself: a second thread is refused, it never waits.
    fn exclusively<T>(&self, run: impl FnOnce(&mut FileObject) -> io::Result<T>) -> io::Result<T> {
        if self.busy.swap(true, Ordering::Acquire) {
            return Err(io::Error::other(Error::misuse(Misuse::InUse, "")));
        }
        let mut file = FileObject::new(Python::attach(|py| self.object.clone_ref(py)));
        let result = run(&mut file);
        self.busy.store(false, Ordering::Release);
        result
    }
}

impl ReadAt for SeekableObject {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.exclusively(|file| {
            file.seek(SeekFrom::Start(self.start.saturating_add(offset)))?;
            file.read(buf)
        })
    }

    fn size(&self) -> io::Result<u64> {
        self.exclusively(|file| Ok(file.seek(SeekFrom::End(0))?.saturating_sub(self.start)))
    }
}

/// Where a writer puts its bytes: a file that appears when it is complete, or a file object.
pub(crate) enum Sink {
    File(AtomicFile),
    Object(FileObject),
}

impl Sink {
    /// Sorts out a `str | os.PathLike | binary file`.
    pub fn from_python(value: &Bound<'_, PyAny>) -> PyResult<Self> {
        if let Some(path) = path_of(value)? {
            return Ok(Sink::File(AtomicFile::create(&path)?));
        }
        if value.hasattr("write")? {
            return Ok(Sink::Object(FileObject::new(value.clone().unbind())));
        }
        Err(PyTypeError::new_err("expected a path or a binary file object to write to"))
    }

    /// The file, where it is one.
    pub fn file(&mut self) -> Option<&mut File> {
        match self {
            Sink::File(file) => Some(file.file()),
            Sink::Object(_) => None,
        }
    }

    /// The path that was given, where it was one.
    pub fn path(&self) -> Option<PathBuf> {
        match self {
            Sink::File(file) => Some(file.path().to_path_buf()),
            Sink::Object(_) => None,
        }
    }

    /// Makes the file appear under its name.
    pub fn commit(self) -> Result<()> {
        match self {
            Sink::File(file) => file.commit(),
            Sink::Object(mut object) => object.flush().map_err(|e| Error::io("flush", None, e)),
        }
    }
}

impl Write for Sink {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        match self {
            Sink::File(file) => file.write(buf),
            Sink::Object(object) => object.write(buf),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Sink::File(file) => file.flush(),
            // Only at the end: a flush for each entry would cost more than the entry.
            Sink::Object(_) => Ok(()),
        }
    }
}

/// Opens a file that a caller named.
pub(crate) fn open(path: &std::path::Path) -> Result<File> {
    crate::fs::open_file(path)
}
