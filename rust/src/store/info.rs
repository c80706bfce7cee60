//! What a store knows about its layers.

use super::state::{Hold, Stage};
use super::{Inner, LayerId, LayerStore};
use crate::backend::LayerKind;
use crate::digest::{Sha256, hex};
use crate::error::Result;

/// What is known about a layer without reading it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerInfo {
    /// Its id, in the spelling that it was made with.
    pub id: String,
    /// Its parents, nearest first.
    pub parents: Vec<String>,
    /// `sha256:` and the digest of its uncompressed tar; `None` for what was not imported.
    pub diff_id: Option<String>,
    /// The digest that stands for it with all below it (OCI image specification); `None` where one diffID is unknown.
    pub chain_id: Option<String>,
    /// Bytes of its uncompressed tar; `None` for what was not imported.
    pub size: Option<u64>,
    /// Entries of its tar; `None` for what was not imported.
    pub entries: Option<u64>,
    /// Empty, imported or sandbox.
    pub kind: LayerKind,
    /// How often it is mounted.
    pub mounted: u64,
}

impl LayerStore {
    /// What is known about a layer.
    ///
    /// # Errors
    /// [`crate::error::StoreFault::LayerNotFound`], [`crate::error::StoreFault::BadChain`].
    pub fn info(&self, id: &str) -> Result<LayerInfo> {
        let id = self.0.existing(id)?;
        self.0.info(&id)
    }

    /// What is known about each layer, in the order of their ids.
    ///
    /// # Errors
    /// As [`LayerStore::info`].
    pub fn layers(&self) -> Result<Vec<LayerInfo>> {
        let mut layers = Vec::new();
        for record in self.0.state.records()? {
            let id = LayerId::new(&record.id)?;
            if matches!(record.stage, Stage::Ready | Stage::Importing) && self.0.backend.layer_exists(&id)? {
                layers.push(self.0.info(&id)?);
            }
        }
        Ok(layers)
    }
}

impl Inner {
    fn info(&self, id: &LayerId) -> Result<LayerInfo> {
        let chain = self.chain(id)?;
        let imported = self.backend.imported(id)?;
        Ok(LayerInfo {
            id: id.as_str().to_owned(),
            chain_id: self.chain_id(id, &chain)?,
            parents: chain.iter().map(|parent| parent.as_str().to_owned()).collect(),
            size: imported.as_ref().map(|imported| imported.size),
            entries: imported.as_ref().map(|imported| imported.entries),
            diff_id: imported.map(|imported| imported.diff_id),
            kind: self.backend.layer_kind(id)?,
            mounted: self.state.holds(id, Hold::Mount)?,
        })
    }

    fn chain_id(&self, id: &LayerId, chain: &[LayerId]) -> Result<Option<String>> {
        let mut chain_id: Option<String> = None;
        for layer in chain.iter().rev().chain([id]) {
            let Some(diff_id) = self.backend.imported(layer)?.map(|imported| imported.diff_id) else { return Ok(None) };
            chain_id = Some(chain_id_above(chain_id.as_deref(), &diff_id));
        }
        Ok(chain_id)
    }
}

/// The chain ID of a layer above a chain.
pub(super) fn chain_id_above(below: Option<&str>, diff_id: &str) -> String {
    let Some(below) = below else { return diff_id.to_owned() };
    let mut hash = Sha256::new();
    hash.update(format!("{below} {diff_id}").as_bytes());
    format!("sha256:{}", hex(&hash.finish()))
}
