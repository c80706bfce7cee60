"""Write the seeds: small inputs that are well-formed, one per idea, from which the fuzzers start.

Run by hand after a change here; the files are kept in git, and beside them inputs that once found something. What grew
from them is in `corpora`: see `tools/fuzz.sh keep`.
"""

import base64
import gzip
import io
import json
import struct
import tarfile
from pathlib import Path
from typing import Any, Literal

SEEDS = Path(__file__).parent / "seeds"
PIECES = b"\x0d"  # targets that read in pieces take their size from the first byte


def save(target: str, name: str, data: bytes) -> None:
    """Keep one seed."""
    folder = SEEDS / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data)


def stream(identity: int, data: bytes, attributes: int = 0, name: str = "") -> bytes:
    """Build one stream of a backup stream."""
    raw = name.encode("utf-16-le")
    return struct.pack("<IIQI", identity, attributes, len(data), len(raw)) + raw + data


def ea(name: bytes, value: bytes, following: int) -> bytes:
    """Build one extended attribute."""
    return struct.pack("<IBBH", following, 0, len(name), len(value)) + name + b"\0" + value


def reparse(tag: int, data: bytes) -> bytes:
    """Build a reparse buffer."""
    return struct.pack("<IHH", tag, len(data), 0) + data


def ace(kind: int, body: bytes) -> bytes:
    """Build an access control entry."""
    return struct.pack("<BBHI", kind, 3, 8 + len(body), 0x1F01FF) + body


def descriptor(entry: bytes, system: bool = False) -> bytes:
    """Build a self-relative security descriptor of an owner and an access control list with one entry."""
    owner = bytes.fromhex("0101000000000005 12000000")
    acl = struct.pack("<BBHHH", 4, 0, 8 + len(entry), 1, 0) + entry
    control, places = (0x8010, (32, 0)) if system else (0x8004, (0, 32))
    return struct.pack("<BBHIIII", 1, 0, control, 20, 0, *places) + owner + acl


def tar(kind: int, name: str, **changes: object) -> bytes:
    """Build a tar of a directory, a file and a link."""
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w", format=kind) as archive:
        folder = tarfile.TarInfo("Files")
        folder.type = tarfile.DIRTYPE
        file = tarfile.TarInfo(name)
        file.size = 5
        link = tarfile.TarInfo("Files/link")
        link.type, link.linkname = tarfile.SYMTYPE, name
        for member in (folder, file, link):
            for key, value in changes.items():
                setattr(member, key, value)
            archive.addfile(member, io.BytesIO(b"hello") if member is file else None)
        end = archive.offset
    return sink.getvalue()[:end] + bytes(1024)


def one(
    data: bytes = b"hello",
    kind: Literal[0, 1, 2] = tarfile.USTAR_FORMAT,
    patches: dict[int, bytes] | None = None,
    **changes: object,
) -> bytes:
    """Build a tar of one file, with other bytes at some offsets of its header, and without an end."""
    file = tarfile.TarInfo("Files/a")
    file.size = len(data)
    for key, value in changes.items():
        setattr(file, key, value)
    raw = bytearray(file.tobuf(kind))
    header = memoryview(raw)[-512:]
    for at, patch in (patches or {}).items():
        header[at : at + len(patch)] = patch
    header[148:156] = b" " * 8
    header[148:155] = b"%06o\0" % sum(header)
    return bytes(raw) + data + bytes(-len(data) % 512)


def record(text: bytes) -> bytes:
    """Build a PAX record; none here has a length of other than two digits."""
    return b"%d %s\n" % (len(text) + 4, text)


def odd_tars() -> dict[str, bytes]:
    """Build what a tar has seldom: every sparse format, global headers, numbers and names of other tools."""

    def numbers(*values: int) -> bytes:
        return b"".join(b"%011o\0" % value for value in values)

    real_size = {483: numbers(9)}
    gnu: dict[str, Any] = {"kind": tarfile.GNU_FORMAT, "type": tarfile.GNUTYPE_SPARSE}
    extended = one(patches={386: numbers(0, 1, 2, 1, 4, 1, 6, 1), 482: b"\1", **real_size}, **gnu)
    version = {"GNU.sparse.major": "0", "GNU.sparse.minor": "1", "GNU.sparse.numblocks": "2"}
    size = {"GNU.sparse.realsize": "9", "GNU.sparse.name": "Files/sparse"}
    in_data = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", **size}
    old_map = [b"GNU.sparse.size=9", b"GNU.sparse.numblocks=2"]
    for offset, length in ((0, 2), (4, 3)):
        old_map += [b"GNU.sparse.offset=%d" % offset, b"GNU.sparse.numbytes=%d" % length]
    return {
        "sparse-gnu": one(patches={386: numbers(0, 2, 4, 3), **real_size}, **gnu),
        "sparse-gnu-extended": extended[:512] + numbers(8, 1).ljust(512, b"\0") + extended[512:],
        "sparse-0.0": one(b"".join(map(record, old_map)), type=tarfile.XHDTYPE) + one(),
        "sparse-0.1": one(kind=tarfile.PAX_FORMAT, pax_headers={**version, **size, "GNU.sparse.map": "0,2,4,3"}),
        "sparse-1.0": one(b"2\n0\n2\n4\n3\n".ljust(512, b"\0") + b"hello", tarfile.PAX_FORMAT, pax_headers=in_data),
        "global": one(record(b"comment=a") + record(b"mtime=1.5"), type=tarfile.XGLTYPE) + one() + bytes(1024),
        "v7": one(patches={257: bytes(8)}) + bytes(512),
        "star": one(patches={476: numbers(1, 2), 508: b"tar\0"}) + bytes(1024),
        "base-256": one(kind=tarfile.GNU_FORMAT, mtime=-1, gid=1 << 40) + bytes(1024) + b"rest",
    }


