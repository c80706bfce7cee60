//! Tar members to layer entries: the records of every dialect and of every known variant of it.
//!
//! Variants that are read (buildkit, buildah, crane, ko, imgutil, Microsoft's own) differ in which records they have;
//! what a member does not have is absent in its entry, never made up.

use super::entry::{Body, EntryKind, LayerEntry, NamedStream, UnnamedData};
use super::facts::{MODE_DIRECTORY, read_time, reparse_from_link};
use super::keys;
use super::keys::BASE64;
use super::plan::{self, PlanText};
use crate::error::{Error, Format, Limit, Result, Rule};
use crate::layer_name::is_whiteout;
use crate::limits::Limits;
use crate::nt::attributes::FileAttributes;
use crate::nt::ea::{self, ExtendedAttribute};
use crate::nt::filetime::FileTime;
use crate::nt::path::check_member_name;
use crate::nt::reparse::{ReparseKind, ReparsePoint};
use crate::nt::security::SecurityDescriptor;
use crate::policy::Policy;
use crate::tar::{Member, PaxRecords, Time, typeflag};
use base64::Engine;
use std::collections::HashSet;

/// A decoded member: its entry, and what a plan needs besides.
pub(super) struct Decoded {
    pub entry: LayerEntry,
    /// The extended attributes as they stood in their stream, where that was recorded.
    pub ea_data: Option<Vec<u8>>,
    /// The text of `WINLAYERS.streams`: read when the named streams are known.
    pub streams_text: Option<String>,
}

/// The stream name, when a member is a named stream of `owner`.
pub(super) fn stream_of<'a>(member: &'a Member, owner: &[u8]) -> Option<&'a [u8]> {
    if !is_file(member.typeflag) {
        return None;
    }
    member.name.strip_prefix(owner)?.strip_prefix(b":")
}

/// Whether a member carries file data.
pub(super) fn is_file(kind: u8) -> bool {
    matches!(kind, typeflag::FILE | typeflag::CONTIGUOUS | typeflag::GNU_SPARSE)
}

/// Makes an entry of a member that is no named stream.
pub(super) fn decode(member: &Member, policy: &Policy, limits: &Limits) -> Result<Decoded> {
    decode_member(member, policy, limits).map_err(|e| e.at(member.position).in_member(&member.name))
}

fn decode_member(member: &Member, policy: &Policy, limits: &Limits) -> Result<Decoded> {
    check_member_name(&member.name, policy, limits)?;
    if !policy.allow_colon && member.name.contains(&b':') {
        return Err(Error::refused(Rule::NameColon, ""));
    }
    let has_data = is_file(member.typeflag);
    let mut entry = LayerEntry::new(member.name.clone(), kind_of(member)?);
    if entry.kind == EntryKind::File && !has_data && !policy.allow_devices {
        return Err(Error::refused(Rule::MemberType, format!("type \"{}\"", member.typeflag.escape_ascii())));
    }
    if entry.kind == EntryKind::Whiteout {
        if member.real_size > 0 {
            return Err(Error::format(Format::LayerTar, "whiteout", "no data", format!("{} bytes", member.real_size)));
        }
    } else {
        entry.data = has_data.then(|| UnnamedData { size: member.real_size, sparse_ranges: member.sparse.clone() });
    }
    let records = Records::gather(&member.pax);
    times(member, &records, &mut entry)?;
    attributes(&records, &mut entry)?;
    entry.security_descriptor = security_descriptor(&records, limits)?;
    let ea_data = extended_attributes(member, &records, limits, &mut entry)?;
    links(member, &records, limits, &mut entry)?;
    let streams_text = match records.streams {
        Some(text) => Some(utf8(text, "WINLAYERS.streams")?.to_owned()),
        None => None,
    };
    let is_directory = member.mode & i64::from(MODE_DIRECTORY) != 0;
    entry.directory_mode = is_directory && entry.kind == EntryKind::File && entry.size() > 0;
    entry.streams = None;
    Ok(Decoded { entry, ea_data, streams_text })
}

impl Decoded {
    /// The entry with its named streams, and with its recorded order where that is not the usual one.
    pub fn complete(self, streams: Vec<NamedStream>, limits: &Limits) -> Result<LayerEntry> {
        let mut entry = self.partial(limits)?;
        entry.set_streams(streams).map_err(|e| e.in_member(&entry.name))?;
        Ok(entry)
    }

