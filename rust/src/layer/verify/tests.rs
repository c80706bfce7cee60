use super::*;
use crate::digest::{Sha256, hex};
use crate::layer_tar::{Dialect, EntryKind, LayerWriter, NamedStream, UnnamedData, WriterOptions, keys};
use crate::nt::{BasicInfo, FileAttributes, FileTime};
use crate::problem::Problem;
use crate::tar::{MemberHeader, Time, Writer, typeflag};
use std::io::{self, BufRead};

fn report(tar: Vec<u8>) -> LayerReport {
    verify(Source::memory(tar), &Policy::default(), &Limits::default(), Progress::none()).unwrap()
}

/// `code path` of each problem.
fn problems(tar: Vec<u8>) -> Vec<String> {
    let report = report(tar);
    assert_eq!(report.problems.total(), report.problems.items.len() as u64);
    let text = |p: &Problem| format!("{} {}", p.code.name(), String::from_utf8_lossy(&p.path));
    report.problems.items.iter().map(text).collect()
}

fn sha256(bytes: &[u8]) -> Option<String> {
    let mut hash = Sha256::new();
    hash.update(bytes);
    Some(format!("sha256:{}", hex(&hash.finish())))
}

/// A member of a tar that no writer of this crate would write.
#[derive(Default)]
struct Raw {
    name: &'static [u8],
    kind: u8,
    link: &'static [u8],
    data: &'static [u8],
    records: Vec<(&'static [u8], &'static [u8])>,
}

fn raw(members: Vec<Raw>) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new());
    for member in members {
        let records = member.records.iter().map(|(key, value)| (key.to_vec().into(), value.to_vec())).collect();
        let header = MemberHeader {
            name: member.name,
            link_name: member.link,
            typeflag: if member.kind == 0 { typeflag::FILE } else { member.kind },
            size: member.data.len() as u64,
            mtime: Some(Time { seconds: 1, nanoseconds: 0 }),
            records,
            ..MemberHeader::default()
        };
        writer.start(&header).unwrap();
        writer.data(member.data).unwrap();
    }
    writer.finish().unwrap()
}

fn dir(name: &'static [u8]) -> Raw {
    Raw { name, kind: typeflag::DIRECTORY, ..Raw::default() }
}

fn file(name: &'static [u8]) -> Raw {
    Raw { name, data: b"data", ..Raw::default() }
}

fn link(name: &'static [u8], link: &'static [u8]) -> Raw {
    Raw { name, link, kind: typeflag::HARD_LINK, ..Raw::default() }
}

/// A layer with one of everything that a layer may hold.
fn good(dialect: Dialect) -> Vec<u8> {
    let mut writer = LayerWriter::new(Vec::new(), WriterOptions { dialect, ..WriterOptions::default() });
    let info = |attributes| BasicInfo {
        creation_time: Some(FileTime(FileTime::UNIX_EPOCH_TICKS + 1)),
        last_write_time: Some(FileTime(FileTime::UNIX_EPOCH_TICKS + 12_345)),
        attributes,
        ..BasicInfo::default()
    };
    let mut add = |name: &str, kind, edit: &dyn Fn(&mut LayerEntry), data: &[&'static [u8]]| {
        let mut entry = LayerEntry::new(name, kind);
        entry.basic_info = info(match kind {
            EntryKind::Directory => FileAttributes::DIRECTORY,
            EntryKind::Symlink => FileAttributes::REPARSE_POINT,
            _ => FileAttributes::ARCHIVE,
        });
        edit(&mut entry);
        let data = data.iter().map(|d| Box::new(*d) as Box<dyn BufRead>).collect();
        writer.add(&entry, data).unwrap();
    };
    add("Files", EntryKind::Directory, &|_| {}, &[]);
    let sd = crate::nt::SecurityDescriptor::from_sddl("O:BAG:SYD:(A;;FA;;;BA)", None).unwrap();
    let file = move |entry: &mut LayerEntry| {
        entry.security_descriptor = Some(sd.raw().to_vec());
        entry.data = Some(UnnamedData::new(5));
        entry.streams = Some(vec![NamedStream { name: b"s".to_vec(), size: 3 }]);
    };
    add("Files/a.txt", EntryKind::File, &file, &[b"hello", b"ads"]);
    let linked = |entry: &mut LayerEntry| entry.link_name = Some(b"Files/a.txt".to_vec());
    add("Files/b.txt", EntryKind::HardLink, &linked, &[]);
    let below = |entry: &mut LayerEntry| entry.link_name = Some(b"Files/in/a/lower/layer".to_vec());
    add("Files/c.txt", EntryKind::HardLink, &below, &[]);
    let symlink = |entry: &mut LayerEntry| {
        let units: Vec<u16> = "a.txt".encode_utf16().collect();
        entry.reparse_point = Some(crate::nt::reparse::ReparsePoint::symlink_to(&units).unwrap().into_raw());
        entry.link_name = Some(b"a.txt".to_vec());
    };
    add("Files/link", EntryKind::Symlink, &symlink, &[]);
    add("Files/.wh.gone", EntryKind::Whiteout, &|_| {}, &[]);
    add("Hives", EntryKind::Directory, &|_| {}, &[]);
    add("UtilityVM", EntryKind::Directory, &|_| {}, &[]);
    writer.finish().unwrap()
}

