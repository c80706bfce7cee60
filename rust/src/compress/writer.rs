//! What callers write to.

use super::{Compression, gzip};
use crate::error::{Error, Misuse, Result, from_io};
use std::io::{self, Write};
use std::num::NonZeroUsize;
use zstd::stream::raw::CParameter;

/// The level whose output is a little smaller than that of klauspost's Go zstd by default, for as much work.
const ZSTD_LEVEL: i32 = 3;
/// What each thread of zstd compresses at a time. Part of the format of our output: another size gives other bytes.
const ZSTD_JOB: u32 = 1 << 20;
/// About 3 MiB each.
const ZSTD_WORKERS_MAX: usize = 4;

/// Writes a compressed stream whose bytes depend on the data alone, with as many threads as there are cores, at most 8.
///
/// Gzip comes as members of 512 KiB of data each, without name and time; zstd as one frame with a checksum. In flight
/// are at most 17 MiB, 2.5 MiB for each core. [`Write::flush`] does not cut the compressed stream: it only flushes the
/// sink. After an error the writer is poisoned.
///
/// ```
/// use std::io::Write;
/// use winlayers::compress::{Compression, Writer};
///
/// let mut writer = Writer::new(Vec::new(), Compression::Zstd)?;
/// writer.write_all(b"a layer").expect("a Vec takes everything");
/// let packed = writer.finish()?;
/// assert_eq!(Compression::detect(&packed), Compression::Zstd);
/// # Ok::<(), winlayers::error::Error>(())
/// ```
pub struct Writer<W: Write> {
    inner: Inner<W>,
    failed: bool,
}

enum Inner<W: Write> {
    Plain(W),
    Gzip(gzip::Encoder<W>),
    Zstd(zstd::stream::write::Encoder<'static, W>),
}

impl<W: Write> Writer<W> {
    /// A writer with a thread for each core.
    ///
    /// # Errors
    /// [`Error::Io`] when the compressor cannot be started.
    pub fn new(sink: W, compression: Compression) -> Result<Self> {
        let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        Self::with_workers(sink, compression, cores)
    }

    /// A writer with a given number of threads, at least one; the bytes are the same.
    ///
    /// # Errors
    /// [`Error::Io`] when the compressor cannot be started.
    pub fn with_workers(sink: W, compression: Compression, workers: usize) -> Result<Self> {
        let inner = match compression {
            Compression::None => Inner::Plain(sink),
            Compression::Gzip => Inner::Gzip(gzip::Encoder::new(sink, workers)),
            Compression::Zstd => {
                Inner::Zstd(zstd_encoder(sink, workers).map_err(|e| Error::io("start zstd", None, e))?)
            }
        };
        Ok(Writer { inner, failed: false })
    }

    /// Ends the stream, flushes the sink and gives it back.
    ///
    /// # Errors
    /// What the sink answers; [`Misuse::Poisoned`] after an earlier error.
    pub fn finish(self) -> Result<W> {
        if self.failed {
            return Err(poisoned());
        }
        let finished = match self.inner {
            Inner::Plain(sink) => Ok(sink),
            Inner::Gzip(encoder) => encoder.finish(),
            Inner::Zstd(encoder) => encoder.finish(),
        };
        let flushed = finished.and_then(|mut sink| sink.flush().map(|()| sink));
        flushed.map_err(from_io)
    }
}

impl<W: Write> Write for Writer<W> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        if self.failed {
            return Err(io::Error::other(poisoned()));
        }
        let result = match &mut self.inner {
            Inner::Plain(sink) => sink.write(buf),
            Inner::Gzip(encoder) => encoder.write(buf),
            Inner::Zstd(encoder) => encoder.write(buf),
        };
        // A plain sink that was interrupted has taken nothing, and is asked again.
        self.failed = result.as_ref().is_err_and(|e| e.kind() != io::ErrorKind::Interrupted);
        result
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.inner {
            Inner::Plain(sink) => sink.flush(),
            Inner::Gzip(encoder) => encoder.sink().flush(),
            Inner::Zstd(encoder) => encoder.get_mut().flush(),
        }
    }
}

fn poisoned() -> Error {
    Error::misuse(Misuse::Poisoned, "an earlier write failed")
}

fn zstd_encoder<W: Write>(sink: W, workers: usize) -> io::Result<zstd::stream::write::Encoder<'static, W>> {
    let mut encoder = zstd::stream::write::Encoder::new(sink, ZSTD_LEVEL)?;
    encoder.include_checksum(true)?;
    // Never 0: without workers zstd cuts no jobs, and gives other bytes.
    let workers = u32::try_from(workers.clamp(1, ZSTD_WORKERS_MAX)).expect("at most four");
    encoder.multithread(workers)?;
    encoder.set_parameter(CParameter::JobSize(ZSTD_JOB))?;
    Ok(encoder)
}
