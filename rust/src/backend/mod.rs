//! What a layer store asks of the system below it, in the verbs of the Host Compute Service (HCS).
//!
//! The store keeps ids, chains, counts and undo. A [`Backend`] does one thing in each call and leaves nothing behind
//! when it fails. [`portable`] keeps layers in plain files on any system; `windows` hands them to HCS.

mod id;
mod open;
mod options;
mod piped;
pub mod portable;
#[cfg(any(test, feature = "testing"))]
pub mod recording;
#[cfg(windows)]
pub mod windows;

use crate::closed_set::closed_set;
use crate::error::Result;
use crate::problem::ProblemCode;
use crate::progress::Progress;
use std::fs::File;
use std::io::Read;
use std::path::PathBuf;

use crate::view::View;
pub use crate::view::{Change, ChangeKind, Imported, What};
pub use id::LayerId;
pub use open::{check_available, open};
pub use options::{BackendKind, BackendOptions, Flavour, HcsApi};

closed_set! {
    /// What a layer is.
    pub enum LayerKind {
        /// Made, and not filled yet.
        Empty = "empty";
        /// Filled by an import; it never changes again.
        Imported = "imported";
        /// Writable.
        Sandbox = "sandbox";
        /// Files as a Windows host or the diff flavour has them, read as they are.
        Folder = "folder";
    }
}

/// What a layer has above its chain, as an uncompressed layer tar.
pub struct Export {
    /// The tar. Errors may come while it is read.
    pub tar: ExportedTar,
    /// Whether the layer is read while the tar is, and must stay active until then.
    pub live: bool,
}

/// Where the bytes of an export come from.
pub enum ExportedTar {
    /// A file, which the system can copy without a buffer of this process.
    File(File),
    /// A reader that makes them.
    Made(Box<dyn Read + Send>),
}

impl Read for ExportedTar {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        match self {
            ExportedTar::File(file) => file.read(buf),
            ExportedTar::Made(tar) => tar.read(buf),
        }
    }
}

/// What a backend can do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capabilities {
    /// Whether a prepared layer can be exported as it is; HCS wants it unprepared.
    pub exports_prepared: bool,
    /// Whether a sandbox can have a size.
    pub sandbox_size: bool,
}

/// The layers of a store, as the system sees them.
///
/// A chain is the parents of a layer, nearest first. The store holds a lock for each layer, so no two calls for one
/// layer run at the same time. The order of calls is that of HCS: activate, prepare, mount path; unprepare, deactivate.
/// After an error the layer is as it was.
pub trait Backend: Send + Sync {
    /// `portable` or `hcs`.
    fn name(&self) -> &'static str;

    /// What it can do here.
    fn capabilities(&self) -> Capabilities;

