"""Backup streams of real NTFS files, beside those that Windows gives to calls of our own.

Wine's BackupRead and BackupWrite are stubs, and its file system keeps no streams, EAs, descriptors or reparse points:
under Wine all of this is answered by a double, whose order and header fields are its author's.
"""

import io
import os
import threading
from pathlib import Path

import pytest

import winlayers as wl
from windows_host import ntfs

FILES = ("plain", "empty", "streams", "attributes", "sparse", "identified", "secured", "symlink")
FOLDERS = ("folder", "junction", "folder link")
KINDS = (*FILES, *FOLDERS)
DENIED = "O:BAG:SYD:P(D;;FA;;;WD)"


@pytest.fixture
def things(tmp_path: Path) -> dict[str, Path]:
    return ntfs.make_everything(tmp_path)


def read(path: Path | str) -> bytes:
    with wl.backup.read(path) as stream:
        data: bytes = stream.read()
    return data


@pytest.mark.parametrize("kind", KINDS)
def test_reading_gives_what_backup_read_gives(kind: str, things: dict[str, Path]) -> None:
    """A real host confirms which streams BackupRead gives, in which order, with which attributes in their headers."""
    assert ntfs.parts(read(things[kind])) == ntfs.parts(ntfs.backup_read(things[kind]))


def test_what_is_in_the_streams(things: dict[str, Path]) -> None:
    """A real host confirms that the ids and bodies are those of the documentation: EAs, ids, links, holes."""
    found = {kind: ntfs.parts(read(path)) for kind, path in things.items()}
    named = {part.name.split(":")[1]: len(part.data) for part in found["streams"] if part.id == ntfs.ALTERNATE}
    assert named == {"Zone.Identifier": 26, "größe": 100_000}

    (attributes,) = [part.data for part in found["attributes"] if part.id == ntfs.EA]
    decoded = [(ea.raw_name, ea.value, ea.flags) for ea in wl.ExtendedAttribute.decode_list(attributes)]
    assert decoded == ntfs.extended_attributes(things["attributes"])

    (identity,) = [part.data for part in found["identified"] if part.id == ntfs.OBJECT_ID]
    assert identity[:16] == ntfs.object_id(things["identified"])

    blocks = [(part.sparse_offset, part.data) for part in found["sparse"] if part.id == ntfs.SPARSE_BLOCK]
    ranges = ntfs.allocated_ranges(things["sparse"])
    assert [(at, len(data)) for at, data in blocks if data] == ranges
    assert blocks[0] == (1 << 20, b"a" * 65536)

    for kind in ("symlink", "junction", "folder link"):
        (reparse,) = [part.data for part in found[kind] if part.id == ntfs.REPARSE]
        assert reparse == ntfs.reparse_point(things[kind])
    assert wl.ReparsePoint(ntfs.reparse_point(things["symlink"])).print_name == "plain"
    assert wl.ReparsePoint(ntfs.reparse_point(things["junction"])).kind == "junction"

    (descriptor,) = [part.data for part in found["secured"] if part.id == ntfs.SECURITY]
    assert descriptor.decode() == ntfs.security(things["secured"])


@pytest.mark.parametrize("kind", KINDS)
def test_round_trip(kind: str, things: dict[str, Path], tmp_path: Path) -> None:
    """A real host confirms that BackupWrite takes what BackupRead gave, and that NTFS then holds the same again."""
    copy = tmp_path / "copy"
    if kind in FOLDERS:
        copy.mkdir()
    with wl.backup.read(things[kind]) as stream:
        wl.backup.write(copy, stream)
    assert settled(copy) == settled(things[kind])
    if kind == "sparse":
        assert ntfs.allocated_ranges(copy) == ntfs.allocated_ranges(things[kind])
    if kind in ("symlink", "junction", "folder link"):
        assert ntfs.reparse_point(copy) == ntfs.reparse_point(things[kind])
    assert (tmp_path / "folder" / "inside").read_bytes() == b"inside"


def settled(path: Path) -> list[ntfs.Part]:
    """Give what a copy must have of a file: no object id, which one file of a volume has, and no word on whether its
    entries came by inheritance, which Windows decides anew."""
    parts = [part for part in ntfs.parts(ntfs.backup_read(path)) if part.id != ntfs.OBJECT_ID]
    return [part._replace(data=part.data.replace(b"AI(", b"(")) if part.id == ntfs.SECURITY else part for part in parts]


@pytest.mark.parametrize("dialect", ["go-winio", "lossless"])
def test_through_a_layer(dialect: str, things: dict[str, Path], tmp_path: Path) -> None:
    """A real host confirms that a file is the same after its way through a layer tar: all of it in the lossless
    dialect, all but the losses that were told in go-winio's."""
    sink = tmp_path / "layer.tar"
    with wl.LayerWriter(sink, dialect=dialect) as writer:
        for kind, path in things.items():
            facts = wl.BasicInfo(attributes=path.lstat().st_file_attributes)  # type: ignore[attr-defined, unused-ignore]
            writer.add_backup_stream(f"Files/{kind}", facts, read(path))
        lossy = {loss.path for loss in writer.losses}
    with wl.LayerReader(sink) as reader:
        for entry in reader:
            path = things[entry.name.removeprefix("Files/")]
            if dialect == "lossless" or entry.name not in lossy:
                assert ntfs.parts(entry.backup_stream().read()) == ntfs.parts(ntfs.backup_read(path)), entry.name
    assert dialect == "go-winio" or not lossy


