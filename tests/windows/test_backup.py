"""Files as backup streams, through the double that stands for BackupRead and BackupWrite under Wine."""

import base64
import ctypes
import io
import json
import os
import struct
import threading
import zlib
from collections.abc import Iterable
from pathlib import Path

import pytest

import winlayers as wl
from windows.native import DOUBLES, FOR_TESTS, names, use_backup_double, winerror
from windows.tokens import BACKUP, REMOVED, impersonation, take_away
from windows.tokens import SECURITY as SECURITY_PRIVILEGE

if not (FOR_TESTS and DOUBLES):
    pytest.skip("needs Windows, and WINLAYERS_TEST_DOUBLES", allow_module_level=True)

DATA, EA, SECURITY, ALTERNATE, LINK, OBJECT_ID, REPARSE, SPARSE_BLOCK = 1, 2, 3, 4, 5, 7, 8, 9
DESCRIPTOR = bytes(wl.SecurityDescriptor.from_sddl("O:BAG:SYD:P(A;;FA;;;SY)(A;;FR;;;WD)S:(AU;SAFA;FA;;;WD)"))
JUNCTION = bytes(wl.ReparsePoint.junction(r"C:\target"))
READ_ONLY = 1


def stream(kind: int, body: bytes = b"", name: str = "", attributes: int = 0) -> bytes:
    encoded = name.encode("utf-16-le", "surrogatepass")
    return struct.pack("<IIqI", kind, attributes, len(body), len(encoded)) + encoded + body


def block(offset: int, body: bytes) -> bytes:
    return stream(SPARSE_BLOCK, struct.pack("<q", offset) + body)


SECURE = stream(SECURITY, DESCRIPTOR, attributes=2)
SIMPLE = SECURE + stream(DATA, b"hello")
RICH = (
    stream(EA, b"\0\0\0\0\0\x01\x02\0A\0hi")
    + SECURE
    + stream(DATA, b"data" * 5000)
    + stream(ALTERNATE, b"[ZoneTransfer]", ":Zone.Identifier:$DATA")
    + stream(ALTERNATE, b"", ":Ström😀:$DATA", attributes=1)
    + stream(OBJECT_ID, bytes(range(64)))
)


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterable[Path]:
    """Give the folder of the double's state; no test may leave a context open."""
    folder = tmp_path / "double"
    use_backup_double(folder, monkeypatch)
    yield folder
    assert ctypes.CDLL(str(Path(DOUBLES) / "winlayers_backup.dll")).DoubleOpenContexts() == 0


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "files"
    folder.mkdir()
    return folder


def read(path: str | Path) -> bytes:
    with wl.backup.read(path) as source:
        return source.read()


@pytest.mark.parametrize("streams", [SIMPLE, RICH, SECURE, SECURE + stream(DATA)])
def test_a_file_round_trips(folder: Path, streams: bytes) -> None:
    wl.backup.write(folder / "f", streams)
    assert read(folder / "f") == streams


def test_its_data_is_that_of_the_file(folder: Path) -> None:
    wl.backup.write(folder / "f", SIMPLE)
    assert (folder / "f").read_bytes() == b"hello"
    (folder / "plain").write_bytes(b"of its own")
    headers = wl.BackupStreamReader(read(folder / "plain"))
    assert [(header.id, header.read()) for header in headers if header.id != SECURITY] == [(DATA, b"of its own")]


def test_sparse_data(folder: Path) -> None:
    streams = SECURE + stream(DATA, attributes=8) + block(0x10000, b"x" * 0x1000) + block(0x100000, b"")
    wl.backup.write(folder / "f", streams)
    assert read(folder / "f") == streams
    assert (folder / "f").stat().st_size == 0x100000


@pytest.mark.parametrize("streams", [SECURE, SECURE + stream(REPARSE, JUNCTION)])
def test_a_folder_round_trips(folder: Path, streams: bytes) -> None:
    wl.backup.write(folder / "d", streams, directory=True)
    assert (folder / "d").is_dir()
    assert read(folder / "d") == streams
    wl.backup.write(folder / "d", SECURE, directory=True)


@pytest.mark.parametrize("size", [1, 7, 19, 20, 4095, 4096, 100_000])
def test_it_may_be_read_in_pieces(folder: Path, size: int) -> None:
    wl.backup.write(folder / "f", RICH)
    with wl.backup.read(folder / "f") as source:
        assert source.readable()
        assert b"".join(iter(lambda: source.read(size), b"")) == RICH
    with wl.backup.read(folder / "f") as source:
        buffer, pieces = bytearray(size), []
        while n := source.readinto(buffer):
            pieces.append(bytes(buffer[:n]))
        assert b"".join(pieces) == RICH


def test_a_large_file_goes_through_in_pieces(folder: Path) -> None:
    data = os.urandom(1 << 20) * 9
    wl.backup.write(folder / "f", io.BytesIO(SECURE + stream(DATA, data)))
    assert (folder / "f").read_bytes() == data
    with wl.backup.read(folder / "f") as source:
        wl.backup.write(folder / "copy", source)
    assert (folder / "copy").read_bytes() == data


