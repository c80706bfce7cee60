//! What people do with a layer as a whole: prove it, make one from a directory, take one apart into a directory.
//!
//! - [`verify`] reads a layer once, recomputes its digest and lists every problem with its place.
//! - [`extract`] puts a layer into a directory, confined, and beside it a sidecar of all that the disk cannot hold.
//! - [`pack`] makes a layer of a directory: the same bytes from the same tree, and with a sidecar the layer it was.
//!
//! All of them return what they saw as a [`LayerReport`], and report how far they are to a
//! [`Progress`](crate::progress::Progress), whose error stops them.

mod extract;
mod holes;
mod inspect;
mod names;
pub(crate) mod pack;
mod pack_recorded;
mod report;
mod sidecar;
mod symlink;
mod verify;

pub use extract::extract;
pub use pack::{DEFAULT_SD_DIR, DEFAULT_SD_FILE, PackOptions, pack};
pub use report::{LayerReport, Problem};
pub use sidecar::sidecar_path;
pub use verify::verify;
