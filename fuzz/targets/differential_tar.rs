//! Where this reader and the `tar` crate both accept an archive, they see the same members.
#![no_main]

use libfuzzer_sys::{fuzz_mutator, fuzz_target};
use std::io::Read;
use winlayers::source::Source;
use winlayers::tar::Reader;

fuzz_target!(|data: &[u8]| {
    if let (Some(ours), Some(theirs)) = (ours(data), theirs(data)) {
        assert_eq!(ours, theirs);
    }
});

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    winlayers_fuzz::mutate::tar(0, data, size, max_size, seed)
});

type Members = Vec<(Vec<u8>, u8, Vec<u8>)>;

fn ours(data: &[u8]) -> Option<Members> {
    let mut reader = Reader::new(Source::memory(data.to_vec()), &winlayers_fuzz::limits()).ok()?;
    let mut members = Vec::new();
    while reader.advance().ok()? {
        let member = reader.member();
        // Known differences: sparse maps, and records that stand in for more than a name or a size.
        if member.sparse.is_some() || member.pax.iter().any(|(key, _)| key != b"mtime") {
            return None;
        }
        let (name, kind) = (member.name.clone(), member.typeflag);
        let mut content = Vec::new();
        loop {
            let chunk = reader.data().ok()?;
            let n = chunk.len();
            if n == 0 {
                break;
            }
            content.extend_from_slice(chunk);
            reader.consume(n);
        }
        members.push((name, kind, content));
    }
    Some(members)
}

fn theirs(data: &[u8]) -> Option<Members> {
    let mut archive = tar::Archive::new(data);
    let mut members = Vec::new();
    for entry in archive.entries().ok()? {
        let mut entry = entry.ok()?;
        let (mut name, kind) = (entry.path_bytes().into_owned(), entry.header().entry_type().as_byte());
        // They take a header that describes the next member for a member, where its magic is none they know; and a
        // sparse member of gigabytes is read as that many zeros.
        if matches!(kind, b'L' | b'K' | b'x' | b'g' | b'S') {
            return None;
        }
        // They want a version of ustar, which nobody else looks at, and do not know star, whose prefix is shorter.
        let block = entry.header().as_bytes();
        if block[257..263] == *b"ustar\0" && (block[263..265] != *b"00" || block[508..] == *b"tar\0") {
            return None;
        }
        // A prefix under GNU's magic, where times should be, is one here, as in Go.
        if block[257..265] == *b"ustar  \0" && block[345] != 0 {
            return None;
        }
        // A long name of GNU's ends at its first NUL; they take one off.
        name.truncate(name.iter().position(|byte| *byte == 0).unwrap_or(name.len()));
        // A file of the oldest kind with a slash at the end of its name is a directory here, as in Go.
        if block[156] == 0 && name.ends_with(b"/") {
            return None;
        }
        // One that is empty stands for none here, as in Go; they take it.
        if name.is_empty() {
            return None;
        }
        // Links, devices and directories have no data here, whatever their size says, as in Go.
        if matches!(kind, b'1'..=b'6') && entry.size() > 0 {
            return None;
        }
        let mut content = Vec::new();
        entry.read_to_end(&mut content).ok()?;
        members.push((name, kind, content));
    }
    Some(members)
}
