"""Call the doubles with ctypes, and read what they wrote down: what their tests and other tests with them share."""

import ctypes
import json
import struct
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from ctypes import byref, c_size_t, c_uint32, c_void_p, c_wchar_p
from pathlib import Path
from typing import Any

OK = 0
NOT_FOUND = 0x80070002
INVALID = 0x80070057
TOO_SMALL = 0x8007007A
EXISTS = 0x800700B7
WRONG_ORDER = 0x8007139F
UNEXPECTED = 0x8000FFFF

DATA, EA, SECURITY, ALTERNATE, REPARSE, OBJECT_ID, SPARSE_BLOCK = 1, 2, 3, 4, 8, 7, 9
DIRECTORY, ARCHIVE = 0x10, 0x20

# O:BAG:SYD: with an access list without entries, as BackupRead gives it of a file that has none.
DESCRIPTOR = bytes.fromhex(
    "0100048014000000240000000000000030000000010200000000000520000000200200000101000000000005120000000200080000000000"
)


class DriverInfo(ctypes.Structure):
    _fields_ = (("flavour", c_uint32), ("home", c_wchar_p))


class Descriptor(ctypes.Structure):
    _fields_ = (("id", ctypes.c_ubyte * 16), ("flags", c_uint32), ("path", c_wchar_p))


def stream(kind: int, body: bytes = b"", name: str = "", attributes: int = 0) -> bytes:
    """Give one stream of a backup stream."""
    encoded = name.encode("utf-16-le")
    return struct.pack("<IIqI", kind, attributes, len(body), len(encoded)) + encoded + body


FOLDER = (DIRECTORY, stream(SECURITY, DESCRIPTOR, attributes=2))


def plain(data: bytes) -> tuple[int, bytes]:
    """Give what a transport folder has of a simple file."""
    return ARCHIVE, stream(SECURITY, DESCRIPTOR, attributes=2) + stream(DATA, data)


def write_transport(
    folder: Path,
    files: Mapping[str, tuple[int, bytes]],
    tombstones: Iterable[str] = (),
    hives: Mapping[str, bytes] | None = None,
) -> Path:
    r"""Write a transport folder: paths below Files with \, attributes and backup stream; folders have DIRECTORY."""
    (folder / "Files").mkdir(parents=True)
    (folder / "Hives").mkdir()
    for path, (attributes, streams) in files.items():
        target = folder / "Files" / path
        if attributes & DIRECTORY:
            target.mkdir()
            target = target.with_name(target.name + ".$wcidirs$")
        target.write_bytes(struct.pack("<I", attributes) + streams)
    for name, content in (hives or {}).items():
        (folder / "Hives" / name).write_bytes(content)
    lines = ["Version 1.0", *tombstones]
    (folder / "tombstones.txt").write_bytes(b"\xef\xbb\xbf" + "".join(f"{line}\n" for line in lines).encode())
    return folder


def read_tree(folder: Path) -> dict[str, bytes | None]:
    """Give every file below a folder with its content, and every folder with None."""
    return {str(path.relative_to(folder)): None if path.is_dir() else path.read_bytes() for path in folder.rglob("*")}