@pytest.mark.parametrize("name", ["con", "end.", "end ", "nul.txt", "höme-日本😀", "a" * 200])
def test_names_that_win32_would_mangle(folder: Path, name: str) -> None:
    wl.backup.write(folder / name, SIMPLE)
    assert read(folder / name) == SIMPLE
    assert names(folder) == [name]
    Path(f"\\\\?\\{folder}\\{name}").unlink()


def test_a_path_longer_than_win32_allows(folder: Path) -> None:
    deep = folder
    for letter in "abcd":
        deep = deep / (letter * 100)
        wl.backup.write(deep, SECURE, directory=True)
    wl.backup.write(deep / "f", SIMPLE)
    assert len(str(deep)) > 400
    assert read(deep / "f") == SIMPLE


MALFORMED = {
    "header_cut": b"\x04\0\0\0",
    "data_cut": stream(OBJECT_ID, bytes(64))[:-1],
    "name_cut": stream(ALTERNATE, b"", ":s:$DATA")[:-1],
    "odd_name": struct.pack("<IIqI", ALTERNATE, 0, 0, 3) + b"abc",
    "negative_size": struct.pack("<IIqI", ALTERNATE, 0, -1, 0),
    "block_without_offset": stream(SPARSE_BLOCK, b"1234567"),
}


@pytest.mark.parametrize("wrong", MALFORMED.values(), ids=MALFORMED.keys())
@pytest.mark.parametrize("directory", [False, True])
def test_a_malformed_stream_leaves_nothing(folder: Path, wrong: bytes, directory: bool) -> None:
    with pytest.raises(wl.FormatError) as raised:
        wl.backup.write(folder / "f", (SECURE if directory else SIMPLE) + wrong, directory=directory)
    assert raised.value.code == "bad_backup_stream"
    assert names(folder) == []


@pytest.mark.parametrize(
    "name",
    ["other", ":", "::$DATA", ":a", ":a\\b:$DATA", ":a/b:$DATA", ":a:b:$DATA", ":a:$INDEX_ALLOCATION", ":a\0b:$DATA"],
)
def test_a_stream_that_could_be_another_file_is_refused(folder: Path, name: str) -> None:
    with pytest.raises(wl.RefusedError) as raised:
        wl.backup.write(folder / "f", SIMPLE + stream(ALTERNATE, b"x", name))
    assert raised.value.code == "name_colon"
    with pytest.raises(wl.RefusedError):
        wl.backup.write(folder / "d", SECURE + stream(DATA, b"x", name), directory=True)
    assert names(folder) == []


def test_a_link_stream_is_refused(folder: Path) -> None:
    with pytest.raises(wl.RefusedError) as raised:
        wl.backup.write(folder / "f", SIMPLE + stream(LINK, b"x"))
    assert raised.value.code == "link_escapes"
    assert names(folder) == []


def test_limits_hold(folder: Path) -> None:
    far = SECURE + stream(DATA, attributes=8) + block(1 << 50, b"x")
    with pytest.raises(wl.LimitExceededError):
        wl.backup.write(folder / "f", far)
    with pytest.raises(wl.LimitExceededError):
        wl.backup.write(folder / "f", RICH, limits=wl.Limits(path=5))
    assert names(folder) == []


def test_what_is_there_keeps_what_the_stream_has_nothing_of(folder: Path) -> None:
    wl.backup.write(folder / "f", RICH)
    wl.backup.write(folder / "f", stream(DATA, b"short"))
    assert (folder / "f").read_bytes() == b"short"
    wl.backup.write(folder / "f", SECURE)
    assert (folder / "f").read_bytes() == b"short"


def test_a_mistake_does_not_remove_what_was_there(folder: Path) -> None:
    (folder / "f").write_bytes(b"old")
    with pytest.raises(wl.FormatError):
        wl.backup.write(folder / "f", SIMPLE[:10])
    assert (folder / "f").read_bytes() == b"old"


def test_the_kind_must_be_that_of_what_is_there(folder: Path) -> None:
    (folder / "f").write_bytes(b"")
    (folder / "d").mkdir()
    with pytest.raises(NotADirectoryError) as not_a_folder:
        wl.backup.write(folder / "f", SECURE, directory=True)
    assert str(not_a_folder.value.filename).endswith("f")
    with pytest.raises(IsADirectoryError):
        wl.backup.write(folder / "d", SIMPLE)


def test_a_source_that_fails(folder: Path) -> None:
    class Broken(io.RawIOBase):
        def __init__(self) -> None:
            self.left = [SIMPLE]

        def readable(self) -> bool:
            return True

        def read(self, size: int = -1) -> bytes:
            if self.left:
                return self.left.pop()
            raise KeyError("broken")

    with pytest.raises(KeyError, match="broken"):
        wl.backup.write(folder / "f", Broken())
    assert names(folder) == []


