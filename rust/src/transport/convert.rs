//! Transport folders and layer tars.

use super::{Content, Report, TransportOptions, TransportReader, TransportWriter};
use crate::error::{Limit, Result};
use crate::fs::Root;
use crate::layer_name::whiteout_target;
use crate::layer_tar::{EntryKind, LayerReader, LayerWriter, WriterOptions};
use crate::policy::Policy;
use crate::source::Source;
use std::io::Write;

/// Writes the layer tar of a transport folder; the same folder gives the same bytes. Use the lossless dialect for a tar
/// that brings the same folder back; what another one loses is in the report.
///
/// ```
/// use winlayers::fs::Root;
/// use winlayers::source::Source;
/// use winlayers::layer_tar::{EntryKind, LayerEntry, LayerWriter};
/// use winlayers::transport::{from_layer_tar, to_layer_tar};
///
/// let mut writer = LayerWriter::new(Vec::new(), Default::default());
/// writer.add(&LayerEntry::new("Files", EntryKind::Directory), vec![])?;
/// writer.add(&LayerEntry::new("Files/empty.txt", EntryKind::File), vec![Box::new(std::io::empty())])?;
/// let tar = writer.finish()?;
///
/// let folder = tempfile::tempdir().expect("a temporary folder");
/// from_layer_tar(Source::memory(tar), Root::open(folder.path())?, Default::default())?;
/// assert!(folder.path().join("Files.$wcidirs$").exists());
/// let (again, report) = to_layer_tar(&Root::open(folder.path())?, Vec::new(), Default::default())?;
/// assert_eq!(report.entries, 2);
/// # Ok::<(), winlayers::error::Error>(())
/// ```
///
/// # Errors
/// As [`TransportReader::next_entry`] and [`LayerWriter::add`]; nothing makes the tar complete then.
pub fn to_layer_tar<W: Write>(root: &Root, sink: W, options: WriterOptions) -> Result<(W, Report)> {
    let limits = options.limits.clone();
    let mut reader = TransportReader::new(root, &limits)?;
    let mut writer = LayerWriter::new(sink, options);
    while let Some(found) = reader.next_entry()? {
        let entry = &found.entry;
        match found.content {
            Content::BackupStream(stream) => writer.add_seekable_backup_stream(entry, stream, None)?,
            Content::Data(mut data, _) => {
                writer.add(entry, vec![Box::new(&mut data)])?;
                data.into_inner().finish().map_err(|e| e.in_member(&entry.name))?;
            }
            Content::None => writer.add(entry, vec![])?,
        }
        limits.check(Limit::TotalBytes, writer.position())?;
    }
    let mut report = Report { entries: writer.entries(), ..Report::default() };
    report.losses = writer.losses().clone();
    report.bytes = writer.position();
    Ok((writer.finish()?, report))
}

/// Writes the transport folder of an uncompressed layer tar, into a folder in which nothing is.
///
/// # Errors
/// As [`LayerReader::next_entry`] and [`TransportWriter::add`]; the folder is not complete then.
pub fn from_layer_tar(source: Source, root: Root, options: TransportOptions) -> Result<Report> {
    let mut reader = LayerReader::new(source, Policy::strict(), &options.limits)?;
    let mut writer = TransportWriter::new(root, options)?;
    while let Some(entry) = reader.next_entry()? {
        match entry.kind {
            EntryKind::Whiteout => writer.add_whiteout(&whiteout_target(&entry.name))?,
            EntryKind::HardLink => writer.add_hard_link(&entry.name, entry.link_name.as_deref().unwrap_or_default())?,
            _ => writer.add(&entry, reader.backup_stream(&entry)?)?,
        }
    }
    writer.finish()
}
