//! The four times and the attributes of a file, as one record.

use super::{FileAttributes, FileTime};

/// What Windows calls FILE_BASIC_INFO, with room for "no record".
///
/// A time of `None` had no record in the layer; `Some(FileTime(0))` is a stored zero. In the 40 bytes of a
/// FILE_BASIC_INFO, where zero means "leave it alone", both are zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct BasicInfo {
    /// When the file was made.
    pub creation_time: Option<FileTime>,
    /// When it was last read.
    pub last_access_time: Option<FileTime>,
    /// When its data last changed.
    pub last_write_time: Option<FileTime>,
    /// When anything about it last changed.
    pub change_time: Option<FileTime>,
    /// Its attributes.
    pub attributes: FileAttributes,
}

impl BasicInfo {
    /// Reads a FILE_BASIC_INFO; every time is a stored one, zero as well. The four bytes of padding are not looked at.
    ///
    /// ```
    /// use winlayers::nt::{BasicInfo, FileAttributes, FileTime};
    /// let attributes = FileAttributes::HIDDEN;
    /// let info = BasicInfo { change_time: Some(FileTime(7)), attributes, ..Default::default() };
    /// let read = BasicInfo::from_bytes(&info.to_bytes());
    /// assert_eq!((read.change_time, read.creation_time), (Some(FileTime(7)), Some(FileTime(0))));
    /// assert_eq!(read.attributes, FileAttributes::HIDDEN);
    /// ```
    #[must_use]
    pub fn from_bytes(bytes: &[u8; 40]) -> Self {
        let field = |at: usize| {
            let ticks = super::bytes::u64_at(bytes, at).expect("the array has 40 bytes");
            Some(FileTime(ticks.cast_signed()))
        };
        BasicInfo {
            creation_time: field(0),
            last_access_time: field(8),
            last_write_time: field(16),
            change_time: field(24),
            attributes: FileAttributes(super::bytes::u32_at(bytes, 32).expect("the array has 40 bytes")),
        }
    }

    /// Writes a FILE_BASIC_INFO; a time without a record is zero.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; 40] {
        let mut out = [0; 40];
        let times = [self.creation_time, self.last_access_time, self.last_write_time, self.change_time];
        for (slot, time) in out.chunks_exact_mut(8).zip(times) {
            slot.copy_from_slice(&time.map_or(0, |time| time.0).to_le_bytes());
        }
        out[32..36].copy_from_slice(&self.attributes.0.to_le_bytes());
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layout() {
        let info = BasicInfo {
            creation_time: Some(FileTime(1)),
            last_access_time: Some(FileTime(-2)),
            last_write_time: Some(FileTime(3)),
            change_time: Some(FileTime(4)),
            attributes: FileAttributes(0x420),
        };
        let bytes = info.to_bytes();
        assert_eq!(bytes[..8], 1_i64.to_le_bytes());
        assert_eq!(bytes[8..16], (-2_i64).to_le_bytes());
        assert_eq!(bytes[16..24], 3_i64.to_le_bytes());
        assert_eq!(bytes[24..32], 4_i64.to_le_bytes());
        assert_eq!(bytes[32..], [0x20, 4, 0, 0, 0, 0, 0, 0]);
        assert_eq!(BasicInfo::from_bytes(&bytes), info);
    }
}
