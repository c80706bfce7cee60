//! An open folder that nothing leaves, by names as NT has them.
//!
//! The twin of [`crate::fs::Root`] for what Win32 would mangle: names are WTF-8 with slashes, as members of a layer have
//! them, and `con`, `end.` or `end ` mean just that. Every name is opened component by component, each relative to an
//! open handle, and none that is a link is gone through. Links at the end of a name are opened themselves.
//!
//! Which files can be opened depends on the [privileges](super::privilege) that the thread holds.

use super::handle::{FileId, Info, Object, settable, size_of_u32, status_error, win32_error};
use crate::error::{Error, Result, Rule, display_name};
use crate::nt::name::{utf16_from_wtf8, wtf8_from_utf16};
use crate::nt::{BasicInfo, FileAttributes};
use crate::transport::check_component;
use std::io;
use std::os::windows::ffi::{OsStrExt, OsStringExt};
use std::os::windows::io::{FromRawHandle, OwnedHandle};
use std::path::{Path, PathBuf, Prefix};
use std::sync::{Arc, Mutex, PoisonError};
use windows::Wdk::Foundation::OBJECT_ATTRIBUTES;
use windows::Wdk::Storage::FileSystem as nt;
use windows::Win32::Foundation::{
    ERROR_FILE_EXISTS, ERROR_FILENAME_EXCED_RANGE, ERROR_INVALID_FUNCTION, ERROR_INVALID_PARAMETER,
    ERROR_NO_MORE_FILES, ERROR_NOT_SUPPORTED, ERROR_SHARING_VIOLATION, HANDLE, OBJ_CASE_INSENSITIVE,
    STATUS_OBJECT_NAME_COLLISION, UNICODE_STRING, WIN32_ERROR,
};
use windows::Win32::Storage::FileSystem::{
    CreateFileW, DELETE, FILE_ACCESS_RIGHTS, FILE_DISPOSITION_FLAG_DELETE,
    FILE_DISPOSITION_FLAG_IGNORE_READONLY_ATTRIBUTE, FILE_DISPOSITION_FLAG_POSIX_SEMANTICS, FILE_DISPOSITION_INFO,
    FILE_DISPOSITION_INFO_EX, FILE_FLAG_BACKUP_SEMANTICS, FILE_FLAGS_AND_ATTRIBUTES, FILE_GENERIC_READ,
    FILE_GENERIC_WRITE, FILE_ID_BOTH_DIR_INFO, FILE_LIST_DIRECTORY, FILE_READ_ATTRIBUTES, FILE_SHARE_DELETE,
    FILE_SHARE_MODE, FILE_SHARE_READ, FILE_SHARE_WRITE, FILE_TRAVERSE, FILE_WRITE_ATTRIBUTES, FileDispositionInfo,
    FileDispositionInfoEx, FileIdBothDirectoryInfo, FileIdBothDirectoryRestartInfo, GetFileInformationByHandleEx,
    OPEN_EXISTING, SYNCHRONIZE, WRITE_DAC, WRITE_OWNER,
};
use windows::Win32::System::IO::IO_STATUS_BLOCK;
use windows::Win32::System::SystemServices::ACCESS_SYSTEM_SECURITY;
use windows::core::{PCWSTR, PWSTR};

/// What a backup stream covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Security {
    /// The security descriptor too, with its system part: the thread must hold SeSecurityPrivilege.
    Included,
    /// All but the security descriptor.
    Left,
}

/// A folder that nothing leaves. Several threads may use it.
#[derive(Debug)]
pub struct Folder {
    root: Arc<Object>,
    /// The folders on the way to the last name: layers come in the order of a walk.
    open: Mutex<Vec<(Vec<u8>, Arc<Object>)>>,
}

impl Folder {
    /// Opens a folder that the caller named, anywhere, following links. The path may be longer than Win32 takes.
    ///
    /// # Errors
    /// [`Error::Io`] with the path.
    pub fn open(path: &Path) -> Result<Self> {
        let object = open_path(path, FOLDER_ACCESS)?;
        if !object.basic_info()?.attributes.is_directory() {
            return Err(Error::io("open", Some(path), io::ErrorKind::NotADirectory.into()));
        }
        Ok(Folder { root: Arc::new(object), open: Mutex::default() })
    }

