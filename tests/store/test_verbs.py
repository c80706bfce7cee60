"""Every operation of the graph driver, from Python."""

import gzip
import hashlib
import io
import json
import pickle
from pathlib import Path
from typing import Any

import pytest

import winlayers as wl
from builders import Trickle
from store.conftest import BASE, layer


def names(folder: str | Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in Path(folder).rglob("*"))


def test_a_layer_comes_out_as_it_came_in(store: wl.LayerStore, tmp_path: Path) -> None:
    file = tmp_path / "layer.tar.gz"
    file.write_bytes(gzip.compress(BASE))
    sources: list[Any] = [BASE, bytearray(BASE), file, str(file), io.BytesIO(BASE), Trickle(BASE), file.open("rb")]
    for number, source in enumerate(sources):
        assert store.apply_diff(f"l{number}", "", source) == len("hellobye")
        with store.diff(f"l{number}") as tar:
            assert tar.read() == BASE
        assert store.info(f"l{number}").diff_id == "sha256:" + hashlib.sha256(BASE).hexdigest()
    sources[-1].close()
    assert not store.check()


def test_info_and_chain(store: wl.LayerStore) -> None:
    store.apply_diff("base", "", BASE)
    store.create("empty", "base")
    store.apply_diff("Child", "BASE", layer("Files/c=1"))
    info = store.info("CHILD")
    assert (info.id, info.parents, info.state, info.mounted) == ("Child", ("base",), "imported", 0)
    base = store.info("base")
    assert base.chain_id == base.diff_id
    text = f"{base.diff_id} {info.diff_id}"
    assert info.chain_id == "sha256:" + hashlib.sha256(text.encode()).hexdigest()
    assert [layer.id for layer in store.layers()] == ["base", "Child", "empty"]
    chain = json.loads(Path(store.metadata("child")["dir"], "layerchain.json").read_text(encoding="utf-8"))
    assert [Path(path).name for path in chain] == ["base"]
    assert store.info("empty") == wl.LayerInfo("empty", ("base",), None, None, None, None, "empty", 0)
    store.apply_diff("empty", "", layer())
    assert store.info("empty").state == "imported"


def test_status_and_names(store: wl.LayerStore, tmp_path: Path) -> None:
    assert store.name == "windowsfilter"
    assert store.home == str(tmp_path / "home")
    assert store.status()[0] == ("Windows", "")
    assert dict(store.status())["Backend"] == "portable"
    assert wl.LayerStore(store.home, "windowsdiff").name == "windowsdiff"
    assert store.metadata("anything/nothing") == {"dir": str(tmp_path / "home" / "nothing")}
    assert repr(store) == f"LayerStore({store.home!r}, 'windowsfilter')"
    assert pickle.loads(pickle.dumps(store)).home == store.home


def test_an_init_parent_makes_a_sandbox(full: wl.LayerStore) -> None:
    full.create("c-init", "base")
    full.create("c", "c-init")
    assert full.info("c").state == "sandbox"
    assert full.info("c").parents == ("base",)


def test_a_sandbox_is_seen_changed_and_exported(full: wl.LayerStore) -> None:
    path = Path(full.get("box"))
    assert names(path) == ["a.txt", "d", "d/b.txt"]
    (path / "a.txt").write_text("changed")
    (path / "new").write_text("new")
    (path / "d" / "b.txt").unlink()
    full.put("box")
    found = {change.path: change for change in full.changes("box")}
    assert found["Files/a.txt"].kind == "modify"
    assert "data" in found["Files/a.txt"].what
    assert found["Files/new"].kind == "add"
    assert found["Files/d/b.txt"] == wl.Change("Files/d/b.txt", "delete")
    assert full.diff_size("box") == len("changednew")
    with full.diff("box", "base") as tar:
        data = tar.read()
    full.apply_diff("again", "base", data)
    with full.mount("again") as seen:
        assert names(seen) == ["a.txt", "d", "new"]
        assert Path(seen, "a.txt").read_text() == "changed"
    for id in ("box", "again"):
        view = full.view(id)
        assert [entry.name for entry in view.entries()] == ["Files", "Files/a.txt", "Files/d", "Files/new"]
        assert view.get("FILES/A.TXT").read() == b"changed"
    assert not full.check()


