"""The commands that show layers as folders: mount, umount."""

import argparse
from collections.abc import Callable

from winlayers.cli.output import escape, json_line, line
from winlayers.cli.store.opened import open_store

Run = Callable[[argparse.Namespace], int]


def mount_command(parser: argparse.ArgumentParser) -> Run:
    """Show a layer merged over those below it, and print the folder: what the container sees as C:\\.

    A sandbox may be changed there; of any other layer it is a copy, to be read. Each mount wants an umount.
    """
    parser.add_argument("id", metavar="ID", help="the layer")
    return _mount


def _mount(arguments: argparse.Namespace) -> int:
    path = open_store(arguments).get(arguments.id)
    if arguments.json:
        json_line({"path": path})
    else:
        line(escape(path))
    return 0


def umount_command(parser: argparse.ArgumentParser) -> Run:
    """Undo one mount. What was written to a sandbox stays in it."""
    parser.add_argument("id", metavar="ID", help="the layer")
    return _umount


def _umount(arguments: argparse.Namespace) -> int:
    open_store(arguments).put(arguments.id)
    return 0
