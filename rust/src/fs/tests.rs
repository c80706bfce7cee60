use super::*;
use crate::error::{Error, Rule};
use std::fs;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};
use tempfile::{TempDir, tempdir};

/// A root, and beside it a folder that nothing may change.
struct Scene {
    folder: TempDir,
    root: Root,
}

impl Scene {
    fn new() -> Self {
        let folder = tempdir().unwrap();
        fs::create_dir(folder.path().join("outside")).unwrap();
        fs::write(folder.path().join("outside/kept"), "kept").unwrap();
        let root = Root::create(&folder.path().join("root")).unwrap();
        Scene { folder, root }
    }

    fn outside(&self) -> PathBuf {
        self.folder.path().join("outside")
    }

    fn inside(&self, path: &str) -> PathBuf {
        self.folder.path().join("root").join(path)
    }

    /// Nothing new, nothing gone and nothing changed outside of the root.
    fn assert_outside_untouched(&self) {
        let names = |path: &Path| Root::open(path).unwrap().list(Path::new("")).unwrap();
        assert_eq!(names(self.folder.path()), ["outside", "root"]);
        assert_eq!(names(&self.outside()), ["kept"]);
        assert_eq!(fs::read_to_string(self.outside().join("kept")).unwrap(), "kept");
    }
}

fn p(path: &str) -> &Path {
    Path::new(path)
}

/// What everything that takes a path says about it.
fn every_operation(root: &Root, path: &Path) -> Vec<Result<()>> {
    let now = Some(SystemTime::now());
    vec![
        root.create_dir(path),
        root.create_file(path).map(drop),
        root.create_symlink(path, p("target"), false),
        root.create_hard_link(path, p("file")),
        root.create_hard_link(p("new"), path),
        root.open_file(path).map(drop),
        root.metadata(path).map(drop),
        root.read_link(path).map(drop),
        root.list(path).map(drop),
        root.set_times(path, now, now),
        root.set_read_only(path, true),
        root.rename(path, p("new")),
        root.rename(p("file"), path),
        root.remove_file(path),
        root.remove_dir(path),
        root.remove_tree(path),
    ]
}

#[track_caller]
fn assert_all_refused(results: Vec<Result<()>>, rule: Rule) {
    for (i, result) in results.into_iter().enumerate() {
        match result {
            Err(Error::Refused { rule: found, .. }) if found == rule => {}
            other => panic!("operation {i}: {other:?}"),
        }
    }
}

#[test]
fn no_path_leaves_the_root() {
    let scene = Scene::new();
    scene.root.create_file(p("file")).unwrap();
    scene.root.create_dir(p("dir")).unwrap();
    let absolute = scene.outside().join("kept");
    for path in [p(".."), p("../outside/kept"), p("dir/../../outside/kept"), p("dir/.."), p("/"), p("."), &absolute] {
        assert_all_refused(every_operation(&scene.root, path), Rule::NameEscapes);
    }
    assert_all_refused(every_operation(&scene.root, p("a\0b")), Rule::NameNul);
    assert_eq!(scene.root.create_file(p("")).unwrap_err().code(), "name_empty");
    scene.assert_outside_untouched();
}

#[cfg(unix)]
#[test]
fn no_link_on_the_way_is_followed() {
    let scene = Scene::new();
    scene.root.create_file(p("file")).unwrap();
    scene.root.create_dir(p("dir")).unwrap();
    scene.root.create_symlink(p("absolute"), &scene.outside(), true).unwrap();
    scene.root.create_symlink(p("relative"), p("../outside"), true).unwrap();
    scene.root.create_symlink(p("inner"), p("dir"), true).unwrap();
    scene.root.create_symlink(p("chain"), p("inner"), true).unwrap();
    scene.root.create_symlink(p("loop"), p("loop"), true).unwrap();
    for path in ["absolute/kept", "relative/kept", "relative/new", "inner/new", "chain/new/deep", "loop/x"] {
        assert_all_refused(every_operation(&scene.root, p(path)), Rule::LinkEscapes);
    }
    assert_eq!(scene.root.list(p("dir")).unwrap().len(), 0);
    assert_eq!(scene.root.list(p("absolute")).unwrap_err().code(), "link_escapes");
    scene.assert_outside_untouched();
}

