//! `BackupRead` and `BackupWrite` of kernel32, or of a double for tests.
//!
//! Wine's are stubs. Under the feature `backup-double` they are looked up in the DLL that the environment variable
//! `WINLAYERS_BACKUP_DLL` names, where it is set; no wheel that is shipped has the feature.

use std::ffi::c_void;
use std::io;
use windows::Win32::Foundation::HANDLE;

/// What one file's backup or restoration needs from call to call; the system's own.
pub(super) type Context = *mut c_void;

/// Fills a buffer with the next bytes of a file's backup stream; 0 at its end.
///
/// # Safety
/// `file` must be open, and `context` null, or what the last call for this very file left there.
pub(super) unsafe fn backup_read(
    file: HANDLE,
    buffer: &mut [u8],
    security: bool,
    context: &mut Context,
) -> io::Result<usize> {
    let mut read = 0;
    let buffer = clamped_mut(buffer);
    #[cfg(feature = "backup-double")]
    if let Some(double) = double::functions()? {
        // SAFETY: the double has the signature of BackupRead, and is given what that is given below.
        let done = unsafe {
            let length = buffer.len() as u32;
            (double.read)(file, buffer.as_mut_ptr(), length, &raw mut read, false.into(), security.into(), context)
        };
        return done.ok().map(|()| read as usize).map_err(|e| super::handle::win32_error(&e));
    }
    use windows::Win32::Storage::FileSystem::BackupRead;
    // SAFETY: the caller vouches for the handle and the context; the buffer is written to within its length.
    let done = unsafe { BackupRead(file, buffer, &raw mut read, false, security, context) };
    done.map(|()| read as usize).map_err(|e| super::handle::win32_error(&e))
}

/// Takes the next bytes of a file's backup stream; tells how many it took.
///
/// # Safety
/// As [`backup_read`].
pub(super) unsafe fn backup_write(
    file: HANDLE,
    bytes: &[u8],
    security: bool,
    context: &mut Context,
) -> io::Result<usize> {
    let mut written = 0;
    let bytes = &bytes[..bytes.len().min(MOST)];
    #[cfg(feature = "backup-double")]
    if let Some(double) = double::functions()? {
        // SAFETY: the double has the signature of BackupWrite, and is given what that is given below.
        let done = unsafe {
            let length = bytes.len() as u32;
            (double.write)(file, bytes.as_ptr(), length, &raw mut written, false.into(), security.into(), context)
        };
        return done.ok().map(|()| written as usize).map_err(|e| super::handle::win32_error(&e));
    }
    use windows::Win32::Storage::FileSystem::BackupWrite;
    // SAFETY: the caller vouches for the handle and the context.
    let done = unsafe { BackupWrite(file, bytes, &raw mut written, false, security, context) };
    done.map(|()| written as usize).map_err(|e| super::handle::win32_error(&e))
}

/// Frees the context of a reader.
///
/// # Safety
/// As [`backup_read`]; the context must not be used any more.
pub(super) unsafe fn end_read(file: HANDLE, context: &mut Context) -> io::Result<()> {
    let mut none = 0;
    #[cfg(feature = "backup-double")]
    if let Some(double) = double::functions()? {
        let no_buffer = std::ptr::null_mut();
        // SAFETY: a call that aborts takes no buffer.
        let done = unsafe { (double.read)(file, no_buffer, 0, &raw mut none, true.into(), false.into(), context) };
        return done.ok().map_err(|e| super::handle::win32_error(&e));
    }
    use windows::Win32::Storage::FileSystem::BackupRead;
    // SAFETY: a call that aborts takes no buffer.
    let done = unsafe { BackupRead(file, &mut [], &raw mut none, true, false, context) };
    done.map_err(|e| super::handle::win32_error(&e))
}

/// Frees the context of a writer.
///
/// # Safety
/// As [`end_read`].
pub(super) unsafe fn end_write(file: HANDLE, context: &mut Context) -> io::Result<()> {
    let mut none = 0;
    #[cfg(feature = "backup-double")]
    if let Some(double) = double::functions()? {
        let no_bytes = std::ptr::null();
        // SAFETY: a call that aborts takes no bytes.
        let done = unsafe { (double.write)(file, no_bytes, 0, &raw mut none, true.into(), false.into(), context) };
        return done.ok().map_err(|e| super::handle::win32_error(&e));
    }
    use windows::Win32::Storage::FileSystem::BackupWrite;
    // SAFETY: a call that aborts takes no bytes.
    let done = unsafe { BackupWrite(file, &[], &raw mut none, true, false, context) };
    done.map_err(|e| super::handle::win32_error(&e))
}

/// What one call moves at most: its length is a number of 32 bits.
const MOST: usize = 1 << 30;

fn clamped_mut(buffer: &mut [u8]) -> &mut [u8] {
    let length = buffer.len().min(MOST);
    &mut buffer[..length]
}

#[cfg(feature = "backup-double")]
mod double {
    use super::Context;
    use std::collections::HashMap;
    use std::ffi::OsString;
    use std::io;
    use std::os::windows::ffi::OsStrExt;
    use std::sync::{Mutex, PoisonError};
    use windows::Win32::Foundation::HANDLE;
    use windows::Win32::System::LibraryLoader::{GetProcAddress, LoadLibraryW};
    use windows::core::{BOOL, PCSTR, PCWSTR, s};

    /// BackupRead.
    pub type Read = unsafe extern "system" fn(HANDLE, *mut u8, u32, *mut u32, BOOL, BOOL, *mut Context) -> BOOL;
    /// BackupWrite.
    pub type Write = unsafe extern "system" fn(HANDLE, *const u8, u32, *mut u32, BOOL, BOOL, *mut Context) -> BOOL;

    #[derive(Clone, Copy)]
    pub struct Functions {
        pub read: Read,
        pub write: Write,
    }

    /// The functions of the DLL that the variable names; `None` where it is not set.
    pub fn functions() -> io::Result<Option<Functions>> {
        static LOADED: Mutex<Option<HashMap<OsString, Functions>>> = Mutex::new(None);
        let Some(path) = std::env::var_os("WINLAYERS_BACKUP_DLL").filter(|path| !path.is_empty()) else {
            return Ok(None);
        };
        let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
        let loaded = loaded.get_or_insert_default();
        if let Some(functions) = loaded.get(&path) {
            return Ok(Some(*functions));
        }
        let functions = load(&path).map_err(|e| super::super::handle::win32_error(&e))?;
        loaded.insert(path, functions);
        Ok(Some(functions))
    }

    fn load(path: &OsString) -> windows::core::Result<Functions> {
        let units: Vec<u16> = path.encode_wide().chain([0]).collect();
        // SAFETY: the path ends in NUL; the DLL is one for tests, which the caller of them names, and stays loaded.
        let library = unsafe { LoadLibraryW(PCWSTR(units.as_ptr())) }?;
        let find = |name: PCSTR| {
            // SAFETY: the library is loaded, and the name is a constant that ends in NUL.
            unsafe { GetProcAddress(library, name) }.ok_or_else(windows::core::Error::from_thread)
        };
        let (read, write) = (find(s!("BackupRead"))?, find(s!("BackupWrite"))?);
        // SAFETY: exports of these names have the signatures that kernel32's have.
        Ok(unsafe {
            Functions {
                read: std::mem::transmute::<unsafe extern "system" fn() -> isize, Read>(read),
                write: std::mem::transmute::<unsafe extern "system" fn() -> isize, Write>(write),
            }
        })
    }
}
