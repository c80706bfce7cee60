#!/usr/bin/env python3
"""Let an installed winlayers work: pack a folder, verify, read, extract and pack again. Prints what it found.

An argument names a folder of packages that goes before all others, for an interpreter that has no environments.
"""

import sys
import tempfile
from pathlib import Path

if len(sys.argv) > 1:
    sys.path.insert(0, sys.argv[1])

import winlayers as wl
from winlayers.cli import main

# Not the checkout's own package, which may have been built otherwise.
if Path(wl.__file__).is_relative_to(Path(__file__).resolve().parents[1] / "python"):
    sys.exit(f"{wl.__file__} is not the installed package")

with tempfile.TemporaryDirectory(prefix="winlayers-try-") as name:
    folder = Path(name)
    (folder / "app" / "data").mkdir(parents=True)
    (folder / "app" / "hello.txt").write_bytes(b"hello")
    (folder / "app" / "data" / "zeros.bin").write_bytes(bytes(100_000))
    for layer in ("layer.tar", "layer.tar.gz", "layer.tar.zst"):
        made = wl.pack(folder / "app", folder / layer)
        report = wl.verify_layer(folder / layer)
        if report.problems or report.diff_id != made.diff_id:
            sys.exit(f"{layer}: {report}")
    if main(["verify", str(folder / "layer.tar.gz")]) != 0:
        sys.exit("winlayers verify failed")
    wl.extract(folder / "layer.tar", folder / "there")
    if wl.pack(folder / "there", folder / "again.tar").diff_id != made.diff_id:
        sys.exit("extract and pack made another layer")
    store = wl.LayerStore(folder / "store", backend="portable")
    store.apply_diff("base", "", folder / "layer.tar.zst")
    if store.info("base").diff_id != made.diff_id:
        sys.exit("the store has another layer")
    del store
print(f"{wl.__file__} works: {made.entries} entries, {made.diff_id}")