def test_a_stream_is_copied_to_a_path_or_a_file(full: wl.LayerStore, tmp_path: Path) -> None:
    told: list[tuple[int, int | None]] = []
    with full.diff("base") as tar:
        assert tar.copy_to(tmp_path / "base.tar", lambda *done: told.append(done)) == len(BASE)
    assert (tmp_path / "base.tar").read_bytes() == BASE
    assert told[-1] == (len(BASE), len(BASE))
    sink = io.BytesIO()
    with full.diff("base") as tar:
        assert tar.read(10) == BASE[:10]
        assert tar.copy_to(sink) == len(BASE) - 10
        assert tar.copy_to(sink) == 0
    assert sink.getvalue() == BASE[10:]
    with full.diff("box") as tar, pytest.raises(FileNotFoundError):
        tar.copy_to(tmp_path / "missing" / "box.tar")


def test_gets_are_counted(full: wl.LayerStore) -> None:
    path = full.get("box")
    assert full.get("box") == path
    with full.mount("box") as other:
        assert other == path
        assert full.info("box").mounted == 3
    full.put("box")
    assert full.info("box").mounted == 1
    with pytest.raises(wl.LayerInUseError):
        full.remove("box")
    full.put("box")
    full.put("box")
    assert full.info("box").mounted == 0
    full.remove("box")


def test_a_read_only_view_goes_with_its_last_put(full: wl.LayerStore) -> None:
    mount = full.mount("base")
    assert Path(mount, "a.txt").read_text() == "hello"
    mount.close()
    mount.close()
    assert not Path(mount.path).exists()


def test_changes_of_an_imported_layer(store: wl.LayerStore) -> None:
    store.apply_diff("base", "", BASE)
    store.apply_diff("top", "base", layer("Files/A.TXT=HELLO", "-Files/d", "Files/e=1"))
    found = {change.path: (change.kind, change.what, change.size) for change in store.changes("top", "base")}
    assert found == {
        "Files/A.TXT": ("modify", frozenset({"data"}), 5),
        "Files/d": ("delete", frozenset(), 0),
        "Files/e": ("add", frozenset(), 1),
    }
    assert store.diff_size("top") == 6


def test_a_view_merges_the_chain(store: wl.LayerStore) -> None:
    store.apply_diff("base", "", BASE)
    store.apply_diff("top", "base", layer("Files/D/", "Files/D/c.txt=new", "-Files/a.txt"))
    view = store.view("top")
    assert [entry.name for entry in view.entries("files/D")] == ["Files/d/b.txt", "Files/d/c.txt"]
    assert [entry.name for entry in view.entries(recursive=False)] == ["Files"]
    assert [entry.name for entry in view.entries("Files\\d\\c.txt")] == ["Files/d/c.txt"]
    assert [(name, size) for name, size, _ in view.get("Files/d/c.txt").parts()] == [(None, 3)]
    for path in ("Files/a.txt", "Nothing"):
        with pytest.raises(FileNotFoundError):
            view.get(path)
        with pytest.raises(FileNotFoundError):
            view.entries(path)


def test_hard_links_across_layers(store: wl.LayerStore) -> None:
    store.apply_diff("base", "", BASE)
    sink = io.BytesIO()
    with wl.LayerWriter(sink) as writer:
        writer.add_hard_link("Files/link", "Files/a.txt")
    store.apply_diff("top", "base", sink.getvalue())
    view = store.view("top")
    assert view.get("Files/link", follow=False).kind == "hard_link"
    assert view.get("Files/link").read() == b"hello"
    with store.mount("top") as path:
        assert Path(path, "link").read_text() == "hello"


