//! The calls that open files: one component relative to an open folder, or a path that the caller named.

use super::super::handle::{Object, size_of_u32, status_error, win32_error};
use crate::error::{Error, Result, Rule, display_name};
use crate::nt::name::utf16_from_wtf8;
use std::io;
use std::os::windows::ffi::{OsStrExt, OsStringExt};
use std::os::windows::io::{FromRawHandle, OwnedHandle};
use std::path::{Path, PathBuf, Prefix};
use windows::Wdk::Foundation::OBJECT_ATTRIBUTES;
use windows::Wdk::Storage::FileSystem as nt;
use windows::Win32::Foundation::{
    ERROR_FILE_EXISTS, ERROR_FILENAME_EXCED_RANGE, HANDLE, OBJ_CASE_INSENSITIVE, STATUS_OBJECT_NAME_COLLISION,
    UNICODE_STRING,
};
use windows::Win32::Storage::FileSystem::{
    CreateFileW, FILE_ACCESS_RIGHTS, FILE_FLAG_BACKUP_SEMANTICS, FILE_FLAGS_AND_ATTRIBUTES, FILE_LIST_DIRECTORY,
    FILE_READ_ATTRIBUTES, FILE_SHARE_DELETE, FILE_SHARE_MODE, FILE_SHARE_READ, FILE_SHARE_WRITE, FILE_TRAVERSE,
    OPEN_EXISTING, SYNCHRONIZE,
};
use windows::Win32::System::IO::IO_STATUS_BLOCK;
use windows::core::{PCWSTR, PWSTR};

/// A name that is to be opened, or made, relative to an open folder: one component, so that no link is gone through.
pub(super) struct At<'a> {
    pub parent: &'a Object,
    pub component: Vec<u8>,
    pub path: PathBuf,
}

impl At<'_> {
    /// Opens what is there.
    pub fn open(
        &self,
        access: FILE_ACCESS_RIGHTS,
        share: FILE_SHARE_MODE,
        kind: nt::NTCREATEFILE_CREATE_OPTIONS,
    ) -> Result<Object> {
        let opened = self.call(access, share, nt::FILE_OPEN, FILE_FLAGS_AND_ATTRIBUTES(0), kind);
        opened.map_err(|e| Error::io("open", Some(&self.path), e))
    }

    /// Opens a folder to go through.
    pub fn open_folder(&self) -> Result<Object> {
        let opened = self.open(FOLDER_ACCESS, SHARE_ALL, nt::FILE_DIRECTORY_FILE);
        let is_link = match &opened {
            Ok(folder) => folder.info()?.is_link(),
            // It may be a link to a file.
            Err(_) => self
                .open(FILE_READ_ATTRIBUTES | SYNCHRONIZE, SHARE_ALL, NO_OPTIONS)
                .and_then(|object| object.info())
                .is_ok_and(|info| info.is_link()),
        };
        if is_link {
            return Err(Error::refused(Rule::LinkEscapes, format!("{} is a link", self.path.display())));
        }
        opened
    }

    /// Opens or makes it.
    pub fn call(
        &self,
        access: FILE_ACCESS_RIGHTS,
        share: FILE_SHARE_MODE,
        disposition: nt::NTCREATEFILE_CREATE_DISPOSITION,
        attributes: FILE_FLAGS_AND_ATTRIBUTES,
        kind: nt::NTCREATEFILE_CREATE_OPTIONS,
    ) -> io::Result<Object> {
        let mut units = component_units(&self.component)?;
        let bytes = u16::try_from(units.len() * 2).map_err(|_| too_long())?;
        let name = UNICODE_STRING { Length: bytes, MaximumLength: bytes, Buffer: PWSTR(units.as_mut_ptr()) };
        let object_attributes = OBJECT_ATTRIBUTES {
            Length: size_of_u32::<OBJECT_ATTRIBUTES>(),
            RootDirectory: self.parent.raw(),
            ObjectName: &raw const name,
            Attributes: OBJ_CASE_INSENSITIVE,
            ..OBJECT_ATTRIBUTES::default()
        };
        let options =
            kind | nt::FILE_OPEN_REPARSE_POINT | nt::FILE_OPEN_FOR_BACKUP_INTENT | nt::FILE_SYNCHRONOUS_IO_NONALERT;
        let mut handle = HANDLE::default();
        let mut io = IO_STATUS_BLOCK::default();
        // SAFETY: `object_attributes` points to `name`, that to `units`, and all live through the call, as do the
        // handle and the status block, which are written to; the parent's handle is open.
        let status = unsafe {
            nt::NtCreateFile(
                &raw mut handle,
                access,
                &raw const object_attributes,
                &raw mut io,
                None,
                attributes,
                share,
                disposition,
                options,
                None,
                0,
            )
        };
        if status == STATUS_OBJECT_NAME_COLLISION {
            return Err(io::Error::from_raw_os_error(ERROR_FILE_EXISTS.0.cast_signed()));
        }
        if status.is_err() {
            return Err(status_error(status));
        }
        // SAFETY: the call succeeded, so the handle is open, and nobody else has it.
        Ok(Object::new(unsafe { OwnedHandle::from_raw_handle(handle.0) }, self.path.clone()))
    }
}

