//! Puts a layer into a directory: confined to it, all or nothing, with a sidecar of what the disk cannot hold.

use super::holes::{Holes, RecordedBlocks};
use super::names::ExactNames;
use super::report::LayerReport;
use super::sidecar::{Base64, Bytes, DATA, Header, Line, Member, OnDisk, SidecarWriter, VERSION, sidecar_path};
use super::symlink::link_on_disk;
use crate::digest::{Sha256, Tee, digest, front_to_back, hex};
use crate::error::{Error, Format, Limit, Result, Rule, from_io};
use crate::fs::disk::{Disk, check_components, check_stream_name, disk_path, explain, system_time};
use crate::fs::{AtomicDir, AtomicFile, Kind, Root, absent};
use crate::layer_name::{parents, trimmed};
use crate::layer_tar::{Dialect, EntryKind, LayerEntry, LayerReader, NamedStream};
use crate::limits::Limits;
use crate::nt::FileTime;
use crate::nt::path::check_member_name;
use crate::policy::{Capped, Loss, LossKind, Policy};
use crate::progress::Progress;
use crate::source::{Source, Spool};
use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::Path;

/// Named streams of one entry up to this size are kept in memory until the entry is complete.
const SPOOL: usize = 1 << 20;

/// Extracts a layer into a directory that is not there yet, and writes `DIR.winlayers.ndjson` beside it.
///
/// Nothing appears before everything is complete, and nothing stays of what fails. No member is written outside of the
/// directory, or through a link. Links that would leave it become empty files, hard links to lower layers and whiteouts
/// exist in the sidecar only: losses tell of those, though [`super::pack`] gives them back.
///
/// ```
/// use winlayers::layer::{extract, pack};
/// use winlayers::progress::Progress;
/// use winlayers::source::Source;
/// let folder = tempfile::tempdir().unwrap();
/// std::fs::create_dir(folder.path().join("a")).unwrap();
/// std::fs::write(folder.path().join("a/hello.txt"), "hello").unwrap();
/// let (tar, _) = pack(&folder.path().join("a"), Vec::new(), &Default::default(), Progress::none())?;
///
/// extract(Source::memory(tar.clone()), &folder.path().join("b"), &Default::default(), Progress::none())?;
/// assert_eq!(std::fs::read(folder.path().join("b/Files/hello.txt")).unwrap(), b"hello");
/// let (again, _) = pack(&folder.path().join("b"), Vec::new(), &Default::default(), Progress::none())?;
/// assert_eq!(again, tar);
/// # Ok::<(), winlayers::error::Error>(())
/// ```
///
/// # Errors
/// [`Error::Refused`] when the target or its sidecar exists, and for names and links that a disk cannot hold or that
/// lead out of it; else as [`LayerReader::next_entry`]; [`Error::Io`].
pub fn extract(source: Source, directory: &Path, limits: &Limits, progress: Progress) -> Result<LayerReport> {
    let sidecar_path = sidecar_path(directory)?;
    absent(&sidecar_path)?;
    let staged = AtomicDir::create(directory)?;
    let file = AtomicFile::create(&sidecar_path)?;

    let (tee, hasher) = Tee::new(front_to_back(source, &progress)?, progress.clone(), limits)?;
    let mut extractor = Extractor {
        disk: Disk { root: staged.open()? },
        reader: LayerReader::new(Source::Stream(Box::new(tee)), Policy::strict(), limits)?,
        sidecar: SidecarWriter::new(BufWriter::with_capacity(DATA, file), limits),
        holes: Holes::default(),
        names: ExactNames::new(),
        directory_names: ExactNames::new(),
        directories: BufWriter::new(Spool::new(SPOOL)),
        limits,
        progress,
        entries: 0,
        written: 0,
        losses: Capped::default(),
    };
    extractor.run()?;
    extractor.directory_times()?;
    let Extractor { disk, reader, sidecar, entries, losses, .. } = extractor;
    // Windows renames no directory that is open.
    drop((disk, reader));
    let failed = |e| Error::io("write", Some(&sidecar_path), e);
    let file = sidecar.finish()?.into_inner().map_err(|e| failed(e.into_error()))?;
    let (diff_id, size) = digest(hasher);
    file.commit_new()?;
    if let Err(error) = staged.commit() {
        let folder = sidecar_path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let name = sidecar_path.file_name().unwrap_or_default();
        Root::open(folder).and_then(|folder| folder.remove_file(Path::new(name)))?;
        return Err(error);
    }
    Ok(LayerReport { diff_id: Some(diff_id), entries, size, losses, ..LayerReport::default() })
}

