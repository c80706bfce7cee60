//! A view with the means to read its data anywhere.

use super::index::{Index, Tail};
use super::view::{Node, View};
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

    /// What the places that [`View::entry`] gives for a node count in.
    #[must_use]
    pub fn source(&self, node: &Node) -> Tail {
        let (from_lowest, place) = node.identity(&self.view);
        self.layers[self.layers.len() - from_lowest].source(place.unwrap_or(0))
    }
}

impl Deref for Merged {
    type Target = View;

    fn deref(&self) -> &View {
        &self.view
    }
}