#[cfg(unix)]
#[test]
fn a_link_as_the_last_name_is_acted_upon_itself() {
    let scene = Scene::new();
    let root = &scene.root;
    root.create_symlink(p("link"), &scene.outside().join("kept"), false).unwrap();
    root.create_symlink(p("dangling"), p("../outside/new"), false).unwrap();
    assert_eq!(root.open_file(p("link")).unwrap_err().code(), "member_type");
    assert_eq!(root.set_read_only(p("link"), true).unwrap_err().code(), "member_type");
    assert_eq!(root.create_file(p("dangling")).unwrap_err().code(), "target_exists");
    assert_eq!(root.create_dir(p("dangling")).unwrap_err().code(), "target_exists");
    let before = fs::metadata(scene.outside().join("kept")).unwrap().modified().unwrap();
    let then = SystemTime::UNIX_EPOCH + Duration::from_secs(1);
    root.set_times(p("link"), None, Some(then)).unwrap();
    assert_eq!(root.metadata(p("link")).unwrap().modified, Some(then));
    assert_eq!(fs::metadata(scene.outside().join("kept")).unwrap().modified().unwrap(), before);
    root.create_hard_link(p("second"), p("link")).unwrap();
    assert_eq!(root.metadata(p("second")).unwrap().kind, Kind::Symlink);
    assert_eq!(root.read_link(p("second")).unwrap(), scene.outside().join("kept"));
    root.rename(p("link"), p("moved")).unwrap();
    root.remove_file(p("moved")).unwrap();
    scene.assert_outside_untouched();
}

#[cfg(unix)]
#[test]
fn removing_a_tree_does_not_follow_links_in_it() {
    let scene = Scene::new();
    scene.root.create_dir(p("dir")).unwrap();
    scene.root.create_symlink(p("dir/out"), &scene.outside(), true).unwrap();
    scene.root.create_file(p("dir/file")).unwrap();
    scene.root.remove_tree(p("dir")).unwrap();
    assert!(!scene.inside("dir").exists());
    // A link to a folder is no tree.
    scene.root.create_symlink(p("out"), &scene.outside(), true).unwrap();
    assert!(scene.root.remove_tree(p("out")).is_err() || !scene.inside("out").is_symlink());
    scene.assert_outside_untouched();
}

/// A folder that was used before is exchanged for a link between two operations: the attacker's move, made at the one
/// moment that matters.
#[cfg(unix)]
#[test]
fn a_folder_exchanged_for_a_link_leads_nowhere() {
    let scene = Scene::new();
    let root = &scene.root;
    root.create_dir(p("a")).unwrap();
    root.create_dir(p("a/b")).unwrap();
    root.create_file(p("a/b/first")).unwrap();
    fs::rename(scene.inside("a/b"), scene.inside("a/old")).unwrap();
    std::os::unix::fs::symlink(scene.outside(), scene.inside("a/b")).unwrap();
    // The folder that was open stays the one that is written to, under its new name, or the link is noticed.
    match root.create_file(p("a/b/second")) {
        Ok(_) => assert!(scene.inside("a/old/second").exists()),
        Err(error) => assert_eq!(error.code(), "link_escapes"),
    }
    root.list(p("a")).unwrap();
    assert_eq!(root.create_file(p("a/b/third")).unwrap_err().code(), "link_escapes");
    assert_eq!(root.list(p("a/b")).unwrap_err().code(), "link_escapes");
    scene.assert_outside_untouched();
}

#[cfg(unix)]
#[test]
fn racing_against_an_exchange_never_leaves_the_root() {
    use std::sync::atomic::{AtomicBool, Ordering};
    let scene = Scene::new();
    fs::create_dir(scene.inside("real")).unwrap();
    std::os::unix::fs::symlink(scene.outside(), scene.inside("link")).unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                for from in ["real", "link"] {
                    fs::rename(scene.inside(from), scene.inside("spot")).unwrap();
                    fs::rename(scene.inside("spot"), scene.inside(from)).unwrap();
                }
            }
        });
        for i in 0..2000 {
            let _ = scene.root.create_file(Path::new(&format!("spot/{i}")));
            // Forces the next one to look the folder up again.
            let _ = scene.root.list(p("real"));
        }
        done.store(true, Ordering::Relaxed);
    });
    scene.assert_outside_untouched();
}

