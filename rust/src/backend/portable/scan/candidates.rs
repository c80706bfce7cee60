//! The first pass of a scan: the tree beside its record, both in one order, and what differs.
//!
//! Only what differs is kept, in a database of its own that SQLite moves to a temporary file when it grows.

use crate::backend::portable::record::{Cursor, Record, SEPARATOR, Stat, broken, name_key, path_of_key};
use crate::backend::portable::tree::{Ahead, Child};
use crate::error::{Error, Result, Rule};
use crate::fs::Kind;
use crate::fs::disk::Disk;
use crate::layer::pack::check_new_name;
use crate::layer_name::{FILES, join};
use crate::sqlite::Values;
use rusqlite::{Connection, Row};
use std::path::Path;

/// A path that is not as the record tells.
#[derive(Debug, Clone)]
pub(super) struct Candidate {
    /// As the tree spells it; of what is gone, as the record did.
    pub path: Vec<u8>,
    /// What the tree has there, when it was looked at; `None`: nothing.
    pub now: Option<Stat>,
    /// What was laid out there.
    pub before: Option<Before>,
}

/// What was laid out at a path.
#[derive(Debug, Clone)]
pub(super) struct Before {
    /// The path for [`crate::view::chain::View::find`].
    pub path: Vec<u8>,
    pub stat: Stat,
    /// Whether the last component was spelled in another way.
    pub respelled: bool,
}

impl Candidate {
    /// Whether the file that was laid out at this path is still there.
    pub fn same_file(&self) -> bool {
        self.now.as_ref().zip(self.before.as_ref()).is_some_and(|(now, before)| now.same_file(&before.stat))
    }

    /// What was laid out, where it was of the kind that is there now.
    pub fn same_kind(&self) -> Option<&Before> {
        self.before.as_ref().filter(|before| self.now.as_ref().is_some_and(|now| now.kind == before.stat.kind))
    }
}

/// Everything that differs.
pub(super) struct Candidates {
    db: Connection,
}

impl Candidates {
    /// Compares a tree with its record.
    pub fn find(disk: &Disk, record: &Record) -> Result<Self> {
        let db = Connection::open("").map_err(failed)?;
        db.execute_batch(
            "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;
             CREATE TABLE candidates (seq INTEGER PRIMARY KEY, path BLOB, now BLOB, before_path BLOB, before BLOB,
                                      respelled INTEGER, device INTEGER, inode INTEGER, kept INTEGER);
             CREATE INDEX by_file ON candidates (device, inode) WHERE device IS NOT NULL;
             CREATE TABLE gone (path BLOB, stat BLOB, device INTEGER, inode INTEGER);
             CREATE INDEX gone_by_file ON gone (device, inode);
             BEGIN;",
        )
        .map_err(failed)?;
        let found = Candidates { db };
        let mut rows = record.rows()?;
        let mut cursor = Cursor::new(record, &mut rows)?;
        std::thread::scope(|scope| found.compare(disk, &Ahead::start(scope, disk)?, &mut cursor))?;
        found.db.execute_batch("COMMIT").map_err(failed)?;
        Ok(found)
    }

    /// Calls `visit` for each candidate in the order of the tree: a directory before what is in it. A whiteout hides
    /// what is below it: that is not told.
    pub fn each(&self, mut visit: impl FnMut(Candidate) -> Result<()>) -> Result<()> {
        let mut select = self
            .db
            .prepare(&format!("SELECT {COLUMNS} FROM candidates WHERE kept = 0 ORDER BY seq"))
            .map_err(failed)?;
        let mut rows = select.query(()).map_err(failed)?;
        while let Some(row) = rows.next().map_err(failed)? {
            visit(candidate(row).map_err(failed)?)?;
        }
        Ok(())
    }

    /// The names in the tree of a file: those that differ, and of a file that has more than one all, in order.
    pub fn names_of(&self, stat: &Stat) -> Result<Vec<Candidate>> {
        let sql = format!("SELECT {COLUMNS} FROM candidates WHERE device = ? AND inode = ? ORDER BY seq");
        let mut select = self.db.prepare_cached(&sql).map_err(failed)?;
        let rows = select.query_map(number(stat), candidate).map_err(failed)?;
        rows.collect::<rusqlite::Result<_>>().map_err(failed)
    }

