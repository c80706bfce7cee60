//! The utility VM of a layer above others: what it does not have itself is that of its parent.

use super::backup::{BackupReader, BackupWriter};
use super::base_layer::saved_copy_of;
use super::folder::{Folder, Security};
use crate::error::{Error, Result};
use crate::layer_name::{UTILITY_VM, UTILITY_VM_FILES, components, join};
use crate::nt::BasicInfo;
use crate::nt::name::fold_wtf8;
use std::collections::HashSet;
use std::io;

/// Adds what a parent's utility VM has and the layer's own does not, unless the layer hides it: folders are made again,
/// files are linked, and boot files, which the host writes to, are copied. Gives what [`set_times`] wants.
///
/// The thread must hold [`super::privilege::Privilege::WRITE`].
///
/// # Errors
/// [`Error::Io`], with the path.
pub(super) fn complete(own: &Folder, parent: &Folder, hidden: &[Vec<u8>]) -> Result<Vec<(Vec<u8>, BasicInfo)>> {
    let hidden: HashSet<Vec<u8>> = hidden.iter().filter_map(|name| fold_wtf8(name)).collect();
    let mut times = Vec::new();
    let mut folders = vec![UTILITY_VM.to_vec(), UTILITY_VM_FILES.to_vec()];
    for folder in &folders {
        if own.info(folder).is_err() {
            times.push(copy(own, parent, folder, true)?);
        }
    }
    folders.remove(0);
    while let Some(folder) = folders.pop() {
        for name in parent.list(&folder)? {
            let name = join(&folder, &name);
            if fold_wtf8(&name).is_some_and(|name| hidden.contains(&name)) {
                continue;
            }
            let of_parent = parent.info(&name)?;
            let is_folder = of_parent.is_directory() && !of_parent.is_link();
            match own.info(&name) {
                // A folder of both has what both have; a file of the layer's own hides all that the parent has there.
                Ok(own) if is_folder && own.is_directory() && !own.is_link() => folders.push(name),
                Ok(_) => {}
                Err(error) if !error.is_absent() => return Err(error),
                Err(_) if is_folder => {
                    times.push(copy(own, parent, &name, true)?);
                    folders.push(name);
                }
                Err(_) if of_parent.is_link() || saved_copy_of(&name).is_some() => {
                    times.push(copy(own, parent, &name, of_parent.is_directory())?);
                }
                Err(_) => own.create_hard_link(&name, parent, &name)?,
            }
        }
    }
    Ok(times)
}

/// Sets the times of what was copied, the deepest first.
///
/// # Errors
/// As [`complete`].
pub(super) fn set_times(own: &Folder, mut times: Vec<(Vec<u8>, BasicInfo)>) -> Result<()> {
    times.sort_by_key(|(name, _)| std::cmp::Reverse(components(name).count()));
    times.iter().try_for_each(|(name, info)| own.set_basic_info(name, info))
}

/// Copies a folder without what is in it, a file or a link, with all that a backup stream holds.
fn copy(own: &Folder, parent: &Folder, name: &[u8], is_directory: bool) -> Result<(Vec<u8>, BasicInfo)> {
    let source = parent.open_read(name, Security::Included)?;
    let info = source.basic_info()?;
    let target = if is_directory {
        own.create_folder(name, info.attributes, Security::Included)?
    } else {
        own.create_file(name, info.attributes, Security::Included)?
    };
    let mut writer = BackupWriter::new(&target, Security::Included);
    let copied = io::copy(&mut BackupReader::new(source, Security::Included), &mut writer);
    copied.map_err(|e| Error::io("copy", Some(&parent.path().join(crate::error::display_name(name))), e))?;
    writer.finish()?;
    Ok((name.to_vec(), info))
}
