//! One imported layer: where in its tar each entry stands, by folded path.
//!
//! A SQLite file beside the tar, written once. Metadata stays in the tar alone: a row tells where, and the entry is
//! decoded from there.

use crate::backend::Imported;
use crate::error::{Error, Format, Limit, Result, Rule, StoreFault, display_name};
use crate::fs::open_file;
use crate::layer_tar::{EntryKind, Found, LayerReader, whiteout};
use crate::limits::Limits;
use crate::nt::name::fold_wtf8;
use crate::policy::Policy;
use crate::store::sql;
use crate::tar::{ReadAt, Source};
use rusqlite::{Connection, OpenFlags, OptionalExtension, Statement, params};
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The version of the tables, in `user_version`.
const VERSION: i64 = 1;
/// "WLix", in `application_id`.
const APPLICATION: i64 = 0x574c_6978;

const TABLES: &str = "
CREATE TABLE entry (
    folder BLOB NOT NULL,
    name BLOB NOT NULL,
    path BLOB NOT NULL,
    kind INTEGER NOT NULL,
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

/// The roots that a layer has.
const ROOTS: [&[u8]; 3] = [b"FILES", b"HIVES", b"UTILITYVM"];

/// What [`Index::build`] counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Summary {
    /// Entries, named streams not counted.
    pub entries: u64,
    /// Bytes of unnamed data.
    pub data: u64,
}

/// What a layer has at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The path as the tar has it, without a closing slash.
    pub path: Vec<u8>,
    /// The last component, folded.
    pub key: Vec<u8>,
    /// What it has there.
    pub what: What,
    /// Where its member begins in the tar; `None` for a directory that is only there for what lies in it.
    pub place: Option<u64>,
    /// Bytes of the global records that apply to the member.
    globals: u64,
    /// Bytes of unnamed data.
    pub size: u64,
    /// The folded path that a hard link leads to.
    pub link: Option<Vec<u8>>,
    /// Whether what lower layers have at the path is hidden.
    pub hides: bool,
    /// Whether what lower layers have in the directory is hidden.
    pub opaque: bool,
}

/// What a layer has at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// Nothing of its own: a whiteout.
    Nothing,
    /// Whiteouts below it, and nothing else: no directory, unless a lower layer has one.
    Passage,
    /// An entry, or a directory that entries lie in.
    Entry(EntryKind),
}

const KINDS: [(What, i64); 8] = [
    (What::Nothing, 0),
    (What::Passage, 1),
    (What::Entry(EntryKind::File), 2),
    (What::Entry(EntryKind::Directory), 3),
    (What::Entry(EntryKind::Symlink), 4),
    (What::Entry(EntryKind::Junction), 5),
    (What::Entry(EntryKind::Reparse), 6),
    (What::Entry(EntryKind::HardLink), 7),
];
const HIDES: i64 = 1;
const OPAQUE: i64 = 2;

impl What {
    fn number(self) -> i64 {
        KINDS.iter().find(|(what, _)| *what == self).map_or(0, |(_, number)| *number)
    }

    fn is_folder(self) -> bool {
        matches!(self, What::Passage | What::Entry(EntryKind::Directory))
    }
}

/// An imported layer, opened. Threads may share it.
///
/// ```
/// use std::{fs::File, sync::Arc};
/// use winlayers::backend::portable::index::Index;
/// use winlayers::layer_tar::{EntryKind, LayerEntry, LayerWriter};
///
/// let folder = tempfile::tempdir().unwrap();
/// let (tar, index) = (folder.path().join("layer.tar"), folder.path().join("layer.index"));
/// let mut writer = LayerWriter::new(File::create(&tar).unwrap(), Default::default());
/// writer.add(&LayerEntry::new("Files/Hello.txt", EntryKind::File), vec![Box::new(&b""[..])])?;
/// writer.finish()?;
///
/// let summary = Index::build(Arc::new(File::open(&tar).unwrap()), &index, "sha256:0", &Default::default())?;
/// assert_eq!(summary.entries, 1);
/// let index = Index::open(&tar, &index, &Default::default())?;
/// assert_eq!(index.get(b"FILES/HELLO.TXT")?.unwrap().path, b"Files/Hello.txt");
/// # Ok::<(), winlayers::error::Error>(())
/// ```
pub struct Index {
    connection: Mutex<Connection>,
    path: String,
    tar: Arc<File>,
    imported: Imported,
    globals: Vec<u8>,
    limits: Limits,
}

