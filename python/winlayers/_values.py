"""The flag enumerations of the values, which the native module asks for."""

import enum
from typing import Any, TypeVar

__all__ = ["FileAttributes", "SecurityControl"]


class FileAttributes(enum.IntFlag):
    """File attributes, by their Windows names (FILE_ATTRIBUTE_...). Bits without a name are kept.

    >>> import winlayers as wl
    >>> wl.FileAttributes.DIRECTORY | wl.FileAttributes.REPARSE_POINT
    <FileAttributes.DIRECTORY|REPARSE_POINT: 1040>
    >>> wl.FileAttributes.HIDDEN in wl.FileAttributes(0x26)
    True
    """

    READONLY = 0x1
    HIDDEN = 0x2
    SYSTEM = 0x4
    DIRECTORY = 0x10
    ARCHIVE = 0x20
    DEVICE = 0x40
    NORMAL = 0x80
    TEMPORARY = 0x100
    SPARSE_FILE = 0x200
    REPARSE_POINT = 0x400
    COMPRESSED = 0x800
    OFFLINE = 0x1000
    NOT_CONTENT_INDEXED = 0x2000
    ENCRYPTED = 0x4000
    INTEGRITY_STREAM = 0x8000
    VIRTUAL = 0x10000
    NO_SCRUB_DATA = 0x20000
    EA = 0x40000
    PINNED = 0x80000
    UNPINNED = 0x100000
    RECALL_ON_DATA_ACCESS = 0x400000


class SecurityControl(enum.IntFlag):
    """The control bits of a security descriptor, by their Windows names (SE_...).

    >>> import winlayers as wl
    >>> control = wl.SecurityDescriptor.from_sddl("D:PNO_ACCESS_CONTROL").control
    >>> wl.SecurityControl.DACL_PROTECTED in control
    True
    """

    OWNER_DEFAULTED = 0x0001
    GROUP_DEFAULTED = 0x0002
    DACL_PRESENT = 0x0004
    DACL_DEFAULTED = 0x0008
    SACL_PRESENT = 0x0010
    SACL_DEFAULTED = 0x0020
    DACL_TRUSTED = 0x0040
    SERVER_SECURITY = 0x0080
    DACL_AUTO_INHERIT_REQ = 0x0100
    SACL_AUTO_INHERIT_REQ = 0x0200
    DACL_AUTO_INHERITED = 0x0400
    SACL_AUTO_INHERITED = 0x0800
    DACL_PROTECTED = 0x1000
    SACL_PROTECTED = 0x2000
    RM_CONTROL_VALID = 0x4000
    SELF_RELATIVE = 0x8000


# An IntFlag keeps every combination it ever made; a layer with millions of them must not fill memory.
_KEEP = 4096

_Flags = TypeVar("_Flags", bound=enum.IntFlag)


def _bounded(kind: type[_Flags], value: int) -> _Flags:
    member = kind(value)
    if len(kind._value2member_map_) > _KEEP:
        kind._value2member_map_.pop(value, None)
    return member


def file_attributes(value: int) -> FileAttributes:
    """Give the member for a number."""
    return _bounded(FileAttributes, value)


def security_control(value: int) -> SecurityControl:
    """Give the member for a number."""
    return _bounded(SecurityControl, value)


def rebuild(name: str, fields: dict[str, Any]) -> Any:
    """Make a value from its class name and keyword arguments: what pickle calls."""
    import winlayers

    return getattr(winlayers, name)(**fields)
