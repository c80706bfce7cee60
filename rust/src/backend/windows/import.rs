//! A tar that comes in: into the real files of a layer, with what it takes to put the very tar together again.
//!
//! The tar is read once. While its entries become files, a thread of its own takes it apart into tar-split metadata.

use super::base_layer::{BaseLayerOptions, BaseLayerWriter, Finished};
use super::folder::Folder;
use super::privilege::{Privilege, Privileges};
use super::{Hcs, INDEX, SPLIT, utility_vm};
use crate::backend::piped::{Sender, pipe};
use crate::backend::{Backend, Imported, LayerId};
use crate::digest::hashing::Hasher;
use crate::digest::{Tee, digest};
use crate::error::{Error, Result, from_io};
use crate::fs::{NamedFile, Root};
use crate::layer_name::{UTILITY_VM_FILES, is_of_utility_vm, whiteout_target};
use crate::layer_tar::{EntryKind, LayerEntry, LayerReader};
use crate::limits::Limits;
use crate::policy::Policy;
use crate::progress::Progress;
use crate::source::Source;
use crate::tar_split::disassemble;
use crate::transport::{HardLink, HardLinks, TransportOptions, TransportWriter};
use crate::view::index::{Index, Summary};
use std::io::{self, BufWriter, ErrorKind, Read, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

impl Hcs {
    pub(super) fn import(
        &self,
        id: &LayerId,
        chain: &[LayerId],
        tar: Box<dyn Read + Send>,
        progress: Progress,
    ) -> Result<Imported> {
        let staging = self.staging()?;
        let split = staging.root()?.create_file(Path::new(SPLIT))?;
        let split = NamedFile::new(split, staging.path().join(SPLIT));
        let apart = Apart::start(tar, split, &self.limits, progress)?;
        let mut reader = LayerReader::new(Source::Stream(Box::new(apart.clone())), Policy::strict(), &self.limits)?;
        let filled = if chain.is_empty() {
            self.fill_base(id, &mut reader)
        } else {
            self.fill_child(id, chain, &mut reader, staging.path())
        };
        drop(reader);
        filled?;
        let (diff_id, size) = apart.finish()?;
        let tar = Arc::new(self.assembled(&staging.path().join(SPLIT), &self.path(id))?);
        let Summary { entries, data } = Index::build(tar, &staging.path().join(INDEX), &diff_id, &self.limits)?;
        self.settle(&staging, id, SPLIT)?;
        // From here on the layer is filled.
        self.settle(&staging, id, INDEX)?;
        Ok(Imported { diff_id, size, entries, data })
    }

    /// Makes the files of a base layer, and has HCS make of them what containers start from.
    fn fill_base(&self, id: &LayerId, reader: &mut LayerReader) -> Result<()> {
        let _held = Privileges::hold(&Privilege::WRITE)?;
        let folder = self.folder_for(id)?;
        let mut writer = BaseLayerWriter::new(&folder, self.base_layer());
        while let Some(entry) = reader.next_entry()? {
            match entry.kind {
                EntryKind::HardLink => writer.add_hard_link(&entry.name, link_of(&entry))?,
                EntryKind::Whiteout => writer.add(&entry, io::empty())?,
                _ => writer.add(&entry, reader.backup_stream(&entry)?)?,
            }
        }
        let Finished { has_utility_vm } = writer.finish_files()?;
        let place = self.place(id);
        self.service.process_base_image(&place)?;
        if has_utility_vm {
            self.service.process_utility_image(&place)?;
        }
        writer.finish_times().map(drop)
    }

    /// Hands the files of a layer over to HCS in a transport folder. The utility VM is no part of that: its files are
    /// made here, and what the layer does not have of it is linked from the nearest parent that has one.
    fn fill_child(&self, id: &LayerId, chain: &[LayerId], reader: &mut LayerReader, staging: &Path) -> Result<()> {
        let _held = Privileges::hold(&Privilege::WRITE)?;
        let own = self.folder_for(id)?;
        let below = chain.iter().map(|id| Folder::open(&self.path(id))).collect::<Result<Vec<_>>>()?;
        let folder = staging.join("folder");
        let options =
            TransportOptions { hard_links: HardLinks::Defer, limits: self.limits.clone(), ..Default::default() };
        let mut writer = TransportWriter::new(Root::create(&folder)?, options)?;
        let mut utility = BaseLayerWriter::new(&own, self.base_layer());
        let mut hidden = Vec::new();
        let mut links = Vec::new();
        let mut has_utility_vm = false;
        while let Some(entry) = reader.next_entry()? {
            let of_utility_vm = is_of_utility_vm(&entry.name);
            has_utility_vm |= of_utility_vm;
            match entry.kind {
                EntryKind::Whiteout if of_utility_vm => hidden.push(whiteout_target(&entry.name)),
                EntryKind::Whiteout => writer.add_whiteout(&whiteout_target(&entry.name))?,
                EntryKind::HardLink if of_utility_vm => {
                    links.push(HardLink { name: entry.name.clone(), target: link_of(&entry).to_vec() });
                }
                EntryKind::HardLink => writer.add_hard_link(&entry.name, link_of(&entry))?,
                _ if of_utility_vm => utility.add(&entry, reader.backup_stream(&entry)?)?,
                _ => writer.add(&entry, reader.backup_stream(&entry)?)?,
            }
        }
        links.splice(0..0, writer.finish()?.hard_links);
        let place = self.place(id);
        self.service.import_layer(&place, &folder, &self.paths(chain))?;
        if has_utility_vm {
            utility.finish_files()?;
            let parent = below.iter().find(|folder| folder.info(UTILITY_VM_FILES).is_ok());
            let times = parent.map_or_else(|| Ok(Vec::new()), |parent| utility_vm::complete(&own, parent, &hidden))?;
            link_all(&own, &below, &links)?;
            self.service.process_utility_image(&place)?;
            utility.finish_times()?;
            return utility_vm::set_times(&own, times);
        }
        link_all(&own, &below, &links)
    }

    /// The folder of a layer, made where it is missing.
    fn folder_for(&self, id: &LayerId) -> Result<Folder> {
        if !self.layer_exists(id)? {
            self.home.create_dir(Path::new(id.as_str()))?;
        }
        Folder::open(&self.path(id))
    }

    fn base_layer(&self) -> BaseLayerOptions {
        BaseLayerOptions { limits: self.limits.clone(), ..BaseLayerOptions::default() }
    }
}

/// Makes the hard links of a layer, when HCS has made its files. Their targets may be files of lower layers.
fn link_all(own: &Folder, below: &[Folder], links: &[HardLink]) -> Result<()> {
    links.iter().try_for_each(|HardLink { name, target }| link(own, below, name, target).map_err(|e| e.in_member(name)))
}

fn link(own: &Folder, below: &[Folder], name: &[u8], target: &[u8]) -> Result<()> {
    for folder in [own].into_iter().chain(below) {
        match folder.info(target) {
            Ok(_) => {
                if own.info(name).is_ok() {
                    own.remove(name)?;
                }
                return own.create_hard_link(name, folder, target);
            }
            Err(e) if e.is_absent() => {}
            Err(e) => return Err(e),
        }
    }
    let path = own.path().join(crate::error::display_name(target));
    Err(Error::io("link to", Some(&path), ErrorKind::NotFound.into()))
}

fn link_of(entry: &LayerEntry) -> &[u8] {
    entry.link_name.as_deref().unwrap_or_default()
}

/// A tar that is hashed, and taken apart on a thread of its own, while it is read. Clones are the same.
#[derive(Clone)]
struct Apart(Arc<Mutex<Inner>>);

struct Inner {
    tar: Tee<Box<dyn Read + Send>>,
    sender: Option<Sender>,
    thread: JoinHandle<Result<()>>,
    hasher: Arc<Mutex<Hasher>>,
}

impl Apart {
    fn start(tar: Box<dyn Read + Send>, split: NamedFile, limits: &Limits, progress: Progress) -> Result<Self> {
        let (sender, chunks) = pipe();
        let bounds = limits.clone();
        let work = move || {
            let mut split = BufWriter::new(split);
            disassemble(Source::Stream(Box::new(chunks)), &mut split, None, &bounds)?;
            split.flush().map_err(|e| Error::io("write", None, e))
        };
        let thread = std::thread::Builder::new().name("winlayers-split".into()).spawn(work);
        let thread = thread.map_err(|e| Error::io("start a thread", None, e))?;
        let (tar, hasher) = Tee::new(tar, progress, limits)?;
        Ok(Apart(Arc::new(Mutex::new(Inner { tar, sender: Some(sender), thread, hasher }))))
    }

    /// Reads what is left, and gives digest and size of all. The other clones are gone.
    fn finish(mut self) -> Result<(String, u64)> {
        let read = io::copy(&mut self, &mut io::sink()).map_err(from_io);
        let inner = Arc::into_inner(self.0).expect("the reader is gone").into_inner();
        let Inner { tar, sender, thread, hasher } = inner.unwrap_or_else(PoisonError::into_inner);
        let flushed = sender.map_or(Ok(()), |mut sender| sender.flush());
        drop(tar);
        // What ended it is the reason why nobody reads the pipe any more.
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        read?;
        flushed.map_err(from_io)?;
        Ok(digest(hasher))
    }
}

impl Read for Apart {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let n = inner.tar.read(buf)?;
        // Where the thread ended early, `finish` returns why.
        if inner.sender.as_mut().is_some_and(|sender| sender.write_all(&buf[..n]).is_err()) {
            inner.sender = None;
        }
        Ok(n)
    }
}
