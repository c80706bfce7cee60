#![allow(clippy::disallowed_methods)]

use super::*;
use crate::backup_stream::{self, StreamHeader, StreamId};
use crate::layer::{PackOptions, pack, sidecar_path, verify};
use crate::layer_tar::{LayerWriter, RandomReader, UnnamedData, WriterOptions};
use crate::nt::basic_info::BasicInfo;
use crate::nt::ea::ExtendedAttribute;
use crate::nt::reparse::ReparsePoint;
use crate::nt::{FileAttributes, SecurityDescriptor};
use crate::tar::{MemberHeader, Writer, typeflag};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::io::{BufRead, Cursor};
use std::path::PathBuf;
use std::sync::Arc;

fn extract_to(tar: Vec<u8>, directory: &Path) -> Result<LayerReport> {
    extract(Source::memory(tar), directory, &Limits::default(), Progress::none())
}

fn pack_from(directory: &Path) -> (Vec<u8>, LayerReport) {
    pack(directory, Vec::new(), &PackOptions::default(), Progress::none()).unwrap()
}

/// Extracts into a new folder, looks at it, and packs it again.
fn there_and_back(tar: &[u8]) -> (Vec<u8>, LayerReport) {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("layer");
    let report = extract_to(tar.to_vec(), &directory).unwrap();
    assert_eq!(report.size, tar.len() as u64);
    assert_eq!(everything(folder.path()).iter().filter(|name| !name.starts_with("layer/")).count(), 2);
    pack_from(&directory)
}

/// Every path below a folder.
fn everything(folder: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut todo = vec![folder.to_path_buf()];
    while let Some(directory) = todo.pop() {
        for entry in std::fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            found.insert(path.strip_prefix(folder).unwrap().to_string_lossy().replace('\\', "/"));
            if path.symlink_metadata().unwrap().is_dir() {
                todo.push(path);
            }
        }
    }
    found
}

fn writer(dialect: Dialect) -> LayerWriter<Vec<u8>> {
    LayerWriter::new(Vec::new(), WriterOptions { dialect, ..WriterOptions::default() })
}

fn boxed(data: &[Vec<u8>]) -> Vec<Box<dyn BufRead + '_>> {
    data.iter().map(|data| Box::new(data.as_slice()) as Box<dyn BufRead + '_>).collect()
}

/// The first block in which two tars differ, of each, as text.
fn first_difference(a: &[u8], b: &[u8]) -> Option<(usize, String, String)> {
    let blocks = a.len().max(b.len()).div_ceil(512);
    let block =
        |tar: &[u8], i: usize| tar.get(i * 512..).unwrap_or_default().iter().take(512).copied().collect::<Vec<_>>();
    let differs = (0..blocks).find(|&i| block(a, i) != block(b, i))?;
    Some((differs, block(a, differs).escape_ascii().to_string(), block(b, differs).escape_ascii().to_string()))
}

/// What one generated entry is made of.
#[derive(Debug, Clone)]
struct Made {
    kind: u8,
    /// Which of the directories so far it lies in.
    parent: usize,
    info: BasicInfo,
    sd: bool,
    eas: Vec<(String, Vec<u8>, u8)>,
    data: Vec<u8>,
    streams: Vec<Vec<u8>>,
    target: String,
}

fn info() -> impl Strategy<Value = BasicInfo> {
    let tick = prop_oneof![1 => Just(0), 4 => any::<i64>()];
    let time = || prop_oneof![1 => Just(None), 4 => tick.clone().prop_map(|t| Some(FileTime(t)))];
    (time(), time(), time(), time(), any::<u32>()).prop_map(|(c, a, w, ch, attributes)| BasicInfo {
        creation_time: c,
        last_access_time: a,
        last_write_time: w,
        change_time: ch,
        attributes: FileAttributes(attributes),
    })
}

