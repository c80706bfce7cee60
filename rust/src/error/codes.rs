//! The codes of errors: one closed set for each kind of error that has more than one.

use crate::closed_set::closed_set;

closed_set! {
    /// The formats this crate reads.
    pub enum Format {
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
    pub enum Limit {
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
    pub enum Rule {
        /// A name that would leave the root: absolute, a drive, `..`.
        NameEscapes = "name_escapes", "the name leaves the layer" => Error;
        /// A backslash inside a member name.
        NameBackslash = "name_backslash", "a member name holds a backslash" => Warning;
        /// A NUL inside a name.
        NameNul = "name_nul", "the name holds a NUL" => Error;
        /// An empty name, or an empty component.
        NameEmpty = "name_empty", "the name is empty" => Warning;
        /// A colon that names no stream of the member before.
        NameColon = "name_colon", "a colon that names no stream of the member before it" => Error;
        /// A name for a disk that is not WTF-8.
        NameNotUnicode = "name_not_unicode", "the name is not WTF-8" => Warning;
        /// A name that the target file system would mangle.
        NameReserved = "name_reserved", "the file system cannot hold this name" => Warning;
        /// A root that a layer does not have.
        RootUnknown = "root_unknown", "a layer holds Files, Hives and UtilityVM only" => Error;
        /// One name twice.
        DuplicateName = "duplicate_name", "an entry of this name came before" => Error;
        /// Two names equal without case.
        CaseCollision = "case_collision", "two names differ only in case" => Error;
        /// A link that leaves the root.
        LinkEscapes = "link_escapes", "the link leaves the layer" => Error;
        /// A real file whose name starts with `.wh.`.
        WhiteoutName = "whiteout_name", "a real file may not be named like a whiteout" => Error;
        /// A member type that a layer cannot hold: devices, FIFOs.
        MemberType = "member_type", "a layer cannot hold this member type" => Warning;
        /// A reparse tag that the dialect cannot carry.
        ReparseTag = "reparse_tag", "the dialect cannot carry this reparse tag" => Error;
        /// A stream, or an order of streams, that the dialect cannot carry.
        StreamOrder = "stream_order", "the dialect cannot carry this stream here" => Error;
        /// A value that a PAX record cannot hold.
        PaxKey = "pax_key", "no PAX record can hold this key or value" => Error;
        /// Something would be lost, and `on_loss="error"` was asked for.
        Loss = "loss", "the dialect would lose this" => Error;
        /// Something that a transport folder has no form for: a link outside of `Files`, a whiteout of a hive, ...
        TransportForm = "transport_form", "a transport folder has no form for this" => Error;
        /// The target exists.
        TargetExists = "target_exists", "the target exists" => Error;
        /// A file changed while it was read.
        FileChanged = "file_changed", "the file changed while it was read" => Error;
    }
}

closed_set! {
    /// What keeps a layer store from doing what it was asked to.
    pub enum StoreFault {
        /// There is no layer of this id.
        LayerNotFound = "layer_not_found", "there is no such layer";
        /// There already is a layer of this id.
        LayerExists = "layer_exists", "the layer exists";
        /// It is mounted, or a stream of it is open.
        LayerInUse = "layer_in_use", "the layer is in use";
        /// Other layers have it as their parent.
        HasChildren = "has_children", "other layers stand on this one";
        /// The parent that was given is not the one that is recorded.
        WrongParent = "wrong_parent", "the parent is another one";
        /// A sandbox needs a parent.
        NoParent = "no_parent", "a sandbox needs a parent";
        /// This kind of layer cannot do it: an import into a sandbox, a size for something else.
        WrongKind = "wrong_kind", "this kind of layer cannot do that";
        /// The id is reserved, or is not a single path component that NTFS can hold.
        BadId = "bad_layer_id", "invalid layer id";
        /// A layer does not contain what it should.
        Damaged = "layer_damaged", "the layer is damaged";
        /// The chain of parents is circular or leads to a missing layer.
        BadChain = "bad_chain", "the chain of parents is broken";
        /// The store was written by an unknown version of this crate.
        HomeVersion = "home_version", "the store has another version";
        /// The store cannot be where it is: no folder, a network file system, no write access.
        HomeUnsupported = "home_unsupported", "a store cannot be kept here";
    }
}

closed_set! {
    /// Ways to use a value that its documentation rules out.
    pub enum Misuse {
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

/// What an error is, without its place and its details.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ErrorKind {
    /// [`super::Error::Format`].
    Format(Format),
    /// [`super::Error::Limit`].
    Limit(Limit),
    /// [`super::Error::Refused`].
    Refused(Rule),
    /// [`super::Error::Integrity`].
    Integrity,
    /// [`super::Error::Store`].
    Store(StoreFault),
    /// [`super::Error::Unsupported`].
    Unsupported,
    /// [`super::Error::Hcs`].
    Hcs,
    /// [`super::Error::Io`].
    Io,
    /// [`super::Error::Misuse`].
    Misuse(Misuse),
}

impl ErrorKind {
    /// The stable code; see `docs/errors.md`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            ErrorKind::Format(format) => format.name(),
            ErrorKind::Limit(limit) => limit.name(),
            ErrorKind::Refused(rule) => rule.name(),
            ErrorKind::Integrity => "integrity",
            ErrorKind::Store(fault) => fault.name(),
            ErrorKind::Unsupported => "unsupported",
            ErrorKind::Hcs => "hcs",
            ErrorKind::Io => "io",
            ErrorKind::Misuse(misuse) => misuse.name(),
        }
    }
    /// The kind of a code.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "integrity" => Some(ErrorKind::Integrity),
            "unsupported" => Some(ErrorKind::Unsupported),
            "hcs" => Some(ErrorKind::Hcs),
            "io" => Some(ErrorKind::Io),
            _ => (Format::from_name(name).map(ErrorKind::Format))
                .or_else(|| Limit::from_name(name).map(ErrorKind::Limit))
                .or_else(|| Rule::from_name(name).map(ErrorKind::Refused))
                .or_else(|| StoreFault::from_name(name).map(ErrorKind::Store))
                .or_else(|| Misuse::from_name(name).map(ErrorKind::Misuse)),
        }
    }
}
