"""Every kind of loss and every code of a problem is raised by some work, with its severity; the sets come from Rust."""

import io
import shutil
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path

import codes
import pytest

import winlayers as wl
from builders import member, tar

SETS = codes.sets()
Kinds = set[str]


def stream(id: int, body: bytes = b"", attributes: int = 0, name: str = "") -> bytes:
    """Give a stream of a backup stream."""
    wide = name.encode("utf-16-le")
    numbers = [(id, 4), (attributes, 4), (len(body), 8), (len(wide), 4)]
    return b"".join(number.to_bytes(width, "little") for number, width in numbers) + wide + body


def written(*streams: bytes) -> Kinds:
    writer = wl.LayerWriter(io.BytesIO())
    writer.add_backup_stream("Files/a", wl.BasicInfo(), io.BytesIO(b"".join(streams)))
    return {loss.kind for loss in writer.losses}


def added(name: str = "Files/a", data: bytes | None = None, **fields: object) -> Kinds:
    writer = wl.LayerWriter(io.BytesIO())
    writer.add(wl.Entry(name, **fields), data)  # type: ignore[arg-type]
    return {loss.kind for loss in writer.losses}


def lossless(**fields: object) -> bytes:
    sink = io.BytesIO()
    with wl.LayerWriter(sink, dialect="lossless") as writer:
        writer.add(wl.Entry("Files/a", **fields), None)  # type: ignore[arg-type]
    return sink.getvalue()


def attributes(*names: bytes, flags: int = 0) -> bytes:
    return wl.ExtendedAttribute.encode_list([wl.ExtendedAttribute(name, b"1", flags) for name in names])


def extracted(folder: Path) -> Kinds:
    link = wl.ReparsePoint.symlink("C:\\Windows\\..\\..\\..\\out")
    report = wl.extract(lossless(kind="symlink", reparse_point=link), folder / "layer")
    return {loss.kind for loss in report.losses}


def transported(folder: Path) -> Kinds:
    store = wl.LayerStore(folder / "home", options={"fsync": False, "format": "transport"})
    plain = wl.LayerStore(folder / "home", options={"fsync": False})
    sink = io.BytesIO()
    with wl.LayerWriter(sink) as writer:
        writer.add(wl.Entry("Files/a"), b"1")
        writer.add_hard_link("Files/b", "Files/a")
        info = wl.BasicInfo(creation_time=wl.FileTime(1 << 57), attributes=wl.FileAttributes.HIDDEN)
        writer.add(wl.Entry("Hives/System_Delta", basic_info=info), b"hive")
    plain.apply_diff("base", "", sink.getvalue())
    with store.diff("base") as stream:
        return {loss.kind for loss in stream.losses}


SD = bytes(wl.SecurityDescriptor.from_sddl("O:BA"))
LINK = bytes(wl.ReparsePoint.symlink("a"))
OTHER = wl.ReparsePoint((0x80000017).to_bytes(4, "little") + bytes(4))

LOSSES: dict[str, Callable[[Path], Kinds]] = {
    "attributes": transported,
    "data_stream": lambda _: written(stream(3, SD)),
    "ea_duplicates": lambda _: written(stream(2, attributes(b"A", b"A")), stream(1)),
    "ea_encoding": lambda _: written(stream(2, attributes(b"A") + bytes(4)), stream(1)),
    "ea_flags": lambda _: written(stream(2, attributes(b"A", flags=0x80)), stream(1)),
    "ea_order": lambda _: written(stream(2, attributes(b"B", b"A")), stream(1)),
    "ea_streams": lambda _: written(stream(2), stream(1)),
    "hard_link": transported,
    "implied_directory": transported,
    "link": extracted,
    "link_metadata": lambda _: added(kind="hard_link", link_name="Files/b", security_descriptor=SD),
    "link_name": lambda _: added(kind="symlink", reparse_point=LINK, link_name="other"),
    "reparse_point": lambda _: written(
        stream(3, SD), stream(8, bytes(wl.ReparsePoint.symlink("a", substitute_name="b")))
    ),
    "reparse_tag": lambda _: verified_losses(lossless(kind="reparse", reparse_point=OTHER)),
    "security_descriptor": lambda _: written(stream(3, SD), stream(3, SD), stream(1)),
    "sparse": lambda _: added(data=b"a\0", size=2, sparse_ranges=[(0, 1)]),
    "stream": lambda _: added(data=b"", object_id=bytes(16)),
    "stream_attributes": lambda _: written(stream(1, b"", 2)),
    "stream_name": lambda _: written(stream(1), stream(4, b"", 0, "odd")),
    "stream_order": lambda _: written(stream(2, attributes(b"A")), stream(3, SD), stream(1)),
    "time_range": lambda _: added(data=b"", basic_info=wl.BasicInfo(change_time=wl.FileTime(1))),
    "times": transported,
}
# Raised where a folder of a Windows host is made, in Rust alone: the file whose tests name the kind.
LOSSES_ELSEWHERE = {"duplicate_directory": "rust/src/transport/tests.rs"}


def verified(*members: bytes, tail: bytes = bytes(1024)) -> Kinds:
    return {problem.code for problem in wl.verify_layer(tar(*members, end=False) + tail).problems}


def verified_losses(layer: bytes) -> Kinds:
    return {loss.kind for loss in wl.verify_layer(layer).losses}


def in_hole() -> Kinds:
    ranges: dict[str, str | bytes] = {"WINLAYERS.streams": "1,8,,member,0,0;9,0,,block,0,1,1;9,0,,block,0,2,0"}
    return verified(member(data=b"xy", pax=ranges))


