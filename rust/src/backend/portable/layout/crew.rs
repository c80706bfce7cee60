//! Threads that write files while the caller walks the view.

use super::{Options, write_file};
use crate::backend::portable::view::{Node, View};
use crate::error::{Error, Result};
use crate::fs::Root;
use std::cell::RefCell;
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::Scope;

/// Files that are handed over at once.
const BATCH: usize = 32;
const BATCHES: usize = 8;
/// Threads that write, beside the one that walks.
const THREADS: usize = 2;
/// What one read takes.
const CHUNK: usize = 256 << 10;

/// A file to be written.
pub(super) struct Job {
    /// What it holds.
    pub node: Node,
    /// Its name, with `Files/`.
    pub path: Vec<u8>,
}

/// The threads of one layout.
pub(super) struct Crew {
    jobs: SyncSender<Vec<Job>>,
    batch: RefCell<Vec<Job>>,
    failure: Arc<Mutex<Option<Error>>>,
    /// Tells when the threads are done.
    done: Receiver<()>,
}

impl Crew {
    pub fn start<'s, 'e>(scope: &'s Scope<'s, 'e>, view: &'e View, folder: &Path, options: &Options) -> Result<Self> {
        let (jobs, todo) = sync_channel::<Vec<Job>>(BATCHES);
        let (working, done) = sync_channel(1);
        let todo = Arc::new(Mutex::new(todo));
        let failure = Arc::new(Mutex::new(None));
        for _ in 0..THREADS {
            // Each keeps the folder open in which it is.
            let root = Root::open(folder)?;
            let (todo, failure, working) = (Arc::clone(&todo), Arc::clone(&failure), working.clone());
            let durable = options.durable;
            let work = move || {
                let _working = working;
                let mut buffer = vec![0; CHUNK];
                while let Some(batch) = next(&todo) {
                    for job in batch {
                        let written = write_file(view, &root, &job, durable, &mut buffer);
                        if let Err(error) = written {
                            let mut failure = failure.lock().unwrap_or_else(PoisonError::into_inner);
                            failure.get_or_insert(error.in_member(&job.path));
                        }
                        if failed(&failure) {
                            break;
                        }
                    }
                }
            };
            let thread = std::thread::Builder::new().name("winlayers-layout".into()).spawn_scoped(scope, work);
            thread.map_err(|e| Error::io("start a thread", None, e))?;
        }
        Ok(Crew { jobs, batch: RefCell::default(), failure, done })
    }

    /// Hands over a file.
    pub fn send(&self, job: Job) -> Result<()> {
        self.batch.borrow_mut().push(job);
        if self.batch.borrow().len() == BATCH { self.flush() } else { Ok(()) }
    }

    /// Waits until all files are written; `walked` tells how the walk ended.
    pub fn finish(self, walked: Result<()>) -> Result<()> {
        let handed_over = walked.and_then(|()| self.flush());
        let Crew { jobs, failure, done, .. } = self;
        drop(jobs);
        // Nothing is ever sent: this ends when the last thread does.
        let _ = done.recv();
        let failure = failure.lock().unwrap_or_else(PoisonError::into_inner).take();
        failure.map_or(handed_over, Err)
    }

    fn flush(&self) -> Result<()> {
        if let Some(error) = self.failure.lock().unwrap_or_else(PoisonError::into_inner).take() {
            return Err(error);
        }
        let sent = self.jobs.send(self.batch.take());
        sent.map_err(|_| Error::io("write", None, std::io::ErrorKind::BrokenPipe.into()))
    }
}

fn next(todo: &Mutex<Receiver<Vec<Job>>>) -> Option<Vec<Job>> {
    todo.lock().unwrap_or_else(PoisonError::into_inner).recv().ok()
}

fn failed(failure: &Mutex<Option<Error>>) -> bool {
    failure.lock().unwrap_or_else(PoisonError::into_inner).is_some()
}
