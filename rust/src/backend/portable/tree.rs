//! The folders of a tree on the disk, in the order of a record.

use super::record::name_key;
use crate::error::{Error, Result, Rule, display_name};
use crate::fs::Metadata;
use crate::layer::disk::{Disk, disk_path, name_bytes};

/// What a member name of the tree starts with.
pub(super) const FILES: &[u8] = b"Files";

/// One name in a folder.
pub(super) struct Child {
    pub key: Vec<u8>,
    pub name: Vec<u8>,
    pub metadata: Metadata,
}

/// Where a member (`Files/...`) lies in the tree.
pub(super) fn place(member: &[u8]) -> &[u8] {
    member.get(FILES.len() + 1..).unwrap_or_default()
}

/// The member of a name in a directory.
pub(super) fn join(directory: &[u8], name: &[u8]) -> Vec<u8> {
    [directory, b"/", name].concat()
}

/// What is in a folder of the tree, sorted as NTFS compares names.
///
/// # Errors
/// [`Rule::CaseCollision`] with both names where NTFS takes two for one; [`Error::Io`].
pub(super) fn children(disk: &Disk, member: &[u8]) -> Result<Vec<Child>> {
    let listed = disk.root.list_metadata(&disk_path(place(member))?)?;
    let mut children: Vec<Child> = listed
        .into_iter()
        .map(|(name, metadata)| {
            let name = name_bytes(&name);
            Child { key: name_key(&name), name, metadata }
        })
        .collect();
    children.sort_unstable_by(|a, b| (&a.key, &a.name).cmp(&(&b.key, &b.name)));
    match children.windows(2).find(|pair| pair[0].key == pair[1].key) {
        None => Ok(children),
        Some(pair) => {
            let detail = format!("{} and {}", display_name(&pair[0].name), display_name(&pair[1].name));
            Err(Error::refused(Rule::CaseCollision, detail).in_member(member))
        }
    }
}
