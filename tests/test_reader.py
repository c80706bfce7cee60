"""LayerReader: what other tools write is read, and a reader that is used wrongly says so."""

import base64
import gzip
import io
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

import winlayers as wl
from builders import Trickle, base256, header, member, octal, pad, pax, tar
from winlayers.testing import LayerItem, write_layer


def one(layer: object) -> wl.Entry:
    (entry,) = wl.LayerReader(layer)  # type: ignore[arg-type]
    return entry


def names(layer: object) -> list[str]:
    return [entry.name for entry in wl.LayerReader(layer)]  # type: ignore[arg-type]


# Other builders of Windows layers.


def test_buildkit() -> None:
    keys: dict[str, str | bytes] = {"MSWINDOWS.fileattr": "32", "LIBARCHIVE.creationtime": "1700000000.5"}
    layer = tar(
        member("Files", type="5", mode=0o755, pax={"MSWINDOWS.fileattr": "16", "MSWINDOWS.rawsd": "AQAEgA=="}),
        member("Files/a", b"hi", pax=keys),
        member("Files/link", type="2", link="Files/a", pax={"MSWINDOWS.fileattr": "1056"}),
    )
    folder, file, link = wl.LayerReader(layer)
    assert (folder.kind, folder.basic_info.attributes) == ("directory", wl.FileAttributes.DIRECTORY)
    assert bytes(folder.security_descriptor or b"") == b"\1\0\4\x80"
    assert file.basic_info.creation_time == wl.FileTime.from_unix_ns(1_700_000_000_500_000_000)
    assert (link.kind, link.link_name) == ("symlink", "Files/a")
    assert link.reparse_point is not None
    assert link.reparse_point.print_name == "Files\\a"


def test_crane_and_ko_write_no_attributes() -> None:
    sd = wl.SecurityDescriptor.from_sddl("O:BUG:BU")
    entry = one(tar(member("Files/app.exe", b"MZ", pax={"MSWINDOWS.rawsd": base64.b64encode(bytes(sd))})))
    assert entry.security_descriptor == sd
    assert entry.basic_info.attributes == 0


def test_buildah_writes_roots_with_slashes() -> None:
    layer = tar(member("Files/", type="5"), member("Hives/", type="5"), member("Files/a", b"hi"))
    assert [(entry.name, entry.kind) for entry in wl.LayerReader(layer)][:2] == [
        ("Files/", "directory"),
        ("Hives/", "directory"),
    ]


def test_imgutil_writes_no_end() -> None:
    assert names(tar(member("Files", type="5"), member("Files/a", b"hi"), end=False)) == ["Files", "Files/a"]


def test_microsofts_own_have_no_time_in_the_header() -> None:
    plain = member("Files/a", mtime=bytes(12), pax={"MSWINDOWS.fileattr": "32"})
    timed = member("Files/b", mtime=bytes(12), pax={"MSWINDOWS.fileattr": "32", "mtime": "1700000000.1234567"})
    none, some = wl.LayerReader(tar(plain, timed))
    assert none.basic_info.last_write_time is None
    assert some.basic_info.last_write_time == wl.FileTime.from_unix_ns(1_700_000_000_123_456_700)


def test_old_layers_have_sddl() -> None:
    entry = one(tar(member(pax={"MSWINDOWS.sd": "O:BAG:SY"})))
    assert entry.security_descriptor == wl.SecurityDescriptor.from_sddl("O:BAG:SY")


# Tar as other tools write it.


def test_gnu_long_names() -> None:
    name, target = "Files/" + "n" * 200, "Files/" + "t" * 150
    long_name = header("././@LongLink", type="L", size=len(name) + 1) + pad(name.encode() + b"\0")
    long_link = header("././@LongLink", type="K", size=len(target) + 1) + pad(target.encode() + b"\0")
    entry = one(tar(long_name, long_link, member("Files/short", type="1", link="short", magic=b"ustar  \0")))
    assert (entry.name, entry.link_name, entry.kind) == (name, target, "hard_link")


def test_sizes_in_base_256_and_signed_checksums() -> None:
    assert one(tar(member(data=b"hi", size=base256(2, 12)))).size == 2
    assert one(tar(member("Files/\u00e4\u00f6\u00fc", b"hi", signed=True))).name == "Files/äöü"


def test_global_headers_apply_and_are_no_entries() -> None:
    layer = tar(pax({"MSWINDOWS.fileattr": "2"}, "g"), member(), member("Files/b", pax={"MSWINDOWS.fileattr": "4"}))
    assert [int(entry.basic_info.attributes) for entry in wl.LayerReader(layer)] == [2, 4]


