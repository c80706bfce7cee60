//! `Entry`: one entry of a layer, a value that also opens its data while its reader is there.

use std::hash::Hash;
use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyString, PyTuple};

use super::convert::{bytes_of, name_bytes, str_from_wtf8};
use super::data::{DataFile, PartIterator};
use super::origin::Origin;
use super::policy::rebuild;
use super::security::SecurityDescriptor;
use super::values::{BasicInfo, ExtendedAttribute, ReparsePoint};
use crate::error::{Error, Misuse};
use crate::layer_tar::{EntryKind, LayerEntry, NamedStream, UnnamedData, reparse_from_link};
use crate::nt;
use crate::source::SparseRange;

pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(_rebuild_entry, module)?)?;
    module.add_class::<Stream>()?;
    module.add_class::<Entry>()
}

/// A named data stream of an entry: its name without colon and type, and its size in bytes.
///
/// >>> import winlayers as wl
/// >>> wl.Stream("Zone.Identifier", 26)
/// Stream('Zone.Identifier', 26)
#[pyclass(frozen, eq, hash, module = "winlayers")]
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Stream(pub NamedStream);

#[pymethods]
impl Stream {
    #[new]
    #[pyo3(signature = (name, size=0))]
    fn new(name: &Bound<'_, PyAny>, size: u64) -> PyResult<Self> {
        Ok(Stream(NamedStream { name: name_bytes(name)?, size }))
    }

    #[getter]
    fn name<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyString>> {
        Ok(str_from_wtf8(py, &self.0.name)?.0)
    }

    /// The name, exact bytes.
    #[getter]
    fn raw_name<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.0.name)
    }

    #[getter]
    fn size(&self) -> u64 {
        self.0.size
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        Ok(format!("Stream({}, {})", self.name(py)?.repr()?, self.0.size))
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyTuple>)> {
        Ok((py.get_type::<Stream>().into_any(), (self.raw_name(py), self.0.size).into_pyobject(py)?))
    }
}

/// One entry of a layer.
///
/// A value: entries compare, hash and pickle by what they say, and leave the reader they came from out. The data of an
/// entry that a `LayerReader` gave is read with `open`, `read`, `parts` or `backup_stream`.
///
/// `kind` is "file", "directory", "symlink", "junction", "reparse" (another reparse tag), "hard_link" or "whiteout".
/// `streams` are the named streams, None while a forward-only reader has not reached them.
///
/// Without `basic_info` the attributes are those that the kind needs (DIRECTORY, REPARSE_POINT), and all times are
/// absent. The reparse buffer of a symlink or junction is made from its link name, where none is given.
///
/// >>> import winlayers as wl
/// >>> entry = wl.Entry("Files/hello.txt", kind="file", size=5)
/// >>> entry.name, entry.kind, entry.size
/// ('Files/hello.txt', 'file', 5)
#[pyclass(frozen, module = "winlayers")]
pub(crate) struct Entry {
    pub(crate) inner: Arc<LayerEntry>,
    pub(crate) origin: Option<Origin>,
}

impl Entry {
    pub(crate) fn attached(&self) -> PyResult<&Origin> {
        Ok(self.origin.as_ref().ok_or_else(|| Error::misuse(Misuse::EntryDetached, ""))?)
    }
}

