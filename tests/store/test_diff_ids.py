"""Layers of every maker leave the store as they came: by `diff`, and put together by tar-split from single files."""

import gzip
import hashlib
import io
import json
import os
import shutil
import subprocess
import tarfile
from base64 import b64decode
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

import winlayers as wl
from builders import BLOCK, base256, header, member, pad, pax, records, tar
from go_tarsplit import Files, Go
from store.conftest import BASE, layer
from winlayers.testing import layer_tars


def zstd(data: bytes) -> bytes:
    return subprocess.run(["zstd", "-q", "-c"], input=data, capture_output=True, check=True).stdout


def taken_in(store: wl.LayerStore, id: str, parent: str, tar: bytes, *, compressed: bool = True) -> None:
    """Import a tar as it is and compressed; each is the tar."""
    forms = {id: tar}
    if compressed:
        forms[f"{id}.gz"] = gzip.compress(tar, 1)
    if compressed and shutil.which("zstd") is not None:
        forms[f"{id}.zst"] = zstd(tar)
    for name, source in forms.items():
        store.apply_diff(name, parent, source)
        assert store.info(name).diff_id == "sha256:" + hashlib.sha256(tar).hexdigest()
        with store.diff(name, parent) as stream:
            assert stream.read() == tar
        assert store.info(name).size == len(tar)
    for name in list(forms)[1:]:
        store.remove(name)


def put_together(store: wl.LayerStore, id: str) -> set[str]:
    """Take what the store exports apart and put it together from its single files; say what tar-split kept itself."""
    with store.diff(id) as stream:
        tar = stream.read()
    metadata, again = io.BytesIO(), io.BytesIO()
    apart = wl.tarsplit.disassemble(tar, metadata)
    with store.diff_getter(id) as getter:
        summary = wl.tarsplit.assemble(metadata.getvalue(), getter, again)
    assert again.getvalue() == tar
    assert summary.data == apart.data
    return set(apart.apart_totals)


def put_together_by_go(store: wl.LayerStore, id: str, go: Go, folder: Path) -> None:
    """Let Go's tar-split assemble the tar from our metadata and the files that `diff_getter` gives."""
    metadata, target = folder / "metadata", folder / "again.tar"
    with store.diff(id) as stream:
        tar = stream.read()
    wl.tarsplit.disassemble(tar, metadata)
    files = Files(folder / "files")
    with store.diff_getter(id) as getter:
        for line in metadata.read_text(encoding="utf-8").splitlines():
            entry = json.loads(line)
            if entry["type"] == 1 and entry.get("size"):
                raw = b64decode(entry["name_raw"]) if "name_raw" in entry else entry["name"].encode()
                with files.create(raw.decode("utf-8", "surrogateescape")) as file, getter.open(raw) as data:
                    file.write(data.read())
    assert go("join", tar=target, metadata=metadata, content=files.folder) == ""
    assert target.read_bytes() == tar


def rooted(tar: bytes) -> bytes:
    """Put `Files/` before each name: in the header's prefix, or in the record of the path; all else stays."""
    out, at, told = b"", 0, False
    while len(block := tar[at : at + BLOCK]) == BLOCK and any(block):
        size, kind = int(block[124:135], 8), block[156:157]
        body = tar[at + BLOCK : at + BLOCK + len(pad(bytes(size)))]
        at += BLOCK + len(body)
        if kind == b"x":
            text = with_root(body[:size])
            told, body, size = text != body[:size], pad(text), len(text)
        elif kind != b"g" and not told:
            block = block[:345] + b"Files".ljust(155, b"\0") + block[500:]
        told = told and kind == b"x"
        block = block[:124] + b"%011o\0" % size + block[136:148] + b" " * 8 + block[156:]
        out += block[:148] + b"%06o\0 " % sum(block) + block[156:] + body
    return out + tar[at:]


def with_root(body: bytes) -> bytes:
    out = b""
    while body:
        record, body = body[: int(body.split()[0])], body[int(body.split()[0]) :]
        key, _, value = record.partition(b" ")[2].partition(b"=")
        out += records({"path": b"Files/" + value[:-1]}) if key == b"path" else record
    return out


