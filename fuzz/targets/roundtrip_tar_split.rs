//! Whatever can be taken apart is put together again to the bit, and metadata of any bytes does no harm.
#![no_main]

use libfuzzer_sys::{fuzz_mutator, fuzz_target};
use std::collections::BTreeMap;
use winlayers::source::Source;
use winlayers::tar_split::{assemble, disassemble};

fuzz_target!(|input: (u8, &[u8])| {
    let (size, data) = input;
    let limits = winlayers_fuzz::limits();
    let (mut metadata, mut content) = (Vec::new(), BTreeMap::new());
    let pieces = Source::Stream(Box::new(winlayers_fuzz::in_pieces(data, size)));
    if disassemble(pieces, &mut metadata, Some(&mut content), &limits).is_ok() {
        let mut again = Vec::new();
        assemble(&metadata[..], &mut content, &mut again, &limits).expect("our own metadata");
        assert_eq!(again, data);
    }
    let mut content = BTreeMap::from([(b"a".to_vec(), b"hello".to_vec())]);
    let _ = assemble(data, &mut content, std::io::sink(), &limits);
});

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    winlayers_fuzz::mutate::tar(1, data, size, max_size, seed)
});
