use super::*;
use crate::backend::portable::testing::{Layer, Sandbox, TIME};
use crate::layer_tar::UnnamedData;
use crate::nt::reparse::Tag;
use crate::source::SparseRange;
use std::fs;
use std::os::unix::fs::MetadataExt;

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn files_directories_times_and_attributes() {
    let mut locked = Layer::entry(EntryKind::File, "Files/d/locked");
    locked.basic_info.attributes = FileAttributes::READONLY | FileAttributes::HIDDEN;
    locked.basic_info.last_access_time = Some(crate::nt::FileTime(TIME.0 + 10_000_000));
    locked.data = Some(UnnamedData::new(4));
    let data = vec![7; 700_000];
    let layer = Layer::new().dir("Files").dir("Files/d").add(&locked, &[b"data"]).file("Files/d/big", &data);
    let sandbox = Sandbox::new(&[layer.dir("Hives").file("Hives/X_Base", b"hive").tar()]);
    assert_eq!(names(&sandbox.tree()), ["d"]);
    assert_eq!(fs::read(sandbox.path("d/big")).unwrap(), data);
    for path in ["", "d", "d/big", "d/locked"] {
        let metadata = fs::metadata(sandbox.path(path)).unwrap();
        assert_eq!((metadata.mtime(), metadata.mtime_nsec()), (1_600_000_000, 100), "{path}");
    }
    let locked = fs::metadata(sandbox.path("d/locked")).unwrap();
    assert!(locked.permissions().readonly() && locked.atime() == 1_600_000_001);
    assert!(!fs::metadata(sandbox.path("d/big")).unwrap().permissions().readonly());
}

#[test]
fn merged_layers_with_links_between_them() {
    let lower = Layer::new().dir("Files").file("Files/a", b"lower").link("Files/b", "Files/a").file("Files/gone", b"");
    let upper = Layer::new()
        .dir("Files")
        .whiteout("Files/gone")
        .link("Files/0", "Files/a")
        .file("Files/B", b"upper")
        .link("Files/c", "Files/b");
    let sandbox = Sandbox::new(&[upper.tar(), lower.tar()]);
    assert_eq!(names(&sandbox.tree()), ["0", "B", "a", "c"]);
    let inode = |name: &str| fs::metadata(sandbox.path(name)).unwrap().ino();
    assert!(inode("0") == inode("a") && inode("B") == inode("c") && inode("a") != inode("B"));
    assert_eq!(fs::read(sandbox.path("c")).unwrap(), b"upper");
}

#[test]
fn a_link_to_a_file_that_an_upper_layer_replaced() {
    let lower =
        Layer::new().dir("Files").file("Files/a", b"lower").link("Files/b", "Files/a").link("Files/c", "Files/a");
    let upper = Layer::new().dir("Files").file("Files/a", b"upper");
    let sandbox = Sandbox::new(&[upper.tar(), lower.tar()]);
    let inode = |name: &str| fs::metadata(sandbox.path(name)).unwrap().ino();
    assert!(inode("b") == inode("c") && inode("a") != inode("b"));
    assert_eq!(fs::read(sandbox.path("b")).unwrap(), b"lower");
}

