//! The second pass of a scan: what became of a path that differs from the record.

use super::candidates::{Before, Candidate, Candidates};
use crate::backend::portable::layout::lost;
use crate::backend::portable::link_text::text_on_disk;
use crate::backend::portable::record::Stat;
use crate::backend::portable::tree::place;
use crate::backend::{ChangeKind, What};
use crate::error::{Error, Result, Rule};
use crate::fs::disk::{Disk, changed};
use crate::fs::{Kind, Metadata};
use crate::layer::pack::FileData;
use crate::layer_tar::EntryKind;
use crate::view::chain::View;
use std::collections::{HashMap, HashSet};
use std::io::{BufRead, Read};

/// What one read takes.
pub(super) const CHUNK: usize = 256 << 10;

/// What became of a path.
pub(super) struct Edit {
    pub path: Vec<u8>,
    pub kind: ChangeKind,
    pub what: What,
    /// Bytes of data of a file.
    pub size: u64,
    pub body: Body,
}

/// What is at a path now. `of` is what its metadata comes from; without it the path is new.
pub(super) enum Body {
    Gone,
    Directory {
        of: Option<Before>,
        now: Stat,
    },
    File {
        of: Option<Before>,
        now: Metadata,
        /// The data is that of `of`.
        same_data: bool,
    },
    Symlink {
        of: Option<Before>,
        now: Stat,
        text: Vec<u8>,
        /// The link is that of `of`.
        same_link: bool,
    },
    /// Another name of a file, with the member that has the data, in this layer or below.
    Link {
        of: Option<Before>,
        now: Stat,
        target: Vec<u8>,
    },
}

/// A file with more than one name.
struct Group {
    /// The name that the others are linked to.
    leader: Vec<u8>,
    /// It is one of the layers below, unchanged.
    is_below: bool,
    /// The file that it was when it was laid out.
    was: Option<Stat>,
    /// What is new since it was laid out.
    what: What,
    of: Option<Before>,
    same_data: bool,
}

pub(super) struct Judge<'a> {
    disk: &'a Disk,
    view: &'a View,
    candidates: &'a Candidates,
    groups: HashMap<(u64, u64), Group>,
    /// Files that are gone, and of which a group of names is a copy.
    copied: HashSet<(u64, u64)>,
    buffer: Vec<u8>,
}

impl<'a> Judge<'a> {
    pub fn new(disk: &'a Disk, view: &'a View, candidates: &'a Candidates) -> Self {
        Judge { disk, view, candidates, groups: HashMap::new(), copied: HashSet::new(), buffer: vec![0; CHUNK] }
    }

    /// Tells what became of a candidate; `None` where nothing did.
    ///
    /// # Errors
    /// Those of [`super::changes`].
    pub fn edit(&mut self, candidate: &Candidate) -> Result<Option<Edit>> {
        let Some(now) = &candidate.now else {
            let (path, kind) = (candidate.path.clone(), ChangeKind::Delete);
            return Ok(Some(Edit { path, kind, what: What::default(), size: 0, body: Body::Gone }));
        };
        let found = match now.kind {
            Kind::Directory => self.directory(candidate, now),
            Kind::Symlink => self.symlink(candidate, now),
            Kind::File => self.file(candidate, now),
            Kind::Other => Err(Error::refused(Rule::MemberType, "")),
        };
        let Some((what, body)) = found.map_err(|e| e.in_member(&candidate.path))? else { return Ok(None) };
        let size = if let Body::File { now, .. } = &body { now.size } else { 0 };
        let (kind, what) = match &candidate.before {
            // All of it is new.
            None => (ChangeKind::Add, What::default()),
            Some(_) => (ChangeKind::Modify, what),
        };
        Ok(Some(Edit { path: candidate.path.clone(), kind, what, size, body }))
    }

