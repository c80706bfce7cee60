"""Processes that do one work at a time when asked, so that both sides are measured warm and inside their library."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from harness import BENCHES, WORK

WINDOWS_PYTHON = r"C:\python\python.exe"


@dataclass(frozen=True)
class Answer:
    """What one run of a work took and gave."""

    seconds: float
    cpu: float = 0  # seconds of processor time, of all threads
    fold: str = ""  # the checksum of what it produced
    bytes: int = 0
    count: int = 0
    peak_kib: int = 0


class Worker:
    """A process that answers requests: one JSON object a line, both ways."""

    def __init__(self, arguments: list[str | Path], drive: str = "", site: Path | None = None) -> None:
        self._drive = drive  # what stands before the paths of this system
        self._process = subprocess.Popen(
            arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment(site)
        )
        assert self._process.stdin
        assert self._process.stdout
        self._input, self._output = self._process.stdin, self._process.stdout

    @classmethod
    def go(cls) -> Worker:
        return cls([WORK / "peer"])

    @classmethod
    def python(cls, module: str, site: Path | None = None) -> Worker:
        """A Python process with the works of one module of `harness.works`, and the packages of a folder."""
        return cls([sys.executable, BENCHES / "harness/serve.py", module], site=site)

    @classmethod
    def windows(cls, module: str) -> Worker:
        """The same in the Windows Python under Wine, or Go's peer for Windows."""
        program = (
            [f"Z:{WORK}/peer.exe"] if module == "go" else [WINDOWS_PYTHON, f"Z:{BENCHES}/harness/serve.py", module]
        )
        return cls([BENCHES.parent / "tools/windows/run", *program], "Z:")

    def ask(self, **request: object) -> Answer:
        self._input.write(json.dumps(request, default=lambda path: f"{self._drive}{path}") + "\n")
        self._input.flush()
        line = self._output.readline()
        if not line:
            raise RuntimeError(f"{request['work']}: the worker died with {self._process.wait()}")
        answer = json.loads(line)
        if error := answer.pop("error", None):
            raise RuntimeError(f"{request['work']}: {error}")
        return Answer(**answer)

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self._input.close()
        self._process.wait()
        self._output.close()


def environment(site: Path | None) -> dict[str, str]:
    """That of a Python which imports from a folder first."""
    return os.environ | ({"PYTHONPATH": str(site)} if site else {})


def run_command(arguments: list[str | Path]) -> Answer:
    """A tool, from its start to its end, its output thrown away."""
    start, used = time.perf_counter(), children_cpu()
    subprocess.run(arguments, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return Answer(time.perf_counter() - start, children_cpu() - used)


def children_cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
