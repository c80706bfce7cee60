"""BackupRead, BackupWrite and BackupSeek of the doubles."""

import ctypes
import os
import struct
from ctypes import byref, c_uint32, c_void_p
from pathlib import Path

import pytest

from windows.doubles.api import (
    ALTERNATE,
    DATA,
    DESCRIPTOR,
    EA,
    OBJECT_ID,
    REPARSE,
    SECURITY,
    SPARSE_BLOCK,
    BackupError,
    Doubles,
    stream,
)

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
        assert not read(handle, c_void_p(16), 20, byref(done), 0, 0, byref(context))
        assert not read(c_void_p(0x12345678), part, 20, byref(done), 0, 0, byref(context))
        return b""

    doubles.with_file(tmp_path / "f", 0x80000000, 3, use)
    assert doubles.open_contexts() == 0
