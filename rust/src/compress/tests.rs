use super::*;
use crate::error::{Error, Format, from_io};
use proptest::prelude::*;
use std::io::{self, Read, Write};
use std::process::{Command, Stdio};

const PACKED: [Compression; 2] = [Compression::Gzip, Compression::Zstd];
/// More than a gzip block and a zstd job, and not a multiple of either.
const LARGE: usize = (2 << 20) + 12_345;

/// Half noise, half text, so that blocks of every kind are made.
fn data(len: usize) -> Vec<u8> {
    let mut state = 1u32;
    let mut noise = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..len).map(|i| if (i >> 9) % 2 == 0 { noise() } else { b"Files/Windows/System32/"[i % 23] }).collect()
}

fn pack(data: &[u8], compression: Compression) -> Vec<u8> {
    pack_with(data, compression, 2, usize::MAX)
}

fn pack_with(data: &[u8], compression: Compression, workers: usize, step: usize) -> Vec<u8> {
    let mut writer = Writer::with_workers(Vec::new(), compression, workers).unwrap();
    for piece in data.chunks(step) {
        writer.write_all(piece).unwrap();
        writer.flush().unwrap();
    }
    writer.finish().unwrap()
}

fn unpack(packed: &[u8]) -> Result<Vec<u8>, Error> {
    let mut plain = Vec::new();
    Reader::new(packed)?.read_to_end(&mut plain).map_err(from_io)?;
    Ok(plain)
}

#[track_caller]
fn format_error(result: Result<Vec<u8>, Error>) -> crate::error::FormatError {
    match result {
        Err(Error::Format(error)) => *error,
        Err(other) => panic!("{other}"),
        Ok(plain) => panic!("{} bytes were read", plain.len()),
    }
}

/// What a program makes of `input`; `None` where it is not installed.
fn tool(program: &str, arguments: &[&str], input: &[u8]) -> Option<Vec<u8>> {
    let mut command = Command::new(program);
    let mut child = command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().ok()?;
    let mut stdin = child.stdin.take().unwrap();
    let output = std::thread::scope(|scope| {
        scope.spawn(move || stdin.write_all(input).unwrap());
        child.wait_with_output().unwrap()
    });
    assert!(output.status.success(), "{program} {arguments:?}");
    Some(output.stdout)
}

const PYTHON_GUNZIP: [&str; 2] =
    ["-c", "import gzip, sys; sys.stdout.buffer.write(gzip.decompress(sys.stdin.buffer.read()))"];
const PYTHON_GZIP: [&str; 2] =
    ["-c", "import gzip, sys; sys.stdout.buffer.write(gzip.compress(sys.stdin.buffer.read()))"];

#[test]
fn round_trips_at_every_size_of_interest() {
    for compression in PACKED {
        for len in [0, 1, 1000, (512 << 10) - 1, 512 << 10, (512 << 10) + 1, 1 << 20, LARGE] {
            let plain = data(len);
            let packed = pack(&plain, compression);
            assert_eq!(Compression::detect(&packed), compression);
            assert_eq!(unpack(&packed).unwrap(), plain, "{compression:?} {len}");
        }
    }
}

#[test]
fn plain_bytes_pass_untouched() {
    for plain in [&b""[..], b"\x1f", b"Fi", b"Files", &[0x28, 0xb5, 0x2f], &data(10_000)] {
        let mut reader = Reader::new(plain).unwrap();
        assert_eq!(reader.compression(), Compression::None);
        let mut copy = Vec::new();
        reader.read_to_end(&mut copy).unwrap();
        assert_eq!(copy, plain);
        assert_eq!(pack(plain, Compression::None), plain);
    }
}

#[test]
fn other_tools_read_what_is_written() {
    let plain = data(LARGE);
    for plain in [&plain[..], &[]] {
        let gzip = pack(plain, Compression::Gzip);
        let zstd = pack(plain, Compression::Zstd);
        for (program, arguments, packed) in [
            ("python3", &PYTHON_GUNZIP[..], &gzip),
            ("gzip", &["-dc"], &gzip),
            ("igzip", &["-dc"], &gzip),
            ("zstd", &["-dc"], &zstd),
        ] {
            if let Some(unpacked) = tool(program, arguments, packed) {
                assert!(unpacked == plain, "{program}");
            }
        }
    }
}

#[test]
fn what_other_tools_write_is_read() {
    let plain = data(LARGE);
    for (program, arguments) in [
        ("python3", &PYTHON_GZIP[..]),
        ("gzip", &["-c1"]),
        ("pigz", &["-c"]),
        ("igzip", &["-c"]),
        ("zstd", &["-c"]),
        ("zstd", &["-c", "-19", "--no-check"]),
        ("pzstd", &["-c", "-p2"]),
    ] {
        if let Some(packed) = tool(program, arguments, &plain) {
            assert!(unpack(&packed).unwrap() == plain, "{program}");
            let twice = [&packed[..], &packed[..]].concat();
            assert!(unpack(&twice).unwrap() == [&plain[..], &plain[..]].concat(), "{program} twice");
        }
    }
}

