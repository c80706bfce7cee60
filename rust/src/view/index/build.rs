//! An index from the headers of a tar, in one pass.

use super::{APPLICATION, HIDES, OPAQUE, Summary, VERSION, integer, number_of, row};
use crate::error::{Error, Limit, Result, Rule, display_name};
use crate::layer_name::{OPAQUE_WHITEOUT, ROOTS, hidden_by, is_named_like_whiteout, join, root_name, split, trimmed};
use crate::layer_tar::{EntryKind, Found, RandomReader};
use crate::limits::Limits;
use crate::nt::name::fold_wtf8;
use crate::policy::Policy;
use crate::source::ReadAt;
use crate::sqlite::sql;
use crate::view::source::{Holds, Row, TOP};
use rusqlite::{Connection, Statement, params};
use std::path::Path;
use std::sync::Arc;

const TABLES: &str = "
CREATE TABLE entry (
    folder INTEGER NOT NULL,
    name BLOB NOT NULL,
    spelled BLOB NOT NULL,
    kind INTEGER NOT NULL,
    number INTEGER NOT NULL,
    place INTEGER,
    globals INTEGER NOT NULL,
    size INTEGER NOT NULL,
    link BLOB,
    hides INTEGER NOT NULL,
    PRIMARY KEY (folder, name)
) STRICT, WITHOUT ROWID;
CREATE TABLE about (
    diff_id TEXT NOT NULL,
    size INTEGER NOT NULL,
    entries INTEGER NOT NULL,
    data INTEGER NOT NULL,
    globals BLOB NOT NULL
) STRICT;";

/// An index that has its rows, and does not say yet whose.
pub struct Draft {
    connection: Connection,
    path: String,
    summary: Summary,
    globals: Vec<u8>,
}

pub(super) fn draft(tar: Arc<dyn ReadAt>, index: &Path, limits: &Limits) -> Result<Draft> {
    let mut reader = RandomReader::new(tar, Policy::default(), limits)?;
    let path = index.display().to_string();
    let failed = |e| sql(&path, e);
    let connection = create(index).map_err(failed)?;
    connection.execute_batch("BEGIN").map_err(failed)?;
    let mut summary = Summary::default();
    let mut builder = Builder::new(&connection, &path)?;
    while let Some(found) = reader.next_found()? {
        summary.entries += 1;
        limits.check(Limit::Entries, summary.entries)?;
        summary.data = summary.data.saturating_add(found.entry.size());
        builder.add(&found).map_err(|e| e.in_member(&found.entry.name))?;
    }
    drop(builder);
    Ok(Draft { connection, path, summary, globals: reader.global_records().to_vec() })
}

impl Draft {
    /// Writes down the digest and the size of the tar, and ends the file, which is not synced.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn finish(self, diff_id: &str, size: u64) -> Result<Summary> {
        let Draft { connection, path, summary, globals } = self;
        let failed = |e| sql(&path, e);
        let numbers = [size, summary.entries, summary.data].map(integer);
        let about = params![diff_id, numbers[0], numbers[1], numbers[2], globals];
        connection.execute("INSERT INTO about VALUES (?, ?, ?, ?, ?)", about).map_err(failed)?;
        connection.execute_batch("COMMIT").map_err(failed)?;
        connection.close().map_err(|(_, e)| failed(e))?;
        Ok(summary)
    }
}

fn create(index: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(index)?;
    // It is no index until the caller has synced it and given it its name.
    connection.pragma_update(None, "journal_mode", "OFF")?;
    connection.pragma_update(None, "synchronous", "OFF")?;
    connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
    connection.pragma_update(None, "mmap_size", 0)?;
    connection.pragma_update(None, "cache_size", -65_536)?;
    connection.execute_batch(TABLES)?;
    connection.pragma_update(None, "application_id", APPLICATION)?;
    connection.pragma_update(None, "user_version", VERSION)?;
    Ok(connection)
}

/// A folder on the way to what was added last.
struct Level {
    /// Where its name ends in [`Builder::way`].
    end: usize,
    number: u64,
    what: Holds,
}

struct Builder<'a> {
    look: Statement<'a>,
    insert: Statement<'a>,
    replace: Statement<'a>,
    index: &'a str,
    /// The folder of what was added last, as the tar spells it, and its levels: what comes next most often lies there.
    way: Vec<u8>,
    levels: Vec<Level>,
    /// The number that the last new directory got.
    last: u64,
}

