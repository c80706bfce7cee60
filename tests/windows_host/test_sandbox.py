"""Sandboxes on the Host Compute Service: mounted, changed as a user would, exported, and applied as a layer."""

import io
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import winlayers as wl
from store.conftest import layer
from windows_host import ntfs
from windows_host.conftest import Nano

Box = Callable[..., str]


def inside(root: str, *names: str) -> Path:
    r"""Give a path in a mounted layer: `\\?\Volume{...}\` or a folder."""
    return Path(root.rstrip("\\") + "\\" + "\\".join(names))


def test_from_change_to_layer(nano: Nano, box: Box) -> None:
    """A real host confirms the whole way: CreateSandboxLayer, ActivateLayer, PrepareLayer, the mounted volume with the
    image in it, ExportLayer after the undo of prepare, ImportLayer with the chain, and the result seen again."""
    store = nano.store
    id = box("box")
    assert store.info(id).state == "sandbox"
    with store.mount(id) as root:
        assert inside(root, "Windows", "System32", "ntdll.dll").exists()
        app = inside(root, "app")
        app.mkdir()
        (app / "hello.txt").write_text("hello", newline="")
        Path(f"{app / 'hello.txt'}:Zone.Identifier").write_bytes(b"zone")
        ntfs.set_security(app / "hello.txt", "O:BAG:SYD:P(A;;FA;;;BA)(A;;FR;;;BU)")
        ntfs.set_extended_attributes(app / "hello.txt", [(b"NAME", b"value", 0)])
        os.link(app / "hello.txt", app / "again.txt")
        (app / "link").symlink_to("hello.txt")
        ntfs.make_junction(Path("C:\\app"), app / "junction")
        inside(root, "License.txt").unlink()

    changes = {change.path.casefold(): change for change in store.changes(id)}
    assert changes["files/app/hello.txt"].kind == "add"
    assert changes["files/app"].kind == "add"
    assert changes["files/license.txt"].kind == "delete"
    assert store.diff_size(id) >= 5

    store.diff(id).close()  # an abandoned stream, whose undo must have run
    with store.diff(id) as stream:
        data = stream.read()
    assert not wl.verify_layer(data).problems
    entries = {entry.name.casefold(): entry for entry in wl.LayerReader(data)}
    hello = entries["files/app/hello.txt"]
    again = entries["files/app/again.txt"]
    assert {hello.kind, again.kind} == {"file", "hard_link"}
    file = hello if hello.kind == "file" else again
    assert file.read() == b"hello"
    assert file.read("Zone.Identifier") == b"zone"
    assert file.security_descriptor is not None
    assert file.security_descriptor.to_sddl() == "O:BAG:SYD:P(A;;FA;;;BA)(A;;FR;;;BU)"
    assert ("NAME", b"value") in [(ea.name, ea.value) for ea in file.extended_attributes]
    assert entries["files/app/link"].kind == "symlink"
    assert entries["files/app/junction"].kind == "junction"
    assert entries["files/license.txt"].kind == "whiteout"

    assert store.apply_diff("second", nano.top, data) >= 5
    above = box("above", "second")
    with store.mount(above) as root:
        again_there = inside(root, "app", "hello.txt")
        assert again_there.read_bytes() == b"hello"
        assert Path(f"{again_there}:Zone.Identifier").read_bytes() == b"zone"
        assert ntfs.security(again_there) == "O:BAG:SYD:P(A;;FA;;;BA)(A;;FR;;;BU)"
        assert again_there.samefile(inside(root, "app", "again.txt"))
        assert not inside(root, "License.txt").exists()
    with store.diff("second") as stream:
        assert stream.read() == data  # an imported layer gives the bytes that came in
    store.remove(above)
    store.remove("second")
    assert not store.check()


