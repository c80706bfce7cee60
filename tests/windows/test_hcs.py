"""A store on the Host Compute Service: which calls it makes, and what becomes of it when one fails."""

import io
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

import winlayers as wl
from windows.hcs import BASE, CHILD, CONTROL, Hcs, hold, layer, let_go

if CONTROL is None:
    pytest.skip("needs the doubles of the Host Compute Service", allow_module_level=True)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "höme-日本"


@pytest.fixture
def store(hcs: Hcs, home: Path) -> wl.LayerStore:
    store = hcs.store(home)
    hcs.fill(store, "base", "child")
    store.create_read_write("box", "child")
    hcs.take()
    return store


def is_clean(hcs: Hcs, store: wl.LayerStore) -> None:
    assert store.check() == []
    assert hcs.ready() == {}
    assert hcs.violations() == []
    assert all(info.mounted == 0 for info in store.layers())


class TestCalls:
    """The order of calls is that of Docker's Windows graph driver (daemon/graphdriver/windows, March 2016)."""

    def test_of_layers(self, hcs: Hcs, home: Path) -> None:
        store = hcs.store(home)
        assert hcs.take() == []
        store.create("base", "")
        assert hcs.take() == ["CreateLayer base"]
        store.apply_diff("base", "", layer(BASE))
        assert hcs.take() == ["ProcessBaseImage base"]
        store.create("child", "base")
        assert hcs.take() == ["GetLayerMountPath base", "GetLayerMountPath base", "CreateLayer child"]
        store.apply_diff("child", "base", layer(CHILD))
        assert hcs.take() == ["ImportLayer child"]
        store.create("c-init", "child")
        store.create("c", "c-init")
        assert hcs.take()[-2:] == ["CreateLayer c-init", "CreateSandboxLayer c"]
        store.create_read_write("box", "child", size=30 << 30)
        looked = ["GetLayerMountPath child"] * 2
        assert hcs.take() == [*looked, "CreateSandboxLayer box", "ExpandSandboxSize box"]
        store.remove("box")
        assert hcs.take() == ["DestroyLayer box"]
        is_clean(hcs, store)

    def test_of_mounts(self, hcs: Hcs, store: wl.LayerStore) -> None:
        seen = ["GetLayerMountPath box"] * 2
        path = store.get("box")
        assert hcs.take() == ["ActivateLayer box", "PrepareLayer box", *seen]
        assert store.get("box") == path
        assert hcs.take() == seen
        with store.diff("box") as tar:
            tar.read()
        assert hcs.take() == ["UnprepareLayer box", "ExportLayer box", "PrepareLayer box"]
        store.changes("box")
        assert hcs.take() == ["UnprepareLayer box", "ExportLayer box", "PrepareLayer box"]
        store.put("box")
        assert hcs.take() == []
        store.put("box")
        assert hcs.take() == ["UnprepareLayer box", "DeactivateLayer box"]
        store.put("box")
        assert hcs.take() == []
        with store.diff("box") as tar:
            tar.read()
        assert hcs.take() == ["ActivateLayer box", "ExportLayer box", "DeactivateLayer box"]
        is_clean(hcs, store)

    def test_what_is_handed_over(self, hcs: Hcs, store: wl.LayerStore, home: Path) -> None:
        with store.mount("box"):
            prepared = next(call for call in hcs.calls() if call["call"] == "PrepareLayer")
        assert (prepared["flavour"], prepared["home"], prepared["id"]) == (1, store.home, "box")
        assert [Path(layer["path"]).name for layer in prepared["descriptors"]] == ["child", "base"]

    def test_of_the_diff_flavour(self, hcs: Hcs, store: wl.LayerStore, home: Path) -> None:
        diffs = hcs.store(home, "windowsdiff")
        hcs.take()
        diffs.diff("box").close()
        calls = hcs.calls()
        assert [call["call"] for call in calls if call["call"] == "ExportLayer"] == ["ExportLayer"]
        assert {call["flavour"] for call in calls if "flavour" in call} == {0}
        assert "ActivateLayer" not in [call["call"] for call in calls]

    def test_of_the_newer_functions(self, hcs: Hcs, home: Path) -> None:
        store = hcs.store(home, hcs_api="computestorage")
        hcs.fill(store, "base", "child")
        store.create_read_write("box", "child")
        hcs.take()
        store.apply_diff("other", "base", layer(CHILD))
        assert hcs.take()[-1] == "HcsImportLayer other"
        with store.mount("box"), store.diff("box") as tar:
            tar.read()
        calls = [call for call in hcs.take() if not call.startswith("GetLayerMountPath")]
        assert [call.split()[0] for call in calls] == [
            "ActivateLayer",
            "HcsAttachLayerStorageFilter",
            "HcsDetachLayerStorageFilter",
            "HcsExportLayer",
            "HcsAttachLayerStorageFilter",
            "HcsDetachLayerStorageFilter",
            "DeactivateLayer",
        ]
        store.remove("other")
        assert hcs.take() == ["HcsDestroyLayer other"]
        is_clean(hcs, store)


