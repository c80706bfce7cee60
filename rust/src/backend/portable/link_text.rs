//! The text with which a link of a layer stands on a disk: always relative, and never out of the view.

use crate::error::Result;
use crate::fs::MAKES_LINKS;
use crate::layer_name::{FILES, components, push};
use crate::layer_tar::LayerEntry;
use crate::nt::name::wtf8_from_utf16;
use crate::nt::reparse::{Decoded, ReparseKind, ReparsePoint};
use crate::view::chain::View;

/// The longest text that Linux takes.
const LONGEST: usize = 4095;

/// Where a link leads: components, counted from the top of the view or from the directory of the link.
#[derive(Debug, PartialEq, Eq)]
enum Target {
    Top(Vec<Vec<u8>>),
    Relative(Vec<Vec<u8>>),
}

/// The text for the link at `path` (`Files/...`); `None` where it would leave the view, or is no link.
///
/// Names are spelled as the view has them, since other systems tell cases apart. `..` is taken for the directory above,
/// as Windows does, whatever links are on the way.
pub(super) fn text_on_disk(view: &View, path: &[u8], entry: &LayerEntry) -> Result<Option<Vec<u8>>> {
    if !MAKES_LINKS {
        return Ok(None);
    }
    let Some(target) = entry.reparse_point.clone().and_then(|raw| ReparsePoint::parse(raw).ok()).and_then(target_of)
    else {
        return Ok(None);
    };
    let mut directory: Vec<&[u8]> = components(path).collect();
    directory.pop();
    let inside = &directory[1.min(directory.len())..];
    let Some(mut steps) = absolute(&target, inside) else { return Ok(None) };
    respell(view, &mut steps)?;

    let common = match &target {
        // As many steps up as it has, where those are all at its start.
        Target::Relative(components) => {
            let up = components.iter().take_while(|step| *step == b"..").count();
            let plain = components[up..].iter().all(|step| step != b".." && step != b".");
            if plain { inside.len() - up } else { shared(inside, &steps) }
        }
        Target::Top(_) => shared(inside, &steps),
    };
    let mut text: Vec<&[u8]> = vec![b".."; inside.len() - common];
    text.extend(steps[common..].iter().map(Vec::as_slice));
    let text = if text.is_empty() { b".".to_vec() } else { text.join(&b'/') };
    Ok((text.len() <= LONGEST).then_some(text))
}

fn target_of(reparse: ReparsePoint) -> Option<Target> {
    if let Decoded::LxSymlink(target) = reparse.decoded() {
        let odd = target.is_empty() || target.iter().any(|b| b":\\\0".contains(b));
        let components = split(&target, b"/");
        return match target.first() {
            _ if odd => None,
            Some(b'/') => Some(Target::Top(components)),
            _ => Some(Target::Relative(components)),
        };
    }
    if reparse.kind() == ReparseKind::Other {
        return None;
    }
    let substitute = wtf8_from_utf16(&reparse.substitute_name()?);
    let local = match substitute.strip_prefix(br"\??\") {
        Some(nt) => {
            let [b'c' | b'C', b':', rest @ ..] = nt else { return None };
            Some(rest).filter(|rest| rest.is_empty() || rest.starts_with(b"\\"))?
        }
        None => substitute.as_slice(),
    };
    if local.is_empty() && local.len() == substitute.len() || local.iter().any(|b| b":\0".contains(b)) {
        return None;
    }
    let components = split(local, br"\/");
    let from_top = local.len() < substitute.len() || local.starts_with(b"\\") || local.starts_with(b"/");
    // `\\server\share` is none of ours.
    let share = local.len() > 1 && local[..2].iter().all(|b| br"\/".contains(b));
    if share || !from_top && !reparse.is_relative() {
        return None;
    }
    Some(if from_top { Target::Top(components) } else { Target::Relative(components) })
}

