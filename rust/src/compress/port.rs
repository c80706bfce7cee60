//! The worker's end of a reader: compressed bytes in, plain bytes out, both in recycled buffers.

use crate::error::{Error, Format, Result};
use std::io;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};

/// How many buffers of compressed input there are, and the size of each.
pub(super) const INPUTS: usize = 4;
pub(super) const INPUT: usize = 128 << 10;
/// Room in each for what is put in front of it: [`Port::input_of`].
const FRONT: usize = 32;
/// The same of plain output: how far the worker runs ahead.
const OUTPUTS: usize = 4;
const OUTPUT: usize = 256 << 10;

/// A buffer and how much of it is filled.
pub(super) struct Chunk {
    bytes: Box<[u8]>,
    len: usize,
}

impl Chunk {
    pub fn input() -> Self {
        Chunk { bytes: vec![0; INPUT + FRONT].into(), len: 0 }
    }

    fn put_in_front(&mut self, rest: &[u8]) {
        self.bytes.copy_within(..self.len, rest.len());
        self.bytes[..rest.len()].copy_from_slice(rest);
        self.len += rest.len();
    }

    pub fn filled(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    pub fn room(&mut self) -> &mut [u8] {
        &mut self.bytes[self.len..]
    }

    pub fn advance(&mut self, n: usize) {
        self.len += n;
    }
}

/// What the worker sends to the reader.
pub(super) enum Event {
    Output(Chunk),
    /// An input buffer, empty again.
    Consumed(Chunk),
    End,
    Failed(Error),
}

/// The reader's ends of the channels.
pub(super) struct Ends {
    pub inputs: SyncSender<Chunk>,
    pub events: Receiver<Event>,
    pub free: SyncSender<Chunk>,
}

pub(super) struct Port {
    inputs: Receiver<Chunk>,
    events: SyncSender<Event>,
    free: Receiver<Chunk>,
    input: Option<Chunk>,
    position: usize,
    output: Option<Chunk>,
    offset: u64,
}

impl Port {
    pub fn new() -> (Self, Ends) {
        let (inputs_sender, inputs) = sync_channel(INPUTS);
        // Room for every buffer and for the last word: no send ever waits.
        let (events, events_receiver) = sync_channel(INPUTS + OUTPUTS + 1);
        let (free_sender, free) = sync_channel(OUTPUTS);
        for _ in 0..OUTPUTS {
            let chunk = Chunk { bytes: vec![0; OUTPUT].into(), len: 0 };
            free_sender.send(chunk).expect("its receiver is here");
        }
        let port = Port { inputs, events, free, input: None, position: 0, output: None, offset: 0 };
        (port, Ends { inputs: inputs_sender, events: events_receiver, free: free_sender })
    }

    pub fn run(mut self, decompress: fn(&mut Port) -> Result<()>) {
        let result = decompress(&mut self).and_then(|()| self.flush());
        // Sending fails only when the reader was dropped.
        let _ = self.events.send(match result {
            Ok(()) => Event::End,
            Err(error) => Event::Failed(error),
        });
    }

    /// Offset in the compressed input of the next byte.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Compressed bytes that wait to be consumed; none only at the end of the input.
    pub fn input(&mut self) -> Result<&[u8]> {
        while self.input.as_ref().is_none_or(|chunk| self.position == chunk.len) {
            self.give_back()?;
            let Some(chunk) = self.receive()? else { return Ok(&[]) };
            self.input = Some(chunk);
        }
        Ok(self.rest())
    }

    /// As [`Port::input`], in one piece up to its byte `n`, at most 32; less at the end of the input only.
    pub fn input_of(&mut self, n: usize) -> Result<&[u8]> {
        while (1..n).contains(&self.input()?.len()) {
            let rest = self.rest().to_vec();
            // The reader waits for a word before it gives more.
            self.give_back()?;
            let Some(mut next) = self.receive()? else {
                self.input = Some(Chunk { len: rest.len(), bytes: rest.into() });
                break;
            };
            next.put_in_front(&rest);
            self.input = Some(next);
        }
        Ok(self.rest())
    }

    /// What is left of the input that came.
    fn rest(&self) -> &[u8] {
        self.input.as_ref().map_or(&[], |chunk| &chunk.filled()[self.position..])
    }

    /// The input buffer goes back to be filled again.
    fn give_back(&mut self) -> Result<()> {
        self.position = 0;
        let Some(mut chunk) = self.input.take() else { return Ok(()) };
        chunk.len = 0;
        self.tell(Event::Consumed(chunk))
    }

    fn receive(&mut self) -> Result<Option<Chunk>> {
        Ok(match self.inputs.try_recv() {
            Err(TryRecvError::Empty) => {
                // The source is slow: the caller gets what there is before waiting for it.
                self.flush()?;
                self.inputs.recv().ok()
            }
            other => other.ok(),
        })
    }

    /// The input as [`Port::input`] gives it, and room for output: at least a byte.
    pub fn buffers(&mut self) -> Result<(&[u8], &mut [u8])> {
        self.input()?;
        if self.output.is_none() {
            let mut chunk = self.free.recv().map_err(|_| gone())?;
            chunk.len = 0;
            self.output = Some(chunk);
        }
        let input = self.input.as_ref().map_or(&[][..], |chunk| &chunk.filled()[self.position..]);
        let output = self.output.as_mut().expect("just made sure of");
        Ok((input, output.room()))
    }

    /// Says how much of [`Port::buffers`] was used.
    pub fn advance(&mut self, read: usize, written: usize) -> Result<()> {
        self.position += read;
        self.offset += read as u64;
        if let Some(output) = &mut self.output {
            output.advance(written);
            if output.room().is_empty() {
                self.flush()?;
            }
        }
        Ok(())
    }

    /// The next byte of the input.
    pub fn byte(&mut self, format: Format, field: &'static str) -> Result<u8> {
        let Some(&byte) = self.input()?.first() else { return Err(self.truncated(format, field)) };
        self.advance(1, 0)?;
        Ok(byte)
    }

    /// Passes over zeros up to the end of the input; anything else is an error.
    pub fn padding(&mut self, format: Format) -> Result<()> {
        loop {
            let input = self.input()?;
            if input.is_empty() {
                return Ok(());
            }
            let zeros = input.iter().take_while(|&&byte| byte == 0).count();
            let other = input.get(zeros).copied();
            self.advance(zeros, 0)?;
            if let Some(byte) = other {
                return Err(self.error(format, "padding", "zeros up to the end", format!("{byte:#04x}")));
            }
        }
    }

    pub fn truncated(&self, format: Format, field: &'static str) -> Error {
        self.error(format, field, "more bytes", "the end of the input")
    }

    pub fn error(
        &self,
        format: Format,
        field: &'static str,
        expected: impl Into<Box<str>>,
        found: impl Into<Box<str>>,
    ) -> Error {
        Error::format(format, field, expected, found).at(self.offset)
    }

    /// Hands over the output so far.
    fn flush(&mut self) -> Result<()> {
        if let Some(chunk) = self.output.take_if(|chunk| chunk.len > 0) {
            self.tell(Event::Output(chunk))?;
        }
        Ok(())
    }

    fn tell(&self, event: Event) -> Result<()> {
        self.events.send(event).map_err(|_| gone())
    }
}

/// The reader was dropped; this error ends the worker, and no one sees it.
fn gone() -> Error {
    Error::io("decompress", None, io::ErrorKind::BrokenPipe.into())
}
