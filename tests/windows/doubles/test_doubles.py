"""The doubles of the Windows layer services do what they say, and refuse what the services might take amiss."""

import ctypes
import json
import os
import stat
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from ctypes import byref, c_size_t, c_uint32, c_uint64, c_void_p, c_wchar_p
from pathlib import Path

import pytest

from windows.doubles.api import (
    ALTERNATE,
    ARCHIVE,
    DATA,
    DIRECTORY,
    EA,
    EXISTS,
    INVALID,
    NOT_FOUND,
    OBJECT_ID,
    OK,
    REPARSE,
    SECURITY,
    SPARSE_BLOCK,
    TOO_SMALL,
    UNEXPECTED,
    WRONG_ORDER,
    BackupError,
    Descriptor,
    Doubles,
    DriverInfo,
    read_tree,
    stream,
    write_transport,
)

pytestmark = pytest.mark.skipif(
    "WINLAYERS_TEST_DOUBLES" not in os.environ, reason="WINLAYERS_TEST_DOUBLES names no folder with the doubles"
)

DESCRIPTOR = bytes.fromhex("0100048014000000240000000000000030000000") + bytes.fromhex(
    "010200000000000520000000200200000101000000000005120000000200080000000000"
)
FOLDER = (DIRECTORY, stream(SECURITY, DESCRIPTOR, attributes=2))


def plain(data: bytes) -> tuple[int, bytes]:
    return ARCHIVE, stream(SECURITY, DESCRIPTOR, attributes=2) + stream(DATA, data)


@pytest.fixture
def doubles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Doubles:
    control = tmp_path / "control"
    control.mkdir()
    monkeypatch.setenv("WINLAYERS_DOUBLES", str(control))
    return Doubles(Path(os.environ["WINLAYERS_TEST_DOUBLES"]), control)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    home = tmp_path / "höme-日本"
    home.mkdir()
    return home


@pytest.fixture
def base(doubles: Doubles, home: Path) -> Path:
    return doubles.make_base(
        home / "base",
        {
            "Windows\\a.dll": stream(SECURITY, DESCRIPTOR, attributes=2) + stream(DATA, b"a of the base"),
            "Windows\\b.dll": stream(DATA, b"b of the base"),
            "gone.txt": stream(DATA, b"gone"),
        },
    )


@pytest.fixture
def imported(doubles: Doubles, home: Path, base: Path, tmp_path: Path) -> Path:
    files = {
        "Windows": FOLDER,
        "Windows\\b.dll": (ARCHIVE | 0x2000, plain(b"b imported")[1] + stream(ALTERNATE, b"ads", ":x:$DATA")),
        "new": FOLDER,
        "new\\link": (ARCHIVE | 0x400, stream(REPARSE, b"\x0c\0\0\xa0\x08\0\0\0abcdefgh")),
    }
    source = write_transport(tmp_path / "source", files, ["\\gone.txt"], {"System_Delta": b"regf"})
    assert doubles.layer("ImportLayer", home / "imported", str(source), *doubles.chain([base])) == OK
    return home / "imported"


def only_violation(doubles: Doubles) -> str:
    (line,) = doubles.violations()
    return line


# The control folder


def test_nothing_works_without_a_control_folder(doubles: Doubles, monkeypatch: pytest.MonkeyPatch) -> None:
    guid = (ctypes.c_ubyte * 16)()
    monkeypatch.setenv("WINLAYERS_DOUBLES", str(doubles.control / "missing"))
    assert doubles.hcs("NameToGuid", "x", byref(guid)) == UNEXPECTED
    monkeypatch.delenv("WINLAYERS_DOUBLES")
    assert doubles.hcs("NameToGuid", "x", byref(guid)) == UNEXPECTED
    assert doubles.hcs("HcsDestroyLayer", "C:\\x") == UNEXPECTED
    assert not doubles.control.joinpath("calls.ndjson").exists()


def test_each_call_is_logged_with_its_arguments(doubles: Doubles, home: Path, base: Path) -> None:
    name = "sand\N{GRINNING FACE}\x01"
    arguments = (byref(DriverInfo(0, str(home))), name.rstrip("\x01"), c_void_p(0), *doubles.chain([base]))
    assert doubles.hcs("CreateSandboxLayer", *arguments) == OK
    call = doubles.calls()[-1]
    descriptor = call["descriptors"][0]
    assert descriptor == {"id": descriptor["id"], "flags": 0, "path": str(base)}
    assert {key: call[key] for key in ("dll", "call", "flavour", "home", "id", "parent", "hr")} == {
        "dll": "vmcompute",
        "call": "CreateSandboxLayer",
        "flavour": 0,
        "home": str(home),
        "id": "sand\N{GRINNING FACE}",
        "parent": 0,
        "hr": "0x00000000",
    }
    assert doubles.violations() == []


def test_the_guid_of_a_name_ignores_case_and_is_a_guid_of_version_5(doubles: Doubles) -> None:
    guid = doubles.guid("Läyer-日本")
    assert guid == doubles.guid("lÄYER-日本")
    assert guid != doubles.guid("läyer-日木")
    assert guid[7] >> 4 == 5
    assert guid[8] >> 6 == 2
    assert doubles.hcs("NameToGuid", "", byref((ctypes.c_ubyte * 16)())) == INVALID
    assert doubles.hcs("NameToGuid", "x", None) == INVALID


