//! Tests of [`super::Index`]: what is refused, what damage gives, and how large an index gets.

use super::*;
use crate::layer_tar::LayerWriter;
use crate::source::SparseRange;
use crate::tar::{MemberHeader, Writer, typeflag};
use crate::view::source::TOP;
use proptest::prelude::*;
use std::fs::File;
use std::path::PathBuf;
use tempfile::TempDir;

/// A tar of members without data: `d:name`, `f:name`, `l:name>target`, `s:name>target`.
fn tar(members: &[&str]) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new());
    for member in members {
        let (kind, name) = member.split_once(':').unwrap();
        let (name, target) = name.split_once('>').unwrap_or((name, ""));
        let typeflag = match kind {
            "d" => typeflag::DIRECTORY,
            "l" => typeflag::HARD_LINK,
            "s" => typeflag::SYMLINK,
            _ => typeflag::FILE,
        };
        let header =
            MemberHeader { name: name.as_bytes(), link_name: target.as_bytes(), typeflag, ..MemberHeader::default() };
        writer.start(&header).unwrap();
    }
    writer.finish().unwrap()
}

struct Made {
    folder: TempDir,
    tar: PathBuf,
    index: PathBuf,
}

fn make(tar: &[u8]) -> Result<Made> {
    let folder = tempfile::tempdir().unwrap();
    let (path, index) = (folder.path().join("layer #1%.tar"), folder.path().join("layer ?#1%.index"));
    std::fs::write(&path, tar).unwrap();
    Index::build(Arc::new(File::open(&path).unwrap()), &index, "sha256:0", &Limits::default())?;
    Ok(Made { folder, tar: path, index })
}

impl Made {
    fn open(&self) -> Result<Index> {
        Index::open(&self.tar, &self.index, &Limits::default())
    }
}

fn index(members: &[&str]) -> Index {
    make(&tar(members)).unwrap().open().unwrap()
}

/// The code and the text of what a tar of these members is refused with.
fn refused(members: &[&str]) -> (&'static str, String) {
    let error = make(&tar(members)).err().expect("it is refused");
    (error.code(), error.to_string())
}

#[test]
fn names_equal_without_case_are_refused_unless_they_are_directories() {
    let (code, text) = refused(&["d:Files", "f:Files/straße", "f:Files/STRAßE"]);
    assert!(code == "case_collision" && text.contains("Files/straße") && text.contains("Files/STRAßE"), "{text}");
    assert_eq!(refused(&["d:Files/a", "f:Files/A"]).0, "duplicate_name");
    assert_eq!(refused(&["f:Files/a", "d:Files/A"]).0, "case_collision");
    assert_eq!(refused(&["f:Files/a", "f:Files/a"]).0, "duplicate_name");
    let index = index(&["d:Files/Dir", "f:Files/DIR/a", "f:Files/dir/b"]);
    assert_eq!(index.get(b"FILES/DIR").unwrap().unwrap().name, b"Dir");
    let within = index.get(b"FILES/DIR").unwrap().unwrap().folder;
    assert_eq!(index.children(within).unwrap().len(), 2);
}

#[test]
fn what_is_no_directory_has_nothing_in_it() {
    let (code, text) = refused(&["f:Files/a", "f:Files/A/x"]);
    assert!(code == "duplicate_name" && text.contains("Files/A/x") && text.contains("\"a\""), "{text}");
    assert_eq!(refused(&["s:Files/a>../..", "f:Files/a/x"]).0, "link_escapes");
    assert_eq!(refused(&["f:Files/a/x", "s:Files/a>../.."]).0, "duplicate_name");
    assert_eq!(refused(&["l:Files/a>Files/b", "f:Files/a/x"]).0, "duplicate_name");
    assert_eq!(refused(&["f:Files/a", "f:Files/a/.wh.x"]).0, "duplicate_name");
    assert_eq!(refused(&["f:Files/a/.wh.x", "f:Files/a"]).0, "duplicate_name");
    assert_eq!(refused(&["f:Files/a", "f:Files/a/.wh..wh..opq"]).0, "duplicate_name");
}

