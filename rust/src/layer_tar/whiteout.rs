//! Whiteouts: empty members whose base name starts with `.wh.`, as Docker's layers have them.

use crate::error::{Error, Format, Result};

/// What the base name of a whiteout starts with.
pub const PREFIX: &[u8] = b".wh.";
/// The base name that hides everything a directory has in lower layers (OCI image specification).
pub const OPAQUE: &[u8] = b".wh..wh..opq";

/// The last component of a member name, a closing slash left aside.
#[must_use]
pub fn base_name(name: &[u8]) -> &[u8] {
    let name = name.strip_suffix(b"/").unwrap_or(name);
    name.rsplit(|&b| b == b'/').next().unwrap_or_default()
}

/// Whether a member name is that of a whiteout.
///
/// ```
/// use winlayers::layer_tar::whiteout::is_whiteout;
/// assert!(is_whiteout(b"Files/.wh.old.txt")? && !is_whiteout(b"Files/x.wh.y")?);
/// assert!(is_whiteout(b"Files/.wh.").is_err());
/// # Ok::<(), winlayers::error::Error>(())
/// ```
///
/// # Errors
/// [`Error::Format`] for a whiteout of nothing.
pub fn is_whiteout(name: &[u8]) -> Result<bool> {
    let base = base_name(name);
    if base == PREFIX {
        return Err(Error::format(Format::LayerTar, "whiteout", "a name after .wh.", "nothing").in_member(name));
    }
    Ok(base.starts_with(PREFIX))
}

/// The member name that deletes `target`.
#[must_use]
pub fn member_name(target: &[u8]) -> Vec<u8> {
    let target = target.strip_suffix(b"/").unwrap_or(target);
    let base = target.len() - base_name(target).len();
    [&target[..base], PREFIX, &target[base..]].concat()
}
