//! Tar framing: blocks, PAX records and GNU extensions, with raw bytes and positions kept.
//!
//! How bytes become members is decided here; what a member means to Windows, in [`crate::layer_tar`].
//!
//! Where this reader differs from POSIX or from other tools:
//! - A missing end of archive (no zero blocks, or one) is accepted; a zero block followed by data is refused.
//! - Checksums may be sums of signed or of unsigned bytes.
//! - Global PAX headers apply to every later member and are not members themselves, except on request
//!   ([`Reader::global_headers_as_members`]).
//! - A GNU long name wins over a PAX `path`, as in Go's archive/tar, unless it is empty.
//! - The last PAX record of a key counts; an empty one restores what the header says.
//! - A sparse member of the old format needs the magic of GNU tar: star has another layout.
//! - Links, directories, devices and FIFOs have no data, whatever their size field says.
//! - A number that does not parse is an error, never zero.

mod buffer;
mod header;
pub(crate) mod pax;
mod reader;
mod sparse;
#[cfg(test)]
pub(crate) mod tests;
mod writer;

pub use header::typeflag;
pub(crate) use header::{TYPEFLAG, has_no_data};
pub use pax::{PaxRecords, Time};
pub use reader::{Member, Reader};

pub use sparse::{Expander, Piece};
pub use writer::{MemberHeader, Record, Writer};

/// The unit of tar, in bytes.
pub const BLOCK: usize = 512;

/// Zero bytes that follow `size` bytes of data up to the next block.
#[must_use]
pub fn padding(size: u64) -> u64 {
    size.wrapping_neg() % BLOCK as u64
}
