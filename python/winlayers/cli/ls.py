"""List what a layer holds: kind, size, attributes, time of last write, name and link target; named streams below
their file. No data is read, but with --json, which has the SHA-256 of the data and of each stream.

Several layers, lowest first, are listed as what is seen of them on top of each other.

Attributes: R read-only, H hidden, S system, D directory, A archive, N normal, T temporary, P sparse, L reparse point,
C compressed, O offline, I not indexed, E encrypted; + others.
"""

import argparse
import base64
import hashlib
from collections.abc import Iterable, Iterator
from typing import Any

import winlayers as wl
from winlayers.cli.errors import Usage
from winlayers.cli.output import CHUNK, decode_name, encode_name, escape, json_line, json_name, line, source

_LETTERS = {
    wl.FileAttributes.READONLY: "R",
    wl.FileAttributes.HIDDEN: "H",
    wl.FileAttributes.SYSTEM: "S",
    wl.FileAttributes.DIRECTORY: "D",
    wl.FileAttributes.ARCHIVE: "A",
    wl.FileAttributes.NORMAL: "N",
    wl.FileAttributes.TEMPORARY: "T",
    wl.FileAttributes.SPARSE_FILE: "P",
    wl.FileAttributes.REPARSE_POINT: "L",
    wl.FileAttributes.COMPRESSED: "C",
    wl.FileAttributes.OFFLINE: "O",
    wl.FileAttributes.NOT_CONTENT_INDEXED: "I",
    wl.FileAttributes.ENCRYPTED: "E",
}
HEAD = f"{'kind':<9}  {'size':>13}  {'attrs':<6}  {'last write (UTC)':<19}  name"
_TIMES = ("creation_time", "last_access_time", "last_write_time", "change_time")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.add_argument("layers", metavar="LAYER", nargs="+", help="a layer, or - for standard input")
    parser.add_argument("--permissive", action="store_true", help="list names and members that the policy refuses")


def run(arguments: argparse.Namespace) -> int:
    """List."""
    if len(arguments.layers) > 1:
        list_entries(merged(arguments).entries(), as_json=arguments.json)
        return 0
    policy = wl.Policy.permissive() if arguments.permissive else None
    with wl.LayerReader(source(arguments.layers[0]), policy=policy) as reader:
        list_entries(reader, as_json=arguments.json)
    return 0


def merged(arguments: argparse.Namespace) -> wl.LayerView:
    """Open several layers as one."""
    if arguments.permissive:
        raise Usage("--permissive is for one layer", hint="what the policy refuses cannot be merged")
    if arguments.layers.count("-") > 1:
        raise Usage("standard input can be read once only")
    return wl.LayerView([source(layer) for layer in arguments.layers])


def list_entries(entries: Iterable[wl.Entry], *, as_json: bool) -> None:
    """Print them, below a head for people."""
    if not as_json:
        line(HEAD)
    for entry in entries:
        if as_json:
            json_line(entry_object(entry))
        else:
            for row in rows(entry):
                line(row)


def entry_object(entry: wl.Entry) -> dict[str, Any]:
    """Give everything about an entry as JSON has it; reads all of its data."""
    sha256 = None
    streams = []
    for name, size, file in entry.parts():
        digest = hashlib.sha256()
        while chunk := file.read(CHUNK):
            digest.update(chunk)
        if name is None:
            sha256 = digest.hexdigest()
        else:
            streams.append(json_name("name", encode_name(name)) | {"size": size, "sha256": digest.hexdigest()})
    info = entry.basic_info
    times = {name: getattr(info, name) for name in _TIMES}
    sd = entry.security_descriptor
    fields: dict[str, Any] = json_name("path", entry.raw_name)
    fields |= {
        "kind": entry.kind,
        "size": entry.size,
        "attributes": attribute_names(info.attributes),
    }
    fields |= {name: None if time is None else time.isoformat() for name, time in times.items()}
    fields["filetimes"] = {name: None if time is None else time.ticks for name, time in times.items()}
    fields["sddl"] = None if sd is None else _sddl(sd)
    fields["security_descriptor"] = None if sd is None else bytes(sd).hex()
    fields["reparse"] = _reparse_object(entry)
    fields["extended_attributes"] = [
        json_name("name", ea.raw_name) | {"flags": ea.flags, "value": base64.b64encode(ea.value).decode()}
        for ea in entry.extended_attributes
    ]
    fields["streams"] = streams
    fields |= {"link_name": None} if entry.raw_link_name is None else json_name("link_name", entry.raw_link_name)
    fields["sparse_ranges"] = entry.sparse_ranges
    fields["object_id"] = None if entry.object_id is None else entry.object_id.hex()
    fields["sha256"] = sha256
    return fields


def attribute_names(attributes: int) -> list[str]:
    """Give the Windows names of the bits that are set; a bit without a name as a number.

    >>> attribute_names(0x8000_0021)
    ['READONLY', 'ARCHIVE', '0x80000000']
    """
    bits = [1 << n for n in range(32) if attributes >> n & 1]
    known = wl.FileAttributes.__members__.values()
    return [wl.FileAttributes(bit).name or hex(bit) if bit in known else hex(bit) for bit in bits]


def _sddl(sd: wl.SecurityDescriptor) -> str | None:
    try:
        return sd.to_sddl()
    except wl.WinLayersError:
        return None  # bytes that are no descriptor are carried all the same


def _reparse_object(entry: wl.Entry) -> dict[str, Any] | None:
    raw = entry.raw_reparse_point
    if raw is None:
        return None
    fields: dict[str, Any] = {"tag": None, "print_name": None, "substitute_name": None}
    try:
        point = entry.reparse_point
    except wl.WinLayersError:
        point = None
    if point is not None:
        fields = {"tag": point.tag, "print_name": point.print_name, "substitute_name": point.substitute_name}
    return fields | {"data": raw.hex()}


def rows(entry: wl.Entry) -> Iterator[str]:
    """Give the lines of an entry: its own, and one for each named stream."""
    info = entry.basic_info
    name = escape(entry.name)
    target = _target(entry)
    if target is not None:
        name += f" -> {escape(target)}"
    size = f"{entry.size:,}" if entry.kind == "file" else ""
    time = "" if info.last_write_time is None else info.last_write_time.isoformat()[:-9].replace("T", " ")
    yield f"{entry.kind:<9}  {size:>13}  {_letters(info.attributes):<6}  {time:<19}  {name}"
    for stream, stream_size in _streams(entry):
        yield f"{'stream':<9}  {stream_size:>13,}  {'':<6}  {'':<19}  {escape(entry.name)}:{escape(stream)}"


def _letters(attributes: int) -> str:
    letters = "".join(letter for bit, letter in _LETTERS.items() if attributes & bit)
    return letters + "+" if attributes & ~sum(_LETTERS) else letters


def _target(entry: wl.Entry) -> str | None:
    if entry.raw_link_name is not None:
        return decode_name(entry.raw_link_name)
    try:
        return entry.reparse_point.print_name if entry.reparse_point is not None else None
    except wl.WinLayersError:
        return None


def _streams(entry: wl.Entry) -> Iterator[tuple[str, int]]:
    if entry.streams is not None:
        yield from ((stream.name, stream.size) for stream in entry.streams)
    else:
        yield from ((name, size) for name, size, _ in entry.parts() if name is not None)
