"""A disk that loses power: from the calls that a program made, what may be on the disk afterwards.

The rules, which ask for no more than POSIX promises:

- A call changes either the data of one file (a write, a new size) or one name in one folder. A rename is two changes,
  a name less in one folder and a name more in another, and either may be on the disk without the other; so are the
  folder that `mkdir` makes and the file that `open` makes: an empty one, and its name.
- `fsync` and `fdatasync` of a file put its data on the disk, but not its name; of a folder, its names, but not what
  they stand for nor its own name. What was under way beside the call is not waited for.
- What was not waited for is on the disk or not, each change for itself, in any order: files without their names and
  names without their files, renames before the data, deletions before the renames that they followed. Data that was
  lost is missing, or zeros.
- SQLite's `-shm` is lost: it is written to through memory, and made anew from the log.
- Owners and permissions are no part of it. Times are those that a file or folder has when the program has ended.

A change is whole or absent: no write is on the disk by half, and what was on the disk before is not damaged.
"""

import hashlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

CALLS = [
    *("open", "openat", "openat2", "creat", "lseek", "write", "pwrite64", "writev", "pwritev", "pwritev2"),
    *("truncate", "ftruncate", "fallocate", "copy_file_range", "sendfile", "splice"),
    *("rename", "renameat", "renameat2", "link", "linkat", "symlink", "symlinkat"),
    *("unlink", "unlinkat", "rmdir", "mkdir", "mkdirat"),
    *("fsync", "fdatasync", "sync_file_range", "sync", "syncfs", "msync"),
]
STRACE = ["--seccomp-bpf", "-y", "-xx", "-s", "10000000", "-e", "trace=" + ",".join(f"?{call}" for call in CALLS)]
"""What strace is to be started with, besides `-f` and `-o`."""

Tree = dict[str, bytes | str | None]
"""What a disk has, by path: a file's data, a link's target, `None` for a folder."""


@dataclass(frozen=True)
class Change:
    """One thing that may be on the disk or not."""

    number: int
    place: int
    """The file or folder that must be synced for it."""
    what: str
    """`write`, `size`, `name` or `no name`."""
    offset: int = 0
    data: bytes = b""
    name: str = ""
    node: int = 0
    by: str = ""
    """The call and its paths, for people."""

    @property
    def is_data(self) -> bool:
        return self.what in ("write", "size")


@dataclass(frozen=True)
class Sync:
    """A call that returned when what was done to a file or folder before was on the disk."""

    number: int
    place: int
    before: int
    """The changes with lower numbers."""
    what: str
    """The call and its path, for people."""


@dataclass
class Node:
    """A file, folder or link: what it has at first."""

    data: bytes = b""
    target: str = ""
    names: dict[str, int] | None = None
    time: int = 0
    """Of the last write, in nanoseconds."""


@dataclass
class Trace:
    """What a program did to a folder."""

    nodes: list[Node] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    syncs: list[Sync] = field(default_factory=list)
    events: list[Change | Sync] = field(default_factory=list)
    done: int | None = None
    """How many events there were when the program first wrote to its standard output: that its work is done."""


@dataclass(frozen=True)
class Disk:
    """What may be on the disk when the power fails."""

    position: int
    """After how many events."""
    after: str
    """The last call."""
    ended: bool
    """Whether the program had done its work by then."""
    what: str
    """Which changes are on the disk, for people."""
    changes: tuple[Change, ...]


def remember(folder: Path) -> Trace:
    """Begin a trace: what is in the folder now, on the disk."""
    trace = Trace()
    numbers: dict[int, int] = {}

    def add(path: Path) -> int:
        status = path.lstat()
        if status.st_ino in numbers:
            return numbers[status.st_ino]
        number = numbers[status.st_ino] = len(trace.nodes)
        node = Node(time=status.st_mtime_ns)
        trace.nodes.append(node)
        if path.is_symlink():
            node.target = str(path.readlink())
        elif path.is_dir():
            node.names = {child.name: add(child) for child in sorted(path.iterdir())}
        else:
            node.data = path.read_bytes()
        return number

    add(folder)
    return trace


def read(trace: Trace, folder: Path, log: Path) -> None:
    """Take in what strace wrote about a program that worked in the folder."""
    reader = Reader(trace, folder)
    reader.read(log)
    reader.take_times()