impl Index {
    /// Reads the headers of an uncompressed layer tar, and writes an index of it to a new file, which is not synced.
    ///
    /// # Errors
    /// Those of reading a layer tar. [`Error::Refused`], with the member: [`Rule::NameNotUnicode`],
    /// [`Rule::RootUnknown`], [`Rule::CaseCollision`] for two members that NTFS takes for one,
    /// [`Rule::DuplicateName`] for one name twice or a file that others lie in, [`Rule::LinkEscapes`] for a link that
    /// others lie in.
    pub fn build(tar: Arc<File>, index: &Path, diff_id: &str, limits: &Limits) -> Result<Summary> {
        let size = tar.size().map_err(|e| Error::io("stat", None, e))?;
        let mut reader = LayerReader::new(Source::Random(tar), Policy::default(), limits)?;
        let name = index.display().to_string();
        let failed = |e| sql(&name, e);
        let mut connection = Connection::open(index).map_err(failed)?;
        let mut summary = Summary::default();
        (|| {
            // It is no index until the caller has synced it and given it its name.
            connection.pragma_update(None, "journal_mode", "OFF")?;
            connection.pragma_update(None, "synchronous", "OFF")?;
            connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
            connection.pragma_update(None, "cache_size", -65_536)?;
            connection.execute_batch(TABLES)?;
            connection.pragma_update(None, "application_id", APPLICATION)?;
            connection.pragma_update(None, "user_version", VERSION)
        })()
        .map_err(failed)?;
        let transaction = connection.transaction().map_err(failed)?;
        {
            let mut builder = Builder::new(&transaction, &name)?;
            while let Some(found) = reader.next_found()? {
                summary.entries += 1;
                limits.check(Limit::Entries, summary.entries)?;
                summary.data += found.entry.size;
                builder.add(&found).map_err(|e| e.in_member(&found.entry.name))?;
            }
        }
        let integer = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        let about =
            params![diff_id, integer(size), integer(summary.entries), integer(summary.data), reader.global_records()];
        transaction.execute("INSERT INTO about VALUES (?, ?, ?, ?, ?)", about).map_err(failed)?;
        transaction.commit().map_err(failed)?;
        connection.close().map_err(|(_, e)| failed(e))?;
        Ok(summary)
    }

    /// Opens a tar and its index.
    ///
    /// # Errors
    /// [`StoreFault::Damaged`] for an index that is none, is of another version, or does not go with the tar;
    /// [`Error::Io`].
    pub fn open(tar: &Path, index: &Path, limits: &Limits) -> Result<Self> {
        let path = index.display().to_string();
        let damaged = |detail: String| Error::store(StoreFault::Damaged, "", format!("{path}: {detail}"));
        let tar = open_file(tar)?;
        // SQLite tells less about a file that is not there.
        drop(open_file(index)?);
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let uri = format!("file:{}?immutable=1", crate::store::escaped(index));
        let connection = Connection::open_with_flags(uri, flags).map_err(|e| sql(&path, e))?;
        let (imported, globals) = (|| {
            connection.pragma_update(None, "mmap_size", 0)?;
            connection.pragma_update(None, "cell_size_check", true)?;
            connection.set_prepared_statement_cache_capacity(8);
            let pragma = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
            if (pragma("application_id")?, pragma("user_version")?) != (APPLICATION, VERSION) {
                return Ok(None);
            }
            let row = |row: &rusqlite::Row| {
                let number = |i| row.get::<_, i64>(i).map(i64::unsigned_abs);
                let diff_id: String = row.get(0)?;
                let imported = Imported { diff_id, size: number(1)?, entries: number(2)?, data: number(3)? };
                Ok((imported, row.get::<_, Vec<u8>>(4)?))
            };
            connection.query_row("SELECT * FROM about", [], row).optional()
        })()
        .map_err(|e| damaged(e.to_string()))?
        .ok_or_else(|| damaged(format!("expected an index of version {VERSION}, found something else")))?;
        let size = tar.size().map_err(|e| Error::io("stat", None, e))?;
        if size != imported.size {
            return Err(damaged(format!("expected a tar of {} bytes, found {size}", imported.size)));
        }
        Ok(Index {
            connection: Mutex::new(connection),
            path,
            tar: Arc::new(tar),
            imported,
            globals,
            limits: limits.clone(),
        })
    }

