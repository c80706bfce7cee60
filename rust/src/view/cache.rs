//! Indexes that were opened once.

use super::index::Index;
use crate::error::Result;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The open indexes of a backend's layers, by the key of the layer's id. An index does not change.
#[derive(Default)]
pub(crate) struct Indexes(Mutex<HashMap<String, Arc<Index>>>);

impl Indexes {
    /// The index of a layer, opened now if it is not yet.
    pub fn get(&self, key: &str, open: impl FnOnce() -> Result<Index>) -> Result<Arc<Index>> {
        let mut indexes = self.indexes();
        if let Some(index) = indexes.get(key) {
            return Ok(Arc::clone(index));
        }
        let index = Arc::new(open()?);
        indexes.insert(key.to_owned(), Arc::clone(&index));
        Ok(index)
    }

    /// The layer is gone, or its index is a new one.
    pub fn forget(&self, key: &str) {
        self.indexes().remove(key);
    }

    fn indexes(&self) -> MutexGuard<'_, HashMap<String, Arc<Index>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
