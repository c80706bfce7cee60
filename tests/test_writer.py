"""LayerWriter: what appears, what is lost, and how a writer that is used wrongly says so."""

import io
import tarfile
from pathlib import Path

import pytest

import winlayers as wl
from winlayers.testing import wire

OBJECT_ID = wl.Entry("Files/a", object_id=bytes(16))


def sparse(offset: int, data: bytes) -> list[tuple[wl.StreamHeader, bytes]]:
    """A sparse DATA stream with one block and a closing one."""
    block = wl.StreamHeader(9, 8, 8 + len(data), "", offset)
    return [(wl.StreamHeader(1, 8), b""), (block, data), (wl.StreamHeader(9, 8, 8, "", offset + len(data)), b"")]


def entries(layer: bytes) -> list[wl.Entry]:
    return list(wl.LayerReader(layer))


def test_a_path_appears_on_a_clean_close(tmp_path: Path) -> None:
    path = tmp_path / "layer.tar"
    with wl.LayerWriter(path) as writer:
        writer.add(wl.Entry("Files/a"), b"hi")
        assert not path.exists()
    assert [entry.name for entry in wl.LayerReader(path)] == ["Files/a"]
    assert list(tmp_path.iterdir()) == [path]


def test_a_path_never_appears_behind_an_exception(tmp_path: Path) -> None:
    path = tmp_path / "layer.tar"
    path.write_bytes(b"what was there")

    def fail() -> None:
        with wl.LayerWriter(path) as writer:
            writer.add(wl.Entry("Files/a"), b"hi")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    broken = wl.LayerWriter(path)
    with pytest.raises(wl.RefusedError):
        broken.add(wl.Entry("../a"), b"")
    with pytest.raises(wl.MisuseError) as raised:
        broken.close()
    assert raised.value.code == "poisoned"
    del broken
    assert path.read_bytes() == b"what was there"
    assert list(tmp_path.iterdir()) == [path]


def test_a_poisoned_writer_writes_no_end() -> None:
    out = io.BytesIO()
    writer = wl.LayerWriter(out)
    writer.add(wl.Entry("Files/a"), b"hi")
    for _ in range(2):
        with pytest.raises(wl.WinLayersError):
            writer.add_whiteout("../b")
    with pytest.raises(wl.MisuseError):
        writer.close()
    assert not out.getvalue().endswith(bytes(1024))


def test_a_closed_writer() -> None:
    writer = wl.LayerWriter(io.BytesIO())
    writer.close()
    writer.close()
    assert writer.losses == []
    with pytest.raises(wl.MisuseError) as raised:
        writer.add_whiteout("Files/a")
    assert raised.value.code == "closed"


def test_losses_are_reported() -> None:
    with wl.LayerWriter(io.BytesIO()) as writer:
        writer.add(OBJECT_ID, b"")
        (loss,) = writer.losses
        assert (loss.path, loss.kind, writer.loss_totals) == ("Files/a", "stream", {"stream": 1})
    assert writer.losses == [loss]


def test_a_loss_is_an_error() -> None:
    writer = wl.LayerWriter(io.BytesIO(), on_loss="error")
    with pytest.raises(wl.RefusedError) as raised:
        writer.add(OBJECT_ID, b"")
    assert (raised.value.code, raised.value.member) == ("loss", b"Files/a")


def test_a_loss_is_ignored() -> None:
    with wl.LayerWriter(io.BytesIO(), on_loss="ignore") as writer:
        writer.add(OBJECT_ID, b"")
    assert writer.losses == []


def test_losses_that_nobody_read_are_warned_of_once() -> None:
    writer = wl.LayerWriter(io.BytesIO())
    writer.add(OBJECT_ID, b"")
    with pytest.warns(wl.LossWarning, match="1 losses") as caught:
        writer.close()
    writer.close()  # a second warning would be an error here
    assert len(caught) == 1


@pytest.mark.parametrize("dialect", ["go-winio", "lossless"])
def test_links_and_whiteouts_tell_what_they_cannot_carry(dialect: str) -> None:
    sd = wl.SecurityDescriptor.from_sddl("O:BA")
    attributes = [wl.ExtendedAttribute("A", b"1")]
    info = wl.BasicInfo(attributes=2)
    with wl.LayerWriter(io.BytesIO(), dialect=dialect) as writer:
        writer.add(wl.Entry("Files/l", kind="hard_link", link_name="Files/a", security_descriptor=sd, basic_info=info))
        writer.add(wl.Entry("Files/.wh.b", kind="whiteout", extended_attributes=attributes, basic_info=info))
        assert [(loss.path, loss.kind) for loss in writer.losses] == [
            ("Files/l", "link_metadata"),
            ("Files/.wh.b", "link_metadata"),
            ("Files/.wh.b", "link_metadata"),
        ]


