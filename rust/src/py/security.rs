//! Security descriptors and their entries as Python values.

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple, PyType};

use super::convert::bytes_of;
use super::flags::SECURITY_CONTROL;
use crate::nt::acl::AceBody;
use crate::nt::security::AclPart;
use crate::nt::{self, Sid, sddl};

pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<SecurityDescriptor>()?;
    module.add_class::<Ace>()
}

/// A self-relative security descriptor: the raw bytes, and what they say.
///
/// Any bytes can be carried; reading a malformed part raises FormatError.
///
/// >>> import winlayers as wl
/// >>> sd = wl.SecurityDescriptor.from_sddl("O:BAG:SYD:(A;;FA;;;BA)")
/// >>> sd.owner, len(sd.dacl)
/// ('S-1-5-32-544', 1)
/// >>> wl.SecurityDescriptor(bytes(sd)).to_sddl()
/// 'O:BAG:SYD:(A;;FA;;;BA)'
/// >>> wl.SecurityDescriptor(b"?").owner
/// Traceback (most recent call last):
/// winlayers.exceptions.FormatError: at byte 0: security descriptor header: expected 20 bytes, found 1 bytes
#[pyclass(frozen, eq, ord, hash, module = "winlayers", from_py_object)]
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct SecurityDescriptor(pub(crate) nt::SecurityDescriptor);

#[pymethods]
impl SecurityDescriptor {
    #[new]
    fn new(raw: &Bound<'_, PyAny>) -> PyResult<Self> {
        Ok(SecurityDescriptor(nt::SecurityDescriptor::new(bytes_of(raw)?)))
    }

    /// Read SDDL, on any system. domain_sid is what aliases such as DA are relative to.
    ///
    /// >>> import winlayers as wl
    /// >>> wl.SecurityDescriptor.from_sddl("O:DA", domain_sid="S-1-5-21-1-2-3").owner
    /// 'S-1-5-21-1-2-3-512'
    #[classmethod]
    #[pyo3(signature = (text, domain_sid=None))]
    fn from_sddl(_cls: &Bound<'_, PyType>, text: &str, domain_sid: Option<&str>) -> PyResult<Self> {
        let domain = domain(domain_sid)?;
        Ok(SecurityDescriptor(nt::SecurityDescriptor::from_sddl(text, domain.as_ref())?))
    }

    /// Write SDDL as Windows does. Members of the domain given get their aliases.
    #[pyo3(signature = (domain_sid=None))]
    fn to_sddl(&self, domain_sid: Option<&str>) -> PyResult<String> {
        let domain = domain(domain_sid)?;
        Ok(self.0.to_sddl(domain.as_ref())?)
    }

    /// The bytes, the same as bytes().
    #[getter]
    fn raw<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.0.raw())
    }

    /// The owner's SID as text, or None.
    #[getter]
    fn owner(&self) -> PyResult<Option<String>> {
        Ok(self.0.owner()?.map(|sid| sid.to_string()))
    }

    /// The primary group's SID as text, or None.
    #[getter]
    fn group(&self) -> PyResult<Option<String>> {
        Ok(self.0.group()?.map(|sid| sid.to_string()))
    }

    /// Who may do what: a tuple of Ace. None where there is no list: everything is allowed when control has
    /// DACL_PRESENT (a NULL DACL), another source decides when it has not.
    #[getter]
    fn dacl<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyTuple>>> {
        aces(py, self.0.dacl()?)
    }

    /// What is audited, and labels: a tuple of Ace, or None.
    #[getter]
    fn sacl<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyTuple>>> {
        aces(py, self.0.sacl()?)
    }

    /// The control bits, a SecurityControl.
    #[getter]
    fn control<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        SECURITY_CONTROL.member(py, u32::from(self.0.control()?))
    }

    fn __bytes__<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.0.raw())
    }

    fn __repr__(&self) -> String {
        match self.0.to_sddl(None) {
            Ok(text) => format!("<SecurityDescriptor {text}>"),
            Err(_) => format!("<SecurityDescriptor {} bytes>", self.0.raw().len()),
        }
    }

    fn __getnewargs__<'py>(&self, py: Python<'py>) -> (Bound<'py, PyBytes>,) {
        (self.raw(py),)
    }
}

