//! What is refused, what may be dropped, and how a loss is reported.

use crate::error::{Error, Result, Rule};

/// Which well-formed names and members are refused. The defaults refuse what no layer of Windows holds.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Policy {
    /// Accept names that leave the layer (`..`, absolute, a drive). **false**.
    pub allow_escaping_names: bool,
    /// Accept a backslash in a member name when reading. **false**.
    pub allow_backslash: bool,
    /// Accept a colon that names no stream of the member before. **false**.
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
    /// The default: refuse what no layer of Windows holds.
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

    /// Refuse nothing: for looking at archives that other tools wrote, never for extracting them.
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

/// What a writer does when its dialect cannot carry something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnLoss {
    /// List it in the writer's losses. The default.
    #[default]
    Report,
    /// Refuse the entry.
    Error,
    /// Neither.
    Ignore,
}

/// One thing that a dialect could not carry.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Loss {
    /// The member, raw bytes.
    pub path: Vec<u8>,
    /// The stream it happened in, where it is not the member itself.
    pub stream: Option<Vec<u8>>,
    /// What kind of thing was lost: a stable snake_case word.
    pub kind: &'static str,
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

    pub fn add(&mut self, name: &[u8], kind: &'static str, detail: impl Into<String>) -> Result<()> {
        self.push(name, None, kind, detail.into())
    }

    pub fn add_stream(
        &mut self,
        name: &[u8],
        stream: &[u8],
        kind: &'static str,
        detail: impl Into<String>,
    ) -> Result<()> {
        self.push(name, Some(stream.to_vec()).filter(|s| !s.is_empty()), kind, detail.into())
    }

    pub fn push(&mut self, name: &[u8], stream: Option<Vec<u8>>, kind: &'static str, detail: String) -> Result<()> {
        match self.on_loss {
            OnLoss::Ignore => Ok(()),
            OnLoss::Error => Err(Error::refused(Rule::Loss, format!("{kind}: {detail}"))),
            OnLoss::Report => {
                self.list.push(kind, Loss { path: name.to_vec(), stream, kind, detail });
                Ok(())
            }
        }
    }
}
