//! From parts to text.

use std::fmt::Write;

use crate::error::{Error, Result};

use super::super::Sid;
use super::super::acl::{Ace, AceBody, AceType};
use super::super::security::{AclPart, Control, SecurityParts};
use super::tables::{ACE_FLAGS, ACE_TYPES, LABEL_RIGHTS, NO_ACCESS_CONTROL, RIGHT_SETS, RIGHTS};
use super::words::{guid_text, sid_to_string};
use super::{claim, condition};

/// The descriptor as SDDL: owner, group, DACL, SACL, each when present.
///
/// A mask is written as a named set, else as the names of its rights in the order of their bits, else in hexadecimal. A
/// SID is written as its alias, where it has one that means the same everywhere or `domain` is its domain.
///
/// # Errors
/// [`Error::Unsupported`] for an entry type that SDDL has no word for, a format error for a malformed condition or
/// attribute.
pub fn to_string(parts: &SecurityParts, domain: Option<&Sid>) -> Result<String> {
    let mut out = String::new();
    for (letter, sid) in [("O:", &parts.owner), ("G:", &parts.group)] {
        if let Some(sid) = sid {
            out.push_str(letter);
            out.push_str(&sid_to_string(sid, domain));
        }
    }
    let dacl_flags =
        [("P", Control::DACL_PROTECTED), ("AR", Control::DACL_AUTO_INHERIT_REQ), ("AI", Control::DACL_AUTO_INHERITED)];
    let sacl_flags =
        [("P", Control::SACL_PROTECTED), ("AR", Control::SACL_AUTO_INHERIT_REQ), ("AI", Control::SACL_AUTO_INHERITED)];
    for (letter, part, flags) in [("D:", &parts.dacl, dacl_flags), ("S:", &parts.sacl, sacl_flags)] {
        if *part == AclPart::Absent {
            continue;
        }
        out.push_str(letter);
        for (word, bit) in flags {
            if parts.control & bit != 0 {
                out.push_str(word);
            }
        }
        match part.acl() {
            None => out.push_str(NO_ACCESS_CONTROL),
            Some(acl) => acl.aces.iter().try_for_each(|ace| write_ace(&mut out, ace, domain))?,
        }
    }
    Ok(out)
}

/// One entry as SDDL, with its parentheses.
///
/// # Errors
/// As [`to_string`].
pub fn ace_to_string(ace: &Ace, domain: Option<&Sid>) -> Result<String> {
    let mut out = String::new();
    write_ace(&mut out, ace, domain)?;
    Ok(out)
}

fn write_ace(out: &mut String, ace: &Ace, domain: Option<&Sid>) -> Result<()> {
    let word = ACE_TYPES.iter().find(|(_, value)| *value == ace.ace_type).map(|(word, _)| *word);
    let (Some(word), AceBody::Rights { mask, object, sid, application_data }) = (word, &ace.body) else {
        return Err(Error::Unsupported {
            operation: format!("writing ACE type {:#04x} as SDDL", ace.ace_type).into(),
            reason: "the language has no word for it; the descriptor's bytes hold it".into(),
        });
    };
    let guids = object.unwrap_or_default();
    write!(
        out,
        "({word};{};{};{};{};{}",
        words(ACE_FLAGS, u32::from(ace.flags)),
        rights(ace.ace_type, *mask),
        guid_text(guids.object_type),
        guid_text(guids.inherited_object_type),
        sid_to_string(sid, domain),
    )
    .expect("writing to a String cannot fail");
    match ace.ace_type {
        AceType::ACCESS_ALLOWED_CALLBACK
        | AceType::ACCESS_DENIED_CALLBACK
        | AceType::ACCESS_ALLOWED_CALLBACK_OBJECT
        | AceType::SYSTEM_AUDIT_CALLBACK => {
            out.push(';');
            condition::write(out, application_data, domain)?;
        }
        // A filter without a condition applies always.
        AceType::SYSTEM_ACCESS_FILTER if !application_data.is_empty() => {
            out.push(';');
            condition::write(out, application_data, domain)?;
        }
        AceType::SYSTEM_RESOURCE_ATTRIBUTE => {
            out.push(';');
            claim::write(out, application_data, domain)?;
        }
        _ => {}
    }
    out.push(')');
    Ok(())
}

fn rights(ace_type: u8, mask: u32) -> String {
    let (sets, single) =
        if ace_type == AceType::SYSTEM_MANDATORY_LABEL { (&[][..], LABEL_RIGHTS) } else { (RIGHT_SETS, RIGHTS) };
    if let Some((word, _)) = sets.iter().find(|(_, set)| *set == mask) {
        return (*word).to_owned();
    }
    let named = single.iter().fold(0, |bits, (_, bit)| bits | bit);
    if mask & !named == 0 { words(single, mask) } else { format!("{mask:#x}") }
}

fn words(table: &[(&str, u32)], bits: u32) -> String {
    table.iter().filter(|(_, bit)| bits & bit != 0).map(|(word, _)| *word).collect()
}
