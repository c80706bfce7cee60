#!/usr/bin/env python3
"""Write docs/errors.md from the closed sets of rust/src/error.rs, the Python exceptions and the command line's own."""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "errors.md"
BEGIN, END = "<!-- codes: made by tools/error_codes.py -->\n", "<!-- end of codes -->\n"

SETS = {
    "Format": ("FormatError", "The input is not what its format demands."),
    "Limit": (
        "LimitExceededError",
        "The input is larger than a bound of `Limits`, whose documentation says which attack each stops.",
    ),
    "Rule": ("RefusedError", "Well-formed, and refused by the policy or the dialect."),
    "Misuse": ("MisuseError", "The caller did what the documentation rules out."),
    "StoreFault": (
        "StoreError",
        "What keeps a layer store from doing what it was asked to; `layer` says which layer. Some have a class of "
        "their own: LayerNotFoundError, LayerExistsError, LayerInUseError (also `has_children`), StoreDamagedError "
        "(`layer_damaged`, `bad_chain`).",
    ),
}
VALUE = re.compile(r'((?:^ +/// .*\n)+) +\w+ = "(\w+)", "[^"]*";', re.MULTILINE)
CLASS = re.compile(r'^class (\w+)\(.*\):\n    """(.*)\n(?:.*\n)*?    _default_code(?:: [^=]*)? = "(\w+)"', re.MULTILINE)


def native_codes() -> dict[str, dict[str, str]]:
    """Read code and meaning of each value, by set."""
    text = (ROOT / "rust" / "src" / "error.rs").read_text(encoding="utf-8")
    found = {}
    for block in text.split("closed_set! {")[1:]:
        name = re.search(r"^ {4}(\w+) \{", block, re.MULTILINE)
        if name is not None and name[1] in SETS:
            body = block[: block.index("\n}\n")]
            found[name[1]] = {
                code: " ".join(line.strip().removeprefix("/// ") for line in doc.strip().splitlines())
                for doc, code in VALUE.findall(body)
            }
    return found


def class_codes() -> dict[str, tuple[str, str]]:
    """Read the code of each Python exception that no set has: class and meaning by code."""
    text = (ROOT / "python" / "winlayers" / "exceptions.py").read_text(encoding="utf-8")
    return {code: (name, doc) for name, doc, code in CLASS.findall(text)}


def codes() -> str:
    """Make the tables."""
    lines = []
    for name, (exception, title) in SETS.items():
        lines += [f"## {exception}", "", title, "", "| code | meaning |", "| --- | --- |"]
        lines += [f"| `{code}` | {meaning} |" for code, meaning in native_codes()[name].items()] + [""]
    lines += ["## Others", "", "| code | exception | meaning |", "| --- | --- | --- |"]
    known = {code for group in native_codes().values() for code in group}
    others = {code: row for code, row in class_codes().items() if code not in known}
    lines += [f"| `{code}` | {name} | {doc} |" for code, (name, doc) in others.items()]
    return "\n".join([*lines, ""])


def page() -> str:
    """Give the page as it should be."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + BEGIN + "\n" + codes() + "\n" + END + after


if __name__ == "__main__":
    if "--check" not in sys.argv:
        PAGE.write_text(page(), encoding="utf-8", newline="\n")
    elif page() != PAGE.read_text(encoding="utf-8"):
        sys.exit(f"error: {PAGE} is not up to date: run tools/error_codes.py")
