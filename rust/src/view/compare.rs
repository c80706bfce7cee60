//! How an entry differs from what the layers below have of its name.

use super::chain::View;
use super::change::{Change, ChangeKind, What};
use super::source::LayerSource;
use crate::error::{Result, from_io};
use crate::layer_name::{OPAQUE_WHITEOUT, split, trimmed, whiteout_target};
use crate::layer_tar::{EntryKind, Found};
use crate::nt::BasicInfo;
use std::io::{self, Read};

/// What a layer that was imported does to the layers below, in the order of the layer.
pub(crate) fn imported_changes(
    layer: &dyn LayerSource,
    below: &View,
    visit: &mut dyn FnMut(Change) -> Result<()>,
) -> Result<()> {
    layer.entries()?.try_for_each(|found| imported_change(layer, &found?, below, visit))
}

/// What one entry does to the layers below; nothing for one that is as it was.
fn imported_change(
    layer: &dyn LayerSource,
    found: &Found,
    below: &View,
    visit: &mut dyn FnMut(Change) -> Result<()>,
) -> Result<()> {
    let entry = &found.entry;
    let path = trimmed(&entry.name);
    let change = |path: &[u8], kind, what, size| Change { path: path.to_vec(), kind, what, size };
    if entry.kind == EntryKind::Whiteout {
        let (folder, name) = split(path);
        if name == OPAQUE_WHITEOUT {
            let Some(folder) = below.find(folder)? else { return Ok(()) };
            for child in below.children(&folder)? {
                visit(change(&child.path, ChangeKind::Delete, What::default(), 0))?;
            }
            return Ok(());
        }
        return match below.find(&whiteout_target(path))? {
            Some(hidden) => visit(change(&hidden.path, ChangeKind::Delete, What::default(), 0)),
            None => Ok(()),
        };
    }
    let size = if entry.kind == EntryKind::File { entry.size() } else { 0 };
    let Some(node) = below.find(path)? else {
        return visit(change(path, ChangeKind::Add, What::default(), size));
    };
    let mut what = differences(found, &below.entry(&node)?);
    let data_differs = match (entry.kind, node.kind) {
        (EntryKind::File, EntryKind::File) if entry.size() == node.size => {
            !same_bytes(&mut layer.open(found, None)?, &mut below.open(&node, None)?)?
        }
        (EntryKind::File, _) | (_, EntryKind::File) => true,
        _ => false,
    };
    if data_differs {
        what |= What::DATA;
    }
    // A directory that is as it was is listed for what lies in it.
    if what.is_empty() { Ok(()) } else { visit(change(path, ChangeKind::Modify, what, size)) }
}

/// What differs between two entries, apart from data that would have to be read.
pub(crate) fn differences(new: &Found, old: &Found) -> What {
    let (a, b) = (&new.entry, &old.entry);
    let mut what = What::default();
    let mut note = |differs: bool, side: What| {
        if differs {
            what |= side;
        }
    };
    note(a.reparse_point != b.reparse_point || a.kind != b.kind, What::DATA);
    note(a.basic_info.attributes != b.basic_info.attributes, What::ATTRIBUTES);
    note(a.extended_attributes != b.extended_attributes, What::ATTRIBUTES);
    note(a.security_descriptor != b.security_descriptor, What::SECURITY);
    let times = |info: &BasicInfo| (info.creation_time, info.last_access_time, info.last_write_time, info.change_time);
    note(times(&a.basic_info) != times(&b.basic_info), What::TIMES);
    note(a.streams != b.streams, What::STREAMS);
    note(a.link_name != b.link_name, What::LINKS);
    what
}

/// Whether two readers give the same bytes.
pub(crate) fn same_bytes(a: &mut dyn Read, b: &mut dyn Read) -> Result<bool> {
    let (mut left, mut right) = (vec![0; 64 << 10], vec![0; 64 << 10]);
    loop {
        let (n, m) = (fill(a, &mut left)?, fill(b, &mut right)?);
        if left[..n] != right[..m] {
            return Ok(false);
        }
        if n == 0 {
            return Ok(true);
        }
    }
}

fn fill(from: &mut dyn Read, buffer: &mut [u8]) -> Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match from.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(from_io(e)),
        }
    }
    Ok(filled)
}