    /// The path it was opened by, in the form `\\?\C:\...`.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.root.path()
    }

    /// Opens a file, a folder or a link for `BackupRead`; the empty name is the folder itself. Others may write to it.
    ///
    /// # Errors
    /// The rules of names, [`Rule::LinkEscapes`] for a name that leads through a link, [`Error::Io`].
    pub fn open_read(&self, name: &[u8], security: Security) -> Result<Object> {
        let mut access = FILE_GENERIC_READ;
        if security == Security::Included {
            access |= FILE_ACCESS_RIGHTS(ACCESS_SYSTEM_SECURITY);
        }
        self.open_existing(name, access, SHARE_ALL)
    }

    /// Opens a file, a folder or a link that is there for `BackupWrite`.
    ///
    /// # Errors
    /// As [`Folder::open_read`].
    pub fn open_write(&self, name: &[u8], security: Security) -> Result<Object> {
        self.open_existing(name, write_access(security), SHARE_READ)
    }

    /// Makes an empty file, and opens it for `BackupWrite`. It gets those of the attributes that can be set, but for
    /// READONLY: that would stand in the way of its streams, so it comes with [`Object::set_basic_info`] at the end.
    ///
    /// # Errors
    /// [`Rule::TargetExists`]; else as [`Folder::open_read`].
    pub fn create_file(&self, name: &[u8], attributes: FileAttributes, security: Security) -> Result<Object> {
        self.create(name, attributes, security, nt::FILE_NON_DIRECTORY_FILE)
    }

    /// Makes an empty folder, and opens it for `BackupWrite`; as [`Folder::create_file`].
    ///
    /// # Errors
    /// As [`Folder::create_file`].
    pub fn create_folder(&self, name: &[u8], attributes: FileAttributes, security: Security) -> Result<Object> {
        self.create(name, attributes, security, nt::FILE_DIRECTORY_FILE)
    }

    /// Opens a named stream of a file for reading; the name is without colon and without `:$DATA`.
    ///
    /// # Errors
    /// [`Rule::NameColon`] for what is no name of a stream; else as [`Folder::open_read`].
    pub fn open_stream(&self, name: &[u8], stream: &[u8]) -> Result<Object> {
        check_component(stream)?;
        let object = self.open_existing(name, FILE_READ_ATTRIBUTES | SYNCHRONIZE, SHARE_ALL)?;
        let at = At {
            parent: &object,
            component: [b":", stream].concat(),
            path: self.full_path(&[name, stream].join(&b':')),
        };
        at.open(FILE_GENERIC_READ, SHARE_ALL, nt::FILE_NON_DIRECTORY_FILE)
    }

    /// Gives a file of a folder, this one or another of the same volume, a name in this one.
    ///
    /// # Errors
    /// [`Rule::TargetExists`]; else as [`Folder::open_read`].
    pub fn create_hard_link(&self, name: &[u8], source: &Folder, existing: &[u8]) -> Result<()> {
        let access = FILE_WRITE_ATTRIBUTES | FILE_READ_ATTRIBUTES | SYNCHRONIZE;
        let file = source.open_existing(existing, access, SHARE_ALL)?;
        let target = self.parent(name)?;
        file_new_name(&file, &target.at(self, name)?, nt::FileLinkInformation, "create hard link")
    }

    /// Gives a file or folder another name in this folder, which nothing has.
    ///
    /// # Errors
    /// [`Rule::TargetExists`]; else as [`Folder::open_read`].
    pub fn rename_new(&self, from: &[u8], to: &[u8]) -> Result<()> {
        self.forget();
        let file = self.open_inside(from, DELETE | FILE_READ_ATTRIBUTES | SYNCHRONIZE, SHARE_ALL)?;
        let target = self.parent(to)?;
        let renamed = file_new_name(&file, &target.at(self, to)?, nt::FileRenameInformation, "rename");
        self.forget();
        renamed
    }

    /// Removes a file, a link or an empty folder, a read-only one too.
    ///
    /// # Errors
    /// As [`Folder::open_read`].
    pub fn remove(&self, name: &[u8]) -> Result<()> {
        self.forget();
        remove_object(&self.open_inside(name, REMOVE_ACCESS, SHARE_ALL)?)
    }

    /// Removes a folder and everything in it; links in it go, what they point to stays.
    ///
    /// # Errors
    /// As [`Folder::open_read`].
    pub fn remove_tree(&self, name: &[u8]) -> Result<()> {
        self.forget();
        let mut above: Vec<(Object, std::vec::IntoIter<Vec<u8>>)> = Vec::new();
        let mut object = self.open_inside(name, REMOVE_ACCESS | FILE_LIST_DIRECTORY, SHARE_ALL)?;
        loop {
            let info = object.info()?;
            if info.is_directory() && !info.is_link() {
                let names = list_names(&object)?.into_iter();
                above.push((object, names));
            } else {
                remove_object(&object)?;
                drop(object);
            }
            object = loop {
                let Some((folder, names)) = above.last_mut() else { return Ok(()) };
                if let Some(component) = names.next() {
                    let path = folder.path().join(component_path(&component));
                    let at = At { parent: folder, component, path };
                    break at.open(REMOVE_ACCESS | FILE_LIST_DIRECTORY, SHARE_ALL, NO_OPTIONS)?;
                }
                let empty = above.pop().map(|(folder, _)| folder);
                empty.map_or(Ok(()), |folder| remove_object(&folder))?;
            };
        }
    }

    /// What is known about a file, a folder or a link; the empty name is the folder itself.
    ///
    /// # Errors
    /// As [`Folder::open_read`].
    pub fn info(&self, name: &[u8]) -> Result<Info> {
        self.open_existing(name, FILE_READ_ATTRIBUTES | SYNCHRONIZE, SHARE_ALL)?.info()
    }

    /// Which file a name leads to.
    ///
    /// # Errors
    /// As [`Folder::open_read`].
    pub fn id(&self, name: &[u8]) -> Result<FileId> {
        self.open_existing(name, FILE_READ_ATTRIBUTES | SYNCHRONIZE, SHARE_ALL)?.id()
    }

    /// Sets times and attributes, as [`Object::set_basic_info`].
    ///
    /// # Errors
    /// As [`Folder::open_read`].
    pub fn set_basic_info(&self, name: &[u8], info: &BasicInfo) -> Result<()> {
        let access = FILE_READ_ATTRIBUTES | FILE_WRITE_ATTRIBUTES | SYNCHRONIZE;
        self.open_existing(name, access, SHARE_ALL)?.set_basic_info(info)
    }

    /// The names in a folder, sorted by their bytes; the empty name is the folder itself.
    ///
    /// # Errors
    /// As [`Folder::open_read`].
    pub fn list(&self, name: &[u8]) -> Result<Vec<Vec<u8>>> {
        // A handle of its own: the place in a listing belongs to the handle.
        list_names(&self.open_existing(name, FOLDER_ACCESS, SHARE_ALL)?)
    }

    /// Whether somebody has a file open.
    ///
    /// # Errors
    /// As [`Folder::open_read`].
    pub fn is_open(&self, name: &[u8]) -> Result<bool> {
        match self.open_inside(name, FILE_GENERIC_READ, FILE_SHARE_MODE(0)) {
            Ok(_) => Ok(false),
            Err(Error::Io { source, .. }) if source.raw_os_error() == Some(ERROR_SHARING_VIOLATION.0.cast_signed()) => {
                Ok(true)
            }
            Err(error) => Err(error),
        }
    }

    /// Waits until a file, or the names in a folder, are on the disk.
    ///
    /// # Errors
    /// As [`Folder::open_read`].
    pub fn sync(&self, name: &[u8]) -> Result<()> {
        self.open_existing(name, FILE_GENERIC_WRITE, SHARE_ALL)?.sync()
    }

    fn create(
        &self,
        name: &[u8],
        attributes: FileAttributes,
        security: Security,
        kind: nt::NTCREATEFILE_CREATE_OPTIONS,
    ) -> Result<Object> {
        let parent = self.parent(name)?;
        let attributes = settable(attributes).0 & !FileAttributes::READONLY.0;
        let attributes = FILE_FLAGS_AND_ATTRIBUTES(if attributes == 0 { FileAttributes::NORMAL.0 } else { attributes });
        let at = parent.at(self, name)?;
        at.call(write_access(security), SHARE_READ, nt::FILE_CREATE, attributes, kind)
            .map_err(|e| created("create", &at.path, e))
    }

    /// Opens what is there; the empty name is the folder itself.
    fn open_existing(&self, name: &[u8], access: FILE_ACCESS_RIGHTS, share: FILE_SHARE_MODE) -> Result<Object> {
        if name.is_empty() {
            let path = self.path().to_owned();
            return At { parent: &self.root, component: Vec::new(), path }.open(access, share, NO_OPTIONS);
        }
        self.open_inside(name, access, share)
    }

    fn open_inside(&self, name: &[u8], access: FILE_ACCESS_RIGHTS, share: FILE_SHARE_MODE) -> Result<Object> {
        let parent = self.parent(name)?;
        parent.at(self, name)?.open(access, share, NO_OPTIONS)
    }

    /// The open folder that a name is in.
    fn parent(&self, name: &[u8]) -> Result<Parent> {
        let (above, component) = split(name);
        check_component(component)?;
        Ok(Parent(above.map_or_else(|| Ok(Arc::clone(&self.root)), |above| self.folder(above))?))
    }

    fn folder(&self, name: &[u8]) -> Result<Arc<Object>> {
        check_component(split(name).1)?;
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        while open.last().is_some_and(|(known, _)| !is_or_is_below(name, known)) {
            open.pop();
        }
        let (mut at, mut folder) = open.last().cloned().unwrap_or_else(|| (Vec::new(), Arc::clone(&self.root)));
        let below = name[at.len()..].strip_prefix(b"/").unwrap_or(&name[at.len()..]);
        for component in below.split(|&byte| byte == b'/').filter(|_| !below.is_empty()) {
            check_component(component)?;
            if !at.is_empty() {
                at.push(b'/');
            }
            at.extend_from_slice(component);
            let next = At { parent: &folder, component: component.to_vec(), path: self.full_path(&at) };
            folder = Arc::new(next.open_folder()?);
            if open.len() == MOST_OPEN {
                open.remove(0);
            }
            open.push((at.clone(), Arc::clone(&folder)));
        }
        Ok(folder)
    }

    fn full_path(&self, name: &[u8]) -> PathBuf {
        self.path().join(component_path(name))
    }

    /// Closes what is kept open: it would keep removed folders alive, and renamed ones under their old name.
    pub(super) fn forget(&self) {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

/// Opens a file, a folder or a link that the caller named, itself and not what it points to; links in the folders above
/// are followed. Gives the folder that it is in and its name there; the root of a volume is a folder with no name.
///
/// # Errors
/// [`Rule::NameEscapes`] for a path that ends in `..`; as [`Folder::open`].
pub fn open_parent(path: &Path) -> Result<(Folder, Vec<u8>)> {
    let Some(name) = path.file_name() else {
        if path.has_root() && path.parent().is_none() {
            return Ok((Folder::open(path)?, Vec::new()));
        }
        return Err(Error::refused(Rule::NameEscapes, path.display().to_string()));
    };
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = wtf8_from_utf16(&name.encode_wide().collect::<Vec<_>>());
    check_component(&name)?;
    Ok((Folder::open(parent)?, name))
}

/// A folder, and a name to be opened in it.
struct Parent(Arc<Object>);

impl Parent {
    fn at(&self, folder: &Folder, name: &[u8]) -> Result<At<'_>> {
        Ok(At { parent: &self.0, component: split(name).1.to_vec(), path: folder.full_path(name) })
    }
}

