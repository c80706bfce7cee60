//! Reads a layer once: its digest to the very end of the source, and every problem with its place.

use super::holes::{Holes, RecordedBlocks};
use super::inspect::{Inspector, is_beyond_go_winio};
use super::report::LayerReport;
use crate::digest::{Tee, digest, front_to_back};
use crate::error::{Error, Format, Limit, Result};
use crate::layer_tar::{LayerEntry, LayerReader, NamedStream};
use crate::limits::Limits;
use crate::policy::Policy;
use crate::problem::Flaw;
use crate::progress::Progress;
use crate::source::Source;
use std::collections::HashSet;

/// Recomputes everything that a layer tar says about itself, and lists what is wrong.
///
/// A broken record does not hide what follows its member; broken framing does, but the digest still is that of all
/// bytes. What a dialect other than lossless would not carry is listed as losses. Memory is flat but for at most 24
/// bytes for each name, which `limits.entries` bounds. `docs/formats/problems.md` lists the codes.
///
/// ```
/// use winlayers::layer::verify;
/// use winlayers::progress::Progress;
/// use winlayers::layer_tar::{EntryKind, LayerEntry, LayerWriter};
/// use winlayers::source::Source;
/// let mut writer = LayerWriter::new(Vec::new(), Default::default());
/// writer.add(&LayerEntry::new("Files/a", EntryKind::Whiteout), vec![])?;
/// writer.add(&LayerEntry::new("Files/.wh.b", EntryKind::Whiteout), vec![])?;
/// let report = verify(Source::memory(writer.finish()?), &Default::default(), &Default::default(), Progress::none())?;
/// assert_eq!((report.entries, report.size), (2, 2048));
/// assert_eq!(report.problems.items[0].code.name(), "parent_missing");
/// # Ok::<(), winlayers::error::Error>(())
/// ```
///
/// # Errors
/// [`Error::Io`]; [`Error::Limit`] for more entries or bytes than the limits allow; what `progress` returns.
pub fn verify(source: Source, policy: &Policy, limits: &Limits, progress: Progress) -> Result<LayerReport> {
    let (tee, hasher) = Tee::new(front_to_back(source, &progress)?, progress, limits)?;
    // Names are checked here, so that a bad one does not hide what else is wrong with its entry.
    let lenient = Policy { allow_devices: policy.allow_devices, ..Policy::permissive() };
    let reader = LayerReader::new(Source::Stream(Box::new(tee)), lenient, limits)?;
    let mut verifier = Verifier { reader, inspector: Inspector::new(policy, limits), entries: 0, cut_short: false };
    verifier.run()?;
    let Verifier { reader, inspector, entries, cut_short } = verifier;
    drop(reader);
    let (problems, losses) = inspector.finish();
    let (diff_id, size) = digest(hasher);
    Ok(LayerReport { diff_id: (!cut_short).then_some(diff_id), entries, size, problems, losses })
}

struct Verifier<'a> {
    reader: LayerReader,
    inspector: Inspector<'a>,
    entries: u64,
    /// The rest of the source cannot be had, because its compression is broken.
    cut_short: bool,
}

