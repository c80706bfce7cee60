//! A base layer as Windows keeps it, a folder of real files, and its entries.
//!
//! - [`BaseLayerReader`]: walks such a folder.
//! - [`BaseLayerWriter`]: fills one.
//!
//! Other layers go through transport folders; see [`crate::transport`].

mod reader;
mod writer;

pub use reader::{BaseLayerEntry, BaseLayerReader, BaseLayerStream};
pub use writer::{BaseLayerReport, BaseLayerWriter, Finished};

use crate::limits::Limits;
use crate::nt::name::fold_wtf8;
use crate::policy::OnLoss;

/// How a base layer is read or written.
#[derive(Debug, Clone)]
pub struct BaseLayerOptions {
    /// Whether the reader gives `Hives`, which Windows makes when it takes the layer in: no entries of them came with
    /// it, and a tar with them has another digest. hcsshim leaves them out.
    pub hives: bool,
    /// What happens when the writer's file system cannot hold something.
    pub on_loss: OnLoss,
    /// Bounds.
    pub limits: Limits,
}

impl Default for BaseLayerOptions {
    fn default() -> Self {
        BaseLayerOptions { hives: true, on_loss: OnLoss::default(), limits: Limits::default() }
    }
}

/// The files that Windows writes to when it starts the utility VM, and where beside the layer their copies are kept: a
/// tar of the layer is the one that came in only with the data as it came.
const BOOT_FILES: [(&[u8], &[u8]); 4] = [
    (b"UtilityVM/Files/EFI/Microsoft/Boot/BCD", b"bcd.bak"),
    (b"UtilityVM/Files/EFI/Microsoft/Boot/BCD.LOG", b"bcd.log.bak"),
    (b"UtilityVM/Files/EFI/Microsoft/Boot/BCD.LOG1", b"bcd.log1.bak"),
    (b"UtilityVM/Files/EFI/Microsoft/Boot/BCD.LOG2", b"bcd.log2.bak"),
];

/// Where the copy of a boot file is kept; `None` for other names.
pub(super) fn saved_copy_of(name: &[u8]) -> Option<&'static [u8]> {
    let folded = fold_wtf8(name)?;
    BOOT_FILES.iter().find(|(boot, _)| fold_wtf8(boot).as_ref() == Some(&folded)).map(|(_, copy)| *copy)
}
