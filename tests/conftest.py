"""What all tests share: the hypothesis profiles, the folder of other tools' data, and what cannot run under Wine."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from go_tarsplit import Go

ROOT = Path(__file__).resolve().parents[1]
UNDER_WINE = sys.platform == "win32" and "WINEPREFIX" in os.environ

# Nothing here is ever timed: `deadline=None` everywhere. HYPOTHESIS_PROFILE names one; `ci` repeats the same examples,
# so that a change is judged by itself; `thorough` is for an evening; `wine` is short, each example being slow there.
settings.register_profile("default", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", settings.get_profile("default"), derandomize=True, print_blob=True)
settings.register_profile("thorough", settings.get_profile("default"), max_examples=5000)
settings.register_profile("wine", settings.get_profile("ci"), max_examples=15)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if os.environ.get("CI") else "default"))


@pytest.fixture(scope="session")
def vectors() -> Path:
    """Give the folder of other tools' data; no part of the project, so tests that read it are skipped without."""
    folder = Path(os.environ.get("WINLAYERS_VECTORS", ROOT.parent / "shared" / "vectors"))
    if not folder.is_dir():
        pytest.skip(f"no vectors in {folder}: WINLAYERS_VECTORS names another folder")
    return folder


@pytest.fixture(scope="session")
def go() -> Iterator[Go]:
    """Build the Go program, where there is Go and its module can be had."""
    if shutil.which("go") is None:
        pytest.skip("no Go here")
    source, program = ROOT / "tests" / "go" / "tarsplit", ROOT / "target" / "go" / "tarsplit"
    program.parent.mkdir(parents=True, exist_ok=True)
    if subprocess.run(["go", "mod", "download"], cwd=source, capture_output=True, check=False).returncode != 0:
        pytest.skip("Go cannot get its modules")
    subprocess.run(["go", "build", "-o", program, "."], cwd=source, check=True)
    running = Go(program)
    yield running
    running.close()


def _reasons_under_wine() -> dict[str, str]:
    """Read `windows/not-under-wine.txt`: on each line the beginning of a test's id, then the reason."""
    lines = (ROOT / "tests" / "windows" / "not-under-wine.txt").read_text(encoding="utf-8").splitlines()
    rows = (line.split(maxsplit=1) for line in lines if line.strip() and not line.startswith("#"))
    return {row[0]: row[1] for row in rows}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip under Wine what is marked `host` or listed."""
    if not UNDER_WINE:
        return
    reasons = _reasons_under_wine()
    for item in items:
        found = [reason for test, reason in reasons.items() if item.nodeid.startswith(test)]
        if item.get_closest_marker("host") is not None:
            found.append("needs the build host")
        if found:
            item.add_marker(pytest.mark.skip(reason=found[0]))