impl<'a> Builder<'a> {
    fn new(connection: &'a Connection, index: &'a str) -> Result<Self> {
        let prepare = |text: &str| connection.prepare(text).map_err(|e| sql(index, e));
        Ok(Builder {
            look: prepare("SELECT * FROM entry WHERE folder = ? AND name = ?")?,
            insert: prepare("INSERT OR IGNORE INTO entry VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")?,
            replace: prepare("REPLACE INTO entry VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")?,
            index,
            way: Vec::new(),
            levels: Vec::new(),
            last: TOP,
        })
    }

    fn add(&mut self, found: &Found) -> Result<()> {
        let path = trimmed(&found.entry.name);
        let (folder, name) = split(path);
        match (found.entry.kind, folder) {
            (EntryKind::Whiteout, b"") if name == OPAQUE_WHITEOUT => {
                ROOTS.iter().try_for_each(|root| self.hide(folder, root.as_bytes(), HIDES))
            }
            (EntryKind::Whiteout, _) if name == OPAQUE_WHITEOUT => {
                let (folder, name) = split(folder);
                self.hide(folder, name, OPAQUE)
            }
            (EntryKind::Whiteout, _) => self.hide(folder, hidden_by(name), HIDES),
            _ => self.entry(folder, name, found),
        }
    }

    /// Notes an entry.
    fn entry(&mut self, folder: &[u8], name: &[u8], found: &Found) -> Result<()> {
        let within = self.folder(folder, Holds::Entry(EntryKind::Directory))?;
        let mut row = new_row(name, Holds::Entry(found.entry.kind))?;
        if within == TOP && !(root_name(&row.key).is_some() && row.what.is_folder()) {
            return Err(Error::refused(Rule::RootUnknown, ""));
        }
        (row.place, row.globals, row.size) = (Some(found.position), found.globals, found.entry.size());
        if found.entry.kind == EntryKind::HardLink {
            let target = found.entry.link_name.as_deref().unwrap_or_default();
            row.link = Some(fold(trimmed(target))?);
        }
        if self.insert(within, &mut row)? {
            return Ok(());
        }
        let before = self.look(within, &row.key)?;
        if before.what == Holds::Nothing || row.what.is_folder() && before.what.is_folder() {
            (row.hides, row.opaque) = (before.hides, before.opaque);
            if before.what.is_folder() {
                row.folder = before.folder;
            }
            if before.what == Holds::Entry(EntryKind::Directory) {
                row.name = before.name;
            }
            return self.replace(within, &mut row);
        }
        if before.what.is_folder() {
            return Err(Error::refused(Rule::DuplicateName, "other members lie in it"));
        }
        let detail = format!("\"{}\" came before", display_name(&join(folder, &before.name)));
        let rule = if before.name == name { Rule::DuplicateName } else { Rule::CaseCollision };
        Err(Error::refused(rule, detail))
    }

    /// Notes a whiteout.
    fn hide(&mut self, folder: &[u8], name: &[u8], how: i64) -> Result<()> {
        if matches!(name, b"." | b"..") {
            return Err(Error::refused(Rule::NameEscapes, "it deletes no name of its own"));
        }
        let within = self.folder(folder, Holds::Passage)?;
        let mut row = new_row(name, if how == OPAQUE { Holds::Passage } else { Holds::Nothing })?;
        if within == TOP && root_name(&row.key).is_none() {
            return Err(Error::refused(Rule::RootUnknown, ""));
        }
        (row.hides, row.opaque) = (how == HIDES, how == OPAQUE);
        if self.insert(within, &mut row)? {
            return Ok(());
        }
        let mut before = self.look(within, &row.key)?;
        if how == OPAQUE && matches!(before.what, Holds::Entry(kind) if kind != EntryKind::Directory) {
            return Err(self.no_directory(&before));
        }
        if before.what == Holds::Nothing {
            before.what = row.what;
        }
        before.hides |= row.hides;
        before.opaque |= row.opaque;
        self.replace(within, &mut before)
    }

