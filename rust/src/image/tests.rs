use super::*;
use crate::compress::{Compression, Writer as Compressor};
use crate::digest::{Sha256, hex};
use crate::fs::{Root, Walk};
use crate::layer_tar::{EntryKind, LayerEntry, LayerWriter};
use crate::tar::{MemberHeader, Writer, typeflag};
use crate::transport::to_plain_tar;
use serde_json::{Value, json};
use std::fs;
use std::io::Write;
use std::path::PathBuf;
use tempfile::{TempDir, tempdir};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
const FOREIGN: &str = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";

fn digest_of(bytes: &[u8]) -> String {
    let mut hash = Sha256::new();
    hash.update(bytes);
    format!("sha256:{}", hex(&hash.finish()))
}

/// A layer with one file.
fn layer(name: &str) -> Vec<u8> {
    let mut writer = LayerWriter::new(Vec::new(), Default::default());
    writer.add(&LayerEntry::new("Files", EntryKind::Directory), vec![]).unwrap();
    let file = LayerEntry::new(format!("Files/{name}"), EntryKind::File);
    writer.add(&file, vec![Box::new(std::io::empty())]).unwrap();
    writer.finish().unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut writer = Compressor::new(Vec::new(), Compression::Gzip).unwrap();
    writer.write_all(bytes).unwrap();
    writer.finish().unwrap()
}

/// An image layout in a folder.
struct Layout(TempDir);

impl Layout {
    fn new() -> Self {
        let layout = Layout(tempdir().unwrap());
        layout.put("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#);
        layout
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn put(&self, name: &str, bytes: &[u8]) {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    fn blob(&self, media_type: &str, bytes: &[u8]) -> Value {
        let digest = digest_of(bytes);
        self.put(&format!("blobs/{}", digest.replace(':', "/")), bytes);
        json!({"mediaType": media_type, "digest": digest, "size": bytes.len()})
    }

    fn document(&self, media_type: &str, document: &Value) -> Value {
        self.blob(media_type, document.to_string().as_bytes())
    }

    /// The descriptor of an image for a system, with one gzip layer for each name.
    fn image(&self, os: &str, names: &[&str]) -> Value {
        let layers: Vec<Vec<u8>> = names.iter().map(|name| layer(name)).collect();
        let diff_ids: Vec<String> = layers.iter().map(|layer| digest_of(layer)).collect();
        let config =
            json!({"os": os, "os.version": "10.0.20348.1", "architecture": "amd64", "rootfs": {"diff_ids": diff_ids}});
        let config = self.document("application/vnd.oci.image.config.v1+json", &config);
        let layers: Vec<Value> = layers.iter().map(|layer| self.blob(LAYER, &gzip(layer))).collect();
        self.document(MANIFEST, &json!({"schemaVersion": 2, "config": config, "layers": layers}))
    }

    fn index(&self, manifests: Vec<Value>) {
        self.put("index.json", json!({"schemaVersion": 2, "manifests": manifests}).to_string().as_bytes());
    }

    fn open(&self) -> Result<Image> {
        Image::open(self.path(), &ImageOptions::default())
    }

    fn choose(&self, wanted: &str) -> Result<Image> {
        Image::open(self.path(), &ImageOptions { choose: Some(wanted.to_owned()), ..ImageOptions::default() })
    }

    /// The same as an archive.
    fn archive(&self, compression: Compression) -> (TempDir, PathBuf) {
        let folder = tempdir().unwrap();
        let path = folder.path().join("image.tar");
        let (tar, _) = to_plain_tar(&Root::open(self.path()).unwrap(), Vec::new(), &Limits::default()).unwrap();
        let mut writer = Compressor::new(Vec::new(), compression).unwrap();
        writer.write_all(&tar).unwrap();
        fs::write(&path, writer.finish().unwrap()).unwrap();
        (folder, path)
    }
}

fn named(mut descriptor: Value, name: &str) -> Value {
    descriptor["annotations"] = json!({"org.opencontainers.image.ref.name": name});
    descriptor
}

fn for_platform(mut descriptor: Value, os: &str) -> Value {
    descriptor["platform"] = json!({"os": os, "architecture": "amd64"});
    descriptor
}

/// All layers, decompressed.
fn read(image: &Image) -> Vec<Vec<u8>> {
    let read = |i| {
        let mut bytes = Vec::new();
        crate::compress::Reader::new(image.open_layer(i).unwrap()).unwrap().read_to_end(&mut bytes).unwrap();
        bytes
    };
    (0..image.layers().len()).map(read).collect()
}

fn code<T>(result: Result<T>) -> &'static str {
    result.map_or_else(|e| e.code(), |_| "ok")
}

#[test]
fn a_layout_and_archives_of_it() {
    let layout = Layout::new();
    layout.index(vec![layout.image("windows", &["a", "b"])]);
    let mut images = vec![layout.open().unwrap()];
    let mut kept = Vec::new();
    for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
        let (folder, path) = layout.archive(compression);
        images.push(Image::open(&path, &ImageOptions::default()).unwrap());
        kept.push(folder);
    }
    for image in &images {
        assert_eq!(image.layers(), images[0].layers());
        assert_eq!(read(image), [layer("a"), layer("b")]);
        assert_eq!(image.layers()[1].diff_id, digest_of(&layer("b")));
        assert_eq!((image.os(), image.os_version(), image.architecture()), ("windows", Some("10.0.20348.1"), "amd64"));
        assert!(image.layers().iter().all(|layer| layer.is_present && !layer.foreign));
        assert_eq!(image.open_layer(2).err().unwrap().code(), "bad_argument");
    }
}

#[test]
fn images_and_layers_are_told_apart() {
    let layout = Layout::new();
    layout.index(vec![layout.image("windows", &["a"])]);
    let is_image = |path: &Path| is_image(path, &Limits::default());
    assert!(is_image(layout.path()).unwrap());
    for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
        let (_folder, path) = layout.archive(compression);
        assert!(is_image(&path).unwrap());
        let mut writer = Compressor::new(Vec::new(), compression).unwrap();
        writer.write_all(&layer("a")).unwrap();
        fs::write(&path, writer.finish().unwrap()).unwrap();
        assert!(!is_image(&path).unwrap());
    }
    layout.put("x/text", b"no archive");
    layout.put("x/cut", &gzip(&layer("a"))[..40]);
    assert!(!is_image(&layout.path().join("x")).unwrap());
    assert!(!is_image(&layout.path().join("x/text")).unwrap());
    assert!(!is_image(&layout.path().join("x/cut")).unwrap());
    assert_eq!(code(is_image(&layout.path().join("none"))), "io");
}