def test_a_call_fails_on_demand(doubles: Doubles, home: Path) -> None:
    doubles.fail("CreateLayer 2 0x80070005", "DestroyLayer 1 late:0x80070020")
    assert doubles.layer("CreateLayer", home / "one", None) == OK
    assert doubles.layer("CreateLayer", home / "two", None) == 0x80070005
    assert not (home / "two").exists()
    assert doubles.layer("CreateLayer", home / "two", None) == OK
    assert doubles.layer("DestroyLayer", home / "two") == 0x80070020
    assert not (home / "two").exists()
    time.sleep(0.02)
    doubles.fail("CreateLayer 2 0x80070005", "DestroyLayer 1 late:0x80070020")
    assert doubles.layer("CreateLayer", home / "three", None) == OK
    assert doubles.layer("CreateLayer", home / "four", None) == 0x80070005
    doubles.fail("* 3 0x80004005")
    assert [doubles.layer("CreateLayer", home / f"n{i}", None) for i in range(4)] == [OK, OK, 0x80004005, OK]
    assert doubles.violations() == []


def test_a_call_hangs_on_demand_and_lets_others_pass(doubles: Doubles, home: Path) -> None:
    doubles.fail("CreateLayer 1 hang:700")
    results: list[int] = []
    thread = threading.Thread(target=lambda: results.append(doubles.layer("CreateLayer", home / "slow", None)))
    thread.start()
    time.sleep(0.2)
    started = time.monotonic()
    assert doubles.layer("CreateLayer", home / "quick", None) == OK
    assert time.monotonic() - started < 0.4
    assert not (home / "slow").exists()
    thread.join()
    assert results == [OK]
    assert [Path(call["id"]).name for call in doubles.calls()] == ["quick", "slow"]


def test_base_images_are_what_the_test_says(doubles: Doubles) -> None:
    for expected in ('{"Images":[]}', '{"Images":[{"Name":"ü"}]}'):
        out = c_void_p(0)
        assert doubles.hcs("GetBaseImages", byref(out)) == OK
        assert out.value is not None
        assert ctypes.wstring_at(out.value) == expected
        ctypes.CDLL("ole32").CoTaskMemFree(out)
        (doubles.control / "base_images.json").write_text('{"Images":[{"Name":"ü"}]}', encoding="utf-8")


def test_several_processes_share_the_control_folder(doubles: Doubles, home: Path) -> None:
    code = """
import sys
from pathlib import Path
from windows.doubles.api import Doubles
doubles = Doubles(Path(sys.argv[1]), Path(sys.argv[2]))
for number in range(20):
    doubles.layer("CreateLayer", Path(sys.argv[3]) / str(number), None)
"""
    tests = Path(__file__).parents[2]
    command = [sys.executable, "-c", code, os.environ["WINLAYERS_TEST_DOUBLES"], str(doubles.control), str(home)]
    running = [subprocess.Popen(command, cwd=tests, stdin=subprocess.DEVNULL) for _ in range(2)]
    assert [process.wait() for process in running] == [0, 0]
    results = [call["hr"] for call in doubles.calls()]
    assert sorted(results) == ["0x00000000"] * 20 + [f"0x{EXISTS:08x}"] * 20


# Structs and arguments


class PathAt16(ctypes.Structure):
    _fields_ = (("id", ctypes.c_ubyte * 16), ("path", c_wchar_p), ("flags", c_uint32))


class Stride40(ctypes.Structure):
    _fields_ = (*Descriptor._fields_, ("more", c_uint64))


class HomeFirst(ctypes.Structure):
    _fields_ = (("home", c_wchar_p), ("flavour", c_uint32))


@pytest.mark.parametrize("shape", [PathAt16, Stride40])
def test_a_descriptor_of_another_shape_is_refused(
    doubles: Doubles, home: Path, base: Path, imported: Path, shape: type[ctypes.Structure]
) -> None:
    array = (shape * 2)()
    for descriptor, path in zip(array, [imported, base], strict=True):
        descriptor.id[:] = list(doubles.guid(path.name))
        descriptor.path = str(path)
    assert doubles.layer("CreateSandboxLayer", home / "s", c_void_p(0), array, c_size_t(2)) == INVALID
    assert "descriptors" in only_violation(doubles)
    assert not (home / "s").exists()


def test_a_driver_of_another_shape_is_refused(doubles: Doubles, home: Path) -> None:
    assert doubles.hcs("CreateLayer", byref(HomeFirst("", 1)), str(home / "x"), None) == INVALID
    assert "flavour" in doubles.violations()[0]
    assert doubles.hcs("CreateLayer", None, str(home / "x"), None) == INVALID


@pytest.mark.parametrize(
    ("info", "id"),
    [
        (DriverInfo(2, ""), "C:\\x"),
        (DriverInfo(1, None), "C:\\x"),
        (DriverInfo(1, "relative"), "x"),
        (DriverInfo(1, ""), "x"),
        (DriverInfo(1, "C:\\"), "C:\\x"),
        (DriverInfo(1, "C:\\"), "a\\b"),
        (DriverInfo(1, "C:\\"), ".."),
        (DriverInfo(1, "C:\\"), ""),
        (DriverInfo(1, "C:\\"), None),
        (DriverInfo(1, "C:\\"), "\udc00"),
        (DriverInfo(1, "C:\\"), "x" * 40000),
    ],
)
def test_a_layer_is_home_and_id_or_a_full_path(doubles: Doubles, info: DriverInfo, id: str | None) -> None:
    assert doubles.hcs("LayerExists", byref(info), id, byref(c_uint32())) == INVALID
    only_violation(doubles)


