//! One open file or folder, and what can be asked of it without its name.
//!
//! Source of the structures: Microsoft, "File System Control Structures" and the pages of the functions.

use crate::error::{Error, Result};
use crate::nt::{BasicInfo, FileAttributes, FileTime};
use std::fs::File;
use std::io;
use std::os::windows::io::{AsRawHandle, OwnedHandle};
use std::path::{Path, PathBuf};
use windows::Win32::Foundation::{HANDLE, NTSTATUS, RtlNtStatusToDosError, WIN32_ERROR};
use windows::Win32::Storage::FileSystem::{
    FILE_ATTRIBUTE_TAG_INFO, FILE_BASIC_INFO, FILE_END_OF_FILE_INFO, FILE_ID_INFO, FILE_INFO_BY_HANDLE_CLASS,
    FILE_STANDARD_INFO, FileAttributeTagInfo, FileBasicInfo, FileEndOfFileInfo, FileIdInfo, FileStandardInfo,
    FlushFileBuffers, GetFileInformationByHandleEx, SetFileInformationByHandle,
};

/// Which file it is, whatever its name: the same for all hard links of one file, as long as the file is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileId {
    /// Serial number of the volume.
    pub volume: u64,
    /// The number on that volume.
    pub file: [u8; 16],
}

/// What is known about a file or folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Info {
    /// All four times, and the attributes.
    pub basic: BasicInfo,
    /// Bytes of its unnamed data, holes included.
    pub size: u64,
    /// How many names it has.
    pub links: u32,
    /// The tag, where it is a reparse point.
    pub reparse_tag: Option<u32>,
}

impl Info {
    /// Whether it is a folder, or a link to one.
    #[must_use]
    pub fn is_directory(&self) -> bool {
        self.basic.attributes.is_directory()
    }

    /// Whether its name stands for another one: a symbolic link, a junction. Other reparse points are the file or
    /// folder itself, with more about it.
    #[must_use]
    pub fn is_link(&self) -> bool {
        self.reparse_tag.is_some_and(|tag| tag & NAME_SURROGATE != 0)
    }
}

/// An open file or folder, which knows its path for errors.
#[derive(Debug)]
pub struct Object {
    handle: OwnedHandle,
    path: PathBuf,
}

impl Object {
    pub(super) fn new(handle: OwnedHandle, path: PathBuf) -> Self {
        Object { handle, path }
    }

    /// The path it was opened by.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What is known about it.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn info(&self) -> Result<Info> {
        let basic = self.basic_info()?;
        let standard: FILE_STANDARD_INFO = self.query(FileStandardInfo)?;
        let mut reparse_tag = None;
        if basic.attributes.is_reparse_point() {
            let tag: FILE_ATTRIBUTE_TAG_INFO = self.query(FileAttributeTagInfo)?;
            reparse_tag = Some(tag.ReparseTag);
        }
        let size = u64::try_from(standard.EndOfFile).unwrap_or_default();
        Ok(Info { basic, size, links: standard.NumberOfLinks, reparse_tag })
    }

    /// Its times and attributes.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn basic_info(&self) -> Result<BasicInfo> {
        let found: FILE_BASIC_INFO = self.query(FileBasicInfo)?;
        Ok(BasicInfo {
            creation_time: Some(FileTime(found.CreationTime)),
            last_access_time: Some(FileTime(found.LastAccessTime)),
            last_write_time: Some(FileTime(found.LastWriteTime)),
            change_time: Some(FileTime(found.ChangeTime)),
            attributes: FileAttributes(found.FileAttributes),
        })
    }

    /// Sets its times and its attributes, those of them that can be set: that it is a folder, sparse, compressed,
    /// encrypted or a reparse point are facts, not settings. A time that is missing, or not after 1601, stays as it is:
    /// for the system such numbers are commands.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn set_basic_info(&self, info: &BasicInfo) -> Result<()> {
        let ticks = |time: Option<FileTime>| time.map_or(0, |time| time.0.max(0));
        let attributes = settable(info.attributes);
        let wanted = FILE_BASIC_INFO {
            CreationTime: ticks(info.creation_time),
            LastAccessTime: ticks(info.last_access_time),
            LastWriteTime: ticks(info.last_write_time),
            ChangeTime: ticks(info.change_time),
            // Zero would mean "as they are".
            FileAttributes: if attributes.0 == 0 { FileAttributes::NORMAL.0 } else { attributes.0 },
        };
        // SAFETY: FILE_BASIC_INFO is what the class FileBasicInfo takes.
        unsafe { self.set("set times and attributes of", FileBasicInfo, &wanted) }
    }

    /// Which file it is.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn id(&self) -> Result<FileId> {
        let found: FILE_ID_INFO = self.query(FileIdInfo)?;
        Ok(FileId { volume: found.VolumeSerialNumber, file: found.FileId.Identifier })
    }

    /// Makes its unnamed data so long; it must be open for writing.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn set_size(&self, size: u64) -> Result<()> {
        let size = i64::try_from(size).map_err(|_| self.error("resize", io::ErrorKind::FileTooLarge.into()))?;
        // SAFETY: FILE_END_OF_FILE_INFO is what the class FileEndOfFileInfo takes.
        unsafe { self.set("resize", FileEndOfFileInfo, &FILE_END_OF_FILE_INFO { EndOfFile: size }) }
    }

    /// Waits until it is on the disk; it must be open for writing.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn sync(&self) -> Result<()> {
        // SAFETY: the handle is open.
        unsafe { FlushFileBuffers(self.raw()) }.map_err(|e| self.error("sync", win32_error(&e)))
    }

    /// The file for reading and writing its unnamed data.
    #[must_use]
    pub fn into_file(self) -> File {
        File::from(self.handle)
    }

    /// The handle, which stays this object's.
    pub(super) fn raw(&self) -> HANDLE {
        HANDLE(self.handle.as_raw_handle())
    }

    pub(super) fn error(&self, operation: &'static str, source: io::Error) -> Error {
        Error::io(operation, Some(&self.path), source)
    }

    /// Sets what one structure describes.
    ///
    /// # Safety
    /// `T` must be what the class takes.
    pub(super) unsafe fn set<T>(
        &self,
        operation: &'static str,
        class: FILE_INFO_BY_HANDLE_CLASS,
        value: &T,
    ) -> Result<()> {
        // SAFETY: the handle is open; the caller vouches for the structure, whose size is given.
        let set =
            unsafe { SetFileInformationByHandle(self.raw(), class, (&raw const *value).cast(), size_of_u32::<T>()) };
        set.map_err(|e| self.error(operation, win32_error(&e)))
    }

    fn query<T: Queried>(&self, class: FILE_INFO_BY_HANDLE_CLASS) -> Result<T> {
        let mut value = T::default();
        // SAFETY: the handle is open; `value` is writable for the size that is given, and any bits are a value of it.
        unsafe { GetFileInformationByHandleEx(self.raw(), class, (&raw mut value).cast(), size_of_u32::<T>()) }
            .map_err(|e| self.error("stat", win32_error(&e)))?;
        Ok(value)
    }
}

