//! What can go wrong, as one closed set of values.
//!
//! *Malformed* input ([`Error::Format`]), well-formed input that *policy* refuses ([`Error::Refused`]) and input that
//! goes past a *bound* ([`Error::Limit`]) never share a variant, and neither do faults of the caller
//! ([`Error::Misuse`]). Every error has a stable code ([`Error::code`]); codes are listed in `docs/errors.md`.

mod codes;

use crate::hresult::Hresult;
use std::fmt;
use std::path::{Path, PathBuf};

pub use codes::{ErrorKind, Format, Limit, Misuse, Rule, StoreFault};

/// The result of everything in this crate that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The one error type of the crate. Match it without `_`, so that a new variant is seen everywhere.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The input is not what its format demands: where, what was expected, what was found.
    #[error("{0}")]
    Format(Box<FormatError>),
    /// The input is larger than a bound of [`crate::limits::Limits`] allows.
    #[error("{}{limit} is over its limit: {size} > {max}", member_prefix(.member))]
    Limit {
        /// The bound that was hit.
        limit: Limit,
        /// What the input asked for.
        size: u64,
        /// What the bound allows.
        max: u64,
        /// The member it happened in, raw bytes, where known.
        member: Option<Box<[u8]>>,
    },
    /// The input is well-formed, and refused by a rule of [`crate::policy::Policy`] or of a dialect.
    #[error("{}refused: {rule}{}", member_prefix(.member), detail_suffix(.detail))]
    Refused {
        /// The member it happened in, raw bytes, where known.
        member: Option<Box<[u8]>>,
        /// The rule that refused it.
        rule: Rule,
        /// What exactly was refused; may be empty.
        detail: Box<str>,
    },
    /// Bytes differ from what was promised about them.
    #[error("{what} does not match: expected {expected}, found {found}")]
    Integrity {
        /// Which bytes: a member name, `diffID`, ...
        what: Box<str>,
        /// What was promised.
        expected: Box<str>,
        /// What is there.
        found: Box<str>,
    },
    /// The layer store is not in a state in which this can be done.
    #[error("layer \"{layer}\": {fault}{}", detail_suffix(.detail))]
    Store {
        /// What is in the way.
        fault: StoreFault,
        /// The id of the layer; empty where it is the store as a whole.
        layer: Box<str>,
        /// More about it; may be empty.
        detail: Box<str>,
    },
    /// This host or this backend cannot do it.
    #[error("{operation} is not supported: {reason}")]
    Unsupported {
        /// What was asked for.
        operation: Box<str>,
        /// Why it cannot be had, and what would help.
        reason: Box<str>,
    },
    /// A call of the Host Compute Service (HCS) of Windows failed.
    #[error("{0}")]
    Hcs(Box<HcsError>),
    /// A call of the operating system failed.
    #[error("{operation}{}: {source}", path_suffix(.path))]
    Io {
        /// What was attempted, as a verb: `open`, `read`, ...
        operation: &'static str,
        /// The file it was attempted on, where there is one.
        path: Option<PathBuf>,
        /// What the system answered.
        source: std::io::Error,
    },
    /// The caller used a value in a way its documentation rules out.
    #[error("{misuse}{}", detail_suffix(.detail))]
    Misuse {
        /// Which rule was broken.
        misuse: Misuse,
        /// More about it; may be empty.
        detail: Box<str>,
    },
}

/// Malformed input: where it is, what was expected there, what was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FormatError {
    /// Which format was being read.
    pub format: Format,
    /// Byte offset in the input, where known.
    pub offset: Option<u64>,
    /// The member it happened in, raw bytes, where known.
    pub member: Option<Box<[u8]>>,
    /// The field of the format, in the format's own terms.
    pub field: &'static str,
    /// What the format demands.
    pub expected: Box<str>,
    /// What is there.
    pub found: Box<str>,
}

