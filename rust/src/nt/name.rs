//! Names as NT knows them: any sequence of UTF-16 units, compared without case.
//!
//! NT does not demand that surrogates come in pairs, so a name may not be Unicode text. WTF-8 encodes every sequence of
//! units: as UTF-8, with three bytes for a surrogate without its partner (<https://wtf-8.codeberg.page/>).

use super::upcase::upcase;

/// The WTF-8 bytes of UTF-16 units: UTF-8 where the units are well-formed.
///
/// ```
/// use winlayers::nt::name::{utf16_from_wtf8, wtf8_from_utf16};
/// assert_eq!(wtf8_from_utf16(&[0x61, 0xd800, 0x62]), b"a\xed\xa0\x80b");
/// assert_eq!(utf16_from_wtf8(b"a\xed\xa0\x80b"), Some(vec![0x61, 0xd800, 0x62]));
/// assert_eq!(utf16_from_wtf8(b"\xed\xa0\xbd\xed\xb8\x80"), None, "a pair has one spelling only, of four bytes");
/// ```
#[must_use]
pub fn wtf8_from_utf16(units: &[u16]) -> Vec<u8> {
    let mut out = Vec::with_capacity(units.len());
    for decoded in char::decode_utf16(units.iter().copied()) {
        match decoded {
            Ok(c) => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            Err(lone) => {
                let [high, low] = lone.unpaired_surrogate().to_be_bytes();
                out.extend([0xed, 0x80 | (high & 0xf) << 2 | low >> 6, 0x80 | low & 0x3f]);
            }
        }
    }
    out
}

/// The UTF-16 units of WTF-8 bytes; `None` when the bytes are not WTF-8.
#[must_use]
pub fn utf16_from_wtf8(bytes: &[u8]) -> Option<Vec<u16>> {
    if let Ok(text) = std::str::from_utf8(bytes) {
        return Some(text.encode_utf16().collect());
    }
    let mut units = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while !rest.is_empty() {
        match std::str::from_utf8(rest) {
            Ok(text) => {
                units.extend(text.encode_utf16());
                break;
            }
            Err(error) => {
                let (valid, bad) = rest.split_at(error.valid_up_to());
                let lone = leading_surrogate(bad)?;
                let text = std::str::from_utf8(valid).ok()?;
                units.extend(text.encode_utf16());
                // A high surrogate directly before a low one would be a pair, spelled wrongly.
                let after_high = valid.is_empty() && units.last().is_some_and(|unit| (0xd800..0xdc00).contains(unit));
                if after_high && lone >= 0xdc00 {
                    return None;
                }
                units.push(lone);
                rest = &bad[3..];
            }
        }
    }
    Some(units)
}

/// Whether the bytes are WTF-8.
#[must_use]
pub fn is_wtf8(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_ok() || utf16_from_wtf8(bytes).is_some()
}

fn leading_surrogate(bytes: &[u8]) -> Option<u16> {
    match bytes {
        [0xed, second @ 0xa0..=0xbf, third @ 0x80..=0xbf, ..] => {
            Some(0xd000 | u16::from(second & 0x3f) << 6 | u16::from(third & 0x3f))
        }
        _ => None,
    }
}

/// The form in which NTFS compares names: each unit upper-cased by itself, nothing normalised.
///
/// ```
/// use winlayers::nt::name::fold;
/// let folded = |text: &str| String::from_utf16(&fold(&text.encode_utf16().collect::<Vec<_>>())).unwrap();
/// assert_eq!(folded("straße.ÿ"), "STRAßE.Ÿ");
/// ```
#[must_use]
pub fn fold(units: &[u16]) -> Vec<u16> {
    units.iter().map(|unit| upcase(*unit)).collect()
}

/// A path in WTF-8 with the case folded: equal for paths that NTFS takes for one. `None` where it is not WTF-8.
///
/// ```
/// assert_eq!(winlayers::nt::name::fold_wtf8("Files/straße".as_bytes()), Some("FILES/STRAßE".into()));
/// ```
#[must_use]
pub fn fold_wtf8(path: &[u8]) -> Option<Vec<u8>> {
    if path.is_ascii() {
        return Some(path.to_ascii_uppercase());
    }
    utf16_from_wtf8(path).map(|units| wtf8_from_utf16(&fold(&units)))
}

/// The name as NTFS compares it, in WTF-8; bytes that are not WTF-8 stay as they are.
pub(crate) fn fold_into(name: &[u8], out: &mut Vec<u8>) {
    out.clear();
    if name.is_ascii() {
        out.extend(name.iter().map(u8::to_ascii_uppercase));
    } else {
        match utf16_from_wtf8(name) {
            Some(units) => out.extend(wtf8_from_utf16(&fold(&units))),
            None => out.extend_from_slice(name),
        }
    }
}

/// Why Win32 would not take a name as it stands, though NT does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Win32Trouble {
    /// Empty, `.` or `..`: not a name of its own.
    NotAName,
    /// A device: `CON`, `NUL.txt`, `COM1`, ...
    Device,
    /// A trailing dot or space, which Win32 cuts off.
    TrailingDotOrSpace,
    /// A control character, or one of `< > : " / \ | ? *`.
    Character,
}

