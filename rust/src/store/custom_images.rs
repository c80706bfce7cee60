//! Base images that the host brings along.

use super::{LayerId, LayerStore};
use crate::digest::hex;
use crate::error::{Error, Result, StoreFault};
use serde::Deserialize;
use sha2::{Digest, Sha384};

/// A base image that the host has.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct CustomImageInfo {
    /// The layer's id: the first 32 bytes, in hex, of the SHA-384 of the last part of its path.
    #[serde(skip)]
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The folder that it is in.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// When it was made, as the host wrote it (RFC 3339).
    pub created_time: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct List {
    #[serde(default)]
    images: Option<Vec<CustomImageInfo>>,
}

impl LayerStore {
    /// The base images that the host has, each with a layer that stands for it. The layers are made the first time.
    ///
    /// # Errors
    /// [`StoreFault::Damaged`] for JSON of another shape; those of [`LayerStore::create`].
    pub fn custom_image_infos(&self) -> Result<Vec<CustomImageInfo>> {
        let json = self.0.backend.shared_base_images()?;
        let list: List = serde_json::from_str(&json)
            .map_err(|e| Error::store(StoreFault::Damaged, "", format!("the list of base images: {e}")))?;
        let mut images = list.images.unwrap_or_default();
        for image in &mut images {
            let folder = image.path.rsplit(['/', '\\']).next().unwrap_or_default();
            image.id = hex(&Sha384::digest(folder.as_bytes())[..32]);
            let id = LayerId::new(&image.id)?;
            if !self.0.is_there(&id)? {
                self.create(&image.id, "")?;
            }
            self.0.set_other_id(&id, folder)?;
        }
        Ok(images)
    }
}
