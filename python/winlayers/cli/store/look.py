"""The commands that look into a store: ls, info, changes, cat, du."""

import argparse
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import winlayers as wl
from winlayers.cli.cat import Wanted, cat_view
from winlayers.cli.errors import NotInLayer
from winlayers.cli.ls import list_entries
from winlayers.cli.output import (
    decode_name,
    encode_name,
    escape,
    json_line,
    json_name,
    line,
    size_text,
)
from winlayers.cli.store.opened import open_store

Run = Callable[[argparse.Namespace], int]


def ls_command(parser: argparse.ArgumentParser) -> Run:
    """List the layers; or what is seen of one layer merged over those below it, from PATH down.

    Without --json no data is read.
    """
    parser.add_argument("id", metavar="ID", nargs="?", help="a layer; without one, the layers themselves")
    parser.add_argument("path", metavar="PATH", nargs="?", default="", help="a folder in it, such as Files/Windows")
    return _ls


def _ls(arguments: argparse.Namespace) -> int:
    store = open_store(arguments)
    if arguments.id is None:
        _ls_layers(store, as_json=arguments.json)
        return 0
    entries = _found(lambda: store.view(arguments.id).entries(os.fsencode(arguments.path)))
    list_entries(entries, as_json=arguments.json)
    return 0


def _ls_layers(store: wl.LayerStore, *, as_json: bool) -> None:
    if not as_json:
        line(f"{'state':<8}  {'size':>13}  {'mounted':>7}  {'layer':<32}  parent")
    for info in store.layers():
        if as_json:
            json_line(info_object(info))
        else:
            size = "" if info.size is None else f"{info.size:,}"
            parent = escape(info.parents[0]) if info.parents else ""
            row = f"{info.state:<8}  {size:>13}  {info.mounted or '':>7}  {escape(info.id):<32}  {parent}"
            line(row.rstrip())


def info_command(parser: argparse.ArgumentParser) -> Run:
    """Tell what is known about a layer, or about the store. Nothing is read for it."""
    parser.add_argument("id", metavar="ID", nargs="?", help="a layer; without one, the store")
    return _info


def _info(arguments: argparse.Namespace) -> int:
    store = open_store(arguments)
    if arguments.id is not None:
        info = store.info(arguments.id)
        if arguments.json:
            json_line(info_object(info) | store.metadata(arguments.id))
        else:
            show_info(info)
        return 0
    status = store.status()
    if arguments.json:
        json_line({"home": store.home, "driver": store.name, "status": dict(status)})
        return 0
    for name, value in [("Home", store.home), ("Driver", store.name), *status]:
        line(f"{name:<12} {escape(value)}".rstrip())
    return 0


def info_object(info: wl.LayerInfo) -> dict[str, Any]:
    """Give what is known about a layer as JSON has it."""
    return {
        "id": info.id,
        "state": info.state,
        "parents": list(info.parents),
        "diff_id": info.diff_id,
        "chain_id": info.chain_id,
        "size": info.size,
        "entries": info.entries,
        "mounted": info.mounted,
    }


def show_info(info: wl.LayerInfo) -> None:
    """Print what is known about a layer."""
    facts = {
        "layer": escape(info.id),
        "state": info.state,
        "parents": ", ".join(map(escape, info.parents)) or "none",
        "diff id": info.diff_id,
        "chain id": info.chain_id,
        "entries": None if info.entries is None else f"{info.entries:,}",
        "size": None if info.size is None else f"{size_text(info.size)} ({info.size:,} bytes uncompressed)",
        "mounted": f"{info.mounted} times" if info.mounted else None,
    }
    for name, fact in facts.items():
        if fact is not None:
            line(f"{name:<8}  {fact}")


def changes_command(parser: argparse.ArgumentParser) -> Run:
    """Tell what a layer adds, modifies and deletes in those below it, and what of each path is new."""
    parser.add_argument("id", metavar="ID", help="the layer")
    parser.add_argument("--parent", metavar="ID", default="", help="must be the layer that it stands on")
    return _changes


def _changes(arguments: argparse.Namespace) -> int:
    for change in open_store(arguments).changes(arguments.id, arguments.parent):
        if arguments.json:
            fields: dict[str, Any] = json_name("path", encode_name(change.path))
            json_line(fields | {"kind": change.kind, "what": sorted(change.what), "size": change.size})
        else:
            line(f"{change.kind:<6}  {','.join(sorted(change.what)):<20}  {escape(change.path)}")
    return 0


def cat_command(parser: argparse.ArgumentParser) -> Run:
    """Write the data of a file, or of one of its named streams, to standard output.

    The file may be in a layer below. PATH is in any case, with either slash, with or without Files/ before it.
    """
    parser.add_argument("id", metavar="ID", help="the layer")
    parser.add_argument("path", metavar="PATH[:STREAM]", help="which file, and which of its named streams")
    return _cat


def _cat(arguments: argparse.Namespace) -> int:
    cat_view(open_store(arguments).view(arguments.id), Wanted.parse(os.fsencode(arguments.path)))
    return 0


def _found(look: Callable[[], Any]) -> Any:
    """Say that a layer does not have something, as `ls` and `cat` of a layer do."""
    try:
        return look()
    except FileNotFoundError as missing:
        name = decode_name(os.fsencode(missing.filename or ""))
        raise NotInLayer(f"the layer has no {name}", hint="winlayers store ls ID lists what it has") from None


def du_command(parser: argparse.ArgumentParser) -> Run:
    """Tell how many bytes on the disk each layer takes, and all of them."""
    parser.add_argument("ids", metavar="ID", nargs="*", help="a layer; without one, all")
    return _du


def _du(arguments: argparse.Namespace) -> int:
    store = open_store(arguments)
    infos = [store.info(layer) for layer in arguments.ids] or store.layers()
    total = 0
    for info in infos:
        taken = disk_usage(Path(store.metadata(info.id)["dir"]))
        total += taken
        if arguments.json:
            json_line({"id": info.id, "state": info.state, "bytes": taken})
        else:
            line(f"{taken:>15,}  {escape(info.id)}")
    if not arguments.json:
        line(f"{total:>15,}  ({size_text(total)} in all)")
    return 0


def disk_usage(folder: Path) -> int:
    """Add up what a folder takes on the disk; a file of several names counts once, and no link is followed."""
    seen: set[tuple[int, int]] = set()
    total, folders = 0, [os.fspath(folder)]
    while folders:
        with os.scandir(folders.pop()) as entries:
            for entry in entries:
                status = entry.stat(follow_symlinks=False)
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
                elif status.st_nlink > 1 and status.st_ino:
                    if (status.st_dev, status.st_ino) in seen:
                        continue
                    seen.add((status.st_dev, status.st_ino))
                blocks: int | None = getattr(status, "st_blocks", None)
                total += status.st_size if blocks is None else 512 * blocks
    return total
