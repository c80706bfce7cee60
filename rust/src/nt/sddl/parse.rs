//! From text to parts.

use crate::error::{Error, Result};

use super::super::acl::{Ace, AceBody, AceType, Acl, ObjectGuids};
use super::super::security::{AclPart, Control, SecurityParts};
use super::super::{Guid, Sid};
use super::tables::{
    ACE_FLAGS, ACE_TYPES, DOMAIN_SIDS, LABEL_RIGHTS, NEW_SIDS, NO_ACCESS_CONTROL, RIGHT_SETS, RIGHTS, SIDS,
};
use super::{fault, shown};

/// Reads SDDL. Words may be in any case, white space may stand between them, sections in any order.
///
/// An object entry without GUIDs becomes the plain entry that says the same, as on Windows.
///
/// # Errors
/// A format error with the byte where it happened; [`Error::Unsupported`] for conditional and resource-attribute
/// entries. An alias such as `DA` is an error without a `domain` to resolve it.
pub fn parse(text: &str, domain: Option<&Sid>) -> Result<SecurityParts> {
    let mut reader = Reader { text, at: 0, domain };
    let mut parts = SecurityParts::default();
    let mut seen = String::new();
    loop {
        reader.skip_space();
        if reader.rest().is_empty() {
            return Ok(parts);
        }
        let start = reader.at;
        let letter = reader.section()?;
        if seen.contains(letter) {
            return Err(fault("section", "each section once", format!("{letter}: twice")).at(start as u64));
        }
        seen.push(letter);
        match letter {
            'O' => parts.owner = Some(reader.sid_section()?),
            'G' => parts.group = Some(reader.sid_section()?),
            'D' => {
                let bits = [Control::DACL_PROTECTED, Control::DACL_AUTO_INHERIT_REQ, Control::DACL_AUTO_INHERITED];
                parts.dacl = reader.acl_section(bits, &mut parts.control)?;
            }
            _ => {
                let bits = [Control::SACL_PROTECTED, Control::SACL_AUTO_INHERIT_REQ, Control::SACL_AUTO_INHERITED];
                parts.sacl = reader.acl_section(bits, &mut parts.control)?;
            }
        }
    }
}

/// Reads a SID as SDDL writes it: an alias, or the `S-1-...` form.
///
/// # Errors
/// A format error for other text, and for an alias that needs a `domain` when there is none.
pub fn parse_sid(text: &str, domain: Option<&Sid>) -> Result<Sid> {
    let is = |alias: &str| alias.eq_ignore_ascii_case(text);
    if let Some((_, authority, sub)) = SIDS.iter().chain(NEW_SIDS).find(|(alias, ..)| is(alias)) {
        return Ok(Sid::new(*authority, sub).expect("the table's SIDs are short"));
    }
    if let Some((alias, rid)) = DOMAIN_SIDS.iter().find(|(alias, _)| is(alias)) {
        let sid = domain.and_then(|domain| domain.with_rid(*rid));
        return sid.ok_or_else(|| fault("SID", format!("a domain SID to resolve {alias}"), "none"));
    }
    text.parse().map_err(|_| fault("SID", "an alias of two letters, or S-1-AUTHORITY-N-N...", shown(text)))
}

/// No ACL has room for more entries than this, each of at least 16 bytes.
const MAX_ACES: usize = 4096;

