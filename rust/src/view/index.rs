//! One imported layer: where in its tar each entry stands, by folded name.
//!
//! A SQLite file beside the tar, written once. Metadata stays in the tar alone: a row tells where, and the entry is
//! decoded from there. A directory has a number, and what lies in it has that number: so the index grows with the tar,
//! however deep its paths are.

mod build;
#[cfg(test)]
mod tests;

pub use build::Draft;

use super::source::{Holds, LayerSource, Row};
use crate::error::{Error, Result, StoreFault, display_name};
use crate::fs::{DELETES_OPEN_FILES, Staging, open_file};
use crate::layer_name::base_name;
use crate::layer_tar::{EntryKind, Found, LayerEntry, RandomReader};
use crate::limits::Limits;
use crate::nt::name::fold_wtf8;
use crate::policy::Policy;
use crate::source::ReadAt;
use crate::sqlite::{Values, escaped, sql};
use rusqlite::{Connection, OpenFlags, OptionalExtension};
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// The version of the tables, in `user_version`.
const VERSION: i64 = 1;
/// "WLix", in `application_id`.
const APPLICATION: i64 = 0x574c_6978;

/// What [`Index::build`] counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Summary {
    /// Entries, named streams not counted.
    pub entries: u64,
    /// Bytes of unnamed data.
    pub data: u64,
}

/// What was imported.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Imported {
    /// `sha256:` and the digest of the uncompressed tar, its end included.
    pub diff_id: String,
    /// Bytes of the uncompressed tar.
    pub size: u64,
    /// Entries, named streams not counted.
    pub entries: u64,
    /// Bytes of file data, which [`crate::store::LayerStore::apply_diff`] returns.
    pub data: u64,
}

const KINDS: [(Holds, i64); 8] = [
    (Holds::Nothing, 0),
    (Holds::Passage, 1),
    (Holds::Entry(EntryKind::File), 2),
    (Holds::Entry(EntryKind::Directory), 3),
    (Holds::Entry(EntryKind::Symlink), 4),
    (Holds::Entry(EntryKind::Junction), 5),
    (Holds::Entry(EntryKind::Reparse), 6),
    (Holds::Entry(EntryKind::HardLink), 7),
];
const HIDES: i64 = 1;
const OPAQUE: i64 = 2;

fn number_of(what: Holds) -> i64 {
    KINDS.iter().find(|(kind, _)| *kind == what).map_or(0, |(_, number)| *number)
}

/// An imported layer, opened. Threads may share it.
///
/// ```
/// use std::{fs::File, sync::Arc};
/// use winlayers::view::{Index, LayerSource};
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
/// let row = index.get(b"FILES/HELLO.TXT")?.unwrap();
/// assert_eq!(index.entry(&row)?.entry.name, b"Files/Hello.txt");
/// # Ok::<(), winlayers::error::Error>(())
/// ```
pub struct Index {
    connection: Mutex<Connection>,
    path: String,
    tar: Arc<dyn ReadAt>,
    imported: Imported,
    globals: Vec<u8>,
    limits: Limits,
    /// The folder of a temporary index. Windows deletes no open file, so the folder goes last.
    _folder: Option<Staging>,
}

impl Index {
    /// Reads the headers of an uncompressed layer tar, and writes an index of it to a new file, which is not synced.
    ///
    /// # Errors
    /// Those of reading a layer tar. [`Error::Refused`], with the member: [`Rule::NameNotUnicode`],
    /// [`Rule::RootUnknown`], [`Rule::CaseCollision`] for two members that NTFS takes for one,
    /// [`Rule::DuplicateName`] for one name twice or a file that others lie in, [`Rule::LinkEscapes`] for a link that
    /// others lie in, [`Rule::WhiteoutName`] for a folder named like a whiteout, [`Rule::NameEscapes`] for a whiteout
    /// of `..`.
    ///
    /// [`Rule::NameNotUnicode`]: crate::error::Rule::NameNotUnicode
    /// [`Rule::RootUnknown`]: crate::error::Rule::RootUnknown
    /// [`Rule::CaseCollision`]: crate::error::Rule::CaseCollision
    /// [`Rule::DuplicateName`]: crate::error::Rule::DuplicateName
    /// [`Rule::LinkEscapes`]: crate::error::Rule::LinkEscapes
    /// [`Rule::WhiteoutName`]: crate::error::Rule::WhiteoutName
    /// [`Rule::NameEscapes`]: crate::error::Rule::NameEscapes
    pub fn build(tar: Arc<dyn ReadAt>, index: &Path, diff_id: &str, limits: &Limits) -> Result<Summary> {
        let size = tar.size().map_err(|e| Error::io("stat", None, e))?;
        Self::draft(tar, index, limits)?.finish(diff_id, size)
    }

