//! Lays out a merged view as a plain tree, and remembers what it looks like: so that a scan can tell later what was
//! changed in it.

use super::link_text::text_on_disk;
use super::record::{RecordWriter, SEPARATOR, Stat, name_key};
use super::tree::{Ahead, place};
use crate::error::{Error, Limit, Result, StoreFault, display_name, from_io};
use crate::fs::disk::{Disk, changed, check_components, disk_path, explain, system_time};
use crate::fs::{Kind, Metadata, Root, outlast};
use crate::layer_name::{FILES, components, join};
use crate::layer_tar::{EntryKind, LayerEntry};
use crate::limits::Limits;
use crate::nt::FileAttributes;
use crate::nt::basic_info::BasicInfo;
use crate::view::chain::{Node, View};
use crate::view::source::Data;
use std::collections::HashMap;
use std::fs::{File, FileTimes};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

mod crew;
mod spool;

use crew::{Crew, Job};
use spool::{Spool, Task};

/// How a view is laid out.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Whether to wait until every file and every name is on the disk.
    pub durable: bool,
    /// Bounds on what is laid out.
    pub limits: Limits,
}

/// Lays out what a view has in `Files` into an empty folder, and writes the record of it: a new file, which the caller
/// makes durable.
///
/// On the disk are names, data with its holes, hard links, symbolic links, times of last write and last access, and
/// whether a file is read-only. Everything else stays in the layers, and is found again when the tree is scanned. Links
/// to `C:\` and absolute links of WSL are laid out relative; a link that would leave the view and any other reparse
/// point is an empty file or directory, but for the data that it has.
///
/// Nothing is written outside of the folder. When this returns, a file that is changed has another time of change than
/// the record tells.
///
/// # Errors
/// [`Error::Refused`] with the member: [`Rule::NameReserved`](crate::error::Rule), `NameNotUnicode` for names that this
/// system cannot hold, `CaseCollision` for those that it takes for one; those of reading layers; [`Error::Io`]. What
/// was made until then stays.
pub fn lay_out(view: &View, folder: &Path, record: &Path, options: &Options) -> Result<()> {
    let disk = Disk::open(folder)?;
    let mut layout =
        Layout { view, disk: &disk, spool: Spool::new(), linked: HashMap::new(), made: 1, limits: &options.limits };
    std::thread::scope(|scope| {
        let crew = Crew::start(scope, view, folder, options)?;
        let walked = layout.walk(&crew);
        crew.finish(walked)
    })?;
    let Layout { spool, made, .. } = layout;
    finish(&disk, spool, options.durable)?;
    remember(&disk, record, made)
}

struct Layout<'a> {
    view: &'a View,
    disk: &'a Disk,
    /// What is left to be done when all files are there.
    spool: Spool,
    /// Where the file lies that stands for a node with more than one name.
    linked: HashMap<(usize, Option<u64>), Vec<u8>>,
    /// How many names there are.
    made: u64,
    limits: &'a Limits,
}

/// A directory that is being filled.
struct Level {
    path: Vec<u8>,
    children: std::vec::IntoIter<Node>,
    info: BasicInfo,
}

/// What stands for a node.
enum Shape {
    Directory(BasicInfo),
    Symlink(Vec<u8>, BasicInfo),
    File,
}

