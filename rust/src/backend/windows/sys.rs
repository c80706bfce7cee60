//! Every foreign signature that the `windows` crate does not link for us: functions of `vmcompute.dll` and
//! `computestorage.dll`, which are looked up when they are first wanted, since not every Windows has them.
//!
//! What is known of `vmcompute.dll` is known from the tools that call it; `computestorage.dll` is documented, and its
//! signatures are compared below with those of the `windows` crate.

use crate::error::{Error, Result};
use std::marker::PhantomData;
use std::mem::{offset_of, size_of, transmute_copy};
use std::sync::OnceLock;
use windows::Win32::Foundation::HMODULE;
use windows::Win32::System::LibraryLoader::{GetProcAddress, LOAD_LIBRARY_SEARCH_SYSTEM32, LoadLibraryExW};
use windows::core::{GUID, HRESULT, HSTRING, PCSTR, PCWSTR, PWSTR};

/// The driver that a call is for, and the folder that its layers are in.
#[repr(C)]
pub(super) struct DriverInfo {
    /// 0 for differencing disks, 1 for the filter.
    pub flavour: u32,
    pub home: PCWSTR,
}

/// A layer of a chain (`WC_LAYER_DESCRIPTOR`).
#[repr(C)]
pub(super) struct LayerDescriptor {
    pub id: GUID,
    /// Bit 31: the layer was changed.
    pub flags: u32,
    pub path: PCWSTR,
}

const _: () = {
    assert!(size_of::<usize>() == 8, "the layouts are those of 64-bit Windows");
    assert!(size_of::<DriverInfo>() == 16);
    assert!(offset_of!(DriverInfo, flavour) == 0);
    assert!(offset_of!(DriverInfo, home) == 8);
    assert!(size_of::<LayerDescriptor>() == 32);
    assert!(offset_of!(LayerDescriptor, id) == 0);
    assert!(offset_of!(LayerDescriptor, flags) == 16);
    assert!(offset_of!(LayerDescriptor, path) == 24);
};

type Info = *const DriverInfo;
type Chain = *const LayerDescriptor;
/// `ImportLayer` and `ExportLayer`.
pub(super) type FolderFunction = Function<unsafe extern "system" fn(Info, PCWSTR, PCWSTR, Chain, usize) -> HRESULT>;

/// A function of a DLL.
pub(super) struct Function<F> {
    dll: &'static str,
    /// Its name there, with a NUL.
    name: &'static str,
    found: OnceLock<Option<usize>>,
    signature: PhantomData<F>,
}

impl<F: Copy> Function<F> {
    const fn new(dll: &'static str, name: &'static str) -> Self {
        assert!(size_of::<F>() == size_of::<usize>(), "a function pointer");
        Function { dll, name, found: OnceLock::new(), signature: PhantomData }
    }

    pub fn name(&self) -> &'static str {
        self.name.trim_end_matches('\0')
    }

    /// Whether this Windows has it.
    pub fn is_there(&self) -> bool {
        self.address().is_some()
    }

    /// The function.
    ///
    /// # Errors
    /// [`Error::Unsupported`] that names the DLL, or the function, that is missing.
    pub fn get(&self) -> Result<F> {
        match self.address() {
            // SAFETY: F is a pointer to a function with the signature that this name has in this DLL, which stays
            // loaded; its size was checked when this value was made.
            Some(address) => Ok(unsafe { transmute_copy::<usize, F>(&address) }),
            None => Err(self.missing()),
        }
    }

    fn address(&self) -> Option<usize> {
        *self.found.get_or_init(|| {
            let module = library(self.dll)?;
            // SAFETY: the module is loaded for good, and the name ends with a NUL.
            unsafe { GetProcAddress(module, PCSTR(self.name.as_ptr())) }.map(|function| function as usize)
        })
    }

    fn missing(&self) -> Error {
        let (dll, name) = (self.dll, self.name());
        let reason = if library(dll).is_some() {
            format!("{dll} of this Windows has no such function")
        } else {
            format!(
                "{dll} is not there: enable the Windows feature \"Containers\" (Enable-WindowsOptionalFeature -Online \
                 -FeatureName Containers) and restart; backend=\"portable\" works without"
            )
        };
        Error::Unsupported { operation: format!("{name} of the Host Compute Service").into(), reason: reason.into() }
    }
}

fn library(dll: &str) -> Option<HMODULE> {
    // SAFETY: the name is a string of our own. Only the system's folder is searched, so nobody slips in a DLL of the
    // same name; it is never unloaded.
    unsafe { LoadLibraryExW(&HSTRING::from(dll), None, LOAD_LIBRARY_SEARCH_SYSTEM32) }.ok()
}

pub(super) const VMCOMPUTE: &str = "vmcompute.dll";
pub(super) const COMPUTESTORAGE: &str = "computestorage.dll";

