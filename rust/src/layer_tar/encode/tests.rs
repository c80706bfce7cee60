use super::*;
use crate::backup_stream::{self, StreamHeader, StreamId};
use crate::layer_tar::{BackupStream, EntryData, LayerReader, RandomReader};
use crate::source::Source;
use proptest::prelude::*;
use std::io::Read;
use std::sync::Arc;

/// A stream of the sequence: any id, attributes, name and body, blocks where they fit and where they do not.
fn stream() -> impl Strategy<Value = (StreamHeader, Vec<u8>)> {
    let name = prop_oneof![
        4 => Just(Vec::new()),
        2 => "[a-z]{1,3}".prop_map(|s| format!(":{s}:$DATA").encode_utf16().collect()),
        1 => prop::collection::vec(any::<u16>(), 0..5),
    ];
    let attributes = prop_oneof![3 => Just(0_u32), 2 => Just(8), 1 => Just(2), 1 => any::<u32>()];
    let body = prop::collection::vec(any::<u8>(), 0..40);
    (0_u32..13, attributes, name, body, 0_u64..200).prop_map(|(id, attributes, name, body, offset)| {
        let is_block = id == StreamId::SPARSE_BLOCK.0;
        let sparse_offset = is_block.then_some(offset);
        let size = body.len() as u64 + if is_block { 8 } else { 0 };
        (StreamHeader { id: StreamId(id), attributes, size, name, sparse_offset }, body)
    })
}

fn wire(streams: &[(StreamHeader, Vec<u8>)]) -> Vec<u8> {
    let mut writer = backup_stream::Writer::new(Vec::new());
    for (header, body) in streams {
        writer.start(header).unwrap();
        writer.data(body).unwrap();
    }
    writer.finish().unwrap()
}

fn lossless(info: &BasicInfo, stream: &[u8], seekable: bool) -> Vec<u8> {
    let options = WriterOptions { dialect: Dialect::Lossless, ..WriterOptions::default() };
    let mut writer = LayerWriter::new(Vec::new(), options);
    if seekable {
        writer
            .add_seekable_backup_stream(&LayerEntry::with_info("Files/a", *info), std::io::Cursor::new(stream), None)
            .unwrap();
    } else {
        writer.add_backup_stream(&LayerEntry::with_info("Files/a", *info), stream, None).unwrap();
    }
    writer.finish().unwrap()
}

fn read_random(tar: Vec<u8>, chunk: usize) -> (BasicInfo, Vec<u8>) {
    let tar = Arc::new(tar);
    let mut reader = RandomReader::new(tar.clone(), Policy::default(), &Limits::default()).unwrap();
    let found = reader.next_found().unwrap().unwrap();
    let mut data = EntryData::Random { source: &*tar, places: &found.places };
    let mut stream = BackupStream::new(&found.entry).unwrap();
    let (mut out, mut buf) = (Vec::new(), vec![0; chunk]);
    loop {
        let n = stream.read(&mut data, &mut buf).unwrap();
        if n == 0 {
            break;
        }
        out.extend_from_slice(&buf[..n]);
    }
    assert!(reader.next_found().unwrap().is_none());
    (found.entry.basic_info, out)
}

struct OneByte(std::io::Cursor<Vec<u8>>);

impl std::io::Read for OneByte {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        let n = buf.len().min(1);
        self.0.read(&mut buf[..n])
    }
}

fn read_forward(tar: Vec<u8>) -> (BasicInfo, Vec<u8>) {
    let source = Source::Stream(Box::new(OneByte(std::io::Cursor::new(tar))));
    let mut reader = LayerReader::new(source, Policy::default(), &Limits::default()).unwrap();
    let entry = reader.next_entry().unwrap().unwrap();
    let mut stream = reader.backup_stream(&entry).unwrap();
    let (mut out, mut buf) = (Vec::new(), [0; 7]);
    loop {
        let n = stream.read(&mut buf).unwrap();
        if n == 0 {
            break;
        }
        out.extend_from_slice(&buf[..n]);
    }
    assert!(reader.next_entry().unwrap().is_none());
    (entry.basic_info, out)
}

fn info() -> impl Strategy<Value = BasicInfo> {
    let time = || prop_oneof![Just(None), any::<i64>().prop_map(|t| Some(crate::nt::filetime::FileTime(t)))];
    (time(), time(), time(), time(), any::<u32>()).prop_map(|(c, a, w, ch, attributes)| BasicInfo {
        creation_time: c,
        last_access_time: a,
        last_write_time: w,
        change_time: ch,
        attributes: crate::nt::attributes::FileAttributes(attributes),
    })
}

#[test]
fn a_well_formed_list_of_attributes_after_the_data_keeps_its_place() {
    let attributes = [crate::nt::ExtendedAttribute { name: b"A".to_vec(), value: b"1".to_vec(), flags: 0 }];
    let list = crate::nt::ea::encode(&attributes).unwrap();
    let header = |id, size: usize| StreamHeader::new(id, size as u64);
    let streams = [(header(StreamId::DATA, 4), b"data".to_vec()), (header(StreamId::EA_DATA, list.len()), list)];
    let wire = wire(&streams);
    let tar = lossless(&BasicInfo::default(), &wire, true);
    assert_eq!(read_random(tar.clone(), 100).1, wire);
    assert_eq!(read_forward(tar).1, wire);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]
    #[test]
    fn lossless_is_the_identity(streams in prop::collection::vec(stream(), 0..8), info in info()) {
        let wire = wire(&streams);
        let tar = lossless(&info, &wire, true);
        prop_assert_eq!(&lossless(&info, &wire, false), &tar);
        prop_assert_eq!(read_random(tar.clone(), 1 << 16), (info, wire.clone()));
        prop_assert_eq!(read_random(tar.clone(), 3), (info, wire.clone()));
        prop_assert_eq!(read_forward(tar), (info, wire));
    }

    #[test]
    fn go_winio_loses_what_it_says(streams in prop::collection::vec(stream(), 0..6), info in info()) {
        let wire = wire(&streams);
        let mut writer = LayerWriter::new(Vec::new(), WriterOptions::default());
        let added = writer.add_seekable_backup_stream(&LayerEntry::with_info("Files/a", info), std::io::Cursor::new(&wire), None);
        if added.is_err() { return Ok(()); }
        let kept = writer.losses().total() == 0;
        let losses = format!("{:?}", writer.losses().items);
        let tar = writer.finish().unwrap();
        let policy = Policy::permissive();
        let mut reader = RandomReader::new(Arc::new(tar.clone()), policy, &Limits::default()).unwrap();
        let one = reader.next_found().is_ok() && reader.next_found().is_ok_and(|next| next.is_none());
        let same = one && {
            let (read_info, read) = read_random(tar, 100);
            // BackupRead sets this bit on every security stream; the dialect does not keep it, and no one misses it.
            let plain: Vec<_> = streams.iter().cloned().map(|(mut header, body)| {
                if header.id == StreamId::SECURITY_DATA { header.attributes &= !2; }
                (header, body)
            }).collect();
            read_info == info && read == self::wire(&plain)
        };
        prop_assert_eq!(kept, same, "losses: {}", losses);
    }
}
