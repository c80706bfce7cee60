//! Random trees above random layers: what is exported gives the same tree again.

use crate::backend::portable::testing::{Layer, Sandbox};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

/// A path of few, so that operations meet: up to three of four names.
fn path() -> impl Strategy<Value = String> {
    proptest::collection::vec(prop_oneof![Just("a"), Just("b"), Just("d"), Just("é")], 1..=3)
        .prop_map(|names| names.join("/"))
}

#[derive(Debug, Clone)]
enum Member {
    File(String, u8),
    Directory(String),
    Link(String, usize),
    Symlink(String),
    Whiteout(String),
}

fn member() -> impl Strategy<Value = Member> {
    prop_oneof![
        3 => (path(), any::<u8>()).prop_map(|(path, byte)| Member::File(path, byte)),
        3 => path().prop_map(Member::Directory),
        1 => (path(), any::<usize>()).prop_map(|(path, of)| Member::Link(path, of)),
        1 => path().prop_map(Member::Symlink),
        1 => path().prop_map(Member::Whiteout),
    ]
}

/// A layer of those members that fit.
fn layer(members: &[Member]) -> Vec<u8> {
    let (mut directories, mut taken, mut files) = (BTreeSet::new(), BTreeSet::new(), Vec::new());
    let mut layer = Layer::new().dir("Files");
    for member in members {
        let (Member::File(path, _)
        | Member::Directory(path)
        | Member::Link(path, _)
        | Member::Symlink(path)
        | Member::Whiteout(path)) = member;
        let above: Vec<&str> = path.match_indices('/').map(|(at, _)| &path[..at]).collect();
        let fits = above.iter().all(|above| !taken.contains(*above) || directories.contains(*above));
        if !fits || taken.contains(path.as_str()) || files.is_empty() && matches!(member, Member::Link(..)) {
            continue;
        }
        for above in above {
            if taken.insert(above.to_owned()) {
                directories.insert(above.to_owned());
                layer = layer.dir(&format!("Files/{above}"));
            }
        }
        taken.insert(path.clone());
        let name = format!("Files/{path}");
        layer = match member {
            Member::File(_, byte) => {
                files.push(name.clone());
                layer.file(&name, &vec![*byte; usize::from(*byte)])
            }
            Member::Directory(_) => {
                directories.insert(path.clone());
                layer.dir(&name)
            }
            Member::Link(_, of) => layer.link(&name, &files[of % files.len()]),
            Member::Symlink(_) => layer.symlink(&name, "a\\b", false),
            Member::Whiteout(_) => layer.whiteout(&name),
        };
    }
    layer.tar()
}

#[derive(Debug, Clone)]
enum Action {
    Write(String, u8),
    Save(String, u8),
    Remove(String),
    Rename(String, String),
    Link(String, String),
    Directory(String),
    Symlink(String),
    Touch(String, u32),
    ReadOnly(String, bool),
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        (path(), any::<u8>()).prop_map(|(path, byte)| Action::Write(path, byte)),
        (path(), any::<u8>()).prop_map(|(path, byte)| Action::Save(path, byte)),
        path().prop_map(Action::Remove),
        (path(), path()).prop_map(|(from, to)| Action::Rename(from, to)),
        (path(), path()).prop_map(|(from, to)| Action::Link(from, to)),
        path().prop_map(Action::Directory),
        path().prop_map(Action::Symlink),
        (path(), any::<u32>()).prop_map(|(path, time)| Action::Touch(path, time)),
        (path(), any::<bool>()).prop_map(|(path, read_only)| Action::ReadOnly(path, read_only)),
    ]
}

/// Does what can be done.
fn act(tree: &Path, action: &Action) {
    let on = |path: &str| tree.join(path);
    // Nothing is done through a link: it may lead anywhere.
    let through_link = |path: &str| {
        let mut at = PathBuf::from(tree);
        path.split('/').any(|name| {
            at.push(name);
            at.is_symlink()
        })
    };
    let _ = match action {
        Action::Write(path, _) | Action::Touch(path, _) | Action::ReadOnly(path, _) if through_link(path) => Ok(()),
        Action::Write(path, byte) => fs::write(on(path), vec![*byte; usize::from(*byte)]),
        Action::Save(path, byte) => {
            fs::write(tree.join("tmp"), [*byte]).unwrap();
            fs::rename(tree.join("tmp"), on(path)).or_else(|_| fs::remove_file(tree.join("tmp")))
        }
        Action::Remove(path) => fs::remove_file(on(path)).or_else(|_| fs::remove_dir_all(on(path))),
        Action::Rename(from, to) => fs::rename(on(from), on(to)),
        Action::Link(from, to) => fs::hard_link(on(from), on(to)),
        Action::Directory(path) => fs::create_dir_all(on(path)),
        Action::Symlink(path) => symlink("b/a", on(path)),
        Action::Touch(path, time) => {
            let time = UNIX_EPOCH + Duration::new((*time).into(), 987_654_321);
            fs::File::open(on(path)).and_then(|file| file.set_modified(time))
        }
        Action::ReadOnly(path, read_only) => {
            let mode = if *read_only { 0o444 } else { 0o644 };
            if on(path).is_file() { fs::set_permissions(on(path), fs::Permissions::from_mode(mode)) } else { Ok(()) }
        }
    };
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct State {
    /// Data, text of a link, or `/`.
    content: Vec<u8>,
    /// In ticks of NT.
    modified: (i64, i64),
    read_only: bool,
    /// The first name of the same file.
    first: PathBuf,
}

fn state(tree: &Path) -> BTreeMap<PathBuf, State> {
    let mut firsts = BTreeMap::new();
    let mut state = BTreeMap::new();
    let mut todo = vec![tree.to_path_buf()];
    while let Some(path) = todo.pop() {
        let metadata = path.symlink_metadata().unwrap();
        let name = path.strip_prefix(tree).unwrap().to_path_buf();
        let content = if metadata.is_dir() {
            todo.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            b"/".to_vec()
        } else if metadata.is_symlink() {
            fs::read_link(&path).unwrap().into_os_string().into_encoded_bytes()
        } else {
            let first: &mut PathBuf = firsts.entry(metadata.ino()).or_insert_with(|| name.clone());
            *first = first.clone().min(name.clone());
            fs::read(&path).unwrap()
        };
        let modified = (metadata.mtime(), metadata.mtime_nsec() / 100);
        let read_only = metadata.is_file() && metadata.permissions().readonly();
        state.insert(name.clone(), (State { content, modified, read_only, first: name }, metadata.ino()));
    }
    let first =
        |(state, number): (State, u64)| State { first: firsts.get(&number).cloned().unwrap_or_default(), ..state };
    state.into_iter().map(|(name, found)| (name, first(found))).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, max_shrink_iters: 400, ..ProptestConfig::default() })]

    #[test]
    fn what_is_exported_gives_the_same_tree(
        lower in proptest::collection::vec(member(), 0..20),
        upper in proptest::collection::vec(member(), 0..8),
        rounds in proptest::collection::vec(proptest::collection::vec(action(), 0..10), 1..3),
    ) {
        let mut sandbox = Sandbox::new(&[layer(&upper), layer(&lower)]);
        for actions in rounds {
            prop_assert_eq!(sandbox.told(), [""; 0]);
            for action in &actions {
                act(&sandbox.tree(), action);
            }
            let edited = state(&sandbox.tree());
            let next = sandbox.next();
            prop_assert_eq!(state(&next.tree()), edited);
            sandbox = next;
        }
        prop_assert_eq!(sandbox.told(), [""; 0]);
    }
}