# What the store refuses of go-winio's vectors, as they are and with `Files/` before each name. Go refuses half of them,
# too, and left a tar that ends in the middle.
REFUSED = {
    "name-dotdot": "name_escapes",
    "name-empty": "name_empty",
    "name-not-utf8": "name_not_unicode",
    "read-ads-first": "name_colon",
    "read-creationtime": "bad_layer_tar",
    "read-devices": "member_type",
    "read-fileattr": "bad_layer_tar",
    "read-mtime-bad": "bad_tar",
    "read-rawsd-bad": "bad_layer_tar",
    "read-rawsd-unpadded": "bad_layer_tar",
    "read-rawsd-url": "bad_layer_tar",
    "read-sddl-bad": "bad_sddl",
    "read-xattr-bad": "bad_layer_tar",
}
REFUSED_ROOTED = {
    "ads-name-empty": "duplicate_name",
    "read-ads-dir-slash": "name_colon",
    "read-ads-is-dir": "name_colon",
    "read-ads-not-adjacent": "name_colon",
    "read-cut-data": "bad_tar",
    "read-cut-header": "bad_tar",
    "read-xattr-long-name": "bad_layer_tar",
    "sparse-backwards": "bad_tar",
    "sparse-block-first": "bad_tar",
    "sparse-no-bit": "bad_tar",
    "sparse-overlap": "bad_tar",
    "sparse-short": "bad_tar",
    "stream-cut-data": "bad_tar",
    "stream-size-mismatch": "bad_tar",
    "stream-size-missing": "bad_tar",
}


def test_layers_of_go_winio(store: wl.LayerStore, vectors: Path) -> None:
    store.apply_diff("base", "", BASE)
    refused: dict[str, str] = {}
    refused_rooted: dict[str, str] = {}
    cases = sorted(path.parent for path in (vectors / "go-winio").glob("*/spec.json"))
    for number, case in enumerate(cases):
        data, compressed = next(case.glob("*.tar")).read_bytes(), number % 10 == 0
        try:
            taken_in(store, case.name, "base", data, compressed=compressed)
        except wl.WinLayersError as error:
            if error.code != "root_unknown":
                refused[case.name] = error.code
                continue
            try:
                taken_in(store, case.name, "base", rooted(data), compressed=compressed)
            except wl.WinLayersError as error_rooted:
                refused_rooted[case.name] = error_rooted.code
    assert refused == REFUSED
    assert refused_rooted == REFUSED_ROOTED
    again = wl.LayerStore(store.home)
    expected = {case.name for case in cases} - refused.keys() - refused_rooted.keys()
    assert {info.id for info in again.layers()} == expected | {"base"}
    for id in expected:
        assert again.info(id).parents == ("base",)
        assert put_together(again, id) == set(), id
    assert not again.check()


@pytest.mark.host
def test_go_puts_layers_of_go_winio_together(store: wl.LayerStore, vectors: Path, go: Go, tmp_path: Path) -> None:
    for case in sorted(path.parent for path in (vectors / "go-winio").glob("*/spec.json")):
        if case.name not in REFUSED.keys() | REFUSED_ROOTED.keys():
            store.apply_diff(case.name, "", rooted(next(case.glob("*.tar")).read_bytes()))
            put_together_by_go(store, case.name, go, tmp_path)


def make_tree(folder: Path) -> None:
    """Make a directory of what a layer can hold, in `Files`; what starts with `long` has a long name or target."""
    files = folder / "Files"
    (files / "Program Files").mkdir(parents=True)
    (files / "empty").touch()
    (files / "hello.txt").write_bytes(b"hello")
    (files / "Program Files" / "big").write_bytes(bytes(range(256)) * 300)
    os.link(files / "hello.txt", files / "Program Files" / "hard")
    (files / "long" / ("d" * 120)).mkdir(parents=True)
    (files / "long" / ("d" * 120) / ("f" * 200)).write_bytes(b"far")
    os.link(files / "long" / ("d" * 120) / ("f" * 200), files / "long hard")
    (files / "long link").symlink_to("x" * 150)
    (files / "link").symlink_to("Program Files/big")
    (files / "out").symlink_to("C:\\Windows")
    (files / "été \U0001f600").write_bytes(b"unicode")
    with (files / "sparse").open("wb") as file:
        for at in range(0, 1 << 20, 1 << 17):
            file.seek(at)
            file.write(b"data")
        file.truncate(1 << 20)