macro_rules! functions {
    ($dll:ident: $($(#[$doc:meta])* $constant:ident = $name:ident($($argument:ident: $kind:ty),*);)+) => {
        $($(#[$doc])*
        pub(super) static $constant: Function<unsafe extern "system" fn($($argument: $kind),*) -> HRESULT> =
            Function::new($dll, concat!(stringify!($name), "\0"));)+
    };
}

functions! { VMCOMPUTE:
    ACTIVATE_LAYER = ActivateLayer(info: Info, id: PCWSTR);
    COPY_LAYER = CopyLayer(info: Info, source: PCWSTR, destination: PCWSTR, chain: Chain, length: usize);
    CREATE_LAYER = CreateLayer(info: Info, id: PCWSTR, parent: PCWSTR);
    /// `parent` is 0 always.
    CREATE_SANDBOX_LAYER = CreateSandboxLayer(info: Info, id: PCWSTR, parent: usize, chain: Chain, length: usize);
    DEACTIVATE_LAYER = DeactivateLayer(info: Info, id: PCWSTR);
    DESTROY_LAYER = DestroyLayer(info: Info, id: PCWSTR);
    EXPAND_SANDBOX_SIZE = ExpandSandboxSize(info: Info, id: PCWSTR, size: u64);
    EXPORT_LAYER = ExportLayer(info: Info, id: PCWSTR, path: PCWSTR, chain: Chain, length: usize);
    /// What it gives is freed with `CoTaskMemFree`.
    GET_BASE_IMAGES = GetBaseImages(images: *mut PWSTR);
    /// First without a buffer, which gives the length with its NUL; 0 is no path.
    GET_LAYER_MOUNT_PATH = GetLayerMountPath(info: Info, id: PCWSTR, length: *mut usize, buffer: PWSTR);
    GRANT_VM_ACCESS = GrantVmAccess(vm: PCWSTR, path: PCWSTR);
    IMPORT_LAYER = ImportLayer(info: Info, id: PCWSTR, path: PCWSTR, chain: Chain, length: usize);
    LAYER_EXISTS = LayerExists(info: Info, id: PCWSTR, exists: *mut u32);
    NAME_TO_GUID = NameToGuid(name: PCWSTR, guid: *mut GUID);
    PREPARE_LAYER = PrepareLayer(info: Info, id: PCWSTR, chain: Chain, length: usize);
    PROCESS_BASE_IMAGE = ProcessBaseImage(path: PCWSTR);
    PROCESS_UTILITY_IMAGE = ProcessUtilityImage(path: PCWSTR);
    UNPREPARE_LAYER = UnprepareLayer(info: Info, id: PCWSTR);
}

functions! { COMPUTESTORAGE:
    HCS_ATTACH_LAYER_STORAGE_FILTER = HcsAttachLayerStorageFilter(path: PCWSTR, layer_data: PCWSTR);
    HCS_DESTROY_LAYER = HcsDestroyLayer(path: PCWSTR);
    HCS_DETACH_LAYER_STORAGE_FILTER = HcsDetachLayerStorageFilter(path: PCWSTR);
    HCS_EXPORT_LAYER = HcsExportLayer(path: PCWSTR, folder: PCWSTR, layer_data: PCWSTR, options: PCWSTR);
    HCS_IMPORT_LAYER = HcsImportLayer(path: PCWSTR, folder: PCWSTR, layer_data: PCWSTR);
}

/// Compares the signatures above with those that Microsoft's metadata has. Never called, and never made: a function
/// that is linked would have to be there for the module to load.
#[allow(dead_code)]
fn as_in_the_metadata<T>() {
    use windows::Win32::System::HostComputeSystem as metadata;
    use windows::core::Result as R;
    type P = PCWSTR;
    let _: unsafe fn(P, P) -> R<()> = metadata::HcsAttachLayerStorageFilter::<P, P>;
    let _: unsafe fn(P) -> R<()> = metadata::HcsDestroyLayer::<P>;
    let _: unsafe fn(P) -> R<()> = metadata::HcsDetachLayerStorageFilter::<P>;
    let _: unsafe fn(P, P, P, P) -> R<()> = metadata::HcsExportLayer::<P, P, P, P>;
    let _: unsafe fn(P, P, P) -> R<()> = metadata::HcsImportLayer::<P, P, P>;
}

macro_rules! list {
    ($($constant:ident),+ $(,)?) => {
        /// Each function with its DLL, and whether this Windows has it.
        pub(super) fn all() -> Vec<(&'static str, &'static str, bool)> {
            vec![$(($constant.dll, $constant.name(), $constant.is_there())),+]
        }
    };
}

list! {
    ACTIVATE_LAYER, COPY_LAYER, CREATE_LAYER, CREATE_SANDBOX_LAYER, DEACTIVATE_LAYER, DESTROY_LAYER,
    EXPAND_SANDBOX_SIZE, EXPORT_LAYER, GET_BASE_IMAGES, GET_LAYER_MOUNT_PATH, GRANT_VM_ACCESS, IMPORT_LAYER,
    LAYER_EXISTS, NAME_TO_GUID, PREPARE_LAYER, PROCESS_BASE_IMAGE, PROCESS_UTILITY_IMAGE, UNPREPARE_LAYER,
    HCS_ATTACH_LAYER_STORAGE_FILTER, HCS_DESTROY_LAYER, HCS_DETACH_LAYER_STORAGE_FILTER, HCS_EXPORT_LAYER,
    HCS_IMPORT_LAYER,
}
