"""Layers and backup streams through tars and back: identity, or exactly the losses that were told."""

import contextlib
import gzip
import io
import shutil
import subprocess
import warnings
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import winlayers as wl
from builders import Trickle
from winlayers.testing import (
    LayerItem,
    backup_streams,
    basic_infos,
    file_backup_streams,
    layer_items,
    layer_tars,
    layers,
    write_layer,
)

# Each example writes and reads whole layers: fewer of them than of plain values.
few = settings(max_examples=20, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])

Part = tuple[str | None, int, bytes]
Read = tuple[wl.Entry, list[Part], bytes]


def read_layer(source: object, limits: wl.Limits | None = None) -> list[Read]:
    """Everything that a reader gives, read in the order of the archive; a pipe gives parts or backup stream."""
    out = []
    with wl.LayerReader(source, limits=limits) as reader:  # type: ignore[arg-type]
        for entry in reader:
            parts = [(name, size, file.read()) for name, size, file in entry.parts()]
            stream = entry.backup_stream().read() if reader.seekable else b""
            out.append((entry, parts, stream))
    return out


def read_streams(source: object) -> list[bytes]:
    with wl.LayerReader(source) as reader:  # type: ignore[arg-type]
        return [entry.backup_stream().read() for entry in reader]


def from_stream(stream: object, info: wl.BasicInfo, dialect: str = "lossless") -> tuple[bytes, list[wl.Loss]]:
    out = io.BytesIO()
    with wl.LayerWriter(out, dialect=dialect) as writer:
        writer.add_backup_stream("Files/a", info, stream)  # type: ignore[arg-type]
        losses = writer.losses
    return out.getvalue(), losses


@few
@given(backup_streams(), basic_infos(), st.integers(0, 1000))
def test_a_backup_stream_survives_the_lossless_dialect(stream: bytes, info: wl.BasicInfo, seed: int) -> None:
    tar, losses = from_stream(stream, info)
    assert losses == []
    for source in (io.BytesIO(stream), Trickle(stream, seed=seed), Trickle(stream, seed=seed, seekable=True)):
        assert from_stream(source, info)[0] == tar
    for again in (tar, Trickle(tar, seed=seed), Trickle(tar, seed=seed, seekable=True), gzip.compress(tar, 1)):
        (entry,) = wl.LayerReader(again)
        assert entry.basic_info == info
        assert read_streams(again if isinstance(again, bytes) else Trickle(tar, seed=seed)) == [stream]


@few
@given(file_backup_streams(), basic_infos(modern=True))
def test_go_winio_loses_exactly_what_it_says(stream: bytes, info: wl.BasicInfo) -> None:
    try:
        tar, losses = from_stream(stream, info, "go-winio")
    except (wl.RefusedError, wl.FormatError):
        return  # a poisoned writer has no tar: nothing was lost behind anybody's back
    reader = wl.LayerReader(tar)
    found = [(entry.name, entry.basic_info, entry.backup_stream().read()) for entry in reader]
    # BackupRead sets CONTAINS_SECURITY on every security stream; what it says, the id says too.
    plain = [(header.id, header.attributes & ~(2 if header.id == 3 else 0), header.name, header.read())
             for header in wl.BackupStreamReader(stream)]  # fmt: skip
    same = len(found) == 1 and found[0][:2] == ("Files/a", info)
    same = same and plain == [(h.id, h.attributes, h.name, h.read()) for h in wl.BackupStreamReader(found[0][2])]
    assert same == (not losses)


def expected_parts(item: LayerItem) -> list[Part]:
    parts: list[Part] = [] if item.data is None else [(None, len(item.data), item.data)]
    return parts + [(name.decode("utf-8", "surrogatepass"), len(data), data) for name, data in item.streams]


@few
@given(layers())
def test_a_layer_survives_the_lossless_dialect(items: list[LayerItem]) -> None:
    tar = write_layer(items, on_loss="error")
    found = read_layer(tar)
    assert [entry for entry, _, _ in found] == [item.entry for item in items]
    for item, (entry, parts, _) in zip(items, found, strict=True):
        whiteout_or_link = item.entry.kind in {"whiteout", "hard_link"}
        assert parts == ([] if whiteout_or_link else expected_parts(item)), entry


@few
@given(layers())
def test_copying_entries_from_a_reader_changes_no_byte(items: list[LayerItem]) -> None:
    tar = write_layer(items)
    for source in (tar, Trickle(tar)):
        out = io.BytesIO()
        with wl.LayerWriter(out, dialect="lossless") as writer:
            for entry in wl.LayerReader(source):
                writer.add(entry)
        assert out.getvalue() == tar


