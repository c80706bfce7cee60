//! Where the data of members goes and comes from.

use crate::error::{Error, Result, display_name};
use std::collections::BTreeMap;
use std::io::{self, Read};

/// Keeps the data of members, each under the name it has in the archive.
pub trait ContentSink {
    /// Begins a file of `size` bytes, which is never 0. `false` says that no file of this name can be kept: its data
    /// then goes into the metadata.
    ///
    /// The name is relative and has no `..`, drive or NUL; it may hold `.` and empty parts.
    ///
    /// # Errors
    /// Any: disassembly ends with it.
    fn start(&mut self, name: &[u8], size: u64) -> Result<bool>;

    /// The next bytes of the file.
    ///
    /// # Errors
    /// Any: disassembly ends with it.
    fn write(&mut self, data: &[u8]) -> Result<()>;

    /// Ends the file.
    ///
    /// # Errors
    /// Any: disassembly ends with it.
    fn finish(&mut self) -> Result<()>;
}

/// Gives the data of members back.
pub trait ContentSource {
    /// The data of a member. Assembly reads to its end, or until there is more than it expects.
    ///
    /// The name has no `..`, drive or NUL; it may start with `/` when the Go tool wrote the metadata.
    ///
    /// # Errors
    /// Any: assembly ends with it.
    fn open(&mut self, name: &[u8]) -> Result<Box<dyn Read + '_>>;
}

/// Data in memory, by name. While a file is being written it lies under the empty name, which no member has.
impl ContentSink for BTreeMap<Vec<u8>, Vec<u8>> {
    fn start(&mut self, name: &[u8], _size: u64) -> Result<bool> {
        self.insert(Vec::new(), name.to_vec());
        self.insert(name.to_vec(), Vec::new());
        Ok(true)
    }

    fn write(&mut self, data: &[u8]) -> Result<()> {
        let name = self.get(&[][..]).cloned().unwrap_or_default();
        self.entry(name).or_default().extend_from_slice(data);
        Ok(())
    }

    fn finish(&mut self) -> Result<()> {
        self.remove(&[][..]);
        Ok(())
    }
}

impl ContentSource for BTreeMap<Vec<u8>, Vec<u8>> {
    fn open(&mut self, name: &[u8]) -> Result<Box<dyn Read + '_>> {
        match self.get(name) {
            Some(data) => Ok(Box::new(&data[..])),
            None => Err(Error::io("open", Some(display_name(name).as_ref()), io::ErrorKind::NotFound.into())),
        }
    }
}