#[test]
fn the_image_for_windows_is_taken() {
    let layout = Layout::new();
    let linux = layout.image("linux", &["l"]);
    let (one, two) = (layout.image("windows", &["one"]), layout.image("windows", &["two"]));
    let inner = layout.document(INDEX, &json!({"manifests": [for_platform(linux.clone(), "linux"), one]}));
    let mut attestation = linux.clone();
    attestation["annotations"] = json!({"vnd.docker.reference.type": "attestation-manifest"});
    layout.index(vec![named(inner.clone(), "app:1"), attestation.clone()]);
    let image = layout.open().unwrap();
    assert_eq!((image.names(), read(&image)), (&["app:1".to_owned()][..], vec![layer("one")]));
    assert_eq!(image.manifest_digest(), one["digest"].as_str());

    layout.index(vec![
        named(inner.clone(), "app:1"),
        named(inner.clone(), "app:old"),
        named(two.clone(), "app:2"),
        attestation,
    ]);
    let error = layout.open().err().unwrap();
    assert_eq!(error.code(), "bad_argument");
    let text = error.to_string();
    assert!(
        text.contains("which image is meant?") && text.contains("app:2 sha256:") && text.contains("(linux/amd64)"),
        "{text}"
    );
    assert_eq!(read(&layout.choose("app:1").unwrap()), [layer("one")]);
    assert_eq!(read(&layout.choose("app:old").unwrap()), [layer("one")]);
    assert_eq!(read(&layout.choose("app:2").unwrap()), [layer("two")]);
    assert_eq!(read(&layout.choose(inner["digest"].as_str().unwrap()).unwrap()), [layer("one")]);
    assert_eq!(read(&layout.choose(linux["digest"].as_str().unwrap()).unwrap()), [layer("l")]);
    assert!(layout.choose("app:3").err().unwrap().to_string().contains("no image is \"app:3\""));

    layout.index(vec![named(one.clone(), "docker.io/library/app:1"), named(two, "docker.io/me/app:1")]);
    assert_eq!(read(&layout.choose("app:1").unwrap()), [layer("one")]);
    assert_eq!(read(&layout.choose("me/app:1").unwrap()), [layer("two")]);

    layout.index(vec![linux]);
    assert!(layout.open().err().unwrap().to_string().contains("no image is for Windows: sha256:"));
    layout.index(vec![]);
    assert_eq!(code(layout.open()), "bad_image");
}

