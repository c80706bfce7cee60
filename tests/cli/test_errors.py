"""Errors: exit codes, one line or one object on standard error, never a traceback."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

import winlayers as wl
from cli.conftest import Run, layer_bytes
from winlayers.cli import errors

CODES = [
    (wl.FormatError("x", offset=3), 3),
    (wl.RefusedError("x"), 3),
    (wl.LimitExceededError("x", limit="path", size=2, max=1), 3),
    (wl.IntegrityError("x"), 3),
    (wl.StoreError("x"), 4),
    (wl.LayerNotFoundError("x", layer="abc"), 4),
    (wl.HcsError("x", operation="ImportLayer", hresult=0x80070005), 5),
    (wl.UnsupportedOperationError("x"), 5),
    (wl.MisuseError("x", code="bad_argument"), 2),
    (errors.Usage("x"), 2),
    (errors.NotInLayer("x"), 3),
    (FileNotFoundError(2, "No such file", "a"), 5),
    (MemoryError(), 5),
    (RuntimeError("x"), 5),
]


@pytest.mark.parametrize(("error", "code"), CODES, ids=lambda value: type(value).__name__)
def test_every_error_has_its_exit_code(error: Exception, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert errors.report(error, as_json=True) == code
    fields = json.loads(capsys.readouterr().err)
    assert {"error", "message", "hint"} <= fields.keys()
    assert errors.report(error, as_json=False) == code
    assert capsys.readouterr().err.startswith("error: ")


def test_an_object_has_the_facts(capsys: pytest.CaptureFixture[str]) -> None:
    error = wl.FormatError(
        "m", code="bad_tar", format="tar", offset=512, member=b"\xff", field="size", expected="1", found="2"
    )
    errors.report(error, as_json=True)
    assert json.loads(capsys.readouterr().err) == {
        "error": "bad_tar",
        "message": "m",
        "hint": None,
        "format": "tar",
        "member": "\udcff",
        "raw_member": "/w==",
        "offset": 512,
        "field": "size",
        "expected": "1",
        "found": "2",
    }


def test_a_message_is_one_line_and_moves_no_cursor(capsys: pytest.CaptureFixture[str]) -> None:
    errors.report(FileNotFoundError(2, "No\nsuch file", "a\x1b[31m\r\u202eb"), as_json=False)
    assert capsys.readouterr().err == "error: a\\x1b[31m\\r\\u202eb: No\\nsuch file\n"


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ([], 2),
        (["nonsense"], 2),
        (["ls"], 2),
        (["ls", "a", "--permissive", "b"], 2),
        (["ls", "--nonsense", "a"], 2),
        (["ls", "missing.tar"], 5),
        (["ls", "."], 5),
        (["ls", "noise"], 3),
        (["ls", "cut.tar.gz"], 3),
        (["ls", "escapes.tar"], 3),
        (["cat", "layer.tar", "missing"], 3),
        (["cat", "layer.tar", "Files"], 3),
        (["cat", "layer.tar", "Files/a.txt:missing"], 3),
        (["sd", "nonsense!"], 2),
        (["sd", "D:(X"], 3),
        (["sd", "00"], 3),
        (["sd", "O:DA"], 3),
        (["sd", "layer.tar", "missing"], 3),
        (["sd", "layer.tar", "Files/link"], 3),
    ],
    ids=lambda value: "_".join(value) if isinstance(value, list) else str(value),
)
def test_what_goes_wrong(
    words: list[str], code: int, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    layer = layer_bytes()
    Path("layer.tar").write_bytes(layer)
    Path("noise").write_bytes(b"\x5a" * 3000)
    Path("cut.tar.gz").write_bytes(gzip.compress(layer)[:-40])
    with wl.LayerWriter("escapes.tar", policy=wl.Policy.permissive()) as writer:
        writer.add(wl.Entry("../x"), b"")
    plain = run(*words)
    assert plain.code == code
    lines = plain.err.splitlines()
    assert lines[0].startswith("error: ")
    assert all(line.startswith("hint: ") for line in lines[1:])
    assert len(lines) <= 2
    as_json = run("--json", *words)
    assert as_json.code == code
    fields: dict[str, Any] = json.loads(as_json.err)
    assert fields["message"] == lines[0].removeprefix("error: ")


def test_a_fault_of_ours_shows_no_traceback(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_arguments: object) -> int:
        raise ZeroDivisionError("three\nlines\nlong")

    monkeypatch.setattr("winlayers.cli.doctor.run", fail)
    result = run("doctor")
    assert result.code == 5
    assert result.err.startswith("error: ZeroDivisionError: three\\nlines\\nlong\nhint: This is a fault in winlayers")
    assert "Traceback" not in result.err
    monkeypatch.setenv("WINLAYERS_TRACEBACK", "1")
    assert "Traceback" in run("doctor").err
