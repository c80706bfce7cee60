//! The name of a layer in its store.

use crate::error::{Error, Result, StoreFault};
use crate::nt::name;
use std::fmt;

/// A layer's id: one path component that NTFS can hold. Ids are equal without regard to case, on every system.
///
/// ```
/// use winlayers::backend::LayerId;
/// let id = LayerId::new(r"C:\ProgramData\docker\windowsfilter\Base")?;
/// assert_eq!(id.as_str(), "Base");
/// assert_eq!(id, LayerId::new("BASE")?);
/// assert_eq!(LayerId::new(".winlayers").unwrap_err().code(), "bad_layer_id");
/// # Ok::<(), winlayers::error::Error>(())
/// ```
#[derive(Clone)]
pub struct LayerId {
    text: String,
    key: String,
}

/// Folders of a home that are not layers.
const RESERVED: [&str; 2] = [".WINLAYERS", "SYSFILE-BACKUPS"];

impl LayerId {
    /// The last component of a path, as the graph driver takes it.
    ///
    /// # Errors
    /// [`StoreFault::BadId`].
    pub fn new(path: &str) -> Result<Self> {
        let text = path.rsplit(['/', '\\']).next().unwrap_or_default();
        let bad = |why: &str| Err(Error::store(StoreFault::BadId, path, why));
        let units: Vec<u16> = text.encode_utf16().collect();
        if units.is_empty() {
            return bad("it is empty");
        }
        if units.len() > 255 {
            return bad("it is longer than 255 characters");
        }
        if name::win32_trouble(&units).is_some() {
            return bad("Windows would refuse it, or take it for another name");
        }
        let key = String::from_utf16(&name::fold(&units)).expect("no half of a pair has a case");
        if RESERVED.iter().any(|reserved| key == *reserved || (*reserved == RESERVED[0] && key.starts_with(reserved))) {
            return bad("it is reserved");
        }
        Ok(LayerId { text: text.to_owned(), key })
    }

    /// As it was given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// In upper case: equal for equal ids.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }
}

impl PartialEq for LayerId {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl Eq for LayerId {}

impl std::hash::Hash for LayerId {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.key.hash(state);
    }
}

impl fmt::Display for LayerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for LayerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, f)
    }
}
