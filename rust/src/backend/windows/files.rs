//! The data of members, out of the files of a layer.

use super::backup::BackupReader;
use super::base_layer::saved_copy_of;
use super::folder::{Folder, Security};
use super::privilege::{Privilege, Privileges};
use crate::backup_stream::{Reader, StreamId};
use crate::error::{Error, Result};
use crate::fs::temporary_file;
use crate::layer_name::trimmed;
use crate::limits::Limits;
use crate::nt::name::wtf8_from_utf16;
use crate::source::ReadAt;
use crate::tar_split::MemberFiles;
use std::fs::File;
use std::io::{BufReader, ErrorKind, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::Arc;

/// The files of a layer, by the names of its tar. Files that nobody may read are read all the same.
pub(super) struct LayerFiles {
    folder: Folder,
    limits: Limits,
}

impl LayerFiles {
    pub fn open(layer: &Path, limits: &Limits) -> Result<Self> {
        let _held = Privileges::hold(&[Privilege::Backup])?;
        Ok(LayerFiles { folder: Folder::open(layer)?, limits: limits.clone() })
    }

    /// The data of a file, or of a named stream of one.
    pub fn file(&self, name: &[u8]) -> Result<File> {
        let _held = Privileges::hold(&[Privilege::Backup])?;
        if let Some(copy) = saved_copy_of(name) {
            // The host rewrites the file; the copy is as it came.
            match self.folder.open_read(copy, Security::Left) {
                Ok(copy) => return Ok(copy.into_file()),
                Err(e) if e.is_absent() => {}
                Err(e) => return Err(e),
            }
        }
        match name.iter().position(|byte| *byte == b':') {
            None => Ok(self.folder.open_read(name, Security::Left)?.into_file()),
            Some(at) => self.stream(&name[..at], &name[at + 1..]),
        }
    }

    /// A copy of a named stream, from the backup stream of its file: the one way by which all of them can be had.
    fn stream(&self, owner: &[u8], stream: &[u8]) -> Result<File> {
        let source = BackupReader::new(self.folder.open_read(owner, Security::Left)?, Security::Left);
        let mut streams = Reader::new(BufReader::with_capacity(64 << 10, source), &self.limits);
        let mut copy = None;
        let folder = std::env::temp_dir();
        let failed = |e| Error::io("write a temporary file in", Some(&folder), e);
        while let Some(header) = streams.advance()? {
            let offset = match (&copy, header.id) {
                (None, StreamId::ALTERNATE_DATA) if is_named(&header.name, stream) => 0,
                (Some(_), StreamId::SPARSE_BLOCK) => header.sparse_offset.unwrap_or(0),
                (Some(_), _) => break,
                (None, _) => continue,
            };
            let file = match &mut copy {
                Some(file) => file,
                None => copy.insert(temporary_file(&folder)?),
            };
            file.seek(SeekFrom::Start(offset)).map_err(failed)?;
            loop {
                let chunk = streams.data()?;
                if chunk.is_empty() {
                    break;
                }
                file.write_all(chunk).map_err(failed)?;
                let n = chunk.len();
                streams.consume(n);
            }
            // A last block without data tells where the stream ends.
            let end = offset + header.data_size();
            if file.metadata().map_err(failed)?.len() < end {
                file.set_len(end).map_err(failed)?;
            }
        }
        copy.ok_or_else(|| {
            let path = self.folder.path().join(crate::error::display_name(&[owner, stream].join(&b':')));
            Error::io("open", Some(&path), ErrorKind::NotFound.into())
        })
    }
}

impl MemberFiles for LayerFiles {
    fn open(&self, name: &[u8]) -> Result<Arc<dyn ReadAt>> {
        let name = name.strip_prefix(b"./").unwrap_or(name);
        Ok(Arc::new(self.file(trimmed(name))?))
    }
}

/// Whether a name on the wire, `:name:$DATA`, is that of a stream, in any case.
fn is_named(wire: &[u16], stream: &[u8]) -> bool {
    let name = wtf8_from_utf16(wire);
    let name = name.strip_prefix(b":").unwrap_or(&name);
    let name = name.strip_suffix(b":$DATA").unwrap_or(name);
    crate::nt::name::fold_wtf8(name) == crate::nt::name::fold_wtf8(stream)
}
