"""Stores of other forms: the diff flavour's plain files, transport folders ("TP4"), and homes from a Windows host."""

import gzip
import io
import json
import struct
import tarfile
from pathlib import Path

import pytest

import winlayers as wl
from store.conftest import BASE, layer

ARCHIVE, DIRECTORY = 0x20, 0x10


def stream(attributes: int, data: bytes | None) -> bytes:
    """Give a file of a transport folder: attributes, then a backup stream (MS-BKUP)."""
    parts = struct.pack("<I", attributes)
    return parts if data is None else parts + struct.pack("<IIQI", 1, 0, len(data), 0) + data


FOLDER = {
    "Files": None,
    "Files.$wcidirs$": stream(DIRECTORY, None),
    "Files/a.txt": stream(ARCHIVE | 1, b"hello"),
    "Files/d": None,
    "Files/d.$wcidirs$": stream(DIRECTORY | 2, None),
    "Files/d/b": stream(ARCHIVE, b""),
    "Hives": None,
    "Hives.$wcidirs$": stream(DIRECTORY, None),
    "Hives/Software_Delta": b"regf",
    "tombstones.txt": b"\xef\xbb\xbfVersion 1.0\n\\old.txt\n",
}


def plain(members: dict[str, bytes | None]) -> bytes:
    """Give a plain tar; None is a directory."""
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            if data is None:
                info.type, info.mode = tarfile.DIRTYPE, 0o755
            else:
                info.size = len(data)
            tar.addfile(info, io.BytesIO(data or b""))
    return sink.getvalue()


def members_of(tar: bytes) -> dict[str, bytes | None]:
    with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
        return {
            member.name: None if member.isdir() else archive.extractfile(member).read()  # type: ignore[union-attr]
            for member in archive
        }


def whole(store: wl.LayerStore, layer_id: str) -> bytes:
    with store.diff(layer_id) as tar:
        return tar.read()


def files_of(home: Path) -> set[str]:
    return {path.relative_to(home).as_posix() for path in home.rglob("*") if ".winlayers" not in path.parts}


def put(folder: Path, files: dict[str, bytes | None]) -> None:
    for name, data in files.items():
        path = folder / name
        if data is None:
            path.mkdir(parents=True)
        else:
            path.write_bytes(data)


# The transport form


@pytest.fixture
def tp4(tmp_path: Path) -> wl.LayerStore:
    return wl.LayerStore(tmp_path / "tp4", options={"fsync": False, "format": "transport"})


def test_a_transport_folder_comes_out_as_it_came_in(tp4: wl.LayerStore) -> None:
    tp4.apply_diff("base", "", layer_tp4 := plain(FOLDER))
    assert members_of(whole(tp4, "base")) == FOLDER
    assert not list(Path(tp4.home, ".winlayers", "staging").iterdir())
    entries = {entry.name: entry for entry in tp4.view("base").entries()}
    assert entries["Files/a.txt"].read() == b"hello"
    assert entries["Files/a.txt"].basic_info.attributes == ARCHIVE | 1
    assert entries["Files/d"].basic_info.attributes == DIRECTORY | 2
    assert entries["Hives/Software_Delta"].read() == b"regf"
    with tp4.diff_getter("base") as getter:
        assert getter.open("Files/a.txt").read() == FOLDER["Files/a.txt"]
        with pytest.raises(FileNotFoundError):
            getter.open("Files/none")
    with tp4.diff("base") as tar:
        assert tar.losses == []
        again = tar.read()
    # The tar is a canonical one: made again it has the same bytes.
    tp4.apply_diff("again", "", again)
    assert whole(tp4, "again") == again
    assert layer_tp4 != again


def test_another_form_of_the_same_store(tp4: wl.LayerStore) -> None:
    tp4.apply_diff("base", "", plain(FOLDER))
    layers = wl.LayerStore(tp4.home, options={"fsync": False})
    with wl.LayerReader(whole(layers, "base")) as reader:
        assert "Files/.wh.old.txt" in {entry.name for entry in reader}
    layers.apply_diff("top", "base", layer("Files/a.txt=new", "-Files/d"))
    got = members_of(whole(tp4, "top"))
    assert got["Files/a.txt"] == stream(ARCHIVE, b"new") or b"new" in (got["Files/a.txt"] or b"")
    assert b"\\d\n" in (got["tombstones.txt"] or b"")


