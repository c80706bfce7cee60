//! Security descriptors: who owns a file, who may use it, what is audited.
//!
//! Files carry the self-relative form ([MS-DTYP] 2.4.6): `u8 revision, u8, u16 control, u32` offsets of owner, group,
//! SACL and DACL, then those four in any order. Windows itself writes several orders, so the bytes are the value and
//! are never encoded again.

use crate::error::{Error, Format, Result};

use super::bytes::{u16_at, u32_at};
use super::{Acl, Sid};

/// A security descriptor: the raw bytes, with views that check what they read.
///
/// Any bytes can be carried. A view of malformed ones is an error that names the field, what was expected and what is
/// there.
///
/// ```
/// use winlayers::nt::SecurityDescriptor;
/// let sd = SecurityDescriptor::from_sddl("O:BAG:SYD:(A;;FA;;;BA)", None).unwrap();
/// assert_eq!(sd.owner().unwrap().unwrap().to_string(), "S-1-5-32-544");
/// assert_eq!(sd.dacl().unwrap().acl().unwrap().aces.len(), 1);
/// assert_eq!(sd.to_sddl(None).unwrap(), "O:BAG:SYD:(A;;FA;;;BA)");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SecurityDescriptor {
    raw: Vec<u8>,
}

/// The parts of a descriptor, for building one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SecurityParts {
    /// Control bits; those that say what is present are set from the other parts.
    pub control: u16,
    /// The owner.
    pub owner: Option<Sid>,
    /// The primary group.
    pub group: Option<Sid>,
    /// What is audited, and labels.
    pub sacl: AclPart,
    /// Who may do what.
    pub dacl: AclPart,
}

/// An ACL's place in a descriptor.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum AclPart {
    /// Not present: another source decides.
    #[default]
    Absent,
    /// Present and NULL: everything is allowed, nothing is audited.
    Null,
    /// Present.
    Present(Acl),
}

impl AclPart {
    /// The list, where there is one.
    #[must_use]
    pub fn acl(&self) -> Option<&Acl> {
        match self {
            AclPart::Present(acl) => Some(acl),
            AclPart::Absent | AclPart::Null => None,
        }
    }
}

/// The control bits ([MS-DTYP] 2.4.6).
#[derive(Debug, Clone, Copy)]
pub struct Control;

#[allow(missing_docs)]
impl Control {
    pub const OWNER_DEFAULTED: u16 = 0x0001;
    pub const GROUP_DEFAULTED: u16 = 0x0002;
    pub const DACL_PRESENT: u16 = 0x0004;
    pub const DACL_DEFAULTED: u16 = 0x0008;
    pub const SACL_PRESENT: u16 = 0x0010;
    pub const SACL_DEFAULTED: u16 = 0x0020;
    pub const DACL_TRUSTED: u16 = 0x0040;
    pub const SERVER_SECURITY: u16 = 0x0080;
    pub const DACL_AUTO_INHERIT_REQ: u16 = 0x0100;
    pub const SACL_AUTO_INHERIT_REQ: u16 = 0x0200;
    pub const DACL_AUTO_INHERITED: u16 = 0x0400;
    pub const SACL_AUTO_INHERITED: u16 = 0x0800;
    pub const DACL_PROTECTED: u16 = 0x1000;
    pub const SACL_PROTECTED: u16 = 0x2000;
    pub const RM_CONTROL_VALID: u16 = 0x4000;
    pub const SELF_RELATIVE: u16 = 0x8000;
}

const HEADER: usize = 20;
const OWNER_AT: usize = 4;
const GROUP_AT: usize = 8;
const SACL_AT: usize = 12;
const DACL_AT: usize = 16;

impl SecurityDescriptor {
    /// Takes the bytes of a descriptor as they are.
    #[must_use]
    pub fn new(raw: Vec<u8>) -> Self {
        SecurityDescriptor { raw }
    }

    /// Builds a self-relative descriptor in the order owner, group, SACL, DACL, which is that of .NET and Samba.
    ///
    /// # Errors
    /// A format error when an ACL is over 65,535 bytes.
    pub fn build(parts: &SecurityParts) -> Result<Self> {
        const PRESENT: u16 = Control::DACL_PRESENT | Control::SACL_PRESENT;
        let mut control = parts.control & !PRESENT | Control::SELF_RELATIVE;
        let mut raw = vec![0; HEADER];
        let place = |raw: &mut Vec<u8>, at: usize, bytes: &[u8]| {
            let offset = u32::try_from(raw.len()).expect("two SIDs and two ACLs are below 2^18 bytes");
            raw[at..at + 4].copy_from_slice(&offset.to_le_bytes());
            raw.extend(bytes);
        };
        for (at, sid) in [(OWNER_AT, &parts.owner), (GROUP_AT, &parts.group)] {
            if let Some(sid) = sid {
                place(&mut raw, at, &sid.to_bytes());
            }
        }
        for (at, bit, acl) in
            [(SACL_AT, Control::SACL_PRESENT, &parts.sacl), (DACL_AT, Control::DACL_PRESENT, &parts.dacl)]
        {
            if *acl != AclPart::Absent {
                control |= bit;
            }
            if let AclPart::Present(acl) = acl {
                place(&mut raw, at, &acl.to_bytes()?);
            }
        }
        raw[0] = 1;
        raw[2..4].copy_from_slice(&control.to_le_bytes());
        Ok(SecurityDescriptor { raw })
    }

    /// The bytes, as they came.
    #[must_use]
    pub fn raw(&self) -> &[u8] {
        &self.raw
    }

    /// The bytes, as they came.
    #[must_use]
    pub fn into_raw(self) -> Vec<u8> {
        self.raw
    }