#[test]
fn other_roots_and_names_are_refused() {
    for members in [["f:x"], ["d:Windows"], ["f:Files"], ["f:.wh.x"], ["f:Other/x"], ["f:./Files/x"]] {
        assert_eq!(refused(&members).0, "root_unknown", "{members:?}");
    }
    for members in [["f:Files/.wh..."], ["f:Files/.wh.."], ["f:.wh..."]] {
        assert_eq!(refused(&members).0, "name_escapes", "{members:?}");
    }
    assert_eq!(refused(&["f:Files/.wh.a/b"]).0, "whiteout_name");
    let mut writer = Writer::new(Vec::new());
    writer.start(&MemberHeader { name: b"Files/\xff", ..MemberHeader::default() }).unwrap();
    assert_eq!(make(&writer.finish().unwrap()).err().unwrap().code(), "name_not_unicode");
    // WTF-8 is a name.
    let mut writer = Writer::new(Vec::new());
    writer.start(&MemberHeader { name: b"Files/\xed\xa0\x80", ..MemberHeader::default() }).unwrap();
    assert!(make(&writer.finish().unwrap()).is_ok());
}

#[test]
fn whiteouts_stand_beside_entries_in_any_order() {
    for members in [["f:Files/.wh.a", "f:Files/a"], ["f:Files/a", "f:Files/.wh.A"]] {
        let row = index(&members).get(b"FILES/A").unwrap().unwrap();
        assert_eq!((row.what, row.hides, row.name), (Holds::Entry(EntryKind::File), true, b"a".to_vec()));
    }
    let index = index(&["f:Files/d/.wh..wh..opq", "f:Files/.wh.d", "d:Files/D", "f:Files/x/.wh.y"]);
    let row = index.get(b"FILES/D").unwrap().unwrap();
    assert!(row.hides && row.opaque && row.what == Holds::Entry(EntryKind::Directory) && row.name == b"D");
    assert_eq!(index.get(b"FILES/X").unwrap().unwrap().what, Holds::Passage);
    assert_eq!(index.get(b"FILES/X/Y").unwrap().unwrap().what, Holds::Nothing);
}

#[test]
fn a_number_belongs_to_one_directory() {
    let members =
        ["f:Files/.wh.a", "f:Files/a/x", "f:Files/.wh.b", "d:Files/b", "f:Files/b/y", "f:Files/c/z", "d:Files/c"];
    let index = index(&members);
    let mut numbers: Vec<u64> = index.children(1).unwrap().iter().map(|row| row.folder).collect();
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers.len(), 3);
    assert!(index.get(b"FILES/B/Y").unwrap().is_some() && index.get(b"FILES/C/Y").unwrap().is_none());
}

#[test]
fn entries_have_the_global_records_before_them_and_no_others() {
    let mut writer = Writer::new(Vec::new());
    let global = |writer: &mut Writer<Vec<u8>>, record: &[u8]| {
        let name = b"g";
        let header =
            MemberHeader { name, typeflag: typeflag::PAX_GLOBAL, size: record.len() as u64, ..Default::default() };
        writer.start(&header).unwrap();
        writer.data(record).unwrap();
    };
    writer.start(&MemberHeader { name: b"Files/a", ..Default::default() }).unwrap();
    global(&mut writer, b"25 MSWINDOWS.fileattr=34\n");
    writer.start(&MemberHeader { name: b"Files/b", ..Default::default() }).unwrap();
    // Records that count as often as they stand there: once for every range.
    global(&mut writer, b"24 GNU.sparse.offset=16\n26 GNU.sparse.numbytes=16\n22 GNU.sparse.size=32\n");
    writer.start(&MemberHeader { name: b"Files/c", size: 16, ..Default::default() }).unwrap();
    writer.data(&[1; 16]).unwrap();
    writer.start(&MemberHeader { name: b"Files/d", size: 16, ..Default::default() }).unwrap();
    writer.data(&[1; 16]).unwrap();
    let index = make(&writer.finish().unwrap()).unwrap().open().unwrap();
    let entry = |path: &[u8]| index.entry(&index.get(path).unwrap().unwrap()).unwrap().entry;
    let attributes = |path| entry(path).basic_info.attributes.0;
    assert_eq!((attributes(b"FILES/A"), attributes(b"FILES/B")), (0, 34));
    let range = SparseRange { offset: 16, length: 16 };
    for path in [b"FILES/C", b"FILES/D"] {
        assert_eq!((entry(path).size(), entry(path).sparse_ranges()), (32, Some(&[range][..])));
    }
}

