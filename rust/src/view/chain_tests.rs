//! Tests of [`super::View`]: by hand, and against a model that knows nothing of indexes.

use super::*;
use crate::layer_tar::{LayerEntry, LayerWriter, NamedStream, UnnamedData};
use crate::limits::Limits;
use crate::nt::filetime::FileTime;
use crate::view::Index;
use proptest::prelude::*;
use std::fs::File;
use std::io::BufRead;
use tempfile::TempDir;

/// Writes layers, the lowest first.
struct Chain {
    folder: TempDir,
    layers: Vec<Arc<dyn LayerSource>>,
}

/// Writes a layer in five readable lines.
struct Layer(LayerWriter<Vec<u8>>, i64);

impl Layer {
    fn add(mut self, kind: EntryKind, name: &str, link: Option<&str>, data: &[&[u8]]) -> Self {
        let mut entry = LayerEntry::new(name, kind);
        entry.link_name = link.map(|link| link.as_bytes().to_vec());
        entry.data = data.first().map(|data| UnnamedData::new(data.len() as u64));
        let streams = data.iter().skip(1).map(|data| NamedStream { name: b"note".to_vec(), size: data.len() as u64 });
        entry.streams = Some(streams.collect());
        self.1 += 1;
        entry.basic_info.creation_time = Some(time(self.1));
        let data = data.iter().map(|data| Box::new(*data) as Box<dyn BufRead>).collect();
        self.0.add(&entry, data).unwrap();
        self
    }

    fn dir(self, name: &str) -> Self {
        self.add(EntryKind::Directory, name, None, &[])
    }

    fn file(self, name: &str, data: &str) -> Self {
        self.add(EntryKind::File, name, None, &[data.as_bytes()])
    }

    fn link(self, name: &str, target: &str) -> Self {
        self.add(EntryKind::HardLink, name, Some(target), &[])
    }

    fn whiteout(mut self, name: &str) -> Self {
        self.1 += 1;
        self.0.add_whiteout(name.as_bytes()).unwrap();
        self
    }

    /// Our writer writes no such member.
    fn opaque(mut self, folder: &str) -> Self {
        self.1 += 1;
        self.0.add(&LayerEntry::new(format!("{folder}/.wh..wh..opq"), EntryKind::Whiteout), vec![]).unwrap();
        self
    }
}

/// A different time for each member of each layer.
fn time(n: i64) -> FileTime {
    FileTime(132_444_736_000_000_000 + n * 10_000_000)
}

impl Chain {
    fn new() -> Self {
        Chain { folder: tempfile::tempdir().unwrap(), layers: Vec::new() }
    }

    fn layer(&self) -> Layer {
        Layer(LayerWriter::new(Vec::new(), Default::default()), 1000 * self.layers.len() as i64)
    }

    fn above(mut self, layer: impl FnOnce(Layer) -> Layer) -> Self {
        let tar = layer(self.layer()).0.finish().unwrap();
        self.push(&tar).unwrap();
        self
    }

    fn push(&mut self, tar: &[u8]) -> Result<()> {
        let name = self.layers.len();
        let path = self.folder.path().join(format!("{name}.tar"));
        let index = self.folder.path().join(format!("{name}.index"));
        std::fs::write(&path, tar).unwrap();
        Index::build(Arc::new(File::open(&path).unwrap()), &index, "sha256:0", &Limits::default())?;
        self.layers.insert(0, Arc::new(Index::open(&path, &index, &Limits::default())?));
        Ok(())
    }

    fn view(&self) -> View {
        View::new(self.layers.clone())
    }

    fn read(&self, path: &str) -> Option<String> {
        let node = self.view().find(path.as_bytes()).unwrap()?;
        Some(String::from_utf8(self.view().read(&node).unwrap()).unwrap())
    }

    /// Names in a folder.
    fn list(&self, path: &str) -> Vec<String> {
        let Some(node) = self.view().find(path.as_bytes()).unwrap() else { return Vec::new() };
        let name = |node: &Node| String::from_utf8(node.name().to_vec()).unwrap();
        self.view().children(&node).unwrap().iter().map(name).collect()
    }

    fn entry(&self, path: &str) -> LayerEntry {
        let node = self.view().find(path.as_bytes()).unwrap().unwrap();
        self.view().entry(&node).unwrap().entry
    }

    fn fails(&self, path: &str) -> String {
        let node = self.view().find(path.as_bytes()).unwrap().unwrap();
        self.view().open(&node, None).err().unwrap().to_string()
    }
}