def test_a_chain_of_packed_layers(nano: Nano, box: Box, tmp_path: Path) -> None:
    """A real host confirms that ImportLayer takes layers that were made on no Windows, and merges them in order."""
    for number, text in (("one", "first"), ("two", "second")):
        files = tmp_path / number / "Files" / "data"
        files.mkdir(parents=True)
        (files / "both.txt").write_text(text, newline="")
        (files / f"{number}.txt").write_text(number, newline="")
        wl.pack(tmp_path / number, tmp_path / f"{number}.tar")
    nano.store.apply_diff("one", nano.top, tmp_path / "one.tar")
    nano.store.apply_diff("two", "one", tmp_path / "two.tar")
    nano.store.apply_diff("three", "two", layer("Files/data/", "-Files/data/one.txt"))
    assert nano.store.info("three").parents[:2] == ("two", "one")
    id = box("box", "three")
    with nano.store.mount(id) as root:
        assert ntfs.names(inside(root, "data")) == ["both.txt", "two.txt"]
        assert inside(root, "data", "both.txt").read_text() == "second"
    for name in ("one", "two"):
        with nano.store.diff(name) as stream:
            assert stream.read() == (tmp_path / f"{name}.tar").read_bytes()
    nano.store.remove(id)
    for name in ("three", "two", "one"):
        nano.store.remove(name)


def test_the_transport_format(nano: Nano, box: Box) -> None:
    """A real host confirms that the folder which ExportLayer writes is the one that our writer makes."""
    id = box("box")
    with nano.store.mount(id) as root:
        inside(root, "new.txt").write_text("new")
    transport = wl.LayerStore(nano.home, backend="hcs", options={"format": "transport"})
    with transport.diff(id) as stream:
        data = stream.read()
    transport.apply_diff("second", nano.top, data)
    assert any(entry.name.casefold() == "files/new.txt" for entry in wl.LayerReader(io.BytesIO(_diff(nano, "second"))))
    nano.store.remove("second")


def _diff(nano: Nano, id: str) -> bytes:
    with nano.store.diff(id) as stream:
        data: bytes = stream.read()
    return data


def test_the_size_of_a_sandbox(nano: Nano, box: Box) -> None:
    """A real host confirms that ExpandSandboxSize grows the volume, and what size a sandbox has without."""
    sizes = []
    for name, size in (("plain", None), ("large", 200 << 30)):
        with nano.store.mount(box(name, "", size)) as root:
            sizes.append(shutil.disk_usage(root).total)
    assert sizes[0] < sizes[1]
    assert 199 << 30 <= sizes[1] <= 200 << 30


def test_what_was_written_stays(nano: Nano, box: Box) -> None:
    """A real host confirms that `put` keeps the sandbox, and that a third `get` mounts nothing anew."""
    id = box("box")
    for number in range(3):
        with nano.store.mount(id) as root:
            assert len([name for name in ntfs.names(root) if name.startswith("kept")]) == number
            inside(root, f"kept{number}").touch()


def test_threads_that_get_one_layer(nano: Nano, box: Box) -> None:
    """A real host confirms that one PrepareLayer at a time serves many threads, also on different layers."""
    ids = [box("a"), box("b")]
    paths: dict[str, set[str]] = {id: set() for id in ids}
    faults: list[BaseException] = []

    def work(id: str) -> None:
        try:
            for _ in range(3):
                with nano.store.mount(id) as root:
                    paths[id].add(root)
                    assert ntfs.names(root)
        except BaseException as error:
            faults.append(error)

    threads = [threading.Thread(target=work, args=(id,)) for id in ids * 4]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    assert paths["a"].isdisjoint(paths["b"])
    assert [nano.store.info(id).mounted for id in ids] == [0, 0]


def test_a_holder_that_is_killed(nano: Nano, box: Box) -> None:
    """A real host confirms that a mount outlives its process in HCS, and that the next one takes it down."""
    id = box("box")
    program = (
        "import sys, winlayers as wl\n"
        "mount = wl.LayerStore(sys.argv[1], backend='hcs').mount(sys.argv[2])\n"
        "print(mount.path, flush=True)\n"
        "sys.stdin.read()\n"
    )
    line = [sys.executable, "-c", program, str(nano.home), id]
    with subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert ntfs.names(child.stdout.readline().strip())
        child.kill()
        child.wait()
    again = wl.LayerStore(nano.home, backend="hcs")
    again.cleanup()
    assert again.info(id).mounted == 0
    with again.mount(id) as root:
        assert ntfs.names(root)
    again.remove(id)


def test_the_diff_flavour(nano: Nano, host_folder: Path) -> None:
    """A real host confirms that `windowsdiff` opens beside `windowsfilter`, with flavour 0."""
    home = host_folder / "diff-home"
    store = wl.LayerStore(home, driver="windowsdiff", backend="hcs")
    assert store.name == "windowsdiff"
    assert store.layers() == []
    assert not store.exists("nothing")
    del store
    shutil.rmtree(home)
