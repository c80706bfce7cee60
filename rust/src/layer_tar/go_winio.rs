//! The go-winio dialect: what Microsoft's backuptar writes, byte for byte, and what it loses on the way.
//!
//! Source: behaviour of github.com/Microsoft/go-winio v0.6.4, package backuptar. A source that can be rewound is read
//! twice, as there: once for what belongs into the header, once for the data.

use super::entry::{EntryKind, LayerEntry};
use super::facts::{
    Facts, MODE_REGULAR, MODE_SYMLINK, link_target, read_time, reparse_from_link, spelled, written_time,
};
use super::keys;
use super::keys::BASE64;
use super::output::{Nowhere, Output};
use super::plan::{member_stream_name, wire_name};
use super::source::{EntryStreams, StreamSource};
use crate::backup_stream::sparse::Collector;
use crate::backup_stream::{StreamHeader, StreamId, stream_attributes};
use crate::error::{Error, Format, Limit, Misuse, Result, Rule};
use crate::limits::Limits;
use crate::nt::basic_info::BasicInfo;
use crate::nt::reparse::ReparsePoint;
use crate::nt::{ea, name};
use crate::policy::{Loss, LossKind, Losses, OnLoss};
use crate::tar::typeflag;
use base64::Engine;

/// Streams that the dialect has no record for.
const WITHOUT_RECORD: [StreamId; 4] =
    [StreamId::LINK, StreamId::PROPERTY_DATA, StreamId::OBJECT_ID, StreamId::TXFS_DATA];

/// What the dialect would lose of an entry whose streams are known: those that writing it would report, up to what the
/// dialect refuses, which is the last one then.
#[must_use]
pub fn losses(entry: &LayerEntry, limits: &Limits) -> Vec<Loss> {
    let mut losses = Losses::new(OnLoss::Report);
    let written = match entry.kind {
        EntryKind::Whiteout => Ok(()),
        EntryKind::HardLink => time_losses(&entry.basic_info, &entry.name, &mut losses),
        EntryKind::File | EntryKind::Directory | EntryKind::Symlink | EntryKind::Junction | EntryKind::Reparse => {
            let mut tar = Nowhere::new();
            let (name, size) = (&entry.name, Some(entry.size()));
            let mut encoder = Encoder { tar: &mut tar, losses: &mut losses, limits, name, entry, size };
            EntryStreams::headers(entry).and_then(|mut source| encoder.write(&mut source))
        }
    };
    let mut lost = losses.into_list().items;
    if let Err(Error::Refused { rule, detail, .. }) = written {
        let (kind, detail) = match rule {
            Rule::ReparseTag => (LossKind::ReparseTag, LossKind::ReparseTag.to_string()),
            _ => (LossKind::Stream, format!("{rule}: {detail}")),
        };
        lost.push(Loss { path: entry.name.clone(), stream: None, kind, detail });
    }
    lost
}

pub(super) struct Encoder<'a, T> {
    pub tar: &'a mut T,
    pub losses: &'a mut Losses,
    pub limits: &'a Limits,
    pub name: &'a [u8],
    pub entry: &'a LayerEntry,
    pub size: Option<u64>,
}

