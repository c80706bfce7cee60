//! A folder under the names that members have.

use crate::error::{Error, Result, Rule};
use crate::fs::{Metadata, Root};
use crate::nt::FileTime;
use crate::nt::name::utf16_from_wtf8;
use std::ffi::{OsStr, OsString};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A folder and everything in it.
pub(crate) struct Disk {
    pub root: Root,
}

impl Disk {
    pub fn open(path: &Path) -> Result<Self> {
        Ok(Disk { root: Root::open(path)? })
    }

    /// The same for another thread.
    pub fn again(&self) -> Self {
        Disk { root: self.root.again() }
    }

    /// What is at a name; `None` when nothing is, or when something on the way to it is not a folder.
    pub fn stat(&self, name: &[u8]) -> Result<Option<Metadata>> {
        match self.root.try_metadata(&disk_path(name)?) {
            Err(Error::Refused { rule: Rule::LinkEscapes, .. }) => Ok(None),
            Err(error) if error.io_kind() == Some(ErrorKind::InvalidFilename) => Ok(None),
            found => found,
        }
    }

    /// The names in a directory, in the order of their bytes.
    pub fn children(&self, name: &[u8]) -> Result<Vec<Vec<u8>>> {
        Ok(self.root.list(&disk_path(name)?)?.iter().map(|name| name_bytes(name)).collect())
    }

    /// Gives a file a second name; where the file system cannot, a copy.
    pub fn hard_link_or_copy(&self, from: &Path, to: &Path) -> Result<()> {
        match self.root.create_hard_link(to, from) {
            // Some file systems have no hard links, and all have a bound.
            Err(Error::Io { .. }) => {
                let mut file = explain(self.root.create_file(to))?;
                let copied = std::io::copy(&mut self.root.open_file(from)?, &mut file);
                copied.map(drop).map_err(|e| Error::io("copy", Some(to), e))
            }
            other => explain(other),
        }
    }

    /// The target of the symlink at a name, as it stands there.
    pub fn read_link(&self, name: &[u8]) -> Result<Vec<u8>> {
        Ok(name_bytes(self.root.read_link(&disk_path(name)?)?.as_os_str()))
    }
}

/// Something that was there is not any more.
pub(crate) fn changed(name: &[u8], detail: &str) -> Error {
    Error::refused(Rule::FileChanged, detail).in_member(name)
}

/// Seconds since 1970, rounded down, and the nanoseconds after them.
pub(crate) fn unix_time(time: SystemTime) -> (i64, u32) {
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

/// `None` where the system's clock does not reach.
pub(crate) fn system_time(time: FileTime) -> Option<SystemTime> {
    let (seconds, nanoseconds) = time.to_unix();
    let whole = Duration::from_secs(seconds.unsigned_abs());
    let base = if seconds < 0 { UNIX_EPOCH.checked_sub(whole) } else { UNIX_EPOCH.checked_add(whole) };
    base?.checked_add(Duration::from_nanos(nanoseconds.into()))
}

/// Explains why something could not be made.
pub(crate) fn explain<T>(result: Result<T>) -> Result<T> {
    result.map_err(|error| match error {
        // The very name was free: so it is one that this disk takes for the same.
        Error::Refused { rule: Rule::TargetExists, .. } => {
            Error::refused(Rule::CaseCollision, "this disk does not tell them apart")
        }
        Error::Io { source, .. } if source.kind() == ErrorKind::InvalidFilename => {
            Error::refused(Rule::NameReserved, "too long for this disk, or not a name here")
        }
        other => other,
    })
}

/// Refuses components that a disk would take for something else.
pub(crate) fn check_components(path: &[u8]) -> Result<()> {
    for component in path.split(|&b| b == b'/') {
        if utf16_from_wtf8(component).is_none() {
            return Err(Error::refused(Rule::NameNotUnicode, ""));
        }
        // What Windows would mangle is refused where files are made.
        if matches!(component, b"." | b".." | b"") {
            return Err(Error::refused(Rule::NameReserved, crate::error::display_name(component)));
        }
    }
    Ok(())
}

/// Refuses what is not the name of a stream: no tar of ours would have it as a member.
pub(crate) fn check_stream_name(name: &[u8]) -> Result<()> {
    if utf16_from_wtf8(name).is_none() {
        return Err(Error::refused(Rule::NameNotUnicode, "of a stream"));
    }
    if name.is_empty() || name.iter().any(|b| matches!(b, b':' | b'/' | b'\\' | 0)) {
        let detail = format!("\"{}\" is not the name of a stream", crate::error::display_name(name));
        return Err(Error::refused(Rule::NameReserved, detail));
    }
    Ok(())
}

/// Where a member lies below the root.
pub(crate) fn disk_path(name: &[u8]) -> Result<PathBuf> {
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
    let units = utf16_from_wtf8(name);
    let units = units.ok_or_else(|| Error::refused(Rule::NameNotUnicode, "").in_member(name))?;
    Ok(OsString::from_wide(&units))
}

/// A name of the system as a member has it.
#[cfg(unix)]
pub(crate) fn name_bytes(name: &OsStr) -> Vec<u8> {
    std::os::unix::ffi::OsStrExt::as_bytes(name).to_vec()
}

/// A name of the system as a member has it.
#[cfg(windows)]
pub(crate) fn name_bytes(name: &OsStr) -> Vec<u8> {
    use std::os::windows::ffi::OsStrExt;
    crate::nt::name::wtf8_from_utf16(&name.encode_wide().collect::<Vec<u16>>())
}
