"""The commands that move layers in and out: import, export."""

import argparse
import sys
from collections.abc import Callable

from winlayers.cli.errors import Usage
from winlayers.cli.output import json_line, line, sink, source
from winlayers.cli.progress import bar
from winlayers.cli.report import loss_line
from winlayers.cli.store.look import info_object, show_info
from winlayers.cli.store.opened import open_store

Run = Callable[[argparse.Namespace], int]


def import_command(parser: argparse.ArgumentParser) -> Run:
    """Fill an empty layer from a layer tar, plain or in gzip or zstd, or make one; or import all layers of an image.

    Bad input leaves the store as it was. With --image, PATH is an OCI layout (a folder or a tar) or what `docker save`
    wrote; the ids of the layers, lowest first, are their chain IDs, and are printed.
    """
    parser.add_argument("id", metavar="ID", nargs="?", help="the layer")
    parser.add_argument("file", metavar="FILE", nargs="?", help="the tar, or - for standard input")
    _add_format(parser)
    parser.add_argument("--parent", metavar="ID", default="", help="the layer that it stands on")
    parser.add_argument("--image", metavar="PATH", help="an OCI layout or a docker save archive")
    parser.add_argument("--name", metavar="NAME", help="which of several images, by name or digest")
    return _import


def _import(arguments: argparse.Namespace) -> int:
    if arguments.image is not None:
        if arguments.id is not None or arguments.parent:
            raise Usage("--image names its layers itself", hint="leave ID, FILE and --parent out")
        return _import_image(arguments)
    if arguments.file is None or arguments.name is not None:
        raise Usage("what to import is not said", hint="give ID FILE, or --image PATH")
    store = open_store(arguments)
    with bar("import", quiet=arguments.json) as progress:
        data = store.apply_diff(arguments.id, arguments.parent, source(arguments.file), progress)
    info = store.info(arguments.id)
    if arguments.json:
        json_line(info_object(info) | {"data": data})
    else:
        show_info(info)
    return 0


def _import_image(arguments: argparse.Namespace) -> int:
    store = open_store(arguments)
    with bar("import", quiet=arguments.json) as progress:
        ids = store.import_image(arguments.image, arguments.name, progress)
    for layer in ids:
        if arguments.json:
            json_line(info_object(store.info(layer)))
        else:
            line(layer)
    return 0


def _add_format(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--format",
        choices=("layer", "transport"),
        help="what the tar is: a layer tar, or the plain tar of a transport folder (TP4)",
    )


def export_command(parser: argparse.ArgumentParser) -> Run:
    """Write what a layer has above its parent as a layer tar, uncompressed.

    An imported layer gives the very bytes that came in. A file appears when it is complete.
    """
    parser.add_argument("id", metavar="ID", help="the layer")
    parser.add_argument("file", metavar="FILE", help="the tar, or - for standard output")
    _add_format(parser)
    parser.add_argument("--parent", metavar="ID", default="", help="must be the layer that it stands on")
    return _export


def _export(arguments: argparse.Namespace) -> int:
    with open_store(arguments).diff(arguments.id, arguments.parent) as tar:
        for loss in tar.losses:
            sys.stderr.write(loss_line(loss) + "\n")
        with bar("export", quiet=arguments.json or arguments.file == "-") as progress:
            done = tar.copy_to(sink(arguments.file), progress)
    if arguments.json and arguments.file != "-":
        json_line({"path": arguments.file, "size": done})
    return 0
