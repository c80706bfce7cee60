#!/usr/bin/env python3
"""Write the list of deviations from go-winio into docs/formats/layer-tar.md, from tests/data/go_winio_classes.json."""

import json
import sys
from pathlib import Path

import codes

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "formats" / "layer-tar.md"
TABLE = ROOT / "tests" / "data" / "go_winio_classes.json"
BEGIN, END = "<!-- deviations: made by tools/deviations.py -->\n", "<!-- end of deviations -->\n"

BETTER = {
    "absent_times": "a time without a record is `None`, not a date that was made up",
    "contiguous": "members of type `7` and `S` are files with their data",
    "global_header": "a global header applies to what follows, and is no entry",
    "ill_formed_names": "names that are not UTF-8, or hold lone surrogates, are carried as they are",
    "member_type": "devices are refused; `Policy(allow_devices=True)` reads them as empty files",
    "name_colon": "a colon that names no stream of the member before is refused by the default policy",
    "name_empty": "empty names are refused by the default policy",
    "name_escapes": "names that leave the layer are refused by the default policy",
    "time_range": "a time outside 1677 to 2262 does not wrap around",
    "whiteouts": "whiteouts are a kind of their own, without streams",
}
REFUSED = {
    "bad_backup_stream": "a stream that is cut off, or whose header lies",
    "bad_data": "data that is shorter or longer than the size that was given",
    "bad_extended_attributes": "a list of extended attributes that does not parse",
    "bad_layer_tar": "records that do not parse",
    "bad_reparse_point": "a reparse buffer that does not parse, where go-winio panics on some",
    "bad_sddl": "SDDL that does not parse",
    "bad_tar": "framing that is broken",
    "name_nul": "a NUL in a name",
    "pax_key": "an extended attribute whose name no PAX key can hold",
    "reparse_tag": "reparse points other than symlinks, junctions and LX symlinks",
    "stream_order": "streams in places where go-winio does not take them: after the data, among sparse blocks, ...",
}


def deviations() -> str:
    """Make the list."""
    rows = json.loads(TABLE.read_text(encoding="utf-8")).values()
    lost = {kind: code.meaning for kind, code in codes.sets()["LossKind"].items()}
    same = sum(all(part["class"] == "same" for part in row.values()) for row in rows)
    losses: dict[str, int] = {}
    better: dict[str, int] = {}
    refused: dict[str, int] = {}
    for row in rows:
        for kinds, key in ((losses, "losses"), (better, "why")):
            for kind in {kind for part in row.values() for kind in part.get(key, ())}:
                kinds[kind] = kinds.get(kind, 0) + 1
        both = {code for part in row.values() for code in part.get("codes", ())}
        both |= {part["code"] for part in row.values() if "code" in part}
        for code in both:
            refused[code] = refused.get(code, 0) + 1
    return "\n".join(
        [
            f"Of {len(rows)} cases of go-winio's own answers, {same} are the same in both directions. The others:",
            "",
            *_table("what go-winio loses, and we say so", "loss", losses, lost),
            *_table("what both refuse", "code", refused, REFUSED),
            *_table("what we do better, a closed list", "reason", better, BETTER),
        ]
    )


def _table(title: str, head: str, counts: dict[str, int], texts: dict[str, str]) -> list[str]:
    lines = [f"{title[0].upper()}{title[1:]}:", "", f"| {head} | cases | what |", "| --- | ---: | --- |"]
    return [*lines, *(f"| `{kind}` | {counts[kind]} | {texts[kind]} |" for kind in sorted(counts)), ""]


def page() -> str:
    """Give the page as it should be."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + BEGIN + "\n" + deviations() + "\n" + END + after


if __name__ == "__main__":
    if "--check" not in sys.argv:
        PAGE.write_text(page(), encoding="utf-8", newline="\n")
    elif page() != PAGE.read_text(encoding="utf-8"):
        sys.exit(f"error: {PAGE} is not up to date: run tools/deviations.py")
