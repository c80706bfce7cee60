//! Windows container layers: backup streams, layer tars and what people do with them.
//!
//! Start with [`layer_tar`], where the one model in the middle, [`layer_tar::LayerEntry`], is read from and written to
//! tars. Dependencies point one way: `py -> store -> backend, image -> transport -> layer -> layer_tar, tar_split ->
//! tar, backup_stream -> nt -> error, limits, policy`.
// Tests make and look at files of their own.
#![cfg_attr(test, allow(clippy::disallowed_methods))]

pub mod backend;
pub mod backup_stream;
pub mod compress;
pub mod digest;
pub mod error;
pub mod fs;
pub mod image;
pub mod layer;
pub mod layer_tar;
pub mod limits;
pub mod nt;
pub mod policy;
mod sqlite;
pub mod store;
pub mod tar;
pub mod tar_split;
pub mod transport;

#[cfg(feature = "python")]
mod py;
