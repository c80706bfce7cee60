"""What the commands print: JSON lines for programs, escaped text for people, and bytes."""

import base64
import json
import sys
from typing import IO, Any

# Too small, and the work is all calls; larger is no faster.
CHUNK = 1 << 18


def escape(text: str) -> str:
    r"""Spell out everything that could move a cursor, hide, or turn a line around.

    >>> escape("a\x1b[31m\u202etxt.exe \ud800")
    'a\\x1b[31m\\u202etxt.exe \\ud800'
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def line(text: str) -> None:
    """Print a line for people, which must be escaped already."""
    sys.stdout.write(text + "\n")


def json_line(value: dict[str, Any]) -> None:
    """Print an object on a line."""
    sys.stdout.write(as_json_text(value) + "\n")


def as_json_text(value: Any) -> str:
    """Give JSON in ASCII, so that neither an encoding nor a terminal can hurt it."""
    return json.dumps(value, separators=(", ", ": "))


def json_name(key: str, raw: bytes) -> dict[str, str]:
    r"""Give the fields for a name: its text, and its bytes in base64 where they are not UTF-8.

    >>> json_name("path", b"a"), json_name("path", b"\xff")
    ({'path': 'a'}, {'path': '\udcff', 'raw_path': '/w=='})
    """
    try:
        return {key: raw.decode()}
    except UnicodeDecodeError:
        return {key: decode_name(raw), f"raw_{key}": base64.b64encode(raw).decode()}


def decode_name(raw: bytes) -> str:
    """Give the text of a raw name: WTF-8, else each odd byte as a surrogate."""
    try:
        return raw.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return raw.decode("utf-8", "surrogateescape")


def encode_name(text: str) -> bytes:
    r"""Give the bytes that `decode_name` read.

    >>> encode_name("\ud800"), encode_name("\udcff")
    (b'\xed\xa0\x80', b'\xff')
    """
    odd_bytes = any("\udc80" <= c <= "\udcff" for c in text)
    return text.encode("utf-8", "surrogateescape" if odd_bytes else "surrogatepass")


def stdout_bytes() -> IO[bytes]:
    """Give standard output for bytes."""
    sys.stdout.flush()
    return sys.stdout.buffer


def stdin_bytes() -> IO[bytes]:
    """Give standard input for bytes, unbuffered where it can be: the library reads large pieces."""
    return getattr(sys.stdin.buffer, "raw", sys.stdin.buffer)


def source(path: str) -> Any:
    """Give what the library reads a layer from: a path, or standard input for `-`."""
    return stdin_bytes() if path == "-" else path


def sink(path: str) -> Any:
    """Give what the library writes to: a path, or standard output for `-`."""
    return stdout_bytes() if path == "-" else path


def size_text(size: int) -> str:
    """Give a number of bytes as people read it.

    >>> size_text(999), size_text(10_240), size_text(3 << 30)
    ('999 B', '10.0 KiB', '3.0 GiB')
    """
    if size < 1000:
        return f"{size} B"
    value, units = size / 1024, ["KiB", "MiB", "GiB", "TiB"]
    while value >= 1000 and len(units) > 1:
        value /= 1024
        units.pop(0)
    return f"{value:.1f} {units[0]}"
