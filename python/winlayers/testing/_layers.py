"""Entries with their data, whole layers, and the tars of them."""

import io
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from hypothesis import strategies as st

import winlayers as wl
from winlayers.testing._names import member_names, nt_names, stream_names
from winlayers.testing._security import security_descriptors
from winlayers.testing._values import basic_infos, extended_attribute_lists, reparse_points

__all__ = ["LayerItem", "entries", "layer_items", "layer_tars", "layers", "write_layer"]

_Dialect = Literal["go-winio", "lossless"]
_KINDS = ("file", "directory", "symlink", "junction", "reparse", "hard_link", "whiteout")

# Built once: a strategy that is built for each draw costs more than the draw.
_COMPONENT = nt_names().filter(lambda name: not name.startswith(".wh."))
_TWO_NAMES = st.lists(stream_names(), max_size=2, unique=True)
_WHITED_OUT = nt_names(251)
# The key of a PAX record holds no equals sign, and go-winio has no other place for the name.
_CARRIED = extended_attribute_lists(2).filter(lambda attributes: all(b"=" not in a.raw_name for a in attributes))
_SECURITY = st.none() | security_descriptors()


@dataclass(frozen=True)
class LayerItem:
    """An entry with all that belongs to it: what `LayerWriter.add` takes.

    >>> LayerItem(wl.Entry("Files/a", size=2), b"hi").entry.size
    2
    """

    entry: wl.Entry
    """The entry; its `size` and `streams` are those of the data."""
    data: bytes | None = None
    """The unnamed data; None where the entry has none."""
    streams: tuple[tuple[bytes, bytes], ...] = ()
    """The named streams: raw name and data."""


def entries(kind: str | None = None, *, dialect: _Dialect = "lossless") -> st.SearchStrategy[wl.Entry]:
    """An entry of a kind, or of any; built, so without a reader: `layer_items` gives data to it.

    >>> from hypothesis import given, settings
    >>> import winlayers as wl
    >>> @settings(max_examples=5, deadline=None)
    ... @given(entries('whiteout'))
    ... def test(entry):
    ...     assert '/.wh.' in entry.name
    >>> test()
    """
    return layer_items(kind, dialect=dialect).map(lambda item: item.entry)


@st.composite
def layer_items(
    draw: st.DrawFn, kind: str | None = None, *, name: str | None = None, dialect: _Dialect = "lossless"
) -> LayerItem:
    """Draw an entry with its data, such that a writer of the dialect takes it.

    In the lossless dialect a reader gives it back as it is. In go-winio `losses` say what is not kept, unless there
    are none; reparse points that are no links are refused there, and so not generated.

    >>> from hypothesis import given, settings
    >>> import winlayers as wl
    >>> @settings(max_examples=5, deadline=None)
    ... @given(layer_items('file'))
    ... def test(item):
    ...     assert item.entry.size == len(item.data)
    >>> test()
    """
    if kind is None:
        kind = draw(st.sampled_from([k for k in _KINDS if k != "reparse" or dialect == "lossless"]))
    if name is None:
        name = draw(member_names())
    if kind == "whiteout":
        parent = name.rpartition("/")[0] or "Files"
        return LayerItem(wl.Entry(f"{parent}/.wh.{draw(_WHITED_OUT)}", kind="whiteout"))
    info = draw(basic_infos(modern=draw(st.booleans())))
    if kind == "hard_link":
        return LayerItem(wl.Entry(name, kind="hard_link", basic_info=info, link_name=draw(member_names())))
    return draw(_with_streams(name, kind, info, dialect))


@st.composite
def _with_streams(draw: st.DrawFn, name: str, kind: str, info: wl.BasicInfo, dialect: _Dialect) -> LayerItem:
    fields: dict[str, Any] = {"kind": kind, "basic_info": info}
    fields["security_descriptor"] = draw(_SECURITY)
    fields["extended_attributes"] = draw(_CARRIED if dialect == "go-winio" else extended_attribute_lists(2))
    if draw(st.integers(0, 9)) == 0:
        fields["object_id"] = draw(st.binary(min_size=16, max_size=64))
    data: bytes | None = None
    if kind == "file":
        data = draw(st.binary(max_size=80))
        if draw(st.integers(0, 3)) == 0:
            data, fields["sparse_ranges"] = draw(_sparse(data))
        fields["size"] = len(data)
    elif kind != "directory":
        point = draw(_points(kind))
        fields["reparse_point"] = point
        fields["link_name"] = _link_name(point)
        if kind == "reparse" and fields["link_name"] is None and draw(st.booleans()):
            data = draw(st.binary(min_size=1, max_size=40))
            fields["size"] = len(data)
    names = [raw_name.encode("utf-8", "surrogatepass") for raw_name in draw(_TWO_NAMES)]
    streams = tuple((stream, draw(st.binary(max_size=40))) for stream in names)
    fields["streams"] = [wl.Stream(stream, len(content)) for stream, content in streams]
    return LayerItem(wl.Entry(name, **fields), data, streams)


