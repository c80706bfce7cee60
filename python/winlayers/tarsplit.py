"""tar-split: a tar taken apart into the data of its members and small metadata, and put together again to the bit.

The metadata is what Docker keeps beside its layers as `tar-split.json.gz`, line for line what the Go tool writes, and
either tool puts together what the other took apart. What the Go tool refuses or gets wrong (names that occur twice or
leave the directory, sparse files) goes into the metadata, data and all: `TarSummary.apart` says so.

>>> import io
>>> import winlayers as wl
>>> tar = io.BytesIO()
>>> with wl.LayerWriter(tar) as writer:
...     writer.add(wl.Entry("Files", kind="directory"))
...     writer.add(wl.Entry("Files/hello.txt"), b"hello")
>>> metadata, content = io.BytesIO(), {}
>>> wl.tarsplit.disassemble(tar.getvalue(), metadata, content).files
2
>>> content
{'Files/hello.txt': b'hello'}
>>> again = io.BytesIO()
>>> wl.tarsplit.assemble(metadata.getvalue(), content, again).size == len(tar.getvalue())
True
>>> again.getvalue() == tar.getvalue()
True
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, BinaryIO, TypeAlias

from winlayers import _native

if TYPE_CHECKING:
    from winlayers._native import DiffGetter, Limits, _Sink, _Source

__all__ = ["ApartMember", "TarSummary", "assemble", "disassemble"]

_Directory: TypeAlias = str | os.PathLike[str]
_Progress: TypeAlias = Callable[[int, int | None], object]


@dataclass(frozen=True, slots=True)
class ApartMember:
    """A member whose data went into the metadata, and why.

    `reason`: "duplicate_name", a member before it has the same name; "unsafe_name", the name is no path inside a
    directory; "sparse", it is a sparse file with holes; "content", the place for content declined the name.

    >>> from winlayers.tarsplit import ApartMember
    >>> ApartMember("../up", b"../up", "unsafe_name", 5).reason
    'unsafe_name'
    """

    name: str
    raw_name: bytes
    reason: str
    size: int


@dataclass(frozen=True, slots=True)
class TarSummary:
    """What was taken apart or put together.

    `size`: bytes of the archive. `files` and `segments`: lines of the metadata for members and for other bytes. `data`:
    bytes of members that are not in the metadata. `apart`: the members whose data is in the metadata, the first 10,000
    of them; `apart_totals`: how many there are for each reason. Only disassembly knows those two.

    >>> import io
    >>> import winlayers as wl
    >>> wl.tarsplit.disassemble(bytes(1024), io.BytesIO())
    TarSummary(size=1024, files=0, segments=1, data=0, apart=(), apart_totals={})
    """

    size: int
    files: int
    segments: int
    data: int
    apart: tuple[ApartMember, ...] = ()
    apart_totals: Mapping[str, int] = field(default_factory=dict, hash=False)


def disassemble(
    source: _Source,
    metadata: _Sink,
    content: _Directory | MutableMapping[str, bytes] | Callable[[str], BinaryIO | None] | None = None,
    *,
    limits: Limits | None = None,
    progress: _Progress | None = None,
) -> TarSummary:
    """Take a tar apart.

    Args:
        source: the tar: a path, bytes or a binary file. Where it is gzip or zstd, the uncompressed tar is taken apart.
        metadata: where its metadata goes: a path, and gzip when that ends in ".gz", or a binary file.
        content: where the data of members goes: a directory, which is made (an empty one is replaced); a mapping, which
            gets the bytes of each member under its name; or a callable that is given a name and returns a binary file
            to write, which is then closed, or None to have the data in the metadata. None: nowhere.
        limits: bounds on the source.
        progress: called with the bytes that are done and, where known, with how many there are.

    Raises:
        FormatError, LimitExceededError: the source is malformed, or more than the limits allow.
        RefusedError: there is something at `content` already.
        OSError: the system says no.

    A path of `metadata` and a directory of `content` appear when all went well, and not before.

    >>> import io
    >>> import winlayers as wl
    >>> sink = io.BytesIO()
    >>> wl.tarsplit.disassemble(bytes(1024), sink).segments
    1
    >>> sink.getvalue()[:40]
    b'{"type":2,"payload":"AAAAAAAAAAAAAAAAAAA'
    """
    return _summary(_native.tarsplit_disassemble(source, metadata, content, limits=limits, progress=progress))


def assemble(
    metadata: _Source,
    content: _Directory | Mapping[str, Any] | Mapping[bytes, Any] | Callable[[str], BinaryIO] | DiffGetter,
    sink: _Sink,
    *,
    limits: Limits | None = None,
    progress: _Progress | None = None,
) -> TarSummary:
    """Put a tar together again.

    Args:
        metadata: what `disassemble` or the Go tool wrote: a path, bytes or a binary file; gzip is recognised.
        content: where the data of members is: a directory, which no name and no link leaves; a mapping from names (str
            or bytes) to bytes or binary files; a callable that is given a name and returns a binary file, which is then
            closed; or an object with such a method `open`.
        sink: where the tar goes: a path or a binary file; a path appears when all went well, and not before.
        limits: bounds on the metadata and on the tar.
        progress: called with the bytes that are done, and None.

    Raises:
        FormatError: the metadata is malformed; `offset` is that of the line.
        IntegrityError: the data of a member has another size or checksum; `what` is its name.
        LimitExceededError: more than the limits allow.
        KeyError, OSError, RefusedError: `content` does not have a member, or what it has is no regular file.

    >>> import io
    >>> import winlayers as wl
    >>> sink = io.BytesIO()
    >>> wl.tarsplit.assemble(b'{"type":2,"payload":"d2lu","position":0}', {}, sink).size
    3
    >>> sink.getvalue()
    b'win'
    """
    return _summary(_native.tarsplit_assemble(metadata, content, sink, limits=limits, progress=progress))


def _summary(fields: tuple[int, int, int, int, list[tuple[str, bytes, str, int]], dict[str, int]]) -> TarSummary:
    size, files, segments, data, apart, totals = fields
    return TarSummary(size, files, segments, data, tuple(ApartMember(*member) for member in apart), totals)