    /// The entry before its named streams are known, with its recorded order where the tar has one.
    pub fn partial(mut self, limits: &Limits) -> Result<LayerEntry> {
        if let Some(text) = &self.streams_text {
            let plan = PlanText { text, limits }.parse(&self.entry, self.ea_data.as_deref());
            let plan = plan.map_err(|e| e.in_member(&self.entry.name))?;
            plan::check_records(&plan, &self.entry).map_err(|e| e.in_member(&self.entry.name))?;
            plan::adopt(&plan, &mut self.entry);
            // A reparse point in a member of the type of a file may have no data.
            let told = plan.iter().any(|stream| matches!(stream.body, Body::Member { index: 0, .. }));
            let is_file = self.entry.kind == EntryKind::File;
            self.entry.data = self.entry.data.filter(|data| told || is_file || data.size > 0);
            self.entry.recorded = Some(plan);
        }
        Ok(self.entry)
    }
}

/// The records that matter here, found in one pass.
#[derive(Default)]
struct Records<'a> {
    file_attributes: Option<&'a [u8]>,
    raw_sd: Option<&'a [u8]>,
    sddl: Option<&'a [u8]>,
    mount_point: bool,
    creation_time: Option<&'a [u8]>,
    times: Option<&'a [u8]>,
    ea_data: Option<&'a [u8]>,
    reparse: Option<&'a [u8]>,
    streams: Option<&'a [u8]>,
    any: bool,
    extended_attributes: usize,
}

impl<'a> Records<'a> {
    fn gather(pax: &'a PaxRecords) -> Self {
        let mut records = Records { any: !pax.is_empty(), ..Records::default() };
        for (key, value) in pax.iter() {
            match key {
                keys::FILE_ATTRIBUTES => records.file_attributes = Some(value),
                keys::RAW_SECURITY_DESCRIPTOR => records.raw_sd = Some(value),
                keys::SDDL => records.sddl = Some(value),
                keys::MOUNT_POINT => records.mount_point = true,
                keys::CREATION_TIME => records.creation_time = Some(value),
                keys::TIMES => records.times = Some(value),
                keys::EA_DATA => records.ea_data = Some(value),
                keys::REPARSE => records.reparse = Some(value),
                keys::STREAMS => records.streams = Some(value),
                _ if key.starts_with(keys::EXTENDED_ATTRIBUTE) => records.extended_attributes += 1,
                _ => {}
            }
        }
        records
    }
}

fn kind_of(member: &Member) -> Result<EntryKind> {
    if is_whiteout(&member.name)? {
        return Ok(EntryKind::Whiteout);
    }
    Ok(match member.typeflag {
        typeflag::DIRECTORY => EntryKind::Directory,
        typeflag::HARD_LINK => EntryKind::HardLink,
        typeflag::SYMLINK => EntryKind::Symlink,
        _ => EntryKind::File,
    })
}

fn times(member: &Member, records: &Records<'_>, entry: &mut LayerEntry) -> Result<()> {
    let info = &mut entry.basic_info;
    if let Some(text) = records.times {
        let wrong = || bad("WINLAYERS.times", "four decimal numbers or \"-\"", text);
        let mut fields = utf8(text, "WINLAYERS.times")?.split(' ').map(|field| match field {
            "-" => Ok(None),
            number => number.parse().map(|ticks| Some(FileTime(ticks))).map_err(|_| wrong()),
        });
        let mut next = || fields.next().unwrap_or_else(|| Err(wrong()));
        info.creation_time = next()?;
        info.last_access_time = next()?;
        info.last_write_time = next()?;
        info.change_time = next()?;
        return if fields.next().is_none() { Ok(()) } else { Err(wrong()) };
    }
    let ticks = |time: Time, field: &'static str| {
        read_time(time).ok_or_else(|| bad(field, "a time that a FILETIME can hold", time.text().as_bytes()))
    };
    info.last_access_time = member.atime.map(|time| ticks(time, "atime")).transpose()?;
    info.change_time = member.ctime.map(|time| ticks(time, "ctime")).transpose()?;
    // Zero without any record is how tools write "no time": whiteouts, and headers that only hold a name.
    let mtime = member.mtime.filter(|time| records.any || *time != Time::default());
    info.last_write_time = mtime.map(|time| ticks(time, "mtime")).transpose()?;
    if let Some(text) = records.creation_time {
        let time = Time::parse(text).ok_or_else(|| bad("LIBARCHIVE.creationtime", "decimal seconds", text))?;
        info.creation_time = Some(ticks(time, "LIBARCHIVE.creationtime")?);
    }
    Ok(())
}

fn attributes(records: &Records<'_>, entry: &mut LayerEntry) -> Result<()> {
    entry.basic_info.attributes = match records.file_attributes {
        Some(text) => {
            let digits = text.iter().all(u8::is_ascii_digit).then(|| std::str::from_utf8(text).ok()).flatten();
            let number = digits.and_then(|text| text.parse().ok());
            FileAttributes(number.ok_or_else(|| bad("MSWINDOWS.fileattr", "a decimal number of 32 bits", text))?)
        }
        None if entry.kind == EntryKind::Directory => FileAttributes::DIRECTORY,
        None => FileAttributes::default(),
    };
    Ok(())
}

