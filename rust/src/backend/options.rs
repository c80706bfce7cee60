//! Which backend a store has, and the options of a backend.

use crate::closed_set::closed_set;
use crate::limits::Limits;
use std::time::Duration;

closed_set! {
    /// What keeps the layers of a store.
    pub enum BackendKind {
        /// Plain files, on any system.
        Portable = "portable";
        /// The Host Compute Service of Windows.
        Hcs = "hcs";
    }
}

closed_set! {
    /// Which functions of HCS are called where two DLLs have one.
    #[derive(Default)]
    pub enum HcsApi {
        /// Those of `vmcompute.dll`, as all tools call them; from `computestorage.dll` only what the former lacks.
        #[default]
        Auto = "auto";
        /// Those of `vmcompute.dll`.
        Vmcompute = "vmcompute";
        /// Those of `computestorage.dll` (Windows Server 2019 and later), where it has one.
        Computestorage = "computestorage";
    }
}

/// The flavour of HCS layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[repr(u32)]
pub enum Flavour {
    /// Flavour 0: differencing disks.
    Diff = 0,
    /// Flavour 1: layers are seen through the filter.
    #[default]
    Filter = 1,
}

/// How a backend works. Each backend reads the options that concern it.
#[derive(Debug, Clone)]
pub struct BackendOptions {
    /// Whether a change waits until it is on the disk.
    pub fsync: bool,
    /// Bounds on what is imported.
    pub limits: Limits,
    /// What [`Backend::shared_base_images`](super::Backend::shared_base_images) returns on a host without HCS, as JSON.
    pub base_images: Option<String>,
    /// The flavour of layers that HCS makes.
    pub flavour: Flavour,
    /// How long one call of HCS may take; `None` for no limit.
    pub hcs_timeout: Option<Duration>,
    /// Which functions of HCS are called.
    pub hcs_api: HcsApi,
}