@dataclass(frozen=True)
class Call:
    """One line of strace."""

    name: str
    arguments: str
    result: str
    started: int
    """How many changes there were by then."""

    def strings(self) -> list[bytes]:
        return [unhex(text) for text in re.findall(r'"((?:\\x[0-9a-f]{2})*)"(?!\.\.\.)', self.arguments)]

    def descriptors(self) -> list[tuple[int, str]]:
        found = re.findall(r"(\d+|AT_FDCWD)<((?:\\x[0-9a-f]{2})*)>(\(deleted\))?", self.arguments)
        return [
            (-1 if number == "AT_FDCWD" else int(number), os.fsdecode(unhex(path)) + gone)
            for number, path, gone in found
        ]

    def numbers(self) -> list[int]:
        return [int(number) for number in re.findall(r"(?<=, )(-?\d+)(?=,|$)", self.arguments)]


def unhex(text: str) -> bytes:
    return bytes.fromhex(text.replace("\\x", ""))


class Reader:
    """Makes changes and syncs of calls."""

    def __init__(self, trace: Trace, folder: Path) -> None:
        self.trace = trace
        self.folder = str(folder)
        self.names = {number: dict(node.names) for number, node in enumerate(trace.nodes) if node.names is not None}
        self.sizes = {number: len(node.data) for number, node in enumerate(trace.nodes)}
        self.places: dict[int, int] = {}
        """Where in a file the next write goes, by descriptor."""

    def read(self, log: Path) -> None:
        begun: dict[str, tuple[str, int]] = {}
        for line in log.read_text().splitlines():
            thread, _, text = line.partition(" ")
            text = text.strip()
            started = len(self.trace.changes)
            if text.endswith("<unfinished ...>"):
                begun[thread] = (text.removesuffix("<unfinished ...>").rstrip(), started)
                continue
            if resumed := re.match(r"<\.\.\. \w+ resumed>(.*)", text):
                first, started = begun.pop(thread)
                text = first + resumed[1]
            if not (match := re.match(r"(\w+)\((.*)\)\s+= (\S+)", text)):
                assert text.startswith(("+++", "---")), text
                continue
            if not match[3].startswith("-"):
                self.call(Call(match[1], match[2], match[3], started))

    def take_times(self) -> None:
        """Give what is there at the end the times that it has then."""
        todo = [(Path(self.folder), 0)]
        while todo:
            path, number = todo.pop()
            self.trace.nodes[number].time = path.lstat().st_mtime_ns
            todo.extend((path / name, node) for name, node in self.names.get(number, {}).items())

    def call(self, call: Call) -> None:
        name = call.name
        if name in ("open", "openat", "openat2", "creat"):
            self.open(call)
        elif name == "lseek":
            self.places[call.descriptors()[0][0]] = int(call.result)
        elif name in ("write", "writev", "pwrite64", "pwritev", "pwritev2"):
            self.write(call)
        elif name in ("truncate", "ftruncate"):
            path = call.descriptors()[0][1] if name == "ftruncate" else self.paths(call)[0]
            self.resize(call, path, call.numbers()[-1])
        elif name in ("mkdir", "mkdirat"):
            self.link(call, self.paths(call)[0], self.add(Node(names={})))
        elif name in ("symlink", "symlinkat"):
            target, *_ = call.strings()
            self.link(call, self.paths(call)[-1], self.add(Node(target=os.fsdecode(target))))
        elif name in ("link", "linkat"):
            old, new = self.paths(call)
            if (node := self.find(old)) is not None:
                self.link(call, new, node)
        elif name.startswith("rename"):
            self.rename(call)
        elif name in ("unlink", "unlinkat", "rmdir"):
            self.unlink(call, self.paths(call)[0])
        elif name in ("fsync", "fdatasync"):
            self.sync(call)
        elif any(self.is_inside(path) for _, path in call.descriptors()) or name == "sync":
            raise NotImplementedError(f"{name}({call.arguments[:200]})")

    def paths(self, call: Call) -> list[str]:
        """Give the paths that a call names, whole."""
        strings = [os.fsdecode(text) for text in call.strings()]
        if call.name in ("symlink", "symlinkat"):
            strings = strings[1:]
        if call.name in ("open", "creat", "truncate", "mkdir", "rename", "link", "symlink", "unlink", "rmdir"):
            return [str(Path.cwd() / path) for path in strings]
        folders = [path for _, path in call.descriptors()]
        return [str(Path(folder) / path) for folder, path in zip(folders, strings, strict=True)]

    def is_inside(self, path: str) -> bool:
        return path == self.folder or path.startswith(self.folder + "/")

    def find(self, path: str) -> int | None:
        if not self.is_inside(path):
            return None
        node = 0
        for part in Path(path).relative_to(self.folder).parts:
            if part not in self.names.get(node, {}):
                return None
            node = self.names[node][part]
        return node

    def known(self, path: str) -> int | None:
        """Find what must be there; `None` for what is outside, or has no name any more."""
        if not self.is_inside(path) or path.endswith("(deleted)"):
            return None
        node = self.find(path)
        assert node is not None, path
        return node

    def add(self, node: Node) -> int:
        number = len(self.trace.nodes)
        self.trace.nodes.append(node)
        if node.names is not None:
            self.names[number] = {}
        self.sizes[number] = 0
        return number

    def changed(
        self,
        call: Call,
        path: str,
        place: int,
        what: str,
        *,
        offset: int = 0,
        data: bytes = b"",
        name: str = "",
        node: int = 0,
    ) -> None:
        by = self.shown(call, path)
        change = Change(len(self.trace.changes), place, what, offset, data, name, node, by)
        self.trace.changes.append(change)
        self.trace.events.append(change)

    def shown(self, call: Call, path: str) -> str:
        return f"{call.name} {os.path.relpath(path, self.folder)}"

    def open(self, call: Call) -> None:
        descriptor, opened = int(call.result.partition("<")[0]), self.paths(call)[0]
        self.places[descriptor] = 0
        if not self.is_inside(opened) or "O_TMPFILE" in call.arguments:
            return
        assert "O_APPEND" not in call.arguments
        if self.find(opened) is None and "O_CREAT" in call.arguments:
            self.link(call, opened, self.add(Node()))
        elif "O_TRUNC" in call.arguments:
            self.resize(call, opened, 0)

    def write(self, call: Call) -> None:
        descriptor, path = call.descriptors()[0]
        if descriptor == 1 and self.trace.done is None:
            self.trace.done = len(self.trace.events)
        if (node := self.known(path)) is None:
            return
        data = b"".join(call.strings())[: int(call.result)]
        assert len(data) == int(call.result), "strace cut the data off"
        if call.name.startswith("pwrite"):
            offset = call.numbers()[-1] if call.name != "pwritev2" else call.numbers()[-2]
        else:
            offset = self.places[descriptor]
            self.places[descriptor] += len(data)
        self.sizes[node] = max(self.sizes[node], offset + len(data))
        self.changed(call, path, node, "write", offset=offset, data=data)

    def resize(self, call: Call, path: str, size: int) -> None:
        if (node := self.known(path)) is not None and self.sizes[node] != size:
            self.sizes[node] = size
            self.changed(call, path, node, "size", offset=size)

    def link(self, call: Call, path: str, node: int) -> None:
        folder, name = os.path.split(path)
        if (place := self.known(folder)) is not None:
            self.names[place][name] = node
            self.changed(call, path, place, "name", name=name, node=node)

    def unlink(self, call: Call, path: str) -> None:
        folder, name = os.path.split(path)
        if (place := self.known(folder)) is not None:
            del self.names[place][name]
            self.changed(call, path, place, "no name", name=name)

    def rename(self, call: Call) -> None:
        assert "RENAME_EXCHANGE" not in call.arguments
        old, new = self.paths(call)
        if (node := self.known(old)) is not None:
            self.unlink(call, old)
            self.link(call, new, node)

    def sync(self, call: Call) -> None:
        path = call.descriptors()[0][1]
        if (node := self.known(path)) is not None:
            sync = Sync(len(self.trace.syncs), node, call.started, self.shown(call, path))
            self.trace.syncs.append(sync)
            self.trace.events.append(sync)


