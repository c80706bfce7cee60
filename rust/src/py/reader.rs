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
use crate::layer_tar::{BackupStream, DataPlace, Found, LayerEntry, LayerReader as Core};
use crate::source::ReadAt;

/// Entries that are read ahead in one go without the GIL.
const BATCH: usize = 128;

/// What a reader and its entries share.
pub(crate) struct Shared {
    /// None where entries are not iterated over.
    state: Option<Mutex<State>>,
    closed: AtomicBool,
    /// The archive, where it can be read anywhere.
    random: Option<Arc<dyn ReadAt>>,
}

struct State {
    core: Core,
    batch: VecDeque<Result<Found>>,
    /// Which entry a forward-only reader stands at, and whether its data was asked for.
    generation: u64,
    taken: bool,
}

impl Shared {
    /// For one entry of an archive that is read anywhere.
    pub fn entry_of(archive: Arc<dyn ReadAt>) -> Self {
        Shared { state: None, closed: AtomicBool::new(false), random: Some(archive) }
    }

    fn state(&self) -> Result<MutexGuard<'_, State>> {
        if self.closed.load(Ordering::Relaxed) {
            return Err(Error::misuse(Misuse::Closed, "the reader"));
        }
        match self.state.as_ref().map(Mutex::try_lock) {
            Some(Ok(state)) => Ok(state),
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

    /// The core of a forward-only reader, while it stands at the entry `generation`.
    pub fn forward<T>(&self, generation: u64, run: impl FnOnce(&mut Core) -> Result<T>) -> Result<T> {
        let mut state = self.state()?;
        if state.generation != generation {
            return Err(Error::misuse(Misuse::EntryPassed, ""));
        }
        run(&mut state.core)
    }

    /// As [`Shared::forward`], for the first use of the entry's data: it comes by once.
    fn take<T>(&self, generation: u64, run: impl FnOnce(&mut Core) -> Result<T>) -> Result<T> {
        let mut state = self.state()?;
        if state.generation != generation || std::mem::replace(&mut state.taken, true) {
            return Err(Error::misuse(Misuse::EntryPassed, ""));
        }
        run(&mut state.core)
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
        let core = py.detach(|| Core::new(given.open()?, policy, &limits))?;
        let random = core.random_source();
        let state = State { core, batch: VecDeque::new(), generation: 0, taken: false };
        Ok(LayerReader {
            shared: Arc::new(Shared { state: Some(Mutex::new(state)), closed: AtomicBool::new(false), random }),
        })
    }

    fn __iter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Option<Entry>> {
        if self.shared.random.is_some() {
            let mut state = self.shared.state()?;
            if state.batch.is_empty() {
                let state = &mut *state;
                py.detach(|| {
                    while state.batch.len() < BATCH {
                        match state.core.next_found().transpose() {
                            Some(found) => state.batch.push_back(found),
                            None => break,
                        }
                    }
                });
            }
            let Some(found) = state.batch.pop_front() else { return Ok(None) };
            let Found { entry, places, .. } = found?;
            let shared = Arc::clone(&self.shared);
            let origin = Origin::Random { shared, places: places.into() };
            return Ok(Some(Entry { inner: Arc::new(entry), origin: Some(origin) }));
        }
        let (entry, generation) = py.detach(|| {
            let mut state = self.shared.state()?;
            state.generation += 1;
            state.taken = false;
            Ok::<_, Error>((state.core.next_entry()?, state.generation))
        })?;
        Ok(entry.map(|entry| {
            let origin = Origin::Forward { shared: Arc::clone(&self.shared), generation };
            Entry { inner: Arc::new(entry), origin: Some(origin) }
        }))
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