#[test]
fn foreign_layers_are_named() {
    let layout = Layout::new();
    let (base, app) = (layer("base"), layer("app"));
    let config = json!({"os": "windows", "rootfs": {"diff_ids": [digest_of(&base), digest_of(&app)]}});
    let config = layout.document("", &config);
    let url = "https://example.com/base";
    let foreign = json!({"mediaType": FOREIGN, "digest": digest_of(&base), "size": base.len(), "urls": [url]});
    let layers = json!([foreign, layout.blob(LAYER, &app)]);
    layout.index(vec![layout.document(MANIFEST, &json!({"config": config, "layers": layers}))]);
    let image = layout.open().unwrap();
    let found: Vec<_> = image.layers().iter().map(|layer| (layer.foreign, layer.is_present)).collect();
    assert_eq!((found, image.layers()[0].urls[0].as_str()), (vec![(true, false), (false, true)], url));
    let error = image.open_layer(0).err().unwrap();
    assert_eq!(error.code(), "bad_image");
    assert!(error.to_string().ends_with(&format!("a foreign layer, which can be had at {url}")), "{error}");
}

#[test]
fn blobs_are_those_of_their_digests() {
    let layout = Layout::new();
    let image = layout.image("windows", &["a"]);
    layout.index(vec![image.clone()]);
    let opened = layout.open().unwrap();
    let file = opened.layers()[0].file.clone();
    let mut bytes = fs::read(layout.path().join(&file)).unwrap();
    bytes[5] ^= 1;
    layout.put(&file, &bytes);
    let failed = std::io::copy(&mut opened.open_layer(0).unwrap(), &mut std::io::sink()).unwrap_err();
    let error = crate::error::from_io(failed);
    assert_eq!(error.code(), "integrity");
    assert!(error.to_string().starts_with("layer 0, blobs/sha256/"), "{error}");
    layout.put(&file, &bytes[1..]);
    assert_eq!(code(opened.open_layer(0)), "integrity");
    fs::remove_file(layout.path().join(&file)).unwrap();
    assert_eq!(code(opened.open_layer(0)), "bad_image");
    assert!(!layout.open().unwrap().layers()[0].is_present);

    let manifest = format!("blobs/{}", image["digest"].as_str().unwrap().replace(':', "/"));
    let mut text = fs::read(layout.path().join(&manifest)).unwrap();
    let last = text.len() - 1;
    text[last] = b' ';
    layout.put(&manifest, &text);
    assert_eq!(code(layout.choose(image["digest"].as_str().unwrap())), "integrity");
}