def disks(trace: Trace, *, without: int | None = None) -> Iterator[Disk]:
    """Give what may be on the disk after each event.

    `without` is the number of a sync that did not take place: then only what is different for that, as far as can be
    told without looking.
    """
    done: list[Change] = []
    waiting: list[Change] = []
    missing: int | None = None
    for position, event in enumerate(trace.events):
        if isinstance(event, Change):
            done.append(event)
            waiting.append(event)
        elif event.number == without:
            missing = event.place
        else:
            waiting = [change for change in waiting if change.place != event.place or change.number >= event.before]
            if event.place == missing:
                return
        if without is None or missing is not None:
            ended = position + 1 >= (len(trace.events) if trace.done is None else trace.done)
            for what, lucky, zeros in choices(waiting):
                unlucky = {change.number for change in waiting} - lucky
                last = event.what if isinstance(event, Sync) else event.by
                yield Disk(position + 1, last, ended, what, kept(done, unlucky, zeros=zeros))


def kept(done: list[Change], unlucky: set[int], *, zeros: bool) -> tuple[Change, ...]:
    """Leave out changes, or make zeros of the data that they wrote."""
    if not zeros:
        return tuple(change for change in done if change.number not in unlucky)
    return tuple(
        replace(change, data=bytes(len(change.data))) if change.number in unlucky else change for change in done
    )


