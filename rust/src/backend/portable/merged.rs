//! A view with the means to read its data anywhere.

use super::index::Index;
use super::view::{Node, View};
use std::fs::File;
use std::ops::Deref;
use std::sync::Arc;

/// A merged view, as [`View`], and the tars that it is of.
#[derive(Clone)]
pub struct Merged {
    view: View,
    /// Nearest first.
    layers: Vec<Arc<Index>>,
}

impl Merged {
    pub(super) fn new(layers: Vec<Arc<Index>>) -> Self {
        Merged { view: View::new(layers.clone()), layers }
    }

    /// The tar that the places are in which [`View::entry`] gives for a node.
    #[must_use]
    pub fn source(&self, node: &Node) -> Arc<File> {
        let (from_lowest, _) = node.identity(&self.view);
        self.layers[self.layers.len() - from_lowest].tar()
    }
}

impl Deref for Merged {
    type Target = View;

    fn deref(&self) -> &View {
        &self.view
    }
}
