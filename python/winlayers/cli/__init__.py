"""The command `winlayers`: what the Python API does, from the shell. One file per command.

A command's module has a docstring, which `--help` prints, `add_arguments(parser)` and `run(arguments)`, which gives the
exit code.
Exit codes: 0 done; 1 a check found problems; 2 usage; 3 bad input; 4 store state; 5 host or system; 130 interrupted.
"""

import os
import sys
from collections.abc import Sequence

__all__ = ["main"]

INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code; no exception leaves it, but for SystemExit of --help and usage.

    >>> main(["sd", "O:BAG:SY"])
    010000801400000024000000000000000000000001020000000000052000000020020000010100000000000512000000
    0
    """
    as_json = False
    try:
        _prepare_streams()
        from winlayers.cli.parser import parse

        run, arguments = parse(argv)
        as_json = arguments.json
        code = run(arguments)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        _forget_stdout()
        return 0
    except Exception as error:
        from winlayers.cli.errors import report

        return report(error, as_json=as_json)
    return code


def _prepare_streams() -> None:
    """Let no name that the terminal's encoding lacks stop a command."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


def _forget_stdout() -> None:
    """Whoever read our output has seen enough: what is still buffered goes nowhere, and nobody is told."""
    try:
        sys.stdout.flush()
    except OSError:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)
