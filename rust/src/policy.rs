//! What is refused, what may be dropped, and how a loss is reported.

use crate::closed_set::closed_set;
use crate::error::{Error, Result, Rule};

/// Which well-formed names and members are refused. The defaults refuse what no layer of Windows holds.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Policy {
    /// Accept names that leave the layer (`..`, absolute, a drive). **false**.
    pub allow_escaping_names: bool,
    /// Accept a backslash in a member name when reading. **false**.
    pub allow_backslash: bool,
    /// Accept a colon even where it names no stream of the member before. **false**.
    pub allow_colon: bool,
    /// Accept an empty name or an empty component. **false**.
    pub allow_empty_names: bool,
    /// Read device and FIFO members as empty files, as go-winio does. **false**: refused.
    pub allow_devices: bool,
}

impl Default for Policy {
    fn default() -> Self {
        Policy::strict()
    }
}

impl Policy {
    /// The default: refuses what no layer of Windows holds.
    #[must_use]
    pub fn strict() -> Self {
        Policy {
            allow_escaping_names: false,
            allow_backslash: false,
            allow_colon: false,
            allow_empty_names: false,
            allow_devices: false,
        }
    }

    /// Refuses nothing. For looking at archives of other tools, never for extracting them.
    #[must_use]
    pub fn permissive() -> Self {
        Policy {
            allow_escaping_names: true,
            allow_backslash: true,
            allow_colon: true,
            allow_empty_names: true,
            allow_devices: true,
        }
    }
}

closed_set! {
    /// What a writer does when its dialect cannot carry something.
    #[derive(Default)]
    pub enum OnLoss {
        /// List it in the writer's losses. The default.
        #[default]
        Report = "report";
        /// Refuse the entry.
        Error = "error";
        /// Drop it without a word.
        Ignore = "ignore";
    }
}

closed_set! {
    /// What a dialect, a transport folder or a disk could not carry.
    pub enum LossKind {
        /// Attributes that the host sets itself, or that a file of the target cannot have.
        Attributes = "attributes", "attributes" => Warning;
        /// That a file has no DATA stream: an empty one will be read; or that something else has an empty one.
        DataStream = "data_stream", "whether there is an empty DATA stream" => Info;
        /// The metadata of a directory that comes twice: that of the later one counts.
        DuplicateDirectory = "duplicate_directory", "the later metadata of the directory counts" => Warning;
        /// All but the last extended attribute of one name.
        EaDuplicates = "ea_duplicates", "extended attributes of one name" => Warning;
        /// Padding and offsets of the list of extended attributes.
        EaEncoding = "ea_encoding", "padding or offsets of the list" => Info;
        /// Flags of extended attributes.
        EaFlags = "ea_flags", "flags of extended attributes" => Warning;
        /// The order of extended attributes: they come back sorted by name.
        EaOrder = "ea_order", "the order of extended attributes" => Info;
        /// That there was an EA stream without attributes, or more than one.
        EaStreams = "ea_streams", "an empty EA stream" => Info;
        /// That a file is a hard link: it is a file of its own, or not on the disk.
        HardLink = "hard_link", "it is a file of its own, with a copy of the data" => Warning;
        /// That a directory has no entry: it will be read as one.
        ImpliedDirectory = "implied_directory", "it has no entry, and will be read as one" => Info;
        /// A link that leads out of the layer: on the disk it is an empty file.
        Link = "link", "on the disk it is a file, which leads nowhere" => Warning;
        /// Metadata of a hard link or a whiteout, which have none of their own.
        LinkMetadata = "link_metadata", "metadata of a hard link or whiteout" => Info;
        /// A link name that differs from the target in the reparse buffer.
        LinkName = "link_name", "its reparse buffer names another target" => Warning;
        /// All of a reparse buffer but its print name: the rest is made from that.
        ReparsePoint = "reparse_point", "only its print name is kept" => Warning;
        /// A reparse point of a tag that go-winio refuses; the layer cannot be written in its dialect.
        ReparseTag = "reparse_tag", "the dialect refuses this reparse tag" => Error;
        /// All but the last security descriptor, and an empty one.
        SecurityDescriptor = "security_descriptor", "only the last one is kept, and no empty one" => Warning;
        /// Which ranges of a sparse file are holes: they become zeros.
        Sparse = "sparse", "holes become zeros" => Warning;
        /// A stream that no member carries: named streams of directories or before the data, object ids, ...
        Stream = "stream", "a stream that cannot be carried" => Warning;
        /// Attribute bits of a stream.
        StreamAttributes = "stream_attributes", "attributes of a stream" => Info;
        /// A stream name of another form than `:name:$DATA`.
        StreamName = "stream_name", "it will be read under another name" => Warning;
        /// The order of streams.
        StreamOrder = "stream_order", "order and attributes of its streams" => Info;
        /// A time outside 1677 to 2262, which wraps around.
        TimeRange = "time_range", "a time that is out of range" => Warning;
        /// Times that a file of a transport folder or a host cannot have.
        Times = "times", "times" => Warning;
    }
}

