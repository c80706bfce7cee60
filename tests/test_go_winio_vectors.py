"""What go-winio did with the same input: every case of its vectors, in both directions, each in its class.

The table is `data/go_winio_classes.json`; `data/README.md` says what its words mean. The list of deviations in
`docs/formats/layer-tar.md` is made from it. `python tests/test_go_winio_vectors.py` prints the table as it is now.
"""

import base64
import hashlib
import io
import json
import posixpath
import sys
import zlib
from pathlib import Path
from typing import Any

import pytest

import winlayers as wl

DATA = Path(__file__).with_name("data")
TABLE: dict[str, dict[str, Any]] = json.loads((DATA / "go_winio_classes.json").read_text(encoding="utf-8"))

# What a time without a record becomes in go-winio: Go's zero time, wrapped in 64-bit nanoseconds.
GO_ABSENT = 48491090211286549
UNIX_EPOCH = 116444736000000000


class Pipe(io.RawIOBase):
    """A stream that cannot seek, as BackupRead gives it."""

    def __init__(self, data: bytes) -> None:
        """Wrap the bytes."""
        self._data = io.BytesIO(data)

    def readable(self) -> bool:
        """Say yes."""
        return True

    def read(self, size: int = -1) -> bytes:
        """Read as a pipe does."""
        return self._data.read(size)


def names(entry: dict[str, Any]) -> str | bytes:
    """Give the name of an entry of a spec."""
    return base64.b64decode(entry["name_b64"]) if "name_b64" in entry else str(entry["name"])


def basic_info(ticks: dict[str, int]) -> wl.BasicInfo:
    """Give the BasicInfo that a spec describes."""
    created, accessed, written, changed = (
        wl.FileTime(ticks[key]) for key in ("creation", "last_access", "last_write", "change")
    )
    return wl.BasicInfo(created, accessed, written, changed, wl.FileAttributes(ticks["attributes"]))


def stream_of(entry: dict[str, Any]) -> bytes:
    """Give the backup stream of an entry of a spec."""
    if "backup_stream_zlib" in entry:
        return zlib.decompress(base64.b64decode(entry["backup_stream_zlib"]))
    return base64.b64decode(entry.get("backup_stream", ""))


def write(spec: dict[str, Any], policy: wl.Policy) -> tuple[bytes, list[str], tuple[str, int] | None]:
    """Write what a spec asks for: the tar, the kinds of loss, and the error code with the entry it came at."""
    sink = io.BytesIO()
    writer = wl.LayerWriter(sink, policy=policy)
    error = None
    for index, entry in enumerate(spec["entries"]):
        try:
            name = names(entry)
            if entry.get("whiteout"):
                folder, base = posixpath.split(str(name).replace("\\", "/"))
                writer.add_whiteout(posixpath.join(folder, base.removeprefix(".wh.")))
            elif entry.get("hardlink"):
                writer.add_hard_link(name, entry["hardlink"], basic_info(entry["basicinfo"]))
            else:
                data = stream_of(entry)
                stream = data if entry.get("seekable") else Pipe(data)
                writer.add_backup_stream(name, basic_info(entry["basicinfo"]), stream, entry.get("size", 0))
        except wl.WinLayersError as e:
            error = (e.code, index)
            break
    losses = sorted({loss.kind for loss in writer.losses})
    if error is None:
        writer.close()
    return sink.getvalue(), losses, error


def written_class(folder: Path) -> dict[str, Any]:
    """Compare what we write with what go-winio wrote."""
    spec = json.loads((folder / "spec.json").read_text(encoding="utf-8"))
    answers = json.loads((folder / "written.json").read_text(encoding="utf-8"))
    refused = [i for i, entry in enumerate(answers["entries"]) if "error" in entry]
    # An error at the end of the archive is one of its last entry.
    go_error = refused[0] if refused else len(spec["entries"]) - 1 if "close_error" in answers else None
    expected = (folder / "out.tar").read_bytes()
    tar, losses, error = write(spec, wl.Policy())
    if error is not None and go_error is not None:
        assert error[1] == go_error, "another entry is refused"
        return {"class": "refuse", "code": error[0]}
    if error is not None:
        # A name that only our policy refuses: without the policy the bytes are the same.
        again, losses, error_again = write(spec, wl.Policy.permissive())
        assert error_again is None
        assert again == expected
        return {"class": "better", "why": [error[0]], "losses": losses}
    assert go_error is None, "go-winio refuses this"
    assert tar == expected
    return {"class": "drop", "losses": losses} if losses else {"class": "same"}


def digest(value: dict[str, Any]) -> str:
    """Give the SHA-256 of bytes that an answer holds whole or as a digest."""
    return str(value.get("sha256") or hashlib.sha256(base64.b64decode(value["b64"])).hexdigest())


def time_differences(info: wl.BasicInfo, go: dict[str, int]) -> set[str]:
    """Name the ways in which our times differ from go-winio's."""
    found = set()
    pairs = {
        "creation": info.creation_time,
        "last_access": info.last_access_time,
        "last_write": info.last_write_time,
        "change": info.change_time,
    }
    for key, ours in pairs.items():
        if ours is None and go[key] in (GO_ABSENT, UNIX_EPOCH if key == "last_write" else go["last_write"]):
            found.add("absent_times")
        elif ours is None or ours.ticks != go[key]:
            wraps = ours is not None and abs(ours.ticks - UNIX_EPOCH) > 2**63 // 100
            found.add("time_range" if wraps else f"{key}: {ours} is not {go[key]}")
    return found


