//! What every backend must do, as plain functions: each takes a way to open a backend on a home, and panics where the
//! backend, or the store above it, does not do as `docs/store.md` says.

use super::{Driver, LayerStore, StoreOptions};
use crate::backend::recording::{Readiness, Recording};
use crate::backend::{Backend, ChangeKind, LayerKind};
use crate::error::Result;
use crate::layer_tar::{EntryKind, LayerEntry, LayerWriter};
use crate::progress::Progress;
use std::io::{Cursor, Read};
use std::path::Path;
use std::sync::Arc;

/// Opens a backend on a home, for a driver.
pub type Open<'a> = &'a dyn Fn(&Path, Driver, &StoreOptions) -> Arc<dyn Backend>;

/// A check: it panics where the backend fails it.
pub type Check = fn(Open, &StoreOptions);

/// All checks, with their names.
pub const CHECKS: &[(&str, Check)] = &[
    ("layers come out as they came in", layers_come_out_as_they_came_in),
    ("chains show the nearest layer", chains_show_the_nearest_layer),
    ("a sandbox keeps what is written", a_sandbox_keeps_what_is_written),
    ("calls are in the order of the reference", calls_are_in_the_order_of_the_reference),
    ("the diff flavour exports straight", the_diff_flavour_exports_straight),
    ("a failure at any call is undone", a_failure_at_any_call_is_undone),
];

/// A layer tar of files, each with its data; a name that ends in a slash is a directory's.
///
/// # Panics
/// For names that no layer can hold.
#[must_use]
pub fn layer(files: &[(&str, &str)]) -> Vec<u8> {
    let mut writer = LayerWriter::new(Vec::new(), Default::default());
    for (name, data) in files {
        let kind = match name.strip_suffix('/') {
            Some(_) => EntryKind::Directory,
            None if name.contains(".wh.") => EntryKind::Whiteout,
            None => EntryKind::File,
        };
        let mut entry = LayerEntry::new(name.strip_suffix('/').unwrap_or(name).as_bytes(), kind);
        let known = entry.data.as_mut().map(|known| known.size = data.len() as u64);
        let data = known.map(|()| Box::new(data.as_bytes()) as Box<dyn std::io::BufRead>);
        writer.add(&entry, data.into_iter().collect()).expect("a name that a layer can hold");
    }
    writer.finish().expect("memory takes everything")
}

/// A store on a new home, with a base and a child.
struct Case {
    _folder: tempfile::TempDir,
    store: LayerStore,
    recording: Arc<Recording>,
}

const BASE: &[(&str, &str)] =
    &[("Files/", ""), ("Files/a", "one"), ("Files/b", "two"), ("Files/d/", ""), ("Files/d/c", "3")];
const CHILD: &[(&str, &str)] = &[("Files/", ""), ("Files/A", "new"), ("Files/.wh.b", ""), ("Files/e", "five")];

impl Case {
    fn new(open: Open, options: &StoreOptions, driver: Driver) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let home = folder.path().join("home");
        // The backend finds the home as a store made it.
        drop(LayerStore::open(&home, driver, options.clone()).expect("a store"));
        let mut recording = Recording::new(open(&home, driver, options));
        if driver == Driver::WindowsDiff {
            recording = recording.in_any_order();
        }
        let recording = Arc::new(recording);
        let store = LayerStore::open_with(&home, driver, options.clone(), recording.clone()).expect("a store");
        Case { _folder: folder, store, recording }
    }

    fn filled(open: Open, options: &StoreOptions) -> Self {
        let case = Case::new(open, options, Driver::WindowsFilter);
        case.apply("base", "", BASE).expect("a layer");
        case.apply("child", "base", CHILD).expect("a layer");
        case.recording.take_calls();
        case
    }

    fn apply(&self, id: &str, parent: &str, files: &[(&str, &str)]) -> Result<()> {
        self.store.apply_diff(id, parent, Cursor::new(layer(files)), Progress::none()).map(drop)
    }

    fn read(&self, id: &str) -> Vec<u8> {
        let mut tar = Vec::new();
        self.store.diff(id, "").expect("a layer").read_to_end(&mut tar).expect("a whole layer");
        tar
    }

    fn changes(&self, id: &str) -> Result<Vec<(String, ChangeKind)>> {
        let mut changes = Vec::new();
        self.store.changes(id, "", &mut |change| {
            changes.push((String::from_utf8_lossy(&change.path).into_owned(), change.kind));
            Ok(())
        })?;
        Ok(changes)
    }

    #[track_caller]
    fn is_clean(&self) {
        assert_eq!(self.store.check(false, &Progress::none()).expect("a store"), []);
        assert!(self.recording.ready().is_empty(), "{:?}", self.recording.ready());
        assert!(self.store.layers().expect("a store").iter().all(|layer| layer.mounted == 0));
    }

    #[track_caller]
    fn calls(&self, expected: &[&str]) {
        assert_eq!(self.recording.take_calls(), expected);
    }
}

