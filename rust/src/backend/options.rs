//! Which backend a store has, and what a backend can be told.

use crate::limits::Limits;
use std::time::Duration;

/// What keeps the layers of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BackendKind {
    /// Plain files, on any system.
    Portable,
    /// The Host Compute Service of Windows.
    Hcs,
}

impl BackendKind {
    /// The name of it: `portable` or `hcs`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            BackendKind::Portable => "portable",
            BackendKind::Hcs => "hcs",
        }
    }

    /// The backend of a name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [BackendKind::Portable, BackendKind::Hcs].into_iter().find(|kind| kind.name() == name)
    }
}

/// Which functions of Windows do what two DLLs can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum HcsApi {
    /// Those of `vmcompute.dll`, as all tools call them; of `computestorage.dll` what only it has.
    #[default]
    Auto,
    /// Those of `vmcompute.dll`.
    Vmcompute,
    /// Those of `computestorage.dll` (Windows Server 2019 and later), where it has one.
    Computestorage,
}

impl HcsApi {
    /// The name of it: `auto`, `vmcompute` or `computestorage`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            HcsApi::Auto => "auto",
            HcsApi::Vmcompute => "vmcompute",
            HcsApi::Computestorage => "computestorage",
        }
    }

    /// The choice of a name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [HcsApi::Auto, HcsApi::Vmcompute, HcsApi::Computestorage].into_iter().find(|api| api.name() == name)
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
    /// How long one call of HCS may take; `None`: as long as it does.
    pub hcs_timeout: Option<Duration>,
    /// Which functions of HCS are called.
    pub hcs_api: HcsApi,
}
