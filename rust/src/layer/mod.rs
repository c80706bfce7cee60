//! What people do with a layer as a whole: prove it, make one from a directory, take one apart into a directory.
//!
//! - [`verify`] reads a layer once, recomputes its digest and lists every problem with its place.
//!
//! All of them report what they saw as a [`LayerReport`], tell a [`Progress`] how far they are, and stop when it says so.

mod hashing;
mod inspect;
mod names;
mod report;
mod verify;

pub use report::{LayerReport, Problem, Progress};
pub use verify::verify;