fn layers_come_out_as_they_came_in(open: Open, options: &StoreOptions) {
    let case = Case::filled(open, options);
    assert_eq!(case.read("base"), layer(BASE));
    assert_eq!(case.read("child"), layer(CHILD));
    let expected = [("Files/A", ChangeKind::Modify), ("Files/b", ChangeKind::Delete), ("Files/e", ChangeKind::Add)];
    assert_eq!(case.changes("child").expect("a layer"), expected.map(|(path, kind)| (path.to_owned(), kind)));
    let mut data = String::new();
    case.store.open_layer_file("base", b"Files/d/c").expect("a file").read_to_string(&mut data).expect("its data");
    assert_eq!(data, "3");
    assert_eq!(case.store.info("child").expect("a layer").parents, ["base"]);
    case.is_clean();
}

#[allow(clippy::disallowed_methods)]
fn chains_show_the_nearest_layer(open: Open, options: &StoreOptions) {
    let case = Case::filled(open, options);
    let mount = case.store.mount("child").expect("a view");
    let names: Vec<_> = crate::fs::Root::open(mount.path()).expect("a folder").list(Path::new("")).expect("names");
    assert_eq!(names, ["A", "d", "e"]);
    assert_eq!(std::fs::read_to_string(mount.path().join("A")).expect("a file"), "new");
    assert_eq!(std::fs::read_to_string(mount.path().join("d/c")).expect("a file"), "3");
    assert_eq!(case.store.remove("child").map_err(|e| e.code()), Err("layer_in_use"));
    mount.close().expect("an end");
    case.is_clean();
    case.store.remove("child").expect("nobody holds it");
    case.is_clean();
}

#[allow(clippy::disallowed_methods)]
fn a_sandbox_keeps_what_is_written(open: Open, options: &StoreOptions) {
    let case = Case::filled(open, options);
    case.store.create_read_write("box", "child", None).expect("a sandbox");
    let path = case.store.get("box").expect("a view");
    std::fs::write(path.join("d/new"), "written").expect("a file");
    std::fs::remove_file(path.join("e")).expect("a file");
    case.store.put("box").expect("an end");
    let changes = case.changes("box").expect("a sandbox");
    assert!(changes.contains(&("Files/d/new".into(), ChangeKind::Add)), "{changes:?}");
    assert!(changes.contains(&("Files/e".into(), ChangeKind::Delete)), "{changes:?}");
    let tar = case.read("box");
    case.store.apply_diff("copy", "child", Cursor::new(tar), Progress::none()).expect("a layer");
    let mount = case.store.mount("copy").expect("a view");
    assert_eq!(std::fs::read_to_string(mount.path().join("d/new")).expect("a file"), "written");
    assert!(
        !crate::fs::Root::open(mount.path())
            .expect("a folder")
            .list(Path::new(""))
            .expect("names")
            .contains(&"e".into())
    );
    mount.close().expect("an end");
    assert_eq!(case.store.get("box").expect("a view"), path, "put does not delete what was written");
    assert_eq!(std::fs::read_to_string(path.join("d/new")).expect("a file"), "written");
    case.store.put("box").expect("an end");
    case.is_clean();
}

