//! A chain of layers seen as one.
//!
//! - [`Index`]: one layer, its entries in order and by folded name.
//! - [`View`]: layers merged, the nearest on top; [`Merged`] is a view with the tars that it reads.
//! - [`Change`]: what a layer does to the layers below it.

pub mod chain;
pub mod change;
pub(crate) mod compare;
pub mod index;
pub mod merged;

pub use chain::{Node, View};
pub use change::{Change, ChangeKind, What};
pub use index::{Imported, Index};
pub use merged::{LayerTar, Merged};