#[test]
fn bytes_depend_on_the_data_alone() {
    let plain = data(2 * LARGE);
    for compression in PACKED {
        let one = pack_with(&plain, compression, 1, usize::MAX);
        for (workers, step) in [(1, 100_000), (2, 65_537), (3, usize::MAX), (8, 1 << 20), (64, 512 << 10)] {
            assert!(pack_with(&plain, compression, workers, step) == one, "{compression:?} {workers} {step}");
        }
    }
}

#[test]
fn no_name_and_no_time_are_written() {
    // RFC 1952, 2.3: magic, deflate, no flags, no time, no extra flags, unknown operating system.
    assert_eq!(pack(b"x", Compression::Gzip)[..10], [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255]);
}

#[test]
fn every_truncation_is_an_error() {
    for compression in PACKED {
        let one = pack(&data(700), compression);
        let two = [&one[..], &one[..]].concat();
        for len in Compression::MAGIC_LEN..two.len() {
            if len == one.len() {
                continue;
            }
            let error = format_error(unpack(&two[..len]));
            assert_eq!((error.offset, &*error.found), (Some(len as u64), "the end of the input"), "{compression:?}");
        }
    }
}

#[test]
fn no_flipped_bit_changes_the_data() {
    for compression in PACKED {
        let plain = data(300);
        let packed = pack(&plain, compression);
        let mut unnoticed = 0;
        for bit in 8 * Compression::MAGIC_LEN..packed.len() * 8 {
            let mut packed = packed.clone();
            packed[bit / 8] ^= 1 << (bit % 8);
            match unpack(&packed) {
                Ok(data) => {
                    assert_eq!(data, plain);
                    unnoticed += 1;
                }
                Err(error) => assert!(matches!(error, Error::Format(_)), "{error}"),
            }
        }
        // Time, extra flags and operating system of gzip; padding; the size of a zstd window.
        assert!(unnoticed <= 6 * 8 + 7, "{unnoticed} bits");
    }
}

#[test]
fn zeros_may_follow_and_nothing_else() {
    for compression in PACKED {
        let plain = data(700);
        let packed = pack(&plain, compression);
        let end = packed.len();
        for zeros in [1, 511, 10_240, 200_000] {
            let mut padded = packed.clone();
            padded.resize(end + zeros, 0);
            assert_eq!(unpack(&padded).unwrap(), plain);
            padded.push(7);
            assert_eq!(format_error(unpack(&padded)).offset, Some((end + zeros) as u64));
            // A member or frame behind zeros is not one either.
            padded.truncate(end + zeros);
            padded.extend_from_slice(&packed);
            assert_eq!(format_error(unpack(&padded)).offset, Some((end + zeros) as u64));
        }
        for garbage in [&b"garbage"[..], b"\x1f\x8c", b"(\xb5/\xfe"] {
            let error = format_error(unpack(&[&packed[..], garbage].concat()));
            assert!((end as u64..=(end + garbage.len()) as u64).contains(&error.offset.unwrap()), "{error}");
        }
    }
}

#[test]
fn skippable_frames_are_skipped() {
    let frame = pack(b"layer", Compression::Zstd);
    let skippable = |kind: u8, len: usize| {
        let mut bytes = vec![kind, 0x2a, 0x4d, 0x18];
        bytes.extend_from_slice(&u32::try_from(len).unwrap().to_le_bytes());
        bytes.resize(8 + len, 0xaa);
        bytes
    };
    let parts = [skippable(0x50, 4), frame.clone(), skippable(0x5f, 0), skippable(0x5a, 300_000), frame];
    let packed = parts.concat();
    assert_eq!(unpack(&packed).unwrap(), b"layerlayer");
    assert_eq!(unpack(&parts[0]).unwrap(), b"");
    assert_eq!(unpack(&parts[..4].concat()).unwrap(), b"layer");
    format_error(unpack(&parts[..4].concat()[..300_000]));
}

