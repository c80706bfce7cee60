"""Put a layer into a new directory, and what a disk cannot hold into DIR.winlayers.ndjson beside it.

Nothing is written outside of the directory, nothing appears before all of it is there, and `pack` makes the same layer
of it again.
"""

import argparse

import winlayers as wl
from winlayers.cli.output import source
from winlayers.cli.progress import bar
from winlayers.cli.report import show


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.add_argument("layer", metavar="LAYER", help="a layer, or - for standard input")
    parser.add_argument("directory", metavar="DIR", help="the directory, which must not exist yet")


def run(arguments: argparse.Namespace) -> int:
    """Extract."""
    with bar("extract", quiet=arguments.json) as progress:
        report = wl.extract(source(arguments.layer), arguments.directory, progress=progress)
    show(report, as_json=arguments.json)
    return 0