#[test]
fn a_good_layer_has_no_problems() {
    for dialect in [Dialect::GoWinio, Dialect::Lossless] {
        let tar = good(dialect);
        let found = report(tar.clone());
        assert_eq!(found.problems.items, []);
        assert_eq!((found.entries, found.size), (8, tar.len() as u64));
        assert_eq!(found.diff_id, sha256(&tar));
    }
}

#[test]
fn every_problem_has_its_code_and_its_member() {
    let sd: &[u8] = b"MSWINDOWS.rawsd";
    let attributes = |value: &'static [u8]| vec![(keys::FILE_ATTRIBUTES, value)];
    let table: Vec<(Vec<Raw>, &[&str])> = vec![
        (vec![dir(b"Files"), file(b"Files/../x")], &["name_escapes Files/../x", "parent_missing Files/../x"]),
        (vec![dir(b"Files"), file(b"Files/a:s")], &["name_colon Files/a:s"]),
        (
            vec![dir(b"Files"), file(b"Files/a"), link(b"Files/b", b"Files/a"), file(b"Files/b:s")],
            &["name_colon Files/b:s"],
        ),
        (vec![dir(b"Files"), file(b"Files/a\\b")], &["name_backslash Files/a\\b"]),
        (
            vec![dir(b"Files"), file(b"Files/NUL.txt"), file(b"Files/x. ")],
            &["name_reserved Files/NUL.txt", "name_reserved Files/x. "],
        ),
        (vec![dir(b"Files"), file(b"Files/\xff")], &["name_not_unicode Files/\u{fffd}"]),
        (vec![dir(b"Files"), file(b"Files/a"), file(b"Files/a")], &["duplicate_name Files/a"]),
        (vec![dir(b"Files"), file(b"Files/a"), file(b"Files/A")], &["case_collision Files/A"]),
        (vec![dir(b"Files"), file(b"Files/d/a")], &["parent_missing Files/d/a"]),
        (vec![dir(b"Files"), file(b"Files/d/a"), dir(b"Files/d")], &["parent_late Files/d"]),
        (vec![dir(b"Files"), file(b"Files/d"), file(b"Files/d/a")], &["parent_kind Files/d/a"]),
        (vec![dir(b"Files"), link(b"Files/a", b"../x")], &["link_escapes Files/a"]),
        (vec![dir(b"Files"), link(b"Files/a", b"Files/a")], &["hard_link_target Files/a"]),
        (vec![dir(b"Files"), link(b"Files/a", b"Files")], &["hard_link_target Files/a"]),
        (vec![dir(b"Files"), link(b"Files/a", b"Files/b"), file(b"Files/b")], &["hard_link_early Files/b"]),
        (vec![dir(b"usr"), file(b"usr/a"), file(b"usr/b")], &["root_unknown usr"]),
        (vec![dir(b"Files"), file(b"Files/.wh..wh..opq")], &["bad_layer_tar Files/.wh..wh..opq"]),
        (vec![dir(b"Files"), Raw { data: b"", ..file(b"Files/.wh..wh..opq") }], &["whiteout_form Files/.wh..wh..opq"]),
        (vec![Raw { data: b"", ..file(b".wh.Files") }], &["whiteout_form .wh.Files"]),
        (
            vec![dir(b"Files"), Raw { records: vec![(sd, b"AAAA")], ..file(b"Files/a") }],
            &["bad_security_descriptor Files/a"],
        ),
        (
            vec![dir(b"Files"), Raw { records: vec![(sd, b"?")], ..file(b"Files/a") }, file(b"Files/b")],
            &["bad_layer_tar Files/a"],
        ),
        (
            vec![dir(b"Files"), Raw { records: vec![(b"MSWINDOWS.xattr.", b"AAAA")], ..file(b"Files/a") }],
            &["bad_extended_attributes Files/a"],
        ),
        (
            vec![dir(b"Files"), Raw { records: vec![(keys::REPARSE, b"AAAA")], ..file(b"Files/a") }],
            &["bad_reparse_point Files/a"],
        ),
        (vec![dir(b"Files"), Raw { records: attributes(b"16"), ..file(b"Files/a") }], &["attributes_mismatch Files/a"]),
        (vec![Raw { records: attributes(b"32"), ..dir(b"Files") }], &["attributes_mismatch Files"]),
        (vec![dir(b"Files"), Raw { kind: typeflag::FIFO, data: b"", ..file(b"Files/a") }], &["member_type Files/a"]),
        (
            vec![
                dir(b"Files"),
                Raw {
                    records: vec![(keys::STREAMS, b"1,8,,member,0,0;9,0,,block,0,2,2;9,0,,block,0,4,0")],
                    ..file(b"Files/a")
                },
            ],
            &["sparse_hole Files/a"],
        ),
        (
            vec![dir(b"Files"), Raw { records: vec![(keys::STREAMS, b"1,0,,member,0,9")], ..file(b"Files/a") }],
            &["bad_layer_tar Files/a"],
        ),
        (vec![dir(b"Files"), file(b"Files/a"), file(b"Files/a:s"), file(b"Files/a:S")], &["duplicate_name Files/a:S"]),
    ];
    for (members, expected) in table {
        let tar = raw(members);
        assert_eq!(problems(tar), expected);
    }
}

