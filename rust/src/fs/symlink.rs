//! What a symlink leads to, without leaving the tree: a link means the same in every folder that the tree is in.

use super::disk::Disk;
use crate::error::Result;
use crate::fs::Kind;
use std::collections::VecDeque;

/// Links on the way to a target, as Linux has it.
const HOPS: usize = 40;

/// What a link leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    /// A directory of the tree.
    Directory,
    /// Something else in the tree; it need not be there.
    Other,
    /// Nothing that a tree could have: above its root, or on a drive.
    Outside,
}

/// Follows the target of the link at `link`; absolute targets count from `root`, a directory of the disk.
pub(crate) fn resolve(disk: &Disk, root: &[u8], link: &[u8], target: &[u8]) -> Result<Target> {
    let root: Vec<Vec<u8>> = components(root).collect();
    let mut at: Vec<Vec<u8>> = components(link).collect();
    at.pop();
    let mut rest: VecDeque<Vec<u8>> = VecDeque::new();
    if !enter(target, &root, &mut at, &mut rest) {
        return Ok(Target::Outside);
    }
    let mut hops = 0;
    while let Some(component) = rest.pop_front() {
        match component.as_slice() {
            b"." => continue,
            b".." if at.len() <= root.len() => return Ok(Target::Outside),
            b".." => {
                at.pop();
                continue;
            }
            _ => at.push(component),
        }
        let path = at.join(&b'/');
        match disk.stat(&path)?.map(|stat| stat.kind) {
            Some(Kind::Directory) => {}
            Some(Kind::Symlink) => {
                hops += 1;
                if hops > HOPS {
                    return Ok(Target::Other);
                }
                at.pop();
                let target = disk.read_link(&path)?;
                if !enter(&target, &root, &mut at, &mut rest) {
                    return Ok(Target::Outside);
                }
            }
            // Nothing is below a file; what is not there may be in a lower layer.
            Some(Kind::File | Kind::Other) | None => return Ok(Target::Other),
        }
    }
    Ok(Target::Directory)
}

/// Puts the components of a target in front of the rest of the way; `false` when it leads to another drive.
fn enter(target: &[u8], root: &[Vec<u8>], at: &mut Vec<Vec<u8>>, rest: &mut VecDeque<Vec<u8>>) -> bool {
    if has_drive(target) || target.starts_with(b"//") || target.starts_with(b"\\\\") {
        return false;
    }
    if target.starts_with(b"/") || target.starts_with(b"\\") {
        *at = root.to_vec();
    }
    for component in components(target).collect::<Vec<_>>().into_iter().rev() {
        rest.push_front(component);
    }
    true
}

/// `C:` at the start of a path.
fn has_drive(target: &[u8]) -> bool {
    matches!(target, [letter, b':', ..] if letter.is_ascii_alphabetic())
}

/// Windows reads both slashes in the target of a link.
pub(crate) fn components(path: &[u8]) -> impl DoubleEndedIterator<Item = Vec<u8>> {
    path.split(|&b| b == b'/' || b == b'\\').filter(|component| !component.is_empty()).map(<[u8]>::to_vec)
}

#[cfg(test)]
#[cfg(unix)]
#[allow(clippy::disallowed_methods)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn targets() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("tree");
        std::fs::create_dir_all(root.join("Files/d/e")).unwrap();
        std::fs::write(root.join("Files/f"), "").unwrap();
        std::fs::create_dir(folder.path().join("out")).unwrap();
        symlink("d", root.join("Files/to_d")).unwrap();
        symlink("loop", root.join("Files/loop")).unwrap();
        symlink("../../out", root.join("Files/to_out")).unwrap();
        let disk = Disk::open(&root).unwrap();
        let table: [(&str, Target); 16] = [
            ("d", Target::Directory),
            ("./d/../d/e", Target::Directory),
            ("d\\e", Target::Directory),
            ("/d/e", Target::Directory),
            ("to_d/e", Target::Directory),
            ("to_d/e/..", Target::Directory),
            (".", Target::Directory),
            ("f", Target::Other),
            ("f/x", Target::Other),
            ("nothing", Target::Other),
            ("loop", Target::Other),
            ("..", Target::Outside),
            ("to_out", Target::Outside),
            ("d/../../Files", Target::Outside),
            ("C:\\d", Target::Outside),
            ("\\\\server\\share", Target::Outside),
        ];
        for (target, expected) in table {
            let found = resolve(&disk, b"Files", b"Files/link", target.as_bytes()).unwrap();
            assert_eq!(found, expected, "{target}");
        }
        assert_eq!(resolve(&disk, b"Files", b"Files/d/e/link", b"../../d").unwrap(), Target::Directory);
        assert_eq!(resolve(&disk, b"", b"Files/link", b"../Files/d").unwrap(), Target::Directory);
    }
}