def packed_again(change: Callable[[Path], object]) -> Callable[[Path], Kinds]:
    def work(folder: Path) -> Kinds:
        wl.extract(tar(member("Files", type="5", mode=0o40755), member(data=b"1")), folder / "layer")
        change(folder / "layer" / "Files")
        return {problem.code for problem in wl.pack(folder / "layer", io.BytesIO()).problems}

    return work


def checked(change: Callable[[Path], object], *, reopened: bool = False) -> Callable[[Path], Kinds]:
    def work(folder: Path) -> Kinds:
        store = wl.LayerStore(folder / "home", options={"fsync": False})
        for id in ("base", "child"):
            store.apply_diff(id, "", tar(member("Files", type="5", mode=0o40755)))
        change(folder / "home")
        store = wl.LayerStore(folder / "home", options={"fsync": False}) if reopened else store
        return {problem.code for problem in store.check()}

    return work


def record(values: str) -> Callable[[Path], object]:
    def change(home: Path) -> None:
        connection = sqlite3.connect(home / ".winlayers" / "state.db")
        connection.execute(f"UPDATE layer SET {values} WHERE id = 'child'")
        connection.commit()
        connection.close()

    return change


DIRECTORY: dict[str, str | bytes] = {"MSWINDOWS.fileattr": "16"}

PROBLEMS: dict[str, Callable[[Path], Kinds]] = {
    "attributes_mismatch": lambda _: verified(member(pax=DIRECTORY)),
    "end_blocks": lambda _: verified(member(), tail=b""),
    "hard_link_early": lambda _: verified(member("Files/b", type="1", link="Files/a"), member()),
    "hard_link_target": lambda _: verified(member("Files/b", type="1", link="Files/b")),
    "index_damaged": checked(lambda home: (home / "base" / "layer.index").write_bytes(b""), reopened=True),
    "layer_missing": checked(lambda home: shutil.rmtree(home / "base")),
    "layer_unfinished": checked(record("stage = 'importing', owner = NULL")),
    "layer_unknown": checked(lambda home: (home / "stray").mkdir()),
    "link_mismatch": lambda _: {
        problem.code
        for problem in wl.verify_layer(lossless(kind="symlink", reparse_point=LINK, link_name="other")).problems
    },
    "parent_kind": lambda _: verified(member("Files"), member()),
    "parent_late": lambda _: verified(member(), member("Files", type="5")),
    "parent_missing": lambda _: verified(member()),
    "record_differs": checked(record("parent = 'BASE'")),
    "sidecar_mismatch": packed_again(lambda files: (files / "a").write_bytes(b"2")),
    "sidecar_missing": packed_again(lambda files: (files / "a").unlink()),
    "sidecar_new": packed_again(lambda files: (files.parent / "Hives").mkdir()),
    "sparse_hole": lambda _: in_hole(),
    "stream_name": lambda _: verified(member(), member("Files/a:b:c")),
    "trailing_data": lambda _: verified(member(), tail=bytes(1024) + b"x"),
    "whiteout_form": lambda _: verified(member(".wh.Files")),
}


def test_the_tables_have_every_code() -> None:
    assert LOSSES.keys() | LOSSES_ELSEWHERE.keys() == SETS["LossKind"].keys()
    assert PROBLEMS.keys() == SETS["Flaw"].keys()
    for kind, file in LOSSES_ELSEWHERE.items():
        assert f'"{kind}"' in Path(codes.ROOT, file).read_text(encoding="utf-8"), kind


@pytest.mark.parametrize("kind", LOSSES)
def test_a_kind_of_loss(kind: str, tmp_path: Path) -> None:
    if LOSSES[kind] in (transported, extracted) and sys.platform == "win32":
        pytest.skip("a Windows host loses less here")
    assert kind in LOSSES[kind](tmp_path)
    assert wl.Loss("Files/a", None, kind, "").severity == SETS["LossKind"][kind].severity


@pytest.mark.parametrize("code", PROBLEMS)
def test_a_code_of_a_problem(code: str, tmp_path: Path) -> None:
    assert code in PROBLEMS[code](tmp_path)
    assert wl.Problem(code, "", None, "").severity == SETS["Flaw"][code].severity


@pytest.mark.parametrize(
    ("code", "severity"),
    [("bad_tar", "error"), ("name_reserved", "warning"), ("integrity", "error"), ("of_a_later_version", "error")],
)
def test_the_severity_of_an_error(code: str, severity: str) -> None:
    assert wl.Problem(code, "", None, "").severity == severity


def test_verify_lists_what_writing_would_lose() -> None:
    entries = [
        wl.Entry("Files/a", size=2, sparse_ranges=[(0, 1)], object_id=bytes(16)),
        wl.Entry("Files/b", basic_info=wl.BasicInfo(creation_time=wl.FileTime(1))),
        wl.Entry("Files/c", extended_attributes=[wl.ExtendedAttribute(b"B", b"", 1), wl.ExtendedAttribute(b"A", b"")]),
        wl.Entry("Files/d", streams=[wl.Stream("s", 1)], object_id=bytes(16)),
        wl.Entry("Files/e", kind="symlink", reparse_point=wl.ReparsePoint.symlink("a", substitute_name="b")),
    ]
    sink = io.BytesIO()
    plain = wl.LayerWriter(io.BytesIO())
    with wl.LayerWriter(sink, dialect="lossless") as writer:
        for entry in entries:
            data = None if entry.kind == "symlink" else bytes(entry.size or 0)
            streams = {"s": b"x"} if entry.streams else None
            writer.add(entry, data, streams)
            plain.add(entry, data, streams)
    assert wl.verify_layer(sink.getvalue()).losses == plain.losses
    assert plain.losses
