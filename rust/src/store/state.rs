//! What a store knows besides its folders: who holds a layer, and what is under way.
//!
//! A SQLite database, `.winlayers/state.db`. It can be rebuilt from the folders, except for the holds.

use super::LayerId;
use crate::closed_set::closed_set;
use crate::error::{Error, Result, StoreFault};
use crate::sqlite::{Values, escaped, sql};
use rusqlite::{Connection, OpenFlags, OptionalExtension, Row, params};
use std::cell::RefCell;
use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, Weak};
use std::time::Duration;

/// The version of the tables, in `user_version`.
const VERSION: i64 = 1;
/// Marks the file as ours, in `application_id`: "WLst".
const APPLICATION: i64 = 0x574c_7374;

const TABLES: &str = "
CREATE TABLE layer (
    key TEXT PRIMARY KEY,
    id TEXT NOT NULL,
    parent TEXT,
    stage TEXT NOT NULL,
    owner TEXT
) STRICT;
CREATE INDEX layer_parent ON layer (parent);
CREATE TABLE hold (
    key TEXT NOT NULL,
    owner TEXT NOT NULL,
    kind TEXT NOT NULL,
    count INTEGER NOT NULL,
    PRIMARY KEY (key, owner, kind)
) STRICT;";

closed_set! {
    /// How far a layer is.
    pub(super) enum Stage {
        /// It is being made, and to be destroyed when its maker dies.
        Creating = "creating";
        /// It is there, and being filled; empty again when its maker dies.
        Importing = "importing";
        /// It is there.
        Ready = "ready";
        /// It is being removed; after a crash the removal goes on.
        Removing = "removing";
    }
}

/// What is written about a layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    pub id: String,
    pub parent: Option<String>,
    pub stage: Stage,
    pub owner: Option<String>,
}

closed_set! {
    /// Why a layer is held.
    pub(super) enum Hold {
        /// It is mounted.
        Mount = "mount";
        /// It is exported, and must stay active for it.
        Export = "export";
        /// A stream of it is open that needs nothing but that it stays.
        Stream = "stream";
    }
}

/// The owner of a hold that no process owns.
pub(super) const NOBODY: &str = "";

pub(super) struct State {
    /// Closed while the process forks, and opened again by the next use.
    connection: Arc<Slot>,
    path: Box<str>,
    how: How,
}

type Slot = Mutex<Option<Connection>>;

/// How the database is opened.
struct How {
    file: PathBuf,
    read_only: bool,
    fsync: bool,
}

/// Held shared while a database is used, exclusively during a fork: SQLite counts its locks by process, and a child
/// that inherits an open database would believe that it holds locks which it does not.
static FORKS: RwLock<()> = RwLock::new(());
/// The databases of this process.
static OPEN: Mutex<Vec<Weak<Slot>>> = Mutex::new(Vec::new());

thread_local! {
    static FORKING: RefCell<Option<RwLockWriteGuard<'static, ()>>> = const { RefCell::new(None) };
}

/// To be called by the thread that is about to fork: no database is open, and none is opened, until it has called
/// [`after_fork`]. A store that was opened before the fork is the parent's; a child opens its own.
pub fn before_fork() {
    let guard = FORKS.write().unwrap_or_else(PoisonError::into_inner);
    for slot in OPEN.lock().unwrap_or_else(PoisonError::into_inner).iter().filter_map(Weak::upgrade) {
        drop(slot.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
    FORKING.set(Some(guard));
}

/// To be called by the same thread after the fork, in the parent and in the child.
pub fn after_fork() {
    drop(FORKING.take());
}

/// A database in use.
struct Used<'a> {
    connection: MutexGuard<'a, Option<Connection>>,
    _no_fork: RwLockReadGuard<'static, ()>,
}

impl Deref for Used<'_> {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.connection.as_ref().expect("it was opened when it was taken")
    }
}

impl DerefMut for Used<'_> {
    fn deref_mut(&mut self) -> &mut Connection {
        self.connection.as_mut().expect("it was opened when it was taken")
    }
}

