//! Everything that a store claims, looked at again.

use super::state::Stage;
use super::{LayerId, LayerStore};
use crate::error::{Result, StoreFault};
use crate::problem::{Flaw, ProblemCode};
use crate::progress::Progress;

/// One thing that is wrong with a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What it is; `docs/formats/problems.md` lists the codes.
    pub code: ProblemCode,
    /// The layer; empty where it is the store as a whole.
    pub layer: String,
    /// More about it, for people.
    pub message: String,
}

impl LayerStore {
    /// Reads all layers and lists what is wrong: bytes that do not match their diffID, an index that does not match its
    /// tar, chains that lead nowhere. `repair` rebuilds what follows from the rest: indexes, and the records that the
    /// folders contradict. What is repaired is listed too. `progress` counts bytes of tars.
    ///
    /// # Errors
    /// What keeps the store from being read; what is wrong with a layer is none.
    pub fn check(&self, repair: bool, progress: &Progress) -> Result<Vec<Finding>> {
        let inner = &self.0;
        if repair {
            inner.work().map(drop)?;
            inner.recover(false)?;
        }
        let mut findings = Vec::new();
        let mut find = |code, layer: &str, message: String| {
            findings.push(Finding { code, layer: layer.to_owned(), message });
        };
        let layers = inner.backend.layers()?;
        // A damaged index is listed below.
        let size = |id: &LayerId| inner.backend.imported(id).ok().flatten().map_or(0, |imported| imported.size);
        let sizes: Vec<u64> = layers.iter().map(size).collect();
        let (total, mut done) = (sizes.iter().sum(), 0);
        for (id, size) in layers.into_iter().zip(sizes) {
            let part = progress.part(done, total);
            done += size;
            match inner.state.record(&id)? {
                None => find(Flaw::LayerUnknown.into(), id.as_str(), "it is there, and in no record".into()),
                Some(record) if record.stage != Stage::Ready => {
                    let alive = record.owner.is_some();
                    if !alive {
                        find(Flaw::LayerUnfinished.into(), id.as_str(), format!("it was left {}", record.stage.name()));
                    }
                    continue;
                }
                Some(record) => {
                    let parent = inner.chain(&id).map(|chain| chain.first().map(|parent| parent.key().to_owned()));
                    if let Ok(parent) = parent
                        && parent != record.parent
                        && !record.parent.as_ref().is_some_and(|key| key.ends_with("-INIT"))
                    {
                        find(
                            Flaw::RecordDiffers.into(),
                            id.as_str(),
                            format!("its record has {:?} as its parent", record.parent),
                        );
                        if repair {
                            let parent = parent.map(|key| LayerId::new(&key)).transpose()?;
                            inner.state.put(&id, parent.as_ref(), Stage::Ready, None)?;
                        }
                    }
                }
            }
            match inner.whole_chain(&id) {
                Err(error) => find(StoreFault::BadChain.into(), id.as_str(), error.to_string()),
                Ok(chain) => {
                    if let Some((parent, rest)) = chain.split_first()
                        && inner.chain(parent).is_ok_and(|chain| chain != rest)
                    {
                        let message = format!("it does not go on as that of \"{parent}\"");
                        find(StoreFault::BadChain.into(), id.as_str(), message);
                    }
                }
            }
            let _lock = if inner.read_only { None } else { Some(inner.lock(&id)?) };
            inner.on(id.as_str(), || {
                inner.backend.check_layer(&id, repair, &part, &mut |code, message| find(code, id.as_str(), message))
            })?;
        }
        progress.finish(total)?;
        for record in inner.state.records()? {
            let id = LayerId::new(&record.id)?;
            if record.stage == Stage::Ready && !inner.backend.layer_exists(&id)? {
                find(Flaw::LayerMissing.into(), id.as_str(), "it is in a record, and not there".into());
            }
        }
        Ok(findings)
    }
}