impl Layout<'_> {
    fn walk(&mut self, crew: &Crew) -> Result<()> {
        let Some(top) = self.view.find(FILES)? else { return Ok(()) };
        let info = self.view.head(&top)?.entry.basic_info;
        let mut levels = vec![Level { path: FILES.to_vec(), children: self.view.children(&top)?.into_iter(), info }];
        while let Some(level) = levels.last_mut() {
            let Some(node) = level.children.next() else {
                let Level { path, info, .. } = levels.pop().expect("it was looked at");
                self.spool.push(&Task::Leave { path, info })?;
                continue;
            };
            let path = join(&level.path, node.name());
            let entered = self.node(&node, &path, crew).map_err(|e| e.in_member(&path))?;
            levels.extend(entered);
        }
        Ok(())
    }

    fn node(&mut self, node: &Node, path: &[u8], crew: &Crew) -> Result<Option<Level>> {
        check_components(node.name())?;
        self.made += 1;
        self.limits.check(Limit::Entries, self.made)?;
        let shown = self.view.data(node)?;
        let on_disk = disk_path(place(path))?;
        match self.shape(&shown, path)? {
            Shape::Directory(info) => {
                explain(self.disk.root.create_dir(&on_disk))?;
                let children = self.view.children(&shown)?.into_iter();
                return Ok(Some(Level { path: path.to_vec(), children, info }));
            }
            Shape::Symlink(text, info) => {
                let to_directory = info.attributes.is_directory();
                explain(self.disk.root.create_symlink(&on_disk, &disk_path(&text)?, to_directory))?;
                let (accessed, modified) = times(&info);
                if accessed.is_some() || modified.is_some() {
                    self.disk.root.set_times(&on_disk, accessed, modified)?;
                }
            }
            Shape::File => match self.first_name(node, &shown, path)? {
                Some(first) => self.spool.push(&Task::Link { path: path.to_vec(), first })?,
                None => crew.send(Job { node: shown, path: path.to_vec() })?,
            },
        }
        Ok(None)
    }

    /// Where the file is that this is another name of, when it was met before.
    fn first_name(&mut self, node: &Node, shown: &Node, path: &[u8]) -> Result<Option<Vec<u8>>> {
        let identity = shown.identity(self.view);
        if let Some(first) = self.linked.get(&identity) {
            return Ok(Some(first.clone()));
        }
        if node.kind == EntryKind::HardLink {
            // The file itself may have been met, or be hidden by an upper layer.
            let visible = self.view.find(&shown.path)?.filter(|seen| seen.identity(self.view) == identity);
            let first = visible.and_then(|seen| comes_before(&seen.path, path).then_some(seen.path));
            self.linked.insert(identity, first.clone().unwrap_or_else(|| path.to_vec()));
            return Ok(first);
        }
        Ok(None)
    }

    fn shape(&self, shown: &Node, path: &[u8]) -> Result<Shape> {
        match shown.kind {
            EntryKind::File => Ok(Shape::File),
            EntryKind::Directory => Ok(Shape::Directory(self.view.head(shown)?.entry.basic_info)),
            EntryKind::Symlink | EntryKind::Junction | EntryKind::Reparse => {
                let found = self.view.head(shown)?;
                let info = found.entry.basic_info;
                Ok(match text_on_disk(self.view, path, &found.entry)? {
                    Some(text) => Shape::Symlink(text, info),
                    None if info.attributes.is_directory() && found.entry.data.is_none() => Shape::Directory(info),
                    None => Shape::File,
                })
            }
            EntryKind::HardLink | EntryKind::Whiteout => Err(lost(path, "neither a file nor a directory")),
        }
    }
}

/// The layers do not hold what they should.
pub(super) fn lost(path: &[u8], detail: &str) -> Error {
    Error::store(StoreFault::Damaged, "", format!("{}: {detail}", display_name(path)))
}

/// Whether a walk comes to one member before the other.
fn comes_before(one: &[u8], other: &[u8]) -> bool {
    let keys = |path: &[u8]| components(path).map(name_key).collect::<Vec<_>>();
    keys(one) < keys(other)
}

fn times(info: &BasicInfo) -> (Option<std::time::SystemTime>, Option<std::time::SystemTime>) {
    (info.last_access_time.and_then(system_time), info.last_write_time.and_then(system_time))
}

/// Writes a file with what the disk can hold of it.
fn write_file(view: &View, root: &Root, job: &Job, buffer: &mut [u8]) -> Result<File> {
    let found = view.head(&job.node)?;
    let on_disk = disk_path(place(&job.path))?;
    let mut file = explain(root.create_file(&on_disk))?;
    let shown = root.path().join(&on_disk);
    if found.entry.data.is_some() {
        let failed = |e| Error::io("write", Some(&shown), e);
        copy(&mut view.open_found(&job.node, &found, None)?, &found.entry, &mut file, buffer, &failed)?;
    }
    let (accessed, modified) = times(&found.entry.basic_info);
    let mut set = FileTimes::new();
    set = accessed.map_or(set, |time| set.set_accessed(time));
    set = modified.map_or(set, |time| set.set_modified(time));
    file.set_times(set).map_err(|e| Error::io("write", Some(&shown), e))?;
    if found.entry.basic_info.attributes.contains(FileAttributes::READONLY) {
        root.set_read_only(&on_disk, true)?;
    }
    Ok(file)
}