/// Where libzstd gets a frame header in pieces, it may take the last of them for a frame.
#[test]
fn a_header_in_pieces_is_no_frame() {
    // Behind the magic number the header reads as the magic number of a skippable frame, a block as its length.
    let looks = [b"\x28\xb5\x2f\xfd\x50\x2a\x4d\x18", &[2, 0, 0, 0, 0, 0, 0, 0][..]].concat();
    let error = format_error(unpack(&looks));
    assert_eq!((error.field, error.offset), ("frame", Some(16)), "{error:?}");
    // A dictionary's number that reads so too: it is asked for, however the frame comes.
    let wanted = b"\x28\xb5\x2f\xfd\x23\x50\x2a\x4d\x18\x00\x00\x00\x00\x01\x00\x00";
    for packed in [&looks[..], wanted] {
        for behind_another in [false, true] {
            let before = if behind_another { pack(b"layer", Compression::Zstd) } else { Vec::new() };
            let packed = [&before, packed].concat();
            let whole = format_error(unpack(&packed));
            for at in before.len()..packed.len() {
                let mut reader = Reader::new(packed[..at].chain(&packed[at..])).unwrap();
                let error = format_error(reader.read_to_end(&mut Vec::new()).map(|_| Vec::new()).map_err(from_io));
                assert_eq!((error.field, error.found), (whole.field, whole.found.clone()), "{at}");
            }
        }
    }
}

/// Behind an empty last block libzstd does not look at the content size.
#[test]
fn a_frame_with_less_than_its_content_size_is_refused() {
    // The content size in one byte, in two (less 256), in four and in eight.
    let headers: [(&[u8], u32); 4] = [
        (&[0x20, 41], 41),
        (&[0x60, 44, 1], 556),
        (&[0xa0, 0x28, 0, 1, 0], 0x1_0028),
        (&[0xe0, 0x28, 0, 1, 0, 0, 0, 0, 0], 0x1_0028),
    ];
    let repeated = |size: u32, last: u32| [&(size << 3 | 2 | last).to_le_bytes()[..3], b"x"].concat();
    for (header, size) in headers {
        let frame = |blocks: &[&[u8]]| [b"\x28\xb5\x2f\xfd", header, &blocks.concat()].concat();
        assert_eq!(unpack(&frame(&[&repeated(size, 1)])).unwrap(), vec![b'x'; size as usize]);
        let (raw, compressed) = ([1, 0, 0], [5, 0, 0]);
        for short in [frame(&[&raw]), frame(&[&compressed]), frame(&[&repeated(size - 1, 0), &raw])] {
            for at in 0..short.len() {
                let mut reader = Reader::new(short[..at].chain(&short[at..])).unwrap();
                format_error(reader.read_to_end(&mut Vec::new()).map(|_| Vec::new()).map_err(from_io));
            }
        }
    }
}

#[test]
fn every_field_of_a_gzip_header_is_read() {
    let plain = pack(b"layer", Compression::Gzip);
    let mut packed = vec![0x1f, 0x8b, 8, 2 + 4 + 8 + 16, 1, 2, 3, 4, 2, 3];
    packed.extend_from_slice(b"\x05\0extra" as &[u8]);
    packed.extend_from_slice(b"name\0comment\0");
    let crc = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32IsoHdlc, &packed);
    let crc_at = packed.len();
    packed.extend_from_slice(&u16::try_from(crc & 0xffff).unwrap().to_le_bytes());
    packed.extend_from_slice(&plain[10..]);
    assert_eq!(unpack(&packed).unwrap(), b"layer");
    if let Some(unpacked) = tool("python3", &PYTHON_GUNZIP, &packed) {
        assert_eq!(unpacked, b"layer");
    }

    packed[crc_at] ^= 1;
    let error = format_error(unpack(&packed));
    assert_eq!((error.field, error.offset), ("header checksum", Some(crc_at as u64)));
    packed[3] |= 0x20;
    assert_eq!(format_error(unpack(&packed)).field, "flags");
    packed[2] = 7;
    assert_eq!(format_error(unpack(&packed)).field, "compression method");
}

#[test]
fn a_window_over_the_bound_is_refused() {
    // RFC 8878, 3.1.1: no content size, window descriptor with exponent 18: 2^28 bytes. A raw block of one byte.
    let frame = |exponent: u8| [0x28, 0xb5, 0x2f, 0xfd, 0, exponent << 3, 0x09, 0, 0, b'x'];
    assert_eq!(unpack(&frame(17)).unwrap(), b"x");
    assert_eq!(format_error(unpack(&frame(18))).format, Format::Zstd);
}

/// Gives one byte at a time, and is interrupted in between.
struct Drip<'a>(&'a [u8], bool);

impl Read for Drip<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.1 = !self.1;
        if self.1 {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let n = buf.len().min(1);
        self.0.read(&mut buf[..n])
    }
}

#[test]
fn chunking_changes_nothing() {
    let plain = data(3_000);
    for compression in PACKED {
        let packed = [pack(&plain, compression), pack(&plain, compression), vec![0; 9]].concat();
        let mut reader = Reader::new(Drip(&packed, false)).unwrap();
        let mut copy = Vec::new();
        let mut byte = [0];
        while reader.read(&mut byte).unwrap() > 0 {
            copy.push(byte[0]);
        }
        assert_eq!(copy, [&plain[..], &plain[..]].concat());
    }
}

