//! Layers and trees for tests.

use super::layout::{Options, lay_out};
use super::scan;
use crate::backend::Change;
use crate::error::Result;
use crate::layer_tar::{
    Dialect, EntryKind, LayerEntry, LayerWriter, NamedStream, UnnamedData, WriterOptions, reparse_from_link,
};
use crate::limits::Limits;
use crate::nt::{FileAttributes, FileTime};
use crate::view::chain::View;
use crate::view::{Index, LayerSource};
use std::fs::File;
use std::io::BufRead;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::TempDir;

/// 2020-09-13, and a tick.
pub(super) const TIME: FileTime = FileTime(132_444_736_000_000_001);

/// Writes a layer a member at a time.
pub(super) struct Layer(LayerWriter<Vec<u8>>);

impl Layer {
    pub fn new() -> Self {
        let options = WriterOptions { dialect: Dialect::Lossless, ..WriterOptions::default() };
        Layer(LayerWriter::new(Vec::new(), options))
    }

    pub fn entry(kind: EntryKind, name: &str) -> LayerEntry {
        let mut entry = LayerEntry::new(name, kind);
        let info = &mut entry.basic_info;
        (info.creation_time, info.last_access_time, info.last_write_time) = (Some(TIME), Some(TIME), Some(TIME));
        info.attributes =
            if kind == EntryKind::Directory { FileAttributes::DIRECTORY } else { FileAttributes::ARCHIVE };
        entry.security_descriptor = Some(format!("sd of {name}").into_bytes());
        entry
    }

    pub fn add(mut self, entry: &LayerEntry, data: &[&[u8]]) -> Self {
        let data = data.iter().map(|data| Box::new(*data) as Box<dyn BufRead>).collect();
        self.0.add(entry, data).unwrap();
        self
    }

    pub fn dir(self, name: &str) -> Self {
        self.add(&Self::entry(EntryKind::Directory, name), &[])
    }

    pub fn file(self, name: &str, data: &[u8]) -> Self {
        let entry =
            LayerEntry { data: Some(UnnamedData::new(data.len() as u64)), ..Self::entry(EntryKind::File, name) };
        self.add(&entry, &[data])
    }

    /// A file with a named stream.
    pub fn file_with_stream(self, name: &str, data: &[u8], stream: &str, stream_data: &[u8]) -> Self {
        let streams = vec![NamedStream { name: stream.into(), size: stream_data.len() as u64 }];
        let size = data.len() as u64;
        let entry = LayerEntry {
            data: Some(UnnamedData::new(size)),
            streams: Some(streams),
            ..Self::entry(EntryKind::File, name)
        };
        self.add(&entry, &[data, stream_data])
    }

    pub fn link(mut self, name: &str, target: &str) -> Self {
        self.0.add_hard_link(name.as_bytes(), target.as_bytes(), None).unwrap();
        self
    }

    pub fn symlink(self, name: &str, target: &str, to_directory: bool) -> Self {
        self.reparse(
            EntryKind::Symlink,
            name,
            reparse_from_link(target.as_bytes(), false).unwrap().into_raw(),
            to_directory,
        )
    }

    pub fn junction(self, name: &str, target: &str) -> Self {
        self.reparse(EntryKind::Junction, name, reparse_from_link(target.as_bytes(), true).unwrap().into_raw(), true)
    }

    pub fn reparse(self, kind: EntryKind, name: &str, raw: Vec<u8>, to_directory: bool) -> Self {
        let mut entry = Self::entry(kind, name);
        entry.reparse_point = Some(raw);
        entry.basic_info.attributes = FileAttributes::REPARSE_POINT;
        if to_directory {
            entry.basic_info.attributes |= FileAttributes::DIRECTORY;
        }
        self.add(&entry, &[])
    }

    pub fn whiteout(mut self, name: &str) -> Self {
        self.0.add_whiteout(name.as_bytes()).unwrap();
        self
    }

    pub fn tar(self) -> Vec<u8> {
        self.0.finish().unwrap()
    }
}

/// A layer that was imported, in a folder.
pub(super) fn index(folder: &Path, tar: &[u8]) -> Arc<dyn LayerSource> {
    let name = (0..).find(|n| !folder.join(format!("{n}.tar")).exists()).unwrap();
    let (path, index) = (folder.join(format!("{name}.tar")), folder.join(format!("{name}.index")));
    std::fs::write(&path, tar).unwrap();
    Index::build(Arc::new(File::open(&path).unwrap()), &index, "sha256:0", &Limits::default()).unwrap();
    Arc::new(Index::open(&path, &index, &Limits::default()).unwrap())
}

/// A view that is laid out.
pub(super) struct Sandbox {
    pub folder: TempDir,
    pub layers: Vec<Arc<dyn LayerSource>>,
    pub view: View,
}

impl Sandbox {
    /// Layers nearest first.
    pub fn new(tars: &[Vec<u8>]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let layers: Vec<_> = tars.iter().map(|tar| index(folder.path(), tar)).collect();
        Self::above(folder, layers)
    }

    fn above(folder: TempDir, layers: Vec<Arc<dyn LayerSource>>) -> Self {
        let view = View::new(layers.clone());
        let sandbox = Sandbox { folder, layers, view };
        std::fs::create_dir(sandbox.tree()).unwrap();
        lay_out(&sandbox.view, &sandbox.tree(), &sandbox.record(), &Options::default()).unwrap();
        sandbox
    }

    pub fn tree(&self) -> PathBuf {
        self.folder.path().join("tree")
    }

    pub fn record(&self) -> PathBuf {
        self.folder.path().join("layout.db")
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.tree().join(name)
    }

    pub fn changes(&self) -> Result<Vec<Change>> {
        let mut changes = Vec::new();
        scan::changes(&self.tree(), &self.record(), &self.view, &mut |change| {
            changes.push(change);
            Ok(())
        })?;
        Ok(changes)
    }

    /// `modify Files/a data times`.
    pub fn told(&self) -> Vec<String> {
        let line = |change: Change| {
            let mut words = vec![change.kind.name().to_owned(), String::from_utf8_lossy(&change.path).into_owned()];
            words.extend(change.what.words().map(str::to_owned));
            words.join(" ")
        };
        self.changes().unwrap().into_iter().map(line).collect()
    }

    pub fn export(&self) -> Result<Vec<u8>> {
        scan::export(&self.tree(), &self.record(), &self.view, Vec::new(), &Limits::default())
    }

    /// What was changed becomes a layer, with a new sandbox above it.
    pub fn next(&self) -> Sandbox {
        let folder = tempfile::tempdir().unwrap();
        let mut layers = vec![index(folder.path(), &self.export().unwrap())];
        layers.extend(self.layers.iter().cloned());
        Self::above(folder, layers)
    }
}
