//! What a tree looked like when it had just been laid out: one SQLite file beside it.
//!
//! A row a path, in the order in which a scan meets them: a directory, then what is in it, sorted by name as NTFS
//! compares names. So a scan reads the file from front to back, once. What a path was in the layers is not in it: the
//! view knows.

use crate::error::{Error, Result, StoreFault};
use crate::fs::disk::unix_time;
use crate::fs::{Kind, Metadata};
use crate::nt::name::fold_into;
use crate::sqlite::Values;
use rusqlite::{Connection, OpenFlags, Rows, Statement};
use std::path::{Path, PathBuf};

/// Told by `PRAGMA application_id`: `wlay`.
const APPLICATION: i32 = 0x776c_6179;
/// Told by `PRAGMA user_version`.
const VERSION: i32 = 1;
/// Between the components of a key: below every byte of a name, so that a directory comes right before its content.
pub(super) const SEPARATOR: u8 = 0;

/// The name that NTFS compares.
pub(super) fn name_key(name: &[u8]) -> Vec<u8> {
    let mut key = Vec::with_capacity(name.len());
    fold_into(name, &mut key);
    key
}

/// The path, for [`super::View::find`], that a key stands for.
pub(super) fn path_of_key(key: &[u8]) -> Vec<u8> {
    key.iter().map(|&b| if b == SEPARATOR { b'/' } else { b }).collect()
}

/// A moment on a file system: seconds since 1970, rounded down, and the nanoseconds after them.
pub(super) type Moment = Option<(i64, u32)>;

/// What is remembered of a file to notice its changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stat {
    pub kind: Kind,
    pub read_only: bool,
    pub links: u64,
    pub device: u64,
    pub inode: u64,
    pub size: u64,
    pub birth: Moment,
    pub modified: Moment,
    pub changed: Moment,
}

/// Bytes of a [`Stat`].
const STAT: usize = 2 + 4 * 8 + 3 * 13;

impl Stat {
    pub fn of(metadata: &Metadata) -> Self {
        let changed = metadata.changed.map(|(seconds, nanoseconds)| (seconds, u32::try_from(nanoseconds).unwrap_or(0)));
        let directory = metadata.kind == Kind::Directory;
        Stat {
            kind: metadata.kind,
            read_only: metadata.kind == Kind::File && metadata.read_only,
            // Of a directory both depend on what is in it.
            links: if directory { 1 } else { metadata.links },
            size: if directory { 0 } else { metadata.size },
            device: metadata.device,
            inode: metadata.inode,
            birth: metadata.created.map(unix_time),
            modified: metadata.modified.map(unix_time),
            changed,
        }
    }

    /// Whether both are of one file, as far as the file system tells. Numbers of files that are gone are given again:
    /// where no birth is known, size and time of the data have to agree.
    pub fn same_file(&self, other: &Stat) -> bool {
        let same = (self.kind, self.device, self.inode) == (other.kind, other.device, other.inode);
        let birth = match (self.birth, other.birth) {
            (Some(one), Some(two)) => one == two,
            _ => (self.size, self.modified) == (other.size, other.modified),
        };
        same && birth
    }

