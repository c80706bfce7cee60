//! Where the data of entries comes from: a reader, or an archive that is read anywhere.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, TryLockError};

use crate::error::{Error, Misuse, Result};
use crate::layer_tar::{DataPlace, Found, LayerReader as ForwardReader, RandomReader};
use crate::source::ReadAt;

/// What a reader and its entries share.
pub(crate) struct Shared {
    /// None where entries are not iterated over.
    core: Option<Mutex<Core>>,
    closed: AtomicBool,
    /// The archive, where it can be read anywhere.
    pub random: Option<Arc<dyn ReadAt>>,
}

/// A reader of one of the two kinds.
pub(crate) enum Core {
    Random { reader: RandomReader, batch: VecDeque<Result<Found>> },
    Forward(Forward),
}

pub(crate) struct Forward {
    pub reader: ForwardReader,
    /// Which entry the reader stands at, and whether its data was asked for.
    pub generation: u64,
    pub taken: bool,
}

impl Shared {
    /// For the entries of a reader.
    pub fn reader(core: Core, random: Option<Arc<dyn ReadAt>>) -> Self {
        Shared { core: Some(Mutex::new(core)), closed: AtomicBool::new(false), random }
    }

    /// Ends the use of the source.
    pub fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
    }

    /// For one entry of an archive that is read anywhere.
    pub fn entry_of(archive: Arc<dyn ReadAt>) -> Self {
        Shared { core: None, closed: AtomicBool::new(false), random: Some(archive) }
    }

    /// The reader, while nobody else uses it.
    pub fn core(&self) -> Result<MutexGuard<'_, Core>> {
        if self.closed.load(Ordering::Relaxed) {
            return Err(Error::misuse(Misuse::Closed, "the reader"));
        }
        match self.core.as_ref().map(Mutex::try_lock) {
            Some(Ok(core)) => Ok(core),
            Some(Err(TryLockError::Poisoned(poisoned))) => Ok(poisoned.into_inner()),
            Some(Err(TryLockError::WouldBlock)) => Err(Error::misuse(Misuse::InUse, "the reader")),
            None => Err(Error::misuse(Misuse::EntryDetached, "")),
        }
    }

    /// The archive, for an entry whose data can be read in any order.
    pub fn random(&self) -> Result<&Arc<dyn ReadAt>> {
        if self.closed.load(Ordering::Relaxed) {
            return Err(Error::misuse(Misuse::Closed, "the reader"));
        }
        self.random.as_ref().ok_or_else(|| Error::misuse(Misuse::EntryDetached, ""))
    }

    /// The forward-only reader, while it stands at the entry `generation`.
    pub fn forward<T>(&self, generation: u64, run: impl FnOnce(&mut ForwardReader) -> Result<T>) -> Result<T> {
        self.at(generation, |forward| run(&mut forward.reader))
    }

    /// As [`Shared::forward`], for the first use of the entry's data: it comes by once.
    pub fn take<T>(&self, generation: u64, run: impl FnOnce(&mut ForwardReader) -> Result<T>) -> Result<T> {
        self.at(generation, |forward| {
            if std::mem::replace(&mut forward.taken, true) {
                return Err(Error::misuse(Misuse::EntryPassed, ""));
            }
            run(&mut forward.reader)
        })
    }

    fn at<T>(&self, generation: u64, run: impl FnOnce(&mut Forward) -> Result<T>) -> Result<T> {
        match &mut *self.core()? {
            Core::Forward(forward) if forward.generation == generation => run(forward),
            _ => Err(Error::misuse(Misuse::EntryPassed, "")),
        }
    }
}

/// Where the data of an entry is.
#[derive(Clone)]
pub(crate) enum Origin {
    Random { shared: Arc<Shared>, places: Arc<[DataPlace]> },
    Forward { shared: Arc<Shared>, generation: u64 },
}

impl Origin {
    /// Claims the data of a forward-only entry for an iteration over its parts.
    pub fn claim(&self) -> Result<()> {
        match self {
            Origin::Random { shared, .. } => shared.random().map(|_| ()),
            Origin::Forward { shared, generation } => shared.take(*generation, |_| Ok(())),
        }
    }
}