/// Why Win32 would mangle or refuse this path component, if it would.
///
/// ```
/// use winlayers::nt::name::{win32_trouble, Win32Trouble};
/// let trouble = |text: &str| win32_trouble(&text.encode_utf16().collect::<Vec<_>>());
/// assert_eq!(trouble("notepad.exe"), None);
/// assert_eq!(trouble("nul .txt"), Some(Win32Trouble::Device));
/// assert_eq!(trouble("end."), Some(Win32Trouble::TrailingDotOrSpace));
/// ```
#[must_use]
pub fn win32_trouble(component: &[u16]) -> Option<Win32Trouble> {
    const DOT: u16 = b'.' as u16;
    const SPACE: u16 = b' ' as u16;
    if matches!(component, [] | [DOT] | [DOT, DOT]) {
        return Some(Win32Trouble::NotAName);
    }
    if component.iter().any(|&unit| unit < 0x20 || (unit < 0x80 && b"<>:\"/\\|?*".contains(&unit.to_le_bytes()[0]))) {
        return Some(Win32Trouble::Character);
    }
    if is_reserved_device(component) {
        return Some(Win32Trouble::Device);
    }
    matches!(component, [.., DOT | SPACE]).then_some(Win32Trouble::TrailingDotOrSpace)
}

/// Whether Win32 takes this component for a device: `CON PRN AUX NUL CONIN$ CONOUT$`, `COM` or `LPT` with a digit or
/// one of `¹²³`, in any case, whatever extension or spaces follow.
#[must_use]
pub fn is_reserved_device(component: &[u16]) -> bool {
    let stem_end = component.iter().position(|unit| [0x2e, 0x3a].contains(unit)).unwrap_or(component.len());
    let stem = &component[..stem_end];
    let stem = &stem[..stem.iter().rposition(|&unit| unit != 0x20).map_or(0, |last| last + 1)];
    if !(3..=7).contains(&stem.len()) {
        return false;
    }
    let Ok(stem) = String::from_utf16(&fold(stem)) else { return false };
    if matches!(&*stem, "CON" | "PRN" | "AUX" | "NUL" | "CONIN$" | "CONOUT$") {
        return true;
    }
    let number = stem.strip_prefix("COM").or_else(|| stem.strip_prefix("LPT"));
    let mut number = number.unwrap_or_default().chars();
    matches!((number.next(), number.next()), (Some('0'..='9' | '¹' | '²' | '³'), None))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn units(text: &str) -> Vec<u16> {
        text.encode_utf16().collect()
    }

    #[test]
    fn ill_formed_bytes_are_not_wtf8() {
        let bad: [&[u8]; 8] = [
            b"\x80",
            b"\xff",
            b"a\xc0\x80",
            b"\xed\xa0",
            b"\xed\xa0\x80\xed\xb0\x80",
            b"\xf4\x90\x80\x80",
            b"\xe0\x80\x80",
            b"\xed\xa0\x80\xed\xa0\x80\xed\xb0\x80",
        ];
        for bytes in bad {
            assert_eq!(utf16_from_wtf8(bytes), None, "{bytes:02x?}");
            assert!(!is_wtf8(bytes));
        }
        assert_eq!(utf16_from_wtf8(b"\xed\xb0\x80\xed\xa0\x80"), Some(vec![0xdc00, 0xd800]));
        assert_eq!(utf16_from_wtf8(b"\xed\xa0\x80x\xed\xb0\x80"), Some(vec![0xd800, 0x78, 0xdc00]));
        assert_eq!(utf16_from_wtf8("😀\u{d7ff}".as_bytes()), Some(vec![0xd83d, 0xde00, 0xd7ff]));
        // A pair of its own, then a low surrogate: the pair's last unit must not be taken for a lone high one.
        let mut bytes = "😀".as_bytes().to_vec();
        bytes.extend(b"\xed\xb0\x80");
        assert_eq!(utf16_from_wtf8(&bytes), Some(vec![0xd83d, 0xde00, 0xdc00]));
    }

    #[test]
    fn devices() {
        for name in [
            "con",
            "NUL",
            "nul.tar.gz",
            "aux  ",
            "Com1",
            "com0",
            "lpt9.x",
            "COM¹",
            "lpt³ .a",
            "CONIN$",
            "conout$",
            "nul:x",
        ] {
            assert!(is_reserved_device(&units(name)), "{name}");
        }
        for name in ["", "conn", "com", "com10", "lpt", "comx", "a.nul", " con", "co", "nul_", "com1x", "con\u{300}"] {
            assert!(!is_reserved_device(&units(name)), "{name}");
        }
    }

    #[test]
    fn win32_names() {
        let table = [
            ("", Some(Win32Trouble::NotAName)),
            ("..", Some(Win32Trouble::NotAName)),
            ("...", Some(Win32Trouble::TrailingDotOrSpace)),
            ("a ", Some(Win32Trouble::TrailingDotOrSpace)),
            ("a:b", Some(Win32Trouble::Character)),
            ("a\u{1}", Some(Win32Trouble::Character)),
            ("a?", Some(Win32Trouble::Character)),
            ("prn.txt", Some(Win32Trouble::Device)),
            (" a", None),
            (".a", None),
            ("\u{443a}", None),
        ];
        for (name, trouble) in table {
            assert_eq!(win32_trouble(&units(name)), trouble, "{name:?}");
        }
    }

    proptest! {
        #[test]
        fn every_utf16_has_one_wtf8(name: Vec<u16>) {
            prop_assert_eq!(utf16_from_wtf8(&wtf8_from_utf16(&name)), Some(name));
        }

        #[test]
        fn surrogate_runs_too(name in prop::collection::vec(prop_oneof![0xd800_u16..0xe000, Just(0x61)], 0..12)) {
            let bytes = wtf8_from_utf16(&name);
            prop_assert!(is_wtf8(&bytes));
            prop_assert_eq!(utf16_from_wtf8(&bytes), Some(name));
        }

        #[test]
        fn bytes_that_are_wtf8_come_back(bytes in prop::collection::vec(prop_oneof![Just(0xed_u8), 0x80..0xc0_u8, any::<u8>()], 0..12)) {
            if let Some(name) = utf16_from_wtf8(&bytes) {
                prop_assert_eq!(wtf8_from_utf16(&name), bytes);
            }
        }
    }
}