#[test]
fn links_are_relative_and_stay_inside() {
    let lx = |target: &[u8]| {
        let mut raw = Tag::LX_SYMLINK.to_le_bytes().to_vec();
        raw.extend(u16::try_from(4 + target.len()).unwrap().to_le_bytes());
        raw.extend([0, 0, 2, 0, 0, 0]);
        raw.extend(target);
        raw
    };
    let layer = Layer::new()
        .dir("Files")
        .dir("Files/Windows")
        .dir("Files/Windows/System32")
        .symlink("Files/Windows/sys", r"C:\WINDOWS\system32", true)
        .symlink("Files/Windows/up", r"..\windows\missing\X", false)
        .junction("Files/all", r"C:\")
        .junction("Files/other", r"D:\Data")
        .symlink("Files/out", r"..\..\etc\passwd", false)
        .symlink("Files/share", r"\\server\share", true)
        .reparse(EntryKind::Reparse, "Files/Windows/lx", lx(b"/Windows/System32"), false)
        .reparse(EntryKind::Reparse, "Files/lx_out", lx(b"../x"), false);
    let sandbox = Sandbox::new(&[layer.tar()]);
    for (link, text) in
        [("Windows/sys", "System32"), ("Windows/up", "../Windows/missing/X"), ("all", "."), ("Windows/lx", "System32")]
    {
        assert_eq!(fs::read_link(sandbox.path(link)).unwrap(), Path::new(text), "{link}");
    }
    for (path, is_directory) in [("other", true), ("out", false), ("share", true), ("lx_out", false)] {
        let metadata = fs::symlink_metadata(sandbox.path(path)).unwrap();
        assert!(metadata.is_dir() == is_directory && metadata.is_file() != is_directory, "{path}");
    }
    assert_eq!(sandbox.told(), [""; 0]);
}

#[test]
fn holes_stay_holes() {
    let mut entry = Layer::entry(EntryKind::File, "Files/sparse");
    let ranges = vec![SparseRange { offset: 32 << 20, length: 4096 }];
    entry.data = Some(UnnamedData { size: 64 << 20, sparse_ranges: Some(ranges) });
    let mut data = vec![0; 64 << 20];
    data[32 << 20..(32 << 20) + 4096].fill(7);
    let sandbox = Sandbox::new(&[Layer::new().dir("Files").add(&entry, &[&data]).tar()]);
    let metadata = fs::metadata(sandbox.path("sparse")).unwrap();
    assert_eq!(metadata.len(), 64 << 20);
    assert!(metadata.blocks() * 512 < 8 << 20, "{}", metadata.blocks());
    assert!(fs::read(sandbox.path("sparse")).unwrap() == data);
    fs::File::open(sandbox.path("sparse")).unwrap().set_modified(std::time::SystemTime::now()).unwrap();
    assert_eq!(sandbox.told(), ["modify Files/sparse times"]);
}

#[test]
fn names_that_this_system_cannot_hold_are_refused() {
    let long = format!("Files/{}", "é".repeat(200));
    let folder = tempfile::tempdir().unwrap();
    let index =
        crate::backend::portable::testing::index(folder.path(), &Layer::new().dir("Files").file(&long, b"").tar());
    let tree = folder.path().join("tree");
    fs::create_dir(&tree).unwrap();
    let error = lay_out(&View::new(vec![index]), &tree, &folder.path().join("db"), &Options::default()).unwrap_err();
    assert_eq!(error.code(), "name_reserved");
    assert!(error.to_string().starts_with(&long), "{error}");
}

#[test]
fn a_folder_that_others_write_into_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let tree = folder.path().join("tree");
    fs::create_dir(&tree).unwrap();
    fs::write(tree.join("foreign"), "").unwrap();
    let error = lay_out(&View::new(Vec::new()), &tree, &folder.path().join("db"), &Options::default()).unwrap_err();
    assert_eq!(error.code(), "file_changed");
}

#[test]
fn everything_durable_is_the_same() {
    let layer = Layer::new().dir("Files").dir("Files/d").file("Files/d/a", b"1").link("Files/b", "Files/d/a").tar();
    let sandbox = Sandbox::new(&[layer]);
    let tree = sandbox.folder.path().join("durable");
    fs::create_dir(&tree).unwrap();
    let options = Options { durable: true, ..Options::default() };
    lay_out(&sandbox.view, &tree, &sandbox.folder.path().join("durable.db"), &options).unwrap();
    assert_eq!(fs::read(tree.join("b")).unwrap(), b"1");
    assert_eq!(fs::metadata(&tree).unwrap().mtime(), 1_600_000_000);
}