#[test]
fn the_nearest_file_is_seen_and_directories_merge() {
    let chain = Chain::new()
        .above(|layer| layer.file("Files/d/low", "low").file("Files/d/both", "old"))
        .above(|layer| layer.file("Files/d/both", "new").file("Files/d/top", "top"));
    assert_eq!(chain.list("files/D"), ["both", "low", "top"]);
    assert_eq!(chain.read("Files/d/BOTH").unwrap(), "new");
    assert_eq!(chain.read("Files/d/low/").unwrap(), "low");
}

#[test]
fn a_whiteout_hides_what_is_below_and_not_what_stands_beside_it() {
    let chain = Chain::new()
        .above(|layer| layer.file("Files/a", "old").file("Files/d/old", "").file("Files/gone", ""))
        .above(|layer| layer.file("Files/A", "new").whiteout("Files/a").whiteout("Files/gone").whiteout("Files/D"))
        .above(|layer| layer.file("Files/D/new", ""));
    assert_eq!(chain.list("Files"), ["A", "D"]);
    assert_eq!(chain.read("Files/a").unwrap(), "new");
    assert_eq!(chain.list("Files/d"), ["new"]);
}

#[test]
fn a_whiteout_alone_makes_no_directory() {
    let chain = Chain::new().above(|layer| layer.dir("Files").whiteout("Files/a/b/c"));
    assert_eq!(chain.list("Files"), [""; 0]);
    let chain = chain.above(|layer| layer.file("Files/a/x", "").opaque("Files/q"));
    assert_eq!(chain.list("Files"), ["a"]);
}

#[test]
fn an_opaque_directory_keeps_its_name_and_metadata_alone() {
    let chain = Chain::new()
        .above(|layer| layer.dir("Files/Dir").file("Files/Dir/old", ""))
        .above(|layer| layer.opaque("Files/DIR").file("Files/dir/new", ""));
    assert_eq!(chain.list("Files"), ["Dir"]);
    assert_eq!(chain.list("Files/dir"), ["new"]);
    assert_eq!(chain.entry("Files/dir").basic_info.creation_time, Some(time(1)));
    let bare = Chain::new().above(|layer| layer.file("Files/d/x", "")).above(|layer| layer.opaque("Files/d"));
    assert_eq!((bare.list("Files"), bare.list("Files/d").len()), (vec!["d".to_owned()], 0));
}

#[test]
fn an_opaque_top_hides_every_root() {
    let mut chain = Chain::new().above(|layer| layer.file("Files/x", "").file("Hives/y", ""));
    let mut tar = chain.layer();
    tar.0.add(&LayerEntry::new(".wh..wh..opq", EntryKind::Whiteout), vec![]).unwrap();
    let tar = tar.file("Files/new", "").0.finish().unwrap();
    chain.push(&tar).unwrap();
    assert_eq!(chain.list("Files"), ["new"]);
    assert_eq!(chain.view().roots().unwrap().len(), 1);
}

#[test]
fn a_file_over_a_directory_hides_it_and_a_directory_over_a_file_replaces_it() {
    let chain = Chain::new()
        .above(|layer| layer.file("Files/a/x", "deep").file("Files/b", "flat"))
        .above(|layer| layer.file("Files/a", "flat").file("Files/b/x", "deep"));
    assert_eq!((chain.read("Files/a").unwrap(), chain.read("Files/a/x")), ("flat".into(), None));
    assert_eq!(chain.read("Files/b/x").unwrap(), "deep");
    let chain = chain.above(|layer| layer.file("Files/a/y", "new"));
    assert_eq!(chain.list("Files/a"), ["y"]);
}

#[test]
fn a_directory_has_the_name_of_the_lowest_layer_and_the_metadata_of_the_nearest_that_lists_it() {
    let chain = Chain::new()
        .above(|layer| layer.dir("Files/Program Files").file("Files/Program Files/a", ""))
        .above(|layer| layer.dir("Files/PROGRAM FILES"))
        .above(|layer| layer.file("Files/program files/b", ""));
    assert_eq!(chain.view().find(b"FILES/program FILES/B").unwrap().unwrap().path, b"Files/Program Files/b");
    let entry = chain.entry("Files/program files");
    assert_eq!(entry.basic_info.creation_time, Some(time(1001)));
}

#[test]
fn equal_directories_of_one_layer_merge_and_the_last_member_tells() {
    let chain = Chain::new().above(|layer| layer.dir("Files/é").file("Files/É/x", "").dir("Files/É"));
    assert_eq!(chain.list("Files"), ["é"]);
    assert_eq!(chain.entry("Files/é").basic_info.creation_time, Some(time(3)));
}

