//! Windows container layers: backup streams, layer tars and what people do with them.
//!
//! Start with [`layer_tar`], where the one model in the middle, [`layer_tar::LayerEntry`], is read from and written to
//! tars. Each module at the root is a room on a floor, and uses only what is on lower floors:
//!
//! <!-- rooms: made by tools/rooms.py -->
//! ```text
//! 8  py              The Python face: thin shells that unpack, release the GIL and call.
//! 7  store           The layer store: what Docker's Windows graph driver did, one file a verb.
//! 6  image           Container images as Linux users hold them: the layers of one Windows image, lowest first.
//! 6  backend         What a layer store asks of the system below it, in the verbs of the Host Compute Service (HCS).
//! 5  view            A chain of layers seen as one.
//! 4  layer           What people do with a layer as a whole: prove it, make one from a directory, take one apart into
//!                    a directory.
//! 4  transport       The transport folder: what the Host Compute Service imports a layer from, and exports it to.
//! 3  layer_tar       Tar members and layer entries: the one model in the middle, read from tars and written to them.
//! 3  tar_split       tar-split: a tar taken apart into the data of its members and small metadata, and put together
//!                    again to the bit.
//! 3  fs              The only place that touches the disk.
//! 2  tar             Tar framing: blocks, PAX records and GNU extensions, with raw bytes and positions kept.
//! 2  backup_stream   The byte stream of BackupRead and BackupWrite: headers and bodies of the streams of one file, in
//!                    any order.
//! 2  compress        Gzip and zstd, in and out: recognised by their first bytes, worked on by threads beside the
//!                    caller's.
//! 2  sqlite.rs       What a store's databases have in common.
//! 1  nt              The values of the NT kernel that a layer carries: times, attributes, names, links, extended
//!                    attributes and security descriptors.
//! 0  error.rs        What can go wrong, as one closed set of values.
//! 0  hresult.rs      What Windows functions return: an HRESULT, which may hold a Win32 code.
//! 0  limits.rs       Every bound on input, with the attack it stops.
//! 0  policy.rs       What is refused, what may be dropped, and how a loss is reported.
//! 0  progress.rs     How far a long piece of work is, and a way to stop it.
//! 0  digest          The two checksums of layers: SHA-256 for diff IDs and contents, CRC-64 for tar-split.
//! 0  source.rs       Where bytes come from: a stream, or something that can be read anywhere; and which of them are
//!                    holes.
//! within a floor: error -> hresult; limits -> error; policy -> error; progress -> error; digest -> error, limits,
//!                    progress, source; tar_split -> fs
//! ```
//! <!-- end of rooms -->
// Tests make and look at files of their own.
#![cfg_attr(test, allow(clippy::disallowed_methods))]

pub mod backend;
pub mod backup_stream;
pub mod compress;
pub mod digest;
pub mod error;
pub mod fs;
pub mod hresult;
pub mod image;
pub mod layer;
pub mod layer_tar;
pub mod limits;
pub mod nt;
pub mod policy;
pub mod progress;
pub mod source;
mod sqlite;
pub mod store;
pub mod tar;
pub mod tar_split;
pub mod transport;
pub mod view;

#[cfg(feature = "python")]
mod py;