    /// Where a file was moved from: a path that is gone.
    pub fn moved_from(&self, stat: &Stat) -> Result<Option<Before>> {
        let mut select =
            self.db.prepare_cached("SELECT path, stat FROM gone WHERE device = ? AND inode = ?").map_err(failed)?;
        let mut rows = select.query(number(stat)).map_err(failed)?;
        while let Some(row) = rows.next().map_err(failed)? {
            let before = row.get_ref(1).and_then(|value| Ok(value.as_blob()?)).map_err(failed)?;
            if let Some(before) = Stat::from_bytes(before).filter(|before| before.same_file(stat)) {
                return Ok(Some(Before { path: row.value(0).map_err(failed)?, stat: before, respelled: false }));
            }
        }
        Ok(None)
    }

    fn compare(&self, disk: &Disk, ahead: &Ahead, cursor: &mut Cursor<'_, '_>) -> Result<()> {
        let top_key = name_key(FILES);
        let top = Stat::of(&disk.root.metadata(Path::new(""))?);
        if !cursor.at_end && cursor.key == top_key {
            // Whoever moves the tree as a whole changes everything else about it.
            let before = cursor.stat()?;
            if before.modified != top.modified {
                self.differs(FILES, Some(&top), Some((&top_key, &before, false)))?;
            }
            cursor.advance()?;
        }
        let mut levels = vec![Level::open(ahead, FILES.to_vec(), top_key)?];
        while let Some(level) = levels.last_mut() {
            // Both stand in one order; the record may have more in this directory, or nothing any more.
            let recorded = !cursor.at_end && cursor.key.starts_with(&level.prefix);
            let order = match (level.children.peek(), recorded) {
                (None, false) => {
                    levels.pop();
                    continue;
                }
                (None, true) => std::cmp::Ordering::Greater,
                (Some(_), false) => std::cmp::Ordering::Less,
                (Some(child), true) => child.key.as_slice().cmp(&cursor.key[level.prefix.len()..]),
            };
            if order == std::cmp::Ordering::Greater {
                self.gone(&level.path, cursor)?;
                continue;
            }
            let child = level.children.next().expect("it was looked at");
            let entered = self.child(level, child, (order == std::cmp::Ordering::Equal).then_some(&mut *cursor))?;
            if let Some((path, key)) = entered {
                levels.push(Level::open(ahead, path, key)?);
            }
        }
        if cursor.at_end {
            Ok(())
        } else {
            Err(crate::backend::portable::layout::lost(&path_of_key(&cursor.key), "the record is not in order"))
        }
    }

    /// Looks at one name in the tree, and passes over its row in the record; a directory is to be entered.
    fn child(
        &self,
        level: &Level,
        child: Child,
        recorded: Option<&mut Cursor<'_, '_>>,
    ) -> Result<Option<(Vec<u8>, Vec<u8>)>> {
        let now = Stat::of(&child.metadata);
        let is_directory = now.kind == Kind::Directory;
        let Some(cursor) = recorded else {
            let path = join(&level.path, &child.name);
            check_new_name(&child.name).and_then(|_| layer_kind(&now)).map_err(|e| e.in_member(&path))?;
            self.differs(&path, Some(&now), None)?;
            let key = [level.prefix.as_slice(), &child.key].concat();
            return Ok(is_directory.then_some((path, key)));
        };
        let respelled = cursor.name != child.name;
        let unchanged = !respelled && cursor.stat == now.to_bytes();
        if unchanged && !is_directory && (now.kind != Kind::File || now.links < 2) {
            cursor.advance()?;
            return Ok(None);
        }
        let path = join(&level.path, &child.name);
        let key = cursor.key.clone();
        if !unchanged {
            layer_kind(&now).map_err(|e| e.in_member(&path))?;
            let before = cursor.stat()?;
            self.differs(&path, Some(&now), Some((&key, &before, respelled)))?;
            cursor.advance()?;
            // What is now a file hides what was in the directory.
            if before.kind == Kind::Directory && !is_directory {
                self.forget(&key, &before, cursor)?;
            } else if !now.same_file(&before) {
                self.vanished(&key, &before)?;
            }
        } else {
            if !is_directory {
                // A new name that came with a moved directory shows on no other name.
                self.note(&path, Some(&now), Some((&key, &now, false)), true)?;
            }
            cursor.advance()?;
        }
        Ok(is_directory.then_some((path, key)))
    }

