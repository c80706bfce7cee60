//! A backup stream that goes into a lossless tar comes out the same, from memory and from a pipe; it does so too out of
//! a tar in go-winio's dialect that reported no loss.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::io::Cursor;
use std::sync::Arc;
use winlayers::backup_stream::{Reader, StreamId, Writer};
use winlayers::error::Result;
use winlayers::layer_tar::{
    Dialect, EntryData, EntryStream, LayerEntry, LayerReader, LayerWriter, RandomReader, WriterOptions,
};
use winlayers::nt::BasicInfo;
use winlayers::policy::{OnLoss, Policy};
use winlayers::source::Source;
use winlayers_fuzz::read;

fuzz_target!(|input: ([u8; 36], &[u8])| {
    let (info, stream) = input;
    let mut bytes = [0; 40];
    bytes[..36].copy_from_slice(&info);
    let info = BasicInfo::from_bytes(&bytes);
    if let Ok(tar) = write(&info, stream, Dialect::Lossless, OnLoss::Error) {
        check(tar, &info, stream);
    }
    if let Ok(tar) = write(&info, stream, Dialect::GoWinio, OnLoss::Error) {
        check(tar, &info, &without_security_bit(stream).expect("it was read before"));
    }
});

/// BackupRead sets an attribute on every security stream that says only that: go-winio never keeps it.
fn without_security_bit(stream: &[u8]) -> Result<Vec<u8>> {
    let mut reader = Reader::new(stream, &winlayers_fuzz::limits());
    let mut writer = Writer::new(Vec::new());
    while let Some(mut header) = reader.advance()? {
        if header.id == StreamId::SECURITY_DATA {
            header.attributes &= !2;
        }
        writer.start(&header)?;
        writer.data(&reader.body(u64::MAX)?)?;
    }
    writer.finish()
}

fn write(info: &BasicInfo, stream: &[u8], dialect: Dialect, on_loss: OnLoss) -> Result<Vec<u8>> {
    let options = WriterOptions { dialect, on_loss, limits: winlayers_fuzz::limits(), ..WriterOptions::default() };
    let mut writer = LayerWriter::new(Vec::new(), options);
    writer.add_seekable_backup_stream(&LayerEntry::with_info("Files/a", *info), Cursor::new(stream), None)?;
    writer.finish()
}

fn check(tar: Vec<u8>, info: &BasicInfo, stream: &[u8]) {
    let source = Arc::new(tar.clone());
    let mut reader = RandomReader::new(source.clone(), Policy::default(), &winlayers_fuzz::limits()).expect("memory");
    let found = reader.next_found().expect("our own tar").expect("one entry");
    assert_eq!(&found.entry.basic_info, info);
    let data = EntryData::Random { source: &*source, places: &found.places };
    assert_eq!(read(EntryStream::new(&found.entry, data).expect("our own entry")), stream);
    assert!(reader.next_found().expect("our own tar").is_none());

    let source = Source::Stream(Box::new(Cursor::new(tar)));
    let mut reader = LayerReader::new(source, Policy::default(), &winlayers_fuzz::limits()).expect("memory");
    let entry = reader.next_entry().expect("our own tar").expect("one entry");
    assert_eq!(read(reader.backup_stream(&entry).expect("our own entry")), stream);
}
