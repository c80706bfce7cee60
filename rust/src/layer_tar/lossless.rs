//! The lossless dialect: the go-winio records, and `WINLAYERS.*` records for what those do not carry.

use super::entry::{Body, EntryKind, LayerEntry, NamedStream, PlannedStream, UnnamedData};
use super::facts::{
    Facts, MODE_DIRECTORY, MODE_REGULAR, MODE_SYMLINK, copy, link_target, read_time, reparse_from_link, spelled,
    written_time, zeros,
};
use super::keys;
use super::keys::BASE64;
use super::plan::{self, Placing, first_body, member_stream_name};
use super::source::StreamSource;
use crate::backup_stream::StreamId;
use crate::error::{Error, Limit, Misuse, Result};
use crate::limits::Limits;
use crate::nt::basic_info::BasicInfo;
use crate::nt::ea;
use crate::nt::filetime::FileTime;
use crate::nt::reparse::ReparsePoint;
use crate::tar::{Writer, typeflag};
use base64::Engine;
use std::io::Write;

/// Bytes that may go into records; base64 makes them a third longer, and PAX headers end at 1 MiB.
const INLINE: u64 = 768 << 10;

pub(super) struct Encoder<'a, W: Write> {
    pub tar: &'a mut Writer<W>,
    pub limits: &'a Limits,
    pub name: &'a [u8],
    pub entry: &'a LayerEntry,
    pub size: Option<u64>,
}

/// All streams of an entry, with the places in the source to copy the data of each member from.
struct Scan {
    plan: Vec<PlannedStream>,
    members: Vec<Member>,
}

/// A member to write: the entry itself first, then its named streams.
#[derive(Default)]
struct Member {
    stream_name: Vec<u8>,
    size: u64,
    /// Where the header of each piece stands in the source, and where its data lies in the member.
    pieces: Vec<(u64, u64)>,
}