struct Reader<'a> {
    text: &'a str,
    at: usize,
    domain: Option<&'a Sid>,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn skip_space(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_whitespace()).len();
    }

    /// `O:`, `G:`, `D:` or `S:`.
    fn section(&mut self) -> Result<char> {
        match *self.rest().as_bytes() {
            [letter, b':', ..] if b"OGDSogds".contains(&letter) => {
                self.at += 2;
                Ok(char::from(letter.to_ascii_uppercase()))
            }
            _ => Err(fault("section", "O:, G:, D: or S:", shown(self.rest())).at(self.at as u64)),
        }
    }

    /// The SID up to the next section, whose letter stands before the next colon.
    fn sid_section(&mut self) -> Result<Sid> {
        let rest = self.rest();
        let end = match rest.find(':') {
            Some(colon) => rest[..colon].char_indices().next_back().map_or(0, |(at, _)| at),
            None => rest.len(),
        };
        let sid = parse_sid(rest[..end].trim_ascii(), self.domain).map_err(|error| error.at(self.at as u64))?;
        self.at += end;
        Ok(sid)
    }

    fn acl_section(&mut self, flag_bits: [u16; 3], control: &mut u16) -> Result<AclPart> {
        let [protected, request, inherited] = flag_bits;
        let mut null = false;
        loop {
            self.skip_space();
            if self.word(NO_ACCESS_CONTROL) {
                null = true;
            } else if self.word("AR") {
                *control |= request;
            } else if self.word("AI") {
                *control |= inherited;
            } else if self.word("P") {
                *control |= protected;
            } else {
                break;
            }
        }
        let mut aces = Vec::new();
        let start = self.at;
        while self.rest().starts_with('(') {
            if aces.len() == MAX_ACES {
                return Err(fault("ACL", format!("at most {MAX_ACES} entries"), "more").at(self.at as u64));
            }
            aces.push(self.ace()?);
            self.skip_space();
        }
        if !null {
            return Ok(AclPart::Present(Acl::new(aces)));
        }
        if !aces.is_empty() {
            return Err(fault("ACL", "no entries after NO_ACCESS_CONTROL", "entries").at(start as u64));
        }
        Ok(AclPart::Null)
    }

    fn word(&mut self, word: &str) -> bool {
        let found = self.rest().get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word));
        if found {
            self.at += word.len();
        }
        found
    }

    /// `(type;flags;rights;object GUID;inherited object GUID;SID)`.
    fn ace(&mut self) -> Result<Ace> {
        let start = self.at;
        let inner = &self.rest()[1..];
        let word = inner.split([';', ')']).next().unwrap_or_default().trim_ascii();
        let Some((word, ace_type)) = ACE_TYPES.iter().find(|(known, _)| known.eq_ignore_ascii_case(word)) else {
            return Err(fault("ACE type", "a type such as A, D, AU or ML", shown(word)).at(start as u64 + 1));
        };
        if ["XA", "XD", "XU", "ZA", "RA", "FL"].contains(word) {
            return Err(Error::Unsupported {
                operation: format!("reading SDDL entries of type {word}").into(),
                reason: "conditions and resource attributes can be written as text, not read".into(),
            });
        }
        let Some(end) = inner.find(')') else {
            return Err(fault("ACE", "a closing parenthesis", "the end of the text").at(start as u64));
        };
        let fields: Vec<&str> = inner[..end].split(';').map(str::trim_ascii).collect();
        let [_, flags, rights, object_type, inherited_object_type, sid] = fields[..] else {
            return Err(fault("ACE", "6 fields", fields.len().to_string()).at(start as u64));
        };
        self.at += end + 2;
        let ace = || -> Result<Ace> {
            let flags = words(flags, "ACE flags", &[ACE_FLAGS])?;
            let guids = ObjectGuids {
                object_type: guid("object GUID", object_type)?,
                inherited_object_type: guid("inherited object GUID", inherited_object_type)?,
            };
            Ok(Ace {
                ace_type: type_for(*ace_type, word, guids)?,
                flags: u8::try_from(flags).expect("the table's flags are a byte"),
                body: AceBody::Rights {
                    mask: mask(*ace_type, rights)?,
                    object: (guids != ObjectGuids::default()).then_some(guids),
                    sid: parse_sid(sid, self.domain)?,
                    application_data: Vec::new(),
                },
            })
        };
        ace().map_err(|error| error.at(start as u64))
    }
}

/// The plain type for an object type without GUIDs, and no GUIDs for a plain type.
fn type_for(ace_type: u8, word: &str, guids: ObjectGuids) -> Result<u8> {
    match (AceType::is_object(ace_type), guids == ObjectGuids::default()) {
        (true, false) | (false, true) => Ok(ace_type),
        (true, true) => Ok(match ace_type {
            AceType::ACCESS_ALLOWED_OBJECT => AceType::ACCESS_ALLOWED,
            AceType::ACCESS_DENIED_OBJECT => AceType::ACCESS_DENIED,
            AceType::SYSTEM_AUDIT_OBJECT => AceType::SYSTEM_AUDIT,
            _ => AceType::SYSTEM_ALARM,
        }),
        (false, false) => Err(fault("object GUID", format!("none in an entry of type {word}"), "a GUID")),
    }
}

fn guid(field: &'static str, text: &str) -> Result<Option<Guid>> {
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|_| fault(field, "a GUID, or nothing", shown(text)))
}

fn mask(ace_type: u8, text: &str) -> Result<u32> {
    if text.starts_with(|c: char| c.is_ascii_digit()) {
        return number(text)
            .ok_or_else(|| fault("rights", "a number of 32 bits: hexadecimal, decimal or octal", shown(text)));
    }
    let tables = if ace_type == AceType::SYSTEM_MANDATORY_LABEL { [LABEL_RIGHTS, &[]] } else { [RIGHTS, RIGHT_SETS] };
    words(text, "rights", &tables)
}

/// As C reads a number: `0x` for hexadecimal, a leading zero for octal.
fn number(text: &str) -> Option<u32> {
    let (digits, radix) = match text.as_bytes() {
        [b'0', b'x' | b'X', ..] => (&text[2..], 16),
        [b'0', _, ..] => (&text[1..], 8),
        _ => (text, 10),
    };
    if digits.chars().all(|c| c.is_digit(radix)) { u32::from_str_radix(digits, radix).ok() } else { None }
}

fn words(text: &str, field: &'static str, tables: &[&[(&str, u32)]]) -> Result<u32> {
    let mut bits = 0;
    let mut rest = text;
    while !rest.is_empty() {
        let found = rest.get(..2).and_then(|word| {
            let mut known = tables.iter().flat_map(|table| table.iter());
            known.find(|(known, _)| known.eq_ignore_ascii_case(word))
        });
        let Some((_, bit)) = found else {
            return Err(fault(field, "two-letter words of SDDL", shown(rest)));
        };
        bits |= bit;
        rest = rest[2..].trim_ascii_start();
    }
    Ok(bits)
}
