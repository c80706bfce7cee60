//! The calls of the Host Compute Service, with arguments that cannot be wrong in form.
//!
//! What a call is given lives as long as the call does, also when nobody waits for it any more: with a timeout each
//! runs on a thread of its own, which keeps the memory that the service may still write to.

use super::privilege::{Privilege, Privileges};
use super::sys::{self, DriverInfo, LayerDescriptor};
use crate::backend::HcsApi;
use crate::error::{Error, HcsError, Result};
use crate::fs::disk::disk_path;
use crate::hresult::Hresult;
use crate::layer_name::UTILITY_VM;
use serde::Serialize;
use std::ffi::OsStr;
use std::os::windows::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use windows::Win32::System::Com::CoTaskMemFree;
use windows::core::{GUID, HRESULT, PCWSTR, PWSTR};

/// The service, for the layers of one driver.
#[derive(Debug, Clone)]
pub(super) struct Service {
    /// 0 for differencing disks, 1 for the filter.
    pub flavour: u32,
    /// How long a call may take; `None`: as long as it does.
    pub timeout: Option<Duration>,
    /// Which functions do what both DLLs can do.
    pub api: HcsApi,
}

/// A layer: the folder that its driver's layers are in, and its name there.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub home: PathBuf,
    pub id: String,
}

impl Place {
    pub fn path(&self) -> PathBuf {
        self.home.join(&self.id)
    }
}

/// One `PrepareLayer` at a time: the service gives up on some when there are more.
static PREPARING: Mutex<()> = Mutex::new(());

/// What reading or writing layers takes; a call on a thread of its own holds them there.
const TRANSFER: &[Privilege] = &[Privilege::Backup, Privilege::Restore, Privilege::Security];

impl Service {
    /// That the service is there at all.
    pub fn is_there() -> Result<()> {
        sys::ACTIVATE_LAYER.get().map(drop)
    }

    pub fn activate_layer(&self, layer: &Place) -> Result<()> {
        self.on_layer(&sys::ACTIVATE_LAYER, layer, &[])
    }

    pub fn deactivate_layer(&self, layer: &Place) -> Result<()> {
        self.on_layer(&sys::DEACTIVATE_LAYER, layer, &[])
    }

    pub fn create_layer(&self, layer: &Place, parent: &str) -> Result<()> {
        let function = sys::CREATE_LAYER.get()?;
        let (info, id, parent) = (Info::new(self.flavour, &layer.home), wide(&layer.id), wide(parent));
        // SAFETY: the signature is that of the function; all pointers are to values that the closure owns.
        let call = move || unsafe { (function(&info.raw(), pointer(&id), pointer(&parent)), ()) };
        self.call("CreateLayer", Some(layer), &[], call)
    }

    pub fn create_sandbox_layer(&self, layer: &Place, chain: &[PathBuf]) -> Result<()> {
        let function = sys::CREATE_SANDBOX_LAYER.get()?;
        let chain = self.chain(chain)?;
        let (info, id) = (Info::new(self.flavour, &layer.home), wide(&layer.id));
        let call = move || {
            let layers = chain.raw();
            // SAFETY: as in `create_layer`; the chain has as many elements as it says.
            unsafe { (function(&info.raw(), pointer(&id), 0, layers.as_ptr(), layers.len()), ()) }
        };
        self.call("CreateSandboxLayer", Some(layer), &[], call)
    }

    pub fn expand_sandbox_size(&self, layer: &Place, size: u64) -> Result<()> {
        let function = sys::EXPAND_SANDBOX_SIZE.get()?;
        let (info, id) = (Info::new(self.flavour, &layer.home), wide(&layer.id));
        // SAFETY: as in `create_layer`.
        let call = move || unsafe { (function(&info.raw(), pointer(&id), size), ()) };
        self.call("ExpandSandboxSize", Some(layer), &[], call)
    }

    pub fn destroy_layer(&self, layer: &Place) -> Result<()> {
        if self.newer(sys::DESTROY_LAYER.is_there(), sys::HCS_DESTROY_LAYER.is_there()) {
            let function = sys::HCS_DESTROY_LAYER.get()?;
            let path = wide(layer.path());
            // SAFETY: as in `create_layer`.
            return self
                .call("HcsDestroyLayer", Some(layer), TRANSFER, move || unsafe { (function(pointer(&path)), ()) });
        }
        self.on_layer(&sys::DESTROY_LAYER, layer, TRANSFER)
    }