#[test]
fn hard_links_lead_within_a_layer_and_below_it_and_keep_what_they_saw() {
    let chain = Chain::new()
        .above(|layer| layer.file("Files/a", "first").link("Files/b", "Files/A"))
        .above(|layer| layer.link("Files/c", "Files/b").whiteout("Files/b"))
        .above(|layer| layer.file("Files/a", "second").link("Files/d", "Files/c"));
    // The layer of `c` does not see `b` any more.
    assert!(chain.fails("Files/c").contains("Files/b") || chain.fails("Files/c").contains("FILES/B"));
    let chain = Chain::new()
        .above(|layer| layer.file("Files/a", "first").link("Files/b", "Files/A"))
        .above(|layer| layer.link("Files/c", "Files/b").whiteout("Files/a"))
        .above(|layer| layer.file("Files/b", "second").link("Files/d", "Files/c"));
    // Nor does it see what `b` leads to: that is for the layer of `b` to say.
    assert_eq!(chain.read("Files/c").unwrap(), "first");
    assert_eq!(chain.read("Files/d").unwrap(), "first");
    let view = chain.view();
    let identity = |path: &[u8]| view.data(&view.find(path).unwrap().unwrap()).unwrap().identity(&view);
    assert_eq!(identity(b"Files/c"), identity(b"Files/d"));
    assert_ne!(identity(b"Files/b"), identity(b"Files/d"));
}

#[test]
fn links_that_lead_nowhere_or_in_a_circle_are_errors_with_both_names() {
    let chain = Chain::new().above(|layer| {
        let layer = layer.link("Files/a", "Files/b").link("Files/b", "Files/a").link("Files/self", "Files/SELF");
        layer.link("Files/lost", "Files/none/x").link("Files/dir", "Files")
    });
    for (path, also) in [("a", "a"), ("self", "SELF"), ("lost", "NONE/X"), ("dir", "FILES")] {
        let message = chain.fails(&format!("Files/{path}"));
        assert!(message.contains(&format!("Files/{path}")) && message.contains(also), "{message}");
    }
}

#[test]
fn named_streams_are_read_through_links() {
    let chain = Chain::new()
        .above(|layer| layer.add(EntryKind::File, "Files/a", None, &[b"data", b"stream"]).link("Files/b", "Files/a"));
    let view = chain.view();
    let node = view.find(b"files/B").unwrap().unwrap();
    let mut text = String::new();
    view.open(&node, Some(b"note")).unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(text, "stream");
    assert!(matches!(view.open(&node, Some(b"none")), Err(Error::Io { .. })));
}

#[test]
fn odd_paths_find_nothing() {
    let chain = Chain::new().above(|layer| layer.file("Files/a", ""));
    for path in ["", "/", "Files//a", "Files/a/", "Files/a/b", "Files/..", "Files/./a", "a"] {
        let found = chain.view().find(path.as_bytes()).unwrap();
        assert_eq!(found.is_some(), path == "Files/a/", "{path}");
    }
    assert_eq!(chain.view().find(b"Files/\xff").unwrap_err().code(), "name_not_unicode");
}

/// What a random layer has, in the order of its tar.
#[derive(Debug, Clone)]
enum Step {
    Dir(String),
    File(String, String),
    Link(String, String),
    Whiteout(String),
    Opaque(String),
}

/// One name of a tree that was made by applying layers one after the other.
#[derive(Debug, Clone, PartialEq)]
struct Seen {
    name: String,
    /// `None` for a directory; what reading gives, or that it fails.
    data: Option<Option<String>>,
    time: Option<FileTime>,
}

/// Folded path to what is there.
type Tree = std::collections::BTreeMap<String, Seen>;

fn folded(path: &str) -> String {
    // What is compared with folds in another way: only letters that both agree on.
    path.to_uppercase().replace("SS", "ß")
}

fn is_below(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
}

