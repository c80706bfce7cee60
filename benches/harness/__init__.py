"""Runs winlayers and its peers side by side: inputs, peers, workers, rows, report."""

from pathlib import Path

BENCHES = Path(__file__).resolve().parent.parent
WORK = BENCHES / ".work"
OUTPUTS = WORK / "outputs"  # what a run writes: gone before the next
STORES = WORK / "stores"  # what is set up once for all runs: gone at the end