def test_a_pointer_to_nothing_is_refused(doubles: Doubles) -> None:
    assert doubles.hcs("ProcessBaseImage", c_void_p(0x10)) == INVALID
    assert doubles.hcs("ProcessBaseImage", c_void_p(0x7FFF00000001)) == INVALID
    assert doubles.hcs("LayerExists", byref(DriverInfo(1, "")), "C:\\x", None) == INVALID
    assert doubles.hcs("GetBaseImages", c_void_p(8)) == INVALID
    assert len(doubles.violations()) == 4


def wrong_guid(chain: ctypes.Array[Descriptor]) -> None:
    chain[0].id[3] ^= 1


def wrong_flags(chain: ctypes.Array[Descriptor]) -> None:
    chain[1].flags = 2


def no_path(chain: ctypes.Array[Descriptor]) -> None:
    chain[1].path = None


def wrong_order_of_parents(chain: ctypes.Array[Descriptor]) -> None:
    first, second = bytes(chain[0]), bytes(chain[1])
    ctypes.memmove(chain, second + first, len(first + second))


def twice(chain: ctypes.Array[Descriptor]) -> None:
    ctypes.memmove(byref(chain[1]), bytes(chain[0]), ctypes.sizeof(Descriptor))


@pytest.mark.parametrize("spoil", [wrong_guid, wrong_flags, no_path, wrong_order_of_parents, twice])
def test_a_wrong_chain_is_refused(
    doubles: Doubles,
    home: Path,
    base: Path,
    imported: Path,
    spoil: Callable[[ctypes.Array[Descriptor]], None],
) -> None:
    chain, count = doubles.chain([imported, base])
    spoil(chain)
    assert doubles.layer("CreateSandboxLayer", home / "s", c_void_p(0), chain, count) == INVALID
    assert "descriptors" in only_violation(doubles)


def test_a_chain_names_layers_and_is_whole(doubles: Doubles, home: Path, base: Path, imported: Path) -> None:
    (home / "folder").mkdir()
    sandbox = doubles.make_sandbox(home / "sandbox", [base])
    for parents in ([], [home / "folder"], [home / "missing"], [imported], [sandbox, base]):
        assert doubles.layer("CreateSandboxLayer", home / "s", c_void_p(0), *doubles.chain(parents)) == INVALID
    assert doubles.layer("CreateSandboxLayer", home / "s", c_void_p(1), *doubles.chain([base])) == INVALID
    assert len(doubles.violations()) == 6
    chain, count = doubles.chain([base])
    chain[0].flags = 0x80000000
    assert doubles.layer("CreateSandboxLayer", home / "s", c_void_p(0), chain, count) == OK


# States


def test_a_layer_goes_through_its_states(doubles: Doubles, home: Path, base: Path) -> None:
    path = doubles.make_sandbox(home / "s", [base])
    assert doubles.mount_path(path) == path
    assert doubles.layer("ActivateLayer", path) == OK
    assert doubles.ready() == {str(path): "active"}
    assert doubles.mount_path(path).parent == doubles.control / "volumes"
    assert doubles.layer("PrepareLayer", path, *doubles.chain([base])) == OK
    assert doubles.ready() == {str(path): "prepared"}
    assert (doubles.mount_path(path) / "Windows" / "a.dll").read_bytes() == b"a of the base"
    doubles.unmount(path)
    assert doubles.ready() == {}
    assert doubles.violations() == []


WRONG_ORDERS = [
    ["DeactivateLayer"],
    ["PrepareLayer"],
    ["UnprepareLayer"],
    ["ExportLayer"],
    ["ActivateLayer", "ActivateLayer"],
    ["ActivateLayer", "UnprepareLayer"],
    ["ActivateLayer", "DestroyLayer"],
    ["ActivateLayer", "PrepareLayer", "PrepareLayer"],
    ["ActivateLayer", "PrepareLayer", "ActivateLayer"],
    ["ActivateLayer", "PrepareLayer", "DeactivateLayer"],
    ["ActivateLayer", "PrepareLayer", "DestroyLayer"],
    ["ActivateLayer", "PrepareLayer", "ExportLayer"],
    ["ActivateLayer", "PrepareLayer", "ExpandSandboxSize"],
]


@pytest.mark.parametrize("names", WRONG_ORDERS, ids="-".join)
def test_a_wrong_order_is_refused(doubles: Doubles, home: Path, base: Path, tmp_path: Path, names: list[str]) -> None:
    path = doubles.make_sandbox(home / "s", [base])
    (tmp_path / "export").mkdir()
    chain = doubles.chain([base])
    more: dict[str, tuple[object, ...]] = {
        "PrepareLayer": chain,
        "ExportLayer": (str(tmp_path / "export"), *chain),
        "ExpandSandboxSize": (c_uint64(1 << 40),),
    }
    results = [doubles.layer(name, path, *more.get(name, ())) for name in names]
    assert results == [OK] * (len(names) - 1) + [WRONG_ORDER]
    assert str(path) in only_violation(doubles)


def test_the_diff_flavour_exports_an_idle_layer(doubles: Doubles, home: Path, base: Path, tmp_path: Path) -> None:
    path = doubles.make_sandbox(home / "s", [base])
    (tmp_path / "out").mkdir()
    arguments = (str(path), str(tmp_path / "out"), *doubles.chain([base]))
    assert doubles.hcs("ExportLayer", byref(DriverInfo(0, "")), *arguments) == OK
    assert doubles.layer("ActivateLayer", path) == OK
    assert doubles.hcs("ExportLayer", byref(DriverInfo(0, "")), *arguments) == INVALID, "not empty"


