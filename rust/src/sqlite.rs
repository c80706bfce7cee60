//! What the SQLite databases of a store have in common.

use crate::error::{Error, StoreFault};
use rusqlite::Row;
use rusqlite::types::{FromSql, FromSqlError, ValueRef};
use std::path::{Path, is_separator};

/// The values of a row, in a database that may be damaged.
pub(crate) trait Values {
    /// The value of a column, counted from 0. `Row::get` would panic if it is of another type and the column has a name
    /// that is not text.
    fn value<T: FromSql>(&self, index: usize) -> rusqlite::Result<T>;
}

impl Values for Row<'_> {
    fn value<T: FromSql>(&self, index: usize) -> rusqlite::Result<T> {
        let value = self.get_ref(index)?;
        T::column_result(value).map_err(|error| wrong(index, value, error))
    }
}

fn wrong(index: usize, value: ValueRef<'_>, error: FromSqlError) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(index, value.data_type(), Box::new(error))
}

/// A path, escaped for a URI of SQLite.
pub(crate) fn escaped(path: &Path) -> String {
    let mut out = String::new();
    for &byte in path.as_os_str().as_encoded_bytes() {
        match byte {
            _ if is_separator(char::from(byte)) => out.push('/'),
            b'.' | b'-' | b'_' | b':' => out.push(char::from(byte)),
            _ if byte.is_ascii_alphanumeric() => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02x}")),
        }
    }
    out
}

/// An error of SQLite as an I/O error or as damage of the store.
pub(crate) fn sql(path: &str, error: rusqlite::Error) -> Error {
    use rusqlite::ErrorCode as Code;
    let kind = match error.sqlite_error_code() {
        Some(Code::DiskFull) => std::io::ErrorKind::StorageFull,
        Some(Code::ReadOnly) => std::io::ErrorKind::ReadOnlyFilesystem,
        Some(Code::PermissionDenied) => std::io::ErrorKind::PermissionDenied,
        Some(Code::CannotOpen) => std::io::ErrorKind::NotFound,
        Some(Code::DatabaseBusy | Code::DatabaseLocked) => std::io::ErrorKind::TimedOut,
        Some(Code::SystemIoFailure) => std::io::ErrorKind::Other,
        _ => return Error::store(StoreFault::Damaged, "", format!("{path}: {error}")),
    };
    Error::io("use the database", Some(Path::new(path)), std::io::Error::new(kind, error))
}
