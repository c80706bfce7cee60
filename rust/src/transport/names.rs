//! Names in a transport folder: which there can be, and which were taken, compared as NTFS does.

use crate::error::{Error, Limit, Result, Rule, display_name};
use crate::layer_name::{below_files, components, trimmed};
use crate::limits::Limits;
use crate::nt::name::{fold_into, is_wtf8};
use crate::nt::path::check_member_name;
use crate::policy::Policy;
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

/// The file of the graph driver beside them that names the parents: JSON, their paths, nearest first.
pub(crate) const CHAIN: &str = "layerchain.json";
/// The file of the graph driver that holds the id by which the system knows the layer: text. Docker's driver reads the
/// second spelling, which differs where file names tell case.
pub(crate) const OTHER_IDS: [&str; 2] = ["layerID", "layerId"];

/// Whether the graph driver keeps a file of its own by this name beside the files of a layer.
pub(crate) fn is_of_driver(name: impl AsRef<std::ffi::OsStr>) -> bool {
    let name = name.as_ref();
    name == CHAIN || OTHER_IDS.iter().any(|id| name == *id)
}

/// Whether metadata is kept in the form of the folder. It is below `Files`; elsewhere a file is just its data.
pub(super) fn has_metadata(name: &[u8]) -> bool {
    below_files(name).is_some()
}

/// Refuses a component that is no name on every system: the folder may be read on another one than it was written on.
///
/// # Errors
/// The rules of names.
pub(crate) fn check_component(component: &[u8]) -> Result<()> {
    let rule = match component {
        b"" => Rule::NameEmpty,
        b"." => Rule::NameReserved,
        b".." => Rule::NameEscapes,
        _ if component.contains(&0) => Rule::NameNul,
        _ if component.contains(&b'\\') => Rule::NameBackslash,
        _ if component.contains(&b':') => Rule::NameColon,
        _ if component.contains(&b'/') => Rule::NameReserved,
        _ if !is_wtf8(component) => Rule::NameNotUnicode,
        _ => return Ok(()),
    };
    Err(Error::refused(rule, display_name(component)))
}

/// Refuses a member name that cannot be a path in the folder; gives it without a slash at its end.
///
/// # Errors
/// The rules of names; [`Error::Limit`].
pub(crate) fn check_name<'a>(name: &'a [u8], limits: &Limits) -> Result<&'a [u8]> {
    check_member_name(name, &Policy::strict(), limits)?;
    let name = trimmed(name);
    components(name).try_for_each(check_component)?;
    Ok(name)
}

/// A directory that was made.
///
/// Directories are in the order in which they were made, those above first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Directory(u32);

/// What a name leads to; of what is no directory the name as it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taken<'a> {
    Nothing,
    Directory(Directory),
    Other(&'a [u8]),
}

struct Node {
    parent: u32,
    name: Box<[u8]>,
    /// Whether it is a link, into which nothing is put.
    link: bool,
    /// Whether its metadata was written, and not only what is in it.
    told: bool,
    /// Whether something is in it.
    filled: bool,
}

/// The names that were made, as a tree: a deep path costs no more than its length. Names are found by keyed hashes of
/// 64 bits, whose key is random, so that nobody can make two names of one hash.
pub(crate) struct Tree {
    nodes: Vec<Node>,
    directories: HashMap<u64, u32>,
    others: HashMap<u64, Box<[u8]>>,
    keys: RandomState,
    limits: Limits,
    folded: Vec<u8>,
}

impl Tree {
    pub const TOP: Directory = Directory(0);

    pub fn new(limits: &Limits) -> Self {
        let top = Node { parent: 0, name: Box::default(), link: false, told: false, filled: false };
        Tree {
            nodes: vec![top],
            directories: HashMap::new(),
            others: HashMap::new(),
            keys: RandomState::new(),
            limits: limits.clone(),
            folded: Vec::new(),
        }
    }

