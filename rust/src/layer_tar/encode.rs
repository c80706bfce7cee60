//! Layer entries and backup streams to a tar, in one of the dialects.

use super::entry::{EntryKind, LayerEntry};
use super::facts::Facts;
use super::source::{EntryStreams, Forward, Seekable, StreamSource};
use super::{go_winio, lossless};
use crate::backup_stream::Reader;
use crate::closed_set::closed_set;
use crate::error::{Error, Misuse, Result, Rule, from_io};
use crate::layer_name::{is_named_like_whiteout, whiteout_of, with_slashes};
use crate::limits::Limits;
use crate::nt::basic_info::BasicInfo;
use crate::nt::path::check_member_name;
use crate::policy::{Capped, Loss, LossKind, Losses, OnLoss, Policy};
use crate::source::Spool;
use crate::tar::{MemberHeader, Writer, typeflag};
use std::io::{BufRead, BufReader, Seek, SeekFrom, Write};

closed_set! {
    /// How a layer is written.
    #[derive(Default)]
    pub enum Dialect {
        /// What backuptar writes.
        #[default]
        GoWinio = "go-winio";
        /// The same and what that loses.
        Lossless = "lossless";
    }
}

/// What a writer may be told.
#[derive(Debug, Clone, Default)]
pub struct WriterOptions {
    /// Which records are written.
    pub dialect: Dialect,
    /// What happens when the dialect cannot carry something.
    pub on_loss: OnLoss,
    /// Which names are refused.
    pub policy: Policy,
    /// Bounds.
    pub limits: Limits,
}

impl WriterOptions {
    /// The lossless dialect, in which a loss is an error.
    #[must_use]
    pub fn lossless(limits: &Limits) -> Self {
        let (dialect, on_loss, limits) = (Dialect::Lossless, OnLoss::Error, limits.clone());
        WriterOptions { dialect, on_loss, policy: Policy::default(), limits }
    }
}

/// Writes a layer tar. After an error it is poisoned: nothing more can be added, and no end blocks are written.
pub struct LayerWriter<W: Write> {
    tar: Writer<W>,
    options: WriterOptions,
    losses: Losses,
    entries: u64,
    poisoned: bool,
}

impl<W: Write> LayerWriter<W> {
    /// A writer at the start of a tar.
    pub fn new(sink: W, options: WriterOptions) -> Self {
        let losses = Losses::new(options.on_loss);
        LayerWriter { tar: Writer::new(sink), options, losses, entries: 0, poisoned: false }
    }

    /// What was lost so far.
    pub fn losses(&self) -> &Capped<Loss> {
        self.losses.list()
    }

    /// Notes a loss that the caller knows of.
    ///
    /// # Errors
    /// [`Error::Refused`] where losses are errors.
    pub fn add_loss(&mut self, loss: Loss) -> Result<()> {
        let added = self.losses.push(&loss.path, loss.stream, loss.kind, loss.detail);
        self.poisoned |= added.is_err();
        added.map_err(|e| e.in_member(&loss.path))
    }

    /// Bytes written so far.
    pub fn position(&self) -> u64 {
        self.tar.position()
    }

    /// Members added so far, named streams not counted.
    pub fn entries(&self) -> u64 {
        self.entries
    }

    /// The sink.
    pub fn sink(&self) -> &W {
        self.tar.get_ref()
    }

    /// Adds an entry with its data: the unnamed data first where the entry has any, then its named streams in order.
    ///
    /// The streams go in their recorded order, where one is recorded.
    ///
    /// # Errors
    /// [`Error::Misuse`] for data that does not fit the entry, [`Error::Refused`], [`Error::Limit`], [`Error::Io`];
    /// [`Error::Format`] for a recorded order that is not that of the data.
    pub fn add(&mut self, entry: &LayerEntry, data: Vec<Box<dyn BufRead + '_>>) -> Result<()> {
        match entry.kind {
            EntryKind::HardLink => {
                let target = entry.link_name.as_deref().unwrap_or_default();
                self.no_data(entry, &data)?;
                self.unwritten(entry)?;
                self.add_hard_link(&entry.name, target, Some(&entry.basic_info))
            }
            EntryKind::Whiteout => {
                self.no_data(entry, &data)?;
                self.unwritten(entry)?;
                self.whiteout_member(&entry.name)
            }
            EntryKind::File | EntryKind::Directory | EntryKind::Symlink | EntryKind::Junction | EntryKind::Reparse => {
                self.guarded(&entry.name, |writer, name| {
                    check_shape(entry)?;
                    let mut source = EntryStreams::new(entry, data)?;
                    writer.write_streams(name, entry, &mut source, Some(entry.size()))?;
                    source.finish(entry)
                })
            }
        }
    }

