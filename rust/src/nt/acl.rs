//! Access control lists: who may do what, entry by entry.
//!
//! An ACL is `u8 revision, u8 0, u16 size, u16 count, u16 0`, then its entries, each `u8 type, u8 flags, u16 size` and
//! a body that depends on the type ([MS-DTYP] 2.4.4 and 2.4.5).

use crate::error::{Error, Format, Result};

use super::bytes::{u16_at, u32_at};
use super::{Guid, Sid};

/// An access control list.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Acl {
    /// 2, or 4 where entries with GUIDs are allowed.
    pub revision: u8,
    /// The entries, in their order.
    pub aces: Vec<Ace>,
}

/// One entry of an ACL.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Ace {
    /// What kind of entry it is; see [`AceType`].
    pub ace_type: u8,
    /// Inheritance and audit flags; see [`AceFlags`].
    pub flags: u8,
    /// What it says.
    pub body: AceBody,
}

/// What an entry says.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum AceBody {
    /// Rights for a SID, perhaps for one kind of object only.
    Rights {
        /// The access mask.
        mask: u32,
        /// GUIDs, in entries of the object types.
        object: Option<ObjectGuids>,
        /// Whom it speaks of.
        sid: Sid,
        /// What follows the SID: a condition (`artx`), a resource attribute, padding, or nothing.
        application_data: Vec<u8>,
    },
    /// A type with a layout of its own: the body as it is.
    Opaque(Vec<u8>),
}

/// The GUIDs of an object entry; absent ones are not stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct ObjectGuids {
    /// The property, property set, extended right or child class it is for.
    pub object_type: Option<Guid>,
    /// The class of object that inherits it.
    pub inherited_object_type: Option<Guid>,
}

/// The types of entries ([MS-DTYP] 2.4.4.1).
#[derive(Debug, Clone, Copy)]
pub struct AceType;

#[allow(missing_docs)]
impl AceType {
    pub const ACCESS_ALLOWED: u8 = 0x00;
    pub const ACCESS_DENIED: u8 = 0x01;
    pub const SYSTEM_AUDIT: u8 = 0x02;
    pub const SYSTEM_ALARM: u8 = 0x03;
    pub const ACCESS_ALLOWED_COMPOUND: u8 = 0x04;
    pub const ACCESS_ALLOWED_OBJECT: u8 = 0x05;
    pub const ACCESS_DENIED_OBJECT: u8 = 0x06;
    pub const SYSTEM_AUDIT_OBJECT: u8 = 0x07;
    pub const SYSTEM_ALARM_OBJECT: u8 = 0x08;
    pub const ACCESS_ALLOWED_CALLBACK: u8 = 0x09;
    pub const ACCESS_DENIED_CALLBACK: u8 = 0x0a;
    pub const ACCESS_ALLOWED_CALLBACK_OBJECT: u8 = 0x0b;
    pub const ACCESS_DENIED_CALLBACK_OBJECT: u8 = 0x0c;
    pub const SYSTEM_AUDIT_CALLBACK: u8 = 0x0d;
    pub const SYSTEM_ALARM_CALLBACK: u8 = 0x0e;
    pub const SYSTEM_AUDIT_CALLBACK_OBJECT: u8 = 0x0f;
    pub const SYSTEM_ALARM_CALLBACK_OBJECT: u8 = 0x10;
    pub const SYSTEM_MANDATORY_LABEL: u8 = 0x11;
    pub const SYSTEM_RESOURCE_ATTRIBUTE: u8 = 0x12;
    pub const SYSTEM_SCOPED_POLICY_ID: u8 = 0x13;
    pub const SYSTEM_PROCESS_TRUST_LABEL: u8 = 0x14;
    pub const SYSTEM_ACCESS_FILTER: u8 = 0x15;

    /// Whether entries of this type have room for GUIDs.
    #[must_use]
    pub fn is_object(ace_type: u8) -> bool {
        matches!(ace_type, 0x05..=0x08 | 0x0b | 0x0c | 0x0f | 0x10)
    }
}

/// The flags of entries ([MS-DTYP] 2.4.4.1).
#[derive(Debug, Clone, Copy)]
pub struct AceFlags;

