"""Writes a synthetic base layer in the shape of Microsoft's own: same mix of entries, records and sizes.

A layer of 10,288 entries holds 1,350 directories, 5,164 files (with log-normal sizes, 403 MB in all), 3,774 hard links,
6,513 security descriptors and 981 extended attributes; other sizes keep the mix. File contents come from this
machine's own binaries, mixed so that the whole compresses 2:1, hence the same machine always gets the same bytes.
Everything drawn at random comes from one seeded generator.

    python benches/generate_layer.py layer.tar --tree layer.tree
    python benches/generate_layer.py large.tar --scale 10
    python benches/generate_layer.py small.tar --entries 1000000 --small
"""

from __future__ import annotations

import argparse
import base64
import math
import os
import random
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

# The mix of a real base layer.
ENTRIES, DIRECTORIES, HARD_LINKS, ATTRIBUTED = 10_288, 1_350, 3_774, 981
LAYER_BYTES = 403_000_000
MEDIAN_FILE, SIGMA = 20_000, 1.66
SMALL_MEDIAN_FILE, SMALL_SIGMA = 200, 1.2
SEED = 20_348
POOL_BYTES, CHUNK = 64 << 20, 64 << 10
HIVES = ["DefaultUser_Base", "Sam_Base", "Security_Base", "Software_Base", "System_Base"]
SUFFIXES = ["dll", "exe", "mui", "sys", "dat"]
WORDS = """
audio boot cache client common core crypt data device dhcp dns driver edge event file filter font gate help host image
input kernel language link locale log manager media memory minwin module net object page policy power print provider
proxy query queue rights rpc runtime script search security server service session setup shell sign smart sound source
stack storage system task terminal time trace transport trust update user virtual volume web
""".split()  # noqa: SIM905


@dataclass(slots=True)
class Item:
    """One entry to be written: its name, and what differs from entry to entry."""

    name: str
    kind: str  # "directory" "file" "hard_link"
    size: int = 0
    target: str = ""
    descriptor: str = ""
    attribute: tuple[str, str] | None = None
    ticks: int = 0


