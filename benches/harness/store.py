"""What is measured of the layer store."""

from __future__ import annotations

import statistics

from harness.inputs import Input, fresh_output
from harness.rows import IGZIP, OPENSSL, ZSTD, Row, Run, Side
from harness.workers import Answer, Worker

Single = tuple[str, str, str, bool]
"""What, measured, goal, met."""

FORMS = {"": "tar", "-gzip": "gzip", "-zstd": "zstd"}
VERBS = ["second get", "put", "exists", "create", "remove"]
READ_MS, LOOK_UP_MS, VERB_MS = 5, 1, 10
SIZES_ALIKE = 2  # a verb may take so many times longer on ten times the layer: the machine's moods, not the size
CHEAP, DEAR = 3, 1.3


def ours(work: str, *, sync: bool = False, **forms: str) -> Side:
    return Side("winlayers", "store", work, {"output": "output"} | forms, {"sync": sync}, writes=True)


def peer(name: str, work: str, *, sync: bool = False, **forms: str) -> Side:
    return Side(name, "go", work, {"output": "output"} | forms, {"sync": sync}, writes=True)


def copy(name: str, script: str) -> Side:
    return Side(name, command=("sh", "-ec", script, "{tar}", "{output}/copy"), writes=True)


COPY = copy("cp", 'cp "$0" "$1"')
COPY_SYNC = copy("cp, fsync", 'cp "$0" "$1"; sync "$1"')
LOOP = peer("bare loop", "bare", tar="tar")
LOOP_SYNC = peer("bare loop, fsync", "bare", tar="tar", sync=True)
FIND = Side("find -printf", command=("find", "{box_tree}", "-printf", "%D %i %n %s %T@ %C@ %p\\n"))
DECOMPRESS = {"": (), "-gzip": (IGZIP,), "-zstd": (ZSTD,)}

ROWS = [
    *(
        Row(f"import{form}", ours("import", tar=tar), (peer("containerd", "apply", tar=tar),), faster=CHEAP)
        for form, tar in FORMS.items()
    ),
    *(
        Row(f"import{form}-parts", ours("import", tar=tar), (OPENSSL, COPY, *DECOMPRESS[form]), at_most=DEAR)
        for form, tar in FORMS.items()
    ),
    *(
        Row(
            f"import{form}-fsync",
            ours("import", tar=tar, sync=True),
            (OPENSSL, COPY_SYNC, *DECOMPRESS[form]),
            at_most=DEAR,
        )
        for form, tar in FORMS.items()
    ),
    Row("checkout", ours("checkout", tar="tar"), (peer("containerd", "apply", tar="tar"),), at_most=1),
    Row("checkout-loop", ours("checkout", tar="tar"), (LOOP,), at_most=1.5),
    Row("get-loop", ours("get", home="fast_home"), (LOOP,), at_most=1.5),
    Row("checkout-fsync", ours("checkout", tar="tar", sync=True), (OPENSSL, COPY_SYNC, LOOP_SYNC), at_most=DEAR),
    Row("export", ours("export", home="fast_home"), (COPY,), at_most=1.2),
    Row("changes", Side("winlayers", "store", "changes", {"home": "box"}), (FIND,), at_most=1.5, layer="files"),
]
GROWING = {
    "import": ours("import", tar="tar"),
    "checkout": ours("checkout", tar="tar"),
    "changes": Side("winlayers", "store", "changes", {"home": "box"}),
}
MEMORY = {
    f"store {work}": side
    for work, side in (GROWING | {"diff": Side("winlayers", "store", "diff", {"home": "box"})}).items()
}
MEMORY_KIB = 256_000_000 >> 10


def read_one(runs: int, layer: Input) -> Single:
    run = reader(layer)
    milliseconds = statistics.median(run().seconds for _ in range(runs)) * 1000
    what = f"read one file by path, layer of {layer.tar.stat().st_size / 1e9:.1f} GB, cold process"
    return what, f"{milliseconds:.2f} ms", f"<= {READ_MS} ms", milliseconds <= READ_MS


def reader(layer: Input) -> Run:
    """Reads one file by its path, in a process that did not use the layer before; the store is open."""
    fresh_output()
    fields = {"home": layer.home, "tar": layer.tar, "output": layer.output}
    ask(layer, work="choose_file", **fields)
    return lambda: ask(layer, work="read_file", **fields)


def ask(layer: Input, **request: object) -> Answer:
    with Worker.python("store", layer.site) as worker:
        return worker.ask(**request)


def look_up(runs: int) -> Single:
    fresh_output()
    answers = []
    with Worker.python("store") as worker:
        for _ in range(runs):
            fresh_output()
            answers.append(worker.ask(work="look_up", output=Input("quick").output))
    milliseconds = statistics.median(answer.seconds / answer.count for answer in answers) * 1000
    what = "look-up through 60 layers, warm"
    return what, f"{milliseconds:.3f} ms", f"<= {LOOK_UP_MS} ms", milliseconds <= LOOK_UP_MS


def verbs(runs: int, small: Input, large: Input) -> list[Single]:
    lines = []
    for verb in VERBS:
        times = []
        for layer in (small, large):
            with Worker.python("store") as worker:
                answers = [worker.ask(work="verb", verb=verb, home=layer.home) for _ in range(runs + 1)]
            times.append(statistics.median(answer.seconds / answer.count for answer in answers[1:]) * 1000)
        sizes = " and ".join(f"{layer.tar.stat().st_size / 1e9:.1f} GB" for layer in (small, large))
        goal = f"<= {VERB_MS} ms, whatever the size"
        met = max(times) <= VERB_MS and times[1] <= max(SIZES_ALIKE * times[0], 1)
        lines.append((f"{verb} of a sandbox, layers of {sizes}", f"{times[0]:.2f} ms, {times[1]:.2f} ms", goal, met))
    return lines