    /// Adds an entry from its backup stream, read in one pass. In the lossless dialect the stream is spooled: up to
    /// 1 MiB in memory, more in an unlinked temporary file.
    ///
    /// The entry gives name, kind, times, attributes and the spelling of a link. `size` is that of the unnamed data;
    /// without it, it is taken from a plain DATA header.
    ///
    /// # Errors
    /// As [`LayerWriter::add`], and [`Error::Format`] for a stream that is malformed.
    pub fn add_backup_stream<R: BufRead>(&mut self, entry: &LayerEntry, stream: R, size: Option<u64>) -> Result<()> {
        if self.options.dialect == Dialect::Lossless {
            return self.guarded(&entry.name, |writer, name| {
                let mut source = Seekable(Reader::new(spool(stream)?, &writer.options.limits));
                writer.write_streams(name, entry, &mut source, size)
            });
        }
        self.guarded(&entry.name, |writer, name| {
            let mut source = Forward(Reader::new(stream, &writer.options.limits));
            writer.write_streams(name, entry, &mut source, size)
        })
    }

    /// As [`LayerWriter::add_backup_stream`], from a stream that is read twice: so extended attributes may follow the
    /// data, and nothing is spooled.
    ///
    /// # Errors
    /// As [`LayerWriter::add_backup_stream`].
    pub fn add_seekable_backup_stream<R: BufRead + Seek>(
        &mut self,
        entry: &LayerEntry,
        stream: R,
        size: Option<u64>,
    ) -> Result<()> {
        self.guarded(&entry.name, |writer, name| {
            let mut source = Seekable(Reader::new(stream, &writer.options.limits));
            writer.write_streams(name, entry, &mut source, size)
        })
    }

    /// Adds another name of a file: of one in this layer, or in a lower one.
    ///
    /// # Errors
    /// As [`LayerWriter::add`].
    pub fn add_hard_link(&mut self, name: &[u8], target: &[u8], info: Option<&BasicInfo>) -> Result<()> {
        self.guarded(name, |writer, name| {
            let target = with_slashes(target);
            check_member_name(&target, &writer.options.policy, &writer.options.limits)?;
            let info = info.filter(|info| **info != BasicInfo::default());
            let mut header = match info {
                Some(info) => {
                    let mut facts = Facts::new(EntryKind::HardLink, info);
                    match writer.options.dialect {
                        Dialect::GoWinio => go_winio::time_losses(info, name, &mut writer.losses)?,
                        Dialect::Lossless => lossless::times(info, &mut facts),
                    }
                    facts.header(name, &target, 0)
                }
                None => MemberHeader { name, link_name: &target, ..MemberHeader::default() },
            };
            header.mode = 0o644;
            header.typeflag = typeflag::HARD_LINK;
            writer.tar.start(&header)
        })
    }

    /// Adds the deletion of `target` from the layers below.
    ///
    /// # Errors
    /// As [`LayerWriter::add`].
    pub fn add_whiteout(&mut self, target: &[u8]) -> Result<()> {
        self.whiteout_member(&whiteout_of(&with_slashes(target)))
    }

    /// Writes the end blocks, and gives the sink back.
    ///
    /// # Errors
    /// [`Error::Misuse`] after an error, [`Error::Io`].
    pub fn finish(self) -> Result<W> {
        if self.poisoned {
            return Err(Error::misuse(Misuse::Poisoned, ""));
        }
        self.tar.finish()
    }

