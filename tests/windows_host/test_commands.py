"""The commands that only a Windows host has use for: `doctor`, and `store` on the Host Compute Service."""

import json
from collections.abc import Callable
from pathlib import Path

from windows_host.conftest import Nano
from windows_host.host import command

Box = Callable[..., str]


def test_doctor() -> None:
    """A real host confirms that the two DLLs and the privileges are found where they are."""
    facts = json.loads(command("doctor", "--json"))
    assert facts["host_compute_service"]["available"] is True
    assert "vmcompute" in json.dumps(facts["host_compute_service"])


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
