//! What can be wrong with an entry, and with entries side by side.

use super::names::{Known, Names};
use crate::backup_stream::StreamId;
use crate::error::{Error, Format, Result, Rule};
use crate::fs::disk::check_stream_name;
use crate::layer_name::{
    OPAQUE_WHITEOUT, base_name, hidden_by, is_named_like_whiteout, parents, root_name, top, trimmed, with_backslashes,
};
use crate::layer_tar::{Body, EntryKind, LayerEntry, go_winio_losses};
use crate::limits::Limits;
use crate::nt::name::{Win32Trouble, fold_into, utf16_from_wtf8, win32_trouble};
use crate::nt::path::check_member_name;
use crate::nt::reparse::{ReparseKind, ReparsePoint};
use crate::nt::security::SecurityDescriptor;
use crate::nt::{FileAttributes, ea};
use crate::policy::{Capped, Loss, Policy};
use crate::problem::{Flaw, Problem, ProblemCode};
use crate::tar::Member;
use std::collections::HashSet;

/// How many unknown roots are reported once each; beyond that, every entry below an unknown root is reported.
const UNKNOWN_ROOTS: usize = 1_000;

/// Collects the problems of a layer, an entry at a time.
pub(super) struct Inspector<'a> {
    policy: &'a Policy,
    limits: &'a Limits,
    names: Names,
    problems: Capped<Problem>,
    losses: Capped<Loss>,
    /// Members whose parent had not come when they did.
    orphans: Capped<Orphan>,
    unknown_roots: HashSet<Vec<u8>>,
}

struct Orphan {
    parent: Vec<u8>,
    child: Vec<u8>,
    offset: u64,
}

impl<'a> Inspector<'a> {
    pub fn new(policy: &'a Policy, limits: &'a Limits) -> Self {
        Inspector {
            policy,
            limits,
            names: Names::new(limits),
            problems: Capped::default(),
            losses: Capped::default(),
            orphans: Capped::default(),
            unknown_roots: HashSet::new(),
        }
    }

    pub fn problem(
        &mut self,
        code: impl Into<ProblemCode>,
        path: &[u8],
        offset: Option<u64>,
        message: impl Into<String>,
    ) {
        let code = code.into();
        self.problems.push(code.name(), Problem { code, path: path.to_vec(), offset, message: message.into() });
    }

    /// A problem of which the code says all.
    pub fn note(&mut self, code: impl Into<ProblemCode> + ToString, path: &[u8], at: u64) {
        let message = code.to_string();
        self.problem(code, path, Some(at), message);
    }

    pub fn error(&mut self, error: &Error) {
        let problem = Problem::of(error);
        self.problems.push(problem.code.name(), problem);
    }

    fn error_at(&mut self, error: &Error, entry: &LayerEntry, at: u64) {
        self.problem(error.kind(), &entry.name, Some(at), error.to_string());
    }

    /// A member that makes no entry: its name still takes its place.
    pub fn refused(&mut self, error: &Error, member: &Member) -> Result<()> {
        self.problem(error.kind(), &member.name, Some(member.position), error.to_string());
        let name = self.names.hash(&member.name);
        self.names.learn(name, Known::SEEN)
    }

    /// Looks at an entry of which only the headers were read.
    pub fn entry(&mut self, entry: &LayerEntry, member: &Member) -> Result<()> {
        let at = member.position;
        self.name(entry, at);
        self.place(entry, at)?;
        self.security_descriptor(entry, at);
        self.extended_attributes(entry, at);
        self.reparse(entry, at);
        self.attributes(entry, at);
        if entry.kind == EntryKind::Whiteout {
            self.whiteout(entry, at);
        }
        Ok(())
    }

    /// Looks at the name of a named stream; `seen` are those of the same file so far.
    pub fn stream(&mut self, owner: &LayerEntry, stream: &[u8], at: u64, seen: &mut HashSet<Vec<u8>>) {
        let mut folded = Vec::new();
        fold_into(stream, &mut folded);
        let name = [&owner.name, &b":"[..], stream].concat();
        if matches!(owner.kind, EntryKind::HardLink | EntryKind::Whiteout) {
            self.problem(Rule::NameColon, &name, Some(at), "hard links and whiteouts have no streams");
        }
        if !seen.insert(folded) {
            self.problem(Rule::DuplicateName, &name, Some(at), "two streams of one name");
        }
        if check_stream_name(stream).is_err() {
            self.note(Flaw::StreamName, &name, at);
        }
    }

    /// All problems in the order of their places, and the losses.
    pub fn finish(mut self) -> (Capped<Problem>, Capped<Loss>) {
        let orphans = std::mem::take(&mut self.orphans);
        for Orphan { parent, child, offset } in orphans.items {
            let hash = self.names.hash(&parent);
            if !self.names.get(hash).has(Known::SEEN) {
                let message = format!("its directory, {}, is not in this layer", crate::error::display_name(&parent));
                self.problem(Flaw::ParentMissing, &child, Some(offset), message);
            }
        }
        // Only the first orphans were kept; all their parents are known.
        let missing = self.names.count(|known| known.has(Known::PARENT_WANTED) && !known.has(Known::SEEN));
        if missing > 0 {
            self.problems.totals.insert("parent_missing", missing);
        }
        self.problems.items.sort_by_key(|problem| problem.offset);
        (self.problems, self.losses)
    }