    fn directory(&self, candidate: &Candidate, now: &Stat) -> Result<Option<(What, Body)>> {
        let (of, what) = self.source(candidate, now)?;
        let now = now.clone();
        Ok((!what.is_empty()).then_some((what, Body::Directory { of, now })))
    }

    fn symlink(&self, candidate: &Candidate, now: &Stat) -> Result<Option<(What, Body)>> {
        let (of, mut what) = self.source(candidate, now)?;
        let text = self.disk.read_link(place(&candidate.path)).map_err(|_| changed(&candidate.path, "it is gone"))?;
        let same_link = match &of {
            Some(of) => self.laid_out_link(&of.path)?.as_ref() == Some(&text),
            None => false,
        };
        if !same_link {
            what |= What::DATA;
        }
        let now = now.clone();
        Ok((!what.is_empty()).then_some((what, Body::Symlink { of, now, text, same_link })))
    }

    fn file(&mut self, candidate: &Candidate, now: &Stat) -> Result<Option<(What, Body)>> {
        if now.links > 1 {
            return self.linked(candidate, now);
        }
        let (of, mut what) = self.source(candidate, now)?;
        let now = self.stat(candidate)?;
        let same_data = self.same_data(&candidate.path, &now, of.as_ref())?;
        if !same_data {
            what |= What::DATA;
        }
        if candidate.same_kind().is_some_and(|before| before.stat.links > 1) && !candidate.same_file() {
            what |= What::LINKS;
        }
        Ok((!what.is_empty()).then_some((what, Body::File { of, now, same_data })))
    }

    /// One name of a file that has more.
    fn linked(&mut self, candidate: &Candidate, now: &Stat) -> Result<Option<(What, Body)>> {
        let key = (now.device, now.inode);
        if !self.groups.contains_key(&key) {
            let group = self.group(candidate, now)?;
            self.groups.insert(key, group);
        }
        let meta = self.stat(candidate)?;
        let was = self.groups[&key].was.clone();
        let is_kept = candidate.same_kind().zip(was.as_ref()).is_some_and(|(before, was)| before.stat.same_file(was));
        let other = candidate.same_kind().filter(|_| !is_kept).cloned();
        let own_data_same = other.is_none() || self.same_data(&candidate.path, &meta, other.as_ref())?;
        let group = &self.groups[&key];
        let is_leader = !group.is_below && group.leader == candidate.path;
        let mut what = What::default();
        if is_kept {
            what |= group.what;
            if group.is_below && candidate.before.as_ref().is_none_or(|before| !before.respelled) {
                return Ok(None);
            }
            if what.is_empty() {
                what = What::LINKS;
            }
        } else {
            what = what | What::LINKS | if own_data_same { What::default() } else { What::DATA };
        }
        let body = if is_leader {
            Body::File { of: group.of.clone(), now: meta, same_data: group.same_data }
        } else {
            Body::Link { of: group.of.clone(), now: now.clone(), target: group.leader.clone() }
        };
        Ok(Some((what, body)))
    }

    fn group(&mut self, candidate: &Candidate, now: &Stat) -> Result<Group> {
        let names = self.candidates.names_of(now)?;
        let first = names.first().unwrap_or(candidate);
        let was = self.continued(&names)?;
        let is_kept = |name: &&Candidate, respelled: bool| {
            let before = name.same_kind().filter(|before| before.respelled == respelled);
            before.zip(was.as_ref()).is_some_and(|(before, was)| before.stat.same_file(was))
        };
        let kept =
            names.iter().find(|name| is_kept(name, false)).or_else(|| names.iter().find(|name| is_kept(name, true)));
        let source = kept.unwrap_or(first);
        let (of, mut what) = self.source(source, now)?;
        let same_data = self.same_data(&source.path, &self.stat(source)?, of.as_ref())?;
        if !same_data {
            what |= What::DATA;
        }
        let is_below = kept.is_some() && what.is_empty();
        let leader = if is_below { source.path.clone() } else { first.path.clone() };
        Ok(Group { leader, is_below, was, what, of, same_data })
    }

