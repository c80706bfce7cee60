"""Say which winlayers this is, and what it can do on this machine: what a report of a fault should say."""

import argparse
import os
import platform
import tempfile
from pathlib import Path
from typing import Any

from winlayers.cli.output import escape, json_line, line


def add_arguments(_parser: argparse.ArgumentParser) -> None:
    """Say what the command takes: nothing."""


def run(arguments: argparse.Namespace) -> int:
    """Look and tell."""
    facts = examine()
    if arguments.json:
        json_line(facts)
        return 0
    for key, value in facts.items():
        if isinstance(value, dict):
            line(f"{key.replace('_', ' ')}:")
            for name, part in value.items():
                line(f"  {name.replace('_', ' '):<22} {escape(_text(part))}")
        else:
            line(f"{key.replace('_', ' '):<24} {escape(_text(value))}")
    return 0


def version() -> str:
    """Give the version of the package."""
    import importlib.metadata

    try:
        return importlib.metadata.version("winlayers")
    except importlib.metadata.PackageNotFoundError:
        return "unknown (not installed)"


def examine() -> dict[str, Any]:
    """Find out."""
    from winlayers import _native

    return {
        "version": version(),
        "build": "debug (slow: not for real work)" if _native.debug_build else "release",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "platform": platform.platform(),
        "machine": platform.machine(),
        "processors": os.cpu_count(),
        "codec": {
            "dialects": "go-winio, lossless",
            "compression": "gzip, zstd (built in)",
        },
        "host_compute_service": _host_compute_service(),
        "temporary_folder": _file_system(),
        "libraries": {name: _library(name) for name in ("rich", "hypothesis")},
    }


def _host_compute_service() -> dict[str, Any]:
    """Say whether HCS is there, which of its functions are not, and which privileges this process has."""
    from winlayers import _native

    found = _native._host_compute_service()
    missing = [name for name, there in found["functions"].items() if not there]
    facts: dict[str, Any] = {"available": found["available"], "reason": found["reason"]}
    if found["functions"]:
        facts["functions"] = f"{len(found['functions']) - len(missing)} of {len(found['functions'])}"
        facts["missing_functions"] = ", ".join(missing) or None
    return {name: fact for name, fact in (facts | found["privileges"]).items() if fact is not None}


def _file_system() -> dict[str, Any]:
    """Say what the file system under the temporary folder can hold: extract keeps the rest in its sidecar."""
    from winlayers import _native

    with tempfile.TemporaryDirectory(prefix="winlayers-doctor-") as temporary:
        folder = Path(temporary)
        plain = folder / "plain"
        plain.write_bytes(b"x")
        found: dict[str, Any] = {"path": str(folder.parent)}
        if (name := _native._file_system(folder)) is not None:
            found["file_system"] = name
        found["symbolic_links"] = _works(lambda: (folder / "link").symlink_to("plain"))
        found["hard_links"] = _works(lambda: (folder / "hard").hardlink_to(plain))
        found["names_differ_by_case"] = not (folder / "PLAIN").exists()
        return found


def _works(attempt: Any) -> bool:
    try:
        attempt()
    except OSError:
        return False
    return True


def _library(name: str) -> str | None:
    import importlib.metadata

    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "not installed" if value is None else str(value)