impl<T: Output> Encoder<'_, T> {
    pub fn write<S: StreamSource>(&mut self, source: &mut S) -> Result<()> {
        let start = source.mark();
        let twice = source.can_rewind();
        let mut facts = Facts::new(self.entry.kind, &self.entry.basic_info);
        time_losses(&self.entry.basic_info, self.name, self.losses)?;
        let scan = self.scan(source, &mut facts, twice)?;
        let size = match (self.size, scan.size) {
            (Some(size), _) | (None, Some(size)) => size,
            (None, None) => {
                return Err(Error::misuse(Misuse::Argument, "a sparse stream that cannot seek needs a size"));
            }
        };
        if i64::try_from(size).is_err() {
            return Err(Error::limit(Limit::MemberBytes, size, self.limits.member_bytes));
        }
        self.limits.check(Limit::MemberBytes, size)?;
        let written_size = if facts.typeflag == typeflag::DIRECTORY { 0 } else { size };
        let link = std::mem::take(&mut facts.link_name);
        self.tar.start(&facts.header(self.name, &link, written_size))?;

        let mut data = scan.data;
        if twice {
            source.rewind(start)?;
            while data.is_none() {
                let Some(header) = source.next()? else { break };
                match header.id {
                    StreamId::DATA => data = Some(header),
                    StreamId::ALTERNATE_DATA => self.dropped(&header)?,
                    _ => {}
                }
            }
        }
        match data {
            Some(header) => {
                self.data(source, &header, size)?;
                if facts.typeflag != typeflag::FILE {
                    let detail = "an empty DATA stream, which a directory or a link does not have";
                    self.losses.add(self.name, LossKind::DataStream, detail)?;
                }
            }
            None if facts.typeflag == typeflag::FILE => {
                self.losses.add(self.name, LossKind::DataStream, "a DATA stream of size 0 will be added")?;
            }
            None => {}
        }
        if self.tar.data_left() > 0 {
            let detail = format!("{} of {size} bytes of data are missing", self.tar.data_left());
            return Err(Error::misuse(Misuse::Data, detail));
        }
        self.after_data(source, &facts, twice)
    }

    /// Everything that the header needs: all streams of a source that can be rewound, else those before the data.
    fn scan<S: StreamSource>(&mut self, source: &mut S, facts: &mut Facts, twice: bool) -> Result<Scan> {
        let mut scan = Scan { data: None, size: Some(0), rank: 0 };
        let mut sparse: Option<Collector> = None;
        let (mut has_sd, mut has_ea, mut has_data) = (false, false, false);
        while let Some(header) = source.next()? {
            self.order(&mut scan.rank, &header)?;
            if header.id != StreamId::SPARSE_BLOCK {
                sparse = sparse.take().filter(|_| header.id == StreamId::DATA && !has_data);
            }
            match header.id {
                StreamId::DATA => {
                    facts.mode |= MODE_REGULAR;
                    if !has_data {
                        let in_blocks = header.size == 0 && header.is_sparse();
                        scan.size = if in_blocks && !twice { None } else { Some(header.size) };
                        sparse = in_blocks.then(Collector::default);
                    }
                    has_data = true;
                    if !twice {
                        scan.data = Some(header);
                        break;
                    }
                    source.pass_over()?;
                }
                StreamId::SPARSE_BLOCK => {
                    if let Some(collector) = &mut sparse {
                        collector.push(&header);
                        scan.size = Some(collector.size());
                    } else {
                        self.losses.add(self.name, LossKind::Sparse, "a sparse block of no sparse stream")?;
                    }
                    source.pass_over()?;
                }
                StreamId::SECURITY_DATA => {
                    let sd = self.body(source, &header, Limit::SecurityDescriptor)?;
                    self.security_descriptor(&header, &sd, facts, has_sd)?;
                    has_sd = true;
                }
                StreamId::REPARSE_DATA => {
                    let raw = self.body(source, &header, Limit::ReparsePoint)?;
                    self.attributes(&header, 0)?;
                    self.reparse(raw, facts)?;
                }
                StreamId::EA_DATA => {
                    let bytes = self.body(source, &header, Limit::ExtendedAttributes)?;
                    self.attributes(&header, 0)?;
                    self.extended_attributes(&bytes, facts, has_ea)?;
                    has_ea = true;
                }
                StreamId::ALTERNATE_DATA if twice => source.pass_over()?,
                id if id == StreamId::ALTERNATE_DATA || WITHOUT_RECORD.contains(&id) => {
                    self.dropped(&header)?;
                    source.pass_over()?;
                }
                id => return Err(Error::refused(Rule::StreamOrder, format!("{id}, which it does not know"))),
            }
        }
        Ok(scan)
    }

    fn data<S: StreamSource>(&mut self, source: &mut S, header: &StreamHeader, size: u64) -> Result<()> {
        if !header.name.is_empty() {
            self.losses.add(self.name, LossKind::StreamName, "the DATA stream has a name")?;
        }
        let attributes = header.attributes & !stream_attributes::SPARSE;
        self.attributes(&StreamHeader { attributes, ..header.clone() }, 0)?;
        if header.is_sparse() {
            self.losses.note(self.name, LossKind::Sparse)?;
        }
        if header.size > 0 || !header.is_sparse() {
            if size != header.size {
                let detail = format!("the file has {size} bytes, its DATA stream {}", header.size);
                return Err(Error::misuse(Misuse::Data, detail));
            }
            if header.size > self.tar.data_left() {
                return Err(Error::refused(Rule::StreamOrder, "a DATA stream with data on a directory or link"));
            }
            self.tar.copy(source, header.size)
        } else if size > self.tar.data_left() {
            Err(Error::refused(Rule::StreamOrder, "sparse blocks on a directory or link"))
        } else if size > 0 {
            self.sparse(source)
        } else {
            Ok(())
        }
    }

    /// Blocks in ascending order, zeros between them, up to the closing block.
    fn sparse<S: StreamSource>(&mut self, source: &mut S) -> Result<()> {
        let mut position = 0;
        loop {
            let Some(block) = source.next()? else {
                return Err(Error::format(Format::BackupStream, "sparse blocks", "a closing block", "the end"));
            };
            let Some(offset) = block.sparse_offset else {
                return Err(Error::refused(Rule::StreamOrder, format!("{} among sparse blocks", block.id)));
            };
            let length = block.data_size();
            if offset < position {
                return Err(Error::refused(
                    Rule::StreamOrder,
                    format!("a sparse block at {offset}, before {position}"),
                ));
            }
            let end = offset.checked_add(length);
            if end.is_none_or(|end| end - position > self.tar.data_left()) {
                return Err(Error::misuse(
                    Misuse::Data,
                    format!("a sparse block reaches past the size, to {offset} + {length}"),
                ));
            }
            self.attributes(&block, stream_attributes::SPARSE)?;
            self.tar.zeros(offset - position)?;
            if length == 0 {
                return Ok(());
            }
            self.tar.copy(source, length)?;
            position = offset + length;
        }
    }

    fn after_data<S: StreamSource>(&mut self, source: &mut S, facts: &Facts, twice: bool) -> Result<()> {
        while let Some(header) = source.next()? {
            match header.id {
                StreamId::ALTERNATE_DATA => {
                    if header.is_sparse() {
                        return Err(Error::refused(Rule::StreamOrder, "a sparse named stream"));
                    }
                    self.limits.check(Limit::MemberBytes, header.size)?;
                    self.attributes(&header, 0)?;
                    let end = header.name.iter().position(|&unit| unit == 0).unwrap_or(header.name.len());
                    let wire = name::wtf8_from_utf16(&header.name[..end]);
                    let stream = wire.strip_suffix(b":$DATA").unwrap_or(&wire);
                    let restored = stream.strip_prefix(b":").map(wire_name);
                    if restored.as_ref() != Some(&header.name) || member_stream_name(&header.name).is_none() {
                        self.losses.add_stream(
                            self.name,
                            stream,
                            LossKind::StreamName,
                            "it will be read under another name",
                        )?;
                    }
                    let member = [self.name, stream].concat();
                    self.tar.start(&facts.stream_header(&member, header.size))?;
                    self.tar.copy(source, header.size)?;
                }
                StreamId::SPARSE_BLOCK => {
                    if !twice {
                        self.losses.add(self.name, LossKind::Sparse, "a sparse block of no sparse stream")?;
                    }
                    source.pass_over()?;
                }
                id if id == StreamId::EA_DATA || WITHOUT_RECORD.contains(&id) => {
                    if !twice {
                        self.dropped(&header)?;
                    }
                    source.pass_over()?;
                }
                id => return Err(Error::refused(Rule::StreamOrder, format!("{id} after the data"))),
            }
        }
        Ok(())
    }

    /// The body of a stream that goes into the header.
    fn body<S: StreamSource>(&self, source: &mut S, header: &StreamHeader, limit: Limit) -> Result<Vec<u8>> {
        self.limits.check(limit, header.size)?;
        source.body(header.size)
    }

    fn security_descriptor(&mut self, header: &StreamHeader, sd: &[u8], facts: &mut Facts, again: bool) -> Result<()> {
        if again || sd.is_empty() {
            self.losses.note(self.name, LossKind::SecurityDescriptor)?;
        }
        // BackupRead sets this bit on every security stream: it says nothing that the id does not.
        self.attributes(header, stream_attributes::CONTAINS_SECURITY)?;
        facts.set_security_descriptor(sd);
        Ok(())
    }

    fn reparse(&mut self, raw: Vec<u8>, facts: &mut Facts) -> Result<()> {
        let point = ReparsePoint::parse(raw)?;
        let (target, junction) = link_target(&point)?;
        let link = spelled(self.entry.link_name.as_deref(), target, junction);
        if self.entry.link_name.as_ref().is_some_and(|given| *given != link) {
            self.losses.note(self.name, LossKind::LinkName)?;
        }
        if facts.mode & MODE_SYMLINK == MODE_SYMLINK && facts.typeflag == typeflag::SYMLINK {
            self.losses.add(self.name, LossKind::ReparsePoint, "only the last one is kept")?;
        }
        facts.mode |= MODE_SYMLINK;
        facts.typeflag = typeflag::SYMLINK;
        if junction {
            facts.set(keys::MOUNT_POINT, b"1".to_vec());
        }
        let restored = reparse_from_link(&link, junction).ok();
        if restored.is_none_or(|restored| restored.raw() != point.raw()) {
            self.losses.note(self.name, LossKind::ReparsePoint)?;
        }
        facts.link_name = link;
        Ok(())
    }

    fn extended_attributes(&mut self, bytes: &[u8], facts: &mut Facts, again: bool) -> Result<()> {
        if again {
            self.losses.add(self.name, LossKind::EaStreams, "two EA streams become one")?;
        }
        let list = ea::decode(bytes)?;
        if list.is_empty() {
            self.losses.note(self.name, LossKind::EaStreams)?;
        }
        let mut kept = list.clone();
        kept.iter_mut().for_each(|attribute| attribute.flags = 0);
        if kept != list {
            self.losses.note(self.name, LossKind::EaFlags)?;
        }
        // The last of one name is kept, and names are sorted.
        kept.reverse();
        kept.sort_by(|a, b| a.name.cmp(&b.name));
        kept.dedup_by(|later, first| later.name == first.name);
        if kept.len() != list.len() {
            self.losses.note(self.name, LossKind::EaDuplicates)?;
        } else if !kept.iter().map(|a| &a.name).eq(list.iter().map(|a| &a.name)) {
            self.losses.note(self.name, LossKind::EaOrder)?;
        } else if kept == list && ea::encode(&list)? != bytes {
            self.losses.note(self.name, LossKind::EaEncoding)?;
        }
        for attribute in &kept {
            let key = [keys::EXTENDED_ATTRIBUTE, &attribute.name].concat();
            if again {
                facts.records.retain(|(k, _)| *k != key);
            }
            facts.records.push((key.into(), BASE64.encode(&attribute.value).into_bytes()));
        }
        Ok(())
    }

    fn order(&mut self, rank: &mut u32, header: &StreamHeader) -> Result<()> {
        let next = match header.id {
            StreamId::SECURITY_DATA => 1,
            StreamId::EA_DATA => 2,
            StreamId::REPARSE_DATA => 3,
            StreamId::DATA => 4,
            StreamId::ALTERNATE_DATA => 5,
            _ => return Ok(()),
        };
        if next < *rank {
            self.losses.add(self.name, LossKind::StreamOrder, format!("{} is not in its usual place", header.id))?;
        }
        *rank = next.max(*rank);
        Ok(())
    }

    fn attributes(&mut self, header: &StreamHeader, implied: u32) -> Result<()> {
        if !header.name.is_empty() && header.id != StreamId::ALTERNATE_DATA {
            self.losses.add(self.name, LossKind::StreamName, format!("the {} stream has a name", header.id))?;
        }
        if header.attributes & !implied != 0 {
            self.losses.add(
                self.name,
                LossKind::StreamAttributes,
                format!("{:#x} of {}", header.attributes, header.id),
            )?;
        }
        Ok(())
    }

    fn dropped(&mut self, header: &StreamHeader) -> Result<()> {
        let stream = name::wtf8_from_utf16(&header.name);
        self.losses.add_stream(
            self.name,
            &stream,
            LossKind::Stream,
            format!("{} of {} bytes", header.id, header.data_size()),
        )
    }
}

/// Tells of the times that the dialect cannot hold.
pub(super) fn time_losses(info: &BasicInfo, name: &[u8], losses: &mut Losses) -> Result<()> {
    for (time, what) in [
        (info.creation_time, "creation time"),
        (info.last_access_time, "last access time"),
        (info.last_write_time, "last write time"),
        (info.change_time, "change time"),
    ] {
        if time.is_some_and(|time| read_time(written_time(time)) != Some(time)) {
            losses.add(name, LossKind::TimeRange, what)?;
        }
    }
    Ok(())
}

struct Scan {
    data: Option<StreamHeader>,
    size: Option<u64>,
    rank: u32,
}
