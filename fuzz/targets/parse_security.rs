//! Security descriptors and SDDL out of any bytes: no panic, and what was understood says the same when written anew.
#![no_main]

use libfuzzer_sys::fuzz_target;
use winlayers::nt::{SecurityDescriptor, Sid};

fuzz_target!(|data: &[u8]| {
    let domain = Sid::new(5, &[21, 1, 2, 3]).expect("four sub-authorities");
    let descriptor = SecurityDescriptor::new(data.to_vec());
    let _ = descriptor.to_sddl(None);
    if let Ok(parts) = descriptor.parts()
        && let Ok(built) = SecurityDescriptor::build(&parts)
    {
        assert_eq!(built.parts().expect("our own descriptor"), parts);
    }
    if let Ok(sid) = Sid::parse(data) {
        assert_eq!(data[..sid.size()], sid.to_bytes());
    }
    if let Ok(text) = std::str::from_utf8(data)
        && let Ok(read) = SecurityDescriptor::from_sddl(text, Some(&domain))
    {
        let written = read.to_sddl(Some(&domain)).expect("all that is read can be written");
        let again = SecurityDescriptor::from_sddl(&written, Some(&domain)).expect("our own text");
        assert_eq!(again.to_sddl(Some(&domain)).expect("it was written before"), written);
    }
});
