//! Container images as Linux users hold them: the layers of one Windows image, lowest first.
//!
//! [`Image::open`] takes an OCI layout (a folder, or a tar of one) and what `docker save` writes, old and new. A
//! compressed archive is unpacked into a temporary file first, since its members are read in any order. Described in
//! `docs/formats/image.md`.

mod choice;
mod docker_save;
mod files;
mod oci;
#[cfg(test)]
mod tests;

use crate::digest::{Expected, Verified};
use crate::error::{Error, Format, Limit, Result, display_name};
use crate::limits::Limits;
use files::Files;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

/// Images and indexes that are looked into, at most: each may be a document as long as the limit.
const DOCUMENTS: u64 = 1_000;

/// Which image of several, and bounds.
#[derive(Debug, Clone, Default)]
pub struct ImageOptions {
    /// A reference name (`repository:tag`, as the image has it) or a digest (`sha256:...`). Without it the one image
    /// for Windows is taken.
    pub choose: Option<String>,
    /// Bounds; `line` is that of each JSON document.
    pub limits: Limits,
}

/// Whether a folder or a file is an image and not a layer. Only the first member of an archive is looked at; a pipe is
/// taken for a layer, and nothing is read from it. What is neither an image nor a layer gives `false`.
///
/// ```
/// use winlayers::image::is_image;
/// use winlayers::layer_tar::{EntryKind, LayerEntry, LayerWriter};
/// let folder = tempfile::tempdir().expect("a temporary folder");
/// let mut writer = LayerWriter::new(Vec::new(), Default::default());
/// writer.add(&LayerEntry::new("Files", EntryKind::Directory), vec![])?;
/// std::fs::write(folder.path().join("layer.tar"), writer.finish()?).expect("room on the disk");
/// assert!(!is_image(&folder.path().join("layer.tar"), &Default::default())?);
/// std::fs::write(folder.path().join("index.json"), "{}").expect("room on the disk");
/// assert!(is_image(folder.path(), &Default::default())?);
/// # Ok::<(), winlayers::error::Error>(())
/// ```
///
/// # Errors
/// [`Error::Io`] when the path cannot be opened.
pub fn is_image(path: &Path, limits: &Limits) -> Result<bool> {
    files::is_image(path, limits)
}

/// One layer of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageLayer {
    /// `sha256:` and the digest of its uncompressed tar, as the image's configuration says. It is compared when the
    /// layer is imported.
    pub diff_id: String,
    /// `sha256:` and the digest of its blob; `None` where the archive does not name blobs by digest.
    pub digest: Option<String>,
    /// The media type of the blob.
    pub media_type: String,
    /// Bytes of the blob.
    pub size: u64,
    /// Whether the layer must not be passed on with the image, as was long so for the base layers of Windows.
    pub foreign: bool,
    /// Where else the blob is.
    pub urls: Vec<String>,
    /// Whether the blob is in the image.
    pub is_present: bool,
    /// Where the blob is, among the files of the image.
    file: String,
}

/// An image whose layers can be read.
///
/// ```
/// use winlayers::image::Image;
/// use winlayers::digest::{Sha256, hex};
/// let folder = tempfile::tempdir().expect("a temporary folder");
/// let put = |name: &str, text: &str| {
///     let path = folder.path().join(name);
///     std::fs::create_dir_all(path.parent().unwrap()).expect("room on the disk");
///     std::fs::write(path, text).expect("room on the disk");
/// };
/// let blob = |text: &str| {
///     let mut hash = Sha256::new();
///     hash.update(text.as_bytes());
///     let digest = hex(&hash.finish());
///     put(&format!("blobs/sha256/{digest}"), text);
///     format!("\"digest\": \"sha256:{digest}\", \"size\": {}", text.len())
/// };
/// let config = blob(r#"{"os": "windows", "architecture": "amd64", "rootfs": {"type": "layers", "diff_ids": []}}"#);
/// let manifest = blob(&format!(r#"{{"schemaVersion": 2, "config": {{{config}}}, "layers": []}}"#));
/// put("oci-layout", r#"{"imageLayoutVersion": "1.0.0"}"#);
/// let type_ = "application/vnd.oci.image.manifest.v1+json";
/// put("index.json", &format!(r#"{{"manifests": [{{"mediaType": "{type_}", {manifest}}}]}}"#));
///
/// let image = Image::open(folder.path(), &Default::default())?;
/// assert_eq!((image.os(), image.layers().len()), ("windows", 0));
/// # Ok::<(), winlayers::error::Error>(())
/// ```
pub struct Image {
    files: Arc<dyn Files>,
    names: Vec<String>,
    manifest_digest: Option<String>,
    config_digest: String,
    config: Config,
    layers: Vec<ImageLayer>,
}

