#![cfg(unix)]
#![allow(clippy::disallowed_methods)]

use super::*;
use crate::layer::verify;
use crate::layer_tar::{Found, RandomReader};
use crate::policy::Policy;
use crate::source::Source;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

/// A tree with one of everything, all of it from 2020.
fn tree(root: &Path) {
    fs::create_dir_all(root.join("app/bin")).unwrap();
    fs::create_dir_all(root.join("app/empty")).unwrap();
    fs::write(root.join("app/bin/run.exe"), [0x4d, 0x5a, 0, 1]).unwrap();
    fs::write(root.join("app.txt"), vec![7; 300_000]).unwrap();
    fs::write(root.join("app/é.txt"), "").unwrap();
    fs::hard_link(root.join("app.txt"), root.join("app/second name")).unwrap();
    symlink("../app/bin", root.join("app/to_dir")).unwrap();
    symlink("bin/run.exe", root.join("app/to_file")).unwrap();
    symlink("../../outside", root.join("app/to_outside")).unwrap();
    let mut todo = vec![root.to_path_buf()];
    while let Some(path) = todo.pop() {
        if path.symlink_metadata().unwrap().is_dir() {
            todo.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
        set_time(&path, 1_600_000_000);
    }
}

fn set_time(path: &Path, seconds: u64) {
    use cap_fs_ext::{DirExt, SystemTimeSpec};
    let parent = cap_std::fs::Dir::open_ambient_dir(path.parent().unwrap(), cap_std::ambient_authority()).unwrap();
    let time = UNIX_EPOCH + Duration::new(seconds, 123_456_700);
    let time = Some(SystemTimeSpec::Absolute(cap_std::time::SystemTime::from_std(time)));
    parent.set_symlink_times(path.file_name().unwrap(), None, time).unwrap();
}

fn run(root: &Path, options: &PackOptions) -> Result<(Vec<u8>, LayerReport)> {
    pack(root, Vec::new(), options, Progress::none())
}

fn entries(tar: Vec<u8>) -> Vec<Found> {
    let mut reader = RandomReader::new(Arc::new(tar), Policy::strict(), &Limits::default()).unwrap();
    std::iter::from_fn(|| reader.next_found().unwrap()).collect()
}

#[test]
fn what_becomes_of_a_tree() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("tree");
    tree(&root);
    for dialect in [Dialect::GoWinio, Dialect::Lossless] {
        let (tar, report) = run(&root, &PackOptions { dialect: Some(dialect), ..PackOptions::default() }).unwrap();
        let found = entries(tar.clone());
        let lines: Vec<_> = found
            .iter()
            .map(|Found { entry, .. }| {
                let link = entry.link_name.as_deref().map(String::from_utf8_lossy).unwrap_or_default();
                let name = String::from_utf8_lossy(&entry.name);
                format!("{name} {} {:x} {} {link}", entry.kind.name(), entry.basic_info.attributes.0, entry.size())
            })
            .collect();
        let expected = [
            "Files directory 10 0 ",
            "Files/app directory 10 0 ",
            "Files/app/bin directory 10 0 ",
            "Files/app/bin/run.exe file 20 4 ",
            "Files/app/empty directory 10 0 ",
            "Files/app/second name file 20 300000 ",
            "Files/app/to_dir symlink 410 0 ../app/bin",
            "Files/app/to_file symlink 400 0 bin/run.exe",
            "Files/app/to_outside symlink 400 0 ../../outside",
            "Files/app/é.txt file 20 0 ",
            "Files/app.txt hard_link 20 0 Files/app/second name",
            "Hives directory 10 0 ",
        ];
        assert_eq!(lines, expected);
        for Found { entry, .. } in &found {
            let info = entry.basic_info;
            let synthetic = matches!(entry.name.as_slice(), b"Files" | b"Hives");
            let time = if synthetic { (0, 0) } else { (1_600_000_000, 123_456_700) };
            for field in [info.creation_time, info.last_access_time, info.last_write_time, info.change_time] {
                assert_eq!(field.unwrap().to_unix(), time);
            }
            let size = entry.security_descriptor.as_ref().map(Vec::len);
            let expected = match entry.kind {
                EntryKind::HardLink => None,
                _ if info.attributes.is_directory() => Some(216),
                _ => Some(124),
            };
            assert_eq!(size, expected, "{}", entry.name.escape_ascii());
        }
        let codes: Vec<_> = report.problems.items.iter().map(|p| (p.code.name(), p.path.as_slice())).collect();
        assert_eq!(codes, [("link_escapes", &b"Files/app/to_outside"[..])]);
        assert_eq!(report.losses.items, []);
        let verified = verify(Source::memory(tar), &Policy::strict(), &Limits::default(), Progress::none()).unwrap();
        assert_eq!(verified.problems.items, []);
        assert_eq!((verified.diff_id, verified.entries, verified.size), (report.diff_id, report.entries, report.size));
    }
}

