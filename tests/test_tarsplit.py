"""tar-split: against the Go tool line for line, and what it promises where the Go tool has no answer."""

import bz2
import gzip
import io
import json
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

import winlayers as wl
from go_tarsplit import Files, Go
from winlayers.tarsplit import ApartMember, assemble, disassemble

# Where our metadata differs from the Go tool's, and why; everywhere else it is the same, byte for byte.
SPARSE = "a sparse file with holes, or with its map in front of the data: Go assembles another tar"
LARGE = "a sparse file of gigabytes, which Go would check whole: the test does not let it"
TWICE = "a name occurs twice: Go refuses the archive"
DIFFERENCES = {
    "gnu-incremental.tar": LARGE,
    "gnu-nil-sparse-hole.tar": SPARSE,
    "gnu-sparse-big.tar": LARGE,
    "hdr-only.tar": TWICE,
    "pax-nil-sparse-data.tar": SPARSE,
    "pax-nil-sparse-hole.tar": SPARSE,
    "pax-sparse-big.tar": LARGE,
    "sparse-formats.tar": SPARSE,
    "tar-rs/duplicate_dirs.tar": TWICE,
    "tar-rs/sparse-1.tar": SPARSE,
    "tar-rs/sparse-large.tar": LARGE,
    "tar-rs/sparse.tar": SPARSE,
}


def compare(go: Go, tar: bytes, folder: Path) -> str:
    """Take a tar apart and put it together on both sides, each with what the other made; say what came of it."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    source, ours, theirs, target = (folder / name for name in ("tar", "ours", "theirs", "again"))
    source.write_bytes(tar)
    our_files, their_files = Files(folder / "our-files"), Files(folder / "their-files")
    error = go("split", tar=source, metadata=theirs, content=their_files.folder)
    try:
        summary = disassemble(source, ours, our_files.create)
    except (wl.FormatError, wl.LimitExceededError):
        assert error, "only we refuse it"
        return "refused"
    assert summary.size == len(tar)
    assert assemble(ours, our_files.open, target).size == len(tar)
    assert target.read_bytes() == tar, "ours, assembled by us"
    target.unlink()
    assert go("join", tar=target, metadata=ours, content=our_files.folder) == ""
    assert target.read_bytes() == tar, "ours, assembled by Go"
    if "duplicates" in error:
        return TWICE
    if error == "test: too much data":
        return LARGE
    assert not error, "only Go refuses it"
    if ours.read_bytes() == theirs.read_bytes():
        assemble(theirs, their_files.open, target)
        assert target.read_bytes() == tar, "Go's, assembled by us"
        return "same"
    assert go("join", tar=target, metadata=theirs, content=their_files.folder) or target.read_bytes() != tar
    return SPARSE


@pytest.mark.host
def test_every_vector_as_the_go_tool_has_it(vectors: Path, go: Go, tmp_path: Path) -> None:
    unpack: dict[str, Callable[[bytes], bytes]] = {".tar": bytes, ".gz": gzip.decompress, ".bz2": bz2.decompress}
    files = [file for file in sorted((vectors / "tar").rglob("*")) if file.suffix in unpack]
    assert len(files) > 70
    tars = {file.relative_to(vectors / "tar").as_posix(): unpack[file.suffix](file.read_bytes()) for file in files}
    found = {name: compare(go, tar, tmp_path / "w") for name, tar in tars.items()}
    assert {name: result for name, result in found.items() if result not in ("same", "refused")} == DIFFERENCES
    assert [name for name, result in found.items() if result == "same"] != []


@pytest.mark.host
def test_the_vectors_have_the_members_that_go_finds(vectors: Path, go: Go) -> None:
    """The names of all members, in order: those of Go's archive/tar, which lists global headers, too."""
    for file in sorted((vectors / "tar").rglob("*.tar")):
        answer = go.ask("list", tar=file)
        if answer["error"]:
            continue
        lines = io.BytesIO()
        summary = disassemble(file, lines)
        entries = [json.loads(line) for line in lines.getvalue().splitlines()]
        names = [entry.get("name", "").encode() or _raw(entry) for entry in entries if entry["type"] == 1]
        apart = [member.raw_name for member in summary.apart]
        assert sorted(names + apart) == sorted(_decoded(name) for name in answer["names"] or []), file.name


def _raw(entry: dict[str, str]) -> bytes:
    return _decoded(entry.get("name_raw", ""))


def _decoded(text: str) -> bytes:
    import base64

    return base64.b64decode(text)


