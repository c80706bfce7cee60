//! NT values that were built, not read: written and read again they are the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use winlayers::nt::{BasicInfo, ExtendedAttribute, FileTime, Guid, ReparsePoint, ea};

type Input = (Vec<(Vec<u8>, Vec<u8>, u8)>, Vec<u16>, Vec<u16>, bool, i64, [u8; 16], [u8; 36]);

fuzz_target!(|input: Input| {
    let (list, substitute, print, relative, ticks, guid, info) = input;
    let list: Vec<_> = list.into_iter().map(|(name, value, flags)| ExtendedAttribute { name, value, flags }).collect();
    if let Ok(bytes) = ea::encode(&list) {
        assert_eq!(ea::decode(&bytes).expect("our own list"), list);
        assert_eq!(ea::decode_on_disk(&ea::encode_on_disk(&list).expect("it was encoded")).expect("our own"), list);
    }
    if let Ok(point) = ReparsePoint::symlink(&substitute, &print, relative) {
        let point = ReparsePoint::parse(point.into_raw()).expect("our own buffer");
        assert_eq!(point.substitute_name(), Some(substitute.clone()));
        assert_eq!(point.print_name(), Some(print.clone()));
        assert_eq!(point.is_relative(), relative);
    }
    if let Ok(point) = ReparsePoint::junction(&substitute, &print) {
        let point = ReparsePoint::parse(point.into_raw()).expect("our own buffer");
        assert_eq!(point.substitute_name(), Some(substitute));
        assert_eq!(point.print_name(), Some(print));
    }
    let time = FileTime(ticks);
    let (seconds, nanoseconds) = time.to_unix();
    assert_eq!(FileTime::from_unix(seconds, nanoseconds), Some(time));
    assert_eq!(Guid(guid).to_string().parse::<Guid>().expect("our own text"), Guid(guid));
    let mut bytes = [0; 40];
    bytes[..36].copy_from_slice(&info);
    assert_eq!(BasicInfo::from_bytes(&bytes).to_bytes(), bytes);
});
