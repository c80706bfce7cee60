//! Privileges for one thread and one scope: what reads and writes any file, whatever its security descriptor says.
//!
//! A thread that holds some works with a token of its own, in which they are enabled; the token of the process is never
//! touched, so no other thread gets more rights. Source: Microsoft, "AdjustTokenPrivileges function" and
//! "SetThreadToken function".

use crate::error::{Error, Result};
use std::io;
use std::marker::PhantomData;
use std::os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle};
use windows::Win32::Foundation::{
    ERROR_ACCESS_DENIED, ERROR_NO_TOKEN, ERROR_NOT_ALL_ASSIGNED, ERROR_PRIVILEGE_NOT_HELD, GetLastError, HANDLE, LUID,
    SetLastError, WIN32_ERROR,
};
use windows::Win32::Security::{
    AdjustTokenPrivileges, DuplicateTokenEx, LUID_AND_ATTRIBUTES, LookupPrivilegeValueW, SE_BACKUP_NAME,
    SE_PRIVILEGE_ENABLED, SE_RESTORE_NAME, SE_SECURITY_NAME, SecurityImpersonation, TOKEN_ACCESS_MASK,
    TOKEN_ADJUST_PRIVILEGES, TOKEN_DUPLICATE, TOKEN_IMPERSONATE, TOKEN_PRIVILEGES, TOKEN_QUERY, TokenImpersonation,
};
use windows::Win32::System::Threading::{
    GetCurrentProcess, GetCurrentThread, OpenProcessToken, OpenThreadToken, SetThreadToken,
};
use windows::core::PCWSTR;

/// What an elevated process may turn on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Privilege {
    /// Read any file.
    Backup,
    /// Write any file, and give it any owner.
    Restore,
    /// Read and write system access control lists.
    Security,
    /// Make tokens: no process of a person has it, so tests learn from it what happens then.
    #[cfg(feature = "testing")]
    CreateToken,
}

impl Privilege {
    /// What reading a file as a backup stream takes.
    pub const READ: [Privilege; 2] = [Privilege::Backup, Privilege::Security];
    /// What writing a file from a backup stream takes.
    pub const WRITE: [Privilege; 3] = [Privilege::Backup, Privilege::Restore, Privilege::Security];

    fn name(self) -> PCWSTR {
        match self {
            Privilege::Backup => SE_BACKUP_NAME,
            Privilege::Restore => SE_RESTORE_NAME,
            Privilege::Security => SE_SECURITY_NAME,
            #[cfg(feature = "testing")]
            Privilege::CreateToken => windows::Win32::Security::SE_CREATE_TOKEN_NAME,
        }
    }

    /// What could not be done, with the way out: an [`Error::Io`] has no hint of its own.
    fn operation(self) -> &'static str {
        match self {
            Privilege::Backup => "hold SeBackupPrivilege (run elevated, as an administrator)",
            Privilege::Restore => "hold SeRestorePrivilege (run elevated, as an administrator)",
            Privilege::Security => "hold SeSecurityPrivilege (run elevated, as an administrator)",
            #[cfg(feature = "testing")]
            Privilege::CreateToken => "hold SeCreateTokenPrivilege (run elevated, as an administrator)",
        }
    }
}

/// Privileges that this thread holds until the value is dropped, on whatever path that comes.
///
/// Scopes nest: an inner one keeps what the outer holds, adds to it, and gives back what it added. A thread that the
/// caller made impersonate somebody goes on as that somebody, with those of their privileges that were asked for, and
/// is as it was afterwards; it gets no rights of the process that way. Scopes of one thread end in reverse order.
///
/// The value cannot leave its thread.
#[must_use = "the privileges are held until this is dropped"]
#[derive(Debug)]
pub struct Privileges {
    /// The token that the thread had before; without one it acts as the process.
    before: Option<OwnedHandle>,
    of_this_thread: PhantomData<*const ()>,
}

impl Privileges {
    /// Holds privileges from now on.
    ///
    /// # Errors
    /// [`Error::Io`] with ERROR_PRIVILEGE_NOT_HELD (1314), in Python a PermissionError, when the token lacks one: the
    /// operation names the first that it lacks, and nothing is held. What the system answers otherwise.
    pub fn hold(privileges: &[Privilege]) -> Result<Self> {
        let before = thread_token()?;
        let current = match &before {
            Some(token) => token,
            None => &process_token()?,
        };
        // The copy is complete before the thread gets it: no failure leaves anything to undo.
        let token = duplicate(current)?;
        for privilege in privileges {
            enable(&token, *privilege)?;
        }
        set_thread_token(Some(&token)).map_err(|e| Error::io("set the thread's token", None, e))?;
        Ok(Privileges { before, of_this_thread: PhantomData })
    }
}

