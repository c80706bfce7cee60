"""Tar archives in a few readable lines: `tar(member("Files", type="5"), member("Files/a", b"hi"))`."""

import io
import random
import struct
from typing import Any

BLOCK = 512


def pad(data: bytes) -> bytes:
    return data + bytes(-len(data) % BLOCK)


def octal(value: int, width: int) -> bytes:
    return b"%0*o\0" % (width - 1, value)


def base256(value: int, width: int) -> bytes:
    return int(value % 256**width | 0x80 << 8 * (width - 1)).to_bytes(width, "big")


def records(pairs: dict[str, str | bytes] | list[tuple[str, str | bytes]]) -> bytes:
    """The body of a PAX header."""
    out = b""
    for key, value in pairs.items() if isinstance(pairs, dict) else pairs:
        text = b" " + key.encode() + b"=" + (value.encode() if isinstance(value, str) else value) + b"\n"
        length = len(text) + 1
        while len(str(length)) + len(text) != length:
            length += 1
        out += str(length).encode() + text
    return out


def header(
    name: str | bytes = "Files/a",
    *,
    size: int | bytes = 0,
    type: str = "0",
    link: str | bytes = b"",
    mode: int = 0o644,
    mtime: int | bytes = 0,
    magic: bytes = b"ustar\0" + b"00",
    prefix: bytes = b"",
    signed: bool = False,
    checksum: bytes | None = None,
    tail: bytes | None = None,
) -> bytes:
    """One header block; `bytes` stand as they are, `tail` is everything behind the devices."""
    raw = [part.encode() if isinstance(part, str) else part for part in (name, link)]
    fields = [
        raw[0].ljust(100, b"\0"),
        octal(mode, 8) + octal(0, 8) + octal(0, 8),
        size.ljust(12, b"\0") if isinstance(size, bytes) else octal(size, 12),
        mtime.ljust(12, b"\0") if isinstance(mtime, bytes) else octal(mtime, 12),
        b" " * 8,
        type.encode("latin-1"),
        raw[1].ljust(100, b"\0"),
        magic + bytes(64) + bytes(16),
        tail if tail is not None else prefix,
    ]
    block = b"".join(fields).ljust(BLOCK, b"\0")
    assert len(block) == BLOCK
    total = sum(struct.unpack("512b", block)) if signed else sum(block)
    return block[:148] + (checksum if checksum is not None else b"%06o\0 " % total) + block[156:]


def pax(pairs: dict[str, str | bytes] | list[tuple[str, str | bytes]] | bytes, type: str = "x") -> bytes:
    body = pairs if isinstance(pairs, bytes) else records(pairs)
    return header("PaxHeaders.0/a", size=len(body), type=type) + pad(body)


def member(
    name: str | bytes = "Files/a", data: bytes = b"", *, pax: dict[str, str | bytes] | None = None, **fields: Any
) -> bytes:
    """A header with its data, behind a PAX header where records are given."""
    front = globals()["pax"](pax) if pax else b""
    fields.setdefault("size", len(data))
    return bytes(front + header(name, **fields) + pad(data))


def tar(*members: bytes, end: bool = True) -> bytes:
    return b"".join(members) + (bytes(2 * BLOCK) if end else b"")


class Trickle(io.RawIOBase):
    """A file that gives random short reads: seekable or not."""

    def __init__(self, data: bytes, *, seed: int = 0, seekable: bool = False, most: int = 700) -> None:
        self._inner, self._random, self._seekable, self._most = io.BytesIO(data), random.Random(seed), seekable, most

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return self._seekable

    def read(self, size: int = -1) -> bytes:
        return self._inner.read(min(self._random.randint(1, self._most), size if size >= 0 else self._most))

    def seek(self, offset: int, whence: int = 0) -> int:
        if not self._seekable:
            raise io.UnsupportedOperation("seek")
        return self._inner.seek(offset, whence)

    def tell(self) -> int:
        return self._inner.tell()
