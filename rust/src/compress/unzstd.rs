//! Zstd frames and skippable frames (RFC 8878), one behind the other.

use super::port::Port;
use crate::error::{Error, Format, Result};
use zstd::stream::raw::{DParameter, Decoder, Operation};

const FORMAT: Format = Format::Zstd;
/// A window of 128 MiB, what the `zstd` tool accepts unless told otherwise. Stops frames that fill memory.
const WINDOW_LOG_MAX: u32 = 27;

pub(super) fn unzstd(port: &mut Port) -> Result<()> {
    let start = |e| Error::io("start zstd", None, e);
    let mut decoder = Decoder::new().map_err(start)?;
    decoder.set_parameter(DParameter::WindowLogMax(WINDOW_LOG_MAX)).map_err(start)?;
    let mut field = "frame";
    loop {
        frame(port, &mut decoder, field)?;
        match port.input()? {
            [] => return Ok(()),
            [0, ..] => return port.padding(FORMAT),
            // First bytes of the magic numbers, little-endian; a wrong one behind them is found by the decoder.
            [0x28 | 0x50..=0x5f, ..] => {}
            [byte, ..] => {
                let found = format!("{byte:#04x}");
                return Err(port.error(FORMAT, "data behind the last frame", "a frame or zeros", found));
            }
        }
        field = "frame behind the first";
    }
}

fn frame(port: &mut Port, decoder: &mut Decoder<'_>, field: &'static str) -> Result<()> {
    // libzstd 1.5.7 takes what it was given last as the start of the frame once it has the header: where that came in
    // pieces, the rest of it may be another frame. Nor does it look at the content size behind an empty last block.
    let (len, sized) = header_len(port.input_of(DESCRIBED)?);
    let content = port.input_of(len)?.get(len - sized..len).and_then(content_size);
    let mut plain = 0;
    loop {
        let (input, output) = port.buffers()?;
        let ended = input.is_empty();
        let status = match decoder.run_on_buffers(input, output) {
            Ok(status) => status,
            Err(error) => return Err(port.error(FORMAT, field, "valid zstd data", error.to_string())),
        };
        port.advance(status.bytes_read, status.bytes_written)?;
        plain += status.bytes_written as u64;
        if status.remaining == 0 {
            return match content {
                Some(size) if size != plain => {
                    Err(port.error(FORMAT, field, format!("{size} bytes of content"), format!("{plain}")))
                }
                _ => Ok(()),
            };
        }
        if ended && status.bytes_written == 0 {
            return Err(port.truncated(FORMAT, field));
        }
    }
}

/// The bytes of a frame that say how long its header is.
const DESCRIBED: usize = 5;

/// The length of a header, and that of the content size at its end.
fn header_len(start: &[u8]) -> (usize, usize) {
    match *start {
        [0x28, _, _, _, descriptor, ..] => {
            let single = usize::from(descriptor >> 5 & 1);
            let dictionary = [0, 1, 2, 4][usize::from(descriptor & 3)];
            let content = [single, 2, 4, 8][usize::from(descriptor >> 6)];
            (DESCRIBED + (1 - single) + dictionary + content, content)
        }
        // Skippable: its magic number and its length.
        _ => (8, 0),
    }
}

fn content_size(field: &[u8]) -> Option<u64> {
    let mut bytes = [0; 8];
    bytes[..field.len()].copy_from_slice(field);
    let size = u64::from_le_bytes(bytes);
    match field.len() {
        0 => None,
        2 => Some(size + 256),
        _ => Some(size),
    }
}
