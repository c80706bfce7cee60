//! Layers seen as one: what a container would see, the nearest layer on top.

use super::source::{Data, Deferred, Holds, LayerSource, Row, TOP};
use crate::error::{Error, Format, Result, Rule, display_name};
use crate::layer_name::{components, push, split, trimmed};
use crate::layer_tar::{EntryKind, Found};
use crate::nt::name::fold_wtf8;
use crate::source::ReadAt;
use std::collections::{BTreeMap, HashMap};
use std::io::{self, Read};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The merged view of a chain of layers, nearest first. Whiteouts, opaque directories and anything but a directory hide
/// what is below; names are equal without case; a directory has the name that the lowest layer gives it, and the
/// metadata of the nearest layer that lists it.
///
/// ```
/// use winlayers::view::View;
/// let view = View::new(Vec::new());
/// assert!(view.find(b"Files/Windows")?.is_none());
/// # Ok::<(), winlayers::error::Error>(())
/// ```
#[derive(Clone)]
pub struct View {
    layers: Vec<Arc<dyn LayerSource>>,
    /// Directories that were passed, by folded path: what is asked for next most often lies in one of them.
    passed: Arc<Mutex<HashMap<Vec<u8>, Node>>>,
}

/// Something that a view has.
#[derive(Debug, Clone)]
pub struct Node {
    /// Its path, as the layers spell it.
    pub path: Vec<u8>,
    /// Its path, folded.
    pub key: Vec<u8>,
    /// What it is: never a whiteout.
    pub kind: EntryKind,
    /// Bytes of unnamed data; 0 for a hard link, whose data is that of [`View::data`].
    pub size: u64,
    /// The layer that tells of it, and where; for a directory the nearest that lists it, or the nearest that has it.
    layer: usize,
    row: Row,
    /// The layers that have something in the directory, nearest first, with its number there.
    within: Vec<(usize, u64)>,
}

impl Node {
    /// The last component of its path.
    #[must_use]
    pub fn name(&self) -> &[u8] {
        split(&self.path).1
    }

    /// What is equal for names of one file and of no other: the layer that holds it, counted from the lowest, and the
    /// place in its tar. Ask the node that [`View::data`] gives.
    #[must_use]
    pub fn identity(&self, view: &View) -> (usize, Option<u64>) {
        (view.layers.len() - self.layer, self.row.place)
    }
}

/// How long a chain of hard links may be: tools link to a file, not to a link.
const LINKS: usize = 64;
/// How many directories are kept.
const PASSED: usize = 1024;

impl View {
    /// The view of these layers, nearest first.
    #[must_use]
    pub fn new(layers: Vec<Arc<dyn LayerSource>>) -> Self {
        View { layers, passed: Arc::default() }
    }

    /// What is at a path, whatever the case of its letters; a slash at its end does not count.
    ///
    /// # Errors
    /// [`Error::Refused`] with [`Rule::NameNotUnicode`]; what reading the indexes gives.
    pub fn find(&self, path: &[u8]) -> Result<Option<Node>> {
        let path = trimmed(path);
        let Some(key) = fold_wtf8(path) else {
            return Err(Error::refused(Rule::NameNotUnicode, display_name(path)));
        };
        self.find_below(0, &key)
    }

    /// What layers from `first` on have at a folded path.
    fn find_below(&self, first: usize, key: &[u8]) -> Result<Option<Node>> {
        let (mut folder, mut path, mut within) = (Vec::new(), Vec::new(), self.tops(first));
        let mut rest = key;
        if first == 0
            && let Some(node) = self.passed().get(split(key).0)
        {
            (folder, path, within) = (node.key.clone(), node.path.clone(), node.within.clone());
            rest = split(key).1;
        }
        let mut parts = components(rest).peekable();
        while let Some(part) = parts.next() {
            let mut merge = Merge::default();
            for &(layer, number) in &within {
                if let Some(row) = self.layers[layer].get_in(number, part)? {
                    merge.add(layer, row);
                }
                if merge.closed {
                    break;
                }
            }
            let Some(node) = merge.node(path, folder) else { return Ok(None) };
            if parts.peek().is_none() {
                return Ok(Some(node));
            }
            if first == 0 && node.kind == EntryKind::Directory {
                let mut passed = self.passed();
                if passed.len() >= PASSED {
                    passed.clear();
                }
                passed.insert(node.key.clone(), node.clone());
            }
            (folder, path, within) = (node.key, node.path, node.within);
        }
        Ok(None)
    }

    /// The roots that exist, of `Files`, `Hives` and `UtilityVM`.
    ///
    /// # Errors
    /// What reading the indexes gives.
    pub fn roots(&self) -> Result<Vec<Node>> {
        self.merged(&[], &[], &self.tops(0))
    }

    /// What is in a directory, in the order of the folded names; nothing for what is none.
    ///
    /// # Errors
    /// What reading the indexes gives.
    pub fn children(&self, node: &Node) -> Result<Vec<Node>> {
        self.merged(&node.path, &node.key, &node.within)
    }

    fn passed(&self) -> MutexGuard<'_, HashMap<Vec<u8>, Node>> {
        self.passed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tops(&self, first: usize) -> Vec<(usize, u64)> {
        (first..self.layers.len()).map(|layer| (layer, TOP)).collect()
    }

    fn merged(&self, path: &[u8], key: &[u8], within: &[(usize, u64)]) -> Result<Vec<Node>> {
        let mut names: BTreeMap<Vec<u8>, Merge> = BTreeMap::new();
        for &(layer, number) in within {
            for row in self.layers[layer].children(number)? {
                names.entry(row.key.clone()).or_default().add(layer, row);
            }
        }
        Ok(names.into_values().filter_map(|merge| merge.node(path.to_vec(), key.to_vec())).collect())
    }