    /// What the import told.
    #[must_use]
    pub fn imported(&self) -> Imported {
        self.imported.clone()
    }

    /// What the layer has at a folded path.
    ///
    /// # Errors
    /// [`StoreFault::Damaged`], [`Error::Io`].
    pub fn get(&self, path: &[u8]) -> Result<Option<Row>> {
        let (folder, name) = split(path);
        self.get_in(folder, name)
    }

    /// What the layer has of one name in a folder, both folded.
    ///
    /// # Errors
    /// As [`Index::get`].
    pub fn get_in(&self, folder: &[u8], name: &[u8]) -> Result<Option<Row>> {
        self.query(|connection| {
            let mut statement = connection.prepare_cached("SELECT * FROM entry WHERE folder = ? AND name = ?")?;
            statement.query_row([folder, name], row).optional()
        })
    }

    /// What the layer has in a folder, in the order of the folded names.
    ///
    /// # Errors
    /// As [`Index::get`].
    pub fn children(&self, folder: &[u8]) -> Result<Vec<Row>> {
        self.query(|connection| {
            let mut statement = connection.prepare_cached("SELECT * FROM entry WHERE folder = ? ORDER BY name")?;
            statement.query_map([folder], row)?.collect()
        })
    }

    /// The entry of a row, decoded from the tar. Its places count from the row's place: read them with
    /// [`Index::source`].
    ///
    /// # Errors
    /// Those of reading a layer tar; [`StoreFault::Damaged`] where the tar has no such entry there.
    pub fn entry(&self, row: &Row) -> Result<Found> {
        let Some(place) = row.place else {
            let entry = crate::layer_tar::LayerEntry::new(row.path.clone(), EntryKind::Directory);
            return Ok(Found { entry, has_data: false, places: Vec::new(), position: 0, globals: 0 });
        };
        let globals = usize::try_from(row.globals).ok().and_then(|n| self.globals.get(..n));
        let globals = globals.ok_or_else(|| self.damaged("global records"))?;
        let source = Source::Random(Arc::new(self.source(place)));
        let mut reader = LayerReader::starting_in(source, globals, Policy::default(), &self.limits)?;
        match reader.next_found()? {
            Some(found) if fold_wtf8(trimmed(&found.entry.name)) == fold_wtf8(&row.path) => Ok(found),
            _ => Err(self.damaged(&format!("{}, which its tar has elsewhere", display_name(&row.path)))),
        }
    }

    /// The tar from a place on.
    #[must_use]
    pub fn source(&self, place: u64) -> Tail {
        Tail { tar: Arc::clone(&self.tar), start: place }
    }

    /// Reads the unnamed data of a row, or a named stream.
    ///
    /// # Errors
    /// As [`Index::entry`]; [`Error::Io`] where there is no such stream.
    pub fn open_row(&self, row: &Row, stream: Option<&[u8]>) -> Result<Data> {
        self.data(&self.entry(row)?, stream, row.place.unwrap_or(0))
    }

