"""What NTFS can hold, made and read by calls of our own: what winlayers says is compared with what Windows says."""

import ctypes
import os
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import winlayers as wl
from windows_host.host import DWORD, HANDLE, POINTER, TEXT, failure, function

GENERIC_READ, GENERIC_WRITE = 0x8000_0000, 0x4000_0000
READ_ATTRIBUTES, READ_EA, WRITE_EA = 0x80, 0x08, 0x10
SHARE_ALL = 7
CREATE_NEW, OPEN_EXISTING = 1, 3
THE_THING_ITSELF = 0x0220_0000  # FILE_FLAG_BACKUP_SEMANTICS, so that folders open, and FILE_FLAG_OPEN_REPARSE_POINT

SET_SPARSE, ALLOCATED_RANGES = 0x900C4, 0x940CF
GET_REPARSE_POINT, GET_OBJECT_ID, CREATE_OBJECT_ID = 0x900A8, 0x9009C, 0x900C0
OWNER_GROUP_DACL = 7

DATA, EA, SECURITY, ALTERNATE, OBJECT_ID, REPARSE, SPARSE_BLOCK = 1, 2, 3, 4, 7, 8, 9


def verbatim(path: Path | str) -> str:
    r"""Put `\\?\` before an absolute path: no length and no name is special then."""
    text = str(path)
    return text if text.startswith("\\\\?\\") else "\\\\?\\" + text


@contextmanager
def opened(path: Path | str, access: int, share: int = SHARE_ALL, how: int = OPEN_EXISTING) -> Iterator[int]:
    """Open a file, a folder or a link itself."""
    create = function("kernel32.dll", "CreateFileW", HANDLE, TEXT, DWORD, DWORD, POINTER, DWORD, DWORD, HANDLE)
    handle = create(verbatim(path), access, share, None, how, THE_THING_ITSELF, None)
    if handle in (None, HANDLE(-1).value):
        raise failure(f"CreateFile {path}")
    try:
        yield handle
    finally:
        function("kernel32.dll", "CloseHandle", ctypes.c_int, HANDLE)(handle)


def control(handle: int, code: int, data: bytes = b"", room: int = 0) -> bytes:
    """Ask a file system about an open file."""
    ask = function(
        "kernel32.dll", "DeviceIoControl", ctypes.c_int, HANDLE, DWORD, POINTER, DWORD, POINTER, DWORD, POINTER, POINTER
    )
    out, got = ctypes.create_string_buffer(max(room, 1)), DWORD()
    if not ask(handle, code, data, len(data), out, room, ctypes.byref(got), None):
        raise failure(f"DeviceIoControl {code:#x}")
    return out.raw[: got.value]


def make_sparse(path: Path, size: int, ranges: list[tuple[int, bytes]]) -> None:
    """Make a sparse file with data in some places."""
    path.touch()
    with opened(path, GENERIC_READ | GENERIC_WRITE) as handle:
        control(handle, SET_SPARSE)
    with path.open("r+b") as file:
        for at, data in ranges:
            file.seek(at)
            file.write(data)
        file.truncate(size)


def allocated_ranges(path: Path) -> list[tuple[int, int]]:
    """Give offset and length of each range that is on the disk."""
    with opened(path, GENERIC_READ) as handle:
        answer = control(handle, ALLOCATED_RANGES, struct.pack("<QQ", 0, path.stat().st_size), 1 << 16)
    return list(struct.iter_unpack("<QQ", answer))


def object_id(path: Path, *, create: bool = False) -> bytes | None:
    """Give the object id of a file, made where it is missing."""
    with opened(path, GENERIC_READ | (GENERIC_WRITE if create else 0)) as handle:
        try:
            return control(handle, CREATE_OBJECT_ID if create else GET_OBJECT_ID, b"", 64)[:16]
        except OSError:
            return None


def reparse_point(path: Path) -> bytes:
    """Give the reparse buffer of a link."""
    with opened(path, READ_ATTRIBUTES) as handle:
        return control(handle, GET_REPARSE_POINT, b"", 16 * 1024)