    pub fn to_bytes(&self) -> [u8; STAT] {
        let mut out = [0; STAT];
        out[0] = match self.kind {
            Kind::File => 0,
            Kind::Directory => 1,
            Kind::Symlink => 2,
            Kind::Other => 3,
        };
        out[1] = u8::from(self.read_only);
        for (slot, value) in out[2..34].chunks_exact_mut(8).zip([self.links, self.device, self.inode, self.size]) {
            slot.copy_from_slice(&value.to_le_bytes());
        }
        for (slot, moment) in out[34..].chunks_exact_mut(13).zip([self.birth, self.modified, self.changed]) {
            if let Some((seconds, nanoseconds)) = moment {
                slot[0] = 1;
                slot[1..9].copy_from_slice(&seconds.to_le_bytes());
                slot[9..].copy_from_slice(&nanoseconds.to_le_bytes());
            }
        }
        out
    }

    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; STAT] = bytes.try_into().ok()?;
        let number = |at: usize| Some(u64::from_le_bytes(*bytes[at..].first_chunk()?));
        let moment = |at: usize| -> Option<Moment> {
            let seconds = i64::from_le_bytes(*bytes[at + 1..].first_chunk()?);
            let nanoseconds = u32::from_le_bytes(*bytes[at + 9..].first_chunk()?);
            Some((bytes[at] == 1).then_some((seconds, nanoseconds)))
        };
        Some(Stat {
            kind: match bytes[0] {
                0 => Kind::File,
                1 => Kind::Directory,
                2 => Kind::Symlink,
                _ => return None,
            },
            read_only: bytes[1] == 1,
            links: number(2)?,
            device: number(10)?,
            inode: number(18)?,
            size: number(26)?,
            birth: moment(34)?,
            modified: moment(47)?,
            changed: moment(60)?,
        })
    }
}

/// Writes a record.
pub(super) struct RecordWriter {
    db: Connection,
    path: PathBuf,
}

impl RecordWriter {
    /// Makes the file, which is not there yet. Its data is not waited for.
    pub fn create(path: &Path) -> Result<Self> {
        crate::fs::absent(path)?;
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let db = Connection::open_with_flags(path, flags).map_err(|e| broken(path, e))?;
        let set_up = format!(
            "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA locking_mode = EXCLUSIVE;
             PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {VERSION};
             CREATE TABLE paths (key BLOB PRIMARY KEY, name BLOB NOT NULL, stat BLOB NOT NULL) WITHOUT ROWID;
             BEGIN;"
        );
        db.execute_batch(&set_up).map_err(|e| broken(path, e))?;
        Ok(RecordWriter { db, path: path.to_path_buf() })
    }

    /// Takes a row; keys ascend.
    pub fn add(&mut self, key: &[u8], name: &[u8], stat: &Stat) -> Result<()> {
        let failed = |e| broken(&self.path, e);
        let mut insert = self.db.prepare_cached("INSERT INTO paths VALUES (?, ?, ?)").map_err(failed)?;
        insert.execute((key, name, stat.to_bytes().as_slice())).map(drop).map_err(failed)
    }

    pub fn finish(self) -> Result<()> {
        self.db.execute_batch("COMMIT").map_err(|e| broken(&self.path, e))?;
        self.db.close().map_err(|(_, e)| broken(&self.path, e))
    }
}

/// A record that was written before.
pub(super) struct Record {
    db: Connection,
    path: PathBuf,
}

impl Record {
    pub fn open(path: &Path) -> Result<Self> {
        let failed = |e| broken(path, e);
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let db = Connection::open_with_flags(path, flags).map_err(failed)?;
        let number = |pragma: &str| db.pragma_query_value(None, pragma, |row| row.value::<i32>(0)).map_err(failed);
        if (number("application_id")?, number("user_version")?) != (APPLICATION, VERSION) {
            return Err(damaged(path, "not a record of this version"));
        }
        Ok(Record { db, path: path.to_path_buf() })
    }

    /// All rows by key.
    pub fn rows(&self) -> Result<Statement<'_>> {
        self.db.prepare("SELECT key, name, stat FROM paths ORDER BY key").map_err(|e| broken(&self.path, e))
    }
}

/// A place in a record, from front to back.
pub(super) struct Cursor<'r, 's> {
    rows: Rows<'s>,
    record: &'r Record,
    /// The row it stands at; meaningless at the end.
    pub key: Vec<u8>,
    pub name: Vec<u8>,
    pub stat: Vec<u8>,
    pub at_end: bool,
}

impl<'r, 's> Cursor<'r, 's> {
    pub fn new(record: &'r Record, rows: &'s mut Statement<'r>) -> Result<Self> {
        let rows = rows.query(()).map_err(|e| broken(&record.path, e))?;
        let mut cursor = Cursor { rows, record, key: Vec::new(), name: Vec::new(), stat: Vec::new(), at_end: false };
        cursor.advance()?;
        Ok(cursor)
    }

