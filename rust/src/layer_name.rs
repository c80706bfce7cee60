//! How a member of a layer is spelled: its roots, its components, and the names of whiteouts.
//!
//! A member name is bytes, with `/` between its components, and for a directory perhaps one more at its end. What a
//! name may hold is checked elsewhere ([`crate::nt::path`]); nothing here fails or panics for any bytes.

use crate::error::{Error, Format, Result};

/// All that a layer has at its top, in the order in which layers are written.
pub const ROOTS: [&str; 3] = ["Files", "Hives", "UtilityVM"];
/// The root with the files of the container.
pub const FILES: &[u8] = ROOTS[0].as_bytes();
/// The root with the hives of the registry.
pub const HIVES: &[u8] = ROOTS[1].as_bytes();
/// The root with the files of the utility VM, in which containers with Hyper-V isolation run.
pub const UTILITY_VM: &[u8] = ROOTS[2].as_bytes();
/// The directory of the utility VM that its files are in.
pub const UTILITY_VM_FILES: &[u8] = b"UtilityVM/Files";

/// What the last component of a whiteout starts with.
const WHITEOUT: &[u8] = b".wh.";
/// The last component of the whiteout that hides everything a directory has in lower layers (OCI image specification).
pub const OPAQUE_WHITEOUT: &[u8] = b".wh..wh..opq";

/// Whether a component is a root, spelled as Windows spells it. See [`root_name`] for other spellings.
#[must_use]
pub fn is_root(component: &[u8]) -> bool {
    ROOTS.iter().any(|root| root.as_bytes() == component)
}

/// The usual spelling of a root that is given in any case; `None` where the component is no root.
///
/// ```
/// use winlayers::layer_name::root_name;
/// assert_eq!(root_name(b"UTILITYVM"), Some(&b"UtilityVM"[..]));
/// assert_eq!(root_name(b"Windows"), None);
/// ```
#[must_use]
pub fn root_name(component: &[u8]) -> Option<&'static [u8]> {
    ROOTS.map(str::as_bytes).into_iter().find(|root| component.eq_ignore_ascii_case(root))
}

/// Whether a name is that of the utility VM, or of something in it.
#[must_use]
pub fn is_of_utility_vm(name: &[u8]) -> bool {
    is_or_is_below(name, UTILITY_VM)
}

/// The part of a name below `Files`, in whatever case that is spelled.
///
/// ```
/// use winlayers::layer_name::below_files;
/// assert_eq!(below_files(b"files/a/b"), Some(&b"a/b"[..]));
/// assert_eq!(below_files(b"Files"), None);
/// assert_eq!(below_files(b"Hives/a"), None);
/// ```
#[must_use]
pub fn below_files(name: &[u8]) -> Option<&[u8]> {
    let (root, rest) = name.split_at_checked(FILES.len())?;
    if root.eq_ignore_ascii_case(FILES) { rest.strip_prefix(b"/") } else { None }
}

/// The part of a name below a directory, which is spelled the same; `None` where the name is not below it.
#[must_use]
pub fn below<'a>(name: &'a [u8], directory: &[u8]) -> Option<&'a [u8]> {
    name.strip_prefix(directory)?.strip_prefix(b"/")
}

/// Whether a name is that of a directory, or of something in it, spelled the same.
#[must_use]
pub fn is_or_is_below(name: &[u8], directory: &[u8]) -> bool {
    name == directory || below(name, directory).is_some()
}

/// A name without the slash at its end, where it has one.
#[must_use]
pub fn trimmed(name: &[u8]) -> &[u8] {
    name.strip_suffix(b"/").unwrap_or(name)
}

/// A name as its directory, which is empty for a name at the top, and its last component. A slash at the end counts.
///
/// ```
/// use winlayers::layer_name::split;
/// assert_eq!(split(b"Files/a/b"), (&b"Files/a"[..], &b"b"[..]));
/// assert_eq!(split(b"Files"), (&b""[..], &b"Files"[..]));
/// ```
#[must_use]
pub fn split(name: &[u8]) -> (&[u8], &[u8]) {
    match name.iter().rposition(|byte| *byte == b'/') {
        Some(at) => (&name[..at], &name[at + 1..]),
        None => (&[], name),
    }
}

/// The directory of a name, empty for a name at the top. A slash at the end does not count.
#[must_use]
pub fn parent(name: &[u8]) -> &[u8] {
    split(trimmed(name)).0
}

