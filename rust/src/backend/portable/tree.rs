//! The folders of a tree on the disk, in the order of a record.

use super::record::name_key;
use crate::error::{Error, Result, Rule, display_name};
use crate::fs::disk::{Disk, disk_path, name_bytes};
use crate::fs::{Kind, Metadata};
use crate::layer_name::{FILES, below_files, join};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::Scope;

/// One name in a folder.
pub(super) struct Child {
    pub key: Vec<u8>,
    pub name: Vec<u8>,
    pub metadata: Metadata,
}

/// Where a member (`Files/...`) lies in the tree.
pub(super) fn place(member: &[u8]) -> &[u8] {
    below_files(member).unwrap_or_default()
}

/// What is handed over at once of a folder, and how many such pieces wait.
const PIECE: usize = 256;
const PIECES: usize = 64;

/// A thread that lists the folders of a tree ahead of a walk which enters every folder as soon as it meets it.
pub(super) struct Ahead(Receiver<Result<Piece>>);

struct Piece {
    folder: Vec<u8>,
    children: Vec<Child>,
    is_last: bool,
}

impl Ahead {
    /// Begins at the top.
    pub fn start<'s, 'e>(scope: &'s Scope<'s, 'e>, disk: &Disk) -> Result<Self> {
        let (pieces, received) = sync_channel(PIECES);
        let disk = disk.again();
        let work = move || {
            // It ends early when the walk has.
            let _ = list_all(&disk, &pieces);
        };
        let thread = std::thread::Builder::new().name("winlayers-list".into()).spawn_scoped(scope, work);
        thread.map_err(|e| Error::io("start a thread", None, e))?;
        Ok(Ahead(received))
    }

    /// What is in the folder that is entered next, sorted as NTFS compares names.
    ///
    /// # Errors
    /// [`Rule::CaseCollision`] with both names where NTFS takes two for one; [`Error::Io`].
    pub fn enter(&self, folder: &[u8]) -> Result<Vec<Child>> {
        let mut children = Vec::new();
        loop {
            let piece = self.0.recv().map_err(|_| Error::io("list", None, std::io::ErrorKind::BrokenPipe.into()))??;
            debug_assert_eq!(piece.folder, folder);
            if piece.is_last && children.is_empty() {
                return Ok(piece.children);
            }
            children.extend(piece.children);
            if piece.is_last {
                return Ok(children);
            }
        }
    }
}

fn list_all(disk: &Disk, pieces: &SyncSender<Result<Piece>>) -> Option<()> {
    let mut todo = vec![FILES.to_vec()];
    while let Some(folder) = todo.pop() {
        let children = match children(disk, &folder) {
            Ok(children) => children,
            Err(error) => return pieces.send(Err(error)).ok(),
        };
        let below = children.iter().rev().filter(|child| child.metadata.kind == Kind::Directory);
        todo.extend(below.map(|child| join(&folder, &child.name)));
        let mut children = children.into_iter();
        loop {
            let piece: Vec<Child> = children.by_ref().take(PIECE).collect();
            let is_last = children.len() == 0;
            pieces.send(Ok(Piece { folder: folder.clone(), children: piece, is_last })).ok()?;
            if is_last {
                break;
            }
        }
    }
    Some(())
}

fn children(disk: &Disk, member: &[u8]) -> Result<Vec<Child>> {
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