/// Structures of numbers alone: whatever the system writes into one is a value of it. (FILE_STANDARD_INFO has two
/// booleans, which the system writes as 0 or 1.)
trait Queried: Default {}
impl Queried for FILE_ATTRIBUTE_TAG_INFO {}
impl Queried for FILE_BASIC_INFO {}
impl Queried for FILE_ID_INFO {}
impl Queried for FILE_STANDARD_INFO {}

/// The attributes that can be set; the others are facts.
pub(super) fn settable(attributes: FileAttributes) -> FileAttributes {
    const SETTABLE: u32 = FileAttributes::READONLY.0
        | FileAttributes::HIDDEN.0
        | FileAttributes::SYSTEM.0
        | FileAttributes::ARCHIVE.0
        | FileAttributes::TEMPORARY.0
        | FileAttributes::OFFLINE.0
        | FileAttributes::NOT_CONTENT_INDEXED.0
        | FileAttributes::INTEGRITY_STREAM.0
        | FileAttributes::NO_SCRUB_DATA.0
        | FileAttributes::PINNED.0
        | FileAttributes::UNPINNED.0;
    FileAttributes(attributes.0 & SETTABLE)
}

/// Those of the attributes that [`Object::set_basic_info`] does not set, and that no stream of a backup stream brings.
pub(super) fn lost_attributes(attributes: FileAttributes) -> FileAttributes {
    const BY_STREAMS: u32 = FileAttributes::DIRECTORY.0
        | FileAttributes::NORMAL.0
        | FileAttributes::SPARSE_FILE.0
        | FileAttributes::REPARSE_POINT.0
        | FileAttributes::EA.0;
    FileAttributes(attributes.0 & !settable(attributes).0 & !BY_STREAMS)
}

/// The error of a call of the `windows` crate, with the number that the system gave.
pub(super) fn win32_error(error: &windows::core::Error) -> io::Error {
    let code = WIN32_ERROR::from_error(error).map_or(error.code().0, |code| code.0.cast_signed());
    io::Error::from_raw_os_error(code)
}

/// The error of a call of NT, with the number that Win32 has for it.
pub(super) fn status_error(status: NTSTATUS) -> io::Error {
    // SAFETY: the function looks the number up in a table.
    io::Error::from_raw_os_error(unsafe { RtlNtStatusToDosError(status) }.cast_signed())
}

pub(super) fn size_of_u32<T>() -> u32 {
    u32::try_from(size_of::<T>()).expect("structures of the system are small")
}

/// The bit of a reparse tag that says that the name stands for another one.
const NAME_SURROGATE: u32 = 0x2000_0000;
