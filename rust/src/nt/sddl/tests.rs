use super::super::acl::{Ace, AceBody, AceType};
use super::super::{SecurityDescriptor, Sid};
use super::tables::{DOMAIN_SIDS, NEW_SIDS, SIDS};
use super::{ace_to_string, parse_sid, sid_to_string};
use crate::error::Error;
use proptest::prelude::*;

fn round_trip(text: &str) -> String {
    SecurityDescriptor::from_sddl(text, None).unwrap().to_sddl(None).unwrap()
}

#[test]
fn text_that_comes_back() {
    for text in [
        "",
        "O:BA",
        "G:SY",
        "D:",
        "S:",
        "D:NO_ACCESS_CONTROL",
        "D:PARAI(A;OICINPIOID;FA;;;BA)",
        "S:PARAI(AU;SAFA;FA;;;WD)",
        "O:BAG:SYD:P(D;;GR;;;BG)S:(ML;;NWNRNX;;;HI)(SP;;;;;S-1-17-1)",
        "D:(A;;CCDCLCSWRPWPDTLOCRSDRCWDWOGAGXGWGR;;;WD)",
        "D:(A;;0x1200a9;;;BU)(A;;FR;;;BU)(A;;FW;;;BU)(A;;FX;;;BU)(A;;KA;;;BU)(A;;KR;;;BU)(A;;KW;;;BU)",
        "D:(A;;;;;S-1-0x100000000000-1)",
        "D:(OA;CI;RP;bf967aba-0de6-11d0-a285-00aa003049e2;;AU)(OD;;WP;;bf967aba-0de6-11d0-a285-00aa003049e2;AU)",
        "S:(OU;CIIOSA;WP;f30e3bbe-9ff0-11d1-b603-0000f80367c1;bf967aa5-0de6-11d0-a285-00aa003049e2;WD)",
        "S:(ML;;0x11;;;ME)(TL;;CC;;;S-1-19-512-4096)",
        "D:(A;CRSA;GA;;;WD)",
    ] {
        assert_eq!(round_trip(text), text);
    }
}

#[test]
fn text_with_several_spellings() {
    let table = [
        ("d:p (a ; oi ci ; ga gr ; ; ; ba) (A;;GA;;;SY)", "D:P(A;OICI;GAGR;;;BA)(A;;GA;;;SY)"),
        ("S:(AU;SA;FA;;;WD)D:(A;;FA;;;BA)G:SYO:s-1-5-32-544", "O:BAG:SYD:(A;;FA;;;BA)S:(AU;SA;FA;;;WD)"),
        (
            "D:(A;;0x1F01FF;;;BA)(A;;0377;;;BA)(A;;65536;;;BA)(A;;0;;;BA)",
            "D:(A;;FA;;;BA)(A;;CCDCLCSWRPWPDTLO;;;BA)(A;;SD;;;BA)(A;;;;;BA)",
        ),
        ("D:(A;;KX;;;BA)(A;;FRFX;;;BA)", "D:(A;;KR;;;BA)(A;;0x1200a9;;;BA)"),
        (
            "D:(OA;;GA;;;BA)(OD;;GA;;;BA)S:(OU;;GA;;;BA)(OL;;GA;;;BA)",
            "D:(A;;GA;;;BA)(D;;GA;;;BA)S:(AU;;GA;;;BA)(AL;;GA;;;BA)",
        ),
        ("O:HOG:SH", "O:S-1-5-32-584G:S-1-5-32-585"),
    ];
    for (text, written) in table {
        assert_eq!(round_trip(text), written, "{text}");
    }
}

#[test]
fn bad_text_is_refused_with_its_place() {
    let table = [
        ("X:BA", 0, "section: expected O:, G:, D: or S:"),
        ("O:", 2, "SID: expected an alias"),
        ("O:ZZ", 2, "SID"),
        ("O:é:", 2, "SID"),
        ("O:BAO:BA", 4, "O: twice"),
        ("O:DA", 2, "a domain SID to resolve DA"),
        ("D:Q", 2, "section"),
        ("D:(A;;GA;;;BA", 2, "a closing parenthesis"),
        ("D:(A;;GA;;BA)", 2, "expected 6 fields, found 5"),
        ("D:(A;;GA;;;BA;x)", 2, "expected 6 fields, found 7"),
        ("D:(ZZ;;GA;;;BA)", 3, "ACE type"),
        ("D:(", 3, "ACE type"),
        ("D:(A;OIX;GA;;;BA)", 2, "ACE flags"),
        ("D:(A;;GAé;;;BA)", 2, "rights"),
        ("D:(A;;0x;;;BA)", 2, "rights"),
        ("D:(A;;0x100000000;;;BA)", 2, "rights"),
        ("D:(A;;08;;;BA)", 2, "rights"),
        ("D:(A;;-1;;;BA)", 2, "rights"),
        ("D:(A;;NW;;;BA)", 2, "rights"),
        ("D:(A;;GA;1;;BA)", 2, "object GUID"),
        ("D:(A;;GA;bf967aba-0de6-11d0-a285-00aa003049e2;;BA)", 2, "none in an entry of type A"),
        ("D:NO_ACCESS_CONTROL(A;;GA;;;BA)", 19, "no entries after"),
        ("D:(A;;GA;;;)", 2, "SID"),
    ];
    for (text, offset, message) in table {
        let Err(Error::Format(error)) = SecurityDescriptor::from_sddl(text, None) else { panic!("{text}") };
        assert_eq!(error.offset, Some(offset), "{text}: {error}");
        assert!(error.to_string().contains(message), "{text}: {error}");
    }
    for word in ["XA", "XD", "XU", "ZA", "RA", "FL"] {
        let text = format!("D:({word};;GA;;;WD;(a == 1))");
        assert_eq!(SecurityDescriptor::from_sddl(&text, None).unwrap_err().code(), "unsupported");
    }
    let many = format!("D:{}", "(A;;;;;WD)".repeat(4097));
    assert!(SecurityDescriptor::from_sddl(&many, None).unwrap_err().to_string().contains("4096 entries"));
    let long = format!("D:{}", "(A;;;;;WD)".repeat(4096));
    assert!(SecurityDescriptor::from_sddl(&long, None).unwrap_err().to_string().contains("ACL size"));
}

