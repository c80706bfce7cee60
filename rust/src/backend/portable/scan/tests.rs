use crate::backend::portable::testing::{Layer, Sandbox, TIME};
use crate::layer_tar::{EntryKind, Found, LayerEntry, LayerWriter, RandomReader, UnnamedData, WriterOptions};
use crate::limits::Limits;
use crate::nt::ea::ExtendedAttribute;
use crate::nt::{FileAttributes, FileTime};
use crate::policy::Policy;
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

fn base() -> Vec<u8> {
    Layer::new()
        .dir("Files")
        .dir("Files/d")
        .file_with_stream("Files/d/a.txt", b"one", "note", b"kept")
        .file("Files/d/b.txt", b"two")
        .dir("Files/d/e")
        .file("Files/d/e/c.txt", b"three")
        .file("Files/x", b"xx")
        .link("Files/y", "Files/x")
        .link("Files/z", "Files/x")
        .symlink("Files/to_d", r"C:\d", true)
        .junction("Files/junction", r"C:\D\E")
        .symlink("Files/outside", r"D:\x", false)
        .tar()
}

fn entries(tar: &[u8]) -> Vec<Found> {
    let mut reader = RandomReader::new(Arc::new(tar.to_vec()), Policy::strict(), &Limits::default()).unwrap();
    std::iter::from_fn(|| reader.next_found().unwrap()).collect()
}

/// `Files/d directory`.
fn members(sandbox: &Sandbox) -> Vec<String> {
    let line = |found: Found| {
        let entry = found.entry;
        let link = entry.link_name.map(|link| format!(" {}", String::from_utf8_lossy(&link))).unwrap_or_default();
        format!("{} {}{link}", String::from_utf8_lossy(&entry.name), entry.kind.name())
    };
    entries(&sandbox.export().unwrap()).into_iter().map(line).collect()
}

fn member(sandbox: &Sandbox, name: &str) -> LayerEntry {
    let found = entries(&sandbox.export().unwrap()).into_iter().find(|found| found.entry.name == name.as_bytes());
    found.unwrap_or_else(|| panic!("{name} in {:?}", members(sandbox))).entry
}

fn sd_of(name: &str) -> Option<Vec<u8>> {
    Some(format!("sd of {name}").into_bytes())
}

/// Gives a folder the time that it was laid out with: so that no test has to tell of it.
fn settle(path: &Path) {
    let (seconds, nanoseconds) = TIME.to_unix();
    let time = UNIX_EPOCH + Duration::new(seconds.unsigned_abs(), nanoseconds);
    fs::File::open(path).unwrap().set_modified(time).unwrap();
}

#[test]
fn an_unchanged_tree_has_no_changes() {
    let sandbox = Sandbox::new(&[base()]);
    assert_eq!(sandbox.told(), [""; 0]);
    assert_eq!(sandbox.export().unwrap(), vec![0; 1024]);
}

#[test]
fn an_edit_in_place_keeps_the_metadata() {
    let sandbox = Sandbox::new(&[base()]);
    fs::write(sandbox.path("d/a.txt"), "changed").unwrap();
    assert_eq!(sandbox.told(), ["modify Files/d/a.txt data times"]);
    assert_eq!(sandbox.changes().unwrap()[0].size, 7);
    assert_eq!(members(&sandbox), ["Files directory", "Files/d directory", "Files/d/a.txt file"]);
    let entry = member(&sandbox, "Files/d/a.txt");
    assert_eq!(entry.security_descriptor, sd_of("Files/d/a.txt"));
    assert_eq!(entry.basic_info.creation_time, Some(TIME));
    let seconds = fs::metadata(sandbox.path("d/a.txt")).unwrap().mtime();
    assert_eq!(entry.basic_info.last_write_time.unwrap().to_unix().0, seconds);
    assert_eq!(member(&sandbox, "Files/d").security_descriptor, sd_of("Files/d"));
    assert_eq!(member(&sandbox, "Files/d").basic_info.last_write_time, Some(TIME));
    let next = sandbox.next();
    let node = next.view.find(b"Files/d/a.txt").unwrap().unwrap();
    assert_eq!(next.view.read(&node).unwrap(), b"changed");
    let mut stream = Vec::new();
    std::io::copy(&mut next.view.open(&node, Some(b"note")).unwrap(), &mut stream).unwrap();
    assert_eq!(stream, b"kept");
}