impl Image {
    /// Opens an OCI layout, a folder or a tar of one, or an archive of `docker save`.
    ///
    /// # Errors
    /// [`Error::Misuse`] when it is not clear which image is meant; the message lists them. [`Error::Format`] with
    /// [`Format::Image`]; [`Error::Integrity`] when a document is not that of its digest; [`Error::Limit`]
    /// ([`Limit::Line`]) for a document that is too long; [`Error::Refused`] for links in a folder; those of reading an
    /// archive.
    pub fn open(path: &Path, options: &ImageOptions) -> Result<Self> {
        let files = files::open(path, &options.limits)?;
        if files.find("index.json")?.is_some() {
            return oci::open(files, options);
        }
        if files.find("manifest.json")?.is_some() {
            return docker_save::open(files, options);
        }
        let found = format!("neither in {}", path.display());
        Err(Error::format(Format::Image, "image", "index.json (an OCI layout) or manifest.json (docker save)", found))
    }

    /// The names that the image goes by; they may be none.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// `sha256:` and the digest of its manifest, where it has one.
    #[must_use]
    pub fn manifest_digest(&self) -> Option<&str> {
        self.manifest_digest.as_deref()
    }

    /// `sha256:` and the digest of its configuration: the image's id.
    #[must_use]
    pub fn config_digest(&self) -> &str {
        &self.config_digest
    }

    /// The operating system: `windows`.
    #[must_use]
    pub fn os(&self) -> &str {
        &self.config.os
    }

    /// The version of the operating system, such as `10.0.20348.2527`, where it is known.
    #[must_use]
    pub fn os_version(&self) -> Option<&str> {
        self.config.os_version.as_deref()
    }

    /// The processor: `amd64`, ...
    #[must_use]
    pub fn architecture(&self) -> &str {
        &self.config.architecture
    }

    /// Its layers, lowest first.
    #[must_use]
    pub fn layers(&self) -> &[ImageLayer] {
        &self.layers
    }

    /// Opens the blob of a layer, compressed as it is. Its end is an error unless size and digest are those of the
    /// image: so read to the end.
    ///
    /// # Errors
    /// [`Error::Misuse`] for a layer that there is not; [`Error::Format`] when the blob is missing, with where it can
    /// be had when it is a foreign one; those of opening a file. While it is read: [`Error::Integrity`] inside an
    /// [`std::io::Error`].
    pub fn open_layer(&self, index: usize) -> Result<Box<dyn Read + Send>> {
        let layer = self.layers.get(index).ok_or_else(|| {
            let detail = format!("layer {index} of an image of {}", self.layers.len());
            Error::misuse(crate::error::Misuse::Argument, detail)
        })?;
        let Some((blob, size)) = self.files.open(&layer.file)? else {
            return Err(missing(layer));
        };
        if layer.digest.is_none() {
            return Ok(blob);
        }
        let what = format!("layer {index}, {}", layer.file);
        let expected = Expected { size: Some(layer.size), digest: layer.digest.clone().unwrap_or_default(), what };
        expected.check_size(size)?;
        Ok(Box::new(Verified::new(blob, expected)))
    }

    /// Takes the parts of an image together.
    fn new(
        files: Arc<dyn Files>,
        names: Vec<String>,
        manifest_digest: Option<String>,
        config_digest: String,
        config: Config,
        mut layers: Vec<ImageLayer>,
    ) -> Result<Self> {
        let diff_ids = &config.rootfs.diff_ids;
        if diff_ids.len() != layers.len() {
            let expected = format!("{}, one for each layer", layers.len());
            let error = Error::format(Format::Image, "rootfs.diff_ids", expected, diff_ids.len().to_string());
            return Err(error.in_member(config_digest.as_bytes()));
        }
        for (layer, diff_id) in layers.iter_mut().zip(diff_ids) {
            digest_hex(diff_id, "rootfs.diff_ids")?;
            layer.diff_id.clone_from(diff_id);
        }
        Ok(Image { files, names, manifest_digest, config_digest, config, layers })
    }
}

