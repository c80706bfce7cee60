//! What `docker save` writes before Docker 25, and tools that copy its form: `manifest.json`, configurations, layers.

use super::choice::{Candidate, choose};
use super::files::Files;
use super::oci::platform;
use super::{Config, DOCUMENTS, Descriptor, Image, ImageLayer, ImageOptions, digest_hex, is_hex, parse, read_all};
use crate::digest::Expected;
use crate::digest::{Sha256, hex};
use crate::error::{Error, Limit, Result, Rule, display_name};
use crate::limits::Limits;
use serde::Deserialize;
use std::collections::HashMap;
use std::sync::Arc;

/// The media type of a layer for which the archive has none.
const LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar";

#[derive(Deserialize)]
struct Item {
    #[serde(rename = "Config")]
    config: String,
    #[serde(rename = "RepoTags", default)]
    repo_tags: Option<Vec<String>>,
    #[serde(rename = "Layers", default)]
    layers: Option<Vec<String>>,
    /// By diff ID: the layers that are not in the archive.
    #[serde(rename = "LayerSources", default)]
    layer_sources: Option<HashMap<String, Descriptor>>,
}

/// Opens the image that was asked for.
pub(super) fn open(files: Arc<dyn Files>, options: &ImageOptions) -> Result<Image> {
    let items: Vec<Item> = parse("manifest.json", &read_all(&*files, "manifest.json", &options.limits)?)?;
    if items.len() as u64 > DOCUMENTS {
        return Err(Error::limit(Limit::Entries, items.len() as u64, DOCUMENTS).in_member(b"manifest.json"));
    }
    let mut candidates = Vec::new();
    for item in items {
        let (config, digest) = read_config(&*files, &item.config, &options.limits)?;
        candidates.push(Candidate {
            names: item.repo_tags.clone().unwrap_or_default(),
            digests: vec![digest],
            platform: platform(&config.os, &config.architecture, config.os_version.as_deref()),
            value: (item, config),
        });
    }
    let Candidate { names, digests, value: (item, config), .. } = choose(candidates, options.choose.as_deref())?;
    let sources = item.layer_sources.unwrap_or_default();
    let layers = item.layers.unwrap_or_default();
    let mut found = Vec::with_capacity(layers.len());
    for (i, name) in layers.into_iter().enumerate() {
        check(&name)?;
        let source = config.rootfs.diff_ids.get(i).and_then(|diff_id| sources.get(diff_id));
        found.push(layer(&*files, name, source)?);
    }
    let digest = digests.into_iter().next().unwrap_or_default();
    Image::new(files, names, None, digest, config, found)
}

fn layer(files: &dyn Files, file: String, source: Option<&Descriptor>) -> Result<ImageLayer> {
    let size = files.find(&file)?;
    let mut layer = ImageLayer {
        diff_id: String::new(),
        digest: None,
        media_type: LAYER.to_owned(),
        size: size.unwrap_or_default(),
        foreign: false,
        urls: Vec::new(),
        is_present: size.is_some(),
        file,
    };
    // Newer archives name layers by their digest.
    if let Some(name) = layer.file.strip_prefix("blobs/sha256/").filter(|name| is_hex(name)) {
        layer.digest = Some(format!("sha256:{name}"));
    }
    if let Some(source) = source {
        digest_hex(&source.digest, "LayerSources")?;
        layer.media_type.clone_from(&source.media_type);
        layer.urls.clone_from(&source.urls);
        layer.foreign = source.is_foreign();
        if size.is_none() {
            layer.digest = Some(source.digest.clone());
            layer.size = source.size;
        }
    }
    Ok(layer)
}

/// The configuration and its digest, which is the name of its file in most archives.
fn read_config(files: &dyn Files, name: &str, limits: &Limits) -> Result<(Config, String)> {
    check(name)?;
    let bytes = read_all(files, name, limits)?;
    let base = name.rsplit('/').next().unwrap_or_default();
    let base = base.strip_suffix(".json").unwrap_or(base);
    if is_hex(base) {
        let digest = format!("sha256:{base}");
        Expected { size: None, digest, what: name.to_owned() }.check(&bytes)?;
    }
    let mut hash = Sha256::new();
    hash.update(&bytes);
    Ok((parse(name, &bytes)?, format!("sha256:{}", hex(&hash.finish()))))
}

/// Refuses a path that does not stay inside the archive.
fn check(name: &str) -> Result<()> {
    let bad = |part: &str| matches!(part, "" | "." | "..") || part.contains(['\\', ':', '\0']);
    if name.split('/').any(bad) {
        return Err(Error::refused(Rule::NameEscapes, display_name(name.as_bytes())).in_member(b"manifest.json"));
    }
    Ok(())
}
