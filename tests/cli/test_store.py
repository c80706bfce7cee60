"""The commands of the store."""

import gzip
import hashlib
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

import winlayers as wl
from cli.conftest import Result, Run, layer_bytes, spawn
from winlayers.cli import main
from winlayers.cli.store import COMMANDS


@pytest.fixture
def home(tmp_path: Path, run: Run, layer: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the home of a store with a base layer and a sandbox on it."""
    path = tmp_path / "home"
    monkeypatch.setenv("WINLAYERS_HOME", str(path))
    assert run("store", "init") == (0, f"{path}\n", "")
    assert run("store", "import", "base", layer).code == 0
    assert run("store", "create", "box", "--parent", "base", "--sandbox") == (0, "box\n", "")
    return path


def objects(result: Result) -> list[dict[str, Any]]:
    assert (result.code, result.err) == (0, "")
    return [json.loads(line) for line in result.out.splitlines()]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str, run: Run) -> None:
    code, out, err = run("store", command, "--help")
    assert (code, err) == (0, "")
    assert out.startswith(f"usage: winlayers store {command}")
    assert len(out.split("\n\n")[1]) > 20


def test_import_tells_the_digest(home: Path, run: Run, tmp_path: Path) -> None:
    digest = "sha256:" + hashlib.sha256(layer_bytes()).hexdigest()
    packed = tmp_path / "layer.tar.gz"
    packed.write_bytes(gzip.compress(layer_bytes()))
    (info,) = objects(run("store", "import", "top", packed, "--parent", "base", "--json"))
    assert info["diff_id"] == digest
    assert (info["parents"], info["state"], info["data"]) == (["base"], "imported", 5)
    assert digest in run("store", "info", "top").out
    assert objects(run("store", "info", "top", "--json"))[0]["dir"] == str(home / "top")


def test_ls_of_layers(home: Path, run: Run) -> None:
    rows = [line.split() for line in run("store", "ls").out.splitlines()]
    assert rows[0] == ["state", "size", "mounted", "layer", "parent"]
    assert [(row[0], row[-1]) for row in rows[1:]] == [("imported", "base"), ("sandbox", "base")]
    assert [info["id"] for info in objects(run("store", "ls", "--json"))] == ["base", "box"]


def test_ls_of_a_layer(home: Path, run: Run) -> None:
    names = [entry["path"] for entry in objects(run("store", "ls", "box", "--json"))]
    assert names == ["Files", "Files/a.txt", "Files/hard", "Files/link"]
    names = [entry["path"] for entry in objects(run("store", "ls", "box", "files", "--json"))]
    assert names == ["Files/a.txt", "Files/hard", "Files/link"]
    assert "Zone.Identifier" in run("store", "ls", "box").out


@pytest.mark.parametrize(
    ("path", "data"),
    [
        ("Files/a.txt", b"hello"),
        ("A.TXT", b"hello"),
        ("\\hard", b"hello"),
        ("a.txt:zone.identifier", b"abc"),
    ],
)
def test_cat(path: str, data: bytes, layer: Path, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    store = wl.LayerStore(tmp_path / "home")
    store.apply_diff("base", "", layer)
    store.create("top", "base")
    assert main(["store", "cat", "top", path, "--home", store.home]) == 0
    assert capfdbinary.readouterr() == (data, b"")


def test_mount_edit_changes_umount(home: Path, run: Run) -> None:
    path = Path(run("store", "mount", "box").out.rstrip("\n"))
    assert objects(run("store", "mount", "box", "--json")) == [{"path": str(path)}]
    (path / "new.txt").write_text("new")
    assert run("store", "umount", "box").code == 0
    assert "2" not in run("store", "ls", "--json").out.splitlines()[1].split('"mounted": ')[1]
    found = {change["path"]: change for change in objects(run("store", "changes", "box", "--json"))}
    assert found["Files/new.txt"]["kind"] == "add"
    assert "add" in run("store", "changes", "box").out
    refused = run("store", "rm", "box")
    assert (refused.code, "umount" in refused.err) == (4, True)
    assert run("store", "umount", "box").code == 0
    assert run("store", "rm", "box", "base") == (0, "", "")
    assert objects(run("store", "ls", "--json")) == []


def test_export(home: Path, run: Run, tmp_path: Path) -> None:
    target = tmp_path / "out.tar"
    assert objects(run("store", "export", "base", target, "--json")) == [
        {"path": str(target), "size": len(layer_bytes())}
    ]
    assert target.read_bytes() == layer_bytes()
    missing = run("store", "export", "none", tmp_path / "none.tar")
    assert missing.code == 4
    assert sorted(path.name for path in tmp_path.iterdir()) == ["home", "layer.tar", "out.tar"]


@pytest.mark.host
def test_export_and_import_through_a_pipe(home: Path, run: Run) -> None:
    export = spawn(["store", "export", "base", "-"])
    again = spawn(["store", "import", "again", "-"], stdin=export.stdout)
    assert export.stdout is not None
    export.stdout.close()
    out, err = again.communicate()
    assert (again.returncode, err) == (0, b"")
    assert export.wait() == 0
    assert export.stderr is not None
    export.stderr.close()
    assert hashlib.sha256(layer_bytes()).hexdigest().encode() in out
    assert run("store", "check").code == 0


@pytest.mark.host
def test_a_closed_pipe_is_no_error(home: Path, run: Run, tmp_path: Path) -> None:
    with wl.LayerWriter(tmp_path / "big.tar") as writer:
        writer.add(wl.Entry("Files", kind="directory"))
        writer.add(wl.Entry("Files/big"), bytes(3 << 20))
    assert run("store", "import", "big", tmp_path / "big.tar").code == 0
    process = spawn(["store", "export", "big", "-"])
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.read(1)
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait() == 0
    process.stderr.close()
    assert run("store", "rm", "big").code == 0


def test_check_and_cleanup(home: Path, run: Run) -> None:
    assert run("store", "check") == (0, "problems  0\n", "")
    (home / "base" / "layer.index").write_bytes(b"")
    found = run("store", "check", "--json")
    assert found.code == 1
    assert json.loads(found.out)["code"] == "index_damaged"
    assert run("store", "check", "--repair").code == 1
    assert run("store", "check").code == 0
    run("store", "mount", "box")
    assert run("store", "cleanup", "--force") == (0, "", "")
    assert objects(run("store", "info", "box", "--json"))[0]["mounted"] == 0


def test_info_of_the_store_and_du(home: Path, run: Run) -> None:
    assert f"Home         {home}\n" in run("store", "info").out
    assert objects(run("store", "info", "--json"))[0]["status"]["Backend"] == "portable"
    rows = {row["id"]: row["bytes"] for row in objects(run("store", "du", "--json"))}
    assert rows.keys() == {"base", "box"}
    assert rows["base"] >= len(layer_bytes())
    assert run("store", "du", "base").out.splitlines()[0].split()[1] == "base"


@pytest.mark.parametrize(
    ("words", "code", "error"),
    [
        (["info", "none"], 4, "layer_not_found"),
        (["import", "base", "layer.tar"], 4, "layer_exists"),
        (["import", "x", "noise"], 3, "bad_tar"),
        (["import", "x", "missing"], 5, "io"),
        (["import", "a/..", "layer.tar"], 4, "bad_layer_id"),
        (["export", "box", "-", "--parent", "box"], 4, "wrong_parent"),
        (["create", "x", "--size", "5"], 2, "bad_argument"),
        (["create", "x", "--sandbox"], 4, "no_parent"),
        (["create", "x", "--sandbox", "--parent", "base", "--size", "5"], 5, "unsupported"),
        (["cat", "base", "none"], 3, "not_in_layer"),
        (["cat", "base", "Files"], 3, "not_in_layer"),
        (["ls", "base", "none"], 3, "not_in_layer"),
        (["rm", "base"], 4, "has_children"),
        (["ls", "--home", "elsewhere"], 4, "no_store"),
        (["ls", "--home", ""], 2, "usage"),
        (["nonsense"], 2, "usage"),
        ([], 2, "usage"),
        (["info", "--nonsense"], 2, "usage"),
    ],
    ids=lambda value: "_".join(value) if isinstance(value, list) else str(value),
)
def test_what_goes_wrong(
    words: list[str], code: int, error: str, home: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(home.parent)
    if "--home" in words:
        monkeypatch.delenv("WINLAYERS_HOME")
    Path("noise").write_bytes(b"\x5a" * 3000)
    plain = run("store", *words)
    assert plain.code == code
    assert plain.err.splitlines()[0].startswith("error: ")
    as_json = run("store", *words, "--json")
    assert as_json.code == code
    assert json.loads(as_json.err)["error"] == error
    assert run("store", "check").code == 0 or "--home" in words


@pytest.mark.host
def test_the_shell_of_the_readme(tmp_path: Path) -> None:
    """`store` as a process of its own, with the home as an option before and behind the command."""
    env = {key: value for key, value in os.environ.items() if key != "WINLAYERS_HOME"}
    command = shutil.which("winlayers")
    if command is None:
        pytest.skip("the command is not installed")
    done = subprocess.run(
        [command, "store", "init", "--home", tmp_path / "s"], env=env, check=True, capture_output=True
    )
    assert done.stdout.decode() == f"{tmp_path / 's'}\n"
    assert (tmp_path / "s" / ".winlayers").is_dir()
