//! 128-bit identifiers in Windows' mixed byte order.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Format, Result};

/// A GUID, as its 16 bytes in a Windows structure: the first three fields are little-endian.
///
/// ```
/// use winlayers::nt::Guid;
/// let guid: Guid = "{2ed0c4f1-0000-0000-0000-100000000000}".parse().unwrap();
/// assert_eq!(guid.0[..4], [0xf1, 0xc4, 0xd0, 0x2e]);
/// assert_eq!(guid.to_string(), "2ed0c4f1-0000-0000-0000-100000000000");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Guid(pub [u8; 16]);

/// Where the bytes of the text form lie in memory.
const TEXT_ORDER: [usize; 16] = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15];

/// Lower-case digits with dashes, no braces.
impl fmt::Display for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, at) in TEXT_ORDER.into_iter().enumerate() {
            if matches!(position, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{:02x}", self.0[at])?;
        }
        Ok(())
    }
}

/// Reads 8-4-4-4-12 hexadecimal digits of either case, in braces or not.
impl FromStr for Guid {
    type Err = Error;

    fn from_str(text: &str) -> Result<Guid> {
        read(text).ok_or_else(|| {
            let shown: String = text.chars().take(60).collect();
            Error::format(Format::Guid, "text", "8-4-4-4-12 hexadecimal digits", format!("{shown:?}"))
        })
    }
}

fn read(text: &str) -> Option<Guid> {
    let text = text.strip_prefix('{').map_or(Some(text), |inner| inner.strip_suffix('}'))?.as_bytes();
    if text.len() != 36 || [8, 13, 18, 23].iter().any(|&at| text[at] != b'-') {
        return None;
    }
    let mut digits = text.iter().enumerate().filter(|(at, _)| ![8, 13, 18, 23].contains(at)).map(|(_, byte)| byte);
    let mut guid = Guid::default();
    for at in TEXT_ORDER {
        let mut digit = || char::from(*digits.next()?).to_digit(16);
        let byte = digit()? * 16 + digit()?;
        guid.0[at] = u8::try_from(byte).ok()?;
    }
    Some(guid)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn other_text_is_refused() {
        for text in ["", "{}", "{2ed0c4f1-0000-0000-0000-100000000000", "2ed0c4f1-0000-0000-0000-10000000000g"] {
            assert_eq!(text.parse::<Guid>().unwrap_err().code(), "bad_guid");
        }
        assert!("2ed0c4f1-0000-0000-0000-1000000000é".parse::<Guid>().is_err());
        assert!("-2ed0c4f-0000-0000-0000-100000000000".parse::<Guid>().is_err());
    }

    proptest! {
        #[test]
        fn text_round_trip(bytes: [u8; 16]) {
            let guid = Guid(bytes);
            prop_assert_eq!(guid.to_string().parse::<Guid>().unwrap(), guid);
            prop_assert_eq!(format!("{{{}}}", guid).to_uppercase().parse::<Guid>().unwrap(), guid);
        }
    }
}