def plan(entries: int, scale: float, small: bool) -> list[Item]:
    """All entries of a layer, parents first, hard links after their targets."""
    draw = random.Random(SEED)
    directories = directory_names(max(12, entries * DIRECTORIES // ENTRIES), draw)
    links = entries * HARD_LINKS // ENTRIES
    files = entries - len(directories) - links
    components = [name for name in directories if name.startswith("Files/Windows/WinSxS/")]
    others = [name for name in directories if name.startswith("Files/") and "/WinSxS/" not in name]
    descriptors = [base64.b64encode(raw).decode() for raw in security_descriptors()]

    items = [Item(name, "directory", descriptor=descriptors[draw.randrange(4)]) for name in directories]
    items[0].descriptor = ""  # the root has none: 6,513 of 6,514
    names = [f"Hives/{hive}" for hive in HIVES]
    for number in range(files - len(HIVES)):
        where = draw.choice(components) if draw.random() < 0.2 else draw.choice(others)
        names.append(f"{where}/{draw.choice(WORDS)}{draw.choice(WORDS)}{number}.{draw.choice(SUFFIXES)}")
    for name, size in zip(names, file_sizes(files, entries, scale, small, draw), strict=True):
        items.append(Item(name, "file", size=size, descriptor=draw.choice(descriptors[4:])))
    written = items[len(directories) + len(HIVES) :]
    for number, item in enumerate(draw.sample(written, min(len(written), entries * ATTRIBUTED // ENTRIES))):
        item.attribute = extended_attribute(number, draw)
    linkable = [item.name for item in written if "/WinSxS/" not in item.name]
    for number in range(links):
        target = linkable[number % len(linkable)]
        items.append(
            Item(f"{draw.choice(components)}/{number}-{target.rpartition('/')[2]}", "hard_link", target=target)
        )
    for item in items:
        item.ticks = 132_000_000_000_000_000 + draw.randrange(10**15)
    return sorted(items, key=lambda item: item.name.lower().split("/"))


def directory_names(count: int, draw: random.Random) -> list[str]:
    """Names of directories: system folders, and WinSxS components with their long names."""
    names = ["Files", "Files/Program Files", "Files/ProgramData", "Files/Users", "Files/Users/Default", "Files/Windows"]
    names += ["Files/Windows/System32", "Files/Windows/System32/drivers", "Files/Windows/SysWOW64"]
    names += ["Files/Windows/WinSxS", "Hives"]
    parents = [name for name in names if name.startswith("Files/") and "WinSxS" not in name]
    while len(names) < count:
        if draw.random() < 0.6:
            words = "-".join(draw.choice(WORDS) for _ in range(draw.randrange(2, 6)))
            version = f"31bf3856ad364e35_10.0.20348.{draw.randrange(1, 3000)}"
            name = f"Files/Windows/WinSxS/amd64_microsoft-windows-{words}_{version}_none_{draw.randrange(16**16):016x}"
        else:
            name = f"{draw.choice(parents)}/{draw.choice(WORDS)}{len(names)}"
            if name.count("/") < 8:
                parents.append(name)
        names.append(name)
    return names


def file_sizes(files: int, entries: int, scale: float, small: bool, draw: random.Random) -> list[int]:
    """Log-normal sizes; for the large kind, stretched so that the tar has the bytes it should."""
    median, sigma = (SMALL_MEDIAN_FILE, SMALL_SIGMA) if small else (MEDIAN_FILE, SIGMA)
    sizes = [int(draw.lognormvariate(math.log(median), sigma)) for _ in range(files)]
    if small:
        return [max(1, size) for size in sizes]
    framing = entries * 1_610 + files * 256
    wanted = LAYER_BYTES * scale * entries / ENTRIES - framing
    stretch = wanted / sum(sizes)
    return [max(1, int(size * stretch)) for size in sizes]


def extended_attribute(number: int, draw: random.Random) -> tuple[str, str]:
    """One of the two attributes that the system leaves on its files; never both, as Go's order of two is random."""
    if number % 2:
        catalog = (
            f"Microsoft-Windows-{draw.choice(WORDS)}-Package~31bf3856ad364e35~amd64~~10.0.20348.{number}.cat".encode()
        )
        return "$CI.CATALOGHINT", base64.b64encode(struct.pack("<HH", 1, len(catalog)) + catalog).decode()
    return "$KERNEL.PURGE.ESBCACHE", base64.b64encode(draw.randbytes(draw.randrange(90, 220))).decode()


def security_descriptors() -> list[bytes]:
    """Self-relative descriptors: four for directories, then six for files."""
    administrators, system, users, everyone = sid(5, 32, 544), sid(5, 18), sid(5, 32, 545), sid(1, 0)
    owner, packages = sid(3, 0), sid(15, 2, 1)
    installer = sid(5, 80, 956008885, 3418522649, 1831038044, 1853292631, 2271478464)
    full, read, generic = 0x1F01FF, 0x1200A9, 0x10000000
    inherited = [(0x0B, generic, owner), (0x03, read, users)]
    directories = [
        [(0x03, full, administrators), (0x03, full, system), (0, full, administrators), *inherited, (2, 4, users)],
        [(0x00, full, installer), (0x0A, generic, installer), (0x03, full, system), (0x03, read, users)],
        [(0x03, full, administrators), (0x03, full, system), (0x03, read, packages)],
        [
            (0x00, full, installer),
            (0x03, full, system),
            (0x03, full, administrators),
            *inherited,
            (0x03, read, packages),
        ],
    ]
    files = [
        [(0, full, administrators), (0, full, system), (0, read, users)],
        [(0, full, installer), (0, read, administrators), (0, read, system), (0, read, users), (0, read, packages)],
        [(0, full, installer), (0, read, administrators), (0, read, system), (0, read, users)],
        [(0, full, system), (0, read, everyone)],
        [(0x10, full, system), (0x10, full, administrators), (0x10, read, users), (0x10, read, packages)],
        [(0, full, installer), (0, read, everyone), (0, read, packages)],
    ]
    owners = [administrators, installer]
    return [descriptor(owners[n % 2], system, aces) for n, aces in enumerate(directories + files)]


def sid(authority: int, *parts: int) -> bytes:
    return struct.pack(">BBHI", 1, len(parts), 0, authority) + struct.pack(f"<{len(parts)}I", *parts)


def descriptor(owner: bytes, group: bytes, aces: list[tuple[int, int, bytes]]) -> bytes:
    body = b"".join(struct.pack("<BBHI", 0, flags, 8 + len(who), mask) + who for flags, mask, who in aces)
    acl = struct.pack("<BBHHH", 2, 0, 8 + len(body), len(aces), 0) + body
    places = 20, 20 + len(owner), 0, 20 + len(owner) + len(group)
    return struct.pack("<BBH4I", 1, 0, 0x8004, *places) + owner + group + acl


class Contents:
    """Bytes for files: this machine's binaries in 64 KiB pieces, some of them compressed already, as resources are.

    How many: as many as it takes for zlib to halve the whole.
    """

    def __init__(self) -> None:
        pool, packed_bytes = bytearray(), 0
        for piece in machine_bytes():
            packed = zlib.compress(piece, 6)
            packed_bytes += len(packed)
            pool += piece if packed_bytes * 2 > len(pool) + len(piece) else packed
            if len(pool) >= POOL_BYTES:
                break
        if not pool:
            raise SystemExit("no binaries found under /usr/bin and /usr/lib")
        self.pool = memoryview(bytes(pool))
        self.place = 0

    def take(self, size: int) -> Iterator[memoryview]:
        """The next `size` bytes, in pieces; starts again at the front of the pool when that ends."""
        while size:
            piece = self.pool[self.place : self.place + size]
            self.place = (self.place + len(piece)) % len(self.pool)
            size -= len(piece)
            yield piece


def machine_bytes() -> Iterator[bytes]:
    for root in ("/usr/bin", "/usr/lib"):
        for folder, folders, files in os.walk(root):
            folders.sort()
            for name in sorted(files):
                path = Path(folder, name)
                if path.is_symlink() or not path.is_file():
                    continue
                with path.open("rb") as file:
                    if file.read(4) != b"\x7fELF":
                        continue
                    while len(piece := file.read(CHUNK)) == CHUNK:
                        yield piece


def headers(item: Item) -> bytes:
    """The PAX member and the ustar header of one entry, as Microsoft's tars have them: no ctime, a zero mtime field."""
    attributes = {"directory": 16, "file": 32, "hard_link": 32}[item.kind]
    records = {
        "LIBARCHIVE.creationtime": pax_time(item.ticks),
        "MSWINDOWS.fileattr": str(attributes),
        "atime": pax_time(item.ticks + 17),
        "mtime": pax_time(item.ticks + 3),
    }
    if item.descriptor:
        records["MSWINDOWS.rawsd"] = item.descriptor
    if item.attribute:
        records["MSWINDOWS.xattr." + item.attribute[0]] = item.attribute[1]
    if len(item.name) > 100:
        records["path"] = item.name
    if len(item.target) > 100:
        records["linkpath"] = item.target
    body = b"".join(pax_record(key, records[key]) for key in sorted(records))
    mode, kind = {"directory": (0o040000, b"5"), "file": (0o100000, b"0"), "hard_link": (0o100644, b"1")}[item.kind]
    pax_name = f"PaxHeaders.0/{item.name.rpartition('/')[2]}"
    return (
        ustar(pax_name, 0o664, len(body), b"x", "")
        + body
        + bytes(-len(body) % 512)
        + ustar(item.name, mode, item.size, kind, item.target)
    )


def pax_time(ticks: int) -> str:
    seconds, fraction = divmod(ticks - 116_444_736_000_000_000, 10_000_000)
    return f"{seconds}.{fraction:07d}".rstrip("0").rstrip(".")


def pax_record(key: str, value: str) -> bytes:
    tail = f" {key}={value}\n".encode()
    length = len(tail) + 1
    while length != len(tail) + len(str(length)):
        length = len(tail) + len(str(length))
    return str(length).encode() + tail


def ustar(name: str, mode: int, size: int, kind: bytes, target: str) -> bytes:
    block = struct.pack(
        "100s8s8s8s12s12s8s1s100s8s32s32s8s8s155s12x",
        name.encode()[:100], b"%07o" % mode, b"0000000", b"0000000", b"%011o" % size, b"00000000000", b" " * 8, kind,
        target.encode()[:100], b"ustar\00000", b"", b"", b"0000000", b"0000000", b"",
    )  # fmt: skip
    return block[:148] + b"%06o\0 " % sum(block) + block[156:]


def write_tar(items: list[Item], path: Path) -> None:
    contents = Contents()
    with path.open("wb", buffering=1 << 20) as out:
        for item in items:
            out.write(headers(item))
            for piece in contents.take(item.size):
                out.write(piece)
            out.write(bytes(-item.size % 512))
        out.write(bytes(1024))


def write_tree(items: list[Item], root: Path) -> None:
    """The same entries with the same contents as files on disk, times included."""
    contents = Contents()
    for item in items:
        path = root / item.name
        if item.kind == "directory":
            path.mkdir(parents=True, exist_ok=True)
        elif item.kind == "hard_link":
            path.hardlink_to(root / item.target)
        else:
            with path.open("wb") as out:
                for piece in contents.take(item.size):
                    out.write(piece)
            when = (item.ticks - 116_444_736_000_000_000) * 100
            os.utime(path, ns=(when, when))


def main() -> None:
    parser = argparse.ArgumentParser(description="Write a synthetic Windows base layer.")
    parser.add_argument("tar", type=Path)
    parser.add_argument("--tree", type=Path, help="write the same as a directory tree, here")
    parser.add_argument("--entries", type=int, default=ENTRIES)
    parser.add_argument("--scale", type=float, default=1, help="times the bytes of file contents")
    parser.add_argument("--small", action="store_true", help="files of some hundred bytes")
    arguments = parser.parse_args()
    items = plan(arguments.entries, arguments.scale, arguments.small)
    write_tar(items, arguments.tar)
    if arguments.tree:
        write_tree(items, arguments.tree)


if __name__ == "__main__":
    main()