@cache
def _points(kind: str) -> st.SearchStrategy[wl.ReparsePoint]:
    return reparse_points(links_only=kind != "reparse").filter(lambda point: point.kind == kind)


def _link_name(point: wl.ReparsePoint) -> bytes | None:
    """What the tar has as link name for a reparse point, or None where it is no link."""
    if point.kind in {"symlink", "junction"}:
        units = (point.print_name or "").encode("utf-16-le", "surrogatepass")
        return units.decode("utf-16-le", "replace").encode()
    return point.data[4:] if point.tag == 0xA000001D else None


@st.composite
def _sparse(draw: st.DrawFn, content: bytes) -> tuple[bytes, list[tuple[int, int]]]:
    """Ranges that hold data, zeros everywhere else, and maybe a hole at the end."""
    cuts = draw(st.lists(st.integers(0, len(content)), max_size=6, unique=True).map(sorted))
    ranges = [(start, end - start) for start, end in zip(cuts[::2], cuts[1::2], strict=False)]
    data = bytearray(len(content) + draw(st.integers(0, 100)))
    for offset, length in ranges:
        data[offset : offset + length] = content[offset : offset + length]
    return bytes(data), ranges


@st.composite
def layers(draw: st.DrawFn, max_size: int = 8, *, dialect: _Dialect = "lossless") -> list[LayerItem]:
    """Draw a whole layer: `Files` first, parents before children, no two names equal without case.

    Hard links lead to files that came before. A whiteout deletes a name that the layer does not have.

    >>> from hypothesis import given, settings
    >>> import winlayers as wl
    >>> @settings(max_examples=5, deadline=None)
    ... @given(layers(3))
    ... def test(items):
    ...     assert items[0].entry.name == 'Files'
    >>> test()
    """
    items = [LayerItem(wl.Entry("Files", kind="directory", basic_info=draw(basic_infos(attributes=0x10))))]
    directories = ["Files"]
    files: list[str] = []
    taken = {"files"}
    for _ in range(draw(st.integers(0, max_size - 1))):
        name = f"{draw(st.sampled_from(directories))}/{draw(_COMPONENT)}"
        if (folded := wl.fold_name(name)) in taken:
            continue
        taken.add(folded)
        kinds = [k for k in _KINDS if (files or k != "hard_link") and (k != "reparse" or dialect == "lossless")]
        kind = draw(st.sampled_from(kinds))
        if kind == "hard_link":
            info = draw(basic_infos(modern=True))
            target = draw(st.sampled_from(files))
            items.append(LayerItem(wl.Entry(name, kind="hard_link", basic_info=info, link_name=target)))
            continue
        items.append(draw(layer_items(kind, name=name, dialect=dialect)))
        if kind == "directory":
            directories.append(name)
        elif kind == "file":
            files.append(name)
    return items


def write_layer(items: Iterable[LayerItem], dialect: _Dialect = "lossless", on_loss: str = "ignore") -> bytes:
    """Write items as a layer tar, and give its bytes.

    >>> tar = write_layer([LayerItem(wl.Entry("Files", kind="directory"))])
    >>> [entry.name for entry in wl.LayerReader(tar)]
    ['Files']
    """
    out = io.BytesIO()
    with wl.LayerWriter(out, dialect=dialect, on_loss=on_loss) as writer:
        for item in items:
            add(writer, item)
    return out.getvalue()


def add(writer: wl.LayerWriter, item: LayerItem) -> None:
    """Add an item to a writer."""
    writer.add(item.entry, item.data, item.streams or None)


def layer_tars(max_size: int = 8, *, dialect: _Dialect | None = None) -> st.SearchStrategy[bytes]:
    """The bytes of a layer's tar, in a dialect or in either.

    >>> from hypothesis import given, settings
    >>> import winlayers as wl
    >>> @settings(max_examples=5, deadline=None)
    ... @given(layer_tars(3))
    ... def test(tar):
    ...     assert next(wl.LayerReader(tar)).kind == 'directory'
    >>> test()
    """
    if dialect is None:
        return st.one_of(layer_tars(max_size, dialect="lossless"), layer_tars(max_size, dialect="go-winio"))
    return layers(max_size, dialect=dialect).map(lambda items: write_layer(items, dialect))