fn made() -> impl Strategy<Value = Made> {
    let eas = prop::collection::vec(("[A-Z]{1,4}", prop::collection::vec(any::<u8>(), 0..9), any::<u8>()), 0..3);
    let data = || prop_oneof![Just(vec![0; 300]), prop::collection::vec(any::<u8>(), 0..700)];
    let target = prop_oneof![
        Just("a/b".to_owned()),
        Just("..\\x".to_owned()),
        Just("../../../x".to_owned()),
        Just("d/../../../x".to_owned()),
        Just("/etc/passwd".to_owned()),
        Just("C:\\x".to_owned()),
        "[a-z/\\\\.é]{1,8}",
    ];
    (0_u8..8, any::<usize>(), info(), any::<bool>(), eas, data(), prop::collection::vec(data(), 0..3), target).prop_map(
        |(kind, parent, info, sd, eas, data, streams, target)| Made {
            kind,
            parent,
            info,
            sd,
            eas,
            data,
            streams,
            target,
        },
    )
}

/// Moves times into the years 1700 to 2200: what go-winio writes of others has digits below a tick.
fn representable(mut info: BasicInfo) -> BasicInfo {
    let times = [&mut info.creation_time, &mut info.last_access_time, &mut info.last_write_time, &mut info.change_time];
    for time in times {
        *time = time.map(|time| FileTime(FileTime::UNIX_EPOCH_TICKS + time.0 % 72_000_000_000_000_000));
    }
    info
}

/// A layer of generated entries.
fn layer(entries: &[Made], dialect: Dialect) -> Vec<u8> {
    let mut writer = writer(dialect);
    let mut directories = vec!["Files".to_owned()];
    let mut files: Vec<String> = Vec::new();
    let mut root = LayerEntry::new("Files", EntryKind::Directory);
    root.basic_info.attributes = FileAttributes::DIRECTORY;
    writer.add(&root, vec![]).unwrap();
    for (i, made) in entries.iter().enumerate() {
        let parent = directories[made.parent % directories.len()].clone();
        let name = format!("{parent}/n{i}");
        let mut entry = LayerEntry::new(name.clone(), EntryKind::File);
        entry.basic_info = if dialect == Dialect::Lossless { made.info } else { representable(made.info) };
        entry.basic_info.attributes.0 &= !(FileAttributes::DIRECTORY.0 | FileAttributes::REPARSE_POINT.0);
        if made.sd {
            let sd = SecurityDescriptor::from_sddl("O:BAG:SYD:(A;;FA;;;BA)", None).unwrap();
            entry.security_descriptor = Some(sd.into_raw());
        }
        let ea = |(name, value, flags): &(String, Vec<u8>, u8)| ExtendedAttribute {
            name: name.clone().into_bytes(),
            value: value.clone(),
            flags: *flags,
        };
        entry.extended_attributes = made.eas.iter().map(ea).collect();
        let stream =
            |(i, data): (usize, &Vec<u8>)| NamedStream { name: format!("s{i}").into_bytes(), size: data.len() as u64 };
        entry.streams = Some(made.streams.iter().enumerate().map(stream).collect());
        let mut data = made.streams.clone();
        match made.kind {
            0 | 1 => {
                (entry.kind, entry.data) = (EntryKind::Directory, None);
                entry.basic_info.attributes |= FileAttributes::DIRECTORY;
                directories.push(name);
            }
            2 | 3 => {
                let kind = if made.kind == 2 { EntryKind::Symlink } else { EntryKind::Junction };
                (entry.kind, entry.data) = (kind, None);
                let link = crate::layer_tar::reparse_from_link(made.target.as_bytes(), made.kind == 3).unwrap();
                entry.reparse_point = Some(link.into_raw());
                entry.link_name = Some(made.target.clone().into_bytes());
                entry.basic_info.attributes |= FileAttributes::REPARSE_POINT;
            }
            4 => {
                let target = if made.sd && !files.is_empty() { &files[i % files.len()] } else { "Files/elsewhere" };
                writer
                    .add_hard_link(name.as_bytes(), target.as_bytes(), Some(&representable(entry.basic_info)))
                    .unwrap();
                continue;
            }
            5 => {
                writer.add_whiteout(name.as_bytes()).unwrap();
                continue;
            }
            _ => {
                entry.data = Some(UnnamedData::new(made.data.len() as u64));
                data.insert(0, made.data.clone());
                files.push(name);
            }
        }
        writer.add(&entry, boxed(&data)).unwrap();
    }
    writer.finish().unwrap()
}