def gnu_sparse(ranges: list[tuple[int, int]], real: int, data: bytes) -> bytes:
    pairs = b"".join(octal(offset, 12) + octal(length, 12) for offset, length in ranges)
    # Behind the devices: access and change time, offset, long names, unused, then four pairs, more, real size.
    tail = bytes(12 + 12 + 12 + 4 + 1) + pairs.ljust(96, b"\0") + b"\0" + octal(real, 12)
    return header(size=len(data), type="S", magic=b"ustar  \0", tail=tail) + pad(data)


GNU_TAR = [["--format=gnu"], *(["--format=pax", f"--sparse-version={version}"] for version in ("0.0", "0.1", "1.0"))]
SPARSE = {
    "GNU": gnu_sparse([(2, 2), (10, 1)], 20, b"abc"),
    "GNU, with ranges of no bytes": gnu_sparse([(2, 2), (4, 0), (10, 1), (15, 0)], 20, b"abc"),
    "PAX 0.0": pax(
        [
            ("GNU.sparse.size", "20"),
            ("GNU.sparse.numblocks", "2"),
            ("GNU.sparse.offset", "2"),
            ("GNU.sparse.numbytes", "2"),
            ("GNU.sparse.offset", "10"),
            ("GNU.sparse.numbytes", "1"),
        ]
    )
    + member(data=b"abc"),
    "PAX 0.1": pax({"GNU.sparse.size": "20", "GNU.sparse.numblocks": "2", "GNU.sparse.map": "2,2,10,1"})
    + member(data=b"abc"),
    "PAX 1.0": pax(
        {
            "GNU.sparse.major": "1",
            "GNU.sparse.minor": "0",
            "GNU.sparse.realsize": "20",
            "GNU.sparse.name": "Files/a",
        }
    )
    + member("Files/GNUSparseFile.0/a", pad(b"2\n2\n2\n10\n1\n") + b"abc"),
}


@pytest.mark.parametrize("form", SPARSE)
def test_sparse_members(form: str) -> None:
    expected = b"\0\0ab" + bytes(6) + b"c" + bytes(9)
    layer = tar(SPARSE[form])
    for source in (layer, Trickle(layer), Trickle(layer, seekable=True)):
        with wl.LayerReader(source) as reader:
            entry = next(reader)
            assert (entry.name, entry.size, entry.sparse_ranges) == ("Files/a", 20, ((2, 2), (10, 1)))
            assert entry.read() == expected
    with wl.LayerReader(layer) as reader:
        entry = next(reader)
        blocks = wl.BackupStreamReader(io.BytesIO(entry.backup_stream().read()))
        assert [(block.sparse_offset, block.size) for block in blocks] == [(None, 0), (2, 10), (10, 9), (20, 8)]
        file = entry.open()
        for at in range(21):
            file.seek(at)
            assert file.read() == expected[at:]