Operation = Callable[[wl.LayerStore], object]


def got_and_put(store: wl.LayerStore) -> None:
    store.get("box")
    store.put("box")


def mounted(store: wl.LayerStore) -> None:
    with store.mount("box"):
        pass


OPERATIONS: dict[str, Operation] = {
    "create": lambda store: store.create("new", "child"),
    "create_read_write": lambda store: store.create_read_write("new", "child", size=40 << 30),
    "apply_diff of a base layer": lambda store: store.apply_diff("new", "", layer(BASE)),
    "apply_diff of a child": lambda store: store.apply_diff("new", "child", layer(CHILD, [("Files/l", "Files/e")])),
    "apply_diff into an empty layer": lambda store: store.apply_diff("empty", "child", layer(CHILD)),
    "get and put": got_and_put,
    "mount": mounted,
    "diff": lambda store: store.diff("box").close(),
    "diff of an imported layer": lambda store: store.diff("child").close(),
    "changes": lambda store: store.changes("box"),
    "view": lambda store: store.view("box"),
    "remove": lambda store: store.remove("empty"),
}


@pytest.mark.parametrize("late", ["", "late:"])
@pytest.mark.parametrize("name", OPERATIONS)
def test_every_call_fails_once(hcs: Hcs, tmp_path: Path, name: str, late: str) -> None:
    operation = OPERATIONS[name]
    for n in range(1, 99):
        home = tmp_path / f"home{n}"
        store = hcs.store(home)
        hcs.fill(store, "base", "child")
        store.create("empty", "child")
        store.create_read_write("box", "child")
        before = {info.id for info in store.layers()}
        (hcs.control / "calls.ndjson").unlink()
        hcs.fail(f"* {n} {late}0x80070005")
        failed = None
        try:
            operation(store)
        except wl.HcsError as error:
            # With its frames the store would live on, and Windows renames no folder that one has open.
            failed = error.with_traceback(None)
        results = [call["hr"] for call in hcs.calls()]
        hcs.fail()
        del store
        if "0x80070005" not in results:
            # There are no more calls than that.
            assert failed is None
            assert n > 1
            return
        what = f"{name}, call {n} of {[call['call'] for call in hcs.calls()]}"
        assert failed is not None, what
        assert (failed.hresult, failed.name) == (0x80070005, "ERROR_ACCESS_DENIED"), what
        assert failed.operation, what
        assert "elevated" in (failed.hint or ""), what
        assert hcs.violations() == [], what
        store = hcs.store(home)
        store.cleanup(force=True)
        assert hcs.ready() == {}, what
        assert store.check() == [], what
        gone = {"empty"} if name == "remove" and failed.operation == "DestroyLayer" else set()
        assert {info.id for info in store.layers()} == before - gone, what
        if not gone:
            operation(store)
            store.cleanup(force=True)
            assert hcs.ready() == {}, what
        # A sweep does not know how far a layer was, and tries it from both ends.
        tries = ("expected prepared, found active", *(["found idle"] if late else []))
        assert [line for line in hcs.violations() if not any(found in line for found in tries)] == [], what
        del store
    pytest.fail(f"{name} never ends")


