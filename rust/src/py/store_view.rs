//! `LayerView`: the entries of a layer merged over its chain.

use crate::layer_name::with_slashes;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use pyo3::prelude::*;

use super::convert::name_bytes;
use super::entry::Entry;
use super::io::Given;
use super::origin::{Origin, Shared};
use super::policy::{Limits, limits_or_default};
use crate::error::{Error, Result, display_name};
use crate::layer_tar::{EntryKind, Found};
use crate::view::{LayerTar, Node, View};

/// What is seen of a layer merged over its chain, with all metadata; nothing is mounted for it.
///
/// `store.view(id)` gives that of a layer in a store. `LayerView(layers)` is that of layer tars in no store, lowest
/// first, each a path, bytes or a binary file, plain or in gzip or zstd: a plain file is read where it is, what is
/// compressed or comes through a pipe is unpacked into a temporary folder while the view is there. Raises what reading
/// a layer raises.
///
/// Paths are in any case, with either slash, and begin with Files, Hives or UtilityVM. What is changed in a sandbox
/// later is not in it.
///
/// >>> import io, tempfile
/// >>> import winlayers as wl
/// >>> folder = tempfile.TemporaryDirectory()
/// >>> store = wl.LayerStore(folder.name)
/// >>> def layer(name, data):
/// ...     sink = io.BytesIO()
/// ...     with wl.LayerWriter(sink) as writer:
/// ...         writer.add(wl.Entry("Files", kind="directory"))
/// ...         writer.add(wl.Entry(name), data)
/// ...     return sink.getvalue()
/// >>> _ = store.apply_diff("base", "", layer("Files/a.txt", b"a"))
/// >>> _ = store.apply_diff("top", "base", layer("Files/b.txt", b"b"))
/// >>> view = store.view("top")
/// >>> [entry.name for entry in view.entries()]
/// ['Files', 'Files/a.txt', 'Files/b.txt']
/// >>> view.get("files\\A.TXT").read()
/// b'a'
/// >>> layers = [layer("Files/a.txt", b"old"), layer("Files/A.TXT", b"new")]
/// >>> wl.LayerView(layers).get("Files/a.txt").read()
/// b'new'
/// >>> del store, view
/// >>> folder.cleanup()
#[pyclass(frozen, module = "winlayers")]
pub(crate) struct LayerView {
    view: View,
}

impl LayerView {
    pub fn new(view: View) -> Self {
        LayerView { view }
    }

    fn find(&self, path: &[u8]) -> Result<Node> {
        let missing = || Error::io("find", Some(Path::new(&display_name(path))), std::io::ErrorKind::NotFound.into());
        self.view.find(path)?.ok_or_else(missing)
    }
}

#[pymethods]
impl LayerView {
    #[new]
    #[pyo3(signature = (layers, *, limits=None))]
    fn open(py: Python<'_>, layers: &Bound<'_, PyAny>, limits: Option<&Bound<'_, Limits>>) -> PyResult<Self> {
        let limits = limits_or_default(limits);
        let mut tars = Vec::new();
        for layer in layers.try_iter()? {
            tars.push(match Given::from_python(&layer?)? {
                Given::Path(path) => LayerTar::File(path),
                other => LayerTar::Stream(other.read()?),
            });
        }
        Ok(LayerView::new(py.detach(|| View::of_tars(tars, &limits))?))
    }

    /// The entries below a path, or all: directories before what is in them, in the order of their folded names. A path
    /// that is no directory gives its own entry.
    #[pyo3(signature = (path=None, recursive=true))]
    fn entries(&self, py: Python<'_>, path: Option<&Bound<'_, PyAny>>, recursive: bool) -> PyResult<ViewIterator> {
        let path = path.map(path_of).transpose()?.unwrap_or_default();
        let mut nodes = py.detach(|| {
            if path.is_empty() {
                return self.view.roots();
            }
            let node = self.find(&path)?;
            if node.kind == EntryKind::Directory { self.view.children(&node) } else { Ok(vec![node]) }
        })?;
        nodes.reverse();
        Ok(ViewIterator { view: self.view.clone(), recursive, stack: Mutex::new(nodes) })
    }

    /// The entry at a path. `follow`: that of the file whose data a hard link has, in whichever layer it is.
    ///
    /// Raises FileNotFoundError.
    #[pyo3(signature = (path, follow=true))]
    fn get(&self, py: Python<'_>, path: &Bound<'_, PyAny>, follow: bool) -> PyResult<Entry> {
        let path = path_of(path)?;
        Ok(py.detach(|| {
            let node = self.find(&path)?;
            let node = if follow { self.view.data(&node)? } else { node };
            entry(&self.view, &node)
        })?)
    }
}

/// Goes through a view, depth first.
#[pyclass(frozen, module = "winlayers")]
pub(crate) struct ViewIterator {
    view: View,
    recursive: bool,
    /// The next one last.
    stack: Mutex<Vec<Node>>,
}

#[pymethods]
impl ViewIterator {
    fn __iter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Option<Entry>> {
        Ok(py.detach(|| {
            let mut stack = self.stack.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(node) = stack.pop() else { return Ok(None) };
            if self.recursive {
                stack.extend(self.view.children(&node)?.into_iter().rev());
            }
            drop(stack);
            entry(&self.view, &node).map(Some)
        })?)
    }
}

/// A path with either slash.
fn path_of(path: &Bound<'_, PyAny>) -> PyResult<Vec<u8>> {
    let path = with_slashes(&name_bytes(path)?);
    let start = path.iter().position(|byte| *byte != b'/').unwrap_or(path.len());
    let end = path.iter().rposition(|byte| *byte != b'/').map_or(start, |at| at + 1);
    Ok(path[start..end].to_vec())
}

fn entry(view: &View, node: &Node) -> Result<Entry> {
    let Found { mut entry, places, .. } = view.entry(node)?;
    entry.name.clone_from(&node.path);
    let shared = Arc::new(Shared::entry_of(view.bytes(node)));
    Ok(Entry { inner: Arc::new(entry), origin: Some(Origin::Random { shared, places: places.into() }) })
}
