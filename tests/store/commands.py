"""The commands that change a store, run under strace, and what a store has before and after."""

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import winlayers as wl
from store.conftest import BASE, layer

CHILD = layer("Files/a.txt=changed", "-Files/d/b.txt", "Files/new/", "Files/new/c=1")

State = dict[str, tuple[object, ...]]


def nothing(folder: Path) -> None:
    """Leave a folder as it is."""


def put_held(folder: Path) -> None:
    """End one mount of two: each is ended by itself."""
    wl.LayerStore(folder / "home").put("held")


@dataclass(frozen=True)
class Command:
    """What is run."""

    program: tuple[str, ...]
    """Arguments of Python: `{tar}` is a layer, `{home}` the store."""
    home: str = "home"
    before: Callable[[Path], None] = nothing
    """What is done to the folder first."""

    @classmethod
    def of(cls, *arguments: str, before: Callable[[Path], None] = nothing) -> "Command":
        """Give a command of the command line."""
        return cls(("-m", "winlayers.cli", "store", *arguments, "--home", "{home}"), before=before)


COMMANDS = {
    "create": Command.of("create", "new", "--parent", "base"),
    "sandbox": Command.of("create", "new", "--parent", "base", "--sandbox"),
    "import": Command.of("import", "new", "{tar}", "--parent", "base"),
    "fill": Command.of("import", "empty", "{tar}"),
    "rm": Command.of("rm", "child"),
    "mount": Command.of("mount", "box"),
    "view": Command.of("mount", "child"),
    "umount": Command.of("umount", "held"),
    "put": Command.of("umount", "seen"),
    "cleanup": Command.of("cleanup", "--force", before=put_held),
}


def build(folder: Path) -> None:
    """Make a store of every kind of layer, and a tar."""
    store = wl.LayerStore(folder / "home")
    store.apply_diff("base", "", BASE)
    store.apply_diff("child", "base", CHILD)
    store.apply_diff("seen", "base", CHILD)
    store.create("empty", "base")
    store.create_read_write("box", "base")
    store.create_read_write("held", "base")
    store.get("held")
    store.get("seen")
    (folder / "layer.tar").write_bytes(CHILD)


def run(folder: Path, command: Command, *strace: str) -> subprocess.CompletedProcess[bytes]:
    """Run a command on the store in a folder, under strace."""
    program = [part.format(tar=folder / "layer.tar", home=folder / command.home) for part in command.program]
    paths = [path for path in sys.path if path.endswith("site-packages")] + [str(Path(wl.__file__).parents[1])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        ["strace", "-f", "-qq", *strace, sys.executable, "-S", *program],
        env=environment,
        capture_output=True,
        check=False,
        timeout=120,
    )


def state(home: Path, *, fsync: bool = True) -> State:
    """Tell what a store has, as far as users see it."""
    store = wl.LayerStore(home, options={"fsync": fsync})
    found = store.check()
    assert not found, found
    layers: State = {}
    for info in store.layers():
        with store.diff(info.id) as tar:
            data = tar.read()
        layers[info.id] = (info.parents, info.state, info.diff_id, data, info.mounted, seen(store, info))
    for name in ("tmp", "trash", "views"):
        held = {info.id for info in store.layers() if info.mounted}
        left = [path for path in (home / ".winlayers" / name).iterdir() if path.name not in held]
        assert not left, f"{name} holds space"
    return layers


def seen(store: wl.LayerStore, info: wl.LayerInfo) -> dict[str, bytes | None]:
    """Tell what whoever mounted a layer sees."""
    if not info.mounted:
        return {}
    root = Path(store.get(info.id))
    found = {str(path.relative_to(root)): path.read_bytes() if path.is_file() else None for path in root.rglob("*")}
    store.put(info.id)
    return found
