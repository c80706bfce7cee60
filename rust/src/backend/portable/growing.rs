//! A file that one thread writes while others read what is there by now.

use crate::error::{Error, Result};
use crate::fs::append;
use crate::source::ReadAt;
use std::fs::File;
use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// How much is written before the disk is to begin: what is left at the end is what the caller waits for.
const STEP: u64 = 16 << 20;

/// The end that reads: it waits for what is not written yet.
pub(super) struct Growing {
    file: Arc<File>,
    written: Mutex<Written>,
    more: Condvar,
}

#[derive(Clone, Copy, Default)]
struct Written {
    bytes: u64,
    is_all: bool,
}

impl Growing {
    /// Both ends of an empty file.
    pub fn start(file: Arc<File>) -> (Arc<Self>, Writer) {
        let growing = Arc::new(Growing { file, written: Mutex::default(), more: Condvar::new() });
        (Arc::clone(&growing), Writer(growing))
    }

    /// Has the disk take what is written so far, again and again, until all is written. Whoever needs the file on the
    /// disk syncs it afterwards: that takes less time then. The system tells a lost write once: an error here must not
    /// pass.
    pub fn sync_behind(&self) -> Result<()> {
        let mut synced = 0;
        loop {
            let written = self.wait(synced + STEP);
            if written.is_all {
                return Ok(());
            }
            self.file.sync_data().map_err(|e| Error::io("sync", None, e))?;
            synced = written.bytes;
        }
    }

    /// Waits until so many bytes are written, or all.
    fn wait(&self, bytes: u64) -> Written {
        let is_short = |written: &mut Written| written.bytes < bytes && !written.is_all;
        let waited = self.more.wait_while(self.written(), is_short);
        *waited.unwrap_or_else(PoisonError::into_inner)
    }

    fn written(&self) -> MutexGuard<'_, Written> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ReadAt for Growing {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let there = self.wait(offset.saturating_add(1)).bytes.saturating_sub(offset);
        let n = buf.len().min(usize::try_from(there).unwrap_or(usize::MAX));
        self.file.read_at(&mut buf[..n], offset)
    }

    fn size(&self) -> io::Result<u64> {
        self.reach(u64::MAX)
    }

    fn reach(&self, offset: u64) -> io::Result<u64> {
        Ok(self.wait(offset).bytes)
    }
}

/// The end that writes; when it is dropped, that was all.
pub(super) struct Writer(Arc<Growing>);

impl Write for Writer {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let end = self.0.written().bytes;
        let n = append(&self.0.file, buf, end)?;
        self.0.written().bytes += n as u64;
        self.0.more.notify_all();
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.0.written().is_all = true;
        self.0.more.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_reads_waits_for_what_is_written() {
        let file = Arc::new(tempfile::tempfile().unwrap());
        let (growing, mut writer) = Growing::start(file);
        std::thread::scope(|scope| {
            let reads = scope.spawn(|| {
                let mut buf = [0; 8];
                assert!(growing.reach(2).unwrap() >= 2);
                let n = growing.read_at(&mut buf, 1).unwrap();
                assert_eq!(buf[..n], b"bcdef"[..n]);
                assert_eq!(growing.reach(100).unwrap(), 6);
                assert_eq!(growing.size().unwrap(), 6);
                assert_eq!(growing.read_at(&mut buf, 4).unwrap(), 2);
                assert_eq!(growing.read_at(&mut buf, 6).unwrap(), 0);
            });
            let syncs = scope.spawn(|| growing.sync_behind().unwrap());
            for bytes in [b"abc", b"def"] {
                writer.write_all(bytes).unwrap();
                std::thread::sleep(std::time::Duration::from_millis(5));
            }
            drop(writer);
            reads.join().unwrap();
            syncs.join().unwrap();
        });
    }
}