#[test]
fn save_by_rename_keeps_the_metadata() {
    let sandbox = Sandbox::new(&[base()]);
    fs::write(sandbox.path("d/.tmp"), "changed").unwrap();
    fs::rename(sandbox.path("d/.tmp"), sandbox.path("d/a.txt")).unwrap();
    settle(&sandbox.path("d"));
    assert_eq!(sandbox.told(), ["modify Files/d/a.txt data times"]);
    let entry = member(&sandbox, "Files/d/a.txt");
    assert_eq!(entry.security_descriptor, sd_of("Files/d/a.txt"));
    assert_eq!(entry.streams.unwrap().len(), 1);
}

#[test]
fn a_moved_file_takes_its_metadata_along() {
    let sandbox = Sandbox::new(&[base()]);
    fs::rename(sandbox.path("d/a.txt"), sandbox.path("moved.txt")).unwrap();
    settle(&sandbox.path("d"));
    settle(&sandbox.path(""));
    assert_eq!(sandbox.told(), ["delete Files/d/a.txt", "add Files/moved.txt"]);
    let expected = ["Files directory", "Files/d directory", "Files/d/.wh.a.txt whiteout", "Files/moved.txt file"];
    assert_eq!(members(&sandbox), expected);
    let entry = member(&sandbox, "Files/moved.txt");
    assert_eq!(entry.security_descriptor, sd_of("Files/d/a.txt"));
    assert_eq!((entry.basic_info.last_write_time, entry.streams.unwrap().len()), (Some(TIME), 1));
}

#[test]
fn a_file_that_took_the_number_of_a_deleted_one_is_new() {
    let sandbox = Sandbox::new(&[base()]);
    let number = fs::metadata(sandbox.path("d/b.txt")).unwrap().ino();
    fs::remove_file(sandbox.path("d/b.txt")).unwrap();
    for i in 0..50 {
        fs::write(sandbox.path(&format!("new{i}")), "new").unwrap();
    }
    // Whether the number was given again is up to the file system.
    let _ = number;
    for found in entries(&sandbox.export().unwrap()) {
        if found.entry.name.starts_with(b"Files/new") {
            assert_ne!(found.entry.security_descriptor, sd_of("Files/d/b.txt"));
        }
    }
}

#[test]
fn a_new_file_inherits_from_its_folder() {
    let sddl = "O:BAG:SYD:(A;OICI;FA;;;BA)";
    let sd = crate::nt::SecurityDescriptor::from_sddl(sddl, None).unwrap().into_raw();
    let mut top = Layer::entry(EntryKind::Directory, "Files");
    top.security_descriptor = Some(sd);
    let sandbox = Sandbox::new(&[Layer::new().add(&top, &[]).tar()]);
    fs::create_dir(sandbox.path("new")).unwrap();
    fs::write(sandbox.path("new/file"), "").unwrap();
    settle(&sandbox.path(""));
    assert_eq!(sandbox.told(), ["add Files/new", "add Files/new/file"]);
    let text = |entry: LayerEntry| {
        let sd = crate::nt::SecurityDescriptor::new(entry.security_descriptor.unwrap());
        (sd.to_sddl(None).unwrap(), entry.basic_info.attributes)
    };
    let directory = ("O:BAG:SYD:AI(A;OICIID;FA;;;BA)".to_owned(), FileAttributes::DIRECTORY);
    assert_eq!(text(member(&sandbox, "Files/new")), directory);
    let file = ("O:BAG:SYD:AI(A;ID;FA;;;BA)".to_owned(), FileAttributes::ARCHIVE);
    assert_eq!(text(member(&sandbox, "Files/new/file")), file);
}

