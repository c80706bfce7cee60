"""What a command says about a layer it has worked on, for people and as JSON."""

import sys
from typing import Any

import winlayers as wl
from winlayers.cli.output import as_json_text, escape, json_name, size_text


def show(report: wl.LayerReport, *, as_json: bool, to_stderr: bool = False) -> None:
    """Print a report: on standard error where the layer itself goes to standard output."""
    stream = sys.stderr if to_stderr else sys.stdout
    if as_json:
        stream.write(as_json_text(report_object(report)) + "\n")
        return
    _problems(report, stream)
    for loss in report.losses:
        stream.write(loss_line(loss) + "\n")
    stream.write(f"diff id  {report.diff_id or 'unknown: the compressed data is damaged'}\n")
    stream.write(f"entries  {report.entries:,}\n")
    stream.write(f"size     {size_text(report.size)} ({report.size:,} bytes uncompressed)\n")
    for word, totals in (("problems", report.problem_totals), ("losses", report.loss_totals)):
        if totals:
            kinds = ", ".join(f"{code} {count:,}" for code, count in sorted(totals.items()))
            stream.write(f"{word:<8} {sum(totals.values()):,}: {kinds}\n")


def report_object(report: wl.LayerReport) -> dict[str, Any]:
    """Give a report as JSON has it; lists hold the first 10,000, totals count all."""
    return {
        "diff_id": report.diff_id,
        "entries": report.entries,
        "size": report.size,
        "problems": [
            {"code": problem.code, "severity": problem.severity}
            | json_name("path", problem.raw_path)
            | {"offset": problem.offset, "message": problem.message}
            for problem in report.problems
        ],
        "problem_totals": report.problem_totals,
        "losses": [loss_object(loss) for loss in report.losses],
        "loss_totals": report.loss_totals,
    }


def loss_line(loss: wl.Loss) -> str:
    """Give a loss as people read it."""
    name = loss.path if loss.stream is None else f"{loss.path}:{loss.stream}"
    return f"loss: {loss.kind}: {escape(name)}: {escape(loss.detail)}"


def loss_object(loss: wl.Loss) -> dict[str, Any]:
    """Give a loss as JSON has it."""
    return json_name("path", loss.raw_path) | {
        "stream": loss.stream,
        "kind": loss.kind,
        "severity": loss.severity,
        "detail": loss.detail,
    }


def _problems(report: wl.LayerReport, stream: Any) -> None:
    if report.problems and stream.isatty():
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        table = Table("problem", "entry", "at byte", "what is wrong", box=None, pad_edge=False, header_style="bold")
        table.columns[2].justify = "right"
        for problem in report.problems:
            offset = "" if problem.offset is None else f"{problem.offset:,}"
            cells = (problem.code, escape(problem.path), offset, _message(problem))
            table.add_row(*map(Text, cells))
        Console(file=stream).print(table)
        return
    for problem in report.problems:
        place = "" if problem.offset is None else f" at byte {problem.offset}"
        name = escape(problem.path) or "the archive"
        stream.write(f"problem: {problem.code}: {name}{place}: {_message(problem)}\n")


def _message(problem: wl.Problem) -> str:
    """Give the message without the place that it may begin with, which stands before it anyway."""
    return escape(problem.message.removeprefix(f"at byte {problem.offset}: "))
