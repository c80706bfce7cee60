//! Folders of layers that nothing else can delete: their files belong to TrustedInstaller and deny everybody, so
//! Explorer, `rd` and the uninstaller of a container engine leave them.

use super::folder::{Folder, open_parent};
use super::privilege::{Privilege, Privileges};
use super::service::{Place, Service};
use super::{DISK, INDEX, SPLIT, is_held};
use crate::backend::{Flavour, HcsApi};
use crate::error::{Error, Result, Rule, StoreFault, display_name};
use crate::layer_name::{ROOTS, join};
use crate::nt::name::{fold_wtf8, utf16_from_wtf8};
use crate::transport::{CHAIN, OTHER_IDS};
use std::ffi::OsString;
use std::io::Read;
use std::os::windows::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// What else HCS and the tools before us put at the top of a layer's folder.
const OTHERS: [&str; 2] = ["tombstones.txt", "layout"];
const DISKS: [&str; 2] = [".vhdx", ".vhd"];
/// Saved boot files: `bcd.bak`, `bcd.log1.bak`, ...
const BOOT: (&str, &str) = ("bcd", ".bak");
/// What the folder is called while it goes, as in Docker's store, whose start deletes such a folder as well.
const REMOVING: &str = "-removing";
/// `layerchain.json` of the longest chain that Windows mounts is far below.
const CHAIN_BYTES: u64 = 1 << 20;

/// What a folder holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The files of a layer.
    Layer,
    /// A disk on top of layers.
    Sandbox,
    /// What is left of one of them.
    Remains,
}

/// The folder of a layer that nobody uses.
#[derive(Debug)]
pub struct LayerFolder {
    home: Folder,
    name: Vec<u8>,
    kind: Kind,
    /// Until it is deleted.
    _privileges: Privileges,
}

impl LayerFolder {
    /// Finds it, with the privileges that deleting it takes.
    ///
    /// # Errors
    /// [`StoreFault::LayerNotFound`] for what is no layer: a file, a link, a folder that has something else in it;
    /// [`StoreFault::LayerInUse`] for one that is mounted, or that a mounted sandbox stands on; [`Error::Io`] with
    /// ERROR_PRIVILEGE_NOT_HELD for a process that is not elevated, and for all else that fails.
    pub fn find(path: &Path) -> Result<Self> {
        let privileges = Privileges::hold(&Privilege::WRITE)?;
        let (home, name) = open_parent(&std::path::absolute(path).map_err(|e| Error::io("find", Some(path), e))?)?;
        if name.is_empty() {
            return Err(no_layer(path, "it is the root of a volume"));
        }
        let kind = kind_of(&home, &name, path)?;
        let found = LayerFolder { home, name, kind, _privileges: privileges };
        found.refuse_if_used()?;
        Ok(found)
    }

    /// What it holds.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Deletes it: by HCS where there is one, and then whatever is left, with the rights of a backup program. It is
    /// renamed first, so that what an error or a kill leaves is not taken for a whole layer; the next call goes on.
    ///
    /// # Errors
    /// [`StoreFault::LayerInUse`] when something in it is open: nothing was done. [`Error::Io`].
    pub fn delete(self) -> Result<()> {
        let gone = self.put_aside()?;
        // HCS deletes nothing that we have open.
        self.home.forget();
        if let Some(service) = service() {
            let place = place(&self.home, &gone);
            if service.layer_exists(&place).is_ok_and(|there| there) {
                // What it leaves, whyever, goes below.
                let _ = service.destroy_layer(&place);
            }
        }
        if is_missing(&self.home, &gone)? { Ok(()) } else { self.home.remove_tree(&gone) }
    }

    fn put_aside(&self) -> Result<Vec<u8>> {
        if self.name.ends_with(REMOVING.as_bytes()) {
            return Ok(self.name.clone());
        }
        let gone = [&self.name, REMOVING.as_bytes()].concat();
        match self.home.rename_new(&self.name, &gone) {
            Ok(()) => Ok(gone),
            Err(Error::Refused { rule: Rule::TargetExists, detail, .. }) => {
                Err(in_use(&self.name, format!("{detail} is there: delete that one first")))
            }
            Err(error) if is_held(&error) => Err(in_use(&self.name, "something in it is open")),
            Err(error) => Err(error),
        }
    }

    fn refuse_if_used(&self) -> Result<()> {
        if is_mounted(&self.home, &self.name)? {
            return Err(in_use(&self.name, "it is mounted"));
        }
        // Taking the ground from under a mounted sandbox ends the processes in it, and HCS with them.
        for other in self.home.list(b"")? {
            if !has(&self.home, &join(&other, DISK.as_bytes()))? || !is_mounted(&self.home, &other)? {
                continue;
            }
            let sandbox = display_name(&other);
            match chain_of(&self.home, &other) {
                None => {
                    let detail = format!("the sandbox \"{sandbox}\" is mounted, and does not say what it stands on");
                    return Err(in_use(&self.name, detail));
                }
                Some(chain) if chain.iter().any(|parent| same(parent, &self.name)) => {
                    let detail = format!("the sandbox \"{sandbox}\", which stands on it, is mounted");
                    return Err(in_use(&self.name, detail));
                }
                Some(_) => {}
            }
        }
        Ok(())
    }
}