def test_two_preparations_at_a_time_are_refused(doubles: Doubles, home: Path, base: Path) -> None:
    paths = [doubles.make_sandbox(home / name, [base]) for name in ("a", "b")]
    assert [doubles.layer("ActivateLayer", path) for path in paths] == [OK, OK]
    doubles.fail("PrepareLayer 1 hang:500")
    chain = doubles.chain([base])
    thread = threading.Thread(target=doubles.layer, args=("PrepareLayer", paths[0], *chain))
    thread.start()
    time.sleep(0.2)
    assert doubles.layer("PrepareLayer", paths[1], *chain) == INVALID
    thread.join()
    assert "one at a time" in only_violation(doubles)


def test_missing_and_existing_layers(doubles: Doubles, home: Path, base: Path) -> None:
    for name in ("ActivateLayer", "DeactivateLayer", "UnprepareLayer", "DestroyLayer"):
        assert doubles.layer(name, home / "missing") == NOT_FOUND
    assert doubles.layer("CreateLayer", base, None) == EXISTS
    assert doubles.layer("CreateSandboxLayer", base / "..", c_void_p(0), *doubles.chain([base])) == EXISTS
    there = c_uint32(7)
    assert doubles.layer("LayerExists", home / "missing", byref(there)) == OK
    assert there.value == 0
    assert doubles.layer("LayerExists", base, byref(there)) == OK
    assert there.value == 1
    assert doubles.violations() == []


def test_create_takes_a_parent_by_name_or_path(doubles: Doubles, home: Path, base: Path) -> None:
    info = byref(DriverInfo(1, str(home)))
    assert doubles.hcs("CreateLayer", info, "one", "base") == OK
    assert doubles.hcs("CreateLayer", info, "two", str(base)) == OK
    assert doubles.hcs("CreateLayer", info, "three", "") == OK
    assert doubles.violations() == []
    assert doubles.hcs("CreateLayer", info, "four", "missing") == INVALID


def test_the_length_of_a_mount_path_is_checked(doubles: Doubles, base: Path) -> None:
    assert doubles.layer("GetLayerMountPath", base, None, None) == INVALID
    length = c_size_t(0)
    assert doubles.layer("GetLayerMountPath", base, byref(length), None) == OK
    assert length.value == len(str(base)) + 1
    small = c_size_t(length.value - 1)
    text = ctypes.create_unicode_buffer(length.value)
    assert doubles.layer("GetLayerMountPath", base, byref(small), text) == TOO_SMALL
    assert text.value == ""


def test_destroy_takes_read_only_files_and_follows_no_rename(doubles: Doubles, home: Path, base: Path) -> None:
    path = doubles.make_sandbox(home / "s", [base])
    volume = doubles.mount(path, [base])
    doubles.unmount(path)
    (volume / "read-only").write_bytes(b"")
    (volume / "read-only").chmod(stat.S_IREAD)
    renamed = path.rename(home / "s-removing")
    assert doubles.layer("DestroyLayer", renamed) == OK
    assert not renamed.exists()
    assert not volume.exists()
    assert doubles.layer("DestroyLayer", renamed) == NOT_FOUND
    assert doubles.violations() == []


def test_destroy_refuses_what_is_no_layer(doubles: Doubles, home: Path, base: Path) -> None:
    assert doubles.layer("DestroyLayer", home) == INVALID
    assert base.exists()


def test_a_sandbox_grows(doubles: Doubles, home: Path, base: Path) -> None:
    path = doubles.make_sandbox(home / "s", [base])
    assert doubles.layer("ExpandSandboxSize", path, c_uint64(40 << 30)) == OK
    assert doubles.layer("ExpandSandboxSize", path, c_uint64(40 << 30)) == INVALID
    assert doubles.layer("ExpandSandboxSize", base, c_uint64(80 << 30)) == INVALID
    assert doubles.calls()[-1]["size"] == 80 << 30


def test_access_for_a_vm(doubles: Doubles, base: Path) -> None:
    assert doubles.hcs("GrantVmAccess", "vm", str(base / "blank.vhdx")) == OK
    assert doubles.hcs("GrantVmAccess", "vm", str(base / "missing")) == NOT_FOUND
    assert doubles.hcs("GrantVmAccess", "", str(base / "blank.vhdx")) == INVALID


# Base layers


def test_a_base_layer_gets_its_disks_and_a_changed_boot_file(doubles: Doubles, home: Path) -> None:
    path = home / "base"
    assert doubles.layer("CreateLayer", path, None) == OK
    assert doubles.hcs("ProcessBaseImage", str(path)) == INVALID
    boot = path / "UtilityVM" / "Files" / "EFI" / "Microsoft" / "Boot"
    boot.mkdir(parents=True)
    (path / "Files").mkdir()
    doubles.backup_write(boot / "BCD", stream(EA, b"ea") + stream(DATA, b"boot"))
    assert doubles.hcs("ProcessBaseImage", str(path)) == OK
    assert doubles.hcs("ProcessUtilityImage", str(path)) == INVALID
    assert doubles.hcs("ProcessUtilityImage", str(path / "UtilityVM")) == OK
    assert {name.name for name in path.glob("*.vhdx")} == {"blank-base.vhdx", "blank.vhdx"}
    assert (path / "UtilityVM" / "blank.vhdx").exists()
    assert (boot / "BCD").read_bytes() != b"boot"
    assert doubles.backup_read(boot / "BCD").startswith(stream(EA, b"ea"))
    chain = doubles.chain([])
    assert doubles.layer("ActivateLayer", path) == OK
    (home / "out").mkdir()
    assert doubles.layer("ExportLayer", path, str(home / "out"), *chain) == INVALID


# Import, prepare, edit, export


