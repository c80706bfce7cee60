"""Images into a store: an OCI layout, layer by layer."""

import gzip
import hashlib
import json
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
