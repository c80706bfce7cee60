#!/usr/bin/env python3
"""Write the pages of codes from the closed sets of rust/src: errors, problems, losses, each with its meaning.

The meaning of a code is its documentation in Rust; for a Python exception without a code there, its docstring.
"""

import re
import sys
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
FILES = ("error/codes.rs", "policy.rs", "problem.rs")
BEGIN, END = "<!-- codes: made by tools/codes.py -->\n", "<!-- end of codes -->\n"

ERRORS = {
    "Format": ("FormatError", "The input is not what its format demands."),
    "Limit": (
        "LimitExceededError",
        "The input is larger than a bound of `Limits`, whose documentation says which attack each stops.",
    ),
    "Rule": ("RefusedError", "Well-formed, and refused by the policy or the dialect."),
    "Misuse": ("MisuseError", "The caller did what the documentation rules out."),
    "StoreFault": (
        "StoreError",
        "What keeps a layer store from doing what it was asked to; `layer` says which layer. Some have a class of\n"
        "their own: LayerNotFoundError, LayerExistsError, LayerInUseError (also `has_children`), StoreDamagedError\n"
        "(`layer_damaged`, `bad_chain`).",
    ),
}
VALUE = re.compile(r'((?:^ +/// .*\n)+) +\w+ = "(\w+)", "[^"]*"(?: => (\w+))?;', re.MULTILINE)
CLASS = re.compile(r'^class (\w+)\(.*\):\n    """(.*)\n(?:.*\n)*?    _default_code(?:: [^=]*)? = "(\w+)"', re.MULTILINE)


class Code(NamedTuple):
    """A value of a closed set: what it means, and how bad it is where the set says so."""

    meaning: str
    severity: str


def sets() -> dict[str, dict[str, Code]]:
    """Read the closed sets that have texts: the codes of each by the name of the set."""
    found = {}
    for file in FILES:
        text = (ROOT / "rust" / "src" / file).read_text(encoding="utf-8")
        for block in text.split("\nclosed_set! {")[1:]:
            name = re.search(r"enum (\w+) \{", block)
            if name is not None:
                values = VALUE.findall(block[name.end() : block.index("\n}\n")])
                found[name[1]] = {code: Code(meaning(doc), severity.lower()) for doc, code, severity in values}
    return found


def meaning(doc: str) -> str:
    """Give the text of a documentation comment."""
    return " ".join(line.strip().removeprefix("/// ") for line in doc.strip().splitlines())


def exceptions() -> dict[str, tuple[str, str]]:
    """Read the code of each Python exception that has one of its own: class and meaning by code."""
    text = (ROOT / "python" / "winlayers" / "exceptions.py").read_text(encoding="utf-8")
    return {code: (name, doc) for name, doc, code in CLASS.findall(text)}


def errors() -> list[str]:
    """Make the tables of the errors."""
    lines: list[str] = []
    known: set[str] = set()
    for name, (exception, title) in ERRORS.items():
        codes = sets()[name]
        known |= codes.keys()
        lines += [f"## {exception}", "", title, "", "| code | meaning |", "| --- | --- |"]
        lines += [f"| `{code}` | {value.meaning} |" for code, value in codes.items()] + [""]
    lines += ["## Others", "", "| code | exception | meaning |", "| --- | --- | --- |"]
    others = {code: row for code, row in exceptions().items() if code not in known}
    return [*lines, *(f"| `{code}` | {name} | {doc} |" for code, (name, doc) in others.items())]


def with_severity(head: str, codes: dict[str, Code]) -> list[str]:
    """Make a table of codes that have a severity."""
    rows = [f"| `{code}` | {value.severity} | {value.meaning} |" for code, value in codes.items()]
    return [f"| {head} | severity | meaning |", "| --- | --- | --- |", *rows]


def problems() -> list[str]:
    """Make the tables of the problems: the flaws, and the errors that a host may overlook."""
    milder = {code: value for code, value in sets()["Rule"].items() if value.severity != "error"}
    text = "The code of an error is a problem of the severity error, but for these:"
    return [*with_severity("code", sets()["Flaw"]), "", text, "", *with_severity("code", milder)]


def pages() -> dict[Path, str]:
    """Give the pages as they should be."""
    made = {
        DOCS / "errors.md": errors(),
        DOCS / "formats" / "problems.md": problems(),
        DOCS / "formats" / "losses.md": with_severity("kind", sets()["LossKind"]),
    }
    return {page: insert(page.read_text(encoding="utf-8"), lines) for page, lines in made.items()}


def insert(page: str, lines: list[str]) -> str:
    """Put the lines between the marks of a page."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + BEGIN + "\n" + "\n".join(lines) + "\n\n" + END + after


if __name__ == "__main__":
    for page, text in pages().items():
        if "--check" not in sys.argv:
            page.write_text(text, encoding="utf-8", newline="\n")
        elif text != page.read_text(encoding="utf-8"):
            sys.exit(f"error: {page} is not up to date: run tools/codes.py")
