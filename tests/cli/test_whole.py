"""The commands that work on a whole layer: verify, pack, extract, split, join, and the demo that uses all of them."""

import gzip
import hashlib
import json
import os
import re
import subprocess
from pathlib import Path

import pytest

import winlayers as wl
from cli.conftest import Run, layer_bytes, spawn


def sha256(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def test_verify_of_a_sound_layer(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "sound.tar.gz"
    directory = tmp_path / "tree"
    (directory / "a").mkdir(parents=True)
    (directory / "a" / "b.txt").write_bytes(b"x" * 1000)
    assert run("pack", directory, path).code == 0
    result = run("verify", path)
    assert (result.code, result.err) == (0, "")
    tar = gzip.decompress(path.read_bytes())
    assert result.out.splitlines()[0] == f"diff id  {sha256(tar)}"
    report = json.loads(run("verify", "--json", path).out)
    assert report["diff_id"] == sha256(tar)
    assert report["size"] == len(tar)
    assert report["entries"] == 4
    assert report["problems"] == report["losses"] == []


def test_verify_of_a_broken_layer(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "broken.tar"
    with wl.LayerWriter(path) as writer:
        writer.add(wl.Entry("Files", kind="directory"))
        writer.add(wl.Entry("Files/a\x1b[31m"), b"")
        writer.add(wl.Entry("Files/A\x1b[31m"), b"")
    result = run("verify", path)
    assert result.code == 1
    assert "problem: case_collision: Files/A\\x1b[31m at byte " in result.out
    as_json = run("verify", "--json", path)
    assert as_json.code == 1
    report = json.loads(as_json.out)
    assert "case_collision" in [problem["code"] for problem in report["problems"]]
    assert sum(report["problem_totals"].values()) == len(report["problems"])


def test_pack_and_extract_lead_back(run: Run, layer: Path, tmp_path: Path) -> None:
    extracted, again = tmp_path / "extracted", tmp_path / "again.tar"
    report = json.loads(run("extract", layer, extracted, "--json").out)
    assert report["diff_id"] == sha256(layer.read_bytes())
    assert (extracted / "Files" / "a.txt").read_bytes() == b"hello"
    assert json.loads(run("pack", extracted, again, "--json").out)["diff_id"] == report["diff_id"]
    assert again.read_bytes() == layer.read_bytes()
    second = run("extract", layer, extracted)
    assert (second.code, "target_exists" in run("--json", "extract", layer, extracted).err) == (3, True)


@pytest.mark.parametrize(
    ("name", "magic"), [("a.tar", b"PaxHeaders"), ("a.tar.gz", b"\x1f\x8b"), ("a.zst", b"\x28\xb5\x2f\xfd")]
)
def test_the_name_of_the_layer_says_how_it_is_compressed(name: str, magic: bytes, run: Run, tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    assert run("pack", tmp_path / "tree", tmp_path / name).code == 0
    assert (tmp_path / name).read_bytes().startswith(magic)
    assert run("verify", tmp_path / name).code == 0


def test_pack_takes_descriptors(run: Run, tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "f").write_bytes(b"")
    sddl = {"--sd-dir": "O:SYG:SY", "--sd-file": "O:BAG:BA"}
    words = [word for option in sddl.items() for word in option]
    assert run("pack", tmp_path / "tree", tmp_path / "a.tar", *words).code == 0
    found = {entry.name: entry.security_descriptor for entry in wl.LayerReader(tmp_path / "a.tar")}
    assert found["Files"] == wl.SecurityDescriptor.from_sddl("O:SYG:SY")
    assert found["Files/f"] == wl.SecurityDescriptor.from_sddl("O:BAG:BA")
    wrong = run("pack", tmp_path / "tree", tmp_path / "b.tar", "--sd-file", "nonsense")
    assert wrong.code == 3
    assert not (tmp_path / "b.tar").exists()


@pytest.mark.host
def test_standard_input_and_output(layer: Path, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    process = spawn(["extract", "-", str(tree)], stdin=subprocess.PIPE)
    assert process.communicate(layer.read_bytes())[1] == b""
    tar, err = spawn(["pack", str(tree), "-"]).communicate()
    assert tar == layer.read_bytes()
    assert err.startswith(b"diff id ")
    split = ["split", "-", "-", "--content", str(tmp_path / "content")]
    metadata, err = spawn(split, stdin=subprocess.PIPE).communicate(tar)
    assert b" files with " in err
    again, _ = spawn(["join", "-", str(tmp_path / "content"), "-"], stdin=subprocess.PIPE).communicate(metadata)
    assert again == tar
    out, _ = spawn(["verify", "-", "--json"], stdin=subprocess.PIPE).communicate(tar)
    assert json.loads(out)["diff_id"] == sha256(tar)


def test_split_and_join(run: Run, layer: Path, tmp_path: Path) -> None:
    metadata, content, again = tmp_path / "meta.json.gz", tmp_path / "content", tmp_path / "again.tar"
    result = run("split", layer, metadata, "--content", content, "--json")
    summary = json.loads(result.out)
    assert summary["size"] == len(layer_bytes())
    assert metadata.read_bytes().startswith(b"\x1f\x8b")
    assert (content / "Files" / "a.txt").read_bytes() == b"hello"
    assert run("join", metadata, content, again).code == 0
    assert again.read_bytes() == layer.read_bytes()
    (content / "Files" / "a.txt").write_bytes(b"HELLO")
    damaged = run("--json", "join", metadata, content, tmp_path / "damaged.tar")
    assert (damaged.code, json.loads(damaged.err)["error"]) == (3, "integrity")
    assert not (tmp_path / "damaged.tar").exists()


def test_split_says_what_went_into_the_metadata(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "twice.tar"
    with wl.LayerWriter(path) as writer:
        for data in (b"one", b"two"):
            writer.add(wl.Entry("Files/x", size=3), data)
    assert "Files/x: duplicate_name" in run("split", path, tmp_path / "meta").out


def test_the_demo_agrees_with_itself(run: Run) -> None:
    result = run("demo")
    assert (result.code, result.err) == (0, "")
    assert result.out.count("[same digest]") == 10
    assert result.out.endswith("Every way led back to the same bytes.\n")
    steps = [json.loads(line) for line in run("demo", "--json").out.splitlines()]
    names = ["pack", "read", "verify", "streams", "split", "extract", "import", "mount", "change", "export", "compare"]
    assert [step["step"] for step in steps] == names
    assert all(step["agrees"] for step in steps[1:])


def test_the_readme_shows_what_the_demo_prints(run: Run) -> None:
    readme = (Path(__file__).resolve().parents[2] / "README.md").read_text(encoding="utf-8")
    # How small the metadata gets is for the compressor to say.
    sizes = re.compile(r"\d+\.\d KiB")
    assert sizes.sub("SIZE", run("demo").out) in sizes.sub("SIZE", readme)


def test_the_demo_takes_another_folder(run: Run, tmp_path: Path) -> None:
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "deep" / "er" / "x.bin").write_bytes(b"x" * 100_000)
    (tmp_path / "empty").write_bytes(b"")
    result = run("demo", tmp_path)
    assert (result.code, result.err) == (0, "")
    assert "2 programs" in result.out
    (tmp_path / "nothing").mkdir()
    assert run("demo", tmp_path / "nothing").code == 2


def test_the_demo_fails_when_bytes_differ(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    assemble = wl.tarsplit.assemble

    def wrong(metadata: Path, content: Path, sink: Path) -> object:
        summary = assemble(metadata, content, sink)
        sink.write_bytes(sink.read_bytes()[:-1] + b"\x01")
        return summary

    monkeypatch.setattr(wl.tarsplit, "assemble", wrong)
    result = run("demo")
    assert result.code == 1
    assert "[ANOTHER DIGEST]" in result.out


@pytest.mark.host
def test_on_a_terminal_there_is_a_table_and_a_bar(tmp_path: Path) -> None:
    import pty

    path = tmp_path / "broken.tar"
    with wl.LayerWriter(path) as writer:
        writer.add(wl.Entry("Files/a\x1b[5m"), b"")
    for stream in ("stdout", "stderr"):
        ours, theirs = pty.openpty()
        environment = {**os.environ, "TERM": "xterm", "COLUMNS": "200", "NO_COLOR": ""}
        process = spawn(["verify", str(path)], env=environment, **{stream: theirs})
        os.close(theirs)
        shown = b""
        while True:
            try:
                shown += os.read(ours, 65536)
            except OSError:  # the other end is closed
                break
        os.close(ours)
        other = process.stderr if stream == "stdout" else process.stdout
        assert other is not None
        assert b"\x1b" not in other.read()
        other.close()
        assert process.wait() == 1
        if stream == "stdout":
            assert b"what is wrong" in shown
            assert b"Files/a\\x1b[5m" in shown
            assert b"parent_missing" in shown
        else:
            assert b"verify" in shown
