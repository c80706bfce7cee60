//! Gzip output: blocks of a fixed size, compressed side by side, each a member of its own.

use libdeflater::{CompressionLvl, Compressor};
use std::io::{self, Write};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

/// Data in a member. Part of the format of our output: another size gives other bytes.
const BLOCK: usize = 512 << 10;
/// Smaller output than zlib's level 6, for a third of the work.
const LEVEL: i32 = 6;
/// Bounds memory: each worker has two jobs of about 1 MiB.
const WORKERS_MAX: usize = 8;
/// A worker has one job in work, and one waiting.
const JOBS: usize = 2;
/// A member's checksum and size.
const TRAILER: usize = 8;

/// Block `i` goes to worker `i` modulo their number: the oldest job in flight is always that of the worker whose turn
/// it is, so that results come back in order without being sorted.
pub(super) struct Encoder<W> {
    sink: W,
    /// The trailer of the last member written. It is kept back until there is more or the end, because members cut off
    /// behind a trailer would look complete.
    trailer: Vec<u8>,
    limit: usize,
    workers: Vec<Worker>,
    filling: Job,
    spare: Vec<Job>,
    submitted: usize,
    drained: usize,
}

struct Job {
    data: Vec<u8>,
    member: Vec<u8>,
    member_len: usize,
}

struct Worker {
    jobs: Option<SyncSender<Job>>,
    results: Receiver<Job>,
    thread: Option<JoinHandle<()>>,
}

impl<W: Write> Encoder<W> {
    pub fn new(sink: W, workers: usize) -> Self {
        Encoder {
            sink,
            trailer: Vec::with_capacity(TRAILER),
            limit: workers.clamp(1, WORKERS_MAX),
            workers: Vec::new(),
            filling: Job::new(),
            spare: Vec::new(),
            submitted: 0,
            drained: 0,
        }
    }

    pub fn sink(&mut self) -> &mut W {
        &mut self.sink
    }

    pub fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        if self.filling.data.len() == BLOCK {
            self.submit()?;
        }
        let n = buf.len().min(BLOCK - self.filling.data.len());
        self.filling.data.extend_from_slice(&buf[..n]);
        Ok(n)
    }

    pub fn finish(mut self) -> io::Result<W> {
        // No data at all is a member, too.
        if !self.filling.data.is_empty() || self.submitted == 0 {
            self.submit()?;
        }
        while self.drained < self.submitted {
            self.drain()?;
        }
        self.sink.write_all(&self.trailer)?;
        Ok(self.sink)
    }

    fn submit(&mut self) -> io::Result<()> {
        if self.submitted - self.drained == self.limit * JOBS {
            self.drain()?;
        }
        let turn = self.submitted % self.limit;
        if turn == self.workers.len() {
            self.workers.push(Worker::start()?);
        }
        let next = self.spare.pop().unwrap_or_else(Job::new);
        let job = std::mem::replace(&mut self.filling, next);
        self.workers[turn].submit(job)?;
        self.submitted += 1;
        Ok(())
    }

    /// Writes the oldest member that is still in flight.
    fn drain(&mut self) -> io::Result<()> {
        let mut job = self.workers[self.drained % self.limit].results.recv().map_err(|_| died())?;
        self.drained += 1;
        let (member, trailer) = job.member[..job.member_len].split_at(job.member_len - TRAILER);
        self.sink.write_all(&self.trailer)?;
        self.sink.write_all(member)?;
        self.trailer.clear();
        self.trailer.extend_from_slice(trailer);
        job.data.clear();
        self.spare.push(job);
        Ok(())
    }
}

impl Job {
    fn new() -> Self {
        Job { data: Vec::with_capacity(BLOCK), member: Vec::new(), member_len: 0 }
    }
}

impl Worker {
    fn start() -> io::Result<Self> {
        let (jobs, todo) = sync_channel::<Job>(JOBS);
        let (done, results) = sync_channel::<Job>(JOBS);
        let thread = std::thread::Builder::new().name("winlayers-gzip".into()).spawn(move || {
            let mut compressor = Compressor::new(CompressionLvl::new(LEVEL).expect("a level of libdeflate"));
            let bound = compressor.gzip_compress_bound(BLOCK);
            for mut job in todo {
                job.member.resize(bound, 0);
                job.member_len = compressor.gzip_compress(&job.data, &mut job.member).expect("the room is the bound");
                if done.send(job).is_err() {
                    break;
                }
            }
        })?;
        Ok(Worker { jobs: Some(jobs), results, thread: Some(thread) })
    }

    fn submit(&self, job: Job) -> io::Result<()> {
        self.jobs.as_ref().expect("taken on drop only").send(job).map_err(|_| died())
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // Ends the loop; two results fit into their channel, so that the worker never waits to be heard.
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn died() -> io::Error {
    io::Error::other("a compressing thread died")
}
