"""The command as a process: how it starts, ends and is stopped."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cli.conftest import Run, layer_bytes, spawn
from winlayers.cli.parser import COMMANDS


def test_help_loads_nothing_that_is_slow() -> None:
    """Starting is what a shell user waits for: the imports are what makes it slow, and they can be counted."""
    program = (
        "import sys\nfrom winlayers.cli import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit as leave:\n    assert leave.code == 0\n"
        "print(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = set(done.stderr.split())
    slow = {"rich", "hypothesis", "asyncio", "hashlib", "tempfile", "importlib.metadata"}
    assert not loaded & slow
    assert not {f"winlayers.cli.{command}" for command in COMMANDS} & loaded
    assert all(f"\n    {command} " in done.stdout for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str, run: Run) -> None:
    code, out, err = run(command, "--help")
    assert (code, err) == (0, "")
    assert out.startswith(f"usage: winlayers {command}")


def test_the_version_is_that_of_the_package(run: Run) -> None:
    from importlib.metadata import version

    assert run("--version").out == f"winlayers {version('winlayers')}\n"


@pytest.mark.host
def test_a_closed_pipe_is_no_error(tmp_path: Path) -> None:
    from winlayers import Entry, LayerWriter

    path = tmp_path / "many.tar"
    with LayerWriter(path) as writer:
        for i in range(5000):
            writer.add(Entry(f"Files/{i}"), b"")
    for words in (["ls", str(path)], ["ls", "--json", str(path)]):
        process = spawn(words)
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait() == 0
        process.stderr.close()


@pytest.mark.host
def test_ctrl_c_ends_it_with_130() -> None:
    # A background job of a shell ignores it, and so would its children.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    process = spawn(["ls", "-"], stdin=subprocess.PIPE)
    signal.signal(signal.SIGINT, before)
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    # It prints nothing before its buffer is full; once it has taken more than a pipe holds, it is at work.
    tar = layer_bytes()
    member = tar[: tar.index(b"Files/a.txt") // 512 * 512]
    for _ in range(1000):
        process.stdin.write(member)
    process.stdin.flush()
    process.send_signal(signal.SIGINT)
    code = process.wait()
    err = process.stderr.read()
    for pipe in (process.stdin, process.stdout, process.stderr):
        pipe.close()
    assert (code, err) == (130, b"")
