//! What is wrong with a layer or a store, as a closed set of codes, each with a severity.

pub use crate::closed_set::Severity;
use crate::closed_set::closed_set;
use crate::error::{Error, ErrorKind, Format, Rule, StoreFault};

closed_set! {
    /// What can be wrong though everything could be read. What could not be read has the code of an error.
    pub enum Flaw {
        /// The recorded attributes are those of another type, such as a directory without DIRECTORY: Windows takes the
        /// file for what its attributes say.
        AttributesMismatch = "attributes_mismatch", "the attributes are those of another type" => Warning;
        /// The archive does not end with two zero blocks: it may have been cut off between two members.
        EndBlocks = "end_blocks", "the archive should end with two zero blocks" => Warning;
        /// A file comes after a hard link to it: an import that goes front to back cannot make the link.
        HardLinkEarly = "hard_link_early", "a hard link to this file came before it" => Error;
        /// A hard link to itself, to a directory or to a whiteout: no file system can make it.
        HardLinkTarget = "hard_link_target", "the target of the hard link is no file" => Error;
        /// The index that a store keeps of a layer cannot be read, or differs from the layer; a repair makes a new one.
        IndexDamaged = "index_damaged", "it does not say what is in the tar" => Error;
        /// A store has a record of a layer that is not there.
        LayerMissing = "layer_missing", "it is in a record, and not there" => Error;
        /// A layer of the store was being made or removed, and no process is at work on it any more.
        LayerUnfinished = "layer_unfinished", "it is not complete" => Error;
        /// A layer lies in the store's folder, and the store has no record of it; a repair makes one.
        LayerUnknown = "layer_unknown", "it is there, and in no record" => Warning;
        /// The link name and the recorded reparse buffer name different targets: readers of one see another link than
        /// readers of the other.
        LinkMismatch = "link_mismatch", "link name and reparse buffer name other targets" => Warning;
        /// An entry lies in something that is no directory: it cannot be made.
        ParentKind = "parent_kind", "what it lies in is no directory" => Error;
        /// A directory comes after what it holds: readers that make directories as they come miss its metadata.
        ParentLate = "parent_late", "entries inside this directory came before it" => Warning;
        /// The directory of an entry is not in this layer. It may be in a lower one; a base layer cannot be imported.
        ParentMissing = "parent_missing", "its directory is not in this layer" => Warning;
        /// The record of a layer names another parent than its folder does; a repair believes the folder.
        RecordDiffers = "record_differs", "its record has another parent" => Warning;
        /// A file differs from what the sidecar says of it, and is packed with default metadata.
        SidecarMismatch = "sidecar_mismatch", "it is packed with defaults" => Warning;
        /// The sidecar has an entry that is not on the disk: it is left out of the layer.
        SidecarMissing = "sidecar_missing", "it is gone, and left out of the layer" => Info;
        /// Something at the top is not in the sidecar, and is packed with default metadata.
        SidecarNew = "sidecar_new", "it was not in the layer, and is packed with defaults" => Info;
        /// A recorded hole holds bytes that are not zero: they are lost in the backup stream.
        SparseHole = "sparse_hole", "there is data in a recorded hole" => Warning;
        /// A stream name that NTFS cannot hold: the import fails.
        StreamName = "stream_name", "not the name of a stream" => Error;
        /// Bytes that are not zero follow the end of the archive: nobody reads them, but the digest has them.
        TrailingData = "trailing_data", "bytes that are not zero follow the end of the archive" => Info;
        /// A whiteout of a root or of a whiteout, an opaque directory, or a whiteout with metadata: Windows has no such
        /// deletions, so what should be gone stays.
        WhiteoutForm = "whiteout_form", "Windows knows no such whiteout" => Warning;
    }
}

/// The code of a problem: that of an error, or of a [`Flaw`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ProblemCode {
    /// Something could not be read, or is refused.
    Error(ErrorKind),
    /// Everything could be read, and something is wrong with it.
    Flaw(Flaw),
}

