//! `LayerReader`, and where its entries come from.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, TryLockError};

use pyo3::prelude::*;

use super::data::{DataFile, Kind};
use super::entry::Entry;
use super::io::Given;
use super::policy::{Limits, Policy, limits_or_default, policy_or_default};
use crate::error::{Error, Misuse, Result};
use crate::layer_tar::{BackupStream, DataPlace, Found, LayerEntry, LayerReader as ForwardReader, RandomReader};
use crate::source::{ReadAt, Source};

/// Entries that are read ahead in one go without the GIL.
const BATCH: usize = 128;

/// What a reader and its entries share.
pub(crate) struct Shared {
    /// None where entries are not iterated over.
    core: Option<Mutex<Core>>,
    closed: AtomicBool,
    /// The archive, where it can be read anywhere.
    random: Option<Arc<dyn ReadAt>>,
}

enum Core {
    Random { reader: RandomReader, batch: VecDeque<Result<Found>> },
    Forward(Forward),
}

struct Forward {
    reader: ForwardReader,
    /// Which entry the reader stands at, and whether its data was asked for.
    generation: u64,
    taken: bool,
}

impl Shared {
    /// For one entry of an archive that is read anywhere.
    pub fn entry_of(archive: Arc<dyn ReadAt>) -> Self {
        Shared { core: None, closed: AtomicBool::new(false), random: Some(archive) }
    }

    fn core(&self) -> Result<MutexGuard<'_, Core>> {
        if self.closed.load(Ordering::Relaxed) {
            return Err(Error::misuse(Misuse::Closed, "the reader"));
        }
        match self.core.as_ref().map(Mutex::try_lock) {
            Some(Ok(core)) => Ok(core),
            Some(Err(TryLockError::Poisoned(poisoned))) => Ok(poisoned.into_inner()),
            Some(Err(TryLockError::WouldBlock)) => Err(Error::misuse(Misuse::InUse, "the reader")),
            None => Err(Error::misuse(Misuse::EntryDetached, "")),
        }
    }

    /// The archive, for an entry whose data can be read in any order.
    pub fn random(&self) -> Result<&Arc<dyn ReadAt>> {
        if self.closed.load(Ordering::Relaxed) {
            return Err(Error::misuse(Misuse::Closed, "the reader"));
        }
        self.random.as_ref().ok_or_else(|| Error::misuse(Misuse::EntryDetached, ""))
    }

    /// The forward-only reader, while it stands at the entry `generation`.
    pub fn forward<T>(&self, generation: u64, run: impl FnOnce(&mut ForwardReader) -> Result<T>) -> Result<T> {
        self.at(generation, |forward| run(&mut forward.reader))
    }

    /// As [`Shared::forward`], for the first use of the entry's data: it comes by once.
    fn take<T>(&self, generation: u64, run: impl FnOnce(&mut ForwardReader) -> Result<T>) -> Result<T> {
        self.at(generation, |forward| {
            if std::mem::replace(&mut forward.taken, true) {
                return Err(Error::misuse(Misuse::EntryPassed, ""));
            }
            run(&mut forward.reader)
        })
    }

    fn at<T>(&self, generation: u64, run: impl FnOnce(&mut Forward) -> Result<T>) -> Result<T> {
        match &mut *self.core()? {
            Core::Forward(forward) if forward.generation == generation => run(forward),
            _ => Err(Error::misuse(Misuse::EntryPassed, "")),
        }
    }
}

/// Where the data of an entry is.
#[derive(Clone)]
pub(crate) enum Origin {
    Random { shared: Arc<Shared>, places: Arc<[DataPlace]> },
    Forward { shared: Arc<Shared>, generation: u64 },
}