impl fmt::Display for FormatError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(offset) = self.offset {
            write!(f, "at byte {offset}: ")?;
        }
        write!(f, "{}", member_prefix(&self.member))?;
        write!(f, "{} {}: expected {}, found {}", self.format, self.field, self.expected, self.found)
    }
}

/// A failure of the Host Compute Service: which function, what it returned, on what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HcsError {
    /// The function: `ImportLayer`, `HcsExportLayer`, ...
    pub operation: &'static str,
    /// What it returned, raw.
    pub hresult: Hresult,
    /// The layer it was asked about; may be empty.
    pub layer: Box<str>,
    /// The folder it was given, where there is one.
    pub path: Option<PathBuf>,
    /// More about it: what was handed over last, how long was waited; may be empty.
    pub detail: Box<str>,
}

impl fmt::Display for HcsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let HcsError { operation, hresult, layer, path, detail } = self;
        if !layer.is_empty() {
            write!(f, "layer \"{layer}\": ")?;
        }
        write!(f, "{operation}{} failed with {hresult}{}", path_suffix(path), detail_suffix(detail))
    }
}

impl Error {
    /// A format error without a place; add one with [`Error::at`] and [`Error::in_member`].
    pub fn format(
        format: Format,
        field: &'static str,
        expected: impl Into<Box<str>>,
        found: impl Into<Box<str>>,
    ) -> Self {
        Error::Format(Box::new(FormatError {
            format,
            offset: None,
            member: None,
            field,
            expected: expected.into(),
            found: found.into(),
        }))
    }

    /// A bound was hit.
    #[must_use]
    pub fn limit(limit: Limit, size: u64, max: u64) -> Self {
        Error::Limit { limit, size, max, member: None }
    }

    /// A rule refused it.
    pub fn refused(rule: Rule, detail: impl Into<Box<str>>) -> Self {
        Error::Refused { member: None, rule, detail: detail.into() }
    }

    /// The caller broke a rule.
    pub fn misuse(misuse: Misuse, detail: impl Into<Box<str>>) -> Self {
        Error::Misuse { misuse, detail: detail.into() }
    }

    /// The layer store cannot do it.
    pub fn store(fault: StoreFault, layer: impl Into<Box<str>>, detail: impl Into<Box<str>>) -> Self {
        Error::Store { fault, layer: layer.into(), detail: detail.into() }
    }

    /// An I/O error with what was attempted. An error of this crate that travelled through [`std::io::Error`] comes out
    /// as itself: it knows better what happened.
    pub fn io(operation: &'static str, path: Option<&Path>, source: std::io::Error) -> Self {
        match source.downcast::<Error>() {
            Ok(inner) => inner.on(path),
            Err(source) => Error::Io { operation, path: path.map(Path::to_path_buf), source },
        }
    }

    /// Says on which file the system failed, unless that is known already.
    #[must_use]
    pub fn on(mut self, file: Option<&Path>) -> Self {
        if let Error::Io { path: path @ None, .. } = &mut self {
            *path = file.map(Path::to_path_buf);
        }
        self
    }

    /// Adds the byte of the input at which it happened, unless that is known already.
    #[must_use]
    pub fn at(mut self, offset: u64) -> Self {
        if let Error::Format(error) = &mut self {
            error.offset.get_or_insert(offset);
        }
        self
    }

    /// Adds the member in which it happened, unless that, or the file on the disk, is known already.
    #[must_use]
    pub fn in_member(mut self, name: &[u8]) -> Self {
        match &mut self {
            Error::Format(error) => {
                error.member.get_or_insert_with(|| name.into());
            }
            Error::Limit { member, .. } | Error::Refused { member, .. } => {
                member.get_or_insert_with(|| name.into());
            }
            Error::Integrity { .. }
            | Error::Store { .. }
            | Error::Unsupported { .. }
            | Error::Hcs(_)
            | Error::Misuse { .. } => {}
            Error::Io { path, .. } => {
                path.get_or_insert_with(|| display_name(name).into());
            }
        }
        self
    }