/// One thing that a dialect could not carry.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Loss {
    /// The member, raw bytes.
    pub path: Vec<u8>,
    /// The stream that lost something; `None` for the member itself.
    pub stream: Option<Vec<u8>>,
    /// What kind of thing was lost; `docs/formats/losses.md` lists the kinds.
    pub kind: LossKind,
    /// More about it, for people.
    pub detail: String,
}

/// A list that keeps its first 10,000 items and counts the rest by kind, so that a hostile layer cannot fill memory.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Capped<T> {
    /// The first items.
    pub items: Vec<T>,
    /// How many of each kind there were in all.
    pub totals: std::collections::BTreeMap<&'static str, u64>,
}

impl<T> Default for Capped<T> {
    fn default() -> Self {
        Capped { items: Vec::new(), totals: std::collections::BTreeMap::new() }
    }
}

impl<T> Capped<T> {
    /// How many items are kept.
    pub const KEEP: usize = 10_000;

    /// Counts an item, and keeps it while there is room.
    pub fn push(&mut self, kind: &'static str, item: T) {
        *self.totals.entry(kind).or_insert(0) += 1;
        if self.items.len() < Self::KEEP {
            self.items.push(item);
        }
    }

    /// How many items there were in all.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.totals.values().sum()
    }
}

/// The losses of one writer.
pub(crate) struct Losses {
    on_loss: OnLoss,
    list: Capped<Loss>,
}

impl Losses {
    pub fn new(on_loss: OnLoss) -> Self {
        Losses { on_loss, list: Capped::default() }
    }

    pub fn list(&self) -> &Capped<Loss> {
        &self.list
    }

    pub fn into_list(self) -> Capped<Loss> {
        self.list
    }

    pub fn add(&mut self, name: &[u8], kind: LossKind, detail: impl Into<String>) -> Result<()> {
        self.push(name, None, kind, detail.into())
    }

    /// Adds a loss whose kind says all about it.
    pub fn note(&mut self, name: &[u8], kind: LossKind) -> Result<()> {
        self.push(name, None, kind, kind.to_string())
    }

    pub fn add_stream(&mut self, name: &[u8], stream: &[u8], kind: LossKind, detail: impl Into<String>) -> Result<()> {
        self.push(name, Some(stream.to_vec()).filter(|s| !s.is_empty()), kind, detail.into())
    }

    pub fn push(&mut self, name: &[u8], stream: Option<Vec<u8>>, kind: LossKind, detail: String) -> Result<()> {
        match self.on_loss {
            OnLoss::Ignore => Ok(()),
            OnLoss::Error => Err(Error::refused(Rule::Loss, format!("{}: {detail}", kind.name()))),
            OnLoss::Report => {
                self.list.push(kind.name(), Loss { path: name.to_vec(), stream, kind, detail });
                Ok(())
            }
        }
    }
}
