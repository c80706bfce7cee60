//! Layer tars that are in no store, as sources of a view.

use super::chain::View;
use super::index::Index;
use super::source::LayerSource;
use crate::compress::{Compression, Reader};
use crate::digest::copy_hashed;
use crate::error::{Error, Result};
use crate::fs::{Staging, open_file};
use crate::limits::Limits;
use crate::progress::Progress;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where a layer tar comes from, plain or compressed.
pub enum LayerTar {
    /// A file.
    File(PathBuf),
    /// Something that is read once.
    Stream(Box<dyn Read + Send>),
}

impl View {
    /// The view of layer tars that are in no store, lowest first. A plain file is read where it is, and must stay as it
    /// is; others are unpacked. That and the indexes lie in folders for temporary files as long as the view is there.
    ///
    /// # Errors
    /// Those of reading a layer tar; [`Error::Io`].
    pub fn of_tars(tars: impl IntoIterator<Item = LayerTar>, limits: &Limits) -> Result<Self> {
        let mut layers: Vec<Arc<dyn LayerSource>> = Vec::new();
        for tar in tars {
            layers.insert(0, Arc::new(indexed(tar, limits)?));
        }
        Ok(View::new(layers))
    }
}

fn indexed(tar: LayerTar, limits: &Limits) -> Result<Index> {
    let folder = Staging::new(&std::env::temp_dir())?;
    let place = match tar {
        LayerTar::File(path) => {
            let file = open_file(&path)?;
            let is_file = file.metadata().map_err(|e| Error::io("stat", Some(&path), e))?.is_file();
            let reader = Reader::new(file)?;
            if is_file && reader.compression() == Compression::None { path } else { unpack(reader, &folder, limits)? }
        }
        LayerTar::Stream(stream) => unpack(Reader::new(stream)?, &folder, limits)?,
    };
    let index = folder.path().join("layer.index");
    Index::build(Arc::new(open_file(&place)?), &index, "", limits).map_err(|e| folder.unnamed(e))?;
    Ok(Index::open(&place, &index, limits)?.keeping(folder))
}

fn unpack(source: impl Read, folder: &Staging, limits: &Limits) -> Result<PathBuf> {
    let name = Path::new("layer.tar");
    let file = folder.root()?.create_file(name).map_err(|e| folder.unnamed(e))?;
    copy_hashed(source, &file, &std::env::temp_dir(), limits, &Progress::none())?;
    Ok(folder.path().join(name))
}