    /// Fills a layer from a transport folder.
    pub fn import_layer(&self, layer: &Place, folder: &Path, chain: &[PathBuf]) -> Result<()> {
        if self.newer(sys::IMPORT_LAYER.is_there(), sys::HCS_IMPORT_LAYER.is_there()) {
            let function = sys::HCS_IMPORT_LAYER.get()?;
            let (path, folder, data) = (wide(layer.path()), wide(folder), wide(self.layer_data(chain)?));
            // SAFETY: as in `create_layer`.
            let call = move || unsafe { (function(pointer(&path), pointer(&folder), pointer(&data)), ()) };
            return self.call("HcsImportLayer", Some(layer), TRANSFER, call);
        }
        self.with_folder(&sys::IMPORT_LAYER, layer, folder, chain)
    }

    /// Writes a layer to a transport folder.
    pub fn export_layer(&self, layer: &Place, folder: &Path, chain: &[PathBuf], writable: bool) -> Result<()> {
        if self.newer(sys::EXPORT_LAYER.is_there(), sys::HCS_EXPORT_LAYER.is_there()) {
            let function = sys::HCS_EXPORT_LAYER.get()?;
            let options = json(&ExportOptions { is_writable_layer: writable });
            let (path, folder) = (wide(layer.path()), wide(folder));
            let (data, options) = (wide(self.layer_data(chain)?), wide(options));
            // SAFETY: as in `create_layer`.
            let call =
                move || unsafe { (function(pointer(&path), pointer(&folder), pointer(&data), pointer(&options)), ()) };
            return self.call("HcsExportLayer", Some(layer), TRANSFER, call);
        }
        self.with_folder(&sys::EXPORT_LAYER, layer, folder, chain)
    }

    pub fn prepare_layer(&self, layer: &Place, chain: &[PathBuf]) -> Result<()> {
        if self.newer(sys::PREPARE_LAYER.is_there(), sys::HCS_ATTACH_LAYER_STORAGE_FILTER.is_there()) {
            let function = sys::HCS_ATTACH_LAYER_STORAGE_FILTER.get()?;
            let (path, data) = (wide(self.root(layer)?), wide(self.layer_data(chain)?));
            // SAFETY: as in `create_layer`.
            let call = move || unsafe { (function(pointer(&path), pointer(&data)), ()) };
            return self.call("HcsAttachLayerStorageFilter", Some(layer), &[], call);
        }
        let function = sys::PREPARE_LAYER.get()?;
        let chain = self.chain(chain)?;
        let (info, id) = (Info::new(self.flavour, &layer.home), wide(&layer.id));
        let call = move || {
            let _one = PREPARING.lock().unwrap_or_else(PoisonError::into_inner);
            let layers = chain.raw();
            // SAFETY: as in `create_sandbox_layer`.
            unsafe { (function(&info.raw(), pointer(&id), layers.as_ptr(), layers.len()), ()) }
        };
        self.call("PrepareLayer", Some(layer), &[], call)
    }

    pub fn unprepare_layer(&self, layer: &Place) -> Result<()> {
        if self.newer(sys::UNPREPARE_LAYER.is_there(), sys::HCS_DETACH_LAYER_STORAGE_FILTER.is_there()) {
            let function = sys::HCS_DETACH_LAYER_STORAGE_FILTER.get()?;
            let path = wide(self.root(layer)?);
            // SAFETY: as in `create_layer`.
            let call = move || unsafe { (function(pointer(&path)), ()) };
            return self.call("HcsDetachLayerStorageFilter", Some(layer), &[], call);
        }
        self.on_layer(&sys::UNPREPARE_LAYER, layer, &[])
    }

    /// Where the layer can be seen, or its folder; `None` where the service has no path for it.
    pub fn mount_path(&self, layer: &Place) -> Result<Option<PathBuf>> {
        let function = sys::GET_LAYER_MOUNT_PATH.get()?;
        let (info, id) = (Info::new(self.flavour, &layer.home), wide(&layer.id));
        let call = move || {
            let mut length = 0;
            // SAFETY: as in `create_layer`; without a buffer the function tells the length alone.
            let asked = unsafe { function(&info.raw(), pointer(&id), &mut length, PWSTR::null()) };
            if asked.is_err() || length == 0 {
                return (asked, Vec::new());
            }
            let mut buffer = vec![0_u16; length];
            // SAFETY: as above; the buffer has room for what `length` says.
            let told = unsafe { function(&info.raw(), pointer(&id), &mut length, PWSTR(buffer.as_mut_ptr())) };
            (told, buffer)
        };
        let buffer = self.call("GetLayerMountPath", Some(layer), &[], call)?;
        let path = up_to_nul(&buffer);
        Ok((!path.is_empty()).then(|| PathBuf::from(std::ffi::OsString::from_wide(path))))
    }