    pub fn advance(&mut self) -> Result<()> {
        let failed = |e| broken(&self.record.path, e);
        let Some(row) = self.rows.next().map_err(failed)? else {
            self.at_end = true;
            return Ok(());
        };
        for (index, field) in [&mut self.key, &mut self.name, &mut self.stat].into_iter().enumerate() {
            let value = row.get_ref(index).map_err(failed)?;
            let bytes = value.as_blob().map_err(|e| damaged(&self.record.path, &e.to_string()))?;
            field.clear();
            field.extend_from_slice(bytes);
        }
        Ok(())
    }

    /// What was remembered of the path.
    pub fn stat(&self) -> Result<Stat> {
        Stat::from_bytes(&self.stat).ok_or_else(|| damaged(&self.record.path, "a row that is no state of a file"))
    }
}

/// What SQLite says about a file.
pub(super) fn broken(path: &Path, error: rusqlite::Error) -> Error {
    use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
    match error.sqlite_error_code() {
        Some(DatabaseCorrupt | NotADatabase) => damaged(path, &error.to_string()),
        _ => Error::io("use", Some(path), std::io::Error::other(error)),
    }
}

fn damaged(path: &Path, detail: &str) -> Error {
    Error::store(StoreFault::Damaged, "", format!("{}: {detail}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stat() -> Stat {
        Stat {
            kind: Kind::File,
            read_only: true,
            links: 2,
            device: 3,
            inode: u64::MAX,
            size: 5,
            birth: None,
            modified: Some((-1, 999_999_999)),
            changed: Some((i64::MAX, 0)),
        }
    }

    #[test]
    fn a_state_comes_back() {
        assert_eq!(Stat::from_bytes(&stat().to_bytes()), Some(stat()));
        assert_eq!(Stat::from_bytes(&stat().to_bytes()[1..]), None);
        assert_eq!(Stat::from_bytes(&[3; STAT]), None);
    }

    #[test]
    fn a_file_number_that_is_given_again_is_another_file() {
        let old = Stat { birth: Some((1, 0)), ..stat() };
        assert!(old.same_file(&Stat { size: 6, modified: None, ..old.clone() }));
        assert!(!old.same_file(&Stat { birth: Some((2, 0)), ..old.clone() }));
        assert!(stat().same_file(&stat()));
        assert!(!stat().same_file(&Stat { size: 6, ..stat() }));
    }

    #[test]
    fn rows_come_in_the_order_of_a_walk() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("layout.db");
        let mut writer = RecordWriter::create(&path).unwrap();
        for key in [&b"FILES"[..], b"FILES\0A", b"FILES\0A\0Z", b"FILES\0A.TXT"] {
            writer.add(key, b"x", &stat()).unwrap();
        }
        writer.finish().unwrap();
        let record = Record::open(&path).unwrap();
        let mut statement = record.rows().unwrap();
        let mut cursor = Cursor::new(&record, &mut statement).unwrap();
        let mut keys = Vec::new();
        while !cursor.at_end {
            assert_eq!(cursor.stat().unwrap(), stat());
            keys.push(path_of_key(&cursor.key));
            cursor.advance().unwrap();
        }
        assert_eq!(keys, [&b"FILES"[..], b"FILES/A", b"FILES/A/Z", b"FILES/A.TXT"]);
    }

    #[test]
    fn another_file_is_no_record() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("layout.db");
        std::fs::write(&path, vec![b'x'; 4096]).unwrap();
        assert_eq!(Record::open(&path).err().map(|e| e.code()), Some("layer_damaged"));
        assert_eq!(RecordWriter::create(&path).err().map(|e| e.code()), Some("target_exists"));
        std::fs::write(&path, "").unwrap();
        assert_eq!(Record::open(&path).err().map(|e| e.code()), Some("layer_damaged"));
    }
}