/// What the configuration of an image says that matters here.
#[derive(Debug, Clone, Deserialize)]
struct Config {
    #[serde(default)]
    os: String,
    #[serde(rename = "os.version")]
    os_version: Option<String>,
    #[serde(default)]
    architecture: String,
    rootfs: RootFs,
}

#[derive(Debug, Clone, Deserialize)]
struct RootFs {
    #[serde(default)]
    diff_ids: Vec<String>,
}

/// What points to a blob.
#[derive(Debug, Clone, Deserialize)]
struct Descriptor {
    #[serde(rename = "mediaType", default)]
    media_type: String,
    digest: String,
    size: u64,
    #[serde(default)]
    urls: Vec<String>,
    #[serde(default)]
    platform: Option<Platform>,
    #[serde(default)]
    annotations: std::collections::BTreeMap<String, String>,
}

#[derive(Debug, Clone, Deserialize)]
struct Platform {
    #[serde(default)]
    os: String,
    #[serde(default)]
    architecture: String,
    #[serde(rename = "os.version")]
    os_version: Option<String>,
}

impl Descriptor {
    fn is_foreign(&self) -> bool {
        !self.urls.is_empty() || self.media_type.contains("foreign") || self.media_type.contains("nondistributable")
    }

    /// The file that holds the blob.
    fn file(&self) -> Result<String> {
        Ok(format!("blobs/sha256/{}", digest_hex(&self.digest, "digest")?))
    }

    /// A layer's blob; what only the configuration knows is left out.
    fn layer(self, files: &dyn Files) -> Result<ImageLayer> {
        let file = self.file()?;
        Ok(ImageLayer {
            diff_id: String::new(),
            is_present: files.find(&file)?.is_some(),
            foreign: self.is_foreign(),
            digest: Some(self.digest),
            media_type: self.media_type,
            size: self.size,
            urls: self.urls,
            file,
        })
    }

    /// Reads the JSON document that it points to.
    fn read<T: DeserializeOwned>(&self, files: &dyn Files, limits: &Limits) -> Result<T> {
        let file = self.file()?;
        let bytes = read_all(files, &file, limits)?;
        Expected { size: Some(self.size), digest: self.digest.clone(), what: file.clone() }.check(&bytes)?;
        parse(&file, &bytes)
    }
}

/// The hexadecimal part of a digest. Nothing else can be in it: it becomes the name of a file.
fn digest_hex<'a>(digest: &'a str, field: &'static str) -> Result<&'a str> {
    let hex = digest.strip_prefix("sha256:").filter(|hex| is_hex(hex));
    hex.ok_or_else(|| {
        let found = format!("\"{}\"", display_name(&digest.as_bytes()[..digest.len().min(80)]));
        Error::format(Format::Image, field, "sha256: and 64 hexadecimal digits", found)
    })
}

fn is_hex(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// A document, of which there must be one, no longer than a limit.
fn read_all(files: &dyn Files, name: &str, limits: &Limits) -> Result<Vec<u8>> {
    let Some((file, size)) = files.open(name)? else {
        return Err(Error::format(Format::Image, "document", "a file", "nothing").in_member(name.as_bytes()));
    };
    limits.check(Limit::Line, size).map_err(|e| e.in_member(name.as_bytes()))?;
    let mut bytes = Vec::new();
    file.take(limits.line.saturating_add(1)).read_to_end(&mut bytes).map_err(crate::error::from_io)?;
    limits.check(Limit::Line, bytes.len() as u64).map_err(|e| e.in_member(name.as_bytes()))?;
    Ok(bytes)
}

fn parse<T: DeserializeOwned>(name: &str, bytes: &[u8]) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        let text = error.to_string();
        let text = text.split(" at line ").next().unwrap_or_default();
        let found = format!("line {line}, column {column}: {}", display_name(text.as_bytes()));
        Error::format(Format::Image, "JSON", "a document of an image", found).in_member(name.as_bytes())
    })
}

fn missing(layer: &ImageLayer) -> Error {
    let found = match (layer.foreign, layer.urls.as_slice()) {
        (false, _) => "nothing".to_owned(),
        (true, []) => "nothing: a foreign layer, which is left out of images".to_owned(),
        (true, urls) => {
            format!("nothing: a foreign layer, which can be had at {}", display_name(urls.join(" ").as_bytes()))
        }
    };
    Error::format(Format::Image, "layer", "a blob", found).in_member(layer.file.as_bytes())
}
