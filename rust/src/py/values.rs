//! Times, basic information, reparse points and extended attributes as Python values.

use pyo3::exceptions::{PyOverflowError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyString, PyType};

use super::convert::{bytes_of, name_bytes, str_from_utf16, str_from_wtf8, utf16_of};
use super::flags::FILE_ATTRIBUTES;
use crate::error::{Error, Misuse};
use crate::nt::reparse::{self, Decoded, Wof};
use crate::nt::{self, FileAttributes, ea, name};

pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<FileTime>()?;
    module.add_class::<BasicInfo>()?;
    module.add_class::<ReparsePoint>()?;
    module.add_class::<ExtendedAttribute>()?;
    module.add_function(wrap_pyfunction!(fold_name, module)?)
}

/// A Windows time: 100-nanosecond ticks since 1601-01-01 UTC, over the whole range of 64 bits.
///
/// >>> import winlayers as wl
/// >>> time = wl.FileTime.from_unix_ns(1_600_000_000_123_456_789)
/// >>> time.ticks
/// 132444736001234567
/// >>> str(time)
/// '2020-09-13T12:26:40.1234567Z'
/// >>> time.to_datetime()
/// datetime.datetime(2020, 9, 13, 12, 26, 40, 123456, tzinfo=datetime.timezone.utc)
/// >>> wl.FileTime(0) < time
/// True
#[pyclass(frozen, eq, ord, hash, module = "winlayers", from_py_object)]
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct FileTime(pub(crate) nt::FileTime);

// PyO3 calls methods by reference.
#[allow(clippy::wrong_self_convention)]
#[pymethods]
impl FileTime {
    #[new]
    fn new(ticks: i64) -> Self {
        FileTime(nt::FileTime(ticks))
    }

    /// 100-nanosecond ticks since 1601-01-01 UTC.
    #[getter]
    fn ticks(&self) -> i64 {
        self.0.0
    }

    /// An aware datetime in UTC, rounded down to a microsecond; OverflowError before year 1 and after year 9999.
    fn to_datetime<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let since = PyDict::new(py);
        since.set_item("microseconds", self.0.0.div_euclid(10))?;
        let since = py.import("datetime")?.getattr("timedelta")?.call((), Some(&since))?;
        start_of_time(py)?
            .call_method1("__add__", (since,))
            .map_err(|_| PyOverflowError::new_err(format!("{} is outside the years 1 to 9999 of datetime", self.0)))
    }

    /// The time of an aware datetime; ValueError for a naive one.
    ///
    /// >>> import winlayers as wl
    /// >>> from datetime import datetime, timezone
    /// >>> wl.FileTime.from_datetime(datetime(1970, 1, 1, tzinfo=timezone.utc))
    /// FileTime(116444736000000000)
    #[classmethod]
    fn from_datetime(cls: &Bound<'_, PyType>, value: &Bound<'_, PyAny>) -> PyResult<Self> {
        let py = cls.py();
        if value.call_method0("utcoffset")?.is_none() {
            return Err(PyValueError::new_err("a datetime without a time zone is no point in time"));
        }
        let microsecond = py.import("datetime")?.getattr("timedelta")?.call1((0, 0, 1))?;
        let since = value.sub(start_of_time(py)?)?.call_method1("__floordiv__", (microsecond,))?;
        let ticks = since.extract::<i64>()?.checked_mul(10).ok_or_else(out_of_range)?;
        Ok(FileTime(nt::FileTime(ticks)))
    }

    /// Nanoseconds since 1970, exact.
    fn to_unix_ns(&self) -> i128 {
        (i128::from(self.0.0) - i128::from(nt::FileTime::UNIX_EPOCH_TICKS)) * 100
    }

    /// The time at so many nanoseconds since 1970, rounded down to a tick; OverflowError out of range.
    #[classmethod]
    fn from_unix_ns(_cls: &Bound<'_, PyType>, nanoseconds: i128) -> PyResult<Self> {
        let ticks = nanoseconds.div_euclid(100).checked_add(i128::from(nt::FileTime::UNIX_EPOCH_TICKS));
        let ticks = ticks.and_then(|ticks| i64::try_from(ticks).ok()).ok_or_else(out_of_range)?;
        Ok(FileTime(nt::FileTime(ticks)))
    }

    /// ISO 8601 with seven digits, the same as str(); years outside 0 to 9999 have a sign and six digits.
    fn isoformat(&self) -> String {
        self.0.to_string()
    }

    /// Read what isoformat() writes, with seven digits of fraction or fewer; ValueError for other text.
    ///
    /// >>> import winlayers as wl
    /// >>> wl.FileTime.fromisoformat("1601-01-01T00:00:01Z")
    /// FileTime(10000000)
    #[classmethod]
    fn fromisoformat(_cls: &Bound<'_, PyType>, text: &str) -> PyResult<Self> {
        let time = nt::FileTime::parse_iso8601(text);
        time.map(FileTime).ok_or_else(|| PyValueError::new_err(format!("not an ISO 8601 time in UTC: {text:?}")))
    }

    fn __str__(&self) -> String {
        self.0.to_string()
    }

    fn __repr__(&self) -> String {
        format!("FileTime({})", self.0.0)
    }

    fn __getnewargs__(&self) -> (i64,) {
        (self.0.0,)
    }
}

