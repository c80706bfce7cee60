//! How a store works: its driver, the form of its tars, its options.

use crate::backend::{BackendOptions, Flavour, HcsApi};
use crate::closed_set::closed_set;
use crate::limits::Limits;

closed_set! {
    /// The two Windows graph drivers of Docker.
    #[derive(Default)]
    pub enum Driver {
        /// Flavour 1: layers are seen through the filter.
        #[default]
        WindowsFilter = "windowsfilter";
        /// Flavour 0: differencing disks.
        WindowsDiff = "windowsdiff";
    }
}

closed_set! {
    /// What the tars are that a store takes and gives.
    #[derive(Default)]
    pub enum TarForm {
        /// Layer tars.
        #[default]
        Layer = "layer";
        /// Plain tars of transport folders ("TP4" in Docker's driver).
        Transport = "transport";
    }
}

/// How a store works.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// Whether a change waits until it is on the disk. Without, a power failure may cost the changes before it, and a
    /// `check` is due after one; a killed process costs nothing either way.
    pub fsync: bool,
    /// The size of a sandbox that is made without one, in bytes; `None`: the host's.
    pub sandbox_size: Option<u64>,
    /// What [`super::LayerStore::custom_image_infos`] reads on a host without HCS, as JSON.
    pub base_images: Option<String>,
    /// What [`super::LayerStore::apply_diff`] takes, and [`super::LayerStore::diff`] and
    /// [`super::LayerStore::diff_getter`] give. Layers are kept as layer tars whatever it is.
    pub format: TarForm,
    /// How long one call of the Host Compute Service may take; `None`: as long as it does. After a call that took
    /// longer the service may still be at work.
    pub hcs_timeout: Option<std::time::Duration>,
    /// Which functions of the Host Compute Service are called.
    pub hcs_api: HcsApi,
    /// Bounds on what is imported.
    pub limits: Limits,
}

impl StoreOptions {
    /// The part of them that a backend for this driver takes.
    pub(crate) fn of_backend(&self, driver: Driver) -> BackendOptions {
        let flavour = match driver {
            Driver::WindowsDiff => Flavour::Diff,
            Driver::WindowsFilter => Flavour::Filter,
        };
        BackendOptions {
            fsync: self.fsync,
            limits: self.limits.clone(),
            base_images: self.base_images.clone(),
            flavour,
            hcs_timeout: self.hcs_timeout,
            hcs_api: self.hcs_api,
        }
    }
}

impl Default for StoreOptions {
    fn default() -> Self {
        StoreOptions {
            fsync: true,
            sandbox_size: None,
            base_images: None,
            format: TarForm::Layer,
            hcs_timeout: None,
            hcs_api: HcsApi::Auto,
            limits: Limits::default(),
        }
    }
}
