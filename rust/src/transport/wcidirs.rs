//! The metadata of directories: `X.$wcidirs$` beside the directory `X`, in the form that a file has.
//!
//! That form is the attributes, 32 bits little-endian, and then the backup stream.

use crate::error::{Error, Format, Result};
use crate::nt::FileAttributes;
use crate::nt::name::fold_into;
use std::io::{ErrorKind, Read};

/// What the name of such a file ends in.
pub const SUFFIX: &[u8] = b".$wcidirs$";

/// Bytes of the attributes in front of a backup stream.
pub(super) const ATTRIBUTES: usize = 4;

/// The name of the file with a directory's metadata, of a component or of a path.
#[must_use]
pub fn metadata_name(directory: &[u8]) -> Vec<u8> {
    [directory, SUFFIX].concat()
}

/// The directory whose metadata a file of this name holds.
///
/// ```
/// use winlayers::transport::wcidirs::directory_of;
/// assert_eq!(directory_of(b"Windows.$wcidirs$"), Some(&b"Windows"[..]));
/// assert_eq!(directory_of(b"notes.txt"), None);
/// ```
#[must_use]
pub fn directory_of(component: &[u8]) -> Option<&[u8]> {
    component.strip_suffix(SUFFIX).filter(|directory| !directory.is_empty())
}

/// Whether no file of a layer may have this name, since it is, or differs only in case from, one of the metadata's.
pub(super) fn is_reserved(component: &[u8]) -> bool {
    let Some(start) = component.len().checked_sub(SUFFIX.len()) else { return false };
    let (mut end, mut suffix) = (Vec::new(), Vec::new());
    fold_into(&component[start..], &mut end);
    fold_into(SUFFIX, &mut suffix);
    end == suffix
}

/// Reads the attributes in front of a backup stream.
///
/// # Errors
/// [`Error::Format`] when the file is shorter; [`Error::Io`].
pub(super) fn read_attributes(file: &mut impl Read) -> Result<FileAttributes> {
    let mut bytes = [0; ATTRIBUTES];
    let mut done = 0;
    while done < bytes.len() {
        match file.read(&mut bytes[done..]) {
            Ok(0) => {
                let found = format!("{done} bytes");
                return Err(Error::format(Format::Transport, "attributes", "4 bytes", found).at(0));
            }
            Ok(n) => done += n,
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) => return Err(crate::error::from_io(e)),
        }
    }
    Ok(FileAttributes(u32::from_le_bytes(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_metadata() {
        assert_eq!(metadata_name(b"Files/a"), b"Files/a.$wcidirs$");
        assert_eq!(directory_of(b".$wcidirs$"), None);
        assert_eq!(directory_of(b"a.$WCIDIRS$"), None);
        assert!(is_reserved(b"a.$WciDirs$") && is_reserved(b".$wcidirs$") && is_reserved(b"\xc3\xa9.$wcidirs$"));
        assert!(!is_reserved(b"a.$wcidir$") && !is_reserved(b"") && !is_reserved("ÿÿÿÿÿÿ".as_bytes()));
    }

    #[test]
    fn attributes_are_four_bytes() {
        assert_eq!(read_attributes(&mut &[0x20, 4, 0, 0, 9][..]).unwrap().0, 0x420);
        let error = read_attributes(&mut &[1, 2, 3][..]).unwrap_err();
        assert_eq!(error.to_string(), "at byte 0: transport folder attributes: expected 4 bytes, found 3 bytes");
    }
}