/// One entry of an access control list.
///
/// >>> import winlayers as wl
/// >>> ace, = wl.SecurityDescriptor.from_sddl("D:(A;OICI;FA;;;BA)").dacl
/// >>> ace.type, ace.flags, hex(ace.mask), ace.sid
/// (0, 3, '0x1f01ff', 'S-1-5-32-544')
/// >>> str(ace)
/// '(A;OICI;FA;;;BA)'
/// >>> wl.Ace(bytes(ace)) == ace
/// True
#[pyclass(frozen, eq, hash, module = "winlayers", from_py_object)]
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Ace(nt::Ace);

#[pymethods]
impl Ace {
    #[new]
    fn new(raw: &Bound<'_, PyAny>) -> PyResult<Self> {
        Ok(Ace(nt::Ace::from_bytes(&bytes_of(raw)?)?))
    }

    /// The type of entry ([MS-DTYP] 2.4.4.1): 0 allows, 1 denies, 2 audits, 17 is a mandatory label, ...
    #[getter]
    fn r#type(&self) -> u8 {
        self.0.ace_type
    }

    /// Inheritance and audit flags.
    #[getter]
    fn flags(&self) -> u8 {
        self.0.flags
    }

    /// The access mask; None in types that have a layout of their own.
    #[getter]
    fn mask(&self) -> Option<u32> {
        match &self.0.body {
            AceBody::Rights { mask, .. } => Some(*mask),
            AceBody::Opaque(_) => None,
        }
    }

    /// The SID it speaks of as text; None in types that have a layout of their own.
    #[getter]
    fn sid(&self) -> Option<String> {
        match &self.0.body {
            AceBody::Rights { sid, .. } => Some(sid.to_string()),
            AceBody::Opaque(_) => None,
        }
    }

    /// The GUID of the property, right or class that it is for, or None.
    #[getter]
    fn object_type(&self) -> Option<String> {
        self.guids().object_type.map(|guid| guid.to_string())
    }

    /// The GUID of the class that inherits it, or None.
    #[getter]
    fn inherited_object_type(&self) -> Option<String> {
        self.guids().inherited_object_type.map(|guid| guid.to_string())
    }

    /// What follows the SID: a condition, a resource attribute, or nothing.
    #[getter]
    fn application_data<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        match &self.0.body {
            AceBody::Rights { application_data, .. } => PyBytes::new(py, application_data),
            AceBody::Opaque(bytes) => PyBytes::new(py, bytes),
        }
    }

    /// The entry as SDDL; UnsupportedOperationError where the language has no word for its type.
    #[pyo3(signature = (domain_sid=None))]
    fn to_sddl(&self, domain_sid: Option<&str>) -> PyResult<String> {
        let domain = domain(domain_sid)?;
        Ok(sddl::ace_to_string(&self.0, domain.as_ref())?)
    }

    fn __str__(&self) -> PyResult<String> {
        self.to_sddl(None)
    }

    fn __bytes__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        Ok(PyBytes::new(py, &self.0.to_bytes()?))
    }

    fn __repr__(&self) -> String {
        match sddl::ace_to_string(&self.0, None) {
            Ok(text) => format!("<Ace {text}>"),
            Err(_) => format!("<Ace type {:#04x}>", self.0.ace_type),
        }
    }

    fn __getnewargs__<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyBytes>,)> {
        Ok((self.__bytes__(py)?,))
    }
}

impl Ace {
    fn guids(&self) -> nt::acl::ObjectGuids {
        match &self.0.body {
            AceBody::Rights { object, .. } => object.unwrap_or_default(),
            AceBody::Opaque(_) => nt::acl::ObjectGuids::default(),
        }
    }
}

fn aces(py: Python<'_>, part: AclPart) -> PyResult<Option<Bound<'_, PyTuple>>> {
    match part {
        AclPart::Absent | AclPart::Null => Ok(None),
        AclPart::Present(acl) => PyTuple::new(py, acl.aces.into_iter().map(Ace)).map(Some),
    }
}

fn domain(sid: Option<&str>) -> crate::error::Result<Option<Sid>> {
    sid.map(str::parse).transpose()
}