class TestErrors:
    def test_what_a_failure_tells(self, hcs: Hcs, store: wl.LayerStore, home: Path) -> None:
        hcs.fail("ActivateLayer 1 0x80070003")
        with pytest.raises(wl.HcsError) as caught:
            store.get("box")
        error = caught.value
        assert (error.code, error.operation, error.hresult, error.name) == (
            "hcs",
            "ActivateLayer",
            0x80070003,
            "ERROR_PATH_NOT_FOUND",
        )
        assert (error.layer, error.path) == ("box", str(Path(store.home) / "box"))
        assert error.hint is not None
        assert "chain" in error.hint
        assert "0x80070003" in str(error)

    @pytest.mark.parametrize(
        ("code", "word"),
        [
            (0x80070001, "filter"),
            (0x80070005, "elevated"),
            (0x80070020, "open"),
            (0x800703F1, "hive"),
            (0x80070032, "NTFS"),
        ],
    )
    def test_hints(self, hcs: Hcs, store: wl.LayerStore, code: int, word: str) -> None:
        hcs.fail(f"PrepareLayer 1 {code:#x}")
        with pytest.raises(wl.HcsError) as caught:
            store.get("box")
        assert word in (caught.value.hint or "")

    def test_a_volume_that_is_not_there_yet_is_waited_for(self, hcs: Hcs, store: wl.LayerStore) -> None:
        hcs.fail("PrepareLayer 1 0x80070015", "PrepareLayer 2 0x8007048f")
        with store.mount("box"):
            pass
        assert hcs.take().count("PrepareLayer box") == 3

    def test_a_call_that_hangs(self, hcs: Hcs, home: Path) -> None:
        store = hcs.store(home, hcs_timeout=0.3)
        hcs.fill(store, "base")
        hcs.fail("ImportLayer 1 hang:3000")
        with pytest.raises(wl.HcsError) as caught:
            store.apply_diff("child", "base", layer(CHILD))
        assert caught.value.name == "ERROR_TIMEOUT"
        assert "ImportLayer" in str(caught.value)
        assert "vmcompute" in (caught.value.hint or "")

    def test_options(self, home: Path) -> None:
        for options in ({"hcs_timeout": 0}, {"hcs_timeout": -1}, {"hcs_api": "newest"}):
            with pytest.raises(wl.MisuseError):
                wl.LayerStore(home, backend="hcs", options=options)

    def test_a_home_that_is_not_on_ntfs(self) -> None:
        if os.environ.get("WINLAYERS_REFS") is None:
            pytest.skip("WINLAYERS_REFS names no folder on another file system")
        with pytest.raises(wl.StoreError, match="NTFS"):
            wl.LayerStore(Path(os.environ["WINLAYERS_REFS"]) / "home", backend="hcs")


class TestLayers:
    def test_a_utility_vm(self, hcs: Hcs, home: Path) -> None:
        """The host rewrites boot files: the saved copies make the digest hold, and the next layer starts from them."""
        boot = "UtilityVM/Files/EFI/Microsoft/Boot"
        parts = boot.split("/")
        folders = {"/".join(parts[: n + 1]): None for n in range(len(parts))}
        tar = layer({**BASE, **folders, f"{boot}/BCD": b"boot", f"{boot}/other": b"same"})
        store = hcs.store(home)
        store.apply_diff("base", "", tar)
        assert hcs.take() == ["ProcessBaseImage base", "ProcessUtilityImage base"]
        assert (Path(store.home) / "base" / boot / "BCD").read_bytes() != b"boot"
        with store.diff("base") as exported:
            assert exported.read() == tar
        with store.diff_getter("base") as getter:
            assert getter.open(f"{boot}/BCD").read() == b"boot"
        above = layer({"Files": None, "Files/x": b"x", **folders, f"{boot}/new": b"new"}, gone=[f"{boot}/gone"])
        store.apply_diff("child", "base", above)
        vm = Path(store.home) / "child" / boot
        assert (vm / "other").read_bytes() == b"same"
        assert (vm / "other").stat().st_nlink == 2
        assert (vm / "new").read_bytes() == b"new"
        with store.diff("child") as exported:
            assert exported.read() == above
        is_clean(hcs, store)

    def test_hard_links(self, hcs: Hcs, store: wl.LayerStore) -> None:
        links = [("Files/l", "Files/new"), ("Files/m", "Files/d/c")]
        tar = layer({"Files": None, "Files/new": b"linked"}, links)
        store.apply_diff("linked", "child", tar)
        folder = Path(store.home) / "linked" / "Files"
        assert (folder / "l").read_bytes() == b"linked"
        assert (folder / "m").read_bytes() == b"3", "of a layer below"
        with store.diff("linked") as exported:
            assert exported.read() == tar

    def test_tar_split(self, hcs: Hcs, store: wl.LayerStore) -> None:
        tar = layer(CHILD, gone=["Files/b"])
        metadata, again = io.BytesIO(), io.BytesIO()
        wl.tarsplit.disassemble(tar, metadata)
        metadata.seek(0)
        with store.diff_getter("child") as getter:
            wl.tarsplit.assemble(metadata, getter, again)
        assert again.getvalue() == tar

    def test_damage_is_found(self, hcs: Hcs, store: wl.LayerStore) -> None:
        (Path(store.home) / "child" / "Files" / "e").write_bytes(b"evil")
        with pytest.raises(wl.IntegrityError), store.diff("child") as exported:
            exported.read()
        assert [problem.code for problem in store.check()] == ["integrity"]

    def test_base_images(self, hcs: Hcs, home: Path) -> None:
        image = {
            "Name": "core",
            "Version": "1",
            "Path": "C:\\images\\core_1",
            "Size": 5,
            "CreatedTime": "2016-03-14T00:00:00Z",
        }
        (hcs.control / "base_images.json").write_text(json.dumps({"Images": [image]}))
        store = hcs.store(home)
        for _ in range(2):
            (info,) = store.custom_image_infos()
            assert (info.name, info.size) == ("core", 5)

    def test_transport_form(self, hcs: Hcs, home: Path) -> None:
        store = hcs.store(home, format="transport")
        wl.LayerStore(home, backend="hcs").apply_diff("base", "", layer(BASE))
        store.create_read_write("box", "base")
        with store.mount("box") as path:
            Path(path, "new").write_bytes(b"new")
        with store.diff("box") as tar:
            members = tar.read()
        store.apply_diff("copy", "base", members)
        with store.mount("copy") as path:
            assert Path(path, "new").read_bytes() == b"new"
        is_clean(hcs, store)

    def test_an_image_of_docker_is_read(self, hcs: Hcs, store: wl.LayerStore) -> None:
        """A layer that another tool made has no index: it is exported, or walked, for it."""
        for name in ("base", "child"):
            for own in ("layer.index", "layer.split"):
                (Path(store.home) / name / own).unlink()
        fresh = hcs.store(Path(store.home))
        assert fresh.info("child").state == "folder"
        names = {entry.name for entry in fresh.view("child").entries()}
        assert {"Files/A", "Files/d/c", "Files/e"} <= names
        assert "Files/b" not in names
        with fresh.diff("base") as tar, wl.LayerReader(tar) as reader:
            assert {"Files/a", "Files/b", "Files/d/c"} <= {entry.name for entry in reader}
        assert {change.path for change in fresh.changes("child")} >= {"Files/A", "Files/b", "Files/e"}