#[test]
fn aliases_stand_for_one_sid_each() {
    let domain: Sid = "S-1-5-21-10-20-30".parse().unwrap();
    for (alias, authority, sub) in SIDS {
        let sid = Sid::new(*authority, sub).unwrap();
        assert_eq!((parse_sid(alias, None).unwrap(), &*sid_to_string(&sid, None)), (sid.clone(), *alias));
    }
    for (alias, rid) in DOMAIN_SIDS {
        let sid = domain.with_rid(*rid).unwrap();
        assert_eq!(parse_sid(alias, Some(&domain)).unwrap(), sid);
        assert_eq!(sid_to_string(&sid, Some(&domain)), *alias);
        assert_eq!(sid_to_string(&sid, None), sid.to_string());
    }
    let mut all: Vec<_> = SIDS.iter().chain(NEW_SIDS).map(|entry| entry.0).collect();
    all.extend(DOMAIN_SIDS.iter().map(|entry| entry.0));
    all.sort_unstable();
    let count = all.len();
    all.dedup();
    assert_eq!(all.len(), count);
}

fn with_data(ace_type: u8, application_data: Vec<u8>) -> Ace {
    let body = AceBody::Rights { mask: 0x20, object: None, sid: Sid::new(1, &[0]).unwrap(), application_data };
    Ace { ace_type, flags: 0, body }
}

fn counted(code: u8, data: &[u8]) -> Vec<u8> {
    let mut token = vec![code];
    token.extend(u32::try_from(data.len()).unwrap().to_le_bytes());
    token.extend(data);
    token
}

