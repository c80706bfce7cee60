//! The byte stream of `BackupRead` and `BackupWrite`: headers and bodies of the streams of one file, in any order.
//!
//! Source: Microsoft, "WIN32_STREAM_ID structure" and "BackupRead function". What the bodies mean is in [`crate::nt`].

mod header;
mod reader;
mod replaced;
mod restore;
pub mod sparse;
mod writer;

pub use header::{StreamHeader, StreamId, stream_attributes};
pub use reader::Reader;
pub use replaced::ReplacedData;
pub use restore::{Fate, Restored, restore};
pub use writer::Writer;
