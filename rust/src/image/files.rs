//! The files of an image: in a folder, or in a tar.

use crate::compress;
use crate::error::{Error, Format, Limit, Result, Rule, from_io};
use crate::fs::{Kind, Root, open_file, temporary_file};
use crate::layer_name::{is_named_like_whiteout, root_name, top};
use crate::limits::Limits;
use crate::source::{ReadAt, Slice, Source};
use crate::tar::{Reader, typeflag};
use std::collections::HashMap;
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::path::Path;
use std::sync::Arc;

/// What can be read of an image, by names joined with `/`.
pub(super) trait Files: Send + Sync {
    /// How many bytes a file has; `None` when there is none.
    fn find(&self, name: &str) -> Result<Option<u64>>;

    /// Opens a file and returns its size with it.
    fn open(&self, name: &str) -> Result<Option<(Box<dyn Read + Send>, u64)>>;
}

/// Opens a folder or an archive.
pub(super) fn open(path: &Path, limits: &Limits) -> Result<Arc<dyn Files>> {
    if let Ok(root) = Root::open(path) {
        return Ok(Arc::new(Folder(root)));
    }
    let file = open_file(path)?;
    let failed = |e| Error::io("read", Some(path), e);
    let mut magic = [0; compress::Compression::MAGIC_LEN];
    let is_file = file.metadata().map_err(failed)?.is_file();
    let read = if is_file { ReadAt::read_at(&file, &mut magic, 0).map_err(failed)? } else { 0 };
    let plain = compress::Compression::detect(&magic[..read]) == compress::Compression::None;
    let file = if is_file && plain { file } else { unpack(file, limits)? };
    Ok(Arc::new(Archive::read(Arc::new(file), limits)?))
}

/// Whether a folder has what an image has, or the first member of an archive is nothing that a layer has.
pub(super) fn is_image(path: &Path, limits: &Limits) -> Result<bool> {
    if let Ok(root) = Root::open(path) {
        return Ok(["index.json", "manifest.json"].iter().any(|name| root.metadata(Path::new(name)).is_ok()));
    }
    let file = open_file(path)?;
    if !file.metadata().map_err(|e| Error::io("read", Some(path), e))?.is_file() {
        return Ok(false);
    }
    let Ok(plain) = compress::Reader::new(file) else { return Ok(false) };
    let mut start = Vec::new();
    if plain.take(FIRST_MEMBER).read_to_end(&mut start).is_err() {
        return Ok(false);
    }
    let Ok(mut reader) = Reader::new(Source::memory(start), limits) else { return Ok(false) };
    if !matches!(reader.advance(), Ok(true)) {
        return Ok(false);
    }
    let name = &reader.member().name;
    let name = name.strip_prefix(b"./").unwrap_or(name);
    let top = top(name);
    Ok(root_name(top).is_none() && !is_named_like_whiteout(top))
}

/// The headers of a first member are in so many bytes, unless it has long records, which no member of an image has.
const FIRST_MEMBER: u64 = 64 << 10;

/// Decompresses an archive, or takes what comes from a pipe, into a temporary file that has no name.
fn unpack(file: File, limits: &Limits) -> Result<File> {
    let folder = std::env::temp_dir();
    let failed = |e| Error::io("write a temporary file in", Some(&folder), e);
    let mut plain = compress::Reader::new(file)?;
    let mut spool = temporary_file(&folder)?;
    let mut buffer = vec![0; 256 << 10];
    let mut size = 0;
    loop {
        match plain.read(&mut buffer) {
            Ok(0) => return Ok(spool),
            Ok(n) => {
                size += n as u64;
                limits.check(Limit::TotalBytes, size)?;
                spool.write_all(&buffer[..n]).map_err(failed)?;
            }
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) => return Err(from_io(e)),
        }
    }
}

struct Folder(Root);

impl Files for Folder {
    fn find(&self, name: &str) -> Result<Option<u64>> {
        match self.0.try_metadata(Path::new(name)).map_err(|e| e.in_member(name.as_bytes()))? {
            Some(metadata) if metadata.kind == Kind::File => Ok(Some(metadata.size)),
            Some(_) => Err(Error::refused(Rule::MemberType, "no regular file").in_member(name.as_bytes())),
            None => Ok(None),
        }
    }

    fn open(&self, name: &str) -> Result<Option<(Box<dyn Read + Send>, u64)>> {
        let Some(size) = self.find(name)? else { return Ok(None) };
        let file = self.0.open_file(Path::new(name)).map_err(|e| e.in_member(name.as_bytes()))?;
        Ok(Some((Box::new(file), size)))
    }
}

/// Links that lead to one another, at most.
const LINKS: usize = 8;

struct Archive {
    bytes: Arc<dyn ReadAt>,
    members: HashMap<String, Member>,
}

enum Member {
    File {
        position: u64,
        size: u64,
    },
    /// Another name of the archive: `docker save` writes a layer that comes twice once.
    Link(String),
}

impl Archive {
    fn read(bytes: Arc<dyn ReadAt>, limits: &Limits) -> Result<Self> {
        let mut reader = Reader::new(Source::Random(Arc::clone(&bytes)), limits)?;
        let mut members = HashMap::new();
        while reader.advance()? {
            let member = reader.member();
            let Some(name) = std::str::from_utf8(&member.name).ok().and_then(|name| clean("", name)) else { continue };
            let found = match member.typeflag {
                typeflag::FILE | typeflag::CONTIGUOUS if member.sparse.is_none() => {
                    Member::File { position: member.data_position, size: member.size }
                }
                typeflag::SYMLINK | typeflag::HARD_LINK => {
                    let folder = if member.typeflag == typeflag::SYMLINK { folder_of(&name) } else { "" };
                    let target = std::str::from_utf8(&member.link_name).ok().and_then(|link| clean(folder, link));
                    // One that leaves the archive leads nowhere.
                    let Some(target) = target else { continue };
                    Member::Link(target)
                }
                _ => continue,
            };
            // The last one of a name counts, as when it is unpacked.
            members.insert(name, found);
        }
        Ok(Archive { bytes, members })
    }

    fn place(&self, name: &str) -> Result<Option<(u64, u64)>> {
        let mut at = name;
        for _ in 0..=LINKS {
            match self.members.get(at) {
                None => return Ok(None),
                Some(Member::File { position, size }) => return Ok(Some((*position, *size))),
                Some(Member::Link(target)) => at = target,
            }
        }
        let expected = format!("at most {LINKS} links");
        Err(Error::format(Format::Image, "link", expected, "more, or a circle").in_member(name.as_bytes()))
    }
}

impl Files for Archive {
    fn find(&self, name: &str) -> Result<Option<u64>> {
        Ok(self.place(name)?.map(|(_, size)| size))
    }

    fn open(&self, name: &str) -> Result<Option<(Box<dyn Read + Send>, u64)>> {
        let Some((position, size)) = self.place(name)? else { return Ok(None) };
        let slice = Slice::new(Arc::clone(&self.bytes), position, position.saturating_add(size));
        Ok(Some((Box::new(slice), size)))
    }
}

fn folder_of(name: &str) -> &str {
    name.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// A path seen from a folder, without `.` and `..`; `None` when it leaves the archive, or is its top.
fn clean(folder: &str, path: &str) -> Option<String> {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    if path.starts_with('/') {
        return None;
    }
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            _ => parts.push(part),
        }
    }
    if parts.is_empty() { None } else { Some(parts.join("/")) }
}
