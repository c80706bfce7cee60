use super::*;
use crate::error::{Error, Result};
use crate::limits::Limits;
use crate::source::{ReadAt, Source};
use crate::tar::tests::{repair, trickle};
use crate::tar::{BLOCK, MemberHeader, Writer};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;

type Content = BTreeMap<Vec<u8>, Vec<u8>>;

fn split(source: Source, content: &mut Content) -> Result<(Vec<u8>, Summary)> {
    let mut metadata = Vec::new();
    let summary = disassemble(source, &mut metadata, Some(content), &Default::default())?;
    Ok((metadata, summary))
}

struct Files(Content);

impl MemberFiles for Files {
    fn open(&self, name: &[u8]) -> Result<Arc<dyn ReadAt>> {
        Ok(Arc::new(self.0.get(name).cloned().expect("each name was kept")))
    }
}

/// The tar, read where it lies from its end to its start in pieces of many sizes.
fn read_anywhere(metadata: Vec<u8>, content: Content, size: usize) -> Vec<u8> {
    let assembled = Assembled::open(Arc::new(metadata), Arc::new(Files(content)), &Default::default()).unwrap();
    assert_eq!(assembled.size().unwrap(), size as u64);
    let (mut tar, mut end, mut step) = (vec![0; size], size, 1);
    while end > 0 {
        let start = end.saturating_sub(step);
        let mut at = start;
        while at < end {
            let n = assembled.read_at(&mut tar[at..end], at as u64).unwrap();
            assert!(n > 0, "nothing at {at} of {size}");
            at += n;
        }
        (end, step) = (start, step * 3 % 4099);
    }
    assert_eq!(assembled.read_at(&mut [0; 9], size as u64).unwrap(), 0);
    tar
}

/// Both ways of assembly: they give the same tar, or the same error.
fn join(metadata: &[u8], content: &mut Content) -> Result<Vec<u8>> {
    let (mut tar, mut ahead) = (Vec::new(), Vec::new());
    let result = assemble(metadata, content, &mut tar, &Default::default());
    let result_ahead = assemble_reading_ahead(metadata, content, &mut ahead, &Default::default());
    assert_eq!(result.as_ref().map_err(ToString::to_string), result_ahead.as_ref().map_err(ToString::to_string));
    result.map(|_| assert_eq!(tar, ahead)).map(|()| tar)
}

fn tar(members: &[(&[u8], u8, &[u8])]) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new());
    for (name, typeflag, data) in members {
        let size = data.len() as u64;
        writer.start(&MemberHeader { name, typeflag: *typeflag, size, ..Default::default() }).unwrap();
        writer.data(data).unwrap();
    }
    writer.finish().unwrap()
}

fn apart(summary: &Summary) -> Vec<(&[u8], Apart, u64)> {
    summary.apart.items.iter().map(|member| (&member.name[..], member.reason, member.size)).collect()
}

/// The lines for members are those that the Go tool wrote for these names; the tests in Python compare whole files.
#[test]
fn lines_as_go_writes_them() {
    let tar = tar(&[
        (b"Files/", b'5', b""),
        ("Files/<a> & \"b\"\\\u{1}\u{8}\u{c}\r\n\t\u{7f}\u{2028}\u{e9}".as_bytes(), b'0', b"hello"),
        (b"Files/\xff", b'0', b"hello"),
    ]);
    let (metadata, summary) = split(Source::memory(tar), &mut Content::new()).unwrap();
    let metadata = String::from_utf8(metadata).unwrap();
    let files: Vec<&str> = metadata.lines().filter(|line| line.starts_with("{\"type\":1")).collect();
    let expected = [
        "{\"type\":1,\"name\":\"Files/\",\"payload\":null,\"position\":1}",
        "{\"type\":1,\"name\":\"Files/\\u003ca\\u003e \\u0026 \\\"b\\\"\\\\\\u0001\\b\\f\\r\\n\\t\u{7f}\\u2028\u{e9}\",\
         \"size\":5,\"payload\":\"PD7u4tgQAAA=\",\"position\":3}",
        "{\"type\":1,\"name_raw\":\"RmlsZXMv/w==\",\"size\":5,\"payload\":\"PD7u4tgQAAA=\",\"position\":5}",
    ];
    assert_eq!(files, expected);
    assert_eq!((summary.files, summary.segments, summary.data), (3, 4, 10));
}