#[test]
fn a_renamed_directory_is_a_whiteout_and_a_full_subtree() {
    let sandbox = Sandbox::new(&[base()]);
    fs::rename(sandbox.path("d"), sandbox.path("k")).unwrap();
    settle(&sandbox.path(""));
    let expected = [
        "delete Files/d",
        "add Files/k",
        "add Files/k/a.txt",
        "add Files/k/b.txt",
        "add Files/k/e",
        "add Files/k/e/c.txt",
    ];
    assert_eq!(sandbox.told(), expected);
    assert_eq!(member(&sandbox, "Files/k").security_descriptor, sd_of("Files/d"));
    assert_eq!(member(&sandbox, "Files/k/e/c.txt").security_descriptor, sd_of("Files/d/e/c.txt"));
    let next = sandbox.next();
    assert!(next.path("k/e/c.txt").exists() && !next.path("d").exists());
}

#[test]
fn a_directory_made_again_hides_what_was_in_it() {
    let sandbox = Sandbox::new(&[base()]);
    fs::remove_dir_all(sandbox.path("d")).unwrap();
    fs::create_dir(sandbox.path("d")).unwrap();
    fs::write(sandbox.path("d/b.txt"), "again").unwrap();
    settle(&sandbox.path("d"));
    settle(&sandbox.path(""));
    assert_eq!(sandbox.told(), ["delete Files/d/a.txt", "modify Files/d/b.txt data times", "delete Files/d/e"]);
    assert_eq!(member(&sandbox, "Files/d/b.txt").security_descriptor, sd_of("Files/d/b.txt"));
}

#[test]
fn an_edit_of_linked_names_is_one_file() {
    let sandbox = Sandbox::new(&[base()]);
    fs::write(sandbox.path("y"), "changed").unwrap();
    assert_eq!(sandbox.told(), ["modify Files/x data times", "modify Files/y data times", "modify Files/z data times"]);
    let expected = ["Files directory", "Files/x file", "Files/y hard_link Files/x", "Files/z hard_link Files/x"];
    assert_eq!(members(&sandbox), expected);
    assert_eq!(member(&sandbox, "Files/x").security_descriptor, sd_of("Files/x"));
}

#[test]
fn a_name_that_left_its_group_is_a_file_of_its_own() {
    let sandbox = Sandbox::new(&[base()]);
    fs::write(sandbox.path("tmp"), "xx").unwrap();
    fs::rename(sandbox.path("tmp"), sandbox.path("z")).unwrap();
    settle(&sandbox.path("z"));
    settle(&sandbox.path(""));
    assert_eq!(sandbox.told(), ["modify Files/z links"]);
    assert_eq!(members(&sandbox), ["Files directory", "Files/z file"]);
    let next = sandbox.next();
    let inode = |name: &str| fs::metadata(next.path(name)).unwrap().ino();
    assert!(inode("x") == inode("y") && inode("x") != inode("z"));
}

#[test]
fn a_new_name_of_an_unchanged_file_is_a_link_to_it() {
    let sandbox = Sandbox::new(&[base()]);
    fs::hard_link(sandbox.path("d/a.txt"), sandbox.path("a link")).unwrap();
    fs::hard_link(sandbox.path("x"), sandbox.path("w")).unwrap();
    settle(&sandbox.path(""));
    assert_eq!(sandbox.told(), ["add Files/a link", "add Files/w"]);
    let expected = ["Files directory", "Files/a link hard_link Files/d/a.txt", "Files/w hard_link Files/x"];
    assert_eq!(members(&sandbox), expected);
    let next = sandbox.next();
    let inode = |name: &str| fs::metadata(next.path(name)).unwrap().ino();
    assert!(inode("a link") == inode("d/a.txt") && inode("w") == inode("z"));
}