/// The last component of a name. A slash at the end does not count.
#[must_use]
pub fn base_name(name: &[u8]) -> &[u8] {
    split(trimmed(name)).1
}

/// The first component of a name.
#[must_use]
pub fn top(name: &[u8]) -> &[u8] {
    components(name).next().unwrap_or_default()
}

/// The components of a name, the topmost first. A slash at the end counts: an empty component follows it.
pub fn components(name: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> + Clone {
    name.split(|byte| *byte == b'/')
}

/// The directories above a name, the topmost first.
///
/// ```
/// use winlayers::layer_name::parents;
/// assert!(parents(b"Files/a/b").eq([&b"Files"[..], b"Files/a"]));
/// assert!(parents(b"Files").next().is_none());
/// ```
pub fn parents(name: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> + Clone {
    let slashes = name.iter().enumerate().filter(|(_, byte)| **byte == b'/');
    slashes.map(|(at, _)| &name[..at])
}

/// The name of something in a directory; the empty directory is the top.
///
/// ```
/// use winlayers::layer_name::join;
/// assert_eq!(join(b"Files", b"a"), b"Files/a");
/// assert_eq!(join(b"", b"Files"), b"Files");
/// ```
#[must_use]
pub fn join(directory: &[u8], component: &[u8]) -> Vec<u8> {
    let mut name = Vec::with_capacity(directory.len() + 1 + component.len());
    name.extend_from_slice(directory);
    push(&mut name, component);
    name
}

/// Makes the name of a directory that of something in it, as [`join`].
pub fn push(directory: &mut Vec<u8>, component: &[u8]) {
    if !directory.is_empty() {
        directory.push(b'/');
    }
    directory.extend_from_slice(component);
}

/// A name with `/` for every `\`, which is never part of an NT name.
#[must_use]
pub fn with_slashes(name: &[u8]) -> Vec<u8> {
    name.iter().map(|&byte| if byte == b'\\' { b'/' } else { byte }).collect()
}

/// A name with `\` for every `/`, as Windows spells paths.
#[must_use]
pub fn with_backslashes(name: &[u8]) -> Vec<u8> {
    name.iter().map(|&byte| if byte == b'/' { b'\\' } else { byte }).collect()
}

/// Whether a member name is that of a whiteout.
///
/// ```
/// use winlayers::layer_name::is_whiteout;
/// assert!(is_whiteout(b"Files/.wh.old.txt")? && !is_whiteout(b"Files/x.wh.y")?);
/// assert!(is_whiteout(b"Files/.wh.").is_err());
/// # Ok::<(), winlayers::error::Error>(())
/// ```
///
/// # Errors
/// [`Error::Format`] for a whiteout of nothing.
pub fn is_whiteout(name: &[u8]) -> Result<bool> {
    if base_name(name) == WHITEOUT {
        return Err(Error::format(Format::LayerTar, "whiteout", "a name after .wh.", "nothing").in_member(name));
    }
    Ok(is_named_like_whiteout(name))
}

/// Whether the last component of a name starts with `.wh.`, which that of nothing but a whiteout may.
#[must_use]
pub fn is_named_like_whiteout(name: &[u8]) -> bool {
    base_name(name).starts_with(WHITEOUT)
}

/// The member name that deletes `target`.
///
/// ```
/// use winlayers::layer_name::{whiteout_of, whiteout_target};
/// assert_eq!(whiteout_of(b"Files/old.txt"), b"Files/.wh.old.txt");
/// assert_eq!(whiteout_target(b"Files/.wh.old.txt"), b"Files/old.txt");
/// ```
#[must_use]
pub fn whiteout_of(target: &[u8]) -> Vec<u8> {
    let (start, component) = split_base(target);
    [start, WHITEOUT, component].concat()
}

/// The member name that a whiteout deletes. An opaque whiteout deletes no name: see [`OPAQUE_WHITEOUT`].
#[must_use]
pub fn whiteout_target(whiteout: &[u8]) -> Vec<u8> {
    let (start, component) = split_base(whiteout);
    [start, hidden_by(component)].concat()
}

/// The last component of what a whiteout deletes, by its own; another component is given as it is.
#[must_use]
pub fn hidden_by(component: &[u8]) -> &[u8] {
    component.strip_prefix(WHITEOUT).unwrap_or(component)
}

/// A name as what comes before its last component, slash included, and the last component.
fn split_base(name: &[u8]) -> (&[u8], &[u8]) {
    let name = trimmed(name);
    name.split_at(name.len() - split(name).1.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_apart_and_put_together() {
        // The name; its directory and last component; its first component.
        type Row = [&'static [u8]; 4];
        let table: [Row; 8] = [
            [b"", b"", b"", b""],
            [b"/", b"", b"", b""],
            [b"Files", b"", b"Files", b"Files"],
            [b"Files/", b"", b"Files", b"Files"],
            [b"Files/a", b"Files", b"a", b"Files"],
            [b"Files/a/b/", b"Files/a", b"b", b"Files"],
            [b"/a", b"", b"a", b""],
            [b"a//b", b"a/", b"b", b"a"],
        ];
        for [name, directory, last, first] in table {
            assert_eq!((parent(name), base_name(name), top(name)), (directory, last, first), "{name:?}");
        }
        assert_eq!(split(b"Files/"), (&b"Files"[..], &b""[..]));
        assert_eq!((trimmed(b"a//"), trimmed(b"/"), trimmed(b"")), (&b"a/"[..], &b""[..], &b""[..]));
        assert_eq!(
            (join(b"", b"a"), join(b"a/b", b"c"), join(b"a", b"")),
            (b"a".into(), b"a/b/c".into(), b"a/".into())
        );
        assert!(components(b"a/b/").eq([&b"a"[..], b"b", b""]) && components(b"").eq([b""]));
        assert!(parents(b"a/b/").eq([&b"a"[..], b"a/b"]) && parents(b"").next().is_none());
        assert_eq!(with_slashes(br"a\b/c"), b"a/b/c");
        assert_eq!(with_backslashes(br"a\b/c"), br"a\b\c");
    }

    #[test]
    fn roots_are_known() {
        for root in ROOTS.map(str::as_bytes) {
            let folded = crate::nt::name::fold_wtf8(root).unwrap();
            assert!(is_root(root) && !is_root(&folded));
            assert_eq!((root_name(root), root_name(&folded)), (Some(root), Some(root)));
        }
        for other in [&b""[..], b"File", b"Files/", b"Files/a", b"Filess", b"F\xc4\xb0les"] {
            assert!(!is_root(other) && root_name(other).is_none(), "{other:?}");
        }
        assert!(is_of_utility_vm(b"UtilityVM") && is_of_utility_vm(b"UtilityVM/Files"));
        assert!(!is_of_utility_vm(b"UtilityVMs") && !is_of_utility_vm(b"utilityvm") && !is_of_utility_vm(b""));
    }

    #[test]
    fn a_name_is_below_another() {
        assert_eq!((below_files(b"FILES/"), below_files(b"Files/a")), (Some(&b""[..]), Some(&b"a"[..])));
        assert_eq!((below_files(b"Filesa"), below_files(b"File/a"), below_files(b"")), (None, None, None));
        assert_eq!((below(b"a/b/c", b"a"), below(b"a", b"a"), below(b"ab", b"a")), (Some(&b"b/c"[..]), None, None));
        assert!(is_or_is_below(b"a", b"a") && is_or_is_below(b"a/b", b"a") && !is_or_is_below(b"A/b", b"a"));
    }

    #[test]
    fn whiteouts_and_their_targets() {
        let table: [(&[u8], &[u8]); 6] = [
            (b"a", b".wh.a"),
            (b"Files/a", b"Files/.wh.a"),
            (b"Files/a/", b"Files/.wh.a"),
            (b"/a", b"/.wh.a"),
            (b"Files/.wh..opq", b"Files/.wh..wh..opq"),
            (b"", b".wh."),
        ];
        for (target, whiteout) in table {
            assert_eq!(whiteout_of(target), whiteout);
            assert_eq!(whiteout_target(whiteout), trimmed(target));
            assert!(is_named_like_whiteout(whiteout));
        }
        assert_eq!(whiteout_target(b"Files/.wh.a/"), b"Files/a");
        assert_eq!((hidden_by(b".wh.a"), hidden_by(b".wh."), hidden_by(b"a")), (&b"a"[..], &b""[..], &b"a"[..]));
        assert_eq!(hidden_by(OPAQUE_WHITEOUT), b".wh..opq");
        assert!(is_whiteout(OPAQUE_WHITEOUT).unwrap() && is_whiteout(b"Files/.wh.a/").unwrap());
        assert!(!is_whiteout(b".wh.a/b").unwrap() && !is_whiteout(b".WH.a").unwrap() && !is_whiteout(b"").unwrap());
        assert!(is_whiteout(b".wh.").is_err() && is_whiteout(b"Files/.wh./").is_err());
    }
}
