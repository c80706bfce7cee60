//! Extended attributes: named blobs beside a file's data, in the two forms Windows stores them.
//!
//! An entry is `u32 next offset, u8 flags, u8 name length, u16 value length, name, NUL, value`, padded to 4 bytes. In
//! FILE_FULL_EA_INFORMATION ([MS-FSCC] 2.4.16), which backup streams carry, the last entry's next offset is 0; in the
//! `$EA` attribute of NTFS it is that entry's own length.

use crate::error::{Error, Format, Result};

use super::bytes::{u16_at, u32_at};

/// One extended attribute.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ExtendedAttribute {
    /// The name: bytes of the system's OEM code page, upper-case on NTFS, no more than 255.
    pub name: Vec<u8>,
    /// The value, no more than 65,535 bytes.
    pub value: Vec<u8>,
    /// [`ExtendedAttribute::NEED_EA`] or 0.
    pub flags: u8,
}

impl ExtendedAttribute {
    /// FILE_NEED_EA: the file is of no use to a program that does not understand this attribute.
    pub const NEED_EA: u8 = 0x80;
}

const HEADER: usize = 8;

/// Reads a FILE_FULL_EA_INFORMATION list, accepting all that go-winio accepts but a list that grows by overlapping.
///
/// A next offset may be unaligned, may point into the entry itself or to the end of the buffer; bytes after the last
/// entry are not looked at. Names and values together may not be larger than the buffer, which no list without overlaps
/// is: time and memory are linear in the input.
///
/// ```
/// use winlayers::nt::ea::{decode, encode, ExtendedAttribute};
/// let list = vec![ExtendedAttribute { name: b"FOO".to_vec(), value: b"bar".to_vec(), flags: 0 }];
/// let bytes = encode(&list).unwrap();
/// assert_eq!(bytes, b"\0\0\0\0\0\x03\x03\0FOO\0bar\0");
/// assert_eq!(decode(&bytes).unwrap(), list);
/// ```
///
/// # Errors
/// A format error that names the field, at its offset in `bytes`.
pub fn decode(bytes: &[u8]) -> Result<Vec<ExtendedAttribute>> {
    let mut list = Vec::new();
    let mut budget = bytes.len();
    let mut at = 0;
    while at < bytes.len() {
        let (attribute, next) = decode_entry(bytes, at)?;
        let size = attribute.name.len() + attribute.value.len();
        budget = budget.checked_sub(size).ok_or_else(|| {
            fault("entries", format!("names and values of at most {} bytes together", bytes.len()), "more", at)
        })?;
        list.push(attribute);
        let left = bytes.len() - at;
        match next {
            0 => break,
            next if next > left => {
                return Err(fault("next entry offset", format!("at most {left}"), next.to_string(), at));
            }
            next => at += next,
        }
    }
    Ok(list)
}

/// Writes a FILE_FULL_EA_INFORMATION list as go-winio does: every entry is padded to 4 bytes, the last one too.
///
/// # Errors
/// A format error for a name over 255 bytes or a value over 65,535.
pub fn encode(list: &[ExtendedAttribute]) -> Result<Vec<u8>> {
    encode_with(list, |_| 0)
}

/// Reads the form of the NTFS `$EA` attribute, where each next offset is the length of its entry.
///
/// # Errors
/// A format error that names the field. A next offset of 0 is an error too, since such a list would loop.
pub fn decode_on_disk(bytes: &[u8]) -> Result<Vec<ExtendedAttribute>> {
    let mut list = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let (attribute, next) = decode_entry(bytes, at)?;
        let (least, left) = (entry_size(&attribute), bytes.len() - at);
        // The last entry of real lists may lack its padding.
        if next < least || next > left.max(least.next_multiple_of(4)) {
            return Err(fault("next entry offset", format!("{least} to {left}"), next.to_string(), at));
        }
        list.push(attribute);
        at += next;
    }
    Ok(list)
}

/// Writes the form of the NTFS `$EA` attribute.
///
/// # Errors
/// As [`encode`].
pub fn encode_on_disk(list: &[ExtendedAttribute]) -> Result<Vec<u8>> {
    encode_with(list, |own_size| own_size)
}