fn split(path: &[u8], separators: &[u8]) -> Vec<Vec<u8>> {
    path.split(|b| separators.contains(b)).filter(|step| !step.is_empty()).map(<[u8]>::to_vec).collect()
}

/// The way from the top of the view; `None` when it leads above it.
fn absolute(target: &Target, directory: &[&[u8]]) -> Option<Vec<Vec<u8>>> {
    let (mut at, steps) = match target {
        Target::Top(steps) => (Vec::new(), steps),
        Target::Relative(steps) => (directory.iter().map(|step| step.to_vec()).collect(), steps),
    };
    for step in steps {
        match step.as_slice() {
            b"." => {}
            b".." => drop(at.pop()?),
            _ => at.push(step.clone()),
        }
    }
    Some(at)
}

/// Spells the steps as the view does, as far as it has them.
fn respell(view: &View, steps: &mut [Vec<u8>]) -> Result<()> {
    let mut path = FILES.to_vec();
    for step in steps {
        push(&mut path, step);
        let Some(node) = view.find(&path)? else { break };
        *step = node.name().to_vec();
    }
    Ok(())
}

fn shared(directory: &[&[u8]], steps: &[Vec<u8>]) -> usize {
    directory.iter().zip(steps).take_while(|(one, two)| **one == two.as_slice()).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layer_tar::{EntryKind, reparse_from_link};
    use crate::nt::reparse::Tag;

    fn text(path: &str, raw: Vec<u8>) -> Option<String> {
        let entry = LayerEntry { reparse_point: Some(raw), ..LayerEntry::new("x", EntryKind::Symlink) };
        let text = text_on_disk(&View::new(Vec::new()), path.as_bytes(), &entry).unwrap();
        text.map(|text| String::from_utf8(text).unwrap())
    }

    #[cfg(unix)]
    #[test]
    fn links_stay_in_the_view() {
        let deep = format!("C:\\{}", "x".repeat(5000));
        let table: &[(&str, Option<&str>)] = &[
            ("x", Some("x")),
            (r"x\y", Some("x/y")),
            (r"..\..\x", Some("../../x")),
            (r"..\b\x", Some("../b/x")),
            (r"..\..", Some("../..")),
            (r"..\..\..\x", None),
            (r"x\..\y\.\z", Some("y/z")),
            (r"x\..\..\..\..\y", None),
            (r"C:\x", Some("../../x")),
            (r"c:\a\x", Some("../x")),
            (r"C:\a\b", Some(".")),
            (r"C:\", Some("../..")),
            (r"C:", Some("../..")),
            (r"C:x", None),
            (r"D:\x", None),
            (r"\x\y", Some("../../x/y")),
            (r"\\server\share\x", None),
            (r"\\?\C:\x", Some("../../x")),
            (r"\\?\Volume{1}\x", None),
            (r"x:stream", None),
            ("", None),
            (&deep, None),
        ];
        for (target, expected) in table {
            let raw = reparse_from_link(target.as_bytes(), false).unwrap().into_raw();
            assert_eq!(text("Files/a/b/link", raw).as_deref(), *expected, "{target}");
        }
        let junction = reparse_from_link(br"C:\a", true).unwrap().into_raw();
        assert_eq!(text("Files/link", junction).as_deref(), Some("a"));
    }

    #[cfg(unix)]
    #[test]
    fn links_of_wsl_count_from_the_top() {
        let lx = |target: &str| {
            let mut raw = Tag::LX_SYMLINK.to_le_bytes().to_vec();
            raw.extend(u16::try_from(4 + target.len()).unwrap().to_le_bytes());
            raw.extend([0, 0, 2, 0, 0, 0]);
            raw.extend(target.as_bytes());
            text("Files/a/link", raw)
        };
        assert_eq!(lx("/etc/x").as_deref(), Some("../etc/x"));
        assert_eq!(lx("../x").as_deref(), Some("../x"));
        assert_eq!(lx("../../x"), None);
        assert_eq!(lx("a\\b"), None);
    }
}
