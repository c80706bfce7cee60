"""Write the seeds: small inputs that are well-formed, one per idea, from which the fuzzers start.

Run by hand after a change here; the files are kept in git, and beside them inputs that once found something. Corpora
that grow from them are not.
"""

import gzip
import io
import json
import struct
import tarfile
from pathlib import Path

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


def main() -> None:
    """Write all of them."""
    both = [ea(b"ONE", b"value!", 20), ea(b"TWO", b"", 0)]
    save("parse_nt", "ea", both[0].ljust(20, b"\0") + both[1])
    names = "\\??\\C:\\targetC:\\target".encode("utf-16-le")
    symlink = struct.pack("<HHHHI", 0, 26, 26, 18, 0) + names
    save("parse_nt", "symlink", struct.pack("<IHH", 0xA000000C, len(symlink), 0) + symlink)
    junction = struct.pack("<HHHH", 0, 26, 26, 18) + names
    save("parse_nt", "junction", struct.pack("<IHH", 0xA0000003, len(junction), 0) + junction)
    save("parse_nt", "time", b"2024-02-29T12:34:56.7890123Z")
    save("parse_nt", "guid", b"01234567-89ab-cdef-0123-456789abcdef")
    save("parse_nt", "name", "Files/Prográm/日本語.exe:stream".encode())

    save("parse_security", "sddl", b"O:BAG:SYD:PAI(A;OICI;FA;;;BA)(D;;0x1200a9;;;BU)S:(ML;;NW;;;ME)(AU;SAFA;GA;;;WD)")
    objects = b"O:DAG:DUD:(OA;CIIO;CCDC;01234567-89ab-cdef-0123-456789abcdef;;S-1-5-21-1-2-3-500)"
    save("parse_security", "objects", objects)
    sid = bytes.fromhex("0102000000000005 20000000 20020000")
    ace = struct.pack("<BBHI", 0, 3, 8 + len(sid), 0x1F01FF) + sid
    acl = struct.pack("<BBHHH", 2, 0, 8 + len(ace), 1, 0) + ace
    save("parse_security", "binary", struct.pack("<BBHIIII", 1, 0, 0x8004, 20, 20, 0, 36) + sid + acl)

    plain = stream(3, bytes(20), 2) + stream(1, b"data") + stream(4, b"more", name=":one:$DATA")
    block = struct.pack("<Q", 65536) + b"block"
    streams = {
        "plain": plain,
        "sparse": stream(1, b"", 8) + stream(9, block) + stream(9, block[:8]),
        "odd": stream(8, struct.pack("<IHH", 0xA000000C, len(symlink), 0) + symlink) + stream(7, bytes(16)),
        "ea": stream(1, b"data") + stream(2, both[1]),
    }
    for name, data in streams.items():
        save("parse_backup_stream", name, PIECES + data)
        # Whole seconds since 1601 are what every dialect carries.
        save("roundtrip_layer_tar", name, struct.pack("<4QI", *[132_000_000_000_000_000] * 4, 32) + data)

    windows = {
        "LIBARCHIVE.creationtime": "1234567890.1234567",
        "MSWINDOWS.fileattr": "32",
        "MSWINDOWS.rawsd": "AQAEgBQAAAAkAAAAAAAAAAAAAAABAgAAAAAABSAAAAAgAgAAAQEAAAAAAAUSAAAA",
    }
    tars = {
        "ustar": tar(tarfile.USTAR_FORMAT, "Files/a.txt"),
        "gnu": tar(tarfile.GNU_FORMAT, "Files/" + "long/" * 30 + "a.txt", uid=1 << 40),
        "pax": tar(tarfile.PAX_FORMAT, "Files/" + "é" * 80, mtime=1.5),
        "windows": tar(tarfile.PAX_FORMAT, "Files/a.txt", pax_headers=windows),
    }
    for name, data in tars.items():
        save("parse_tar", name, PIECES + data)
        save("parse_layer_tar", name, PIECES + data)
        save("roundtrip_tar_split", name, PIECES + data)
        save("differential_tar", name, data)
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
    lines[0] = {"winlayers_sidecar": {"version": 1, "dialect": "go-winio"}}
    lines[2] = {"member": file}
    save("parse_sidecar", "go-winio", "".join(json.dumps(line) + "\n" for line in [*lines[:3], *lines[6:]]).encode())


if __name__ == "__main__":
    main()
