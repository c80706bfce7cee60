//! Makes a layer of a directory: on any system, and the same bytes from the same tree.

use super::names::ExactNames;
use super::report::LayerReport;
use super::sidecar::{SidecarReader, sidecar_path};
use crate::digest::HashedSink;
use crate::error::{Error, Limit, Result, Rule};
use crate::fs::disk::{Disk, changed, disk_path, unix_time};
use crate::fs::symlink::{self, Target};
use crate::fs::{Kind, Metadata, StableFile};
use crate::layer_name::{FILES, ROOTS, UTILITY_VM, base_name, below, is_named_like_whiteout, is_root, join, top};
use crate::layer_tar::{Dialect, EntryKind, LayerEntry, LayerWriter, UnnamedData, WriterOptions, reparse_from_link};
use crate::limits::Limits;
use crate::nt::basic_info::BasicInfo;
use crate::nt::name::{Win32Trouble, fold_into, utf16_from_wtf8, win32_trouble};
use crate::nt::security::SecurityDescriptor;
use crate::nt::{FileAttributes, FileTime};
use crate::policy::{Capped, OnLoss};
use crate::problem::{Problem, ProblemCode};
use crate::progress::Progress;
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufRead, Read, Write};
use std::path::Path;

/// What every directory gets that nothing is known about.
pub const DEFAULT_SD_DIR: &str = "O:BAG:SYD:(A;OICI;FA;;;BA)(A;OICI;FA;;;SY)(A;;FA;;;BA)(A;OICIIO;GA;;;CO)(A;OICI;0x1200a9;;;BU)(A;CI;LC;;;BU)(A;CI;DC;;;BU)";
/// What every file gets that nothing is known about.
pub const DEFAULT_SD_FILE: &str = "O:BAG:SYD:(A;;FA;;;BA)(A;;FA;;;SY)(A;;0x1200a9;;;BU)";

/// What one read takes.
const CHUNK: usize = 256 << 10;

/// How a directory is packed.
#[derive(Debug, Clone, Default)]
pub struct PackOptions {
    /// Which records are written; `None`: those that the sidecar asks for, without one those of go-winio.
    pub dialect: Option<Dialect>,
    /// What happens when the dialect cannot carry something.
    pub on_loss: OnLoss,
    /// The security descriptor of files as SDDL; `None`: [`DEFAULT_SD_FILE`].
    pub sd_file: Option<String>,
    /// The security descriptor of directories as SDDL; `None`: [`DEFAULT_SD_DIR`].
    pub sd_dir: Option<String>,
    /// Seconds since 1970: later times become this one (`SOURCE_DATE_EPOCH`).
    pub source_date_epoch: Option<i64>,
    /// Bounds on what is read from the sidecar, and on what is written.
    pub limits: Limits,
}

/// Packs a directory, and gives the sink back.
///
/// A directory that has nothing but `Files`, `Hives` and `UtilityVM` at its top is taken for a layer; any other is the
/// content of `Files`. Where [`super::extract`] left a sidecar beside it, everything that has not changed since comes
/// back as it was.
///
/// The bytes depend on names, contents, link targets and times of last write alone, in the way that
/// `docs/decisions/006-pack-and-extract.md` describes.
///
/// ```
/// use winlayers::layer::{PackOptions, pack};
/// use winlayers::progress::Progress;
/// let folder = tempfile::tempdir().unwrap();
/// std::fs::write(folder.path().join("hello.txt"), "hello").unwrap();
/// let (tar, report) = pack(folder.path(), Vec::new(), &PackOptions::default(), Progress::none())?;
/// assert_eq!(report.entries, 3, "Files, Files/hello.txt, Hives");
/// assert_eq!(report.size, tar.len() as u64);
/// # Ok::<(), winlayers::error::Error>(())
/// ```
///
/// # Errors
/// [`Error::Refused`] for what no layer can hold: names, devices, two names that differ only in case; and with
/// [`Rule::FileChanged`] for a file that changes while it is read. [`Error::Format`] for a sidecar that does not parse.
/// [`Error::Io`]. What was written to the sink until then is no layer.
pub fn pack<W: Write>(
    directory: &Path,
    sink: W,
    options: &PackOptions,
    progress: Progress,
) -> Result<(W, LayerReport)> {
    let disk = Disk::open(directory)?;
    let sidecar = open_sidecar(directory, &options.limits)?;
    let top = disk.children(b"")?;
    let is_layer = sidecar.is_some() || is_layer(&top)?;
    let recorded_dialect = sidecar.as_ref().map(|(_, dialect)| *dialect);
    let dialect = options.dialect.or(recorded_dialect).unwrap_or_default();
    let writer_options =
        WriterOptions { dialect, on_loss: options.on_loss, limits: options.limits.clone(), ..WriterOptions::default() };
    let sd = |text: &Option<String>, default| -> Result<Vec<u8>> {
        Ok(SecurityDescriptor::from_sddl(text.as_deref().unwrap_or(default), None)?.into_raw())
    };
    let mut packer = Packer {
        disk,
        writer: LayerWriter::new(HashedSink::new(sink, progress)?, writer_options),
        dialect,
        sd_file: sd(&options.sd_file, DEFAULT_SD_FILE)?,
        sd_dir: sd(&options.sd_dir, DEFAULT_SD_DIR)?,
        latest: options.source_date_epoch.and_then(|seconds| FileTime::from_unix(seconds, 0)),
        limits: &options.limits,
        is_layer,
        linked: HashMap::new(),
        listed: ExactNames::new(),
        buffer: vec![0; CHUNK],
        problems: Capped::default(),
    };
    match sidecar {
        Some((sidecar, _)) => packer.pack_recorded(sidecar)?,
        None => packer.pack_roots(&top)?,
    }
    packer.finish()
}

