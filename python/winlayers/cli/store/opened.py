"""The store that a command works on."""

import argparse
import os
from pathlib import Path

import winlayers as wl
from winlayers.cli.errors import Usage

_OWN = ".winlayers"


def open_store(arguments: argparse.Namespace, *, make: bool = False) -> wl.LayerStore:
    """Open it; a folder that is none becomes one only where that is asked for."""
    home = getattr(arguments, "home", None) or os.environ.get("WINLAYERS_HOME")
    if not home:
        raise Usage("no store is named", hint="give --home DIR, or set WINLAYERS_HOME")
    if not make and not (Path(home) / _OWN).is_dir():
        raise wl.StoreError(f"{home}: no store", code="no_store", hint="winlayers store init makes one")
    form = getattr(arguments, "format", None) or "layer"
    options = wl.StoreOptions(fsync=not getattr(arguments, "no_fsync", False), format=form)
    driver = getattr(arguments, "driver", None) or "windowsfilter"
    return wl.LayerStore(home, driver, getattr(arguments, "backend", None), options)
