//! What can go wrong, as one closed set of values.
//!
//! *Malformed* input ([`Error::Format`]), well-formed input that *policy* refuses ([`Error::Refused`]) and input that
//! goes past a *bound* ([`Error::Limit`]) never share a variant, and neither do faults of the caller
//! ([`Error::Misuse`]). Every error has a stable code ([`Error::code`]); codes are listed in `docs/errors.md`.

use crate::hresult::Hresult;
use std::fmt;
use std::path::{Path, PathBuf};

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
    /// The Host Compute Service (HCS) of Windows said no.
    #[error("{0}")]
    Hcs(Box<HcsError>),
    /// The operating system said no.
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

macro_rules! closed_set {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $code:literal, $text:literal;)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$vdoc])* $variant,)+ }

        impl $name {
            /// All values, for tests and documentation.
            pub const ALL: &'static [$name] = &[$($name::$variant),+];

            /// The stable code that programs compare.
            #[must_use]
            pub fn code(self) -> &'static str {
                match self { $($name::$variant => $code,)+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $($name::$variant => $text,)+ })
            }
        }
    };
}

closed_set! {
    /// The formats this crate reads.
    Format {
        /// POSIX tar framing: header blocks, PAX records, GNU extensions.
        Tar = "bad_tar", "tar";
        /// Windows records inside a tar member (`MSWINDOWS.*`, `LIBARCHIVE.*`, `WINLAYERS.*`).
        LayerTar = "bad_layer_tar", "layer tar";
        /// The byte stream of `BackupRead`.
        BackupStream = "bad_backup_stream", "backup stream";
        /// tar-split metadata.
        TarSplit = "bad_tar_split", "tar-split metadata";
        /// A gzip stream.
        Gzip = "bad_gzip", "gzip";
        /// A zstd stream.
        Zstd = "bad_zstd", "zstd";
        /// A reparse data buffer.
        ReparsePoint = "bad_reparse_point", "reparse point";
        /// A list of extended attributes.
        ExtendedAttributes = "bad_extended_attributes", "extended attribute list";
        /// A self-relative security descriptor.
        SecurityDescriptor = "bad_security_descriptor", "security descriptor";
        /// Security descriptor definition language.
        Sddl = "bad_sddl", "SDDL";
        /// A security identifier.
        Sid = "bad_sid", "SID";
        /// A GUID in text form.
        Guid = "bad_guid", "GUID";
        /// The sidecar file of `extract`.
        Sidecar = "bad_sidecar", "sidecar";
        /// The folder that HCS imports a layer from, and exports it to.
        Transport = "bad_transport", "transport folder";
        /// An OCI image layout, or an archive of `docker save`.
        Image = "bad_image", "image";
    }
}

closed_set! {
    /// The bounds of [`crate::limits::Limits`].
    Limit {
        /// A path, in UTF-16 units.
        Path = "limit_path", "path length";
        /// One component of a path, in UTF-16 units.
        Component = "limit_component", "path component length";
        /// The records of one PAX header, in bytes.
        PaxBody = "limit_pax_body", "PAX header size";
        /// The extended attributes of one entry, in bytes.
        ExtendedAttributes = "limit_extended_attributes", "extended attribute list size";
        /// A reparse buffer, in bytes.
        ReparsePoint = "limit_reparse_point", "reparse buffer size";
        /// A security descriptor, in bytes.
        SecurityDescriptor = "limit_security_descriptor", "security descriptor size";
        /// Named streams of one entry.
        Streams = "limit_streams", "number of streams";
        /// Entries of one layer.
        Entries = "limit_entries", "number of entries";
        /// The data of one member, in bytes, holes included.
        MemberBytes = "limit_member_bytes", "member size";
        /// The uncompressed layer, in bytes.
        TotalBytes = "limit_total_bytes", "layer size";
        /// Sparse ranges of one member.
        SparseRanges = "limit_sparse_ranges", "number of sparse ranges";
        /// One line of tar-split metadata or of a sidecar, or one JSON document of an image, in bytes.
        Line = "limit_line", "length of a line or document";
    }
}

closed_set! {
    /// Why well-formed input is refused.
    Rule {
        /// A name that would leave the root: absolute, a drive, `..`.
        NameEscapes = "name_escapes", "the name leaves the layer";
        /// A backslash inside a member name.
        NameBackslash = "name_backslash", "a member name holds a backslash";
        /// A NUL inside a name.
        NameNul = "name_nul", "the name holds a NUL";
        /// An empty name, or an empty component.
        NameEmpty = "name_empty", "the name is empty";
        /// A colon that is not that of a stream of the member before.
        NameColon = "name_colon", "a colon that names no stream of the member before it";
        /// A name that is not WTF-8 where it would meet a disk.
        NameNotUnicode = "name_not_unicode", "the name is not WTF-8";
        /// A name that the target file system would mangle.
        NameReserved = "name_reserved", "the file system cannot hold this name";
        /// A root that a layer does not have.
        RootUnknown = "root_unknown", "a layer holds Files, Hives and UtilityVM only";
        /// One name twice.
        DuplicateName = "duplicate_name", "an entry of this name came before";
        /// Two names equal without case.
        CaseCollision = "case_collision", "two names differ only in case";
        /// A link that leaves the root.
        LinkEscapes = "link_escapes", "the link leaves the layer";
        /// A real file whose name starts with `.wh.`.
        WhiteoutName = "whiteout_name", "a real file may not be named like a whiteout";
        /// A member type that a layer cannot hold: devices, FIFOs.
        MemberType = "member_type", "a layer cannot hold this member type";
        /// A reparse tag that the dialect cannot carry.
        ReparseTag = "reparse_tag", "the dialect cannot carry this reparse tag";
        /// A stream, or an order of streams, that the dialect cannot carry.
        StreamOrder = "stream_order", "the dialect cannot carry this stream here";
        /// A value that a PAX record cannot hold.
        PaxKey = "pax_key", "no PAX record can hold this key or value";
        /// Something would be lost, and `on_loss="error"` was asked for.
        Loss = "loss", "the dialect would lose this";
        /// Something that a transport folder has no form for: a link outside of `Files`, a whiteout of a hive, ...
        TransportForm = "transport_form", "a transport folder has no form for this";
        /// The target exists.
        TargetExists = "target_exists", "the target exists";
        /// A file changed while it was read.
        FileChanged = "file_changed", "the file changed while it was read";
    }
}

