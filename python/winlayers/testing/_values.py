"""Times, attributes, reparse points, extended attributes and the headers of streams."""

import struct
import uuid
from functools import cache

from hypothesis import strategies as st

import winlayers as wl
from winlayers.testing._names import nt_names, stream_names

__all__ = [
    "basic_infos",
    "extended_attribute_lists",
    "extended_attributes",
    "file_attributes",
    "file_times",
    "reparse_points",
    "stream_headers",
    "streams",
]

# What 64-bit nanoseconds since 1970 can hold: the range of times that the go-winio dialect keeps.
_FIRST, _LAST = 116444736000000000 - 92233720368547758, 116444736000000000 + 92233720368547758
_TAGS = [
    0x80000018, 0x90001018, 0xA000001F, 0xA000001D, 0x80000023, 0x8000001B, 0x80000017, 0x9000001A, 0x9000F01A,
    0xA0000019, 0x80000013, 0x80000014, 0x80000024, 0xA0000027, 0x00000042, 0x20001234,
]  # fmt: skip


@cache
def file_times(*, modern: bool = False) -> st.SearchStrategy[wl.FileTime]:
    """A FILETIME of the whole range; with `modern`, one that the go-winio dialect keeps: 1677 to 2262.

    >>> from hypothesis import given, settings
    >>> import winlayers as wl
    >>> @settings(max_examples=5, deadline=None)
    ... @given(file_times())
    ... def test(time):
    ...     assert wl.FileTime(time.ticks) == time
    >>> test()
    """
    if modern:
        return st.integers(_FIRST, _LAST).map(wl.FileTime)
    edges = st.sampled_from([0, 1, -1, 2**63 - 1, -(2**63), 116444736000000000])
    return st.one_of(edges, st.integers(_FIRST, _LAST), st.integers(-(2**63), 2**63 - 1)).map(wl.FileTime)


@cache
def file_attributes() -> st.SearchStrategy[wl.FileAttributes]:
    """File attributes: combinations of the named ones, and any 32 bits.

    >>> from hypothesis import given, settings
    >>> import winlayers as wl
    >>> @settings(max_examples=5, deadline=None)
    ... @given(file_attributes())
    ... def test(attributes):
    ...     assert 0 <= attributes < 2**32
    >>> test()
    """
    named = st.lists(st.sampled_from(list(wl.FileAttributes)), max_size=4).map(lambda bits: sum(set(bits)))
    return st.one_of(named, st.integers(0, 2**32 - 1)).map(wl.FileAttributes)


@cache
def basic_infos(*, modern: bool = False, attributes: int | None = None) -> st.SearchStrategy[wl.BasicInfo]:
    """Times and attributes; each time may be absent, or, unless `modern`, a stored zero.

    >>> from hypothesis import given, settings
    >>> import winlayers as wl
    >>> @settings(max_examples=5, deadline=None)
    ... @given(basic_infos(attributes=0x10))
    ... def test(info):
    ...     assert wl.FileAttributes.DIRECTORY in info.attributes
    >>> test()
    """
    time = st.none() | file_times(modern=modern)
    bits = file_attributes() if attributes is None else st.just(wl.FileAttributes(attributes))
    return st.builds(wl.BasicInfo, time, time, time, time, bits)


@cache
def extended_attributes() -> st.SearchStrategy[wl.ExtendedAttribute]:
    """One extended attribute: a name of up to 255 bytes without NUL, a value, flags.

    >>> from hypothesis import given, settings
    >>> import winlayers as wl
    >>> @settings(max_examples=5, deadline=None)
    ... @given(extended_attributes())
    ... def test(attribute):
    ...     assert b'\\0' not in attribute.raw_name
    >>> test()
    """
    name = st.one_of(
        st.sampled_from([b"$KERNEL.PURGE.ESBCACHE", b"$CI.CATALOGHINT", b"$LXUID", b"A=B", b"\xff"]),
        st.binary(min_size=1, max_size=16).filter(lambda name: b"\0" not in name),
        st.just(b"N" * 255),
    )
    flags = st.sampled_from([0, 0, 0x80]) | st.integers(0, 255)
    return st.builds(wl.ExtendedAttribute, name, st.binary(max_size=40), flags)


