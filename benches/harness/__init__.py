"""Runs winlayers and its peers side by side: inputs, peers, workers, rows, report."""

from pathlib import Path

BENCHES = Path(__file__).resolve().parent.parent
WORK = BENCHES / ".work"
