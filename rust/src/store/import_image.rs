//! All layers of an image.

use super::info::chain_id_above;
use super::{Driver, LayerStore, TarForm};
use crate::backend::Imported;
use crate::error::{Error, Result, StoreFault};
use crate::image::{Image, ImageOptions};
use crate::progress::Progress;
use std::path::Path;

impl LayerStore {
    /// Imports the layers of an OCI layout or of a `docker save` archive, lowest first, and gives their ids: each is
    /// the hex part of its chain ID, so that images share what they have in common. Layers that are there are left
    /// alone. `name` chooses among several images.
    ///
    /// # Errors
    /// Those of [`Image::open`] and of [`LayerStore::apply_diff`]; [`Error::Integrity`] for a layer that has another
    /// diffID than the image says; [`StoreFault::LayerExists`] for another layer of such an id. No layer is left behind
    /// then.
    pub fn import_image(&self, path: &Path, name: Option<&str>, progress: &Progress) -> Result<Vec<String>> {
        if self.0.driver == Driver::WindowsDiff {
            return Err(Error::Unsupported {
                operation: "an image in a store of the diff flavour".into(),
                reason: "its layers are layer tars; the driver \"windowsfilter\" takes them".into(),
            });
        }
        let limits = self.0.options.limits.clone();
        let image = Image::open(path, &ImageOptions { choose: name.map(str::to_owned), limits })?;
        let mut made = Vec::new();
        let imported = self.import_layers(&image, &mut made, progress);
        if imported.is_err() {
            for id in made.iter().rev() {
                // A layer that is in use already stays: it is complete.
                let _ = self.remove(id);
            }
        }
        imported
    }

    fn import_layers(&self, image: &Image, made: &mut Vec<String>, progress: &Progress) -> Result<Vec<String>> {
        let mut ids: Vec<String> = Vec::new();
        let mut chain_id = None;
        for (index, layer) in image.layers().iter().enumerate() {
            let above = chain_id_above(chain_id.as_deref(), &layer.diff_id);
            let id = above.strip_prefix("sha256:").unwrap_or(&above).to_owned();
            let parent = ids.last().map_or("", String::as_str);
            if self.exists(&id)? {
                if self.info(&id)?.chain_id.as_ref() != Some(&above) {
                    return Err(Error::store(StoreFault::LayerExists, id, "it is not that of the image"));
                }
            } else {
                let tar = image.open_layer(index)?;
                let check = |imported: &Imported| {
                    if imported.diff_id == layer.diff_id {
                        return Ok(());
                    }
                    let what = format!("diffID of layer {index}");
                    let (expected, found) = (layer.diff_id.as_str().into(), imported.diff_id.as_str().into());
                    Err(Error::Integrity { what: what.into(), expected, found })
                };
                self.fill(&id, parent, tar, progress.clone(), TarForm::Layer, check)?;
                made.push(id.clone());
            }
            ids.push(id);
            chain_id = Some(above);
        }
        Ok(ids)
    }
}
