//! The verbs of a store on the portable backend.

use super::*;
use crate::backend::ChangeKind;
use crate::layer_tar::{EntryKind, LayerEntry, LayerWriter, UnnamedData};
use crate::progress::Progress;
use std::io::Read;

fn store() -> (tempfile::TempDir, LayerStore) {
    let folder = tempfile::tempdir().unwrap();
    let store = LayerStore::open(&folder.path().join("home"), Driver::WindowsFilter, StoreOptions::default()).unwrap();
    (folder, store)
}

/// A layer tar: names that end in a slash are directories, `.wh.` ones whiteouts, others files with their name as data.
fn layer(names: &[&str]) -> Vec<u8> {
    let mut writer = LayerWriter::new(Vec::new(), Default::default());
    for name in names {
        let (base, data) = name.split_once('=').unwrap_or((name, name));
        if base.contains(".wh.") {
            let entry = LayerEntry::new(base.as_bytes(), EntryKind::Whiteout);
            writer.add(&entry, vec![]).unwrap();
        } else if let Some(base) = base.strip_suffix('/') {
            writer.add(&LayerEntry::new(base.as_bytes(), EntryKind::Directory), vec![]).unwrap();
        } else {
            let mut entry = LayerEntry::new(base.as_bytes(), EntryKind::File);
            entry.data = Some(UnnamedData::new(data.len() as u64));
            writer.add(&entry, vec![Box::new(data.as_bytes())]).unwrap();
        }
    }
    writer.finish().unwrap()
}

fn apply(store: &LayerStore, id: &str, parent: &str, tar: &[u8]) -> Result<crate::backend::Imported> {
    store.apply_diff(id, parent, std::io::Cursor::new(tar.to_vec()), Progress::none())
}

fn code<T>(result: Result<T>) -> &'static str {
    result.err().map_or("ok", |error| error.code())
}

fn bytes(mut stream: impl Read) -> Vec<u8> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    bytes
}

fn is_clean(store: &LayerStore) {
    assert_eq!(store.check(false, &Progress::none()).unwrap(), []);
}

#[test]
fn a_layer_comes_out_as_it_came_in() {
    let (_folder, store) = store();
    let tar = layer(&["Files/", "Files/a", "Files/d/", "Files/d/b=bb"]);
    let imported = apply(&store, "base", "", &tar).unwrap();
    assert_eq!((imported.entries, imported.data, imported.size), (4, 7 + 2, tar.len() as u64));
    assert_eq!(bytes(store.diff("BASE", "").unwrap()), tar);
    let info = store.info("base").unwrap();
    assert_eq!(info.diff_id.as_deref(), Some(&*imported.diff_id));
    assert_eq!(info.chain_id, info.diff_id);
    assert_eq!(bytes(store.open_layer_file("base", b"Files/d/b").unwrap()), b"bb");
    is_clean(&store);
}

#[test]
fn chains_are_written_as_the_reference_writes_them() {
    let (_folder, store) = store();
    apply(&store, "base", "", &layer(&["Files/"])).unwrap();
    apply(&store, "child", "base", &layer(&["Files/"])).unwrap();
    store.create("top", "child").unwrap();
    let text = std::fs::read_to_string(store.home().join("top/layerchain.json")).unwrap();
    let paths: Vec<String> = serde_json::from_str(&text).unwrap();
    let home = store.home().display().to_string();
    assert_eq!(paths, [format!("{home}/child"), format!("{home}/base")]);
    assert_eq!(store.info("top").unwrap().parents, ["child", "base"]);
    is_clean(&store);
}

#[test]
fn an_init_parent_makes_a_sandbox_on_the_parents_of_the_parent() {
    let (_folder, store) = store();
    apply(&store, "base", "", &layer(&["Files/"])).unwrap();
    store.create("x-init", "base").unwrap();
    store.create("x", "x-init").unwrap();
    assert_eq!(store.info("x").unwrap().parents, ["base"]);
    assert_eq!(store.info("x").unwrap().kind, crate::backend::LayerKind::Sandbox);
    store.create("lonely-init", "").unwrap();
    assert_eq!(code(store.create("y", "lonely-init")), "no_parent");
    assert!(!store.exists("y").unwrap());
    is_clean(&store);
}

