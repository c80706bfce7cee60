"""What tests on the Host Compute Service share: its doubles in a control folder of their own, and layers for them."""

import ctypes
import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import winlayers as wl
from windows.doubles.api import Doubles
from windows.native import FOR_TESTS, native
from windows_host.host import DWORD, HANDLE, POINTER, TEXT, function

__all__ = ["CONTROL", "LOOK", "Hcs", "hold", "layer", "let_go", "native"]

# The folder with the doubles, where these are to be used.
CONTROL = os.environ.get("WINLAYERS_TEST_DOUBLES") if FOR_TESTS else None

LIST, SHARE_READ_AND_WRITE, OPEN_EXISTING, BACKUP_SEMANTICS = 1, 3, 3, 0x0200_0000

# Calls that change nothing.
LOOK = {"NameToGuid", "LayerExists"}


def layer(files: Mapping[str, bytes | None], links: Sequence[tuple[str, str]] = (), gone: Sequence[str] = ()) -> bytes:
    """Make a layer tar: None for a directory."""
    sink = io.BytesIO()
    with wl.LayerWriter(sink) as writer:
        for name, data in files.items():
            kind = "directory" if data is None else "file"
            attributes = wl.FileAttributes.DIRECTORY if data is None else wl.FileAttributes.ARCHIVE
            written = wl.FileTime(132_000_000_000_000_000)
            info = wl.BasicInfo(written, written, written, None, attributes)
            sd = wl.SecurityDescriptor.from_sddl("O:BAG:SYD:(A;;FA;;;BA)")
            writer.add(wl.Entry(name, kind=kind, basic_info=info, security_descriptor=sd), data)
        for name, target in links:
            writer.add_hard_link(name, target)
        for name in gone:
            writer.add_whiteout(name)
    return sink.getvalue()


BASE = {"Files": None, "Files/a": b"one", "Files/b": b"two", "Files/d": None, "Files/d/c": b"3"}
CHILD = {"Files": None, "Files/A": b"new", "Files/e": b"five"}


class Hcs(Doubles):
    """The doubles, as the module calls them."""

    def store(self, home: Path, driver: str = "windowsfilter", **options: Any) -> wl.LayerStore:
        """Open a store on the service."""
        return wl.LayerStore(home, driver, backend="hcs", options=wl.StoreOptions(**options))

    def fill(self, store: wl.LayerStore, *ids: str) -> None:
        """Import "base", and "child" above it."""
        if "base" in ids:
            store.apply_diff("base", "", layer(BASE))
        if "child" in ids:
            store.apply_diff("child", "base", layer(CHILD, gone=["Files/b"]))

    def take(self) -> list[str]:
        """Give the calls since the last time that change something, each with its layer."""
        path = self.control / "calls.ndjson"
        if not path.exists():
            return []
        calls = [f"{call['call']} {name_of(call)}".strip() for call in self.calls() if call["call"] not in LOOK]
        path.unlink()
        return calls


def hold(folder: Path) -> int:
    """Open a folder so that it cannot be renamed, as Windows does with that of an attached disk; gives the handle."""
    create = function("kernel32.dll", "CreateFileW", HANDLE, TEXT, DWORD, DWORD, POINTER, DWORD, DWORD, HANDLE)
    handle: int = create(str(folder), LIST, SHARE_READ_AND_WRITE, None, OPEN_EXISTING, BACKUP_SEMANTICS, None)
    assert handle not in (None, HANDLE(-1).value)
    return handle


def let_go(handle: int) -> None:
    """Close it."""
    assert function("kernel32.dll", "CloseHandle", ctypes.c_int, HANDLE)(handle)


def name_of(call: Mapping[str, Any]) -> str:
    """Give the layer of a call by its name."""
    path: str = call.get("id") or call.get("path") or ""
    return path.removesuffix("\\UtilityVM").rsplit("\\", 1)[-1]
