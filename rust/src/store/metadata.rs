//! The two files that the graph driver keeps in the folder of a layer: its chain, and its other id.

use super::{Inner, LayerId};
use crate::error::{Error, Result, StoreFault};
use crate::fs::{AtomicFile, Kind};
use crate::transport::{CHAIN, OTHER_IDS};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

/// No chain is longer than a few hundred layers, and no path than 32,767 characters.
const MOST: u64 = 16 << 20;

impl Inner {
    /// The folder that bears a layer's id, in the spelling that the disk has.
    pub(super) fn folder(&self, id: &LayerId) -> Result<String> {
        Ok(match self.state.record(id)? {
            Some(record) => record.id,
            None => id.as_str().to_owned(),
        })
    }

    /// The id that the backend knows a layer by: the content of its file `layerID`, where it has one.
    pub(super) fn resolve(&self, id: &str) -> Result<LayerId> {
        let id = LayerId::new(id)?;
        let folder = self.folder(&id)?;
        for name in OTHER_IDS {
            if let Some(text) = self.read(&Path::new(&folder).join(name), &id)? {
                let text = String::from_utf8(text).map_err(|_| damaged(&id, "its layerID is no text"))?;
                return self.spelled(LayerId::new(text.trim())?);
            }
        }
        self.spelled(id)
    }

    /// The id as the layer was made with.
    pub(super) fn spelled(&self, id: LayerId) -> Result<LayerId> {
        match self.state.record(&id)? {
            Some(record) => LayerId::new(&record.id),
            None => Ok(id),
        }
    }

    /// Gives a layer another id for the backend.
    pub(super) fn set_other_id(&self, id: &LayerId, other: &str) -> Result<()> {
        self.write(&Path::new(&self.folder(id)?).join(OTHER_IDS[0]), other.as_bytes())
    }

    /// The recorded parents of a layer, nearest first.
    pub(super) fn chain(&self, id: &LayerId) -> Result<Vec<LayerId>> {
        let paths = self.chain_paths(id)?;
        let bad = |detail: String| Error::store(StoreFault::BadChain, id.as_str(), detail);
        let mut chain = Vec::with_capacity(paths.len());
        for path in paths {
            let parent = LayerId::new(&path).map_err(|_| bad(format!("it names {path:?}, which is no layer")))?;
            if parent == *id || chain.contains(&parent) {
                return Err(bad(format!("\"{parent}\" stands in it twice")));
            }
            chain.push(self.spelled(parent)?);
        }
        Ok(chain)
    }

    /// The chain of a layer, when every layer of it is there.
    pub(super) fn whole_chain(&self, id: &LayerId) -> Result<Vec<LayerId>> {
        let chain = self.chain(id)?;
        for parent in &chain {
            if !self.is_there(parent)? {
                let detail = format!("\"{parent}\" is missing");
                return Err(Error::store(StoreFault::BadChain, id.as_str(), detail));
            }
        }
        Ok(chain)
    }

    /// The chain that a layer above `parent` has, as paths.
    pub(super) fn paths_above(&self, parent: &LayerId) -> Result<Vec<String>> {
        let mut paths = vec![self.backend.layer_path(parent)?.display().to_string()];
        paths.extend(self.chain_paths(parent)?);
        Ok(paths)
    }

    pub(super) fn chain_paths(&self, id: &LayerId) -> Result<Vec<String>> {
        let Some(text) = self.read(&Path::new(&self.folder(id)?).join(CHAIN), id)? else { return Ok(Vec::new()) };
        // Docker writes `null` for no parents.
        let paths: Option<Vec<String>> =
            serde_json::from_slice(&text).map_err(|e| damaged(id, &format!("{CHAIN}: {e}")))?;
        Ok(paths.unwrap_or_default())
    }

    pub(super) fn set_chain(&self, id: &LayerId, paths: &[String]) -> Result<()> {
        let text = serde_json::to_vec(paths).expect("strings only");
        self.write(&Path::new(&self.folder(id)?).join(CHAIN), &text)
    }

    /// The folder of a layer in the home, whether it is there or not.
    pub(super) fn dir(&self, id: &LayerId) -> Result<PathBuf> {
        Ok(self.home.path().join(self.folder(id)?))
    }

    fn read(&self, path: &Path, id: &LayerId) -> Result<Option<Vec<u8>>> {
        match self.home.try_metadata(path)? {
            Some(metadata) if metadata.kind == Kind::File => {}
            Some(_) => return Err(damaged(id, &format!("{} is no file", path.display()))),
            None => return Ok(None),
        }
        let mut text = Vec::new();
        let read = self.home.open_file(path)?.take(MOST + 1).read_to_end(&mut text);
        read.map_err(|e| Error::io("read", Some(&self.home.path().join(path)), e))?;
        if text.len() as u64 > MOST {
            return Err(damaged(id, &format!("{} is larger than {MOST} bytes", path.display())));
        }
        Ok(Some(text))
    }

    /// Writes a small file that only its owner reads: it has the new content or the old one, never a part.
    fn write(&self, path: &Path, text: &[u8]) -> Result<()> {
        let path = self.home.path().join(path);
        let mut file = AtomicFile::create_private(&path)?;
        if self.options.fsync {
            file = file.durable();
        }
        file.write_all(text).map_err(|e| Error::io("write", Some(&path), e))?;
        file.commit()
    }
}

pub(super) fn damaged(id: &LayerId, detail: &str) -> Error {
    Error::store(StoreFault::Damaged, id.as_str(), detail)
}
