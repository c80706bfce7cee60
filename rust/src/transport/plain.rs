//! Transport folders and plain tars of them.

use super::names::{Taken, Tree, check_name};
use super::{Report, file_time};
use crate::error::{Error, Format, Limit, Result, Rule, display_name, from_io};
use crate::fs::disk::{disk_path, name_bytes, system_time};
use crate::fs::{Kind, Root, StableFile, Walk};
use crate::layer_name::base_name;
use crate::limits::Limits;
use crate::nt::FileTime;
use crate::nt::name::fold_wtf8;
use crate::source::{Source, SparseRange};
use crate::tar::{Expander, MemberHeader, Piece, Reader, Time, Writer, typeflag};
use std::fs::FileTimes;
use std::io::{BufRead, BufReader, Seek, SeekFrom, Write};
use std::time::UNIX_EPOCH;

const BUFFER: usize = 256 << 10;

/// Writes a plain tar of a folder, which holds regular files and directories only. The order is that of the names'
/// bytes; a file has its time of last write and mode 0644, a directory mode 0755 and no time: so the same folder gives
/// the same bytes wherever it lies.
///
/// ```
/// use winlayers::fs::Root;
/// use winlayers::source::Source;
/// use winlayers::transport::{TransportWriter, from_plain_tar, to_plain_tar};
///
/// let folder = tempfile::tempdir().expect("a temporary folder");
/// let (a, b) = (folder.path().join("a"), folder.path().join("b"));
/// let mut writer = TransportWriter::new(Root::create(&a)?, Default::default())?;
/// writer.add_whiteout(b"Files/old.txt")?;
/// writer.finish()?;
///
/// let (tar, _) = to_plain_tar(&Root::open(&a)?, Vec::new(), &Default::default())?;
/// from_plain_tar(Source::memory(tar.clone()), &Root::create(&b)?, &Default::default())?;
/// let (again, _) = to_plain_tar(&Root::open(&b)?, Vec::new(), &Default::default())?;
/// assert_eq!(again, tar);
/// # Ok::<(), winlayers::error::Error>(())
/// ```
///
/// # Errors
/// [`Error::Format`] with [`Format::Transport`] for links, devices and the like; [`Error::Limit`]; [`Error::Io`].
pub fn to_plain_tar<W: Write>(root: &Root, sink: W, limits: &Limits) -> Result<(W, Report)> {
    to_plain_tar_below(root, None, &|_| true, sink, limits)
}

/// As [`to_plain_tar`], with a folder's name in front of each member's, and of what is at the top only what is wanted.
pub(crate) fn to_plain_tar_below<W: Write>(
    root: &Root,
    below: Option<&[u8]>,
    wanted: &dyn Fn(&[u8]) -> bool,
    sink: W,
    limits: &Limits,
) -> Result<(W, Report)> {
    let mut report = Report::default();
    let mut tar = Writer::new(sink);
    for visit in Walk::new(root)? {
        let visit = visit?;
        let mut name = member_name(&visit.path);
        if !wanted(name.split(|&byte| byte == b'/').next().unwrap_or_default()) {
            continue;
        }
        if let Some(below) = below {
            name.splice(0..0, below.iter().copied().chain([b'/']));
        }
        report.entries += 1;
        limits.check(Limit::Entries, report.entries)?;
        match visit.metadata.kind {
            Kind::Directory => {
                name.push(b'/');
                let time = Some(Time::default());
                let header = MemberHeader {
                    name: &name,
                    typeflag: typeflag::DIRECTORY,
                    mode: 0o755,
                    mtime: time,
                    ..MemberHeader::default()
                };
                tar.start(&header)?;
            }
            Kind::File => {
                let time = visit.metadata.modified.and_then(file_time).map(FileTime::to_unix);
                let mtime = time.map(|(seconds, nanoseconds)| Time { seconds, nanoseconds });
                let size = visit.metadata.size;
                tar.start(&MemberHeader {
                    name: &name,
                    typeflag: typeflag::FILE,
                    mode: 0o644,
                    size,
                    mtime,
                    ..MemberHeader::default()
                })?;
                let mut file = BufReader::with_capacity(BUFFER, StableFile::open(root, &visit.path, &visit.metadata)?);
                let changed = || Error::refused(Rule::FileChanged, "").in_member(&name);
                loop {
                    let chunk = file.fill_buf().map_err(from_io)?;
                    let n = chunk.len();
                    if n == 0 {
                        break;
                    }
                    if n as u64 > tar.data_left() {
                        return Err(changed());
                    }
                    tar.data(chunk)?;
                    file.consume(n);
                }
                if tar.data_left() > 0 {
                    return Err(changed());
                }
                file.into_inner().finish()?;
            }
            Kind::Symlink | Kind::Other => {
                let found =
                    if visit.metadata.kind == Kind::Symlink { "a link" } else { "a device, a FIFO or a socket" };
                let error = Error::format(Format::Transport, "file type", "a regular file or a directory", found);
                return Err(error.in_member(&name));
            }
        }
        limits.check(Limit::TotalBytes, tar.position())?;
    }
    report.bytes = tar.position();
    Ok((tar.finish()?, report))
}