#[allow(missing_docs)]
impl AceFlags {
    pub const OBJECT_INHERIT: u8 = 0x01;
    pub const CONTAINER_INHERIT: u8 = 0x02;
    pub const NO_PROPAGATE_INHERIT: u8 = 0x04;
    pub const INHERIT_ONLY: u8 = 0x08;
    pub const INHERITED: u8 = 0x10;
    pub const CRITICAL: u8 = 0x20;
    pub const SUCCESSFUL_ACCESS: u8 = 0x40;
    pub const FAILED_ACCESS: u8 = 0x80;
}

const HEADER: usize = 8;
const ACE_HEADER: usize = 4;
const OBJECT_TYPE_PRESENT: u32 = 1;
const INHERITED_OBJECT_TYPE_PRESENT: u32 = 2;

impl Acl {
    /// ACL_REVISION.
    pub const REVISION: u8 = 2;
    /// ACL_REVISION_DS: entries with GUIDs are allowed.
    pub const REVISION_DS: u8 = 4;

    /// A list of entries, with the least revision that can hold them.
    #[must_use]
    pub fn new(aces: Vec<Ace>) -> Acl {
        let with_guids = aces.iter().any(|ace| AceType::is_object(ace.ace_type));
        Acl { revision: if with_guids { Self::REVISION_DS } else { Self::REVISION }, aces }
    }

    /// Reads the ACL at `offset` of a security descriptor.
    ///
    /// # Errors
    /// A format error at the offending byte: an ACL longer than the descriptor, an entry longer than its ACL, fewer
    /// entries than the header counts, a body too short for its type.
    pub fn parse(descriptor: &[u8], offset: usize) -> Result<Acl> {
        let rest = descriptor.get(offset..).unwrap_or_default();
        let (Some(revision), Some(size), Some(count)) = (rest.first(), u16_at(rest, 2), u16_at(rest, 4)) else {
            return Err(fault("ACL", format!("{HEADER} bytes"), format!("{} bytes", rest.len()), offset));
        };
        let size = usize::from(size);
        if size < HEADER || size > rest.len() {
            return Err(fault("ACL size", format!("{HEADER} to {}", rest.len()), size.to_string(), offset + 2));
        }
        let acl = &rest[..size];
        let mut aces = Vec::new();
        let mut at = HEADER;
        for _ in 0..count {
            let (ace, ace_size) = Ace::parse(&acl[at..], offset + at)?;
            aces.push(ace);
            at += ace_size;
        }
        Ok(Acl { revision: *revision, aces })
    }

    /// The binary form, without anything after the last entry.
    ///
    /// # Errors
    /// A format error when an entry or the list is over 65,535 bytes, or there are more entries than that.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let mut body = Vec::new();
        for ace in &self.aces {
            ace.write(&mut body)?;
        }
        let size = fits("ACL size", HEADER + body.len())?;
        let count = fits("ACE count", self.aces.len())?;
        let mut out = vec![self.revision, 0];
        out.extend(size.to_le_bytes());
        out.extend(count.to_le_bytes());
        out.extend([0, 0]);
        out.extend(body);
        Ok(out)
    }
}

impl Ace {
    /// An entry without GUIDs or application data.
    #[must_use]
    pub fn new(ace_type: u8, flags: u8, mask: u32, sid: Sid) -> Ace {
        Ace { ace_type, flags, body: AceBody::Rights { mask, object: None, sid, application_data: Vec::new() } }
    }

    /// Reads the bytes of one entry.
    ///
    /// # Errors
    /// A format error as from [`Acl::parse`], and when bytes follow the entry.
    pub fn from_bytes(bytes: &[u8]) -> Result<Ace> {
        let (ace, size) = Ace::parse(bytes, 0)?;
        if size != bytes.len() {
            return Err(fault("ACE size", bytes.len().to_string(), size.to_string(), 2));
        }
        Ok(ace)
    }

