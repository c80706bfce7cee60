//! The values of the NT kernel that a layer carries: times, attributes, names, links, extended attributes and
//! security descriptors.
//!
//! Everything here is a pure value: there is no I/O and no call of the operating system, and it is the same on every
//! host. Bytes from a layer are kept as they came and decoded on request. `docs/formats/nt-values.md` has the layouts
//! and their sources.

pub mod acl;
pub mod attributes;
pub mod basic_info;
pub mod ea;
pub mod filetime;
pub mod guid;
pub mod name;
pub mod path;
pub mod reparse;
pub mod sddl;
pub mod security;
pub mod sid;
mod upcase;

pub use acl::{Ace, Acl};
pub use attributes::FileAttributes;
pub use basic_info::BasicInfo;
pub use ea::ExtendedAttribute;
pub use filetime::FileTime;
pub use guid::Guid;
pub use reparse::ReparsePoint;
pub use security::SecurityDescriptor;
pub use sid::Sid;

/// Little-endian fields of a buffer, for the parsers of this room.
mod bytes {
    pub(super) fn u16_at(bytes: &[u8], offset: usize) -> Option<u16> {
        bytes.get(offset..)?.first_chunk().map(|b| u16::from_le_bytes(*b))
    }

    pub(super) fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
        bytes.get(offset..)?.first_chunk().map(|b| u32::from_le_bytes(*b))
    }

    pub(super) fn u64_at(bytes: &[u8], offset: usize) -> Option<u64> {
        bytes.get(offset..)?.first_chunk().map(|b| u64::from_le_bytes(*b))
    }

    /// UTF-16 units of a byte slice; a last odd byte is left out.
    pub(super) fn units(bytes: &[u8]) -> Vec<u16> {
        bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect()
    }

    pub(super) fn push_units(out: &mut Vec<u8>, units: &[u16]) {
        out.extend(units.iter().flat_map(|unit| unit.to_le_bytes()));
    }
}
