"""BackupStreamReader and BackupStreamWriter: the wire, byte for byte, in any order and any chunks."""

import io
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import winlayers as wl
from builders import Trickle
from winlayers.testing import SPARSE_SHAPES, backup_streams, file_backup_streams, wire


def raw(id: int, data: bytes, attributes: int = 0, name: str = "") -> bytes:
    """One stream by the layout that Microsoft documents for WIN32_STREAM_ID."""
    units = name.encode("utf-16-le", "surrogatepass")
    return struct.pack("<IIqI", id, attributes, len(data), len(units)) + units + data


def test_the_wire_is_as_documented() -> None:
    items = [
        (wl.StreamHeader(3, 2, 4), b"\1\0\4\x80"),
        (wl.StreamHeader(1, 8, 0), b""),
        (wl.StreamHeader(9, 8, 10, "", 5), b"hi"),
        (wl.StreamHeader(4, 0, 1, ":\ud800:$DATA"), b"!"),
        (wl.StreamHeader(77, 99, 3, "x"), b"abc"),
    ]
    expected = (
        raw(3, b"\1\0\4\x80", 2)
        + raw(1, b"", 8)
        + raw(9, struct.pack("<Q", 5) + b"hi", 8)
        + raw(4, b"!", 0, ":\ud800:$DATA")
        + raw(77, b"abc", 99, "x")
    )
    assert wire(items) == expected
    assert [(header, header.read()) for header in wl.BackupStreamReader(expected)] == items


@settings(max_examples=40)
@given(backup_streams(), st.integers(0, 100))
def test_any_chunks_give_the_same(stream: bytes, seed: int) -> None:
    whole = [(header, header.read()) for header in wl.BackupStreamReader(stream)]
    assert wire(whole) == stream
    for source in (Trickle(stream, seed=seed, most=3), io.BytesIO(stream), bytearray(stream)):
        assert [(header, header.read()) for header in wl.BackupStreamReader(source)] == whole
    assert list(wl.BackupStreamReader(Trickle(stream, seed=seed))) == [header for header, _ in whole]


@pytest.mark.parametrize("shape", SPARSE_SHAPES)
@settings(max_examples=15)
@given(data=st.data())
def test_the_four_sparse_shapes_make_one_file(shape: str, data: st.DataObject) -> None:
    stream = data.draw(file_backup_streams(shape))
    size, content = 0, bytearray()
    for header in wl.BackupStreamReader(stream):
        if header.id in {1, 9}:
            start = header.sparse_offset or 0
            piece = header.read()
            size = max(size, start + len(piece))
            content.extend(bytes(max(0, size - len(content))))
            content[start : start + len(piece)] = piece
    out = io.BytesIO()
    with wl.LayerWriter(out, dialect="lossless") as writer:
        writer.add_backup_stream("Files/a", wl.BasicInfo(), stream)
    (entry,) = wl.LayerReader(out.getvalue())
    assert (entry.kind, entry.size) == ("file", size)
    with wl.LayerReader(out.getvalue()) as reader:
        assert next(reader).read() == bytes(content)


def test_a_header_that_was_passed() -> None:
    reader = wl.BackupStreamReader(wire([(wl.StreamHeader(1, 0, 2), b"hi"), (wl.StreamHeader(7, 0, 2), b"ho")]))
    first = next(reader)
    assert first.read(1) == b"h"
    second = next(reader)
    with pytest.raises(wl.MisuseError) as raised:
        first.read()
    assert raised.value.code == "entry_passed"
    assert second.read() == b"ho"
    with pytest.raises(wl.MisuseError) as raised:
        wl.StreamHeader(1).read()
    assert raised.value.code == "entry_detached"


@pytest.mark.parametrize("end", range(1, 32))
def test_a_stream_that_ends_early_says_where(end: int) -> None:
    stream = wire([(wl.StreamHeader(4, 0, 4, ":s:x"), b"data")])
    assert len(stream) == 32
    with pytest.raises(wl.FormatError) as raised:
        [header.read() for header in wl.BackupStreamReader(stream[:end])]
    assert (raised.value.code, raised.value.offset) == ("bad_backup_stream", end)