#[test]
fn problems_come_with_the_offset_of_their_member() {
    let tar = raw(vec![dir(b"Files"), file(b"Files/a"), file(b"Files/A"), file(b"Files/x/y")]);
    let offsets: Vec<_> = report(tar).problems.items.iter().map(|p| (p.code.name(), p.offset)).collect();
    assert_eq!(offsets, [("case_collision", Some(512 * 3)), ("parent_missing", Some(512 * 5))]);
}

#[test]
fn ends_of_archives() {
    let tar = raw(vec![dir(b"Files")]);
    assert_eq!(problems(tar[..1024].to_vec()), ["end_blocks "]);
    assert_eq!(problems(tar[..512].to_vec()), ["end_blocks "]);
    assert_eq!(problems([&tar[..], &[0; 9 * 512]].concat()), [""; 0]);
    let found = report([&tar[..], &[0; 700], b"x"].concat());
    assert_eq!(found.problems.items[0].code.name(), "trailing_data");
    assert_eq!(found.problems.items[0].offset, Some(tar.len() as u64 + 700));
    let orphan = raw(vec![Raw { records: vec![(keys::FILE_ATTRIBUTES, b"1")], ..file(b"Files") }]);
    assert_eq!(problems([&orphan[..1024], &[0; 1024]].concat()), ["end_blocks "]);
    assert_eq!(problems(orphan[..1024].to_vec()), ["end_blocks "]);
}

#[test]
fn whatever_is_cut_off_the_digest_is_that_of_all_bytes() {
    let tar = good(Dialect::Lossless);
    for end in (0..tar.len()).filter(|end| matches!(end % 512, 0 | 1 | 300 | 511)) {
        let found = report(tar[..end].to_vec());
        assert_eq!(found.diff_id, sha256(&tar[..end]));
        assert!(!found.problems.items.is_empty(), "{end}");
    }
}

#[test]
fn broken_framing_hides_what_follows_it_but_not_from_the_digest() {
    let mut tar = raw(vec![dir(b"Files"), file(b"Files/a"), file(b"Files/b")]);
    tar[512 + 3] ^= 1;
    let found = report(tar.clone());
    assert_eq!((found.problems.items[0].code.name(), found.problems.items[0].offset), ("bad_tar", Some(512)));
    assert_eq!((found.entries, found.problems.total()), (1, 1));
    assert_eq!(found.diff_id, sha256(&tar));
}

#[test]
fn losses_are_what_go_winio_would_drop() {
    let plan: &[u8] = b"1,8,,member,0,0;9,0,,block,0,0,4";
    let tar = raw(vec![
        dir(b"Files"),
        Raw { records: vec![(keys::STREAMS, plan)], ..file(b"Files/sparse") },
        Raw { records: vec![(keys::TIMES, b"- - 1 -")], ..file(b"Files/old") },
    ]);
    let found = report(tar);
    let kinds: Vec<_> = found.losses.items.iter().map(|loss| (loss.kind.name(), &*loss.path)).collect();
    assert_eq!(kinds, [("sparse", &b"Files/sparse"[..]), ("time_range", b"Files/old")]);
    assert_eq!(report(good(Dialect::GoWinio)).losses.total(), 0);
}

#[test]
fn bounds_stop_it() {
    let run = |limits| verify(Source::memory(good(Dialect::GoWinio)), &Policy::default(), &limits, Progress::none());
    let code = |limits| run(limits).unwrap_err().code();
    assert_eq!(code(Limits { entries: 3, ..Limits::default() }), "limit_entries");
    assert_eq!(code(Limits { total_bytes: 4096, ..Limits::default() }), "limit_total_bytes");
    let stop = Progress::new(|_, _| Err(Error::misuse(crate::error::Misuse::Argument, "stop")));
    let tar = Source::memory(good(Dialect::GoWinio));
    assert_eq!(verify(tar, &Policy::default(), &Limits::default(), stop).unwrap_err().code(), "bad_argument");
}

#[test]
fn a_forward_source_gives_the_same() {
    let tar = good(Dialect::Lossless);
    let source = Source::Stream(Box::new(io::Cursor::new(tar.clone())));
    let forward = verify(source, &Policy::default(), &Limits::default(), Progress::none()).unwrap();
    assert_eq!(forward, report(tar));
}
