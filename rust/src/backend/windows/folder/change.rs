//! What changes or lists names: hard links, renames, removals, listings.

use super::super::handle::{Object, status_error, win32_error};
use super::open::{At, component_units, created, too_long};
use crate::error::{Error, Result};
use crate::nt::name::wtf8_from_utf16;
use crate::nt::{BasicInfo, FileAttributes};
use std::io;
use windows::Wdk::Storage::FileSystem as nt;
use windows::Win32::Foundation::{
    ERROR_FILE_EXISTS, ERROR_INVALID_FUNCTION, ERROR_INVALID_PARAMETER, ERROR_NO_MORE_FILES, ERROR_NOT_SUPPORTED,
    STATUS_OBJECT_NAME_COLLISION, WIN32_ERROR,
};
use windows::Win32::Storage::FileSystem::{
    FILE_DISPOSITION_FLAG_DELETE, FILE_DISPOSITION_FLAG_IGNORE_READONLY_ATTRIBUTE,
    FILE_DISPOSITION_FLAG_POSIX_SEMANTICS, FILE_DISPOSITION_INFO, FILE_DISPOSITION_INFO_EX, FILE_ID_BOTH_DIR_INFO,
    FileDispositionInfo, FileDispositionInfoEx, FileIdBothDirectoryInfo, FileIdBothDirectoryRestartInfo,
    GetFileInformationByHandleEx,
};
use windows::Win32::System::IO::IO_STATUS_BLOCK;

/// Hard links and renames: another name of an open file, in an open folder, that must be free.
pub(super) fn file_new_name(
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
pub(in super::super) fn remove_object(object: &Object) -> Result<()> {
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

/// The names in an open folder, sorted by their bytes.
pub(super) fn list_names(folder: &Object) -> Result<Vec<Vec<u8>>> {
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

/// Bytes that one call lists names into.
const LISTING: usize = 64 << 10;