#[pymethods]
impl Entry {
    #[new]
    #[pyo3(signature = (name, *, kind="file", basic_info=None, security_descriptor=None, extended_attributes=None,
        reparse_point=None, link_name=None, size=0, sparse_ranges=None, object_id=None, streams=None))]
    #[allow(clippy::too_many_arguments)]
    fn new(
        name: &Bound<'_, PyAny>,
        kind: &str,
        basic_info: Option<&Bound<'_, BasicInfo>>,
        security_descriptor: Option<&Bound<'_, PyAny>>,
        extended_attributes: Option<&Bound<'_, PyAny>>,
        reparse_point: Option<&Bound<'_, PyAny>>,
        link_name: Option<&Bound<'_, PyAny>>,
        size: u64,
        sparse_ranges: Option<Vec<(u64, u64)>>,
        object_id: Option<&Bound<'_, PyAny>>,
        streams: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let kind = EntryKind::from_name(kind)
            .ok_or_else(|| Error::misuse(Misuse::Argument, format!("{kind:?} is no kind of entry")))?;
        let mut entry = LayerEntry::new(name_bytes(name)?, kind);
        entry.basic_info = basic_info.map_or_else(|| default_info(kind), |info| info.get().0);
        entry.security_descriptor = security_descriptor
            .map(|sd| match sd.cast::<SecurityDescriptor>() {
                Ok(sd) => Ok(sd.get().0.raw().to_vec()),
                Err(_) => bytes_of(sd),
            })
            .transpose()?;
        for attribute in extended_attributes.map(|list| list.try_iter()).transpose()?.into_iter().flatten() {
            entry.extended_attributes.push(attribute?.cast::<ExtendedAttribute>()?.get().0.clone());
        }
        entry.reparse_point = reparse_point
            .map(|point| match point.cast::<ReparsePoint>() {
                Ok(point) => Ok(point.get().0.raw().to_vec()),
                Err(_) => bytes_of(point),
            })
            .transpose()?;
        entry.link_name = link_name.map(name_bytes).transpose()?;
        let is_link = matches!(kind, EntryKind::Symlink | EntryKind::Junction);
        if let (true, None, Some(link)) = (is_link, &entry.reparse_point, &entry.link_name) {
            let point = reparse_from_link(link, kind == EntryKind::Junction)?;
            entry.reparse_point = Some(point.into_raw());
        }
        let sparse_ranges = sparse_ranges
            .map(|ranges| ranges.into_iter().map(|(offset, length)| SparseRange { offset, length }).collect());
        if kind == EntryKind::File || size > 0 || sparse_ranges.is_some() {
            entry.data = Some(UnnamedData { size, sparse_ranges });
        }
        entry.object_id = object_id.map(bytes_of).transpose()?;
        for stream in streams.map(|list| list.try_iter()).transpose()?.into_iter().flatten() {
            let stream = stream?.cast::<Stream>()?.get().0.clone();
            entry.streams.get_or_insert_default().push(stream);
        }
        Ok(Entry { inner: Arc::new(entry), origin: None })
    }

    /// The member name, exact bytes.
    #[getter]
    fn raw_name<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.inner.name)
    }

    /// The member name: WTF-8 with lone surrogates passed, other bytes by surrogateescape.
    #[getter]
    fn name<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyString>> {
        Ok(str_from_wtf8(py, &self.inner.name)?.0)
    }

    /// Whether the name is WTF-8, and so an NT name.
    #[getter]
    fn name_is_utf16(&self) -> bool {
        nt::name::is_wtf8(&self.inner.name)
    }

    #[getter]
    fn kind<'py>(&self, py: Python<'py>) -> &Bound<'py, PyString> {
        match self.inner.kind {
            EntryKind::File => pyo3::intern!(py, "file"),
            EntryKind::Directory => pyo3::intern!(py, "directory"),
            EntryKind::Symlink => pyo3::intern!(py, "symlink"),
            EntryKind::Junction => pyo3::intern!(py, "junction"),
            EntryKind::Reparse => pyo3::intern!(py, "reparse"),
            EntryKind::HardLink => pyo3::intern!(py, "hard_link"),
            EntryKind::Whiteout => pyo3::intern!(py, "whiteout"),
        }
    }

    /// Times and attributes.
    #[getter]
    fn basic_info(&self) -> BasicInfo {
        BasicInfo(self.inner.basic_info)
    }

    /// The security descriptor, or None.
    #[getter]
    fn security_descriptor(&self) -> Option<SecurityDescriptor> {
        let raw = self.inner.security_descriptor.as_ref()?;
        Some(SecurityDescriptor(nt::SecurityDescriptor::new(raw.clone())))
    }

    /// Extended attributes in order: a tuple of ExtendedAttribute.
    #[getter]
    fn extended_attributes<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(py, self.inner.extended_attributes.iter().map(|attribute| ExtendedAttribute(attribute.clone())))
    }

    /// The reparse buffer, or None.
    #[getter]
    fn reparse_point(&self) -> PyResult<Option<ReparsePoint>> {
        let Some(raw) = &self.inner.reparse_point else { return Ok(None) };
        Ok(Some(ReparsePoint(nt::ReparsePoint::parse(raw.clone())?)))
    }

    /// The reparse buffer as bytes, also where it is malformed; or None.
    #[getter]
    fn raw_reparse_point<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyBytes>> {
        self.inner.reparse_point.as_ref().map(|raw| PyBytes::new(py, raw))
    }

    /// The link target as the tar has it, or None.
    #[getter]
    fn link_name<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyString>>> {
        self.inner.link_name.as_ref().map(|name| Ok(str_from_wtf8(py, name)?.0)).transpose()
    }

    /// The link target, exact bytes, or None.
    #[getter]
    fn raw_link_name<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyBytes>> {
        self.inner.link_name.as_ref().map(|name| PyBytes::new(py, name))
    }

    /// Bytes of the unnamed data, holes included.
    #[getter]
    fn size(&self) -> u64 {
        self.inner.size()
    }

    /// Where the data of a sparse file lies: a tuple of (offset, length) in bytes, or None.
    #[getter]
    fn sparse_ranges<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyTuple>>> {
        let Some(ranges) = self.inner.sparse_ranges() else { return Ok(None) };
        PyTuple::new(py, ranges.iter().map(|range| (range.offset, range.length))).map(Some)
    }

    /// The body of the OBJECT_ID stream, or None.
    #[getter]
    fn object_id<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyBytes>> {
        self.inner.object_id.as_ref().map(|id| PyBytes::new(py, id))
    }

    /// The named streams: a tuple of Stream, or None where they are not known yet.
    #[getter]
    fn streams<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyTuple>>> {
        let Some(streams) = &self.inner.streams else { return Ok(None) };
        PyTuple::new(py, streams.iter().map(|stream| Stream(stream.clone()))).map(Some)
    }

    /// Opens the unnamed data, or a named stream, as a binary file.
    ///
    /// Raises MisuseError ("entry_passed", "entry_detached"), and LookupError for a stream that is not there.
    #[pyo3(signature = (stream=None))]
    fn open(&self, py: Python<'_>, stream: Option<&Bound<'_, PyAny>>) -> PyResult<DataFile> {
        let stream = stream.map(name_bytes).transpose()?;
        DataFile::open(py, self.attached()?, &self.inner, stream.as_deref())
    }

    /// All of the unnamed data, or of a named stream.
    #[pyo3(signature = (stream=None))]
    fn read<'py>(&self, py: Python<'py>, stream: Option<&Bound<'py, PyAny>>) -> PyResult<Bound<'py, PyBytes>> {
        self.open(py, stream)?.read_all(py)
    }

    /// Iterates over (stream name or None, size, file) in the order of the archive.
    fn parts(&self) -> PyResult<PartIterator> {
        PartIterator::new(self.attached()?, &self.inner)
    }

    /// The entry as `BackupRead` would hand it out: in its recorded order where there is one, else SECURITY, EA,
    /// REPARSE, DATA, named streams. A binary file.
    fn backup_stream(&self, py: Python<'_>) -> PyResult<DataFile> {
        DataFile::backup_stream(py, self.attached()?, &self.inner)
    }

    fn __eq__(&self, other: &Self) -> bool {
        shown(&self.inner) == shown(&other.inner)
    }

    fn __hash__(&self) -> u64 {
        use std::hash::{DefaultHasher, Hasher};
        let mut hasher = DefaultHasher::new();
        shown(&self.inner).hash(&mut hasher);
        hasher.finish()
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let link = match self.link_name(py)? {
            Some(link) => format!(", link_name={}", link.repr()?),
            None => String::new(),
        };
        Ok(format!(
            "<Entry {} kind={:?} size={}{link}>",
            self.name(py)?.repr()?,
            self.inner.kind.name(),
            self.inner.size()
        ))
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyTuple>)> {
        let fields = PyDict::new(py);
        fields.set_item("name", self.raw_name(py))?;
        fields.set_item("kind", self.kind(py))?;
        fields.set_item("basic_info", self.basic_info())?;
        fields.set_item("security_descriptor", self.security_descriptor())?;
        fields.set_item("extended_attributes", self.extended_attributes(py)?)?;
        fields.set_item("reparse_point", self.raw_reparse_point(py))?;
        fields.set_item("link_name", self.raw_link_name(py))?;
        fields.set_item("size", self.inner.size())?;
        fields.set_item("sparse_ranges", self.sparse_ranges(py)?)?;
        fields.set_item("object_id", self.object_id(py))?;
        fields.set_item("streams", self.streams(py)?)?;
        let recorded = self.inner.recorded_text();
        if recorded.is_some() || self.inner.streams.is_none() {
            let function = py.import("winlayers._native")?.getattr("_rebuild_entry")?;
            return Ok((function, (fields, self.inner.streams.is_some(), recorded).into_pyobject(py)?));
        }
        rebuild(py, "Entry", fields)
    }
}

