"""Readers, writers and values among threads: shared values are safe, a second user of a reader is told so."""

import io
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

import winlayers as wl
from winlayers.testing import LayerItem, write_layer


def layer(count: int) -> bytes:
    return write_layer([LayerItem(wl.Entry(f"Files/{i}", size=100), bytes([i % 256]) * 100) for i in range(count)])


def test_entries_of_one_reader_are_read_by_many_threads() -> None:
    with wl.LayerReader(layer(200)) as reader, ThreadPoolExecutor(8) as pool:
        entries = list(reader)
        assert list(pool.map(wl.Entry.read, entries)) == [bytes([i]) * 100 for i in range(200)]


def test_each_thread_has_a_reader_of_its_own() -> None:
    tar = layer(200)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: [entry.name for entry in wl.LayerReader(tar)], range(16)))
    assert all(names == found[0] for names in found)


class Gate(io.RawIOBase):
    """A source that stops inside `read` until it is let through."""

    def __init__(self, data: bytes) -> None:
        self._data, self.entered, self.let = io.BytesIO(data), threading.Event(), threading.Event()

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        self.entered.set()
        assert self.let.wait(60)
        return self._data.read(size)


def test_a_second_user_is_told_and_does_not_wait() -> None:
    gate = Gate(layer(1))
    gate.let.set()
    reader = wl.LayerReader(gate)
    gate.let.clear()
    gate.entered.clear()
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(lambda: [entry.name for entry in reader])
        if not gate.entered.wait(60) or first.done():
            pytest.fail("the reader asked for nothing")
        try:
            with pytest.raises(wl.MisuseError) as raised:
                next(reader)
            assert raised.value.code == "in_use"
        finally:
            gate.let.set()
        assert first.result(60) == ["Files/0"]


def test_a_writer_that_writes_is_in_use() -> None:
    class Sink(io.RawIOBase):
        codes: list[str] = []  # noqa: RUF012

        def write(self, data: object) -> int:
            with pytest.raises(wl.MisuseError) as raised:
                writer.add_whiteout("Files/b")
            self.codes.append(raised.value.code)
            return len(bytes(data))  # type: ignore[call-overload]

    sink = Sink()
    writer = wl.LayerWriter(sink)
    writer.add(wl.Entry("Files/a"), bytes(1 << 20))
    assert set(sink.codes) == {"in_use"}