/// A stream of a sequence: any id, any attributes, blocks where they fit and where they do not.
fn stream() -> impl Strategy<Value = (StreamHeader, Vec<u8>)> {
    let name = prop_oneof![
        3 => Just(Vec::new()),
        2 => "[a-z]{1,3}".prop_map(|s| format!(":{s}:$DATA").encode_utf16().collect()),
        1 => prop::collection::vec(any::<u16>(), 0..5),
    ];
    let attributes = prop_oneof![3 => Just(0_u32), 2 => Just(8), 1 => any::<u32>()];
    let body = prop::collection::vec(any::<u8>(), 0..40);
    (0_u32..13, attributes, name, body, 0_u64..200).prop_map(|(id, attributes, name, body, offset)| {
        let is_block = id == StreamId::SPARSE_BLOCK.0;
        let sparse_offset = is_block.then_some(offset);
        let size = body.len() as u64 + if is_block { 8 } else { 0 };
        (StreamHeader { id: StreamId(id), attributes, size, name, sparse_offset }, body)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn extract_then_pack_is_the_identity(entries in prop::collection::vec(made(), 0..12), lossless: bool) {
        let tar = layer(&entries, if lossless { Dialect::Lossless } else { Dialect::GoWinio });
        let (again, report) = there_and_back(&tar);
        prop_assert_eq!(report.problems.items, vec![]);
        prop_assert_eq!(first_difference(&tar, &again), None);
    }

    #[test]
    fn and_of_every_backup_stream(files in prop::collection::vec((prop::collection::vec(stream(), 0..7), info()), 1..4)) {
        let mut writer = writer(Dialect::Lossless);
        for (i, (streams, info)) in files.iter().enumerate() {
            let mut wire = backup_stream::Writer::new(Vec::new());
            for (header, body) in streams {
                wire.start(header).unwrap();
                wire.data(body).unwrap();
            }
            let wire = wire.finish().unwrap();
            writer.add_seekable_backup_stream(&LayerEntry::with_info(format!("n{i}"), *info), Cursor::new(wire), None).unwrap();
        }
        let tar = writer.finish().unwrap();
        let (again, report) = there_and_back(&tar);
        prop_assert_eq!(report.problems.items, vec![]);
        prop_assert_eq!(first_difference(&tar, &again), None);
    }
}

/// Name, type, link name, data.
type Raw<'a> = (&'a [u8], u8, &'a [u8], &'a [u8]);

fn raw(members: &[Raw]) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new());
    for (name, typeflag, link_name, data) in members {
        let size = data.len() as u64;
        writer.start(&MemberHeader { name, link_name, typeflag: *typeflag, size, ..MemberHeader::default() }).unwrap();
        writer.data(data).unwrap();
    }
    writer.finish().unwrap()
}

#[test]
fn layers_of_other_tools_come_back_with_the_same_entries() {
    use typeflag::{DIRECTORY, FILE};
    // Modes without the type of the file, as most tools write them, and with another one; streams of a directory.
    let members: [(&[u8], u8, u32, &[u8]); 6] = [
        (b"Files/", DIRECTORY, 0o755, b""),
        (b"Files/:stream", FILE, 0o644, b"data"),
        (b"Files/d", DIRECTORY, 0o100_755, b""),
        (b"Files/d/a", FILE, 0o644, b"data"),
        (b"Files/d/b", FILE, 0o140_644, b"data"),
        (b"Files/d/c", FILE, 0o060_644, b""),
    ];
    let mut writer = Writer::new(Vec::new());
    for (name, typeflag, mode, data) in members {
        let size = data.len() as u64;
        writer.start(&MemberHeader { name, typeflag, mode, size, ..MemberHeader::default() }).unwrap();
        writer.data(data).unwrap();
    }
    assert_same_entries(&writer.finish().unwrap());
}