@cache
def extended_attribute_lists(max_size: int = 4) -> st.SearchStrategy[list[wl.ExtendedAttribute]]:
    """Extended attributes of one file in any order; one name may come twice.

    >>> from hypothesis import given, settings
    >>> import winlayers as wl
    >>> @settings(max_examples=5, deadline=None)
    ... @given(extended_attribute_lists())
    ... def test(attributes):
    ...     assert wl.ExtendedAttribute.decode_list(wl.ExtendedAttribute.encode_list(attributes)) == attributes
    >>> test()
    """
    return st.lists(extended_attributes(), max_size=max_size)


def _targets() -> st.SearchStrategy[str]:
    component = nt_names(20).filter(lambda name: name.isprintable())
    prefix = st.sampled_from(["", "C:\\", "..\\", "\\", "\\\\server\\share\\", "\\\\?\\"])
    return st.tuples(prefix, st.lists(component, min_size=1, max_size=3)).map(lambda p: p[0] + "\\".join(p[1]))


def _other(tag: int, guid: uuid.UUID, data: bytes) -> wl.ReparsePoint:
    if tag == 0xA000001D:  # a version, then the target
        data = struct.pack("<I", 2) + data.replace(b"\0", b"x")
    head = struct.pack("<IHH", tag, len(data), 0)
    return wl.ReparsePoint(head + (b"" if tag & 0x80000000 else guid.bytes_le) + data)


@cache
def reparse_points(*, links_only: bool = False) -> st.SearchStrategy[wl.ReparsePoint]:
    """A well-formed reparse buffer: symlinks and junctions in both layouts; unless `links_only`, any other tag too.

    >>> from hypothesis import given, settings
    >>> import winlayers as wl
    >>> @settings(max_examples=5, deadline=None)
    ... @given(reparse_points(links_only=True))
    ... def test(point):
    ...     assert point.kind in ('symlink', 'junction')
    >>> test()
    """
    layout = st.sampled_from(["windows", "go-winio"])
    symlink = st.builds(lambda target, layout: wl.ReparsePoint.symlink(target, layout=layout), _targets(), layout)
    named = st.builds(
        lambda target, other, relative: wl.ReparsePoint.symlink(target, substitute_name=other, relative=relative),
        _targets(), _targets(), st.booleans(),
    )  # fmt: skip
    junction = st.builds(
        lambda target, layout: wl.ReparsePoint.junction(target, layout=layout),
        _targets().map(lambda target: "C:\\" + target.lstrip("\\?.")), layout,
    )  # fmt: skip
    if links_only:
        return st.one_of(symlink, named, junction)
    other = st.builds(_other, st.sampled_from(_TAGS), st.uuids(), st.binary(max_size=40))
    return st.one_of(symlink, named, junction, other)


@cache
def streams() -> st.SearchStrategy[wl.Stream]:
    """A named stream as an entry tells of it: name and size.

    >>> from hypothesis import given, settings
    >>> import winlayers as wl
    >>> @settings(max_examples=5, deadline=None)
    ... @given(streams())
    ... def test(stream):
    ...     assert stream.size >= 0
    >>> test()
    """
    return st.builds(wl.Stream, stream_names(), st.integers(0, 2**40))


@cache
def stream_headers(max_data: int = 64) -> st.SearchStrategy[wl.StreamHeader]:
    """The header of one stream of a backup stream, of any id, with up to `max_data` bytes of data behind it.

    A sparse block's `size` counts the eight bytes of its offset.

    >>> from hypothesis import given, settings
    >>> import winlayers as wl
    >>> @settings(max_examples=5, deadline=None)
    ... @given(stream_headers())
    ... def test(header):
    ...     assert header.sparse_offset is None or header.id == 9
    >>> test()
    """

    def make(id: int, attributes: int, size: int, name: str, offset: int) -> wl.StreamHeader:
        if id == 9:
            return wl.StreamHeader(id, attributes, size + 8, name, offset)
        return wl.StreamHeader(id, attributes, size, name)

    ids = st.sampled_from([1, 2, 3, 4, 7, 8, 9]) | st.integers(0, 12) | st.integers(0, 2**32 - 1)
    attributes = st.sampled_from([0, 0, 8, 2]) | st.integers(0, 2**32 - 1)
    units = st.text(st.characters(blacklist_categories=[]), max_size=5)
    name = st.one_of(st.just(""), st.just(""), stream_names().map(lambda name: f":{name}:$DATA"), units)
    return st.builds(make, ids, attributes, st.integers(0, max_data), name, st.integers(0, 300))