def test_an_imported_layer_is_real_files_and_comes_back_byte_for_byte(
    doubles: Doubles, home: Path, base: Path, imported: Path, tmp_path: Path
) -> None:
    assert (imported / "Files" / "Windows" / "b.dll").read_bytes() == b"b imported"
    streams = plain(b"b imported")[1] + stream(ALTERNATE, b"ads", ":x:$DATA")
    assert doubles.backup_read(imported / "Files" / "Windows" / "b.dll") == streams
    assert doubles.backup_read(imported / "Files" / "new") == FOLDER[1]
    out = doubles.export(imported, tmp_path / "out", [base])
    assert read_tree(out) == read_tree(tmp_path / "source")
    assert doubles.violations() == []


def test_import_leaves_what_is_there_and_keeps_times(doubles: Doubles, home: Path, base: Path, tmp_path: Path) -> None:
    path = home / "layer"
    assert doubles.layer("CreateLayer", path, "base") == OK
    (path / "layerchain.json").write_text("[]")
    source = write_transport(tmp_path / "in", {"d": FOLDER, "d\\f": plain(b"x")})
    os.utime(source / "Files" / "d" / "f", ns=(10**18, 10**18))
    os.utime(source / "Files" / "d.$wcidirs$", ns=(2 * 10**18, 2 * 10**18))
    assert doubles.layer("ImportLayer", path, str(source), *doubles.chain([base])) == OK
    assert (path / "layerchain.json").read_text() == "[]"
    assert (path / "Files" / "d" / "f").stat().st_mtime_ns == 10**18
    assert (path / "Files" / "d").stat().st_mtime_ns == 2 * 10**18
    assert doubles.layer("ImportLayer", path, str(source), *doubles.chain([base])) == INVALID, "a second time"


def transport_without(folder: Path, name: str) -> Path:
    write_transport(folder, {"d": FOLDER, "d\\f": plain(b"x")})
    (folder / name).unlink()
    return folder


def transport_with(folder: Path, name: str) -> Path:
    """Add an empty file, or a folder when the name ends so."""
    write_transport(folder, {})
    if name.endswith("/"):
        (folder / name).mkdir()
    else:
        (folder / name).write_bytes(b"")
    return folder


