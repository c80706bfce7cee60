"""The workflows of GitHub name only what is there, and their scripts are shell; `make lint` has actionlint."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
PLACE = re.compile(r"(?<![\w/.-])(?:tools|tests|rust|docs|\.ci)/[\w./-]+|requirements-\w+\.txt")
TARGET = re.compile(r"\bmake ([a-z-]+)")


def steps(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Give each step, with the name of its job."""
    yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")
    for name, job in yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"].items():
        assert job["timeout-minutes"], f"{name} may run for six hours"
        for step in job["steps"]:
            yield name, step


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_what_a_workflow_names_is_there(path: Path) -> None:
    found = list(steps(path))
    assert len(found) > 10
    text = path.read_text(encoding="utf-8")
    assert not [place for place in PLACE.findall(text) if not (ROOT / place).exists()]
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert not [target for target in TARGET.findall(text) if f"\n{target}:" not in makefile]
    for job, step in found:
        assert ("run" in step) != ("uses" in step), (job, step)


@pytest.mark.host
@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_the_scripts_are_shell(path: Path) -> None:
    if shutil.which("bash") is None:
        pytest.skip("no bash here")
    for job, step in steps(path):
        if "run" in step and "shell" not in step:
            script = re.sub(r"\$\{\{.*?\}\}", "value", step["run"])
            done = subprocess.run(["bash", "-n"], input=script, capture_output=True, check=False, text=True)
            assert done.returncode == 0, (job, done.stderr)
