//! Layers as Windows itself keeps them: through the Host Compute Service (HCS), and as backup streams of real files.
//!
//! The only `unsafe` of the crate is here, and every foreign function that is not of the `windows` crate is in [`sys`].
#![allow(unsafe_code)]

pub mod backup;
pub mod base_layer;
pub mod folder;
pub mod handle;
pub mod privilege;
mod sys;
mod sys_backup;
