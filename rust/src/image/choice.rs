//! Which image of several is meant.

use crate::error::{Error, Format, Misuse, Result, display_name};
use std::collections::HashSet;

/// One of the images.
pub(super) struct Candidate<T> {
    /// The names that it goes by.
    pub names: Vec<String>,
    /// Its digest and those of the indexes that it is in, or its id.
    pub digests: Vec<String>,
    /// `os/architecture`, and the version of the system; empty where it is not known.
    pub platform: String,
    /// What is behind it.
    pub value: T,
}

/// How many are listed in a message.
const LISTED: usize = 20;

/// Takes the image that was asked for, else the one for Windows.
///
/// # Errors
/// [`Error::Misuse`] when there is none, or more than one; all are listed. [`Error::Format`] when there are no images.
pub(super) fn choose<T>(mut candidates: Vec<Candidate<T>>, wanted: Option<&str>) -> Result<Candidate<T>> {
    if candidates.is_empty() {
        return Err(Error::format(Format::Image, "manifests", "an image", "none"));
    }
    let asked: Vec<bool> =
        candidates.iter().map(|candidate| wanted.is_none_or(|wanted| candidate.is(wanted))).collect();
    let windows = |candidate: &Candidate<T>| candidate.platform.split('/').next() == Some("windows");
    let mut chosen: Vec<usize> = (0..candidates.len()).filter(|&i| asked[i]).collect();
    // Of those asked for by a name, the one for Windows; without a name nothing else counts.
    if wanted.is_none() || chosen.len() > 1 && chosen.iter().any(|&i| windows(&candidates[i])) {
        chosen.retain(|&i| windows(&candidates[i]));
    }
    let mut seen = HashSet::new();
    chosen.retain(|&i| seen.insert(candidates[i].digests.first().cloned()));
    match (chosen.as_slice(), wanted) {
        ([one], _) => Ok(candidates.swap_remove(*one)),
        ([], Some(wanted)) => {
            let wanted = display_name(wanted.as_bytes());
            Err(Error::misuse(Misuse::Argument, format!("no image is \"{wanted}\": {}", list(&candidates))))
        }
        ([], None) => Err(Error::misuse(Misuse::Argument, format!("no image is for Windows: {}", list(&candidates)))),
        (_, _) => Err(Error::misuse(Misuse::Argument, format!("which image is meant? {}", list(&candidates)))),
    }
}

impl<T> Candidate<T> {
    fn is(&self, wanted: &str) -> bool {
        let same = |digest: &String| {
            digest == wanted
                || digest.strip_prefix("sha256:").is_some_and(|hex| hex.len() == wanted.len() && hex == wanted)
        };
        // containerd and Docker write out what users leave out.
        let short = |name: &str| {
            name.strip_prefix("docker.io/")
                .is_some_and(|name| name == wanted || name.strip_prefix("library/") == Some(wanted))
        };
        self.names.iter().any(|name| name == wanted || short(name)) || self.digests.iter().any(same)
    }
}

fn list<T>(candidates: &[Candidate<T>]) -> String {
    let line = |candidate: &Candidate<T>| {
        let digest = candidate.digests.first().map_or("", String::as_str);
        let platform = if candidate.platform.is_empty() { "unknown platform" } else { &candidate.platform };
        let names = candidate.names.join(", ");
        display_name(format!("{names}{}{digest} ({platform})", if names.is_empty() { "" } else { " " }).as_bytes())
    };
    let mut text: Vec<String> = candidates.iter().take(LISTED).map(line).collect();
    if candidates.len() > LISTED {
        text.push(format!("and {} more", candidates.len() - LISTED));
    }
    text.join("; ")
}
