//! An open folder that nothing leaves, by names as NT has them.
//!
//! The twin of [`crate::fs::Root`] for what Win32 would mangle: names are WTF-8 with slashes, as members of a layer
//! have them, and `con`, `end.` or `end ` mean just that. Every name is opened component by component, each relative to
//! an open handle, and none that is a link is gone through. Links at the end of a name are opened themselves.
//!
//! Which files can be opened depends on the [privileges](super::privilege) that the thread holds.

mod change;
mod open;

use super::handle::{FileId, Info, Object, settable};
use crate::error::{Error, Result, Rule};
use crate::layer_name::{components, is_or_is_below, parents, push, split};
use crate::nt::name::wtf8_from_utf16;
use crate::nt::{BasicInfo, FileAttributes};
use crate::transport::names::check_component;
use std::io;
use std::os::windows::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use windows::Wdk::Storage::FileSystem as nt;
use windows::Win32::Foundation::ERROR_SHARING_VIOLATION;
use windows::Win32::Storage::FileSystem::{
    DELETE, FILE_ACCESS_RIGHTS, FILE_FLAGS_AND_ATTRIBUTES, FILE_GENERIC_READ, FILE_GENERIC_WRITE, FILE_LIST_DIRECTORY,
    FILE_READ_ATTRIBUTES, FILE_SHARE_MODE, FILE_WRITE_ATTRIBUTES, SYNCHRONIZE, WRITE_DAC, WRITE_OWNER,
};
use windows::Win32::System::SystemServices::ACCESS_SYSTEM_SECURITY;

pub(super) use change::remove_object;
use change::{file_new_name, list_names};
use open::{At, FOLDER_ACCESS, NO_OPTIONS, SHARE_ALL, SHARE_READ, component_path, created, open_path};

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
        check_component(split(name).1)?;
        Ok(Parent(parents(name).next_back().map_or_else(|| Ok(Arc::clone(&self.root)), |above| self.folder(above))?))
    }

    fn folder(&self, name: &[u8]) -> Result<Arc<Object>> {
        check_component(split(name).1)?;
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        while open.last().is_some_and(|(known, _)| !is_or_is_below(name, known)) {
            open.pop();
        }
        let (mut at, mut folder) = open.last().cloned().unwrap_or_else(|| (Vec::new(), Arc::clone(&self.root)));
        let below = name[at.len()..].strip_prefix(b"/").unwrap_or(&name[at.len()..]);
        for component in components(below).filter(|_| !below.is_empty()) {
            check_component(component)?;
            push(&mut at, component);
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

fn write_access(security: Security) -> FILE_ACCESS_RIGHTS {
    let access = FILE_GENERIC_READ | FILE_GENERIC_WRITE | DELETE;
    match security {
        Security::Included => access | WRITE_DAC | WRITE_OWNER | FILE_ACCESS_RIGHTS(ACCESS_SYSTEM_SECURITY),
        Security::Left => access,
    }
}

const REMOVE_ACCESS: FILE_ACCESS_RIGHTS =
    FILE_ACCESS_RIGHTS(DELETE.0 | FILE_READ_ATTRIBUTES.0 | FILE_WRITE_ATTRIBUTES.0 | SYNCHRONIZE.0);
/// Folders that are kept open, however deep a path is.
const MOST_OPEN: usize = 16;
