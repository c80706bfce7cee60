//! Resource attributes: a named, typed list of values behind the SID, written as text.
//!
//! The layout is CLAIM_SECURITY_ATTRIBUTE_RELATIVE_V1 ([MS-DTYP] 2.4.10.1): `u32` offset of the name, `u16` type, `u16`
//! reserved, `u32` flags, `u32` count, then as many `u32` offsets of values.

use crate::error::{Error, Result};

use super::super::Sid;
use super::super::bytes::{u16_at, u32_at, u64_at};
use super::words::{bad_data, octets, quoted, sid_to_string};

const FIXED: usize = 16;

/// Writes `("name",TYPE,0xflags,value,...)`.
///
/// # Errors
/// A format error where the data is not an attribute, at the offset within it.
pub(super) fn write(out: &mut String, data: &[u8], domain: Option<&Sid>) -> Result<()> {
    let (Some(name_at), Some(kind), Some(flags), Some(count)) =
        (u32_at(data, 0), u16_at(data, 4), u32_at(data, 8), u32_at(data, 12))
    else {
        return Err(bad_data("attribute", format!("{FIXED} bytes"), format!("{} bytes", data.len()), 0));
    };
    let kind = Kind::of(kind)?;
    let mut claim = Claim { data, budget: data.len() };
    out.push('(');
    out.push_str(&quoted(&claim.text(name_at, 0)?));
    out.push_str(&format!(",{},{flags:#x}", kind.word()));
    for index in 0..usize::try_from(count).unwrap_or(usize::MAX) {
        let at = FIXED.saturating_add(index.saturating_mul(4));
        let offset = u32_at(data, at).ok_or_else(|| bad_data("value offset", "4 bytes", "the end", data.len()))?;
        out.push(',');
        out.push_str(&claim.value(kind, offset, at, domain)?);
    }
    out.push(')');
    Ok(())
}

#[derive(Clone, Copy)]
enum Kind {
    Int64,
    Uint64,
    String,
    Sid,
    Boolean,
    Octets,
}

impl Kind {
    fn of(value: u16) -> Result<Kind> {
        Ok(match value {
            1 => Kind::Int64,
            2 => Kind::Uint64,
            3 => Kind::String,
            5 => Kind::Sid,
            6 => Kind::Boolean,
            0x10 => Kind::Octets,
            _ => return Err(bad_data("attribute type", "1, 2, 3, 5, 6 or 16", value.to_string(), 4)),
        })
    }

    fn word(self) -> &'static str {
        match self {
            Kind::Int64 => "TI",
            Kind::Uint64 => "TU",
            Kind::String => "TS",
            Kind::Sid => "TD",
            Kind::Boolean => "TB",
            Kind::Octets => "TX",
        }
    }
}

struct Claim<'a> {
    data: &'a [u8],
    /// Bytes that values may still hold: values that share their bytes must not multiply them.
    budget: usize,
}

impl<'a> Claim<'a> {
    fn value(&mut self, kind: Kind, offset: u32, at: usize, domain: Option<&Sid>) -> Result<String> {
        Ok(match kind {
            Kind::Int64 => self.number(offset, at)?.cast_signed().to_string(),
            Kind::Uint64 => self.number(offset, at)?.to_string(),
            Kind::Boolean => u64::from(self.number(offset, at)? != 0).to_string(),
            Kind::String => quoted(&self.text(offset, at)?),
            Kind::Octets => octets(self.blob(offset, at)?),
            Kind::Sid => {
                let sid = Sid::parse(self.blob(offset, at)?).map_err(|error| error.at(u64::from(offset) + 4))?;
                sid_to_string(&sid, domain)
            }
        })
    }

    fn number(&mut self, offset: u32, at: usize) -> Result<u64> {
        u64_at(self.data, usize::try_from(offset).unwrap_or(usize::MAX)).ok_or_else(|| self.outside(offset, at))
    }

    fn blob(&mut self, offset: u32, at: usize) -> Result<&'a [u8]> {
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let found = u32_at(self.data, start).and_then(|size| {
            let size = usize::try_from(size).ok()?;
            self.data.get(start.checked_add(4)?..)?.get(..size)
        });
        let blob = found.ok_or_else(|| self.outside(offset, at))?;
        self.spend(blob.len(), at)?;
        Ok(blob)
    }

    /// UTF-16 up to a NUL.
    fn text(&mut self, offset: u32, at: usize) -> Result<Vec<u16>> {
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let bytes = self.data.get(start..).ok_or_else(|| self.outside(offset, at))?;
        let units = bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]]));
        let text: Vec<u16> = units.take_while(|unit| *unit != 0).collect();
        if text.len() == bytes.len() / 2 {
            return Err(bad_data("text", "a closing NUL", "none", start));
        }
        self.spend(2 * text.len(), at)?;
        Ok(text)
    }

    fn spend(&mut self, size: usize, at: usize) -> Result<()> {
        let total = self.data.len();
        self.budget = self.budget.checked_sub(size).ok_or_else(|| {
            bad_data("values", format!("at most {total} bytes together"), "values that share their bytes", at)
        })?;
        Ok(())
    }

    fn outside(&self, offset: u32, at: usize) -> Error {
        bad_data("offset", format!("a value within {} bytes", self.data.len()), offset.to_string(), at)
    }
}