#[test]
fn what_go_refuses_goes_into_segments() {
    let mut tar = tar(&[
        (b"a", b'0', b"first"),
        (b"./a", b'0', b"second"),
        (b"d/", b'5', b""),
        (b"d", b'5', b""),
        (b"../up", b'0', b"up"),
        (b"/etc/passwd", b'0', b"root"),
        (b".", b'0', b"dot"),
        (b"b", b'0', b"last"),
    ]);
    tar.extend_from_slice(b"after the end");
    let mut content = Content::new();
    let (metadata, summary) = split(Source::memory(tar.clone()), &mut content).unwrap();
    let expected: [(&[u8], Apart, u64); 5] = [
        (b"./a", Apart::DuplicateName, 6),
        (b"d", Apart::DuplicateName, 0),
        (b"../up", Apart::UnsafeName, 2),
        (b"/etc/passwd", Apart::UnsafeName, 4),
        (b".", Apart::UnsafeName, 3),
    ];
    assert_eq!(apart(&summary), expected);
    assert_eq!(summary.apart.totals, BTreeMap::from([("duplicate_name", 2), ("unsafe_name", 3)]));
    assert_eq!(content.keys().collect::<Vec<_>>(), [&b"a"[..], b"b"]);
    assert_eq!((summary.size, summary.files, summary.data), (tar.len() as u64, 3, 9));
    assert_eq!(join(&metadata, &mut content).unwrap(), tar);
}

#[test]
fn sparse_members_with_holes_go_into_segments() {
    let with_map = |map: &[u8], size: &[u8]| {
        let mut writer = Writer::new(Vec::new());
        let records = vec![
            (b"GNU.sparse.map".as_slice().into(), map.to_vec()),
            (b"GNU.sparse.numblocks".as_slice().into(), b"1".to_vec()),
            (b"GNU.sparse.size".as_slice().into(), size.to_vec()),
        ];
        writer.start(&MemberHeader { name: b"s", typeflag: b'0', size: 5, records, ..Default::default() }).unwrap();
        writer.data(b"hello").unwrap();
        writer.finish().unwrap()
    };
    for (map, size, expected) in [(b"0,5", &b"5"[..], None), (b"2,5", b"900", Some(Apart::Sparse))] {
        let tar = with_map(map, size);
        let mut content = Content::new();
        let (metadata, summary) = split(Source::memory(tar.clone()), &mut content).unwrap();
        assert_eq!(apart(&summary).first().map(|member| member.1), expected);
        assert_eq!(content.is_empty(), expected.is_some());
        assert_eq!(join(&metadata, &mut content).unwrap(), tar);
    }
}

/// Data that no sink takes, and what follows the end, come in lines of at most a mebibyte: memory stays flat.
#[test]
fn large_segments_are_cut() {
    struct Nothing;
    impl ContentSink for Nothing {
        fn start(&mut self, _: &[u8], _: u64) -> Result<bool> {
            Ok(false)
        }
        fn write(&mut self, _: &[u8]) -> Result<()> {
            unreachable!("nothing was started")
        }
        fn finish(&mut self) -> Result<()> {
            unreachable!("nothing was started")
        }
    }
    let mut tar = tar(&[(b"large", b'0', &[7; 2_500_000])]);
    tar.resize(tar.len() + 1_500_000, 0);
    let mut metadata = Vec::new();
    let summary =
        disassemble(trickle(tar.clone(), 999), &mut metadata, Some(&mut Nothing), &Default::default()).unwrap();
    assert_eq!(apart(&summary), [(&b"large"[..], Apart::Content, 2_500_000)]);
    // Three for the member, one for the end blocks, two for what follows.
    assert_eq!((summary.segments, summary.files), (6, 0));
    assert!(metadata.split(|&b| b == b'\n').all(|line| line.len() < 1_400_100));
    assert_eq!(join(&metadata, &mut Content::new()).unwrap(), tar);
}

#[test]
fn data_that_does_not_match() {
    let tar = tar(&[(b"dir/file", b'0', b"hello")]);
    let mut content = Content::new();
    let (metadata, _) = split(Source::memory(tar), &mut content).unwrap();
    for (data, text) in [
        (&b"hallo"[..], "dir/file does not match: expected CRC-64 3c3eeee2d8100000, found"),
        (b"hell", "dir/file does not match: expected 5 bytes, found 4"),
        (b"hello!", "dir/file does not match: expected 5 bytes, found more"),
    ] {
        let error = join(&metadata, &mut Content::from([(b"dir/file".to_vec(), data.to_vec())])).unwrap_err();
        assert_eq!(error.code(), "integrity");
        assert!(error.to_string().starts_with(text), "{error}");
    }
    assert_eq!(join(&metadata, &mut Content::new()).unwrap_err().code(), "io");
}