    /// What there is of this name in a directory, in any spelling.
    pub fn get(&mut self, parent: Directory, component: &[u8]) -> Taken<'_> {
        let key = self.key(parent, component);
        match (self.directories.get(&key), self.others.get(&key)) {
            (Some(directory), _) => Taken::Directory(Directory(*directory)),
            (None, Some(spelling)) => Taken::Other(spelling),
            (None, None) => Taken::Nothing,
        }
    }

    /// What there is of a whole name, in any spelling; its directory too, where that exists.
    pub fn find(&mut self, name: &[u8]) -> (Option<Directory>, Taken<'_>) {
        let mut at = Tree::TOP;
        let mut components = components(name).peekable();
        while let Some(component) = components.next() {
            if components.peek().is_none() {
                return (Some(at), self.get(at, component));
            }
            match self.get(at, component) {
                Taken::Directory(next) => at = next,
                _ => break,
            }
        }
        (None, Taken::Nothing)
    }

    /// Takes a name for a directory.
    ///
    /// # Errors
    /// [`Limit::Entries`].
    pub fn add_directory(&mut self, parent: Directory, component: &[u8]) -> Result<Directory> {
        let key = self.key(parent, component);
        self.check()?;
        let id =
            u32::try_from(self.nodes.len()).map_err(|_| Error::limit(Limit::Entries, u64::MAX, u32::MAX.into()))?;
        let node = Node { parent: parent.0, name: component.into(), link: false, told: false, filled: false };
        self.nodes.push(node);
        self.directories.insert(key, id);
        Ok(Directory(id))
    }

    /// Takes a name for anything else.
    ///
    /// # Errors
    /// [`Limit::Entries`].
    pub fn add_other(&mut self, parent: Directory, component: &[u8]) -> Result<()> {
        let key = self.key(parent, component);
        self.check()?;
        self.others.insert(key, component.into());
        Ok(())
    }

    /// Says that a directory's metadata is being written; tells whether it was before.
    ///
    /// # Errors
    /// [`Rule::LinkEscapes`] for a link in which something is.
    pub fn tell(&mut self, directory: Directory, link: bool) -> Result<bool> {
        let node = &mut self.nodes[directory.0 as usize];
        if link && node.filled {
            return Err(Error::refused(Rule::LinkEscapes, "a link in which something is"));
        }
        node.link = link;
        Ok(std::mem::replace(&mut node.told, true))
    }

    /// Says that something is put into a directory.
    ///
    /// # Errors
    /// [`Rule::LinkEscapes`] when it is a link.
    pub fn enter(&mut self, directory: Directory) -> Result<()> {
        if self.nodes[directory.0 as usize].link {
            let detail = format!("{} is a link", display_name(&self.directory_path(directory)));
            return Err(Error::refused(Rule::LinkEscapes, detail));
        }
        self.nodes[directory.0 as usize].filled = true;
        Ok(())
    }

    /// The name of a directory in the spelling that was made.
    pub fn directory_path(&self, directory: Directory) -> Vec<u8> {
        let node = &self.nodes[directory.0 as usize];
        self.path(Directory(node.parent), &node.name)
    }

    /// The name of something in a directory, with the directory in the spelling that was made.
    pub fn path(&self, parent: Directory, component: &[u8]) -> Vec<u8> {
        let mut components = vec![component];
        let mut at = parent.0;
        while at != 0 {
            let node = &self.nodes[at as usize];
            components.push(&node.name);
            at = node.parent;
        }
        components.reverse();
        components.join(&b'/')
    }

    fn key(&mut self, parent: Directory, component: &[u8]) -> u64 {
        fold_into(component, &mut self.folded);
        self.keys.hash_one((parent.0, self.folded.as_slice()))
    }

    fn check(&self) -> Result<()> {
        self.limits.check(Limit::Entries, (self.nodes.len() + self.others.len()) as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_in_any_case() {
        let mut tree = Tree::new(&Limits::default());
        let files = tree.add_directory(Tree::TOP, b"Files").unwrap();
        let street = tree.add_directory(files, "Straße".as_bytes()).unwrap();
        tree.add_other(street, b"a").unwrap();
        assert_eq!(tree.get(Tree::TOP, b"FILES"), Taken::Directory(files));
        assert_eq!(tree.get(files, "STRAßE".as_bytes()), Taken::Directory(street));
        assert_eq!(tree.get(files, b"STRASSE"), Taken::Nothing);
        assert_eq!(tree.get(street, b"A"), Taken::Other(b"a"));
        assert_eq!(tree.find("files/STRAßE/A".as_bytes()), (Some(street), Taken::Other(b"a")));
        assert_eq!(tree.find(b"Files/x/y"), (None, Taken::Nothing));
        assert_eq!(tree.path(street, b"x"), "Files/Straße/x".as_bytes());
        assert_eq!(tree.directory_path(street), "Files/Straße".as_bytes());
        assert!(!tree.tell(street, false).unwrap() && tree.tell(street, true).unwrap());
        assert_eq!(tree.enter(street).unwrap_err().code(), "link_escapes");
        tree.enter(files).unwrap();
        assert_eq!(tree.tell(files, true).unwrap_err().code(), "link_escapes");
    }

    #[test]
    fn they_are_bounded() {
        let mut tree = Tree::new(&Limits { entries: 2, ..Limits::default() });
        tree.add_directory(Tree::TOP, b"a").unwrap();
        tree.add_other(Tree::TOP, b"b").unwrap();
        assert_eq!(tree.add_other(Tree::TOP, b"c").unwrap_err().code(), "limit_entries");
    }

    #[test]
    fn components_are_names_on_every_system() {
        let table: [(&[u8], &str); 9] = [
            (b"", "name_empty"),
            (b".", "name_reserved"),
            (b"..", "name_escapes"),
            (b"a\0", "name_nul"),
            (b"a\\b", "name_backslash"),
            (b"a:b", "name_colon"),
            (b"a/b", "name_reserved"),
            (b"\xff", "name_not_unicode"),
            (b"\xed\xa0\x80", "ok"),
        ];
        for (component, code) in table {
            assert_eq!(check_component(component).map_or_else(|e| e.code(), |()| "ok"), code);
        }
        let limits = Limits::default();
        assert_eq!(check_name(b"Files/a/", &limits).unwrap(), b"Files/a");
        assert_eq!(check_name(b"Files/./a", &limits).unwrap_err().code(), "name_reserved");
        assert_eq!(check_name(b"Files//a", &limits).unwrap_err().code(), "name_empty");
    }
}