struct Extractor<'a, W: Write> {
    disk: Disk,
    reader: LayerReader,
    sidecar: SidecarWriter<W>,
    /// Those of the part that is read.
    holes: Holes,
    names: ExactNames,
    directory_names: ExactNames,
    /// Directories and their times, which are set when nothing is put into them any more.
    directories: BufWriter<Spool>,
    limits: &'a Limits,
    progress: Progress,
    entries: u64,
    /// Bytes of files and streams, holes included.
    written: u64,
    losses: Capped<Loss>,
}

impl<W: Write> Extractor<'_, W> {
    fn run(&mut self) -> Result<()> {
        // It carries every layer, and writes more than go-winio's only where that would lose something.
        let dialect = Dialect::Lossless.name().to_owned();
        self.sidecar.line(&Line::WinlayersSidecar(Header { version: VERSION, dialect }))?;
        while let Some(entry) = self.reader.next_entry()? {
            self.entries += 1;
            let name = entry.name.clone();
            self.entry(entry).map_err(|e| e.in_member(&name))?;
        }
        loop {
            let n = self.reader.rest()?.len();
            if n == 0 {
                return Ok(());
            }
            self.reader.consume_rest(n);
        }
    }

    fn entry(&mut self, mut entry: LayerEntry) -> Result<()> {
        let path = trimmed(&entry.name).to_vec();
        check_components(&path)?;
        let mut next = self.reader.next_part()?;
        let mut blocks = RecordedBlocks::of(&entry);
        self.holes = if entry.data.is_some() { blocks.holes(0, self.reader.member()) } else { Holes::default() };
        let (disk, sha256) = self.make(&entry, &path)?;
        self.check_holes()?;

        let mut spool = Spool::new(SPOOL);
        let mut streams = Vec::new();
        if entry.data.is_some() {
            next = self.reader.next_part()?;
        }
        while let Some(part) = next {
            self.holes = blocks.holes(streams.len() + 1, self.reader.member());
            let name = part.stream.unwrap_or_default();
            check_stream_name(&name)?;
            if matches!(entry.kind, EntryKind::HardLink | EntryKind::Whiteout) {
                return Err(Error::refused(Rule::NameColon, "hard links and whiteouts have no streams"));
            }
            streams.push(NamedStream { name, size: part.size });
            self.spool(&mut spool)?;
            self.check_holes()?;
            next = self.reader.next_part()?;
        }
        entry.streams = Some(streams);
        let line = Member { sha256, ..Member::of(&entry, disk) };
        self.sidecar.line(&Line::Member(Box::new(line)))?;
        self.sidecar.ranges(entry.sparse_ranges().unwrap_or_default())?;
        self.stream_data(&mut spool, &entry)
    }

    /// What lies in a hole that the recorded order tells of would be in no backup stream.
    fn check_holes(&self) -> Result<()> {
        self.holes.data().map_or(Ok(()), |at| {
            Err(Error::format(Format::LayerTar, "WINLAYERS.streams", "zeros in a hole", format!("data at {at}")))
        })
    }

    /// Makes what stands for an entry on the disk; tells what it is and, of a file, the digest of its content.
    fn make(&mut self, entry: &LayerEntry, path: &[u8]) -> Result<(OnDisk, Option<String>)> {
        let in_directory = entry.basic_info.attributes.is_directory();
        match entry.kind {
            EntryKind::Whiteout => Ok((OnDisk::Nothing, None)),
            EntryKind::Directory => self.directory(entry, path),
            // Some reparse points are directories with entries inside.
            EntryKind::Reparse if in_directory && entry.data.is_none() => self.directory(entry, path),
            EntryKind::HardLink => self.hard_link(entry, path),
            EntryKind::Symlink => match link_on_disk(entry) {
                Some(target) => self.symlink(entry, path, &target),
                None => self.placeholder(entry, path),
            },
            EntryKind::Junction => self.placeholder(entry, path),
            EntryKind::File | EntryKind::Reparse => self.file(entry, path),
        }
    }

    fn directory(&mut self, entry: &LayerEntry, path: &[u8]) -> Result<(OnDisk, Option<String>)> {
        let again = self.take_name(path, true)?;
        self.parent(path)?;
        if !again {
            explain(self.disk.root.create_dir(&disk_path(path)?))?;
        }
        if let Some(time) = entry.basic_info.last_write_time {
            let length = u32::try_from(path.len()).expect("paths are bounded").to_le_bytes();
            let record = [&length[..], &time.0.to_le_bytes(), path].concat();
            self.directories.write_all(&record).map_err(|e| Error::io("write a temporary file", None, e))?;
        }
        Ok((OnDisk::Directory, None))
    }

    /// Gives directories their times.
    fn directory_times(&mut self) -> Result<()> {
        let failed = |e| Error::io("read a temporary file", None, e);
        self.directories.flush().map_err(failed)?;
        let spool = self.directories.get_mut();
        let mut left = spool.stream_position().map_err(failed)?;
        spool.seek(SeekFrom::Start(0)).map_err(failed)?;
        let mut records = BufReader::new(spool);
        while left > 0 {
            let mut head = [0; 12];
            records.read_exact(&mut head).map_err(failed)?;
            let [a, b, c, d, ticks @ ..] = head;
            let mut path = vec![0; u32::from_le_bytes([a, b, c, d]) as usize];
            records.read_exact(&mut path).map_err(failed)?;
            left -= (head.len() + path.len()) as u64;
            if let Some(time) = system_time(FileTime(i64::from_le_bytes(ticks))) {
                self.disk.root.set_times(&disk_path(&path)?, None, Some(time))?;
            }
        }
        Ok(())
    }

    fn file(&mut self, entry: &LayerEntry, path: &[u8]) -> Result<(OnDisk, Option<String>)> {
        self.take_name(path, false)?;
        self.parent(path)?;
        let on_disk = disk_path(path)?;
        let mut file = explain(self.disk.root.create_file(&on_disk))?;
        let shown = self.disk.root.path().join(&on_disk);
        let mut hash = Sha256::new();
        let sparse = entry.sparse_ranges().is_some();
        // Without data of its own, the reader stands at the first named stream.
        if entry.data.is_some() {
            self.copy(&mut file, &shown, &mut hash, sparse)?;
        }
        let length = file.stream_position().and_then(|position| if sparse { file.set_len(position) } else { Ok(()) });
        let timed = length.and_then(|()| match entry.basic_info.last_write_time.and_then(system_time) {
            Some(time) => file.set_modified(time),
            None => Ok(()),
        });
        timed.map_err(|e| Error::io("write", Some(&shown), e))?;
        Ok((OnDisk::File, Some(hex(&hash.finish()))))
    }

    fn copy(&mut self, file: &mut File, shown: &Path, hash: &mut Sha256, sparse: bool) -> Result<()> {
        loop {
            let chunk = self.reader.data()?;
            let n = chunk.len();
            if n == 0 {
                return Ok(());
            }
            hash.update(chunk);
            self.holes.pass(chunk);
            let written = if sparse && chunk.iter().all(|&b| b == 0) {
                file.seek(SeekFrom::Current(n as i64)).map(drop)
            } else {
                file.write_all(chunk)
            };
            written.map_err(|e| Error::io("write", Some(shown), e))?;
            self.reader.consume(n);
            self.count(n)?;
        }
    }

    /// An empty file, for a link that would leave the layer.
    fn placeholder(&mut self, entry: &LayerEntry, path: &[u8]) -> Result<(OnDisk, Option<String>)> {
        self.lost(entry, LossKind::Link, &LossKind::Link.to_string());
        self.file(entry, path)
    }

    fn symlink(&mut self, entry: &LayerEntry, path: &[u8], target: &[u8]) -> Result<(OnDisk, Option<String>)> {
        self.take_name(path, false)?;
        self.parent(path)?;
        let place = disk_path(path)?;
        let is_directory = entry.basic_info.attributes.is_directory();
        explain(self.disk.root.create_symlink(&place, &disk_path(target)?, is_directory))?;
        if let Some(time) = entry.basic_info.last_write_time.and_then(system_time) {
            self.disk.root.set_times(&place, None, Some(time))?;
        }
        Ok((OnDisk::Symlink, None))
    }

    fn hard_link(&mut self, entry: &LayerEntry, path: &[u8]) -> Result<(OnDisk, Option<String>)> {
        let target = entry.link_name.as_deref().unwrap_or_default();
        if check_member_name(target, &Policy::strict(), self.limits).is_err() || check_components(target).is_err() {
            return Err(Error::refused(Rule::LinkEscapes, crate::error::display_name(target)));
        }
        self.take_name(path, false)?;
        if self.disk.stat(target)?.is_none_or(|stat| stat.kind != Kind::File) {
            self.lost(entry, LossKind::HardLink, "its target is not in this layer, so that it is not on the disk");
            return Ok((OnDisk::Nothing, None));
        }
        self.parent(path)?;
        let (from, to) = (disk_path(target)?, disk_path(path)?);
        self.disk.hard_link_or_copy(&from, &to)?;
        Ok((OnDisk::HardLink, None))
    }

    /// Makes the directory that a name lies in, where the layer did not tell of it.
    fn parent(&mut self, path: &[u8]) -> Result<()> {
        // Most of the time it is there.
        let known = parents(path).next_back().map(|parent| self.is_directory(parent));
        if known.is_none_or(|known| known == Some(true)) {
            return Ok(());
        }
        for directory in parents(path) {
            match self.is_directory(directory) {
                Some(true) => {}
                Some(false) => {
                    let detail = format!("{} is no directory", crate::error::display_name(directory));
                    return Err(Error::refused(Rule::LinkEscapes, detail));
                }
                None => {
                    self.take_name(directory, true)?;
                    explain(self.disk.root.create_dir(&disk_path(directory)?))?;
                    self.sidecar.line(&Line::Parent(Bytes(directory.to_vec())))?;
                }
            }
        }
        Ok(())
    }

    /// Whether a name was made a directory; `None` where nothing of this name was made.
    fn is_directory(&self, path: &[u8]) -> Option<bool> {
        self.names.contains(path).then(|| self.directory_names.contains(path))
    }

    /// Takes a name for an entry; tells whether a directory has it already, which another may share.
    fn take_name(&mut self, path: &[u8], directory: bool) -> Result<bool> {
        let new = self.names.insert(path, self.limits)?;
        let shared = !new && directory && self.directory_names.contains(path);
        if !new && !shared {
            return Err(Error::refused(Rule::DuplicateName, ""));
        }
        if directory {
            self.directory_names.insert(path, self.limits)?;
        }
        Ok(shared)
    }

    fn lost(&mut self, entry: &LayerEntry, kind: LossKind, detail: &str) {
        let loss = Loss { path: entry.name.clone(), stream: None, kind, detail: detail.to_owned() };
        self.losses.push(kind.name(), loss);
    }

    fn count(&mut self, n: usize) -> Result<()> {
        self.written += n as u64;
        self.limits.check(Limit::TotalBytes, self.written)?;
        self.progress.aside(n as u64)
    }

    /// Keeps the data of a named stream until its entry is complete.
    fn spool(&mut self, spool: &mut Spool) -> Result<()> {
        let failed = |e| Error::io("write a temporary file", None, e);
        let sparse = self.reader.member().sparse.is_some();
        if sparse {
            // In a file its holes take no space.
            spool.roll().map_err(failed)?;
        }
        let mut length = spool.stream_position().map_err(failed)?;
        loop {
            let chunk = self.reader.data()?;
            let n = chunk.len();
            if n == 0 {
                break;
            }
            length += n as u64;
            self.holes.pass(chunk);
            if sparse && chunk.iter().all(|&b| b == 0) {
                spool.seek(SeekFrom::Start(length)).map_err(failed)?;
            } else {
                spool.write_all(chunk).map_err(failed)?;
            }
            self.reader.consume(n);
            self.count(n)?;
        }
        if sparse { spool.set_len(length).map_err(failed) } else { Ok(()) }
    }

    fn stream_data(&mut self, spool: &mut Spool, entry: &LayerEntry) -> Result<()> {
        let streams = entry.streams.as_deref().unwrap_or_default();
        if streams.iter().all(|stream| stream.size == 0) {
            return Ok(());
        }
        spool.seek(SeekFrom::Start(0)).map_err(from_io)?;
        let mut zeros = 0;
        for stream in streams {
            let mut left = stream.size;
            while left > 0 {
                let mut chunk = vec![0; usize::try_from(left).map_or(DATA, |left| left.min(DATA))];
                spool.read_exact(&mut chunk).map_err(|e| Error::io("read a temporary file", None, e))?;
                left -= chunk.len() as u64;
                if chunk.iter().all(|&b| b == 0) {
                    zeros += chunk.len() as u64;
                    self.progress.aside(chunk.len() as u64)?;
                    continue;
                }
                self.zeros(&mut zeros)?;
                self.sidecar.line(&Line::Data(Base64(chunk)))?;
            }
            self.zeros(&mut zeros)?;
        }
        Ok(())
    }

    fn zeros(&mut self, n: &mut u64) -> Result<()> {
        match std::mem::take(n) {
            0 => Ok(()),
            n => self.sidecar.line(&Line::Zeros(n)),
        }
    }
}

#[cfg(test)]
mod tests;
