"""What is measured: one row for each work, with its peers and its goal."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace

from harness.inputs import Input, fresh_output
from harness.workers import Answer, Worker, run_command

Run = Callable[[], Answer]


@dataclass(frozen=True)
class Side:
    """Who does the work, and how: a worker's work with the forms of the input it reads, or a command."""

    name: str
    worker: str = ""  # "layers" "standard" "go"
    work: str = ""
    forms: dict[str, str] = field(default_factory=dict)  # request field -> form of the input
    flags: dict[str, bool | str] = field(default_factory=dict)
    command: tuple[str, ...] = ()  # {form} stands for a path
    writes: bool = False  # to the disk: starts on an idle one, without what was written before
    windows: bool = False  # under Wine

    def open(self, layer: Input, stack: ExitStack) -> Run:
        """A function that does the work once; the worker lives as long as the stack."""
        if self.command:
            arguments = [word.format_map(Forms(layer)) for word in self.command]
            return self._starting_fresh(lambda: run_command(arguments))
        worker = stack.enter_context(self._worker(layer))
        request = {name: getattr(layer, form) for name, form in self.forms.items()} | self.flags
        return self._starting_fresh(lambda: worker.ask(work=self.work, **request))

    def _worker(self, layer: Input) -> Worker:
        if self.windows:
            return Worker.windows(self.worker)
        return Worker.go() if self.worker == "go" else Worker.python(self.worker, layer.site)

    def _starting_fresh(self, run: Run) -> Run:
        def start_fresh() -> Answer:
            fresh_output()
            return run()

        return start_fresh if self.writes else run


class Forms(dict):
    def __init__(self, layer: Input) -> None:
        self._layer = layer

    def __missing__(self, form: str) -> str:
        return str(getattr(self._layer, form))


@dataclass(frozen=True)
class Row:
    """One line of the table. Of several peers the slowest counts."""

    name: str
    ours: Side
    peers: tuple[Side, ...]
    faster: float = 0  # goal: so many times faster than the peer
    at_most: float = 0  # or: at most so many times the peer's time
    same_fold: bool = False  # both sides must produce the same bytes (or counts, or digest)
    no_larger: Side | None = None  # must not produce more bytes than this side does
    layer: str = ""  # on this layer instead of the usual one

    @property
    def goal(self) -> str:
        return f"{self.faster:g} x faster" if self.faster else f"<= {self.at_most:g} x its time"


@dataclass
class Result:
    """A row, measured: medians in seconds."""

    row: Row
    ours: float
    peers: dict[str, float]
    notes: list[str]
    cpu: dict[str, float]  # medians of processor time, ours too: what a busy machine leaves comparable
    spread: float  # (slowest - fastest) / median of our own runs: how quiet the machine was
    size_met: bool = True

    @property
    def ratio(self) -> float:
        """How many times faster than the peer (or, for such goals, times the peer's time)."""
        peer = max(self.peers.values())
        return peer / self.ours if self.row.faster else self.ours / peer

    @property
    def cpu_ratio(self) -> float:
        """The same of processor time."""
        own = self.cpu[self.row.ours.name]
        peer = max(seconds for name, seconds in self.cpu.items() if name != self.row.ours.name)
        return peer / own if self.row.faster else own / peer

    @property
    def met(self) -> bool:
        return self.size_met and (self.ratio >= self.row.faster if self.row.faster else self.ratio <= self.row.at_most)


TAR, TREE = {"tar": "tar"}, {"tree": "tree"}
STREAMS, JOIN = {"streams": "streams", "index": "index"}, {"metadata": "metadata", "tree": "tree"}
OPENSSL = Side("openssl dgst -sha256", command=("openssl", "dgst", "-sha256", "{tar}"))
IGZIP = Side("igzip -d", command=("igzip", "-d", "-c", "{gzip}"))
ZSTD = Side("zstd -d", command=("zstd", "-d", "-q", "-c", "{zstd}"))
GNU_TAR = Side("GNU tar -t", command=("tar", "--warning=no-unknown-keyword", "-tf", "{tar}"))


def ours(work: str, forms: dict[str, str], **flags: bool) -> Side:
    return Side("winlayers", "layers", work, forms, flags)


def go(name: str, work: str, forms: dict[str, str], **flags: bool) -> Side:
    return Side(name, "go", work, forms, flags)


def under_wine(side: Side) -> Side:
    return replace(side, name=f"{side.name} under Wine", windows=True)