SHORT = ["--exclude=long*"]
# The options of GNU tar, and what tar-split keeps itself.
GNU: dict[str, tuple[list[str], set[str]]] = {
    "gnu": (["--format=gnu"], set()),
    "oldgnu": (["--format=oldgnu"], set()),
    "pax": (["--format=pax"], set()),
    "ustar": (["--format=ustar", *SHORT], set()),
    "v7": (["--format=v7", *SHORT], set()),
    "gnu, sparse": (["--format=gnu", "--sparse"], {"sparse"}),
    "pax, sparse 0.0": (["--format=pax", "--sparse", "--sparse-version=0.0"], {"sparse"}),
    "pax, sparse 0.1": (["--format=pax", "--sparse", "--sparse-version=0.1"], {"sparse"}),
    "pax, sparse 1.0": (["--format=pax", "--sparse", "--sparse-version=1.0"], {"sparse"}),
    "records of one block": (["-b", "1"], set()),
    "names instead of hard links": (["--hard-dereference"], set()),
    "a global comment": (["--format=pax", "--pax-option=comment=hello"], {"unsafe_name"}),
    "large numbers": (["--owner=an owner:4294967294", "--mtime=@-5"], set()),
    "late times": (["--mtime=@99999999999"], set()),
}


@pytest.mark.host
@pytest.mark.parametrize("name", GNU)
def test_layers_of_gnu_tar(name: str, full: wl.LayerStore, go: Go, tmp_path: Path) -> None:
    make_tree(tmp_path / "tree")
    options, apart = GNU[name]
    command = ["tar", "-C", str(tmp_path / "tree"), "-c", *options, "Files"]
    data = subprocess.run(command, capture_output=True, check=True).stdout
    taken_in(full, "gnu", "base", data)
    again = wl.LayerStore(full.home)
    assert put_together(again, "gnu") == apart
    put_together_by_go(again, "gnu", go, tmp_path)
    assert not again.check()


@pytest.mark.host
def test_what_gnu_tar_has_besides_is_refused(full: wl.LayerStore, tmp_path: Path) -> None:
    make_tree(tmp_path / "tree")
    for number, option in enumerate(["--label=Files", f"--listed-incremental={tmp_path / 'snapshot'}"]):
        command = ["tar", "-C", str(tmp_path / "tree"), "-c", option, "Files"]
        data = subprocess.run(command, capture_output=True, check=True).stdout
        with pytest.raises(wl.RefusedError) as raised:
            full.apply_diff(f"gnu{number}", "base", data)
        assert raised.value.code == "member_type"
    assert not full.check()


@pytest.mark.host
@pytest.mark.parametrize("dialect", ["go-winio", "lossless"])
def test_layers_of_pack(dialect: str, full: wl.LayerStore, go: Go, tmp_path: Path) -> None:
    make_tree(tmp_path / "tree")
    sink = io.BytesIO()
    report = wl.pack(tmp_path / "tree", sink, dialect)
    taken_in(full, "packed", "base", sink.getvalue())
    assert full.info("packed").diff_id == report.diff_id
    assert put_together(wl.LayerStore(full.home), "packed") == set()
    put_together_by_go(full, "packed", go, tmp_path)


def test_the_layer_of_a_sandbox(full: wl.LayerStore) -> None:
    with full.mount("box") as path:
        Path(path, "d", "b.txt").unlink()
        Path(path, "new").write_text("new")
    with full.diff("box") as stream:
        data = stream.read()
    taken_in(full, "committed", "base", data)
    assert put_together(full, "committed") == set()


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(data=layer_tars())
def test_layers_of_our_writer(store: wl.LayerStore, data: bytes) -> None:
    store.apply_diff("any", "", data)
    with store.diff("any") as stream:
        assert stream.read() == data
    assert store.info("any").diff_id == "sha256:" + hashlib.sha256(data).hexdigest()
    try:
        # A layer may delete the same name twice.
        assert put_together(store, "any") <= {"duplicate_name"}
    finally:
        store.remove("any")


def of_tarfile(format: int) -> bytes:
    """Let Python's tarfile write a layer."""
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w", format=format) as archive:
        for name, type, data in [("Files", tarfile.DIRTYPE, b""), ("Files/" + "é" * 80, tarfile.REGTYPE, b"data")]:
            info = tarfile.TarInfo(name)
            info.type, info.size, info.mtime = type, len(data), 1.5
            archive.addfile(info, io.BytesIO(data))
        info = tarfile.TarInfo("Files/link")
        info.type, info.linkname = tarfile.LNKTYPE, "Files/" + "é" * 80
        archive.addfile(info)
    return sink.getvalue()


