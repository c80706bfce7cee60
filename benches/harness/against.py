"""Whether the work tree is slower than a revision: `benches/run.py --against REV`.

A wheel of each is installed in a folder of its own. The processes of the revision, of the revision again, and of the
work tree take turns at the same works; the first two show how far equals lie apart here and now (`harness.verdict`).
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from harness import BENCHES, WORK, rows, store
from harness.inputs import Input, forget_output
from harness.rows import Run, Side
from harness.verdict import ORDER, Verdict, judge
from harness.workers import Answer, environment

ROOT = BENCHES.parent
PLACE = WORK / "against"
PROCESSES = 4  # of each side, one after the other: seeds of hashes and addresses last as long as a process
SECONDS, MOST = 2, 20  # short works get more rounds than asked for: so long in each process, or so many


@dataclass(frozen=True)
class Work:
    """Something that both sides do."""

    name: str
    row: str  # by which it is asked for
    open: Callable[[Input, ExitStack], Run]
    layer: str = ""  # on this layer instead of the usual one
    repeated: bool = False  # in one run as often as it answers


def works() -> list[Work]:
    """Our sides of all rows, each once; not those that wait for the disk, or for Wine."""
    found: dict[str, tuple[Side, str]] = {}
    for row in [*rows.ROWS, *store.ROWS]:
        side = (row.ours, row.layer)
        if side not in found.values() and not row.ours.windows and not row.ours.flags.get("sync"):
            found[row.name] = side
    verbs = [
        Work(verb, "verbs", Side("winlayers", "store", "verb", {"home": "home"}, {"verb": verb}).open, repeated=True)
        for verb in store.VERBS
    ]
    look_up = Work("look-up", "look-up", store.ours("look_up").open, repeated=True)
    return [
        *(Work(name, name, side.open, layer) for name, (side, layer) in found.items()),
        *verbs,
        look_up,
        Work("read-one", "read-one", lambda layer, _: store.reader(layer)),
    ]


def compare(revision: str, wanted: list[str], rounds: int, quick: bool) -> int:
    """Prints a line for each work; the status is 1 where one got slower."""
    chosen = [work for work in works() if work.row in wanted]
    if not chosen:
        raise SystemExit("these rows have nothing of ours that another row has not")
    sites = [site("before", commit := commit_of(revision)), PLACE / "again", site("after", None)]
    shutil.rmtree(sites[1], ignore_errors=True)
    shutil.copytree(sites[0], sites[1])
    print(f"\nthe work tree against {commit[:12]}, processor time\n")
    print("| work | before | after | ratio | equals lie apart | ratio of wall time | |")
    print("| --- " * 7 + "|", flush=True)
    failed = False
    for work in chosen:
        layers = [Input("quick" if quick else work.layer or "layer", place) for place in sites]
        try:
            cpu, wall = measure(work, layers, rounds)
            failed |= not cpu.no_slower
            print(line(work.name, cpu, wall), flush=True)
        except (RuntimeError, OSError) as error:
            failed = True
            print(f"| {work.name} | {error} | | | | | **failed** |", flush=True)
        forget_output()
    return int(failed)


def measure(work: Work, layers: list[Input], rounds: int) -> tuple[Verdict, Verdict]:
    """Processor time, with that of threads, and wall time."""
    cpu: list[list[float]] = []
    wall: list[list[float]] = []
    for _ in range(PROCESSES):
        with ExitStack() as stack:
            runs = [work.open(layer, stack) for layer in layers]
            for run in runs:  # warms each
                run()
            done, start = 0, time.monotonic()
            while done * PROCESSES < rounds or (done < MOST and time.monotonic() - start < SECONDS):
                answers = [runs[side]() for side in ORDER]
                cpu.append([answer.cpu / parts(work, answer) for answer in answers])
                wall.append([answer.seconds / parts(work, answer) for answer in answers])
                done += 1
    return judge(cpu), judge(wall)


def parts(work: Work, answer: Answer) -> int:
    return answer.count if work.repeated else 1


def line(name: str, cpu: Verdict, wall: Verdict) -> str:
    before, after = (f"{seconds * 1000:.3f} ms" for seconds in (cpu.before, cpu.after))
    met = "no slower" if cpu.no_slower else "**slower**"
    return f"| {name} | {before} | {after} | {cpu.ratio:.3f} | {cpu.spread:.1%} | {wall.ratio:.3f} | {met} |"


def commit_of(revision: str) -> str:
    return git("rev-parse", "--verify", f"{revision}^{{commit}}")


def git(*arguments: str | Path) -> str:
    return subprocess.run(["git", "-C", ROOT, *arguments], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def site(name: str, commit: str | None) -> Path:
    """A folder with the wheel of a commit, or of the work tree."""
    place = PLACE / name
    shutil.rmtree(place, ignore_errors=True)
    wheel = wheel_of(commit) if commit else build(ROOT, PLACE / "wheels/work-tree", ROOT / "target/py")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", place, wheel]
    subprocess.run(command, check=True)
    ask = [sys.executable, "-c", "import winlayers; print(winlayers.__file__)"]
    found = subprocess.run(ask, check=True, stdout=subprocess.PIPE, text=True, env=environment(place)).stdout
    if not Path(found).is_relative_to(place):
        raise RuntimeError(f"the {name} side would use {found}")
    return place


def wheel_of(commit: str) -> Path:
    """The wheel of a commit: built in a work tree of its own, and kept."""
    kept = PLACE / "wheels" / commit
    if not kept.exists():
        tree = PLACE / "tree"
        remove = partial(git, "worktree", "remove", "--force", tree)
        if tree.exists():  # of a run that was stopped
            remove()
        git("worktree", "add", "--quiet", "--detach", tree, commit)
        try:
            # Not the target folder of the work tree: both leave a library of one name, and the older would be packed.
            build(tree, kept.with_suffix(".partial"), PLACE / "target").parent.rename(kept)
        finally:
            remove()
    return next(kept.glob("*.whl"))


def build(tree: Path, output: Path, target: Path) -> Path:
    print(f"building {output.name} ...", file=sys.stderr, flush=True)
    shutil.rmtree(output, ignore_errors=True)
    maturin = Path(sys.executable).with_name("maturin")
    command = [maturin, "build", "--quiet", "--release", "--locked", "--out", output, "--target-dir", target]
    subprocess.run(command, check=True, cwd=tree, env=os.environ | {"PYO3_PYTHON": sys.executable})
    return next(output.glob("*.whl"))
