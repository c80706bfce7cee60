"""The doubles in a control folder of their own, and layers made with them."""

import os
from pathlib import Path

import pytest

from windows.doubles.api import (
    ALTERNATE,
    ARCHIVE,
    DATA,
    DESCRIPTOR,
    FOLDER,
    OK,
    REPARSE,
    SECURITY,
    Doubles,
    plain,
    stream,
    write_transport,
)


@pytest.fixture
def doubles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Doubles:
    if "WINLAYERS_TEST_DOUBLES" not in os.environ:
        pytest.skip("WINLAYERS_TEST_DOUBLES names no folder with the doubles")
    control = tmp_path / "control"
    control.mkdir()
    monkeypatch.setenv("WINLAYERS_DOUBLES", str(control))
    return Doubles(Path(os.environ["WINLAYERS_TEST_DOUBLES"]), control)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    home = tmp_path / "höme-日本"
    home.mkdir()
    return home


@pytest.fixture
def base(doubles: Doubles, home: Path) -> Path:
    return doubles.make_base(
        home / "base",
        {
            "Windows\\a.dll": stream(SECURITY, DESCRIPTOR, attributes=2) + stream(DATA, b"a of the base"),
            "Windows\\b.dll": stream(DATA, b"b of the base"),
            "gone.txt": stream(DATA, b"gone"),
        },
    )


@pytest.fixture
def imported(doubles: Doubles, home: Path, base: Path, tmp_path: Path) -> Path:
    files = {
        "Windows": FOLDER,
        "Windows\\b.dll": (ARCHIVE | 0x2000, plain(b"b imported")[1] + stream(ALTERNATE, b"ads", ":x:$DATA")),
        "new": FOLDER,
        "new\\link": (ARCHIVE | 0x400, stream(REPARSE, b"\x0c\0\0\xa0\x08\0\0\0abcdefgh")),
    }
    source = write_transport(tmp_path / "source", files, ["\\gone.txt"], {"System_Delta": b"regf"})
    assert doubles.layer("ImportLayer", home / "imported", str(source), *doubles.chain([base])) == OK
    return home / "imported"
