//! A layer out of any bytes into a store: what is taken is exported to the bit and can be looked at; of what is refused
//! nothing stays.
#![no_main]

use libfuzzer_sys::{fuzz_mutator, fuzz_target};
use std::collections::HashSet;
use std::io::{Cursor, Read};
use std::sync::LazyLock;
use tempfile::TempDir;
use winlayers::compress;
use winlayers::layer_tar::EntryKind;
use winlayers::progress::Progress;
use winlayers::store::{Driver, LayerStore, StoreOptions};
use winlayers_fuzz::{limits, mutate, names};

static STORE: LazyLock<(TempDir, LayerStore)> = LazyLock::new(|| {
    let folder = TempDir::new().expect("room for a folder");
    let options = StoreOptions { fsync: false, limits: limits(), ..Default::default() };
    let store = LayerStore::open(&folder.path().join("home"), Driver::WindowsFilter, options).expect("a store");
    (folder, store)
});

fuzz_target!(|data: &[u8]| {
    let (folder, store) = &*STORE;
    if store.apply_diff("layer", "", Cursor::new(data.to_vec()), Progress::none()).is_ok() {
        let (mut plain, mut exported) = (Vec::new(), Vec::new());
        let mut reader = compress::Reader::new(data).expect("it was taken");
        reader.read_to_end(&mut plain).expect("it was taken");
        let mut tar = store.diff("layer", "").expect("a layer");
        tar.read_to_end(&mut exported).expect("a layer");
        tar.close().expect("it was held");
        assert_eq!(exported, plain);
        look_at_all(store);
        check_out(store);
        store.remove("layer").expect("nothing stands on it");
    }
    assert!(store.layers().expect("a store").is_empty());
    assert_eq!(store.check(false, &Progress::none()).expect("a store"), []);
    assert_eq!(names(folder.path()), ["home"]);
    assert_eq!(names(store.home()), [".winlayers"]);
});

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    mutate::tar(0, data, size, max_size, seed)
});

/// Every entry and its data; a hard link may lead nowhere.
fn look_at_all(store: &LayerStore) {
    let view = store.view("layer").expect("a layer");
    let mut nodes = view.roots().expect("a layer");
    while let Some(node) = nodes.pop() {
        let entry = view.entry(&node).expect("it was taken").entry;
        assert_eq!(view.find(&node.path).expect("a layer").expect("it is listed").path, node.path);
        let mut seen = HashSet::new();
        // Of two streams of one name the first is read, of a hard link those of its target.
        let streams = entry.streams.iter().flatten().filter(|_| entry.kind != EntryKind::HardLink);
        for stream in streams.filter(|stream| seen.insert(&stream.name)) {
            let mut bytes = Vec::new();
            let mut data = view.open(&node, Some(&stream.name)).expect("it is listed");
            data.read_to_end(&mut bytes).expect("it was taken");
            assert_eq!(bytes.len() as u64, stream.size);
        }
        if view.data(&node).is_ok() && view.open(&node, None).is_ok() {
            view.read(&node).expect("it was taken");
        }
        nodes.extend(view.children(&node).expect("a layer"));
    }
    store.changes("layer", "", &mut |_| Ok(())).expect("a layer");
}

/// A sandbox on it, which has changed nothing: a disk may not be able to hold the layer.
fn check_out(store: &LayerStore) {
    store.create_read_write("sandbox", "layer", None).expect("a layer");
    if store.get("sandbox").is_ok() {
        let mut changes = 0;
        store.changes("sandbox", "layer", &mut |_| Ok(changes += 1)).expect("a sandbox");
        assert_eq!(changes, 0);
        store.put("sandbox").expect("it was got");
    }
    store.remove("sandbox").expect("nobody has it");
}