#[test]
fn files_folders_times_and_permissions() {
    let scene = Scene::new();
    let root = &scene.root;
    root.create_dir(p("dir")).unwrap();
    root.create_file(p("dir/file")).unwrap().write_all(b"data").unwrap();
    assert_eq!(root.create_file(p("dir/file")).unwrap_err().code(), "target_exists");
    assert_eq!(root.create_dir(p("dir")).unwrap_err().code(), "target_exists");
    let mut text = String::new();
    root.open_file(p("dir/file")).unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(text, "data");
    assert_eq!(root.open_file(p("dir")).unwrap_err().code(), "member_type");

    root.create_hard_link(p("second"), p("dir/file")).unwrap();
    let (one, two) = (root.metadata(p("dir/file")).unwrap(), root.metadata(p("second")).unwrap());
    assert_eq!((one.kind, one.size, one.links), (Kind::File, 4, 2));
    assert_eq!((one.device, one.inode), (two.device, two.inode));
    assert_eq!(root.metadata(p("")).unwrap().kind, Kind::Directory);

    // NTFS keeps 100 ns; all others of today 1 ns.
    let time = |nanoseconds| SystemTime::UNIX_EPOCH + Duration::new(1_234_567_890, nanoseconds);
    for path in ["dir", "dir/file"] {
        root.set_times(p(path), Some(time(123_456_700)), Some(time(987_654_300))).unwrap();
        let metadata = root.metadata(p(path)).unwrap();
        assert_eq!((metadata.accessed, metadata.modified), (Some(time(123_456_700)), Some(time(987_654_300))));
    }
    root.set_times(p("dir/file"), None, Some(time(0))).unwrap();
    assert_eq!(root.metadata(p("dir/file")).unwrap().accessed, Some(time(123_456_700)));

    root.set_read_only(p("dir/file"), true).unwrap();
    assert!(root.metadata(p("dir/file")).unwrap().read_only);
    root.set_read_only(p("dir/file"), false).unwrap();
    assert!(!root.metadata(p("dir/file")).unwrap().read_only);

    root.rename(p("dir"), p("moved")).unwrap();
    assert_eq!(root.list(p("moved")).unwrap(), ["file"]);
    assert!(root.remove_dir(p("moved")).is_err());
    root.remove_tree(p("moved")).unwrap();
    root.remove_file(p("second")).unwrap();
    assert_eq!(root.list(p("")).unwrap().len(), 0);
    scene.assert_outside_untouched();
}

#[cfg(unix)]
#[test]
fn opening_a_fifo_is_refused_at_once() {
    let scene = Scene::new();
    let status = std::process::Command::new("mkfifo").arg(scene.inside("fifo")).status();
    if status.is_ok_and(|status| status.success()) {
        assert_eq!(scene.root.metadata(p("fifo")).unwrap().kind, Kind::Other);
        assert_eq!(scene.root.open_file(p("fifo")).unwrap_err().code(), "member_type");
    }
}

fn walk(root: &Root) -> Vec<String> {
    let visits = Walk::new(root).unwrap().map(|visit| visit.unwrap());
    visits.map(|visit| visit.path.to_str().unwrap().replace('\\', "/")).collect()
}

#[test]
fn the_order_of_a_walk_depends_on_the_names_alone() {
    let paths = ["B", "B/a", "B/a/deep", "B/z", "a", "a-b", "a.txt", "c", "c/0", "\u{e9}", "\u{10000}"];
    let build = |order: &[&str]| {
        let scene = Scene::new();
        for path in order {
            let _ = match *path {
                "B" | "B/a" | "c" => scene.root.create_dir(p(path)),
                _ => scene.root.create_file(p(path)).map(drop),
            };
        }
        scene
    };
    let one = build(&paths);
    let mut reversed = ["B", "c", "B/a"].to_vec();
    reversed.extend(paths.iter().rev().filter(|path| !["B", "c", "B/a"].contains(path)));
    let two = build(&reversed);
    assert_eq!(walk(&one.root), paths);
    assert_eq!(walk(&two.root), paths);
}

#[cfg(unix)]
#[test]
fn a_walk_follows_no_link_and_goes_on_after_an_error() {
    use std::os::unix::ffi::OsStrExt;
    let scene = Scene::new();
    scene.root.create_symlink(p("out"), &scene.outside(), true).unwrap();
    scene.root.create_symlink(p("self"), p("."), true).unwrap();
    let raw = Path::new(std::ffi::OsStr::from_bytes(b"\xff"));
    scene.root.create_file(raw).unwrap();
    scene.root.create_file(p("z")).unwrap();
    let mut visits = Walk::new(&scene.root).unwrap();
    assert_eq!(visits.next().unwrap().unwrap().metadata.kind, Kind::Symlink);
    assert_eq!(visits.next().unwrap().unwrap().path, p("self"));
    scene.root.remove_file(p("z")).unwrap();
    assert_eq!(visits.next().unwrap().unwrap_err().code(), "io");
    assert_eq!(visits.next().unwrap().unwrap().path, raw);
    assert!(visits.next().is_none());
}

