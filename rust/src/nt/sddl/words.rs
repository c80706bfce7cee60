//! The words that text is made of: SIDs, GUIDs, strings, octets; and the error for data that is not one of them.

use crate::error::{Error, Format};

use super::super::{Guid, Sid};
use super::tables::{DOMAIN_SIDS, SIDS};

/// A SID as SDDL: its alias, or the `S-1-...` form.
#[must_use]
pub fn sid_to_string(sid: &Sid, domain: Option<&Sid>) -> String {
    let everywhere = SIDS
        .iter()
        .find(|(_, authority, sub)| *authority == sid.authority() && *sub == sid.sub_authorities())
        .map(|(alias, ..)| *alias);
    let in_domain = || {
        let rid = sid.rid_in(domain?)?;
        DOMAIN_SIDS.iter().find(|(_, known)| *known == rid).map(|(alias, _)| *alias)
    };
    everywhere.or_else(in_domain).map_or_else(|| sid.to_string(), str::to_owned)
}

/// A GUID, or nothing.
pub(super) fn guid_text(guid: Option<Guid>) -> String {
    guid.map_or_else(String::new, |guid| guid.to_string())
}

/// A string in quotes; a quote within, a control character or half a character is written as `%` and four digits.
pub(super) fn quoted(units: &[u16]) -> String {
    let mut out = String::from('"');
    for decoded in char::decode_utf16(units.iter().copied()) {
        match decoded {
            Ok(c) if c != '"' && !c.is_control() => out.push(c),
            Ok(c) => out.push_str(&format!("%{:04x}", u32::from(c))),
            Err(lone) => out.push_str(&format!("%{:04x}", lone.unpaired_surrogate())),
        }
    }
    out.push('"');
    out
}

/// Bytes as hexadecimal digits.
pub(super) fn octets(bytes: &[u8]) -> String {
    bytes.iter().fold(String::from('#'), |text, byte| text + &format!("{byte:02x}"))
}

/// Malformed data of an entry, at the offset within it.
pub(super) fn bad_data(
    field: &'static str,
    expected: impl Into<Box<str>>,
    found: impl Into<Box<str>>,
    at: usize,
) -> Error {
    Error::format(Format::SecurityDescriptor, field, expected, found).at(at as u64)
}