def choices(waiting: list[Change]) -> Iterator[tuple[str, set[int], bool]]:
    """Choose changes that are on the disk though nobody waited for them."""
    every = {change.number for change in waiting}
    data = {change.number for change in waiting if change.is_data}
    yield "only what was synced", set(), False
    if not every:
        return
    yield "names, no data", every - data, False
    yield "names, zeros as data", every - data, True
    yield "data, no names", data, False
    yield "everything", every, False
    for place in sorted({change.place for change in waiting}):
        here = [change for change in waiting if change.place == place]
        numbers = {change.number for change in here}
        yield f"without {here[0].by} and all there", every - numbers, False
        yield f"only {here[0].by} and all there", numbers, False
    for change in waiting:
        yield f"without {change.by}", every - {change.number}, False
        yield f"only {change.by}", {change.number}, False
        if not change.is_data:
            yield f"data and {change.by}", data | {change.number}, False
            yield f"names without {change.by}", every - data - {change.number}, False


@dataclass
class Content:
    """What is on one disk."""

    trace: Trace
    data: dict[int, bytearray]
    names: dict[int, dict[str, int]]

    def walk(self) -> Iterator[tuple[str, int]]:
        """Give all paths and what they stand for, folders first."""
        todo = [("", 0)]
        while todo:
            path, number = todo.pop()
            for name, node in sorted(self.names[number].items()):
                if name.endswith("-shm"):
                    continue
                below = f"{path}{name}"
                yield below, node
                if node in self.names:
                    todo.append((below + "/", node))

    def digest(self) -> str:
        """Tell two disks apart."""
        summary = hashlib.sha256()
        for path, node in sorted(self.walk()):
            kind = "folder" if node in self.names else self.trace.nodes[node].target
            data = bytes(self.data.get(node, b""))
            summary.update(repr((path, kind, len(data))).encode() + hashlib.sha256(data).digest())
        return summary.hexdigest()

    def make(self, folder: Path) -> None:
        """Lay it out in a folder that is not there yet."""
        folder.mkdir()
        first: dict[int, Path] = {}
        for name, node in self.walk():
            path = folder / name
            made = self.trace.nodes[node]
            if node in self.names:
                path.mkdir()
            elif made.target:
                path.symlink_to(made.target)
            elif node in first:
                path.hardlink_to(first[node])
            else:
                path.write_bytes(self.data.get(node, b""))
                first[node] = path
        for name, node in [*self.walk(), ("", 0)][::-1]:
            if time := self.trace.nodes[node].time:
                os.utime(folder / name, ns=(time, time), follow_symlinks=False)


def content(trace: Trace, disk: Disk) -> Content:
    """Tell what is on a disk."""
    names = {number: dict(node.names) for number, node in enumerate(trace.nodes) if node.names is not None}
    data = {number: bytearray(node.data) for number, node in enumerate(trace.nodes) if node.data}
    for change in disk.changes:
        if change.what == "name":
            names[change.place][change.name] = change.node
        elif change.what == "no name":
            names[change.place].pop(change.name, None)
        else:
            file = data.setdefault(change.place, bytearray())
            end = change.offset + len(change.data)
            if len(file) < end:
                file.extend(bytes(end - len(file)))
            if change.what == "write":
                file[change.offset : end] = change.data
            else:
                del file[change.offset :]
    return Content(trace, data, names)