/// As a case-sensitive directory of Windows has them.
#[test]
fn names_that_differ_in_case_come_back_and_new_ones_are_refused() {
    let names: [&[u8]; 5] = [b"Files/a", b"Files/A", b"Files/d/x", b"Files/D/x", b"Files/D/y"];
    let tar = raw(&names.map(|name| (name, typeflag::FILE, &b""[..], &b"data"[..])));
    assert_same_entries(&tar);

    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("layer");
    extract_to(tar, &directory).unwrap();
    std::fs::write(directory.join("Files/d/X"), "new").unwrap();
    let error = pack(&directory, Vec::new(), &PackOptions::default(), Progress::none()).unwrap_err();
    assert_eq!(error.code(), "case_collision");
}

/// The buffer is of no link, of another target, of a junction.
#[test]
fn a_link_name_and_a_reparse_buffer_that_differ_are_both_kept() {
    let target: Vec<u16> = "D:\\x".encode_utf16().collect();
    let buffers = [
        Vec::new(),
        [0x8000_0017_u32.to_le_bytes(), 1_u32.to_le_bytes()].concat(),
        ReparsePoint::symlink_to(&target).unwrap().into_raw(),
        ReparsePoint::junction_to(&target).unwrap().into_raw(),
    ];
    let mut writer = Writer::new(Vec::new());
    for (name, buffer) in [b"Files/a", b"Files/b", b"Files/c", b"Files/d"].into_iter().zip(buffers) {
        let records = vec![(b"WINLAYERS.reparse".into(), STANDARD.encode(buffer).into_bytes())];
        let (typeflag, link_name) = (typeflag::SYMLINK, &b"C:/b"[..]);
        writer.start(&MemberHeader { name, link_name, typeflag, records, ..MemberHeader::default() }).unwrap();
    }
    assert_same_entries(&writer.finish().unwrap());
}

#[track_caller]
fn assert_same_entries(tar: &[u8]) {
    let (again, report) = there_and_back(tar);
    assert_eq!((report.problems.total(), report.losses.total()), (0, 0), "{report:?}");
    let entries = |tar: Vec<u8>| {
        let mut reader = RandomReader::new(Arc::new(tar), Policy::strict(), &Limits::default()).unwrap();
        std::iter::from_fn(|| reader.next_found().unwrap()).map(|found| found.entry).collect::<Vec<_>>()
    };
    assert_eq!(entries(tar.to_vec()), entries(again));
}

#[test]
fn a_recorded_order_that_does_not_tell_all_data_is_refused() {
    let blocks = |ranges: &[(u64, u64)]| {
        let blocks: String = ranges.iter().map(|(at, size)| format!(";9,0,,block,0,{at},{size}")).collect();
        format!("1,8,,member,0,0{blocks}")
    };
    let own_map = [("GNU.sparse.major", "0"), ("GNU.sparse.minor", "1"), ("GNU.sparse.size", "9")];
    let own_map = [&own_map[..], &[("GNU.sparse.map", "0,2,6,2")]].concat();
    let table: [(_, &[(&str, &str)], _); 8] = [
        (blocks(&[(0, 2), (3, 1), (4, 0)]), &[], "data at 2"),
        (blocks(&[(2, 2), (4, 0)]), &[], "data at 0"),
        (blocks(&[(0, 4), (5, 0)]), &[], "5 bytes"),
        ("1,0,,member,0,5".to_owned(), &[], "5 bytes"),
        ("1,0,,inline,0,AAAA;1,0,,member,0,4".to_owned(), &[], "inline"),
        ("4,0,,member,1,4".to_owned(), &[], "0 bytes"),
        (blocks(&[(0, 2), (7, 2), (9, 0)]), &own_map, "data at 6"),
        (blocks(&[(0, 2), (6, 1), (9, 0)]), &own_map, "data at 7"),
    ];
    for (order, records, found) in table {
        let mut writer = Writer::new(Vec::new());
        let order = [("WINLAYERS.streams", &*order)];
        let records = order
            .iter()
            .chain(records)
            .map(|(key, value)| (key.as_bytes().into(), value.as_bytes().to_vec()))
            .collect();
        writer.start(&MemberHeader { name: b"Files/a", size: 4, records, ..MemberHeader::default() }).unwrap();
        writer.data(b"data").unwrap();
        let folder = tempfile::tempdir().unwrap();
        let error = extract_to(writer.finish().unwrap(), &folder.path().join("layer")).unwrap_err();
        assert_eq!(error.code(), "bad_layer_tar");
        assert!(error.to_string().contains(found), "{error}");
        assert_eq!(everything(folder.path()), BTreeSet::new());
    }
}

