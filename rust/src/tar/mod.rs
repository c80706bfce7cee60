//! Placeholder text, replaced by the slice that fills this room.