TO_STREAMS = Row("to-streams", ours("to_streams", TAR), (go("go-winio", "to_streams", TAR),), faster=2, same_fold=True)
FROM_STREAMS = Row(
    "from-streams",
    ours("from_streams", STREAMS, held=True),
    (go("go-winio", "from_streams", STREAMS, held=True),),
    faster=2,
    same_fold=True,
)
ROWS = [
    Row("iterate", ours("iterate", TAR), (Side("tarfile", "standard", "iterate", TAR),), faster=20, same_fold=True),
    Row("iterate-gnu", ours("iterate", TAR), (GNU_TAR,), at_most=1),
    TO_STREAMS,
    FROM_STREAMS,
    Row("to-streams-wine", under_wine(TO_STREAMS.ours), (under_wine(TO_STREAMS.peers[0]),), faster=2, same_fold=True),
    Row(
        "from-streams-wine",
        under_wine(FROM_STREAMS.ours),
        (under_wine(FROM_STREAMS.peers[0]),),
        faster=2,
        same_fold=True,
    ),
    Row("verify", ours("verify", TAR), (OPENSSL,), at_most=1.1),
    Row("verify-gzip", ours("verify", {"tar": "gzip"}), (IGZIP, OPENSSL), at_most=1.2),
    Row("verify-zstd", ours("verify", {"tar": "zstd"}), (ZSTD, OPENSSL), at_most=1.2),
    Row("split", ours("split", TAR), (go("Go tar-split", "split", TAR),), faster=5, same_fold=True),
    Row(
        "split-gzip",
        ours("split", TAR, gzip=True),
        (go("Go tar-split, gzip", "split", TAR, gzip=True),),
        faster=5,
    ),
    Row("join", ours("join", JOIN), (go("Go tar-split", "join", JOIN),), faster=5, same_fold=True),
    Row("pack", ours("pack", TREE), (Side("tarfile", "standard", "pack", TREE),), faster=10),
    Row(
        "pack-gzip",
        ours("pack_gzip", TREE),
        (go("Go compress/gzip -6", "pack_gzip", TREE),),
        faster=3.5,
        no_larger=go("Go compress/gzip -6", "gzip", {"tar": "packed"}),
    ),
    Row("pack-zstd", ours("pack_zstd", TREE), (go("Go klauspost zstd", "pack_zstd", TREE),), faster=1),
]


def measure(row: Row, layer: Input, runs: int) -> Result:
    """Warms each side once, then lets them take turns; the machine's moods hit all alike."""
    with ExitStack() as stack:
        sides = {side.name: side.open(layer, stack) for side in (row.ours, *row.peers)}
        first = {name: run() for name, run in sides.items()}
        if row.same_fold and len({answer.fold for answer in first.values()}) > 1:
            raise RuntimeError(f"{row.name}: the sides disagree: {first}")
        answers: dict[str, list[Answer]] = {name: [] for name in sides}
        for _ in range(runs):
            for name, run in sides.items():
                answers[name].append(answer := run())
                print(f"  {row.name}: {name} {answer.seconds:.3f} s", file=sys.stderr, flush=True)
        notes, size_met = [], True
        if row.no_larger:
            limit = row.no_larger.open(layer, stack)().bytes
            size = first[row.ours.name].bytes
            size_met = size <= limit
            notes.append(f"{size:,} bytes, {row.no_larger.name} on the same tar {limit:,}")
    medians = {name: statistics.median(run.seconds for run in those) for name, those in answers.items()}
    cpu = {name: statistics.median(run.cpu for run in those) for name, those in answers.items()}
    own = [run.seconds for run in answers[row.ours.name]]
    spread = (max(own) - min(own)) / statistics.median(own)
    return Result(row, medians.pop(row.ours.name), medians, notes, cpu, spread, size_met)


def start_up(runs: int, executable: str) -> list[float]:
    """Seconds from starting `winlayers --help` to its end."""
    run_command([executable, "--help"])
    return [run_command([executable, "--help"]).seconds for _ in range(runs)]


def growth(runs: int, side: Side, small: Input, large: Input) -> tuple[float, float]:
    """Median seconds of our side on 100,000 entries and on a million."""
    medians = []
    for layer in (small, large):
        with ExitStack() as stack:
            run = side.open(layer, stack)
            run()
            medians.append(statistics.median(run().seconds for _ in range(runs)))
    return medians[0], medians[1]
