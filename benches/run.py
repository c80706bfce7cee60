"""Measures winlayers beside its peers: `make bench`, or see --help.

Everything that is missing is built or generated first and kept in benches/.work. The tables say whether each goal is
met; the same goes to benches/.work/results.json.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from harness import against, inputs, memory, peers, report, rows, store
from harness.inputs import Input

GROWING = ["iterate", "to-streams", "from-streams", "verify", "split", "join", "pack"]
SINGLES = ["start-up", "growth", "read-one", "look-up", "verbs", "store-growth"]
STORE = [row.name for row in store.ROWS] + SINGLES[2:]
START_UP, GROWTH = 0.150, 11


def main() -> int:
    all_rows = [*rows.ROWS, *store.ROWS]
    names = [row.name for row in all_rows]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--row", action="append", choices=[*names, *SINGLES, "memory", "store"], help="only this; may be repeated"
    )
    parser.add_argument("--against", metavar="REV", help="compare the work tree with this revision instead")
    parser.add_argument("--runs", type=int, help="runs of each side (default 5; rounds of --against: 12)")
    parser.add_argument("--layers", default="layer,large,million", help="layers for the memory of each work")
    parser.add_argument("--quick", action="store_true", help="one run on a small layer: does it work at all")
    parser.add_argument("--fresh", action="store_true", help="generate the inputs anew")
    arguments = parser.parse_args()
    wanted = arguments.row or [*names, *SINGLES, "memory"]
    if "store" in wanted:
        wanted = [*wanted, *STORE]
    if arguments.quick:
        wanted = [name for name in wanted if "growth" not in name]

    peers.build()
    inputs.prepare(arguments.fresh)
    inputs.forget_output()
    if arguments.against:
        return against.compare(arguments.against, wanted, arguments.runs or 12, arguments.quick)
    runs = 1 if arguments.quick else arguments.runs or 5
    peers.build_winlayers()
    layer = Input("quick" if arguments.quick else "layer")
    large = Input("quick" if arguments.quick else "large")
    about = report.machine()
    print(", ".join(f"{key} {value}" for key, value in about.items()))
    failed: list[str] = []
    results, singles, peaks = [], [], []
    windows = [row for row in all_rows if row.ours.windows and row.name in wanted]
    if windows:
        attempt(failed, "windows", peers.build_for_windows)
    if "windows" in failed:
        wanted = [name for name in wanted if name not in {row.name for row in windows}]
    for row in all_rows:
        on = Input(row.layer) if row.layer and not arguments.quick else layer
        if row.name in wanted and (result := attempt(failed, row.name, rows.measure, row, on, runs)):
            results.append(result)
    if windows:
        peers.stop_windows()
    if "start-up" in wanted:
        seconds = attempt(failed, "start-up", start_up, runs)
        if seconds is not None:
            singles.append(
                ("start of `winlayers --help`", f"{seconds * 1000:.0f} ms", "<= 150 ms", seconds <= START_UP)
            )
    growing = {row.name: row.ours for row in rows.ROWS if row.name in GROWING} if "growth" in wanted else {}
    growing |= store.GROWING if "store-growth" in wanted else {}
    for name, side in growing.items():
        if pair := attempt(failed, f"growth of {name}", growth, side, runs):
            ratio = pair[1] / pair[0]
            value = f"{ratio:.1f} x ({pair[0]:.2f} s, {pair[1]:.2f} s)"
            singles.append((f"{name}, a million entries", value, f"<= {GROWTH} x 100,000", ratio <= GROWTH))
    inputs.forget_output()
    if "read-one" in wanted and (single := attempt(failed, "read-one", store.read_one, max(runs, 5), large)):
        singles.append(single)
    if "look-up" in wanted and (single := attempt(failed, "look-up", store.look_up, runs)):
        singles.append(single)
    if "verbs" in wanted:
        singles += attempt(failed, "verbs", store.verbs, runs, layer, large) or []
    inputs.forget_output()
    if "memory" in wanted:
        for name in ["quick"] if arguments.quick else arguments.layers.split(","):
            works = [*memory.SIDES, *(store.MEMORY if name in ("million", "quick") else [])]
            for work in works:
                measured = attempt(failed, f"memory of {work}", memory.peak, work, Input(name), name != "large")
                if measured:
                    peaks.append(measured)

    for title, table in (
        ("Speed", report.speed_table(results) if results else ""),
        ("Start and growth", report.single_table(singles) if singles else ""),
        ("Memory", report.memory_table(peaks) if peaks else ""),
    ):
        if table:
            print(f"\n## {title}\n\n{table}")
    if failed:
        print("\nfailed: " + ", ".join(failed))
    if not arguments.quick:
        report.save(results, singles, peaks, about)
    inputs.forget_output()
    return 1 if failed else 0


def attempt(failed: list[str], name: str, work, *arguments):
    """A row that breaks does not take the others with it."""
    print(f"{name} ...", file=sys.stderr, flush=True)
    try:
        return work(*arguments)
    except (RuntimeError, OSError, subprocess.SubprocessError) as error:
        print(f"{name}: {error}", file=sys.stderr)
        failed.append(name)
        return None


def start_up(runs: int) -> float:
    return sorted(rows.start_up(max(runs, 5), str(Path(sys.executable).with_name("winlayers"))))[max(runs, 5) // 2]


def growth(side: rows.Side, runs: int) -> tuple[float, float]:
    return rows.growth(min(runs, 3), side, Input("hundred-thousand"), Input("million"))


if __name__ == "__main__":
    sys.exit(main())
