"""Turn a security descriptor from SDDL into binary form, or from binary form into SDDL.

The descriptor is SDDL (`O:BAG:SYD:...`), hexadecimal or base64 text; - for its bytes on standard input; or that of an
entry: LAYER PATH, PATH as in `cat`. With --json all forms, and its parts.
"""

import argparse
import base64
import binascii
import os
import re
from typing import Any

import winlayers as wl
from winlayers.cli.cat import Wanted
from winlayers.cli.errors import NotInLayer, Usage
from winlayers.cli.output import decode_name, escape, json_line, line, source, stdin_bytes, stdout_bytes

_SDDL = re.compile(r"\s*[OGDS]:", re.IGNORECASE)
_HEX = re.compile(r"(0x)?(?:[0-9a-f]{2}[\s:]?)+", re.IGNORECASE)
_LARGEST = 1 << 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.add_argument("descriptor", metavar="SDDL|HEX|BASE64|LAYER", help="a descriptor, or a layer with PATH behind")
    parser.add_argument("path", metavar="PATH", nargs="?", help="the entry of the layer whose descriptor it is")
    parser.add_argument("--domain-sid", metavar="SID", help="the domain that aliases such as DA and DU belong to")
    forms = ("sddl", "hex", "base64", "raw")
    parser.add_argument("--to", choices=forms, help="the form to print; without it SDDL becomes hex, and the rest SDDL")


def run(arguments: argparse.Namespace) -> int:
    """Translate."""
    domain = arguments.domain_sid
    if arguments.path is not None:
        sd, is_text = _of_entry(arguments.descriptor, arguments.path), False
    else:
        sd, is_text = _parse(arguments.descriptor, domain)
    if arguments.json:
        json_line(_object(sd, domain))
        return 0
    form = arguments.to or ("hex" if is_text else "sddl")
    if form == "sddl":
        line(escape(sd.to_sddl(domain)))
    elif form == "hex":
        line(bytes(sd).hex())
    elif form == "base64":
        line(base64.b64encode(bytes(sd)).decode())
    else:
        stdout_bytes().write(bytes(sd))
    return 0


def _parse(text: str, domain: str | None) -> tuple[wl.SecurityDescriptor, bool]:
    """Give the descriptor, and whether it was SDDL."""
    if text == "-":
        return wl.SecurityDescriptor(stdin_bytes().read(_LARGEST)), False
    if _SDDL.match(text):
        return wl.SecurityDescriptor.from_sddl(text.strip(), domain), True
    if _HEX.fullmatch(text.strip()):
        return wl.SecurityDescriptor(bytes.fromhex(re.sub(r"^0x|[\s:]", "", text.strip().lower()))), False
    try:
        return wl.SecurityDescriptor(base64.b64decode(text, validate=True)), False
    except binascii.Error as error:
        hint = "SDDL begins with O:, G:, D: or S:; a layer needs the PATH of an entry behind it"
        raise Usage("neither SDDL nor hexadecimal nor base64", hint=hint) from error


def _of_entry(layer: str, path: str) -> wl.SecurityDescriptor:
    wanted = Wanted.parse(os.fsencode(path))
    best: tuple[int, wl.Entry] | None = None
    with wl.LayerReader(source(layer)) as reader:
        for entry in reader:
            rank = wanted.rank(entry.raw_name)
            if rank is not None and (best is None or rank < best[0]):
                best = (rank, entry)
                if rank == 0:
                    break
    if best is None:
        raise NotInLayer(f"the layer has no {decode_name(wanted.path)}", hint="winlayers ls lists what it has")
    if best[1].security_descriptor is None:
        raise NotInLayer(f"{best[1].name} has no security descriptor of its own")
    return best[1].security_descriptor


def _object(sd: wl.SecurityDescriptor, domain: str | None) -> dict[str, Any]:
    return {
        "sddl": sd.to_sddl(domain),
        "hex": bytes(sd).hex(),
        "base64": base64.b64encode(bytes(sd)).decode(),
        "owner": sd.owner,
        "group": sd.group,
        "control": [bit.name for bit in wl.SecurityControl if bit in sd.control],
        "dacl": _acl(sd.dacl, domain),
        "sacl": _acl(sd.sacl, domain),
    }


def _acl(acl: tuple[wl.Ace, ...] | None, domain: str | None) -> list[dict[str, Any]] | None:
    if acl is None:
        return None
    return [
        {"type": ace.type, "flags": ace.flags, "mask": ace.mask, "sid": ace.sid, "sddl": _ace_text(ace, domain)}
        for ace in acl
    ]


def _ace_text(ace: wl.Ace, domain: str | None) -> str | None:
    try:
        return ace.to_sddl(domain)
    except wl.WinLayersError:
        return None
