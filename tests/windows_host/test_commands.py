"""The commands that only a Windows host has use for: `doctor`, and `store` on the Host Compute Service."""

import json
from collections.abc import Callable
from pathlib import Path

from windows_host import ntfs
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


def test_zap(nano: Nano, box: Box) -> None:
    """A real host confirms that a mounted sandbox and the image under it are refused, and what deletes a layer."""
    id = box("zapped")
    root = str(nano.folder(id))
    with nano.store.mount(id):
        for folder in (root, str(nano.folder(nano.layers[0]))):
            assert json.loads(command("zap", "--yes", folder, "--json", status=4))["error"] == "layer_in_use"
    assert json.loads(command("zap", "--json", root))["deleted"] is False
    assert Path(root).exists()
    assert json.loads(command("zap", "--yes", "--json", root)) == {"path": root, "kind": "sandbox", "deleted": True}
    assert not Path(root).exists()


def test_zap_of_what_nobody_may_delete(host_folder: Path) -> None:
    """A real host confirms that files which deny everybody go, and that the folder of an open file is not renamed."""
    layer = host_folder / "left"
    file = layer / "Files" / "file"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"x")
    with file.open("rb"):
        assert json.loads(command("zap", "--yes", str(layer), "--json", status=4))["error"] == "layer_in_use"
    for path in (file, file.parent, layer):
        ntfs.set_security(path, "D:P(D;;FA;;;WD)")
    command("zap", "--yes", str(layer))
    assert not layer.exists()
