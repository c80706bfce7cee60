"""The commands that make and remove layers: create, rm."""

import argparse
from collections.abc import Callable

import winlayers as wl
from winlayers.cli.output import escape, json_line, line
from winlayers.cli.store.look import info_object
from winlayers.cli.store.opened import open_store

Run = Callable[[argparse.Namespace], int]


def create_command(parser: argparse.ArgumentParser) -> Run:
    """Make an empty layer, which `store import` fills, or with --sandbox one to mount and write to."""
    parser.add_argument("id", metavar="ID", help="its name")
    parser.add_argument("--parent", metavar="ID", default="", help="the layer that it stands on")
    parser.add_argument("--sandbox", action="store_true", help="a layer to mount and write to")
    parser.add_argument("--size", metavar="BYTES", type=int, help="the size of a sandbox, where the host knows such")
    return _create


def _create(arguments: argparse.Namespace) -> int:
    store = open_store(arguments)
    if arguments.sandbox:
        store.create_read_write(arguments.id, arguments.parent, arguments.size)
    elif arguments.size is not None:
        raise wl.MisuseError("--size is for a sandbox", code="bad_argument", hint="add --sandbox")
    else:
        store.create(arguments.id, arguments.parent)
    info = store.info(arguments.id)
    if arguments.json:
        json_line(info_object(info))
    else:
        line(escape(info.id))
    return 0


def rm_command(parser: argparse.ArgumentParser) -> Run:
    """Remove layers, in the order given, each with all that is in it. One that is mounted or stood on stays."""
    parser.add_argument("ids", metavar="ID", nargs="+", help="a layer")
    return _rm


def _rm(arguments: argparse.Namespace) -> int:
    store = open_store(arguments)
    for layer in arguments.ids:
        store.remove(layer)
    return 0