@few
@given(layer_items(dialect="go-winio"))
def test_an_entry_survives_go_winio_where_no_loss_is_told(item: LayerItem) -> None:
    out = io.BytesIO()
    with wl.LayerWriter(out) as writer:
        writer.add(item.entry, item.data, item.streams or None)
        losses = writer.losses
    found = read_layer(out.getvalue())
    same = len(found) == 1 and found[0][0] == item.entry and found[0][1] == expected_parts(item)
    assert same == (not losses), losses


@few
@given(layer_tars(), st.integers(0, 1000))
def test_every_reader_gives_the_same(tar: bytes, seed: int) -> None:
    whole = read_layer(tar)
    assert read_layer(Trickle(tar, seed=seed, seekable=True)) == whole
    assert read_layer(bytearray(tar)) == whole
    streams = [stream for _, _, stream in whole]
    forward = [Trickle(tar, seed=seed), Trickle(gzip.compress(tar, 1), seed=seed), gzip.compress(tar, 1)]
    for source in forward:
        found = read_layer(source)
        assert [parts for _, parts, _ in found] == [parts for _, parts, _ in whole]
        for (one, _, _), (other, _, _) in zip(found, whole, strict=True):
            for field in ("raw_name", "kind", "basic_info", "security_descriptor", "extended_attributes",
                          "raw_reparse_point", "raw_link_name", "size", "sparse_ranges", "object_id"):  # fmt: skip
                assert getattr(one, field) == getattr(other, field), field
    assert read_streams(Trickle(tar, seed=seed)) == streams


@settings(max_examples=10)
@given(tar=layer_tars())
def test_a_path_reads_as_its_bytes(tar: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("layer")
    path = folder / "layer.tar"
    path.write_bytes(tar)
    assert read_layer(path) == read_layer(str(path)) == read_layer(tar)
    with path.open("rb") as file:
        assert read_layer(file) == read_layer(tar)
    shutil.rmtree(folder)


@pytest.mark.host
@pytest.mark.skipif(shutil.which("zstd") is None, reason="no zstd program")
@settings(max_examples=10)
@given(tar=layer_tars())
def test_zstd_reads_as_what_it_holds(tar: bytes) -> None:
    half = len(tar) // 2
    frames = [subprocess.run(["zstd", "-q", "-c"], input=part, capture_output=True, check=True).stdout
              for part in (tar[:half], tar[half:])]  # fmt: skip
    assert read_streams(b"".join(frames)) == read_streams(tar)


@few
@given(tar=layer_tars(5), data=st.data())
def test_a_damaged_layer_is_read_or_refused(tar: bytes, data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(["flip", "cut", "splice"]))
    at = data.draw(st.integers(0, len(tar) - 1))
    if kind == "flip":
        damaged = tar[:at] + bytes([data.draw(st.integers(0, 255))]) + tar[at + 1 :]
    elif kind == "cut":
        damaged = tar[:at]
    else:
        other = data.draw(st.integers(0, len(tar) - 1))
        damaged = tar[:at] + tar[other:]
    read_or_refuse(damaged)


def read_or_refuse(damaged: bytes, *, pipe: bool = True) -> None:
    """Whatever is wrong with it: an answer, or an error of ours."""
    limits = wl.Limits(member_bytes=1 << 20, total_bytes=1 << 24)
    for source in (damaged, Trickle(damaged)) if pipe else (damaged,):
        with contextlib.suppress(wl.WinLayersError, OSError):
            read_layer(source, limits)


def test_a_small_layer_cut_anywhere_is_read_or_refused() -> None:
    entry = wl.Entry("Files/a", size=3, streams=[wl.Stream("s", 2)], sparse_ranges=[(1, 2)])
    tar = write_layer([LayerItem(entry, b"\0hi", ((b"s", b"hi"),))])
    for end in range(len(tar)):
        read_or_refuse(tar[:end], pipe=end % 97 == 0)


def test_the_path_of_a_loss_is_that_of_its_member(tmp_path: Path) -> None:
    with warnings.catch_warnings(), wl.LayerWriter(tmp_path / "layer.tar") as writer:
        writer.add(wl.Entry("Files\\b", object_id=bytes(16)), b"")
        (loss,) = writer.losses
    assert (loss.path, loss.stream, loss.kind) == ("Files/b", None, "stream")
