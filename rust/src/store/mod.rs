//! The layer store: what Docker's Windows graph driver did.

mod id;

pub use id::LayerId;
