//! Security descriptors as text: the security descriptor definition language.
//!
//! `O:BAG:SYD:PAI(A;OICI;FA;;;BA)` says owner, group, DACL flags and entries ([MS-DTYP] 2.5.1). Text is written as
//! Windows' ConvertSecurityDescriptorToStringSecurityDescriptor writes it. Conditional and resource-attribute entries
//! are written; reading them is not supported.

mod claim;
mod condition;
mod parse;
mod print;
mod tables;
mod words;

pub use parse::{parse, parse_sid};
pub use print::{ace_to_string, to_string};
pub use words::sid_to_string;

use super::{SecurityDescriptor, Sid};
use crate::error::{Error, Format, Result};

impl SecurityDescriptor {
    /// Reads SDDL; see [`parse`]. `domain` is what aliases such as `DA` are relative to.
    ///
    /// # Errors
    /// As [`parse`].
    pub fn from_sddl(text: &str, domain: Option<&Sid>) -> Result<Self> {
        Self::build(&parse(text, domain)?)
    }

    /// Writes SDDL as Windows does; see [`to_string`]. Members of `domain` get their aliases.
    ///
    /// # Errors
    /// A format error where the descriptor is malformed; [`Error::Unsupported`] for what SDDL cannot say.
    pub fn to_sddl(&self, domain: Option<&Sid>) -> Result<String> {
        to_string(&self.parts()?, domain)
    }
}

fn fault(field: &'static str, expected: impl Into<Box<str>>, found: impl Into<Box<str>>) -> Error {
    Error::format(Format::Sddl, field, expected, found)
}

/// At most this much of the text is repeated in an error.
fn shown(text: &str) -> String {
    const KEEP: usize = 60;
    let start: String = text.chars().take(KEEP).collect();
    if start.len() < text.len() { format!("{start:?}...") } else { format!("{start:?}") }
}

#[cfg(test)]
mod tests;
