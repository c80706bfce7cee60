//! Gzip and zstd out of any bytes: the same in any pieces (but for where an error is noticed); and any bytes,
//! compressed by both, come out again: that takes ten times as long, and is done for one size of pieces in sixteen.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::io::{Read, Write};
use winlayers::compress::{Compression, Reader, Writer};

/// A few bytes may stand for very many: no more than this is looked at.
const MOST: u64 = 1 << 20;

fuzz_target!(|input: (u8, &[u8])| {
    let (size, data) = input;
    let whole = decompress(data);
    // Each piece goes to a thread and back: of long inputs they are larger.
    let least = u8::try_from(data.len() / 16).unwrap_or(u8::MAX);
    let pieces = decompress(winlayers_fuzz::in_pieces(data, size.max(least)));
    match (&whole, &pieces) {
        // What is wrong just behind the bound is noticed or not, as blocks come.
        (Ok(bytes), Err(())) | (Err(()), Ok(bytes)) => assert_eq!(bytes.len() as u64, MOST),
        // They are too long to be shown.
        _ => assert!(whole == pieces),
    }
    let compressions: &[_] = if size.is_multiple_of(16) { &[Compression::Gzip, Compression::Zstd] } else { &[] };
    for &compression in compressions {
        let mut writer = Writer::with_workers(Vec::new(), compression, 1).expect("a thread");
        writer.write_all(data).expect("memory");
        let packed = writer.finish().expect("memory");
        assert_eq!(decompress(&packed[..]).expect("our own bytes"), data);
    }
});

fn decompress(source: impl Read) -> Result<Vec<u8>, ()> {
    let mut plain = Vec::new();
    let reader = Reader::new(source).map_err(drop)?;
    reader.take(MOST).read_to_end(&mut plain).map_err(drop)?;
    Ok(plain)
}
