//! Which member names may be: checked once for each member, before anything is done with it.

use crate::error::{Error, Limit, Result, Rule};
use crate::limits::Limits;
use crate::policy::Policy;

/// Refuses a member name that would leave the layer, that mixes path syntaxes, or that is too long.
///
/// A name is components joined by `/`; one `/` may end it. Refused, each unless the policy allows it: a leading `/`, a
/// drive (`c:` alone or before a `/`) and `..`; a backslash; an empty name or component. A NUL is always refused.
/// Lengths are in UTF-16 units; a `:` starts a new component, for its stream name has a bound of its own. Whether a
/// colon is legal depends on the member before, which the caller knows.
///
/// ```
/// use winlayers::{limits::Limits, nt::path::check_member_name, policy::Policy};
/// let check = |name: &[u8]| check_member_name(name, &Policy::default(), &Limits::default());
/// assert!(check(b"Files/Windows/").is_ok());
/// assert_eq!(check(b"Files/../../x").unwrap_err().code(), "name_escapes");
/// ```
///
/// # Errors
/// [`Error::Refused`] or [`Error::Limit`], with the member.
pub fn check_member_name(name: &[u8], policy: &Policy, limits: &Limits) -> Result<()> {
    if is_plain(name) && name.len() as u64 <= limits.component.min(limits.path) {
        return Ok(());
    }
    check(name, policy, limits).map_err(|error| error.in_member(name))
}

/// Whether nothing in a name needs a closer look: most names, found in one quick pass.
fn is_plain(name: &[u8]) -> bool {
    let mut before = b'/';
    let mut plain = !name.is_empty();
    for &byte in name {
        let odd = matches!(byte, 0 | b'\\' | b':' | 0x80..);
        plain &= !odd & !(before == b'/' && matches!(byte, b'/' | b'.'));
        before = byte;
    }
    plain
}

fn check(name: &[u8], policy: &Policy, limits: &Limits) -> Result<()> {
    if name.is_empty() && !policy.allow_empty_names {
        return Err(Error::refused(Rule::NameEmpty, ""));
    }
    let mut start = 0;
    let mut units = 0_u64;
    let mut component_units = 0_u64;
    // The end of the name closes its last component as a slash would.
    for (at, &byte) in name.iter().chain(std::iter::once(&b'/')).enumerate() {
        match byte {
            b'/' | b':' => {
                let component = &name[start..at];
                check_component(component, start, at == name.len(), byte, name, policy)?;
                limits.check(Limit::Component, component_units.max(least_units(component)))?;
                start = at + 1;
                component_units = 0;
                units += 1;
            }
            b'\\' if !policy.allow_backslash => return Err(Error::refused(Rule::NameBackslash, "")),
            0 => return Err(Error::refused(Rule::NameNul, "")),
            // A byte that goes on with a character adds no unit, and four bytes are a pair.
            0x80..=0xbf => {}
            0xf0..=0xff => {
                component_units += 2;
                units += 2;
            }
            _ => {
                component_units += 1;
                units += 1;
            }
        }
    }
    limits.check(Limit::Path, (units - 1).max(least_units(name)))
}

fn check_component(
    component: &[u8],
    start: usize,
    is_last: bool,
    ended_by: u8,
    name: &[u8],
    policy: &Policy,
) -> Result<()> {
    match component {
        [] if ended_by == b'/' => {
            let after_colon = start > 0 && name[start - 1] == b':';
            if start == 0 && !is_last {
                refuse_unless(policy.allow_escaping_names, Rule::NameEscapes, "an absolute path")
            } else if is_last || after_colon {
                // One trailing slash; or the syntax of an empty stream name, which is the caller's business.
                Ok(())
            } else {
                refuse_unless(policy.allow_empty_names, Rule::NameEmpty, "an empty component")
            }
        }
        b".." => refuse_unless(policy.allow_escaping_names, Rule::NameEscapes, "'..'"),
        [letter]
            if ended_by == b':' && letter.is_ascii_alphabetic() && matches!(name.get(start + 2), None | Some(b'/')) =>
        {
            refuse_unless(policy.allow_escaping_names, Rule::NameEscapes, "a drive")
        }
        _ => Ok(()),
    }
}