#[test]
fn a_deep_tree_costs_few_open_files() {
    let scene = Scene::new();
    let mut path = PathBuf::new();
    // A limit of Windows, where a handle does not take the place of the path.
    let depth = if cfg!(windows) { 50 } else { 1100 };
    for _ in 0..depth {
        path.push("d");
        scene.root.create_dir(&path).unwrap();
    }
    assert_eq!(walk(&scene.root).len(), depth);
    scene.root.remove_tree(p("d")).unwrap();
}

#[test]
fn a_change_while_reading_is_noticed() {
    let scene = Scene::new();
    let path = p("file");
    let changes: [&dyn Fn(); 4] = [
        &|| fs::write(scene.inside("file"), "longer than before").unwrap(),
        &|| fs::write(scene.inside("file"), "").unwrap(),
        // Same size, and its time set back.
        &|| {
            fs::write(scene.inside("file"), "DATA").unwrap();
            scene.root.set_times(path, None, Some(SystemTime::UNIX_EPOCH)).unwrap();
        },
        // Another file takes its place: what was opened is whole, what would be opened is another one.
        &|| {
            fs::write(scene.inside("other"), "DATA").unwrap();
            fs::rename(scene.inside("other"), scene.inside("file")).unwrap();
        },
    ];
    // Windows lets nobody take the place of an open file.
    let possible = if cfg!(windows) { 3 } else { 4 };
    for (i, change) in changes.iter().take(possible).enumerate() {
        let _ = scene.root.remove_file(path);
        scene.root.create_file(path).unwrap().write_all(b"data").unwrap();
        scene.root.set_times(path, None, Some(SystemTime::UNIX_EPOCH + Duration::from_secs(9))).unwrap();
        let metadata = scene.root.metadata(path).unwrap();
        let read = |file: &mut StableFile| {
            let mut data = Vec::new();
            file.read_to_end(&mut data).unwrap();
            data
        };
        let mut file = StableFile::open(&scene.root, path, &metadata).unwrap();
        assert_eq!(read(&mut file), b"data");
        file.finish().unwrap();

        let file = StableFile::open(&scene.root, path, &metadata).unwrap();
        change();
        if i < 3 {
            assert_eq!(file.finish().unwrap_err().code(), "file_changed", "change {i}");
        }
        let reopened = StableFile::open(&scene.root, path, &metadata);
        assert_eq!(reopened.err().map(|e| e.code()), Some("file_changed"), "change {i}");
    }
}

#[test]
fn an_atomic_file_is_there_whole_or_not_at_all() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("out");
    let names = || Root::open(folder.path()).unwrap().list(p("")).unwrap();
    let write = |text: &str| {
        let mut file = AtomicFile::create(&path).unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file
    };
    let staged = write("one");
    assert!(names()[0].to_str().unwrap().starts_with(STAGED_PREFIX));
    drop(staged);
    assert!(names().is_empty());

    write("one").durable().commit().unwrap();
    drop(write("two"));
    assert_eq!(fs::read_to_string(&path).unwrap(), "one");
    assert_eq!(write("two").commit_new().unwrap_err().code(), "target_exists");
    assert_eq!(fs::read_to_string(&path).unwrap(), "one");
    write("two").commit().unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "two");
    assert_eq!(names(), ["out"]);

    assert_eq!(AtomicFile::create(folder.path()).unwrap_err().code(), "io");
    assert_eq!(AtomicFile::create(&folder.path().join("no/such")).unwrap_err().code(), "io");
    assert_eq!(names(), ["out"]);
}

#[cfg(unix)]
#[test]
fn an_atomic_file_keeps_links_devices_and_the_umask() {
    use std::os::unix::fs::{FileTypeExt, PermissionsExt};
    let folder = tempdir().unwrap();
    let path = folder.path().join("file");
    fs::write(&path, "old").unwrap();
    let expected = fs::metadata(&path).unwrap().permissions().mode();
    let link = folder.path().join("link");
    std::os::unix::fs::symlink("file", &link).unwrap();
    let mut file = AtomicFile::create(&link).unwrap();
    file.write_all(b"new").unwrap();
    file.commit().unwrap();
    assert!(link.is_symlink());
    assert_eq!(fs::read_to_string(&path).unwrap(), "new");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode(), expected);

    let mut null = AtomicFile::create(p("/dev/null")).unwrap();
    null.write_all(b"gone").unwrap();
    null.commit().unwrap();
    assert!(fs::metadata("/dev/null").unwrap().file_type().is_char_device());
}

