"""Read a whole layer, compute its digest anew and list every problem with its place.

Exits with 1 when there are problems; docs/formats/problems.md explains each. Losses are no problems: they are what the
go-winio dialect would not carry.
"""

import argparse

import winlayers as wl
from winlayers.cli.output import source
from winlayers.cli.progress import bar
from winlayers.cli.report import show


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.add_argument("layer", metavar="LAYER", help="a layer, or - for standard input")


def run(arguments: argparse.Namespace) -> int:
    """Verify."""
    with bar("verify", quiet=arguments.json) as progress:
        report = wl.verify_layer(source(arguments.layer), progress=progress)
    show(report, as_json=arguments.json)
    return 1 if report.problems else 0
