//! Tar framing out of any bytes: the same from a pipe in any pieces as from memory; raw bytes and data together are
//! the input.
#![no_main]

use libfuzzer_sys::{fuzz_mutator, fuzz_target};
use winlayers::error::Result;
use winlayers::source::Source;
use winlayers::tar::Reader;

fuzz_target!(|input: (u8, &[u8])| {
    let (size, data) = input;
    let whole = walk(Source::memory(data.to_vec()));
    let pieces = walk(Source::Stream(Box::new(winlayers_fuzz::in_pieces(data, size))));
    match (whole, pieces) {
        (Ok((members, bytes)), Ok(pieces)) => {
            assert_eq!((&members, &bytes), (&pieces.0, &pieces.1));
            assert_eq!(bytes, data);
        }
        (Err(whole), Err(pieces)) => assert_eq!(whole.to_string(), pieces.to_string()),
        (whole, pieces) => panic!("{:?} but in pieces {:?}", whole.map(|w| w.0), pieces.map(|p| p.0)),
    }
});

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    winlayers_fuzz::mutate::tar(1, data, size, max_size, seed)
});

/// What the members say of themselves, and every byte that was seen, in order.
fn walk(source: Source) -> Result<(Vec<String>, Vec<u8>)> {
    let mut reader = Reader::new(source, &winlayers_fuzz::limits())?;
    reader.keep_raw();
    let (mut members, mut bytes) = (Vec::new(), Vec::new());
    while reader.advance()? {
        members.push(format!("{:?}", reader.member()));
        bytes.append(&mut reader.take_raw());
        loop {
            let chunk = reader.data()?;
            let n = chunk.len();
            if n == 0 {
                break;
            }
            bytes.extend_from_slice(chunk);
            reader.consume(n);
        }
    }
    bytes.append(&mut reader.take_raw());
    loop {
        let chunk = reader.rest()?;
        let n = chunk.len();
        if n == 0 {
            return Ok((members, bytes));
        }
        bytes.extend_from_slice(chunk);
        reader.consume_rest(n);
    }
}