#[test]
fn what_cannot_be_made_leaves_nothing() {
    let (_folder, store) = store();
    assert_eq!(code(store.create("a", "missing")), "layer_not_found");
    assert_eq!(code(store.create("a:b", "")), "bad_layer_id");
    assert_eq!(code(store.create("..", "")), "bad_layer_id");
    assert_eq!(code(store.create("sysfile-backups", "")), "bad_layer_id");
    store.create("a", "").unwrap();
    assert_eq!(code(store.create("A", "")), "layer_exists");
    assert_eq!(code(store.create_read_write("s", "", None)), "no_parent");
    assert_eq!(code(store.create_read_write("s", "a", Some(1 << 30))), "unsupported");
    assert!(!store.exists("s").unwrap() && !store.home().join("s").exists());
    store.create_read_write("s", "a", None).unwrap();
    assert_eq!(code(store.create("t", "s")), "wrong_kind");
    assert_eq!(code(apply(&store, "s", "", &layer(&["Files/"]))), "wrong_kind");
    is_clean(&store);
}

#[test]
fn bad_tars_leave_the_store_as_it_was() {
    let (_folder, store) = store();
    let good = layer(&["Files/", "Files/a"]);
    for bad in [&good[..700], b"no tar at all", &layer(&["Files/a", "Files/A"])[..]] {
        assert_ne!(code(apply(&store, "x", "", bad)), "ok");
        assert!(!store.exists("x").unwrap() && !store.home().join("x").exists());
        store.create("y", "").unwrap();
        assert_ne!(code(apply(&store, "y", "", bad)), "ok");
        assert_eq!(store.info("y").unwrap().kind, crate::backend::LayerKind::Empty);
        store.remove("y").unwrap();
    }
    let left: Vec<_> = std::fs::read_dir(store.home().join(".winlayers/tmp")).unwrap().collect();
    assert!(left.is_empty());
    is_clean(&store);
}

#[test]
fn parents_stay_while_others_stand_on_them() {
    let (_folder, store) = store();
    apply(&store, "base", "", &layer(&["Files/"])).unwrap();
    apply(&store, "child", "base", &layer(&["Files/"])).unwrap();
    assert_eq!(code(store.remove("base")), "has_children");
    assert_eq!(code(store.diff("child", "child").map(drop)), "wrong_parent");
    let stream = store.diff("child", "base").unwrap();
    assert_eq!(code(store.remove("child")), "layer_in_use");
    drop(stream);
    store.remove("child").unwrap();
    store.remove("base").unwrap();
    assert_eq!(code(store.remove("base")), "layer_not_found");
    assert!(store.layers().unwrap().is_empty());
    is_clean(&store);
}

#[test]
fn changes_tell_adds_from_modifications() {
    let (_folder, store) = store();
    apply(&store, "base", "", &layer(&["Files/", "Files/a", "Files/b", "Files/d/", "Files/d/x"])).unwrap();
    let child = layer(&["Files/", "Files/A=new", "Files/.wh.b", "Files/c", "Files/d/", "Files/d/.wh..wh..opq"]);
    apply(&store, "child", "base", &child).unwrap();
    let mut changes = Vec::new();
    store
        .changes("child", "", &mut |change| {
            changes.push((String::from_utf8(change.path).unwrap(), change.kind, change.size));
            Ok(())
        })
        .unwrap();
    let expected = [
        ("Files/A", ChangeKind::Modify, 3),
        ("Files/b", ChangeKind::Delete, 0),
        ("Files/c", ChangeKind::Add, 7),
        ("Files/d/x", ChangeKind::Delete, 0),
    ];
    assert_eq!(changes, expected.map(|(path, kind, size)| (path.to_owned(), kind, size)));
    assert_eq!(store.diff_size("child", "base").unwrap(), 10);
}

#[test]
fn an_other_id_counts() {
    let (_folder, store) = store();
    apply(&store, "real", "", &layer(&["Files/"])).unwrap();
    store.create("alias", "").unwrap();
    std::fs::write(store.home().join("alias/layerId"), "real").unwrap();
    assert_eq!(store.info("alias").unwrap().id, "real");
    assert_eq!(store.dir("x/alias").unwrap(), store.home().join("alias"));
}

