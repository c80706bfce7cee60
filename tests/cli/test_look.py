"""The commands that look into a layer: ls, cat, sd, doctor."""

import base64
import gzip
import hashlib
import io
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

import winlayers as wl
from cli.conftest import SD, TIME, Run, layer_bytes, spawn

CONTRACT = {
    "path",
    "kind",
    "size",
    "attributes",
    "creation_time",
    "last_access_time",
    "last_write_time",
    "change_time",
    "filetimes",
    "sddl",
    "security_descriptor",
    "reparse",
    "extended_attributes",
    "streams",
    "link_name",
    "sparse_ranges",
    "sha256",
}


def listed(text: str) -> dict[str, dict[str, Any]]:
    return {entry["path"]: entry for entry in map(json.loads, text.splitlines())}


def test_ls_for_people(run: Run, layer: Path) -> None:
    code, out, err = run("ls", layer)
    assert (code, err) == (0, "")
    rows = [line.split() for line in out.splitlines()]
    assert rows[0][:3] == ["kind", "size", "attrs"]
    assert [row[0] for row in rows[1:]] == ["directory", "file", "stream", "symlink", "hard_link", "whiteout"]
    assert rows[2] == ["file", "5", "A", "2022-06-18", "04:26:40", "Files/a.txt"]
    assert rows[3] == ["stream", "3", "Files/a.txt:Zone.Identifier"]
    assert rows[4][-3:] == ["Files/link", "->", "a.txt"]
    assert rows[5][-3:] == ["Files/hard", "->", "Files/a.txt"]


def test_ls_json_has_everything(run: Run, layer: Path) -> None:
    entries = listed(run("ls", layer, "--json").out)
    assert all(entry.keys() >= CONTRACT for entry in entries.values())
    file = entries["Files/a.txt"]
    assert file["kind"] == "file"
    assert file["size"] == 5
    assert file["attributes"] == ["ARCHIVE"]
    assert file["creation_time"] == "2022-06-18T04:26:40.0000001Z"
    assert file["filetimes"]["change_time"] == TIME.ticks
    assert file["sddl"] == "O:BAG:SYD:(A;;FA;;;BA)"
    assert bytes.fromhex(file["security_descriptor"]) == bytes(SD)
    assert file["extended_attributes"] == [{"name": "$KERNEL.X", "flags": 0x80, "value": "AQI="}]
    assert file["sha256"] == hashlib.sha256(b"hello").hexdigest()
    assert file["streams"] == [
        {"name": "Zone.Identifier", "size": 3, "sha256": hashlib.sha256(b"abc").hexdigest()},
    ]
    assert "raw_path" not in file
    link = entries["Files/link"]
    assert link["reparse"]["tag"] == 0xA000000C
    assert link["reparse"]["print_name"] == "a.txt"
    assert wl.ReparsePoint(bytes.fromhex(link["reparse"]["data"])) == wl.ReparsePoint.symlink("a.txt")
    assert entries["Files/hard"]["link_name"] == "Files/a.txt"
    gone = entries["Files/.wh.gone"]
    assert (gone["kind"], gone["creation_time"], gone["sha256"]) == ("whiteout", None, None)


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_ls_says_the_same_of_a_pipe(options: list[str], run: Run, layer: Path) -> None:
    expected = run("ls", layer, *options).out
    for data in (layer.read_bytes(), gzip.compress(layer.read_bytes())):
        process = spawn(["ls", "-", *options], stdin=subprocess.PIPE)
        out, err = process.communicate(data)
        assert err == b""
        assert out.decode().splitlines() == expected.splitlines()