/// What the Go tool writes for a link whose header has a size: the size, and the checksum of no data.
#[test]
fn links_with_a_size_from_go() {
    let mut tar = tar(&[(b"file", b'0', b"hello"), (b"link", b'1', b"")]);
    tar[1024 + 124..1024 + 135].copy_from_slice(b"00000000005");
    repair((&mut tar[1024..1536]).try_into().unwrap());
    let mut content = Content::new();
    let (metadata, _) = split(Source::memory(tar.clone()), &mut content).unwrap();
    assert_eq!(join(&metadata, &mut content).unwrap(), tar);
    let ours = r#""name":"link","payload":null"#;
    let theirs = r#""name":"link","size":5,"payload":"AAAAAAAAAAA=""#;
    let metadata = String::from_utf8(metadata).unwrap();
    assert!(metadata.contains(ours), "{metadata}");
    content.insert(b"link".to_vec(), b"hello".to_vec());
    assert_eq!(join(metadata.replace(ours, theirs).as_bytes(), &mut content).unwrap(), tar);
}

#[test]
fn hostile_metadata() {
    let first = "{\"type\":2,\"payload\":\"AAAA\",\"position\":0}\n";
    let file = |name: &str| {
        format!("{{\"type\":1,\"name\":\"{name}\",\"size\":1,\"payload\":\"AAAAAAAAAAA=\",\"position\":1}}")
    };
    let lines = [
        ("not JSON", "entry"),
        ("[]", "entry"),
        ("{}", "entry"),
        ("{\"type\":2,\"payload\":\"AAAA\",\"position\":1", "entry"),
        ("{\"type\":2,\"payload\":\"AAAA\",\"position\":1}{}", "entry"),
        ("{\"type\":\"2\",\"payload\":\"AAAA\",\"position\":1}", "entry"),
        ("{\"type\":1,\"name\":\"a\",\"size\":-1,\"payload\":\"AAAAAAAAAAA=\",\"position\":1}", "entry"),
        (
            "{\"type\":1,\"name\":\"a\",\"size\":18446744073709551616,\"payload\":\"AAAAAAAAAAA=\",\"position\":1}",
            "entry",
        ),
        ("{\"type\":1,\"name\":\"\\ud800\",\"payload\":null,\"position\":1}", "entry"),
        ("{\"type\":3,\"payload\":\"AAAA\",\"position\":1}", "type"),
        ("{\"type\":2,\"payload\":\"AAAA\",\"position\":2}", "position"),
        ("{\"type\":2,\"payload\":\"AAAA\"}", "position"),
        ("{\"type\":2,\"payload\":\"AA*A\",\"position\":1}", "payload"),
        ("{\"type\":2,\"payload\":\"AAA\",\"position\":1}", "payload"),
        ("{\"type\":1,\"name\":\"a\",\"size\":1,\"payload\":null,\"position\":1}", "payload"),
        ("{\"type\":1,\"name\":\"a\",\"size\":1,\"payload\":\"AAAA\",\"position\":1}", "payload"),
        ("{\"type\":1,\"name_raw\":\"*\",\"size\":1,\"payload\":\"AAAAAAAAAAA=\",\"position\":1}", "name_raw"),
        (&file("../up"), "name"),
        (&file("a/../../up"), "name"),
        (&file("/.."), "name"),
        (&file("C:/Windows"), "name"),
        (&file("a\\\\..\\\\up"), "name"),
        (&file("a\\u0000"), "name"),
        (&file(""), "name"),
        (&file("."), "name"),
    ];
    for (line, field) in lines {
        let metadata = format!("{first}\n{line}\n");
        match join(metadata.as_bytes(), &mut Content::new()).unwrap_err() {
            Error::Format(error) => {
                assert_eq!((error.field, error.offset), (field, Some(first.len() as u64 + 1)), "{line}: {error}");
                assert_eq!(error.format.name(), "bad_tar_split");
            }
            error => panic!("{line}: {error}"),
        }
    }
}

