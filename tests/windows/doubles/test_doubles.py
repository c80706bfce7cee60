"""How the doubles are controlled, and what they refuse."""

import ctypes
import os
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from ctypes import byref, c_size_t, c_uint32, c_uint64, c_void_p, c_wchar_p
from pathlib import Path

import pytest

from windows.doubles.api import (
    EXISTS,
    INVALID,
    NOT_FOUND,
    OK,
    TOO_SMALL,
    UNEXPECTED,
    WRONG_ORDER,
    Descriptor,
    Doubles,
    DriverInfo,
)

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
    doubles.fail("CreateLayer 1 hang:1000")
    results: list[int] = []
    thread = threading.Thread(target=lambda: results.append(doubles.layer("CreateLayer", home / "slow", None)))
    thread.start()
    doubles.wait_for_a_rule()
    assert doubles.layer("CreateLayer", home / "quick", None) == OK
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
    assert "descriptors" in doubles.only_violation()
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
    doubles.only_violation()


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
    assert "descriptors" in doubles.only_violation()


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


def test_a_layer_is_not_its_own_parent(doubles: Doubles, base: Path) -> None:
    assert doubles.layer("ActivateLayer", base) == OK
    assert doubles.layer("PrepareLayer", base, *doubles.chain([base])) == INVALID
    assert "the layer itself" in doubles.only_violation()


def test_a_layer_keeps_its_chain(doubles: Doubles, home: Path, base: Path, imported: Path, tmp_path: Path) -> None:
    sandbox = doubles.make_sandbox(home / "s", [imported, base])
    (tmp_path / "out").mkdir()
    for path, wrong in ((sandbox, [base]), (imported, [])):
        assert doubles.layer("ActivateLayer", path) == OK
        assert doubles.layer("PrepareLayer", path, *doubles.chain(wrong)) == INVALID
    assert doubles.layer("ExportLayer", sandbox, str(tmp_path / "out"), *doubles.chain([base])) == INVALID
    assert len(doubles.violations()) == 3


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
    assert str(path) in doubles.only_violation()


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
    doubles.fail("PrepareLayer 1 hang:1000")
    chain = doubles.chain([base])
    thread = threading.Thread(target=doubles.layer, args=("PrepareLayer", paths[0], *chain))
    thread.start()
    doubles.wait_for_a_rule()
    assert doubles.layer("PrepareLayer", paths[1], *chain) == INVALID
    thread.join()
    assert "one at a time" in doubles.only_violation()


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