/// What an entry shows: data of no bytes is as none, and the directory bit of a file is not seen.
fn shown(entry: &LayerEntry) -> impl PartialEq + Hash {
    let LayerEntry { name, kind, basic_info, security_descriptor, extended_attributes, reparse_point, .. } = entry;
    let LayerEntry { link_name, object_id, streams, recorded, data: _, directory_mode: _, .. } = entry;
    let values = (name, kind, basic_info, security_descriptor, extended_attributes, reparse_point, link_name);
    (values, entry.size(), entry.sparse_ranges(), object_id, streams, recorded)
}

/// The attributes without which Windows would take the entry for something else.
fn default_info(kind: EntryKind) -> nt::BasicInfo {
    let attributes = match kind {
        EntryKind::Directory => nt::FileAttributes::DIRECTORY,
        EntryKind::Symlink | EntryKind::Reparse => nt::FileAttributes::REPARSE_POINT,
        EntryKind::Junction => nt::FileAttributes::DIRECTORY | nt::FileAttributes::REPARSE_POINT,
        EntryKind::File | EntryKind::HardLink | EntryKind::Whiteout => nt::FileAttributes::default(),
    };
    nt::BasicInfo { attributes, ..nt::BasicInfo::default() }
}

/// What pickle calls for an entry that keyword arguments alone cannot make.
#[pyfunction]
pub(super) fn _rebuild_entry(
    py: Python<'_>,
    fields: &Bound<'_, PyDict>,
    streams_known: bool,
    recorded: Option<&str>,
) -> PyResult<Entry> {
    let entry = py.get_type::<Entry>().call((), Some(fields))?;
    let mut inner = (*entry.cast::<Entry>()?.get().inner).clone();
    if !streams_known {
        inner.streams = None;
    }
    if let Some(text) = recorded {
        inner.set_recorded(text)?;
    }
    Ok(Entry { inner: Arc::new(inner), origin: None })
}