#[test]
fn a_sink_that_fails_ends_both_threads() {
    struct Full(usize);
    impl std::io::Write for Full {
        fn write(&mut self, buf: &[u8]) -> std::io::Result<usize> {
            self.0 = self.0.checked_sub(buf.len()).ok_or(std::io::ErrorKind::StorageFull)?;
            Ok(buf.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let tar = tar(&[(b"large", b'0', &[7; 4_000_000])]);
    let mut content = Content::new();
    let (metadata, _) = split(Source::memory(tar), &mut content).unwrap();
    for room in [0, 1_000_000, 3_999_999] {
        let error = assemble_reading_ahead(&metadata[..], &mut content, Full(room), &Default::default()).unwrap_err();
        let Error::Io { source, .. } = error else { panic!("{error}") };
        assert_eq!(source.kind(), std::io::ErrorKind::StorageFull);
    }
}

#[test]
fn bounds() {
    let code = |metadata: &[u8], limits: Limits| {
        let mut content = Content::from([(b"a".to_vec(), vec![0; 9]), (b"b".to_vec(), vec![0; 9])]);
        assemble(metadata, &mut content, std::io::sink(), &limits).unwrap_err().code()
    };
    let line = b"{\"type\":2,\"payload\":\"AAAA\",\"position\":0}\n";
    let short = Limits { line: line.len() as u64 - 1, ..Default::default() };
    assert_eq!(code(line, short), "limit_line");
    let endless = std::io::BufReader::new(std::io::repeat(b' '));
    let error = assemble(endless, &mut Content::new(), std::io::sink(), &Default::default()).unwrap_err();
    assert_eq!(error.code(), "limit_line");
    assert_eq!(code(line, Limits { total_bytes: 2, ..Default::default() }), "limit_total_bytes");
    let tar = tar(&[(b"a", b'0', &[0; 9]), (b"b", b'0', &[0; 9])]);
    let (metadata, _) = split(Source::memory(tar.clone()), &mut Content::new()).unwrap();
    assert_eq!(code(&metadata, Limits { entries: 1, ..Default::default() }), "limit_entries");
    assert_eq!(code(&metadata, Limits { member_bytes: 8, ..Default::default() }), "limit_member_bytes");
    let limits = Limits { total_bytes: tar.len() as u64 + 99, ..Default::default() };
    let long = [&tar[..], &[0; 100]].concat();
    let error = disassemble(Source::memory(long), std::io::sink(), None, &limits).unwrap_err();
    assert_eq!(error.code(), "limit_total_bytes");
}

/// Members with names and types of every odd kind, some of them sparse, then the end as tools write it or break it off.
fn archives() -> impl Strategy<Value = Vec<u8>> {
    let names = prop::sample::select(vec![
        &b"a"[..],
        b"./a",
        b"a/b",
        b"a//b/",
        b"../a",
        b"/a",
        b"",
        b".",
        b"C:a",
        b"a\\..\\..\\b",
        b"\xff",
        b"a:s:$DATA",
    ]);
    let kinds = prop::sample::select(b"0000155267gSD\0".to_vec());
    let sizes = prop_oneof![Just(0..=0), Just(1..=9), Just(510..=514), Just(0..=2000_usize)];
    let data = sizes.prop_flat_map(|sizes| prop::collection::vec(any::<u8>(), sizes));
    let member = (names, kinds, data, any::<bool>());
    let tail = prop_oneof![
        Just(Vec::new()),
        Just(vec![0; 512]),
        Just(vec![0; 9000]),
        Just([&[0; 1024][..], b"rest"].concat())
    ];
    (prop::collection::vec(member, 0..6), tail).prop_map(|(members, tail)| {
        let mut writer = Writer::new(Vec::new());
        for (name, kind, mut data, sparse) in members {
            if kind == 0 && name.ends_with(b"/") {
                data.clear(); // it is a directory
            }
            let mut records = Vec::new();
            if sparse && kind == b'0' {
                let map = format!("7,{}", data.len());
                records.push((b"GNU.sparse.map".as_slice().into(), map.into_bytes()));
                records.push((b"GNU.sparse.size".as_slice().into(), (data.len() + 7).to_string().into_bytes()));
            }
            let size = data.len() as u64;
            writer.start(&MemberHeader { name, typeflag: kind, size, records, ..Default::default() }).unwrap();
            if writer.data_left() > 0 {
                writer.data(&data).unwrap();
            }
        }
        writer.pad().unwrap();
        [writer.into_inner(), tail].concat()
    })
}

/// Damage: bytes changed (in a header with its checksum put right), and the end cut off.
fn damaged() -> impl Strategy<Value = Vec<u8>> {
    let changes = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), any::<bool>()), 0..4);
    (archives(), changes, prop::option::of(any::<prop::sample::Index>())).prop_map(|(mut tar, changes, end)| {
        for (at, byte, checksum) in changes {
            if tar.is_empty() {
                break;
            }
            let at = at.index(tar.len());
            tar[at] = byte;
            let start = at / BLOCK * BLOCK;
            if let Some(block) = tar[start..].first_chunk_mut::<BLOCK>().filter(|_| checksum) {
                repair(block);
            }
        }
        if let Some(end) = end {
            tar.truncate(end.index(tar.len() + 1));
        }
        tar
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn split_then_join_is_the_identity(tar in archives()) {
        let mut content = Content::new();
        match split(Source::memory(tar.clone()), &mut content) {
            Ok((metadata, summary)) => {
                prop_assert_eq!(summary.size, tar.len() as u64);
                prop_assert!(join(&metadata, &mut content).unwrap() == tar);
                prop_assert!(read_anywhere(metadata, content, tar.len()) == tar);
            }
            // Of the types in use these are refused: a sparse member without its magic, records that are none.
            Err(Error::Format(error)) => prop_assert!(["magic", "PAX record length"].contains(&error.field), "{error}"),
            Err(error) => prop_assert!(false, "{error}"),
        }
    }

    #[test]
    fn damaged_archives_are_refused_or_kept_whole(tar in damaged(), chunk in 1_usize..2000) {
        let mut content = Content::new();
        let whole = split(Source::memory(tar.clone()), &mut content);
        let mut again = Content::new();
        let trickled = split(trickle(tar.clone(), chunk), &mut again);
        match (whole, trickled) {
            (Ok(whole), Ok(trickled)) => {
                prop_assert_eq!(&whole, &trickled);
                prop_assert_eq!(&content, &again);
                prop_assert_eq!(join(&whole.0, &mut content).unwrap(), tar);
            }
            (Err(whole), Err(trickled)) => prop_assert_eq!(whole.to_string(), trickled.to_string()),
            (whole, trickled) => prop_assert!(false, "{whole:?} but {trickled:?}"),
        }
    }

    #[test]
    fn any_metadata_is_read_without_panic(lines in prop::collection::vec("[ -~]{0,99}|\\{\"type\":[12],\"payload\":\"[A-Z]{0,9}\",\"position\":[0-3]\\}", 0..4)) {
        let _ = join(lines.join("\n").as_bytes(), &mut Content::new());
    }
}

#[test]
fn a_directory_of_content() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("content");
    let tar = tar(&[
        (b"Files/a/b", b'0', b"1"),
        (b"./Files//a/c", b'0', b"2"),
        (b"Files/a", b'D', b"a directory by now"),
        (b"Files/a/b/c", b'0', b"below a file"),
        (&[b'x'; 300], b'0', b"too long"),
        (b"last", b'0', b"3"),
    ]);
    let mut directory = NewDirectory::create(&path).unwrap();
    let mut metadata = Vec::new();
    let summary =
        disassemble(Source::memory(tar.clone()), &mut metadata, Some(&mut directory), &Default::default()).unwrap();
    assert_eq!(summary.apart.totals, BTreeMap::from([("content", 3)]));
    assert!(!path.exists());
    directory.commit().unwrap();
    let mut again = Vec::new();
    let mut directory = Directory::open(&path).unwrap();
    assemble_reading_ahead(&metadata[..], &mut directory, &mut again, &Default::default()).unwrap();
    assert_eq!(again, tar);

    assert_eq!(NewDirectory::create(&path).err().unwrap().code(), "target_exists");
    drop(NewDirectory::create(&folder.path().join("dropped")).unwrap());
    assert_eq!(folder.path().read_dir().unwrap().count(), 1);
}

#[test]
fn no_name_and_no_link_leads_out_of_a_directory() {
    let folder = tempfile::tempdir().unwrap();
    let content = folder.path().join("content");
    let mut new = NewDirectory::create(&content).unwrap();
    for name in [&b"../up"[..], b"/..", b"a\0"] {
        assert!(!new.start(name, 1).unwrap());
    }
    new.commit().unwrap();
    assert!(!folder.path().join("up").exists());
    let mut directory = Directory::open(&content).unwrap();
    assert_eq!(directory.open(b"../content").err().unwrap().code(), "name_escapes");
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink("/etc", content.join("etc")).unwrap();
        assert_eq!(directory.open(b"etc/passwd").err().unwrap().code(), "link_escapes");
        assert_eq!(directory.open(b"etc").err().unwrap().code(), "member_type");
    }
}