/// What a folder holds, when that is nothing but what a layer has.
fn kind_of(home: &Folder, name: &[u8], path: &Path) -> Result<Kind> {
    let info = home.info(name)?;
    if !info.is_directory() || info.is_link() {
        return Err(no_layer(path, "it is no folder"));
    }
    let names = home.list(name)?;
    if let Some(other) = names.iter().find(|name| !is_known(name)) {
        return Err(no_layer(path, format!("no layer has a \"{}\"", display_name(other))));
    }
    let there = |wanted: &[&str]| names.iter().any(|name| wanted.iter().any(|w| same(name, w.as_bytes())));
    if there(&[DISK]) {
        Ok(Kind::Sandbox)
    } else if there(&ROOTS[..1]) {
        Ok(Kind::Layer)
    } else if there(&ROOTS) || there(&[CHAIN]) {
        Ok(Kind::Remains)
    } else {
        Err(no_layer(path, "it has none of the folders of a layer"))
    }
}

fn is_known(name: &[u8]) -> bool {
    let name = name.to_ascii_lowercase();
    let mut names = ROOTS.iter().chain(&OTHER_IDS).chain(&OTHERS).chain(&[CHAIN, SPLIT, INDEX]);
    names.any(|known| same(&name, known.as_bytes()))
        || DISKS.iter().any(|end| name.ends_with(end.as_bytes()))
        || (name.starts_with(BOOT.0.as_bytes()) && name.ends_with(BOOT.1.as_bytes()))
}

/// Whether HCS shows a layer somewhere, or Windows holds its disk.
fn is_mounted(home: &Folder, name: &[u8]) -> Result<bool> {
    if service().is_some_and(|service| service.is_elsewhere(&place(home, name))) {
        return Ok(true);
    }
    let disk = join(name, DISK.as_bytes());
    Ok(has(home, &disk)? && home.is_open(&disk)?)
}

/// The last names of the layers that a layer stands on; `None` where its folder does not say it.
fn chain_of(home: &Folder, name: &[u8]) -> Option<Vec<Vec<u8>>> {
    let file = home.open_read(&join(name, CHAIN.as_bytes()), super::folder::Security::Left).ok()?.into_file();
    let mut text = Vec::new();
    file.take(CHAIN_BYTES).read_to_end(&mut text).ok()?;
    let chain: Vec<String> = serde_json::from_slice(&text).ok()?;
    let last = |path: &String| path.rsplit(['\\', '/']).next().unwrap_or_default().as_bytes().to_vec();
    Some(chain.iter().map(last).collect())
}

fn service() -> Option<Service> {
    Service::is_there().is_ok().then_some(Service { flavour: Flavour::Filter as u32, timeout: None, api: HcsApi::Auto })
}

fn place(home: &Folder, name: &[u8]) -> Place {
    // HCS takes no path in the form that may be of any length.
    let path = home.path().to_string_lossy();
    let plain = path.strip_prefix(r"\\?\").filter(|rest| !rest.starts_with("UNC\\")).unwrap_or(&path);
    Place { home: PathBuf::from(plain), id: as_file_name(name).to_string_lossy().into_owned() }
}

fn has(home: &Folder, name: &[u8]) -> Result<bool> {
    is_missing(home, name).map(|missing| !missing)
}

fn is_missing(home: &Folder, name: &[u8]) -> Result<bool> {
    match home.info(name) {
        Ok(_) => Ok(false),
        // A link or a file where a folder would be has nothing in it either.
        Err(Error::Refused { rule: Rule::LinkEscapes, .. }) => Ok(true),
        Err(error) if error.is_absent() => Ok(true),
        Err(error) => Err(error),
    }
}

/// Whether NTFS takes two names for one.
fn same(one: &[u8], other: &[u8]) -> bool {
    fold_wtf8(one) == fold_wtf8(other)
}

fn as_file_name(name: &[u8]) -> OsString {
    utf16_from_wtf8(name).map_or_else(|| display_name(name).into(), |units| OsString::from_wide(&units))
}

fn no_layer(path: &Path, detail: impl AsRef<str>) -> Error {
    Error::store(StoreFault::LayerNotFound, path.display().to_string(), detail.as_ref())
}

fn in_use(name: &[u8], detail: impl Into<Box<str>>) -> Error {
    Error::store(StoreFault::LayerInUse, display_name(name), detail)
}