    /// The number of a folder; makes sure that it has a row, and those above it.
    fn folder(&mut self, path: &[u8], what: Holds) -> Result<u64> {
        let mut known = 0;
        while let Some(level) = self.levels.get(known)
            && path.len() >= level.end
            && path[..level.end] == self.way[..level.end]
            && matches!(path.get(level.end), None | Some(b'/'))
            && (level.what == what || what == Holds::Passage)
        {
            known += 1;
        }
        self.levels.truncate(known);
        let (mut start, mut within) = self.levels.last().map_or((0, TOP), |level| (level.end + 1, level.number));
        self.way.truncate(start.saturating_sub(1));
        while start < path.len() {
            let end = path[start..].iter().position(|byte| *byte == b'/').map_or(path.len(), |n| start + n);
            let (number, what) = self.level(within, &path[start..end], what)?;
            within = number;
            self.way.extend_from_slice(&path[self.way.len()..end]);
            self.levels.push(Level { end, number, what });
            start = end + 1;
        }
        Ok(within)
    }

    /// The number of one folder in another, and what it is by now.
    fn level(&mut self, within: u64, name: &[u8], what: Holds) -> Result<(u64, Holds)> {
        if is_named_like_whiteout(name) {
            return Err(Error::refused(Rule::WhiteoutName, format!("\"{}\"", display_name(name))));
        }
        let mut row = new_row(name, what)?;
        if within == TOP && root_name(&row.key).is_none() {
            return Err(Error::refused(Rule::RootUnknown, format!("\"{}\"", display_name(name))));
        }
        if self.insert(within, &mut row)? {
            return Ok((row.folder, what));
        }
        let mut before = self.look(within, &row.key)?;
        match before.what {
            Holds::Entry(EntryKind::Directory) => {}
            Holds::Entry(_) => return Err(self.no_directory(&before)),
            _ if before.what == what => {}
            _ => {
                (before.what, before.name) = (what, row.name);
                self.replace(within, &mut before)?;
            }
        }
        Ok((before.folder, before.what))
    }

    fn no_directory(&self, before: &Row) -> Error {
        let is_link = matches!(before.what, Holds::Entry(EntryKind::Symlink | EntryKind::Junction));
        let rule = if is_link { Rule::LinkEscapes } else { Rule::DuplicateName };
        Error::refused(rule, format!("\"{}\" came before, and is no directory", display_name(&before.name)))
    }

    fn look(&mut self, within: u64, key: &[u8]) -> Result<Row> {
        self.look.query_row((integer(within), key), row).map_err(|e| sql(self.index, e))
    }

    /// Puts a row in unless there is one of its name; tells whether it did.
    fn insert(&mut self, within: u64, row: &mut Row) -> Result<bool> {
        let next = self.last + 1;
        if row.what.is_folder() {
            row.folder = next;
        }
        let done = put(&mut self.insert, within, row).map_err(|e| sql(self.index, e))? > 0;
        if !done {
            row.folder = TOP;
        } else if row.what.is_folder() {
            self.last = next;
        }
        Ok(done)
    }

    fn replace(&mut self, within: u64, row: &mut Row) -> Result<()> {
        // A number for what was no directory before.
        if row.what.is_folder() && row.folder == TOP {
            self.last += 1;
            row.folder = self.last;
        }
        put(&mut self.replace, within, row).map(drop).map_err(|e| sql(self.index, e))
    }
}

fn put(statement: &mut Statement<'_>, within: u64, row: &Row) -> rusqlite::Result<usize> {
    let hides = if row.hides { HIDES } else { 0 } | if row.opaque { OPAQUE } else { 0 };
    statement.execute(params![
        integer(within),
        row.key,
        row.name,
        number_of(row.what),
        integer(row.folder),
        row.place.map(integer),
        integer(row.globals),
        integer(row.size),
        row.link,
        hides
    ])
}

fn new_row(name: &[u8], what: Holds) -> Result<Row> {
    Ok(Row {
        key: fold(name)?,
        name: name.to_vec(),
        what,
        folder: TOP,
        place: None,
        globals: 0,
        size: 0,
        link: None,
        hides: false,
        opaque: false,
    })
}

fn fold(name: &[u8]) -> Result<Vec<u8>> {
    fold_wtf8(name).ok_or_else(|| Error::refused(Rule::NameNotUnicode, display_name(name)))
}
