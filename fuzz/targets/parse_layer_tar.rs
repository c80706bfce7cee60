//! A layer out of any bytes: the same entries and data from memory, where headers are read ahead, as from a pipe.
#![no_main]

use libfuzzer_sys::{fuzz_mutator, fuzz_target};
use std::sync::Arc;
use winlayers::error::Result;
use winlayers::layer_tar::{LayerEntry, LayerReader, NamedStream, RandomReader};
use winlayers::policy::Policy;
use winlayers::source::Source;

fuzz_target!(|input: (u8, &[u8])| {
    let (size, data) = input;
    let ahead = read_ahead(data);
    let once = read_once(Source::Stream(Box::new(winlayers_fuzz::in_pieces(data, size))));
    match (ahead, once) {
        (Ok(ahead), Ok(once)) => assert_eq!(ahead, once),
        (Err(_), Err(_)) => {}
        (ahead, once) => panic!("{ahead:?} but from a pipe {once:?}"),
    }
});

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    winlayers_fuzz::mutate::tar(1, data, size, max_size, seed)
});

type Entries = Vec<(LayerEntry, Vec<u8>)>;

fn read_ahead(data: &[u8]) -> Result<Entries> {
    let source = Arc::new(data.to_vec());
    let mut reader = RandomReader::new(source.clone(), Policy::permissive(), &winlayers_fuzz::limits())?;
    let mut entries = Vec::new();
    while let Some(found) = reader.next_found()? {
        let mut content = Vec::new();
        for place in &found.places {
            let mut offset = 0;
            loop {
                let mut chunk = [0; 4096];
                let n = place.read_at(&*source, offset, &mut chunk)?;
                if n == 0 {
                    break;
                }
                content.extend_from_slice(&chunk[..n]);
                offset += n as u64;
            }
        }
        entries.push((found.entry, content));
    }
    Ok(entries)
}

fn read_once(source: Source) -> Result<Entries> {
    let mut reader = LayerReader::new(source, Policy::permissive(), &winlayers_fuzz::limits())?;
    let mut entries = Vec::new();
    while let Some(mut entry) = reader.next_entry()? {
        let (mut content, mut streams) = (Vec::new(), Vec::new());
        while let Some(part) = reader.next_part()? {
            streams.extend(part.stream.map(|name| NamedStream { name, size: part.size }));
            loop {
                let chunk = reader.data()?;
                let n = chunk.len();
                if n == 0 {
                    break;
                }
                content.extend_from_slice(chunk);
                reader.consume(n);
            }
        }
        entry.set_streams(streams)?;
        entries.push((entry, content));
    }
    Ok(entries)
}
