//! `tombstones.txt`: the names that a layer deletes from those below it.
//!
//! UTF-8 with a byte order mark. The first line is `Version 1.0`; each other one is a path below `Files`, its
//! components joined by `\`, with a `\` in front.

use super::names::check_component;
use crate::error::{Error, Format, Limit, Result, Rule, from_io};
use crate::layer_name::{FILES, below_files, is_named_like_whiteout, parent, push, with_backslashes};
use crate::limits::Limits;
use crate::nt::name::fold_into;
use crate::nt::path::check_member_name;
use crate::policy::Policy;
use std::collections::BTreeMap;
use std::io::{BufRead, Read, Write};

/// The name of the file, at the top of the folder.
pub const FILE: &str = "tombstones.txt";

/// What the file begins with.
pub(super) const HEADER: &[u8] = b"\xef\xbb\xbfVersion 1.0\n";

/// The deleted names, by the directory that they are in.
#[derive(Debug, Default)]
pub(super) struct Tombstones(BTreeMap<Vec<u8>, Vec<Vec<u8>>>);

impl Tombstones {
    /// Reads the file. Its lines may end in CR LF, and the last one without either.
    ///
    /// # Errors
    /// [`Error::Format`] with the offset of the line; [`Error::Limit`]; [`Error::Io`].
    pub fn read(mut source: impl BufRead, limits: &Limits) -> Result<Self> {
        let mut tombstones = Tombstones::default();
        let (mut line, mut folded) = (Vec::new(), Vec::new());
        let (mut offset, mut count) = (0, 0);
        // Three bytes of WTF-8 hold any unit, and the rest is the `\` in front and what ends the line.
        let longest = limits.path.saturating_mul(3).saturating_add(3);
        loop {
            line.clear();
            source.by_ref().take(longest + 1).read_until(b'\n', &mut line).map_err(from_io)?;
            let start = offset;
            offset += line.len() as u64;
            if line.is_empty() && count > 0 {
                return Ok(tombstones);
            }
            if line.len() as u64 > longest {
                return Err(Error::limit(Limit::Path, line.len() as u64, limits.path).in_member(FILE.as_bytes()));
            }
            let line = line.strip_suffix(b"\n").unwrap_or(&line);
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            count += 1;
            if count == 1 {
                check_header(line)?;
                continue;
            }
            limits.check(Limit::Entries, count - 1).map_err(|e| e.in_member(FILE.as_bytes()))?;
            let name = member_name(line, limits).map_err(|error| match error {
                Error::Refused { rule, .. } => wrong("tombstone", "a path below \\", &rule.to_string(), line, start),
                other => other.at(start).in_member(FILE.as_bytes()),
            })?;
            fold_into(parent(&name), &mut folded);
            tombstones.0.entry(folded.clone()).or_default().push(name);
        }
    }

    /// Takes out the names that are deleted from a directory, as members (`Files/...`), in the order of the file.
    pub fn take(&mut self, directory: &[u8]) -> Vec<Vec<u8>> {
        if self.0.is_empty() {
            return Vec::new();
        }
        let mut folded = Vec::new();
        fold_into(directory, &mut folded);
        self.0.remove(&folded).unwrap_or_default()
    }

    /// Takes out all that are left, by directory.
    pub fn take_rest(&mut self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.0).into_values().flatten().collect()
    }
}

/// Writes a line that deletes a member (`Files/...`).
///
/// # Errors
/// [`Rule::TransportForm`] for a name outside of `Files` or one that no line can hold; [`Error::Io`].
pub(super) fn write_line(sink: &mut impl Write, name: &[u8]) -> Result<()> {
    let form = |detail: &str| Err(Error::refused(Rule::TransportForm, detail));
    let Some(path) = below_files(name) else {
        return form("only what is below Files can be deleted");
    };
    if path.contains(&b'\n') || path.ends_with(b"\r") {
        return form("tombstones.txt has a line for each name");
    }
    if std::str::from_utf8(path).is_err() {
        return form("tombstones.txt is UTF-8");
    }
    let mut line = vec![b'\\'];
    line.extend(with_backslashes(path));
    line.push(b'\n');
    sink.write_all(&line).map_err(from_io)
}

fn check_header(line: &[u8]) -> Result<()> {
    let Some(version) = line.strip_prefix(b"\xef\xbb\xbf") else {
        let start = &line[..line.len().min(3)];
        return Err(wrong("byte order mark", "EF BB BF", &crate::digest::hex(start), start, 0));
    };
    if version != b"Version 1.0" {
        return Err(wrong("version", "\"Version 1.0\"", "another line", version, 3));
    }
    Ok(())
}