def test_times_of_a_hard_link() -> None:
    early = wl.BasicInfo(creation_time=wl.FileTime(0), attributes=0x20)
    for dialect, kept in (("go-winio", False), ("lossless", True)):
        out = io.BytesIO()
        with wl.LayerWriter(out, dialect=dialect) as writer:
            writer.add_hard_link("Files/l", "Files/a", early)
            assert [loss.kind for loss in writer.losses] == ([] if kept else ["time_range"])
        (entry,) = entries(out.getvalue())
        assert (entry.basic_info == early) == kept


def test_a_directory_is_one_whatever_its_attributes_say() -> None:
    layer = io.BytesIO()
    with wl.LayerWriter(layer, dialect="lossless") as writer:
        writer.add(wl.Entry("Files", kind="directory", basic_info=wl.BasicInfo(attributes=0x20)))
    for source in (layer.getvalue(), Pipe(layer.getvalue())):
        out = io.BytesIO()
        with wl.LayerWriter(out, dialect="lossless") as writer:
            for entry in wl.LayerReader(source):
                writer.add(entry)
        assert out.getvalue() == layer.getvalue()


class Pipe(io.BytesIO):
    def seekable(self) -> bool:
        return False


def test_named_streams_of_a_directory_are_lost_in_go_winio() -> None:
    entry = wl.Entry("Files", kind="directory", streams=[wl.Stream("s", 2)])
    with wl.LayerWriter(io.BytesIO()) as writer:
        writer.add(entry, streams={"s": b"hi"})
        (loss,) = writer.losses
    assert loss.kind == "stream"


def test_ranges_of_no_bytes_say_nothing() -> None:
    out = io.BytesIO()
    ranges = [(0, 2), (4, 0), (6, 1), (7, 0)]
    with wl.LayerWriter(out, dialect="lossless") as writer:
        writer.add(wl.Entry("Files/a", size=9, sparse_ranges=ranges), b"ab\0\0\0\0c\0\0")
    with wl.LayerReader(out.getvalue()) as reader:
        entry = next(reader)
        assert (entry.size, entry.sparse_ranges, entry.read()) == (9, ((0, 2), (6, 1)), b"ab\0\0\0\0c\0\0")


def test_sparse_data_of_a_directory_is_refused_in_go_winio() -> None:
    stream = wire(sparse(0, b"x"))
    writer = wl.LayerWriter(io.BytesIO())
    with pytest.raises(wl.RefusedError) as raised:
        writer.add_backup_stream("Files", wl.BasicInfo(attributes=0x10), stream)
    assert raised.value.code == "stream_order"


@pytest.mark.parametrize("data", [b"ab", b"abcd", io.BytesIO(b"ab"), Pipe(b"ab"), Pipe(b"abcd")])
def test_data_that_does_not_fit_its_size(data: object) -> None:
    writer = wl.LayerWriter(io.BytesIO())
    with pytest.raises(wl.MisuseError) as raised:
        writer.add(wl.Entry("Files/a", size=3), data)  # type: ignore[arg-type]
    assert raised.value.code == "bad_data"


def test_data_for_what_has_none() -> None:
    for entry in (wl.Entry("a", kind="hard_link", link_name="b"), wl.Entry("Files/.wh.a", kind="whiteout")):
        writer = wl.LayerWriter(io.BytesIO())
        with pytest.raises(wl.MisuseError) as raised:
            writer.add(entry, b"x")
        assert raised.value.code == "bad_data"


def test_a_sparse_stream_from_a_pipe_needs_its_size_in_go_winio() -> None:
    stream = wire(sparse(1, b"hi"))
    with pytest.raises(wl.MisuseError) as raised:
        wl.LayerWriter(io.BytesIO()).add_backup_stream("a", wl.BasicInfo(), Pipe(stream))
    assert raised.value.code == "bad_argument"
    out = io.BytesIO()
    with wl.LayerWriter(out, on_loss="ignore") as writer:
        writer.add_backup_stream("a", wl.BasicInfo(), Pipe(stream), size=3)
    (entry,) = wl.LayerReader(out.getvalue())
    assert entry.size == 3


def test_backslashes_become_slashes() -> None:
    out = io.BytesIO()
    with wl.LayerWriter(out) as writer:
        writer.add(wl.Entry("Files\\a"), b"")
        writer.add_hard_link(b"Files\\b", "Files\\a")
        writer.add_whiteout("Files\\c")
    assert [(entry.name, entry.link_name) for entry in entries(out.getvalue())] == [
        ("Files/a", None),
        ("Files/b", "Files/a"),
        ("Files/.wh.c", None),
    ]


def test_pythons_tarfile_reads_it() -> None:
    out = io.BytesIO()
    with wl.LayerWriter(out, dialect="lossless") as writer:
        writer.add(wl.Entry("Files", kind="directory"))
        writer.add(wl.Entry("Files/" + "n" * 200), b"hi")
        writer.add(wl.Entry("Files/l", kind="symlink", link_name="C:\\x"))
    with tarfile.open(fileobj=io.BytesIO(out.getvalue())) as archive:
        found = [(info.name, info.type, info.size) for info in archive]
    assert found == [("Files", b"5", 0), ("Files/" + "n" * 200, b"0", 2), ("Files/l", b"2", 0)]