class TestProcesses:
    def test_a_dead_holder_is_swept(self, hcs: Hcs, store: wl.LayerStore) -> None:
        code = f"""
import os, sys, winlayers as wl
store = wl.LayerStore({store.home!r}, backend="hcs")
mount = store.mount("box"); mount.__enter__()
os._exit(0)
"""
        subprocess.run(
            [sys.executable, "-c", code], check=True, env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
        )
        assert list(hcs.ready().values()) == ["prepared"]
        hcs.store(Path(store.home))
        assert hcs.ready() == {}
        is_clean(hcs, store)

    def test_threads_mount_one_layer_once(self, hcs: Hcs, store: wl.LayerStore) -> None:
        paths: list[str] = []
        threads = [threading.Thread(target=lambda: paths.append(store.get("box"))) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(set(paths)) == 1
        assert hcs.take().count("PrepareLayer box") == 1
        for _ in paths:
            store.put("box")
        is_clean(hcs, store)


def test_doctor(hcs: Hcs, capsys: pytest.CaptureFixture[str]) -> None:
    from winlayers.cli import main

    assert main(["doctor"]) == 0
    told = capsys.readouterr().out
    assert "SeBackupPrivilege" in told


class TestAttachedDisk:
    """A sandbox.vhdx that a failed unmount left attached keeps its folder from being renamed."""

    def test_is_detached_when_the_sandbox_is_removed(self, hcs: Hcs, store: wl.LayerStore, home: Path) -> None:
        (hcs.control / "attached").write_text(str(hold(home / "box")))
        store.remove("box")
        assert hcs.take() == ["OpenVirtualDisk sandbox.vhdx", "DetachVirtualDisk", "DestroyLayer box"]
        assert not store.exists("box")
        is_clean(hcs, store)

    @pytest.mark.parametrize("rule", ["OpenVirtualDisk 1 0x80070002", "DetachVirtualDisk 1 0x80070005", ""])
    def test_that_stays_keeps_the_sandbox(self, hcs: Hcs, store: wl.LayerStore, home: Path, rule: str) -> None:
        handle = hold(home / "box")
        if rule:
            (hcs.control / "attached").write_text(str(handle))
            hcs.fail(rule)
        with pytest.raises(PermissionError):
            store.remove("box")
        assert store.exists("box")
        hcs.fail()
        let_go(handle)
        with store.mount("box") as root:
            assert (Path(root) / "a").read_bytes() == b"new"
        store.remove("box")
        is_clean(hcs, store)

    def test_of_a_layer_without_one(self, hcs: Hcs, store: wl.LayerStore, home: Path) -> None:
        store.remove("box")
        hcs.take()
        handle = hold(home / "child")
        with pytest.raises(PermissionError):
            store.remove("child")
        assert hcs.take() == []
        let_go(handle)
        store.remove("child")
        is_clean(hcs, store)