/// The data of two streams would change places.
#[test]
fn a_sidecar_with_what_is_not_the_name_of_a_stream_is_refused() {
    use typeflag::FILE;
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("layer");
    let tar =
        raw(&[(b"Files/a", FILE, b"", b"1"), (b"Files/a:one", FILE, b"", b"2"), (b"Files/a:two", FILE, b"", b"3")]);
    extract_to(tar, &directory).unwrap();
    let path = sidecar_path(&directory).unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    for name in ["", "a:b", "a/b", "base64:/w=="] {
        std::fs::write(&path, text.replace("\"two\"", &format!("\"{name}\""))).unwrap();
        let error = pack(&directory, Vec::new(), &PackOptions::default(), Progress::none()).unwrap_err();
        let code = if name.starts_with("base64") { "name_not_unicode" } else { "name_reserved" };
        assert_eq!(error.code(), code, "{error}");
        assert!(error.to_string().contains("Files/a"), "{error}");
    }
}

#[test]
fn what_leaves_the_directory_is_refused_and_leaves_nothing() {
    use typeflag::{DIRECTORY, FILE, HARD_LINK, SYMLINK};
    let secret: Raw = (b"Files", DIRECTORY, b"", b"");
    let layers: Vec<(Vec<Raw>, &str)> = vec![
        (vec![(b"../out", FILE, b"", b"x")], "name_escapes"),
        (vec![(b"/out", FILE, b"", b"x")], "name_escapes"),
        (vec![(b"C:/out", FILE, b"", b"x")], "name_escapes"),
        (vec![(b"Files/..\\out", FILE, b"", b"x")], "name_backslash"),
        (vec![secret, (b"Files/l", SYMLINK, b"d", b""), (b"Files/l/x", FILE, b"", b"x")], "link_escapes"),
        (vec![secret, (b"Files/l", SYMLINK, b"../..", b""), (b"Files/l/x", FILE, b"", b"x")], "link_escapes"),
        (vec![secret, (b"Files/l", SYMLINK, b"d", b""), (b"Files/l", FILE, b"", b"x")], "duplicate_name"),
        (vec![secret, (b"Files/l", SYMLINK, b"d", b""), (b"Files/l", DIRECTORY, b"", b"")], "duplicate_name"),
        (vec![(b"Files/h", HARD_LINK, b"../secret", b"")], "link_escapes"),
        (vec![(b"Files/h", HARD_LINK, b"/etc/passwd", b"")], "link_escapes"),
        (vec![(b"Files/a", FILE, b"", b"1"), (b"Files/a", FILE, b"", b"2")], "duplicate_name"),
        (
            vec![(b"Files/A", FILE, b"", b""), (b"Files/a", HARD_LINK, b"Files/b", b""), (b"Files/a", FILE, b"", b"")],
            "duplicate_name",
        ),
        (vec![(b"Files/a", FILE, b"", b"1"), (b"Files/a/b", FILE, b"", b"2")], "link_escapes"),
        (vec![(b"Files/./a", FILE, b"", b"1")], "name_reserved"),
        (vec![(b"Files/\xff", FILE, b"", b"1")], "name_not_unicode"),
        (vec![(b"Files/a", FILE, b"", b"1"), (b"Files/a:", FILE, b"", b"2")], "name_reserved"),
        (vec![(b"Files/a", FILE, b"", b"1"), (b"Files/a:b:c", FILE, b"", b"2")], "name_reserved"),
        (vec![(b"Files/a", FILE, b"", b"1"), (b"Files/a:b/c", FILE, b"", b"2")], "name_reserved"),
        (vec![(b"Files/a", FILE, b"", b"1"), (b"Files/a:\xff", FILE, b"", b"2")], "name_not_unicode"),
        (vec![(b"Files/h", HARD_LINK, b"Files/a", b""), (b"Files/h:one", FILE, b"", b"1")], "name_colon"),
        (vec![(b"Files/.wh.a", FILE, b"", b""), (b"Files/.wh.a:one", FILE, b"", b"1")], "name_colon"),
        (vec![(b"Files/fifo", typeflag::FIFO, b"", b"")], "member_type"),
    ];
    for (members, code) in layers {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("secret"), "secret").unwrap();
        std::fs::create_dir(folder.path().join("d")).unwrap();
        let error = extract_to(raw(&members), &folder.path().join("layer")).unwrap_err();
        assert_eq!(error.code(), code, "{members:?}");
        assert_eq!(everything(folder.path()), BTreeSet::from(["d".to_owned(), "secret".to_owned()]), "{members:?}");
    }
}