def test_what_a_transport_folder_cannot_hold_is_told(tp4: wl.LayerStore) -> None:
    sink = io.BytesIO()
    with wl.LayerWriter(sink) as writer:
        writer.add(wl.Entry("Files", kind="directory"))
        writer.add(wl.Entry("Files/a"), b"data")
        writer.add_hard_link("Files/b", "Files/a")
    wl.LayerStore(tp4.home, options={"fsync": False}).apply_diff("links", "", sink.getvalue())
    with tp4.diff("links") as tar:
        assert ("Files/b", "hard_link") in {(loss.path, loss.kind) for loss in tar.losses}


def test_sandboxes_are_exported_as_transport_folders(tp4: wl.LayerStore) -> None:
    tp4.apply_diff("base", "", plain(FOLDER))
    tp4.create_read_write("box", "base")
    with tp4.mount("box") as path:
        Path(path, "new").write_bytes(b"new")
        Path(path, "a.txt").chmod(0o666)  # Windows deletes nothing that is read-only
        Path(path, "a.txt").unlink()
        got = members_of(whole(tp4, "box"))
    assert (got["Files/new"] or b"").endswith(b"new")
    assert b"\\a.txt\n" in (got["tombstones.txt"] or b"")
    tp4.remove("box")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"tombstones.txt": None}, "member_type"),
        ({"Other": None}, "root_unknown"),
        ({"../x": b""}, "name_escapes"),
        ({"Files/a.txt": b"\x20"}, "bad_transport"),
    ],
)
def test_a_bad_transport_folder_leaves_nothing(tp4: wl.LayerStore, change: dict[str, bytes | None], code: str) -> None:
    tp4.create("empty", "")
    before = files_of(Path(tp4.home))
    for target in ("new", "empty"):
        with pytest.raises(wl.WinLayersError) as raised:
            tp4.apply_diff(target, "", plain(FOLDER | change))
        assert raised.value.code == code
    assert files_of(Path(tp4.home)) == before
    assert not list(Path(tp4.home, ".winlayers", "staging").iterdir())
    assert tp4.check() == []
    tp4.apply_diff("empty", "", plain(FOLDER))


@pytest.mark.parametrize("cut", [1, 8, 20])
def test_what_a_tar_came_in_is_read_to_its_end(tp4: wl.LayerStore, diff: wl.LayerStore, cut: int) -> None:
    layers = wl.LayerStore(Path(tp4.home).with_name("layers"), options={"fsync": False})
    for store, tar in ((layers, BASE), (tp4, plain(FOLDER)), (diff, plain(DISK))):
        packed = gzip.compress(tar)
        with pytest.raises(wl.FormatError) as raised:
            store.apply_diff("disk", "", packed[:-cut])
        assert raised.value.code == "bad_gzip"
        assert not store.exists("disk")
        store.apply_diff("disk", "", packed)


def test_a_form_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(wl.MisuseError, match="transport"):
        wl.LayerStore(tmp_path, options={"format": "tp5"})


# The diff flavour


@pytest.fixture
def diff(tmp_path: Path) -> wl.LayerStore:
    return wl.LayerStore(tmp_path / "diff", "windowsdiff", options={"fsync": False})


DISK = {"disk": None, "disk/sandbox.vhd": b"conectix", "disk/sub": None, "disk/sub/x": b"1"}


