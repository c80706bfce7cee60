"""The doubles of the Host Compute Service, for the module as a whole."""

from pathlib import Path

import pytest

from windows.hcs import CONTROL, Hcs


@pytest.fixture
def hcs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hcs:
    if CONTROL is None:
        pytest.skip("needs the doubles of the Host Compute Service")
    control = tmp_path / "control"
    control.mkdir()
    monkeypatch.setenv("WINLAYERS_DOUBLES", str(control))
    monkeypatch.setenv("WINLAYERS_BACKUP_DLL", str(Path(CONTROL) / "winlayers_backup.dll"))
    return Hcs(Path(CONTROL), control)
