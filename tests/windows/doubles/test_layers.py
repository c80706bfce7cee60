"""What the doubles do with layers: real folders, transport folders, merged views, differences."""

import ctypes
import json
import os
import struct
from collections.abc import Callable
from ctypes import byref, c_void_p
from pathlib import Path

import pytest

from windows.doubles.api import (
    ALTERNATE,
    ARCHIVE,
    DATA,
    DIRECTORY,
    EA,
    EXISTS,
    FOLDER,
    INVALID,
    NOT_FOUND,
    OBJECT_ID,
    OK,
    SPARSE_BLOCK,
    Doubles,
    plain,
    read_tree,
    stream,
    write_transport,
)


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


def test_roots_of_a_transport_folder_come_back(doubles: Doubles, home: Path, base: Path, tmp_path: Path) -> None:
    source = write_transport(tmp_path / "in", {"d": FOLDER, "implied": FOLDER, "implied\\f": plain(b"x")})
    (source / "Files" / "implied.$wcidirs$").unlink()
    (source / "Files.$wcidirs$").write_bytes(struct.pack("<I", FOLDER[0]) + stream(EA, b"ea"))
    boot = source / "UtilityVM" / "Files" / "EFI"
    boot.mkdir(parents=True)
    (boot / "BCD").write_bytes(b"boot")
    assert doubles.layer("ImportLayer", home / "x", str(source), *doubles.chain([base])) == OK
    assert doubles.backup_read(home / "x" / "Files") == stream(EA, b"ea")
    assert read_tree(doubles.export(home / "x", tmp_path / "out", [base])) == read_tree(source)


def test_import_refuses_a_folder_with_files(doubles: Doubles, home: Path, base: Path, tmp_path: Path) -> None:
    source = write_transport(tmp_path / "in", {})
    (home / "x" / "Files" / "d").mkdir(parents=True)
    assert doubles.layer("ImportLayer", home / "x", str(source), *doubles.chain([base])) == INVALID
    doubles.only_violation()


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
    "a block of a folder": lambda path: write_transport(path, {"d": (DIRECTORY, stream(SPARSE_BLOCK, bytes(8)))}),
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
    doubles.only_violation()
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
        lambda data: data.replace('"Layers"', '"FilterType": "WCIFS", "FilterType": "WCIFS", "Layers"'),
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
    doubles.only_violation()


@pytest.mark.parametrize("options", ['{"Type":"container"}', "{}", '{"Type":"Vm","X":1}', '{"Type":1}', None])
def test_wrong_options_are_refused(doubles: Doubles, base: Path, options: str | None) -> None:
    assert doubles.hcs("HcsSetupBaseOSVolume", str(base), str(base), options) == INVALID
    doubles.only_violation()


def test_a_long_path_and_odd_names(doubles: Doubles, home: Path, base: Path, tmp_path: Path) -> None:
    deep = "x" * 100
    files = {deep: FOLDER, f"{deep}\\{deep}": FOLDER, f"{deep}\\{deep}\\{deep}": plain(b"x")}
    write_transport(Path(f"\\\\?\\{tmp_path}\\in"), files)
    assert doubles.layer("ImportLayer", home / "i", str(tmp_path / "in"), *doubles.chain([base])) == OK
    volume = doubles.mount(home / "i", [base])
    assert Path(f"\\\\?\\{volume}\\{deep}\\{deep}\\{deep}").read_bytes() == b"x"
