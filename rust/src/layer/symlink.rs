//! Which symlinks of a layer become symlinks of a disk.

use crate::fs::MAKES_LINKS;
use crate::fs::symlink::components;
use crate::layer_name::with_slashes;
use crate::layer_tar::{EntryKind, LayerEntry};

/// The target with which a symlink of a layer is put on a disk; `None` where it is none, or might lead out of its root.
///
/// Components behind `..` may be links themselves, so that `..` is safe at the very start only: there it counts from
/// the directory of the link, which is no link.
pub(super) fn link_on_disk(entry: &LayerEntry) -> Option<Vec<u8>> {
    if entry.kind != EntryKind::Symlink || !MAKES_LINKS {
        return None;
    }
    let target = with_slashes(entry.link_name.as_ref()?);
    let odd = target.is_empty() || target.starts_with(b"/") || target.contains(&b':') || target.contains(&0);
    // Names of a root and of the link itself; the rest are directories that the link lies in.
    let depth = components(&entry.name).count().checked_sub(2)?;
    let up = components(&target).take_while(|component| component == b"..").count();
    let inside = up <= depth && components(&target).skip(up).all(|component| component != b"..");
    (!odd && inside && target.len() < 4096).then_some(target)
}
