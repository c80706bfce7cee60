//! What callers read from: compressed chunks go to the worker thread, plain ones come back, in recycled buffers.

use super::port::{Chunk, Event, INPUT, INPUTS, Port};
use super::{Compression, gunzip, unzstd};
use crate::error::{Error, Misuse, Result, from_io};
use std::io::{self, Chain, Cursor, Read};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::thread::JoinHandle;

/// Reads plain bytes from a source that may be compressed with gzip or zstd.
///
/// A compressed source is decompressed by a thread of the reader's own, up to 1 MiB ahead; `read` takes from the source
/// on the caller's thread. Apart from these buffers a zstd frame may ask for a window of at most 128 MiB, as the `zstd`
/// tool allows without `--long`; frames that ask for more are refused.
///
/// Errors of the source come out as they are. Errors in the stream are [`Error::Format`] inside an [`io::Error`];
/// after one, every read fails.
///
/// ```
/// use std::io::{Read, Write};
/// use winlayers::compress::{Compression, Reader, Writer};
///
/// let mut writer = Writer::new(Vec::new(), Compression::Gzip)?;
/// writer.write_all(b"a layer").expect("a Vec takes everything");
/// let packed = writer.finish()?;
///
/// let mut reader = Reader::new(&packed[..])?;
/// assert_eq!(reader.compression(), Compression::Gzip);
/// let mut plain = String::new();
/// reader.read_to_string(&mut plain).expect("just written");
/// assert_eq!(plain, "a layer");
/// # Ok::<(), winlayers::error::Error>(())
/// ```
pub struct Reader<R> {
    compression: Compression,
    inner: Inner<R>,
}

type Source<R> = Chain<Cursor<Vec<u8>>, R>;

enum Inner<R> {
    Plain(Source<R>),
    Packed(Pipeline<R>),
}

impl<R: Read> Reader<R> {
    /// Looks at the first bytes of a source, at most four; they are put back.
    ///
    /// # Errors
    /// [`Error::Io`] when the source cannot be read, or no thread can be started.
    pub fn new(mut source: R) -> Result<Self> {
        let mut magic = Vec::with_capacity(Compression::MAGIC_LEN);
        source.by_ref().take(Compression::MAGIC_LEN as u64).read_to_end(&mut magic).map_err(from_io)?;
        let compression = Compression::detect(&magic);
        let source = Cursor::new(magic).chain(source);
        let inner = match compression {
            Compression::None => Inner::Plain(source),
            Compression::Gzip => Inner::Packed(Pipeline::start(source, gunzip::gunzip)?),
            Compression::Zstd => Inner::Packed(Pipeline::start(source, unzstd::unzstd)?),
        };
        Ok(Reader { compression, inner })
    }

    /// How the source is compressed.
    pub fn compression(&self) -> Compression {
        self.compression
    }
}

impl<R: Read> Read for Reader<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match &mut self.inner {
            Inner::Plain(source) => source.read(buf),
            Inner::Packed(pipeline) => pipeline.read(buf),
        }
    }
}

struct Pipeline<R> {
    source: Source<R>,
    /// Input buffers to be filled from the source.
    spare: Vec<Chunk>,
    source_is_fast: bool,
    /// To the worker; `None` once the source has ended.
    inputs: Option<SyncSender<Chunk>>,
    events: Option<Receiver<Event>>,
    /// Emptied output buffers, back to the worker.
    free: SyncSender<Chunk>,
    current: Option<Chunk>,
    position: usize,
    state: State,
    worker: Option<JoinHandle<()>>,
}

#[derive(Clone, Copy)]
enum State {
    Running,
    Ended,
    Failed,
}

impl<R: Read> Pipeline<R> {
    fn start(source: Source<R>, decompress: fn(&mut Port) -> Result<()>) -> Result<Self> {
        let (port, ends) = Port::new();
        let worker = std::thread::Builder::new()
            .name("winlayers-decompress".into())
            .spawn(move || port.run(decompress))
            .map_err(|e| Error::io("start a thread", None, e))?;
        Ok(Pipeline {
            source,
            spare: (0..INPUTS).map(|_| Chunk::input()).collect(),
            source_is_fast: false,
            inputs: Some(ends.inputs),
            events: Some(ends.events),
            free: ends.free,
            current: None,
            position: 0,
            state: State::Running,
            worker: Some(worker),
        })
    }

    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        loop {
            if let Some(chunk) = &self.current {
                let rest = &chunk.filled()[self.position..];
                if !rest.is_empty() || buf.is_empty() {
                    let n = rest.len().min(buf.len());
                    buf[..n].copy_from_slice(&rest[..n]);
                    self.position += n;
                    return Ok(n);
                }
                let _ = self.free.send(self.current.take().expect("checked above"));
            }
            match self.state {
                State::Running => self.advance()?,
                State::Ended => return Ok(0),
                State::Failed => return Err(io::Error::other(Error::misuse(Misuse::Poisoned, "decompression failed"))),
            }
        }
    }

    /// Takes the next thing the worker has to say, and keeps it supplied: ahead of time from a source that fills whole
    /// chunks; from a slow one when the worker is silent, so that what has arrived does not wait for what has not.
    fn advance(&mut self) -> io::Result<()> {
        if self.source_is_fast {
            self.feed()?;
        }
        let events = self.events.as_ref().expect("taken on drop only");
        let event = match events.try_recv() {
            Err(TryRecvError::Empty) => {
                self.feed()?;
                self.events.as_ref().expect("taken on drop only").recv().ok()
            }
            other => other.ok(),
        };
        match event {
            Some(Event::Output(chunk)) => (self.current, self.position) = (Some(chunk), 0),
            Some(Event::Consumed(chunk)) => self.spare.push(chunk),
            Some(Event::End) => self.state = State::Ended,
            Some(Event::Failed(error)) => {
                self.state = State::Failed;
                return Err(io::Error::new(io::ErrorKind::InvalidData, error));
            }
            // It says `End` or `Failed` before it ends: it has panicked.
            None => {
                self.state = State::Failed;
                return Err(io::Error::other("the decompressing thread died"));
            }
        }
        Ok(())
    }

    /// Fills and sends input buffers, up to the first that the source does not fill.
    fn feed(&mut self) -> io::Result<()> {
        while let Some(inputs) = &self.inputs
            && let Some(chunk) = self.spare.last_mut()
        {
            let room = &mut chunk.room()[..INPUT];
            let capacity = room.len();
            let result = self.source.read(room);
            self.source_is_fast = result.as_ref().is_ok_and(|&n| n == capacity);
            match result {
                Ok(0) => self.inputs = None,
                Ok(n) => {
                    chunk.advance(n);
                    // A worker that is gone has said why, or will be found out by `recv`.
                    let _ = inputs.send(self.spare.pop().expect("it is the last one"));
                    if n < capacity {
                        break;
                    }
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }
}

impl<R> Drop for Pipeline<R> {
    /// Ends the worker: without these channels it finds nothing to do within one chunk.
    fn drop(&mut self) {
        self.inputs = None;
        self.events = None;
        let (closed, _) = sync_channel(0);
        self.free = closed;
        if let Some(worker) = self.worker.take() {
            let _ = worker.join();
        }
    }
}
