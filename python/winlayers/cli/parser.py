"""What the command line accepts, told to argparse: see docs/decisions/005-cli.md for why it is not Typer."""

import argparse
import importlib
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

# In the order in which --help shows them. A command's module is loaded when the command is used.
COMMANDS = {
    "ls": "list what a layer holds",
    "cat": "write a file of a layer to standard output",
    "verify": "check a layer and list every problem",
    "pack": "make a layer of a directory",
    "extract": "put a layer into a directory",
    "split": "take a layer apart into tar-split metadata and data",
    "join": "put a layer together from what split took apart",
    "store": "keep layers in a store: import, mount, diff, check",
    "zap": "delete folders of layers that nothing else can delete (Windows)",
    "sd": "translate a security descriptor between SDDL and binary",
    "demo": "go through all of it with Windows programs",
    "doctor": "say what winlayers can do on this machine",
}

EPILOG = """\
exit codes: 0 done, 1 a check found problems, 2 usage, 3 bad input, 4 store state, 5 host or system, 130 interrupted.
A LAYER is a tar, plain or in gzip or zstd; - stands for standard input or output.
"""


class Parser(argparse.ArgumentParser):
    """A parser whose errors look like all other errors."""

    asked_for_json = False
    """Of the command line that is being parsed."""

    def error(self, message: str) -> NoReturn:
        """Tell of a usage error in one line and leave with 2."""
        from winlayers.cli.errors import Usage, report

        self.exit(report(Usage(message, hint=f"{self.prog} --help"), as_json=Parser.asked_for_json))


class _Version(argparse.Action):
    """Prints the version, which takes a while to look up, only when it is asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        """Print and leave."""
        from winlayers.cli.doctor import version

        sys.stdout.write(f"winlayers {version()}\n")
        parser.exit()


def common_options() -> Parser:
    """Give the options that every command has."""
    # Before the command and behind it; the one behind must not reset the one before.
    common = Parser(add_help=False, argument_default=argparse.SUPPRESS)
    common.add_argument("--json", action="store_true", help="results and errors as JSON, one object a line")
    return common


def build(words: Sequence[str]) -> argparse.ArgumentParser:
    """Make the parser for these words: only commands among them get their arguments."""
    common = common_options()
    parser = Parser(
        prog="winlayers",
        description="Windows container layers: look into them, build them, check them, take them apart.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=[common],
        allow_abbrev=False,
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version")
    commands = parser.add_subparsers(metavar="COMMAND", required=True, dest="command")
    Parser.asked_for_json = "--json" in (words[: words.index("--")] if "--" in words else words)
    for name, text in COMMANDS.items():
        module = importlib.import_module(f"winlayers.cli.{name}") if name in words else None
        sub = commands.add_parser(
            name,
            help=text,
            description=module.__doc__ if module is not None else None,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            parents=[common],
            allow_abbrev=False,
        )
        if module is not None:
            module.add_arguments(sub)
            sub.set_defaults(run=module.run)
    return parser


def parse(argv: Sequence[str] | None = None) -> tuple[Callable[[argparse.Namespace], int], argparse.Namespace]:
    """Give what is to run, and its arguments."""
    words = sys.argv[1:] if argv is None else list(argv)
    arguments = build(words).parse_args(words, argparse.Namespace(json=False))
    return arguments.run, arguments
