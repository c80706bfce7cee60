//! A layer that is no tar, and whose data may be absent, in a view.

use super::*;
use crate::layer_tar::{LayerEntry, LayerWriter, RandomReader, UnnamedData};
use crate::view::View;
use crate::view::compare::imported_changes;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A layer of files in `Files`, kept in memory. Without data, only names and metadata are at hand.
struct Memory {
    files: Vec<Found>,
    data: Option<Vec<u8>>,
    asked: AtomicUsize,
}

impl Memory {
    fn new(files: &[(&str, &str)], has_data: bool) -> Self {
        let mut writer = LayerWriter::new(Vec::new(), Default::default());
        for (name, data) in files {
            let size = data.len() as u64;
            let known = Some(UnnamedData::new(size));
            let entry = LayerEntry { data: known, ..LayerEntry::new(format!("Files/{name}"), EntryKind::File) };
            writer.add(&entry, vec![Box::new(std::io::Cursor::new(data.to_string()))]).unwrap();
        }
        let tar = writer.finish().unwrap();
        let mut reader = RandomReader::new(Arc::new(tar.clone()), Default::default(), &Default::default()).unwrap();
        let mut found = Vec::new();
        while let Some(file) = reader.next_found().unwrap() {
            found.push(file);
        }
        Memory { files: found, data: has_data.then_some(tar), asked: AtomicUsize::new(0) }
    }

    fn row(&self, n: usize) -> Row {
        let entry = &self.files[n].entry;
        let name = entry.name[b"Files/".len()..].to_vec();
        let (what, place) = (Holds::Entry(EntryKind::File), Some(n as u64));
        Row { key: name.to_ascii_uppercase(), name, what, place, size: entry.size(), ..root() }
    }
}

fn root() -> Row {
    Row {
        key: b"FILES".to_vec(),
        name: b"Files".to_vec(),
        what: Holds::Entry(EntryKind::Directory),
        folder: 1,
        place: None,
        globals: 0,
        size: 0,
        link: None,
        hides: false,
        opaque: false,
    }
}

impl LayerSource for Memory {
    fn get_in(&self, folder: u64, name: &[u8]) -> Result<Option<Row>> {
        Ok(self.children(folder)?.into_iter().find(|row| row.key == name))
    }

    fn children(&self, folder: u64) -> Result<Vec<Row>> {
        Ok(if folder == TOP { vec![root()] } else { (0..self.files.len()).map(|n| self.row(n)).collect() })
    }

    fn entry(&self, row: &Row) -> Result<Found> {
        Ok(self.files[row.place.unwrap() as usize].clone())
    }

    fn head(&self, row: &Row) -> Result<Found> {
        self.entry(row)
    }

    fn entries(&self) -> Result<Box<dyn Iterator<Item = Result<Found>> + '_>> {
        Ok(Box::new(self.files.iter().cloned().map(Ok)))
    }

    fn data(&self) -> Result<Arc<dyn ReadAt>> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let absent = || Error::Unsupported { operation: "reading it".into(), reason: "only its index is here".into() };
        Ok(Arc::new(self.data.clone().ok_or_else(absent)?))
    }
}

fn names(view: &View) -> Vec<String> {
    let files = view.find(b"files").unwrap().unwrap();
    let name = |node: &crate::view::Node| String::from_utf8(node.path.clone()).unwrap();
    view.children(&files).unwrap().iter().map(name).collect()
}

#[test]
fn data_is_asked_for_when_it_is_read_and_not_before() {
    let (low, top) = (Memory::new(&[("a", "old"), ("b", "b")], true), Memory::new(&[("a", "new")], true));
    let (low, top) = (Arc::new(low), Arc::new(top));
    let view = View::new(vec![top.clone(), low.clone()]);
    assert_eq!(names(&view), ["Files/a", "Files/b"]);
    let node = view.find(b"FILES/A").unwrap().unwrap();
    let found = view.entry(&node).unwrap();
    let bytes = view.bytes(&node);
    assert_eq!((low.asked.load(Ordering::Relaxed), top.asked.load(Ordering::Relaxed)), (0, 0));
    let mut buffer = [0; 3];
    assert_eq!(found.places[0].read_at(&*bytes, 0, &mut buffer).unwrap(), 3);
    assert_eq!((&buffer, view.read(&node).unwrap().as_slice()), (b"new", &b"new"[..]));
    assert_eq!(low.asked.load(Ordering::Relaxed), 0);
}

#[test]
fn a_layer_whose_data_is_absent_is_listed_and_compared_as_far_as_that_goes() {
    let below = View::new(vec![Arc::new(Memory::new(&[("a", "one"), ("b", "two")], false))]);
    assert_eq!(names(&below), ["Files/a", "Files/b"]);
    let node = below.find(b"Files/a").unwrap().unwrap();
    assert_eq!(below.read(&node).unwrap_err().code(), "unsupported");
    let changes = |top: &Memory| {
        let mut seen = Vec::new();
        imported_changes(top, &below, &mut |change| {
            seen.push((String::from_utf8(change.path).unwrap(), change.kind));
            Ok(())
        })
        .map(|()| seen)
    };
    let different = changes(&Memory::new(&[("a", "longer"), ("c", "new")], true)).unwrap();
    use crate::view::ChangeKind::{Add, Modify};
    assert_eq!(different, [("Files/a".into(), Modify), ("Files/c".into(), Add)]);
    // Of files of one size only the data says whether they differ.
    assert_eq!(changes(&Memory::new(&[("b", "owt")], true)).unwrap_err().code(), "unsupported");
}
