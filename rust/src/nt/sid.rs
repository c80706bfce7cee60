//! Security identifiers: who a security descriptor speaks of.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Format, Result};

use super::bytes::u32_at;

/// A SID ([MS-DTYP] 2.4.2): a 48-bit authority and up to 15 numbers below it.
///
/// ```
/// use winlayers::nt::Sid;
/// let administrators: Sid = "S-1-5-32-544".parse().unwrap();
/// assert_eq!(administrators, Sid::new(5, &[32, 544]).unwrap());
/// assert_eq!(administrators.to_bytes().len(), 16);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sid {
    authority: u64,
    sub_authorities: Vec<u32>,
}

const REVISION: u8 = 1;
const HEADER: usize = 8;
const MAX_AUTHORITY: u64 = (1 << 48) - 1;

impl Sid {
    /// SID_MAX_SUB_AUTHORITIES.
    pub const MAX_SUB_AUTHORITIES: usize = 15;

    /// `None` when the authority needs more than 48 bits, or there are more than 15 sub-authorities.
    #[must_use]
    pub fn new(authority: u64, sub_authorities: &[u32]) -> Option<Sid> {
        let fits = authority <= MAX_AUTHORITY && sub_authorities.len() <= Self::MAX_SUB_AUTHORITIES;
        fits.then(|| Sid { authority, sub_authorities: sub_authorities.to_vec() })
    }

    /// Reads the SID at the start of `bytes`; what follows it is not looked at.
    ///
    /// # Errors
    /// A format error for another revision than 1, more than 15 sub-authorities, or too few bytes.
    pub fn parse(bytes: &[u8]) -> Result<Sid> {
        let [revision, count, authority @ ..] = bytes else {
            return Err(fault("length", format!("at least {HEADER} bytes"), format!("{} bytes", bytes.len())));
        };
        if *revision != REVISION {
            return Err(fault("revision", "1", revision.to_string()));
        }
        let count = usize::from(*count);
        if count > Self::MAX_SUB_AUTHORITIES {
            return Err(fault("sub-authority count", "at most 15", count.to_string()));
        }
        let size = HEADER + 4 * count;
        let (Some(authority), Some(body)) = (authority.get(..6), bytes.get(HEADER..size)) else {
            return Err(fault("length", format!("{size} bytes"), format!("{} bytes", bytes.len())));
        };
        Ok(Sid {
            authority: authority.iter().fold(0, |value, byte| value << 8 | u64::from(*byte)),
            sub_authorities: (0..count).filter_map(|index| u32_at(body, 4 * index)).collect(),
        })
    }

    /// The binary form.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let count = u8::try_from(self.sub_authorities.len()).expect("at most 15, checked when it was made");
        let mut out = Vec::with_capacity(self.size());
        out.extend([REVISION, count]);
        out.extend(&self.authority.to_be_bytes()[2..]);
        out.extend(self.sub_authorities.iter().flat_map(|value| value.to_le_bytes()));
        out
    }

    /// Bytes of the binary form.
    #[must_use]
    pub fn size(&self) -> usize {
        HEADER + 4 * self.sub_authorities.len()
    }

    /// The identifier authority: 5 is NT.
    #[must_use]
    pub fn authority(&self) -> u64 {
        self.authority
    }

    /// The numbers below the authority; the last one is the relative identifier (RID).
    #[must_use]
    pub fn sub_authorities(&self) -> &[u32] {
        &self.sub_authorities
    }

    /// This SID, a domain's, with a RID below it; `None` when it has 15 sub-authorities already.
    #[must_use]
    pub fn with_rid(&self, rid: u32) -> Option<Sid> {
        let mut sub_authorities = self.sub_authorities.clone();
        sub_authorities.push(rid);
        Sid::new(self.authority, &sub_authorities)
    }

    /// The RID, when this SID lies directly below `domain`.
    #[must_use]
    pub fn rid_in(&self, domain: &Sid) -> Option<u32> {
        let (rid, above) = self.sub_authorities.split_last()?;
        (self.authority == domain.authority && above == domain.sub_authorities).then_some(*rid)
    }
}

/// `S-1-5-32-544`. An authority of 2³² and more is hexadecimal, as Windows writes it.
impl fmt::Display for Sid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.authority >> 32 == 0 {
            write!(f, "S-1-{}", self.authority)?;
        } else {
            write!(f, "S-1-0x{:012x}", self.authority)?;
        }
        self.sub_authorities.iter().try_for_each(|value| write!(f, "-{value}"))
    }
}

