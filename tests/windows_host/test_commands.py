"""The commands that only a Windows host has use for: `doctor`, `zap`, and `store` on the Host Compute Service."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from store.conftest import layer
from windows_host import ntfs
from windows_host.conftest import Nano
from windows_host.host import command

Box = Callable[..., str]

# Without it `zap` only says what it would do.
FOR_REAL = "--yes"


def test_doctor() -> None:
    """A real host confirms that the two DLLs and the privileges are found where they are."""
    facts = json.loads(command("doctor", "--json"))
    assert facts["host_compute_service"]["available"] is True
    assert "vmcompute" in json.dumps(facts["host_compute_service"])


def left_behind(nano: Nano, box: Box, folder: Path) -> Path:
    """Give the copy of a layer's folder that no store knows, with files that its DACLs keep from everybody."""
    nano.store.apply_diff("middle", nano.top, layer("Files/d/", "Files/d/x=1"))
    copy = folder / "left behind"
    shutil.copytree(nano.folder("middle"), copy)
    nano.store.remove("middle")
    ntfs.make_junction(folder / "outside", copy / "Files" / "out")
    for path in (copy / "Files" / "d" / "x", copy / "Files" / "d"):
        ntfs.set_security(path, "O:SYG:SYD:P(D;;FA;;;WD)" if path.is_dir() else "D:P(D;;FA;;;WD)")
    return copy


def test_zap(nano: Nano, box: Box, host_folder: Path) -> None:
    """A real host confirms that backup rights delete what no DACL lets anybody delete, and no junction is followed."""
    outside = host_folder / "outside"
    outside.mkdir()
    (outside / "precious").write_text("precious")
    copy = left_behind(nano, box, host_folder)
    command("zap", str(copy))
    assert (copy / "Files").is_dir(), "a dry run deleted something"
    command("zap", FOR_REAL, str(copy))
    assert not copy.exists()
    assert (outside / "precious").read_text() == "precious"
    shutil.rmtree(outside)


def test_zap_refuses(nano: Nano, box: Box, host_folder: Path) -> None:
    """A real host confirms that a mounted layer is known as such, also by its volume, and that no other folder is
    taken for a layer."""
    other = host_folder / "no layer"
    (other / "data").mkdir(parents=True)
    id = box("box")
    with nano.store.mount(id) as root:
        for path in (str(other), str(nano.folder(id)), str(nano.folder(nano.top)), root, str(host_folder)):
            done = command_that_fails("zap", FOR_REAL, path)
            assert "error:" in done
        assert ntfs.names(root)
    assert (other / "data").is_dir()
    assert nano.folder(nano.top).is_dir()
    shutil.rmtree(other)


def command_that_fails(*arguments: str) -> str:
    """Run a command that must end with one of the statuses for bad input, store and host, and no traceback."""
    line = [sys.executable, "-m", "winlayers.cli", *arguments]
    done = subprocess.run(line, capture_output=True, check=False, text=True, encoding="utf-8")
    assert done.returncode in (2, 3, 4, 5), done.stdout
    assert "Traceback" not in done.stderr
    return done.stderr


def test_the_store_from_the_shell(nano: Nano, box: Box) -> None:
    """A real host confirms a mount that outlives the process that made it."""
    id = box("box")
    home = ["--home", str(nano.home)]
    root = command("store", "mount", id, *home).strip()
    try:
        (Path(root) / "new.txt").write_text("new")
    finally:
        command("store", "umount", id, *home)
    changes = [json.loads(line) for line in command("store", "changes", id, "--json", *home).splitlines()]
    assert "Files/new.txt".casefold() in {change["path"].casefold() for change in changes}
