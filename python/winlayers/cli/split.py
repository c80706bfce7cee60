"""Take a layer apart into small metadata and the data of its files, so that `join` gives back the very same bytes.

The metadata is that of tar-split (NDJSON; gzip when the name ends in .gz). Without --content the data is only counted
and checked: it is in the extracted layer.
"""

import argparse
import sys
from typing import Any

import winlayers as wl
from winlayers.cli.output import as_json_text, escape, json_name, sink, size_text, source
from winlayers.cli.progress import bar


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.add_argument("layer", metavar="LAYER", help="a layer, or - for standard input")
    parser.add_argument("metadata", metavar="METADATA", help="the metadata to write, or - for standard output")
    parser.add_argument("--content", metavar="DIR", help="a new directory for the data of the files")


def run(arguments: argparse.Namespace) -> int:
    """Split."""
    with bar("split", quiet=arguments.json) as progress:
        summary = wl.tarsplit.disassemble(
            source(arguments.layer), sink(arguments.metadata), arguments.content, progress=progress
        )
    show_summary(summary, as_json=arguments.json, to_stderr=arguments.metadata == "-")
    return 0


def show_summary(summary: Any, *, as_json: bool, to_stderr: bool) -> None:
    """Print a summary: on standard error where standard output is taken."""
    stream = sys.stderr if to_stderr else sys.stdout
    if as_json:
        apart = [
            json_name("name", member.raw_name) | {"reason": member.reason, "size": member.size}
            for member in summary.apart
        ]
        fields = {key: getattr(summary, key) for key in ("size", "files", "segments", "data")}
        stream.write(as_json_text(fields | {"apart": apart, "apart_totals": dict(summary.apart_totals)}) + "\n")
        return
    for member in summary.apart:
        stream.write(f"in the metadata: {escape(member.name)}: {member.reason} ({size_text(member.size)})\n")
    stream.write(f"{summary.files:,} files with {size_text(summary.data)}, ")
    stream.write(f"{summary.segments:,} segments; {size_text(summary.size)} in all\n")
