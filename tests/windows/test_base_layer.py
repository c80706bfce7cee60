"""Base layers as folders of real files, through the double that stands for BackupRead and BackupWrite under Wine."""

import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

import winlayers as wl
from windows.native import DOUBLES, FOR_TESTS, native, use_backup_double

if not (FOR_TESTS and DOUBLES):
    pytest.skip("needs Windows, and WINLAYERS_TEST_DOUBLES", allow_module_level=True)

READ_ONLY, HIDDEN, SYSTEM, FOLDER, ARCHIVE, REPARSE_POINT = 1, 2, 4, 0x10, 0x20, 0x400
DESCRIPTOR = wl.SecurityDescriptor.from_sddl("O:BAG:SYD:P(A;;FA;;;SY)")
BOOT = "UtilityVM/Files/EFI/Microsoft/Boot"


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_backup_double(tmp_path / "double", monkeypatch)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "layer").mkdir()
    return tmp_path / "layer"


def entry(name: str, kind: str = "file", attributes: int = ARCHIVE, **fields: Any) -> wl.Entry:
    # Wine's disk has one time of its own and no time of creation: all are the same here.
    written = wl.FileTime(132_000_000_000_000_000 + len(name))
    if kind == "directory":
        attributes = attributes & ~ARCHIVE | FOLDER
    info = wl.BasicInfo(written, written, written, written, wl.FileAttributes(attributes))
    fields.setdefault("security_descriptor", DESCRIPTOR)
    return wl.Entry(name, kind=kind, basic_info=info, **fields)


def tar_of(entries: Iterable[tuple[wl.Entry, bytes | None]]) -> bytes:
    sink = io.BytesIO()
    with wl.LayerWriter(sink, dialect="lossless") as writer:
        for item, data in entries:
            writer.add(item, data)
    return sink.getvalue()


def write(folder: Path, entries: Iterable[tuple[wl.Entry, bytes | None]]) -> tuple[int, int, list[str], bool]:
    told: tuple[int, int, list[str], bool] = native._base_layer_from_tar(tar_of(entries), folder)
    return told


def read(folder: Path, hives: bool = False) -> dict[str, tuple[Any, ...]]:
    found = {}
    for item in wl.LayerReader(native._base_layer_to_tar(folder, hives)):
        info = item.basic_info
        data = item.read() if item.kind == "file" else None
        # Wine says of every file that it is to be archived.
        attributes = info.attributes.value & ~ARCHIVE
        found[item.name] = (item.kind, attributes, info.last_write_time, data, item.link_name)
    return found


def folders(*names: str) -> list[tuple[wl.Entry, bytes | None]]:
    return [(entry(name, "directory"), None) for name in names]


def boot_folders() -> list[tuple[wl.Entry, bytes | None]]:
    parts = BOOT.split("/")
    return folders(*("/".join(parts[: n + 1]) for n in range(len(parts))))


def test_a_layer_round_trips(folder: Path) -> None:
    entries = [
        *folders("Files", "Files/Windows", "Files/Windows/System32"),
        (entry("Files/Windows/System32/ntdll.dll", attributes=READ_ONLY | SYSTEM), b"MZ"),
        (entry("Files/Windows/con", attributes=HIDDEN), b"no device"),
        (entry("Files/empty."), b""),
        *boot_folders(),
    ]
    assert write(folder, entries) == (len(entries), write_size(entries), [], True)
    found = read(folder)
    for item, data in entries:
        info = item.basic_info
        attributes = info.attributes.value & ~ARCHIVE
        assert found[item.name][:4] == (item.kind, attributes, info.last_write_time, data), item.name
    assert list(found) == [
        "Files",
        "Files/empty.",
        "Files/Windows",
        "Files/Windows/con",
        "Files/Windows/System32",
        "Files/Windows/System32/ntdll.dll",
        *(item.name for item, _ in boot_folders()),
    ]


def write_size(entries: Iterable[tuple[wl.Entry, bytes | None]]) -> int:
    """Give the bytes of the backup streams: headers of 20 bytes, descriptors and data."""
    descriptor = 20 + len(bytes(DESCRIPTOR))
    return sum(descriptor + (0 if data is None else 20 + len(data)) for _, data in entries)


def test_what_the_streams_hold_comes_back(folder: Path) -> None:
    junction = wl.ReparsePoint.junction(r"C:\Windows")
    link = wl.ReparsePoint.symlink("ntdll.dll")
    attributes = [wl.ExtendedAttribute(b"A", b"1")]
    entries = [
        *folders("Files"),
        (entry("Files/rich", extended_attributes=attributes), b"data"),
        (entry("Files/junction", "junction", FOLDER | REPARSE_POINT, reparse_point=junction), None),
        (entry("Files/link", "symlink", REPARSE_POINT, reparse_point=link), None),
    ]
    write(folder, entries)
    for item in wl.LayerReader(native._base_layer_to_tar(folder, False)):
        original = next(original for original, _ in entries if original.name == item.name)
        if item.kind != "junction":  # its reparse point comes later, and the double forgets what was there
            assert item.security_descriptor == DESCRIPTOR
        assert item.reparse_point == original.reparse_point
        assert item.extended_attributes == original.extended_attributes