def entry_differences(entry: wl.Entry, go: dict[str, Any]) -> set[str]:
    """Name the ways in which an entry differs from go-winio's."""
    found = set()
    if entry.name != go["name"]:
        same = entry.raw_name.decode("utf-8", "replace").count("�") > 0 and "�" in go["name"]
        found.add("ill_formed_names" if same else f"name {entry.name!r} is not {go['name']!r}")
    if "basicinfo" in go:
        found |= time_differences(entry.basic_info, go["basicinfo"])
        if int(entry.basic_info.attributes) != go["basicinfo"]["attributes"]:
            found.add("attributes differ")
    if "backup_stream" in go:
        stream = entry.backup_stream().read()
        if hashlib.sha256(stream).hexdigest() != digest(go["backup_stream"]):
            if entry.kind == "whiteout" and not stream and go["header_size"] == 0:
                found.add("whiteouts")
            elif go["typeflag"] == "7" and len(stream) > go["backup_stream"]["size"]:
                found.add("contiguous")
            elif b"\xef\xbf\xbd".decode().encode("utf-16-le") in base64.b64decode(go["backup_stream"].get("b64", "")):
                found.add("ill_formed_names")
            else:
                found.add("the backup stream differs")
    return found


def read_class(folder: Path, policy: wl.Policy) -> dict[str, Any]:
    """Compare what we read of a tar with what go-winio read of it."""
    tar = folder / ("out.tar" if (folder / "out.tar").exists() else "in.tar")
    go = json.loads((folder / "expected.json").read_text(encoding="utf-8"))
    answers = go["entries"]
    reader = wl.LayerReader(tar, policy=policy)
    why: set[str] = set()
    refused: list[str] = []
    owed = False
    surprises: list[str] = []
    for answer in answers:
        if answer["typeflag"] == "g":
            why.add("global_header")
            continue
        go_refuses = "fileinfo_error" in answer or "error" in answer
        try:
            entry = next(reader)
            found = entry_differences(entry, answer)
            # Global records apply to the members behind them; go-winio makes an entry of them instead.
            why |= found - {"attributes differ"} if "global_header" in why else found
            # go-winio says with this entry what we say when the next one is asked for.
            owed = owed or go_refuses
        except (wl.FormatError, wl.LimitExceededError) as e:
            refused.append(e.code)
            surprises += [] if go_refuses else [f"go-winio reads {answer['name']}, we do not: {e}"]
        except wl.RefusedError as e:
            why.add(e.code)
    try:
        rest = [entry.name for entry in reader]
        assert not rest, f"go-winio does not see {rest}"
        assert refused or not (owed or go.get("error")), f"go-winio stops: {go}"
    except wl.FormatError as e:
        surprises += [] if go.get("error") or refused or owed else [str(e)]
        refused.append(e.code)
    assert not surprises
    row: dict[str, Any] = {"class": "better" if why else "refuse" if refused else "same"}
    if why:
        row["why"] = sorted(why)
    if refused:
        row["codes"] = sorted(set(refused))
    return row


def classify(folder: Path) -> dict[str, Any]:
    """Give the row of a case."""
    row = {}
    if (folder / "written.json").exists():
        row["write"] = written_class(folder)
    if (folder / "expected.json").exists():
        row["read"] = read_class(folder, wl.Policy())
        if row["read"]["class"] == "better":
            # What only the policy refuses is compared too.
            row["read_permissive"] = read_class(folder, wl.Policy.permissive())
            if row["read_permissive"] == row["read"]:
                del row["read_permissive"]
    return row


def cases(vectors: Path) -> list[Path]:
    """Give the folders of all cases."""
    return sorted(path.parent for path in (vectors / "go-winio").glob("*/spec.json"))


@pytest.mark.parametrize("case", sorted(TABLE))
def test_case(vectors: Path, case: str) -> None:
    """Each case is in the class that the table says, for the reasons that it says."""
    assert classify(vectors / "go-winio" / case) == TABLE[case]


def test_every_case_is_in_the_table(vectors: Path) -> None:
    """No case is left out, and none is made up."""
    assert [path.name for path in cases(vectors)] == sorted(TABLE)


# The closed list of ways to be better: growing it needs a decision record (docs/decisions/).
BETTER = {
    "absent_times",
    "contiguous",
    "global_header",
    "ill_formed_names",
    "member_type",
    "name_colon",
    "name_empty",
    "name_escapes",
    "time_range",
    "whiteouts",
}


def test_better_is_a_closed_list() -> None:
    """Every reason to differ from go-winio is one that was decided on."""
    reasons = {why for row in TABLE.values() for part in row.values() for why in part.get("why", [])}
    assert reasons <= BETTER
    assert {part["class"] for row in TABLE.values() for part in row.values()} == {"same", "drop", "refuse", "better"}


if __name__ == "__main__":
    table = {path.name: classify(path) for path in cases(Path(sys.argv[1]))}
    lines = (f"{json.dumps(case)}: {json.dumps(row)}" for case, row in table.items())
    print("{\n" + ",\n".join(lines) + "\n}")