    fn name(&mut self, entry: &LayerEntry, at: u64) {
        let name = &entry.name;
        if let Err(error) = check_member_name(name, self.policy, self.limits) {
            return self.error_at(&error, entry, at);
        }
        if !self.policy.allow_colon && name.contains(&b':') {
            return self.problem(Rule::NameColon, name, Some(at), "a stream that does not follow its file");
        }
        let mut base = base_name(name);
        if entry.kind == EntryKind::Whiteout {
            base = hidden_by(base);
        }
        let Some(units) = utf16_from_wtf8(base) else {
            return self.note(Rule::NameNotUnicode, name, at);
        };
        let message = match win32_trouble(&units) {
            None => return,
            Some(Win32Trouble::NotAName) => "`.` is no name of its own",
            Some(Win32Trouble::Device) => "Win32 takes the name for a device",
            Some(Win32Trouble::TrailingDotOrSpace) => "Win32 cuts off the dot or space at the end",
            Some(Win32Trouble::Character) => "NTFS cannot hold a character of the name",
        };
        self.problem(Rule::NameReserved, name, Some(at), message);
    }

    /// The name among the other names: duplicates, parents, targets of hard links.
    fn place(&mut self, entry: &LayerEntry, at: u64) -> Result<()> {
        let path = trimmed(&entry.name);
        self.root(path, at);
        let name = self.names.hash(path);
        let known = self.names.get(name);
        if known.has(Known::SEEN) {
            if self.names.same_spelling(name) {
                self.note(Rule::DuplicateName, path, at);
            } else {
                self.problem(Rule::CaseCollision, path, Some(at), "a name that differs only in case came before");
            }
        } else if known.has(Known::PARENT_WANTED) {
            self.note(Flaw::ParentLate, path, at);
        }
        if known.has(Known::LINK_WANTED) && !known.has(Known::SEEN) {
            self.note(Flaw::HardLinkEarly, path, at);
        }
        let mut what = Known::SEEN;
        match entry.kind {
            EntryKind::Directory => what.add(Known::DIRECTORY),
            // Some reparse points are directories with entries inside.
            EntryKind::Reparse if entry.basic_info.attributes.is_directory() => what.add(Known::DIRECTORY),
            EntryKind::Whiteout => what.add(Known::UNLINKABLE),
            EntryKind::File | EntryKind::Symlink | EntryKind::Junction | EntryKind::Reparse | EntryKind::HardLink => {}
        }
        self.names.learn(name, what)?;
        if let Some(parent) = parents(path).next_back() {
            self.parent(parent, path, at)?;
        }
        if entry.kind == EntryKind::HardLink { self.hard_link(entry, at) } else { Ok(()) }
    }

    fn root(&mut self, path: &[u8], at: u64) {
        let root = top(path);
        let known = root_name(root).is_some() || is_named_like_whiteout(root);
        if known || self.unknown_roots.contains(root) {
            return;
        }
        if self.unknown_roots.len() < UNKNOWN_ROOTS {
            self.unknown_roots.insert(root.to_vec());
        }
        self.note(Rule::RootUnknown, path, at);
    }

    fn parent(&mut self, parent: &[u8], child: &[u8], at: u64) -> Result<()> {
        let hash = self.names.hash(parent);
        let known = self.names.get(hash);
        if known.has(Known::SEEN) {
            if !known.has(Known::DIRECTORY) {
                self.note(Flaw::ParentKind, child, at);
            }
            return Ok(());
        }
        if !known.has(Known::PARENT_WANTED) {
            let orphan = Orphan { parent: parent.to_vec(), child: child.to_vec(), offset: at };
            self.orphans.push("parent_missing", orphan);
        }
        self.names.learn(hash, Known::PARENT_WANTED)
    }

    fn hard_link(&mut self, entry: &LayerEntry, at: u64) -> Result<()> {
        let target = entry.link_name.as_deref().unwrap_or_default();
        if let Err(error) = check_member_name(target, self.policy, self.limits) {
            let message = format!("its target: {error}");
            self.problem(Rule::LinkEscapes, &entry.name, Some(at), message);
            return Ok(());
        }
        let (own, hash) = (self.names.hash(&entry.name), self.names.hash(target));
        let known = self.names.get(hash);
        if own == hash {
            self.problem(Flaw::HardLinkTarget, &entry.name, Some(at), "a hard link to itself");
        } else if known.has(Known::DIRECTORY) || known.has(Known::UNLINKABLE) {
            self.problem(Flaw::HardLinkTarget, &entry.name, Some(at), "its target is no file");
        } else if !known.has(Known::SEEN) {
            // It may be in a lower layer.
            self.names.learn(hash, Known::LINK_WANTED)?;
        }
        Ok(())
    }