    /// As [`Index::open_row`], for an entry that [`Index::reader`] gave.
    ///
    /// # Errors
    /// [`Error::Io`] where there is no such stream.
    pub fn open_found(&self, found: &Found, stream: Option<&[u8]>) -> Result<Data> {
        self.data(found, stream, 0)
    }

    /// As [`Index::open_row`], for a row whose entry [`Index::entry`] gave.
    ///
    /// # Errors
    /// [`Error::Io`] where there is no such stream.
    pub fn open_entry(&self, row: &Row, found: &Found, stream: Option<&[u8]>) -> Result<Data> {
        self.data(found, stream, row.place.unwrap_or(0))
    }

    fn data(&self, found: &Found, stream: Option<&[u8]>, start: u64) -> Result<Data> {
        let i = match stream {
            None => found.has_data.then_some(0),
            Some(name) => found.entry.streams.iter().flatten().position(|stream| stream.name == name).map(|i| i + 1),
        };
        let Some(i) = i else {
            let path = display_name(&found.entry.name);
            return Err(Error::io("open", Some(Path::new(&path)), io::ErrorKind::NotFound.into()));
        };
        Ok(Data { source: self.source(start), place: found.places[i].clone(), offset: 0 })
    }

    /// All entries in the order of the tar.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn reader(&self) -> Result<LayerReader> {
        LayerReader::new(Source::Random(Arc::clone(&self.tar) as Arc<dyn ReadAt>), Policy::default(), &self.limits)
    }

    /// Whether two index files tell the same.
    ///
    /// # Errors
    /// [`StoreFault::Damaged`] for one that is none.
    pub fn same_rows(one: &Path, other: &Path) -> Result<bool> {
        let open = |path: &Path| {
            let uri = format!("file:{}?immutable=1", crate::store::escaped(path));
            Connection::open_with_flags(uri, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI)
        };
        let compare = || {
            let (left, right) = (open(one)?, open(other)?);
            let about = |c: &Connection| {
                c.query_row("SELECT * FROM about", [], |r| {
                    Ok((r.get::<_, String>(0)?, r.get::<_, i64>(1)?, r.get::<_, i64>(2)?, r.get::<_, i64>(3)?))
                })
            };
            if about(&left)? != about(&right)? {
                return Ok(false);
            }
            const ALL: &str = "SELECT * FROM entry ORDER BY folder, name";
            let (mut left, mut right) = (left.prepare(ALL)?, right.prepare(ALL)?);
            let mut right = right.query_map([], row)?;
            for one in left.query_map([], row)? {
                match right.next().transpose()? {
                    Some(other) if other == one? => {}
                    _ => return Ok(false),
                }
            }
            Ok(right.next().is_none())
        };
        compare().map_err(|e| sql(&one.display().to_string(), e))
    }

    fn query<T>(&self, work: impl FnOnce(&MutexGuard<Connection>) -> rusqlite::Result<T>) -> Result<T> {
        work(&self.connection.lock().unwrap_or_else(PoisonError::into_inner)).map_err(|e| sql(&self.path, e))
    }

    fn damaged(&self, what: &str) -> Error {
        Error::store(StoreFault::Damaged, "", format!("{}: it tells of {what}", self.path))
    }
}

/// A tar from a place on.
#[derive(Clone)]
pub struct Tail {
    tar: Arc<File>,
    start: u64,
}

impl ReadAt for Tail {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        match self.start.checked_add(offset) {
            Some(at) => ReadAt::read_at(&*self.tar, buf, at),
            None => Ok(0),
        }
    }

    fn size(&self) -> io::Result<u64> {
        Ok(ReadAt::size(&*self.tar)?.saturating_sub(self.start))
    }
}

/// The data of a file, from front to end; holes are zeros.
pub struct Data {
    source: Tail,
    place: crate::layer_tar::DataPlace,
    offset: u64,
}