def test_the_tar_is_put_together_again(store: wl.LayerStore) -> None:
    store.apply_diff("base", "", BASE)
    metadata, again = io.BytesIO(), io.BytesIO()
    wl.tarsplit.disassemble(BASE, metadata)
    with store.diff_getter("base") as getter:
        wl.tarsplit.assemble(metadata.getvalue(), getter, again)
        with pytest.raises(FileNotFoundError):
            getter.open("Files/none")
        with pytest.raises(wl.LayerInUseError):
            store.remove("base")
    assert again.getvalue() == BASE
    with pytest.raises(wl.MisuseError):
        getter.open("Files/a.txt")
    store.remove("base")


def test_a_stream_holds_its_layer(store: wl.LayerStore) -> None:
    store.apply_diff("base", "", BASE)
    stream = store.diff("base")
    buffer = bytearray(100)
    assert (stream.readinto(buffer), bytes(buffer)) == (100, BASE[:100])
    assert (stream.readable(), stream.seekable(), stream.writable(), stream.closed) == (True, False, False, False)
    with pytest.raises(wl.LayerInUseError):
        store.remove("base")
    stream.close()
    stream.close()
    assert stream.closed
    with pytest.raises(wl.MisuseError) as raised:
        stream.read()
    assert raised.value.code == "closed"
    with store.diff("base") as tar, wl.LayerReader(tar) as reader:
        assert [entry.name for entry in reader] == ["Files", "Files/a.txt", "Files/d", "Files/d/b.txt"]
    store.diff("base").read(10)
    store.remove("base")  # the stream that nobody closed went with its last reference


def test_custom_images(tmp_path: Path) -> None:
    image = {"Name": "core", "Version": "1", "Path": "C:\\x\\core", "Size": 5, "CreatedTime": "2016-03-14T00:00:00Z"}
    options = wl.StoreOptions(base_images=json.dumps({"Images": [image]}), fsync=False)
    store = wl.LayerStore(tmp_path, options=options)
    (info,) = store.custom_image_infos()
    id = hashlib.sha384(b"core").hexdigest()[:64]
    assert info == wl.CustomImageInfo(id, "core", "1", "C:\\x\\core", 5, "2016-03-14T00:00:00Z")
    assert store.custom_image_infos() == [info]
    assert pickle.loads(pickle.dumps(info)) == info
    assert Path(store.metadata(id)["dir"], "layerID").read_text() == "core"


def test_progress_is_told_and_its_error_comes_out(store: wl.LayerStore) -> None:
    told: list[tuple[int, int | None]] = []
    big = layer("Files/big=" + "x" * (3 << 20))
    store.apply_diff("one", "", big, lambda done, total: told.append((done, total)))
    assert told[-1] == (len(big), len(big))
    assert len(told) > 3

    def stop(_done: int, _total: int | None) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.apply_diff("two", "", big, stop)
    assert not store.exists("two")
    assert not Path(store.metadata("two")["dir"]).exists()
    store.apply_diff("two", "", big)
    told.clear()
    assert not store.check(progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (2 * len(big), 2 * len(big))
    assert told == sorted(told)
    with pytest.raises(KeyboardInterrupt):
        store.check(progress=stop)


def test_values_are_values() -> None:
    change = wl.Change("Files/a", "modify", frozenset({"data"}), 1)
    assert {change, pickle.loads(pickle.dumps(change))} == {change}
    with pytest.raises(AttributeError):
        change.path = "x"  # type: ignore[misc]
    info = wl.LayerInfo("a", (), None, None, None, None, "empty", 0)
    assert pickle.loads(pickle.dumps(info)) == info
    options = wl.StoreOptions(limits=wl.Limits(entries=5))
    assert pickle.loads(pickle.dumps(options)) == options


def test_limits_of_the_options_count(tmp_path: Path) -> None:
    store = wl.LayerStore(tmp_path, options={"limits": wl.Limits(entries=2), "fsync": False})
    with pytest.raises(wl.LimitExceededError):
        store.apply_diff("base", "", BASE)
    assert store.layers() == []