fn member_name(line: &[u8], limits: &Limits) -> Result<Vec<u8>> {
    let Some(path) = line.strip_prefix(b"\\") else { return Err(Error::refused(Rule::NameEscapes, "")) };
    if std::str::from_utf8(path).is_err() {
        return Err(Error::refused(Rule::NameNotUnicode, ""));
    }
    let mut name = FILES.to_vec();
    for component in path.split(|&byte| byte == b'\\') {
        check_component(component)?;
        push(&mut name, component);
    }
    check_member_name(&name, &Policy::strict(), limits)?;
    // Its whiteout would mean something else.
    if is_named_like_whiteout(&name) {
        return Err(Error::refused(Rule::WhiteoutName, ""));
    }
    Ok(name)
}

fn wrong(field: &'static str, expected: &str, why: &str, line: &[u8], offset: u64) -> Error {
    let line = &line[..line.len().min(64)];
    let found = format!("\"{}\": {why}", line.escape_ascii());
    Error::format(Format::Transport, field, expected, found).at(offset).in_member(FILE.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &[u8]) -> Result<Vec<Vec<u8>>> {
        Tombstones::read(text, &Limits::default()).map(|mut tombstones| tombstones.take_rest())
    }

    fn with(line: &[u8]) -> Vec<u8> {
        [HEADER, line, b"\n"].concat()
    }

    #[test]
    fn names_come_back_by_directory() {
        let text = with(b"\\b\r\n\\Windows\\x\n\\a\n\\WINDOWS\\y");
        let mut tombstones = Tombstones::read(&text[..], &Limits::default()).unwrap();
        assert_eq!(tombstones.take(b"files"), [b"Files/b", b"Files/a"]);
        assert_eq!(tombstones.take(b"Files/windows"), [b"Files/Windows/x", b"Files/WINDOWS/y"]);
        assert!(tombstones.take(b"Files").is_empty() && tombstones.take_rest().is_empty());
        assert!(read(HEADER).unwrap().is_empty());
        assert!(read(b"\xef\xbb\xbfVersion 1.0").unwrap().is_empty());
    }

    #[test]
    fn what_no_tombstone_is_has_a_place() {
        let table: [(&[u8], &str); 12] = [
            (b"", "at byte 0: tombstones.txt: transport folder byte order mark: expected EF BB BF, found \"\": "),
            (b"Version 1.0\n", "at byte 0: tombstones.txt: transport folder byte order mark: expected EF BB BF, found"),
            (
                b"\xef\xbb\xbfVersion 2.0\n",
                "at byte 3: tombstones.txt: transport folder version: expected \"Version 1.0\"",
            ),
            (
                &with(b"a"),
                "at byte 15: tombstones.txt: transport folder tombstone: expected a path below \\, found \"a\"",
            ),
            (&with(b""), "at byte 15: "),
            (&with(b"\\"), "at byte 15: "),
            (&with(b"\\ok\n\\a\\..\\b"), "at byte 19: "),
            (&with(b"\\a\\\\b"), "at byte 15: "),
            (&with(b"\\a/b"), "at byte 15: "),
            (&with(b"\\a:b"), "at byte 15: "),
            (&with(b"\\a\\.wh.b"), "at byte 15: "),
            (&with(b"\\\xff"), "at byte 15: "),
        ];
        for (text, place) in table {
            let error = read(text).unwrap_err();
            assert_eq!(error.code(), "bad_transport", "{error}");
            assert!(error.to_string().starts_with(place), "{error}");
        }
    }

    #[test]
    fn lines_are_bounded() {
        let limits = Limits { path: 10, entries: 1, ..Limits::default() };
        let code = |text: &[u8]| Tombstones::read(text, &limits).unwrap_err().code();
        assert_eq!(code(&with(&[b'\\'; 1000])), "limit_path");
        assert_eq!(code(&with(b"\\a\n\\b")), "limit_entries");
    }

    #[test]
    fn what_no_line_holds_is_refused() {
        let mut out = Vec::new();
        write_line(&mut out, b"Files/a/b").unwrap();
        assert_eq!(out, b"\\a\\b\n");
        for name in [&b"Hives/x"[..], b"Files", b"Files/a\nb", b"Files/a\r", b"Files/\xed\xa0\x80"] {
            assert_eq!(write_line(&mut out, name).unwrap_err().code(), "transport_form");
        }
    }
}
