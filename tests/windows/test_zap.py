"""`winlayers zap`: folders of layers that nothing else deletes, with the doubles of HCS and without any HCS."""

import gc
import json
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import winlayers as wl
from windows.hcs import CONTROL, Hcs
from windows.native import names
from winlayers.cli import main

Zap = Callable[..., tuple[int, list[dict[str, object]], list[dict[str, object]]]]

on_windows = pytest.mark.skipif(sys.platform != "win32", reason="needs Windows")
with_hcs = pytest.mark.skipif(CONTROL is None, reason="needs the doubles of the Host Compute Service")


@pytest.fixture
def zap(capsys: pytest.CaptureFixture[str]) -> Zap:
    def call(*words: str | Path) -> tuple[int, list[dict[str, object]], list[dict[str, object]]]:
        capsys.readouterr()
        code = main(["zap", "--json", *map(str, words)])
        told = capsys.readouterr()
        return code, [json.loads(x) for x in told.out.splitlines()], [json.loads(x) for x in told.err.splitlines()]

    return call


@pytest.fixture
def home(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """Give a folder with two layers in it that no store knows."""
    hcs: Hcs | None = request.getfixturevalue("hcs") if CONTROL is not None else None
    home = tmp_path / "windowsfilter"
    for name in ("base", "child"):
        files = home / name / "Files"
        deep = files.joinpath(*["a folder of a long name"] * 12)
        Path("\\\\?\\" + str(deep)).mkdir(parents=True)
        (files / "read only.txt").write_bytes(b"x")
        (files / "read only.txt").chmod(stat.S_IREAD)
        (home / name / "Hives").mkdir()
    (home / "child" / "layerchain.json").write_text(json.dumps([str(home / "base")]))
    yield home
    if hcs is not None:
        assert hcs.violations() == []


@on_windows
class TestDeletes:
    def test_only_when_told_to(self, zap: Zap, home: Path) -> None:
        before = sorted(home.rglob("*"))
        code, told, errors = zap(home / "child", home / "base")
        assert (code, errors) == (0, [])
        assert told == [{"path": str(home / name), "kind": "layer", "deleted": False} for name in ("child", "base")]
        assert sorted(home.rglob("*")) == before

    def test_all_of_it(self, zap: Zap, home: Path) -> None:
        code, told, errors = zap("--yes", home / "child")
        assert (code, errors, [each["deleted"] for each in told]) == (0, [], [True])
        assert names(home) == ["base"]

    def test_a_path_that_ends_in_a_separator_or_is_relative(
        self, zap: Zap, home: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(home.parent)
        assert zap("--yes", "windowsfilter\\child\\")[0] == 0
        assert zap("--yes", "windowsfilter/base")[0] == 0
        assert names(home) == []

    def test_not_what_a_link_in_it_points_to(self, zap: Zap, home: Path) -> None:
        outside = home.parent / "outside"
        outside.mkdir()
        (outside / "kept").write_bytes(b"kept")
        made = subprocess.run(
            ["cmd", "/c", "mklink", "/J", home / "child" / "Files" / "link", outside], capture_output=True, check=False
        )
        if made.returncode != 0:
            pytest.skip("no junctions here")
        assert zap("--yes", home / "child")[0] == 0
        assert (outside / "kept").read_bytes() == b"kept"

    def test_what_a_kill_left(self, zap: Zap, home: Path) -> None:
        (home / "child").rename(home / "child-removing")
        code, told, _ = zap("--yes", home / "child-removing")
        assert (code, told[0]["kind"]) == (0, "layer")
        assert names(home) == ["base"]

    def test_what_is_left_of_one(self, zap: Zap, home: Path) -> None:
        rest = home / "rest" / "UtilityVM" / "Files"
        rest.mkdir(parents=True)
        code, told, _ = zap("--yes", home / "rest")
        assert (code, told[0]["kind"]) == (0, "remains")
        assert not (home / "rest").exists()

    def test_the_others_when_one_cannot_go(self, zap: Zap, home: Path) -> None:
        code, told, errors = zap("--yes", home / "child", home / "none", home / "base")
        assert (code, [error["error"] for error in errors], len(told)) == (5, ["io"], 2)
        assert names(home) == []


@on_windows
class TestRefuses:
    def refused(self, zap: Zap, path: Path, error: str) -> str:
        for words in ([path], ["--yes", path]):
            code, told, errors = zap(*words)
            assert (code, told, [each["error"] for each in errors]) == (4, [], [error])
        return str(errors[0]["message"])

    @pytest.mark.parametrize("more", ["Documents", "desktop.ini", "Files2", "x.bak"])
    def test_a_folder_with_more_in_it(self, zap: Zap, home: Path, more: str) -> None:
        (home / "child" / more).mkdir()
        assert f'"{more}"' in self.refused(zap, home / "child", "layer_not_found")
        assert (home / "child" / "Files" / "read only.txt").exists()

    def test_what_is_no_layer(self, zap: Zap, home: Path) -> None:
        empty = home / "empty"
        empty.mkdir()
        file = home / "file"
        file.write_bytes(b"")
        for path in (home, empty, file):
            self.refused(zap, path, "layer_not_found")
            assert path.exists()
        assert "root of a volume" in self.refused(zap, Path(home.anchor), "layer_not_found")

    def test_one_with_a_file_open(self, zap: Zap, home: Path) -> None:
        with (home / "child" / "Files" / "read only.txt").open("rb"):
            code, _, errors = zap("--yes", home / "child")
        if names(home) == ["base", "child-removing"]:  # Wine renames folders whose files are open
            assert (code, errors[0]["error"]) == (5, "io")
            assert zap("--yes", home / "child-removing")[0] == 0
        else:
            assert (code, errors[0]["error"]) == (4, "layer_in_use")
            assert (home / "child" / "Files" / "read only.txt").exists()

    def test_a_sandbox_whose_disk_is_open(self, zap: Zap, home: Path) -> None:
        disk = home / "child" / "sandbox.vhdx"
        disk.write_bytes(b"disk")
        with disk.open("rb"):
            assert "mounted" in self.refused(zap, home / "child", "layer_in_use")
            assert '"child"' in self.refused(zap, home / "base", "layer_in_use")
        (home / "child" / "layerchain.json").unlink()
        with disk.open("rb"):
            assert "does not say" in self.refused(zap, home / "base", "layer_in_use")
        (home / "child" / "layerchain.json").write_text(json.dumps([r"D:\elsewhere\other"]))
        with disk.open("rb"):
            assert zap("--yes", home / "base")[0] == 0
        assert zap("--yes", home / "child")[1][0]["kind"] == "sandbox"
        assert names(home) == []

    def test_when_what_it_would_be_called_is_there(self, zap: Zap, home: Path) -> None:
        (home / "base").rename(home / "child-removing")
        code, _, errors = zap("--yes", home / "child")
        assert (code, errors[0]["error"]) == (4, "layer_in_use")
        assert "child-removing" in str(errors[0]["message"])
        assert (home / "child" / "Files" / "read only.txt").exists()
        assert zap("--yes", home / "child-removing", home / "child")[0] == 0


@with_hcs
class TestWithHcs:
    def test_the_service_deletes_it(self, zap: Zap, home: Path, hcs: Hcs) -> None:
        hcs.take()
        assert zap("--yes", home / "child")[0] == 0
        assert hcs.take() == ["GetLayerMountPath child", "DestroyLayer child-removing"]

    def test_what_the_service_does_not_delete_goes_all_the_same(self, zap: Zap, home: Path, hcs: Hcs) -> None:
        for rule in ("DestroyLayer 1 0x80070005", "DestroyLayer 1 late:0x80070005", "LayerExists 1 0x80070032"):
            hcs.fail(rule)
            (home / "again" / "Files").mkdir(parents=True)
            (home / "again" / "Files" / "a").write_bytes(b"")
            assert zap("--yes", home / "again")[0] == 0
            assert names(home) == ["base", "child"]

    def test_a_mounted_sandbox_and_its_ground_stay(self, zap: Zap, tmp_path: Path, hcs: Hcs) -> None:
        store = hcs.store(tmp_path / "store")
        hcs.fill(store, "base", "child")
        store.create_read_write("box", "child")
        before = store.layers()
        with store.mount("box"):
            for name in ("box", "child", "base"):
                code, _, errors = zap("--yes", tmp_path / "store" / name)
                assert (code, errors[0]["error"]) == (4, "layer_in_use")
        assert store.layers() == before
        assert store.check() == []
        del store  # which has the indexes of its layers open
        gc.collect()
        code, told, _ = zap("--yes", *(tmp_path / "store" / name for name in ("box", "child", "base")))
        assert (code, [each["kind"] for each in told]) == (0, ["sandbox", "layer", "layer"])
        assert hcs.violations() == []


@pytest.mark.skipif(sys.platform == "win32", reason="is about other systems")
def test_only_windows_has_such_folders(zap: Zap, tmp_path: Path) -> None:
    code, _, errors = zap("--yes", tmp_path)
    assert (code, errors[0]["error"]) == (5, "unsupported")
    assert tmp_path.exists()
    with pytest.raises(SystemExit):
        main(["zap"])


@on_windows
def test_the_text_for_people(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["zap", str(home / "child")]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"would delete layer    {home / 'child'}",
        "nothing was deleted: --yes deletes it",
    ]
    assert main(["zap", "--yes", str(home / "child")]) == 0
    assert capsys.readouterr().out == f"deleted layer    {home / 'child'}\n"
    with pytest.raises(wl.UnsupportedOperationError if sys.platform != "win32" else OSError):
        wl.backup.read(home / "child")