    /// The control bits; see [`Control`].
    ///
    /// # Errors
    /// A format error when the header is short, of another revision than 1, or not self-relative.
    pub fn control(&self) -> Result<u16> {
        let (Some(revision), Some(control), true) = (self.raw.first(), u16_at(&self.raw, 2), self.raw.len() >= HEADER)
        else {
            return Err(fault("header", format!("{HEADER} bytes"), format!("{} bytes", self.raw.len()), 0));
        };
        if *revision != 1 {
            return Err(fault("revision", "1", revision.to_string(), 0));
        }
        if control & Control::SELF_RELATIVE == 0 {
            return Err(fault("control", "the self-relative bit 0x8000", format!("{control:#06x}"), 2));
        }
        Ok(control)
    }

    /// The owner; `None` where there is none.
    ///
    /// # Errors
    /// A format error when the header or the SID is malformed.
    pub fn owner(&self) -> Result<Option<Sid>> {
        self.sid("owner offset", OWNER_AT)
    }

    /// The primary group; `None` where there is none.
    ///
    /// # Errors
    /// As [`SecurityDescriptor::owner`].
    pub fn group(&self) -> Result<Option<Sid>> {
        self.sid("group offset", GROUP_AT)
    }

    /// The discretionary ACL: who may do what.
    ///
    /// # Errors
    /// A format error when the header or the ACL is malformed.
    pub fn dacl(&self) -> Result<AclPart> {
        self.acl("DACL offset", DACL_AT, Control::DACL_PRESENT)
    }

    /// The system ACL: what is audited, and labels.
    ///
    /// # Errors
    /// As [`SecurityDescriptor::dacl`].
    pub fn sacl(&self) -> Result<AclPart> {
        self.acl("SACL offset", SACL_AT, Control::SACL_PRESENT)
    }

    /// All parts at once.
    ///
    /// # Errors
    /// A format error when any of them is malformed.
    pub fn parts(&self) -> Result<SecurityParts> {
        Ok(SecurityParts {
            control: self.control()?,
            owner: self.owner()?,
            group: self.group()?,
            sacl: self.sacl()?,
            dacl: self.dacl()?,
        })
    }

    fn sid(&self, field: &'static str, field_at: usize) -> Result<Option<Sid>> {
        self.control()?;
        let Some(offset) = self.offset(field, field_at)? else { return Ok(None) };
        Sid::parse(&self.raw[offset..]).map(Some).map_err(|error| error.at(offset as u64))
    }

    fn acl(&self, field: &'static str, field_at: usize, present: u16) -> Result<AclPart> {
        if self.control()? & present == 0 {
            return Ok(AclPart::Absent);
        }
        match self.offset(field, field_at)? {
            None => Ok(AclPart::Null),
            Some(offset) => Acl::parse(&self.raw, offset).map(AclPart::Present),
        }
    }

    fn offset(&self, field: &'static str, field_at: usize) -> Result<Option<usize>> {
        match u32_at(&self.raw, field_at) {
            Some(0) | None => Ok(None),
            Some(offset) => {
                let at = usize::try_from(offset).unwrap_or(usize::MAX);
                if at < HEADER || at >= self.raw.len() {
                    let expected = format!("0, or {HEADER} to {}", self.raw.len().saturating_sub(1));
                    return Err(fault(field, expected, offset.to_string(), field_at));
                }
                Ok(Some(at))
            }
        }
    }
}

fn fault(field: &'static str, expected: impl Into<Box<str>>, found: impl Into<Box<str>>, at: usize) -> Error {
    Error::format(Format::SecurityDescriptor, field, expected, found).at(at as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sd(text: &str) -> Vec<u8> {
        SecurityDescriptor::from_sddl(text, None).unwrap().into_raw()
    }

    #[test]
    fn any_bytes_are_carried_and_views_say_what_is_wrong() {
        let good = sd("O:BAG:SYS:(AU;SA;FA;;;WD)D:(A;;FA;;;BA)");
        let broken = |at: usize, byte: u8| {
            let mut raw = good.clone();
            raw[at] = byte;
            SecurityDescriptor::new(raw)
        };
        let text = |error: Error| error.to_string();
        assert!(
            text(SecurityDescriptor::new(vec![]).control().unwrap_err()).contains("header: expected 20 bytes, found 0")
        );
        assert!(text(broken(0, 2).owner().unwrap_err()).contains("revision: expected 1, found 2"));
        assert!(text(broken(3, 0).group().unwrap_err()).contains("control: expected the self-relative bit"));
        assert!(text(broken(4, 19).owner().unwrap_err()).contains("at byte 4: security descriptor owner offset"));
        assert!(text(broken(8, 200).group().unwrap_err()).contains("group offset"));
        assert!(text(broken(12, 255).sacl().unwrap_err()).contains("SACL offset"));
        assert!(text(broken(20, 9).owner().unwrap_err()).contains("at byte 20: SID revision"));
        let dacl_at = usize::from(good[16]);
        assert!(text(broken(dacl_at + 3, 1).dacl().unwrap_err()).contains("ACL size: expected 8 to 32, found 288"));
        assert_eq!(broken(2, 0x10).dacl().unwrap(), AclPart::Absent);
        assert_eq!(broken(16, 0).dacl().unwrap(), AclPart::Null);
    }

    #[test]
    fn no_parts_at_all() {
        let empty = SecurityDescriptor::new(sd(""));
        let expected = SecurityParts { control: Control::SELF_RELATIVE, ..Default::default() };
        assert_eq!((empty.raw().len(), empty.parts().unwrap()), (20, expected));
        assert_eq!(SecurityDescriptor::build(&empty.parts().unwrap()).unwrap(), empty);
    }
}