    /// The names in a layer's folder by which the backend recognises what the layer is. No file of a layer may have one
    /// of them there.
    fn reserved_names(&self) -> &'static [&'static str];

    /// Whether there is a layer.
    ///
    /// # Errors
    /// What the system answers; a missing layer is not an error.
    fn layer_exists(&self, id: &LayerId) -> Result<bool>;

    /// What a layer is.
    ///
    /// # Errors
    /// [`crate::error::StoreFault::LayerNotFound`]; what the system answers.
    fn layer_kind(&self, id: &LayerId) -> Result<LayerKind>;

    /// All layers, in any order.
    ///
    /// # Errors
    /// What the system answers.
    fn layers(&self) -> Result<Vec<LayerId>>;

    /// The path by which the chains of other layers name a layer.
    ///
    /// # Errors
    /// What the system answers.
    fn layer_path(&self, id: &LayerId) -> Result<PathBuf>;

    /// Makes a layer, still empty, to be filled by [`Backend::import_layer`].
    ///
    /// # Errors
    /// What the system answers.
    fn create_layer(&self, id: &LayerId, parent: Option<&LayerId>) -> Result<()>;

    /// Makes a writable layer above a chain.
    ///
    /// # Errors
    /// What the system answers.
    fn create_sandbox_layer(&self, id: &LayerId, chain: &[LayerId]) -> Result<()>;

    /// Grows a sandbox to `size` bytes.
    ///
    /// # Errors
    /// What the system answers.
    fn expand_sandbox_size(&self, id: &LayerId, size: u64) -> Result<()>;

    /// Removes a layer with everything in it, or leaves it whole.
    ///
    /// # Errors
    /// What the system answers.
    fn destroy_layer(&self, id: &LayerId) -> Result<()>;

    /// Makes a layer ready to be prepared or exported.
    ///
    /// # Errors
    /// What the system answers.
    fn activate_layer(&self, id: &LayerId) -> Result<()>;

    /// The opposite of [`Backend::activate_layer`].
    ///
    /// # Errors
    /// What the system answers.
    fn deactivate_layer(&self, id: &LayerId) -> Result<()>;

    /// Makes an active layer visible together with its chain.
    ///
    /// # Errors
    /// What the system answers.
    fn prepare_layer(&self, id: &LayerId, chain: &[LayerId]) -> Result<()>;

    /// The opposite of [`Backend::prepare_layer`].
    ///
    /// # Errors
    /// What the system answers.
    fn unprepare_layer(&self, id: &LayerId) -> Result<()>;

    /// The path at which a prepared layer is visible; `None` if it has none.
    ///
    /// # Errors
    /// What the system answers.
    fn layer_mount_path(&self, id: &LayerId) -> Result<Option<PathBuf>>;

    /// Fills an empty layer, or makes one, from an uncompressed layer tar.
    ///
    /// # Errors
    /// Those of reading a layer tar; what the system answers.
    fn import_layer(
        &self,
        id: &LayerId,
        chain: &[LayerId],
        tar: Box<dyn Read + Send>,
        progress: Progress,
    ) -> Result<Imported>;

    /// Removes from a layer what an unfinished import left. A complete layer stays as it is.
    ///
    /// # Errors
    /// What the system answers.
    fn clear_layer(&self, id: &LayerId) -> Result<()>;

    /// What a layer has above its chain.
    ///
    /// # Errors
    /// What the system answers.
    fn export_layer(&self, id: &LayerId, chain: &[LayerId]) -> Result<Export>;

    /// Reports what a layer changes in its chain, in the order of an export.
    ///
    /// # Errors
    /// What the system answers; what `visit` returned.
    fn layer_changes(&self, id: &LayerId, chain: &[LayerId], visit: &mut dyn FnMut(Change) -> Result<()>)
    -> Result<()>;

    /// A view of a layer merged over its chain, with all metadata. Nothing is mounted for it.
    ///
    /// # Errors
    /// What the system answers.
    fn layer_view(&self, id: &LayerId, chain: &[LayerId]) -> Result<View>;

    /// The bytes of a file that a layer itself holds, named as in its tar: for putting the tar together again.
    ///
    /// # Errors
    /// [`crate::error::Error::Io`] if the layer does not have the file.
    fn open_layer_file(&self, id: &LayerId, name: &[u8]) -> Result<Box<dyn Read + Send>>;

    /// What the import of a layer reported; `None` if it is not known.
    ///
    /// # Errors
    /// What the system answers.
    fn imported(&self, id: &LayerId) -> Result<Option<Imported>>;

    /// Reads all of a layer and reports what is wrong with it. `repair` rebuilds what follows from the rest; `progress`
    /// counts bytes of tars.
    ///
    /// # Errors
    /// What the system answers. What is wrong with the layer is not an error.
    fn check_layer(
        &self,
        id: &LayerId,
        repair: bool,
        progress: &Progress,
        problem: &mut dyn FnMut(ProblemCode, String),
    ) -> Result<()>;

    /// Removes what killed processes left: unfinished layers, and views that are not in use any more. No other call is
    /// under way when it is called.
    ///
    /// # Errors
    /// What the system answers; what `in_use` returned.
    fn sweep(&self, in_use: &dyn Fn(&LayerId) -> Result<bool>) -> Result<()>;

    /// The base images that the host has, as JSON: `{"Images": [{"Name", "Version", "Path", "Size", "CreatedTime"}]}`.
    ///
    /// # Errors
    /// What the system answers.
    fn shared_base_images(&self) -> Result<String>;
}
