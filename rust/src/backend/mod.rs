//! What a layer store asks of the system below it, in the verbs of the Host Compute Service (HCS).
//!
//! The store keeps ids, chains, counts and undo; a [`Backend`] does one thing a call, and leaves nothing behind when it
//! fails. [`portable`] keeps layers in plain files on any system, `windows` hands them to HCS.

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
        /// Filled by an import; it does not change any more.
        Imported = "imported";
        /// Writable.
        Sandbox = "sandbox";
        /// Files as a Windows host, or the diff flavour, has them: it is what lies there.
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
    /// A file: the system can copy it without showing it.
    File(File),
    /// Something that makes them.
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
/// A chain is the parents of a layer, nearest first. No call is made twice at once for one layer: the store holds a lock
/// for each. The order is HCS's own: activate, prepare, mount path; unprepare, deactivate. Errors are those of
/// [`crate::error::Error`]; after one the layer is as it was.
pub trait Backend: Send + Sync {
    /// `portable` or `hcs`.
    fn name(&self) -> &'static str;

    /// What it can do here.
    fn capabilities(&self) -> Capabilities;

    /// The names in a layer's folder by which the backend knows what the layer is: no file of a layer may have them there.
    fn reserved_names(&self) -> &'static [&'static str];

    /// Whether there is a layer.
    ///
    /// # Errors
    /// What the system answers; a layer that is not there is no error.
    fn layer_exists(&self, id: &LayerId) -> Result<bool>;

    /// What a layer is.
    ///
    /// # Errors
    /// [`crate::error::StoreFault::LayerNotFound`]; what the system answers.
    fn layer_kind(&self, id: &LayerId) -> Result<LayerKind>;

    /// The layers that are there, in any order.
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

    /// Grows a sandbox to so many bytes.
    ///
    /// # Errors
    /// What the system answers.
    fn expand_sandbox_size(&self, id: &LayerId, size: u64) -> Result<()>;

    /// Removes a layer and all that is in it, or nothing of it.
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

    /// Lets an active layer be seen together with its chain.
    ///
    /// # Errors
    /// What the system answers.
    fn prepare_layer(&self, id: &LayerId, chain: &[LayerId]) -> Result<()>;

    /// The opposite of [`Backend::prepare_layer`].
    ///
    /// # Errors
    /// What the system answers.
    fn unprepare_layer(&self, id: &LayerId) -> Result<()>;

    /// Where a prepared layer can be seen; `None` where it has no such place.
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

    /// Takes out of a layer what an import left that ended early. One that is whole stays as it is.
    ///
    /// # Errors
    /// What the system answers.
    fn clear_layer(&self, id: &LayerId) -> Result<()>;

    /// What a layer has above its chain.
    ///
    /// # Errors
    /// What the system answers.
    fn export_layer(&self, id: &LayerId, chain: &[LayerId]) -> Result<Export>;

    /// Tells what a layer changes in its chain, in the order of an export.
    ///
    /// # Errors
    /// What the system answers; what `visit` returned.
    fn layer_changes(&self, id: &LayerId, chain: &[LayerId], visit: &mut dyn FnMut(Change) -> Result<()>)
    -> Result<()>;

    /// All that is seen of a layer merged over its chain, with its metadata; nothing is mounted for it.
    ///
    /// # Errors
    /// What the system answers.
    fn layer_view(&self, id: &LayerId, chain: &[LayerId]) -> Result<View>;

    /// The bytes of a file that a layer itself holds, named as in its tar: for putting the tar together again.
    ///
    /// # Errors
    /// [`crate::error::Error::Io`] where the layer has no such file.
    fn open_layer_file(&self, id: &LayerId, name: &[u8]) -> Result<Box<dyn Read + Send>>;

    /// What the import of a layer told; `None` where it is not known.
    ///
    /// # Errors
    /// What the system answers.
    fn imported(&self, id: &LayerId) -> Result<Option<Imported>>;

    /// Reads all of a layer, and tells what is wrong with it. `repair` makes anew what follows from the rest; `progress`
    /// counts bytes of tars.
    ///
    /// # Errors
    /// What the system answers; what is wrong with the layer is none.
    fn check_layer(
        &self,
        id: &LayerId,
        repair: bool,
        progress: &Progress,
        problem: &mut dyn FnMut(ProblemCode, String),
    ) -> Result<()>;

    /// Removes what killed processes left: of layers that never came to be, and of those that were seen and are not in
    /// use any more. No call is under way when it is called.
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
