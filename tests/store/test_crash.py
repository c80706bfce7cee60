"""Every command that changes a store, killed or refused at every call that it makes to the system.

`strace` (Debian) does it. By default a sample is run; `make crash` runs all.
"""

import os
import random
import re
import shutil
from pathlib import Path

import pytest

import winlayers as wl
from store.commands import COMMANDS, Command, run, state

pytestmark = pytest.mark.host

CALLS = [
    *("write", "pwrite64", "ftruncate", "copy_file_range", "fsync", "fdatasync"),
    *("rename", "renameat", "renameat2", "link", "linkat", "symlinkat", "unlink", "unlinkat", "rmdir"),
    *("mkdir", "mkdirat", "fchmod", "fchmodat", "utimensat"),
]
FAULTS = ["signal=KILL", "error=ENOSPC", "error=EIO", "error=EACCES"]
SAMPLE = int(os.environ.get("CRASH_SAMPLE", "24"))
"""How many faults of each command are tried; 0: all."""


def calls_of(folder: Path, command: Command) -> list[tuple[str, int]]:
    """List the calls that a command makes, each with its number among those of its name in its thread."""
    log = folder / "log"
    done = run(folder, command, "-o", str(log), "-e", "trace=" + ",".join(f"?{call}" for call in CALLS))
    assert done.returncode == 0, done.stderr
    counts: dict[tuple[str, str], int] = {}
    for line in log.read_text(errors="replace").splitlines():
        if match := re.match(r"(\d+) +(\w+)\(", line):
            counts[match[1], match[2]] = counts.get((match[1], match[2]), 0) + 1
    most: dict[str, int] = {}
    for (_, call), count in counts.items():
        most[call] = max(most.get(call, 0), count)
    assert most, "strace saw nothing"
    return [(call, number) for call, count in sorted(most.items()) for number in range(1, count + 1)]


@pytest.mark.parametrize("name", COMMANDS)
def test_a_fault_leaves_the_old_state_or_the_new(name: str, template: Path, tmp_path: Path) -> None:
    command = COMMANDS[name]
    start, whole = tmp_path / "start", tmp_path / "whole"
    shutil.copytree(template, start, symlinks=True)
    command.before(start)
    before = state(start / "home")
    shutil.copytree(start, whole, symlinks=True)
    cases = [(call, number, fault) for call, number in calls_of(whole, command) for fault in FAULTS]
    after = state(whole / "home")
    assert before != after
    if SAMPLE:
        cases = random.Random(name).sample(cases, min(SAMPLE, len(cases)))
    for number, (call, count, fault) in enumerate(cases):
        folder = tmp_path / str(number)
        shutil.copytree(start, folder, symlinks=True)
        done = run(folder, command, "-o", os.devnull, "-e", f"inject={call}:{fault}:when={count}")
        what = f"{name}, {call} {count}, {fault}: status {done.returncode}, {done.stderr.decode()[-300:]}"
        try:
            found = state(folder / "home")
        except (wl.WinLayersError, AssertionError, OSError) as error:
            raise AssertionError(f"{what}: {error}") from error
        assert found in (before, after), what
        if done.returncode == 0:
            assert found == after, what
        assert b"Traceback" not in done.stderr, what
        shutil.rmtree(folder)