#[test]
fn a_link_target_through_another_link_does_not_lead_out() {
    // On its face `p/q/l` stays inside; through `d` it would not.
    let tar = raw(&[
        (b"Files/p/q/d", typeflag::SYMLINK, b"../../z", b""),
        (b"Files/p/q/l", typeflag::SYMLINK, b"d/../../secret", b""),
        (b"Files/z/x", typeflag::FILE, b"", b"x"),
    ]);
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("layer");
    let report = extract_to(tar.clone(), &directory).unwrap();
    assert!(directory.join("Files/p/q/l").symlink_metadata().unwrap().is_file());
    assert_eq!(report.losses.items.len(), if cfg!(unix) { 1 } else { 2 });
    let (again, _) = pack_from(&directory);
    let names = |tar: Vec<u8>| {
        let mut reader = LayerReader::new(Source::memory(tar), Policy::strict(), &Limits::default()).unwrap();
        let mut names = Vec::new();
        while let Some(entry) = reader.next_entry().unwrap() {
            names.push((entry.name.clone(), entry.kind, entry.link_name.clone(), entry.size()));
        }
        names
    };
    assert_eq!(names(again), names(tar));
}

#[test]
fn a_layer_cut_anywhere_leaves_nothing() {
    let tar = raw(&[
        (b"Files", typeflag::DIRECTORY, b"", b""),
        (b"Files/a", typeflag::FILE, b"", &[b'a'; 700]),
        (b"Files/a:s", typeflag::FILE, b"", &[b's'; 700]),
        (b"Files/l", typeflag::SYMLINK, b"a", b""),
    ]);
    let ends = (0..tar.len() - 1024)
        .filter(|end| matches!(end % 512, 1 | 200 | 511) || end % 512 == 0 && (1024..2048).contains(end));
    for end in ends {
        let folder = tempfile::tempdir().unwrap();
        // Behind whole members it is a layer without end blocks.
        let result = extract_to(tar[..end].to_vec(), &folder.path().join("layer"));
        if result.is_err() {
            assert_eq!(everything(folder.path()), BTreeSet::new(), "{end}");
        } else {
            // Only padding is missing, or end blocks.
            let report =
                verify(Source::memory(tar[..end].to_vec()), &Policy::strict(), &Limits::default(), Progress::none());
            assert_eq!(report.unwrap().problems.items[0].code.name(), "end_blocks", "{end}");
        }
    }
}

#[test]
fn bounds_and_interrupts_leave_nothing() {
    let tar = raw(&[(b"Files/a", typeflag::FILE, b"", &[7; 3 << 20]), (b"Files/b", typeflag::FILE, b"", b"")]);
    let folder = tempfile::tempdir().unwrap();
    let run = |limits: &Limits, progress| {
        let result = extract(Source::memory(tar.clone()), &folder.path().join("layer"), limits, progress);
        assert_eq!(everything(folder.path()), BTreeSet::new());
        result.unwrap_err().code()
    };
    assert_eq!(run(&Limits { total_bytes: 1 << 20, ..Limits::default() }, Progress::none()), "limit_total_bytes");
    assert_eq!(run(&Limits { entries: 1, ..Limits::default() }, Progress::none()), "limit_entries");
    let stop =
        |done, _| if done > 1 << 20 { Err(Error::io("stop", None, ErrorKind::Interrupted.into())) } else { Ok(()) };
    assert_eq!(run(&Limits::default(), Progress::new(stop)), "io");
}

