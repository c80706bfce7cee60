"""A real base image through the store on the Host Compute Service: in, out again, and put together from its files."""

import hashlib
import io
import json
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import winlayers as wl
from windows_host.conftest import Nano

BOOT_FILES = {"BCD": "bcd.bak", "BCD.LOG": "bcd.log.bak", "BCD.LOG1": "bcd.log1.bak", "BCD.LOG2": "bcd.log2.bak"}


def blobs(archive: Path) -> Iterator[tuple[str, Callable[[], io.BufferedReader]]]:
    """Give the diffID of each layer of an archive of `docker save`, as its configuration says, and a way to open it."""
    with tarfile.open(archive) as tar:
        (manifest,) = json.loads(_member(tar, "manifest.json").read())
        config = json.loads(_member(tar, manifest["Config"]).read())
        for diff_id, name in zip(config["rootfs"]["diff_ids"], manifest["Layers"], strict=True):
            yield diff_id, lambda name=name: _member(tar, name)  # type: ignore[misc]


def _member(tar: tarfile.TarFile, name: str) -> io.BufferedReader:
    file = tar.extractfile(name)
    assert isinstance(file, io.BufferedReader)
    return file


def digest(stream: object) -> str:
    return "sha256:" + hashlib.file_digest(stream, "sha256").hexdigest()  # type: ignore[arg-type]


def test_every_layer_of_the_image_is_there(nano: Nano) -> None:
    """A real host confirms that ProcessBaseImage takes what the base-layer writer made of a real image, and that the
    diffIDs that Microsoft published come out."""
    wanted = [diff_id for diff_id, _ in blobs(nano.archive)]
    infos = [nano.store.info(id) for id in nano.layers]
    assert [info.diff_id for info in infos] == wanted
    assert [info.parents for info in infos] == [
        tuple(reversed(nano.layers[:number])) for number in range(len(nano.layers))
    ]
    assert {(info.state, info.mounted) for info in infos} == {("imported", 0)}
    assert nano.store.import_image(nano.archive) == nano.layers
    assert not nano.store.check()


def test_a_layer_goes_out_as_it_came_in(nano: Nano) -> None:
    """A real host confirms that NTFS gives back every byte of a real layer: descriptors, EAs, links, times."""
    for id, (diff_id, open_blob) in zip(nano.layers, blobs(nano.archive), strict=True):
        with nano.store.diff(id) as stream:
            assert digest(stream) == diff_id
        with open_blob() as blob, nano.store.diff(id) as stream:
            again = wl.LayerReader(stream)
            for entry, other in zip(wl.LayerReader(blob), again, strict=True):
                assert (entry.raw_name, entry.basic_info) == (other.raw_name, other.basic_info)


def test_tar_split_puts_a_layer_together(nano: Nano) -> None:
    """A real host confirms that its own boot files, which it rewrites, are read from the saved copies, and that backup
    rights open files that only TrustedInstaller may read."""
    for id, (diff_id, open_blob) in zip(nano.layers, blobs(nano.archive), strict=True):
        metadata = io.BytesIO()
        with open_blob() as blob:
            wl.tarsplit.disassemble(blob, metadata)
        made = hashlib.sha256()

        class Sink:
            def write(self, data: bytes) -> int:
                made.update(data)  # noqa: B023
                return len(data)

        with nano.store.diff_getter(id) as getter:
            wl.tarsplit.assemble(metadata.getvalue(), getter, Sink())
        assert "sha256:" + made.hexdigest() == diff_id


def test_the_boot_files_are_saved(nano: Nano) -> None:
    """A real host confirms which boot files it rewrites when it prepares an image for virtual machines."""
    base = nano.folder(nano.layers[0])
    boot = base / "UtilityVM" / "Files" / "EFI" / "Microsoft" / "Boot"
    if not boot.is_dir():
        pytest.skip("this image has no utility VM")
    diff_id, open_blob = next(blobs(nano.archive))
    with open_blob() as blob:
        data = {
            entry.name.rpartition("/")[2]: entry.read()
            for entry in wl.LayerReader(blob)
            if entry.name.startswith("UtilityVM/Files/EFI/Microsoft/Boot/BCD") and entry.kind == "file"
        }
    assert data, diff_id
    for name, content in data.items():
        assert (base / BOOT_FILES[name]).read_bytes() == content, name


def test_reading_a_base_layer_file_by_file(nano: Nano) -> None:
    """A real host confirms that a real layer's files are seen merged, whatever their DACLs say."""
    view = nano.store.view(nano.top)
    entry = view.get("Files/Windows/System32/ntdll.dll")
    assert entry.read()[:2] == b"MZ"
    assert entry.security_descriptor is not None
    assert "S-1-5-80-" in str(entry.security_descriptor.owner)  # TrustedInstaller


def test_a_view_mounted_to_read(nano: Nano) -> None:
    """A real host confirms ActivateLayer, PrepareLayer and GetLayerMountPath of a layer that is no sandbox, counted."""
    first, second = nano.store.get(nano.top), nano.store.get(nano.top)
    assert first == second
    assert nano.store.info(nano.top).mounted == 2
    nano.store.put(nano.top)
    nano.store.put(nano.top)
    nano.store.put(nano.top)  # no error
    assert nano.store.info(nano.top).mounted == 0


def test_images_of_the_host(nano: Nano) -> None:
    """A real host confirms the JSON of GetBaseImages; most hosts have none, which is an answer, too."""
    before = {info.id for info in nano.store.layers()}
    infos = nano.store.custom_image_infos()
    for info in infos:
        folder = info.path.replace("\\", "/").rstrip("/").rpartition("/")[2]
        assert info.id == hashlib.sha384(folder.encode()).hexdigest()[:64]
        assert nano.store.exists(info.id)
    assert nano.store.custom_image_infos() == infos
    for id in {info.id for info in nano.store.layers()} - before:
        nano.store.remove(id)


def test_status(nano: Nano) -> None:
    """A real host confirms which of the two DLLs it has."""
    assert nano.store.name == "windowsfilter"
    status = dict(nano.store.status())
    assert "hcs" in " ".join(status.values()).lower()