impl Origin {
    pub fn open(&self, py: Python<'_>, entry: &LayerEntry, stream: Option<&[u8]>) -> PyResult<DataFile> {
        let missing = || {
            let name = stream.map_or_else(|| "unnamed data".to_owned(), |s| format!("stream \"{}\"", s.escape_ascii()));
            pyo3::exceptions::PyLookupError::new_err(format!("the entry has no {name}"))
        };
        match self {
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

    pub fn backup_stream(&self, py: Python<'_>, entry: &LayerEntry) -> PyResult<DataFile> {
        Ok(match self {
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

    /// Claims the data of a forward-only entry for an iteration over its parts.
    pub fn claim(&self) -> Result<()> {
        match self {
            Origin::Random { shared, .. } => shared.random().map(|_| ()),
            Origin::Forward { shared, generation } => shared.take(*generation, |_| Ok(())),
        }
    }
}

/// Iterates over the entries of a layer tar: a path, bytes, or a binary file object; gzip and zstd are recognised.
///
/// On a seekable, uncompressed source the headers are read ahead, named streams are known at once, and data can be
/// opened in any order until the reader is closed. On any other source the data of an entry is there until the next
/// entry is asked for.
///
/// Raises FormatError, LimitExceededError, RefusedError, OSError, and MisuseError("in_use") for a second use at the
/// same time. After an error in the records of one member the iteration can go on with the next.
///
/// >>> import io
/// >>> import winlayers as wl
/// >>> sink = io.BytesIO()
/// >>> with wl.LayerWriter(sink) as writer:
/// ...     writer.add(wl.Entry("Files", kind="directory"))
/// ...     writer.add(wl.Entry("Files/a.txt"), b"hello")
/// >>> with wl.LayerReader(sink.getvalue()) as reader:
/// ...     [(entry.name, entry.size) for entry in reader]
/// [('Files', 0), ('Files/a.txt', 5)]
#[pyclass(frozen, module = "winlayers")]
pub(crate) struct LayerReader {
    shared: Arc<Shared>,
}

#[pymethods]
impl LayerReader {
    #[new]
    #[pyo3(signature = (source, policy=None, limits=None))]
    fn new(
        py: Python<'_>,
        source: &Bound<'_, PyAny>,
        policy: Option<&Bound<'_, Policy>>,
        limits: Option<&Bound<'_, Limits>>,
    ) -> PyResult<Self> {
        let given = Given::from_python(source)?;
        let (policy, limits) = (policy_or_default(policy), limits_or_default(limits));
        let (core, random) = py.detach(|| {
            Ok::<_, Error>(match given.open()? {
                Source::Random(source) => {
                    let reader = RandomReader::new(Arc::clone(&source), policy, &limits)?;
                    (Core::Random { reader, batch: VecDeque::new() }, Some(source))
                }
                source => {
                    let reader = ForwardReader::new(source, policy, &limits)?;
                    (Core::Forward(Forward { reader, generation: 0, taken: false }), None)
                }
            })
        })?;
        let shared = Shared { core: Some(Mutex::new(core)), closed: AtomicBool::new(false), random };
        Ok(LayerReader { shared: Arc::new(shared) })
    }

    fn __iter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Option<Entry>> {
        let shared = Arc::clone(&self.shared);
        let mut core = self.shared.core()?;
        let (entry, origin) = match &mut *core {
            Core::Random { reader, batch } => {
                if batch.is_empty() {
                    py.detach(|| batch.extend(std::iter::from_fn(|| reader.next_found().transpose()).take(BATCH)));
                }
                let Some(found) = batch.pop_front() else { return Ok(None) };
                let Found { entry, places, .. } = found?;
                (entry, Origin::Random { shared, places: places.into() })
            }
            Core::Forward(forward) => {
                forward.generation += 1;
                forward.taken = false;
                let Some(entry) = py.detach(|| forward.reader.next_entry())? else { return Ok(None) };
                (entry, Origin::Forward { shared, generation: forward.generation })
            }
        };
        Ok(Some(Entry { inner: Arc::new(entry), origin: Some(origin) }))
    }

    /// Whether data can be read in any order.
    #[getter]
    fn seekable(&self) -> bool {
        self.shared.random.is_some()
    }

    /// Ends the use of the source; the data of its entries cannot be read any more.
    fn close(&self) {
        self.shared.closed.store(true, Ordering::Relaxed);
    }

    fn __enter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    #[pyo3(signature = (*_exception))]
    fn __exit__(&self, _exception: &Bound<'_, PyAny>) {
        self.close();
    }
}
