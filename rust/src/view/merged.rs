//! A view with the means to read its data anywhere.

use super::chain::{Node, View};
use super::index::Index;
use crate::compress::{Compression, Reader};
use crate::digest::copy_hashed;
use crate::error::{Error, Result};
use crate::fs::{Root, open_file};
use crate::limits::Limits;
use crate::progress::Progress;
use crate::source::ReadAt;
use std::io::Read;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::TempDir;

/// A merged view, as [`View`], and the tars that it is of.
#[derive(Clone)]
pub struct Merged {
    view: View,
    /// Nearest first.
    layers: Vec<Arc<Index>>,
    /// Where they lie, when they are in no store. Windows deletes no file that is open: it goes last.
    _folder: Option<Arc<TempDir>>,
}

/// Where a layer tar comes from, plain or compressed.
pub enum LayerTar {
    /// A file.
    File(PathBuf),
    /// Something that is read once.
    Stream(Box<dyn Read + Send>),
}

impl Merged {
    pub(crate) fn new(layers: Vec<Arc<Index>>) -> Self {
        Merged { view: View::new(layers.clone()), layers, _folder: None }
    }

    /// The view of layer tars that are in no store, lowest first. A plain file is read where it is, and must stay as it
    /// is; others are unpacked. That and the indexes lie in a folder for temporary files as long as the view is there.
    ///
    /// # Errors
    /// Those of reading a layer tar; [`Error::Io`].
    pub fn of_tars(tars: impl IntoIterator<Item = LayerTar>, limits: &Limits) -> Result<Self> {
        let folder = tempfile::tempdir().map_err(|e| Error::io("create a folder for temporary files", None, e))?;
        let root = Root::open(folder.path())?;
        let mut layers = Vec::new();
        for (n, tar) in tars.into_iter().enumerate() {
            let place = match tar {
                LayerTar::File(path) => {
                    let file = open_file(&path)?;
                    let is_file = file.metadata().map_err(|e| Error::io("stat", Some(&path), e))?.is_file();
                    let reader = Reader::new(file)?;
                    if is_file && reader.compression() == Compression::None {
                        path
                    } else {
                        unpack(reader, &root, n, limits)?
                    }
                }
                LayerTar::Stream(stream) => unpack(Reader::new(stream)?, &root, n, limits)?,
            };
            let index = folder.path().join(format!("{n}.index"));
            Index::build(Arc::new(open_file(&place)?), &index, "", limits)?;
            layers.insert(0, Arc::new(Index::open(&place, &index, limits)?));
        }
        Ok(Merged { _folder: Some(Arc::new(folder)), ..Merged::new(layers) })
    }

    /// The tar that the places are in which [`View::entry`] gives for a node.
    #[must_use]
    pub fn source(&self, node: &Node) -> Arc<dyn ReadAt> {
        let (from_lowest, _) = node.identity(&self.view);
        self.layers[self.layers.len() - from_lowest].tar()
    }
}

impl Deref for Merged {
    type Target = View;

    fn deref(&self) -> &View {
        &self.view
    }
}

fn unpack(source: impl Read, root: &Root, n: usize, limits: &Limits) -> Result<PathBuf> {
    let name = format!("{n}.tar");
    let file = root.create_file(Path::new(&name))?;
    copy_hashed(source, &file, root.path(), limits, &Progress::none())?;
    Ok(root.path().join(name))
}
