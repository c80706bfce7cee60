"""Each thing that keeps a store from its work, by its code; and the store is as it was."""

import json
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

import winlayers as wl
from store.conftest import BASE, layer


def options(**fields: object) -> Callable[[wl.LayerStore], object]:
    return lambda store: wl.LayerStore(store.home, options=fields)


def chain(store: wl.LayerStore, paths: list[str]) -> None:
    Path(store.metadata("base")["dir"], "layerchain.json").write_text(json.dumps(paths), encoding="utf-8")


def broken_chain(store: wl.LayerStore) -> object:
    chain(store, ["C:\\gone"])
    try:
        return store.get("base")
    finally:
        chain(store, [])


def damaged(store: wl.LayerStore) -> object:
    index = Path(store.metadata("base")["dir"], "layer.index")
    whole = index.read_bytes()
    index.write_bytes(b"no index" * 100)
    try:
        return wl.LayerStore(store.home).view("base")
    finally:
        index.write_bytes(whole)


def held(store: wl.LayerStore) -> None:
    with store.diff("base"):
        store.remove("lonely-init")
        store.remove("box")
        store.remove("base")


def later_version(store: wl.LayerStore) -> None:
    other = Path(store.home).with_name("other")
    # What copytree does of itself Wine does not have.
    shutil.copytree(store.home, other, copy_function=shutil.copyfile)
    connection = sqlite3.connect(other / ".winlayers" / "state.db")
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    wl.LayerStore(other)


def home_is_a_file(store: wl.LayerStore) -> None:
    file = Path(store.home).with_name("file")
    file.write_text("x")
    wl.LayerStore(file)


RAISES: list[tuple[str, type[wl.WinLayersError], Callable[[wl.LayerStore], object]]] = [
    ("layer_not_found", wl.LayerNotFoundError, lambda store: store.info("none")),
    ("layer_not_found", wl.LayerNotFoundError, lambda store: store.create("x", "none")),
    ("layer_not_found", wl.LayerNotFoundError, lambda store: store.remove("none")),
    ("layer_not_found", wl.LayerNotFoundError, lambda store: store.get("none")),
    ("layer_not_found", wl.LayerNotFoundError, lambda store: store.put("none")),
    ("layer_exists", wl.LayerExistsError, lambda store: store.create("BASE")),
    ("layer_exists", wl.LayerExistsError, lambda store: store.apply_diff("base", "", BASE)),
    ("layer_in_use", wl.LayerInUseError, held),
    ("has_children", wl.LayerInUseError, lambda store: store.remove("base")),
    ("wrong_parent", wl.StoreError, lambda store: store.diff("box", "lonely-init")),
    ("wrong_parent", wl.StoreError, lambda store: store.changes("base", "base")),
    ("no_parent", wl.StoreError, lambda store: store.create_read_write("x", "")),
    ("no_parent", wl.StoreError, lambda store: store.create("x", "lonely-init")),
    ("wrong_kind", wl.StoreError, lambda store: store.apply_diff("box", "", BASE)),
    ("wrong_kind", wl.StoreError, lambda store: store.create("x", "box")),
    ("bad_layer_id", wl.StoreError, lambda store: store.create("..")),
    ("bad_layer_id", wl.StoreError, lambda store: store.create("a:b")),
    ("bad_layer_id", wl.StoreError, lambda store: store.create("x/")),
    ("bad_layer_id", wl.StoreError, lambda store: store.create(".winlayers")),
    ("layer_damaged", wl.StoreDamagedError, damaged),
    ("bad_chain", wl.StoreDamagedError, broken_chain),
    ("home_version", wl.StoreError, later_version),
    ("home_unsupported", wl.StoreError, home_is_a_file),
    ("unsupported", wl.UnsupportedOperationError, lambda store: wl.LayerStore(store.home, backend="hcs")),
    ("unsupported", wl.UnsupportedOperationError, lambda store: store.create_read_write("x", "base", 1 << 30)),
    ("bad_argument", wl.MisuseError, lambda store: wl.LayerStore(store.home, "overlay2")),
    ("bad_argument", wl.MisuseError, lambda store: wl.LayerStore(store.home, backend="zfs")),
    ("bad_argument", wl.MisuseError, options(fsink=True)),
    ("bad_tar", wl.FormatError, lambda store: store.apply_diff("x", "", b"no tar" * 200)),
    ("bad_tar", wl.FormatError, lambda store: store.apply_diff("x", "", BASE[:1100])),
    ("bad_gzip", wl.FormatError, lambda store: store.apply_diff("x", "", b"\x1f\x8b\x08\x00" + b"\xff" * 99)),
    ("case_collision", wl.RefusedError, lambda store: store.apply_diff("x", "", layer("Files/a", "Files/A"))),
]


@pytest.mark.parametrize(("code", "kind", "call"), RAISES, ids=[f"{n}-{row[0]}" for n, row in enumerate(RAISES)])
def test_a_code(
    full: wl.LayerStore, code: str, kind: type[wl.WinLayersError], call: Callable[[wl.LayerStore], object]
) -> None:
    full.create("lonely-init")
    with pytest.raises(kind) as raised:
        call(full)
    assert raised.value.code == code
    assert type(raised.value) is kind
    if code in ("layer_not_found", "layer_exists", "layer_in_use", "has_children", "layer_damaged", "bad_chain"):
        assert isinstance(raised.value, wl.StoreError)
        assert raised.value.layer
    assert not full.exists("x")
    assert not (Path(full.home) / "x").exists()
    assert not full.check()
    assert not list((Path(full.home) / ".winlayers" / "tmp").iterdir())


def test_options_of_another_type(store: wl.LayerStore) -> None:
    with pytest.raises(TypeError):
        wl.LayerStore(store.home, options=5)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        wl.LayerStore(store.home, options={"fsync": "yes"})


def test_check_finds_and_repairs(full: wl.LayerStore) -> None:
    folder = Path(full.metadata("base")["dir"])
    (folder / "layer.index").write_bytes(b"")
    store = wl.LayerStore(full.home)
    assert [(problem.code, problem.path) for problem in store.check()] == [("index_damaged", "base")]
    assert store.check(repair=True)
    assert not store.check()
    tar = folder / "layer.tar"
    data = bytearray(tar.read_bytes())
    data[600] ^= 1
    tar.write_bytes(data)
    assert [(problem.code, problem.path) for problem in store.check(repair=True)] == [("integrity", "base")]
