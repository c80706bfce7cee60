//! Layers that are seen: activate, prepare, and back.
//!
//! A restart of the host ends all of it. So a layer that is active has a file that says since when the host runs.

use super::{Hcs, READY};
use crate::backend::LayerId;
use crate::error::{Error, Result};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// On older versions of Windows a volume that was just made takes a moment.
const TRIES: u32 = 5;
const PAUSE: Duration = Duration::from_millis(100);
/// ERROR_NOT_READY and ERROR_DEVICE_NOT_CONNECTED.
const NOT_YET: [u16; 2] = [21, 1167];

impl Hcs {
    pub(super) fn activate(&self, id: &LayerId) -> Result<()> {
        if self.is_marked(id)? {
            // Nobody uses it: the last one could not let go of it.
            let _ = self.service.deactivate_layer(&self.place(id));
        }
        // First the mark: who is killed behind it leaves something that is swept.
        self.mark(id)?;
        self.service.activate_layer(&self.place(id)).inspect_err(|_| {
            // It may have become active all the same.
            if self.service.is_elsewhere(&self.place(id)) {
                let _ = self.service.deactivate_layer(&self.place(id));
            }
            let _ = self.unmark(id);
        })
    }

    pub(super) fn deactivate(&self, id: &LayerId) -> Result<()> {
        self.service.deactivate_layer(&self.place(id))?;
        self.unmark(id)
    }

    pub(super) fn prepare(&self, id: &LayerId, chain: &[LayerId]) -> Result<()> {
        let (place, chain) = (self.place(id), self.paths(chain));
        for _ in 1..TRIES {
            match self.service.prepare_layer(&place, &chain) {
                Err(Error::Hcs(e)) if e.hresult.win32().is_some_and(|code| NOT_YET.contains(&code)) => {
                    std::thread::sleep(PAUSE);
                }
                done => return done,
            }
        }
        self.service.prepare_layer(&place, &chain)
    }

    /// Where a layer is seen; `None` where it is not, or not any more.
    pub(super) fn mounted(&self, id: &LayerId) -> Result<Option<PathBuf>> {
        if !self.is_marked(id)? {
            return Ok(None);
        }
        let path = self.service.mount_path(&self.place(id))?;
        Ok(Some(path.unwrap_or_else(|| self.path(id))))
    }

    /// Deactivates what nobody uses any more.
    pub(super) fn sweep_ready(&self, in_use: &dyn Fn(&LayerId) -> Result<bool>) -> Result<()> {
        for name in self.home.list(Path::new(READY))? {
            let Some(id) = name.to_str().and_then(|name| LayerId::new(name).ok()) else { continue };
            if in_use(&id)? {
                continue;
            }
            if self.is_marked(&id)? {
                // How far it was is not known; and it may be gone.
                let _ = self.service.unprepare_layer(&self.place(&id));
                let _ = self.service.deactivate_layer(&self.place(&id));
            }
            self.unmark(&id)?;
        }
        Ok(())
    }

    /// Whether the layer was made active since the host runs.
    pub(super) fn is_marked(&self, id: &LayerId) -> Result<bool> {
        let path = mark_of(id);
        if self.kind_of(&path)?.is_none() {
            return Ok(false);
        }
        let text = std::io::read_to_string(self.home.open_file(&path)?);
        let text = text.map_err(|e| Error::io("read", Some(&self.home.path().join(&path)), e))?;
        Ok(text == super::host::running_since()?.to_string())
    }

    fn mark(&self, id: &LayerId) -> Result<()> {
        self.unmark(id)?;
        let path = mark_of(id);
        let failed = |e| Error::io("write", Some(&self.home.path().join(&path)), e);
        let mut file = self.home.create_file(&path)?;
        file.write_all(super::host::running_since()?.to_string().as_bytes()).map_err(failed)
    }

    fn unmark(&self, id: &LayerId) -> Result<()> {
        let path = mark_of(id);
        if self.kind_of(&path)?.is_some() { self.home.remove_file(&path) } else { Ok(()) }
    }
}

fn mark_of(id: &LayerId) -> PathBuf {
    Path::new(READY).join(id.key())
}