def test_hard_links_may_come_first_and_are_found_again(folder: Path) -> None:
    entries = [
        *folders("Files"),
        (wl.Entry("Files/a", kind="hard_link", link_name="Files/c"), None),
        (entry("Files/c"), b"one file"),
        (wl.Entry("Files/b", kind="hard_link", link_name="files/C"), None),
        (wl.Entry("Files/d", kind="hard_link", link_name="Files/b"), None),
    ]
    assert write(folder, entries)[0] == 5
    assert (folder / "Files" / "d").stat().st_nlink == 4
    found = read(folder)
    assert {name: (kind, link) for name, (kind, *_, link) in found.items()} == {
        "Files": ("directory", None),
        "Files/a": ("file", None),
        "Files/b": ("hard_link", "Files/a"),
        "Files/c": ("hard_link", "Files/a"),
        "Files/d": ("hard_link", "Files/a"),
    }


def test_boot_files_read_as_they_came(folder: Path) -> None:
    entries = [*folders("Files"), *boot_folders()]
    entries += [(entry(f"{BOOT}/{name}"), name.encode()) for name in ("BCD", "BCD.LOG", "BCD.LOG1", "BCD.LOG2", "BCDx")]
    write(folder, entries)
    saved = ["bcd.bak", "bcd.log.bak", "bcd.log1.bak", "bcd.log2.bak"]
    assert [(folder / name).read_bytes() for name in saved] == [b"BCD", b"BCD.LOG", b"BCD.LOG1", b"BCD.LOG2"]
    before = read(folder)
    for name in ("BCD", "BCD.LOG"):
        (folder / BOOT / name).write_bytes(b"what the host made of it" * 1000)
    for data, name in ((b"", "BCD.LOG1"), (b"longer than before", "bcd.log2")):
        (folder / BOOT / name).write_bytes(data)
    assert read(folder) == before
    (folder / "bcd.bak").unlink()
    assert read(folder)[f"{BOOT}/BCD"][3] == b"what the host made of it" * 1000


def test_what_is_no_part_of_the_layer_is_left_out(folder: Path) -> None:
    write(folder, [*folders("Files", "Hives"), (entry("Hives/DEFAULT_BASE"), b"regf"), *boot_folders()[:2]])
    (folder / "Files" / "$recycle.bin" / "x").mkdir(parents=True)
    (folder / "UtilityVM" / "SystemTemplate.vhdx").touch()
    (folder / "layerchain.json").touch()
    assert list(read(folder)) == ["Files", "UtilityVM", "UtilityVM/Files"]
    assert list(read(folder, hives=True))[3:] == ["Hives", "Hives/DEFAULT_BASE"]


def test_implied_folders_and_later_metadata(folder: Path) -> None:
    entries = [
        (entry("Files/a/b/file"), b"x"),
        *folders("Files/a"),
        (entry("Files/A", "directory", attributes=HIDDEN), None),
    ]
    report = write(folder, entries)
    assert report[2] == ["duplicate_directory", "implied_directory"]
    assert not report[3]
    found = read(folder)
    assert found["Files/a"][1:3] == (FOLDER | HIDDEN, entries[2][0].basic_info.last_write_time)


def test_what_a_file_system_cannot_be_told_is_told(folder: Path) -> None:
    compressed = entry("Files/a", attributes=ARCHIVE | 0x800)
    early = wl.Entry("Files/b", basic_info=wl.BasicInfo(last_write_time=wl.FileTime(0)))
    assert write(folder, [*folders("Files"), (compressed, b""), (early, b"")])[2] == ["attributes", "times"]


REFUSED = {
    "transport_form": [*folders("Files"), (wl.Entry("Files/.wh.a", kind="whiteout"), None)],
    "root_unknown": folders("Other"),
    "case_collision": [*folders("Files"), (entry("Files/a"), b""), (entry("Files/A"), b"")],
    "link_escapes": [*folders("Files"), (wl.Entry("Files/a", kind="hard_link", link_name="Files/none"), None)],
}


@pytest.mark.parametrize("code", REFUSED)
def test_what_is_refused(folder: Path, code: str) -> None:
    with pytest.raises(wl.RefusedError) as raised:
        write(folder, REFUSED[code])
    assert raised.value.code == code


def test_nothing_is_put_through_a_link(folder: Path) -> None:
    junction = wl.ReparsePoint.junction(r"C:\Windows")
    link = (entry("Files/j", "junction", FOLDER | REPARSE_POINT, reparse_point=junction), None)
    inside = (entry("Files/j/x"), b"")
    for target, entries in ((folder / "after", [link, inside]), (folder / "before", [inside, link])):
        target.mkdir()
        with pytest.raises(wl.RefusedError) as raised:
            write(target, entries)
        assert raised.value.code == "link_escapes"


def test_a_folder_that_is_not_empty(folder: Path) -> None:
    (folder / "Files").mkdir()
    with pytest.raises(wl.RefusedError) as raised:
        write(folder, folders("Files"))
    assert raised.value.code == "target_exists"


def test_a_folder_without_files(folder: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read(folder)