/// Unpacks a plain tar into a folder: regular files and directories with plain names, nothing else, and nothing outside
/// of the folder. `./` in front of a name is passed over, as GNU tar writes it. What the folder means is not looked at.
///
/// # Errors
/// As [`Reader::advance`]; [`Rule::MemberType`] for links, devices and the like; the rules of names;
/// [`Rule::DuplicateName`] and [`Rule::CaseCollision`]; [`Error::Limit`]; [`Error::Io`].
pub fn from_plain_tar(source: Source, root: &Root, limits: &Limits) -> Result<Report> {
    from_plain_tar_below(source, root, None, limits)
}

/// As [`from_plain_tar`], of a tar whose members all lie below one folder, in any case, which is left out.
pub(crate) fn from_plain_tar_below(
    source: Source,
    root: &Root,
    below: Option<&[u8]>,
    limits: &Limits,
) -> Result<Report> {
    let mut reader = Reader::new(source, limits)?;
    let mut untar = Untar { root, below, limits, tree: Tree::new(limits), report: Report::default() };
    while reader.advance()? {
        let name = reader.member().name.clone();
        untar.member(&mut reader).map_err(|e| e.in_member(&name))?;
    }
    Ok(untar.report)
}

struct Untar<'a> {
    root: &'a Root,
    below: Option<&'a [u8]>,
    limits: &'a Limits,
    tree: Tree,
    report: Report,
}

