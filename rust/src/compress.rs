//! Gzip and zstd, in and out.
