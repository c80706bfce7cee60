//! The layer store: what Docker's Windows graph driver did, with a file for each operation.
//!
//! A [`LayerStore`] is a folder, its home, with a folder for each layer. What the system must do goes through a
//! [`Backend`]; chains, counts, locks and undo are here. Each change is recorded before it is made: opening a store
//! after a crash finishes or undoes it.

mod apply_diff;
mod changes;
mod check;
#[cfg(any(test, feature = "testing"))]
pub mod conformance;
#[cfg(test)]
mod conformance_tests;
mod create;
mod custom_images;
mod diff;
mod import_image;
mod info;
mod metadata;
mod mounts;
mod options;
mod plain;
mod recover;
mod remove;
mod state;
#[cfg(test)]
mod tests;
mod transport;

use crate::backend::{self, Backend};
use crate::error::{Error, Result, StoreFault};
use crate::fs::{self, Lock, Root};
use state::{Stage, State};
use std::path::Path;
use std::sync::{Arc, OnceLock};

pub use crate::backend::{BackendKind, HcsApi, LayerId};
pub use check::Finding;
pub use custom_images::CustomImageInfo;
pub use diff::{DiffGetter, DiffStream};
pub use info::LayerInfo;
pub use mounts::Mount;
pub use options::{Driver, StoreOptions, TarForm};
pub use state::{after_fork, before_fork};

/// A layer store. A clone is the same store; threads and processes may share one.
///
/// ```
/// use winlayers::store::{Driver, LayerStore, StoreOptions};
///
/// let folder = tempfile::tempdir().unwrap();
/// let store = LayerStore::open(&folder.path().join("home"), Driver::WindowsFilter, StoreOptions::default())?;
/// store.create("base", "")?;
/// assert!(store.exists("BASE")?);
/// store.create_read_write("box", "base", None)?;
/// assert_eq!(store.remove("base").unwrap_err().code(), "has_children");
/// # Ok::<(), winlayers::error::Error>(())
/// ```
#[derive(Clone)]
pub struct LayerStore(Arc<Inner>);

pub(crate) struct Inner {
    home: Root,
    driver: Driver,
    options: StoreOptions,
    backend: Arc<dyn Backend>,
    state: State,
    read_only: bool,
    /// Proof that this process lives, and its name.
    owner: OnceLock<(Lock, String)>,
}

/// The store's own folder in its home.
pub(crate) const OWN: &str = ".winlayers";
const DATABASE: &str = ".winlayers/state.db";
const HOLDERS: &str = ".winlayers/holders";
const LOCKS: &str = ".winlayers/locks";
/// What is on its way from one form to another.
const STAGING: &str = ".winlayers/staging";
/// A lock that is held shared while something changes, and exclusively during a sweep.
const WORK: &str = ".winlayers/work";

impl LayerStore {
    /// Opens the store in a folder on the portable backend; both are made where they are missing. What a killed process
    /// left is finished or undone. A home that cannot be written opens for reading.
    ///
    /// # Errors
    /// [`StoreFault::HomeVersion`], [`StoreFault::HomeUnsupported`]; [`Error::Io`].
    pub fn open(home: &Path, driver: Driver, options: StoreOptions) -> Result<Self> {
        Self::open_on(BackendKind::Portable, home, driver, options)
    }

    /// Opens the store in a folder, as [`LayerStore::open`], on the backend of this kind.
    ///
    /// # Errors
    /// As [`LayerStore::open`]; [`Error::Unsupported`] where this system does not have it.
    pub fn open_on(kind: BackendKind, home: &Path, driver: Driver, options: StoreOptions) -> Result<Self> {
        // A missing backend is an error before anything is made.
        backend::check_available(kind)?;
        let home = prepare_home(home, options.fsync)?;
        let backend = backend::open(kind, home.path(), &options.of_backend(driver))?;
        Self::with_backend(home, driver, options, backend)
    }

    /// Opens the store with this backend.
    ///
    /// # Errors
    /// As [`LayerStore::open`].
    pub fn open_with(home: &Path, driver: Driver, options: StoreOptions, backend: Arc<dyn Backend>) -> Result<Self> {
        Self::with_backend(prepare_home(home, options.fsync)?, driver, options, backend)
    }

    fn with_backend(home: Root, driver: Driver, options: StoreOptions, backend: Arc<dyn Backend>) -> Result<Self> {
        let read_only = match Lock::try_shared(&home.path().join(WORK)) {
            Ok(_) => false,
            Err(e) if e.is_read_only() => true,
            Err(e) => return Err(e),
        };
        let state = State::open(&home.path().join(DATABASE), read_only, options.fsync)?;
        let inner = Inner { home, driver, options, backend, state, read_only, owner: OnceLock::new() };
        if !read_only {
            inner.recover(false)?;
        }
        Ok(LayerStore(Arc::new(inner)))
    }