impl Verifier<'_> {
    fn run(&mut self) -> Result<()> {
        let mut framed = true;
        loop {
            match self.reader.next_entry() {
                Ok(None) => break,
                Ok(Some(entry)) => {
                    self.entries += 1;
                    framed &= self.entry(entry)?;
                }
                Err(error) => framed &= self.failed(error)?,
            }
        }
        if framed {
            self.end_blocks();
        }
        if !self.cut_short { self.rest(framed) } else { Ok(()) }
    }

    /// Looks at an entry and its data; `false` when nobody knows where the next member begins.
    fn entry(&mut self, mut entry: LayerEntry) -> Result<bool> {
        self.inspector.entry(&entry, self.reader.member())?;
        let loses = is_beyond_go_winio(self.reader.member());
        let mut named = Vec::new();
        let mut seen = HashSet::new();
        let mut blocks = RecordedBlocks::of(&entry);
        loop {
            match self.reader.next_part() {
                Ok(None) => break,
                Ok(Some(part)) => {
                    let position = self.reader.member().position;
                    if let Some(name) = part.stream {
                        self.inspector.stream(&entry, &name, position, &mut seen);
                        named.push(NamedStream { name, size: part.size });
                    }
                    let holes = blocks.holes(named.len(), self.reader.member());
                    match self.data_in_holes(holes) {
                        Ok(None) => {}
                        Ok(Some(at)) => {
                            let message = format!("the data at byte {at} lies in a recorded hole");
                            self.inspector.problem(Flaw::SparseHole, &entry.name, Some(position), message);
                        }
                        Err(error) => return self.failed(error),
                    }
                }
                Err(error) => return self.failed(error),
            }
        }
        if loses {
            if let Err(error) = entry.set_streams(named) {
                return self.failed(error.in_member(&entry.name));
            }
            self.inspector.go_winio_losses(&entry);
        }
        Ok(true)
    }

    /// Offset of the first data that lies in a hole of the current part.
    fn data_in_holes(&mut self, mut holes: Holes) -> Result<Option<u64>> {
        while holes.is_told() {
            let chunk = self.reader.data()?;
            let n = chunk.len();
            if n == 0 {
                break;
            }
            holes.pass(chunk);
            self.reader.consume(n);
        }
        Ok(holes.data())
    }

    /// Makes a problem of what is wrong with the layer, and an error of everything else.
    fn failed(&mut self, error: Error) -> Result<bool> {
        match &error {
            Error::Io { .. }
            | Error::Hcs(_)
            | Error::Misuse { .. }
            | Error::Unsupported { .. }
            | Error::Integrity { .. }
            | Error::Store { .. } => Err(error),
            Error::Limit { limit: Limit::Entries | Limit::TotalBytes, .. } => Err(error),
            Error::Limit { limit, .. } => {
                // The framing stops at a member that is too large; the records of others can be passed over.
                let framed = !matches!(limit, Limit::MemberBytes | Limit::PaxBody | Limit::SparseRanges);
                self.inspector.error(&error);
                Ok(framed)
            }
            Error::Format(fault) => {
                let framed = fault.format != Format::Tar;
                if matches!(fault.format, Format::Gzip | Format::Zstd) {
                    self.cut_short = true;
                }
                let framed = framed && !self.cut_short;
                self.inspector.error(&error);
                Ok(framed)
            }
            Error::Refused { .. } => {
                self.inspector.refused(&error, self.reader.member())?;
                Ok(true)
            }
        }
    }

    fn end_blocks(&mut self) {
        let begin = self.reader.member().position;
        let found = self.reader.position() - begin;
        let blocks = u64::from(self.reader.zero_blocks());
        let message = if found > blocks * 512 && found.is_multiple_of(512) {
            format!("{} bytes of headers that belong to no member", found - blocks * 512)
        } else if blocks == 2 {
            return;
        } else {
            format!("the archive should end with two zero blocks, there are {blocks}")
        };
        self.inspector.problem(Flaw::EndBlocks, b"", Some(self.reader.position()), message);
    }

    /// Hashes what follows the archive; only zeros belong there.
    fn rest(&mut self, framed: bool) -> Result<()> {
        let mut odd = None;
        loop {
            let at = self.reader.position();
            let chunk = match self.reader.rest() {
                Ok(chunk) => chunk,
                Err(error) => return self.failed(error).map(drop),
            };
            if chunk.is_empty() {
                break;
            }
            if framed && odd.is_none() {
                odd = chunk.iter().position(|&b| b != 0).map(|i| at + i as u64);
            }
            let n = chunk.len();
            self.reader.consume_rest(n);
        }
        if let Some(at) = odd {
            self.inspector.note(Flaw::TrailingData, b"", at);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
