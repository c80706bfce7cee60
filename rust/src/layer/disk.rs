//! A folder under the names that members have.

use crate::error::{Error, Result, Rule};
use crate::fs::{Metadata, Root};
use std::ffi::{OsStr, OsString};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// A folder and everything in it.
pub(super) struct Disk {
    pub root: Root,
}

impl Disk {
    pub fn open(path: &Path) -> Result<Self> {
        Ok(Disk { root: Root::open(path)? })
    }

    /// What is at a name; `None` when nothing is, or when something on the way to it is no directory.
    pub fn stat(&self, name: &[u8]) -> Result<Option<Metadata>> {
        use ErrorKind::{InvalidFilename, NotADirectory, NotFound};
        match self.root.metadata(&disk_path(name)?) {
            Ok(metadata) => Ok(Some(metadata)),
            Err(Error::Refused { rule: Rule::LinkEscapes, .. }) => Ok(None),
            Err(Error::Io { source, .. }) if matches!(source.kind(), NotFound | NotADirectory | InvalidFilename) => {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// The names in a directory, in the order of their bytes.
    pub fn children(&self, name: &[u8]) -> Result<Vec<Vec<u8>>> {
        Ok(self.root.list(&disk_path(name)?)?.iter().map(|name| name_bytes(name)).collect())
    }

    /// The target of the symlink at a name, as it stands there.
    pub fn read_link(&self, name: &[u8]) -> Result<Vec<u8>> {
        Ok(name_bytes(self.root.read_link(&disk_path(name)?)?.as_os_str()))
    }
}

/// Something that was there is not any more.
pub(super) fn changed(name: &[u8], detail: &str) -> Error {
    Error::refused(Rule::FileChanged, detail).in_member(name)
}

/// Seconds since 1970, rounded down, and the nanoseconds after them.
pub(super) fn unix_time(time: SystemTime) -> (i64, u32) {
    use std::time::UNIX_EPOCH;
    match time.duration_since(UNIX_EPOCH) {
        Ok(after) => (i64::try_from(after.as_secs()).unwrap_or(i64::MAX), after.subsec_nanos()),
        Err(before) => {
            let before = before.duration();
            let seconds = i64::try_from(before.as_secs()).map_or(i64::MIN, |seconds| -seconds);
            match before.subsec_nanos() {
                0 => (seconds, 0),
                nanoseconds => (seconds.saturating_sub(1), 1_000_000_000 - nanoseconds),
            }
        }
    }
}

/// Where a member lies below the root.
pub(super) fn disk_path(name: &[u8]) -> Result<PathBuf> {
    os_name(name).map(PathBuf::from)
}

#[cfg(unix)]
fn os_name(name: &[u8]) -> Result<OsString> {
    use std::os::unix::ffi::OsStrExt;
    Ok(OsStr::from_bytes(name).to_os_string())
}

#[cfg(windows)]
fn os_name(name: &[u8]) -> Result<OsString> {
    use std::os::windows::ffi::OsStringExt;
    let units = crate::nt::name::utf16_from_wtf8(name);
    let units = units.ok_or_else(|| Error::refused(Rule::NameNotUnicode, "").in_member(name))?;
    Ok(OsString::from_wide(&units))
}

/// A name of the system as a member has it.
#[cfg(unix)]
fn name_bytes(name: &OsStr) -> Vec<u8> {
    std::os::unix::ffi::OsStrExt::as_bytes(name).to_vec()
}

/// A name of the system as a member has it.
#[cfg(windows)]
fn name_bytes(name: &OsStr) -> Vec<u8> {
    use std::os::windows::ffi::OsStrExt;
    crate::nt::name::wtf8_from_utf16(&name.encode_wide().collect::<Vec<u16>>())
}
