//! A plan as text: what `WINLAYERS.streams` holds.

use super::{check_records, name_members};
use crate::backup_stream::{StreamHeader, StreamId};
use crate::error::{Error, Format, Limit, Result};
use crate::layer_tar::entry::{Body, EntryKind, LayerEntry, PlannedStream};
use crate::layer_tar::keys::BASE64;
use crate::limits::Limits;
use crate::nt::ea;
use base64::Engine;

/// Which record of the tar holds the body of a stream.
fn place(stream: &PlannedStream, entry: &LayerEntry, ea_data: Option<&[u8]>, used: &mut [bool; 3]) -> &'static str {
    let Body::Inline(bytes) = &stream.body else { return "member" };
    let candidates = [
        (StreamId::SECURITY_DATA, entry.security_descriptor.as_deref(), "sd"),
        (StreamId::EA_DATA, ea_data, "ea"),
        (StreamId::REPARSE_DATA, entry.reparse_point.as_deref(), "reparse"),
    ];
    for (i, (id, value, word)) in candidates.into_iter().enumerate() {
        if stream.header.id == id && !used[i] && value == Some(bytes.as_slice()) {
            used[i] = true;
            return word;
        }
    }
    "inline"
}

/// Writes a plan as text: streams joined by `;`, each `id,attributes,name,place[,more]`.
pub(in crate::layer_tar) fn to_text(plan: &[PlannedStream], entry: &LayerEntry, ea_data: Option<&[u8]>) -> String {
    use std::fmt::Write;
    let mut text = String::new();
    let mut used = [false; 3];
    for stream in plan {
        if !text.is_empty() {
            text.push(';');
        }
        let header = &stream.header;
        let in_member = matches!(stream.body, Body::Member { .. });
        // The name of a member's stream is that of the member.
        let name = if in_member && header.id == StreamId::ALTERNATE_DATA { &[][..] } else { &header.name };
        let name: Vec<u8> = name.iter().flat_map(|unit| unit.to_le_bytes()).collect();
        let word = place(stream, entry, ea_data, &mut used);
        let _ = write!(text, "{},{},{},", header.id.0, header.attributes, BASE64.encode(name));
        let _ = match &stream.body {
            Body::Inline(bytes) if word == "inline" => {
                write!(text, "inline,{},{}", header.sparse_offset.unwrap_or(0), BASE64.encode(bytes))
            }
            Body::Inline(_) => write!(text, "{word}"),
            Body::Member { index, offset } if header.sparse_offset.is_some() => {
                write!(text, "block,{index},{offset},{}", header.data_size())
            }
            Body::Member { index, .. } => write!(text, "member,{index},{}", header.size),
        };
    }
    text
}

/// The text of a `WINLAYERS.streams` record, to be read back into a plan.
pub(in crate::layer_tar) struct PlanText<'a> {
    pub text: &'a str,
    pub limits: &'a Limits,
}