    /// The entry with its metadata; its name is that of the member. A directory that no layer lists has no metadata.
    ///
    /// # Errors
    /// Those of reading a layer tar.
    pub fn entry(&self, node: &Node) -> Result<Found> {
        Ok(self.named(node, self.layers[node.layer].entry(&node.row)?))
    }

    /// As [`View::entry`], but for the named streams.
    ///
    /// # Errors
    /// As [`View::entry`].
    pub fn head(&self, node: &Node) -> Result<Found> {
        Ok(self.named(node, self.layers[node.layer].head(&node.row)?))
    }

    fn named(&self, node: &Node, mut found: Found) -> Found {
        if node.row.place.is_none() {
            found.entry.name.clone_from(&node.path);
        }
        found
    }

    /// The node whose data this one has: itself, or what a hard link leads to, in the layer of the link or below.
    ///
    /// # Errors
    /// [`Error::Format`] for a link that leads nowhere, to no file, or in a circle, with both names.
    pub fn data(&self, node: &Node) -> Result<Node> {
        let mut at = node.clone();
        for _ in 0..LINKS {
            if at.kind != EntryKind::HardLink {
                return Ok(at);
            }
            let target = at.row.link.clone().unwrap_or_default();
            let wrong = |found: &str| {
                let found = format!("\"{}\", {found}", display_name(&target));
                let expected = "a file in the same layer or below";
                Err(Error::format(Format::LayerTar, "hard link", expected, found).in_member(&node.path))
            };
            at = match self.find_below(at.layer, &target)? {
                Some(next) if next.kind == EntryKind::Directory => return wrong("a directory"),
                Some(next) if next.key == at.key && next.layer == at.layer => return wrong("itself"),
                Some(next) => next,
                None => return wrong("which is not there"),
            };
        }
        let found = format!("more than {LINKS} links one behind the other");
        Err(Error::format(Format::LayerTar, "hard link", "a file at its end", found).in_member(&node.path))
    }

    /// Reads the unnamed data, or a named stream, of a file or of what a hard link leads to; of two streams of one name
    /// the first.
    ///
    /// # Errors
    /// As [`View::data`]; [`Error::Io`] where there is no such data.
    pub fn open(&self, node: &Node, stream: Option<&[u8]>) -> Result<Data> {
        let node = self.data(node)?;
        if node.kind == EntryKind::Directory && stream.is_none() {
            let path = display_name(&node.path);
            return Err(Error::io("open", Some(path.as_ref()), io::ErrorKind::IsADirectory.into()));
        }
        let layer = &self.layers[node.layer];
        layer.open(&layer.entry(&node.row)?, stream)
    }

    /// As [`View::open`], for a node that is no hard link and whose entry [`View::entry`] gave.
    ///
    /// # Errors
    /// [`Error::Io`] where there is no such data.
    pub fn open_found(&self, node: &Node, found: &Found, stream: Option<&[u8]>) -> Result<Data> {
        self.layers[node.layer].open(found, stream)
    }

    /// The bytes that the places are in which [`View::entry`] gives for a node. The source is asked for them when they
    /// are read.
    #[must_use]
    pub fn bytes(&self, node: &Node) -> Arc<dyn ReadAt> {
        Arc::new(Deferred(Arc::clone(&self.layers[node.layer])))
    }

    /// All of a file's unnamed data.
    ///
    /// # Errors
    /// As [`View::open`].
    pub fn read(&self, node: &Node) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.open(node, None)?.read_to_end(&mut bytes).map_err(crate::error::from_io)?;
        Ok(bytes)
    }
}

/// What layers have of one name, added nearest first.
#[derive(Default)]
struct Merge {
    top: Option<(usize, Row)>,
    /// The name: that of the lowest layer where it is a directory.
    name: Vec<u8>,
    within: Vec<(usize, u64)>,
    /// Nothing of lower layers is seen.
    closed: bool,
    /// Nothing that lower layers have in the directory is seen; it may have its name and its metadata from there.
    opaque: bool,
}

impl Merge {
    fn add(&mut self, layer: usize, row: Row) {
        if self.closed {
            return;
        }
        let is_directory = row.what == Holds::Entry(EntryKind::Directory);
        if !self.opaque && (is_directory || row.what == Holds::Passage) {
            self.within.push((layer, row.folder));
        }
        // A layer that hides what is in a directory, and does not list the directory, leaves its name and metadata.
        self.closed = row.hides || row.opaque && row.place.is_some();
        self.opaque |= row.opaque;
        match row.what {
            Holds::Nothing | Holds::Passage => {}
            Holds::Entry(EntryKind::Directory) => {
                self.name.clone_from(&row.name);
                match &self.top {
                    Some((_, top)) if top.place.is_some() || row.place.is_none() => {}
                    _ => self.top = Some((layer, row)),
                }
            }
            Holds::Entry(_) => {
                self.closed = true;
                if self.top.is_none() {
                    self.name.clone_from(&row.name);
                    self.top = Some((layer, row));
                }
            }
        }
    }

    /// What is to be seen of it, in a folder of this path.
    fn node(self, folder: Vec<u8>, folder_key: Vec<u8>) -> Option<Node> {
        let (layer, row) = self.top?;
        let Holds::Entry(kind) = row.what else { return None };
        let within = if kind == EntryKind::Directory { self.within } else { Vec::new() };
        let (path, key) = (below(folder, &self.name), below(folder_key, &row.key));
        Some(Node { path, key, kind, size: row.size, layer, row, within })
    }
}

fn below(mut folder: Vec<u8>, name: &[u8]) -> Vec<u8> {
    push(&mut folder, name);
    folder
}

#[cfg(test)]
#[path = "chain_tests.rs"]
mod tests;