fn refuse_unless(allowed: bool, rule: Rule, detail: &str) -> Result<()> {
    if allowed { Ok(()) } else { Err(Error::refused(rule, detail)) }
}

/// The least UTF-16 units that bytes can be: no character has more than three bytes per unit, valid or not.
fn least_units(bytes: &[u8]) -> u64 {
    (bytes.len() as u64).div_ceil(3)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn code(name: &[u8], policy: &Policy) -> &'static str {
        check_member_name(name, policy, &Limits::default()).map_or_else(|error| error.code(), |()| "ok")
    }

    #[test]
    fn names_and_their_verdicts() {
        let table: [(&[u8], &str); 28] = [
            (b"Files", "ok"),
            (b"Files/", "ok"),
            (b"Files/a/b.c", "ok"),
            (b"Files/...", "ok"),
            (b"Files/a..", "ok"),
            (b"Files/..a/..b", "ok"),
            (b"Files/CON", "ok"),
            (b"Files/\xff\xfe", "ok"),
            (b"d:s", "ok"),
            (b"d/:s", "ok"),
            (b"a:", "name_escapes"),
            (b"ab:", "ok"),
            (b"Files/a:s:$DATA", "ok"),
            (b"", "name_empty"),
            (b"/", "name_escapes"),
            (b"/etc", "name_escapes"),
            (b"//", "name_escapes"),
            (b"a//b", "name_empty"),
            (b"a//", "name_empty"),
            (b"..", "name_escapes"),
            (b"../x", "name_escapes"),
            (b"a/..", "name_escapes"),
            (b"a/../", "name_escapes"),
            (b"..:s", "name_escapes"),
            (b"C:/x", "name_escapes"),
            (b"Files/c:/x", "name_escapes"),
            (b"a\\b", "name_backslash"),
            (b"a\0", "name_nul"),
        ];
        for (name, verdict) in table {
            assert_eq!(code(name, &Policy::default()), verdict, "{}", crate::error::display_name(name));
            let permissive = if name.contains(&0) { "name_nul" } else { "ok" };
            assert_eq!(code(name, &Policy::permissive()), permissive);
        }
    }

    #[test]
    fn lengths_are_in_utf16_units() {
        let limits = Limits { component: 4, path: 10, ..Default::default() };
        let check = |name: &str| check_member_name(name.as_bytes(), &Policy::default(), &limits);
        assert!(check("äöüß/€€€€").is_ok());
        assert!(check("abcd:efgh").is_ok());
        assert!(check("😀😀").is_ok());
        let error = check("😀😀a").unwrap_err();
        assert!(matches!(error, Error::Limit { limit: Limit::Component, size: 5, max: 4, member: Some(_) }), "{error}");
        assert!(check("abcd/efgh/").is_ok());
        let error = check("abcd/efgh/i").unwrap_err();
        assert!(matches!(error, Error::Limit { limit: Limit::Path, size: 11, max: 10, .. }), "{error}");
        let continuation = [0x80; 13];
        assert_eq!(
            check_member_name(&continuation, &Policy::default(), &limits).unwrap_err().code(),
            "limit_component"
        );
    }

    proptest! {
        #[test]
        fn accepted_names_stay_inside(name in prop::collection::vec(prop_oneof![
            Just(b'/'), Just(b'.'), Just(b':'), Just(b'\\'), Just(b'a'), any::<u8>()], 0..12))
        {
            let verdict = check_member_name(&name, &Policy::default(), &Limits::default());
            let escapes = name.starts_with(b"/")
                || name.iter().any(|byte| [0, b'\\'].contains(byte))
                || name.split(|byte| *byte == b'/').any(|part| part == b"..");
            prop_assert!(!(verdict.is_ok() && escapes));
            let parts: Vec<_> = name.strip_suffix(b"/").unwrap_or(&name).split(|byte| [b'/', b':'].contains(byte)).collect();
            let plain = parts.iter().all(|part| !part.is_empty() && *part != b"..") && !name.contains(&b':');
            prop_assert!(verdict.is_ok() || escapes || !plain);
        }
    }
}
