"""An error of a full disk or of a missing folder has the file that the caller named, and no temporary name."""

import errno
import gzip
import io
import json
import os
import random
import re
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

import winlayers as wl

TEMPORARY = re.compile(r"\.winlayers\b|\.tmp\w|/tmp\w{6}\b")
DATA = random.Random(1).randbytes(3 << 20)
Full = Callable[[], AbstractContextManager[int]]


def layer(**streams: bytes) -> bytes:
    sink = io.BytesIO()
    with wl.LayerWriter(sink, dialect="lossless") as writer:
        writer.add(wl.Entry("Files", kind="directory"))
        writer.add(wl.Entry("Files/a.txt"), DATA, streams)
    return sink.getvalue()


LAYER = layer()


@contextmanager
def small_files() -> Iterator[int]:
    """Let no file of this process grow past 1 MiB; Python ignores the signal that goes with it."""
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, before[1]))
    try:
        yield errno.EFBIG
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@contextmanager
def filled(disk: Path) -> Iterator[int]:
    """Leave 1 MiB of a disk."""
    filler = disk / "filler"
    free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
    filler.write_bytes(bytes(free - (1 << 20)))
    try:
        yield errno.ENOSPC
    finally:
        filler.unlink()


@pytest.fixture(params=["a full disk", "a limit on files"])
def full(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Path, Full]]:
    """Give a folder, and what takes the room in it away; the folder for temporary files is on the same disk."""
    if sys.platform == "win32":
        pytest.skip("the disk of a Windows host is not ours to fill")
    disk = tmp_path / "disk"
    disk.mkdir()
    monkeypatch.setenv("TMPDIR", str(disk))
    if request.param == "a limit on files":
        yield disk, small_files
        return
    mount = ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(disk)]
    if sys.platform != "linux" or subprocess.run(mount, check=False, capture_output=True).returncode != 0:
        pytest.skip("only root can mount a disk")
    yield disk, lambda: filled(disk)
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


def write(sink: Path) -> None:
    with wl.LayerWriter(sink) as writer:
        writer.add(wl.Entry("Files/a.txt"), DATA)


def pack(sink: Path) -> None:
    files = sink.with_name("files")
    wl.pack(files, sink)


def split(metadata: Path) -> None:
    wl.tarsplit.disassemble(LAYER, metadata, metadata.with_name("content"))


def join(sink: Path) -> None:
    metadata, content = io.BytesIO(), dict[str, bytes]()
    wl.tarsplit.disassemble(LAYER, metadata, content)
    wl.tarsplit.assemble(metadata.getvalue(), content, sink)


def spool(sink: Path) -> None:
    """Write from a pipe, which the lossless dialect reads twice."""

    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

    backup = b"\1" + bytes(7) + len(DATA).to_bytes(8, "little") + bytes(4) + DATA
    with wl.LayerWriter(io.BytesIO(), dialect="lossless") as writer:
        writer.add_backup_stream("Files/a", wl.BasicInfo(), Pipe(backup))


def streams(folder: Path) -> None:
    wl.extract(layer(s=DATA), folder)


WORKS: dict[str, tuple[str, Callable[[Path], object], str]] = {
    # What is given, what is done with it, and what the error has.
    "extract": ("out", lambda path: wl.extract(LAYER, path), "out/Files/a.txt"),
    "extract streams": ("out", streams, "out/Files/a.txt"),
    "pack": ("layer.tar", pack, "layer.tar"),
    "pack with gzip": ("layer.tar.gz", pack, "layer.tar.gz"),
    "pack with zstd": ("layer.tar.zst", pack, "layer.tar.zst"),
    "write": ("layer.tar", write, "layer.tar"),
    "split": ("meta.ndjson", split, "content/Files/a.txt"),
    "join": ("layer.tar", join, "layer.tar"),
    "spool": (".", spool, "."),
}


@pytest.mark.parametrize("work", WORKS)
def test_a_full_disk(full: tuple[Path, Full], tmp_path: Path, work: str) -> None:
    disk, take = full
    given, run, named = WORKS[work]
    (disk / "files").mkdir()
    if work.startswith("pack"):
        (disk / "files" / "a.txt").write_bytes(DATA)
    with take() as number:
        error = raised(lambda: run(disk / given))
    assert (error.errno, error.filename) == (number, str(disk / named))
    assert [path.name for path in disk.iterdir() if path.name != "files"] == []


def raised(run: Callable[[], object]) -> OSError:
    with pytest.raises(OSError, match=r".") as caught:
        run()
    assert not TEMPORARY.search(str(caught.value)), caught.value
    return caught.value


@pytest.mark.parametrize("work", ["import", "mount", "view", "diff", "to a file"])
def test_a_full_disk_below_a_store(full: tuple[Path, Full], tmp_path: Path, work: str) -> None:
    disk, take = full
    home = disk / "home"
    store = wl.LayerStore(home, options={"fsync": False})
    works: dict[str, Callable[[], object]] = {
        "import": lambda: store.apply_diff("new", "", LAYER),
        "mount": lambda: store.get("base"),
        "view": lambda: store.view("box"),
        "diff": lambda: wl.LayerStore(home, options={"fsync": False, "format": "transport"}).diff("base"),
        "to a file": lambda: store.diff("base").copy_to(disk / "layer.tar"),
    }
    store.apply_diff("base", "", LAYER)
    store.create_read_write("box", "base")
    if work == "view":
        Path(store.get("box"), "new").write_bytes(DATA)
    with take() as number:
        error = raised(works[work])
    named = {"import": "home/new", "view": "home/box", "to a file": "layer.tar"}.get(work, "home/base")
    assert (error.errno, error.filename) == (number, str(disk / named))
    assert store.check() == []


def test_a_full_disk_and_an_image(full: tuple[Path, Full], tmp_path: Path) -> None:
    disk, take = full
    image = tmp_path / "image.tar.gz"
    config = json.dumps({"os": "windows", "architecture": "amd64", "rootfs": {"type": "layers", "diff_ids": []}})
    manifest = json.dumps([{"Config": "c.json", "RepoTags": [], "Layers": ["layer.tar"]}])
    with gzip.open(image, "wb") as packed, tarfile.open(fileobj=packed, mode="w") as tar:
        for name, data in (("manifest.json", manifest.encode()), ("c.json", config.encode()), ("layer.tar", LAYER)):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    store = wl.LayerStore(disk / "home", options={"fsync": False})
    with take() as number:
        error = raised(lambda: store.import_image(image))
    # What to look at is the folder for temporary files.
    assert (error.errno, error.filename) == (number, str(disk))


@pytest.mark.parametrize("work", ["extract", "pack", "write", "split", "join", "content", "source", "layer"])
def test_a_missing_folder(tmp_path: Path, work: str) -> None:
    (tmp_path / "files").mkdir()
    path = tmp_path / "missing" / "name"
    works: dict[str, Callable[[], object]] = {
        "extract": lambda: wl.extract(LAYER, path),
        "pack": lambda: wl.pack(tmp_path / "files", path),
        "write": lambda: write(path),
        "split": lambda: wl.tarsplit.disassemble(LAYER, io.BytesIO(), path),
        "join": lambda: join(path),
        "content": lambda: wl.tarsplit.assemble(b"", path, io.BytesIO()),
        "source": lambda: wl.verify_layer(path),
        "layer": lambda: wl.pack(path, io.BytesIO()),
    }
    error = raised(works[work])
    assert (error.errno, error.filename) == (errno.ENOENT, str(path))