    /// The binary form.
    ///
    /// # Errors
    /// A format error when it is over 65,535 bytes.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let mut out = Vec::new();
        self.write(&mut out)?;
        Ok(out)
    }

    fn parse(bytes: &[u8], offset: usize) -> Result<(Ace, usize)> {
        let ([ace_type, flags, ..], Some(size)) = (bytes, u16_at(bytes, 2)) else {
            return Err(fault("ACE", format!("{ACE_HEADER} bytes"), format!("{} bytes", bytes.len()), offset));
        };
        let size = usize::from(size);
        if size < ACE_HEADER || size > bytes.len() {
            let expected = format!("{ACE_HEADER} to {}", bytes.len());
            return Err(fault("ACE size", expected, size.to_string(), offset + 2));
        }
        let body = &bytes[ACE_HEADER..size];
        let body = match *ace_type {
            AceType::ACCESS_ALLOWED_COMPOUND | 0x16.. => AceBody::Opaque(body.to_vec()),
            _ => parse_rights(*ace_type, body, offset + ACE_HEADER)?,
        };
        Ok((Ace { ace_type: *ace_type, flags: *flags, body }, size))
    }

    fn write(&self, out: &mut Vec<u8>) -> Result<()> {
        let start = out.len();
        out.extend([self.ace_type, self.flags, 0, 0]);
        match &self.body {
            AceBody::Opaque(bytes) => out.extend(bytes),
            AceBody::Rights { mask, object, sid, application_data } => {
                out.extend(mask.to_le_bytes());
                if AceType::is_object(self.ace_type) {
                    object.unwrap_or_default().write(out);
                }
                out.extend(sid.to_bytes());
                out.extend(application_data);
            }
        }
        let size = fits("ACE size", out.len() - start)?;
        out[start + 2..start + 4].copy_from_slice(&size.to_le_bytes());
        Ok(())
    }
}

impl ObjectGuids {
    fn parse(bytes: &[u8]) -> Option<(ObjectGuids, &[u8])> {
        let present = u32_at(bytes, 0)?;
        let mut rest = &bytes[4..];
        let mut next = |bit: u32| -> Option<Option<Guid>> {
            if present & bit == 0 {
                return Some(None);
            }
            let (guid, after) = rest.split_first_chunk()?;
            rest = after;
            Some(Some(Guid(*guid)))
        };
        let object_type = next(OBJECT_TYPE_PRESENT)?;
        let inherited_object_type = next(INHERITED_OBJECT_TYPE_PRESENT)?;
        Some((ObjectGuids { object_type, inherited_object_type }, rest))
    }

    fn write(self, out: &mut Vec<u8>) {
        let object_bit = if self.object_type.is_some() { OBJECT_TYPE_PRESENT } else { 0 };
        let inherited_bit = if self.inherited_object_type.is_some() { INHERITED_OBJECT_TYPE_PRESENT } else { 0 };
        out.extend((object_bit | inherited_bit).to_le_bytes());
        out.extend([self.object_type, self.inherited_object_type].into_iter().flatten().flat_map(|guid| guid.0));
    }
}

fn parse_rights(ace_type: u8, body: &[u8], offset: usize) -> Result<AceBody> {
    let short = || fault("ACE body", "a mask, GUIDs as flagged and a SID", format!("{} bytes", body.len()), offset);
    let mask = u32_at(body, 0).ok_or_else(short)?;
    let mut rest = &body[4..];
    let mut object = None;
    if AceType::is_object(ace_type) {
        let (guids, after) = ObjectGuids::parse(rest).ok_or_else(short)?;
        object = Some(guids);
        rest = after;
    }
    let sid_offset = offset + body.len() - rest.len();
    let sid = Sid::parse(rest).map_err(|error| error.at(sid_offset as u64))?;
    let application_data = rest[sid.size()..].to_vec();
    Ok(AceBody::Rights { mask, object, sid, application_data })
}

fn fits(field: &'static str, size: usize) -> Result<u16> {
    u16::try_from(size).map_err(|_| Error::format(Format::SecurityDescriptor, field, "at most 65535", size.to_string()))
}