#[test]
fn a_sparse_giant_is_bounded_by_its_size() {
    // A header of one KiB that stands for 1 TiB.
    let records = [
        ("GNU.sparse.major", "0"),
        ("GNU.sparse.minor", "1"),
        ("GNU.sparse.map", "0,0"),
        ("GNU.sparse.size", "1099511627776"),
    ];
    let mut writer = Writer::new(Vec::new());
    writer
        .start(&MemberHeader {
            name: b"Files/big",
            typeflag: typeflag::FILE,
            records: records
                .iter()
                .map(|(key, value)| (key.as_bytes().to_vec().into(), value.as_bytes().to_vec()))
                .collect(),
            ..MemberHeader::default()
        })
        .unwrap();
    let tar = writer.finish().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let limits = Limits { total_bytes: 8 << 20, ..Limits::default() };
    let result = extract(Source::memory(tar), &folder.path().join("layer"), &limits, Progress::none());
    assert_eq!(result.unwrap_err().code(), "limit_total_bytes");
    assert_eq!(everything(folder.path()), BTreeSet::new());
}

#[test]
fn nothing_is_replaced() {
    let tar = raw(&[(b"Files/a", typeflag::FILE, b"", b"")]);
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("layer");
    extract_to(tar.clone(), &directory).unwrap();
    let before = everything(folder.path());
    assert_eq!(extract_to(tar.clone(), &directory).unwrap_err().code(), "target_exists");
    std::fs::remove_dir_all(&directory).unwrap();
    assert_eq!(extract_to(tar, &directory).unwrap_err().code(), "target_exists", "its sidecar is still there");
    assert_eq!(before.len(), 4);
}

fn changed_tree() -> (tempfile::TempDir, PathBuf, Vec<u8>) {
    let mut writer = writer(Dialect::GoWinio);
    let mut directory = LayerEntry::new("Files", EntryKind::Directory);
    directory.basic_info.attributes = FileAttributes::DIRECTORY;
    writer.add(&directory, vec![]).unwrap();
    for name in ["Files/kept", "Files/edited", "Files/gone", "Files/replaced"] {
        let mut entry = LayerEntry::new(name, EntryKind::File);
        entry.basic_info.attributes = FileAttributes::HIDDEN;
        entry.data = Some(UnnamedData::new(4));
        entry.streams = Some(vec![NamedStream { name: b"s".to_vec(), size: 2 }]);
        writer.add(&entry, boxed(&[b"data".to_vec(), b"st".to_vec()])).unwrap();
    }
    writer.add_hard_link(b"Files/lower", b"Files/not/here", None).unwrap();
    let tar = writer.finish().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("layer");
    extract_to(tar.clone(), &path).unwrap();
    (folder, path, tar)
}

