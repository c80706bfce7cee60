//! What was changed in a tree since it was laid out: as a list, and as a layer.
//!
//! `candidates` finds the paths that differ from the record, `judge` tells what became of each and which metadata
//! it keeps, `members` writes that as members of a tar. What a change is:
//!
//! - A path that is still there and of the same kind keeps its metadata, whatever file stands there now: so editors
//!   that write a new file and rename it over the old one lose nothing.
//! - Another path whose file was laid out at a path that is gone was moved: the metadata goes with it.
//! - Anything else is new. Its security descriptor is what NTFS would let it inherit (`inherit`).
//! - A directory that was renamed is a whiteout and a full subtree. One that was deleted and made again keeps its
//!   metadata, and whiteouts hide what was in it.
//! - Names that share one file stay one file: the first has the data, the others are links. An unchanged file that got
//!   another name is linked to where it is, in the layers below.
//! - A name that changed its case alone is the new name, without a whiteout.
//! - A time that changed is taken from the disk, as the last write; nothing that changed is no change at all.

mod candidates;
mod inherit;
mod judge;
mod members;

use super::record::Record;
use crate::backend::Change;
use crate::error::Result;
use crate::fs::disk::Disk;
use crate::limits::Limits;
use crate::view::chain::View;
use candidates::Candidates;
use judge::Judge;
use members::Members;
use std::io::Write;
use std::path::Path;

/// Reports what was changed in a tree that was laid out, in the order of names as NTFS compares them, a directory
/// before what is in it. What lay below a deleted directory is not reported.
///
/// Adding or removing a name changes the time of last write of its directory, so the directory is reported too.
///
/// # Errors
/// [`Error::Refused`](crate::error::Error) with the member: for what no layer can hold (devices, names, two that differ
/// in case alone), and for a file that changes while it is read; a damaged record is a
/// [`StoreFault::Damaged`](crate::error::StoreFault); [`Error::Io`](crate::error::Error); what `visit` returned.
pub fn changes(tree: &Path, record: &Path, view: &View, visit: &mut dyn FnMut(Change) -> Result<()>) -> Result<()> {
    let disk = Disk::open(tree)?;
    let candidates = Candidates::find(&disk, &Record::open(record)?)?;
    let mut judge = Judge::new(&disk, view, &candidates);
    candidates.each(|candidate| match judge.edit(&candidate)? {
        Some(edit) => visit(Change { path: edit.path, kind: edit.kind, what: edit.what, size: edit.size }),
        None => Ok(()),
    })
}

/// Writes what was changed in a tree as a layer tar, and gives the sink back. The same tree gives the same bytes.
///
/// It holds the members of [`changes`], all below `Files/`, and before each those directories above it that did not
/// change, with the metadata that they have: what imports layers on Windows wants a directory before what is in it.
/// A tree without a change gives a tar without members.
///
/// The dialect is the lossless one: it writes nothing but what go-winio would, except for what go-winio would lose of
/// an entry that is kept from the layers below.
///
/// # Errors
/// As [`changes`]; [`Error::Limit`](crate::error::Error). What was written until then is no layer.
pub fn export<W: Write>(tree: &Path, record: &Path, view: &View, sink: W, limits: &Limits) -> Result<W> {
    let disk = Disk::open(tree)?;
    let candidates = Candidates::find(&disk, &Record::open(record)?)?;
    let mut judge = Judge::new(&disk, view, &candidates);
    let mut members = Members::new(&disk, view, sink, limits)?;
    candidates.each(|candidate| match judge.edit(&candidate)? {
        Some(edit) => {
            let path = edit.path.clone();
            members.add(edit).map_err(|e| e.in_member(&path))
        }
        None => Ok(()),
    })?;
    members.finish()
}

#[cfg(test)]
#[cfg(unix)]
mod tests;
