//! Windows container layers: read, written, checked, kept in a store and mounted, on any system.
//!
//! A layer of a Windows container is a tar whose members carry the metadata of NTFS. This crate turns its members into
//! [entries](layer_tar::LayerEntry) and the backup streams of Windows, and back, without losing a bit. It makes layers
//! from folders, extracts and verifies them, and keeps chains of them in a store that does what Docker's Windows graph
//! driver did. On Windows the store hands its layers to the Host Compute Service (HCS). On other systems it keeps them
//! in plain files, which Windows can do as well.
//!
//! A folder becomes a layer, its entries are read, and a store keeps it:
//!
//! ```
//! use std::io::Cursor;
//! use winlayers::layer::{PackOptions, pack};
//! use winlayers::layer_tar::LayerReader;
//! use winlayers::limits::Limits;
//! use winlayers::policy::Policy;
//! use winlayers::progress::Progress;
//! use winlayers::source::Source;
//! use winlayers::store::{Driver, LayerStore, StoreOptions};
//!
//! let folder = tempfile::tempdir()?;
//! std::fs::create_dir(folder.path().join("app"))?;
//! std::fs::write(folder.path().join("app/hello.txt"), "hello")?;
//! let (tar, report) = pack(&folder.path().join("app"), Vec::new(), &PackOptions::default(), Progress::none())?;
//!
//! let mut reader = LayerReader::new(Source::memory(tar.clone()), Policy::strict(), &Limits::default())?;
//! let mut names = Vec::new();
//! while let Some(entry) = reader.next_entry()? {
//!     assert!(entry.security_descriptor.is_some());
//!     names.push(String::from_utf8_lossy(&entry.name).into_owned());
//! }
//! assert_eq!(names, ["Files", "Files/hello.txt", "Hives"]);
//!
//! let store = LayerStore::open(&folder.path().join("store"), Driver::WindowsFilter, StoreOptions::default())?;
//! let imported = store.apply_diff("app", "", Cursor::new(tar), Progress::none())?;
//! assert_eq!(Some(imported.diff_id), report.diff_id);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # From a task to a module
//!
//! | task | module |
//! | --- | --- |
//! | read or write a layer tar | [`layer_tar`] |
//! | read or write the backup stream of a file | [`backup_stream`]; [`layer_tar::BackupStream`] for that of an entry |
//! | verify a layer, make one from a folder, extract one | [`layer`] |
//! | see a chain of layers as one; list what a layer changes | [`view`] |
//! | find the layers of an image | [`image`] |
//! | keep layers, mount a sandbox, export what changed in it | [`store`] |
//! | read or write a transport folder of HCS | [`transport`] |
//! | take a tar apart into metadata and data, and join them again | [`tar_split`] |
//! | decode a time, a security descriptor, SDDL, a reparse point | [`nt`] |
//! | read or write any tar; gzip and zstd; digests | [`tar`]; [`compress`]; [`digest`] |
//! | open files in a folder that may be hostile | [`fs`] |
//!
//! # What is promised
//!
//! - **Raw bytes are carried.** Security descriptors, reparse buffers and names are kept as they came and decoded only
//!   on request: encoding a descriptor again changes its bytes in most real cases.
//! - **Nothing is dropped in silence.** What a format cannot hold is a [`Loss`](policy::Loss), or an error on request.
//! - **Input is hostile until proven otherwise.** Every bound is in [`limits`] with the attack it stops, size
//!   arithmetic is checked in release builds too, and no input causes a panic.
//! - **Nothing leaves its folder.** Files below a folder are opened through [`fs::Root`], which follows no link.
//! - **Memory is flat.** Readers, writers and converters stream; what keeps something for each entry says how much.
//! - **A failed call changes nothing.** Files and folders appear complete or not at all, and a store survives the death
//!   of a process and a loss of power: `docs/decisions/007-durability.md`.
//! - **`unsafe` is confined** to `backend::windows`, which only Windows compiles.
//!
//! # Features
//!
//! None is on by default.
//!
//! - `python`: the extension module `winlayers._native`. Nothing else needs Python.
//! - `testing`: what every [backend](backend::Backend) must do, as functions for tests (`store::conformance`).
//! - `backup-double`: on Windows, takes `BackupRead` and `BackupWrite` from a test double, since Wine has neither.
//!
//! # Rooms
//!
//! Each module at the root is a room on a floor. It uses rooms on lower floors, and on its own floor those that the
//! last line lists:
//!
//! <!-- rooms: made by tools/rooms.py -->
//! ```text
//! 8  py              The Python face: thin shells that unpack, release the GIL and call.
//! 7  store           The layer store: what Docker's Windows graph driver did, with a file for each operation.
//! 6  image           Container images as Linux users hold them: the layers of one Windows image, lowest first.
//! 6  backend         What a layer store asks of the system below it, in the verbs of the Host Compute Service (HCS).
//! 5  view            A chain of layers seen as one.
//! 4  layer           What people do with a layer as a whole: prove it, make one from a directory, take one apart into
//!                    a directory.
//! 4  transport       The transport folder: what the Host Compute Service imports a layer from, and exports it to.
//! 3  layer_tar       Tar members and layer entries: the one model in the middle, read from tars and written to them.
//! 3  tar_split       tar-split: a tar split into the data of its members and small metadata, and joined again to the
//!                    bit.
//! 3  fs              The only place that touches the disk.
//! 2  tar             Tar framing: blocks, PAX records and GNU extensions, with raw bytes and positions kept.
//! 2  backup_stream   The byte stream of BackupRead and BackupWrite: headers and bodies of the streams of one file, in
//!                    any order.
//! 2  compress        Gzip and zstd, read and written on threads beside the caller's, and recognised by their first
//!                    bytes.
//! 2  sqlite.rs       What the SQLite databases of a store have in common.
//! 1  nt              The values of the NT kernel that a layer carries: times, attributes, names, links, extended
//!                    attributes and security descriptors.
//! 1  layer_name.rs   How a member of a layer is spelled: its roots, its components, and the names of whiteouts.
//! 0  closed_set.rs   Closed sets: enums of which every value has a stable name, most of them a text, and some a
//!                    severity.
//! 0  error.rs        What can go wrong, as one closed set of values.
//! 0  hresult.rs      What functions of Windows return: an HRESULT, which may contain a Win32 code.
//! 0  limits.rs       Every bound on input, with the attack it stops.
//! 0  policy.rs       What is refused, what may be dropped, and how a loss is reported.
//! 0  problem.rs      What is wrong with a layer or a store, as a closed set of codes, each with a severity.
//! 0  progress.rs     How far a long operation has come, and a way to stop it.
//! 0  digest          SHA-256 for diff IDs and contents and CRC-64 for tar-split, with readers and writers that
//!                    compute or verify them.
//! 0  source.rs       Where bytes come from: a stream, or something that can be read at any offset; which ranges of a
//!                    file hold data; and where bytes are kept until they are needed.
//! within a floor: error -> hresult, closed_set; policy -> closed_set, error; problem -> closed_set, error; limits ->
//!                    error; source -> error; progress -> error; digest -> error, limits, progress, source; tar_split
//!                    -> fs
//! ```
//! <!-- end of rooms -->
//!
//! # Where this crate differs from other tools
//!
//! Formats are read and written as the tools below do, except for these points. Each list names the page or the module
//! with the details.
//!
//! go-winio's backuptar ([`layer_tar`]; `docs/decisions/003-better-than-go-winio.md` is the closed list for reading,
//! `docs/formats/layer-tar.md` has every case):
//! - A time without a record is absent, not a date in 1754 or 1970. A time outside 1677 to 2262 does not wrap around.
//! - Names that are not UTF-8 or hold lone surrogates are carried as they are.
//! - A global PAX header applies to the members behind it and is no entry; types `7` and `S` are files with their data.
//! - A whiteout is a kind of entry. The default [`Policy`](policy::Policy) refuses devices, and names that are empty,
//!   leave the layer, or have a colon that names no stream.
//! - A malformed reparse buffer is an error, not a panic.
//! - What backuptar drops is listed as losses, or carried in records of the lossless dialect.
//!
//! GNU tar and Go's archive/tar ([`tar`]):
//! - A zero block followed by data is refused; a missing end of archive is accepted.
//! - A number that does not parse is an error, never zero.
//! - Links, directories and devices have no data, whatever their size field says.
//!
//! gzip(1), Go and zstd(1) ([`compress`], `docs/decisions/001-compression.md`):
//! - Zeros may follow the last member or frame; any other garbage is an error.
//!
//! tar-split ([`tar_split`], `docs/formats/tar-split.md`):
//! - Members that the Go tool refuses or gets wrong are kept whole in the metadata, so that assembly always holds.
//! - Assembly checks positions, sizes and names, not only checksums.
//!
//! Docker's Windows graph driver ([`store`], `docs/store.md`):
//! - `changes` distinguishes additions from modifications and reports what was modified.
//! - A layer that is in use or has children is not removed. Uses are counted across processes.
//! - A parent other than the recorded one is refused, and `exists` reports an error instead of "no".
//! - An imported layer is exported byte for byte.
//! - The diff flavour unpacks below the folder of its own layer only.
//!
//! hcsshim ([`transport`], `docs/formats/transport.md`; `docs/decisions/009-hcs.md`):
//! - Nothing in a transport folder is passed over: not `$Recycle.Bin`, nor deletions below a missing directory.
//! - A folder without `tombstones.txt` is incomplete, and an error.
//! - A removed layer is renamed first and destroyed under its new name.
//!
//! The OCI image specification ([`image`], `docs/formats/image.md`):
//! - Digests are SHA-256 only, and links in a layout on the disk are refused.
//! - An opaque whiteout hides what is below it, but [`layer::verify`] reports it, as Windows knows none.
// Tests make and look at files of their own.
#![cfg_attr(test, allow(clippy::disallowed_methods))]

pub mod backend;
pub mod backup_stream;
mod closed_set;
pub mod compress;
pub mod digest;
pub mod error;
pub mod fs;
pub mod hresult;
pub mod image;
pub mod layer;
pub mod layer_name;
pub mod layer_tar;
pub mod limits;
pub mod nt;
pub mod policy;
pub mod problem;
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
