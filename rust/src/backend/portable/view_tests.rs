//! Tests of [`super::View`].
