//! tar-split: a tar split into the data of its members and small metadata, and joined again to the bit.
//!
//! [`disassemble`] reads a tar once and writes metadata: a line of JSON for every run of bytes that are not data
//! (headers, padding, end blocks: a *segment*) and a line for every member (its name, size and checksum). The data
//! itself goes to a [`ContentSink`], or nowhere: Docker finds it again in the extracted layer. [`assemble`] takes the
//! metadata and a [`ContentSource`] and writes the same tar.
//!
//! The metadata is what the Go package `github.com/vbatts/tar-split` writes, line for line, and either tool assembles
//! what the other disassembled. Where this module differs:
//! - Members that the Go tool refuses or gets wrong go into segments, data and all, so that assembly always holds:
//!   see [`Apart`]. The [`Summary`] lists them.
//! - The size of a member without data (a link, a directory) is 0, whatever its header says.
//! - The padding of an archive that breaks off in it is kept.
//! - Assembly checks positions, sizes and names, not only checksums.
//!
//! ```
//! use std::collections::BTreeMap;
//! use winlayers::tar::{MemberHeader, Writer};
//! use winlayers::source::Source;
//! use winlayers::tar_split::{assemble, disassemble};
//!
//! let mut writer = Writer::new(Vec::new());
//! writer.start(&MemberHeader { name: b"a", typeflag: b'0', size: 5, ..Default::default() })?;
//! writer.data(b"hello")?;
//! let tar = writer.finish()?;
//!
//! let (mut metadata, mut content) = (Vec::new(), BTreeMap::new());
//! let summary = disassemble(Source::memory(tar.clone()), &mut metadata, Some(&mut content), &Default::default())?;
//! assert_eq!((summary.files, summary.data), (1, 5));
//!
//! let mut again = Vec::new();
//! assemble(&metadata[..], &mut content, &mut again, &Default::default())?;
//! assert_eq!(again, tar);
//! # Ok::<(), winlayers::error::Error>(())
//! ```

mod assemble;
mod assembled;
mod content;
mod directory;
mod disassemble;
mod entry;
mod names;
mod output;
#[cfg(test)]
mod tests;

use crate::closed_set::closed_set;
use crate::error::{Error, display_name};
use crate::policy::Capped;

pub use assemble::{assemble, assemble_reading_ahead};
pub use assembled::{Assembled, MemberFiles};
pub use content::{ContentSink, ContentSource};
pub use directory::{Directory, NewDirectory};
pub use disassemble::disassemble;
pub use names::relative_name;

/// What was taken apart or put together.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Summary {
    /// Bytes of the archive.
    pub size: u64,
    /// Lines for members.
    pub files: u64,
    /// Lines for other bytes.
    pub segments: u64,
    /// Bytes of data that are not in the metadata.
    pub data: u64,
    /// Members whose data is in segments, counted by [`Apart::name`]; only disassembly knows them.
    pub apart: Capped<ApartMember>,
}

/// A member whose data went into the metadata.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApartMember {
    /// Its name, raw bytes.
    pub name: Vec<u8>,
    /// Why.
    pub reason: Apart,
    /// Bytes of data.
    pub size: u64,
}

closed_set! {
    /// Why the data of a member went into the metadata.
    pub enum Apart {
        /// A member before it has the same name, after cleaning. The Go tool refuses the archive.
        DuplicateName = "duplicate_name";
        /// The name is not a path inside a folder: absolute, with `..`, a drive or a NUL, or empty but with data.
        UnsafeName = "unsafe_name";
        /// It is a sparse file with holes. The Go tool writes the holes into the archive as zeros.
        Sparse = "sparse";
        /// The content sink said that it cannot keep a file of this name.
        Content = "content";
    }
}

/// The data of a member is not what the metadata says.
fn integrity(name: &[u8], expected: String, found: String) -> Error {
    Error::Integrity { what: display_name(name).into(), expected: expected.into(), found: found.into() }
}
