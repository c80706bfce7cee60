"""verify_layer: the digest agrees with hashlib, problems have places, bad input never raises."""

import gzip
import hashlib
import io
import os
import pickle
import tarfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import winlayers as wl

VECTORS = Path(os.environ.get("WINLAYERS_VECTORS", Path(__file__).resolve().parents[2] / "shared" / "vectors"))


def sha256(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def layer(*, dialect: str = "go-winio") -> bytes:
    sink = io.BytesIO()
    with wl.LayerWriter(sink, dialect=dialect) as writer:
        writer.add(wl.Entry("Files", kind="directory"))
        writer.add(wl.Entry("Files/a.txt"), b"hello" * 100_000, {"s": b"stream"})
        writer.add_hard_link("Files/b.txt", "Files/a.txt")
        writer.add_whiteout("Files/c.txt")
    return sink.getvalue()


@pytest.mark.parametrize("dialect", ["go-winio", "lossless"])
def test_a_good_layer(dialect: str, tmp_path: Path) -> None:
    tar = layer(dialect=dialect)
    expected = wl.LayerReport(sha256(tar), 4, len(tar), [], [])
    path = tmp_path / "layer.tar"
    path.write_bytes(tar)
    for source in (
        tar,
        path,
        str(path),
        io.BytesIO(tar),
        gzip.compress(tar),
        gzip.compress(tar[:999]) + gzip.compress(tar[999:]),
    ):
        assert wl.verify_layer(source) == expected


def test_a_tar_of_another_tool() -> None:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for name, kind in [
            ("Files", tarfile.DIRTYPE),
            ("Files/a", tarfile.REGTYPE),
            ("Files/A", tarfile.REGTYPE),
            ("etc/x", tarfile.REGTYPE),
        ]:
            info = tarfile.TarInfo(name)
            info.type = kind
            tar.addfile(info)
    report = wl.verify_layer(sink.getvalue())
    assert report.diff_id == sha256(sink.getvalue())
    found = [(problem.code, problem.path, problem.offset) for problem in report.problems]
    assert found == [
        ("case_collision", "Files/A", 1024),
        ("root_unknown", "etc/x", 1536),
        ("parent_missing", "etc/x", 1536),
    ]
    assert report.problem_totals == {"case_collision": 1, "parent_missing": 1, "root_unknown": 1}


def test_what_is_behind_the_archive_counts() -> None:
    tar = layer() + bytes(700) + b"x" + bytes(99)
    report = wl.verify_layer(tar)
    assert (report.diff_id, report.size) == (sha256(tar), len(tar))
    assert [(problem.code, problem.offset) for problem in report.problems] == [("trailing_data", len(tar) - 100)]


def test_a_broken_compression_hides_the_digest() -> None:
    report = wl.verify_layer(gzip.compress(layer())[:-9])
    assert report.diff_id is None
    assert report.problem_totals == {"bad_gzip": 1}


def test_values() -> None:
    report = wl.verify_layer(layer()[:-1024] + b"\xff" * 512)
    assert report.problems
    for value in (report, *report.problems):
        assert pickle.loads(pickle.dumps(value)) == value
        assert hash(pickle.loads(pickle.dumps(value))) == hash(value)
        assert type(value).__name__ in repr(value)
    assert report != wl.verify_layer(layer())
    assert report != 1
    problem = wl.Problem("x", b"Files/\xff", None, "text")
    assert (problem.raw_path, problem.path) == (b"Files/\xff", "Files/\udcff")


def test_progress_and_its_exception() -> None:
    tar = layer() + bytes(5 << 20)
    seen: list[tuple[int, int | None]] = []
    wl.verify_layer(tar, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (len(tar), len(tar))
    assert len(seen) >= 5
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)

    def stop(done: int, total: int | None) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        wl.verify_layer(tar, progress=stop)
    with pytest.raises(KeyboardInterrupt):
        wl.verify_layer(gzip.compress(tar), progress=stop)


def test_bounds() -> None:
    with pytest.raises(wl.LimitExceededError, match="number of entries"):
        wl.verify_layer(layer(), limits=wl.Limits(entries=2))
    bomb = gzip.compress(bytes(64 << 20))
    with pytest.raises(wl.LimitExceededError, match="layer size"):
        wl.verify_layer(bomb, limits=wl.Limits(total_bytes=1 << 20))


def test_many_problems_are_counted_and_some_kept() -> None:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w") as tar:
        for i in range(10_500):
            tar.addfile(tarfile.TarInfo(f"Files/{i}/x"))
    report = wl.verify_layer(sink.getvalue())
    assert len(report.problems) == 10_000
    assert report.problem_totals == {"parent_missing": 10_500}


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_any_bytes_have_a_report(data: st.DataObject) -> None:
    tar = bytearray(layer())
    for at in data.draw(st.lists(st.integers(0, len(tar) - 1), max_size=4)):
        tar[at] = data.draw(st.integers(0, 255))
    cut = bytes(tar[: data.draw(st.integers(0, len(tar)))])
    report = wl.verify_layer(cut)
    if not cut.startswith((b"\x1f\x8b", b"\x28\xb5\x2f\xfd")):
        assert (report.diff_id, report.size) == (sha256(cut), len(cut))


@pytest.mark.skipif(not (VECTORS / "tar").is_dir(), reason="other tools' data is not here")
def test_other_tools_tars() -> None:
    seen = 0
    for path in sorted((VECTORS / "tar").rglob("*.tar")):
        if path.stat().st_size < 1 << 24:
            report = wl.verify_layer(path)
            assert report.diff_id == sha256(path.read_bytes()), path
            seen += 1
    assert seen