MALFORMED: dict[str, Callable[[Path], Path]] = {
    "no tombstones": lambda path: transport_without(path, "tombstones.txt"),
    "no metadata": lambda path: transport_with(path, "Files/e/"),
    "no folder": lambda path: write_transport(path, {"d.$wcidirs$": plain(b"")}),
    "a folder named as metadata": lambda path: write_transport(path, {"d.$wcidirs$": FOLDER}),
    "a file as a folder": lambda path: write_transport(path, {"f": FOLDER, "f.$wcidirs$": plain(b"")}),
    "data of a folder": lambda path: write_transport(path, {"d": (DIRECTORY, stream(DATA, b"x"))}),
    "cut short": lambda path: write_transport(path, {"f": (ARCHIVE, stream(DATA, b"x")[:-1])}),
    "unknown stream": lambda path: write_transport(path, {"f": (ARCHIVE, stream(12, b"x"))}),
    "data twice": lambda path: write_transport(path, {"f": (ARCHIVE, stream(DATA, b"x") * 2)}),
    "name of a stream": lambda path: write_transport(path, {"f": (ARCHIVE, stream(ALTERNATE, b"x", "x"))}),
    "short block": lambda path: write_transport(path, {"f": (ARCHIVE, stream(SPARSE_BLOCK, b"1234567"))}),
    "tombstone": lambda path: write_transport(path, {}, ["gone"]),
    "tombstone outside": lambda path: write_transport(path, {}, ["\\..\\gone"]),
    "empty tombstone": lambda path: write_transport(path, {}, ["\\a\\"]),
    "foreign file": lambda path: transport_with(path, "x"),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_transport_folder_is_refused(
    doubles: Doubles, home: Path, base: Path, tmp_path: Path, name: str
) -> None:
    source = MALFORMED[name](tmp_path / "in")
    assert doubles.layer("ImportLayer", home / "x", str(source), *doubles.chain([base])) == INVALID
    only_violation(doubles)
    assert not (home / "x").exists()


def test_a_prepared_layer_shows_its_chain(doubles: Doubles, home: Path, base: Path, imported: Path) -> None:
    volume = doubles.mount(imported, [base])
    assert read_tree(volume) == {
        "Windows": None,
        "Windows\\a.dll": b"a of the base",
        "Windows\\b.dll": b"b imported",
        "new": None,
        "new\\link": b"",
    }
    doubles.unmount(imported)
    assert not volume.exists()


def exported_file(folder: Path, name: str) -> tuple[int, bytes]:
    content = (folder / "Files" / name).read_bytes()
    return struct.unpack("<I", content[:4])[0], content[4:]


def test_a_sandbox_exports_what_changed(
    doubles: Doubles, home: Path, base: Path, imported: Path, tmp_path: Path
) -> None:
    parents = [imported, base]
    path = doubles.make_sandbox(home / "s", parents)
    volume = doubles.mount(path, parents)
    (volume / "Windows" / "b.dll").write_bytes(b"B edited!!")
    (volume / "Windows" / "a.dll").unlink()
    (volume / "fresh" / "inner").mkdir(parents=True)
    (volume / "fresh" / "inner" / "f").write_bytes(b"fresh")
    doubles.unmount(path)
    assert (doubles.mount(path, parents) / "fresh" / "inner" / "f").exists(), "kept from mount to mount"
    doubles.unmount(path)
    out = doubles.export(path, tmp_path / "out", parents)
    assert set(read_tree(out)) == {
        "tombstones.txt",
        "Hives",
        "Files",
        "Files\\Windows",
        "Files\\Windows.$wcidirs$",
        "Files\\Windows\\b.dll",
        "Files\\fresh",
        "Files\\fresh.$wcidirs$",
        "Files\\fresh\\inner",
        "Files\\fresh\\inner.$wcidirs$",
        "Files\\fresh\\inner\\f",
    }
    assert (out / "tombstones.txt").read_bytes() == b"\xef\xbb\xbfVersion 1.0\n\\Windows\\a.dll\n"
    streams = plain(b"B edited!!")[1] + stream(ALTERNATE, b"ads", ":x:$DATA")
    assert exported_file(out, "Windows\\b.dll") == (ARCHIVE | 0x2000, streams)
    assert exported_file(out, "Windows.$wcidirs$") == FOLDER
    assert exported_file(out, "fresh\\inner\\f")[1].endswith(stream(DATA, b"fresh"))
    assert doubles.layer("ImportLayer", home / "again", str(out), *doubles.chain(parents)) == OK
    assert read_tree(doubles.mount(home / "again", parents)) == read_tree(doubles.mount(path, parents))
    assert doubles.violations() == []


def test_what_changes_its_kind_and_what_is_made_again(
    doubles: Doubles, home: Path, base: Path, imported: Path, tmp_path: Path
) -> None:
    parents = [imported, base]
    path = doubles.make_sandbox(home / "s", parents)
    volume = doubles.mount(path, parents)
    (volume / "new" / "link").unlink()
    (volume / "new").rmdir()
    (volume / "new").write_bytes(b"a file now")
    for file in (volume / "Windows").iterdir():
        file.unlink()
    (volume / "Windows").rmdir()
    (volume / "Windows" / "B.DLL").mkdir(parents=True)
    doubles.unmount(path)
    out = doubles.export(path, tmp_path / "out", parents)
    assert (out / "tombstones.txt").read_bytes() == b"\xef\xbb\xbfVersion 1.0\n\\Windows\\a.dll\n"
    assert doubles.layer("ImportLayer", home / "again", str(out), *doubles.chain(parents)) == OK
    shown = read_tree(doubles.mount(home / "again", parents))
    assert shown == {"new": b"a file now", "Windows": None, "Windows\\B.DLL": None}
    assert doubles.violations() == []


def test_an_untouched_sandbox_exports_nothing(doubles: Doubles, home: Path, base: Path, tmp_path: Path) -> None:
    path = doubles.make_sandbox(home / "s", [base])
    doubles.mount(path, [base])
    doubles.unmount(path)
    out = doubles.export(path, tmp_path / "out", [base])
    assert set(read_tree(out)) == {"tombstones.txt", "Hives", "Files"}


def test_a_backup_write_in_a_sandbox_is_a_change(doubles: Doubles, home: Path, base: Path, tmp_path: Path) -> None:
    path = doubles.make_sandbox(home / "s", [base])
    volume = doubles.mount(path, [base])
    streams = stream(OBJECT_ID, b"o" * 64) + stream(DATA, b"b of the base")
    assert doubles.backup_read(volume / "Windows" / "b.dll") == stream(DATA, b"b of the base")
    doubles.backup_write(volume / "Windows" / "b.dll", streams)
    doubles.unmount(path)
    out = doubles.export(path, tmp_path / "out", [base])
    assert exported_file(out, "Windows\\b.dll")[1] == streams


def test_a_copy_is_the_sandbox_as_a_layer(doubles: Doubles, home: Path, base: Path) -> None:
    path = doubles.make_sandbox(home / "s", [base])
    (doubles.mount(path, [base]) / "new").write_bytes(b"new")
    doubles.unmount(path)
    chain = doubles.chain([base])
    assert doubles.layer("CopyLayer", path, str(home / "copy"), *chain) == OK
    assert (home / "copy" / "Files" / "new").read_bytes() == b"new"
    assert doubles.layer("CopyLayer", path, str(home / "copy"), *chain) == EXISTS
    assert doubles.layer("CopyLayer", base, str(home / "copy2"), *doubles.chain([])) == INVALID


# computestorage.dll


def test_the_newer_functions_do_the_same(doubles: Doubles, home: Path, base: Path, tmp_path: Path) -> None:
    data = doubles.layer_data([base])
    source = write_transport(tmp_path / "in", {"f": plain(b"x")}, ["\\gone.txt"])
    assert doubles.hcs("HcsImportLayer", str(home / "i"), str(source), data) == OK
    (tmp_path / "out").mkdir()
    assert doubles.hcs("HcsExportLayer", str(home / "i"), str(tmp_path / "out"), data, "{}") == OK
    assert read_tree(tmp_path / "out") == read_tree(source)

    (home / "s").mkdir()
    parents = doubles.layer_data([home / "i", base])
    assert doubles.hcs("HcsInitializeWritableLayer", str(home / "s"), parents, None) == OK
    assert doubles.layer("ActivateLayer", home / "s") == OK
    volume = str(doubles.mount_path(home / "s"))
    assert doubles.hcs("HcsAttachLayerStorageFilter", volume, parents) == OK
    assert (Path(volume) / "f").read_bytes() == b"x"
    assert doubles.hcs("HcsDetachLayerStorageFilter", volume) == OK
    assert doubles.hcs("HcsAttachOverlayFilter", volume, parents) == OK
    assert doubles.hcs("HcsDetachOverlayFilter", volume, data) == INVALID
    assert doubles.hcs("HcsDetachOverlayFilter", volume, parents) == OK
    assert doubles.layer("DeactivateLayer", home / "s") == OK
    (tmp_path / "diff").mkdir()
    arguments = (str(home / "s"), str(tmp_path / "diff"), parents)
    assert doubles.hcs("HcsExportLayer", *arguments, '{"IsWritableLayer":false}') == INVALID
    assert doubles.hcs("HcsExportLayer", *arguments, '{"IsWritableLayer":true}') == OK
    (tmp_path / "legacy").mkdir()
    legacy = (str(base), str(home / "s"), str(tmp_path / "legacy"), parents)
    assert doubles.hcs("HcsExportLegacyWritableLayer", *legacy) == OK
    assert doubles.hcs("HcsDestroyLayer", str(home / "s")) == OK
    assert doubles.hcs("HcsDestroyLayer", str(home / "s")) == NOT_FOUND
    (home / "l").mkdir()
    assert doubles.hcs("HcsInitializeLegacyWritableLayer", str(base), str(home / "l"), parents, "") == OK
    assert len(doubles.violations()) == 2


def test_disks_are_handles(doubles: Doubles, home: Path) -> None:
    (home / "base" / "Files").mkdir(parents=True)
    (home / "base" / "UtilityVM" / "Files").mkdir(parents=True)
    (home / "disk.vhdx").write_bytes(b"")
    options = '{"Type":"Container","SkipUpdateBcdForBoot":true}'
    assert doubles.hcs("HcsSetupBaseOSLayer", str(home / "base"), c_void_p(0x12345678), options) == INVALID
    assert doubles.hcs("HcsFormatWritableLayerVhd", c_void_p(0)) == INVALID

    def use(handle: c_void_p) -> bytes:
        out = c_void_p(0)
        assert doubles.hcs("HcsFormatWritableLayerVhd", handle) == OK
        assert doubles.hcs("HcsGetLayerVhdMountPath", handle, byref(out)) == OK
        assert out.value is not None
        assert Path(ctypes.wstring_at(out.value)).parent == doubles.control / "volumes"
        ctypes.CDLL("ole32").CoTaskMemFree(out)
        assert doubles.hcs("HcsSetupBaseOSLayer", str(home / "base"), handle, options) == OK
        utility = str(home / "base" / "UtilityVM")
        assert doubles.hcs("HcsSetupBaseOSLayer", utility, handle, '{"Type":"Vm"}') == OK
        return b""

    doubles.with_file(home / "disk.vhdx", 0x80000000, 3, use)
    assert (home / "base" / "blank-base.vhdx").exists()
    assert doubles.hcs("HcsSetupBaseOSVolume", str(home / "base"), str(home), '{"Type":"Container"}') == OK
    assert len(doubles.violations()) == 2


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data[:-1],
        lambda data: data + "x",
        lambda data: data.replace('"Layers"', '"layers"'),
        lambda data: data.replace('"Minor": 1', '"Minor": 2'),
        lambda data: data.replace('"Id": "', '"Id": "0'),
        lambda data: data.replace('"Id": "', '"Id": "{').replace('", "Path', '}", "Path'),
        lambda data: data.replace('"Path": "', '"More": 1, "Path": "'),
        lambda data: data.replace('"Path": "', '"Path": "x", "Path": "'),
        lambda data: data.replace('"Path": "', '"Cache": "Sometimes", "Path": "'),
        lambda data: data.replace('"Path": "', '"Cache": 1, "Path": "'),
        lambda data: json.dumps({"SchemaVersion": {"Major": 2, "Minor": 1}, "Layers": []}),
        lambda data: "[]",
        lambda data: "",
        lambda data: None,
    ],
)
def test_wrong_layer_data_is_refused(
    doubles: Doubles, home: Path, base: Path, change: Callable[[str], str | None]
) -> None:
    (home / "s").mkdir()
    data = change(doubles.layer_data([base]))
    assert doubles.hcs("HcsInitializeWritableLayer", str(home / "s"), data, None) == INVALID
    only_violation(doubles)


