"""A Windows on which the feature Containers is not enabled: plain Wine is one."""

import json
import sys
from pathlib import Path

import pytest

import winlayers as wl
from windows.hcs import CONTROL
from winlayers.cli import main

pytestmark = pytest.mark.skipif(sys.platform != "win32" or CONTROL is not None, reason="needs a Windows without HCS")


@pytest.fixture(autouse=True)
def nothing_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WINLAYERS_BACKEND", raising=False)


def test_the_store_says_what_is_missing_and_makes_nothing(tmp_path: Path) -> None:
    for backend in (None, "hcs"):
        with pytest.raises(wl.UnsupportedOperationError) as caught:
            wl.LayerStore(tmp_path / "home", backend=backend)
        told = str(caught.value)
        assert "vmcompute.dll" in told
        assert "Containers" in told
        assert "portable" in told
        assert not (tmp_path / "home").exists()


def test_plain_files_serve_where_they_are_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = wl.LayerStore(tmp_path / "one", backend="portable")
    assert dict(store.status())["Backend"] == "portable"
    monkeypatch.setenv("WINLAYERS_BACKEND", "portable")
    assert dict(wl.LayerStore(tmp_path / "two").status())["Backend"] == "portable"


def test_doctor_tells(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)["host_compute_service"]
    assert facts["available"] is False
    assert "vmcompute.dll" in facts["reason"]
    assert "vmcompute.dll!ImportLayer" in facts["missing_functions"]
