//! NT values out of any bytes: no panic, and what was read is written and read again the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use winlayers::limits::Limits;
use winlayers::nt::{FileTime, Guid, ReparsePoint, ea, name, path};
use winlayers::policy::Policy;

fuzz_target!(|data: &[u8]| {
    if let Ok(list) = ea::decode(data)
        && let Ok(bytes) = ea::encode(&list)
    {
        assert_eq!(ea::decode(&bytes).expect("our own list"), list);
    }
    if let Ok(list) = ea::decode_on_disk(data) {
        let bytes = ea::encode_on_disk(&list).expect("lengths came from the same fields");
        assert_eq!(ea::decode_on_disk(&bytes).expect("our own list"), list);
    }
    if let Ok(point) = ReparsePoint::parse(data.to_vec()) {
        let _ = (point.tag_name(), point.guid(), point.kind(), point.decoded());
        let _ = (point.substitute_name(), point.print_name(), point.is_relative());
        assert_eq!(point.into_raw(), data);
    }
    let units: Vec<u16> = data.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect();
    assert_eq!(name::utf16_from_wtf8(&name::wtf8_from_utf16(&units)), Some(units.clone()));
    assert_eq!(name::fold(&name::fold(&units)), name::fold(&units));
    let _ = name::win32_trouble(&units);
    if let Some(units) = name::utf16_from_wtf8(data) {
        assert_eq!(name::wtf8_from_utf16(&units), data);
    }
    let _ = path::check_member_name(data, &Policy::default(), &Limits::default());
    if let Ok(text) = std::str::from_utf8(data) {
        if let Some(time) = FileTime::parse_iso8601(text) {
            assert_eq!(FileTime::parse_iso8601(&time.to_string()), Some(time));
        }
        if let Ok(guid) = text.parse::<Guid>() {
            assert_eq!(guid.to_string().parse::<Guid>().expect("our own text"), guid);
        }
    }
});