    /// A row of the record that the tree does not have.
    fn gone(&self, directory: &[u8], cursor: &mut Cursor<'_, '_>) -> Result<()> {
        let (path, key, before) = (join(directory, &cursor.name), cursor.key.clone(), cursor.stat()?);
        self.differs(&path, None, Some((&key, &before, false)))?;
        cursor.advance()?;
        self.forget(&key, &before, cursor)
    }

    /// Notes that a path and everything below it are gone, which one member tells.
    fn forget(&self, key: &[u8], before: &Stat, cursor: &mut Cursor<'_, '_>) -> Result<()> {
        self.vanished(key, before)?;
        let prefix = [key, &[SEPARATOR]].concat();
        while !cursor.at_end && cursor.key.starts_with(&prefix) {
            self.vanished(&cursor.key, &cursor.stat()?)?;
            cursor.advance()?;
        }
        Ok(())
    }

    fn vanished(&self, key: &[u8], before: &Stat) -> Result<()> {
        let mut insert = self.db.prepare_cached("INSERT INTO gone VALUES (?, ?, ?, ?)").map_err(failed)?;
        let (device, inode) = number(before);
        insert.execute((path_of_key(key), before.to_bytes(), device, inode)).map(drop).map_err(failed)
    }

    fn differs(&self, path: &[u8], now: Option<&Stat>, before: Option<(&[u8], &Stat, bool)>) -> Result<()> {
        self.note(path, now, before, false)
    }

    fn note(&self, path: &[u8], now: Option<&Stat>, before: Option<(&[u8], &Stat, bool)>, kept: bool) -> Result<()> {
        let sql = "INSERT INTO candidates VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?)";
        let mut insert = self.db.prepare_cached(sql).map_err(failed)?;
        let file = now.filter(|now| now.kind == Kind::File).map(number);
        insert
            .execute((
                path,
                now.map(Stat::to_bytes),
                before.map(|(key, ..)| path_of_key(key)),
                before.map(|(_, stat, _)| stat.to_bytes()),
                before.is_some_and(|(.., respelled)| respelled),
                file.map(|(device, _)| device),
                file.map(|(_, inode)| inode),
                kept,
            ))
            .map(drop)
            .map_err(failed)
    }
}

/// A directory of the tree.
struct Level {
    path: Vec<u8>,
    /// What the keys in it start with.
    prefix: Vec<u8>,
    children: std::iter::Peekable<std::vec::IntoIter<Child>>,
}

impl Level {
    fn open(ahead: &Ahead, path: Vec<u8>, key: Vec<u8>) -> Result<Self> {
        let children = ahead.enter(&path)?.into_iter().peekable();
        let mut prefix = key;
        prefix.push(SEPARATOR);
        Ok(Level { path, prefix, children })
    }
}

const COLUMNS: &str = "path, now, before_path, before, respelled";

fn candidate(row: &Row<'_>) -> rusqlite::Result<Candidate> {
    let stat = |index| -> rusqlite::Result<Option<Stat>> {
        let bytes: Option<Vec<u8>> = row.value(index)?;
        Ok(bytes.and_then(|bytes| Stat::from_bytes(&bytes)))
    };
    let before_path: Option<Vec<u8>> = row.value(2)?;
    let respelled = row.value(4)?;
    let before = before_path.zip(stat(3)?).map(|(path, stat)| Before { path, stat, respelled });
    Ok(Candidate { path: row.value(0)?, now: stat(1)?, before })
}

fn number(stat: &Stat) -> (i64, i64) {
    (stat.device.cast_signed(), stat.inode.cast_signed())
}

/// Refuses what no layer can hold.
fn layer_kind(now: &Stat) -> Result<()> {
    if now.kind == Kind::Other {
        return Err(Error::refused(Rule::MemberType, "neither a file, a directory nor a symlink"));
    }
    Ok(())
}

fn failed(error: rusqlite::Error) -> Error {
    broken(&std::env::temp_dir(), error)
}
