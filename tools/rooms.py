#!/usr/bin/env python3
"""Check that the rooms of rust/src use each other in one direction only, and draw them into the pages.

A room is a file or a folder at the root of `rust/src`. Each has a floor and may use what is on lower floors; an arrow
within a floor must be listed. Modules in one folder must not use each other in a circle, while a module and its own
child modules may. Only listed places may depend on the operating system.

Code that is only compiled for tests may use everything; see `rust_modules.py` for what counts.
"""

import re
import sys
import textwrap
from collections import defaultdict
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path

from rust_modules import Crate, Name

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "rust" / "src"
PAGES = [ROOT / "docs" / "architecture.md", ROOT / "CONTRIBUTING.md", SOURCE / "lib.rs"]
WIDTH = 115
BEGIN, END = "<!-- rooms: made by tools/rooms.py -->", "<!-- end of rooms -->"

FLOORS = [
    ["closed_set", "error", "hresult", "limits", "policy", "problem", "progress", "digest", "source"],
    ["nt", "layer_name"],
    ["tar", "backup_stream", "compress", "sqlite"],
    ["layer_tar", "tar_split", "fs"],
    ["layer", "transport"],
    ["view"],
    ["image", "backend"],
    ["store"],
    ["py"],
]
# Arrows within a floor, with the reason.
SIDEWAYS = {
    "error -> hresult": "a call of the Host Compute Service fails with one",
    "error -> closed_set": "the codes of errors are closed sets",
    "policy -> closed_set": "the kinds of losses are a closed set",
    "problem -> closed_set": "the codes of problems are a closed set",
    "problem -> error": "the code of a problem may be that of an error",
    "limits -> error": "a bound that is exceeded is an error",
    "policy -> error": 'what is refused, and a loss under `on_loss="error"`, is an error',
    "source -> error": "a source that fails, and a temporary file, say which file it was",
    "progress -> error": "a caller who stops a call ends it with an error",
    "digest -> error": "data that is not what its digest says is an error",
    "digest -> limits": "what is hashed on the way is bounded",
    "digest -> progress": "what is hashed on the way reports how far it is",
    "digest -> source": "sources are hashed while they are read",
    "tar_split -> fs": "the content of a tar can be a folder",
}
# Files and folders that may depend on the operating system, with the reason.
SYSTEM = {
    "backend/mod.rs": "compiles `windows` for Windows only",
    "backend/open.rs": "says which backends the system has",
    "backend/windows": "is compiled for Windows only",
    "fs": "is what the other rooms have instead of the system",
    "py/backup.rs": "BackupRead and BackupWrite exist on Windows only",
    "py/errors.rs": "Python takes error numbers of Windows by another way",
    "py/host.rs": "reports what the host has",
    "py/io.rs": "the size of a block depends on how the system's heap works",
    "py/mod.rs": "registers functions that exist on Windows only",
    "py/zap.rs": "only Windows has folders that nothing else deletes",
}

SYSTEM_CODE = re.compile(
    r"\bcfg(?:_attr|!)?\s*\([^\]{};]*?\b(?:unix|windows|target_(?:os|family|env|vendor))\b"
    r"|\bstd::os::|\blibc::|\brustix::|\bwindows::(?:core|Wdk|Win32)\b"
)


@dataclass
class House:
    """The table: rooms by floor, lowest first, and what is allowed by name, each with its reason."""

    floors: list[list[str]]
    sideways: dict[str, str] = field(default_factory=dict)
    system: dict[str, str] = field(default_factory=dict)

    def floor(self, name: Name) -> int | None:
        """Give the floor of the room that a module is in; lib.rs is above all."""
        if not name:
            return len(self.floors)
        return next((floor for floor, rooms in enumerate(self.floors) if name[0] in rooms), None)

    def way(self, user: Name, used: Name) -> str:
        """Say which way an arrow goes; within a room, or where a floor is missing, none."""
        above, below = self.floor(user), self.floor(used)
        if len(user) > 1 or above is None or below is None:
            return ""
        return "up" if above < below else "sideways" if above == below else "down"


HOUSE = House(FLOORS, SIDEWAYS, SYSTEM)


def arrow(user: Name, used: Name) -> str:
    """Spell an arrow as the table does."""
    return f"{'::'.join(user)} -> {'::'.join(used) or 'lib.rs'}"


def faults(source: Path, house: House) -> list[str]:
    """List what breaks the rules, each with its place."""
    crate = Crate(source)
    edges = crate.edges()
    unread = {file for file in source.rglob("*.rs") if file not in crate.files}
    found = [f"{file.relative_to(source).as_posix()}: no `mod` leads to it" for file in sorted(unread)]
    found += wrong_floors(crate, house) + wrong_ways(edges, house)
    return found + circles(edges, house) + system(crate, house)