impl Data {
    /// Goes on at an offset.
    pub fn seek_to(&mut self, offset: u64) {
        self.offset = offset;
    }
}

impl Read for Data {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.place.read_at(&self.source, self.offset, buf).map_err(io::Error::other)?;
        self.offset += n as u64;
        Ok(n)
    }
}

struct Builder<'a> {
    look: Statement<'a>,
    put: Statement<'a>,
    index: &'a str,
    /// The folder that was seen last, as the tar has it, and what was made of it.
    last_folder: (Vec<u8>, Vec<u8>),
}

impl<'a> Builder<'a> {
    fn new(connection: &'a Connection, index: &'a str) -> Result<Self> {
        let failed = |e| sql(index, e);
        Ok(Builder {
            look: connection.prepare("SELECT * FROM entry WHERE folder = ? AND name = ?").map_err(failed)?,
            put: connection
                .prepare("INSERT OR REPLACE INTO entry VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)")
                .map_err(failed)?,
            index,
            last_folder: Default::default(),
        })
    }

    fn add(&mut self, found: &Found) -> Result<()> {
        let path = trimmed(&found.entry.name);
        let (folder, name) = split(path);
        let is_whiteout = found.entry.kind == EntryKind::Whiteout;
        if is_whiteout && name == whiteout::OPAQUE {
            let (folder, name) = split(folder);
            return self.hide(folder, name, OPAQUE);
        }
        if is_whiteout {
            return self.hide(folder, &name[whiteout::PREFIX.len()..], HIDES);
        }
        let folder = self.folder(folder, What::Entry(EntryKind::Directory))?;
        let key = fold(name)?;
        if folder.is_empty() && !(ROOTS.contains(&&key[..]) && found.entry.kind == EntryKind::Directory) {
            return Err(Error::refused(Rule::RootUnknown, display_name(path)));
        }
        let link = match (found.entry.kind, &found.entry.link_name) {
            (EntryKind::HardLink, Some(target)) => Some(fold(trimmed(target))?),
            (EntryKind::HardLink, None) => {
                return Err(Error::format(Format::LayerTar, "hard link", "a target", "none"));
            }
            _ => None,
        };
        let mut row = Row {
            path: path.to_vec(),
            key,
            what: What::Entry(found.entry.kind),
            place: Some(found.position),
            globals: found.globals,
            size: found.entry.size,
            link,
            hides: false,
            opaque: false,
        };
        if let Some(before) = self.look(&folder, &row.key)? {
            let merge = row.what.is_folder() && before.what.is_folder();
            if !merge && before.what != What::Nothing {
                return Err(self.collision(&before, path));
            }
            (row.hides, row.opaque) = (before.hides, before.opaque);
            if merge && before.what != What::Passage {
                // The directory keeps the name that it had first.
                row.path = before.path;
            }
        }
        self.put(&folder, &row)
    }

    fn collision(&self, before: &Row, path: &[u8]) -> Error {
        if before.path == path && before.what.is_folder() {
            return Error::refused(Rule::DuplicateName, "other entries lie in it");
        }
        if before.path == path {
            return Error::refused(Rule::DuplicateName, "");
        }
        Error::refused(Rule::CaseCollision, format!("{} came before", display_name(&before.path)))
    }

    /// Notes a whiteout.
    fn hide(&mut self, folder: &[u8], name: &[u8], how: i64) -> Result<()> {
        let parent = self.folder(folder, What::Passage)?;
        let path = join(folder, name);
        let key = fold(name)?;
        let what = if how == OPAQUE { What::Passage } else { What::Nothing };
        let mut row = self.look(&parent, &key)?.unwrap_or(Row {
            path,
            key,
            what,
            place: None,
            globals: 0,
            size: 0,
            link: None,
            hides: false,
            opaque: false,
        });
        row.hides |= how == HIDES;
        row.opaque |= how == OPAQUE;
        if how == OPAQUE && row.what == What::Nothing {
            row.what = What::Passage;
        }
        self.put(&parent, &row)
    }

