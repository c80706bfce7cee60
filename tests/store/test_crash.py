"""Every command that changes a store, killed or refused at every call that it makes to the system.

`strace` (Debian) does it. By default a sample is run; `make crash` runs all.
"""

import os
import random
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

import winlayers as wl
from store.conftest import BASE, layer

pytestmark = pytest.mark.host

CHILD = layer("Files/a.txt=changed", "-Files/d/b.txt", "Files/new/", "Files/new/c=1")
CALLS = [
    *("write", "pwrite64", "ftruncate", "copy_file_range", "fsync", "fdatasync"),
    *("rename", "renameat", "renameat2", "link", "linkat", "symlinkat", "unlink", "unlinkat", "rmdir"),
    *("mkdir", "mkdirat", "fchmod", "fchmodat", "utimensat"),
]
FAULTS = ["signal=KILL", "error=ENOSPC", "error=EIO", "error=EACCES"]
SAMPLE = int(os.environ.get("CRASH_SAMPLE", "24"))
"""How many faults of each command are tried; 0: all."""


@dataclass(frozen=True)
class Command:
    """What is run."""

    arguments: tuple[str, ...]


COMMANDS = {
    "create": Command(("create", "new", "--parent", "base")),
    "sandbox": Command(("create", "new", "--parent", "base", "--sandbox")),
    "import": Command(("import", "new", "{tar}", "--parent", "base")),
    "fill": Command(("import", "empty", "{tar}")),
    "rm": Command(("rm", "child")),
    "mount": Command(("mount", "box")),
    "view": Command(("mount", "child")),
    "umount": Command(("umount", "held")),
}


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder with a store of every kind of layer, and a tar."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    folder = tmp_path_factory.mktemp("template")
    store = wl.LayerStore(folder / "home")
    store.apply_diff("base", "", BASE)
    store.apply_diff("child", "base", CHILD)
    store.create("empty", "base")
    store.create_read_write("box", "base")
    store.create_read_write("held", "base")
    store.get("held")
    (folder / "layer.tar").write_bytes(CHILD)
    return folder


def run(folder: Path, command: Command, *strace: str) -> subprocess.CompletedProcess[bytes]:
    """Run a command on the store in a folder, under strace."""
    arguments = [argument.format(tar=folder / "layer.tar") for argument in command.arguments]
    program = [sys.executable, "-S", "-m", "winlayers.cli", "store", *arguments, "--home", str(folder / "home")]
    paths = [path for path in sys.path if path.endswith("site-packages")] + [str(Path(wl.__file__).parents[1])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        ["strace", "-f", "-qq", *strace, *program], env=environment, capture_output=True, check=False, timeout=120
    )


def calls_of(folder: Path, command: Command) -> list[tuple[str, int]]:
    """List the calls that a command makes, each with its number among those of its name in its thread."""
    log = folder / "log"
    done = run(folder, command, "-o", str(log), "-e", "trace=" + ",".join(f"?{call}" for call in CALLS))
    assert done.returncode == 0, done.stderr
    counts: dict[tuple[str, str], int] = {}
    for line in log.read_text(errors="replace").splitlines():
        if match := re.match(r"(\d+) +(\w+)\(", line):
            counts[match[1], match[2]] = counts.get((match[1], match[2]), 0) + 1
    most: dict[str, int] = {}
    for (_, call), count in counts.items():
        most[call] = max(most.get(call, 0), count)
    assert most, "strace saw nothing"
    return [(call, number) for call, count in sorted(most.items()) for number in range(1, count + 1)]


def state(home: Path) -> dict[str, tuple[object, ...]]:
    """Tell what a store has, as far as users see it."""
    store = wl.LayerStore(home)
    assert not store.check()
    layers: dict[str, tuple[object, ...]] = {}
    for info in store.layers():
        with store.diff(info.id) as tar:
            data = tar.read()
        layers[info.id] = (info.parents, info.state, info.diff_id, data)
    for name in ("tmp", "trash", "views"):
        held = {info.id for info in store.layers() if info.mounted}
        left = [path for path in (home / ".winlayers" / name).iterdir() if path.name not in held]
        assert not left, f"{name} holds space"
    return layers


@pytest.mark.parametrize("name", COMMANDS)
def test_a_fault_leaves_the_old_state_or_the_new(name: str, template: Path, tmp_path: Path) -> None:
    command = COMMANDS[name]
    before = state(template / "home")
    whole = tmp_path / "whole"
    shutil.copytree(template, whole, symlinks=True)
    cases = [(call, number, fault) for call, number in calls_of(whole, command) for fault in FAULTS]
    after = state(whole / "home")
    if name not in ("mount", "view", "umount"):
        assert before != after
    if SAMPLE:
        cases = random.Random(name).sample(cases, min(SAMPLE, len(cases)))
    for number, (call, count, fault) in enumerate(cases):
        folder = tmp_path / str(number)
        shutil.copytree(template, folder, symlinks=True)
        done = run(folder, command, "-o", os.devnull, "-e", f"inject={call}:{fault}:when={count}")
        what = f"{name}, {call} {count}, {fault}: status {done.returncode}, {done.stderr.decode()[-300:]}"
        try:
            found = state(folder / "home")
        except (wl.WinLayersError, AssertionError, OSError) as error:
            raise AssertionError(f"{what}: {error}") from error
        assert found in (before, after), what
        if done.returncode == 0:
            assert found == after, what
        assert b"Traceback" not in done.stderr, what
        shutil.rmtree(folder)