    /// Whether the layer is seen in another place than its folder: a sandbox, then, that is active. Of others the
    /// service gives the folder, whatever they are; and of what it does not know, nothing.
    pub fn is_elsewhere(&self, layer: &Place) -> bool {
        let seen = self.mount_path(layer).ok().flatten();
        seen.is_some_and(|path| path.file_name() != Some(OsStr::new(&layer.id)))
    }

    pub fn layer_exists(&self, layer: &Place) -> Result<bool> {
        let function = sys::LAYER_EXISTS.get()?;
        let (info, id) = (Info::new(self.flavour, &layer.home), wide(&layer.id));
        let call = move || {
            let mut exists = 0;
            // SAFETY: as in `create_layer`.
            let told = unsafe { function(&info.raw(), pointer(&id), &mut exists) };
            (told, exists != 0)
        };
        self.call("LayerExists", Some(layer), &[], call)
    }

    /// Prepares an already filled base layer so that containers can boot from it.
    pub fn process_base_image(&self, layer: &Place) -> Result<()> {
        let (function, path) = (sys::PROCESS_BASE_IMAGE.get()?, wide(layer.path()));
        // SAFETY: as in `create_layer`.
        self.call("ProcessBaseImage", Some(layer), TRANSFER, move || unsafe { (function(pointer(&path)), ()) })
    }

    /// The same for the utility VM of a layer, which Hyper-V containers start from.
    pub fn process_utility_image(&self, layer: &Place) -> Result<()> {
        let (function, path) = (sys::PROCESS_UTILITY_IMAGE.get()?, wide(layer.path().join(disk_path(UTILITY_VM)?)));
        // SAFETY: as in `create_layer`.
        self.call("ProcessUtilityImage", Some(layer), TRANSFER, move || unsafe { (function(pointer(&path)), ()) })
    }

    /// The base images of the host, as JSON.
    pub fn base_images(&self) -> Result<String> {
        let function = sys::GET_BASE_IMAGES.get()?;
        let call = move || {
            let mut images = PWSTR::null();
            // SAFETY: the function writes one pointer.
            let told = unsafe { function(&mut images) };
            if told.is_err() || images.is_null() {
                return (told, String::new());
            }
            // SAFETY: it gave a string that ends with a NUL, which is the caller's to free, once.
            let text = unsafe {
                let text = String::from_utf16_lossy(images.as_wide());
                CoTaskMemFree(Some(images.0.cast_const().cast()));
                text
            };
            (told, text)
        };
        self.call("GetBaseImages", None, &[], call)
    }

    /// By which GUID the service knows a layer: its own formula over the last part of the path, which is not public.
    fn layer_guid(&self, path: &Path) -> Result<GUID> {
        let function = sys::NAME_TO_GUID.get()?;
        let name = wide(path.file_name().unwrap_or(path.as_os_str()));
        let call = move || {
            let mut guid = GUID::zeroed();
            // SAFETY: as in `create_layer`; it writes one GUID.
            let told = unsafe { function(pointer(&name), &mut guid) };
            (told, guid)
        };
        self.call("NameToGuid", None, &[], call)
    }

    fn chain(&self, paths: &[PathBuf]) -> Result<Chain> {
        paths.iter().map(|path| Ok((self.layer_guid(path)?, wide(path)))).collect::<Result<_>>().map(Chain)
    }

    fn layer_data(&self, chain: &[PathBuf]) -> Result<String> {
        let layer = |path: &PathBuf| {
            let id = format!("{:?}", self.layer_guid(path)?).to_ascii_lowercase();
            Ok(Layer { id, path: path.display().to_string() })
        };
        let layers = chain.iter().map(layer).collect::<Result<_>>()?;
        Ok(json(&LayerData { schema_version: SchemaVersion { major: 2, minor: 1 }, layers }))
    }

    /// The root that the filter of an active layer is attached to.
    fn root(&self, layer: &Place) -> Result<PathBuf> {
        Ok(self.mount_path(layer)?.unwrap_or_else(|| layer.path()))
    }

    /// Whether `computestorage.dll` is to do what `vmcompute.dll` may be able to do as well.
    fn newer(&self, has_old: bool, has_new: bool) -> bool {
        match self.api {
            HcsApi::Auto => !has_old && has_new,
            HcsApi::Vmcompute => false,
            HcsApi::Computestorage => true,
        }
    }