#[test]
fn a_name_in_a_moved_directory_stays_a_name_of_its_file() {
    let layer = Layer::new().dir("Files").file("Files/x", b"xx").dir("Files/d").link("Files/d/y", "Files/x");
    let sandbox = Sandbox::new(&[layer.tar()]);
    fs::rename(sandbox.path("d"), sandbox.path("k")).unwrap();
    settle(&sandbox.path(""));
    assert_eq!(sandbox.told(), ["delete Files/d", "add Files/k", "add Files/k/y"]);
    let link = member(&sandbox, "Files/k/y");
    assert_eq!((link.kind, link.link_name), (EntryKind::HardLink, Some(b"Files/x".to_vec())));
    let next = sandbox.next();
    let inode = |name: &str| fs::metadata(next.path(name)).unwrap().ino();
    assert_eq!(inode("x"), inode("k/y"));
}

#[test]
fn a_deleted_name_leaves_the_other_names() {
    let sandbox = Sandbox::new(&[base()]);
    fs::remove_file(sandbox.path("x")).unwrap();
    settle(&sandbox.path(""));
    assert_eq!(sandbox.told(), ["delete Files/x"]);
    let next = sandbox.next();
    assert_eq!(fs::read(next.path("y")).unwrap(), b"xx");
    assert!(!next.path("x").exists());
}

#[test]
fn a_case_only_rename_is_the_new_spelling() {
    let sandbox = Sandbox::new(&[base()]);
    fs::rename(sandbox.path("d/b.txt"), sandbox.path("d/B.TXT")).unwrap();
    settle(&sandbox.path("d"));
    assert_eq!(sandbox.told(), ["modify Files/d/B.TXT links"]);
    assert_eq!(members(&sandbox), ["Files directory", "Files/d directory", "Files/d/B.TXT file"]);
    assert_eq!(member(&sandbox, "Files/d/B.TXT").security_descriptor, sd_of("Files/d/b.txt"));
    assert!(sandbox.next().path("d/B.TXT").exists());
}

#[test]
fn names_equal_without_case_are_refused_both_named() {
    let sandbox = Sandbox::new(&[base()]);
    fs::write(sandbox.path("d/A.TXT"), "").unwrap();
    let error = sandbox.changes().unwrap_err();
    assert_eq!(error.code(), "case_collision");
    let text = error.to_string();
    assert!(text.contains("A.TXT") && text.contains("a.txt") && text.starts_with("Files/d: "), "{text}");
    assert_eq!(sandbox.export().unwrap_err().code(), "case_collision");
}

#[test]
fn what_no_layer_can_hold_is_refused_and_named() {
    for (name, code) in
        [(".wh.x", "whiteout_name"), ("a:b", "name_colon"), ("a\\b", "name_backslash"), ("a?", "name_reserved")]
    {
        let sandbox = Sandbox::new(&[base()]);
        fs::write(sandbox.path("d").join(name), "").unwrap();
        let error = sandbox.changes().unwrap_err();
        assert_eq!(error.code(), code);
        assert!(error.to_string().starts_with("Files/d/"), "{error}");
    }
    let sandbox = Sandbox::new(&[base()]);
    let _socket = std::os::unix::net::UnixListener::bind(sandbox.path("socket")).unwrap();
    let error = sandbox.export().unwrap_err();
    assert_eq!(error.code(), "member_type");
    assert!(error.to_string().starts_with("Files/socket: "), "{error}");
}

#[test]
fn a_recorded_path_that_became_a_socket_is_refused() {
    let sandbox = Sandbox::new(&[base()]);
    fs::remove_file(sandbox.path("d/b.txt")).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(sandbox.path("d/b.txt")).unwrap();
    assert_eq!(sandbox.changes().unwrap_err().code(), "member_type");
}

