"""What the modules of a Rust crate use of each other, read from their source text.

What counts is `use`, paths that start at `crate`, `self`, `super`, a child module or an imported name, and macros.
Re-exports are followed. Comments, strings and items under `#[cfg(test)]` do not count.
"""

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

Name = tuple[str, ...]
ATTRIBUTES = r"(?:#\[[^\]]*\]\s*)*"
VISIBLE = r"(?:pub(?:\([^)]*\))?\s+)?"
NOT_CODE = re.compile(
    r"""//[^\n]*|/\*.*?\*/|\bb?r(?P<hashes>#*)".*?"(?P=hashes)|"(?:\\.|[^"\\])*"|'(?:\\[^'\n]+|\\'|[^\\'\n])'""",
    re.DOTALL,
)
FOR_TESTS = re.compile(
    rf"{ATTRIBUTES}#\[cfg\((?:test\)|all\(test\b)[^\]]*\]\s*{ATTRIBUTES}{VISIBLE}"
    r"(?:mod|use|fn|impl|const|static|struct|enum|trait|type)\b"
)
MODULE = re.compile(rf"(?:#\[path\s*=(?P<path>[^\]]*)\]\s*)?{VISIBLE}\bmod\s+(?P<name>\w+)\s*(?P<end>[;{{])")
USE = re.compile(r"\buse\s([^;]+);")
PATH = re.compile(r"(?<![\w:])(?:\w+\s*::\s*)+\w+")


@dataclass
class Module:
    """A module that is no test: where it is, and its code alone, at the same offsets as in the file."""

    name: Name
    file: Path
    code: str

    def place(self, offset: int) -> str:
        """Give file and line."""
        return f"{self.file.as_posix()}:{self.code.count(chr(10), 0, offset) + 1}"