@pytest.mark.host
@pytest.mark.skipif(shutil.which("tar") is None, reason="no GNU tar")
@pytest.mark.parametrize("options", GNU_TAR)
def test_what_gnu_tar_writes(options: list[str], tmp_path: Path) -> None:
    version = subprocess.run(["tar", "--version"], capture_output=True, text=True, check=True).stdout
    if "GNU tar" not in version:
        pytest.skip("another tar")
    folder = tmp_path / "Files"
    long_name = "n" * 120 + "/" + "m" * 120
    (folder / long_name).parent.mkdir(parents=True)
    (folder / long_name).write_bytes(b"long")
    with (folder / "sparse").open("wb") as file:
        for offset in range(0, 10 << 20, 1 << 20):
            file.seek(offset + 100_000)
            file.write(b"data at %d" % offset)
        file.truncate(11 << 20)
    (folder / "hard").hardlink_to(folder / "sparse")
    path = tmp_path / "layer.tar"
    subprocess.run(["tar", "--sparse", *options, "--sort=name", "-cf", str(path), "Files"], cwd=tmp_path, check=True)
    found = {}
    with wl.LayerReader(path) as reader:
        for entry in reader:
            if entry.kind == "file":
                found[entry.name] = entry.read()
    sparse = (folder / "sparse").read_bytes()
    assert found == {f"Files/{long_name}": b"long", next(n for n in found if len(n) < 20): sparse}


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT, tarfile.USTAR_FORMAT])
def test_what_pythons_tarfile_writes(form: int) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as archive:
        for number, name in enumerate(["Files/a", "Files/" + "d" * 80 + "/" + "e" * 60, "Files/ä"]):
            info = tarfile.TarInfo(name)
            info.size, info.mtime = number, 1_700_000_000
            archive.addfile(info, io.BytesIO(bytes(number)))
    with tarfile.open(fileobj=io.BytesIO(out.getvalue())) as archive:
        expected = [(info.name, info.size, info.mtime) for info in archive]
    found = []
    for entry in wl.LayerReader(out.getvalue()):
        assert entry.basic_info.last_write_time is not None
        found.append((entry.name, entry.size, entry.basic_info.last_write_time.to_unix_ns() // 10**9))
    assert found == expected


def test_compressed_layers_of_several_members() -> None:
    layer = tar(member("Files", type="5"), member("Files/a", b"x" * 3000))
    parts = gzip.compress(layer[:1000]) + gzip.compress(layer[1000:]) + bytes(700)
    assert names(parts) == names(Trickle(parts)) == ["Files", "Files/a"]


@pytest.mark.host
@pytest.mark.skipif(shutil.which("zstd") is None, reason="no zstd program")
def test_zstd_of_several_frames() -> None:
    layer = tar(member("Files", type="5"), member("Files/a", b"x" * 3000))

    def compressed(part: bytes) -> bytes:
        return subprocess.run(["zstd", "-q", "-c"], input=part, capture_output=True, check=True).stdout

    skippable = (0x184D2A50).to_bytes(4, "little") + (3).to_bytes(4, "little") + b"abc"
    parts = compressed(layer[:1000]) + skippable + compressed(layer[1000:])
    assert names(parts) == names(Trickle(parts)) == ["Files", "Files/a"]


# Use and misuse.

ITEMS = [
    LayerItem(wl.Entry("Files/a", size=2, streams=[wl.Stream("s", 1)]), b"hi", ((b"s", b"!"),)),
    LayerItem(wl.Entry("Files/b", size=2), b"ho"),
]


def test_a_file_opens_in_any_order_until_the_reader_closes() -> None:
    reader = wl.LayerReader(write_layer(ITEMS))
    a, b = reader
    assert (b.read(), a.read("s"), a.read()) == (b"ho", b"!", b"hi")
    with pytest.raises(LookupError):
        a.open("t")
    file = a.open()
    reader.close()
    for use in (file.read, a.read, lambda: next(reader), a.parts, a.backup_stream):
        with pytest.raises(wl.MisuseError) as raised:
            use()
        assert raised.value.code == "closed"


def test_a_pipe_is_read_in_order() -> None:
    reader = wl.LayerReader(Trickle(write_layer(ITEMS)))
    assert not reader.seekable
    a = next(reader)
    assert a.streams is None
    parts = a.parts()
    assert next(parts)[2].read() == b"hi"
    assert next(parts)[2].read() == b"!"
    b = next(reader)
    file = b.open()
    assert file.read(1) == b"h"
    with pytest.raises(StopIteration):
        next(reader)
    for use in (file.read, a.read, b.read, b.parts, a.backup_stream):
        with pytest.raises(wl.MisuseError) as raised:
            use()
        assert raised.value.code == "entry_passed"


def test_a_value_belongs_to_no_reader() -> None:
    entry = wl.Entry("Files/a")
    for use in (entry.read, entry.open, entry.parts, entry.backup_stream):
        with pytest.raises(wl.MisuseError) as raised:
            use()
        assert raised.value.code == "entry_detached"


def test_a_closed_file() -> None:
    reader = wl.LayerReader(write_layer(ITEMS))
    with next(reader).open() as file:
        assert file.seekable()
        assert (file.seek(-1, 2), file.read(), file.tell()) == (1, b"i", 2)
        buffer = bytearray(5)
        file.seek(0)
        assert (file.readinto(buffer), bytes(buffer)) == (2, b"hi\0\0\0")
    assert file.closed
    with pytest.raises(wl.MisuseError) as raised:
        file.read()
    assert raised.value.code == "closed"


def test_an_error_ends_the_layer_behind_the_entries_before_it() -> None:
    layer = tar(member("Files/a", b"hi"), header(checksum=b"000000\0 "))
    for source in (layer, Trickle(layer)):
        reader = wl.LayerReader(source)
        assert next(reader).name == "Files/a"
        with pytest.raises(wl.FormatError) as raised:
            next(reader)
        assert raised.value.offset == 1024
        with pytest.raises(StopIteration):
            next(reader)
