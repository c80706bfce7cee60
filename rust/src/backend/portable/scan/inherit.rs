//! What a new file gets of the security descriptor of its directory, as NTFS computes it ([MS-DTYP] 2.5.3.4).
//!
//! Owner and group are those of the defaults, Administrators and SYSTEM: there is no user here who makes files. The
//! list of what is audited is not inherited.

use crate::nt::acl::{AceBody, AceFlags};
use crate::nt::security::{AclPart, Control, SecurityParts};
use crate::nt::{Ace, Acl, SecurityDescriptor, Sid};

/// GENERIC_ALL and its kin become what they mean for files.
const GENERIC: [(u32, u32); 4] =
    [(0x1000_0000, 0x001f_01ff), (0x2000_0000, 0x0012_00a0), (0x4000_0000, 0x0012_0116), (0x8000_0000, 0x0012_0089)];

/// The descriptor of a new file or directory; `None` where the directory gives nothing, or none that can be read.
pub(super) fn inherited(directory: &[u8], is_directory: bool) -> Option<Vec<u8>> {
    let parts = SecurityDescriptor::new(directory.to_vec()).parts().ok()?;
    let mut aces = Vec::new();
    for ace in &parts.dacl.acl()?.aces {
        from_ace(ace, is_directory, &mut aces);
    }
    if aces.is_empty() {
        return None;
    }
    let made = SecurityParts {
        control: Control::DACL_AUTO_INHERITED,
        owner: Sid::new(5, &[32, 544]),
        group: Sid::new(5, &[18]),
        dacl: AclPart::Present(Acl::new(aces)),
        ..SecurityParts::default()
    };
    SecurityDescriptor::build(&made).ok().map(SecurityDescriptor::into_raw)
}

fn from_ace(ace: &Ace, is_directory: bool, out: &mut Vec<Ace>) {
    let has = |flag| ace.flags & flag != 0;
    let (for_files, for_directories) = (has(AceFlags::OBJECT_INHERIT), has(AceFlags::CONTAINER_INHERIT));
    let goes_on = is_directory && !has(AceFlags::NO_PROPAGATE_INHERIT);
    let passed_on = ace.flags & (AceFlags::OBJECT_INHERIT | AceFlags::CONTAINER_INHERIT);
    let kept = ace.flags & (AceFlags::SUCCESSFUL_ACCESS | AceFlags::FAILED_ACCESS) | AceFlags::INHERITED;
    let applies = if is_directory { for_directories } else { for_files };
    if !applies {
        // For files further down.
        if goes_on && for_files {
            out.push(Ace { flags: kept | passed_on | AceFlags::INHERIT_ONLY, ..ace.clone() });
        }
        return;
    }
    let mut effective = Ace { flags: kept, ..ace.clone() };
    let meant_otherwise = make_effective(&mut effective);
    if goes_on && !meant_otherwise {
        effective.flags |= passed_on;
    }
    out.push(effective);
    if goes_on && meant_otherwise {
        // What it says depends on who makes the file: further down as well.
        out.push(Ace { flags: kept | passed_on | AceFlags::INHERIT_ONLY, ..ace.clone() });
    }
}

/// Puts the owner and the group in for CREATOR OWNER and CREATOR GROUP, and rights of files for generic ones; tells
/// whether there were such.
fn make_effective(ace: &mut Ace) -> bool {
    let AceBody::Rights { mask, sid, .. } = &mut ace.body else { return false };
    let before = (*mask, sid.clone());
    for (generic, rights) in GENERIC {
        if *mask & generic != 0 {
            *mask = *mask & !generic | rights;
        }
    }
    for (creator, maker) in [(0, [32, 544].as_slice()), (1, &[18])] {
        if Sid::new(3, &[creator]).as_ref() == Some(sid)
            && let Some(maker) = Sid::new(5, maker)
        {
            *sid = maker;
        }
    }
    before != (*mask, sid.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layer::DEFAULT_SD_DIR;

    fn sddl(parent: &str, is_directory: bool) -> Option<String> {
        let parent = SecurityDescriptor::from_sddl(parent, None).unwrap();
        let made = inherited(parent.raw(), is_directory)?;
        Some(SecurityDescriptor::new(made).to_sddl(None).unwrap())
    }

    /// What Windows shows (icacls) for what is made in a folder with the permissions of `C:\`.
    #[test]
    fn what_the_root_of_a_drive_gives() {
        let file = "O:BAG:SYD:AI(A;ID;FA;;;BA)(A;ID;FA;;;SY)(A;ID;FA;;;BA)(A;ID;0x1200a9;;;BU)";
        let root = "O:BAG:SYD:(A;OICI;FA;;;BA)(A;OICI;FA;;;SY)(A;OICIIO;GA;;;CO)(A;OICI;0x1200a9;;;BU)(A;CI;LC;;;BU)";
        assert_eq!(sddl(root, false).as_deref(), Some(file));
        let directory = "O:BAG:SYD:AI(A;OICIID;FA;;;BA)(A;OICIID;FA;;;SY)(A;ID;FA;;;BA)(A;OICIIOID;GA;;;CO)\
                         (A;OICIID;0x1200a9;;;BU)(A;CIID;LC;;;BU)";
        assert_eq!(sddl(root, true).as_deref(), Some(directory));
        assert!(sddl(DEFAULT_SD_DIR, false).is_some());
    }

    #[test]
    fn flags() {
        let table = [
            ("(A;OI;FA;;;BA)", Some("(A;ID;FA;;;BA)"), Some("(A;OIIOID;FA;;;BA)")),
            ("(A;CI;FA;;;BA)", None, Some("(A;CIID;FA;;;BA)")),
            ("(A;OICINP;FA;;;BA)", Some("(A;ID;FA;;;BA)"), Some("(A;ID;FA;;;BA)")),
            ("(A;OINP;FA;;;BA)", Some("(A;ID;FA;;;BA)"), None),
            ("(A;;FA;;;BA)", None, None),
            ("(D;OICI;GR;;;BU)", Some("(D;ID;FR;;;BU)"), Some("(D;ID;FR;;;BU)(D;OICIIOID;GR;;;BU)")),
        ];
        for (parent, file, directory) in table {
            let parent = format!("O:BAG:SYD:{parent}");
            let expected = |aces: Option<&str>| aces.map(|aces| format!("O:BAG:SYD:AI{aces}"));
            assert_eq!(sddl(&parent, false), expected(file), "{parent}");
            assert_eq!(sddl(&parent, true), expected(directory), "{parent}");
        }
    }

    #[test]
    fn what_cannot_be_read_gives_nothing() {
        assert_eq!(inherited(b"junk", true), None);
        assert_eq!(inherited(b"", false), None);
    }
}