#[test]
fn an_index_grows_with_its_tar_however_deep_the_paths() {
    let deep: Vec<String> = (0..4).map(|n| format!("f:Files/{n}/{}x", "a/".repeat(16_000))).collect();
    let tar = tar(&deep.iter().map(String::as_str).collect::<Vec<_>>());
    let made = make(&tar).unwrap();
    let size = std::fs::metadata(&made.index).unwrap().len();
    assert!(size < 40 * tar.len() as u64, "{size} for {}", tar.len());
    let index = made.open().unwrap();
    let row = index.get(&deep[3].to_uppercase().as_bytes()[2..]).unwrap().unwrap();
    assert_eq!(index.entry(&row).unwrap().entry.name, deep[3].as_bytes()[2..]);
}

#[test]
fn a_layer_without_members_has_an_index() {
    let index = index(&[]);
    assert_eq!((index.imported().entries, index.children(TOP).unwrap().len()), (0, 0));
}

#[test]
fn an_index_of_another_tar_or_version_is_damaged() {
    let (one, other) = (make(&tar(&["f:Files/a"])).unwrap(), make(&tar(&["f:Files/b", "f:Files/a"])).unwrap());
    let open = |tar, index| Index::open(tar, index, &Limits::default());
    assert_eq!(open(&other.tar, &one.index).err().unwrap().code(), "layer_damaged");
    // Of the same size: found out when the entry is read.
    let same = make(&tar(&["f:Files/B"])).unwrap();
    let index = open(&same.tar, &one.index).unwrap();
    let row = index.get(b"FILES/A").unwrap().unwrap();
    assert_eq!(index.entry(&row).err().unwrap().code(), "layer_damaged");
    assert!(!Index::same_rows(&one.index, &same.index).unwrap());
    assert!(Index::same_rows(&one.index, &make(&tar(&["f:Files/a"])).unwrap().index).unwrap());
    Connection::open(&one.index).unwrap().pragma_update(None, "user_version", VERSION + 1).unwrap();
    assert_eq!(open(&one.tar, &one.index).err().unwrap().code(), "layer_damaged");
    assert!(matches!(open(&one.tar, &one.folder.path().join("none")), Err(Error::Io { .. })));
}

#[test]
fn threads_share_an_index() {
    let names: Vec<String> = (0..100).map(|n| format!("f:Files/{n}")).collect();
    let index = index(&names.iter().map(String::as_str).collect::<Vec<_>>());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for n in 0..100 {
                    let row = index.get(format!("FILES/{n}").as_bytes()).unwrap().unwrap();
                    assert_eq!(index.entry(&row).unwrap().entry.name, format!("Files/{n}").as_bytes());
                }
            });
        }
    });
}

/// Reads all that an index tells; damage is an error, never a panic or a loop.
fn read_all(index: &Index) -> Result<usize> {
    let (mut todo, mut read) = (index.children(TOP)?, 0);
    while let Some(row) = todo.pop() {
        read += 1;
        if let Holds::Entry(_) = row.what {
            index.entry(&row)?;
        }
        if row.what.is_folder() {
            todo.extend(index.children(row.folder)?);
        }
    }
    Ok(read)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_damaged_index_is_a_typed_error(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..64),
        end in any::<Option<prop::sample::Index>>(),
    ) {
        let mut writer = LayerWriter::new(Vec::new(), Default::default());
        for n in 0..40 {
            writer.add(&LayerEntry::new(format!("Files/{}/{n}", n % 7), EntryKind::Directory), vec![]).unwrap();
        }
        let made = make(&writer.finish().unwrap()).unwrap();
        prop_assert_eq!(read_all(&made.open().unwrap()).unwrap(), 48);
        let mut bytes = std::fs::read(&made.index).unwrap();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Some(end) = end {
            bytes.truncate(end.index(bytes.len()));
        }
        std::fs::write(&made.index, &bytes).unwrap();
        match made.open().and_then(|index| read_all(&index)) {
            Ok(_) | Err(Error::Store { fault: StoreFault::Damaged, .. }) => {}
            // A place that is none, or leads to another member.
            Err(Error::Format { .. } | Error::Refused { .. } | Error::Limit { .. }) => {}
            Err(other) => panic!("{other}"),
        }
    }
}
