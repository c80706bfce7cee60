//! Tests of [`super::View`]: by hand, and against a naive model.

use super::super::index::Index;
use super::View;
use crate::error::Result;
use crate::layer_tar::{EntryKind, LayerEntry, LayerWriter};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::sync::Arc;

#[derive(Debug, Clone, PartialEq, Eq)]
enum Op {
    File(String),
    Dir,
    Whiteout,
    Opaque,
    Link(String),
}

use Op::{Dir, Link, Opaque, Whiteout};

fn file(data: &str) -> Op {
    Op::File(data.into())
}

fn tar(ops: &[(&str, Op)]) -> Vec<u8> {
    let mut writer = LayerWriter::new(Vec::new(), Default::default());
    for (path, op) in ops {
        let add = |writer: &mut LayerWriter<Vec<u8>>, name: &str, kind, link: Option<&str>, data: Option<&str>| {
            let mut entry = LayerEntry::new(name, kind);
            entry.link_name = link.map(Into::into);
            entry.size = data.map_or(0, |data| data.len() as u64);
            let data = data.map(|data| Box::new(data.as_bytes()) as Box<dyn std::io::BufRead>);
            writer.add(&entry, data.into_iter().collect()).unwrap();
        };
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        match op {
            Op::File(data) => add(&mut writer, path, EntryKind::File, None, Some(data)),
            Dir => add(&mut writer, path, EntryKind::Directory, None, None),
            Whiteout => add(&mut writer, &format!("{folder}/.wh.{name}"), EntryKind::Whiteout, None, None),
            Opaque => add(&mut writer, &format!("{path}/.wh..wh..opq"), EntryKind::Whiteout, None, None),
            Link(target) => add(&mut writer, path, EntryKind::HardLink, Some(target), None),
        }
    }
    writer.finish().unwrap()
}

fn index(folder: &std::path::Path, name: &str, tar: &[u8]) -> Result<Arc<Index>> {
    let (tar_path, index) = (folder.join(format!("{name}.tar")), folder.join(format!("{name}.index")));
    File::create(&tar_path).unwrap().write_all(tar).unwrap();
    Index::build(Arc::new(File::open(&tar_path).unwrap()), &index, "sha256:0", &Default::default())?;
    Index::open(&tar_path, &index, &Default::default()).map(Arc::new)
}

/// The view of layers, lowest first.
fn view(layers: &[&[(&str, Op)]]) -> (tempfile::TempDir, View) {
    let folder = tempfile::tempdir().unwrap();
    let mut indexes = Vec::new();
    for (i, ops) in layers.iter().enumerate() {
        indexes.insert(0, index(folder.path(), &i.to_string(), &tar(ops)).unwrap());
    }
    (folder, View::new(indexes))
}

fn refusal(ops: &[(&str, Op)]) -> &'static str {
    let folder = tempfile::tempdir().unwrap();
    index(folder.path(), "x", &tar(ops)).map_or_else(|error| error.code(), |_| "ok")
}

fn text(view: &View, path: &str) -> String {
    let node = view.find(path.as_bytes()).unwrap().unwrap_or_else(|| panic!("{path}"));
    String::from_utf8(view.read(&node).unwrap()).unwrap()
}

#[test]
fn links_lead_into_the_layers_below_them_not_above() {
    let (_folder, view) = view(&[
        &[("Files/a", file("old")), ("Files/b", Link("Files/a".into()))],
        &[("Files/A", file("new")), ("Files/c", Link("Files/a".into())), ("Files/d", Link("Files/b".into()))],
    ]);
    let texts = ["a", "b", "c", "d"].map(|name| text(&view, &format!("Files/{name}")));
    assert_eq!(texts, ["new", "old", "new", "old"]);
}

#[test]
fn links_that_lead_nowhere_are_told() {
    let (_folder, view) = view(&[&[
        ("Files/a", Link("Files/b".into())),
        ("Files/b", Link("Files/a".into())),
        ("Files/c", Link("Files/c".into())),
        ("Files/d", Link("Files/gone".into())),
        ("Files/e", Link("Files".into())),
    ]]);
    for name in ["a", "b", "c", "d", "e"] {
        let node = view.find(format!("files/{name}").as_bytes()).unwrap().unwrap();
        assert_eq!(view.data(&node).unwrap_err().code(), "bad_layer_tar", "{name}");
    }
}