type Sidecar = SidecarReader<io::BufReader<File>>;

fn open_sidecar(directory: &Path, limits: &Limits) -> Result<Option<(Sidecar, Dialect)>> {
    let path = sidecar_path(directory)?;
    match crate::fs::open_file(&path) {
        Ok(file) => SidecarReader::new(io::BufReader::with_capacity(CHUNK, file), limits).map(Some),
        Err(error) if error.is_absent() => Ok(None),
        Err(error) => Err(error),
    }
}

fn is_layer(top: &[Vec<u8>]) -> Result<bool> {
    let roots = top.iter().filter(|name| is_root(name)).count();
    if roots > 0 && roots < top.len() && top.iter().any(|name| name == FILES) {
        let other = top.iter().find(|name| !is_root(name)).expect("fewer roots than names");
        let detail = format!(
            "beside Files lies {}: take it away, or put all of it into another Files",
            crate::error::display_name(other)
        );
        return Err(Error::refused(Rule::RootUnknown, detail));
    }
    Ok(roots > 0 && roots == top.len())
}

pub(super) struct Packer<'a, W: Write> {
    pub disk: Disk,
    pub writer: LayerWriter<HashedSink<W>>,
    pub dialect: Dialect,
    sd_file: Vec<u8>,
    sd_dir: Vec<u8>,
    latest: Option<FileTime>,
    pub limits: &'a Limits,
    /// Whether the directory holds `Files`, or is what it holds.
    is_layer: bool,
    /// The member that has the data of each file with more than one name.
    pub linked: HashMap<(u64, u64), Vec<u8>>,
    /// Members that a sidecar told of.
    pub listed: ExactNames,
    pub buffer: Vec<u8>,
    pub problems: Capped<Problem>,
}

/// A directory that is being walked: its member name, and the children that are to come.
type Level = (Vec<u8>, std::vec::IntoIter<Vec<u8>>);