/// Reads the `S-1-...` form; letters in any case. Aliases such as `BA` belong to [`super::sddl`].
impl FromStr for Sid {
    type Err = Error;

    fn from_str(text: &str) -> Result<Sid> {
        read(text).ok_or_else(|| {
            let shown: String = text.chars().take(200).collect();
            fault("text", "S-1-AUTHORITY-N-N...", format!("{shown:?}"))
        })
    }
}

fn read(text: &str) -> Option<Sid> {
    let mut parts = text.split('-');
    if !parts.next()?.eq_ignore_ascii_case("S") || parts.next()? != "1" {
        return None;
    }
    let authority = parts.next()?;
    let authority = match authority.get(..2) {
        Some("0x" | "0X") => u64::from_str_radix(digits(&authority[2..], 16)?, 16).ok()?,
        _ => digits(authority, 10)?.parse().ok()?,
    };
    let mut sub_authorities = Vec::new();
    for part in parts {
        if sub_authorities.len() == Sid::MAX_SUB_AUTHORITIES {
            return None;
        }
        sub_authorities.push(digits(part, 10)?.parse().ok()?);
    }
    Sid::new(authority, &sub_authorities)
}

/// The text itself, when it holds digits alone; `parse` would take a sign too.
fn digits(text: &str, radix: u32) -> Option<&str> {
    text.chars().all(|c| c.is_digit(radix)).then_some(text)
}

fn fault(field: &'static str, expected: impl Into<Box<str>>, found: impl Into<Box<str>>) -> Error {
    Error::format(Format::Sid, field, expected, found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn text_forms() {
        for text in ["S-1-0-0", "S-1-5-32-544", "S-1-16-12288", "S-1-4294967295-1", "S-1-0x000100000000-7", "S-1-5"] {
            assert_eq!(text.parse::<Sid>().unwrap().to_string(), text);
        }
        assert_eq!("s-1-0x5-18".parse::<Sid>().unwrap().to_string(), "S-1-5-18");
        let too_many = format!("S-1-5{}", "-1".repeat(16));
        let bad = [
            "",
            "S",
            "S-1",
            "S-1-",
            "S-2-5",
            "S-1-5-",
            "S-1-5-+1",
            "S-1-5-4294967296",
            "S-1-0x-1",
            "S-1-é-1",
            "S-1-0x1000000000000-1",
            "S-1-281474976710656-1",
            "S-1-5-0x12",
            &too_many,
        ];
        for text in bad {
            assert_eq!(text.parse::<Sid>().unwrap_err().code(), "bad_sid", "{text}");
        }
    }

    #[test]
    fn bad_bytes() {
        let long = [[1, 16, 0, 0, 0, 0, 0, 5].as_slice(), &[0; 64]].concat();
        for bytes in [
            &[][..],
            &[1],
            &[1, 0, 0, 0, 0, 0, 0],
            &[2, 0, 0, 0, 0, 0, 0, 5],
            &[1, 1, 0, 0, 0, 0, 0, 5, 1, 0, 0],
            &long,
        ] {
            assert_eq!(Sid::parse(bytes).unwrap_err().code(), "bad_sid", "{bytes:?}");
        }
    }

    #[test]
    fn domains() {
        let domain = Sid::new(5, &[21, 1, 2, 3]).unwrap();
        let admins = domain.with_rid(512).unwrap();
        assert_eq!(admins.to_string(), "S-1-5-21-1-2-3-512");
        assert_eq!((admins.rid_in(&domain), domain.rid_in(&domain)), (Some(512), None));
        assert_eq!(Sid::new(5, &[0; 15]).unwrap().with_rid(1), None);
    }

    proptest! {
        #[test]
        fn round_trips(authority in 0..=MAX_AUTHORITY, sub in prop::collection::vec(any::<u32>(), 0..=15)) {
            let sid = Sid::new(authority, &sub).unwrap();
            prop_assert_eq!(Sid::parse(&sid.to_bytes()).unwrap(), sid.clone());
            prop_assert_eq!(sid.to_bytes().len(), sid.size());
            prop_assert_eq!(sid.to_string().parse::<Sid>().unwrap(), sid);
        }
    }
}