/// Opens by path, as Win32 does but for the length; follows links.
pub(super) fn open_path(path: &Path, access: FILE_ACCESS_RIGHTS) -> Result<Object> {
    let failed = |e| Error::io("open", Some(path), e);
    let long = verbatim(path).map_err(failed)?;
    let mut units: Vec<u16> = long.as_os_str().encode_wide().collect();
    if units.contains(&0) {
        return Err(Error::refused(Rule::NameNul, path.display().to_string()));
    }
    units.push(0);
    // SAFETY: the path ends in NUL and lives through the call.
    let opened = unsafe {
        let flags = FILE_FLAG_BACKUP_SEMANTICS;
        CreateFileW(PCWSTR(units.as_ptr()), access.0, SHARE_ALL, None, OPEN_EXISTING, flags, None)
    };
    let handle = opened.map_err(|e| failed(win32_error(&e)))?;
    // SAFETY: the call succeeded, so the handle is open, and nobody else has it.
    Ok(Object::new(unsafe { OwnedHandle::from_raw_handle(handle.0) }, long))
}

/// The form of a path that may be of any length.
fn verbatim(path: &Path) -> io::Result<PathBuf> {
    let absolute = std::path::absolute(path)?;
    let Some(std::path::Component::Prefix(prefix)) = absolute.components().next() else { return Ok(absolute) };
    let text = absolute.as_os_str().encode_wide().collect::<Vec<_>>();
    let (start, skip): (&str, usize) = match prefix.kind() {
        Prefix::Disk(_) => (r"\\?\", 0),
        Prefix::UNC(..) => (r"\\?\UNC\", 2),
        Prefix::Verbatim(_) | Prefix::VerbatimUNC(..) | Prefix::VerbatimDisk(_) | Prefix::DeviceNS(_) => {
            return Ok(absolute);
        }
    };
    let long: Vec<u16> = start.encode_utf16().chain(text[skip..].iter().copied()).collect();
    Ok(PathBuf::from(std::ffi::OsString::from_wide(&long)))
}

/// The error of a call that makes a name: one that is there already is refused by rule.
pub(super) fn created(operation: &'static str, path: &Path, error: io::Error) -> Error {
    if error.kind() == io::ErrorKind::AlreadyExists {
        return Error::refused(Rule::TargetExists, path.display().to_string());
    }
    Error::io(operation, Some(path), error)
}

pub(super) fn component_units(component: &[u8]) -> io::Result<Vec<u16>> {
    utf16_from_wtf8(component).ok_or_else(|| io::ErrorKind::InvalidInput.into())
}

/// A name as the path that errors show.
pub(super) fn component_path(name: &[u8]) -> PathBuf {
    let units = utf16_from_wtf8(name).unwrap_or_else(|| display_name(name).encode_utf16().collect());
    let units: Vec<u16> = units.into_iter().map(|unit| if unit == 0x2f { 0x5c } else { unit }).collect();
    PathBuf::from(std::ffi::OsString::from_wide(&units))
}

pub(super) fn too_long() -> io::Error {
    io::Error::from_raw_os_error(ERROR_FILENAME_EXCED_RANGE.0.cast_signed())
}

pub(super) const FOLDER_ACCESS: FILE_ACCESS_RIGHTS =
    FILE_ACCESS_RIGHTS(FILE_LIST_DIRECTORY.0 | FILE_TRAVERSE.0 | FILE_READ_ATTRIBUTES.0 | SYNCHRONIZE.0);
pub(super) const SHARE_ALL: FILE_SHARE_MODE =
    FILE_SHARE_MODE(FILE_SHARE_READ.0 | FILE_SHARE_WRITE.0 | FILE_SHARE_DELETE.0);
pub(super) const SHARE_READ: FILE_SHARE_MODE = FILE_SHARE_MODE(FILE_SHARE_READ.0 | FILE_SHARE_DELETE.0);
pub(super) const NO_OPTIONS: nt::NTCREATEFILE_CREATE_OPTIONS = nt::NTCREATEFILE_CREATE_OPTIONS(0);
