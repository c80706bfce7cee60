use super::*;
use proptest::prelude::*;

fn wide(text: &str) -> Vec<u16> {
    text.encode_utf16().collect()
}

fn with_tag(tag: u32, data: &[u8]) -> ReparsePoint {
    let mut raw = tag.to_le_bytes().to_vec();
    raw.extend(u16::try_from(data.len()).unwrap().to_le_bytes());
    raw.extend([0, 0]);
    raw.extend(data);
    ReparsePoint::parse(raw).unwrap()
}

fn with_units(head: &[u8], text: &str) -> Vec<u8> {
    let mut data = head.to_vec();
    push_units(&mut data, &wide(text));
    data
}

#[test]
fn length_must_be_the_buffers_own() {
    for raw in [vec![], vec![0; 7], vec![0; 23], vec![3, 0, 0, 0xa0, 1, 0, 0, 0], vec![3, 0, 0, 0xa0, 0, 0, 0, 0, 0]] {
        assert_eq!(ReparsePoint::parse(raw).unwrap_err().code(), "bad_reparse_point");
    }
}

#[test]
fn a_tag_of_others_has_a_guid() {
    let mut raw = vec![0x2a, 0, 0, 0x20, 2, 0, 0, 0];
    raw.extend(1..=16);
    raw.extend(b"hi");
    let reparse = ReparsePoint::parse(raw).unwrap();
    assert_eq!(reparse.guid().unwrap().to_string(), "04030201-0605-0807-090a-0b0c0d0e0f10");
    assert_eq!((reparse.tag(), reparse.data(), reparse.kind()), (0x2000_002a, &b"hi"[..], ReparseKind::Other));
    assert_eq!((reparse.tag_name(), reparse.decoded()), (None, Decoded::Opaque));
}

#[test]
fn names_that_lie_outside_are_absent() {
    // Substitute name at 100, print name of three bytes.
    let link = with_tag(Tag::SYMLINK, &[100, 0, 4, 0, 0, 0, 3, 0, 1, 0, 0, 0, b'a', 0, b'b', 0]);
    assert_eq!((link.substitute_name(), link.print_name()), (None, Some(wide("a"))));
    assert!(link.is_relative());
    assert_eq!(link.decoded(), Decoded::Opaque);
    let short = with_tag(Tag::MOUNT_POINT, &[0; 3]);
    assert_eq!((short.substitute_name(), short.print_name(), short.is_relative()), (None, None, false));
}

#[test]
fn windows_own_layouts() {
    let link = ReparsePoint::symlink_to(&wide(r"C:\a")).unwrap();
    let hex = "0c0000a02400000008001000000008000000000043003a005c0061005c003f003f005c0043003a005c006100";
    assert_eq!(hex_of(link.raw()), hex);
    let junction = ReparsePoint::junction_to(&wide(r"C:\a")).unwrap();
    let hex = "030000a02400000000001000120008005c003f003f005c0043003a005c006100000043003a005c0061000000";
    assert_eq!(hex_of(junction.raw()), hex);
    let huge = vec![0x61; 16_400];
    assert_eq!(ReparsePoint::symlink_to(&huge).unwrap_err().code(), "bad_reparse_point");
    assert_eq!(ReparsePoint::junction_to(&huge).unwrap_err().code(), "bad_reparse_point");
    assert_eq!(encode_go_winio(&vec![b'a'; 16_400], true).unwrap_err().code(), "bad_reparse_point");
}

#[test]
fn targets() {
    let table = [
        (r"a\b", r"a\b", true),
        (r"\a", r"\a", true),
        (r"C:\a", r"\??\C:\a", false),
        (r"\\s\h", r"\??\UNC\s\h", false),
        (r"\\?\C:\a", r"\??\C:\a", false),
        (r"\\.\pipe", r"\??\pipe", false),
        (r"\??\C:\a", r"\??\C:\a", false),
    ];
    for (target, substitute, relative) in table {
        assert_eq!(nt_target(&wide(target)), (wide(substitute), relative), "{target}");
    }
}

#[test]
fn other_tags_are_decoded() {
    let app = with_tag(Tag::APPEXECLINK, &with_units(&[3, 0, 0, 0], "Pkg\0App!x\0C:\\x.exe\u{0}0\u{0}"));
    let strings = ["Pkg", "App!x", r"C:\x.exe", "0"].map(wide).to_vec();
    assert_eq!(app.decoded(), Decoded::AppExecLink(AppExecLink { version: 3, strings }));
    let mut head = vec![1, 0, 0, 0, 0, 0, 0, 0];
    head.extend([7; 16]);
    head.extend([6, 0]);
    let wci = with_tag(Tag::WCI, &with_units(&head, r"a\b"));
    assert_eq!(wci.decoded(), Decoded::Wci(Wci { version: 1, layer: Guid([7; 16]), path: wide(r"a\b") }));
    let wof = with_tag(Tag::WOF, &[1, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(wof.decoded(), Decoded::Wof(Wof::File { algorithm: 3 }));
    let mut wim = vec![1, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0];
    wim.extend([9; 20]);
    assert_eq!(with_tag(Tag::WOF, &wim).decoded(), Decoded::Wof(Wof::Wim { data_source: 5, hash: [9; 20] }));
    assert_eq!(with_tag(Tag::AF_UNIX, &[]).decoded(), Decoded::AfUnix);
    assert_eq!(with_tag(Tag::WCI_TOMBSTONE, &[]).decoded(), Decoded::WciTombstone);
    assert_eq!(with_tag(0x9000_601A, b"?").decoded(), Decoded::Cloud);
    assert_eq!(with_tag(0x9000_601A, b"?").tag_name().as_deref(), Some("CLOUD_6"));
    assert_eq!(with_tag(Tag::WOF, &[]).tag_name().as_deref(), Some("WOF"));
    assert_eq!(with_tag(Tag::WOF, &[1; 30]).decoded(), Decoded::Opaque);
}

fn hex_of(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

proptest! {
    #[test]
    fn names_come_back(substitute: Vec<u16>, print: Vec<u16>, relative: bool) {
        let link = ReparsePoint::symlink(&substitute, &print, relative).unwrap();
        prop_assert_eq!(link.substitute_name(), Some(substitute.clone()));
        prop_assert_eq!((link.print_name(), link.is_relative()), (Some(print.clone()), relative));
        let junction = ReparsePoint::junction(&substitute, &print).unwrap();
        prop_assert_eq!((junction.substitute_name(), junction.print_name()), (Some(substitute), Some(print)));
    }

    #[test]
    fn any_data_is_read_without_panic(tag in prop::sample::select(vec![
        Tag::SYMLINK, Tag::MOUNT_POINT, Tag::WCI, Tag::WOF, Tag::APPEXECLINK, Tag::LX_SYMLINK]),
        data in prop::collection::vec(prop_oneof![Just(0_u8), Just(1), Just(2), any::<u8>()], 0..60))
    {
        let reparse = with_tag(tag, &data);
        let _ = (reparse.decoded(), reparse.print_name(), reparse.substitute_name(), reparse.is_relative());
    }
}