#[test]
fn hostile_layouts() {
    let bad_digests = ["sha256:../../../../etc/passwd", "sha256:/etc/passwd", "md5:1", "", "sha256:", "sha512:00"];
    for digest in bad_digests {
        let layout = Layout::new();
        layout.index(vec![json!({"mediaType": MANIFEST, "digest": digest, "size": 1})]);
        assert_eq!(code(layout.open()), "bad_image", "{digest}");
        let config = layout.document("", &json!({"os": "windows", "rootfs": {"diff_ids": [digest]}}));
        let layers = json!([{"mediaType": LAYER, "digest": digest, "size": 1}]);
        layout.index(vec![layout.document(MANIFEST, &json!({"config": config, "layers": layers}))]);
        assert_eq!(code(layout.open()), "bad_image", "{digest}");
        let layers = json!([layout.blob(LAYER, b"x")]);
        layout.index(vec![layout.document(MANIFEST, &json!({"config": config, "layers": layers}))]);
        assert_eq!(code(layout.open()), "bad_image", "{digest}");
    }

    let layout = Layout::new();
    let config = layout.document("", &json!({"os": "windows", "rootfs": {"diff_ids": []}}));
    let layers = json!([layout.blob(LAYER, b"x")]);
    layout.index(vec![layout.document(MANIFEST, &json!({"config": config, "layers": layers}))]);
    let text = layout.open().err().unwrap().to_string();
    assert!(text.ends_with("image rootfs.diff_ids: expected 1, one for each layer, found 0"), "{text}");

    // Indexes in indexes, deeper than any tool makes them, and many in many.
    let mut index = layout.document(INDEX, &json!({"manifests": []}));
    for _ in 0..5 {
        index = layout.document(INDEX, &json!({"manifests": [index]}));
    }
    layout.index(vec![index]);
    assert!(layout.open().err().unwrap().to_string().contains("at most 4 indexes in one another"));
    let mut index = layout.document(INDEX, &json!({"manifests": []}));
    for _ in 0..3 {
        index = layout.document(INDEX, &json!({"manifests": vec![index; 100]}));
    }
    layout.index(vec![index]);
    assert_eq!(code(layout.open()), "limit_entries");

    layout.put("index.json", &vec![b' '; 5 << 20]);
    assert_eq!(code(layout.open()), "limit_line");
    layout.put("index.json", "[".repeat(100_000).as_bytes());
    assert_eq!(code(layout.open()), "bad_image");
    layout.put("index.json", b"{\"manifests\": [{\"digest\": 1}]}");
    let text = layout.open().err().unwrap().to_string();
    assert!(
        text.starts_with("index.json: image JSON: expected a document of an image, found line 1, column 27"),
        "{text}"
    );
    layout.put("oci-layout", b"{\"imageLayoutVersion\": \"2.0.0\"}");
    assert!(layout.open().err().unwrap().to_string().contains("expected \"1.0.0\", found \"2.0.0\""));
    fs::remove_file(layout.path().join("oci-layout")).unwrap();
    assert_eq!(code(layout.open()), "bad_image");
    fs::remove_file(layout.path().join("index.json")).unwrap();
    assert!(layout.open().err().unwrap().to_string().contains("manifest.json (docker save), found neither"));
    assert_eq!(code(Image::open(&layout.path().join("none"), &ImageOptions::default())), "io");
    layout.put("tar", &layer("a"));
    assert_eq!(code(Image::open(&layout.path().join("tar"), &ImageOptions::default())), "bad_image");
}

#[cfg(unix)]
#[test]
fn links_in_a_layout_are_not_followed() {
    use std::os::unix::fs::symlink;
    let outside = tempdir().unwrap();
    let layout = Layout::new();
    layout.index(vec![layout.image("windows", &["a"])]);
    let file = layout.open().unwrap().layers()[0].file.clone();
    fs::rename(layout.path().join(&file), outside.path().join("blob")).unwrap();
    symlink(outside.path().join("blob"), layout.path().join(&file)).unwrap();
    assert_eq!(code(layout.open()), "member_type");
    fs::remove_dir_all(layout.path().join("blobs")).unwrap();
    symlink(outside.path(), layout.path().join("blobs")).unwrap();
    assert_eq!(code(layout.open()), "link_escapes");
}

/// An archive as `docker save` wrote it before Docker 25.
fn docker_save(members: &[(&str, u8, &str, &[u8])]) -> (TempDir, PathBuf) {
    let mut tar = Writer::new(Vec::new());
    for (name, typeflag, link_name, data) in members {
        let (name, link_name) = (name.as_bytes(), link_name.as_bytes());
        let size = data.len() as u64;
        tar.start(&MemberHeader { name, typeflag: *typeflag, link_name, size, ..Default::default() }).unwrap();
        tar.data(data).unwrap();
    }
    let folder = tempdir().unwrap();
    let path = folder.path().join("saved.tar");
    fs::write(&path, tar.finish().unwrap()).unwrap();
    (folder, path)
}

