"""The folder that nothing leaves, by names as NT has them."""

from pathlib import Path
from typing import Any

import pytest

import winlayers as wl
from windows.native import FOR_TESTS, names, native, winerror

if not FOR_TESTS:
    pytest.skip("needs Windows, and a module built for tests", allow_module_level=True)

READ_ONLY, HIDDEN, SYSTEM, FOLDER, ARCHIVE, NORMAL, COMPRESSED = 1, 2, 4, 0x10, 0x20, 0x80, 0x800


@pytest.fixture
def folder(tmp_path: Path) -> Any:
    return native._Folder(tmp_path)


def test_names_are_those_of_nt(folder: Any, tmp_path: Path) -> None:
    odd = sorted(name.encode() for name in ["con", "NUL", "end.", "end ", "...", "höme-日本", "😀", "x" * 255])
    for name in odd:
        folder.create_file(name, ARCHIVE)
    assert folder.list(b"") == odd
    assert folder.info(b"CON")[0] == ARCHIVE
    for name in odd:
        folder.remove(name)
    assert names(tmp_path) == []


def test_many_names(folder: Any, tmp_path: Path) -> None:
    (tmp_path / "many").mkdir()
    many = [f"{number:04}-{'n' * 60}" for number in range(2000)]
    for name in many:
        (tmp_path / "many" / name).touch()
    assert folder.list(b"many") == [name.encode() for name in many]
    folder.remove_tree(b"many")
    assert folder.list(b"") == []


@pytest.mark.parametrize(
    ("name", "code"),
    [
        (b"", "name_empty"),
        (b"a//b", "name_empty"),
        (b"/a", "name_empty"),
        (b"a/", "name_empty"),
        (b".", "name_reserved"),
        (b"a/./b", "name_reserved"),
        (b"..", "name_escapes"),
        (b"a/../../b", "name_escapes"),
        (b"a\\b", "name_backslash"),
        (b"C:", "name_colon"),
        (b"a:stream", "name_colon"),
        (b"a\0", "name_nul"),
        (b"\xff", "name_not_unicode"),
    ],
)
def test_names_that_are_none(folder: Any, name: bytes, code: str) -> None:
    folder.create_folder(b"a", 0)
    with pytest.raises(wl.RefusedError) as raised:
        folder.create_file(name, 0)
    assert raised.value.code == code
    with pytest.raises(wl.RefusedError):
        folder.remove_tree(name)


def test_what_is_there_is_not_made_again(folder: Any) -> None:
    folder.create_file(b"a", 0)
    for make in (folder.create_file, folder.create_folder):
        with pytest.raises(wl.RefusedError) as raised:
            make(b"A", 0)
        assert raised.value.code == "target_exists"


def test_what_is_missing_is_named(folder: Any, tmp_path: Path) -> None:
    folder.create_file(b"file", 0)
    for name, error in ((b"none", FileNotFoundError), (b"none/b", FileNotFoundError), (b"file/b", NotADirectoryError)):
        with pytest.raises(error) as raised:
            folder.info(name)
        assert str(raised.value.filename).startswith(f"\\\\?\\{tmp_path}")
        assert winerror(raised.value)


def test_attributes_and_times(folder: Any) -> None:
    def told() -> tuple[int, int]:
        attributes, written = folder.info(b"f")[:2]
        # Wine says of every file that it is to be archived, and of none that it is NORMAL.
        return attributes & ~ARCHIVE & ~NORMAL, written

    folder.create_file(b"f", READ_ONLY | HIDDEN | COMPRESSED)
    assert told()[0] == HIDDEN
    for attributes in (READ_ONLY | SYSTEM, ARCHIVE, NORMAL):
        folder.set_basic_info(b"f", attributes | COMPRESSED, 131_000_000_000_000_007)
        assert told() == (attributes & ~ARCHIVE & ~NORMAL, 131_000_000_000_000_007)
    folder.set_basic_info(b"f", 0, 0)
    folder.set_basic_info(b"f", NORMAL, -1)
    assert told() == (0, 131_000_000_000_000_007)


def test_hard_links(folder: Any, tmp_path: Path) -> None:
    folder.create_folder(b"d", 0)
    (tmp_path / "f").write_bytes(b"data")
    folder.create_hard_link(b"d/con", b"f")
    assert folder.data(b"d/con") == b"data"
    first, second = folder.info(b"f"), folder.info(b"d/con")
    assert (first[3], first[4]) == (second[3], second[4]) == (2, first[4])
    with pytest.raises(wl.RefusedError) as raised:
        folder.create_hard_link(b"d/con", b"f")
    assert raised.value.code == "target_exists"


def test_renames(folder: Any) -> None:
    folder.create_folder(b"a", 0)
    folder.create_file(b"a/f", 0)
    folder.list(b"a")
    folder.create_folder(b"b", 0)
    folder.rename_new(b"a", b"b/c")
    assert folder.list(b"") == [b"b"]
    assert folder.list(b"b/c") == [b"f"]
    folder.create_file(b"f", 0)
    with pytest.raises(wl.RefusedError) as raised:
        folder.rename_new(b"f", b"b/c/f")
    assert raised.value.code == "target_exists"


def test_removes_what_is_read_only_too(folder: Any) -> None:
    name = b"top"
    folder.create_folder(name, 0)
    for depth in range(40):
        folder.create_file(name + b"/file", 0)
        folder.set_basic_info(name + b"/file", READ_ONLY, 0)
        name += b"/%d" % depth
        folder.create_folder(name, 0)
    folder.set_basic_info(name, READ_ONLY, 0)
    folder.info(name)
    with pytest.raises(OSError, match="remove"):
        folder.remove(b"top")
    folder.remove_tree(b"top")
    assert folder.list(b"") == []


def test_sync(folder: Any) -> None:
    folder.create_folder(b"d", 0)
    folder.create_file(b"d/f", 0)
    folder.sync(b"d/f")
    folder.sync(b"d")
    folder.sync(b"")