    /// The file that the names of another one stand for: itself, or one that was copied with all its names and is gone.
    fn continued(&mut self, names: &[Candidate]) -> Result<Option<Stat>> {
        let before = |name: &&Candidate| name.same_kind().map(|before| before.stat.clone());
        if let Some(same) = names.iter().find(|name| name.same_file()) {
            return Ok(before(&same));
        }
        let Some(was) = names.iter().find_map(|name| before(&name)) else { return Ok(None) };
        let is_there = self.candidates.names_of(&was)?.iter().any(Candidate::same_file);
        // The copy of one file may have fallen apart.
        Ok((!is_there && self.copied.insert((was.device, was.inode))).then_some(was))
    }

    /// Where the metadata comes from, and what of it is new, data left aside.
    fn source(&self, candidate: &Candidate, now: &Stat) -> Result<(Option<Before>, What)> {
        let mut what = What::default();
        if let Some(before) = candidate.same_kind() {
            if before.stat.modified != now.modified {
                what |= What::TIMES;
            }
            if before.stat.read_only != now.read_only {
                what |= What::ATTRIBUTES;
            }
            if before.respelled {
                what |= What::LINKS;
            }
            return Ok((Some(before.clone()), what));
        }
        let replaced = What::DATA | What::ATTRIBUTES | What::SECURITY | What::TIMES;
        Ok((self.candidates.moved_from(now)?, replaced))
    }

    /// Looks at a file again: it may have been replaced meanwhile.
    fn stat(&self, candidate: &Candidate) -> Result<Metadata> {
        let gone = || changed(&candidate.path, "it was replaced");
        let metadata = self.disk.stat(place(&candidate.path))?.ok_or_else(gone)?;
        let now = Stat::of(&metadata);
        let same = candidate
            .now
            .as_ref()
            .is_some_and(|then| (then.kind, then.device, then.inode) == (now.kind, now.device, now.inode));
        if same { Ok(metadata) } else { Err(gone()) }
    }

    /// The text with which a link was laid out.
    fn laid_out_link(&self, path: &[u8]) -> Result<Option<Vec<u8>>> {
        let node = self.view.find(path)?.ok_or_else(|| lost(path, "in the record, and not in the layers"))?;
        let shown = self.view.data(&node)?;
        match shown.kind {
            EntryKind::Symlink | EntryKind::Junction | EntryKind::Reparse => {
                text_on_disk(self.view, &node.path, &self.view.entry(&shown)?.entry)
            }
            _ => Ok(None),
        }
    }

    /// Whether a file holds what was laid out at a path.
    fn same_data(&mut self, path: &[u8], now: &Metadata, of: Option<&Before>) -> Result<bool> {
        let Some(of) = of.filter(|of| of.stat.size == now.size) else { return Ok(false) };
        let node = self.view.find(&of.path)?.ok_or_else(|| lost(&of.path, "in the record, and not in the layers"))?;
        let shown = self.view.data(&node)?;
        let has_data = shown.kind == EntryKind::File || self.view.entry(&shown)?.entry.data.is_some();
        let mut data = FileData::open(self.disk, place(path), now, &mut self.buffer)?;
        if has_data {
            let mut before = self.view.open(&shown, None)?;
            let mut other = Vec::with_capacity(CHUNK);
            loop {
                let chunk = data.fill_buf().map_err(crate::error::from_io)?;
                other.clear();
                let wanted = (chunk.len() as u64).max(1);
                (&mut before).take(wanted).read_to_end(&mut other).map_err(crate::error::from_io)?;
                if chunk != other {
                    return Ok(false);
                }
                if chunk.is_empty() {
                    break;
                }
                let n = chunk.len();
                data.consume(n);
            }
        } else if now.size > 0 {
            return Ok(false);
        }
        data.finish().map(|()| true)
    }
}