closed_set! {
    /// What keeps a layer store from doing what it was asked to.
    StoreFault {
        /// There is no layer of this id.
        LayerNotFound = "layer_not_found", "there is no such layer";
        /// There is one already.
        LayerExists = "layer_exists", "the layer exists";
        /// It is mounted, or a stream of it is open.
        LayerInUse = "layer_in_use", "the layer is in use";
        /// Other layers stand on it.
        HasChildren = "has_children", "other layers stand on this one";
        /// The parent that was given is not the one that is recorded.
        WrongParent = "wrong_parent", "the parent is another one";
        /// A sandbox stands on a parent.
        NoParent = "no_parent", "a sandbox needs a parent";
        /// The kind of layer cannot do it: an import into a sandbox, a size for a layer that is none.
        WrongKind = "wrong_kind", "this kind of layer cannot do that";
        /// The id is no single path component that NTFS can hold, or a reserved one.
        BadId = "bad_layer_id", "no id of a layer";
        /// A layer does not hold what it should.
        Damaged = "layer_damaged", "the layer is damaged";
        /// The chain of parents leads in a circle, or to a layer that is missing.
        BadChain = "bad_chain", "the chain of parents is broken";
        /// The store was written by a version that this one does not know.
        HomeVersion = "home_version", "the store has another version";
        /// The store cannot be where it is: no folder, a network file system, no write access.
        HomeUnsupported = "home_unsupported", "no store can be here";
    }
}

closed_set! {
    /// Ways to use a value that its documentation rules out.
    Misuse {
        /// A second or re-entrant use of a reader, writer or stream.
        InUse = "in_use", "this object is in use";
        /// Data of an entry that a forward-only reader has left behind.
        EntryPassed = "entry_passed", "the reader has moved past this entry";
        /// Data of an entry that belongs to no reader.
        EntryDetached = "entry_detached", "this entry belongs to no reader";
        /// Use after `close`.
        Closed = "closed", "this object is closed";
        /// Use of a writer after an error.
        Poisoned = "poisoned", "this writer failed before and cannot go on";
        /// An argument that no input could make right.
        Argument = "bad_argument", "bad argument";
        /// Data for an entry that has none, or none for one that has.
        Data = "bad_data", "data does not fit the entry";
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

    /// An I/O error with what was attempted.
    pub fn io(operation: &'static str, path: Option<&Path>, source: std::io::Error) -> Self {
        Error::Io { operation, path: path.map(Path::to_path_buf), source }
    }

    /// Says at which byte of the input it happened, unless that is known already.
    #[must_use]
    pub fn at(mut self, offset: u64) -> Self {
        if let Error::Format(error) = &mut self {
            error.offset.get_or_insert(offset);
        }
        self
    }

    /// Says in which member it happened, unless that is known already.
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
            | Error::Io { .. }
            | Error::Misuse { .. } => {}
        }
        self
    }

    /// Says in which layer of the store it happened, unless that is known already.
    #[must_use]
    pub fn in_layer(mut self, id: &str) -> Self {
        if let Error::Store { layer, .. } = &mut self
            && layer.is_empty()
        {
            *layer = id.into();
        }
        self
    }

    /// The stable code that programs compare; see `docs/errors.md`.
    ///
    /// ```
    /// use winlayers::error::{Error, Format};
    /// assert_eq!(Error::format(Format::Tar, "checksum", "0755", "0700").code(), "bad_tar");
    /// ```
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Error::Format(error) => error.format.code(),
            Error::Limit { limit, .. } => limit.code(),
            Error::Refused { rule, .. } => rule.code(),
            Error::Integrity { .. } => "integrity",
            Error::Store { fault, .. } => fault.code(),
            Error::Unsupported { .. } => "unsupported",
            Error::Hcs(_) => "hcs",
            Error::Io { .. } => "io",
            Error::Misuse { misuse, .. } => misuse.code(),
        }
    }
}

/// An error of this crate that travelled through `io::Read` comes out as itself.
pub(crate) fn from_io(error: std::io::Error) -> Error {
    if error.get_ref().is_some_and(|inner| inner.is::<Error>()) {
        let inner = error.into_inner().expect("checked above").downcast::<Error>();
        return *inner.expect("checked above");
    }
    Error::io("read", None, error)
}

/// Raw member bytes as a person may read them: escaped, never raw control characters.
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