    fn security_descriptor(&mut self, entry: &LayerEntry, at: u64) {
        let Some(raw) = entry.security_descriptor.as_ref().filter(|raw| !raw.is_empty()) else { return };
        if let Err(error) = SecurityDescriptor::new(raw.clone()).parts() {
            self.error_at(&error, entry, at);
        }
    }

    fn extended_attributes(&mut self, entry: &LayerEntry, at: u64) {
        for stream in entry.recorded.iter().flatten().filter(|stream| stream.header.id == StreamId::EA_DATA) {
            if let Body::Inline(bytes) = &stream.body
                && let Err(error) = ea::decode(bytes)
            {
                self.error_at(&error, entry, at);
            }
        }
        let mut seen = HashSet::new();
        for attribute in &entry.extended_attributes {
            let name = attribute.name.escape_ascii();
            let message = if attribute.name.is_empty() || !attribute.name.iter().all(u8::is_ascii_graphic) {
                format!("\"{name}\" is no name of an extended attribute")
            } else if !seen.insert(attribute.name.to_ascii_uppercase()) {
                format!("two extended attributes are named {name}")
            } else {
                continue;
            };
            self.problem(Format::ExtendedAttributes, &entry.name, Some(at), message);
        }
    }

    fn reparse(&mut self, entry: &LayerEntry, at: u64) {
        let Some(raw) = &entry.reparse_point else { return };
        let point = match ReparsePoint::parse(raw.clone()) {
            Ok(point) => point,
            Err(error) => return self.error_at(&error, entry, at),
        };
        if point.kind() == ReparseKind::Other {
            return;
        }
        let (Some(print), Some(_)) = (point.print_name(), point.substitute_name()) else {
            let message = "a name reaches past the end of the reparse buffer";
            return self.problem(Format::ReparsePoint, &entry.name, Some(at), message);
        };
        let Some(link) = &entry.link_name else { return };
        let same = |units: &[u16], link: &[u8]| {
            let (units, link) = (String::from_utf16_lossy(units), String::from_utf8_lossy(link));
            with_backslashes(units.as_bytes()) == with_backslashes(link.as_bytes())
        };
        let wtf8 = utf16_from_wtf8(link).is_some_and(|units| same(&print, String::from_utf16_lossy(&units).as_bytes()));
        if !wtf8 && !same(&print, link) {
            self.note(Flaw::LinkMismatch, &entry.name, at);
        }
    }

    fn attributes(&mut self, entry: &LayerEntry, at: u64) {
        let attributes = entry.basic_info.attributes;
        let plain = attributes == FileAttributes::default() || attributes == FileAttributes::NORMAL;
        // Hard links are names, whiteouts are nothing; and what has no record says nothing.
        if plain || matches!(entry.kind, EntryKind::HardLink | EntryKind::Whiteout) {
            return;
        }
        let reparse = matches!(entry.kind, EntryKind::Symlink | EntryKind::Junction | EntryKind::Reparse);
        let message = match entry.kind {
            EntryKind::Directory if !attributes.is_directory() => "a directory without DIRECTORY",
            EntryKind::File if attributes.is_directory() && entry.recorded.is_none() => "a file with DIRECTORY",
            EntryKind::Junction if !attributes.is_directory() => "a junction without DIRECTORY",
            _ if reparse && !attributes.is_reparse_point() => "a link without REPARSE_POINT",
            _ if !reparse && attributes.is_reparse_point() => "REPARSE_POINT without a reparse buffer",
            _ => return,
        };
        self.problem(Flaw::AttributesMismatch, &entry.name, Some(at), format!("{message}: {attributes}"));
    }

    fn whiteout(&mut self, entry: &LayerEntry, at: u64) {
        let base = base_name(&entry.name);
        let message = if base == OPAQUE_WHITEOUT {
            "Windows knows no opaque directories"
        } else if is_named_like_whiteout(hidden_by(base)) {
            "a whiteout of a whiteout"
        } else if !entry.name.contains(&b'/') {
            "a root cannot be deleted"
        } else if entry.security_descriptor.is_some()
            || !entry.extended_attributes.is_empty()
            || entry.reparse_point.is_some()
        {
            "a whiteout has nothing but a name"
        } else {
            return;
        };
        self.problem(Flaw::WhiteoutForm, &entry.name, Some(at), message);
    }

    /// What the go-winio dialect would lose of an entry that has records beyond it.
    pub fn go_winio_losses(&mut self, entry: &LayerEntry) {
        for loss in go_winio_losses(entry, self.limits) {
            self.losses.push(loss.kind.name(), loss);
        }
    }
}

/// Whether a member has more than the go-winio dialect can carry.
pub(super) fn is_beyond_go_winio(member: &Member) -> bool {
    member.sparse.is_some() || member.pax.iter().any(|(key, _)| key.starts_with(b"WINLAYERS."))
}
