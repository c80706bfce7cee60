//! Files and folders as backup streams: `BackupRead` and `BackupWrite`, piece by piece.
//!
//! - [`BackupReader`] and [`BackupWriter`]: the stream of an open file or folder.
//! - [`read_file`] and [`write_file`]: that of one with a path, with the privileges that it takes.
//!
//! Source: Microsoft, "BackupRead function", "BackupWrite function" and "WIN32_STREAM_ID structure".

use super::folder::{Folder, Security, open_parent, remove_object};
use super::handle::Object;
use super::privilege::{Privilege, Privileges};
use super::sys_backup::{Context, backup_read, backup_write, end_read, end_write};
use crate::backup_stream::{Fate, StreamId, restore};
use crate::error::{Error, Result, Rule};
use crate::limits::Limits;
use crate::nt::FileAttributes;
use std::io::{self, Read, Write};
use std::path::Path;

/// Reads the backup stream of an open file or folder, from its start.
///
/// The thread that reads must hold [`Privilege::Backup`] at each read: named streams are opened on the way. What the
/// system keeps for it is freed when this is dropped.
#[derive(Debug)]
pub struct BackupReader {
    object: Object,
    security: bool,
    context: Context,
    /// What was read and not handed out: the system takes no small buffer.
    held: Vec<u8>,
    held_at: usize,
}

impl BackupReader {
    /// A reader at the start of the stream.
    #[must_use]
    pub fn new(object: Object, security: Security) -> Self {
        let security = security == Security::Included;
        BackupReader { object, security, context: std::ptr::null_mut(), held: Vec::new(), held_at: 0 }
    }

    /// What is read.
    #[must_use]
    pub fn object(&self) -> &Object {
        &self.object
    }

    /// Reads into `buf`, or into what is held where there is none.
    fn read_some(&mut self, buf: Option<&mut [u8]>) -> io::Result<usize> {
        let buf = buf.unwrap_or(&mut self.held);
        // SAFETY: the object is open, and the context comes from calls for it alone.
        let read = unsafe { backup_read(self.object.raw(), buf, self.security, &mut self.context) };
        read.map_err(|e| io::Error::other(self.object.error("read the backup stream of", e)))
    }
}

impl Read for BackupReader {
    /// Fails with the [`Error::Io`] of the system's answer.
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.held_at == self.held.len() {
            if buf.len() >= SMALLEST {
                return self.read_some(Some(buf));
            }
            self.held.resize(BUFFER, 0);
            self.held_at = BUFFER;
            let read = self.read_some(None)?;
            self.held.truncate(read);
            self.held_at = 0;
        }
        let n = buf.len().min(self.held.len() - self.held_at);
        buf[..n].copy_from_slice(&self.held[self.held_at..self.held_at + n]);
        self.held_at += n;
        Ok(n)
    }
}

impl Drop for BackupReader {
    fn drop(&mut self) {
        if !self.context.is_null() {
            // SAFETY: the object is open, the context comes from calls for it alone, and there will be no other. What
            // the system answers changes nothing.
            let _ = unsafe { end_read(self.object.raw(), &mut self.context) };
        }
    }
}

// SAFETY: the context is memory of the process that any thread may hand back; `&mut self` keeps it to one at a time.
unsafe impl Send for BackupReader {}

/// Gives an open file or folder what a backup stream holds.
///
/// The thread that writes must hold [`Privilege::WRITE`], but for SeSecurityPrivilege without the security descriptor.
/// The bytes go to the system as they come; [`restore`] checks them first. What the system keeps for it is freed when
/// this is dropped.
#[derive(Debug)]
pub struct BackupWriter<'a> {
    object: &'a Object,
    security: bool,
    context: Context,
}

impl<'a> BackupWriter<'a> {
    /// A writer at the start of the stream.
    #[must_use]
    pub fn new(object: &'a Object, security: Security) -> Self {
        BackupWriter { object, security: security == Security::Included, context: std::ptr::null_mut() }
    }

    /// Ends the stream.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn finish(mut self) -> Result<()> {
        self.end()
    }

    fn end(&mut self) -> Result<()> {
        if self.context.is_null() {
            return Ok(());
        }
        // SAFETY: the object is open, the context comes from calls for it alone, and is not used any more.
        let ended = unsafe { end_write(self.object.raw(), &mut self.context) };
        self.context = std::ptr::null_mut();
        ended.map_err(|e| self.object.error("write the backup stream of", e))
    }
}

