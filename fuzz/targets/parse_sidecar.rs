//! Any bytes as the sidecar of a small extracted layer: it packs or is refused, and what it packs can be read.
#![no_main]

use libfuzzer_sys::{fuzz_mutator, fuzz_target};
use std::path::PathBuf;
use std::sync::LazyLock;
use tempfile::TempDir;
use winlayers::layer::{PackOptions, pack, sidecar_path};
use winlayers::layer_tar::LayerReader;
use winlayers::policy::Policy;
use winlayers::progress::Progress;
use winlayers::source::Source;
use winlayers_fuzz::{limits, mutate};

static LAYER: LazyLock<(TempDir, PathBuf)> = LazyLock::new(|| {
    let folder = TempDir::new().expect("room for a folder");
    let layer = folder.path().join("layer");
    std::fs::create_dir_all(layer.join("Files/d")).expect("a folder");
    std::fs::create_dir(layer.join("Hives")).expect("a folder");
    std::fs::write(layer.join("Files/a"), "hello").expect("a file");
    std::os::unix::fs::symlink("a", layer.join("Files/l")).expect("a link");
    std::fs::hard_link(layer.join("Files/a"), layer.join("Files/b")).expect("a link");
    (folder, layer)
});

fuzz_target!(|data: &[u8]| {
    let (_, layer) = &*LAYER;
    std::fs::write(sidecar_path(layer).expect("a name"), data).expect("a file");
    let options = PackOptions { limits: limits(), source_date_epoch: Some(0), ..Default::default() };
    let Ok((tar, report)) = pack(layer, Vec::new(), &options, Progress::none()) else { return };
    assert_eq!(report.size, tar.len() as u64);
    let mut reader = LayerReader::new(Source::memory(tar), Policy::permissive(), &options.limits).expect("our own tar");
    let mut entries = 0;
    while reader.next_entry().expect("our own tar").is_some() {
        entries += 1;
    }
    assert_eq!(report.entries, entries);
});

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    mutate::json_lines(data, size, max_size, seed)
});