fn calls_are_in_the_order_of_the_reference(open: Open, options: &StoreOptions) {
    let case = Case::new(open, options, Driver::WindowsFilter);
    case.apply("base", "", BASE).expect("a layer");
    case.calls(&["ImportLayer base"]);
    case.apply("child", "base", CHILD).expect("a layer");
    case.calls(&["GetLayerMountPath base", "ImportLayer child"]);
    case.store.create("empty", "child").expect("a layer");
    case.calls(&["GetLayerMountPath child", "CreateLayer empty"]);
    case.store.create("c-init", "child").expect("a layer");
    case.calls(&["GetLayerMountPath child", "CreateLayer c-init"]);
    case.store.create("c", "c-init").expect("a sandbox");
    case.calls(&["CreateSandboxLayer c"]);
    case.store.create_read_write("box", "child", None).expect("a sandbox");
    case.calls(&["GetLayerMountPath child", "CreateSandboxLayer box"]);

    case.store.get("box").expect("a view");
    case.calls(&["ActivateLayer box", "PrepareLayer box", "GetLayerMountPath box"]);
    case.store.get("box").expect("a view");
    case.calls(&["GetLayerMountPath box"]);
    // Exported while it is mounted: unprepared for it, and prepared again.
    drop(case.store.diff("box", "").expect("a layer"));
    case.calls(&["UnprepareLayer box", "ExportLayer box", "PrepareLayer box"]);
    case.changes("box").expect("a layer");
    case.calls(&["UnprepareLayer box", "ExportLayer box", "PrepareLayer box"]);
    case.store.put("box").expect("an end");
    case.calls(&[]);
    case.store.put("box").expect("an end");
    case.calls(&["UnprepareLayer box", "DeactivateLayer box"]);
    case.store.put("box").expect("nothing to do");
    case.calls(&[]);

    drop(case.store.diff("child", "").expect("a layer"));
    case.calls(&["ActivateLayer child", "ExportLayer child", "DeactivateLayer child"]);
    case.changes("child").expect("a layer");
    case.calls(&["ActivateLayer child", "ExportLayer child", "DeactivateLayer child"]);
    case.store.remove("box").expect("nobody holds it");
    case.calls(&["DestroyLayer box"]);
    case.is_clean();
}

fn the_diff_flavour_exports_straight(open: Open, options: &StoreOptions) {
    let filter = Case::filled(open, options);
    let recording = Arc::new(Recording::new(open(filter.store.home(), Driver::WindowsDiff, options)).in_any_order());
    let store = LayerStore::open_with(filter.store.home(), Driver::WindowsDiff, options.clone(), recording.clone());
    let case = Case { _folder: filter._folder, store: store.expect("a store"), recording };
    assert_eq!(case.store.name(), "windowsdiff");
    case.recording.take_calls();
    drop(case.store.diff("base", "").expect("a layer"));
    case.changes("base").expect("a layer");
    case.calls(&["ExportLayer base", "ExportLayer base"]);
}

/// What is done while calls fail.
type Operation = fn(&Case) -> Result<()>;

fn a_failure_at_any_call_is_undone(open: Open, options: &StoreOptions) {
    let operations: &[(&str, Operation)] = &[
        ("create", |case| case.store.create("new", "child")),
        ("create_read_write", |case| case.store.create_read_write("new", "child", None)),
        ("apply_diff", |case| case.apply("new", "child", CHILD)),
        ("apply_diff to an empty layer", |case| case.apply("empty", "", CHILD)),
        ("get and put", |case| case.store.get("box").and_then(|_| case.store.put("box"))),
        ("diff", |case| case.store.diff("child", "").and_then(|stream| stream.close())),
        ("diff of a sandbox", |case| case.store.diff("box", "").and_then(|stream| stream.close())),
        ("changes", |case| case.changes("child").map(drop)),
        ("remove", |case| case.store.remove("empty")),
    ];
    for (name, operation) in operations {
        for n in 0.. {
            let case = Case::filled(open, options);
            case.store.create("empty", "child").expect("a layer");
            case.store.create_read_write("box", "child", None).expect("a sandbox");
            let before = case.store.layers().expect("a store");
            case.recording.fail_after(Some(n));
            let failed = operation(&case);
            let calls = case.recording.take_calls();
            case.recording.fail_after(None);
            if calls.len() <= n {
                failed.unwrap_or_else(|e| panic!("{name} without a failure: {e}"));
                break;
            }
            let what = format!("{name}, {} failed", calls[n]);
            assert!(failed.is_err(), "{what}: it was not told");
            assert_eq!(case.recording.ready(), [].into(), "{what}: calls {calls:?}");
            assert_eq!(case.store.check(false, &Progress::none()).expect("a store"), [], "{what}");
            let is_undone = case.store.layers().expect("a store") == before;
            // Letting go is the end of what went well.
            assert!(is_undone || calls[n].starts_with("Deactivate"), "{what}");
            if is_undone {
                operation(&case).unwrap_or_else(|e| panic!("{what}, and again: {e}"));
            }
            case.is_clean();
        }
    }
    // A mount that others hold stays theirs when another one fails.
    let case = Case::filled(open, options);
    case.store.get("child").expect("a view");
    case.recording.fail_after(Some(0));
    assert!(case.store.get("child").is_err());
    case.recording.fail_after(None);
    assert_eq!(case.recording.ready().values().collect::<Vec<_>>(), [&Readiness::Prepared]);
    assert_eq!(case.store.info("child").expect("a layer").mounted, 1);
    assert_eq!(case.store.info("child").expect("a layer").kind, LayerKind::Imported);
    case.store.put("child").expect("an end");
    case.is_clean();
}