fn start_of_time(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    let datetime = py.import("datetime")?;
    let utc = datetime.getattr("timezone")?.getattr("utc")?;
    datetime.getattr("datetime")?.call1((1601, 1, 1, 0, 0, 0, 0, utc))
}

fn out_of_range() -> PyErr {
    PyOverflowError::new_err("outside the range of FILETIME")
}

/// The four times and the attributes of a file (FILE_BASIC_INFO).
///
/// A time is None when the layer has no record of it; FileTime(0) is a stored zero.
///
/// >>> import winlayers as wl
/// >>> info = wl.BasicInfo(last_write_time=wl.FileTime(7), attributes=wl.FileAttributes.HIDDEN)
/// >>> info.creation_time is None
/// True
/// >>> info.attributes
/// <FileAttributes.HIDDEN: 2>
/// >>> wl.BasicInfo.from_bytes(info.to_bytes()).creation_time
/// FileTime(0)
#[pyclass(frozen, eq, ord, hash, module = "winlayers", from_py_object)]
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct BasicInfo(pub(crate) nt::BasicInfo);

// PyO3 calls methods by reference.
#[allow(clippy::wrong_self_convention)]
#[pymethods]
impl BasicInfo {
    #[new]
    #[pyo3(signature = (creation_time=None, last_access_time=None, last_write_time=None, change_time=None, attributes=0))]
    fn new(
        creation_time: Option<FileTime>,
        last_access_time: Option<FileTime>,
        last_write_time: Option<FileTime>,
        change_time: Option<FileTime>,
        attributes: u32,
    ) -> Self {
        BasicInfo(nt::BasicInfo {
            creation_time: creation_time.map(|time| time.0),
            last_access_time: last_access_time.map(|time| time.0),
            last_write_time: last_write_time.map(|time| time.0),
            change_time: change_time.map(|time| time.0),
            attributes: FileAttributes(attributes),
        })
    }

    /// Read the 40 bytes of a FILE_BASIC_INFO; every time is a stored one.
    #[classmethod]
    fn from_bytes(_cls: &Bound<'_, PyType>, data: &Bound<'_, PyAny>) -> PyResult<Self> {
        let data = bytes_of(data)?;
        let array = data.as_slice().try_into().map_err(|_| {
            Error::misuse(Misuse::Argument, format!("a FILE_BASIC_INFO has 40 bytes, not {}", data.len()))
        })?;
        Ok(BasicInfo(nt::BasicInfo::from_bytes(array)))
    }