def test_a_plain_tar_becomes_the_folder_of_its_layer(diff: wl.LayerStore) -> None:
    assert diff.apply_diff("disk", "", plain(DISK)) == 9
    folder = Path(diff.metadata("disk")["dir"])
    assert (folder / "sandbox.vhd").read_bytes() == b"conectix"
    assert diff.info("disk").state == "folder"
    assert members_of(whole(diff, "disk")) == {name: data for name, data in DISK.items() if name != "disk"}
    assert [(change.kind, change.path) for change in diff.changes("disk")] == [
        ("add", "sandbox.vhd"),
        ("add", "sub"),
        ("add", "sub/x"),
    ]
    assert diff.diff_size("disk") == 9
    with diff.mount("disk") as path:
        assert Path(path) == folder
        with pytest.raises(wl.LayerInUseError):
            diff.remove("disk")
    with pytest.raises(wl.LayerExistsError):
        diff.apply_diff("disk", "", plain(DISK))
    # An empty layer is filled, in any spelling of its name.
    diff.create("Child", "disk")
    diff.apply_diff("Child", "", plain({"CHILD/x": b"2"}))
    assert diff.info("Child").parents == ("disk",)
    assert members_of(whole(diff, "Child")) == {"Child/x": b"2"}
    assert diff.check() == []
    diff.remove("Child")
    diff.remove("disk")
    assert files_of(Path(diff.home)) == set()


@pytest.mark.parametrize(
    ("members", "code"),
    [
        ({"disk/x": b"", "other/x": b""}, "name_escapes"),
        ({"x": b""}, "name_escapes"),
        ({"disk": b""}, "name_escapes"),
        ({"disk/../other/x": b""}, "name_escapes"),
        ({"disk/x": b"", "disk/layer.index": b""}, "target_exists"),
        ({"disk/x": b"", "disk/LayerChain.JSON": b"[]"}, "target_exists"),
        ({".winlayers/state.db": b""}, "name_escapes"),
        ({"disk/x": b"", "disk/x/y": b""}, "link_escapes"),
    ],
)
def test_a_plain_tar_stays_below_its_layer(diff: wl.LayerStore, members: dict[str, bytes | None], code: str) -> None:
    diff.create("Disk", "")
    before = files_of(Path(diff.home))
    with pytest.raises(wl.WinLayersError) as raised:
        diff.apply_diff("disk", "", plain(members))
    assert raised.value.code == code
    assert files_of(Path(diff.home)) == before
    assert diff.info("disk").state == "empty"
    assert diff.check() == []


def test_an_image_is_not_for_the_diff_flavour(diff: wl.LayerStore, tmp_path: Path) -> None:
    with pytest.raises(wl.UnsupportedOperationError):
        diff.import_image(tmp_path)


# A home that was copied from a Windows host


def test_layers_of_a_windows_host(tmp_path: Path) -> None:
    home = tmp_path / "windowsfilter"
    for name in ("base", "child", "top"):
        (home / name).mkdir(parents=True)
    put(home / "base", {"Files": None, "Files/a.txt": b"plain", "Hives": None})
    put(home / "child", FOLDER)
    put(home / "top", FOLDER | {"Files/new": stream(ARCHIVE, b"new")})
    chains = {"child": [], "top": [r"C:\ProgramData\docker\windowsfilter\child"]}
    for name, chain in chains.items():
        (home / name / "layerchain.json").write_text(json.dumps(chain))
    store = wl.LayerStore(home, options={"fsync": False})
    assert {info.id: info.state for info in store.layers()} == {"base": "folder", "child": "folder", "top": "folder"}
    assert store.info("top").parents == ("child",)
    assert store.view("top").get("Files/new").read() == b"new"
    assert [change.path for change in store.changes("top") if change.kind == "add"] == ["Files/new"]
    with wl.LayerReader(whole(store, "child")) as reader:
        assert {entry.name for entry in reader} >= {"Files/a.txt", "Files/d/b", "Files/.wh.old.txt"}
    store.create_read_write("box", "top")
    with store.mount("box") as path:
        assert Path(path, "a.txt").read_bytes() == b"hello"
    # A base layer's metadata was in the host's file system.
    for look in (store.view, whole_of(store), store.mount):
        with pytest.raises(wl.UnsupportedOperationError, match="metadata"):
            look("base")
    with pytest.raises(wl.LayerExistsError):
        store.apply_diff("base", "", BASE)
    store.remove("base")


def whole_of(store: wl.LayerStore):  # type: ignore[no-untyped-def]
    return lambda layer_id: whole(store, layer_id)