F, A = member("Files/", type="5"), member("Files/a", b"hello")
OLD = bytes(8)
# Layers by hand, and what tar-split keeps itself of each.
MADE: dict[str, tuple[bytes, set[str]]] = {
    "nothing": (b"", set()),
    "the end alone": (tar(), set()),
    "half of the end alone": (bytes(512), set()),
    "no end": (tar(F, A, end=False), set()),
    "half an end": (tar(F, A, bytes(512), end=False), set()),
    "an end of a MiB": (tar(F, A) + bytes(1 << 20), set()),
    "an end of odd size": (tar(F, A) + bytes(77), set()),
    "garbage behind the end": (tar(F, A) + b"garbage" * 99, set()),
    "another tar behind the end": (tar(F, A) + tar(F, member("Files/b", b"1")), set()),
    "PAX headers in a row": (
        tar(F, pax({"path": "Files/x"}), pax({"mtime": "5.25"}), member("Files/a", b"1")),
        set(),
    ),
    "a PAX record twice": (
        tar(F, pax([("path", "Files/x"), ("path", "Files/y"), ("comment", "z")]), member("Files/a", b"1")),
        set(),
    ),
    "a size in a PAX record": (tar(F, pax({"size": "5"}), header("Files/a"), pad(b"hello")), set()),
    "a global header": (tar(pax({"comment": "x"}, "g"), F, A), set()),
    "global headers between": (
        tar(F, pax({"mtime": "7"}, "g"), A, pax({"mtime": "8"}, "g"), member("Files/b", b"b")),
        {"duplicate_name"},
    ),
    "a number of base 256": (tar(F, header("Files/a", size=base256(5, 12)), pad(b"hello")), set()),
    "a long name of GNU": (
        tar(F, header("././@LongLink", size=201, type="L"), pad(b"Files/" + b"x" * 194 + b"\0"), member("y", b"1")),
        set(),
    ),
    "headers before POSIX": (
        tar(header("Files/", type="\0", magic=OLD), header("Files/a", type="\0", magic=OLD, size=1), pad(b"x")),
        set(),
    ),
    "a signed checksum": (tar(F, header("Files/é", signed=True)), set()),
    "no zeros behind the data": (tar(F, header("Files/a", size=5), b"hello" + b"x" * 507), set()),
    "junk in a header": (tar(F, header("Files/a", size=1, tail=bytes(155) + b"junk"), pad(b"1")), set()),
    "whiteouts": (tar(F, member("Files/.wh.a"), member("Files/d/.wh..wh..opq"), member("Files/d/b", b"1")), set()),
    "streams": (tar(F, A, member("Files/a:one", b"1"), member("Files/a:t:$DATA", b"22"), member("Files/b")), set()),
    "streams with odd names": (tar(F, A, member("Files/a:x:y:z", b"1"), member("Files/a:b/c", b"22")), set()),
    "a stream twice": (tar(F, A, member("Files/a:s", b"1"), member("Files/a:s", b"22")), {"duplicate_name"}),
    "streams equal without case": (tar(F, A, member("Files/a:s", b"1"), member("Files/a:S", b"22")), set()),
    "a stream of a directory": (tar(F, member("Files/d", type="5"), member("Files/d:s", b"1")), set()),
    "directories twice": (tar(F, F, member("Files/D", type="5"), member("files/d/x", b"1")), {"duplicate_name"}),
    "no directories": (tar(member("Files/a/b/c", b"1")), set()),
    "a file with a slash": (tar(F, member("Files/a/", b"1")), set()),
    "an unpaired surrogate": (tar(F, member(b"Files/\xed\xa0\x80", b"1")), set()),
    "a contiguous file": (tar(F, member("Files/a", b"hello", type="7")), set()),
    "all roots": (tar(F, A, member("Hives/System_Delta", b"regf"), member("UtilityVM/Files/x", b"1")), set()),
    "tarfile, PAX": (of_tarfile(tarfile.PAX_FORMAT), set()),
    "tarfile, GNU": (of_tarfile(tarfile.GNU_FORMAT), set()),
    "our writer": (layer("Files/x/", "Files/x/y=1", "-Files/z"), set()),
}


@pytest.mark.parametrize("name", MADE)
def test_layers_by_hand(name: str, full: wl.LayerStore) -> None:
    data, apart = MADE[name]
    taken_in(full, "made", "base", data)
    again = wl.LayerStore(full.home)
    assert put_together(again, "made") == apart
    assert not again.check()


@pytest.mark.host
def test_go_puts_layers_by_hand_together(store: wl.LayerStore, go: Go, tmp_path: Path) -> None:
    for data, apart in MADE.values():
        if not apart:
            store.apply_diff("made", "", data)
            put_together_by_go(store, "made", go, tmp_path)
            store.remove("made")