@pytest.mark.host
def test_a_debian_package_as_the_go_tool_has_it(go: Go, tmp_path: Path) -> None:
    packages = sorted(Path("/var/cache/apt/archives").glob("*.deb"), key=lambda file: file.stat().st_size)
    if not packages and shutil.which("apt-get") is not None:
        subprocess.run(["apt-get", "download", "hello"], cwd=tmp_path, capture_output=True, check=False)
        packages = sorted(tmp_path.glob("*.deb"))
    if not packages or shutil.which("dpkg-deb") is None:
        pytest.skip("no Debian package to be had")
    command = ["dpkg-deb", "--fsys-tarfile", str(packages[0])]
    tar = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout
    assert len(tar) > 10_240
    assert compare(go, tar, tmp_path / "w") == "same"


def archive(members: list[tuple[str, bytes | None]], fmt: int = tarfile.PAX_FORMAT) -> bytes:
    """A tar of files, and of directories where there is no data."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=fmt, errors="surrogateescape") as tar:
        for name, data in members:
            info = tarfile.TarInfo(name)
            if data is None:
                info.type = tarfile.DIRTYPE
            else:
                info.size = len(data)
            tar.addfile(info, io.BytesIO(data or b""))
    return out.getvalue()


LETTERS = st.sampled_from("aB0.<>&\"'\\ \t\n\x7f\u00e9\u2028\u2029\U0001f600\udcff")
PARTS = st.text(LETTERS, min_size=1, max_size=8).filter(lambda part: part not in (".", ".."))
# Every name starts with a part of its own, so that no two are one after cleaning, and none is absolute or a drive.
NAMES = st.lists(PARTS, max_size=14).map("/".join)
MEMBERS = st.lists(st.tuples(NAMES, st.none() | st.binary(max_size=1500)), max_size=5).map(
    lambda members: [(f"member{i}/{name}", data) for i, (name, data) in enumerate(members)]
)


@pytest.mark.host
@given(members=MEMBERS, fmt=st.sampled_from([tarfile.PAX_FORMAT, tarfile.GNU_FORMAT]), tail=st.integers(0, 2_500_000))
def test_generated_archives_as_the_go_tool_has_them(
    go: Go, tmp_path_factory: pytest.TempPathFactory, members: list[tuple[str, bytes | None]], fmt: int, tail: int
) -> None:
    members = [(name, data) for name, data in members if not any(p == ".." for p in name.replace("\\", "/").split("/"))]
    tar = archive(members, fmt) + bytes(tail)
    assert compare(go, tar, tmp_path_factory.getbasetemp() / "generated") == "same"


DAMAGED = st.builds(
    lambda members, changes, cut, tail: _damaged(archive(members), changes, cut) + tail,
    st.lists(
        st.tuples(
            st.sampled_from(["a", "./a", "a/b", "../up", "/etc/passwd", "C:/x", "", "dir/", "\udcff"]),
            st.none() | st.binary(max_size=700),
        ),
        max_size=4,
    ),
    st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), max_size=3),
    st.floats(0, 1),
    st.sampled_from([b"", bytes(512), b"rest"]),
)


def _damaged(tar: bytes, changes: list[tuple[float, int]], cut: float) -> bytes:
    data = bytearray(tar)
    for place, value in changes:
        at = int(place * (len(data) - 1))
        data[at] = value
        block = memoryview(data)[at - at % 512 :][:512]
        if at % 512 < 345 and bytes(block[257:262]) == b"ustar":
            block[148:156] = b" " * 8
            block[148:156] = b"%06o\0 " % sum(block)
    # Most archives stay whole.
    return bytes(data[: int(len(data) * min(1.0, cut * 4))])


@given(tar=DAMAGED, seekable=st.booleans())
def test_the_tar_comes_back_or_the_split_is_refused(tar: bytes, seekable: bool) -> None:
    metadata, content = io.BytesIO(), dict[str, bytes]()
    try:
        summary = disassemble(tar if seekable else Pipe(tar), metadata, content)
    except wl.FormatError:
        return
    again = io.BytesIO()
    assert assemble(metadata.getvalue(), content, again).size == summary.size == len(tar)
    assert again.getvalue() == tar


class Pipe:
    """A file that reads a few bytes at a time and does not seek."""

    def __init__(self, data: bytes) -> None:
        self.file = io.BytesIO(data)

    def read(self, size: int = -1) -> bytes:
        return self.file.read(min(size, 777))


TAR = archive([("Files/", None), ("Files/a.txt", b"hello"), ("Files/b/c.txt", b"data" * 100_000)])


def test_a_directory_of_content(tmp_path: Path) -> None:
    content, metadata, again = tmp_path / "content", tmp_path / "metadata.json", tmp_path / "again.tar"
    summary = disassemble(io.BytesIO(TAR), metadata, content)
    assert (summary.files, summary.data, summary.apart) == (3, 400_005, ())
    assert sorted(p.relative_to(content).as_posix() for p in content.rglob("*") if p.is_file()) == [
        "Files/a.txt",
        "Files/b/c.txt",
    ]
    assert assemble(metadata, content, again).size == len(TAR)
    assert again.read_bytes() == TAR

    with pytest.raises(wl.RefusedError) as caught:
        disassemble(TAR, io.BytesIO(), content)
    assert caught.value.code == "target_exists"
    (tmp_path / "empty").mkdir()
    disassemble(TAR, io.BytesIO(), tmp_path / "empty")
    assert (tmp_path / "empty" / "Files" / "a.txt").read_bytes() == b"hello"


def test_metadata_is_gzip_when_its_name_says_so(tmp_path: Path) -> None:
    plain, packed, content = io.BytesIO(), tmp_path / "tar-split.json.gz", dict[str, bytes]()
    disassemble(TAR, plain, content)
    disassemble(TAR, packed)
    assert gzip.decompress(packed.read_bytes()) == plain.getvalue()
    for metadata in (packed, packed.read_bytes(), plain.getvalue(), io.BytesIO(plain.getvalue())):
        again = io.BytesIO()
        assemble(metadata, content, again)
        assert again.getvalue() == TAR
    # A compressed tar is taken apart uncompressed.
    again = io.BytesIO()
    disassemble(gzip.compress(TAR), again)
    assert again.getvalue() == plain.getvalue()


def test_what_go_refuses_is_listed(tmp_path: Path) -> None:
    tar = archive([("a", b"1"), ("./a", b"22"), ("../up", b"333"), ("/abs", b"4"), ("b", b"5"), ("b/c", b"6")])
    metadata, again = io.BytesIO(), io.BytesIO()
    summary = disassemble(tar, metadata, tmp_path / "content")
    assert summary.apart == (
        ApartMember("./a", b"./a", "duplicate_name", 2),
        ApartMember("../up", b"../up", "unsafe_name", 3),
        ApartMember("/abs", b"/abs", "unsafe_name", 1),
        ApartMember("b/c", b"b/c", "content", 1),
    )
    assert summary.apart_totals == {"duplicate_name": 1, "unsafe_name": 2, "content": 1}
    assert (summary.files, summary.data) == (2, 2)
    assemble(metadata.getvalue(), tmp_path / "content", again)
    assert again.getvalue() == tar
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["a", "b", "content"]


def test_callables_and_mappings() -> None:
    files: dict[str, io.BytesIO] = {}

    class Kept(io.BytesIO):
        def close(self) -> None:
            files[self.key] = io.BytesIO(self.getvalue())
            super().close()

        key = ""

    def create(name: str) -> BinaryIO | None:
        if name == "Files/a.txt":
            return None
        file = Kept()
        file.key = name
        return file

    metadata = io.BytesIO()
    summary = disassemble(TAR, metadata, create)
    assert [(member.name, member.reason) for member in summary.apart] == [("Files/a.txt", "content")]
    assert list(files) == ["Files/b/c.txt"]

    opened = []

    def open_again(name: str) -> BinaryIO:
        opened.append(io.BytesIO(files[name].getvalue()))
        return opened[-1]

    class Getter:
        def open(self, name: str) -> BinaryIO:
            return open_again(name)

    by_name = {b"Files/b/c.txt": bytearray(b"data" * 100_000)}
    for content in (open_again, Getter(), by_name, dict(files)):
        again = io.BytesIO()
        assemble(metadata.getvalue(), content, again)  # type: ignore[arg-type]
        assert again.getvalue() == TAR
    assert len(opened) == 2
    assert all(file.closed for file in opened)


@pytest.mark.parametrize(
    ("data", "found"), [(b"hallo", "CRC-64"), (b"hell", "4"), (b"hello!", "more")], ids=["changed", "short", "long"]
)
def test_content_that_does_not_match(tmp_path: Path, data: bytes, found: str) -> None:
    metadata, content = io.BytesIO(), dict[str, bytes]()
    disassemble(TAR, metadata, content)
    content["Files/a.txt"] = data
    with pytest.raises(wl.IntegrityError, match=found) as caught:
        assemble(metadata.getvalue(), content, tmp_path / "again.tar")
    assert caught.value.what == "Files/a.txt"
    del content["Files/a.txt"]
    with pytest.raises(KeyError):
        assemble(metadata.getvalue(), content, tmp_path / "again.tar")
    assert list(tmp_path.iterdir()) == []


def test_a_failure_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for content in (tmp_path / "content", tmp_path / "empty"):
        with pytest.raises(wl.FormatError):
            disassemble(TAR[:-99_000], tmp_path / "metadata.json.gz", content)
        assert [p.name for p in tmp_path.rglob("*")] == ["empty"]
    with pytest.raises(wl.LimitExceededError):
        disassemble(TAR, tmp_path / "metadata.json", limits=wl.Limits(entries=2))

    def fail(name: str) -> BinaryIO:
        raise LookupError(name)

    with pytest.raises(LookupError, match=r"Files/a\.txt"):
        disassemble(TAR, tmp_path / "metadata.json", fail)
    assert [p.name for p in tmp_path.rglob("*")] == ["empty"]


HOSTILE = [
    ('{"type":1,"name":"../up","size":1,"payload":"AAAAAAAAAAA=","position":0}', "name"),
    ('{"type":1,"name":"a/../../up","size":1,"payload":"AAAAAAAAAAA=","position":0}', "name"),
    ('{"type":1,"name":"C:\\\\up","size":1,"payload":"AAAAAAAAAAA=","position":0}', "name"),
    ('{"type":1,"name":"a","size":-1,"payload":"AAAAAAAAAAA=","position":0}', "entry"),
    ('{"type":1,"name":"a","size":1,"payload":"AAAA","position":0}', "payload"),
    ('{"type":2,"payload":"A","position":0}', "payload"),
    ('{"type":2,"payload":"AAAA","position":1}', "position"),
    ('{"type":7,"payload":"AAAA","position":0}', "type"),
    ("[" * 100_000, "entry"),
    ("\0\1\2", "entry"),
]


@pytest.mark.parametrize(("line", "field"), HOSTILE, ids=[line[:60] for line, _ in HOSTILE])
def test_hostile_metadata(tmp_path: Path, line: str, field: str) -> None:
    def fail(name: str) -> BinaryIO:
        pytest.fail(f"asked for {name}")

    for content in (dict[str, bytes](), tmp_path, fail):
        with pytest.raises(wl.FormatError) as caught:
            assemble(line.encode(), content, io.BytesIO())
        assert (caught.value.code, caught.value.field, caught.value.offset) == ("bad_tar_split", field, 0)


@pytest.mark.host
def test_no_link_leads_out_of_the_content(tmp_path: Path) -> None:
    metadata = io.BytesIO()
    disassemble(TAR, metadata, tmp_path / "content")
    outside = tmp_path / "outside"
    (tmp_path / "content" / "Files").rename(outside)
    (tmp_path / "content" / "Files").symlink_to(outside, target_is_directory=True)
    with pytest.raises(wl.RefusedError) as caught:
        assemble(metadata.getvalue(), tmp_path / "content", io.BytesIO())
    assert caught.value.code == "link_escapes"


def test_progress_and_its_exceptions() -> None:
    told: list[tuple[int, int | None]] = []
    metadata, content = io.BytesIO(), dict[str, bytes]()
    big = archive([("a", bytes(5_000_000))])
    disassemble(big, metadata, content, progress=lambda done, total: told.append((done, total)))
    assert len(told) >= 4
    assert told[-1] == (len(big), len(big))
    told.clear()
    assemble(metadata.getvalue(), content, io.BytesIO(), progress=lambda done, total: told.append((done, total)))
    assert len(told) >= 4
    assert sorted(told) == told

    def stop(done: int, total: int | None) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        disassemble(big, io.BytesIO(), progress=stop)
    with pytest.raises(KeyboardInterrupt):
        assemble(metadata.getvalue(), content, io.BytesIO(), progress=stop)


def test_wrong_arguments() -> None:
    for content in (5, b"name"):
        with pytest.raises(TypeError):
            disassemble(TAR, io.BytesIO(), content)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        assemble(b"", 5, io.BytesIO())  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        disassemble(TAR, b"metadata")  # type: ignore[arg-type]
