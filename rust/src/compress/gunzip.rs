//! Gzip members (RFC 1952), one behind the other.

use super::port::Port;
use crate::error::{Error, Format, Result};
use crc_fast::{CrcAlgorithm, Digest};
use zlib_rs::{Inflate, InflateFlush, Status};

const FORMAT: Format = Format::Gzip;
const FLAG_HEADER_CRC: u8 = 2;
const FLAG_EXTRA: u8 = 4;
const FLAG_NAME: u8 = 8;
const FLAG_COMMENT: u8 = 16;
const FLAGS_RESERVED: u8 = 0xe0;

pub(super) fn gunzip(port: &mut Port) -> Result<()> {
    let mut inflate = Inflate::new(false, 15);
    let mut magic_field = "magic";
    loop {
        header(port, magic_field)?;
        body(port, &mut inflate)?;
        inflate.reset(false);
        match port.input()?.first() {
            None => return Ok(()),
            Some(0) => return port.padding(FORMAT),
            Some(_) => magic_field = "data behind the last member",
        }
    }
}

/// A header, byte by byte, and the checksum that may end it.
struct Header<'a> {
    port: &'a mut Port,
    crc: Digest,
}

impl Header<'_> {
    fn byte(&mut self) -> Result<u8> {
        let byte = self.port.byte(FORMAT, "header")?;
        self.crc.update(&[byte]);
        Ok(byte)
    }

    fn u16(&mut self) -> Result<u16> {
        Ok(u16::from_le_bytes([self.byte()?, self.byte()?]))
    }

    fn expect(&mut self, field: &'static str, expected: u8) -> Result<()> {
        let offset = self.port.offset();
        let found = self.byte()?;
        if found == expected {
            return Ok(());
        }
        Err(Error::format(FORMAT, field, format!("{expected:#04x}"), format!("{found:#04x}")).at(offset))
    }
}

fn header(port: &mut Port, magic_field: &'static str) -> Result<()> {
    let mut header = Header { port, crc: Digest::new(CrcAlgorithm::Crc32IsoHdlc) };
    header.expect(magic_field, 0x1f)?;
    header.expect(magic_field, 0x8b)?;
    header.expect("compression method", 8)?;
    let flags = header.byte()?;
    if flags & FLAGS_RESERVED != 0 {
        return Err(header.port.error(FORMAT, "flags", "no reserved flag", format!("{flags:#04x}")));
    }
    // Modification time, extra flags, operating system.
    for _ in 0..6 {
        header.byte()?;
    }
    if flags & FLAG_EXTRA != 0 {
        for _ in 0..header.u16()? {
            header.byte()?;
        }
    }
    for flag in [FLAG_NAME, FLAG_COMMENT] {
        if flags & flag != 0 {
            while header.byte()? != 0 {}
        }
    }
    if flags & FLAG_HEADER_CRC != 0 {
        let computed = header.crc.finalize() & 0xffff;
        let offset = header.port.offset();
        let stored = u64::from(header.u16()?);
        if stored != computed {
            return Err(mismatch("header checksum", stored, computed).at(offset));
        }
    }
    Ok(())
}

/// The compressed blocks of a member, then the checksum and the size.
fn body(port: &mut Port, inflate: &mut Inflate) -> Result<()> {
    let mut crc = Digest::new(CrcAlgorithm::Crc32IsoHdlc);
    let mut size = 0u64;
    loop {
        let (input, output) = port.buffers()?;
        let ended = input.is_empty();
        let (read_before, written_before) = (inflate.total_in(), inflate.total_out());
        let result = inflate.decompress(input, output, InflateFlush::NoFlush);
        let read = usize::try_from(inflate.total_in() - read_before).expect("no more than the input");
        let written = usize::try_from(inflate.total_out() - written_before).expect("no more than the room");
        crc.update(&output[..written]);
        size += written as u64;
        port.advance(read, written)?;
        match result {
            Ok(Status::StreamEnd) => break,
            Ok(Status::Ok | Status::BufError) => {
                if ended && written == 0 {
                    return Err(port.truncated(FORMAT, "deflate data"));
                }
            }
            // What the library says of them depends on how the input was cut into pieces.
            Err(_) => return Err(port.error(FORMAT, "deflate data", "valid blocks", "an invalid one")),
        }
    }
    for (field, computed) in [("CRC-32", crc.finalize()), ("size modulo 2^32", size & 0xffff_ffff)] {
        let offset = port.offset();
        let mut stored = [0; 4];
        for byte in &mut stored {
            *byte = port.byte(FORMAT, "trailer")?;
        }
        let stored = u64::from(u32::from_le_bytes(stored));
        if stored != computed {
            return Err(mismatch(field, stored, computed).at(offset));
        }
    }
    Ok(())
}

fn mismatch(field: &'static str, stored: u64, computed: u64) -> Error {
    Error::format(FORMAT, field, format!("{computed:#x}, computed over the data"), format!("{stored:#x}"))
}