    fn whiteout_member(&mut self, member: &[u8]) -> Result<()> {
        self.guarded(member, |writer, name| {
            writer.tar.start(&MemberHeader { name, typeflag: typeflag::FILE, ..MemberHeader::default() })
        })
    }

    fn write_streams<S: StreamSource>(
        &mut self,
        name: &[u8],
        entry: &LayerEntry,
        source: &mut S,
        size: Option<u64>,
    ) -> Result<()> {
        if is_named_like_whiteout(name) {
            return Err(Error::refused(Rule::WhiteoutName, ""));
        }
        let limits = &self.options.limits;
        match self.options.dialect {
            Dialect::GoWinio => {
                let (tar, losses) = (&mut self.tar, &mut self.losses);
                go_winio::Encoder { tar, losses, limits, name, entry, size }.write(source)
            }
            Dialect::Lossless => lossless::Encoder { tar: &mut self.tar, limits, name, entry, size }.write(source),
        }
    }

    /// Checks the name, and poisons the writer when anything fails.
    fn guarded(&mut self, name: &[u8], write: impl FnOnce(&mut Self, &[u8]) -> Result<()>) -> Result<()> {
        if self.poisoned {
            return Err(Error::misuse(Misuse::Poisoned, ""));
        }
        let name = with_slashes(name);
        self.poisoned = true;
        check_member_name(&name, &self.options.policy, &self.options.limits)?;
        if !self.options.policy.allow_colon && name.contains(&b':') {
            return Err(Error::refused(Rule::NameColon, "").in_member(&name));
        }
        write(self, &name).map_err(|e| e.in_member(&name))?;
        self.poisoned = false;
        self.entries += 1;
        Ok(())
    }

    /// Tells of what a member without data cannot carry: what it says of a file is that of the link's target.
    fn unwritten(&mut self, entry: &LayerEntry) -> Result<()> {
        let whiteout = entry.kind == EntryKind::Whiteout;
        let lost = [
            (whiteout && entry.basic_info != BasicInfo::default(), "times and attributes"),
            (entry.security_descriptor.is_some(), "security descriptor"),
            (!entry.extended_attributes.is_empty(), "extended attributes"),
            (entry.reparse_point.is_some(), "reparse point"),
            (entry.object_id.is_some(), "object id"),
        ];
        for (_, what) in lost.iter().filter(|(is_there, _)| *is_there) {
            let detail = format!("{what} of a {}", if whiteout { "whiteout" } else { "hard link" });
            self.losses.add(&entry.name, LossKind::LinkMetadata, detail).inspect_err(|_| self.poisoned = true)?;
        }
        Ok(())
    }

    fn no_data(&mut self, entry: &LayerEntry, data: &[Box<dyn BufRead + '_>]) -> Result<()> {
        if data.is_empty() && entry.size() == 0 {
            return Ok(());
        }
        self.poisoned = true;
        Err(Error::misuse(Misuse::Data, "hard links and whiteouts have no data"))
    }
}

/// Checks that an entry has what its kind needs: a reparse point its buffer, a file its data.
fn check_shape(entry: &LayerEntry) -> Result<()> {
    let word = entry.kind.name();
    let plain = matches!(entry.kind, EntryKind::File | EntryKind::Directory);
    if plain == entry.reparse_point.is_some() {
        let detail = format!("a {word} with{} reparse buffer", if plain { " a" } else { "out" });
        return Err(Error::misuse(Misuse::Argument, detail));
    }
    if entry.kind == EntryKind::File && entry.data.is_none() {
        return Err(Error::misuse(Misuse::Data, "a file without data, which one of no bytes has as well"));
    }
    Ok(())
}

fn spool<R: BufRead>(mut stream: R) -> Result<BufReader<Spool>> {
    let mut file = Spool::new(1 << 20);
    std::io::copy(&mut stream, &mut file).map_err(from_io)?;
    file.seek(SeekFrom::Start(0)).map_err(|e| Error::io("seek", None, e))?;
    Ok(BufReader::with_capacity(256 << 10, file))
}

#[cfg(test)]
mod tests;
