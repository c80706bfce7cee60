//! A backup stream out of any bytes: the same in any pieces, and written again as it was.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::io::BufRead;
use winlayers::backup_stream::{Reader, Writer};
use winlayers::error::Result;

fuzz_target!(|input: (u8, &[u8])| {
    let (size, data) = input;
    let whole = copy(data);
    let pieces = copy(winlayers_fuzz::in_pieces(data, size));
    match (whole, pieces) {
        (Ok(whole), Ok(pieces)) => {
            assert_eq!(whole, data);
            assert_eq!(pieces, data);
        }
        (Err(whole), Err(pieces)) => assert_eq!(whole.to_string(), pieces.to_string()),
        (whole, pieces) => panic!("{whole:?} but in pieces {pieces:?}"),
    }
});

fn copy(source: impl BufRead) -> Result<Vec<u8>> {
    let mut reader = Reader::new(source, &winlayers_fuzz::limits());
    let mut writer = Writer::new(Vec::new());
    while let Some(header) = reader.advance()? {
        writer.start(&header)?;
        loop {
            let chunk = reader.data()?;
            let n = chunk.len();
            if n == 0 {
                break;
            }
            writer.data(chunk)?;
            reader.consume(n);
        }
    }
    writer.finish()
}
