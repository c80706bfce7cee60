"""What tests of the Windows side share: the parts of the module that only a build for tests has, and the double."""

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from winlayers import _native

native: Any = _native
FOR_TESTS = sys.platform == "win32" and hasattr(_native, "_with_privileges")

# The folder with the double of BackupRead and BackupWrite, which are stubs in Wine.
DOUBLES = os.environ.get("WINLAYERS_TEST_DOUBLES", "")


def use_backup_double(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Use the double, with a folder of its own for what Wine's disk does not hold."""
    state.mkdir()
    monkeypatch.setenv("WINLAYERS_BACKUP_DLL", str(Path(DOUBLES) / "winlayers_backup.dll"))
    monkeypatch.setenv("WINLAYERS_DOUBLES", str(state))


def winerror(error: OSError) -> int:
    """Give the number of the system's error, which types know on Windows only."""
    number: int = vars(OSError)["winerror"].__get__(error)
    return number


def names(folder: Path) -> list[str]:
    """List a folder."""
    return sorted(path.name for path in folder.iterdir())