impl PlanText<'_> {
    pub fn parse(&self, entry: &LayerEntry, ea_data: Option<&[u8]>) -> Result<Vec<PlannedStream>> {
        let mut plan = Vec::new();
        if self.text.is_empty() {
            return Ok(plan);
        }
        let mut used = [false; 3];
        for item in self.text.split(';') {
            plan.push(self.item(item, entry, ea_data, &mut used)?);
            self.limits.check(Limit::SparseRanges, plan.len() as u64)?;
        }
        Ok(plan)
    }

    fn item(
        &self,
        item: &str,
        entry: &LayerEntry,
        ea_data: Option<&[u8]>,
        used: &mut [bool; 3],
    ) -> Result<PlannedStream> {
        let wrong = || {
            let start: String = item.chars().take(64).collect();
            Error::format(Format::LayerTar, "WINLAYERS.streams", "id,attributes,name,place", format!("\"{start}\""))
        };
        let fields: Vec<&str> = item.splitn(8, ',').collect();
        let [id, attributes, name, word, rest @ ..] = fields.as_slice() else { return Err(wrong()) };
        let name = BASE64.decode(name).ok().filter(|n| n.len() % 2 == 0).ok_or_else(wrong)?;
        self.limits.check(Limit::Path, name.len() as u64 / 2)?;
        let mut header = StreamHeader {
            id: StreamId(id.parse().map_err(|_| wrong())?),
            attributes: attributes.parse().map_err(|_| wrong())?,
            size: 0,
            name: name.chunks_exact(2).map(|unit| u16::from_le_bytes([unit[0], unit[1]])).collect(),
            sparse_offset: None,
        };
        // Each record holds one body. Taken for many streams, a short text would fill memory with copies of it.
        if let Some(i) = ["sd", "ea", "reparse"].iter().position(|place| place == word)
            && std::mem::replace(&mut used[i], true)
        {
            return Err(wrong());
        }
        let is_block = header.id == StreamId::SPARSE_BLOCK;
        let number = |text: &str| text.parse::<u64>().ok().filter(|&n| i64::try_from(n).is_ok()).ok_or_else(wrong);
        let body = match (*word, rest) {
            ("sd" | "ea" | "reparse", []) => Body::Inline(record(word, entry, ea_data)?.ok_or_else(wrong)?),
            ("inline", [offset, data]) => {
                header.sparse_offset = if is_block { Some(offset.parse().map_err(|_| wrong())?) } else { None };
                Body::Inline(BASE64.decode(data).map_err(|_| wrong())?)
            }
            ("member", [index, size]) if !is_block => {
                header.size = number(size)?;
                Body::Member { index: index.parse().map_err(|_| wrong())?, offset: 0 }
            }
            ("block", [index, offset, length]) if is_block => {
                let offset = number(offset)?;
                header = StreamHeader {
                    attributes: header.attributes,
                    name: header.name,
                    ..StreamHeader::sparse_block(offset, number(length)?)
                };
                Body::Member { index: index.parse().map_err(|_| wrong())?, offset }
            }
            _ => return Err(wrong()),
        };
        if let Body::Inline(bytes) = &body {
            header.size = bytes.len() as u64 + if is_block { 8 } else { 0 };
        }
        if is_block && header.sparse_offset.is_none() {
            return Err(wrong());
        }
        Ok(PlannedStream { header, body })
    }
}

/// The body that a record of the tar holds, by the word for it.
fn record(word: &str, entry: &LayerEntry, ea_data: Option<&[u8]>) -> Result<Option<Vec<u8>>> {
    Ok(match (word, ea_data) {
        ("sd", _) => entry.security_descriptor.clone(),
        ("reparse", _) => entry.reparse_point.clone(),
        (_, Some(bytes)) => Some(bytes.to_vec()),
        (_, None) if entry.extended_attributes.is_empty() => None,
        // Without a record of its own, the list is the one that its attributes make.
        (_, None) => Some(ea::encode(&entry.extended_attributes)?),
    })
}

impl LayerEntry {
    /// The recorded stream order as text, for keeping it elsewhere; see [`LayerEntry::set_recorded`].
    #[must_use]
    pub fn recorded_text(&self) -> Option<String> {
        let nothing = LayerEntry::new("", EntryKind::File);
        self.recorded.as_ref().map(|plan| to_text(plan, &nothing, None))
    }

    /// Takes a recorded stream order back.
    ///
    /// # Errors
    /// [`Error::Format`] for text that [`LayerEntry::recorded_text`] does not give, of this entry.
    pub fn set_recorded(&mut self, text: &str) -> Result<()> {
        let limits = Limits::default();
        let mut plan = PlanText { text, limits: &limits }.parse(self, None)?;
        check_records(&plan, self)?;
        name_members(&mut plan, self.streams.as_deref().unwrap_or_default());
        self.recorded = Some(plan);
        Ok(())
    }
}