    /// As [`Index::build`], up to what is known only when the last byte of the tar is there.
    ///
    /// # Errors
    /// As [`Index::build`].
    pub fn draft(tar: Arc<dyn ReadAt>, index: &Path, limits: &Limits) -> Result<Draft> {
        build::draft(tar, index, limits)
    }

    /// Opens a tar and its index.
    ///
    /// # Errors
    /// [`StoreFault::Damaged`] for an index that is none, is of another version, or does not go with the tar;
    /// [`Error::Io`].
    pub fn open(tar: &Path, index: &Path, limits: &Limits) -> Result<Self> {
        let file = open_file(tar)?;
        let size = file.size().map_err(|e| Error::io("stat", Some(tar), e))?;
        Self::open_with(Arc::new(Tar { file, size }), index, limits)
    }

    /// Opens an index, with a tar that may be no file.
    ///
    /// # Errors
    /// As [`Index::open`].
    pub fn open_with(tar: Arc<dyn ReadAt>, index: &Path, limits: &Limits) -> Result<Self> {
        let path = index.display().to_string();
        let damaged = |detail: String| Error::store(StoreFault::Damaged, "", format!("{path}: {detail}"));
        let connection = open_immutable(index)?;
        let (imported, globals) = (|| {
            let pragma = |name: &str| connection.pragma_query_value(None, name, |row| row.value::<i64>(0));
            if (pragma("application_id")?, pragma("user_version")?) != (APPLICATION, VERSION) {
                return Ok(None);
            }
            connection.query_row("SELECT * FROM about", [], about).optional()
        })()
        .map_err(|e: rusqlite::Error| damaged(e.to_string()))?
        .ok_or_else(|| damaged(format!("expected an index of version {VERSION}, found something else")))?;
        let size = tar.size().map_err(|e| Error::io("stat", None, e))?;
        if size != imported.size {
            return Err(damaged(format!("expected a tar of {} bytes, found {size}", imported.size)));
        }
        let connection = Mutex::new(connection);
        Ok(Index { connection, path, tar, imported, globals, limits: limits.clone(), _folder: None })
    }

    /// A temporary index: the folder that it lies in is deleted with it, or at once where an open file can be deleted.
    pub(crate) fn keeping(self, folder: Staging) -> Self {
        Index { _folder: (!DELETES_OPEN_FILES).then_some(folder), ..self }
    }

    /// What the import reported.
    #[must_use]
    pub fn imported(&self) -> Imported {
        self.imported.clone()
    }

    /// The tar that the places of entries are in.
    #[must_use]
    pub fn tar(&self) -> Arc<dyn ReadAt> {
        Arc::clone(&self.tar)
    }

    fn decode(&self, row: &Row, next: fn(&mut RandomReader) -> Result<Option<Found>>) -> Result<Found> {
        let Some(place) = row.place else {
            let entry = LayerEntry::new(row.name.clone(), EntryKind::Directory);
            return Ok(Found { entry, places: Vec::new(), position: 0, globals: 0 });
        };
        let globals = usize::try_from(row.globals).ok().and_then(|n| self.globals.get(..n));
        let globals = globals.ok_or_else(|| self.damaged("global records that there are not"))?;
        let mut reader = RandomReader::starting_in(self.tar(), place, globals, Policy::default(), &self.limits)?;
        let is_it = |found: &Found| {
            let name = fold_wtf8(base_name(&found.entry.name));
            Holds::Entry(found.entry.kind) == row.what && name.as_ref() == Some(&row.key)
        };
        match next(&mut reader)? {
            Some(found) if is_it(&found) => Ok(found),
            _ => Err(self.damaged(&format!("\"{}\", which its tar has elsewhere", display_name(&row.name)))),
        }
    }

    /// Whether two index files tell the same.
    ///
    /// # Errors
    /// [`StoreFault::Damaged`] for one that is none.
    pub fn same_rows(one: &Path, other: &Path) -> Result<bool> {
        let (left, right) = (open_immutable(one)?, open_immutable(other)?);
        let compare = || {
            let claims = |connection: &Connection| connection.query_row("SELECT * FROM about", [], about);
            if claims(&left)? != claims(&right)? {
                return Ok(false);
            }
            const ALL: &str = "SELECT *, folder FROM entry ORDER BY folder, name";
            let whole = |found: &rusqlite::Row| Ok((row(found)?, found.value::<i64>(COLUMNS)?));
            let (mut left, mut right) = (left.prepare(ALL)?, right.prepare(ALL)?);
            let mut right = right.query_map([], whole)?;
            for one in left.query_map([], whole)? {
                match right.next().transpose()? {
                    Some(other) if other == one? => {}
                    _ => return Ok(false),
                }
            }
            Ok(right.next().is_none())
        };
        compare().map_err(|e| sql(&one.display().to_string(), e))
    }