fn wide(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

fn integer(value: i64, sign: u8, base: u8) -> Vec<u8> {
    [&[4][..], &value.to_le_bytes(), &[sign, base]].concat()
}

fn condition(tokens: &[Vec<u8>]) -> Result<String, Error> {
    let mut data = b"artx".to_vec();
    data.extend(tokens.concat());
    data.resize(data.len().next_multiple_of(4), 0);
    ace_to_string(&with_data(AceType::ACCESS_ALLOWED_CALLBACK, data), None)
}

#[test]
fn conditions_are_written() {
    // The example of [MS-DTYP] 2.5.1.1.
    let title = [counted(0xf9, &wide("Title")), counted(0x10, &wide("VP")), vec![0x80]].concat();
    assert_eq!(condition(&[title]).unwrap(), r#"(XA;;WP;;;WD;(@User.Title == "VP"))"#);
    let sids = counted(0x50, &counted(0x51, &Sid::new(5, &[32, 544]).unwrap().to_bytes()));
    let mixed = [
        counted(0xfa, &wide("a b")),
        counted(0x50, &[integer(-8, 2, 1), integer(255, 3, 3), integer(7, 1, 2), counted(0x18, &[1, 0xab])].concat()),
        vec![0x88],
        sids,
        vec![0x89, 0xa2, 0xa0],
        counted(0xf8, &wide("x\u{e9}\"")),
        vec![0x87],
        vec![0xa1],
    ];
    let text = "(XA;;WP;;;WD;(((@Resource.a%0020b Any_of {-010, 0xff, +7, #01ab}) && (!(Member_of {SID(BA)}))) || (Exists x%00e9%0022)))";
    assert_eq!(condition(&mixed).unwrap(), text);
}

#[test]
fn deep_conditions_need_no_stack() {
    let mut tokens = vec![counted(0xf8, &wide("a"))];
    tokens.extend(std::iter::repeat_n(vec![0xa2], 60_000));
    assert!(condition(&tokens).unwrap().len() > 60_000);
}

#[test]
fn bad_conditions_are_refused() {
    for (tokens, message) in [
        (vec![], "one result"),
        (vec![vec![0x80]], "too few"),
        (vec![integer(1, 3, 2), integer(2, 3, 2)], "one result"),
        (vec![counted(0xf8, b"")[..4].to_vec()], "token"),
        (vec![vec![0xf8, 255, 255, 255, 255]], "token"),
        (vec![vec![0x77]], "0x77"),
        (vec![counted(0x50, &counted(0x50, &[]))], "0x50"),
        (vec![counted(0x51, &[2; 8])], "SID revision"),
    ] {
        let error = condition(&tokens).unwrap_err();
        assert!(error.to_string().contains(message), "{error}");
    }
    let plain = with_data(AceType::ACCESS_DENIED_CALLBACK, b"othr".to_vec());
    assert!(ace_to_string(&plain, None).unwrap_err().to_string().contains("artx"));
}

fn claim(kind: u16, values: &[Vec<u8>]) -> Vec<u8> {
    let name_at = 16 + 4 * values.len();
    let mut data = u32::try_from(name_at).unwrap().to_le_bytes().to_vec();
    data.extend(kind.to_le_bytes());
    data.extend([0, 0, 2, 0, 0, 0]);
    data.extend(u32::try_from(values.len()).unwrap().to_le_bytes());
    let mut body = wide("Proj\0");
    for value in values {
        data.extend(u32::try_from(name_at + body.len()).unwrap().to_le_bytes());
        body.extend(value);
    }
    data.extend(body);
    data
}

#[test]
fn resource_attributes_are_written() {
    let octets = |bytes: &[u8]| counted(0, bytes)[1..].to_vec();
    let table = [
        (3, vec![wide("Windows\0"), wide("SQL\0")], r#"TS,0x2,"Windows","SQL""#),
        (1, vec![(-5_i64).to_le_bytes().to_vec()], "TI,0x2,-5"),
        (2, vec![u64::MAX.to_le_bytes().to_vec()], "TU,0x2,18446744073709551615"),
        (6, vec![1_u64.to_le_bytes().to_vec(), vec![0; 8]], "TB,0x2,1,0"),
        (16, vec![octets(&[0xde, 0xad])], "TX,0x2,#dead"),
        (5, vec![octets(&Sid::new(5, &[18]).unwrap().to_bytes())], "TD,0x2,SY"),
        (1, vec![], "TI,0x2"),
    ];
    for (kind, values, text) in table {
        let ace = with_data(AceType::SYSTEM_RESOURCE_ATTRIBUTE, claim(kind, &values));
        assert_eq!(ace_to_string(&ace, None).unwrap(), format!(r#"(RA;;WP;;;WD;("Proj",{text}))"#));
    }
}

#[test]
fn bad_resource_attributes_are_refused() {
    let refused = |data: Vec<u8>| {
        ace_to_string(&with_data(AceType::SYSTEM_RESOURCE_ATTRIBUTE, data), None).unwrap_err().to_string()
    };
    assert!(refused(vec![0; 15]).contains("16 bytes"));
    assert!(refused(claim(4, &[])).contains("attribute type"));
    assert!(refused(claim(1, &[vec![0; 7]])).contains("a value within"));
    assert!(refused(claim(3, &[wide("x")])).contains("closing NUL"));
    assert!(refused(claim(16, &[vec![9, 0, 0, 0]])).contains("a value within"));
    let mut count = claim(1, &[]);
    count[12..16].fill(0xff);
    assert!(refused(count).contains("offset"));
    // A hundred values that are all the same long text.
    let mut shared = claim(3, &vec![wide("x\0"); 100]);
    let end = u32::try_from(shared.len()).unwrap().to_le_bytes();
    for index in 0..100 {
        shared[16 + 4 * index..20 + 4 * index].copy_from_slice(&end);
    }
    shared.extend(wide(&"y".repeat(400)));
    shared.extend([0, 0]);
    assert!(refused(shared).contains("together"));
}

#[test]
fn types_without_a_word_are_unsupported() {
    for ace_type in [4, 12, 14, 15, 16, 0x16, 0xff] {
        let error = ace_to_string(&with_data(ace_type, vec![]), None).unwrap_err();
        assert_eq!(error.code(), "unsupported");
    }
}

proptest! {
    #[test]
    fn any_text_is_read_without_panic(text in r"[OGDS:]{0,3}(\((A|OA|ML|XA|é)?;(OI|CI)?;[a-fA-F0-9x]{0,4};;;(BA|S-1-5)?\)){0,2}[OGDS:APé ]{0,6}") {
        if let Ok(sd) = SecurityDescriptor::from_sddl(&text, None) {
            let written = sd.to_sddl(None).unwrap();
            prop_assert_eq!(SecurityDescriptor::from_sddl(&written, None).unwrap(), sd);
        }
    }

    #[test]
    fn any_application_data_is_read_without_panic(data in prop::collection::vec(
        prop_oneof![Just(0_u8), Just(0x10), Just(0x50), Just(0x80), Just(0xa2), Just(0xf8), any::<u8>()], 0..40))
    {
        let _ = ace_to_string(&with_data(AceType::SYSTEM_RESOURCE_ATTRIBUTE, data.clone()), None);
        let _ = condition(&[data]);
    }
}