class Doubles:
    """The three DLLs and their control folder."""

    def __init__(self, dlls: Path, control: Path) -> None:
        self.control = control
        self.vmcompute = ctypes.CDLL(str(dlls / "vmcompute.dll"))
        self.computestorage = ctypes.CDLL(str(dlls / "computestorage.dll"))
        self.backup = ctypes.CDLL(str(dlls / "winlayers_backup.dll"), use_last_error=True)

    # What they wrote down, and what is ordered from them

    def calls(self) -> list[dict[str, Any]]:
        lines = (self.control / "calls.ndjson").read_text("utf-8").splitlines()
        return [json.loads(line) for line in lines]

    def violations(self) -> list[str]:
        path = self.control / "violations.txt"
        return path.read_text("utf-8").splitlines() if path.exists() else []

    def ready(self) -> dict[str, str]:
        """Give the layers that are not idle with their states."""
        folder = self.control / "ready"
        lines = [path.read_text("utf-8").splitlines() for path in folder.iterdir()] if folder.exists() else []
        return {path: state for state, path in lines}

    def only_violation(self) -> str:
        (line,) = self.violations()
        return line

    def fail(self, *rules: str, file: str = "fail") -> None:
        (self.control / file).write_text("".join(f"{rule}\n" for rule in rules), encoding="utf-8")

    def wait_for_a_rule(self) -> None:
        """Wait until a call was counted by the rules of `fail`, so also one that hangs."""
        while not (self.control / "fail.count").exists():
            time.sleep(0.01)

    # Calls

    def hcs(self, name: str, *arguments: object) -> int:
        """Call a function of vmcompute.dll or computestorage.dll; gives the HRESULT."""
        function = getattr(self.computestorage if name.startswith("Hcs") else self.vmcompute, name)
        return int(function(*arguments)) & 0xFFFFFFFF

    def layer(self, name: str, path: Path, *arguments: object) -> int:
        """Call a function that takes a layer, as hcsshim does: flavour 1, home empty, the full path as id."""
        return self.hcs(name, byref(DriverInfo(1, "")), str(path), *arguments)

    def guid(self, name: str) -> bytes:
        guid = (ctypes.c_ubyte * 16)()
        assert self.hcs("NameToGuid", name, byref(guid)) == OK
        return bytes(guid)

    def chain(self, parents: Sequence[Path]) -> tuple[ctypes.Array[Descriptor], c_size_t]:
        descriptors = (Descriptor * len(parents))()
        for descriptor, parent in zip(descriptors, parents, strict=True):
            descriptor.id[:] = list(self.guid(parent.name))
            descriptor.path = str(parent)
        return descriptors, c_size_t(len(parents))

    def layer_data(self, parents: Sequence[Path]) -> str:
        layers = []
        for parent in parents:
            first, second, third, rest = struct.unpack("<IHH8s", self.guid(parent.name))
            text = f"{first:08x}-{second:04x}-{third:04x}-{rest[:2].hex()}-{rest[2:].hex()}"
            layers.append({"Id": text, "Path": str(parent)})
        return json.dumps({"SchemaVersion": {"Major": 2, "Minor": 1}, "Layers": layers})

    def mount_path(self, path: Path) -> Path:
        length = c_size_t(0)
        assert self.layer("GetLayerMountPath", path, byref(length), None) == OK
        text = ctypes.create_unicode_buffer(length.value)
        assert self.layer("GetLayerMountPath", path, byref(length), text) == OK
        return Path(text.value)

    # Layers

    def make_base(self, path: Path, files: Mapping[str, bytes]) -> Path:
        (path / "Files").mkdir(parents=True)
        for name, streams in files.items():
            (path / "Files" / name).parent.mkdir(parents=True, exist_ok=True)
            self.backup_write(path / "Files" / name, streams)
        assert self.hcs("ProcessBaseImage", str(path)) == OK
        return path

    def make_sandbox(self, path: Path, parents: Sequence[Path]) -> Path:
        assert self.layer("CreateSandboxLayer", path, c_void_p(0), *self.chain(parents)) == OK
        return path

    def mount(self, path: Path, parents: Sequence[Path]) -> Path:
        assert self.layer("ActivateLayer", path) == OK
        assert self.layer("PrepareLayer", path, *self.chain(parents)) == OK
        return self.mount_path(path)

    def unmount(self, path: Path) -> None:
        assert self.layer("UnprepareLayer", path) == OK
        assert self.layer("DeactivateLayer", path) == OK

    def export(self, path: Path, target: Path, parents: Sequence[Path]) -> Path:
        target.mkdir()
        assert self.layer("ActivateLayer", path) == OK
        assert self.layer("ExportLayer", path, str(target), *self.chain(parents)) == OK
        assert self.layer("DeactivateLayer", path) == OK
        return target

    # Backup streams

    def with_file(self, path: Path, access: int, creation: int, run: Callable[[c_void_p], bytes]) -> bytes:
        kernel32 = ctypes.CDLL("kernel32")
        kernel32.CreateFileW.restype = c_void_p
        handle = c_void_p(kernel32.CreateFileW(str(path), access, 7, None, creation, 0x02000000, None))
        assert handle.value not in (None, c_void_p(-1).value)
        try:
            return run(handle)
        finally:
            kernel32.CloseHandle(handle)

    def backup_write(self, path: Path, streams: bytes, *, chunk: int = 1 << 20, security: bool = True) -> None:
        """Write a backup stream to a file, which is made when it is missing, or to a folder."""

        def write(handle: c_void_p) -> bytes:
            context, done = c_void_p(0), c_uint32(0)
            try:
                for at in range(0, len(streams), chunk):
                    part = streams[at : at + chunk]
                    self._check(self.backup.BackupWrite, handle, part, len(part), done, 0, security, context)
                    assert done.value == len(part)
            finally:
                self._check(self.backup.BackupWrite, handle, None, 0, done, 1, security, context)
            return b""

        self.with_file(path, 0xC0000000, 3 if path.is_dir() else 4, write)

    def backup_read(self, path: Path, *, chunk: int = 1 << 20, security: bool = True) -> bytes:
        """Read the backup stream of a file or folder."""

        def read(handle: c_void_p) -> bytes:
            context, done, whole = c_void_p(0), c_uint32(0), b""
            part = ctypes.create_string_buffer(chunk)
            try:
                while True:
                    self._check(self.backup.BackupRead, handle, part, chunk, done, 0, security, context)
                    if done.value == 0:
                        return whole
                    whole += part.raw[: done.value]
            finally:
                self._check(self.backup.BackupRead, handle, None, 0, done, 1, security, context)

        return self.with_file(path, 0x80000000, 3, read)

    def _check(self, function: Any, handle: c_void_p, part: Any, length: int, done: c_uint32, *rest: Any) -> None:
        abort, security, context = rest
        if not function(handle, part, c_uint32(length), byref(done), abort, int(security), byref(context)):
            raise BackupError(last_error())

    def open_contexts(self) -> int:
        return int(self.backup.DoubleOpenContexts())


class BackupError(Exception):
    """A call for a backup stream failed: the Win32 code."""


def last_error() -> int:
    """Give the Win32 error of the last call of winlayers_backup.dll."""
    if sys.platform == "win32":
        return ctypes.get_last_error()
    raise NotImplementedError