#[test]
fn what_ntfs_takes_for_one_is_refused() {
    assert_eq!(refusal(&[("Files/a", file("")), ("Files/A", file(""))]), "case_collision");
    assert_eq!(refusal(&[("Files/a", file("")), ("Files/a", file(""))]), "duplicate_name");
    assert_eq!(refusal(&[("Files/a", file("")), ("Files/A", Dir)]), "case_collision");
    assert_eq!(refusal(&[("Files/a", file("")), ("Files/A/b", file(""))]), "duplicate_name");
    assert_eq!(refusal(&[("Files/a", Dir), ("Files/A", Dir), ("Files/a/x", file("")), ("Files/A/y", Dir)]), "ok");
    assert_eq!(refusal(&[("Other/a", file(""))]), "root_unknown");
    assert_eq!(refusal(&[("Files", file(""))]), "root_unknown");
}

#[test]
fn a_damaged_index_is_told() {
    let folder = tempfile::tempdir().unwrap();
    index(folder.path(), "x", &tar(&[("Files/a", file("data"))])).unwrap();
    let (tar, path) = (folder.path().join("x.tar"), folder.path().join("x.index"));
    let whole = std::fs::read(&path).unwrap();
    let open = || Index::open(&tar, &path, &Default::default()).and_then(|index| index.get(b"FILES/A"));
    for bytes in [&whole[..100], &whole[..whole.len() - 4096], b"no database", b""] {
        std::fs::write(&path, bytes).unwrap();
        assert!(matches!(open().unwrap_err().code(), "layer_damaged" | "io"), "{}", bytes.len());
    }
    std::fs::write(&path, &whole).unwrap();
    assert!(open().unwrap().is_some());
    File::options().append(true).open(&tar).unwrap().write_all(&[0; 512]).unwrap();
    assert_eq!(open().unwrap_err().code(), "layer_damaged");
}

#[test]
fn global_records_count_from_where_they_stand() {
    use crate::tar::{MemberHeader, Writer};
    let mut writer = Writer::new(Vec::new());
    let member = |writer: &mut Writer<Vec<u8>>, name: &[u8]| {
        writer.start(&MemberHeader { name, typeflag: b'0', ..Default::default() }).unwrap();
    };
    member(&mut writer, b"Files/a");
    let record = b"24 MSWINDOWS.fileattr=6\n";
    writer
        .start(&MemberHeader { name: b"global", typeflag: b'g', size: record.len() as u64, ..Default::default() })
        .unwrap();
    writer.data(record).unwrap();
    member(&mut writer, b"Files/b");
    member(&mut writer, b"Files/c");
    let folder = tempfile::tempdir().unwrap();
    let index = index(folder.path(), "x", &writer.finish().unwrap()).unwrap();
    let attributes = |path: &[u8]| {
        let row = index.get(path).unwrap().unwrap();
        index.entry(&row).unwrap().entry.basic_info.attributes.0
    };
    let before = attributes(b"FILES/A");
    assert_ne!(before, 6);
    assert_eq!([attributes(b"FILES/B"), attributes(b"FILES/C")], [6, 6]);
}

/// What a naive model has at a folded path: its last name, and data where it is a file.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    name: String,
    what: Content,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Content {
    Dir,
    File(String),
    Broken,
}

type Model = BTreeMap<String, Seen>;

fn key(path: &str) -> String {
    path.to_uppercase()
}

fn base(path: &str) -> String {
    path.rsplit('/').next().unwrap().to_owned()
}

fn parents(path: &str) -> Vec<&str> {
    path.match_indices('/').map(|(i, _)| &path[..i]).collect()
}

fn drop_below(model: &mut Model, key: &str) {
    model.retain(|at, _| !at.starts_with(&format!("{key}/")));
}