class Crate:
    """The modules of a crate, from `lib.rs` on, and where each name comes from."""

    def __init__(self, source: Path) -> None:
        """Read all modules."""
        self.source = source
        self.modules: list[Module] = []
        self.files: set[Path] = set()
        self.imports: dict[Name, dict[str, Name]] = defaultdict(dict)
        self.macros: dict[str, set[Name]] = defaultdict(set)
        self._load(source / "lib.rs", (), source, tests=False)
        self.modules.sort(key=lambda module: module.name)
        self.names = {module.name for module in self.modules}
        for module in self.modules:
            for macro in re.findall(r"\bmacro_rules!\s*(\w+)", module.code):
                self.macros[macro].add(module.name)
            for use in USE.finditer(module.code):
                for path, known_as, _ in leaves(use):
                    self.imports[module.name][known_as] = path

    def _load(self, file: Path, name: Name, folder: Path, *, tests: bool) -> None:
        self.files.add(file)
        written = file.read_text(encoding="utf-8")
        code = NOT_CODE.sub(lambda match: blank(match[0]), written)
        self._split(file, name, folder, written, code, tests=tests)

    def _split(self, file: Path, name: Name, folder: Path, written: str, code: str, *, tests: bool) -> None:
        while match := FOR_TESTS.search(code):
            end = end_of_item(code, match.end())
            part = blank(code[: match.start()]) + code[match.start() : end]
            self._take_children(file, name, folder, written, part, tests=True)
            code = cut(code, match.start(), end)
        code = self._take_children(file, name, folder, written, code, tests=tests)
        if not tests:
            self.modules.append(Module(name, file.relative_to(self.source), code))

    def _take_children(self, file: Path, name: Name, folder: Path, written: str, code: str, *, tests: bool) -> str:
        """Read the child modules, and give the code without those that are inline."""
        start = 0
        while match := MODULE.search(code, start):
            start = match.end()
            child, home = (*name, match["name"]), folder / match["name"]
            if match["end"] == "{":
                end = end_of_item(code, start - 1)
                self._split(file, child, home, written, blank(code[:start]) + code[start:end], tests=tests)
                code = cut(code, start, end)
            elif match["path"]:
                other = file.parent / written[match.start("path") : match.end("path")].strip().strip('"')
                self._load(other, child, other.parent, tests=tests)
            else:
                beside = home.with_suffix(".rs")
                self._load(beside if beside.exists() else home / "mod.rs", child, home, tests=tests)
        return code

    def arrows(self) -> Iterator[tuple[Name, Name, str]]:
        """Give what each module uses: from, to, and where."""
        for module in self.modules:
            code = module.code
            found: list[tuple[Name, int]] = []
            for use in USE.finditer(code):
                found += [(path, offset) for path, _, offset in leaves(use)]
            rest = USE.sub(lambda match: blank(match[0]), code)
            found += [(tuple(re.findall(r"\w+", path[0])), path.start()) for path in PATH.finditer(rest)]
            passed = {(to, module.place(offset)) for path, offset in found for to in self.passed(module.name, path)}
            for macro in re.finditer(r"\b(\w+)!", rest):
                others = self.macros.get(macro[1], set())
                if module.name not in others:
                    passed |= {(to, module.place(macro.start())) for to in others}
            for to, place in sorted(passed, key=lambda arrow: line_order(arrow[1])):
                yield module.name, to, place

    def edges(self) -> dict[tuple[Name, Name], list[str]]:
        """Give the arrows between modules of one folder, with their places; child modules count as their parent."""
        edges: dict[tuple[Name, Name], dict[str, None]] = defaultdict(dict)
        for user, used, place in self.arrows():
            common = len([*takewhile(lambda pair: pair[0] == pair[1], zip(user, used, strict=False))])
            if len(user) > common and (len(used) > common or not used):
                edges[user[: common + 1], used[: common + 1]][place] = None
        return {edge: [*places] for edge, places in edges.items()}

    def passed(self, at: Name, path: Name, seen: frozenset[tuple[Name, str]] = frozenset()) -> Iterator[Name]:
        """Give the modules that a path leads through, as it is written in the module `at`."""
        head, *rest = path
        if head in ("crate", "self", "super"):
            at = {"crate": (), "self": at, "super": at[:-1]}[head]
        elif (*at, head) in self.names:
            at = (*at, head)
        else:
            rest = [head, *rest] if (at, head) not in seen and head in self.imports[at] else []
            if not rest:
                return  # another crate's, or of the language
        for index, part in enumerate(rest):
            if part == "super":
                at = at[:-1]
            elif (*at, part) in self.names:
                at = (*at, part)
            elif part in self.imports[at] and (at, part) not in seen:
                yield at
                yield from self.passed(at, (*self.imports[at][part], *rest[index + 1 :]), seen | {(at, part)})
                return
            elif not at and part in self.macros:
                yield from self.macros[part]
                return
            elif part != "self":
                break
        yield at


def blank(text: str) -> str:
    """Replace everything but line ends, so that offsets and lines stay."""
    return re.sub(r"[^\n]", " ", text)


def cut(text: str, start: int, end: int) -> str:
    """Blank a part."""
    return text[:start] + blank(text[start:end]) + text[end:]


def end_of_item(code: str, start: int) -> int:
    """Give where the item ends: at its `;` or at the brace that closes its first one."""
    depth = 0
    for match in re.finditer(r"[;{}()\[\]]", code[start:]):
        depth += (match[0] in "{([") - (match[0] in "})]")
        if depth == 0 and match[0] in ";}":
            return start + match.end()
    return len(code)


def leaves(use: re.Match[str]) -> Iterator[tuple[Name, str, int]]:
    """Give each path of a `use` declaration, the name that it brings in, and its offset."""
    base: Name = ()
    path: Name = ()
    alias, offset, outer = "", use.start(1), []
    for token in re.finditer(r"\bas\s+(\w+)|\w+|[{},*]|$", use[1]):
        if token[1]:
            alias = token[1]
        elif token[0] == "{":
            outer.append(base)
            base, path = base + path, ()
        elif token[0] in {",", "}", ""}:
            if path:
                whole = base + path[:-1] if path[-1] == "self" and base else base + path
                yield whole, alias or whole[-1], offset
            path, alias = (), ""
            base = outer.pop() if token[0] == "}" else base
        else:
            path, offset = (*path, token[0]), use.start(1) + token.start()


def line_order(place: str) -> int:
    """Order places in a file by line."""
    return int(place.rpartition(":")[2])
