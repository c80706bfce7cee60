//! Tar members and layer entries: the one model in the middle, read from tars and written to them.
//!
//! Two dialects are written, and both are always read:
//! - [`Dialect::GoWinio`]: byte for byte what Microsoft's backuptar writes. What that loses is reported.
//! - [`Dialect::Lossless`]: the same, plus `WINLAYERS.*` records for what would be lost ([`keys`]). Tools that do not
//!   know these records read the rest.
//!
//! [`LayerReader`] reads a tar from front to end, [`RandomReader`] one that can be read anywhere. Both give a
//! [`LayerEntry`], which [`LayerWriter`] takes. A [`BackupStream`] is what Windows would hand out for an entry.

mod decode;
mod encode;
mod entry;
mod facts;
mod forward;
mod framing;
mod go_winio;
pub mod keys;
mod lossless;
mod output;
mod place;
mod plan;
mod random;
mod reader;
mod source;
mod stream;

pub use encode::{Dialect, LayerWriter, WriterOptions};
pub use entry::{Body, EntryKind, LayerEntry, NamedStream, PlannedStream, UnnamedData};
pub use facts::reparse_from_link;
pub use go_winio::losses as go_winio_losses;
pub use place::DataPlace;
pub use random::{Found, RandomReader};
pub use reader::{LayerReader, Part};
pub use stream::{BackupStream, EntryData, EntryStream};