impl Write for BackupWriter<'_> {
    /// Fails with the [`Error::Io`] of the system's answer.
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        // SAFETY: the object is open, and the context comes from calls for it alone.
        let written = unsafe { backup_write(self.object.raw(), buf, self.security, &mut self.context) };
        written.map_err(|e| io::Error::other(self.object.error("write the backup stream of", e)))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for BackupWriter<'_> {
    fn drop(&mut self) {
        // Nobody is left to be told.
        let _ = self.end();
    }
}

// SAFETY: as for the reader.
unsafe impl Send for BackupWriter<'_> {}

/// Reads a file, a folder or a link as a backup stream, its whole security descriptor included; a link is read itself.
/// The privileges that it takes are held while it is opened, and in each read.
///
/// # Errors
/// [`Error::Io`], PermissionError in Python, without SeBackupPrivilege or SeSecurityPrivilege: a stream without the
/// system part of the descriptor would look like one of a file that has none. As [`Folder::open_read`].
pub fn read_file(path: &Path) -> Result<impl Read + Send + 'static> {
    let _privileges = Privileges::hold(&Privilege::READ)?;
    let (folder, name) = open_parent(path)?;
    let object = folder.open_read(&name, Security::Included)?;
    Ok(Privileged { inner: BackupReader::new(object, Security::Included), privileges: &Privilege::READ })
}

/// Gives a file or a folder what a backup stream holds. Without one of that name it is made, empty first, and removed
/// again when anything fails. One that is there keeps what the stream has nothing of, and is not as it was when
/// something fails midway; its data is replaced as a whole. Times and attributes are in no backup stream.
///
/// # Errors
/// As [`restore`]; [`Rule::LinkEscapes`] for a LINK stream, which names other files; IsADirectoryError and
/// NotADirectoryError in Python for what is there and is of the other kind; as [`Folder::open_write`].
pub fn write_file(path: &Path, stream: impl Read, directory: bool, limits: &Limits) -> Result<()> {
    let held = Privileges::hold(&Privilege::WRITE)?;
    let (folder, name) = open_parent(path)?;
    let (object, is_new) = open_or_create(&folder, &name, directory)?;
    // The source may be foreign code, which is to run without them.
    drop(held);
    let mut writer =
        Privileged { inner: BackupWriter::new(&object, Security::Included), privileges: &Privilege::WRITE };
    let restored = restore(&mut writer, stream, limits, |header| {
        match header.id {
            StreamId::LINK => return Err(Error::refused(Rule::LinkEscapes, "a LINK stream")),
            StreamId::DATA if !is_new => object.set_size(0)?,
            _ => {}
        }
        Ok(Fate::Write)
    });
    let ended = match restored {
        Ok(_) => writer.inner.finish(),
        Err(error) => {
            drop(writer);
            Err(error)
        }
    };
    if ended.is_err() && is_new {
        // The error that led here says more than one of the removal would.
        let _ = Privileges::hold(&Privilege::WRITE).and_then(|_held| remove_object(&object));
    }
    ended
}

fn open_or_create(folder: &Folder, name: &[u8], directory: bool) -> Result<(Object, bool)> {
    let made = match (name, directory) {
        (b"", _) => Err(Error::refused(Rule::TargetExists, "")),
        (_, true) => folder.create_folder(name, FileAttributes::default(), Security::Included),
        (_, false) => folder.create_file(name, FileAttributes::default(), Security::Included),
    };
    match made {
        Err(Error::Refused { rule: Rule::TargetExists, .. }) => {
            let object = folder.open_write(name, Security::Included)?;
            let kind = match (object.basic_info()?.attributes.is_directory(), directory) {
                (true, false) => io::ErrorKind::IsADirectory,
                (false, true) => io::ErrorKind::NotADirectory,
                _ => return Ok((object, false)),
            };
            Err(object.error("write", kind.into()))
        }
        made => Ok((made?, true)),
    }
}

/// Holds privileges in each call, and not between them.
struct Privileged<T> {
    inner: T,
    privileges: &'static [Privilege],
}

impl<T: Read> Read for Privileged<T> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let _privileges = Privileges::hold(self.privileges).map_err(io::Error::other)?;
        self.inner.read(buf)
    }
}

impl<T: Write> Write for Privileged<T> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let _privileges = Privileges::hold(self.privileges).map_err(io::Error::other)?;
        self.inner.write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// A call of the system must have room for more than a header of 20 bytes.
const SMALLEST: usize = 4096;
/// What is moved in one go.
const BUFFER: usize = 256 << 10;
