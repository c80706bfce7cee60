//! Threads that write files while the caller walks the view, and threads that wait for the disk to have them.

use super::{Options, write_file};
use crate::error::{Error, Result, display_name};
use crate::fs::Root;
use crate::view::chain::{Node, View};
use std::cell::RefCell;
use std::fs::File;
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::Scope;

/// Files that are handed over at once.
const BATCH: usize = 32;
const BATCHES: usize = 8;
/// Threads that write, beside the one that walks.
const THREADS: usize = 2;
/// Threads that wait for the disk: it works on many files at once, and a journal takes them with one commit.
const WAITING: usize = 32;
/// What one read takes, and one write.
const CHUNK: usize = 128 << 10;

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
    failure: Failure,
    /// Tells when the threads are done.
    done: Receiver<()>,
}

/// What went wrong first.
type Failure = Arc<Mutex<Option<Error>>>;

/// A file whose data is to be on the disk, and its name.
type Written = (File, Vec<u8>);

impl Crew {
    pub fn start<'s, 'e>(scope: &'s Scope<'s, 'e>, view: &'e View, folder: &Path, options: &Options) -> Result<Self> {
        let (jobs, todo) = sync_channel::<Vec<Job>>(BATCHES);
        let (written, to_sync) = sync_channel::<Written>(WAITING);
        let (working, done) = sync_channel(1);
        let (todo, to_sync) = (Arc::new(Mutex::new(todo)), Arc::new(Mutex::new(to_sync)));
        let failure = Failure::default();
        let spawn = |name: &str, work: Box<dyn FnOnce() + Send + 'e>| {
            let thread = std::thread::Builder::new().name(format!("winlayers-{name}")).spawn_scoped(scope, work);
            thread.map(drop).map_err(|e| Error::io("start a thread", None, e))
        };
        for _ in 0..THREADS {
            // Each keeps the folder open in which it is.
            let root = Root::open(folder)?;
            let (todo, failure, working) = (Arc::clone(&todo), Arc::clone(&failure), working.clone());
            let written = options.durable.then(|| written.clone());
            let work = move || {
                let _working = working;
                let mut buffer = vec![0; CHUNK];
                for job in std::iter::from_fn(|| next(&todo)).flatten().take_while(|_| !failed(&failure)) {
                    match (write_file(view, &root, &job, &mut buffer), &written) {
                        (Err(error), _) => fail(&failure, error.in_member(&job.path)),
                        // Nobody takes it only where something failed.
                        (Ok(file), Some(written)) => drop(written.send((file, job.path))),
                        (Ok(_), None) => {}
                    }
                }
            };
            spawn("layout", Box::new(work))?;
        }
        for _ in 0..if options.durable { WAITING } else { 0 } {
            let (to_sync, failure, working) = (Arc::clone(&to_sync), Arc::clone(&failure), working.clone());
            let tree = folder.to_path_buf();
            let work = move || {
                let _working = working;
                while let Some((file, path)) = next(&to_sync) {
                    if let Err(error) = file.sync_all() {
                        fail(&failure, Error::io("sync", Some(&tree.join(display_name(&path))), error));
                    }
                }
            };
            spawn("sync", Box::new(work))?;
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

fn next<T>(todo: &Mutex<Receiver<T>>) -> Option<T> {
    todo.lock().unwrap_or_else(PoisonError::into_inner).recv().ok()
}

fn fail(failure: &Mutex<Option<Error>>, error: Error) {
    failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
}

fn failed(failure: &Mutex<Option<Error>>) -> bool {
    failure.lock().unwrap_or_else(PoisonError::into_inner).is_some()
}
