"""The same layers by hcsshim's own program, `wclayer`, which WINLAYERS_WCLAYER names.

go install github.com/Microsoft/hcsshim/cmd/wclayer@v0.13.0
"""

import io
import os
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

import winlayers as wl
from windows_host import ntfs
from windows_host.conftest import Nano
from windows_host.test_sandbox import inside

Box = Callable[..., str]


@pytest.fixture
def wclayer(nano: Nano) -> Callable[..., bytes]:
    """Give a way to run it: the arguments before the parents, and those after."""
    program = os.environ.get("WINLAYERS_WCLAYER")
    if not program:
        pytest.skip("needs WINLAYERS_WCLAYER: the path of hcsshim's wclayer.exe")

    def run(*arguments: str, parents: list[str], data: bytes = b"") -> bytes:
        line = [program, arguments[0], *(f"--layer={parent}" for parent in parents), *arguments[1:]]
        done = subprocess.run(line, input=data, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr.decode(errors="replace")
        return done.stdout

    return run


def described(data: bytes) -> dict[str, tuple[object, ...]]:
    """Give what each member of a tar says, by its name: a difference is seen where it is."""
    found: dict[str, tuple[object, ...]] = {}
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        for member in tar:
            file = tar.extractfile(member) if member.isreg() else None
            records = {key: value for key, value in member.pax_headers.items() if key != "path"}
            content = None if file is None else file.read()
            found[member.name] = (member.type, member.linkname, member.size, member.mtime, records, content)
    return found


def test_export(nano: Nano, box: Box, wclayer: Callable[..., bytes], tmp_path: Path) -> None:
    """A real host confirms that our tar of a changed sandbox is hcsshim's, byte for byte."""
    id = box("box")
    with nano.store.mount(id) as root:
        folder = inside(root, "app")
        folder.mkdir()
        (folder / "a.txt").write_bytes(os.urandom(100_000))
        Path(f"{folder / 'a.txt'}:stream").write_bytes(b"named")
        os.link(folder / "a.txt", folder / "b.txt")
        (folder / "link").symlink_to("a.txt")
        ntfs.make_junction(Path("C:\\app"), folder / "junction")
        ntfs.set_extended_attributes(folder / "a.txt", [(b"NAME", b"value", 0)])
        inside(root, "License.txt").unlink()
    with nano.store.diff(id) as stream:
        ours = stream.read()
    parents = [str(nano.folder(parent)) for parent in nano.store.info(id).parents]
    target = tmp_path / "theirs.tar"
    wclayer("export", f"--output={target}", str(nano.folder(id)), parents=parents)
    theirs = target.read_bytes()
    assert described(ours) == described(theirs)
    assert ours == theirs


def test_import(nano: Nano, wclayer: Callable[..., bytes], host_folder: Path, tmp_path: Path) -> None:
    """A real host confirms that the folder which our import made and the one which hcsshim's made export alike."""
    source = tmp_path / "layer" / "Files" / "data"
    source.mkdir(parents=True)
    (source / "file").write_bytes(os.urandom(10_000))
    layer = tmp_path / "layer.tar"
    wl.pack(tmp_path / "layer", layer)
    nano.store.apply_diff("second", nano.top, layer)
    parents = [str(nano.folder(id)) for id in reversed(nano.layers)]
    theirs = host_folder / "theirs"
    wclayer("import", f"--input={layer}", str(theirs), parents=parents)
    try:
        exported = [described(export(wclayer, folder, parents, tmp_path)) for folder in (nano.folder("second"), theirs)]
    finally:
        wclayer("remove", str(theirs), parents=[])
        nano.store.remove("second")
    assert exported[0] == exported[1]


def export(wclayer: Callable[..., bytes], folder: Path, parents: list[str], place: Path) -> bytes:
    target = place / f"{folder.name}.tar"
    wclayer("export", f"--output={target}", str(folder), parents=parents)
    return target.read_bytes()
