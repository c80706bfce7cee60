"""Input that was made to hurt: an error with its place, in linear time and bounded memory, and never a panic."""

import contextlib
import gzip
import io
import random
import subprocess
import sys
from collections.abc import Callable

import pytest

import winlayers as wl
from builders import Trickle, base256, header, member, octal, pad, pax, records, tar
from winlayers.testing import wire


def read(source: object, limits: wl.Limits | None = None, *, streams: bool = False) -> int:
    """Read all there is, as data or as backup streams, and give how many bytes that was."""
    total = 0
    with wl.LayerReader(source, limits=limits) as reader:  # type: ignore[arg-type]
        for entry in reader:
            files = [entry.backup_stream()] if streams else (file for _, _, file in entry.parts())
            for file in files:
                while chunk := file.read(1 << 16):
                    total += len(chunk)
    return total


def sparse_1_0(ranges: list[tuple[int, int]], size: int, data: bytes) -> bytes:
    numbers = [len(ranges), *(number for pair in ranges for number in pair)]
    keys: dict[str, str | bytes] = {
        "GNU.sparse.major": "1",
        "GNU.sparse.minor": "0",
        "GNU.sparse.name": "Files/a",
        "GNU.sparse.realsize": str(size),
    }
    return member("Files/a", pad("".join(f"{number}\n" for number in numbers).encode()) + data, pax=keys)