fn fault(field: &'static str, expected: impl Into<Box<str>>, found: impl Into<Box<str>>, at: usize) -> Error {
    Error::format(Format::SecurityDescriptor, field, expected, found).at(at as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ace(ace_type: u8, object: Option<ObjectGuids>, application_data: &[u8]) -> Ace {
        let sid = Sid::new(5, &[32, 544]).unwrap();
        let body = AceBody::Rights { mask: 7, object, sid, application_data: application_data.to_vec() };
        Ace { ace_type, flags: 3, body }
    }

    #[test]
    fn every_type_round_trips() {
        let guid = Some(Guid([9; 16]));
        let mut aces = Vec::new();
        for ace_type in (0..=0x15).filter(|ace_type| *ace_type != AceType::ACCESS_ALLOWED_COMPOUND) {
            let object =
                AceType::is_object(ace_type).then_some(ObjectGuids { object_type: guid, inherited_object_type: None });
            aces.push(ace(ace_type, object, &[1, 2, 3, 4]));
        }
        aces.push(ace(5, Some(ObjectGuids { object_type: guid, inherited_object_type: guid }), &[]));
        aces.push(ace(5, Some(ObjectGuids { object_type: None, inherited_object_type: guid }), &[]));
        aces.push(ace(5, Some(ObjectGuids::default()), &[]));
        aces.push(Ace { ace_type: 4, flags: 0, body: AceBody::Opaque(vec![1, 2, 3]) });
        aces.push(Ace { ace_type: 0x80, flags: 0, body: AceBody::Opaque(vec![]) });
        let acl = Acl::new(aces);
        assert_eq!(acl.revision, Acl::REVISION_DS);
        assert_eq!(Acl::parse(&acl.to_bytes().unwrap(), 0).unwrap(), acl);
    }

    #[test]
    fn lying_sizes_are_refused_with_their_place() {
        let good = Acl::new(vec![ace(0, None, &[])]).to_bytes().unwrap();
        let cases: [(usize, u8, u64, &str); 6] = [
            (2, 200, 2, "ACL size: expected 8 to 32, found 200"),
            (2, 7, 2, "ACL size: expected 8 to 32, found 7"),
            (4, 2, 32, "ACE: expected 4 bytes, found 0 bytes"),
            (10, 25, 10, "ACE size: expected 4 to 24, found 25"),
            (10, 7, 12, "ACE body: expected a mask, GUIDs as flagged and a SID, found 3 bytes"),
            (17, 3, 16, "SID length: expected 20 bytes, found 16 bytes"),
        ];
        for (at, byte, offset, text) in cases {
            let mut bytes = good.clone();
            bytes[at] = byte;
            let Err(Error::Format(error)) = Acl::parse(&bytes, 0) else { panic!("{text}") };
            assert_eq!(error.offset, Some(offset), "{error}");
            assert!(error.to_string().contains(text), "{error}");
        }
        let far = Acl::parse(&good, 99).unwrap_err();
        assert!(far.to_string().starts_with("at byte 99"), "{far}");
    }

    #[test]
    fn too_long_to_write() {
        let acl = Acl::new(vec![ace(9, None, &[0; 65_500]), ace(0, None, &[])]);
        assert_eq!(acl.to_bytes().unwrap_err().code(), "bad_security_descriptor");
        assert!(Acl::new(vec![ace(9, None, &[0; 65_520])]).to_bytes().unwrap_err().to_string().contains("ACE size"));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(
            aces in prop::collection::vec(0_u8..0x18, 0..4), flips in prop::collection::vec((0_usize..120, any::<u8>()), 0..6))
        {
            let guids = ObjectGuids { object_type: Some(Guid([9; 16])), inherited_object_type: None };
            let aces = aces.into_iter().map(|ace_type| ace(ace_type, Some(guids), b"artx")).collect();
            let mut bytes = Acl::new(aces).to_bytes().unwrap();
            for (at, byte) in flips {
                if let Some(slot) = bytes.get_mut(at) {
                    *slot = byte;
                }
            }
            if let Ok(acl) = Acl::parse(&bytes, 0) {
                prop_assert_eq!(Acl::parse(&acl.to_bytes().unwrap(), 0).unwrap(), acl);
            }
        }
    }
}
