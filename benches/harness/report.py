"""The tables that people read, and the file that programs do."""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import subprocess
import time
from pathlib import Path

from harness import WORK
from harness.memory import Peak
from harness.rows import Result


def machine() -> dict[str, object]:
    """The class of machine: nothing that names it."""
    model = next(
        (line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line),
        "",
    )
    memory = int(Path("/proc/meminfo").read_text().split()[1]) >> 20
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "memory_gib": memory,
        "system": f"{platform.system()} {platform.release().split('-')[0]}",
        "python": platform.python_version(),
        "go": subprocess.run(["go", "env", "GOVERSION"], capture_output=True, text=True).stdout.strip(),
        "load": os.getloadavg(),
    }


def speed_table(results: list[Result]) -> str:
    lines = ["| work | winlayers | peer | ratio | of processor time | goal | |", "| --- " * 7 + "|"]
    for result in results:
        peers = "; ".join(f"{name} {seconds:.3f} s" for name, seconds in result.peers.items())
        notes = f" ({'; '.join(result.notes)})" if result.notes else ""
        met = "met" if result.met else "**not met**"
        ratio, cpu, goal = f"{result.ratio:.2f}", f"{result.cpu_ratio:.2f}", result.row.goal
        lines.append(f"| {result.row.name} | {result.ours:.3f} s | {peers}{notes} | {ratio} | {cpu} | {goal} | {met} |")
    return "\n".join(lines)


def single_table(rows: list[tuple[str, str, str, bool]]) -> str:
    lines = ["| what | measured | goal | |", "| --- | --- | --- | --- |"]
    lines += [f"| {what} | {value} | {goal} | {'met' if met else '**not met**'} |" for what, value, goal, met in rows]
    return "\n".join(lines)


def memory_table(peaks: list[Peak]) -> str:
    lines = [
        "| work | layer | winlayers, MiB over the interpreter | allowed | peer, MiB in all | |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for peak in peaks:
        peer = f"{peak.peer_name} {peak.peer / 1024:.0f}" if peak.peer else ""
        met = "met" if peak.met else "**not met**"
        lines.append(
            f"| {peak.work} | {peak.layer} | {peak.ours / 1024:.1f} | {peak.allowed / 1024:.0f} | {peer} | {met} |"
        )
    return "\n".join(lines)


def save(results: list[Result], singles: list, peaks: list[Peak], about: dict[str, object]) -> None:
    document = {
        "when": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "machine": about,
        "speed": [
            {
                "row": result.row.name,
                "ours": result.ours,
                "peers": result.peers,
                "ratio": result.ratio,
                "goal": result.row.goal,
                "met": result.met,
                "cpu": result.cpu,
                "cpu_ratio": result.cpu_ratio,
                "spread": result.spread,
                "notes": result.notes,
            }
            for result in results
        ],
        "other": [{"what": what, "measured": value, "goal": goal, "met": met} for what, value, goal, met in singles],
        "memory_kib": [dataclasses.asdict(peak) | {"met": peak.met} for peak in peaks],
    }
    (WORK / "results.json").write_text(json.dumps(document, indent=2) + "\n")