fn apply(model: &mut Model, ops: &[(String, Op)]) {
    for (path, op) in ops {
        match op {
            Whiteout => {
                model.remove(&key(path));
                drop_below(model, &key(path));
            }
            Opaque if model.get(&key(path)).is_some_and(|seen| seen.what == Content::Dir) => {
                drop_below(model, &key(path));
                // A layer that lists the directory, too, gives it the name that it has first there.
                let entries = ops.iter().filter(|(_, op)| !matches!(op, Whiteout | Opaque));
                let mut names = entries.flat_map(|(other, _)| parents(other).into_iter().chain([&**other]));
                if ops.iter().any(|(other, op)| *op == Dir && key(other) == key(path))
                    && let Some(first) = names.find(|name| key(name) == key(path))
                {
                    model.get_mut(&key(path)).unwrap().name = base(first);
                }
            }
            _ => {}
        }
    }
    let folder = |model: &mut Model, path: &str| {
        if model.get(&key(path)).is_none_or(|seen| seen.what != Content::Dir) {
            model.insert(key(path), Seen { name: base(path), what: Content::Dir });
        }
    };
    for (path, op) in ops {
        if matches!(op, Whiteout | Opaque) {
            continue;
        }
        for parent in parents(path) {
            folder(model, parent);
        }
        match op {
            Dir => folder(model, path),
            Op::File(data) => {
                drop_below(model, &key(path));
                model.insert(key(path), Seen { name: base(path), what: Content::File(data.clone()) });
            }
            Link(_) => {
                drop_below(model, &key(path));
                model.insert(key(path), Seen { name: base(path), what: Content::Broken });
            }
            Whiteout | Opaque => unreachable!(),
        }
    }
    // Every round resolves the links whose target is no link, or a resolved one.
    let links: Vec<_> =
        ops.iter().filter_map(|(path, op)| if let Link(to) = op { Some((path, to)) } else { None }).collect();
    for _ in 0..=links.len() {
        for (path, target) in &links {
            if let Some(Seen { what: Content::File(data), .. }) = model.get(&key(target)).cloned() {
                model.get_mut(&key(path)).unwrap().what = Content::File(data);
            }
        }
    }
}

/// A layer without what an index refuses.
fn layers() -> impl Strategy<Value = Vec<Vec<(String, Op)>>> {
    let name = prop::sample::select(vec!["a", "A", "b", "c"]);
    let path = prop::collection::vec(name, 1..4).prop_map(|parts| format!("Files/{}", parts.join("/")));
    let op = prop_oneof![
        3 => "[x-z]{0,3}".prop_map(Op::File),
        3 => Just(Dir),
        2 => Just(Whiteout),
        1 => Just(Opaque),
        2 => path.clone().prop_map(Link),
    ];
    let layer = prop::collection::vec((path, op), 0..8).prop_map(|ops| {
        let mut kept: Vec<(String, Op)> = Vec::new();
        let is_entry = |op: &Op| !matches!(op, Whiteout | Opaque);
        for (path, op) in ops {
            let clashes = |(other, theirs): &(String, Op)| {
                let (mine, other) = (key(&path), key(other));
                let same = mine == other && is_entry(&op) == is_entry(theirs) && (op != Dir || *theirs != Dir);
                let mine_below = mine.starts_with(&format!("{other}/")) && is_entry(theirs) && *theirs != Dir;
                let other_below = other.starts_with(&format!("{mine}/")) && is_entry(&op) && op != Dir;
                // An opaque marker lies in its directory.
                let opaque = mine == other
                    && ((op == Opaque && is_entry(theirs) && *theirs != Dir)
                        || (*theirs == Opaque && is_entry(&op) && op != Dir));
                same || mine_below || other_below || opaque
            };
            if !kept.iter().any(clashes) {
                kept.push((path, op));
            }
        }
        kept
    });
    prop::collection::vec(layer, 1..5)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn views_are_what_a_naive_model_says(layers in layers()) {
        let mut model = Model::new();
        let borrowed: Vec<Vec<(&str, Op)>> =
            layers.iter().map(|ops| ops.iter().map(|(path, op)| (&**path, op.clone())).collect()).collect();
        let (_folder, view) = view(&borrowed.iter().map(|ops| &ops[..]).collect::<Vec<_>>());
        for ops in &layers {
            apply(&mut model, ops);
        }
        let mut seen = Model::new();
        let mut pending = view.roots().unwrap();
        while let Some(node) = pending.pop() {
            let path = String::from_utf8(node.key.clone()).unwrap();
            let what = match node.kind {
                EntryKind::Directory => Content::Dir,
                _ => view.read(&node).map_or(Content::Broken, |data| Content::File(String::from_utf8(data).unwrap())),
            };
            let found = view.find(&node.path).unwrap().unwrap();
            prop_assert_eq!((&found.key, &found.path, found.kind), (&node.key, &node.path, node.kind));
            pending.extend(view.children(&node).unwrap());
            seen.insert(path, Seen { name: String::from_utf8(node.name().to_vec()).unwrap(), what });
        }
        for path in ["Files/a/a", "Files/b", "Files/c/c/c"] {
            prop_assert_eq!(view.find(path.as_bytes()).unwrap().is_some(), model.contains_key(&key(path)));
        }
        prop_assert_eq!(seen, model);
    }
}
