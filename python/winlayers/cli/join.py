"""Put a layer together from what `split`, or another tar-split tool, took apart.

CONTENT is the directory with the data of the files: that of `split --content`, or an extracted layer.
"""

import argparse

import winlayers as wl
from winlayers.cli.output import sink, source
from winlayers.cli.progress import bar
from winlayers.cli.split import show_summary


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.add_argument("metadata", metavar="METADATA", help="the metadata, or - for standard input")
    parser.add_argument("content", metavar="CONTENT", help="the directory with the data")
    parser.add_argument("layer", metavar="LAYER", help="the file to make, or - for standard output")


def run(arguments: argparse.Namespace) -> int:
    """Join."""
    with bar("join", quiet=arguments.json) as progress:
        summary = wl.tarsplit.assemble(
            source(arguments.metadata), arguments.content, sink(arguments.layer), progress=progress
        )
    show_summary(summary, as_json=arguments.json, to_stderr=arguments.layer == "-")
    return 0
