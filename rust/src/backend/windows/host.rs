//! What a host tells about itself.

use crate::error::{Error, Result};
use std::os::windows::ffi::OsStrExt;
use std::path::Path;
use windows::Wdk::System::SystemInformation::{NtQuerySystemInformation, SYSTEM_INFORMATION_CLASS};
use windows::Win32::Storage::FileSystem::{GetVolumeInformationW, GetVolumePathNameW};
use windows::core::PCWSTR;

/// The name of the file system that a folder is on: `NTFS`, `ReFS`, ...
///
/// # Errors
/// [`Error::Io`] with the path.
pub fn file_system(folder: &Path) -> Result<String> {
    let failed = |e: windows::core::Error| {
        Error::io("find the volume of", Some(folder), std::io::Error::from_raw_os_error(e.code().0 & 0xFFFF))
    };
    let path: Vec<u16> = folder.as_os_str().encode_wide().chain([0]).collect();
    let mut volume = vec![0; path.len().max(260)];
    // SAFETY: the path ends with a NUL, and the buffer says how long it is.
    unsafe { GetVolumePathNameW(PCWSTR(path.as_ptr()), &mut volume) }.map_err(failed)?;
    let mut name = [0; 32];
    // SAFETY: the volume's path ends with a NUL, which the call before wrote.
    unsafe { GetVolumeInformationW(PCWSTR(volume.as_ptr()), None, None, None, None, Some(&mut name)) }
        .map_err(failed)?;
    let end = name.iter().position(|unit| *unit == 0).unwrap_or(name.len());
    Ok(String::from_utf16_lossy(&name[..end]))
}

/// When the system was started, in 100 ns since 1601, by the clock as it was then: another number after each restart,
/// and the same until then. Source: Microsoft, "NtQuerySystemInformation function", SystemTimeOfDayInformation.
///
/// # Errors
/// [`Error::Io`].
pub fn running_since() -> Result<i64> {
    const TIME_OF_DAY: SYSTEM_INFORMATION_CLASS = SYSTEM_INFORMATION_CLASS(3);
    #[repr(C)]
    #[derive(Default)]
    struct TimeOfDay {
        boot_time: i64,
        current_time: i64,
        time_zone_bias: i64,
        time_zone_id: u32,
        reserved: u32,
        /// What setting the clock has added to `boot_time`.
        boot_time_bias: i64,
        sleep_time_bias: i64,
    }
    let mut told = TimeOfDay::default();
    let size = u32::try_from(size_of::<TimeOfDay>()).expect("48 bytes");
    // SAFETY: the buffer has the structure's layout, and is as long as it says.
    let status = unsafe { NtQuerySystemInformation(TIME_OF_DAY, (&raw mut told).cast(), size, std::ptr::null_mut()) };
    if status.is_err() {
        return Err(Error::io("ask when the system was started", None, super::handle::status_error(status)));
    }
    Ok(told.boot_time.wrapping_sub(told.boot_time_bias))
}
