//! The virtual disk of a sandbox.

use crate::error::{Error, Result};
use std::os::windows::ffi::OsStrExt;
use std::os::windows::io::{FromRawHandle, OwnedHandle};
use std::path::Path;
use windows::Win32::Foundation::{HANDLE, WIN32_ERROR};
use windows::Win32::Storage::Vhd::{
    DETACH_VIRTUAL_DISK_FLAG_NONE, DetachVirtualDisk, OPEN_VIRTUAL_DISK_FLAG_NONE, OpenVirtualDisk,
    VIRTUAL_DISK_ACCESS_DETACH, VIRTUAL_STORAGE_TYPE, VIRTUAL_STORAGE_TYPE_DEVICE_UNKNOWN,
};
use windows::core::{GUID, PCWSTR};

/// Detaches a virtual disk that was left attached. Source: Microsoft, "DetachVirtualDisk function".
///
/// # Errors
/// [`Error::Io`] with the path.
pub(super) fn detach(path: &Path) -> Result<()> {
    let failed = |code: WIN32_ERROR| {
        let source = std::io::Error::from_raw_os_error(code.0.cast_signed());
        Error::io("detach the virtual disk", Some(path), source)
    };
    let kind = VIRTUAL_STORAGE_TYPE { DeviceId: VIRTUAL_STORAGE_TYPE_DEVICE_UNKNOWN, VendorId: GUID::zeroed() };
    let name: Vec<u16> = path.as_os_str().encode_wide().chain([0]).collect();
    let mut handle = HANDLE::default();
    // SAFETY: all pointers are to values that live through the call; the name ends with a NUL.
    let opened = unsafe {
        OpenVirtualDisk(
            &kind,
            PCWSTR(name.as_ptr()),
            VIRTUAL_DISK_ACCESS_DETACH,
            OPEN_VIRTUAL_DISK_FLAG_NONE,
            None,
            &mut handle,
        )
    };
    if opened != WIN32_ERROR(0) {
        return Err(failed(opened));
    }
    // SAFETY: the handle was just opened, and is nobody else's.
    let _closed_at_the_end = unsafe { OwnedHandle::from_raw_handle(handle.0) };
    // SAFETY: the handle is open.
    let detached = unsafe { DetachVirtualDisk(handle, DETACH_VIRTUAL_DISK_FLAG_NONE, 0) };
    if detached == WIN32_ERROR(0) { Ok(()) } else { Err(failed(detached)) }
}
