//! A layer out of any bytes into a folder, and packed again: it is the same layer. Nothing comes to lie outside of the
//! folder, and of what is refused nothing stays.
#![no_main]

use libfuzzer_sys::{fuzz_mutator, fuzz_target};
use std::path::Path;
use tempfile::TempDir;
use winlayers::error::Result;
use winlayers::layer::{PackOptions, extract, pack};
use winlayers::layer_tar::{EntryKind, LayerReader};
use winlayers::nt::BasicInfo;
use winlayers::policy::Policy;
use winlayers::progress::Progress;
use winlayers::source::Source;
use winlayers_fuzz::{limits, mutate, names, read};

fuzz_target!(|data: &[u8]| {
    let room = TempDir::new().expect("room for a folder");
    let folder = std::fs::canonicalize(room.path()).expect("it was made").join("layer");
    if extract(Source::memory(data.to_vec()), &folder, &limits(), Progress::none()).is_err() {
        assert_eq!(names(room.path()), [""; 0]);
        return;
    }
    assert_eq!(names(room.path()), ["layer", "layer.winlayers.ndjson"]);
    check_links(&folder, &folder);

    let options = PackOptions { limits: limits(), source_date_epoch: Some(0), ..Default::default() };
    let (tar, report) = pack(&folder, Vec::new(), &options, Progress::none()).expect("it was extracted");
    assert_eq!(report.problems.total(), 0, "{report:?}");
    // What hard links and whiteouts say of a file is told as lost, and not compared.
    assert!(report.losses.totals.keys().all(|kind| *kind == "link_metadata"), "{report:?}");
    let before = entries(data.to_vec()).expect("it was extracted");
    let mut after = entries(tar).expect("our own tar");
    // A link without a target in its header has been given that of its reparse buffer.
    for (before, after) in before.iter().zip(&mut after) {
        if before.3.is_none() && matches!(before.1, EntryKind::Symlink | EntryKind::Junction | EntryKind::Reparse) {
            after.3 = None;
        }
    }
    assert_eq!(before, after);
});

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    mutate::tar(0, data, size, max_size, seed)
});

type Entry = (Vec<u8>, EntryKind, Option<BasicInfo>, Option<Vec<u8>>, Option<Vec<u8>>);

/// Entries with the links that they are, and the backup streams of the others.
fn entries(tar: Vec<u8>) -> Result<Vec<Entry>> {
    let mut reader = LayerReader::new(Source::memory(tar), Policy::strict(), &limits())?;
    let mut entries = Vec::new();
    while let Some(entry) = reader.next_entry()? {
        let (mut basic_info, mut stream) = (None, None);
        if !matches!(entry.kind, EntryKind::HardLink | EntryKind::Whiteout) {
            basic_info = Some(entry.basic_info);
            stream = Some(read(reader.backup_stream(&entry)?));
        }
        entries.push((entry.name, entry.kind, basic_info, entry.link_name, stream));
    }
    Ok(entries)
}

/// No link leads out of the folder.
fn check_links(below: &Path, root: &Path) {
    for entry in std::fs::read_dir(below).expect("a folder") {
        let entry = entry.expect("a folder");
        let kind = entry.file_type().expect("it is there");
        if kind.is_symlink() {
            let target = below.join(std::fs::read_link(entry.path()).expect("it is a link"));
            // What it leads to need not be there, and a chain of links may have no end.
            for place in target.ancestors().take(2).filter_map(|place| std::fs::canonicalize(place).ok()) {
                assert!(place.starts_with(root), "{entry:?} leads to {place:?}");
            }
        } else if kind.is_dir() {
            check_links(&entry.path(), root);
        }
    }
}