    /// Adds the layer of the store in which it happened, unless that is known already.
    #[must_use]
    pub fn in_layer(mut self, id: &str) -> Self {
        if let Error::Store { layer, .. } = &mut self
            && layer.is_empty()
        {
            *layer = id.into();
        }
        self
    }

    /// Whether a path leads to nothing: no such name, or a file where a directory of the path would be.
    ///
    /// ```
    /// use winlayers::error::Error;
    /// assert!(Error::io("open", None, std::io::ErrorKind::NotFound.into()).is_absent());
    /// assert!(Error::io("open", None, std::io::ErrorKind::NotADirectory.into()).is_absent());
    /// assert!(!Error::io("open", None, std::io::ErrorKind::PermissionDenied.into()).is_absent());
    /// ```
    #[must_use]
    pub fn is_absent(&self) -> bool {
        matches!(self.io_kind(), Some(std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory))
    }

    /// Whether the system does not allow a change: the file system is mounted read-only, or the permissions forbid it.
    #[must_use]
    pub fn is_read_only(&self) -> bool {
        matches!(self.io_kind(), Some(std::io::ErrorKind::ReadOnlyFilesystem | std::io::ErrorKind::PermissionDenied))
    }

    /// The kind of an I/O error; `None` for other errors.
    pub(crate) fn io_kind(&self) -> Option<std::io::ErrorKind> {
        if let Error::Io { source, .. } = self { Some(source.kind()) } else { None }
    }

    /// The stable code that programs compare; see `docs/errors.md`.
    ///
    /// ```
    /// use winlayers::error::{Error, Format};
    /// assert_eq!(Error::format(Format::Tar, "checksum", "0755", "0700").code(), "bad_tar");
    /// ```
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.kind().name()
    }

    /// What it is, without its place and its details.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Error::Format(error) => ErrorKind::Format(error.format),
            Error::Limit { limit, .. } => ErrorKind::Limit(*limit),
            Error::Refused { rule, .. } => ErrorKind::Refused(*rule),
            Error::Integrity { .. } => ErrorKind::Integrity,
            Error::Store { fault, .. } => ErrorKind::Store(*fault),
            Error::Unsupported { .. } => ErrorKind::Unsupported,
            Error::Hcs(_) => ErrorKind::Hcs,
            Error::Io { .. } => ErrorKind::Io,
            Error::Misuse { misuse, .. } => ErrorKind::Misuse(*misuse),
        }
    }
}

/// Takes an error of this crate out of the [`io::Error`] that carried it through `io::Read` or `io::Write`.
pub(crate) fn from_io(error: std::io::Error) -> Error {
    Error::io("read", None, error)
}

/// Carries operation and path through code that knows [`std::io::Error`] only; [`Error::io`] takes them out again.
pub(crate) fn named_io(operation: &'static str, path: &Path, error: std::io::Error) -> std::io::Error {
    // Readers and writers go on after an interruption.
    if error.kind() == std::io::ErrorKind::Interrupted {
        return error;
    }
    std::io::Error::other(Error::io(operation, Some(path), error))
}

/// The raw bytes of a member name as text for people, with control characters escaped.
#[must_use]
pub fn display_name(name: &[u8]) -> String {
    let mut out = String::with_capacity(name.len());
    for chunk in name.utf8_chunks() {
        for c in chunk.valid().chars() {
            if c.is_control() || c == '\\' {
                out.extend(c.escape_default());
            } else {
                out.push(c);
            }
        }
        for byte in chunk.invalid() {
            out.push_str(&format!("\\x{byte:02x}"));
        }
    }
    out
}

fn member_prefix(member: &Option<Box<[u8]>>) -> String {
    member.as_ref().map_or_else(String::new, |name| format!("{}: ", display_name(name)))
}

fn detail_suffix(detail: &str) -> String {
    if detail.is_empty() { String::new() } else { format!(" ({detail})") }
}

fn path_suffix(path: &Option<PathBuf>) -> String {
    path.as_ref().map_or_else(String::new, |path| format!(" {}", path.display()))
}
