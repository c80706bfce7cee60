//! Metadata and data to the tar they came from.

use super::entry::{Entry, EntryReader, wrong};
use super::output::{Checked, Chunk, Output};
use super::{ContentSource, Summary, integrity, names};
use crate::error::{Error, Limit, Result, display_name};
use crate::limits::Limits;
use crate::tar::{BLOCK, TYPEFLAG, has_no_data};
use std::io::{self, BufRead, Read, Write};
use std::sync::mpsc::sync_channel;
use std::thread;

/// Puts a tar together from metadata and the data of its members.
///
/// # Errors
/// [`Error::Format`] with the offset of a line that is not what it should be, [`Error::Integrity`] with the name of a
/// member whose data has another size or checksum, [`Error::Limit`], [`Error::Io`], and those of `content`. What was
/// written until then is of no use.
pub fn assemble(
    metadata: impl BufRead,
    content: &mut dyn ContentSource,
    sink: impl Write,
    limits: &Limits,
) -> Result<Summary> {
    let mut checked = Checked::new(sink);
    let mut pass = |mut chunk: Chunk| {
        checked.write(&chunk)?;
        chunk.clear();
        Ok(chunk)
    };
    let summary = read(metadata, content, Output::new(&mut pass, limits))?;
    checked.finish()?;
    Ok(summary)
}

/// As [`assemble`], with metadata and content read on a thread of their own, ahead of what is checked and written.
///
/// # Errors
/// As [`assemble`].
pub fn assemble_reading_ahead(
    metadata: impl BufRead + Send,
    content: &mut (dyn ContentSource + Send),
    sink: impl Write,
    limits: &Limits,
) -> Result<Summary> {
    let (full, filled) = sync_channel::<Chunk>(CHUNKS);
    let (emptied, free) = sync_channel::<Chunk>(CHUNKS);
    for _ in 1..CHUNKS {
        emptied.send(Chunk::new()).expect("there is room, and its receiver is here");
    }
    let ahead = move || {
        // The channels close after an error on the other side, which is the one that is returned.
        let gone = || Error::io("write", None, io::ErrorKind::BrokenPipe.into());
        let mut pass = |chunk| full.send(chunk).ok().and_then(|()| free.recv().ok()).ok_or_else(gone);
        read(metadata, content, Output::new(&mut pass, limits))
    };
    thread::scope(|scope| {
        let thread = thread::Builder::new().name("winlayers-join".into()).spawn_scoped(scope, ahead);
        let thread = thread.map_err(|e| Error::io("start a thread", None, e))?;
        let mut checked = Checked::new(sink);
        let written = filled.iter().try_for_each(|mut chunk| {
            checked.write(&chunk)?;
            chunk.clear();
            // It is not wanted back at the end.
            let _ = emptied.send(chunk);
            Ok(())
        });
        drop((filled, emptied));
        let read = thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        written?;
        checked.finish()?;
        read
    })
}

/// How many chunks are under way between the two threads.
const CHUNKS: usize = 4;

fn read(metadata: impl BufRead, content: &mut dyn ContentSource, mut out: Output<'_>) -> Result<Summary> {
    let mut entries = EntryReader::new(metadata, out.limits);
    let mut summary = Summary::default();
    // The type in the header block that ended the segment before.
    let mut kind = None;
    while let Some(entry) = entries.next()? {
        match entry {
            Entry::Segment => {
                summary.segments += 1;
                out.put(entries.bytes())?;
                kind = entries.bytes().last_chunk::<BLOCK>().map(|block| block[TYPEFLAG]);
            }
            Entry::File { size, crc } => {
                summary.files += 1;
                out.limits.check(Limit::Entries, summary.files)?;
                let name = entries.bytes();
                // The Go tool gives a link or a directory the size in its header, and the checksum of no data.
                let no_data = kind.is_some_and(|k| has_no_data(k) || (k == 0 && name.ends_with(b"/")));
                if size > 0 && !(no_data && crc == 0) {
                    out.limits.check(Limit::MemberBytes, size)?;
                    if names::relative_name(name).is_none() {
                        let found = format!("\"{}\"", display_name(name));
                        return Err(wrong("name", "a path inside the layer", found).at(entries.offset()));
                    }
                    let file = content.open(name).map_err(|e| e.in_member(name))?;
                    member(file, name, size, crc, &mut out)?;
                    summary.data += size;
                }
                kind = None;
            }
        }
    }
    summary.size = out.finish()?;
    Ok(summary)
}

/// Copies the data of a member, and checks its size.
fn member(mut file: Box<dyn Read + '_>, name: &[u8], size: u64, crc: u64, out: &mut Output<'_>) -> Result<()> {
    let mut left = size;
    loop {
        let n = match file.read(out.room()?) {
            Ok(n) => n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(crate::error::from_io(e)),
        };
        if n == 0 {
            break;
        }
        let Some(rest) = left.checked_sub(n as u64) else {
            return Err(integrity(name, format!("{size} bytes"), "more".into()));
        };
        left = rest;
        out.take_data(n)?;
    }
    if left > 0 {
        return Err(integrity(name, format!("{size} bytes"), (size - left).to_string()));
    }
    out.end_data(name, crc);
    Ok(())
}