#[test]
fn an_entry_comes_back_only_while_its_file_is_what_it_was() {
    let (_folder, path, _) = changed_tree();
    std::fs::write(path.join("Files/edited"), "DATA").unwrap();
    std::fs::remove_file(path.join("Files/gone")).unwrap();
    std::fs::remove_file(path.join("Files/replaced")).unwrap();
    std::fs::create_dir(path.join("Files/replaced")).unwrap();
    std::fs::write(path.join("Files/replaced/new"), "new").unwrap();
    std::fs::write(path.join("Files/lower"), "not a link any more").unwrap();
    let (tar, report) = pack_from(&path);
    let codes: Vec<_> =
        report.problems.items.iter().map(|p| (p.code.name(), String::from_utf8(p.path.clone()).unwrap())).collect();
    let expected = [
        ("sidecar_mismatch", "Files/edited"),
        ("sidecar_missing", "Files/gone"),
        ("sidecar_mismatch", "Files/replaced"),
        ("sidecar_mismatch", "Files/lower"),
    ];
    assert_eq!(codes, expected.map(|(code, path)| (code, path.to_owned())));
    let mut reader = RandomReader::new(Arc::new(tar), Policy::strict(), &Limits::default()).unwrap();
    let mut found = Vec::new();
    while let Some(entry) = reader.next_found().unwrap() {
        let entry = entry.entry;
        let streams = entry.streams.unwrap().len();
        found.push((String::from_utf8(entry.name).unwrap(), entry.kind, entry.basic_info.attributes.0, streams));
    }
    let expected = [
        ("Files", EntryKind::Directory, 0x10, 0),
        ("Files/kept", EntryKind::File, 2, 1),
        ("Files/edited", EntryKind::File, 0x20, 0),
        ("Files/replaced", EntryKind::Directory, 0x10, 0),
        ("Files/lower", EntryKind::File, 0x20, 0),
        ("Files/replaced/new", EntryKind::File, 0x20, 0),
    ];
    assert_eq!(found, expected.map(|(name, kind, attributes, streams)| (name.to_owned(), kind, attributes, streams)));
}

#[test]
fn a_sidecar_that_lies_is_an_error_with_its_line() {
    let (folder, path, tar) = changed_tree();
    let sidecar = folder.path().join("layer.winlayers.ndjson");
    let good = std::fs::read_to_string(&sidecar).unwrap();
    assert_eq!(pack_from(&path).0, tar);
    let lies = [
        (good.replace("\"version\":1", "\"version\":2"), "bad_sidecar"),
        (good.replace("lossless", "loseless"), "bad_sidecar"),
        (good.replace("\"kind\":\"file\"", "\"kind\":\"fifo\""), "bad_sidecar"),
        (good.replace("\"kind\":\"file\"", "\"kind\":\"whiteout\""), "bad_sidecar"),
        (good.replace("\"kind\"", "\"king\""), "bad_sidecar"),
        (good.replace("\"size\":2", "\"size\":3"), "bad_sidecar"),
        (good.replace("\"size\":2", "\"size\":18446744073709551615"), "limit_member_bytes"),
        (good.replace("{\"data\"", "{\"zeros\":0}\n{\"data\""), "bad_sidecar"),
        (good.replace("\"Files/kept\"", "\"Files/../../secret\""), "name_escapes"),
        (good.replace("\"Files/kept\"", "\"base64:!\""), "bad_sidecar"),
        (good[..good.len() - 2].to_owned(), "bad_sidecar"),
        (String::new(), "bad_sidecar"),
        ("[".repeat(100_000), "bad_sidecar"),
    ];
    for (text, code) in lies {
        assert_ne!(text, good);
        std::fs::write(&sidecar, &text).unwrap();
        let error = pack(&path, Vec::new(), &PackOptions::default(), Progress::none()).unwrap_err();
        assert_eq!(error.code(), code, "{error}");
        assert!(code != "bad_sidecar" || error.to_string().contains("(line "), "{error}");
    }
    let limits = Limits { line: 100, ..Limits::default() };
    std::fs::write(&sidecar, good).unwrap();
    let options = PackOptions { limits, ..PackOptions::default() };
    assert_eq!(pack(&path, Vec::new(), &options, Progress::none()).unwrap_err().code(), "limit_line");
}

#[test]
fn reparse_points_of_other_tags_come_back() {
    let mut writer = writer(Dialect::Lossless);
    let tag = [0x1b, 0, 0, 0x80, 4, 0, 0, 0, 1, 2, 3, 4];
    for (name, attributes) in [("Files", 0x410_u32), ("Files/app", 0x420)] {
        let mut entry = LayerEntry::new(name, EntryKind::Reparse);
        entry.basic_info.attributes = FileAttributes(attributes);
        entry.reparse_point = Some(ReparsePoint::parse(tag.to_vec()).unwrap().into_raw());
        writer.add(&entry, vec![]).unwrap();
    }
    let tar = writer.finish().unwrap();
    let (again, report) = there_and_back(&tar);
    assert_eq!(report.problems.items, []);
    assert!(again == tar);
}
