//! What the go-winio encoder writes to: a tar, or nowhere.

use super::facts::{copy, zeros};
use super::source::StreamSource;
use crate::error::Result;
use crate::tar::{MemberHeader, Writer, has_no_data};
use std::io::{self, Write};

/// What an entry is written to.
pub(super) trait Output {
    /// As [`Writer::start`].
    fn start(&mut self, member: &MemberHeader<'_>) -> Result<()>;
    /// As [`Writer::data_left`].
    fn data_left(&self) -> u64;
    /// Takes the `size` bytes of the current stream.
    fn copy<S: StreamSource>(&mut self, source: &mut S, size: u64) -> Result<()>;
    /// Takes `n` zeros.
    fn zeros(&mut self, n: u64) -> Result<()>;
}

impl<W: Write> Output for Writer<W> {
    fn start(&mut self, member: &MemberHeader<'_>) -> Result<()> {
        Writer::start(self, member)
    }

    fn data_left(&self) -> u64 {
        Writer::data_left(self)
    }

    fn copy<S: StreamSource>(&mut self, source: &mut S, _size: u64) -> Result<()> {
        copy(source, self)
    }

    fn zeros(&mut self, n: u64) -> Result<()> {
        zeros(self, n)
    }
}

/// Writes headers alone, to nowhere, and passes over data: for what is lost.
pub(super) struct Nowhere {
    headers: Writer<io::Sink>,
    data_left: u64,
}

impl Nowhere {
    pub fn new() -> Self {
        Nowhere { headers: Writer::new(io::sink()), data_left: 0 }
    }
}

impl Output for Nowhere {
    fn start(&mut self, member: &MemberHeader<'_>) -> Result<()> {
        self.data_left = if has_no_data(member.typeflag) { 0 } else { member.size };
        self.headers.start(&MemberHeader { size: 0, records: member.records.clone(), ..*member })
    }

    fn data_left(&self) -> u64 {
        self.data_left
    }

    fn copy<S: StreamSource>(&mut self, source: &mut S, size: u64) -> Result<()> {
        self.zeros(size)?;
        source.pass_over()
    }

    fn zeros(&mut self, n: u64) -> Result<()> {
        self.data_left = self.data_left.saturating_sub(n);
        Ok(())
    }
}
