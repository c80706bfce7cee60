//! What functions of Windows return: an HRESULT, which may contain a Win32 code.

use std::fmt;

/// An HRESULT, raw. Negative as a signed number is a failure. Source: [MS-ERREF] 2.1 and 2.2.
///
/// ```
/// use winlayers::hresult::Hresult;
/// let denied = Hresult(0x8007_0005);
/// assert_eq!((denied.win32(), denied.name()), (Some(5), Some("ERROR_ACCESS_DENIED")));
/// assert_eq!(denied.to_string(), "0x80070005 (ERROR_ACCESS_DENIED)");
/// assert_eq!(Hresult::from_win32(5), denied);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Hresult(pub u32);

impl Hresult {
    /// The function did not return in time.
    pub const TIMEOUT: Hresult = Hresult::from_win32(1460);

    /// The failure that stands for a Win32 code.
    #[must_use]
    pub const fn from_win32(code: u16) -> Self {
        Hresult(0x8007_0000 | code as u32)
    }

    /// Whether it is a failure.
    #[must_use]
    pub const fn is_failure(self) -> bool {
        self.0 & 0x8000_0000 != 0
    }

    /// The Win32 code that it contains, if any.
    #[must_use]
    pub const fn win32(self) -> Option<u16> {
        if self.0 & 0x1FFF_0000 == 0x0007_0000 { Some((self.0 & 0xFFFF) as u16) } else { None }
    }

    /// The name that Windows has for it, for those that occur with layers.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        self.row().map(|row| row.1)
    }

    /// Its known cause and what to do about it.
    #[must_use]
    pub fn hint(self) -> Option<&'static str> {
        self.row().map(|row| row.2).filter(|hint| !hint.is_empty())
    }

    fn row(self) -> Option<&'static (u32, &'static str, &'static str)> {
        let code = self.win32().map_or(self.0, u32::from);
        KNOWN.iter().find(|row| row.0 == code)
    }
}

impl fmt::Display for Hresult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#010x}", self.0)?;
        self.name().map_or(Ok(()), |name| write!(f, " ({name})"))
    }
}

