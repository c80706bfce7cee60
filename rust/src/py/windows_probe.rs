//! What tests under Windows look at, and no wheel that is shipped has.

use std::path::PathBuf;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::backend::windows::base_layer::{BaseLayerOptions, BaseLayerReader, BaseLayerWriter};
use crate::backend::windows::folder::{self, Security};
use crate::backend::windows::privilege::{Privilege, Privileges};
use crate::error::{Error, Result};
use crate::layer_tar::{Dialect, EntryKind, LayerReader, LayerWriter, WriterOptions};
use crate::nt::{BasicInfo, FileAttributes, FileTime};
use crate::policy::Policy;
use crate::source::Source;

pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Folder>()?;
    module.add_function(wrap_pyfunction!(_with_privileges, module)?)?;
    module.add_function(wrap_pyfunction!(_base_layer_to_tar, module)?)?;
    module.add_function(wrap_pyfunction!(_base_layer_from_tar, module)?)
}

/// Calls a function while this thread holds privileges.
#[pyfunction]
fn _with_privileges<'py>(names: Vec<String>, inside: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let privilege = |name: &String| match name.as_str() {
        "SeBackupPrivilege" => Ok(Privilege::Backup),
        "SeRestorePrivilege" => Ok(Privilege::Restore),
        "SeSecurityPrivilege" => Ok(Privilege::Security),
        "SeCreateTokenPrivilege" => Ok(Privilege::CreateToken),
        other => Err(PyValueError::new_err(other.to_owned())),
    };
    let privileges = names.iter().map(privilege).collect::<PyResult<Vec<_>>>()?;
    let _held = Privileges::hold(&privileges)?;
    inside.call0()
}

/// The lossless tar of a base layer's folder.
#[pyfunction]
fn _base_layer_to_tar(py: Python<'_>, folder: PathBuf, hives: bool) -> PyResult<Bound<'_, PyBytes>> {
    let tar = py.detach(|| {
        let _held = Privileges::hold(&Privilege::READ)?;
        let folder = folder::Folder::open(&folder)?;
        let mut reader = BaseLayerReader::new(&folder, BaseLayerOptions { hives, ..BaseLayerOptions::default() });
        let options = WriterOptions { dialect: Dialect::Lossless, ..WriterOptions::default() };
        let mut writer = LayerWriter::new(Vec::new(), options);
        while let Some(found) = reader.next_entry()? {
            let entry = &found.entry;
            match found.stream {
                Some(stream) => writer.add_backup_stream(entry, std::io::BufReader::new(stream), None)?,
                None => {
                    let target = entry.link_name.as_deref().unwrap_or_default();
                    writer.add_hard_link(&entry.name, target, Some(&entry.basic_info))?;
                }
            }
        }
        writer.finish()
    })?;
    Ok(PyBytes::new(py, &tar))
}

/// Fills a base layer's folder; tells entries, bytes, kinds of losses and whether there is a utility VM.
#[pyfunction]
fn _base_layer_from_tar(
    py: Python<'_>,
    tar: Vec<u8>,
    folder: PathBuf,
) -> PyResult<(u64, u64, Vec<&'static str>, bool)> {
    Ok(py.detach(|| {
        let _held = Privileges::hold(&Privilege::WRITE)?;
        let folder = folder::Folder::open(&folder)?;
        let options = BaseLayerOptions::default();
        let mut reader = LayerReader::new(Source::memory(tar), Policy::strict(), &options.limits)?;
        let mut writer = BaseLayerWriter::new(&folder, options);
        while let Some(entry) = reader.next_entry()? {
            match entry.kind {
                EntryKind::HardLink => {
                    writer.add_hard_link(&entry.name, entry.link_name.as_deref().unwrap_or_default())?
                }
                EntryKind::Whiteout => writer.add(&entry, std::io::empty())?,
                _ => writer.add(&entry, reader.backup_stream(&entry)?)?,
            }
        }
        let finished = writer.finish_files()?;
        let report = writer.finish_times()?;
        let losses = report.losses.totals.keys().copied().collect();
        Ok::<_, Error>((report.entries, report.bytes, losses, finished.has_utility_vm))
    })?)
}

/// Attributes, last write, size, links, identity.
type Told = (u32, i64, u64, u32, (u64, [u8; 16]));

/// A folder that nothing leaves, by names as NT has them.
#[pyclass(frozen, name = "_Folder")]
struct Folder(folder::Folder);

#[pymethods]
impl Folder {
    #[new]
    fn new(path: PathBuf) -> Result<Self> {
        folder::Folder::open(&path).map(Folder)
    }

    fn create_file(&self, name: Vec<u8>, attributes: u32) -> Result<()> {
        self.0.create_file(&name, FileAttributes(attributes), Security::Left).map(drop)
    }

    fn create_folder(&self, name: Vec<u8>, attributes: u32) -> Result<()> {
        self.0.create_folder(&name, FileAttributes(attributes), Security::Left).map(drop)
    }

    fn data(&self, name: Vec<u8>) -> PyResult<Vec<u8>> {
        let mut data = Vec::new();
        std::io::Read::read_to_end(&mut self.0.open_read(&name, Security::Left)?.into_file(), &mut data)?;
        Ok(data)
    }

    fn create_hard_link(&self, name: Vec<u8>, existing: Vec<u8>) -> Result<()> {
        self.0.create_hard_link(&name, &self.0, &existing)
    }

    fn rename_new(&self, from: Vec<u8>, to: Vec<u8>) -> Result<()> {
        self.0.rename_new(&from, &to)
    }

    fn remove(&self, name: Vec<u8>) -> Result<()> {
        self.0.remove(&name)
    }

    fn remove_tree(&self, name: Vec<u8>) -> Result<()> {
        self.0.remove_tree(&name)
    }

    fn list(&self, py: Python<'_>, name: Vec<u8>) -> Result<Vec<Py<PyBytes>>> {
        Ok(self.0.list(&name)?.iter().map(|name| PyBytes::new(py, name).unbind()).collect())
    }

    fn info(&self, name: Vec<u8>) -> Result<Told> {
        let (info, id) = (self.0.info(&name)?, self.0.id(&name)?);
        let written = info.basic.last_write_time.unwrap_or(FileTime(0)).0;
        Ok((info.basic.attributes.0, written, info.size, info.links, (id.volume, id.file)))
    }

    fn set_basic_info(&self, name: Vec<u8>, attributes: u32, written: i64) -> Result<()> {
        let last_write_time = Some(FileTime(written));
        let attributes = FileAttributes(attributes);
        self.0.set_basic_info(&name, &BasicInfo { last_write_time, attributes, ..BasicInfo::default() })
    }

    fn sync(&self, name: Vec<u8>) -> Result<()> {
        self.0.sync(&name)
    }
}