MEMBER = {
    **dict.fromkeys(("name", "kind", "disk", "directory", "sha256", "size")),
    "attributes": 0,
    "times": [None] * 4,
    "security_descriptor": None,
    "extended_attributes": [],
    **dict.fromkeys(("reparse_point", "link_name", "sparse_ranges", "object_id")),
    "streams": [],
    "order": None,
}


def as_arrays(value: object) -> object:
    """Objects as arrays of their values, which is read as well."""
    match value:
        case {"kind": _}:
            return [as_arrays(field) for field in {**MEMBER, **value}.values()]
        case dict():
            return list(value.values())
        case list():
            return [as_arrays(item) for item in value]
    return value


def main() -> None:
    """Write all of them."""
    both = [ea(b"ONE", b"value!", 20), ea(b"TWO", b"", 0)]
    save("parse_nt", "ea", both[0].ljust(20, b"\0") + both[1])
    names = "\\??\\C:\\targetC:\\target".encode("utf-16-le")
    symlink = struct.pack("<HHHHI", 0, 26, 26, 18, 0) + names
    save("parse_nt", "symlink", reparse(0xA000000C, symlink))
    junction = struct.pack("<HHHH", 0, 26, 26, 18) + names
    save("parse_nt", "junction", reparse(0xA0000003, junction))
    layer = struct.pack("<II", 1, 0) + bytes(range(16))
    points = {
        "lx-symlink": (0xA000001D, struct.pack("<I", 2) + b"target"),
        "app-exec-link": (0x8000001B, struct.pack("<I", 3) + "a\0b\0c\0\x30\0".encode("utf-16-le")),
        "wci": (0x80000018, layer + struct.pack("<H", 4) + "ab".encode("utf-16-le")),
        "wci-directory": (0x90001018, layer + struct.pack("<H", 0)),
        "tombstone": (0xA000001F, b""),
        "wof-wim": (0x80000017, struct.pack("<IIIIQ", 1, 1, 2, 0, 7) + bytes(range(20))),
        "wof-file": (0x80000017, struct.pack("<IIII", 1, 2, 1, 0)),
        "af-unix": (0x80000023, b""),
        "cloud": (0x9000301A, b"data"),
    }
    for name, (tag, data) in points.items():
        save("parse_nt", name, reparse(tag, data))
    save("parse_nt", "other-driver", struct.pack("<IHH", 0x20, 4, 0) + bytes(range(20)))
    save("parse_nt", "time", b"2024-02-29T12:34:56.7890123Z")
    save("parse_nt", "time-late", b"+030828-09-14T02:48:05.4775807Z")
    save("parse_nt", "time-early", b"-027627-04-19T21:11:54.5224192Z")
    save("parse_nt", "time-whole", b"1999-01-31T00:00:00Z")
    save("parse_nt", "guid", b"01234567-89ab-cdef-0123-456789abcdef")
    save("parse_nt", "guid-in-braces", b"{01234567-89AB-CDEF-0123-456789ABCDEF}")
    save("parse_nt", "name", "Files/Prográm/日本語.exe:stream".encode())
    components = ["con", "LPT1.txt", "com³ ", "end.", "what?", "..", "\ud800x\udc00", "😀ß"]
    for number, name in enumerate(components):
        save("parse_nt", f"component-{number}", name.encode("utf-16-le", "surrogatepass"))
    paths = [
        b"..",
        b"/a",
        b"C:/a",
        b"a//b",
        b"a\\b",
        b"a\0",
        b"a/..:s",
        b"\xf0\x9f\x98\x80/" + b"a" * 260,
        b"\xed\xa0\x80x",
    ]
    for number, path in enumerate(paths):
        save("parse_nt", f"path-{number}", path)

    save("parse_security", "sddl", b"O:BAG:SYD:PAI(A;OICI;FA;;;BA)(D;;0x1200a9;;;BU)S:(ML;;NW;;;ME)(AU;SAFA;GA;;;WD)")
    objects = b"O:DAG:DUD:(OA;CIIO;CCDC;01234567-89ab-cdef-0123-456789abcdef;;S-1-5-21-1-2-3-500)"
    save("parse_security", "objects", objects)
    sid = bytes.fromhex("0102000000000005 20000000 20020000")
    save("parse_security", "binary", descriptor(ace(0, sid)))
    save("parse_security", "object", descriptor(ace(5, struct.pack("<I", 3) + bytes(range(32)) + sid)))
    save("parse_security", "compound", descriptor(ace(4, b"\1\0\0\0" + sid + sid)))

    def counted(data: bytes) -> bytes:
        return struct.pack("<I", len(data)) + data

    wide = "ab\0".encode("utf-16-le")
    integers = b"".join(b"\4" + struct.pack("<qBB", value, sign, sign) for value, sign in ((255, 3), (-8, 2), (7, 1)))
    tokens = b"\xf9" + counted(wide[:4]) + b"\x50" + counted(integers + b"\x18" + counted(b"\xab")) + b"\x88"
    tokens += b"\xfa" + counted(b"\0\1") + b"\x10" + counted(b'"\0\0\xd8') + b"\x80\xa0"
    tokens += b"\x50" + counted(b"\x51" + counted(sid)) + b"\x89\xa2\xa1"
    save("parse_security", "condition", descriptor(ace(9, sid + b"artx" + tokens + bytes(-len(tokens) % 4))))
    values = {1: bytes(8), 2: bytes(8), 3: wide, 5: counted(sid), 6: bytes(8), 16: counted(b"\xab")}
    for kind, value in values.items():
        claim = struct.pack("<IHHIII", 20, kind, 0, 2, 1, 26) + wide + value
        save("parse_security", f"claim-{kind}", descriptor(ace(18, sid + claim + bytes(-len(claim) % 4)), system=True))

    plain = stream(3, bytes(20), 2) + stream(1, b"data") + stream(4, b"more", name=":one:$DATA")
    block = struct.pack("<Q", 65536) + b"block"
    backups = {
        "plain": plain,
        "sparse": stream(1, b"", 8) + stream(9, block) + stream(9, block[:8]),
        "odd": stream(8, reparse(0xA000000C, symlink)) + stream(7, bytes(16)),
        "ea": stream(1, b"data") + stream(2, both[1]),
    }
    for name, data in backups.items():
        save("parse_backup_stream", name, PIECES + data)
        # Whole seconds since 1601 are what every dialect carries.
        save("roundtrip_layer_tar", name, struct.pack("<4QI", *[132_000_000_000_000_000] * 4, 32) + data)

    windows = {
        "LIBARCHIVE.creationtime": "1234567890.1234567",
        "MSWINDOWS.fileattr": "32",
        "MSWINDOWS.rawsd": "AQAEgBQAAAAkAAAAAAAAAAAAAAABAgAAAAAABSAAAAAgAgAAAQEAAAAAAAUSAAAA",
    }
    point = base64.b64encode(reparse(0xA000000C, symlink)).decode()
    streams = ["3,2,,sd", "2,0,,ea", "8,0,,reparse", f"7,0,,inline,0,{'A' * 22}==", "1,8,,member,0,0"]
    order = ";".join([*streams, "9,8,,block,0,0,2", "9,8,,block,0,3,2", "9,8,,block,0,5,0"])
    lossless = {
        "MSWINDOWS.rawsd": windows["MSWINDOWS.rawsd"],
        "MSWINDOWS.xattr.ONE": "dmFsdWU=",
        "WINLAYERS.times": "1 - 0 -1",
        "WINLAYERS.ea": base64.b64encode(ea(b"ONE", b"value", 0)).decode(),
        "WINLAYERS.reparse": point,
        "WINLAYERS.streams": order,
    }
    sddl = {"MSWINDOWS.sd": "O:BAD:(A;;GA;;;WD)", "MSWINDOWS.mountpoint": "1", "MSWINDOWS.fileattr": "1040"}
    layers = {
        "lossless": one(kind=tarfile.PAX_FORMAT, pax_headers=lossless) + bytes(1024),
        "streams": one() + one(b"more", name="Files/a:one") + one(name="Files/.wh.b", mtime=0) + bytes(1024),
        "sddl": one(b"", tarfile.PAX_FORMAT, pax_headers=sddl, type=tarfile.SYMTYPE, linkname="C:/b") + bytes(1024),
        "hard-link": one() + one(b"", name="Files/b", type=tarfile.LNKTYPE, linkname="Files/a") + bytes(1024),
        "directory": one(b"", name="Files/", type=tarfile.DIRTYPE) + one(name="Files/:one") + bytes(1024),
    }
    tars = {
        **odd_tars(),
        "ustar": tar(tarfile.USTAR_FORMAT, "Files/a.txt"),
        "gnu": tar(tarfile.GNU_FORMAT, "Files/" + "long/" * 30 + "a.txt", uid=1 << 40),
        "pax": tar(tarfile.PAX_FORMAT, "Files/" + "é" * 80, mtime=1.5),
        "windows": tar(tarfile.PAX_FORMAT, "Files/a.txt", pax_headers=windows),
    }
    for name, data in tars.items():
        save("parse_tar", name, PIECES + data)
        save("roundtrip_tar_split", name, PIECES + data)
        save("differential_tar", name, data)
    for name, data in {**tars, **layers}.items():
        save("parse_layer_tar", name, PIECES + data)
        save("roundtrip_extract", name, data)
        save("roundtrip_store", name, data)
    line = b'{"type":%d,"name":"a","size":5,"payload":"%s","position":%d}\n'
    metadata = line % (2, b"AAAA", 0) + line % (1, b"I/P+///c/P8=", 1)
    save("roundtrip_tar_split", "metadata", PIECES + metadata)

    save("parse_compressed", "gzip", PIECES + gzip.compress(b"hello" * 20, mtime=0) + gzip.compress(b"", mtime=0))
    frame = bytes.fromhex("28b52ffd 2005 290000 68656c6c6f")  # one raw block
    save("parse_compressed", "zstd", PIECES + frame + bytes.fromhex("502a4d18 02000000 ffff") + frame)

    hello = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
    every = {
        "attributes": 0x20,
        "times": [132 * 10**15, None, 132 * 10**15, 0],
        "security_descriptor": "AQAEgAAAAAAAAAAAAAAAAAAAAAA=",
        "extended_attributes": [{"name": "ONE", "value": "dmFsdWU=", "flags": 128}],
    }
    file = {"name": "Files/a", "kind": "file", "disk": "file", "sha256": hello, "size": 5}
    lines = [
        {"winlayers_sidecar": {"version": 1, "dialect": "lossless"}},
        {"member": {"name": "Files", "kind": "directory", "disk": "directory", **every}},
        {"member": {**file, **every, "sparse_ranges": 1, "streams": [{"name": "one", "size": 9}]}},
        {"ranges": [[0, 5]]},
        {"data": "AAAAAA=="},
        {"zeros": 5},
        {"parent": "Files/d"},
        {"member": {"name": "Files/b", "kind": "hard_link", "disk": "hard_link", "link_name": "Files/a"}},
        {"member": {"name": "Files/.wh.c", "kind": "whiteout", "disk": "nothing"}},
        {"member": {"name": "Hives", "kind": "directory", "disk": "directory"}},
    ]
    save("parse_sidecar", "lossless", "".join(json.dumps(line) + "\n" for line in lines).encode())
    other = [
        lines[0],
        {"member": {"name": "Files/l", "kind": "symlink", "disk": "symlink", "link_name": "a", "reparse_point": point}},
        {"member": {"name": "Files/d", "kind": "junction", "disk": "directory", "reparse_point": point, **every}},
        {
            "member": {
                "name": "Files/r",
                "kind": "reparse",
                "disk": "nothing",
                "directory": True,
                "reparse_point": point,
            }
        },
        {"member": {"name": "base64:/w==", "kind": "hard_link", "disk": "nothing", "link_name": "base64:/w=="}},
        {"member": {**file, **every, "reparse_point": point, "sparse_ranges": 2, "object_id": "AAAA", "order": order}},
        {"ranges": [[0, 2], [3, 2]]},
        {"member": {**file, "name": "Files/b", "streams": [{"name": "x", "size": 4}, {"name": "y", "size": 0}]}},
        {"data": "bW9yZQ=="},
    ]
    save("parse_sidecar", "other-kinds", "".join(json.dumps(line) + "\n" for line in other).encode())
    arrays = [{key: as_arrays(value) for key, value in line.items()} for line in [*other, *lines[1:]]]
    save("parse_sidecar", "arrays", "".join(json.dumps(line) + "\n" for line in arrays).encode())
    lines[0] = {"winlayers_sidecar": {"version": 1, "dialect": "go-winio"}}
    lines[2] = {"member": file}
    save("parse_sidecar", "go-winio", "".join(json.dumps(line) + "\n" for line in [*lines[:3], *lines[6:]]).encode())


if __name__ == "__main__":
    main()