struct At<'a> {
    parent: &'a Object,
    component: Vec<u8>,
    path: PathBuf,
}

impl At<'_> {
    /// Opens what is there.
    fn open(
        &self,
        access: FILE_ACCESS_RIGHTS,
        share: FILE_SHARE_MODE,
        kind: nt::NTCREATEFILE_CREATE_OPTIONS,
    ) -> Result<Object> {
        let opened = self.call(access, share, nt::FILE_OPEN, FILE_FLAGS_AND_ATTRIBUTES(0), kind);
        opened.map_err(|e| Error::io("open", Some(&self.path), e))
    }

    /// Opens a folder to go through.
    fn open_folder(&self) -> Result<Object> {
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

    fn call(
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
fn open_path(path: &Path, access: FILE_ACCESS_RIGHTS) -> Result<Object> {
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

/// Hard links and renames: another name of an open file, in an open folder, that must be free.
fn file_new_name(
    file: &Object,
    target: &At<'_>,
    class: nt::FILE_INFORMATION_CLASS,
    operation: &'static str,
) -> Result<()> {
    // Both classes have one layout, whose first field, whether to replace, stays false.
    use nt::FILE_LINK_INFORMATION as Layout;
    let failed = |e| created(operation, &target.path, e);
    let name: Vec<u8> =
        component_units(&target.component).map_err(failed)?.iter().flat_map(|unit| unit.to_ne_bytes()).collect();
    let name_at = std::mem::offset_of!(Layout, FileName);
    let length = (name_at + name.len()).max(size_of::<Layout>());
    let mut block = vec![0_u64; length.div_ceil(8)];
    let mut put = |at: usize, bytes: &[u8]| {
        for (offset, byte) in bytes.iter().enumerate() {
            let (word, place) = ((at + offset) / 8, (at + offset) % 8);
            let mut word_bytes = block[word].to_ne_bytes();
            word_bytes[place] = *byte;
            block[word] = u64::from_ne_bytes(word_bytes);
        }
    };
    put(std::mem::offset_of!(Layout, RootDirectory), &(target.parent.raw().0 as usize).to_ne_bytes());
    let name_bytes = u32::try_from(name.len()).map_err(|_| failed(too_long()))?;
    put(std::mem::offset_of!(Layout, FileNameLength), &name_bytes.to_ne_bytes());
    put(name_at, &name);
    let mut io = IO_STATUS_BLOCK::default();
    let length = u32::try_from(length).map_err(|_| failed(too_long()))?;
    // SAFETY: both handles are open; the block is aligned for the structure, and filled in for the length given.
    let status = unsafe { nt::NtSetInformationFile(file.raw(), &raw mut io, block.as_ptr().cast(), length, class) };
    if status == STATUS_OBJECT_NAME_COLLISION {
        return Err(failed(io::Error::from_raw_os_error(ERROR_FILE_EXISTS.0.cast_signed())));
    }
    if status.is_err() { Err(failed(status_error(status))) } else { Ok(()) }
}

/// Removes what is open, whether it is read-only or not: it is gone when it is closed.
pub(super) fn remove_object(object: &Object) -> Result<()> {
    let flags = FILE_DISPOSITION_FLAG_DELETE.0
        | FILE_DISPOSITION_FLAG_POSIX_SEMANTICS.0
        | FILE_DISPOSITION_FLAG_IGNORE_READONLY_ATTRIBUTE.0;
    let at_once =
        FILE_DISPOSITION_INFO_EX { Flags: windows::Win32::Storage::FileSystem::FILE_DISPOSITION_INFO_EX_FLAGS(flags) };
    // SAFETY: FILE_DISPOSITION_INFO_EX is what the class takes.
    let removed = unsafe { object.set("remove", FileDispositionInfoEx, &at_once) };
    let Err(Error::Io { source, .. }) = &removed else { return removed };
    let unknown = [ERROR_INVALID_PARAMETER, ERROR_INVALID_FUNCTION, ERROR_NOT_SUPPORTED];
    if !unknown.iter().any(|code| source.raw_os_error() == Some(code.0.cast_signed())) {
        return removed;
    }
    // File systems that do not know it, and Windows before 10 1809.
    let info = object.basic_info()?;
    if info.attributes.contains(FileAttributes::READONLY) {
        let attributes = FileAttributes(info.attributes.0 & !FileAttributes::READONLY.0);
        object.set_basic_info(&BasicInfo { attributes, ..BasicInfo::default() })?;
    }
    // SAFETY: FILE_DISPOSITION_INFO is what the class takes.
    unsafe { object.set("remove", FileDispositionInfo, &FILE_DISPOSITION_INFO { DeleteFile: true }) }
}

fn list_names(folder: &Object) -> Result<Vec<Vec<u8>>> {
    let mut names = Vec::new();
    // Words, for the alignment of the structures.
    let mut block = vec![0_u64; LISTING / 8];
    let mut class = FileIdBothDirectoryRestartInfo;
    loop {
        let length = u32::try_from(LISTING).expect("it is a small constant");
        // SAFETY: the handle is open, and the block is writable for the length given.
        let listed = unsafe { GetFileInformationByHandleEx(folder.raw(), class, block.as_mut_ptr().cast(), length) };
        class = FileIdBothDirectoryInfo;
        if let Err(error) = listed {
            if WIN32_ERROR::from_error(&error) == Some(ERROR_NO_MORE_FILES) {
                names.sort_unstable();
                return Ok(names);
            }
            return Err(folder.error("list", win32_error(&error)));
        }
        let bytes: Vec<u8> = block.iter().flat_map(|word| word.to_ne_bytes()).collect();
        read_names(&bytes, &mut names).ok_or_else(|| folder.error("list", io::ErrorKind::InvalidData.into()))?;
    }
}

/// The names of a block of FILE_ID_BOTH_DIR_INFO; `None` when it leads out of itself.
fn read_names(bytes: &[u8], names: &mut Vec<Vec<u8>>) -> Option<()> {
    let number = |at: usize| Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?) as usize);
    let mut at = 0;
    loop {
        let start = at + std::mem::offset_of!(FILE_ID_BOTH_DIR_INFO, FileName);
        let length = number(at + std::mem::offset_of!(FILE_ID_BOTH_DIR_INFO, FileNameLength))?;
        let name = bytes.get(start..start.checked_add(length)?)?;
        let units: Vec<u16> = name.chunks_exact(2).map(|unit| u16::from_ne_bytes([unit[0], unit[1]])).collect();
        let name = wtf8_from_utf16(&units);
        if name != b"." && name != b".." {
            names.push(name);
        }
        match number(at)? {
            0 => return Some(()),
            next => at = at.checked_add(next)?,
        }
    }
}

fn created(operation: &'static str, path: &Path, error: io::Error) -> Error {
    if error.kind() == io::ErrorKind::AlreadyExists {
        return Error::refused(Rule::TargetExists, path.display().to_string());
    }
    Error::io(operation, Some(path), error)
}

fn component_units(component: &[u8]) -> io::Result<Vec<u16>> {
    utf16_from_wtf8(component).ok_or_else(|| io::ErrorKind::InvalidInput.into())
}

/// A name as the path that errors show.
fn component_path(name: &[u8]) -> PathBuf {
    let units = utf16_from_wtf8(name).unwrap_or_else(|| display_name(name).encode_utf16().collect());
    let units: Vec<u16> = units.into_iter().map(|unit| if unit == 0x2f { 0x5c } else { unit }).collect();
    PathBuf::from(std::ffi::OsString::from_wide(&units))
}

/// The folder of a name, unless it is in the topmost one, and its last component.
fn split(name: &[u8]) -> (Option<&[u8]>, &[u8]) {
    match name.iter().rposition(|&byte| byte == b'/') {
        Some(at) => (Some(&name[..at]), &name[at + 1..]),
        None => (None, name),
    }
}

fn is_or_is_below(name: &[u8], folder: &[u8]) -> bool {
    name.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
}

fn too_long() -> io::Error {
    io::Error::from_raw_os_error(ERROR_FILENAME_EXCED_RANGE.0.cast_signed())
}

fn write_access(security: Security) -> FILE_ACCESS_RIGHTS {
    let access = FILE_GENERIC_READ | FILE_GENERIC_WRITE | DELETE;
    match security {
        Security::Included => access | WRITE_DAC | WRITE_OWNER | FILE_ACCESS_RIGHTS(ACCESS_SYSTEM_SECURITY),
        Security::Left => access,
    }
}

const FOLDER_ACCESS: FILE_ACCESS_RIGHTS =
    FILE_ACCESS_RIGHTS(FILE_LIST_DIRECTORY.0 | FILE_TRAVERSE.0 | FILE_READ_ATTRIBUTES.0 | SYNCHRONIZE.0);
const REMOVE_ACCESS: FILE_ACCESS_RIGHTS =
    FILE_ACCESS_RIGHTS(DELETE.0 | FILE_READ_ATTRIBUTES.0 | FILE_WRITE_ATTRIBUTES.0 | SYNCHRONIZE.0);
const SHARE_ALL: FILE_SHARE_MODE = FILE_SHARE_MODE(FILE_SHARE_READ.0 | FILE_SHARE_WRITE.0 | FILE_SHARE_DELETE.0);
const SHARE_READ: FILE_SHARE_MODE = FILE_SHARE_MODE(FILE_SHARE_READ.0 | FILE_SHARE_DELETE.0);
const NO_OPTIONS: nt::NTCREATEFILE_CREATE_OPTIONS = nt::NTCREATEFILE_CREATE_OPTIONS(0);
/// Folders that are kept open, however deep a path is.
const MOST_OPEN: usize = 16;
/// Bytes that one call lists names into.
const LISTING: usize = 64 << 10;
