//! Gzip and zstd, read and written on threads beside the caller's, and recognised by their first bytes.
//!
//! - [`Reader`] takes any source and passes uncompressed bytes through. It reads gzip (RFC 1952) of any number of
//!   members and zstd (RFC 8878) of any number of frames, skippable ones included, and zeros after the last of them.
//!   Every checksum is verified; a truncated stream, or anything else behind it, is an error with its offset in the
//!   compressed input.
//! - [`Writer`] gives bytes that depend on the data alone: not on the number of cores, nor on how the data was cut into
//!   writes. Dropped without [`Writer::finish`] it leaves a truncated stream, which every reader refuses.
//!
//! Source and sink are used on the caller's thread only, and never after the value is dropped: they need not be `Send`.
//! Memory is bounded whatever the input; the largest part is the window of a zstd frame (see [`Reader`]).
//! Why these libraries and levels: `docs/decisions/001-compression.md`.

mod gunzip;
mod gzip;
mod port;
mod reader;
mod unzstd;
mod writer;

use crate::closed_set::closed_set;
pub use reader::Reader;
pub use writer::Writer;

closed_set! {
    /// How a stream of bytes is compressed.
    pub enum Compression {
        /// Not at all.
        None = "none";
        /// Gzip, RFC 1952.
        Gzip = "gzip";
        /// Zstandard, RFC 8878.
        Zstd = "zstd";
    }
}

impl Compression {
    /// How many first bytes [`Compression::detect`] looks at.
    pub const MAGIC_LEN: usize = 4;

    /// Recognises a stream by its first bytes; fewer than [`Compression::MAGIC_LEN`] are enough for a shorter stream.
    /// No tar begins with a magic number of the two formats: its first bytes are a name.
    ///
    /// ```
    /// use winlayers::compress::Compression;
    /// assert_eq!(Compression::detect(&[0x1f, 0x8b, 8, 0]), Compression::Gzip);
    /// assert_eq!(Compression::detect(b"Files"), Compression::None);
    /// ```
    #[must_use]
    pub fn detect(start: &[u8]) -> Self {
        match start {
            [0x1f, 0x8b, ..] => Compression::Gzip,
            // A frame, or a skippable frame in front of one.
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Compression::Zstd,
            _ => Compression::None,
        }
    }
}

#[cfg(test)]
mod tests;
