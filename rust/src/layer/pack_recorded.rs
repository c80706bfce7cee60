//! Packing with a sidecar: what has not changed since the layer was extracted comes back as it was.

use super::pack::{FileData, Packer};
use super::sidecar::{DATA, Line, Member, OnDisk, Piece, SidecarReader};
use super::symlink::link_on_disk;
use crate::digest::{Sha256, hex};
use crate::error::{Error, Result};
use crate::fs::{Kind, Metadata};
use crate::layer_name::trimmed;
use crate::layer_tar::{Dialect, EntryKind, LayerEntry};
use crate::nt::path::check_member_name;
use crate::policy::{Loss, LossKind, Policy};
use crate::problem::Flaw;
use std::cell::RefCell;
use std::io::{self, BufRead, Read, Write};

impl<W: Write> Packer<'_, W> {
    /// Packs the members of the sidecar in their order, then what else is there.
    pub fn pack_recorded<R: BufRead>(&mut self, sidecar: SidecarReader<R>) -> Result<()> {
        let sidecar = RefCell::new(sidecar);
        loop {
            let line = sidecar.borrow_mut().line()?;
            match line {
                None => break,
                Some(Line::Parent(name)) => drop(self.listed.insert(&name.0, self.limits)?),
                Some(Line::Member(member)) => self.member(*member, &sidecar)?,
                Some(Line::WinlayersSidecar(_) | Line::Ranges(_) | Line::Data(_) | Line::Zeros(_)) => {
                    return Err(sidecar.borrow().wrong("line", "a member", "another line"));
                }
            }
        }
        for name in self.disk.children(b"")? {
            if !self.listed.contains(&name) {
                self.problem(Flaw::SidecarNew, &name, Flaw::SidecarNew.to_string());
            }
            self.pack_tree(&name)?;
        }
        Ok(())
    }

    fn member<R: BufRead>(&mut self, member: Member, sidecar: &RefCell<SidecarReader<R>>) -> Result<()> {
        let ranges = match member.sparse_ranges {
            Some(count) => sidecar.borrow_mut().ranges(count)?,
            None => Vec::new(),
        };
        let (on_disk, sha256) = (member.disk, member.sha256.clone());
        let entry = member.entry(ranges).map_err(|e| locate(e, &sidecar.borrow()))?;
        let name = entry.name.clone();
        check_member_name(&name, &Policy::strict(), self.limits)?;
        let path = trimmed(&name);
        self.listed.insert(path, self.limits)?;
        let streams: Vec<u64> = entry.streams.iter().flatten().map(|stream| stream.size).collect();

        let stat = if entry.kind == EntryKind::Whiteout { None } else { self.stat(path)? };
        let found = self.compare(&entry, on_disk, sha256.as_deref(), stat.as_ref())?;
        if found == Found::Same {
            return self.restore(entry, stat.as_ref(), sidecar, &streams);
        }
        for size in streams {
            let mut left = size;
            while left > 0 {
                left -= sidecar.borrow_mut().data(left)?.len();
            }
        }
        match (found, stat) {
            (Found::Other(what), Some(stat)) => {
                self.problem(Flaw::SidecarMismatch, path, format!("{what}: it is packed with defaults"));
                self.pack_default(path, &stat)
            }
            _ => {
                self.problem(Flaw::SidecarMissing, path, Flaw::SidecarMissing.to_string());
                Ok(())
            }
        }
    }

    /// Whether what is on the disk still is what was extracted.
    fn compare(
        &mut self,
        entry: &LayerEntry,
        on_disk: OnDisk,
        sha256: Option<&str>,
        stat: Option<&Metadata>,
    ) -> Result<Found> {
        let path = trimmed(&entry.name);
        let Some(stat) = stat else {
            return Ok(if on_disk == OnDisk::Nothing { Found::Same } else { Found::Missing });
        };
        let kind = match on_disk {
            OnDisk::File | OnDisk::HardLink => Kind::File,
            OnDisk::Directory => Kind::Directory,
            OnDisk::Symlink => Kind::Symlink,
            OnDisk::Nothing => return Ok(Found::Other("a file is there now")),
        };
        if stat.kind != kind {
            return Ok(Found::Other("another kind of file"));
        }
        let same = match on_disk {
            OnDisk::File => {
                entry.data.as_ref().is_none_or(|data| data.size == stat.size)
                    && Some(self.digest(path, stat)?.as_str()) == sha256
            }
            OnDisk::Symlink => Some(self.disk.read_link(path)?) == link_on_disk(entry),
            OnDisk::HardLink => self.same_file(entry, path, stat)?,
            OnDisk::Directory | OnDisk::Nothing => true,
        };
        Ok(if same { Found::Same } else { Found::Other("its content changed") })
    }

    fn digest(&mut self, path: &[u8], stat: &Metadata) -> Result<String> {
        let mut data = FileData::open(&self.disk, path, stat, &mut self.buffer)?;
        let mut hash = Sha256::new();
        copy(&mut data, &mut hash)?;
        data.finish().map_err(|e| e.in_member(path))?;
        Ok(hex(&hash.finish()))
    }

    /// Whether two names still are one file, or at least hold the same.
    fn same_file(&mut self, entry: &LayerEntry, path: &[u8], stat: &Metadata) -> Result<bool> {
        let target = entry.link_name.as_deref().unwrap_or_default();
        if check_member_name(target, &Policy::strict(), self.limits).is_err() {
            return Ok(false);
        }
        let Some(other) = self.stat(target)?.filter(|other| other.kind == Kind::File) else { return Ok(false) };
        Ok((other.device, other.inode) == (stat.device, stat.inode)
            || other.size == stat.size && self.digest(path, stat)? == self.digest(target, &other)?)
    }

    fn restore<R: BufRead>(
        &mut self,
        mut entry: LayerEntry,
        stat: Option<&Metadata>,
        sidecar: &RefCell<SidecarReader<R>>,
        streams: &[u64],
    ) -> Result<()> {
        let path = trimmed(&entry.name);
        let mut file = match stat {
            Some(stat) if entry.data.is_some() => {
                if stat.links > 1 {
                    self.linked.entry((stat.device, stat.inode)).or_insert_with(|| path.to_vec());
                }
                Some(FileData::open(&self.disk, path, stat, &mut self.buffer)?)
            }
            _ => None,
        };
        let mut data: Vec<Box<dyn BufRead + '_>> = Vec::new();
        if let Some(file) = &mut file {
            data.push(Box::new(file));
        }
        for &size in streams {
            data.push(Box::new(StreamData { sidecar, left: size, chunk: Vec::new(), position: 0, zeros: 0 }));
        }
        if entry.recorded.is_some() && self.dialect == Dialect::GoWinio {
            let kind = LossKind::StreamOrder;
            let detail = kind.to_string();
            self.writer.add_loss(Loss { path: entry.name.clone(), stream: None, kind, detail })?;
            entry.recorded = None;
        }
        self.writer.add(&entry, data)?;
        file.map_or(Ok(()), |file| file.finish().map_err(|e| e.in_member(path)))
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Found {
    Same,
    Other(&'static str),
    Missing,
}

fn locate<R: BufRead>(error: Error, sidecar: &SidecarReader<R>) -> Error {
    match error {
        Error::Format(_) => sidecar.wrong("member", "an entry", &error.to_string()),
        other => other,
    }
}

fn copy(from: &mut impl BufRead, to: &mut impl Write) -> Result<()> {
    loop {
        let chunk = from.fill_buf().map_err(crate::error::from_io)?;
        if chunk.is_empty() {
            return Ok(());
        }
        to.write_all(chunk).map_err(crate::error::from_io)?;
        let n = chunk.len();
        from.consume(n);
    }
}

/// The data of one named stream, a line at a time. Streams are read one after the other.
struct StreamData<'a, R: BufRead> {
    sidecar: &'a RefCell<SidecarReader<R>>,
    left: u64,
    chunk: Vec<u8>,
    position: usize,
    /// Zeros that come before the next line.
    zeros: u64,
}

impl<R: BufRead> Read for StreamData<'_, R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let chunk = self.fill_buf()?;
        let n = chunk.len().min(buf.len());
        buf[..n].copy_from_slice(&chunk[..n]);
        self.consume(n);
        Ok(n)
    }
}

impl<R: BufRead> BufRead for StreamData<'_, R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.position == self.chunk.len() && self.left > 0 {
            if self.zeros == 0 {
                match self.sidecar.borrow_mut().data(self.left).map_err(io::Error::other)? {
                    Piece::Data(bytes) => self.chunk = bytes,
                    Piece::Zeros(n) => self.zeros = n,
                }
            }
            if self.zeros > 0 {
                self.chunk.clear();
                self.chunk.resize(usize::try_from(self.zeros).map_or(DATA, |zeros| zeros.min(DATA)), 0);
                self.zeros -= self.chunk.len() as u64;
            }
            self.position = 0;
            self.left -= self.chunk.len() as u64;
        }
        Ok(&self.chunk[self.position..])
    }

    fn consume(&mut self, n: usize) {
        self.position += n;
    }
}
