"""Delete folders of layers that nothing else can delete: what Docker or containerd left on a Windows host.

Without --yes it only says what it would do. It refuses what is not the folder of a layer, or is mounted, or has a
mounted sandbox on it; a process that is not elevated cannot delete it. `winlayers store rm` removes layers of a store
that is in use.

Stop the container engine first; in PowerShell:
  winlayers zap --yes (Get-ChildItem C:\\ProgramData\\docker\\windowsfilter -Directory).FullName
"""

import argparse

from winlayers.cli.errors import report
from winlayers.cli.output import escape, json_line, line


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.add_argument("folders", nargs="+", metavar="FOLDER", help="the folder of a layer")
    parser.add_argument("--yes", action="store_true", help="delete them, for good")


def run(arguments: argparse.Namespace) -> int:
    """Look at each, and delete it; one that cannot go does not keep the others."""
    from winlayers import _native

    codes = []
    for folder in arguments.folders:
        try:
            kind = _native._zap(folder, delete=arguments.yes)
        except Exception as error:  # told, and the next one is tried
            codes.append(report(error, as_json=arguments.json))
            continue
        codes.append(0)
        if arguments.json:
            json_line({"path": folder, "kind": kind, "deleted": arguments.yes})
        else:
            line(f"{'deleted' if arguments.yes else 'would delete'} {kind:<8} {escape(folder)}")
    if 0 in codes and not arguments.yes and not arguments.json:
        line("nothing was deleted: --yes deletes it")
    return max(codes)