    fn on_layer(
        &self,
        function: &'static sys::Function<unsafe extern "system" fn(*const DriverInfo, PCWSTR) -> HRESULT>,
        layer: &Place,
        privileges: &'static [Privilege],
    ) -> Result<()> {
        let (call, info, id) = (function.get()?, Info::new(self.flavour, &layer.home), wide(&layer.id));
        // SAFETY: as in `create_layer`.
        let call = move || unsafe { (call(&info.raw(), pointer(&id)), ()) };
        self.call(function.name(), Some(layer), privileges, call)
    }

    fn with_folder(
        &self,
        function: &'static sys::FolderFunction,
        layer: &Place,
        folder: &Path,
        chain: &[PathBuf],
    ) -> Result<()> {
        let (call, chain) = (function.get()?, self.chain(chain)?);
        let (info, id, folder) = (Info::new(self.flavour, &layer.home), wide(&layer.id), wide(folder));
        let call = move || {
            let layers = chain.raw();
            // SAFETY: as in `create_sandbox_layer`.
            unsafe { (call(&info.raw(), pointer(&id), pointer(&folder), layers.as_ptr(), layers.len()), ()) }
        };
        self.call(function.name(), Some(layer), TRANSFER, call)
    }

    /// Makes a call, and an error of a failure.
    fn call<T: Send + 'static>(
        &self,
        operation: &'static str,
        layer: Option<&Place>,
        privileges: &'static [Privilege],
        call: impl FnOnce() -> (HRESULT, T) + Send + 'static,
    ) -> Result<T> {
        let with_privileges = move || {
            let _held = if privileges.is_empty() { None } else { Some(Privileges::hold(privileges)?) };
            Ok(call())
        };
        let (told, value) = match self.timeout {
            None => with_privileges()?,
            Some(timeout) => {
                let (tell, told) = channel();
                // Nobody may listen any more when the call ends.
                let work = move || drop(tell.send(with_privileges()));
                let thread = std::thread::Builder::new().name("winlayers-hcs".into()).spawn(work);
                thread.map_err(|e| Error::io("start a thread", None, e))?;
                match told.recv_timeout(timeout) {
                    Ok(result) => result?,
                    Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                        let waited = format!("it did not end within {} s", timeout.as_secs_f64());
                        return Err(failure(operation, Hresult::TIMEOUT, layer, waited));
                    }
                }
            }
        };
        if told.is_err() {
            return Err(failure(operation, Hresult(told.0.cast_unsigned()), layer, String::new()));
        }
        Ok(value)
    }
}

fn failure(operation: &'static str, hresult: Hresult, layer: Option<&Place>, detail: String) -> Error {
    let id = layer.map_or("", |layer| layer.id.as_str());
    let path = layer.map(Place::path);
    Error::Hcs(Box::new(HcsError { operation, hresult, layer: id.into(), path, detail: detail.into() }))
}

/// A driver's info with the string that it points to.
struct Info {
    flavour: u32,
    home: Vec<u16>,
}

impl Info {
    fn new(flavour: u32, home: &Path) -> Self {
        Info { flavour, home: wide(home) }
    }

    /// Valid as long as `self` is.
    fn raw(&self) -> DriverInfo {
        DriverInfo { flavour: self.flavour, home: pointer(&self.home) }
    }
}

/// A chain with the strings that it points to.
struct Chain(Vec<(GUID, Vec<u16>)>);

impl Chain {
    /// Valid as long as `self` is.
    fn raw(&self) -> Vec<LayerDescriptor> {
        self.0.iter().map(|(id, path)| LayerDescriptor { id: *id, flags: 0, path: pointer(path) }).collect()
    }
}

/// UTF-16 with a NUL behind it.
fn wide(text: impl AsRef<OsStr>) -> Vec<u16> {
    text.as_ref().encode_wide().chain([0]).collect()
}

fn pointer(wide: &[u16]) -> PCWSTR {
    PCWSTR(wide.as_ptr())
}

fn up_to_nul(wide: &[u16]) -> &[u16] {
    &wide[..wide.iter().position(|unit| *unit == 0).unwrap_or(wide.len())]
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct LayerData {
    schema_version: SchemaVersion,
    layers: Vec<Layer>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct SchemaVersion {
    major: u32,
    minor: u32,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Layer {
    id: String,
    path: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ExportOptions {
    is_writable_layer: bool,
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("strings and numbers only")
}
