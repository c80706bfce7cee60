//! Files and folders as backup streams.