fn copy(
    data: &mut Data,
    entry: &LayerEntry,
    file: &mut File,
    buffer: &mut [u8],
    failed: &dyn Fn(std::io::Error) -> Error,
) -> Result<()> {
    let Some(ranges) = entry.sparse_ranges() else {
        loop {
            let n = data.read(buffer).map_err(from_io)?;
            if n == 0 {
                return Ok(());
            }
            file.write_all(&buffer[..n]).map_err(failed)?;
        }
    };
    for range in ranges {
        data.seek_to(range.offset);
        file.seek(SeekFrom::Start(range.offset)).map_err(failed)?;
        let mut left = range.length;
        while left > 0 {
            let wanted = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            let n = data.read(&mut buffer[..wanted]).map_err(from_io)?;
            if n == 0 {
                break;
            }
            file.write_all(&buffer[..n]).map_err(failed)?;
            left -= n as u64;
        }
    }
    file.set_len(entry.size()).map_err(failed)
}

/// Makes the hard links and gives directories their times, the deepest first. Waits for the directories when all that
/// is done: the first wait takes most of the others with it.
fn finish(disk: &Disk, mut spool: Spool, durable: bool) -> Result<()> {
    spool.play(|task| match task {
        Task::Link { path, first } => {
            let linked = disk.hard_link_or_copy(&disk_path(place(&first))?, &disk_path(place(&path))?);
            linked.map_err(|e| e.in_member(&path))
        }
        Task::Leave { path, info } => {
            let on_disk = disk_path(place(&path))?;
            let (accessed, modified) = times(&info);
            if path != FILES {
                disk.root.set_times(&on_disk, accessed, modified)
            } else {
                disk.root.set_own_times(accessed, modified)
            }
        }
    })?;
    if !durable {
        return Ok(());
    }
    spool.play(|task| match task {
        Task::Link { .. } => Ok(()),
        Task::Leave { path, .. } => disk.root.sync_dir(&disk_path(place(&path))?),
    })
}

/// Writes down what the tree looks like, and waits until changes can be told from that.
fn remember(disk: &Disk, path: &Path, made: u64) -> Result<()> {
    let (rows, newest) = std::thread::scope(|scope| write_record(disk, &Ahead::start(scope, disk)?, path))?;
    if rows != made {
        return Err(changed(FILES, "something else wrote into the folder meanwhile"));
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    newest.map_or(Ok(()), |newest| outlast(folder, newest))
}

/// Tells how many rows it wrote, and the newest time of change among them.
fn write_record(disk: &Disk, ahead: &Ahead, path: &Path) -> Result<(u64, Option<(i64, i64)>)> {
    let mut record = RecordWriter::create(path)?;
    let (mut rows, mut newest) = (0, None);
    let mut add = |record: &mut RecordWriter, key: &[u8], name: &[u8], metadata: &Metadata| {
        newest = newest.max(metadata.changed);
        rows += 1;
        record.add(key, name, &Stat::of(metadata))
    };
    let top = name_key(FILES);
    add(&mut record, &top, FILES, &disk.root.metadata(Path::new(""))?)?;
    let mut levels = vec![(FILES.to_vec(), top, ahead.enter(FILES)?.into_iter())];
    while let Some((directory, directory_key, below)) = levels.last_mut() {
        let Some(child) = below.next() else {
            levels.pop();
            continue;
        };
        let mut key = directory_key.clone();
        key.push(SEPARATOR);
        key.extend_from_slice(&child.key);
        add(&mut record, &key, &child.name, &child.metadata)?;
        if child.metadata.kind == Kind::Directory {
            let member = join(directory, &child.name);
            let below = ahead.enter(&member)?.into_iter();
            levels.push((member, key, below));
        }
    }
    record.finish()?;
    Ok((rows, newest))
}

#[cfg(test)]
#[cfg(unix)]
mod tests;
