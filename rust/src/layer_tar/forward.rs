//! The data of an entry as it comes by once, for a backup stream that may want it in another order.

use super::reader::{LayerReader, Part};
use crate::error::{Error, Result};
use crate::source::Spool;
use std::collections::BTreeMap;
use std::io::{Read, Seek, SeekFrom, Write};

/// How far a forward-only reader is. Where the recorded order is another one than that of the tar, the members are
/// spooled: up to 1 MiB each in memory, more in an unlinked temporary file.
#[derive(Default)]
pub(super) struct Forward {
    /// Which member the reader stands at, and its name and size.
    reached: Option<(usize, Part)>,
    spooled: Option<BTreeMap<usize, (Part, Spool)>>,
}

const SPOOL_IN_MEMORY: usize = 1 << 20;

impl Forward {
    pub fn is_spooled(&self) -> bool {
        self.spooled.is_some()
    }

    /// Goes on to a member; `false` when there is none, or when it was passed.
    fn reach(&mut self, reader: &mut LayerReader, index: usize) -> Result<bool> {
        while self.reached.as_ref().is_none_or(|(reached, _)| *reached < index) {
            let Some(part) = reader.next_part()? else { return Ok(false) };
            let next = self.reached.as_ref().map_or(0, |(reached, _)| reached + 1);
            // An entry without unnamed data begins with its first named stream.
            self.reached = Some((if part.stream.is_some() { next.max(1) } else { next }, part));
        }
        Ok(self.reached.as_ref().is_some_and(|(reached, _)| *reached == index))
    }

    /// Keeps all members of the entry, to be read in any order.
    pub fn spool(&mut self, reader: &mut LayerReader) -> Result<()> {
        let mut files = BTreeMap::new();
        let mut next = 0;
        while self.reach(reader, next)? || self.reached.as_ref().is_some_and(|(reached, _)| *reached >= next) {
            let Some((index, part)) = self.reached.clone() else { break };
            next = index + 1;
            let mut file = Spool::new(SPOOL_IN_MEMORY);
            loop {
                let chunk = reader.data()?;
                if chunk.is_empty() {
                    break;
                }
                file.write_all(chunk).map_err(|e| Error::io("write", None, e))?;
                let n = chunk.len();
                reader.consume(n);
            }
            files.insert(index, (part, file));
        }
        self.spooled = Some(files);
        Ok(())
    }

    /// Reads some bytes of a member at `offset`; 0 at its end. What is not spooled comes by once.
    pub fn read(&mut self, reader: &mut LayerReader, index: usize, offset: u64, buf: &mut [u8]) -> Result<usize> {
        if let Some(files) = &mut self.spooled {
            let Some((_, file)) = files.get_mut(&index) else { return Ok(0) };
            file.seek(SeekFrom::Start(offset)).map_err(|e| Error::io("seek", None, e))?;
            return file.read(buf).map_err(|e| Error::io("read", None, e));
        }
        if !self.reach(reader, index)? {
            return Ok(0);
        }
        let chunk = reader.data()?;
        let n = chunk.len().min(buf.len());
        buf[..n].copy_from_slice(&chunk[..n]);
        reader.consume(n);
        Ok(n)
    }

    /// Name and size of a named stream; they count from 1.
    pub fn stream(&mut self, reader: &mut LayerReader, index: usize) -> Result<Option<(Vec<u8>, u64)>> {
        let part = if let Some(files) = &self.spooled {
            files.get(&index).map(|(part, _)| part.clone())
        } else if self.reach(reader, index)? {
            self.reached.as_ref().map(|(_, part)| part.clone())
        } else {
            None
        };
        Ok(part.and_then(|part| Some((part.stream?, part.size))))
    }
}
