//! The PAX keys of a layer tar, and the base64 of their values.

use base64::alphabet::STANDARD;
use base64::engine::{GeneralPurpose, GeneralPurposeConfig};

/// Base64 as Go reads it: the standard alphabet, padding required, spare bits of the last digit ignored.
pub(super) const BASE64: GeneralPurpose =
    GeneralPurpose::new(&STANDARD, GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true));

/// Attributes, decimal.
pub const FILE_ATTRIBUTES: &[u8] = b"MSWINDOWS.fileattr";
/// A self-relative security descriptor, base64.
pub const RAW_SECURITY_DESCRIPTOR: &[u8] = b"MSWINDOWS.rawsd";
/// A security descriptor as SDDL text: read from old layers, never written.
pub const SDDL: &[u8] = b"MSWINDOWS.sd";
/// Present on a junction, with any value.
pub const MOUNT_POINT: &[u8] = b"MSWINDOWS.mountpoint";
/// Prefix of an extended attribute; the value is base64.
pub const EXTENDED_ATTRIBUTE: &[u8] = b"MSWINDOWS.xattr.";
/// Creation time, decimal seconds.
pub const CREATION_TIME: &[u8] = b"LIBARCHIVE.creationtime";

/// Lossless: four FILETIMEs (creation, access, write, change) in ticks, `-` where one is absent.
pub const TIMES: &[u8] = b"WINLAYERS.times";
/// Lossless: the extended attributes as they stood in their stream, base64.
pub const EA_DATA: &[u8] = b"WINLAYERS.ea";
/// Lossless: the reparse buffer, base64.
pub const REPARSE: &[u8] = b"WINLAYERS.reparse";
/// Lossless: the streams in their order; see `docs/formats/layer-tar.md`.
pub const STREAMS: &[u8] = b"WINLAYERS.streams";
