//! Layers in plain files, on any system.