fn decode_entry(bytes: &[u8], at: usize) -> Result<(ExtendedAttribute, usize)> {
    let entry = &bytes[at..];
    let short = |needed: usize| fault("entry", format!("{needed} bytes"), format!("{} bytes", entry.len()), at);
    let (Some(next), Some([flags, name_length]), Some(value_length)) =
        (u32_at(entry, 0), entry.get(4..6), u16_at(entry, 6))
    else {
        return Err(short(HEADER + 1));
    };
    let name_end = HEADER + usize::from(*name_length);
    let value_end = name_end + 1 + usize::from(value_length);
    let (Some(name), Some(value)) = (entry.get(HEADER..name_end), entry.get(name_end + 1..value_end)) else {
        return Err(short(value_end));
    };
    let attribute = ExtendedAttribute { name: name.to_vec(), value: value.to_vec(), flags: *flags };
    let next = usize::try_from(next).unwrap_or(usize::MAX);
    Ok((attribute, next))
}

fn encode_with(list: &[ExtendedAttribute], last_next: impl Fn(u32) -> u32) -> Result<Vec<u8>> {
    let mut out = Vec::with_capacity(list.iter().map(|ea| entry_size(ea).next_multiple_of(4)).sum());
    for (index, attribute) in list.iter().enumerate() {
        let name_length = u8::try_from(attribute.name.len())
            .map_err(|_| too_long("name", "at most 255 bytes", attribute.name.len()))?;
        let value_length = u16::try_from(attribute.value.len())
            .map_err(|_| too_long("value", "at most 65535 bytes", attribute.value.len()))?;
        let padded = entry_size(attribute).next_multiple_of(4);
        let own_size = u32::try_from(padded).expect("255 + 65535 + 12 fits 32 bits");
        let next = if index + 1 == list.len() { last_next(own_size) } else { own_size };
        let end = out.len() + padded;
        out.extend(next.to_le_bytes());
        out.extend([attribute.flags, name_length]);
        out.extend(value_length.to_le_bytes());
        out.extend(&attribute.name);
        out.push(0);
        out.extend(&attribute.value);
        out.resize(end, 0);
    }
    Ok(out)
}

fn entry_size(attribute: &ExtendedAttribute) -> usize {
    HEADER + attribute.name.len() + 1 + attribute.value.len()
}

fn too_long(field: &'static str, expected: &str, found: usize) -> Error {
    Error::format(Format::ExtendedAttributes, field, expected, format!("{found} bytes"))
}

fn fault(field: &'static str, expected: impl Into<Box<str>>, found: impl Into<Box<str>>, at: usize) -> Error {
    Error::format(Format::ExtendedAttributes, field, expected, found).at(at as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_overlapping_list_cannot_grow() {
        // Each entry starts one byte after the one before it and holds nearly all the rest.
        let mut bytes = vec![0; 4096];
        for at in (0..2000).step_by(8) {
            bytes[at..at + 8].copy_from_slice(&[8, 0, 0, 0, 0, 0, 0, 4]);
        }
        let error = decode(&bytes).unwrap_err();
        assert_eq!(error.code(), "bad_extended_attributes");
        assert!(error.to_string().contains("at most 4096 bytes together"), "{error}");
    }

    #[test]
    fn on_disk_list_that_loops_is_refused() {
        let one = encode(&[ExtendedAttribute { name: b"A".to_vec(), value: b"v".to_vec(), flags: 0 }]).unwrap();
        assert_eq!(decode_on_disk(&one).unwrap_err().code(), "bad_extended_attributes");
    }

    #[test]
    fn sizes_are_bounded() {
        let mut attribute = ExtendedAttribute { name: vec![b'N'; 255], value: vec![0; 65_535], flags: 0 };
        assert_eq!(decode(&encode(std::slice::from_ref(&attribute)).unwrap()).unwrap(), [attribute.clone()]);
        attribute.value.push(0);
        assert!(encode(std::slice::from_ref(&attribute)).unwrap_err().to_string().contains("65536"));
        attribute.value.clear();
        attribute.name.push(b'N');
        assert!(encode(&[attribute]).unwrap_err().to_string().contains("256"));
    }

    fn attributes() -> impl Strategy<Value = Vec<ExtendedAttribute>> {
        let one = (prop::collection::vec(any::<u8>(), 0..20), prop::collection::vec(any::<u8>(), 0..40), any::<u8>());
        prop::collection::vec(one.prop_map(|(name, value, flags)| ExtendedAttribute { name, value, flags }), 0..8)
    }

    proptest! {
        #[test]
        fn round_trips(list in attributes()) {
            prop_assert_eq!(decode(&encode(&list).unwrap()).unwrap(), list.clone());
            prop_assert_eq!(decode_on_disk(&encode_on_disk(&list).unwrap()).unwrap(), list);
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(prop_oneof![Just(0_u8), any::<u8>()], 0..80)) {
            let _ = decode(&bytes);
            let _ = decode_on_disk(&bytes);
        }
    }
}
