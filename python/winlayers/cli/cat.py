"""Write the data of a file in a layer, or of one of its named streams, to standard output.

PATH is the name as `ls` shows it, with either kind of slash, with or without `Files/` before it, in any case: the exact
name counts first, then the one that is equal to Windows. A hard link gives the data of its file, where this layer has
it. Of several layers, lowest first, the file is what is seen of them on top of each other.
"""

import argparse
import os
import shutil
import tempfile
from typing import IO, Any, NamedTuple

import winlayers as wl
from winlayers.cli.errors import NotInLayer
from winlayers.cli.ls import merged
from winlayers.cli.output import CHUNK, decode_name, encode_name, source, stdout_bytes

_MEMORY = 1 << 20
_HOPS = 40


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.add_argument("layers", metavar="LAYER", nargs="+", help="a layer, or - for standard input")
    parser.add_argument("path", metavar="PATH[:STREAM]", help="which file, and which of its named streams")
    parser.add_argument("--permissive", action="store_true", help="read past names that the policy refuses")


def run(arguments: argparse.Namespace) -> int:
    """Write it."""
    wanted = Wanted.parse(os.fsencode(arguments.path))
    if len(arguments.layers) > 1:
        cat_view(merged(arguments), wanted)
        return 0
    (layer,) = arguments.layers
    policy = wl.Policy.permissive() if arguments.permissive else None
    for _ in range(_HOPS):
        link = _cat(layer, wanted, policy)
        if link is None:
            return 0
        if layer == "-":
            hint = "standard input can be read once only: give a file, or ask for that name"
            raise NotInLayer(f"{arguments.path} is a hard link to {decode_name(link)}", hint=hint)
        wanted = wanted._replace(path=link)
    raise NotInLayer(f"{arguments.path}: the hard links lead to no file")


def cat_view(view: wl.LayerView, wanted: "Wanted") -> None:
    """Write what a merged view has."""
    try:
        try:
            entry = view.get(wanted.path)
        except FileNotFoundError:
            entry = view.get(b"Files/" + wanted.path)
    except FileNotFoundError:
        hint = "winlayers ls lists what there is"
        raise NotInLayer(f"the layers have no {decode_name(wanted.path)}", hint=hint) from None
    with open_part(entry, wanted) as file:
        shutil.copyfileobj(file, stdout_bytes(), CHUNK)


class Wanted(NamedTuple):
    """What is asked for."""

    path: bytes
    stream: bytes | None

    @classmethod
    def parse(cls, text: bytes) -> "Wanted":
        r"""Take `PATH:STREAM` apart; Windows' own spelling with `:$DATA` behind it is understood too.

        >>> Wanted.parse(b"Files\\a.txt:s:$DATA"), Wanted.parse(b"a.txt::$DATA")
        (Wanted(path=b'Files/a.txt', stream=b's'), Wanted(path=b'a.txt', stream=None))
        """
        text = text.replace(b"\\", b"/")
        folder, slash, base = text.rpartition(b"/")
        if base.upper().endswith(b":$DATA"):
            base = base[: -len(b":$DATA")]
        base, _, stream = base.partition(b":")
        return cls((folder + slash + base).strip(b"/"), stream or None)

    def rank(self, name: bytes) -> int | None:
        """Say how well a name matches, 0 being best; None: not at all."""
        name = name.rstrip(b"/")
        candidates = (self.path, b"Files/" + self.path)
        for rank, candidate in enumerate(candidates):
            if name == candidate:
                return rank
        for rank, candidate in enumerate(candidates, 2):
            if len(name) == len(candidate) and equal_to_windows(name, candidate):
                return rank
        return None


def equal_to_windows(a: bytes, b: bytes) -> bool:
    """Compare names as NTFS does; names that are no WTF-8 are equal to themselves only.

    >>> equal_to_windows(b"Files/A", b"FILES/a")
    True
    """
    if a == b:
        return True
    try:
        return wl.fold_name(a.decode("utf-8", "surrogatepass")) == wl.fold_name(b.decode("utf-8", "surrogatepass"))
    except UnicodeDecodeError:
        return False


def _cat(layer: str, wanted: Wanted, policy: wl.Policy | None) -> bytes | None:
    """Write the data; or give the target where the name is a hard link."""
    best: tuple[int, wl.Entry, Any] | None = None
    with wl.LayerReader(source(layer), policy=policy) as reader:
        for entry in reader:
            rank = wanted.rank(entry.raw_name)
            if rank is None or (best is not None and best[0] <= rank):
                continue
            if rank == 0 or reader.seekable:
                best = (rank, entry, None)
                if rank == 0:
                    break
            else:
                # A better one may follow, and this one cannot be read then.
                best = (rank, entry, _keep(entry, wanted))
        if best is None:
            raise NotInLayer(f"the layer has no {decode_name(wanted.path)}", hint="winlayers ls lists what it has")
        _, entry, kept = best
        if entry.kind == "hard_link" and wanted.stream is None:
            return entry.raw_link_name
        with kept or open_part(entry, wanted) as file:
            shutil.copyfileobj(file, stdout_bytes(), CHUNK)
    return None


def _keep(entry: wl.Entry, wanted: Wanted) -> IO[bytes] | None:
    if entry.kind == "hard_link":
        return None
    kept: IO[bytes] = tempfile.SpooledTemporaryFile(_MEMORY)  # noqa: SIM115 - closed where it is used
    with open_part(entry, wanted) as file:
        shutil.copyfileobj(file, kept, CHUNK)
    kept.seek(0)
    return kept


def open_part(entry: wl.Entry, wanted: Wanted) -> Any:
    """Open the data or the stream that was asked for."""
    found = []
    for name, _, file in entry.parts():
        if name is None and wanted.stream is None:
            return file
        if name is not None and wanted.stream is not None:
            if equal_to_windows(encode_name(name), wanted.stream):
                return file
            found.append(name)
    if wanted.stream is None:
        raise NotInLayer(f"{entry.name} has no data: {_article(entry.kind)}")
    names = ", ".join(found) or "none"
    raise NotInLayer(f"{entry.name} has no stream {decode_name(wanted.stream)}", hint=f"its streams: {names}")


def _article(kind: str) -> str:
    return f"it is a {kind.replace('_', ' ')}"