impl State {
    /// Opens the database, and makes it where it is missing.
    pub fn open(path: &Path, read_only: bool, fsync: bool) -> Result<Self> {
        let name: Box<str> = path.display().to_string().into();
        let connection = Arc::new(Mutex::new(None));
        let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|slot| slot.strong_count() > 0);
        open.push(Arc::downgrade(&connection));
        drop(open);
        let how = How { file: path.to_path_buf(), read_only, fsync };
        let state = State { connection, path: name, how };
        state.check_version(read_only)?;
        Ok(state)
    }

    fn connect(&self) -> rusqlite::Result<Connection> {
        let How { file, read_only, fsync } = &self.how;
        let connection = if *read_only {
            // There is no log to replay, or it could not be replayed here.
            let uri = format!("file:{}?immutable=1", escaped(file));
            Connection::open_with_flags(uri, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI)?
        } else {
            Connection::open(file)?
        };
        connection.busy_timeout(Duration::from_secs(60))?;
        if !read_only {
            connection.pragma_update(None, "journal_mode", "WAL")?;
            connection.pragma_update(None, "synchronous", if *fsync { "FULL" } else { "OFF" })?;
        }
        Ok(connection)
    }

    fn check_version(&self, read_only: bool) -> Result<()> {
        self.transaction(|t| {
            let pragma = |name: &str| t.pragma_query_value(None, name, |row| row.value::<i64>(0));
            let (application, version) = (pragma("application_id")?, pragma("user_version")?);
            if (application, version) == (0, 0) && !read_only {
                t.execute_batch(TABLES)?;
                t.pragma_update(None, "application_id", APPLICATION)?;
                t.pragma_update(None, "user_version", VERSION)?;
            } else if application != APPLICATION || version != VERSION {
                let detail = format!("expected version {VERSION}, found {version} in {}", self.path);
                return Ok(Err(Error::store(StoreFault::HomeVersion, "", detail)));
            }
            Ok(Ok(()))
        })?
    }

    fn connection(&self) -> Result<Used<'_>> {
        let no_fork = FORKS.read().unwrap_or_else(PoisonError::into_inner);
        let mut connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        if connection.is_none() {
            *connection = Some(self.connect().map_err(|e| sql(&self.path, e))?);
        }
        Ok(Used { connection, _no_fork: no_fork })
    }

    /// Runs statements as one transaction, with no other statements between them.
    fn transaction<T>(&self, work: impl FnOnce(&rusqlite::Transaction) -> rusqlite::Result<T>) -> Result<T> {
        let mut connection = self.connection()?;
        let failed = |e| sql(&self.path, e);
        let behavior = if connection.is_readonly("main").map_err(failed)? {
            rusqlite::TransactionBehavior::Deferred
        } else {
            rusqlite::TransactionBehavior::Immediate
        };
        let transaction = connection.transaction_with_behavior(behavior).map_err(failed)?;
        let result = work(&transaction).map_err(failed)?;
        transaction.commit().map_err(failed)?;
        Ok(result)
    }

    fn query<T>(&self, work: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T> {
        work(&*self.connection()?).map_err(|e| sql(&self.path, e))
    }

    pub fn record(&self, id: &LayerId) -> Result<Option<Record>> {
        self.query(|c| {
            let mut statement = c.prepare_cached("SELECT id, parent, stage, owner FROM layer WHERE key = ?")?;
            statement.query_row([id.key()], record).optional()
        })
    }

    pub fn records(&self) -> Result<Vec<Record>> {
        self.query(|c| {
            c.prepare_cached("SELECT id, parent, stage, owner FROM layer ORDER BY key")?
                .query_map([], record)?
                .collect()
        })
    }

    /// Ids of the layers whose parent is this one.
    pub fn children(&self, id: &LayerId) -> Result<Vec<String>> {
        self.query(|c| {
            let mut statement = c.prepare_cached("SELECT id FROM layer WHERE parent = ? ORDER BY key")?;
            statement.query_map([id.key()], |row| row.value(0))?.collect()
        })
    }

    /// Writes a record, in the place of one that was there.
    pub fn put(&self, id: &LayerId, parent: Option<&LayerId>, stage: Stage, owner: Option<&str>) -> Result<()> {
        self.transaction(|t| {
            t.execute(
                "INSERT INTO layer (key, id, parent, stage, owner) VALUES (?, ?, ?, ?, ?)
                 ON CONFLICT (key) DO UPDATE SET parent = excluded.parent, stage = excluded.stage, owner = excluded.owner",
                params![id.key(), id.as_str(), parent.map(LayerId::key), stage.name(), owner],
            )
            .map(drop)
        })
    }

    /// Says how far a layer is.
    pub fn set_stage(&self, id: &LayerId, stage: Stage, owner: Option<&str>) -> Result<()> {
        self.transaction(|t| {
            t.execute("UPDATE layer SET stage = ?, owner = ? WHERE key = ?", params![stage.name(), owner, id.key()])
                .map(drop)
        })
    }

    /// Forgets a layer, and who held it.
    pub fn forget(&self, id: &LayerId) -> Result<()> {
        self.transaction(|t| {
            t.execute("DELETE FROM layer WHERE key = ?", [id.key()])?;
            t.execute("DELETE FROM hold WHERE key = ?", [id.key()]).map(drop)
        })
    }

    /// How often a layer is held so, by anybody.
    pub fn holds(&self, id: &LayerId, kind: Hold) -> Result<u64> {
        self.query(|c| {
            let mut statement =
                c.prepare_cached("SELECT coalesce(sum(count), 0) FROM hold WHERE key = ? AND kind = ?")?;
            statement.query_row(params![id.key(), kind.name()], |row| row.value::<i64>(0))
        })
        .map(i64::unsigned_abs)
    }

    /// How often one owner holds a layer so.
    pub fn holds_of(&self, id: &LayerId, owner: &str, kind: Hold) -> Result<u64> {
        self.query(|c| {
            let mut statement = c.prepare_cached("SELECT count FROM hold WHERE key = ? AND owner = ? AND kind = ?")?;
            statement.query_row(params![id.key(), owner, kind.name()], |row| row.value::<i64>(0)).optional()
        })
        .map(|count| count.unwrap_or(0).unsigned_abs())
    }

    pub fn hold(&self, id: &LayerId, owner: &str, kind: Hold) -> Result<()> {
        self.transaction(|t| {
            t.execute(
                "INSERT INTO hold VALUES (?, ?, ?, 1) ON CONFLICT DO UPDATE SET count = count + 1",
                params![id.key(), owner, kind.name()],
            )
            .map(drop)
        })
    }

    /// Takes one hold back.
    pub fn release(&self, id: &LayerId, owner: &str, kind: Hold) -> Result<()> {
        self.transaction(|t| {
            let which = params![id.key(), owner, kind.name()];
            t.execute("UPDATE hold SET count = count - 1 WHERE key = ? AND owner = ? AND kind = ?", which)?;
            t.execute("DELETE FROM hold WHERE count <= 0", []).map(drop)
        })
    }

    /// All owners of a hold or of something under way, except the empty one.
    pub fn owners(&self) -> Result<Vec<String>> {
        self.query(|c| {
            let mut statement = c.prepare_cached(
                "SELECT owner FROM hold WHERE owner <> '' UNION SELECT owner FROM layer WHERE owner IS NOT NULL",
            )?;
            statement.query_map([], |row| row.value(0))?.collect()
        })
    }

    /// The layers that an owner holds.
    pub fn held_by(&self, owner: &str) -> Result<Vec<String>> {
        self.query(|c| {
            let mut statement = c.prepare_cached("SELECT DISTINCT key FROM hold WHERE owner = ?")?;
            statement.query_map([owner], |row| row.value(0))?.collect()
        })
    }

    /// Takes all holds of an owner on a layer back.
    pub fn release_all(&self, id: &LayerId, owner: &str) -> Result<()> {
        self.transaction(|t| {
            t.execute("DELETE FROM hold WHERE key = ? AND owner = ?", params![id.key(), owner]).map(drop)
        })
    }
}

fn record(row: &Row) -> rusqlite::Result<Record> {
    let stage: String = row.value(2)?;
    // What a later version may write is nothing that this one could undo.
    let stage = Stage::from_name(&stage).unwrap_or(Stage::Ready);
    Ok(Record { id: row.value(0)?, parent: row.value(1)?, stage, owner: row.value(3)? })
}
