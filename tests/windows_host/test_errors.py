"""What the Host Compute Service answers when it cannot, and what users read of it."""

import ctypes
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import winlayers as wl
from store.conftest import BASE, layer
from windows_host import ntfs
from windows_host.conftest import Nano
from windows_host.host import DWORD, HANDLE, POINTER, TEXT, function, run_without_rights

Box = Callable[..., str]

PATH_NOT_FOUND, FILE_NOT_FOUND, ACCESS_DENIED, SHARING_VIOLATION = 0x80070003, 0x80070002, 0x80070005, 0x80070020


def test_a_parent_whose_files_are_gone(nano: Nano, box: Box, host_folder: Path) -> None:
    """A real host confirms which HRESULT a broken chain gives (0x3, users say), and that nothing stays active."""
    nano.store.apply_diff("middle", nano.top, layer("Files/x=1"))
    id = box("box", "middle")
    aside = host_folder / "aside"
    (nano.folder("middle") / "Files").rename(aside)
    try:
        with pytest.raises(wl.HcsError) as raised:
            nano.store.get(id)
    finally:
        aside.rename(nano.folder("middle") / "Files")
    assert raised.value.hresult in (PATH_NOT_FOUND, FILE_NOT_FOUND)
    assert raised.value.operation
    assert raised.value.layer == id
    assert raised.value.hint
    assert nano.store.info(id).mounted == 0
    with nano.store.mount(id) as root:
        assert ntfs.names(root)
    nano.store.remove(id)
    nano.store.remove("middle")


def test_a_layer_that_is_no_base(nano: Nano) -> None:
    """A real host confirms that ProcessBaseImage refuses a layer without an operating system, and that the store is
    as it was."""
    before = nano.store.layers()
    with pytest.raises((wl.HcsError, wl.FormatError, wl.RefusedError)) as raised:
        nano.store.apply_diff("bad", "", BASE)
    assert isinstance(raised.value, wl.WinLayersError)
    assert raised.value.hint or "bad" in str(raised.value)
    assert nano.store.layers() == before
    assert nano.left() == set()


def test_a_file_that_somebody_holds(nano: Nano, box: Box) -> None:
    """A real host confirms the sharing violation (0x20) of a disk that another program has open, and that the
    removal is tried again with success."""
    id = box("box")
    disk = nano.folder(id) / "sandbox.vhdx"
    with ntfs.opened(disk, ntfs.GENERIC_READ, share=0):
        with pytest.raises((wl.HcsError, wl.LayerInUseError, OSError)) as raised:
            nano.store.remove(id)
        if isinstance(raised.value, wl.HcsError):
            assert raised.value.hresult in (SHARING_VIOLATION, ACCESS_DENIED)
            assert raised.value.hint
    nano.store.cleanup()
    if nano.store.exists(id):
        nano.store.remove(id)
    assert nano.left() == set()


def test_a_disk_that_is_attached(nano: Nano, box: Box) -> None:
    """A real host confirms that a `sandbox.vhdx` which a killed process left attached is detached, and removed then."""
    id = box("box")
    disk = nano.folder(id) / "sandbox.vhdx"
    attach(disk)
    nano.store.remove(id)
    assert nano.left() == set()


def attach(disk: Path) -> None:
    """Attach a virtual disk until it is detached, and forget it."""
    open_disk = function("virtdisk.dll", "OpenVirtualDisk", DWORD, POINTER, TEXT, DWORD, DWORD, POINTER, POINTER)
    attach_it = function("virtdisk.dll", "AttachVirtualDisk", DWORD, HANDLE, POINTER, DWORD, DWORD, POINTER, POINTER)
    microsoft = bytes.fromhex("a0 80 2b ec 84 ea 76 47 9d 5d f8 a5 f2 e1 2d 63".replace(" ", ""))
    vhdx = (3).to_bytes(4, "little") + microsoft
    handle = HANDLE()
    status = open_disk(vhdx, str(disk), 0x003F0000, 0, None, ctypes.byref(handle))
    assert status == 0, f"OpenVirtualDisk: {status}"
    no_drive_letter, permanent = 2, 4
    status = attach_it(handle, None, no_drive_letter | permanent, 0, None, None)
    function("kernel32.dll", "CloseHandle", ctypes.c_int, HANDLE)(handle)
    assert status == 0, f"AttachVirtualDisk: {status}"


def test_a_layer_in_use(nano: Nano, box: Box) -> None:
    """A real host confirms that what is mounted or has children is refused before HCS is asked to destroy it."""
    id = box("box")
    with nano.store.mount(id), pytest.raises(wl.LayerInUseError):
        nano.store.remove(id)
    with pytest.raises(wl.LayerInUseError):
        nano.store.remove(nano.top)


PROGRAM = """
import json, sys
import winlayers as wl
out = {}
def attempt(name, work):
    try:
        work()
        out[name] = None
    except BaseException as error:
        out[name] = [type(error).__name__, getattr(error, "code", None), f"{error} {getattr(error, 'hint', None)}"]
home, layer, plain = sys.argv[1:4]
attempt("read", lambda: wl.backup.read(plain).read())
attempt("write", lambda: wl.backup.write(plain + ".copy", open(plain, "rb")))
store = []
attempt("open", lambda: store.append(wl.LayerStore(home, backend="hcs")))
if store:
    attempt("create", lambda: store[0].apply_diff("new", "", layer))
with open(sys.argv[4], "w") as file:
    json.dump(out, file)
"""


def test_a_process_without_rights(host_folder: Path) -> None:
    """A real host confirms the message for a token that lacks the privileges: which one, and to run elevated. Wine
    gives every token all of them."""
    folder = host_folder / "open to all"
    folder.mkdir()
    ntfs.set_security(folder, "D:(A;OICI;FA;;;WD)")
    (folder / "plain").write_bytes(b"x")
    (folder / "layer.tar").write_bytes(BASE)
    (folder / "program.py").write_text(PROGRAM)
    names = ["program.py", "home", "layer.tar", "plain", "out.json"]
    status = run_without_rights([sys.executable, *(str(folder / name) for name in names)])
    out = json.loads((folder / "out.json").read_text()) if status == 0 else {}
    shutil.rmtree(folder)
    assert status == 0
    refused = {name: error for name, error in out.items() if error is not None}
    assert "write" in refused
    assert "open" in refused or "create" in refused
    text = " ".join(error[2] for error in refused.values())
    assert "Privilege" in text
    assert "elevated" in text
