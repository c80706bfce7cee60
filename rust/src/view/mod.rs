//! A chain of layers seen as one.
//!
//! - [`LayerSource`]: one layer, its entries by folded name and in order, its data when that is wanted.
//! - [`Index`]: such a source over a tar; [`View::of_tars`] makes one for each tar.
//! - [`View`]: sources merged, the nearest on top.
//! - [`Change`]: what a layer does to the layers below it.

mod cache;
pub mod chain;
pub mod change;
pub(crate) mod compare;
pub mod index;
pub mod source;
mod tars;

pub(crate) use cache::Indexes;
pub use chain::{Node, View};
pub use change::{Change, ChangeKind, What};
pub use index::{Imported, Index};
pub use source::LayerSource;
pub use tars::LayerTar;
