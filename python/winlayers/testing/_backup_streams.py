"""Backup streams: any sequence of streams, and those that `BackupRead` really hands out."""

import io
from collections.abc import Sequence
from functools import cache

from hypothesis import strategies as st

import winlayers as wl
from winlayers.testing._names import stream_names
from winlayers.testing._security import security_descriptors
from winlayers.testing._values import extended_attribute_lists, reparse_points, stream_headers

__all__ = ["SPARSE_SHAPES", "backup_streams", "file_backup_streams", "stream_lists", "wire"]

SPARSE_SHAPES = ("blocks", "full", "no_data", "closed")
"""How a sparse file may look: DATA of size 0 and blocks; DATA with all; blocks alone; blocks and a closing one."""

_DATA, _EA, _SECURITY, _ALTERNATE, _OBJECT_ID, _REPARSE, _BLOCK = 1, 2, 3, 4, 7, 8, 9
_SPARSE = 8

_Items = Sequence[tuple[wl.StreamHeader, bytes]]


def wire(items: _Items) -> bytes:
    """Write headers and their data as the bytes of one backup stream.

    >>> wire([(wl.StreamHeader(1, size=2), b"hi")])[-2:]
    b'hi'
    """
    out = io.BytesIO()
    with wl.BackupStreamWriter(out) as writer:
        for header, data in items:
            writer.add(
                header.id,
                data,
                attributes=header.attributes,
                name=header.name,
                sparse_offset=header.sparse_offset,
            )
    return out.getvalue()


@cache
def stream_lists(max_size: int = 6) -> st.SearchStrategy[list[tuple[wl.StreamHeader, bytes]]]:
    """Any sequence of streams, each with its data: unknown ids, wrong places and stray sparse blocks included.

    >>> from hypothesis import given, settings
    >>> import winlayers as wl
    >>> @settings(max_examples=5, deadline=None)
    ... @given(stream_lists())
    ... def test(items):
    ...     assert [header for header, _ in items] == list(wl.BackupStreamReader(wire(items)))
    >>> test()
    """

    def with_data(header: wl.StreamHeader) -> st.SearchStrategy[tuple[wl.StreamHeader, bytes]]:
        size = header.size - (8 if header.id == _BLOCK else 0)
        return st.tuples(st.just(header), st.binary(min_size=size, max_size=size))

    return st.lists(stream_headers().flatmap(with_data), max_size=max_size)


def backup_streams(max_size: int = 6) -> st.SearchStrategy[bytes]:
    """Any well-formed backup stream, as bytes; `file_backup_streams` gives likely ones.

    >>> from hypothesis import given, settings
    >>> import winlayers as wl
    >>> @settings(max_examples=5, deadline=None)
    ... @given(backup_streams())
    ... def test(stream):
    ...     assert wire([(h, h.read()) for h in wl.BackupStreamReader(stream)]) == stream
    >>> test()
    """
    return st.one_of(stream_lists(max_size).map(wire), file_backup_streams())


@st.composite
def file_backup_streams(draw: st.DrawFn, shape: str | None = None) -> bytes:
    """Give a backup stream as `BackupRead` hands it out for a file, in one of the `SPARSE_SHAPES` or not sparse.

    >>> from hypothesis import given, settings
    >>> import winlayers as wl
    >>> @settings(max_examples=5, deadline=None)
    ... @given(file_backup_streams(shape='closed'))
    ... def test(stream):
    ...     assert any(header.id == 9 for header in wl.BackupStreamReader(stream))
    >>> test()
    """
    items: list[tuple[wl.StreamHeader, bytes]] = []

    def put(id: int, data: bytes, attributes: int = 0, name: str = "") -> None:
        items.append((wl.StreamHeader(id, attributes, len(data), name), data))

    if draw(st.booleans()):
        put(_SECURITY, bytes(draw(security_descriptors())), 2)
    attributes = draw(extended_attribute_lists(2))
    if attributes:
        put(_EA, wl.ExtendedAttribute.encode_list(attributes))
    if shape is None and draw(st.integers(0, 9)) == 0:
        put(_REPARSE, bytes(draw(reparse_points())))
    if shape is None:
        shape = draw(st.sampled_from(["plain", *SPARSE_SHAPES]))
    content = draw(st.binary(max_size=200))
    if shape == "plain":
        put(_DATA, content)
    elif shape == "full":
        put(_DATA, content, _SPARSE)
    else:
        if shape != "no_data":
            put(_DATA, b"", _SPARSE)
        items += draw(_blocks(content or b"x", closed=shape == "closed"))
    if draw(st.integers(0, 9)) == 0:
        put(_OBJECT_ID, draw(st.binary(min_size=64, max_size=64)))
    for name in draw(st.lists(stream_names(), max_size=2, unique=True)):
        put(_ALTERNATE, draw(st.binary(max_size=40)), 0, f":{name}:$DATA")
    return wire(items)


@st.composite
def _blocks(draw: st.DrawFn, content: bytes, *, closed: bool) -> list[tuple[wl.StreamHeader, bytes]]:
    cuts = draw(st.lists(st.integers(0, len(content)), max_size=6, unique=True).map(sorted))
    bounds = [*cuts, len(content)]
    items = []
    for start, end in zip(bounds[::2], bounds[1::2], strict=False):
        if start < end:
            items.append((wl.StreamHeader(_BLOCK, _SPARSE, end - start + 8, "", start), content[start:end]))
    if closed:
        end = len(content) + draw(st.integers(0, 4096))
        items.append((wl.StreamHeader(_BLOCK, _SPARSE, 8, "", end), b""))
    return items