    /// Write the 40 bytes of a FILE_BASIC_INFO; a time without a record is 0.
    fn to_bytes<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.0.to_bytes())
    }

    /// When the file was made.
    #[getter]
    fn creation_time(&self) -> Option<FileTime> {
        self.0.creation_time.map(FileTime)
    }

    /// When it was last read.
    #[getter]
    fn last_access_time(&self) -> Option<FileTime> {
        self.0.last_access_time.map(FileTime)
    }

    /// When its data last changed.
    #[getter]
    fn last_write_time(&self) -> Option<FileTime> {
        self.0.last_write_time.map(FileTime)
    }

    /// When anything about it last changed.
    #[getter]
    fn change_time(&self) -> Option<FileTime> {
        self.0.change_time.map(FileTime)
    }

    /// Its attributes.
    #[getter]
    fn attributes<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        FILE_ATTRIBUTES.member(py, self.0.attributes.0)
    }

    fn __repr__(&self) -> String {
        let time =
            |time: Option<nt::FileTime>| time.map_or_else(|| "None".to_owned(), |t| format!("FileTime({})", t.0));
        format!(
            "BasicInfo(creation_time={}, last_access_time={}, last_write_time={}, change_time={}, attributes={:#x})",
            time(self.0.creation_time),
            time(self.0.last_access_time),
            time(self.0.last_write_time),
            time(self.0.change_time),
            self.0.attributes.0
        )
    }

    #[allow(clippy::type_complexity)]
    fn __getnewargs__(&self) -> (Option<FileTime>, Option<FileTime>, Option<FileTime>, Option<FileTime>, u32) {
        let [creation, access, write, change] =
            [self.0.creation_time, self.0.last_access_time, self.0.last_write_time, self.0.change_time]
                .map(|time| time.map(FileTime));
        (creation, access, write, change, self.0.attributes.0)
    }
}

/// A reparse buffer of any tag: the raw bytes, and what they say.
///
/// >>> import winlayers as wl
/// >>> link = wl.ReparsePoint.symlink("C:\\Windows")
/// >>> link.kind, link.print_name, link.substitute_name, link.is_relative
/// ('symlink', 'C:\\Windows', '\\??\\C:\\Windows', False)
/// >>> wl.ReparsePoint(bytes(link)) == link
/// True
#[pyclass(frozen, eq, ord, hash, module = "winlayers", from_py_object)]
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ReparsePoint(pub(crate) nt::ReparsePoint);

#[pymethods]
impl ReparsePoint {
    #[new]
    fn new(raw: &Bound<'_, PyAny>) -> PyResult<Self> {
        Ok(ReparsePoint(nt::ReparsePoint::parse(bytes_of(raw)?)?))
    }

    /// Make a symlink. The substitute name and whether the link is relative follow from the target unless they are
    /// given. layout "windows" puts the print name first, as Windows does; "go-winio" is what go-winio makes of a tar.
    ///
    /// >>> import winlayers as wl
    /// >>> wl.ReparsePoint.symlink("..\\other").is_relative
    /// True
    #[classmethod]
    #[pyo3(signature = (target, *, substitute_name=None, relative=None, layout="windows"))]
    fn symlink(
        _cls: &Bound<'_, PyType>,
        target: &Bound<'_, PyString>,
        substitute_name: Option<&Bound<'_, PyString>>,
        relative: Option<bool>,
        layout: &str,
    ) -> PyResult<Self> {
        let print = utf16_of(target)?;
        if is_go_winio(layout, substitute_name.is_some() || relative.is_some())? {
            return Ok(ReparsePoint(reparse::encode_go_winio(&name::wtf8_from_utf16(&print), false)?));
        }
        let (derived, derived_relative) = reparse::nt_target(&print);
        let substitute = substitute_name.map_or(Ok(derived), utf16_of)?;
        let relative = relative.unwrap_or(derived_relative);
        Ok(ReparsePoint(nt::ReparsePoint::symlink(&substitute, &print, relative)?))
    }

    /// Make a junction. The substitute name follows from the target unless it is given.
    ///
    /// >>> import winlayers as wl
    /// >>> wl.ReparsePoint.junction("C:\\Users").substitute_name
    /// '\\??\\C:\\Users'
    #[classmethod]
    #[pyo3(signature = (target, *, substitute_name=None, layout="windows"))]
    fn junction(
        _cls: &Bound<'_, PyType>,
        target: &Bound<'_, PyString>,
        substitute_name: Option<&Bound<'_, PyString>>,
        layout: &str,
    ) -> PyResult<Self> {
        let print = utf16_of(target)?;
        if is_go_winio(layout, substitute_name.is_some())? {
            return Ok(ReparsePoint(reparse::encode_go_winio(&name::wtf8_from_utf16(&print), true)?));
        }
        let substitute = substitute_name.map_or_else(|| Ok(reparse::nt_target(&print).0), utf16_of)?;
        Ok(ReparsePoint(nt::ReparsePoint::junction(&substitute, &print)?))
    }