#[test]
fn a_touch_is_times_alone() {
    let sandbox = Sandbox::new(&[base()]);
    let time = UNIX_EPOCH + Duration::new(1_700_000_000, 100);
    fs::File::open(sandbox.path("d/a.txt")).unwrap().set_modified(time).unwrap();
    fs::File::open(sandbox.path("d/e")).unwrap().set_modified(time).unwrap();
    assert_eq!(sandbox.told(), ["modify Files/d/a.txt times", "modify Files/d/e times"]);
    let entry = member(&sandbox, "Files/d/a.txt");
    assert_eq!(entry.basic_info.last_write_time, FileTime::from_unix(1_700_000_000, 100));
    assert_eq!((entry.basic_info.creation_time, entry.size()), (Some(TIME), 3));
}

#[test]
fn what_is_written_as_it_was_is_no_change() {
    let sandbox = Sandbox::new(&[base()]);
    fs::write(sandbox.path("d/a.txt"), "one").unwrap();
    settle(&sandbox.path("d/a.txt"));
    fs::remove_file(sandbox.path("to_d")).unwrap();
    symlink("d", sandbox.path("to_d")).unwrap();
    settle(&sandbox.path(""));
    assert_eq!(sandbox.told(), ["modify Files/to_d times"]);
    let original = entries(&base()).into_iter().find(|found| found.entry.name == b"Files/to_d").unwrap().entry;
    let entry = member(&sandbox, "Files/to_d");
    assert_eq!((entry.reparse_point, entry.link_name), (original.reparse_point, original.link_name));
}

#[test]
fn an_edit_with_its_time_put_back_is_seen() {
    let sandbox = Sandbox::new(&[base()]);
    fs::write(sandbox.path("d/a.txt"), "eno").unwrap();
    settle(&sandbox.path("d/a.txt"));
    assert_eq!(sandbox.told(), ["modify Files/d/a.txt data"]);
}

#[test]
fn read_only_is_an_attribute() {
    let sandbox = Sandbox::new(&[base()]);
    let mut permissions = fs::metadata(sandbox.path("d/a.txt")).unwrap().permissions();
    permissions.set_readonly(true);
    fs::set_permissions(sandbox.path("d/a.txt"), permissions).unwrap();
    assert_eq!(sandbox.told(), ["modify Files/d/a.txt attributes"]);
    let attributes = member(&sandbox, "Files/d/a.txt").basic_info.attributes;
    assert_eq!(attributes, FileAttributes::ARCHIVE | FileAttributes::READONLY);
    let next = sandbox.next();
    assert!(fs::metadata(next.path("d/a.txt")).unwrap().permissions().readonly());
    assert_eq!(next.told(), [""; 0]);
}

#[test]
fn links_of_the_user_are_converted_as_pack_does() {
    let sandbox = Sandbox::new(&[base()]);
    symlink("d/e", sandbox.path("new")).unwrap();
    symlink("/etc/passwd", sandbox.path("out")).unwrap();
    fs::remove_file(sandbox.path("junction")).unwrap();
    symlink("d/a.txt", sandbox.path("junction")).unwrap();
    settle(&sandbox.path(""));
    assert_eq!(sandbox.told(), ["modify Files/junction data times", "add Files/new", "add Files/out"]);
    let new = member(&sandbox, "Files/new");
    assert_eq!(new.basic_info.attributes, FileAttributes::REPARSE_POINT | FileAttributes::DIRECTORY);
    assert_eq!((new.kind, new.link_name), (EntryKind::Symlink, Some(b"d/e".to_vec())));
    let changed = member(&sandbox, "Files/junction");
    assert_eq!((changed.kind, changed.basic_info.attributes), (EntryKind::Symlink, FileAttributes::REPARSE_POINT));
    assert_eq!(changed.security_descriptor, sd_of("Files/junction"));
}

#[test]
fn links_are_never_followed() {
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("secret"), "secret").unwrap();
    let sandbox = Sandbox::new(&[base()]);
    fs::remove_dir_all(sandbox.path("d")).unwrap();
    symlink(outside.path(), sandbox.path("d")).unwrap();
    fs::remove_file(sandbox.path("x")).unwrap();
    symlink(outside.path().join("secret"), sandbox.path("x")).unwrap();
    settle(&sandbox.path(""));
    let told = sandbox.told();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(!sandbox.export().unwrap().windows(6).any(|bytes| bytes == b"secret\0"));
    assert_eq!(members(&sandbox).len(), 3);
}