def wrong_floors(crate: Crate, house: House) -> list[str]:
    """List the rooms without a floor, and the floors without a room."""
    there = {module.name[0] for module in crate.modules if len(module.name) == 1}
    listed = {room for rooms in house.floors for room in rooms}
    return [
        *(f"{room}: is a room without a floor" for room in sorted(there - listed)),
        *(f"{room}: has a floor, and there is no such room" for room in sorted(listed - there)),
    ]


def wrong_ways(edges: dict[tuple[Name, Name], list[str]], house: House) -> list[str]:
    """List the arrows between rooms that go up, or sideways without being listed."""
    found, listed = [], set()
    for edge, places in edges.items():
        way = house.way(*edge)
        if way == "sideways" and arrow(*edge) in house.sideways:
            listed.add(arrow(*edge))
        elif way in {"up", "sideways"}:
            found += [f"{place}: {arrow(*edge)} goes {way}" for place in places]
    return found + [
        f"{known}: is listed, and there is no such arrow" for known in house.sideways if known not in listed
    ]


def circles(edges: dict[tuple[Name, Name], list[str]], house: House) -> list[str]:
    """List the arrows that are part of a circle of modules of one folder; one that goes up is listed as that."""
    edges = {edge: places for edge, places in edges.items() if house.way(*edge) != "up"}
    uses: dict[Name, set[Name]] = defaultdict(set)
    for user, used in edges:
        uses[user].add(used)
    found = []
    for (user, used), places in edges.items():
        todo, reached = [used], {used}
        while todo:
            new = uses[todo.pop()] - reached
            reached |= new
            todo += new
        if user in reached:
            found.append(f"{places[0]}: {arrow(user, used)} is part of a circle")
    return found


def system(crate: Crate, house: House) -> list[str]:
    """List what depends on the operating system outside of the places that may."""
    found, there = [], set()
    for module in crate.modules:
        places = {module.place(match.start()): None for match in SYSTEM_CODE.finditer(module.code)}
        files = {file.as_posix() for file in (module.file, *module.file.parents)}
        if places:
            there |= files
            found += [
                f"{place}: depends on the operating system" for place in places if not files & house.system.keys()
            ]
    return found + [f"{known}: is listed, and needs no system" for known in house.system if known not in there]


def first_sentence(file: Path) -> str:
    """Give the first sentence of a module's documentation, as plain text."""
    text = file.read_text(encoding="utf-8")
    paragraph = " ".join(line[3:].strip() for line in takewhile(re.compile(r"//! ?\S").match, text.splitlines()))
    return re.sub(r"\[?`([^`]+)`\]?", r"\1", re.split(r"(?<=\.)\s", paragraph)[0])


def diagram(source: Path, house: House) -> list[str]:
    """Draw the floors, highest first, each room with the first sentence of its documentation."""
    lines = []
    for floor, rooms in reversed([*enumerate(house.floors)]):
        for room in rooms:
            file = (source / room).with_suffix(".rs")
            head = f"{floor}  {file.name if file.exists() else room:<16}"
            file = file if file.exists() else source / room / "mod.rs"
            lines += textwrap.wrap(head + first_sentence(file), WIDTH, subsequent_indent=" " * len(head))
    used: dict[str, list[str]] = defaultdict(list)
    for listed in house.sideways:
        used[listed.split(" -> ")[0]].append(listed.split(" -> ")[1])
    text = "within a floor: " + "; ".join(f"{room} -> {', '.join(others)}" for room, others in used.items())
    lines += textwrap.wrap(text, WIDTH, subsequent_indent=" " * 19, break_on_hyphens=False)
    return ["```text", *lines, "```"]


def page(file: Path, drawn: list[str]) -> str:
    """Give a page as it should be."""
    prefix = "//! " if file.suffix == ".rs" else ""
    before, begin, rest = file.read_text(encoding="utf-8").partition(f"{prefix}{BEGIN}\n")
    _, end, after = rest.partition(f"{prefix}{END}\n")
    if not end:
        sys.exit(f"error: {file} has no place for the rooms: {BEGIN}")
    return before + begin + "".join(f"{prefix}{line}".rstrip() + "\n" for line in drawn) + end + after


def main() -> None:
    """Report what breaks the rules, and write the pages, or with --check report which are not up to date."""
    found = faults(SOURCE, HOUSE)
    drawn = diagram(SOURCE, HOUSE)
    for file in PAGES:
        text = page(file, drawn)
        if "--check" not in sys.argv:
            file.write_text(text, encoding="utf-8", newline="\n")
        elif text != file.read_text(encoding="utf-8"):
            found.append(f"{file} is not up to date: run tools/rooms.py")
    if found:
        sys.exit("\n".join(f"error: {fault}" for fault in found))


if __name__ == "__main__":
    main()