def set_extended_attributes(path: Path, attributes: list[tuple[bytes, bytes, int]]) -> None:
    """Set EAs: name, value and flags of each."""
    buffer = b""
    for number, (name, value, flags) in enumerate(attributes):
        item = struct.pack("<BBH", flags, len(name), len(value)) + name + b"\0" + value
        last = number == len(attributes) - 1
        item += b"" if last else bytes(-(len(item) + 4) % 4)
        buffer += struct.pack("<I", 0 if last else len(item) + 4) + item
    set_them = function("ntdll.dll", "NtSetEaFile", ctypes.c_uint32, HANDLE, POINTER, POINTER, DWORD)
    with opened(path, WRITE_EA) as handle:
        status = set_them(handle, ctypes.create_string_buffer(16), buffer, len(buffer))
    assert status == 0, f"NtSetEaFile: {status:#x}"


def extended_attributes(path: Path) -> list[tuple[bytes, bytes, int]]:
    """Give the EAs of a file as NTFS does: name, value and flags of each."""
    get_them = function(
        "ntdll.dll",
        "NtQueryEaFile",
        ctypes.c_uint32,
        *(HANDLE, POINTER, POINTER, DWORD, ctypes.c_ubyte, POINTER, DWORD, POINTER, ctypes.c_ubyte),
    )
    out = ctypes.create_string_buffer(1 << 16)
    with opened(path, READ_EA) as handle:
        status = get_them(handle, ctypes.create_string_buffer(16), out, len(out), 0, None, 0, None, 1)
    if status == 0xC000_0052:  # STATUS_NO_EAS_ON_FILE
        return []
    assert status == 0, f"NtQueryEaFile: {status:#x}"
    found, at = [], 0
    while True:
        step, flags, name_length, length = struct.unpack_from("<IBBH", out.raw, at)
        start = at + 8 + name_length + 1
        found.append((out.raw[at + 8 : start - 1], out.raw[start : start + length], flags))
        if step == 0:
            return found
        at += step


def set_security(path: Path | str, sddl: str) -> None:
    """Give a file an owner, a group and a DACL; whatever of them the SDDL has."""
    made = POINTER()
    make = function(
        "advapi32.dll",
        "ConvertStringSecurityDescriptorToSecurityDescriptorW",
        ctypes.c_int,
        *(TEXT, DWORD, POINTER, POINTER),
    )
    if not make(sddl, 1, ctypes.byref(made), None):
        raise failure(f"SDDL {sddl}")
    set_it = function("advapi32.dll", "SetFileSecurityW", ctypes.c_int, TEXT, DWORD, POINTER)
    what = sum(bit for bit, mark in ((1, "O:"), (2, "G:"), (4, "D:")) if mark in sddl)
    try:
        # This call lets nothing be inherited: the file has just these entries.
        if not set_it(verbatim(path), what, made):
            raise failure(f"SetFileSecurity {path}")
    finally:
        function("kernel32.dll", "LocalFree", POINTER, POINTER)(made)


def security(path: Path | str) -> str:
    """Give owner, group and DACL of a file, as the SDDL that Windows makes of them."""
    get = function("advapi32.dll", "GetFileSecurityW", ctypes.c_int, TEXT, DWORD, POINTER, DWORD, POINTER)
    needed = DWORD()
    raw = ctypes.create_string_buffer(1 << 16)
    if not get(verbatim(path), OWNER_GROUP_DACL, raw, len(raw), ctypes.byref(needed)):
        raise failure(f"GetFileSecurity {path}")
    return sddl_of(raw.raw[: needed.value])