    /// The whole buffer, the same as bytes().
    #[getter]
    fn raw<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.0.raw())
    }

    /// The tag, such as 0xA000000C for a symlink.
    #[getter]
    fn tag(&self) -> u32 {
        self.0.tag()
    }

    /// The name of the tag without IO_REPARSE_TAG_, or None.
    #[getter]
    fn tag_name(&self) -> Option<String> {
        self.0.tag_name()
    }

    /// "symlink", "junction" or "reparse".
    #[getter]
    fn kind(&self) -> &'static str {
        self.0.kind().name()
    }

    /// What follows the header.
    #[getter]
    fn data<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.0.data())
    }

    /// The GUID of a tag that is not Microsoft's, or None.
    #[getter]
    fn guid(&self) -> Option<String> {
        self.0.guid().map(|guid| guid.to_string())
    }

    /// Where a symlink or junction leads as programs show it; None for other tags and names outside the buffer.
    #[getter]
    fn print_name<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyString>>> {
        self.0.print_name().map(|name| str_from_utf16(py, &name)).transpose()
    }

    /// Where a symlink or junction leads as the kernel resolves it; None for other tags and names outside the buffer.
    #[getter]
    fn substitute_name<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyString>>> {
        self.0.substitute_name().map(|name| str_from_utf16(py, &name)).transpose()
    }

    /// Whether it is a symlink that is resolved from its own directory.
    #[getter]
    fn is_relative(&self) -> bool {
        self.0.is_relative()
    }

    /// The data of other tags in their own terms: a dict, empty where there is nothing to say.
    ///
    /// >>> import winlayers as wl
    /// >>> lx = wl.ReparsePoint(bytes.fromhex("1d0000a008000000020000002f657463"))
    /// >>> lx.tag_name, lx.details
    /// ('LX_SYMLINK', {'target': b'/etc'})
    #[getter]
    fn details<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let details = PyDict::new(py);
        match self.0.decoded() {
            Decoded::LxSymlink(target) => details.set_item("target", PyBytes::new(py, &target))?,
            Decoded::AppExecLink(link) => {
                let strings: PyResult<Vec<_>> = link.strings.iter().map(|text| str_from_utf16(py, text)).collect();
                details.set_item("version", link.version)?;
                details.set_item("strings", strings?)?;
            }
            Decoded::Wci(wci) => {
                details.set_item("version", wci.version)?;
                details.set_item("layer", wci.layer.to_string())?;
                details.set_item("path", str_from_utf16(py, &wci.path)?)?;
            }
            Decoded::Wof(Wof::File { algorithm }) => {
                details.set_item("provider", "file")?;
                details.set_item("algorithm", algorithm)?;
            }
            Decoded::Wof(Wof::Wim { data_source, hash }) => {
                details.set_item("provider", "wim")?;
                details.set_item("data_source", data_source)?;
                details.set_item("hash", PyBytes::new(py, &hash))?;
            }
            Decoded::Link | Decoded::WciTombstone | Decoded::Cloud | Decoded::AfUnix | Decoded::Opaque => {}
        }
        Ok(details)
    }

    fn __bytes__<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.0.raw())
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let tag = self.0.tag_name().unwrap_or_else(|| format!("{:#010x}", self.0.tag()));
        Ok(match self.print_name(py)? {
            Some(name) => format!("<ReparsePoint {tag} {}>", name.repr()?),
            None => format!("<ReparsePoint {tag} {} bytes>", self.0.raw().len()),
        })
    }

    fn __getnewargs__<'py>(&self, py: Python<'py>) -> (Bound<'py, PyBytes>,) {
        (self.raw(py),)
    }
}

fn is_go_winio(layout: &str, has_own_names: bool) -> PyResult<bool> {
    match layout {
        "windows" => Ok(false),
        "go-winio" if !has_own_names => Ok(true),
        "go-winio" => Err(PyValueError::new_err("layout \"go-winio\" derives everything from the target")),
        _ => Err(PyValueError::new_err("layout is \"windows\" or \"go-winio\"")),
    }
}

