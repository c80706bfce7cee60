//! Framing against other tools' archives, member by member.
//!
//! `VECTORS` says what Go's archive/tar (1.26) finds in each: how many members, and whether it then refuses the rest.
//! The reader agrees on all of them. Where it is known to differ, found by giving both sides the same damaged archives,
//! `differences_from_go` builds the smallest such archive:
//!
//! | archive | Go | here |
//! | --- | --- | --- |
//! | the padding of the last PAX or GNU header is missing | ends | refused: a member is announced |
//! | a sparse map without `GNU.sparse.numblocks` | refused | read: GNU tar needs no count |
//! | a sparse file of size 0 with data | read, the data unseen | refused: the map does not cover the data |
//! | a link or directory with a negative size | read | refused |

use super::header::{self, BlockFields};
use super::*;
use crate::error::Result;
use crate::source::Source;
use std::io::Read as _;
use std::path::PathBuf;

#[test]
fn vectors_as_go_reads_them() {
    let folder = std::env::var_os("WINLAYERS_VECTORS")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/vectors")), PathBuf::from)
        .join("tar");
    if !folder.is_dir() {
        return;
    }
    for (name, members, refused) in VECTORS {
        let bytes = std::fs::read(folder.join(name)).unwrap();
        for chunk in [0, 1, 511, 1 << 20] {
            let source = if chunk == 0 { Source::memory(bytes.clone()) } else { trickle(bytes.clone(), chunk) };
            let mut reader = Reader::new(source, &Default::default()).unwrap();
            reader.global_headers_as_members();
            let mut found = 0;
            let result = loop {
                match reader.advance() {
                    Ok(true) => found += 1,
                    other => break other,
                }
            };
            assert_eq!((found, result.is_err()), (members, refused), "{name} in pieces of {chunk}: {result:?}");
        }
    }
}

#[test]
fn differences_from_go() {
    let read = |tar: Vec<u8>| Reader::new(Source::memory(tar), &Default::default()).unwrap().advance();
    let mut body = Vec::new();
    pax::put(&mut body, b"path", b"long");
    let tar = [&block(b"x", typeflag::PAX, body.len() as u64)[..], &body].concat();
    assert_eq!(read(tar).unwrap_err().code(), "bad_tar");

    body.clear();
    pax::put(&mut body, b"GNU.sparse.map", b"0,3");
    pax::put(&mut body, b"GNU.sparse.size", b"9");
    assert!(read(with_pax(&body, &block(b"sparse", typeflag::FILE, 3))).unwrap());

    let mut sparse = block(b"sparse", typeflag::GNU_SPARSE, 3);
    sparse[257..265].copy_from_slice(b"ustar  \0");
    repair(&mut sparse);
    assert_eq!(read([&sparse[..], b"abc"].concat()).unwrap_err().code(), "bad_tar");

    let mut directory = block(b"d", typeflag::DIRECTORY, 0);
    directory[124..136].fill(0xff);
    repair(&mut directory);
    assert_eq!(read(directory.to_vec()).unwrap_err().code(), "bad_tar");
}

/// Rules that Go's archive/tar follows, which its own archives do not show.
#[test]
fn as_go_does() {
    let names = |tar: Vec<u8>, globals: bool| -> Result<Vec<String>> {
        let mut reader = Reader::new(Source::memory(tar), &Default::default())?;
        if globals {
            reader.global_headers_as_members();
        }
        let mut names = Vec::new();
        while reader.advance()? {
            names.push(String::from_utf8_lossy(&reader.member().name).into_owned());
        }
        Ok(names)
    };
    let file = block(b"file", typeflag::FILE, 0);
    let mut body = Vec::new();
    pax::put(&mut body, b"path", b"other");
    // The last record counts, and an empty one restores the header's name.
    let twice = [&body[..], b"8 path=\n"].concat();
    assert_eq!(names(with_pax(&twice, &file), false).unwrap(), ["file"]);
    // An empty GNU name is none.
    let long = [&block(b"L", typeflag::GNU_LONG_NAME, 0)[..], &file].concat();
    assert_eq!(names(long, false).unwrap(), ["file"]);
    // A global header is a member on request, and then applies to no other.
    let mut global = with_pax(&body, &file);
    global[TYPEFLAG] = typeflag::PAX_GLOBAL;
    repair((&mut global[..BLOCK]).try_into().unwrap());
    assert_eq!(names(global.clone(), false).unwrap(), ["other"]);
    assert_eq!(names(global, true).unwrap(), ["other", "file"]);
    // Numbers of a PAX header that do not parse are refused, too, and so is a sparse member without GNU magic.
    let mut odd = with_pax(&body, &file);
    odd[108] = b'x';
    repair((&mut odd[..BLOCK]).try_into().unwrap());
    assert!(names(odd, false).is_err());
    assert!(names(block(b"s", typeflag::GNU_SPARSE, 0).to_vec(), false).is_err());
}

/// A run of headers that belong to one member is bounded as a whole, and so are empty sparse blocks.
#[test]
fn headers_without_end() {
    let endless = std::io::repeat(0).take(0);
    let longs = block(b"L", typeflag::GNU_LONG_NAME, 0).repeat(20_000);
    let source = Source::Stream(Box::new(std::io::Cursor::new(longs).chain(endless)));
    let mut reader = Reader::new(source, &Default::default()).unwrap();
    assert_eq!(reader.advance().unwrap_err().code(), "limit_pax_body");

    let mut sparse = block(b"s", typeflag::GNU_SPARSE, 0);
    sparse[257..265].copy_from_slice(b"ustar  \0");
    sparse[482] = 1;
    repair(&mut sparse);
    let mut more = [0; BLOCK];
    more[504] = 1;
    let tar = [sparse.to_vec(), more.repeat(100)].concat();
    let limits = crate::limits::Limits { sparse_ranges: 1000, ..Default::default() };
    let mut reader = Reader::new(Source::memory(tar), &limits).unwrap();
    assert_eq!(reader.advance().unwrap_err().code(), "limit_sparse_ranges");
}