def sddl_of(descriptor: bytes) -> str:
    """Let Windows print a security descriptor: owner, group and DACL."""
    make = function(
        "advapi32.dll",
        "ConvertSecurityDescriptorToStringSecurityDescriptorW",
        ctypes.c_int,
        *(POINTER, DWORD, DWORD, POINTER, POINTER),
    )
    text = POINTER()
    if not make(descriptor, 1, OWNER_GROUP_DACL, ctypes.byref(text), None):
        raise failure("ConvertSecurityDescriptorToStringSecurityDescriptor")
    try:
        return ctypes.wstring_at(text.value or 0)
    finally:
        function("kernel32.dll", "LocalFree", POINTER, POINTER)(text)


def backup_read(path: Path | str) -> bytes:
    """Read a file or folder with a BackupRead of our own: what `winlayers.backup.read` must give."""
    read = function(
        "kernel32.dll",
        "BackupRead",
        ctypes.c_int,
        *(HANDLE, POINTER, DWORD, POINTER, ctypes.c_int, ctypes.c_int, POINTER),
    )
    context, got, out = POINTER(), DWORD(), b""
    buffer = ctypes.create_string_buffer(1 << 16)
    with opened(path, GENERIC_READ) as handle:
        try:
            while True:
                if not read(handle, buffer, len(buffer), ctypes.byref(got), 0, 1, ctypes.byref(context)):
                    raise failure(f"BackupRead {path}")
                if got.value == 0:
                    return out
                out += buffer.raw[: got.value]
        finally:
            read(handle, None, 0, ctypes.byref(got), 1, 1, ctypes.byref(context))


class Part(NamedTuple):
    """One stream of a backup stream."""

    id: int
    attributes: int
    name: str
    sparse_offset: int | None
    data: bytes


def parts(stream: bytes) -> list[Part]:
    """Take a backup stream apart; in place of a descriptor stands what Windows prints of it."""
    found = []
    for header in wl.BackupStreamReader(stream):
        data = header.read()
        if header.id == SECURITY:
            # What the SACL is depends on the rights of the handle.
            data = sddl_of(data).encode()
        found.append(Part(header.id, header.attributes, header.name, header.sparse_offset, data))
    return found


def make_everything(folder: Path) -> dict[str, Path]:
    """Make one of each thing that NTFS can hold, by its kind."""
    things = {kind: folder / kind for kind in ("plain", "empty", "streams", "attributes", "sparse", "identified")}
    things |= {kind: folder / kind for kind in ("secured", "folder", "symlink", "junction", "folder link")}
    things["plain"].write_bytes(os.urandom(3_000_017))
    things["empty"].touch()
    things["streams"].write_bytes(b"main")
    Path(f"{things['streams']}:Zone.Identifier").write_bytes(b"[ZoneTransfer]\r\nZoneId=3\r\n")
    Path(f"{things['streams']}:größe").write_bytes(os.urandom(100_000))
    things["attributes"].write_bytes(b"with EAs")
    set_extended_attributes(things["attributes"], [(b"ONE", b"1", 0), (b"NEEDED", b"value" * 50, 0x80)])
    make_sparse(things["sparse"], 8 << 20, [(1 << 20, b"a" * 65536), (5 << 20, b"b" * 65536)])
    things["identified"].write_bytes(b"id")
    object_id(things["identified"], create=True)
    things["secured"].write_bytes(b"mine")
    set_security(things["secured"], "O:BAG:SYD:P(A;;FA;;;SY)(A;;FA;;;BA)(D;;0x116;;;LG)")
    things["folder"].mkdir()
    Path(f"{things['folder']}:stream").write_bytes(b"a folder's stream")
    (things["folder"] / "inside").write_bytes(b"inside")
    things["symlink"].symlink_to("plain")
    things["folder link"].symlink_to("folder", target_is_directory=True)
    make_junction(things["folder"], things["junction"])
    return things


def names(folder: Path | str) -> list[str]:
    """Give the names in a folder as they are; pathlib would take some of them apart."""
    with os.scandir(folder) as entries:
        return sorted(entry.name for entry in entries)


def make_junction(target: Path, link: Path) -> None:
    """Make a junction."""
    if sys.platform == "win32":
        import _winapi

        _winapi.CreateJunction(str(target), str(link))