#[test]
fn a_directory_and_a_file_may_change_places() {
    let sandbox = Sandbox::new(&[base()]);
    fs::remove_dir_all(sandbox.path("d")).unwrap();
    fs::write(sandbox.path("d"), "file").unwrap();
    fs::remove_file(sandbox.path("x")).unwrap();
    fs::create_dir(sandbox.path("x")).unwrap();
    fs::write(sandbox.path("x/in"), "in").unwrap();
    settle(&sandbox.path(""));
    let expected = [
        "modify Files/d data attributes security times",
        "modify Files/x data attributes security times",
        "add Files/x/in",
    ];
    assert_eq!(sandbox.told(), expected);
    let next = sandbox.next();
    assert_eq!(fs::read(next.path("d")).unwrap(), b"file");
    assert_eq!(fs::read(next.path("x/in")).unwrap(), b"in");
    assert_eq!(fs::read(next.path("y")).unwrap(), b"xx");
}

#[test]
fn a_placeholder_that_is_written_to_is_a_file() {
    let sandbox = Sandbox::new(&[base()]);
    assert_eq!(fs::read(sandbox.path("outside")).unwrap(), b"");
    fs::write(sandbox.path("outside"), "now a file").unwrap();
    assert_eq!(sandbox.told(), ["modify Files/outside data times"]);
    let entry = member(&sandbox, "Files/outside");
    assert_eq!((entry.kind, entry.reparse_point), (EntryKind::File, None));
    assert_eq!(entry.security_descriptor, sd_of("Files/outside"));
}

#[test]
fn what_vouches_for_data_goes_with_it() {
    let mut entry = Layer::entry(EntryKind::File, "Files/signed");
    let ea = |name: &str| ExtendedAttribute { flags: 0, name: name.into(), value: b"v".to_vec() };
    entry.extended_attributes = vec![ea("$Kernel.Purge.ESBCache"), ea("OTHER")];
    entry.data = Some(UnnamedData::new(1));
    let sandbox = Sandbox::new(&[Layer::new().dir("Files").add(&entry, &[b"1"]).tar()]);
    fs::write(sandbox.path("signed"), "2").unwrap();
    let names: Vec<_> = member(&sandbox, "Files/signed").extended_attributes.into_iter().map(|ea| ea.name).collect();
    assert_eq!(names, [b"OTHER"]);
}

#[test]
fn a_tree_that_was_copied_with_its_times_is_unchanged() {
    let sandbox = Sandbox::new(&[base()]);
    let copied = sandbox.folder.path().join("copied");
    let status = std::process::Command::new("cp").arg("-a").arg(sandbox.tree()).arg(&copied).status();
    if !status.is_ok_and(|status| status.success()) {
        return;
    }
    fs::remove_dir_all(sandbox.tree()).unwrap();
    fs::rename(copied, sandbox.tree()).unwrap();
    assert_eq!(sandbox.told(), [""; 0]);
}

#[test]
fn the_same_tree_gives_the_same_bytes_and_what_go_winio_would() {
    let sandbox = Sandbox::new(&[base()]);
    fs::create_dir(sandbox.path("new")).unwrap();
    fs::write(sandbox.path("new/file"), "data").unwrap();
    fs::hard_link(sandbox.path("new/file"), sandbox.path("new/link")).unwrap();
    symlink("file", sandbox.path("new/symlink")).unwrap();
    let tar = sandbox.export().unwrap();
    fs::read(sandbox.path("new/file")).unwrap();
    assert_eq!(sandbox.export().unwrap(), tar);

    let mut writer = LayerWriter::new(Vec::new(), WriterOptions::default());
    for found in entries(&tar) {
        let data: Vec<Box<dyn std::io::BufRead>> =
            if found.entry.data.is_some() { vec![Box::new(&b"data"[..])] } else { Vec::new() };
        writer.add(&found.entry, data).unwrap();
    }
    assert_eq!(writer.losses().total(), 0);
    assert!(writer.finish().unwrap() == tar);
}