/// A stream that gives at most `chunk` bytes a read.
pub(crate) fn trickle(bytes: Vec<u8>, chunk: usize) -> Source {
    struct Trickle(std::io::Cursor<Vec<u8>>, usize);
    impl std::io::Read for Trickle {
        fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
            let n = buf.len().min(self.1);
            self.0.read(&mut buf[..n])
        }
    }
    Source::Stream(Box::new(Trickle(std::io::Cursor::new(bytes), chunk)))
}

/// Puts the right checksum into a header block.
pub(crate) fn repair(block: &mut [u8; BLOCK]) {
    block[148..156].fill(b' ');
    let sum: u32 = block.iter().map(|&b| u32::from(b)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}

fn block(name: &[u8], typeflag: u8, size: u64) -> [u8; BLOCK] {
    let devices = true;
    header::block(&BlockFields {
        name,
        prefix: b"",
        link_name: b"",
        mode: 0o644,
        size,
        mtime: Some(0),
        typeflag,
        devices,
    })
}

fn with_pax(body: &[u8], member: &[u8]) -> Vec<u8> {
    let mut tar = [&block(b"x", typeflag::PAX, body.len() as u64)[..], body].concat();
    tar.resize(2 * BLOCK, 0);
    tar.extend_from_slice(member);
    tar
}

/// File, members that Go's archive/tar lists, whether it then refuses the rest.
#[rustfmt::skip]
const VECTORS: [(&str, usize, bool); 71] = [
    ("creationtime/src__test__resources__COMPRESS-612__test-times-bsd-folder.tar", 2, false),
    ("creationtime/src__test__resources__longpath__minotaur_pax.tar", 19, false),
    ("creationtime/src__test__resources__longpath__minotaur_posix.tar", 19, false),
    ("file-and-dir.tar", 2, false),
    ("gnu-incremental.tar", 3, false),
    ("gnu-long-nul.tar", 1, false),
    ("gnu-multi-hdrs.tar", 1, false),
    ("gnu-nil-sparse-data.tar", 1, false),
    ("gnu-nil-sparse-hole.tar", 1, false),
    ("gnu-not-utf8.tar", 1, false),
    ("gnu-sparse-big.tar", 1, false),
    ("gnu-utf8.tar", 1, false),
    ("gnu.tar", 2, false),
    ("hardlink.tar", 2, false),
    ("hdr-only.tar", 16, false),
    ("invalid-go17.tar", 1, false),
    ("issue10968.tar", 0, true),
    ("issue11169.tar", 0, true),
    ("issue12435.tar", 0, true),
    ("neg-size.tar", 0, true),
    ("nil-uid.tar", 1, false),
    ("pax-bad-hdr-file.tar", 0, true),
    ("pax-bad-mtime-file.tar", 0, true),
    ("pax-global-records.tar", 6, false),
    ("pax-multi-hdrs.tar", 1, false),
    ("pax-nil-sparse-data.tar", 1, false),
    ("pax-nil-sparse-hole.tar", 1, false),
    ("pax-nul-path.tar", 0, true),
    ("pax-nul-xattrs.tar", 0, true),
    ("pax-path-hdr.tar", 0, false),
    ("pax-pos-size-file.tar", 1, false),
    ("pax-records.tar", 1, false),
    ("pax-sparse-big.tar", 1, false),
    ("pax.tar", 2, false),
    ("sparse-formats.tar", 5, false),
    ("star.tar", 2, false),
    ("tar-rs/7z_long_path.tar", 2, false),
    ("tar-rs/biguid_gnu.tar", 1, false),
    ("tar-rs/biguid_pax.tar", 1, false),
    ("tar-rs/directory.tar", 3, false),
    ("tar-rs/duplicate_dirs.tar", 2, false),
    ("tar-rs/empty_filename.tar", 1, false),
    ("tar-rs/file_times.tar", 1, false),
    ("tar-rs/link.tar", 2, false),
    ("tar-rs/pax.tar", 2, false),
    ("tar-rs/pax2.tar", 5, false),
    ("tar-rs/pax_size.tar", 1, false),
    ("tar-rs/reading_files.tar", 2, false),
    ("tar-rs/simple.tar", 3, false),
    ("tar-rs/simple_missing_last_header.tar", 3, false),
    ("tar-rs/spaces.tar", 1, false),
    ("tar-rs/sparse-1.tar", 1, false),
    ("tar-rs/sparse-large.tar", 1, false),
    ("tar-rs/sparse.tar", 4, false),
    ("tar-rs/xattrs.tar", 2, false),
    ("tokio-tar/diff-014-unterminated-pax.tar", 0, true),
    ("tokio-tar/diff-024-pending-pax-boundary.tar", 0, false),
    ("tokio-tar/diff-039-truncated-entry-body.tar", 1, true),
    ("tokio-tar/pax-header-precedence.tar", 3, false),
    ("tokio-tar/pax-hidden-entry.tar", 3, false),
    ("tokio-tar/pax-overrides-extension-header.tar", 2, false),
    ("tokio-tar/pax-phantom-entry.tar", 2, false),
    ("trailing-slash.tar", 1, false),
    ("ustar-file-devs.tar", 1, false),
    ("ustar-file-reg.tar", 1, false),
    ("ustar.tar", 1, false),
    ("v7.tar", 2, false),
    ("writer-big-long.tar", 1, true),
    ("writer-big.tar", 1, true),
    ("writer.tar", 3, false),
    ("xattrs.tar", 2, false),
];