/// Applies a layer to a tree, as one would do by hand with a disk.
fn apply(tree: &mut Tree, steps: &[Step], first_time: i64) {
    for step in steps {
        match step {
            Step::Whiteout(path) => {
                let key = folded(path);
                tree.retain(|at, _| *at != key && !is_below(at, &key));
            }
            Step::Opaque(path) => {
                let key = folded(path);
                // One that the layer lists, too, was made anew.
                let anew = steps.iter().any(|step| matches!(step, Step::Dir(path) if folded(path) == key));
                tree.retain(|at, _| !(is_below(at, &key) || anew && *at == key));
            }
            _ => {}
        }
    }
    let mut links = Vec::new();
    for (n, step) in (first_time + 1..).zip(steps) {
        let (path, data) = match step {
            Step::Dir(path) => (path, None),
            Step::File(path, data) => (path, Some(Some(data.clone()))),
            Step::Link(path, target) => {
                links.push((folded(path), folded(target)));
                (path, Some(None))
            }
            _ => continue,
        };
        let parts: Vec<&str> = path.split('/').collect();
        for depth in 1..=parts.len() {
            let at = parts[..depth].join("/");
            let (key, name) = (folded(&at), parts[depth - 1].to_owned());
            if depth == parts.len() && data.is_some() {
                tree.retain(|at, _| !is_below(at, &key));
                tree.insert(key, Seen { name, data: data.clone(), time: Some(time(n)) });
                continue;
            }
            let seen = tree.entry(key).or_insert(Seen { name: name.clone(), data: None, time: None });
            if seen.data.is_some() {
                *seen = Seen { name, data: None, time: None };
            }
            if depth == parts.len() {
                seen.time = Some(time(n));
            }
        }
    }
    // A link has what its target has; links to links need as many rounds as they are long.
    for _ in 0..links.len() {
        for (path, target) in &links {
            let data = tree.get(target).and_then(|seen| seen.data.clone()).flatten();
            if let (Some(seen), true) = (tree.get_mut(path), data.is_some()) {
                seen.data = Some(data);
            }
        }
    }
}

/// Leaves out what a layer cannot have besides what it has: the same name twice, and files with something in them.
fn possible(steps: Vec<Step>) -> Vec<Step> {
    let mut folders: Vec<String> = Vec::new();
    let mut files: Vec<String> = Vec::new();
    let fits = |step: &Step| {
        let (Step::Dir(path) | Step::File(path, _) | Step::Link(path, _) | Step::Whiteout(path) | Step::Opaque(path)) =
            step;
        let key = folded(path);
        let is_file = matches!(step, Step::File(..) | Step::Link(..));
        let is_folder = matches!(step, Step::Dir(_) | Step::Opaque(_));
        if files.iter().any(|file| is_below(&key, file) || *file == key && (is_file || is_folder))
            || is_file && folders.contains(&key)
        {
            return false;
        }
        folders.extend(key.match_indices('/').map(|(at, _)| key[..at].to_owned()));
        if is_file {
            files.push(key);
        } else if is_folder {
            folders.push(key);
        }
        true
    };
    steps.into_iter().filter(fits).collect()
}

fn path() -> impl Strategy<Value = String> {
    let name = prop::sample::select(vec!["a", "A", "b", "c", "é", "É", "ß"]);
    prop::collection::vec(name, 1..4).prop_map(|parts| format!("Files/{}", parts.join("/")))
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => path().prop_map(Step::Dir),
        4 => (path(), "[a-z]{0,3}").prop_map(|(path, data)| Step::File(path, data)),
        2 => (path(), path()).prop_map(|(path, target)| Step::Link(path, target)),
        2 => path().prop_map(Step::Whiteout),
        1 => path().prop_map(Step::Opaque),
    ]
}

fn chains() -> impl Strategy<Value = Vec<Vec<Step>>> {
    prop::collection::vec(prop::collection::vec(step(), 0..8).prop_map(possible), 1..5)
}

/// The whole view as a tree.
fn walk(view: &View) -> Tree {
    let mut tree = Tree::new();
    let mut todo = view.roots().unwrap();
    while let Some(node) = todo.pop() {
        todo.extend(view.children(&node).unwrap());
        let found = view.find(&node.path).unwrap().expect("what is listed is found");
        assert_eq!((&found.path, found.kind, found.size), (&node.path, node.kind, node.size));
        let data = match node.kind {
            EntryKind::Directory => None,
            _ => Some(view.read(&node).ok().map(|data| String::from_utf8(data).unwrap())),
        };
        let time = view.entry(&node).unwrap().entry.basic_info.creation_time;
        let name = String::from_utf8(node.name().to_vec()).unwrap();
        tree.insert(String::from_utf8(node.key).unwrap(), Seen { name, data, time });
    }
    tree
}

proptest! {
    #[test]
    fn a_view_is_what_applying_the_layers_gives(chain in chains()) {
        let mut built = Chain::new();
        let mut tree = Tree::new();
        for (n, steps) in chain.iter().enumerate() {
            apply(&mut tree, steps, 1000 * n as i64);
            built = built.above(|layer| steps.iter().fold(layer, |layer, step| match step {
                Step::Dir(path) => layer.dir(path),
                Step::File(path, data) => layer.file(path, data),
                Step::Link(path, target) => layer.link(path, target),
                Step::Whiteout(path) => layer.whiteout(path),
                Step::Opaque(path) => layer.opaque(path),
            }));
        }
        prop_assert_eq!(walk(&built.view()), tree);
    }
}