@pytest.mark.parametrize("options", ['{"Type":"container"}', "{}", '{"Type":"Vm","X":1}', '{"Type":1}', None])
def test_wrong_options_are_refused(doubles: Doubles, base: Path, options: str | None) -> None:
    assert doubles.hcs("HcsSetupBaseOSVolume", str(base), str(base), options) == INVALID
    only_violation(doubles)


# Backup streams


SPARSE = (
    stream(DATA, attributes=8)
    + stream(SPARSE_BLOCK, struct.pack("<Q", 65536) + b"block")
    + stream(SPARSE_BLOCK, struct.pack("<Q", 100000))
)
STREAMS = {
    "all": stream(SECURITY, DESCRIPTOR, attributes=2)
    + stream(EA, b"ea")
    + stream(REPARSE, b"r" * 24)
    + stream(DATA, os.urandom(5000))
    + stream(ALTERNATE, b"ads" * 100, ":näme:$DATA")
    + stream(ALTERNATE, b"", ":empty:$DATA")
    + stream(OBJECT_ID, b"o" * 64),
    "sparse": SPARSE,
    "blocks alone": stream(SPARSE_BLOCK, struct.pack("<Q", 10) + b"x"),
    "sparse alternate": stream(DATA, b"data")
    + stream(ALTERNATE, b"", ":s:$DATA", attributes=8)
    + stream(SPARSE_BLOCK, struct.pack("<Q", 9) + b"x"),
    "no data": stream(EA, b"ea"),
    "empty": stream(DATA),
}