def test_what_is_missing(folder: Path) -> None:
    with pytest.raises(FileNotFoundError) as raised:
        wl.backup.read(folder / "none")
    assert str(raised.value.filename).endswith("none")
    assert winerror(raised.value) == 2
    with pytest.raises(FileNotFoundError):
        wl.backup.write(folder / "none" / "f", SIMPLE)
    with pytest.raises(wl.RefusedError) as refused:
        wl.backup.read(f"{folder}\\file:stream")
    assert refused.value.code == "name_colon"


def test_answers_of_the_system_come_with_the_path(folder: Path, state: Path) -> None:
    wl.backup.write(folder / "f", SIMPLE)
    (state / "backup_fail").write_text("BackupRead 1 5\n")
    with wl.backup.read(folder / "f") as source, pytest.raises(PermissionError) as raised:
        source.read()
    assert winerror(raised.value) == 5
    assert str(raised.value.filename).endswith("f")
    for call in (1, 2):
        (state / "backup_fail").write_text(f"BackupWrite {call} 112\n")
        with pytest.raises(OSError, match="112") as full:
            wl.backup.write(folder / "full", SIMPLE)
        assert winerror(full.value) == 112
        assert names(folder) == ["f"]
        (state / "backup_fail").unlink()


def test_a_stream_that_is_left_gives_its_context_back(folder: Path) -> None:
    wl.backup.write(folder / "f", RICH)
    source = wl.backup.read(folder / "f")
    assert source.read(30) == RICH[:30]
    source.close()
    source.close()
    assert source.closed
    with pytest.raises(wl.MisuseError):
        source.read(1)
    dropped = wl.backup.read(folder / "f")
    dropped.read(30)
    del dropped


def test_another_thread_may_read_on(folder: Path) -> None:
    wl.backup.write(folder / "f", RICH)
    parts = []
    with wl.backup.read(folder / "f") as source:
        parts.append(source.read(100))
        thread = threading.Thread(target=lambda: parts.append(source.read()))
        thread.start()
        thread.join()
    assert b"".join(parts) == RICH


@pytest.mark.parametrize("lacking", [BACKUP, SECURITY_PRIVILEGE])
def test_without_privilege_nothing_is_read_or_written(folder: Path, lacking: str) -> None:
    wl.backup.write(folder / "f", SIMPLE)
    with impersonation():
        take_away("thread", [lacking], REMOVED)
        for call in (lambda: wl.backup.read(folder / "f"), lambda: wl.backup.write(folder / "new", SIMPLE)):
            with pytest.raises(PermissionError, match=lacking) as raised:
                call()
            assert winerror(raised.value) == 1314
    assert names(folder) == ["f"]


# What does not come back as it was, by the code or the number of the error.
OUTCOMES = {
    "bad_backup_stream": [
        f"stream-{what}[0]" for what in ("cut-data", "cut-header", "cut-name", "name-odd", "negative-size")
    ],
    "name_colon": [
        *(f"ads-name-{what}[0]" for what in ("empty", "no-colon", "nul", "other-type", "plain")),
        "stream-name-on-data[0]",
    ],
    "link_escapes": ["streams-ignored[0]"],
    # The double refuses a second DATA, and the id 0.
    "13": ["stream-two-data[0]", "stream-unknown-zero[0]"],
    # Wine, that a folder has data.
    "6": ["dir-with-data[0]"],
    # Blocks that overlap are read as they are in the end.
    "differs": ["sparse-overlap[0]"],
}


def test_what_go_winio_was_given(vectors: Path, tmp_path: Path) -> None:
    """Every stream that its vectors hold is written and read back, or refused, and then leaves nothing."""
    outcomes: dict[str, list[str]] = {}
    for number, spec in enumerate(sorted((vectors / "go-winio").glob("*/spec.json"))):
        for index, entry in enumerate(json.loads(spec.read_text(encoding="utf-8")).get("entries", [])):
            if "backup_stream_zlib" in entry:
                streams = zlib.decompress(base64.b64decode(entry["backup_stream_zlib"]))
            elif "backup_stream" in entry:
                streams = base64.b64decode(entry["backup_stream"])
            else:
                continue
            if not streams:
                continue  # nothing is kept, and the double gives what it gives of any file
            outcome = round_trip(tmp_path / f"v{number}-{index}", streams, entry["basicinfo"]["attributes"])
            outcomes.setdefault(outcome, []).append(f"{spec.parent.name}[{index}]")
    assert len(outcomes.pop("same")) > 150
    assert outcomes == OUTCOMES


def round_trip(path: Path, streams: bytes, attributes: int) -> str:
    path.mkdir()
    try:
        wl.backup.write(path / "f", streams, directory=bool(attributes & 0x10))
    except (wl.WinLayersError, OSError) as error:
        assert names(path) == []
        return error.code if isinstance(error, wl.WinLayersError) else str(winerror(error))
    return "same" if read(path / "f") == streams else "differs"