impl Drop for Privileges {
    fn drop(&mut self) {
        if set_thread_token(self.before.as_ref()).is_err() {
            // The thread would go on with rights that it must not have, or as somebody else.
            std::process::abort();
        }
    }
}

/// The token of this thread, where it has one of its own.
fn thread_token() -> Result<Option<OwnedHandle>> {
    let mut token = HANDLE::default();
    let mut open = |as_process| {
        // SAFETY: the pseudo handle of the thread is always valid, and `token` is written to.
        unsafe { OpenThreadToken(GetCurrentThread(), FOR_COPY_AND_RETURN, as_process, &raw mut token) }
    };
    // Somebody whom the thread impersonates may hide the token from the process, or from themselves.
    let opened = match open(true) {
        Err(error) if error.code() == ERROR_ACCESS_DENIED.to_hresult() => open(false),
        opened => opened,
    };
    match opened {
        // SAFETY: the call succeeded, so the handle is open, and nobody else has it.
        Ok(()) => Ok(Some(unsafe { OwnedHandle::from_raw_handle(token.0) })),
        Err(error) if error.code() == ERROR_NO_TOKEN.to_hresult() => Ok(None),
        Err(error) => Err(Error::io("open the thread's token", None, system_error(&error))),
    }
}

fn process_token() -> Result<OwnedHandle> {
    let mut token = HANDLE::default();
    // SAFETY: the pseudo handle of the process is always valid, and `token` is written to.
    unsafe { OpenProcessToken(GetCurrentProcess(), TOKEN_DUPLICATE | TOKEN_QUERY, &raw mut token) }
        .map_err(|e| Error::io("open the process token", None, system_error(&e)))?;
    // SAFETY: the call succeeded, so the handle is open, and nobody else has it.
    Ok(unsafe { OwnedHandle::from_raw_handle(token.0) })
}

/// A copy that a thread can act with; what is enabled in the original is enabled in it.
fn duplicate(token: &OwnedHandle) -> Result<OwnedHandle> {
    let access = TOKEN_IMPERSONATE | TOKEN_QUERY | TOKEN_ADJUST_PRIVILEGES | TOKEN_DUPLICATE;
    let mut copy = HANDLE::default();
    // SAFETY: `token` is open for as long as the call takes, and `copy` is written to.
    unsafe {
        DuplicateTokenEx(handle(token), access, None, SecurityImpersonation, TokenImpersonation, &raw mut copy)
            .map_err(|e| Error::io("copy the token", None, system_error(&e)))?;
        // SAFETY: the call succeeded, so the handle is open, and nobody else has it.
        Ok(OwnedHandle::from_raw_handle(copy.0))
    }
}

fn enable(token: &OwnedHandle, privilege: Privilege) -> Result<()> {
    let failed = |e| Error::io(privilege.operation(), None, e);
    let mut id = LUID::default();
    // SAFETY: the name is a constant that ends in NUL, and `id` is written to.
    unsafe { LookupPrivilegeValueW(PCWSTR::null(), privilege.name(), &raw mut id) }
        .map_err(|e| failed(system_error(&e)))?;
    let wanted = TOKEN_PRIVILEGES {
        PrivilegeCount: 1,
        Privileges: [LUID_AND_ATTRIBUTES { Luid: id, Attributes: SE_PRIVILEGE_ENABLED }],
    };
    // The call succeeds without having done anything, and tells so in the last error only.
    // SAFETY: `token` is open, and `wanted` holds as many privileges as it says.
    let last = unsafe {
        SetLastError(WIN32_ERROR(0));
        AdjustTokenPrivileges(handle(token), false, Some(&raw const wanted), 0, None, None)
            .map_err(|e| failed(system_error(&e)))?;
        GetLastError()
    };
    if last == ERROR_NOT_ALL_ASSIGNED {
        return Err(failed(io::Error::from_raw_os_error(ERROR_PRIVILEGE_NOT_HELD.0.cast_signed())));
    }
    Ok(())
}

fn set_thread_token(token: Option<&OwnedHandle>) -> io::Result<()> {
    // SAFETY: no thread means this one; the token is open for as long as the call takes.
    unsafe { SetThreadToken(None, token.map(handle)) }.map_err(|e| system_error(&e))
}

fn handle(token: &OwnedHandle) -> HANDLE {
    HANDLE(token.as_raw_handle())
}

fn system_error(error: &windows::core::Error) -> io::Error {
    super::handle::win32_error(error)
}

const FOR_COPY_AND_RETURN: TOKEN_ACCESS_MASK =
    TOKEN_ACCESS_MASK(TOKEN_IMPERSONATE.0 | TOKEN_QUERY.0 | TOKEN_DUPLICATE.0);