/// One extended attribute of a file.
///
/// The name is str or bytes; it reads as str, and raw_name has the bytes.
///
/// >>> import winlayers as wl
/// >>> ea = wl.ExtendedAttribute("$CI.CATALOGHINT", b"\x01")
/// >>> ea.name, ea.value, ea.flags
/// ('$CI.CATALOGHINT', b'\x01', 0)
#[pyclass(frozen, eq, ord, hash, module = "winlayers", from_py_object)]
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ExtendedAttribute(pub(crate) nt::ExtendedAttribute);

#[pymethods]
impl ExtendedAttribute {
    #[new]
    #[pyo3(signature = (name, value, flags=0))]
    fn new(name: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>, flags: u8) -> PyResult<Self> {
        Ok(ExtendedAttribute(nt::ExtendedAttribute { name: name_bytes(name)?, value: bytes_of(value)?, flags }))
    }

    /// Read a list, as the EA_DATA of a backup stream has it, or as NTFS has it on disk.
    ///
    /// >>> import winlayers as wl
    /// >>> wl.ExtendedAttribute.decode_list(bytes.fromhex("0000000000030300464f4f0062617200"))
    /// [ExtendedAttribute('FOO', b'bar')]
    #[classmethod]
    #[pyo3(signature = (data, *, on_disk=false))]
    fn decode_list(_cls: &Bound<'_, PyType>, data: &Bound<'_, PyAny>, on_disk: bool) -> PyResult<Vec<Self>> {
        let data = bytes_of(data)?;
        let list = if on_disk { ea::decode_on_disk(&data) } else { ea::decode(&data) }?;
        Ok(list.into_iter().map(ExtendedAttribute).collect())
    }

    /// Write a list, for the EA_DATA of a backup stream or as NTFS has it on disk.
    ///
    /// >>> import winlayers as wl
    /// >>> wl.ExtendedAttribute.encode_list([wl.ExtendedAttribute("FOO", b"bar")]).hex()
    /// '0000000000030300464f4f0062617200'
    #[classmethod]
    #[pyo3(signature = (attributes, *, on_disk=false))]
    fn encode_list<'py>(
        cls: &Bound<'py, PyType>,
        attributes: Vec<ExtendedAttribute>,
        on_disk: bool,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let list: Vec<_> = attributes.into_iter().map(|attribute| attribute.0).collect();
        let bytes = if on_disk { ea::encode_on_disk(&list) } else { ea::encode(&list) }?;
        Ok(PyBytes::new(cls.py(), &bytes))
    }

    /// The name; bytes that are no UTF-8 come through surrogateescape.
    #[getter]
    fn name<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyString>> {
        str_from_wtf8(py, &self.0.name).map(|(name, _)| name)
    }

    /// The name's bytes.
    #[getter]
    fn raw_name<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.0.name)
    }

    /// The value.
    #[getter]
    fn value<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.0.value)
    }

    /// 0x80 where a program must understand the attribute to use the file, else 0.
    #[getter]
    fn flags(&self) -> u8 {
        self.0.flags
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let (name, value) = (self.name(py)?.repr()?, self.value(py).repr()?);
        let flags = if self.0.flags == 0 { String::new() } else { format!(", flags={:#x}", self.0.flags) };
        Ok(format!("ExtendedAttribute({name}, {value}{flags})"))
    }

    fn __getnewargs__<'py>(&self, py: Python<'py>) -> (Bound<'py, PyBytes>, Bound<'py, PyBytes>, u8) {
        (self.raw_name(py), self.value(py), self.0.flags)
    }
}

/// Fold a name to the form in which NTFS compares names.
///
/// Each UTF-16 unit is upper-cased by itself: nothing is normalised, and nothing beyond U+FFFF has a case.
///
/// >>> import winlayers as wl
/// >>> wl.fold_name("straße.ÿ")
/// 'STRAßE.Ÿ'
#[pyfunction]
fn fold_name<'py>(py: Python<'py>, name: &Bound<'py, PyString>) -> PyResult<Bound<'py, PyString>> {
    str_from_utf16(py, &nt::name::fold(&utf16_of(name)?))
}
