//! SHA-256 on another thread: while it hashes one buffer, the caller fills the next.

use super::{Sha256, hex};
use crate::error::{Error, Limit, Result};
use crate::limits::Limits;
use crate::progress::Progress;
use crate::source::{ReadAt, Source};
use std::io::{self, BufWriter, Read, Write};
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

const CHUNK: usize = 256 << 10;
/// How many bytes are written to a file in one call. For more, the page cache wants larger blocks of memory, which may
/// cost more than it saves.
const WRITE: usize = 128 << 10;
const BUFFERS: usize = 4;

/// The digest of what it is given.
pub(crate) struct Hasher {
    current: Chunk,
    full: Option<SyncSender<Chunk>>,
    free: Receiver<Chunk>,
    thread: Option<JoinHandle<[u8; 32]>>,
    size: u64,
}

/// A buffer and how much of it is filled.
struct Chunk {
    bytes: Box<[u8]>,
    filled: usize,
}

impl Chunk {
    fn new(size: usize) -> Self {
        Chunk { bytes: vec![0; size].into(), filled: 0 }
    }
}

impl Hasher {
    pub fn start() -> Result<Self> {
        Self::start_with(CHUNK)
    }

    /// With buffers of another size.
    fn start_with(size: usize) -> Result<Self> {
        let (full, filled) = sync_channel::<Chunk>(BUFFERS);
        let (emptied, free) = sync_channel::<Chunk>(BUFFERS);
        for _ in 1..BUFFERS {
            let _ = emptied.send(Chunk::new(size));
        }
        let work = move || {
            let mut hash = Sha256::new();
            for mut chunk in filled {
                hash.update(&chunk.bytes[..chunk.filled]);
                chunk.filled = 0;
                // No receiver is left once the digest was asked for.
                let _ = emptied.try_send(chunk);
            }
            hash.finish()
        };
        let thread = std::thread::Builder::new().name("winlayers-sha256".into()).spawn(work);
        Ok(Hasher {
            current: Chunk::new(size),
            full: Some(full),
            free,
            thread: Some(thread.map_err(|e| Error::io("start a thread", None, e))?),
            size: 0,
        })
    }

    pub fn update(&mut self, mut bytes: &[u8]) {
        self.size += bytes.len() as u64;
        while !bytes.is_empty() {
            let room = &mut self.current.bytes[self.current.filled..];
            let n = bytes.len().min(room.len());
            room[..n].copy_from_slice(&bytes[..n]);
            self.current.filled += n;
            bytes = &bytes[n..];
            if self.current.filled == self.current.bytes.len() {
                self.hand_over();
            }
        }
    }

