//! A tar that is put together where it is read: metadata and data stay where they are.

use super::entry::{Entry, EntryReader, wrong};
use super::names;
use crate::error::{Error, Limit, Result, display_name};
use crate::limits::Limits;
use crate::source::{ReadAt, Slice};
use crate::tar::{BLOCK, TYPEFLAG, has_no_data};
use std::io::{self, BufReader};
use std::sync::{Arc, Mutex, PoisonError};

/// Gives the data of members, to be read anywhere.
pub trait MemberFiles: Send + Sync {
    /// The data of a member, by its name in the tar.
    ///
    /// # Errors
    /// [`Error::Io`] where there is none.
    fn open(&self, name: &[u8]) -> Result<Arc<dyn ReadAt>>;
}

/// The tar of metadata and of the files that its members' data is in, readable anywhere.
///
/// It needs 40 bytes of memory a member. Sizes are compared when data is read, checksums are not: who reads all of it
/// knows its digest.
///
/// ```
/// use std::{collections::BTreeMap, io::Read, sync::Arc};
/// use winlayers::tar::{MemberHeader, Writer};
/// use winlayers::source::{ReadAt, Slice, Source};
/// use winlayers::tar_split::{Assembled, MemberFiles, disassemble};
///
/// struct Files(BTreeMap<Vec<u8>, Vec<u8>>);
/// impl MemberFiles for Files {
///     fn open(&self, name: &[u8]) -> winlayers::error::Result<Arc<dyn ReadAt>> {
///         Ok(Arc::new(self.0[name].clone()))
///     }
/// }
///
/// let mut writer = Writer::new(Vec::new());
/// writer.start(&MemberHeader { name: b"a", typeflag: b'0', size: 5, ..Default::default() })?;
/// writer.data(b"hello")?;
/// let tar = writer.finish()?;
/// let (mut metadata, mut content) = (Vec::new(), BTreeMap::new());
/// disassemble(Source::memory(tar.clone()), &mut metadata, Some(&mut content), &Default::default())?;
///
/// let assembled = Assembled::open(Arc::new(metadata), Arc::new(Files(content)), &Default::default())?;
/// let mut part = [0; 3];
/// assembled.read_at(&mut part, 514).unwrap();
/// assert_eq!(&part, b"llo");
/// # Ok::<(), winlayers::error::Error>(())
/// ```
pub struct Assembled {
    metadata: Arc<dyn ReadAt>,
    files: Arc<dyn MemberFiles>,
    limits: Limits,
    pieces: Vec<Piece>,
    size: u64,
    last: Mutex<Last>,
}

/// A run of bytes that one line of the metadata stands for.
struct Piece {
    /// Where it begins in the tar.
    start: u64,
    /// Where its line begins in the metadata.
    line: u64,
    /// The number of its line.
    position: u64,
    is_file: bool,
}

/// What was read last: the next read goes on there.
#[derive(Default)]
struct Last {
    segment: Option<(usize, Arc<Vec<u8>>)>,
    file: Option<(usize, Arc<dyn ReadAt>)>,
}

impl Assembled {
    /// Reads the metadata once.
    ///
    /// # Errors
    /// As [`super::assemble`], but for those of the data.
    pub fn open(metadata: Arc<dyn ReadAt>, files: Arc<dyn MemberFiles>, limits: &Limits) -> Result<Self> {
        let length = metadata.size().map_err(|e| Error::io("read", None, e))?;
        let mut entries = EntryReader::new(lines(&metadata, 0, length), limits);
        let (mut pieces, mut size, mut position) = (Vec::new(), 0_u64, 0);
        let mut kind = None;
        while let Some(entry) = entries.next()? {
            let (length, is_file) = match entry {
                Entry::Segment => {
                    kind = entries.bytes().last_chunk::<BLOCK>().map(|block| block[TYPEFLAG]);
                    (entries.bytes().len() as u64, false)
                }
                Entry::File { size, crc } => {
                    let name = entries.bytes();
                    // As in `assemble`: what the Go tool writes of links and directories.
                    let no_data = kind.is_some_and(|k| has_no_data(k) || (k == 0 && name.ends_with(b"/")));
                    kind = None;
                    let size = if no_data && crc == 0 { 0 } else { size };
                    if size > 0 && names::relative_name(name).is_none() {
                        let found = format!("\"{}\"", display_name(name));
                        return Err(wrong("name", "a path inside the layer", found).at(entries.offset()));
                    }
                    (size, true)
                }
            };
            if length > 0 {
                pieces.push(Piece { start: size, line: entries.offset(), position, is_file });
                limits.check(Limit::Entries, pieces.len() as u64 / 2)?;
                size = size.saturating_add(length);
                limits.check(Limit::TotalBytes, size)?;
            }
            position += 1;
        }
        Ok(Assembled { metadata, files, limits: limits.clone(), pieces, size, last: Mutex::default() })
    }

    /// What the line of a piece says: its bytes, or the name of its file.
    fn line(&self, piece: &Piece) -> Result<Vec<u8>> {
        let length = self.metadata.size().map_err(|e| Error::io("read", None, e))?;
        let source = lines(&self.metadata, piece.line, length);
        let mut entries = EntryReader::at(source, &self.limits, piece.line, piece.position);
        match entries.next()? {
            Some(_) => Ok(entries.bytes().to_vec()),
            None => Err(wrong("entry", "the line that was there", "the end").at(piece.line)),
        }
    }

    fn read(&self, index: usize, buf: &mut [u8], offset: u64) -> Result<usize> {
        let piece = &self.pieces[index];
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if !piece.is_file {
            let bytes = match &last.segment {
                Some((known, bytes)) if *known == index => Arc::clone(bytes),
                _ => Arc::new(self.line(piece)?),
            };
            last.segment = Some((index, Arc::clone(&bytes)));
            drop(last);
            return bytes.read_at(buf, offset).map_err(|e| Error::io("read", None, e));
        }
        let name = || self.line(piece);
        let file = match &last.file {
            Some((known, file)) if *known == index => Arc::clone(file),
            _ => self.files.open(&name()?)?,
        };
        last.file = Some((index, Arc::clone(&file)));
        drop(last);
        match file.read_at(buf, offset).map_err(|e| Error::io("read", None, e))? {
            0 if !buf.is_empty() => {
                let expected = format!("{} bytes", self.end(index) - piece.start);
                Err(super::integrity(&name()?, expected, offset.to_string()))
            }
            n => Ok(n),
        }
    }

    fn end(&self, index: usize) -> u64 {
        self.pieces.get(index + 1).map_or(self.size, |next| next.start)
    }
}

impl ReadAt for Assembled {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        if offset >= self.size || buf.is_empty() {
            return Ok(0);
        }
        // The first piece begins at 0.
        let index = self.pieces.partition_point(|piece| piece.start <= offset) - 1;
        let most = usize::try_from(self.end(index) - offset).unwrap_or(usize::MAX).min(buf.len());
        self.read(index, &mut buf[..most], offset - self.pieces[index].start).map_err(|error| match error {
            Error::Io { source, path: None, .. } => source,
            other => io::Error::other(other),
        })
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.size)
    }
}

fn lines(metadata: &Arc<dyn ReadAt>, start: u64, end: u64) -> BufReader<Slice> {
    BufReader::new(Slice::new(Arc::clone(metadata), start, end))
}
