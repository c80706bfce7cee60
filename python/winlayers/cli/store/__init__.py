"""Keep layers in a store: a folder with layers on top of each other, and sandboxes that can be mounted and changed.

The store is in the folder that --home names, or the environment variable WINLAYERS_HOME; `store init` makes it.
docs/store.md says what lies in it.
"""

import argparse
import importlib

from winlayers.cli.parser import common_options

# In the order in which --help shows them: the module of each, and what it is for.
COMMANDS = {
    "init": ("home", "make a store in a folder"),
    "create": ("change", "make an empty layer, or a sandbox"),
    "import": ("transfer", "fill a layer from a layer tar"),
    "export": ("transfer", "write the layer tar of a layer"),
    "changes": ("look", "tell what a layer adds, modifies and deletes"),
    "mount": ("mounts", "show a layer as a folder, until umount"),
    "umount": ("mounts", "undo one mount"),
    "rm": ("change", "remove layers"),
    "ls": ("look", "list the layers, or what is seen of one"),
    "info": ("look", "tell what is known about a layer, or the store"),
    "check": ("home", "read everything and list what is wrong"),
    "cleanup": ("home", "finish or undo what killed processes left"),
    "cat": ("look", "write a file of a layer, or of those below it, to standard output"),
    "du": ("look", "tell how many bytes each layer takes"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    common = common_options()
    common.add_argument("--home", metavar="DIR", help="the folder of the store; else WINLAYERS_HOME says it")
    common.add_argument("--driver", choices=("windowsfilter", "windowsdiff"), help="which graph driver to be")
    common.add_argument(
        "--backend",
        choices=("portable", "hcs"),
        help="what keeps the layers; else WINLAYERS_BACKEND, or the system's own",
    )
    common.add_argument("--no-fsync", action="store_true", help="do not wait until changes are on the disk")
    commands = parser.add_subparsers(metavar="COMMAND", required=True, dest="store_command")
    for name, (where, text) in COMMANDS.items():
        module = importlib.import_module(f"winlayers.cli.store.{where}")
        command = getattr(module, f"{name}_command")
        sub = commands.add_parser(
            name,
            help=text,
            description=command.__doc__,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            parents=[common],
            allow_abbrev=False,
        )
        sub.set_defaults(store_run=command(sub))


def run(arguments: argparse.Namespace) -> int:
    """Run one of them."""
    code: int = arguments.store_run(arguments)
    return code