def test_names_are_escaped_for_people_and_exact_for_programs(run: Run, tmp_path: Path) -> None:
    names: dict[str, str | bytes] = {
        "control": "Files/a\x1b[31m\nb",
        "lone surrogate": "Files/\ud800",
        "no UTF-8": b"Files/\xff",
    }
    path = tmp_path / "odd.tar"
    with wl.LayerWriter(path) as writer:
        for name in names.values():
            writer.add(wl.Entry(name), b"")
    out = run("ls", path).out
    assert [line.split()[-1] for line in out.splitlines()[1:]] == [
        "Files/a\\x1b[31m\\nb",
        "Files/\\ud800",
        "Files/\\udcff",
    ]
    rows = [json.loads(line) for line in run("ls", path, "--json").out.splitlines()]
    assert [row["path"] for row in rows] == ["Files/a\x1b[31m\nb", "Files/\ud800", "Files/\udcff"]
    raw = [base64.b64decode(row["raw_path"]) if "raw_path" in row else None for row in rows]
    assert raw == [None, b"Files/\xed\xa0\x80", b"Files/\xff"]
    # In whatever encoding: only ASCII leaves the command.
    process = spawn(["ls", path], env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert "Files/\\ud800" in process.communicate()[0].decode("ascii")


def test_what_the_policy_refuses_is_listed_when_asked_for(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "escapes.tar"
    with wl.LayerWriter(path, policy=wl.Policy.permissive()) as writer:
        writer.add(wl.Entry("../x"), b"y")
    refused = run("ls", path)
    assert (refused.code, "--permissive" in refused.err) == (3, True)
    assert "../x" in run("ls", "--permissive", path).out


@pytest.mark.parametrize(
    ("path", "data"),
    [
        ("Files/a.txt", b"hello"),
        ("Files\\a.txt", b"hello"),
        ("FILES/A.TXT", b"hello"),
        ("a.txt", b"hello"),
        ("\\A.txt", b"hello"),
        ("a.txt::$DATA", b"hello"),
        ("a.txt:Zone.Identifier", b"abc"),
        ("files/A.TXT:zone.identifier:$data", b"abc"),
        ("Files/hard", b"hello"),
    ],
)
@pytest.mark.parametrize("packed", [False, True], ids=["seekable", "gzip"])
def test_cat(path: str, data: bytes, packed: bool, layer: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    if packed:
        layer.write_bytes(gzip.compress(layer.read_bytes()))
    from winlayers.cli import main

    assert main(["cat", str(layer), path]) == 0
    assert capfdbinary.readouterr() == (data, b"")


@pytest.mark.parametrize("as_stream", [False, True])
def test_cat_takes_the_exact_name_first(as_stream: bool, tmp_path: Path) -> None:
    sink = io.BytesIO()
    with wl.LayerWriter(sink) as writer:
        for name in ("Files/B", "Files/b", "b"):
            writer.add(wl.Entry(name, size=len(name)), name.encode())
    path = tmp_path / "cases.tar"
    path.write_bytes(sink.getvalue())
    for wanted, found in {"b": b"b", "Files/b": b"Files/b", "FILES/B": b"Files/B", "B": b"Files/B"}.items():
        if as_stream:
            out, err = spawn(["cat", "-", wanted], stdin=subprocess.PIPE).communicate(sink.getvalue())
        else:
            out, err = spawn(["cat", path, wanted]).communicate()
        assert (out, err) == (found, b"")


@pytest.mark.host
def test_cat_takes_names_that_are_no_utf8(tmp_path: Path) -> None:
    path = tmp_path / "odd.tar"
    with wl.LayerWriter(path) as writer:
        writer.add(wl.Entry(b"Files/\xff", size=1), b"1")
        writer.add(wl.Entry("Files/\ud800", size=1), b"2")
    for name, data in {
        b"Files/\xff": b"1",
        b"\xff": b"1",
        "Files/\ud800".encode("utf-8", "surrogatepass"): b"2",
    }.items():
        assert spawn(["cat", path, name]).communicate() == (data, b"")


def test_cat_of_a_hard_link_in_a_pipe_says_what_to_do(layer: Path) -> None:
    process = spawn(["cat", "-", "hard"], stdin=subprocess.PIPE)
    out, err = process.communicate(layer.read_bytes())
    assert (process.returncode, out) == (3, b"")
    assert b"hard link to Files/a.txt" in err


SDDL = "O:BAG:SYD:(A;;FA;;;BA)"


@pytest.mark.parametrize(
    "text", [bytes(SD).hex(), "0x" + bytes(SD).hex().upper(), base64.b64encode(bytes(SD)).decode()]
)
def test_sd_of_bytes_is_sddl(text: str, run: Run) -> None:
    assert run("sd", text) == (0, SDDL + "\n", "")


def test_sd_of_sddl_is_bytes(run: Run) -> None:
    assert run("sd", SDDL).out == bytes(SD).hex() + "\n"
    assert run("sd", SDDL, "--to", "base64").out == base64.b64encode(bytes(SD)).decode() + "\n"
    assert run("sd", f"  {SDDL} ", "--to", "sddl").out == SDDL + "\n"
    assert spawn(["sd", SDDL, "--to", "raw"]).communicate()[0] == bytes(SD)
    assert spawn(["sd", "-"], stdin=subprocess.PIPE).communicate(bytes(SD))[0].split() == [SDDL.encode()]


def test_sd_of_an_entry(run: Run, layer: Path) -> None:
    assert run("sd", layer, "A.TXT").out == SDDL + "\n"


def test_sd_with_a_domain(run: Run) -> None:
    domain = "S-1-5-21-1-2-3"
    made = run("sd", "O:DAG:DU", "--domain-sid", domain)
    assert made.code == 0
    assert run("sd", made.out.strip()).out == f"O:{domain}-512G:{domain}-513\n"
    assert run("sd", made.out.strip(), "--domain-sid", domain).out == "O:DAG:DU\n"


def test_sd_as_json(run: Run) -> None:
    fields = json.loads(run("sd", "--json", SDDL).out)
    assert fields["sddl"] == SDDL
    assert fields["owner"] == "S-1-5-32-544"
    assert fields["control"] == ["DACL_PRESENT", "SELF_RELATIVE"]
    assert fields["dacl"] == [
        {"type": 0, "flags": 0, "mask": 0x1F01FF, "sid": "S-1-5-32-544", "sddl": "(A;;FA;;;BA)"},
    ]
    assert fields["sacl"] is None


def test_doctor(run: Run) -> None:
    facts = json.loads(run("doctor", "--json").out)
    assert facts["build"].split()[0] in ("debug", "release")
    assert facts["host_compute_service"]["available"] is False
    out = run("doctor").out
    assert all(key.replace("_", " ") in out for key in facts)


def test_the_layer_of_these_tests_is_read_back() -> None:
    """The fixtures are what they claim to be."""
    kinds = [entry.kind for entry in wl.LayerReader(io.BytesIO(layer_bytes()))]
    assert kinds == ["directory", "file", "symlink", "hard_link", "whiteout"]


def test_several_layers_are_one(run: Run, tmp_path: Path) -> None:
    def write(name: str, **files: bytes) -> Path:
        sink = io.BytesIO()
        with wl.LayerWriter(sink) as writer:
            writer.add(wl.Entry("Files", kind="directory"))
            for file, data in files.items():
                if data == b"-":
                    writer.add_whiteout(f"Files/{file}")
                else:
                    writer.add(wl.Entry(f"Files/{file}"), data)
        data = sink.getvalue()
        (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith("gz") else data)
        return tmp_path / name

    layers = [write("base.tar", a=b"old", b=b"kept", c=b"gone"), write("top.tar.gz", A=b"new", c=b"-")]
    listed_names = [entry["path"] for entry in map(json.loads, run("ls", *layers, "--json").out.splitlines())]
    assert listed_names == ["Files", "Files/A", "Files/b"]
    assert [row.split()[-1] for row in run("ls", *layers).out.splitlines()[1:]] == listed_names
    assert run("cat", *layers, "a").out == "new"
    assert run("cat", *layers, r"Files\B").out == "kept"
    missing = run("--json", "cat", *layers, "c")
    assert (missing.code, json.loads(missing.err)["error"]) == (3, "not_in_layer")
    assert run("ls", "--permissive", *layers).code == 2
    assert run("ls", "-", "-").code == 2
    out, _ = spawn(["ls", "-", str(layers[1]), "--json"], stdin=subprocess.PIPE).communicate(layers[0].read_bytes())
    assert [json.loads(line)["path"] for line in out.splitlines()] == listed_names
