"""Every call that changes a store, and the power fails: after each call to the system, by the rules of `store.power`.

`strace` (Debian) tells those. By default a sample is run; `make crash` runs all.
"""

import os
import random
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

import winlayers as wl
from store import power
from store.commands import Command, State, nothing, put_held, run, state

pytestmark = pytest.mark.host

SAMPLE = int(os.environ.get("CRASH_SAMPLE", "24"))
"""Three times as many as the disks that are tried of each call; 0: all."""


def damage(folder: Path) -> None:
    """Damage the index of a layer."""
    (folder / "home" / "child" / "layer.index").write_bytes(b"no index")


@dataclass(frozen=True)
class Steps:
    """Statements about `store`, and what is done to the folder first."""

    steps: tuple[str, ...]
    home: str = "home"
    before: Callable[[Path], None] = nothing

    @classmethod
    def of(cls, *steps: str, home: str = "home", before: Callable[[Path], None] = nothing) -> "Steps":
        return cls(steps, home, before)

    def command(self, steps: int, end: str = "") -> Command:
        text = "; ".join(("import os, sys, winlayers; store = winlayers.LayerStore(sys.argv[1])", *self.steps[:steps]))
        return Command(("-c", text + end, "{home}", "{tar}"), self.home)


# The folder keeps its time: the model gives it that of the end from the beginning.
WRITE = "; ".join(
    [
        "time, new = os.stat(path).st_mtime_ns, os.path.dirname(sys.argv[1]) + '/mine'",
        "file = os.open(new, os.O_CREAT | os.O_WRONLY)",
        "os.write(file, b'mine')",
        "os.fsync(file)",
        "os.rename(new, path + '/mine')",
        "os.utime(path, ns=(time, time))",
        "os.fsync(os.open(path, os.O_RDONLY))",
    ]
)
CALLS = {
    "first": Steps.of("store.apply_diff('base', '', sys.argv[2])", home="new/home"),
    "create": Steps.of("store.create('new', 'base')"),
    "sandbox": Steps.of("store.create_read_write('new', 'base')"),
    "import": Steps.of("store.apply_diff('new', 'base', sys.argv[2])"),
    "fill": Steps.of("store.apply_diff('empty', '', sys.argv[2])"),
    "remove": Steps.of("store.remove('child')"),
    "get sandbox": Steps.of("path = store.get('box')", WRITE),
    "get": Steps.of("store.get('child')"),
    "put sandbox": Steps.of("store.put('held')"),
    "put": Steps.of("store.put('seen')"),
    "cleanup": Steps.of("store.cleanup(force=True)", before=put_held),
    "repair": Steps.of("store.check(repair=True)", before=damage),
}

EMPTY = "nothing is in it"
STATE = "the row that says that the layer is being made is on the disk; in a new home it may not be, see `first`"
SPARE = {
    ("create", "fsync home/.winlayers/tmp/*"): EMPTY,
    ("sandbox", "fsync home/.winlayers/tmp/*"): STATE,
    ("import", "fsync home/.winlayers/tmp/*"): STATE,
    ("sandbox", "fsync home/.winlayers/tmp/*/layout.db"): EMPTY,
    ("get", "fsync home/.winlayers/tmp/*/tree/d"): EMPTY,
    ("cleanup", "fsync home/.winlayers/views"): "the hold went first: what is left of the view is swept",
    ("first", "fsync new/home/base"): "a layer without a chain has an empty one",
}
"""Syncs of the store's own that nobody would miss in this call, and why; they are needed in others."""