#[test]
fn an_atomic_folder_is_there_whole_or_not_at_all() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("layer");
    let names = || Root::open(folder.path()).unwrap().list(p("")).unwrap();
    let fill = || {
        let staged = AtomicDir::create(&path).unwrap();
        let root = staged.open().unwrap();
        root.create_dir(p("Files")).unwrap();
        root.create_file(p("Files/data")).unwrap();
        // Wine does not remove it then; Windows does.
        root.set_read_only(p("Files/data"), cfg!(unix)).unwrap();
        staged
    };
    let staged = fill();
    assert_eq!(names(), [staged.staged_path().file_name().unwrap()]);
    drop(staged);
    assert!(names().is_empty());

    fill().durable().commit().unwrap();
    assert_eq!(names(), ["layer"]);
    assert!(path.join("Files/data").exists());
    assert_eq!(AtomicDir::create(&path).unwrap_err().code(), "target_exists");

    // Somebody is faster, with an empty folder, which Unix would replace.
    fs::remove_dir_all(&path).unwrap();
    let staged = fill();
    fs::create_dir(&path).unwrap();
    assert_eq!(staged.commit().unwrap_err().code(), "target_exists");
    assert_eq!(names(), ["layer"]);
}

#[test]
fn locks_exclude_and_are_let_go() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("lock");
    let shared = Lock::shared(&path).unwrap();
    let second = Lock::try_shared(&path).unwrap();
    assert!(second.is_some());
    assert!(Lock::try_exclusive(&path).unwrap().is_none());
    let waiting = std::thread::spawn({
        let path = path.clone();
        move || Lock::exclusive(&path).unwrap()
    });
    drop((shared, second));
    let exclusive = waiting.join().unwrap();
    assert!(Lock::try_exclusive(&path).unwrap().is_none());
    assert!(Lock::try_shared(&path).unwrap().is_none());
    drop(exclusive);
    assert!(Lock::try_exclusive(&path).unwrap().is_some());
    assert_eq!(Lock::exclusive(&folder.path().join("no/lock")).unwrap_err().code(), "io");
}

#[cfg(target_os = "linux")]
#[test]
fn a_dead_holder_keeps_no_lock() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("lock");
    // util-linux takes the same kind of lock.
    let Ok(mut holder) = std::process::Command::new("flock").arg(&path).args(["sleep", "1000"]).spawn() else { return };
    while path.metadata().is_err() || Lock::try_exclusive(&path).unwrap().is_some() {
        std::thread::sleep(Duration::from_millis(5));
    }
    // `flock` is killed, and `sleep`, which has the same file open, with it.
    let pid = holder.id().to_string();
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    for child in children.split_whitespace() {
        std::process::Command::new("kill").args(["-9", child]).status().unwrap();
    }
    holder.kill().unwrap();
    holder.wait().unwrap();
    drop(Lock::exclusive(&path).unwrap());
}

#[test]
fn a_folder_with_what_is_known_about_each_entry() {
    let folder = tempfile::tempdir().unwrap();
    let root = Root::open(folder.path()).unwrap();
    root.create_dir(Path::new("d")).unwrap();
    root.create_file(Path::new("d/file")).unwrap().write_all(b"four").unwrap();
    let found = root.list_metadata(Path::new("")).unwrap();
    assert_eq!(found, [("d".into(), root.metadata(Path::new("d")).unwrap())]);
    let found = root.list_metadata(Path::new("d")).unwrap();
    assert_eq!((found.len(), found[0].1.size), (1, 4));
    root.sync_dir(Path::new("")).unwrap();
    root.sync_dir(Path::new("d")).unwrap();
    let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_600_000_000);
    root.set_own_times(Some(time), Some(time)).unwrap();
    assert_eq!(root.metadata(Path::new("")).unwrap().modified, Some(time));
}

#[cfg(unix)]
#[test]
fn what_changes_after_a_moment_tells_so() {
    let folder = tempfile::tempdir().unwrap();
    let root = Root::open(folder.path()).unwrap();
    let path = Path::new("file");
    root.create_file(path).unwrap();
    for _ in 0..20 {
        let before = root.metadata(path).unwrap().changed.unwrap();
        outlast(folder.path(), before).unwrap();
        root.set_times(path, None, Some(std::time::UNIX_EPOCH)).unwrap();
        assert!(root.metadata(path).unwrap().changed.unwrap() > before);
    }
    // A clock that was put back keeps nobody waiting for long.
    outlast(folder.path(), (i64::MAX, 0)).unwrap();
}