HOSTILE: dict[str, tuple[bytes, str]] = {
    "a size past the end": (header(size=10**9), "bad_tar"),
    "a negative size": (header(size=base256(-1, 12)), "bad_tar"),
    "a size of 2^62": (header(size=base256(2**62, 12)), "limit_member_bytes"),
    "a checksum that lies": (header(checksum=b"000000\0 "), "bad_tar"),
    "random bytes": (random.Random(1).randbytes(5120), "bad_tar"),
    "a PAX record that is longer than its header": (pax(b"99 a=b\n"), "bad_tar"),
    "a PAX record without end": (pax(b"6 a=bc\n"), "bad_tar"),
    "a PAX length of 20 digits": (pax(b"18446744073709551617 a=b\n"), "bad_tar"),
    "a PAX header of 2 MiB": (header(size=2 << 20, type="x") + bytes(2 << 20), "limit_pax_body"),
    "a long name of 2 MiB": (header(size=2 << 20, type="L") + bytes(2 << 20), "limit_pax_body"),
    "a run of PAX headers": (pax([("a", "b" * 900_000)]) * 6, "limit_pax_body"),
    "global headers that pile up": (pax([("a", "b" * 9_000)], "g") * 3, "limit_pax_body"),
    "sparse ranges that overlap": (sparse_1_0([(0, 5), (4, 5)], 20, bytes(10)), "bad_tar"),
    "sparse ranges past the end": (sparse_1_0([(15, 10)], 20, bytes(10)), "bad_tar"),
    "a sparse range at 2^62": (sparse_1_0([(2**62, 10)], 20, bytes(10)), "bad_tar"),
    "a sparse range that wraps": (sparse_1_0([(2**63 - 1, 2**63 - 1)], 20, b""), "bad_tar"),
    "a sparse file of 2^62 bytes": (sparse_1_0([], 2**62, b""), "limit_member_bytes"),
    "a sparse map that claims 2^60 ranges": (
        member("Files/a", pad(b"1152921504606846976\n"), pax={"GNU.sparse.major": "1", "GNU.sparse.minor": "0"}),
        "limit_sparse_ranges",
    ),
    "ranges without their data": (sparse_1_0([(0, 600)], 600, b"x"), "bad_tar"),
    "a name that escapes": (member("Files/../../etc/passwd"), "name_escapes"),
    "an absolute name": (member("/etc/passwd"), "name_escapes"),
    "a drive": (member("C:/Windows"), "name_escapes"),
    "a backslash": (member("Files\\a"), "name_backslash"),
    "a stream without its file": (member("Files/a:s", b"x"), "name_colon"),
    "a device": (member("Files/a", type="3"), "member_type"),
    "a path of 40,000": (member(pax={"path": "a/" * 20_000}), "limit_path"),
    "a component of 256": (member(pax={"path": "Files/" + "a" * 256}), "limit_component"),
    "a whiteout with data": (member("Files/.wh.a", b"x"), "bad_layer_tar"),
    "a whiteout of nothing": (member("Files/.wh."), "bad_layer_tar"),
    "attributes that are no number": (member(pax={"MSWINDOWS.fileattr": "0x20"}), "bad_layer_tar"),
    "a descriptor that is no base64": (member(pax={"MSWINDOWS.rawsd": "!"}), "bad_layer_tar"),
    "a descriptor that is too long": (member(pax={"MSWINDOWS.rawsd": "A" * 100_000}), "limit_security_descriptor"),
    "a time beyond all calendars": (member(pax={"mtime": "9223372036854775807"}), "bad_layer_tar"),
    "extended attributes of 100 KiB": (
        member(pax={f"MSWINDOWS.xattr.{i}": "A" * 40_000 for i in range(3)}),
        "limit_extended_attributes",
    ),
    "a reparse buffer of 100 KiB": (
        member(pax={"WINLAYERS.reparse": "A" * 100_000}),
        "limit_reparse_point",
    ),
    "one record for many streams": (
        member(pax={"MSWINDOWS.rawsd": "A" * 80_000, "WINLAYERS.streams": ";".join(["3,0,,sd"] * 100_000)}),
        "bad_layer_tar",
    ),
    "streams in members that are not there": (member(pax={"WINLAYERS.streams": "4,0,,member,7,1"}), "bad_layer_tar"),
    "a gzip stream that ends": (gzip.compress(tar(member()))[:-12], "bad_gzip"),
    "a zstd stream of noise": (b"\x28\xb5\x2f\xfd" + b"\xff" * 64, "bad_zstd"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_input_is_refused_with_its_code(name: str) -> None:
    data, code = HOSTILE[name]
    for source in (data, Trickle(data, most=5000), bytearray(data), gzip.compress(data)):
        if name.startswith(("a gzip", "a zstd")) and not isinstance(source, bytes | bytearray):
            continue
        if isinstance(source, bytes) and source is not data and code in {"bad_gzip", "bad_zstd"}:
            continue
        with pytest.raises(wl.WinLayersError) as raised:
            read(source, streams=name.startswith("streams in"))
        assert raised.value.code == code, raised.value
        if isinstance(raised.value, wl.FormatError) and code == "bad_tar":
            assert raised.value.offset is not None
            assert raised.value.expected
            assert raised.value.found


@pytest.mark.parametrize("seed", range(40))
def test_random_headers(seed: int) -> None:
    noise = random.Random(seed)
    block = bytearray(header())
    for _ in range(20):
        block[noise.randrange(512)] = noise.randrange(256)
    block[148:156] = b" " * 8
    block[148:156] = octal(sum(block), 7) + b" "
    with contextlib.suppress(wl.WinLayersError):
        read(bytes(block) + noise.randbytes(2048), wl.Limits(member_bytes=1 << 20))


def test_a_bomb_ends_at_its_limit() -> None:
    layer = tar(member(size=64 << 20, data=b"")[:512], end=False) + bytes(64 << 20) + bytes(1024)
    bomb = gzip.compress(layer, 9)
    assert len(bomb) < 100_000
    with pytest.raises(wl.LimitExceededError) as raised:
        read(bomb, wl.Limits(member_bytes=1 << 20))
    assert raised.value.limit == "member_bytes"
    many = gzip.compress(member("Files/a", bytes(1 << 16)) * 200, 9)
    with pytest.raises(wl.LimitExceededError) as raised:
        read(many, wl.Limits(total_bytes=1 << 20))
    assert (raised.value.limit, raised.value.max) == ("total_bytes", 1 << 20)


def test_entries_end_at_their_limit() -> None:
    with pytest.raises(wl.LimitExceededError) as raised:
        read(member() * 101, wl.Limits(entries=100))
    assert (raised.value.code, raised.value.size, raised.value.max) == ("limit_entries", 101, 100)


def test_streams_end_at_their_limit() -> None:
    layer = tar(member(), *(member(f"Files/a:{i}") for i in range(11)))
    for source in (layer, Trickle(layer)):
        with pytest.raises(wl.LimitExceededError) as raised:
            read(source, wl.Limits(streams=10))
        assert raised.value.code == "limit_streams"


EA = wl.ExtendedAttribute
LISTS = {
    "loops": b"\0\0\0\0" + b"\0\1\0\0A\0" + bytes(2),
    "goes back": b"\xfc\xff\xff\xff" + b"\0\1\0\0A\0" + bytes(2),
    "reaches past the end": b"\0\0\0\0" + b"\0\1\xff\0A\0",
    "has a name past the end": b"\0\0\0\0" + b"\0\xff\0\0A\0",
}


@pytest.mark.parametrize("name", [name for name in LISTS if name != "loops"])
def test_a_list_of_attributes_that_lies(name: str) -> None:
    with pytest.raises(wl.FormatError) as raised:
        EA.decode_list(LISTS[name])
    assert raised.value.code == "bad_extended_attributes"


def test_a_list_of_attributes_that_loops() -> None:
    with pytest.raises(wl.FormatError):
        EA.decode_list(LISTS["loops"], on_disk=True)


def test_an_acl_that_is_longer_than_its_descriptor() -> None:
    raw = bytearray(bytes(wl.SecurityDescriptor.from_sddl("D:(A;;FA;;;BA)")))
    acl = int.from_bytes(raw[16:20], "little")
    raw[acl + 2 : acl + 4] = b"\xff\xff"
    with pytest.raises(wl.FormatError) as raised:
        _ = wl.SecurityDescriptor(bytes(raw)).dacl
    assert raised.value.code == "bad_security_descriptor"
    assert raised.value.offset is not None


STREAMS: dict[str, bytes] = {
    "a header that ends": b"\1\0\0\0",
    "a size past the end": (1).to_bytes(4, "little") + bytes(4) + (2**62).to_bytes(8, "little") + bytes(4),
    "a negative size": (1).to_bytes(4, "little") + bytes(4) + b"\xff" * 8 + bytes(4),
    "half a unit of name": (4).to_bytes(4, "little") + bytes(12) + (3).to_bytes(4, "little") + b"abc",
    "a block without offset": (9).to_bytes(4, "little") + bytes(4) + (7).to_bytes(8, "little") + bytes(11),
}


@pytest.mark.parametrize("name", STREAMS)
@pytest.mark.parametrize("dialect", ["go-winio", "lossless"])
def test_a_backup_stream_that_lies(name: str, dialect: str) -> None:
    stream = STREAMS[name]
    with pytest.raises(wl.FormatError) as raised:
        [header.read() for header in wl.BackupStreamReader(stream)]
    assert raised.value.code == "bad_backup_stream"
    assert raised.value.offset is not None
    for source in (stream, Trickle(stream), io.BytesIO(stream)):
        writer = wl.LayerWriter(io.BytesIO(), dialect=dialect)
        with pytest.raises(wl.WinLayersError) as raised_here:
            writer.add_backup_stream("Files/a", wl.BasicInfo(), source)
        assert raised_here.value.code in {"bad_backup_stream", "limit_member_bytes"}


def test_sparse_blocks_that_claim_all() -> None:
    stream = wire([(wl.StreamHeader(1, 8), b""), (wl.StreamHeader(9, 8, 8, "", 2**62), b"")])
    for dialect in ("go-winio", "lossless"):
        writer = wl.LayerWriter(io.BytesIO(), dialect=dialect)
        with pytest.raises(wl.LimitExceededError) as raised:
            writer.add_backup_stream("Files/a", wl.BasicInfo(), stream)
        assert raised.value.code == "limit_member_bytes"


MEMORY = """
import gzip, resource, sys
sys.path[:0] = {paths!r}
from test_hostile import read, sparse_1_0
from builders import member, tar, pax
import winlayers as wl
layer = {make}
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    read(layer)
except wl.WinLayersError:
    pass
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""

BOMBS = {
    "a sparse file of holes": "tar(sparse_1_0([], 1 << 26, b''))",
    "a descriptor told for many streams": (
        "member(pax={'MSWINDOWS.rawsd': 'A' * 80_000, 'WINLAYERS.streams': ';'.join(['3,0,,sd'] * 100_000)})"
    ),
    "many entries": "gzip.compress(member() * 6_000, 1)",
    "a member of zeros": "gzip.compress(member(size=1 << 26) + bytes(1 << 26), 1)",
}


@pytest.mark.host
@pytest.mark.parametrize("name", BOMBS)
def test_memory_stays_flat(name: str) -> None:
    """In a process of its own: what reading adds to the peak. The bound is far under what the bombs ask for."""
    paths = [path for path in sys.path if path]
    script = MEMORY.format(paths=paths, make=BOMBS[name])
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 32 << 10  # KiB


def _sparse_ranges(n: int) -> bytes:
    return tar(sparse_1_0([(2 * i, 1) for i in range(n)], 2 * n, b"x" * n))


MANY: dict[str, Callable[[], bytes]] = {
    "ranges of a sparse file": lambda: _sparse_ranges(60_000),
    "ranges without data": lambda: tar(sparse_1_0([(1 << 26, 0)] * 200_000, 1 << 26, b"")),
    "records": lambda: tar(member(pax={f"k{i}": "v" for i in range(20_000)})),
    "entries": lambda: tar(*(member(f"Files/{i}") for i in range(8_000))),
}


@pytest.mark.parametrize("name", MANY)
def test_many_of_them_are_read(name: str) -> None:
    """Quadratic work on any of these would take hours; that it ends is the test."""
    layer = MANY[name]()
    assert read(layer) == read(Trickle(layer, most=1 << 20))


def test_deep_paths() -> None:
    deep = "/".join(["d"] * 16_000)
    (entry,) = wl.LayerReader(tar(member(pax={"path": deep})))
    assert entry.name == deep


def test_records_that_are_no_windows_records_are_passed_over() -> None:
    body = records([("comment", "x" * 500_000), ("path", "Files/b")])
    (entry,) = wl.LayerReader(tar(pax(body), member("Files/a")))
    assert entry.name == "Files/b"