impl<W: Write> Packer<'_, W> {
    fn pack_roots(&mut self, top: &[Vec<u8>]) -> Result<()> {
        for root in ROOTS.map(str::as_bytes) {
            if self.is_layer && top.iter().any(|name| name == root) || !self.is_layer && root == FILES {
                self.pack_tree(root)?;
            } else if root != UTILITY_VM {
                self.synthetic_directory(root)?;
            }
        }
        Ok(())
    }

    /// Packs what is at a name and everything below it, but for members that were listed.
    pub fn pack_tree(&mut self, root: &[u8]) -> Result<()> {
        let mut levels: Vec<Level> = Vec::new();
        let mut next = Some(root.to_vec());
        loop {
            let Some(name) = next else {
                let Some((parent, children)) = levels.last_mut() else { return Ok(()) };
                match children.next() {
                    Some(child) => next = Some(join(parent, &child)),
                    None => {
                        levels.pop();
                    }
                }
                continue;
            };
            next = None;
            let stat = self.stat(&name)?.ok_or_else(|| changed(&name, "it is gone"))?;
            if !self.listed.contains(&name) {
                self.pack_default(&name, &stat)?;
            }
            if stat.kind == Kind::Directory {
                let children = self.disk_name(&name).map(<[u8]>::to_vec).map(|path| self.disk.children(&path));
                let children = children.transpose()?.unwrap_or_default();
                self.limits.check(Limit::Entries, self.writer.entries() + children.len() as u64)?;
                self.check_collisions(&name, &children)?;
                levels.push((name, children.into_iter()));
            }
        }
    }

    /// Refuses two names that NTFS takes for one, but for those that the layer had.
    fn check_collisions(&self, directory: &[u8], children: &[Vec<u8>]) -> Result<()> {
        let listed = |child: &[u8]| self.listed.contains(&join(directory, child));
        let mut seen = HashMap::with_capacity(children.len());
        for child in children {
            let mut folded = Vec::new();
            fold_into(child, &mut folded);
            if let Some(other) = seen.insert(folded, child)
                && !(listed(other) && listed(child))
            {
                let display = crate::error::display_name;
                let detail = format!("{} and {}", display(other), display(child));
                return Err(Error::refused(Rule::CaseCollision, detail).in_member(directory));
            }
        }
        Ok(())
    }

    /// Packs one name with what follows from the disk alone.
    pub fn pack_default(&mut self, name: &[u8], stat: &Metadata) -> Result<()> {
        self.check_name(name).map_err(|e| e.in_member(name))?;
        match stat.kind {
            Kind::Directory if !self.is_layer && name == FILES => self.synthetic_directory(name),
            Kind::Directory => self.directory(name, self.info(stat, FileAttributes::DIRECTORY)),
            Kind::File => self.file(name, stat),
            Kind::Symlink => self.symlink(name, stat),
            Kind::Other => {
                Err(Error::refused(Rule::MemberType, "neither a file, a directory nor a symlink").in_member(name))
            }
        }
    }

    pub fn stat(&mut self, member: &[u8]) -> Result<Option<Metadata>> {
        let Some(path) = self.disk_name(member).map(<[u8]>::to_vec) else { return Ok(None) };
        self.disk.stat(&path)
    }

    /// Where a member lies below the directory.
    pub fn disk_name<'n>(&self, member: &'n [u8]) -> Option<&'n [u8]> {
        if self.is_layer {
            return Some(member);
        }
        if member == FILES { Some(b"") } else { below(member, FILES) }
    }

    pub fn problem(&mut self, code: impl Into<ProblemCode>, path: &[u8], message: impl Into<String>) {
        let (code, offset) = (code.into(), Some(self.writer.position()));
        self.problems.push(code.name(), Problem { code, path: path.to_vec(), offset, message: message.into() });
    }

    fn finish(self) -> Result<(W, LayerReport)> {
        let (entries, losses) = (self.writer.entries(), self.writer.losses().clone());
        let (sink, diff_id, size) = self.writer.finish()?.finish()?;
        Ok((sink, LayerReport { diff_id: Some(diff_id), entries, size, problems: self.problems, losses }))
    }

    /// A directory that is not on the disk, or that stands for the whole disk: its time is always the same.
    fn synthetic_directory(&mut self, name: &[u8]) -> Result<()> {
        let time = self.latest.unwrap_or(FileTime(FileTime::UNIX_EPOCH_TICKS));
        self.directory(name, all_times(time, FileAttributes::DIRECTORY))
    }

    fn directory(&mut self, name: &[u8], info: BasicInfo) -> Result<()> {
        let mut entry = LayerEntry::new(name, EntryKind::Directory);
        entry.basic_info = info;
        entry.security_descriptor = Some(self.sd_dir.clone());
        self.writer.add(&entry, vec![])
    }

    fn file(&mut self, name: &[u8], stat: &Metadata) -> Result<()> {
        let info = self.info(stat, FileAttributes::ARCHIVE);
        if stat.links > 1 {
            if let Some(first) = self.linked.get(&(stat.device, stat.inode)) {
                let first = first.clone();
                return self.writer.add_hard_link(name, &first, Some(&info));
            }
            self.linked.insert((stat.device, stat.inode), name.to_vec());
        }
        let mut entry = LayerEntry::new(name, EntryKind::File);
        entry.basic_info = info;
        entry.security_descriptor = Some(self.sd_file.clone());
        entry.data = Some(UnnamedData::new(stat.size));
        let path = self.disk_name(name).unwrap_or_default().to_vec();
        let mut data = FileData::open(&self.disk, &path, stat, &mut self.buffer).map_err(|e| e.in_member(name))?;
        self.writer.add(&entry, vec![Box::new(&mut data)])?;
        data.finish().map_err(|e| e.in_member(name))
    }

    fn symlink(&mut self, name: &[u8], stat: &Metadata) -> Result<()> {
        let path = self.disk_name(name).unwrap_or_default().to_vec();
        let target = self.disk.read_link(&path)?;
        let mut attributes = FileAttributes::REPARSE_POINT;
        // An absolute target counts from the drive of the container, which is `Files`.
        let root = if self.is_layer { top(name) } else { b"" };
        match symlink::resolve(&self.disk, root, &path, &target)? {
            Target::Directory => attributes |= FileAttributes::DIRECTORY,
            Target::Other => {}
            Target::Outside => {
                let message = format!("its target, {}, is not in the layer", crate::error::display_name(&target));
                self.problem(Rule::LinkEscapes, name, message);
            }
        }
        let mut entry = LayerEntry::new(name, EntryKind::Symlink);
        entry.basic_info = self.info(stat, attributes);
        entry.security_descriptor =
            Some(if attributes.is_directory() { self.sd_dir.clone() } else { self.sd_file.clone() });
        entry.reparse_point = Some(reparse_from_link(&target, false).map_err(|e| e.in_member(name))?.into_raw());
        entry.link_name = Some(target);
        self.writer.add(&entry, vec![])
    }

    /// All times are that of the last write: the others tell who copied the tree, and when.
    fn info(&self, stat: &Metadata, attributes: FileAttributes) -> BasicInfo {
        let (seconds, nanoseconds) = stat.modified.map_or((0, 0), unix_time);
        let time = FileTime::from_unix(seconds, nanoseconds).unwrap_or(FileTime(FileTime::UNIX_EPOCH_TICKS));
        all_times(self.latest.map_or(time, |latest| time.min(latest)), attributes)
    }

    /// Refuses a name that Windows cannot hold, and tells of one that its programs cannot use.
    fn check_name(&mut self, name: &[u8]) -> Result<()> {
        match check_new_name(base_name(name))? {
            Some(Win32Trouble::Device) => {
                self.problem(Rule::NameReserved, name, "Win32 takes the name for a device");
            }
            Some(_) => self.problem(Rule::NameReserved, name, "Win32 cuts off the dot or space at the end"),
            None => {}
        }
        Ok(())
    }
}

