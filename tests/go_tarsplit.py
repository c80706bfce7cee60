"""The Go tool for tar-split, as a program that is kept running; the fixture `go` builds it."""

import hashlib
import json
import subprocess
from pathlib import Path
from typing import Any, BinaryIO


class Files:
    """The content directories of the Go program: files named by the hash of the member's name."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder

    def _path(self, name: str) -> Path:
        raw = name.encode("utf-8", "surrogateescape")  # the bytes, which the Go program hashes
        return self.folder / hashlib.sha256(raw).hexdigest()

    def create(self, name: str) -> BinaryIO:
        return self._path(name).open("wb")

    def open(self, name: str) -> BinaryIO:
        return self._path(name).open("rb")


class Go:
    """The Go program in `tests/go/tarsplit`, kept running; each command gives its error, empty for none."""

    def __init__(self, program: Path) -> None:
        self.process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, do: str, **files: Path) -> dict[str, Any]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps({"do": do} | {key: str(file) for key, file in files.items()}) + "\n")
        self.process.stdin.flush()
        answer: dict[str, Any] = json.loads(self.process.stdout.readline())
        return answer

    def __call__(self, do: str, **files: Path) -> str:
        return str(self.ask(do, **files)["error"])

    def close(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()
