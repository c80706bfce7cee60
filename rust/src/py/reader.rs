//! `LayerReader`: the entries of a layer tar, one after the other.

use std::collections::VecDeque;
use std::sync::Arc;

use pyo3::prelude::*;

use super::entry::Entry;
use super::io::Given;
use super::origin::{Core, Forward, Origin, Shared};
use super::policy::{Limits, Policy, limits_or_default, policy_or_default};
use crate::error::Error;
use crate::layer_tar::{Found, LayerReader as ForwardReader, RandomReader};
use crate::source::Source;

/// Entries that are read ahead in one go without the GIL.
const BATCH: usize = 128;

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
        Ok(LayerReader { shared: Arc::new(Shared::reader(core, random)) })
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
        self.shared.close();
    }

    fn __enter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    #[pyo3(signature = (*_exception))]
    fn __exit__(&self, _exception: &Bound<'_, PyAny>) {
        self.close();
    }
}
