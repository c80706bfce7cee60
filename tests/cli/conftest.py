"""What the tests of the command line share: the command itself, and small layers."""

import io
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

import winlayers as wl
from winlayers.cli import main

TIME = wl.FileTime(133_000_000_000_000_001)
SD = wl.SecurityDescriptor.from_sddl("O:BAG:SYD:(A;;FA;;;BA)")
DIRECTORY = wl.FileAttributes.DIRECTORY
ARCHIVE = wl.FileAttributes.ARCHIVE


class Result(NamedTuple):
    """What a command did."""

    code: int
    out: str
    err: str


Run = Callable[..., Result]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command in this process."""

    def call(*words: str | Path) -> Result:
        capsys.readouterr()
        try:
            code = main([str(word) for word in words])
        except SystemExit as leave:
            code = int(leave.code or 0)
        captured = capsys.readouterr()
        return Result(code, captured.out, captured.err)

    return call


def spawn(words: Sequence[str | bytes | Path], **options: object) -> "subprocess.Popen[bytes]":
    """Start the command as a process of its own."""
    command = [sys.executable, "-m", "winlayers.cli", *words]
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, **{**pipes, **options})  # type: ignore[call-overload, no-any-return]


def info(attributes: int = ARCHIVE) -> wl.BasicInfo:
    """Give times and attributes."""
    return wl.BasicInfo(TIME, TIME, TIME, TIME, attributes)


def layer_bytes() -> bytes:
    """Give a layer with one of everything."""
    sink = io.BytesIO()
    with wl.LayerWriter(sink, dialect="lossless") as writer:
        directory = info(DIRECTORY)
        writer.add(wl.Entry("Files", kind="directory", basic_info=directory, security_descriptor=SD))
        attribute = wl.ExtendedAttribute("$KERNEL.X", b"\x01\x02", flags=0x80)
        file = wl.Entry(
            "Files/a.txt",
            basic_info=info(),
            security_descriptor=SD,
            extended_attributes=[attribute],
            size=5,
            streams=[wl.Stream("Zone.Identifier", 3)],
        )
        writer.add(file, b"hello", {"Zone.Identifier": b"abc"})
        link = wl.ReparsePoint.symlink("a.txt")
        attributes = wl.FileAttributes.REPARSE_POINT
        writer.add(wl.Entry("Files/link", kind="symlink", basic_info=info(attributes), reparse_point=link))
        writer.add_hard_link("Files/hard", "Files/a.txt", info())
        writer.add_whiteout("Files/gone")
    return sink.getvalue()


@pytest.fixture
def layer(tmp_path: Path) -> Path:
    """Give the file of that layer."""
    path = tmp_path / "layer.tar"
    path.write_bytes(layer_bytes())
    return path