/// A Win32 code, or an HRESULT that contains none; its name; the hint.
const KNOWN: &[(u32, &str, &str)] = &[
    (
        1,
        "ERROR_INVALID_FUNCTION",
        "A file system filter of another product (antivirus, backup, monitoring) often stands in the way: `fltmc` lists \
         them; the volume must be NTFS.",
    ),
    (2, "ERROR_FILE_NOT_FOUND", "A part of the layer or of its chain is missing: `winlayers store check` tells which."),
    (
        3,
        "ERROR_PATH_NOT_FOUND",
        "A parent of the chain is missing or damaged, the disk is full, a killed import left a part, or a filter of \
         another product hides files: check the chain with `winlayers store check`, the tar with `winlayers verify`.",
    ),
    (
        5,
        "ERROR_ACCESS_DENIED",
        "Run elevated: layers need the privileges SeBackup, SeRestore and SeSecurity. What no other tool can delete, \
         `winlayers zap` can.",
    ),
    (8, "ERROR_NOT_ENOUGH_MEMORY", ""),
    (13, "ERROR_INVALID_DATA", "What was handed over is malformed: `winlayers verify` lists what is wrong with a tar."),
    (21, "ERROR_NOT_READY", "The volume of the sandbox was not there yet: try again."),
    (
        32,
        "ERROR_SHARING_VIOLATION",
        "Something has a file of the layer open: a container, a mount, or an antivirus. Unmount it, or try again.",
    ),
    (33, "ERROR_LOCK_VIOLATION", "Something has a file of the layer locked: unmount it, or try again."),
    (39, "ERROR_HANDLE_DISK_FULL", "The disk is full."),
    (50, "ERROR_NOT_SUPPORTED", "Layers need an NTFS volume: neither ReFS, nor FAT, nor a network share holds them."),
    (80, "ERROR_FILE_EXISTS", ""),
    (87, "ERROR_INVALID_PARAMETER", ""),
    (112, "ERROR_DISK_FULL", "The disk is full."),
    (122, "ERROR_INSUFFICIENT_BUFFER", ""),
    (126, "ERROR_MOD_NOT_FOUND", "Enable the Windows feature \"Containers\" and restart."),
    (127, "ERROR_PROC_NOT_FOUND", "This version of Windows does not have the function."),
    (145, "ERROR_DIR_NOT_EMPTY", "A folder got new files while it was deleted: try again."),
    (183, "ERROR_ALREADY_EXISTS", "What an earlier attempt left is in the way: `winlayers store cleanup`."),
    (206, "ERROR_FILENAME_EXCED_RANGE", ""),
    (
        1009,
        "ERROR_BADDB",
        "A registry hive of the layer is damaged: take the layer from its image again; deltas are applied to the hives \
         of the base layer, which must be that of the image.",
    ),
    (
        1015,
        "ERROR_REGISTRY_CORRUPT",
        "A registry hive of the layer is damaged: take the layer from its image again; deltas are applied to the hives \
         of the base layer, which must be that of the image.",
    ),
    (1017, "ERROR_NOT_REGISTRY_FILE", "A file in Hives is no registry hive: take the layer from its image again."),
    (1142, "ERROR_TOO_MANY_LINKS", "NTFS has 1,024 names for one file: export the layer and import it as a copy."),
    (1167, "ERROR_DEVICE_NOT_CONNECTED", "The volume of the sandbox was not there yet: try again."),
    (1223, "ERROR_CANCELLED", ""),
    (1300, "ERROR_NOT_ALL_ASSIGNED", "Run elevated: the account lacks a privilege that layers need."),
    (1314, "ERROR_PRIVILEGE_NOT_HELD", "Run elevated: the account lacks a privilege that layers need."),
    (1392, "ERROR_FILE_CORRUPT", "The volume is damaged: run chkdsk."),
    (
        1460,
        "ERROR_TIMEOUT",
        "The Host Compute Service did not answer in time. It may still be at work: wait, then restart the service \
         vmcompute, and run `winlayers store cleanup`.",
    ),
    (4390, "ERROR_NOT_A_REPARSE_POINT", ""),
    (5023, "ERROR_INVALID_STATE", "The layer is mounted, or not: `winlayers store ls` tells."),
    (0x8000_4001, "E_NOTIMPL", "This version of Windows does not have the function."),
    (0x8000_4005, "E_FAIL", ""),
    (0x8000_FFFF, "E_UNEXPECTED", ""),
    (0xC037_0103, "HCS_E_TERMINATED", ""),
    (0xC037_0105, "HCS_E_INVALID_STATE", "The layer is mounted, or not: `winlayers store ls` tells."),
    (0xC037_0109, "HCS_E_CONNECTION_TIMEOUT", "Restart the service vmcompute."),
    (0xC037_010E, "HCS_E_ACCESS_DENIED", "Run elevated."),
    (0xC037_011B, "HCS_E_SERVICE_NOT_AVAILABLE", "Enable the Windows feature \"Containers\" and restart."),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn win32_codes_are_found_in_their_hresults() {
        for &(code, name, _) in KNOWN {
            let hresult = u16::try_from(code).map_or(Hresult(code), Hresult::from_win32);
            assert_eq!(hresult.name(), Some(name));
            assert!(hresult.is_failure(), "{hresult}");
        }
        assert_eq!(Hresult(0xC037_0105).win32(), None);
        assert_eq!((Hresult(0).is_failure(), Hresult(0).name()), (false, None));
        assert_eq!(Hresult(0x8007_FFFF).to_string(), "0x8007ffff");
    }

    #[test]
    fn what_users_meet_has_a_hint() {
        for code in [1, 3, 5, 0x20, 50, 126, 1009, 1142, 1460] {
            assert!(Hresult::from_win32(code).hint().is_some(), "{code}");
        }
        assert_eq!(Hresult::from_win32(87).hint(), None);
    }
}