impl Untar<'_> {
    fn member(&mut self, reader: &mut Reader) -> Result<()> {
        let member = reader.member();
        let (kind, mtime, size) = (member.typeflag, member.mtime, member.real_size);
        let sparse = member.sparse.clone();
        let name = member.name.strip_prefix(b"./").unwrap_or(&member.name).to_vec();
        if kind == typeflag::DIRECTORY && matches!(name.as_slice(), b"" | b".") {
            return Ok(());
        }
        let mut name = check_name(&name, self.limits)?;
        self.report.entries += 1;
        if let Some(below) = self.below {
            let (first, rest) = name.split_at(name.iter().position(|&byte| byte == b'/').unwrap_or(name.len()));
            if fold_wtf8(first) != fold_wtf8(below) {
                let detail = format!("expected a member below {}", display_name(below));
                return Err(Error::refused(Rule::NameEscapes, detail));
            }
            name = match rest.get(1..) {
                Some(rest) => rest,
                None if kind == typeflag::DIRECTORY => return Ok(()),
                None => return Err(Error::refused(Rule::NameEscapes, "expected a directory")),
            };
        }
        let (parents, component) = match name.strip_suffix(base_name(name)).and_then(|start| start.strip_suffix(b"/")) {
            Some(parents) => (parents, base_name(name)),
            None => (&[][..], name),
        };
        let parent = self.parents(parents)?;
        let there = self.tree.get(parent, component);
        match (kind, there) {
            (typeflag::DIRECTORY, Taken::Directory(_)) => Ok(()),
            (typeflag::DIRECTORY, Taken::Nothing) => {
                self.tree.add_directory(parent, component)?;
                self.root.create_dir(&disk_path(&self.tree.path(parent, component))?)
            }
            (typeflag::FILE | typeflag::CONTIGUOUS | typeflag::GNU_SPARSE, Taken::Nothing) => {
                self.tree.add_other(parent, component)?;
                let path = disk_path(&self.tree.path(parent, component))?;
                self.limits.check(Limit::MemberBytes, size)?;
                let ranges = sparse.unwrap_or_else(|| vec![SparseRange { offset: 0, length: size }]);
                let mut data = Expander::new(ranges, size);
                let mut file = self.root.create_file(&path)?;
                let failed = |e| Error::io("write", Some(&path), e);
                loop {
                    match data.peek() {
                        Piece::End => break,
                        Piece::Hole(n) => {
                            let n = n.min(i64::MAX.unsigned_abs());
                            file.seek(SeekFrom::Current(n.cast_signed())).map_err(failed)?;
                            data.advance(n);
                        }
                        Piece::Data(n) => {
                            let chunk = reader.data()?;
                            let n = chunk.len().min(usize::try_from(n).unwrap_or(usize::MAX));
                            file.write_all(&chunk[..n]).map_err(failed)?;
                            reader.consume(n);
                            data.advance(n as u64);
                            self.report.bytes += n as u64;
                            self.limits.check(Limit::TotalBytes, self.report.bytes)?;
                        }
                    }
                }
                file.set_len(size).map_err(failed)?;
                let time = mtime.and_then(|time| FileTime::from_unix(time.seconds, time.nanoseconds));
                let time = time.and_then(system_time).unwrap_or(UNIX_EPOCH);
                file.set_times(FileTimes::new().set_modified(time).set_accessed(time)).map_err(failed)
            }
            (typeflag::DIRECTORY | typeflag::FILE | typeflag::CONTIGUOUS | typeflag::GNU_SPARSE, there) => {
                let there = match there {
                    Taken::Other(spelling) => spelling.to_vec(),
                    Taken::Directory(directory) => base_name(&self.tree.directory_path(directory)).to_vec(),
                    Taken::Nothing => Vec::new(),
                };
                let rule = if there == component { Rule::DuplicateName } else { Rule::CaseCollision };
                Err(Error::refused(rule, format!("{} is there", display_name(&there))))
            }
            (other, _) => Err(Error::refused(Rule::MemberType, format!("type \"{}\"", other.escape_ascii()))),
        }
    }

    /// Finds a directory, and makes what is missing of it.
    fn parents(&mut self, name: &[u8]) -> Result<super::names::Directory> {
        let mut at = Tree::TOP;
        for component in name.split(|&byte| byte == b'/').filter(|component| !component.is_empty()) {
            at = match self.tree.get(at, component) {
                Taken::Directory(next) => next,
                Taken::Nothing => {
                    let next = self.tree.add_directory(at, component)?;
                    self.root.create_dir(&disk_path(&self.tree.path(at, component))?)?;
                    next
                }
                Taken::Other(other) => {
                    let detail = format!("{} is no directory", display_name(other));
                    return Err(Error::refused(Rule::LinkEscapes, detail));
                }
            };
        }
        Ok(at)
    }
}

/// A path of the folder as a member has it.
fn member_name(path: &std::path::Path) -> Vec<u8> {
    let components: Vec<_> = path.components().map(|component| name_bytes(component.as_os_str())).collect();
    components.join(&b'/')
}
