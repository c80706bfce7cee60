"""What the tests of the store share: a store, and small layers."""

import io
import shutil
from pathlib import Path

import pytest

import winlayers as wl


def layer(*names: str) -> bytes:
    """Give a layer tar: `d/` is a directory, `-x` a whiteout of x, `x=y` a file with the data y."""
    sink = io.BytesIO()
    with wl.LayerWriter(sink) as writer:
        for name in ("Files/", *names):
            if name.startswith("-"):
                writer.add_whiteout(name[1:])
            elif name.endswith("/"):
                writer.add(wl.Entry(name[:-1], kind="directory"))
            else:
                name, _, data = name.partition("=")
                writer.add(wl.Entry(name), data.encode())
    return sink.getvalue()


BASE = layer("Files/a.txt=hello", "Files/d/", "Files/d/b.txt=bye")


@pytest.fixture
def store(tmp_path: Path) -> wl.LayerStore:
    """Give an empty store that does not wait for the disk."""
    return wl.LayerStore(tmp_path / "home", options={"fsync": False})


@pytest.fixture
def full(store: wl.LayerStore) -> wl.LayerStore:
    """Give a store with a base layer and a sandbox, `box`."""
    store.apply_diff("base", "", BASE)
    store.create_read_write("box", "base")
    return store


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder with a store of every kind of layer, and a tar; for commands under strace."""
    from store.commands import build

    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    folder = tmp_path_factory.mktemp("template")
    build(folder)
    return folder