    /// Makes sure that a folder has a row, and those above it; gives its key.
    fn folder(&mut self, folder: &[u8], what: What) -> Result<Vec<u8>> {
        if folder.is_empty() {
            return Ok(Vec::new());
        }
        if self.last_folder.0 == folder && what == What::Passage {
            return Ok(self.last_folder.1.clone());
        }
        let (above, name) = split(folder);
        let parent = self.folder(above, what)?;
        let key = fold(name)?;
        if parent.is_empty() && !ROOTS.contains(&&key[..]) {
            return Err(Error::refused(Rule::RootUnknown, display_name(folder)));
        }
        let full = join(&parent, &key);
        match self.look(&parent, &key)? {
            Some(row) if row.what == What::Entry(EntryKind::Directory) || row.what == what => {}
            Some(mut row) if !matches!(row.what, What::Entry(_)) => {
                row.what = what;
                row.path = folder.to_vec();
                self.put(&parent, &row)?;
            }
            Some(row) => {
                let what = format!("{} is no directory", display_name(&row.path));
                let is_link = matches!(row.what, What::Entry(EntryKind::Symlink | EntryKind::Junction));
                let rule = if is_link { Rule::LinkEscapes } else { Rule::DuplicateName };
                return Err(Error::refused(rule, what));
            }
            None => {
                let row = Row {
                    path: folder.to_vec(),
                    key,
                    what,
                    place: None,
                    globals: 0,
                    size: 0,
                    link: None,
                    hides: false,
                    opaque: false,
                };
                self.put(&parent, &row)?;
            }
        }
        self.last_folder = (folder.to_vec(), full.clone());
        Ok(full)
    }

    fn look(&mut self, folder: &[u8], name: &[u8]) -> Result<Option<Row>> {
        self.look.query_row([folder, name], row).optional().map_err(|e| sql(self.index, e))
    }

    fn put(&mut self, folder: &[u8], row: &Row) -> Result<()> {
        let integer = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        let hides = if row.hides { HIDES } else { 0 } | if row.opaque { OPAQUE } else { 0 };
        let values = params![
            folder,
            row.key,
            row.path,
            row.what.number(),
            row.place.map(integer),
            integer(row.globals),
            integer(row.size),
            row.link,
            hides
        ];
        self.put.execute(values).map(drop).map_err(|e| sql(self.index, e))
    }
}

fn row(row: &rusqlite::Row) -> rusqlite::Result<Row> {
    let number = row.get::<_, i64>(3)?;
    let what = KINDS.iter().find(|(_, kind)| *kind == number).map(|(what, _)| *what);
    let hides: i64 = row.get(8)?;
    Ok(Row {
        key: row.get(1)?,
        path: row.get(2)?,
        what: what.ok_or(rusqlite::Error::IntegralValueOutOfRange(3, number))?,
        place: row.get::<_, Option<i64>>(4)?.map(i64::unsigned_abs),
        globals: row.get::<_, i64>(5)?.unsigned_abs(),
        size: row.get::<_, i64>(6)?.unsigned_abs(),
        link: row.get(7)?,
        hides: hides & HIDES != 0,
        opaque: hides & OPAQUE != 0,
    })
}

fn trimmed(name: &[u8]) -> &[u8] {
    name.strip_suffix(b"/").unwrap_or(name)
}

/// A path as its folder and its last component.
pub(super) fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(at) => (&path[..at], &path[at + 1..]),
        None => (&[], path),
    }
}

pub(super) fn join(folder: &[u8], name: &[u8]) -> Vec<u8> {
    if folder.is_empty() { name.to_vec() } else { [folder, b"/", name].concat() }
}

fn fold(name: &[u8]) -> Result<Vec<u8>> {
    fold_wtf8(name).ok_or_else(|| Error::refused(Rule::NameNotUnicode, display_name(name)))
}