def test_a_system_acl(tmp_path: Path) -> None:
    """A real host confirms that SeSecurityPrivilege is there while a SACL is written and read."""
    plain, audited = tmp_path / "plain", tmp_path / "audited"
    plain.write_bytes(b"x")
    sd = wl.SecurityDescriptor.from_sddl("O:BAG:SYD:P(A;;FA;;;BA)S:P(AU;SAFA;FW;;;WD)")
    stream = tmp_path / "stream"
    with wl.BackupStreamWriter(stream) as writer:
        writer.add(ntfs.SECURITY, bytes(sd), attributes=2)
        writer.add(ntfs.DATA, b"x")
    wl.backup.write(audited, stream.open("rb"))
    found = [header.read() for header in wl.BackupStreamReader(read(audited)) if header.id == ntfs.SECURITY]
    assert wl.SecurityDescriptor(found[0]).sacl == sd.sacl


def test_the_privilege_is_there_for_the_call_and_no_longer(things: dict[str, Path]) -> None:
    """A real host confirms that SeBackupPrivilege opens what the DACL denies, for one thread and one call: Wine checks
    no DACL."""
    path = things["secured"]
    ntfs.set_security(path, DENIED)
    with pytest.raises(PermissionError):
        path.read_bytes()
    stream = wl.backup.read(path)
    with pytest.raises(PermissionError):
        path.read_bytes()
    assert ntfs.parts(stream.read())[-1].data == b"mine"
    stream.close()
    with pytest.raises(PermissionError):
        path.read_bytes()

    refused: list[bool] = []
    stop = threading.Event()

    def look() -> None:
        while not stop.is_set():
            try:
                path.read_bytes()
                refused.append(False)
            except PermissionError:
                refused.append(True)

    other = threading.Thread(target=look)
    other.start()
    for _ in range(50):
        read(path)
    stop.set()
    other.join()
    assert refused
    assert all(refused)


def test_writing_what_is_denied(things: dict[str, Path]) -> None:
    """A real host confirms that SeRestorePrivilege opens for writing what the DACL denies, and gives the owner."""
    path = things["secured"]
    ntfs.set_security(path, DENIED)
    wanted = read(things["plain"])
    wl.backup.write(path, io.BytesIO(wanted))
    assert ntfs.parts(read(path))[-1].data == things["plain"].read_bytes()


NAMES: dict[str, str] = {
    "a device": "con",
    "a dot at the end": "dot.",
    "a space at the end": "space ",
    "an unpaired surrogate": "bad\ud800name",
    "250 characters": "n" * 250,
}


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_names_that_win32_would_mangle(name: str, tmp_path: Path) -> None:
    r"""A real host confirms that such names reach NTFS unchanged; without `\\?\` Windows would make others of them."""
    path = ntfs.verbatim(tmp_path) + "\\" + name
    (tmp_path / "plain").write_bytes(b"data")
    wl.backup.write(path, io.BytesIO(ntfs.backup_read(tmp_path / "plain")))
    assert name in ntfs.names(tmp_path)
    assert ntfs.parts(read(path))[-1].data == b"data"
    os.remove(path)  # noqa: PTH107 # pathlib would take the name apart


def test_a_path_longer_than_260(tmp_path: Path) -> None:
    """A real host confirms long paths, whatever its registry says of them."""
    deep = ntfs.verbatim(tmp_path)
    for _ in range(20):
        deep += "\\" + "d" * 50
        os.mkdir(deep)  # noqa: PTH102
    (tmp_path / "plain").write_bytes(b"data")
    path = deep + "\\file"
    for form in (path, path.removeprefix("\\\\?\\")):
        wl.backup.write(form, io.BytesIO(ntfs.backup_read(tmp_path / "plain")))
        assert ntfs.parts(read(form))[-1].data == b"data"


@pytest.mark.parametrize("closed", [True, False])
def test_a_stream_that_is_not_read_to_its_end(closed: bool, things: dict[str, Path]) -> None:
    """A real host confirms that handle and context of BackupRead go with the object."""
    stream = wl.backup.read(things["plain"])
    assert len(stream.read(100)) == 100
    if closed:
        stream.close()
    else:
        del stream
    with ntfs.opened(things["plain"], ntfs.GENERIC_READ, share=0):
        pass


def test_bad_streams_leave_an_error(tmp_path: Path) -> None:
    """A real host confirms how BackupWrite refuses what is no backup stream, and that the error has its number."""
    for bad in (b"no stream at all" * 10, ntfs.backup_read(__file__)[:-5]):
        with pytest.raises((OSError, wl.WinLayersError)) as raised:
            wl.backup.write(tmp_path / "bad", io.BytesIO(bad))
        assert not isinstance(raised.value, OSError) or raised.value.winerror  # type: ignore[attr-defined, unused-ignore]


def test_what_is_not_there(tmp_path: Path) -> None:
    """A real host confirms errno, winerror and filename of a missing file."""
    with pytest.raises(FileNotFoundError) as raised:
        wl.backup.read(tmp_path / "missing")
    assert raised.value.winerror == 2  # type: ignore[attr-defined, unused-ignore]
    assert "missing" in str(raised.value.filename)
