//! OCI image layouts: `oci-layout`, `index.json` and blobs named by their digest.
//!
//! Source: OCI image specification 1.1, "Image Layout", "Image Index", "Image Manifest".

use super::choice::{Candidate, choose};
use super::files::Files;
use super::{Config, DOCUMENTS, Descriptor, Image, ImageOptions, Platform, parse, read_all};
use crate::error::{Error, Format, Limit, Result};
use crate::limits::Limits;
use serde::Deserialize;
use std::sync::Arc;

/// How deep indexes lie in indexes.
const DEPTH: usize = 4;
const NAMES: [&str; 2] = ["io.containerd.image.name", "org.opencontainers.image.ref.name"];

#[derive(Deserialize)]
struct Layout {
    #[serde(rename = "imageLayoutVersion")]
    version: String,
}

#[derive(Deserialize)]
struct Index {
    #[serde(default)]
    manifests: Vec<Descriptor>,
}

#[derive(Deserialize)]
struct Manifest {
    config: Descriptor,
    #[serde(default)]
    layers: Vec<Descriptor>,
}

/// Opens the image that was asked for.
pub(super) fn open(files: Arc<dyn Files>, options: &ImageOptions) -> Result<Image> {
    let limits = &options.limits;
    let layout: Layout = parse("oci-layout", &read_all(&*files, "oci-layout", limits)?)?;
    if layout.version != "1.0.0" {
        let found = format!("\"{}\"", crate::error::display_name(layout.version.as_bytes()));
        return Err(Error::format(Format::Image, "imageLayoutVersion", "\"1.0.0\"", found).in_member(b"oci-layout"));
    }
    let index: Index = parse("index.json", &read_all(&*files, "index.json", limits)?)?;
    let mut walk = Walk { files: &*files, limits, found: Vec::new(), count: 0 };
    walk.index(index, &[], &[], 0)?;
    let mut candidates = walk.found;
    // Only the configuration knows the platform of some.
    let only = candidates.len() == 1;
    for candidate in candidates.iter_mut().filter(|candidate| candidate.platform.is_empty()) {
        match manifest_of(&candidate.value, &*files, limits) {
            Ok((_, config)) => {
                candidate.platform = platform(&config.os, &config.architecture, config.os_version.as_deref());
            }
            Err(error) if only => return Err(error),
            // One that cannot be read does not keep another from being taken.
            Err(_) => {}
        }
    }
    let Candidate { names, value, .. } = choose(candidates, options.choose.as_deref())?;
    let (manifest, config) = manifest_of(&value, &*files, limits)?;
    let layers = manifest.layers.into_iter().map(|layer| layer.layer(&*files)).collect::<Result<Vec<_>>>()?;
    Image::new(files, names, Some(value.digest), manifest.config.digest, config, layers)
}

fn manifest_of(descriptor: &Descriptor, files: &dyn Files, limits: &Limits) -> Result<(Manifest, Config)> {
    let manifest: Manifest = descriptor.read(files, limits)?;
    let config = manifest.config.read(files, limits)?;
    Ok((manifest, config))
}

struct Walk<'a> {
    files: &'a dyn Files,
    limits: &'a Limits,
    found: Vec<Candidate<Descriptor>>,
    count: u64,
}

impl Walk<'_> {
    fn index(&mut self, index: Index, names: &[String], digests: &[String], depth: usize) -> Result<()> {
        for descriptor in index.manifests {
            self.count += 1;
            if self.count > DOCUMENTS {
                return Err(Error::limit(Limit::Entries, self.count, DOCUMENTS).in_member(b"index.json"));
            }
            let mut names = names.to_vec();
            names.extend(NAMES.iter().filter_map(|key| descriptor.annotations.get(*key)).cloned());
            names.dedup();
            let mut digests = digests.to_vec();
            digests.insert(0, descriptor.digest.clone());
            if is_index(&descriptor.media_type) {
                if depth == DEPTH {
                    let expected = format!("at most {DEPTH} indexes in one another");
                    let error = Error::format(Format::Image, "index", expected, "more");
                    return Err(error.in_member(descriptor.digest.as_bytes()));
                }
                // An index for other platforms may be left out of the layout.
                if self.files.find(&descriptor.file()?)?.is_some() {
                    let inner: Index = descriptor.read(self.files, self.limits)?;
                    self.index(inner, &names, &digests, depth + 1)?;
                }
            } else if is_manifest(&descriptor.media_type) && !is_attestation(&descriptor) {
                descriptor.file()?;
                let platform = descriptor.platform.as_ref().map_or_else(String::new, Platform::text);
                self.found.push(Candidate { names, digests, platform, value: descriptor });
            }
        }
        Ok(())
    }
}

impl Platform {
    fn text(&self) -> String {
        platform(&self.os, &self.architecture, self.os_version.as_deref())
    }
}

pub(super) fn platform(os: &str, architecture: &str, version: Option<&str>) -> String {
    [Some(os), Some(architecture), version]
        .into_iter()
        .flatten()
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join("/")
}

fn is_index(media_type: &str) -> bool {
    matches!(
        media_type,
        "application/vnd.oci.image.index.v1+json" | "application/vnd.docker.distribution.manifest.list.v2+json"
    )
}

fn is_manifest(media_type: &str) -> bool {
    matches!(
        media_type,
        "" | "application/vnd.oci.image.manifest.v1+json" | "application/vnd.docker.distribution.manifest.v2+json"
    )
}

/// What buildkit says about an image, in the form of one.
fn is_attestation(descriptor: &Descriptor) -> bool {
    descriptor.annotations.contains_key("vnd.docker.reference.type")
}