/// Refuses a name on a disk that no layer can hold; tells what Win32 programs would do with another.
pub(crate) fn check_new_name(base: &[u8]) -> Result<Option<Win32Trouble>> {
    let Some(units) = utf16_from_wtf8(base) else { return Err(Error::refused(Rule::NameNotUnicode, "")) };
    if is_named_like_whiteout(base) {
        return Err(Error::refused(Rule::WhiteoutName, ""));
    }
    let trouble = win32_trouble(&units);
    if trouble == Some(Win32Trouble::Character) {
        let rule = if base.contains(&b':') {
            Rule::NameColon
        } else if base.contains(&b'\\') {
            Rule::NameBackslash
        } else {
            Rule::NameReserved
        };
        return Err(Error::refused(rule, "a character that NTFS does not allow"));
    }
    Ok(trouble)
}

pub(crate) fn all_times(time: FileTime, attributes: FileAttributes) -> BasicInfo {
    let time = Some(time);
    BasicInfo { creation_time: time, last_access_time: time, last_write_time: time, change_time: time, attributes }
}

/// The data of a file, which may not change meanwhile.
pub(crate) struct FileData<'a> {
    file: StableFile,
    left: u64,
    buffer: &'a mut [u8],
    start: usize,
    end: usize,
}

impl<'a> FileData<'a> {
    pub fn open(disk: &Disk, path: &[u8], stat: &Metadata, buffer: &'a mut [u8]) -> Result<Self> {
        let file = StableFile::open(&disk.root, &disk_path(path)?, stat)?;
        Ok(FileData { file, left: stat.size, buffer, start: 0, end: 0 })
    }

    /// Checks that everything was read, and that nothing changed.
    pub fn finish(mut self) -> Result<()> {
        if self.left > 0 || self.file.read(&mut [0]).map_err(|e| Error::io("read", None, e))? > 0 {
            return Err(Error::refused(Rule::FileChanged, "it became longer"));
        }
        self.file.finish()
    }
}

impl Read for FileData<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let chunk = self.fill_buf()?;
        let n = chunk.len().min(buf.len());
        buf[..n].copy_from_slice(&chunk[..n]);
        self.consume(n);
        Ok(n)
    }
}

impl BufRead for FileData<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.start == self.end && self.left > 0 {
            let want = self.buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
            let n = loop {
                match self.file.read(&mut self.buffer[..want]) {
                    Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                    other => break other?,
                }
            };
            if n == 0 {
                return Err(io::Error::other(Error::refused(Rule::FileChanged, "it became shorter")));
            }
            (self.start, self.end) = (0, n);
            self.left -= n as u64;
        }
        Ok(&self.buffer[self.start..self.end])
    }

    fn consume(&mut self, n: usize) {
        self.start += n;
    }
}

#[cfg(test)]
mod tests;