    /// Reads the next bytes of a source into the buffer that the thread gets with the next call, without a copy, and
    /// returns them: fewer than a buffer only at the end of the source.
    fn update_from(&mut self, source: &mut impl Read) -> io::Result<&[u8]> {
        if self.current.filled > 0 {
            self.hand_over();
        }
        let Chunk { bytes, filled } = &mut self.current;
        while *filled < bytes.len() {
            match source.read(&mut bytes[*filled..]) {
                Ok(0) => break,
                Ok(n) => *filled += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        self.size += *filled as u64;
        Ok(&bytes[..*filled])
    }

    /// Bytes so far.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// `sha256:` and the digest.
    pub fn finish(mut self) -> String {
        self.hand_over();
        self.full = None;
        let digest = self.thread.take().map(JoinHandle::join);
        format!("sha256:{}", hex(&digest.expect("taken here only").expect("hashing cannot panic")))
    }

    fn hand_over(&mut self) {
        let full = self.full.as_ref().expect("taken on finish only");
        let next = self.free.recv().expect("the thread gives every buffer back");
        let chunk = std::mem::replace(&mut self.current, next);
        full.send(chunk).expect("the thread lives as long as the channel");
    }
}

impl Drop for Hasher {
    /// Waits for the thread.
    fn drop(&mut self) {
        self.full = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Copies all of a source while a thread hashes it; returns the digest and the size. `path` is the target, for errors.
pub(crate) fn copy_hashed(
    mut source: impl Read,
    mut sink: impl Write,
    path: &Path,
    limits: &Limits,
    progress: &Progress,
) -> Result<(String, u64)> {
    let mut hasher = Hasher::start_with(WRITE)?;
    loop {
        let chunk = hasher.update_from(&mut source).map_err(crate::error::from_io)?;
        if chunk.is_empty() {
            break;
        }
        sink.write_all(chunk).map_err(|e| Error::io("write", Some(path), e))?;
        limits.check(Limit::TotalBytes, hasher.size())?;
        progress.at(hasher.size())?;
    }
    let size = hasher.size();
    progress.finish(size)?;
    Ok((hasher.finish(), size))
}

/// A source that hashes and counts what is read from it.
pub(crate) struct Tee<R> {
    source: R,
    hasher: Arc<Mutex<Hasher>>,
    progress: Progress,
    limits: Limits,
}

impl<R: Read> Tee<R> {
    /// The source, and the hash of what is read from it later.
    pub fn new(source: R, progress: Progress, limits: &Limits) -> Result<(Self, Arc<Mutex<Hasher>>)> {
        let hasher = Arc::new(Mutex::new(Hasher::start()?));
        Ok((Tee { source, hasher: Arc::clone(&hasher), progress, limits: limits.clone() }, hasher))
    }
}

impl<R: Read> Read for Tee<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.source.read(buf)?;
        let mut hasher = self.hasher.lock().unwrap_or_else(PoisonError::into_inner);
        hasher.update(&buf[..n]);
        let size = hasher.size();
        self.limits.check(Limit::TotalBytes, size).map_err(io::Error::other)?;
        let told = if n == 0 { self.progress.finish(size) } else { self.progress.at(size) };
        told.map_err(io::Error::other)?;
        Ok(n)
    }
}

/// The bytes of a source from its front; reports the length to `progress` if it is known.
pub(crate) fn front_to_back(source: Source, progress: &Progress) -> Result<Box<dyn Read + Send>> {
    match source {
        Source::Stream(stream) => Ok(stream),
        Source::Random(bytes) => {
            progress.set_total(Some(bytes.size().map_err(|e| Error::io("stat", None, e))?));
            Ok(Box::new(Front { bytes, position: 0 }))
        }
    }
}

/// The digest and the number of the bytes that went through a [`Tee`], after that was dropped.
pub(crate) fn digest(hasher: Arc<Mutex<Hasher>>) -> (String, u64) {
    let hasher = Arc::into_inner(hasher).map(Mutex::into_inner);
    let hasher = hasher.expect("the tee is gone").unwrap_or_else(PoisonError::into_inner);
    let size = hasher.size();
    (hasher.finish(), size)
}

/// Reads a random source from its front.
struct Front {
    bytes: Arc<dyn ReadAt>,
    position: u64,
}

impl Read for Front {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.bytes.read_at(buf, self.position)?;
        self.position += n as u64;
        Ok(n)
    }
}

/// A sink that hashes and counts what is written to it.
pub(crate) struct HashedSink<W: Write> {
    sink: BufWriter<W>,
    hasher: Hasher,
    progress: Progress,
}

impl<W: Write> HashedSink<W> {
    pub fn new(sink: W, progress: Progress) -> Result<Self> {
        Ok(HashedSink { sink: BufWriter::with_capacity(CHUNK, sink), hasher: Hasher::start()?, progress })
    }

    /// The sink, the digest and the number of bytes.
    pub fn finish(self) -> Result<(W, String, u64)> {
        let size = self.hasher.size();
        self.progress.finish(size)?;
        let sink = self.sink.into_inner().map_err(|e| crate::error::from_io(e.into_error()))?;
        Ok((sink, self.hasher.finish(), size))
    }
}

impl<W: Write> Write for HashedSink<W> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let n = self.sink.write(buf)?;
        self.hasher.update(&buf[..n]);
        self.progress.at(self.hasher.size()).map_err(io::Error::other)?;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.sink.flush()
    }
}