#[test]
fn custom_images_are_made_once() {
    let folder = tempfile::tempdir().unwrap();
    let json = r#"{"Images":[{"Name":"core","Version":"1","Path":"C:\\ProgramData\\core","Size":5,"CreatedTime":"2016-03-14T00:00:00Z"}]}"#;
    let options = StoreOptions { base_images: Some(json.into()), ..Default::default() };
    let store = LayerStore::open(folder.path(), Driver::WindowsFilter, options).unwrap();
    let images = store.custom_image_infos().unwrap();
    assert_eq!(store.custom_image_infos().unwrap(), images);
    assert_eq!(images[0].id.len(), 64);
    assert_eq!(std::fs::read_to_string(store.home().join(&images[0].id).join("layerID")).unwrap(), "core");
}

#[test]
fn a_damaged_layer_is_found_and_what_follows_is_made_anew() {
    let (_folder, store) = store();
    apply(&store, "base", "", &layer(&["Files/", "Files/a"])).unwrap();
    let index = store.home().join("base/layer.index");
    let whole = std::fs::read(&index).unwrap();
    std::fs::write(&index, &whole[..whole.len() / 2]).unwrap();
    drop(store);
    let store =
        LayerStore::open(_folder.path().join("home").as_path(), Driver::WindowsFilter, Default::default()).unwrap();
    let codes = |findings: Vec<Finding>| findings.iter().map(|finding| finding.code.name()).collect::<Vec<_>>();
    assert_eq!(codes(store.check(true, &Progress::none()).unwrap()), ["index_damaged"]);
    is_clean(&store);
    let tar = store.home().join("base/layer.tar");
    let mut bytes = std::fs::read(&tar).unwrap();
    bytes[1024] ^= 1;
    std::fs::write(&tar, bytes).unwrap();
    assert_eq!(codes(store.check(true, &Progress::none()).unwrap()), ["integrity"]);
}

#[test]
fn what_a_dead_process_left_is_undone() {
    let (_folder, store) = store();
    apply(&store, "base", "", &layer(&["Files/"])).unwrap();
    let (made, removed) = (LayerId::new("made").unwrap(), LayerId::new("removed").unwrap());
    store.create("removed", "").unwrap();
    std::fs::create_dir(store.home().join("made")).unwrap();
    store.0.state.put(&made, None, Stage::Creating, Some("dead")).unwrap();
    store.0.state.set_stage(&removed, Stage::Removing, Some("dead")).unwrap();
    store.0.state.hold(&LayerId::new("base").unwrap(), "dead", state::Hold::Mount).unwrap();
    std::fs::write(store.home().join(".winlayers/tmp/rest"), "").unwrap();
    std::fs::create_dir(store.home().join(".winlayers/views/base")).unwrap();
    assert!(!store.exists("made").unwrap() && !store.exists("removed").unwrap());
    let again = LayerStore::open(store.home(), Driver::WindowsFilter, Default::default()).unwrap();
    let ids: Vec<_> = again.layers().unwrap().into_iter().map(|layer| (layer.id, layer.mounted)).collect();
    assert_eq!(ids, [("base".to_owned(), 0)]);
    assert!(!store.home().join("made").exists() && !store.home().join("removed").exists());
    assert!(!store.home().join(".winlayers/views/base").exists());
    is_clean(&again);
}

#[test]
fn folders_are_the_truth() {
    let (_folder, store) = store();
    apply(&store, "base", "", &layer(&["Files/"])).unwrap();
    apply(&store, "child", "base", &layer(&["Files/"])).unwrap();
    let home = store.home().to_path_buf();
    drop(store);
    std::fs::remove_dir_all(home.join(".winlayers")).unwrap();
    let moved = home.with_file_name("moved");
    std::fs::rename(&home, &moved).unwrap();
    let store = LayerStore::open(&moved, Driver::WindowsFilter, Default::default()).unwrap();
    assert_eq!(store.info("child").unwrap().parents, ["base"]);
    assert_eq!(code(store.remove("base")), "has_children");
    is_clean(&store);
}

#[test]
fn homes_have_any_name() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["höme-日本", "a #b%20c", if cfg!(windows) { "a;b" } else { "a?b\\c" }] {
        let home = folder.path().join(name);
        let open = || LayerStore::open(&home, Driver::WindowsFilter, StoreOptions::default()).unwrap();
        let tar = super::conformance::layer(&[("Files/", ""), ("Files/a", "one")]);
        open().apply_diff("base", "", std::io::Cursor::new(tar), crate::progress::Progress::none()).unwrap();
        assert!(open().view("base").unwrap().find(b"Files/A").unwrap().is_some(), "{name}");
        assert_eq!(open().check(false, &crate::progress::Progress::none()).unwrap(), [], "{name}");
    }
}