#[test]
fn the_same_tree_gives_the_same_bytes() {
    let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (first, second) = (a.path().join("tree"), b.path().join("other folder"));
    tree(&first);
    fs::create_dir(&second).unwrap();
    tree(&second);
    // Another umask, another time of access, and another time of the folder itself.
    fs::set_permissions(second.join("app/bin/run.exe"), fs::Permissions::from_mode(0o700)).unwrap();
    fs::read(second.join("app.txt")).unwrap();
    set_time(&second, 1_700_000_000);
    let options = PackOptions::default();
    let expected = run(&first, &options).unwrap();
    assert!(run(&second, &options).unwrap() == expected);
    // The same tree as a layer.
    let layer = tempfile::tempdir().unwrap();
    fs::rename(&second, layer.path().join("Files")).unwrap();
    set_time(&layer.path().join("Files"), 0);
    let entry = |found: &Found| (found.entry.name.clone(), found.entry.kind);
    let as_layer = run(layer.path(), &options).unwrap().0;
    let names: Vec<_> = entries(as_layer).iter().map(entry).collect();
    assert_eq!(names, entries(expected.0).iter().map(entry).collect::<Vec<_>>());
    // A change of content, or of a time, is one of the bytes.
    let before = run(&first, &options).unwrap().0;
    set_time(&first.join("app/empty"), 1_600_000_001);
    assert!(run(&first, &options).unwrap().0 != before);
}

#[test]
fn source_date_epoch_is_the_latest_time() {
    let folder = tempfile::tempdir().unwrap();
    tree(folder.path());
    set_time(&folder.path().join("app.txt"), 1_500_000_000);
    let options = PackOptions { source_date_epoch: Some(1_550_000_000), ..PackOptions::default() };
    let seconds = |found: &Found| found.entry.basic_info.last_write_time.unwrap().to_unix().0;
    let times: Vec<i64> = entries(run(folder.path(), &options).unwrap().0).iter().map(seconds).collect();
    assert_eq!(times.iter().max(), Some(&1_550_000_000));
    assert_eq!(times.iter().filter(|&&time| time == 1_500_000_000).count(), 2, "a file with two names");
}

#[test]
fn descriptors_can_be_chosen() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a"), "").unwrap();
    let sd = |text: &str| Some(text.to_owned());
    let options = PackOptions { sd_file: sd("O:BA"), sd_dir: sd("O:SY"), ..PackOptions::default() };
    let sddl = |found: &Found| {
        let raw = found.entry.security_descriptor.clone().unwrap();
        SecurityDescriptor::new(raw).to_sddl(None).unwrap()
    };
    let found: Vec<_> = entries(run(folder.path(), &options).unwrap().0).iter().map(sddl).collect();
    assert_eq!(found, ["O:SY", "O:BA", "O:SY"]);
    let options = PackOptions { sd_file: sd("O:nobody"), ..PackOptions::default() };
    assert_eq!(run(folder.path(), &options).unwrap_err().code(), "bad_sddl");
}

#[test]
fn what_no_layer_can_hold_is_refused() {
    let table: [(&[&str], &str); 9] = [
        (&["a", "A"], "case_collision"),
        (&["é", "É"], "case_collision"),
        (&["a:b"], "name_colon"),
        (&["a\\b"], "name_backslash"),
        (&["a?"], "name_reserved"),
        (&["a\nb"], "name_reserved"),
        (&[".wh.a"], "whiteout_name"),
        (&["Files/a", "other"], "root_unknown"),
        (&["ok", "con.txt", "dot."], "ok"),
    ];
    for (names, code) in table {
        let folder = tempfile::tempdir().unwrap();
        for name in names {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        match run(folder.path(), &PackOptions::default()) {
            Err(error) => assert_eq!(error.code(), code, "{names:?}: {error}"),
            Ok((_, report)) => {
                assert_eq!(code, "ok", "{names:?}");
                let problems: Vec<_> = report.problems.items.iter().map(|p| p.code.name()).collect();
                assert_eq!(problems, ["name_reserved", "name_reserved"]);
            }
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let socket = std::os::unix::net::UnixListener::bind(folder.path().join("socket")).unwrap();
    assert_eq!(run(folder.path(), &PackOptions::default()).unwrap_err().code(), "member_type");
    drop(socket);
}

#[test]
fn a_file_that_changes_while_it_is_read_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("big");
    fs::write(&path, vec![1; 4 << 20]).unwrap();
    let change = move |done, _| {
        if done > 1 << 20 {
            fs::write(&path, vec![2; 4 << 20]).unwrap();
        }
        Ok(())
    };
    let result = pack(folder.path(), Vec::new(), &PackOptions::default(), Progress::new(change));
    assert_eq!(result.unwrap_err().code(), "file_changed");
}
