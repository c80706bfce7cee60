"""The works of winlayers, all through its public Python API."""

import gc
import io
import json
import os
from pathlib import Path

import fold
import winlayers as wl
from harness import WORK
from harness.works.standard import Sink, nothing

BUFFER = bytearray(1 << 18)
VIEW = memoryview(BUFFER)


def iterate(request):
    def run():
        count = names = sizes = 0
        with wl.LayerReader(request["tar"]) as reader:
            for entry in reader:
                info = entry.basic_info
                _ = (info.creation_time, info.last_access_time, info.last_write_time, info.change_time, info.attributes)
                _ = (entry.name, entry.kind, entry.security_descriptor, entry.extended_attributes, entry.reparse_point)
                _ = (entry.link_name, entry.sparse_ranges, entry.object_id, entry.streams)
                names += len(entry.raw_name)
                sizes += entry.size
                count += 1
        return f"{count} entries, {names} bytes of names, {sizes} bytes"

    return run


def to_streams(request):
    def run():
        count = 0
        with wl.LayerReader(request["tar"]) as reader:
            for entry in reader:
                count += 1
                if entry.kind == "hard_link":
                    continue
                stream = entry.backup_stream()
                while size := stream.readinto(BUFFER):
                    fold.fold(VIEW[:size])
        return count

    return run


HELD: dict[str, list] = {}


def from_streams(request):
    """From streams held in memory, or else from the file of streams, to see what memory the writer takes."""
    streams = Path(request["streams"])
    if request.get("held") and request["streams"] not in HELD:
        with streams.open("rb") as file:
            entries = list(described(request["index"]))
            HELD[request["streams"]] = [(*entry[:3], file.read(entry[5]), *entry[4:]) for entry in entries]
        gc.freeze()  # what the harness holds is nothing that a measured collection should walk

    def run():
        count = 0
        with streams.open("rb", buffering=0) as file, wl.LayerWriter(Sink()) as writer:
            entries = HELD.get(request["streams"]) or described(request["index"])
            for name, target, info, data, offset, length, size in entries:
                count += 1
                if target:
                    writer.add_hard_link(name, target, info)
                    continue
                stream = data if data is not None else Window(file.fileno(), offset, length)
                writer.add_backup_stream(name, info, stream, size)
        return count

    return run


def described(index):
    """Name, target, times and attributes of each entry, and where its stream lies."""
    with Path(index).open(encoding="utf-8") as lines:
        for text in lines:
            line = json.loads(text)
            times = [wl.FileTime(ticks) for ticks in line["times"]]
            info = wl.BasicInfo(*times, wl.FileAttributes(line["attributes"]))
            yield line["name"], line.get("target"), info, None, line["offset"], line["length"], line["size"]


class Window(io.RawIOBase):
    """A part of a file, as a file."""

    def __init__(self, descriptor, offset, length):
        self.descriptor, self.offset, self.length, self.place = descriptor, offset, length, 0

    def readable(self):
        return True

    def seekable(self):
        return True

    def tell(self):
        return self.place

    def seek(self, offset, whence=os.SEEK_SET):
        self.place = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self.place, os.SEEK_END: self.length}[whence]
        return self.place

    def readinto(self, buffer):
        view = memoryview(buffer)[: max(0, self.length - self.place)]
        size = os.preadv(self.descriptor, [view], self.offset + self.place) if len(view) else 0
        self.place += size
        return size


def verify(request):
    def run():
        report = wl.verify_layer(request["tar"])
        assert not report.problems, report.problems
        return str(report.diff_id).removeprefix("sha256:")

    return run


def split(request):
    if request.get("gzip"):
        target = WORK / "metadata.ndjson.gz"
        return lambda: wl.tarsplit.disassemble(request["tar"], target).files
    return lambda: wl.tarsplit.disassemble(request["tar"], Sink()).files


def join(request):
    return lambda: wl.tarsplit.assemble(request["metadata"], request["tree"], Sink()).files


def pack(request):
    return packed(request["tree"], Sink())


def pack_gzip(request):
    return packed(request["tree"], Sink(), "gzip")


def pack_zstd(request):
    return packed(request["tree"], Sink(), "zstd")


def pack_to_file(request):
    return packed(request["tree"], request["output"])


def packed(tree, sink, compression=None):
    return lambda: wl.pack(tree, sink, compression=compression).entries


WORKS = {
    "nothing": nothing,
    "iterate": iterate,
    "to_streams": to_streams,
    "from_streams": from_streams,
    "verify": verify,
    "split": split,
    "join": join,
    "pack": pack,
    "pack_to_file": pack_to_file,
    "pack_gzip": pack_gzip,
    "pack_zstd": pack_zstd,
}
