"""Images into a store: an OCI layout, layer by layer."""

import gzip
import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

import winlayers as wl
from store.conftest import BASE, layer

TOP = layer("Files/c=1")


def digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def oci(folder: Path, layers: list[bytes], diff_ids: list[str] | None = None) -> Path:
    """Write an OCI layout with these layers, lowest first."""

    def blob(data: bytes, media: str) -> dict[str, Any]:
        path = folder / "blobs" / "sha256" / digest(data)[7:]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return {"mediaType": f"application/vnd.oci.image.{media}", "digest": digest(data), "size": len(data)}

    rootfs = {"type": "layers", "diff_ids": diff_ids or [digest(data) for data in layers]}
    config = {"os": "windows", "architecture": "amd64", "rootfs": rootfs}
    manifest = {
        "schemaVersion": 2,
        "config": blob(json.dumps(config).encode(), "config.v1+json"),
        "layers": [blob(gzip.compress(data, mtime=0), "layer.v1.tar+gzip") for data in layers],
    }
    index = {"schemaVersion": 2, "manifests": [blob(json.dumps(manifest).encode(), "manifest.v1+json")]}
    (folder / "index.json").write_text(json.dumps(index))
    (folder / "oci-layout").write_text(json.dumps({"imageLayoutVersion": "1.0.0"}))
    return folder


def test_the_layers_of_an_image(store: wl.LayerStore, tmp_path: Path) -> None:
    ids = store.import_image(oci(tmp_path / "one", [BASE, TOP]))
    assert ids == [digest(BASE)[7:], digest(f"{digest(BASE)} {digest(TOP)}".encode())[7:]]
    assert store.info(ids[1]).parents == (ids[0],)
    assert f"sha256:{ids[1]}" == store.info(ids[1]).chain_id
    other = layer("Files/other")
    again = store.import_image(oci(tmp_path / "two", [BASE, other]))
    assert again[0] == ids[0]
    assert len(store.layers()) == 3
    assert [entry.name for entry in store.view(ids[1]).entries("Files", recursive=False)] == [
        "Files/a.txt",
        "Files/c",
        "Files/d",
    ]
    assert not store.check()


def docker_save(path: Path, layers: list[bytes], foreign: bool = False) -> Path:
    """Write what `docker save` writes, an image or, without its lowest layer, one that may not pass that on."""
    config = json.dumps(
        {
            "os": "windows",
            "architecture": "amd64",
            "rootfs": {"type": "layers", "diff_ids": [digest(data) for data in layers]},
        }
    ).encode()
    names = [f"{digest(data)[7:]}/layer.tar" for data in layers]
    image: dict[str, Any] = {"Config": f"{digest(config)[7:]}.json", "RepoTags": ["app:latest"], "Layers": names}
    kept = dict(zip(names, layers, strict=True))
    if foreign:
        del kept[names[0]]
        media = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
        source = {"mediaType": media, "size": 1, "digest": digest(b""), "urls": ["https://example.com/base"]}
        image["LayerSources"] = {digest(layers[0]): source}
    with tarfile.open(path, "w") as tar:
        for name, data in {image["Config"]: config, **kept, "manifest.json": json.dumps([image]).encode()}.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return path


def test_an_archive_of_docker_save(store: wl.LayerStore, tmp_path: Path) -> None:
    ids = store.import_image(docker_save(tmp_path / "app.tar", [BASE, TOP]))
    assert [store.info(id).diff_id for id in ids] == [digest(BASE), digest(TOP)]
    for id, data in zip(ids, [BASE, TOP], strict=True):
        with store.diff(id) as stream:
            assert stream.read() == data
    assert store.import_image(oci(tmp_path / "oci", [BASE, TOP])) == ids


def test_a_foreign_layer_that_is_not_in_the_image_is_named(store: wl.LayerStore, tmp_path: Path) -> None:
    with pytest.raises(wl.WinLayersError) as raised:
        store.import_image(docker_save(tmp_path / "app.tar", [BASE, TOP], foreign=True))
    assert "https://example.com/base" in f"{raised.value} {raised.value.hint}"
    assert store.layers() == []
    assert not store.check()


def test_an_image_that_lies_leaves_nothing(store: wl.LayerStore, tmp_path: Path) -> None:
    with pytest.raises(wl.IntegrityError) as raised:
        store.import_image(oci(tmp_path / "lies", [BASE, TOP], [digest(BASE), digest(b"")]))
    assert raised.value.found == digest(TOP)
    assert store.layers() == []
    with pytest.raises(wl.FormatError) as malformed:
        store.import_image(tmp_path)
    assert malformed.value.code == "bad_image"
    folder = oci(tmp_path / "missing", [BASE, TOP])
    (folder / "blobs" / "sha256" / digest(gzip.compress(TOP, mtime=0))[7:]).unlink()
    with pytest.raises(wl.FormatError):
        store.import_image(folder)
    assert store.layers() == []
    assert not store.check()
