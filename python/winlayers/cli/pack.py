"""Make a layer of a directory: the same tree gives the same bytes, on any system.

A directory that holds `Files` (and `Hives`, `UtilityVM`) is taken for a layer, any other for the content of `Files`.
Where `extract` left its sidecar beside it, everything that has not changed since comes back as it was. A name that ends
in .gz or .zst is compressed. SOURCE_DATE_EPOCH is the latest time that is written.
"""

import argparse

import winlayers as wl
from winlayers.cli.output import sink
from winlayers.cli.progress import bar
from winlayers.cli.report import show


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.add_argument("directory", metavar="DIR", help="the directory")
    parser.add_argument("layer", metavar="LAYER", help="the file to make, or - for standard output")
    parser.add_argument("--dialect", choices=("go-winio", "lossless"), help="without it go-winio, or the sidecar's")
    parser.add_argument(
        "--compression", choices=("none", "gzip", "zstd"), help="without it the end of the name says so"
    )
    parser.add_argument("--sd-dir", metavar="SDDL", help="the security descriptor of directories")
    parser.add_argument("--sd-file", metavar="SDDL", help="the security descriptor of files")


def run(arguments: argparse.Namespace) -> int:
    """Pack."""
    with bar("pack", quiet=arguments.json) as progress:
        report = wl.pack(
            arguments.directory,
            sink(arguments.layer),
            arguments.dialect,
            sd_file=arguments.sd_file,
            sd_dir=arguments.sd_dir,
            progress=progress,
            compression=arguments.compression,
        )
    show(report, as_json=arguments.json, to_stderr=arguments.layer == "-")
    return 0