impl<W: Write> Encoder<'_, W> {
    pub fn write<S: StreamSource>(&mut self, source: &mut S) -> Result<()> {
        let Scan { plan, members } = self.scan(source)?;
        let has_data = plan.iter().any(|stream| matches!(stream.body, Body::Member { index: 0, .. }));
        let size = members[0].size;
        if has_data && self.size.is_some_and(|given| given != size) {
            let detail = format!("the size given is {}, the streams have {size}", self.size.unwrap_or_default());
            return Err(Error::misuse(Misuse::Data, detail));
        }
        let (mut facts, link) = self.facts(&plan, &members, has_data)?;
        self.tar.start(&facts.header(self.name, &link, size))?;
        self.pieces(source, &members[0])?;
        for member in &members[1..] {
            let name = [self.name, b":", &member.stream_name].concat();
            self.tar.start(&facts.stream_header(&name, member.size))?;
            self.pieces(source, member)?;
        }
        Ok(())
    }

    fn scan<S: StreamSource>(&mut self, source: &mut S) -> Result<Scan> {
        let mut plan = Vec::new();
        let mut members = vec![Member::default()];
        let (mut placing, mut inline) = (Placing::new(), 0_u64);
        loop {
            let mark = source.mark();
            let Some(header) = source.next()? else { break };
            self.limits.check(Limit::SparseRanges, plan.len() as u64)?;
            let stream_name = member_stream_name(&header.name);
            if let Some((index, offset)) = placing.place(&header, stream_name.is_some()) {
                if index == members.len() {
                    members.push(Member { stream_name: stream_name.unwrap_or_default(), ..Member::default() });
                    self.limits.check(Limit::Streams, index as u64)?;
                }
                members[index].size = placing.size(index);
                self.limits.check(Limit::MemberBytes, members[index].size)?;
                members[index].pieces.push((mark, offset));
                plan.push(PlannedStream { header, body: Body::Member { index, offset } });
                source.pass_over()?;
                continue;
            }
            let max = match header.id {
                StreamId::SECURITY_DATA => self.limits.security_descriptor,
                StreamId::EA_DATA => self.limits.extended_attributes,
                StreamId::REPARSE_DATA => self.limits.reparse_point,
                _ => INLINE,
            };
            inline = inline.saturating_add(header.data_size());
            if header.data_size() > max || inline > INLINE {
                return Err(Error::limit(Limit::PaxBody, inline.max(header.data_size()), max.min(INLINE)));
            }
            let body = Body::Inline(source.body(max)?);
            plan.push(PlannedStream { header, body });
        }
        Ok(Scan { plan, members })
    }

    /// The header of the entry, and its link name.
    fn facts(&self, plan: &[PlannedStream], members: &[Member], has_data: bool) -> Result<(Facts, Vec<u8>)> {
        let first = |id| first_body(plan, id);
        let mut facts = Facts::new(self.entry.kind, &self.entry.basic_info);
        // What a reader makes of the other records, without that of the streams.
        let mut derived = LayerEntry::new(self.name, EntryKind::File);
        if has_data {
            facts.mode |= MODE_REGULAR;
            // A directory with data can only be carried as a file; its attributes say what it is.
            if members[0].size > 0 {
                facts.typeflag = typeflag::FILE;
                facts.mode |= if self.entry.directory_mode { MODE_DIRECTORY } else { 0 };
            }
        }
        if let Some(sd) = first(StreamId::SECURITY_DATA) {
            facts.set_security_descriptor(sd);
            derived.security_descriptor = Some(sd.to_vec());
        }
        let mut link = None;
        if let Some(raw) = first(StreamId::REPARSE_DATA) {
            derived.reparse_point = Some(raw.to_vec());
            let mut carried = false;
            if members[0].size == 0 {
                let derived = ReparsePoint::parse(raw.to_vec()).and_then(|point| link_target(&point)).ok();
                if let Some((target, junction)) = derived.filter(|(target, _)| !target.contains(&0)) {
                    if junction {
                        facts.set(keys::MOUNT_POINT, b"1".to_vec());
                    }
                    carried = reparse_from_link(&target, junction).is_ok_and(|restored| restored.raw() == raw);
                    link = Some(spelled(self.entry.link_name.as_deref(), target, junction));
                }
                // A tar may have a link name that its reparse buffer does not have: both are kept.
                if let Some(given) = self.entry.link_name.as_ref().filter(|given| link.as_ref() != Some(*given)) {
                    carried = false;
                    link = Some(given.clone());
                }
            }
            if link.is_some() {
                facts.mode |= MODE_SYMLINK;
                facts.typeflag = typeflag::SYMLINK;
            }
            if !carried {
                facts.set(keys::REPARSE, BASE64.encode(raw).into_bytes());
            }
        }
        let ea_data = first(StreamId::EA_DATA);
        if let Some(bytes) = ea_data {
            self.extended_attributes(bytes, &mut facts, &mut derived);
        }
        times(&self.entry.basic_info, &mut facts);
        let streams = members[1..].iter().map(|m| NamedStream { name: m.stream_name.clone(), size: m.size });
        derived.streams = Some(streams.collect());
        derived.data = (facts.typeflag == typeflag::FILE).then(|| UnnamedData::new(members[0].size));
        if plan::usual(&derived).ok().as_deref() != Some(plan) {
            facts.set(keys::STREAMS, plan::to_text(plan, &derived, ea_data).into_bytes());
        }
        Ok((facts, link.unwrap_or_default()))
    }

    fn extended_attributes(&self, bytes: &[u8], facts: &mut Facts, derived: &mut LayerEntry) {
        let list = ea::decode(bytes).unwrap_or_default();
        let mut kept = list.clone();
        kept.reverse();
        kept.sort_by(|a, b| a.name.cmp(&b.name));
        kept.dedup_by(|later, first| later.name == first.name);
        let mut carried = !list.is_empty() && kept == list && list.iter().all(|attribute| attribute.flags == 0);
        carried &= ea::encode(&list).is_ok_and(|encoded| encoded == bytes);
        for attribute in &kept {
            let key = [keys::EXTENDED_ATTRIBUTE, &attribute.name].concat();
            if crate::tar::pax::valid(&key, b"") {
                facts.records.push((key.into(), BASE64.encode(&attribute.value).into_bytes()));
            } else {
                carried = false;
            }
        }
        if !carried {
            facts.set(keys::EA_DATA, BASE64.encode(bytes).into_bytes());
        }
        derived.extended_attributes = list;
    }

    fn pieces<S: StreamSource>(&mut self, source: &mut S, member: &Member) -> Result<()> {
        let mut position = 0;
        for &(mark, offset) in &member.pieces {
            source.rewind(mark)?;
            let length = source.next()?.map_or(0, |header| header.data_size());
            zeros(self.tar, offset - position)?;
            copy(source, self.tar)?;
            position = offset + length;
        }
        zeros(self.tar, member.size - position)
    }
}

/// Adds the times in ticks, where the go-winio records do not hold one of them.
pub(super) fn times(info: &BasicInfo, facts: &mut Facts) {
    let times = [info.creation_time, info.last_access_time, info.last_write_time, info.change_time];
    let kept = |time: Option<FileTime>| time.is_none_or(|t| read_time(written_time(t)) == Some(t));
    if !times.into_iter().all(kept) {
        let text = times.map(|time| time.map_or_else(|| "-".to_owned(), |t| t.0.to_string()));
        facts.set(keys::TIMES, text.join(" ").into_bytes());
    }
}