    /// The driver's name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.0.driver.name()
    }

    /// The folder that the store is in.
    #[must_use]
    pub fn home(&self) -> &Path {
        self.0.home.path()
    }

    /// Lines of a name and a value, for people.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn status(&self) -> Result<Vec<(String, String)>> {
        let layers = self.layers()?;
        let bytes: u64 = layers.iter().filter_map(|layer| layer.size).sum();
        let mounted = layers.iter().filter(|layer| layer.mounted > 0).count();
        let capabilities = self.0.backend.capabilities();
        let lines = [
            // Docker's driver reports exactly this line.
            ("Windows", String::new()),
            ("Backend", self.0.backend.name().to_owned()),
            ("Sandbox size", if capabilities.sandbox_size { "yes" } else { "no" }.to_owned()),
            ("Read-only", if self.0.read_only { "yes" } else { "no" }.to_owned()),
            ("Layers", layers.len().to_string()),
            ("Mounted", mounted.to_string()),
            ("Bytes", bytes.to_string()),
        ];
        Ok(lines.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    }

    /// Whether there is a layer of this id, or of this other id.
    ///
    /// # Errors
    /// What keeps the store from finding out; Docker's driver takes that for "no".
    pub fn exists(&self, id: &str) -> Result<bool> {
        let id = self.0.resolve(id)?;
        self.0.is_there(&id)
    }

    /// The folder of a layer, whether it exists or not: `dir` in the metadata of Docker's driver.
    ///
    /// # Errors
    /// [`StoreFault::BadId`].
    pub fn dir(&self, id: &str) -> Result<std::path::PathBuf> {
        self.0.dir(&LayerId::new(id)?)
    }
}

impl Inner {
    /// Whether there is a whole layer.
    fn is_there(&self, id: &LayerId) -> Result<bool> {
        match self.state.record(id)? {
            Some(record) if matches!(record.stage, Stage::Creating | Stage::Removing) => Ok(false),
            _ => self.backend.layer_exists(id),
        }
    }

    /// The resolved id of a layer that is there.
    fn existing(&self, id: &str) -> Result<LayerId> {
        let resolved = self.resolve(id)?;
        if self.is_there(&resolved)? { Ok(resolved) } else { Err(not_found(id)) }
    }

    /// Refuses another parent than the recorded one; none is the recorded one.
    fn check_parent(&self, id: &LayerId, parent: &str) -> Result<()> {
        if parent.is_empty() {
            return Ok(());
        }
        let parent = self.resolve(parent)?;
        match self.chain(id)?.first() {
            Some(recorded) if *recorded == parent => Ok(()),
            recorded => {
                let recorded = recorded.map_or_else(|| "none".to_owned(), |id| format!("\"{id}\""));
                Err(Error::store(
                    StoreFault::WrongParent,
                    id.as_str(),
                    format!("expected {recorded}, found \"{parent}\""),
                ))
            }
        }
    }

    /// Does something with a layer. Where the system fails on what only the store knows, such as a temporary file, the
    /// error has the layer's folder.
    fn on<T>(&self, id: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
        work().map_err(|error| self.named(id, error))
    }

    fn named(&self, id: &str, mut error: Error) -> Error {
        let is_temporary = |path: &Path| {
            path.strip_prefix(self.home.path())
                .is_ok_and(|path| path.starts_with(OWN) && path != Path::new(DATABASE) && path != Path::new(WORK))
        };
        let path = match &mut error {
            Error::Io { path, .. } => path,
            Error::Hcs(inner) => &mut inner.path,
            Error::Format(_)
            | Error::Limit { .. }
            | Error::Refused { .. }
            | Error::Integrity { .. }
            | Error::Store { .. }
            | Error::Unsupported { .. }
            | Error::Misuse { .. } => return error,
        };
        if path.as_deref().is_some_and(is_temporary) {
            *path = Some(self.home.path().join(id));
        } else if self.read_only && path.as_deref().is_some_and(|path| !path.starts_with(self.home.path())) {
            // The temporary files of such a store are elsewhere.
            *path = Some(std::env::temp_dir());
        }
        error
    }

    /// The lock on a layer: no other thread or process changes it.
    fn lock(&self, id: &LayerId) -> Result<Lock> {
        Lock::exclusive(&self.home.path().join(LOCKS).join(id.key()))
    }

    /// Keeps a sweep from starting while it is held.
    fn work(&self) -> Result<Lock> {
        if self.read_only {
            let source = std::io::ErrorKind::ReadOnlyFilesystem.into();
            return Err(Error::io("change", Some(self.home.path()), source));
        }
        Lock::shared(&self.home.path().join(WORK))
    }

    /// The name by which holds and changes under way are this process's.
    fn owner(&self) -> Result<&str> {
        if let Some((_, name)) = self.owner.get() {
            return Ok(name);
        }
        // Without the work lock, a sweep could delete the new file before it is locked.
        let _work = self.work()?;
        let made = fs::new_lock(&self.home.path().join(HOLDERS))?;
        // Another thread may have been first: its file stays, and this one's goes with its lock at the next sweep.
        Ok(&self.owner.get_or_init(|| made).1)
    }
}

fn not_found(id: &str) -> Error {
    Error::store(StoreFault::LayerNotFound, id, "")
}

/// Opens the folder of a store, and makes what the store has in it.
fn prepare_home(path: &Path, fsync: bool) -> Result<Root> {
    let refused = |e: Error| Error::store(StoreFault::HomeUnsupported, "", e.to_string());
    fs::create_dir_all(path, fsync).map_err(refused)?;
    let home = Root::open(&fs::absolute(path)?)?;
    if let Some(kind) = fs::network_file_system(home.path())? {
        let detail = format!("{} is on {kind}: its locks do not hold between hosts", home.path().display());
        return Err(Error::store(StoreFault::HomeUnsupported, "", detail));
    }
    for folder in [OWN, HOLDERS, LOCKS, STAGING] {
        match home.create_dir(Path::new(folder)) {
            Ok(()) => {}
            Err(Error::Refused { rule: crate::error::Rule::TargetExists, .. }) => {}
            // A home that opens for reading has them, or has nothing to read.
            Err(e) if e.is_read_only() => {}
            Err(e) => return Err(e),
        }
    }
    Ok(home)
}