#[test]
fn what_a_slow_source_gave_is_not_held_back() {
    struct Stalls<'a>(&'a [u8]);
    impl Read for Stalls<'_> {
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            if self.0.is_empty() { Err(io::ErrorKind::WouldBlock.into()) } else { self.0.read(buf) }
        }
    }
    for compression in PACKED {
        let plain = data(5_000);
        let packed = pack(&plain, compression);
        let mut reader = Reader::new(Stalls(&packed[..packed.len() - 1])).unwrap();
        // The error of the source comes as it is, and reading goes on behind it.
        let mut copy = vec![0; plain.len()];
        let mut filled = 0;
        while filled < copy.len() {
            match reader.read(&mut copy[filled..]) {
                Ok(n) => filled += n,
                Err(e) => assert_eq!(e.kind(), io::ErrorKind::WouldBlock),
            }
        }
        assert_eq!(copy, plain);
    }
}

#[test]
fn dropping_early_ends_the_thread() {
    for compression in PACKED {
        let packed = pack(&vec![0; 20 << 20], compression);
        let mut reader = Reader::new(&packed[..]).unwrap();
        reader.read_exact(&mut [0; 10]).unwrap();
        // Joins the thread, or hangs.
        drop(reader);
        drop(Reader::new(&packed[..]).unwrap());
    }
}

#[test]
fn a_panicking_source_does_not_hang() {
    struct Panics<'a>(&'a [u8]);
    impl Read for Panics<'_> {
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            assert!(!self.0.is_empty(), "the source panics");
            self.0.read(buf)
        }
    }
    let packed = pack(&data(LARGE), Compression::Gzip);
    let result = std::panic::catch_unwind(|| {
        let mut reader = Reader::new(Panics(&packed[..packed.len() / 2])).unwrap();
        io::copy(&mut reader, &mut io::sink())
    });
    assert!(result.is_err());
}

#[test]
fn after_an_error_every_read_fails() {
    let mut packed = pack(&data(300), Compression::Gzip);
    packed.pop();
    let mut reader = Reader::new(&packed[..]).unwrap();
    let mut plain = Vec::new();
    assert_eq!(from_io(reader.read_to_end(&mut plain).unwrap_err()).code(), "bad_gzip");
    assert_eq!(from_io(reader.read(&mut [0]).unwrap_err()).code(), "poisoned");
}

/// Takes so many bytes, then fails.
struct Full<'a>(&'a mut Vec<u8>, usize);

impl Write for Full<'_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let n = buf.len().min(self.1 - self.0.len());
        if n == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.0.extend_from_slice(&buf[..n]);
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_writer_whose_sink_failed_is_poisoned() {
    for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
        let mut out = Vec::new();
        let mut writer = Writer::with_workers(Full(&mut out, 70_000), compression, 1).unwrap();
        let plain = data(3 * LARGE);
        assert_eq!(writer.write_all(&plain).unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert_eq!(from_io(writer.write(b"x").unwrap_err()).code(), "poisoned");
        assert_eq!(writer.finish().err().map(|e| e.code()), Some("poisoned"));
    }
}

#[test]
fn an_unfinished_stream_is_refused() {
    for compression in PACKED {
        // A multiple of the block and the job: what is there ends where a member or a block does.
        let plain = data(6 << 20);
        let mut out = Vec::new();
        let mut writer = Writer::with_workers(&mut out, compression, 1).unwrap();
        writer.write_all(&plain).unwrap();
        drop(writer);
        assert!(out.len() > 1000);
        format_error(unpack(&out));
    }
}

proptest! {
    #[test]
    fn any_data_survives_any_chunking(
        pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..3000), 0..6),
        zeros in 0usize..100,
        read in 1usize..5000,
    ) {
        for compression in PACKED {
            // Each piece a member or frame of its own.
            let mut packed: Vec<u8> = pieces.iter().flat_map(|piece| pack(piece, compression)).collect();
            if !packed.is_empty() {
                packed.resize(packed.len() + zeros, 0);
            }
            let mut reader = Reader::new(&packed[..]).unwrap();
            let mut copy = Vec::new();
            let mut buf = vec![0; read];
            loop {
                let n = reader.read(&mut buf).unwrap();
                if n == 0 {
                    break;
                }
                copy.extend_from_slice(&buf[..n]);
            }
            prop_assert_eq!(&copy, &pieces.concat());
        }
    }

    #[test]
    fn random_bytes_end_in_an_error(mut bytes in prop::collection::vec(any::<u8>(), 20..2000), gzip: bool) {
        let magic: &[u8] = if gzip { &[0x1f, 0x8b, 8, 0] } else { &[0x28, 0xb5, 0x2f, 0xfd] };
        bytes[..4].copy_from_slice(magic);
        prop_assert!(matches!(unpack(&bytes), Err(Error::Format(_))));
    }
}
