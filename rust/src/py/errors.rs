//! The one conversion from [`Error`] to Python exceptions, which `winlayers.exceptions` defines.

use std::io;

use pyo3::exceptions::{PyOSError, PyPermissionError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

use crate::error::{Error, Limit, Misuse, Rule, StoreFault};

impl From<Error> for PyErr {
    fn from(error: Error) -> PyErr {
        Python::attach(|py| to_python(py, error).unwrap_or_else(|failure| failure))
    }
}

fn to_python(py: Python<'_>, error: Error) -> PyResult<PyErr> {
    let hint = hint(&error);
    let message = error.to_string();
    let code = error.code();
    let fields = PyDict::new(py);
    let member_bytes = |member: Option<Box<[u8]>>| member.map(|name| PyBytes::new(py, &name));
    let class = match error {
        Error::Format(inner) => {
            fields.set_item("format", inner.format.to_string())?;
            fields.set_item("offset", inner.offset)?;
            fields.set_item("member", member_bytes(inner.member))?;
            fields.set_item("field", inner.field)?;
            fields.set_item("expected", &*inner.expected)?;
            fields.set_item("found", &*inner.found)?;
            "FormatError"
        }
        Error::Limit { limit, size, max, member } => {
            fields.set_item("limit", limit.name().trim_start_matches("limit_"))?;
            fields.set_item("size", size)?;
            fields.set_item("max", max)?;
            fields.set_item("member", member_bytes(member))?;
            "LimitExceededError"
        }
        Error::Refused { member, rule, detail } => {
            fields.set_item("rule", rule.name())?;
            fields.set_item("member", member_bytes(member))?;
            fields.set_item("detail", &*detail)?;
            "RefusedError"
        }
        Error::Integrity { what, expected, found } => {
            fields.set_item("what", &*what)?;
            fields.set_item("expected", &*expected)?;
            fields.set_item("found", &*found)?;
            "IntegrityError"
        }
        Error::Store { fault, layer, .. } => {
            fields.set_item("layer", (!layer.is_empty()).then_some(&*layer))?;
            match fault {
                StoreFault::LayerNotFound => "LayerNotFoundError",
                StoreFault::LayerExists => "LayerExistsError",
                StoreFault::LayerInUse | StoreFault::HasChildren => "LayerInUseError",
                StoreFault::Damaged | StoreFault::BadChain => "StoreDamagedError",
                StoreFault::WrongParent
                | StoreFault::NoParent
                | StoreFault::WrongKind
                | StoreFault::BadId
                | StoreFault::HomeVersion
                | StoreFault::HomeUnsupported => "StoreError",
            }
        }
        Error::Unsupported { operation, reason } => {
            fields.set_item("operation", &*operation)?;
            fields.set_item("reason", &*reason)?;
            "UnsupportedOperationError"
        }
        Error::Hcs(inner) => {
            fields.set_item("operation", inner.operation)?;
            fields.set_item("hresult", inner.hresult.0)?;
            fields.set_item("name", inner.hresult.name())?;
            fields.set_item("layer", &*inner.layer)?;
            fields.set_item("path", inner.path.map(std::path::PathBuf::into_os_string))?;
            "HcsError"
        }
        Error::Misuse { detail, .. } => {
            fields.set_item("detail", &*detail)?;
            "MisuseError"
        }
        Error::Io { operation, path, source } => return io_error(py, operation, path, source),
    };
    fields.set_item("code", code)?;
    fields.set_item("hint", hint)?;
    let class = py.import("winlayers.exceptions")?.getattr(class)?;
    Ok(PyErr::from_value(class.call((message,), Some(&fields))?))
}

/// An OSError of the subclass that its errno stands for, with the file name; or what a Python file object raised.
fn io_error(
    py: Python<'_>,
    operation: &'static str,
    path: Option<std::path::PathBuf>,
    source: io::Error,
) -> PyResult<PyErr> {
    let source = match source.downcast::<PyErr>() {
        Ok(exception) => return Ok(exception),
        Err(source) => source,
    };
    let number = source.raw_os_error().or_else(|| errno_of(source.kind()));
    let Some(number) = number else {
        let place = path.map_or_else(String::new, |path| format!(" {}", path.display()));
        return Ok(PyOSError::new_err(format!("{operation}{place}: {source}")));
    };
    let is_numbered = source.raw_os_error().map_or(source.get_ref().is_none(), |_| cfg!(not(windows)));
    let text =
        if is_numbered { py.import("os")?.call_method1("strerror", (number,))?.extract()? } else { source.to_string() };
    // A str, as Python's own functions give, not a pathlib.Path.
    let path = path.map(std::path::PathBuf::into_os_string);
    if cfg!(windows) && source.raw_os_error() == Some(ERROR_PRIVILEGE_NOT_HELD) {
        // Python would call it an invalid argument; which privilege it is, only the operation says.
        let error = PyPermissionError::new_err((0, format!("cannot {operation}: {text}"), path, number));
        error.value(py).setattr("errno", EACCES)?;
        return Ok(error);
    }
    Ok(match path {
        // On Windows the number is the system's own, and Python finds the errno for it.
        _ if cfg!(windows) && source.raw_os_error().is_some() => PyOSError::new_err((0, text, path, number)),
        Some(path) => PyOSError::new_err((number, text, path)),
        None => PyOSError::new_err((number, text)),
    })
}

/// The number that Windows gives for a privilege that a process cannot turn on.
const ERROR_PRIVILEGE_NOT_HELD: i32 = 1314;
const EACCES: i32 = 13;

/// The errno of an error that the standard library made itself; the numbers are the same on all systems.
fn errno_of(kind: io::ErrorKind) -> Option<i32> {
    Some(match kind {
        io::ErrorKind::NotFound => 2,
        io::ErrorKind::PermissionDenied => 13,
        io::ErrorKind::AlreadyExists => 17,
        io::ErrorKind::NotADirectory => 20,
        io::ErrorKind::IsADirectory => 21,
        io::ErrorKind::InvalidInput => 22,
        io::ErrorKind::FileTooLarge => 27,
        io::ErrorKind::StorageFull => 28,
        io::ErrorKind::ReadOnlyFilesystem => 30,
        io::ErrorKind::BrokenPipe => 32,
        _ => return None,
    })
}

/// What someone who meets the error can do about it.
fn hint(error: &Error) -> Option<&'static str> {
    match error {
        Error::Format(_) => None,
        Error::Limit { limit, .. } => Some(match limit {
            Limit::TotalBytes | Limit::MemberBytes | Limit::Entries => {
                "If the layer is meant to be this large, pass Limits with a larger bound."
            }
            _ => "No real Windows layer needs this much; if yours does, pass Limits with a larger bound.",
        }),
        Error::Refused { rule, .. } => rule_hint(*rule),
        Error::Integrity { .. } => Some("The bytes are damaged or not the ones that were described; fetch them again."),
        Error::Store { fault, .. } => match fault {
            StoreFault::LayerInUse => Some("Unmount it first: `winlayers store umount`, or `store cleanup --force`."),
            StoreFault::HasChildren => Some("Remove the layers that stand on it first."),
            StoreFault::Damaged | StoreFault::BadChain => {
                Some("`winlayers store check --repair` tells what can be saved.")
            }
            StoreFault::HomeVersion => Some("Use the version of winlayers that wrote it, or a newer one."),
            _ => None,
        },
        Error::Hcs(inner) => inner.hresult.hint(),
        Error::Unsupported { .. } | Error::Io { .. } => None,
        Error::Misuse { misuse, .. } => match misuse {
            Misuse::EntryPassed => Some("Read an entry before the next one, or open a seekable, uncompressed source."),
            Misuse::EntryDetached => Some("Open entries that come from a LayerReader."),
            Misuse::InUse => Some("Give each thread a reader or writer of its own."),
            Misuse::Poisoned => Some("Start again with a new writer."),
            Misuse::Closed | Misuse::Argument | Misuse::Data => None,
        },
    }
}

fn rule_hint(rule: Rule) -> Option<&'static str> {
    Some(match rule {
        Rule::NameEscapes | Rule::NameBackslash | Rule::NameColon | Rule::NameEmpty | Rule::MemberType => {
            "To look at such an archive all the same, pass Policy.permissive()."
        }
        Rule::NameReserved | Rule::CaseCollision => "Rename it, or keep it in the archive: only disks mind.",
        Rule::NameNotUnicode => "The archive can carry this name, a disk or a store cannot.",
        Rule::ReparseTag | Rule::StreamOrder | Rule::Loss => "dialect=\"lossless\" carries it.",
        Rule::WhiteoutName => "Rename it: names that begin with .wh. mean deletions in a layer.",
        Rule::TargetExists => "Choose another target, or remove this one first.",
        Rule::FileChanged => "Run it again while nothing writes to the directory.",
        Rule::RootUnknown => {
            "Pack the directory that holds nothing but Files, Hives and UtilityVM, or the content of Files."
        }
        Rule::NameNul | Rule::DuplicateName | Rule::LinkEscapes | Rule::PaxKey | Rule::TransportForm => return None,
    })
}