@dataclass
class Run:
    """What a command did, and what is found on the disks that it may leave."""

    name: str
    folder: Path
    trace: power.Trace
    before: list[State]
    """What it had at first, and after each step but the last."""
    after: State
    found: dict[str, str] = field(default_factory=dict)
    """`old`, `new` or what is wrong, by the digest of the disk."""

    def wrong(self, disk: power.Disk) -> str | None:
        """Open the store on a disk: it has what it had before or, when the command had ended, what it has then."""
        content = power.content(self.trace, disk)
        digest = content.digest()
        if digest not in self.found:
            folder = self.folder / "disk"
            content.make(folder)
            self.found[digest] = self.look(folder / CALLS[self.name].home)
            shutil.rmtree(folder)
        found = self.found[digest]
        if found == "new" or (found == "old" and not disk.ended):
            return None
        return f"{self.name}, after {disk.after}, {disk.what}: {found}"

    def look(self, home: Path) -> str:
        try:
            if self.name == "repair":
                problems = wl.LayerStore(home, options={"fsync": False}).check(repair=True)
                assert {problem.code for problem in problems} <= {"index_damaged"}
                assert state(home, fsync=False) == self.after
                return "old" if problems else "new"
            found = state(home, fsync=False)
        except (wl.WinLayersError, AssertionError, OSError) as error:
            return f"{type(error).__name__}: {error}"
        if found == self.after:
            return "new"
        if found in self.before:
            return "old"
        differ = [id for id in self.after | found if found.get(id) != self.after.get(id)]
        return f"neither the old state nor the new, see {', '.join(differ)}"

    def label(self, sync: power.Sync) -> str:
        """Name a sync without what is random in its path."""
        return re.sub(r"(tmp/|\.winlayers-)\w{6}\b", r"\1*", sync.what)

    def breaks(self, sync: power.Sync) -> str | None:
        """Tell what is wrong when one sync had not taken place."""
        disks = power.disks(self.trace, without=sync.number)
        # What was not waited for the longest breaks the most.
        last_first = sorted(disks, key=lambda disk: -disk.position)
        return next(filter(None, map(self.wrong, last_first)), None)


Runs = Callable[[str], Run]


@pytest.fixture(scope="module")
def runs(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """Give what each command did; each is run once."""
    made: dict[str, Run] = {}

    def give(name: str) -> Run:
        if name not in made:
            made[name] = record(name, template, tmp_path_factory.mktemp(name))
        return made[name]

    return give


def record(name: str, template: Path, folder: Path) -> Run:
    call, work = CALLS[name], folder / "run"
    shutil.copytree(template, work, symlinks=True)
    call.before(work)
    before = []
    if name not in ("first", "repair"):
        for steps in range(len(call.steps)):
            copy = folder / f"before {steps}"
            shutil.copytree(work, copy, symlinks=True)
            if steps:
                assert run(copy, call.command(steps)).returncode == 0
            before.append(state(copy / call.home, fsync=False))
    elif name == "first":
        before.append({})
    trace = power.remember(work)
    done = run(work, call.command(len(call.steps), "; os.write(1, b'done')"), "-o", str(folder / "log"), *power.STRACE)
    assert done.returncode == 0, done.stderr
    power.read(trace, work, folder / "log")
    after = state(work / call.home, fsync=False)
    assert after not in before
    return Run(name, folder, trace, before, after)


@pytest.mark.parametrize("name", CALLS)
def test_a_power_failure_leaves_the_old_state_or_the_new(name: str, runs: Runs) -> None:
    run = runs(name)
    disks = list(power.disks(run.trace))
    if SAMPLE:
        disks = random.Random(name).sample(disks, min(SAMPLE // 3, len(disks)))
    wrong = [problem for problem in map(run.wrong, disks) if problem]
    assert not wrong, "\n".join(wrong[:20])


@pytest.mark.parametrize("name", CALLS)
def test_every_sync_is_needed(name: str, runs: Runs) -> None:
    run = runs(name)
    syncs = [sync for sync in run.trace.syncs if (name, run.label(sync)) not in SPARE]
    own = [sync for sync in syncs if not is_of_sqlite(run, sync)]
    if SAMPLE:
        own = random.Random(name).sample(own, min(1, len(own)))
    for sync in own:
        assert run.breaks(sync), f"{name}: nothing breaks without {sync.number}: {run.label(sync)}"
    if not SAMPLE:
        # The log is synced more often than our commits need; which of them it is that counts is SQLite's affair.
        of_sqlite = [sync for sync in syncs if is_of_sqlite(run, sync)]
        assert any(map(run.breaks, of_sqlite)) or not of_sqlite, name


def is_of_sqlite(run: Run, sync: power.Sync) -> bool:
    """Tell what SQLite syncs of itself: its files, and the folder that it made its log in."""
    return "/state.db" in run.label(sync) or run.label(sync).endswith("/.winlayers")
