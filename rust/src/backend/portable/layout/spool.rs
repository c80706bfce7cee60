//! What is left to be done when all files are there, in order: in memory while it is little, else in a temporary file.

use crate::error::{Error, Result};
use crate::nt::basic_info::BasicInfo;
use crate::source;
use std::io::{BufReader, BufWriter, Read, Seek, SeekFrom, Write};

const IN_MEMORY: usize = 1 << 20;

/// One thing to do.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Task {
    /// A second name of a file.
    Link {
        /// The new name.
        path: Vec<u8>,
        /// The name that it has.
        first: Vec<u8>,
    },
    /// A directory has everything that it will have.
    Leave {
        /// Its name.
        path: Vec<u8>,
        /// Its times.
        info: BasicInfo,
    },
}

/// Tasks in order.
pub(super) struct Spool {
    file: BufWriter<source::Spool>,
    tasks: u64,
}

impl Spool {
    pub fn new() -> Self {
        Spool { file: BufWriter::new(source::Spool::new(IN_MEMORY)), tasks: 0 }
    }

    pub fn push(&mut self, task: &Task) -> Result<()> {
        self.tasks += 1;
        let written = match task {
            Task::Link { path, first } => {
                self.file.write_all(&[0]).and_then(|()| self.bytes(path)).and_then(|()| self.bytes(first))
            }
            Task::Leave { path, info } => self.file.write_all(&[1]).and_then(|()| self.bytes(path)).and_then(|()| {
                let times = [info.last_access_time, info.last_write_time];
                times.iter().try_for_each(|time| {
                    self.file.write_all(&[u8::from(time.is_some())])?;
                    self.file.write_all(&time.map_or(0, |time| time.0).to_le_bytes())
                })
            }),
        };
        written.map_err(|e| Error::io("write a temporary file", None, e))
    }

    /// Does everything, from the start.
    pub fn play(&mut self, mut act: impl FnMut(Task) -> Result<()>) -> Result<()> {
        let failed = |e| Error::io("read a temporary file", None, e);
        self.file.flush().map_err(failed)?;
        let spool = self.file.get_mut();
        spool.seek(SeekFrom::Start(0)).map_err(failed)?;
        let mut from = BufReader::new(spool);
        for _ in 0..self.tasks {
            act(read(&mut from).map_err(failed)?)?;
        }
        Ok(())
    }

    fn bytes(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.file.write_all(&(bytes.len() as u64).to_le_bytes())?;
        self.file.write_all(bytes)
    }
}

fn read(from: &mut impl Read) -> std::io::Result<Task> {
    let [tag] = array(from)?;
    let path = bytes(from)?;
    if tag == 0 {
        return Ok(Task::Link { path, first: bytes(from)? });
    }
    let mut time = || -> std::io::Result<_> {
        let [known] = array(from)?;
        let ticks = i64::from_le_bytes(array(from)?);
        Ok((known == 1).then_some(crate::nt::FileTime(ticks)))
    };
    let (last_access_time, last_write_time) = (time()?, time()?);
    Ok(Task::Leave { path, info: BasicInfo { last_access_time, last_write_time, ..BasicInfo::default() } })
}

fn array<const N: usize>(from: &mut impl Read) -> std::io::Result<[u8; N]> {
    let mut out = [0; N];
    from.read_exact(&mut out)?;
    Ok(out)
}

fn bytes(from: &mut impl Read) -> std::io::Result<Vec<u8>> {
    let mut out = vec![0; usize::try_from(u64::from_le_bytes(array(from)?)).unwrap_or(0)];
    from.read_exact(&mut out)?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nt::FileTime;

    #[test]
    fn tasks_come_back_in_order() {
        let mut spool = Spool::new();
        let tasks = || {
            (0..20_000).map(|i| {
                let path = format!("Files/{i}/{}", "x".repeat(100)).into_bytes();
                if i % 2 == 0 {
                    return Task::Link { path, first: b"Files/first".to_vec() };
                }
                let info = BasicInfo { last_write_time: Some(FileTime(-i)), ..BasicInfo::default() };
                Task::Leave { path, info }
            })
        };
        for task in tasks() {
            spool.push(&task).unwrap();
        }
        let mut played = Vec::new();
        spool
            .play(|task| {
                played.push(task);
                Ok(())
            })
            .unwrap();
        assert!(played.into_iter().eq(tasks()));
    }
}