fn security_descriptor(records: &Records<'_>, limits: &Limits) -> Result<Option<Vec<u8>>> {
    let sd = match (records.raw_sd, records.sddl) {
        (Some(text), _) => decode_base64(text, "MSWINDOWS.rawsd")?,
        (None, Some(text)) => SecurityDescriptor::from_sddl(utf8(text, "MSWINDOWS.sd")?, None)?.into_raw(),
        (None, None) => return Ok(None),
    };
    limits.check(Limit::SecurityDescriptor, sd.len() as u64)?;
    Ok(Some(sd))
}

fn extended_attributes(
    member: &Member,
    records: &Records<'_>,
    limits: &Limits,
    entry: &mut LayerEntry,
) -> Result<Option<Vec<u8>>> {
    if let Some(text) = records.ea_data {
        let bytes = decode_base64(text, "WINLAYERS.ea")?;
        limits.check(Limit::ExtendedAttributes, bytes.len() as u64)?;
        // The stream may hold anything; a list that does not parse has no attributes.
        entry.extended_attributes = ea::decode(&bytes).unwrap_or_default();
        return Ok(Some(bytes));
    }
    if records.extended_attributes == 0 {
        return Ok(None);
    }
    let mut seen = HashSet::new();
    let mut list = Vec::with_capacity(records.extended_attributes);
    let mut size = 0;
    // The last record of a key counts.
    for (key, value) in member.pax.iter().rev() {
        let Some(name) = key.strip_prefix(keys::EXTENDED_ATTRIBUTE) else { continue };
        if !seen.insert(name) {
            continue;
        }
        let value = decode_base64(value, "MSWINDOWS.xattr")?;
        if name.len() > 255 || value.len() > 65_535 {
            let found = format!("{} and {}", name.len(), value.len());
            let expected = "a name of at most 255 and a value of at most 65535 bytes";
            return Err(Error::format(Format::LayerTar, "MSWINDOWS.xattr", expected, found));
        }
        size += 12 + name.len() as u64 + value.len() as u64;
        limits.check(Limit::ExtendedAttributes, size)?;
        list.push(ExtendedAttribute { name: name.to_vec(), value, flags: 0 });
    }
    list.reverse();
    entry.extended_attributes = list;
    Ok(None)
}

fn links(member: &Member, records: &Records<'_>, limits: &Limits, entry: &mut LayerEntry) -> Result<()> {
    if matches!(entry.kind, EntryKind::HardLink | EntryKind::Symlink) {
        entry.link_name = Some(member.link_name.clone());
    }
    if let Some(text) = records.reparse {
        let raw = decode_base64(text, "WINLAYERS.reparse")?;
        limits.check(Limit::ReparsePoint, raw.len() as u64)?;
        let kind = ReparsePoint::parse(raw.clone()).map_or(ReparseKind::Other, |point| point.kind());
        entry.reparse_point = Some(raw);
        if !matches!(entry.kind, EntryKind::HardLink | EntryKind::Whiteout) {
            entry.kind = match kind {
                ReparseKind::Symlink => EntryKind::Symlink,
                ReparseKind::Junction => EntryKind::Junction,
                ReparseKind::Other => EntryKind::Reparse,
            };
        }
    } else if entry.kind == EntryKind::Symlink {
        entry.reparse_point = Some(reparse_from_link(&member.link_name, records.mount_point)?.into_raw());
        if records.mount_point {
            entry.kind = EntryKind::Junction;
        }
    }
    Ok(())
}

fn decode_base64(text: &[u8], field: &'static str) -> Result<Vec<u8>> {
    let decoded = if text.iter().any(|b| matches!(b, b'\r' | b'\n')) {
        let joined: Vec<u8> = text.iter().copied().filter(|b| !matches!(b, b'\r' | b'\n')).collect();
        BASE64.decode(joined)
    } else {
        BASE64.decode(text)
    };
    decoded.map_err(|_| bad(field, "base64", text))
}

fn utf8<'a>(text: &'a [u8], field: &'static str) -> Result<&'a str> {
    std::str::from_utf8(text).map_err(|_| bad(field, "UTF-8", text))
}

fn bad(field: &'static str, expected: &str, found: &[u8]) -> Error {
    let found = format!("\"{}\"", found[..found.len().min(64)].escape_ascii());
    Error::format(Format::LayerTar, field, expected, found)
}