    fn query<T>(&self, work: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T> {
        work(&self.connection.lock().unwrap_or_else(PoisonError::into_inner)).map_err(|e| sql(&self.path, e))
    }

    fn damaged(&self, what: &str) -> Error {
        Error::store(StoreFault::Damaged, "", format!("{}: it tells of {what}", self.path))
    }
}

impl LayerSource for Index {
    fn get_in(&self, folder: u64, name: &[u8]) -> Result<Option<Row>> {
        self.query(|connection| {
            let mut statement = connection.prepare_cached("SELECT * FROM entry WHERE folder = ? AND name = ?")?;
            let mut rows = statement.query((integer(folder), name))?;
            rows.next()?.map(row).transpose()
        })
    }

    fn children(&self, folder: u64) -> Result<Vec<Row>> {
        self.query(|connection| {
            let mut statement = connection.prepare_cached("SELECT * FROM entry WHERE folder = ? ORDER BY name")?;
            statement.query_map([integer(folder)], row)?.collect()
        })
    }

    fn entry(&self, row: &Row) -> Result<Found> {
        self.decode(row, RandomReader::next_found)
    }

    fn head(&self, row: &Row) -> Result<Found> {
        self.decode(row, RandomReader::next_head)
    }

    fn entries(&self) -> Result<Box<dyn Iterator<Item = Result<Found>> + '_>> {
        let mut reader = RandomReader::new(self.tar(), Policy::default(), &self.limits)?;
        Ok(Box::new(std::iter::from_fn(move || reader.next_found().transpose())))
    }

    fn data(&self) -> Result<Arc<dyn ReadAt>> {
        Ok(Arc::clone(&self.tar))
    }
}

/// A tar whose length was looked at once.
struct Tar {
    file: File,
    size: u64,
}

impl ReadAt for Tar {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(buf, offset)
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.size)
    }
}

/// Opens an index that nobody writes to: without locks, and without other files.
fn open_immutable(index: &Path) -> Result<Connection> {
    // SQLite tells less about a file that is not there.
    drop(open_file(index)?);
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let uri = format!("file:{}?immutable=1", escaped(index));
    let open = || {
        let connection = Connection::open_with_flags(uri, flags)?;
        connection.pragma_update(None, "mmap_size", 0)?;
        connection.pragma_update(None, "cell_size_check", true)?;
        connection.set_prepared_statement_cache_capacity(8);
        Ok(connection)
    };
    open().map_err(|e| sql(&index.display().to_string(), e))
}

fn about(row: &rusqlite::Row) -> rusqlite::Result<(Imported, Vec<u8>)> {
    let number = |i| row.value::<i64>(i).map(i64::unsigned_abs);
    let imported = Imported { diff_id: row.value(0)?, size: number(1)?, entries: number(2)?, data: number(3)? };
    Ok((imported, row.value(4)?))
}

const COLUMNS: usize = 10;

fn row(row: &rusqlite::Row) -> rusqlite::Result<Row> {
    let number = |i| row.value::<i64>(i);
    let wrong = |i, number| rusqlite::Error::IntegralValueOutOfRange(i, number);
    let kind = number(3)?;
    let what = KINDS.iter().find(|(_, number)| *number == kind).map(|(what, _)| *what).ok_or_else(|| wrong(3, kind))?;
    // A directory came after the one that it lies in, so no damage makes them lie in one another.
    let (within, folder) = (number(0)?, number(4)?);
    if within < 0 || what.is_folder() && folder <= within {
        return Err(wrong(4, folder));
    }
    let hides = number(9)?;
    Ok(Row {
        key: row.value(1)?,
        name: row.value(2)?,
        what,
        folder: folder.unsigned_abs(),
        place: row.value::<Option<i64>>(5)?.map(i64::unsigned_abs),
        globals: number(6)?.unsigned_abs(),
        size: number(7)?.unsigned_abs(),
        link: row.value(8)?,
        hides: hides & HIDES != 0,
        opaque: hides & OPAQUE != 0,
    })
}

/// SQLite's integers have a sign; nothing here is as large as to need it.
fn integer(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}