#[test]
fn what_docker_saved() {
    let (base, app) = (layer("base"), layer("app"));
    let diff_ids = [digest_of(&base), digest_of(&app), digest_of(&app)];
    let config = json!({"os": "windows", "architecture": "amd64", "rootfs": {"diff_ids": diff_ids}}).to_string();
    let id = digest_of(config.as_bytes());
    let config_name = format!("{}.json", &id[7..]);
    let source = json!({"mediaType": FOREIGN, "digest": digest_of(b"x"), "size": 7, "urls": ["https://example.com"]});
    let manifest = json!([{
        "Config": config_name, "RepoTags": ["app:1"], "Layers": ["0/layer.tar", "1/layer.tar", "2/layer.tar"],
        "LayerSources": {&diff_ids[0]: source},
    }]);
    let manifest = manifest.to_string();
    let members: Vec<(&str, u8, &str, &[u8])> = vec![
        ("1/", b'5', "", b""),
        ("1/layer.tar", b'0', "", &app),
        ("2/layer.tar", typeflag::SYMLINK, "../1/layer.tar", b""),
        (&config_name, b'0', "", config.as_bytes()),
        ("manifest.json", b'0', "", manifest.as_bytes()),
    ];
    let (_folder, path) = docker_save(&members);
    let image = Image::open(&path, &ImageOptions::default()).unwrap();
    assert_eq!((image.config_digest(), image.names()), (id.as_str(), &["app:1".to_owned()][..]));
    let found: Vec<_> = image.layers().iter().map(|layer| (layer.size, layer.foreign, layer.is_present)).collect();
    assert_eq!(found, [(7, true, false), (app.len() as u64, false, true), (app.len() as u64, false, true)]);
    for i in [1, 2] {
        let mut bytes = Vec::new();
        image.open_layer(i).unwrap().read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes, app);
    }
    assert!(image.open_layer(0).err().unwrap().to_string().contains("https://example.com"));

    let open = |members: &[(&str, u8, &str, &[u8])]| {
        let (_folder, path) = docker_save(members);
        Image::open(&path, &ImageOptions::default())
    };
    let with = |at: usize, member: (&'static str, u8, &'static str, &'static [u8])| {
        let mut members = members.clone();
        members[at] = member;
        open(&members)
    };
    let circle = with(1, ("1/layer.tar", typeflag::SYMLINK, "../2/layer.tar", b""));
    assert!(circle.err().unwrap().to_string().contains("a circle"));
    assert!(!with(2, ("2/layer.tar", typeflag::SYMLINK, "../../etc/passwd", b"")).unwrap().layers()[2].is_present);
    let bad = br#"[{"Config": "../../etc/passwd", "Layers": []}]"#;
    assert_eq!(code(with(4, ("manifest.json", b'0', "", bad))), "name_escapes");
    let mut changed = members.clone();
    let other = config.replace("amd64", "arm64");
    changed[3].3 = other.as_bytes();
    assert_eq!(code(open(&changed)), "integrity");
}

#[test]
fn skopeo_converts_between_them() {
    let skopeo = |arguments: &[&str]| std::process::Command::new("skopeo").args(arguments).output();
    if skopeo(&["--version"]).is_err() {
        return;
    }
    let layout = Layout::new();
    layout.index(vec![named(layout.image("windows", &["a", "b"]), "app")]);
    let folder = tempdir().unwrap();
    let saved = folder.path().join("saved.tar");
    let from = format!("oci:{}:app", layout.path().display());
    let to = format!("docker-archive:{}:app:1", saved.display());
    let done = skopeo(&["--override-os", "windows", "--insecure-policy", "copy", &from, &to]).unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let (oci, docker) = (layout.open().unwrap(), Image::open(&saved, &ImageOptions::default()).unwrap());
    let diff_ids = |image: &Image| image.layers().iter().map(|layer| layer.diff_id.clone()).collect::<Vec<_>>();
    assert_eq!(diff_ids(&oci), diff_ids(&docker));
    assert_eq!(read(&oci), read(&docker));
}

#[test]
fn the_layout_is_left_as_it_was() {
    let layout = Layout::new();
    layout.index(vec![layout.image("windows", &["a"])]);
    let names = || Walk::new(&Root::open(layout.path()).unwrap()).unwrap().count();
    let before = names();
    read(&layout.open().unwrap());
    assert_eq!(names(), before);
}