impl ProblemCode {
    /// The stable name, which programs compare.
    ///
    /// ```
    /// use winlayers::error::Rule;
    /// use winlayers::problem::{ProblemCode, Severity};
    /// let code = ProblemCode::from(Rule::NameReserved);
    /// assert_eq!((code.name(), code.severity()), ("name_reserved", Severity::Warning));
    /// assert_eq!(ProblemCode::from_name("name_reserved"), Some(code));
    /// ```
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            ProblemCode::Error(kind) => kind.name(),
            ProblemCode::Flaw(flaw) => flaw.name(),
        }
    }

    /// The code of a name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Flaw::from_name(name).map(ProblemCode::Flaw).or_else(|| ErrorKind::from_name(name).map(ProblemCode::Error))
    }

    /// How bad it is. A [`Rule`] has a severity of its own; all other errors are [`Severity::Error`].
    #[must_use]
    pub fn severity(self) -> Severity {
        match self {
            ProblemCode::Flaw(flaw) => flaw.severity(),
            ProblemCode::Error(ErrorKind::Refused(rule)) => rule.severity(),
            ProblemCode::Error(
                ErrorKind::Format(_)
                | ErrorKind::Limit(_)
                | ErrorKind::Integrity
                | ErrorKind::Store(_)
                | ErrorKind::Unsupported
                | ErrorKind::Hcs
                | ErrorKind::Io
                | ErrorKind::Misuse(_),
            ) => Severity::Error,
        }
    }
}

impl From<Flaw> for ProblemCode {
    fn from(flaw: Flaw) -> Self {
        ProblemCode::Flaw(flaw)
    }
}

impl From<ErrorKind> for ProblemCode {
    fn from(kind: ErrorKind) -> Self {
        ProblemCode::Error(kind)
    }
}

impl From<Format> for ProblemCode {
    fn from(format: Format) -> Self {
        ErrorKind::Format(format).into()
    }
}

impl From<Rule> for ProblemCode {
    fn from(rule: Rule) -> Self {
        ErrorKind::Refused(rule).into()
    }
}

impl From<StoreFault> for ProblemCode {
    fn from(fault: StoreFault) -> Self {
        ErrorKind::Store(fault).into()
    }
}

/// One thing that is wrong with a layer, with its place.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Problem {
    /// What it is; `docs/formats/problems.md` lists the codes.
    pub code: ProblemCode,
    /// The member, raw bytes; empty where it is the archive itself.
    pub path: Vec<u8>,
    /// Offset in the uncompressed tar of the member's first header block, or of the fault where that is known better.
    pub offset: Option<u64>,
    /// More about it, for people.
    pub message: String,
}

impl Problem {
    /// A problem made of an error, with the place that the error knows.
    #[must_use]
    pub fn of(error: &Error) -> Self {
        let (offset, member) = match error {
            Error::Format(fault) => (fault.offset, fault.member.as_deref()),
            Error::Limit { member, .. } | Error::Refused { member, .. } => (None, member.as_deref()),
            Error::Integrity { .. }
            | Error::Store { .. }
            | Error::Unsupported { .. }
            | Error::Hcs(_)
            | Error::Io { .. }
            | Error::Misuse { .. } => (None, None),
        };
        let path = member.unwrap_or_default().to_vec();
        Problem { code: error.kind().into(), path, offset, message: error.to_string() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Limit, Misuse};

    #[test]
    fn every_code_has_a_name_of_its_own() {
        let mut codes: Vec<ProblemCode> = Flaw::ALL.iter().map(|&flaw| flaw.into()).collect();
        codes.extend(
            [ErrorKind::Integrity, ErrorKind::Unsupported, ErrorKind::Hcs, ErrorKind::Io].map(ProblemCode::Error),
        );
        codes.extend(Format::ALL.iter().map(|&format| ProblemCode::from(format)));
        codes.extend(Limit::ALL.iter().map(|&limit| ProblemCode::Error(ErrorKind::Limit(limit))));
        codes.extend(Rule::ALL.iter().map(|&rule| ProblemCode::from(rule)));
        codes.extend(StoreFault::ALL.iter().map(|&fault| ProblemCode::from(fault)));
        codes.extend(Misuse::ALL.iter().map(|&misuse| ProblemCode::Error(ErrorKind::Misuse(misuse))));
        for code in codes {
            assert_eq!(ProblemCode::from_name(code.name()), Some(code));
        }
        assert_eq!(ProblemCode::from_name("no_such_code"), None);
    }
}
