//! A tar that one thread writes while another reads it.

use crate::error::{Error, Result};
use std::io::{self, Cursor, Read, Write};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

const CHUNK: usize = 256 << 10;
const CHUNKS: usize = 4;

/// Both ends of a pipe in memory.
pub(crate) fn pipe() -> (Sender, Chunks) {
    let (sender, chunks) = sync_channel(CHUNKS);
    let chunk = Vec::with_capacity(CHUNK);
    (Sender { chunks: sender, chunk }, Chunks { chunks, chunk: Cursor::default() })
}

/// The end that is written to, in chunks.
pub(crate) struct Sender {
    chunks: SyncSender<io::Result<Vec<u8>>>,
    chunk: Vec<u8>,
}

/// The end that is read from. It ends where the other end was flushed last.
pub(crate) struct Chunks {
    chunks: Receiver<io::Result<Vec<u8>>>,
    chunk: Cursor<Vec<u8>>,
}

impl Read for Chunks {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        loop {
            let n = self.chunk.read(buf)?;
            if n > 0 || buf.is_empty() {
                return Ok(n);
            }
            let Ok(next) = self.chunks.recv() else { return Ok(0) };
            self.chunk = Cursor::new(next?);
        }
    }
}

impl Write for Sender {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let n = buf.len().min(CHUNK - self.chunk.len());
        self.chunk.extend_from_slice(&buf[..n]);
        if self.chunk.len() == CHUNK {
            self.flush()?;
        }
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.chunk.is_empty() {
            return Ok(());
        }
        let chunk = std::mem::replace(&mut self.chunk, Vec::with_capacity(CHUNK));
        self.chunks.send(Ok(chunk)).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

/// What a thread writes, read from the other end.
pub(crate) struct Piped {
    chunks: Option<Chunks>,
    thread: Option<JoinHandle<()>>,
}

impl Piped {
    /// Starts to write on a thread, whose error the reading end returns.
    ///
    /// # Errors
    /// [`Error::Io`] if the thread cannot be started.
    pub fn start(write: impl FnOnce(Sender) -> Result<()> + Send + 'static) -> Result<Self> {
        let (sender, chunks) = pipe();
        let errors = sender.chunks.clone();
        let work = move || {
            if let Err(error) = write(sender) {
                let _ = errors.send(Err(io::Error::other(error)));
            }
        };
        let thread = std::thread::Builder::new().name("winlayers-export".into()).spawn(work);
        let thread = thread.map_err(|e| Error::io("start a thread", None, e))?;
        Ok(Piped { chunks: Some(chunks), thread: Some(thread) })
    }
}

impl Read for Piped {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.chunks.as_mut().map_or(Ok(0), |chunks| chunks.read(buf))
    }
}

impl Drop for Piped {
    /// Ends the thread, whose writes fail from now on.
    fn drop(&mut self) {
        self.chunks = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