@pytest.mark.parametrize("chunk", [1, 7, 20, 4096, 1 << 20])
@pytest.mark.parametrize("name", STREAMS)
def test_a_backup_stream_comes_back(doubles: Doubles, tmp_path: Path, name: str, chunk: int) -> None:
    doubles.backup_write(tmp_path / "f", STREAMS[name], chunk=chunk)
    assert doubles.backup_read(tmp_path / "f", chunk=chunk) == STREAMS[name]
    assert doubles.open_contexts() == 0


def test_data_goes_to_the_file(doubles: Doubles, tmp_path: Path) -> None:
    doubles.backup_write(tmp_path / "f", SPARSE)
    assert (tmp_path / "f").read_bytes() == bytes(65536) + b"block" + bytes(100000 - 65541)
    with (tmp_path / "f").open("ab") as file:
        file.write(b"!")
    assert doubles.backup_read(tmp_path / "f") == stream(DATA, (tmp_path / "f").read_bytes())


def test_what_is_kept_goes_with_the_file(doubles: Doubles, tmp_path: Path) -> None:
    streams = stream(EA, b"ea") + stream(DATA, b"x")
    (tmp_path / "old").mkdir()
    doubles.backup_write(tmp_path / "old" / "f", streams)
    os.link(tmp_path / "old" / "f", tmp_path / "old" / "g")
    (tmp_path / "old").rename(tmp_path / "new")
    assert doubles.backup_read(tmp_path / "new" / "g") == streams
    doubles.backup_write(tmp_path / "new" / "g", stream(DATA, b"y"))
    assert doubles.backup_read(tmp_path / "new" / "f") == stream(DATA, b"y")


def test_security_is_only_passed_when_wanted(doubles: Doubles, tmp_path: Path) -> None:
    security, data = stream(SECURITY, DESCRIPTOR, attributes=2), stream(DATA, b"x")
    doubles.backup_write(tmp_path / "f", security + data)
    assert doubles.backup_read(tmp_path / "f", security=False) == data
    doubles.backup_write(tmp_path / "f", security + data, security=False)
    assert doubles.backup_read(tmp_path / "f") == data
    (tmp_path / "plain").write_bytes(b"x")
    assert doubles.backup_read(tmp_path / "plain") == security + data
    assert doubles.backup_read(tmp_path / "plain", security=False) == data
    assert doubles.backup_read(tmp_path, security=False) == b""


@pytest.mark.parametrize(
    "streams",
    [
        stream(0, b"x"),
        stream(12, b"x"),
        struct.pack("<IIqI", DATA, 0, -1, 0),
        struct.pack("<IIqI", ALTERNATE, 0, 0, 7) + b":x:$DATA",
        struct.pack("<IIqI", ALTERNATE, 0, 0, 65538) + bytes(65538),
        stream(DATA, b"x", ":x:$DATA"),
    ],
)
def test_a_malformed_backup_stream_is_refused(doubles: Doubles, tmp_path: Path, streams: bytes) -> None:
    with pytest.raises(BackupError, match=r"^13$"):
        doubles.backup_write(tmp_path / "f", streams)
    assert doubles.open_contexts() == 0


def test_backup_calls_fail_on_demand(doubles: Doubles, tmp_path: Path) -> None:
    doubles.fail("BackupRead 2 5", "BackupWrite 3 112", file="backup_fail")
    with pytest.raises(BackupError, match=r"^112$"):
        doubles.backup_write(tmp_path / "f", stream(DATA, b"xyz"), chunk=10)
    with pytest.raises(BackupError, match=r"^5$"):
        doubles.backup_read(tmp_path / "f", chunk=1)
    assert doubles.open_contexts() == 0


def test_a_missed_abort_and_a_foreign_context_are_seen(doubles: Doubles, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"x")

    def use(handle: c_void_p) -> bytes:
        context, done, low, high = c_void_p(0), c_uint32(), c_uint32(), c_uint32()
        part = ctypes.create_string_buffer(20)
        read = doubles.backup.BackupRead
        assert read(handle, part, 20, byref(done), 0, 0, byref(context))
        assert part.raw == stream(DATA, b"x")[:20]
        assert doubles.open_contexts() == 1
        assert not doubles.backup.BackupWrite(handle, part, 20, byref(done), 0, 0, byref(context))
        seek = doubles.backup.BackupSeek
        assert not seek(handle, 5, 0, byref(low), byref(high), byref(context))
        assert low.value == 1
        assert read(handle, part, 20, byref(done), 0, 0, byref(context))
        assert done.value == 0
        assert read(handle, None, 0, byref(done), 1, 0, byref(context))
        assert context.value is None
        assert not read(handle, part, 20, None, 0, 0, byref(context))
        assert not read(handle, part, 20, byref(done), 0, 0, None)
        assert not read(c_void_p(0x12345678), part, 20, byref(done), 0, 0, byref(context))
        return b""

    doubles.with_file(tmp_path / "f", 0x80000000, 3, use)
    assert doubles.open_contexts() == 0


def test_a_long_path_and_odd_names(doubles: Doubles, home: Path, base: Path, tmp_path: Path) -> None:
    deep = "x" * 100
    files = {deep: FOLDER, f"{deep}\\{deep}": FOLDER, f"{deep}\\{deep}\\{deep}": plain(b"x")}
    write_transport(Path(f"\\\\?\\{tmp_path}\\in"), files)
    assert doubles.layer("ImportLayer", home / "i", str(tmp_path / "in"), *doubles.chain([base])) == OK
    volume = doubles.mount(home / "i", [base])
    assert Path(f"\\\\?\\{volume}\\{deep}\\{deep}\\{deep}").read_bytes() == b"x"
