"""The commands for a store as a whole: init, check, cleanup."""

import argparse
from collections.abc import Callable

from winlayers.cli.output import escape, json_line, line
from winlayers.cli.progress import bar
from winlayers.cli.store.opened import open_store

Run = Callable[[argparse.Namespace], int]


def init_command(_parser: argparse.ArgumentParser) -> Run:
    """Make a store in a folder, which is made where it is missing. A store that is there stays as it is."""
    return _init


def _init(arguments: argparse.Namespace) -> int:
    store = open_store(arguments, make=True)
    if arguments.json:
        json_line({"home": store.home, "driver": store.name})
    else:
        line(escape(store.home))
    return 0


def check_command(parser: argparse.ArgumentParser) -> Run:
    """Read all layers and list what is wrong: digests, indexes, chains, records. Exits with 1 when there is something.

    --repair makes anew what follows from the rest (indexes, records); it is listed too.
    """
    parser.add_argument("--repair", action="store_true", help="make anew what can be made anew")
    return _check


def _check(arguments: argparse.Namespace) -> int:
    with bar("check", quiet=arguments.json) as progress:
        problems = open_store(arguments).check(repair=arguments.repair, progress=progress)
    for problem in problems:
        if arguments.json:
            names = {"code": problem.code, "severity": problem.severity, "layer": problem.path or None}
            json_line(names | {"message": problem.message})
        else:
            where = f"layer {escape(problem.path)}" if problem.path else "the store"
            line(f"problem: {problem.code}: {where}: {escape(problem.message)}")
    if not arguments.json:
        line(f"problems  {len(problems):,}")
    return 1 if problems else 0


def cleanup_command(parser: argparse.ArgumentParser) -> Run:
    """Finish removals, undo what killed processes had under way, and take their mounts back."""
    parser.add_argument("--force", action="store_true", help="end the mounts of `store mount` too, whoever has them")
    return _cleanup


def _cleanup(arguments: argparse.Namespace) -> int:
    open_store(arguments).cleanup(force=arguments.force)
    return 0