#[test]
fn a_file_that_changes_while_it_is_read_fails_the_export() {
    struct Writing<'a>(&'a Path, usize);
    impl std::io::Write for Writing<'_> {
        fn write(&mut self, buf: &[u8]) -> std::io::Result<usize> {
            self.1 += buf.len();
            if self.1 > 1 << 20 {
                fs::write(self.0, "other").unwrap();
            }
            Ok(buf.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let sandbox = Sandbox::new(&[base()]);
    let path = sandbox.path("d/a.txt");
    fs::write(&path, vec![1; 4 << 20]).unwrap();
    let sink = Writing(&path, 0);
    let exported = super::export(&sandbox.tree(), &sandbox.record(), &sandbox.view, sink, &Limits::default());
    assert_eq!(exported.err().map(|e| e.code()), Some("file_changed"));
}

#[test]
fn a_sandbox_above_nothing_holds_what_is_put_into_it() {
    let sandbox = Sandbox::new(&[]);
    assert_eq!(sandbox.told(), [""; 0]);
    fs::write(sandbox.path("first"), "1").unwrap();
    assert_eq!(sandbox.told(), ["modify Files times", "add Files/first"]);
    assert_eq!(fs::read(sandbox.next().path("first")).unwrap(), b"1");
}

/// `WINLAYERS_FILES=100000 cargo test --release -- --ignored --nocapture timings`
#[test]
#[ignore = "prints how long things take"]
fn timings() {
    use std::time::Instant;
    let files: usize = std::env::var("WINLAYERS_FILES").ok().and_then(|n| n.parse().ok()).unwrap_or(10_000);
    let name = |i: usize| format!("d{}/file{i}.txt", i / 100);
    let mut layer = Layer::new().dir("Files");
    for i in 0..files {
        if i % 100 == 0 {
            layer = layer.dir(&format!("Files/d{}", i / 100));
        }
        layer = layer.file(&format!("Files/{}", name(i)), &[7; 1000]);
    }
    let tar = layer.tar();
    let timed = |what: &str, work: &mut dyn FnMut()| {
        let start = Instant::now();
        work();
        eprintln!("{what}: {} ms", start.elapsed().as_millis());
    };
    let mut sandbox = Sandbox::new(&[Layer::new().dir("Files").tar()]);
    timed("index", &mut || drop(crate::backend::portable::testing::index(sandbox.folder.path(), &tar)));
    timed("index and lay out", &mut || sandbox = Sandbox::new(std::slice::from_ref(&tar)));
    timed("bare loop", &mut || {
        let bare = sandbox.folder.path().join("bare");
        for i in 0..files {
            if i % 100 == 0 {
                fs::create_dir_all(bare.join(format!("d{}", i / 100))).unwrap();
            }
            fs::write(bare.join(name(i)), [7; 1000]).unwrap();
        }
    });
    let find = |sandbox: &Sandbox| {
        let mut find = std::process::Command::new("find");
        find.arg(sandbox.tree()).args(["-printf", "%p %s %T@ %C@ %i\\n"]).stdout(std::process::Stdio::null());
        find.status().unwrap();
    };
    for _ in 0..3 {
        timed("find", &mut || find(&sandbox));
        timed("changes, none", &mut || assert_eq!(sandbox.changes().unwrap().len(), 0));
    }
    for i in (0..files).step_by(100) {
        fs::write(sandbox.path(&name(i)), [8; 1000]).unwrap();
    }
    for _ in 0..3 {
        timed("find", &mut || find(&sandbox));
        timed("changes, 1 %", &mut || assert_eq!(sandbox.changes().unwrap().len(), files / 100));
    }
    timed("export, 1 %", &mut || drop(sandbox.export().unwrap()));
}

#[path = "model.rs"]
mod model;
