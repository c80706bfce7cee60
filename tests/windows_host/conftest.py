"""A host with the Containers feature and an elevated process; elsewhere these tests are skipped, with the reason.

They run in `.github/workflows/ci.yml` on windows-2022 and windows-2025. On a host of one's own, elevated:

    docker pull mcr.microsoft.com/windows/nanoserver:ltsc2022
    docker save -o nanoserver.tar mcr.microsoft.com/windows/nanoserver:ltsc2022
    set WINLAYERS_NANOSERVER=%CD%\\nanoserver.tar
    python -m pytest tests/windows_host
"""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import winlayers as wl
from windows_host import ntfs
from windows_host.host import image, why_not_here

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what this host cannot do; with WINLAYERS_HOST=required that is an error."""
    ours = [item for item in items if item.path.is_relative_to(HERE)]
    reason = why_not_here() if ours else None
    if ours and os.environ.get("WINLAYERS_HOST") == "required":
        if reason is not None:
            raise pytest.UsageError(reason)
        if image() is None:
            raise pytest.UsageError("needs WINLAYERS_NANOSERVER")
    no_image = "needs WINLAYERS_NANOSERVER: an archive of the image, as docker save writes it"
    for item in ours:
        if reason is not None:
            item.add_marker(pytest.mark.skip(reason=reason))
        elif "nano" in getattr(item, "fixturenames", ()) and image() is None:
            item.add_marker(pytest.mark.skip(reason=no_image))


@pytest.fixture(scope="session")
def host_folder() -> Iterator[Path]:
    """Give a folder with a short path on an NTFS volume (WINLAYERS_HOST_FOLDER names another place than C:\\)."""
    place = os.environ.get("WINLAYERS_HOST_FOLDER", os.environ.get("SYSTEMDRIVE", "C:") + "\\")
    folder = Path(place) / f"winlayers-{os.getpid()}"
    folder.mkdir()
    yield folder
    folder.rmdir()  # which fails where anything is left


class Nano:
    """A store of the host's own, with the layers of nanoserver in it."""

    def __init__(self, home: Path) -> None:
        """Import the image."""
        archive = image()
        assert archive is not None
        self.archive = archive
        self.home = home
        self.store = wl.LayerStore(home, backend="hcs")
        self.layers = self.store.import_image(archive)

    @property
    def top(self) -> str:
        """The layer that sandboxes stand on."""
        return self.layers[-1]

    def folder(self, id: str) -> Path:
        """Give the folder of a layer."""
        return Path(self.store.metadata(id)["dir"])

    def left(self) -> set[str]:
        """Name what is in the home besides the image and the store's own folder."""
        return {name for name in ntfs.names(self.home) if name != ".winlayers"} - set(self.layers)

    def close(self) -> None:
        """Remove everything, and see that nothing is left."""
        for id in reversed(self.layers):
            self.store.remove(id)
        self.store.cleanup()
        assert self.store.layers() == []
        assert self.left() == set()
        work = self.home / ".winlayers"
        for name in ("tmp", "trash", "views", "staging", "holders"):
            assert not (work / name).exists() or not list((work / name).iterdir()), name


@pytest.fixture(scope="session")
def image_store(host_folder: Path) -> Iterator[Nano]:
    """Import nanoserver once for all tests."""
    nano = Nano(host_folder / "home")
    yield nano
    nano.close()
    del nano.store
    shutil.rmtree(host_folder / "home")


@pytest.fixture
def nano(image_store: Nano) -> Iterator[Nano]:
    """Give the store with nanoserver; what a test makes in it, it removes."""
    yield image_store
    left = image_store.left()
    for info in image_store.store.layers():  # so that the next test begins as this one did
        if info.id in left:
            for _ in range(info.mounted):
                image_store.store.put(info.id)
    for id in sorted(left, key=lambda id: -len(image_store.store.info(id).parents)):
        image_store.store.remove(id)
    assert left == set(), "the test left layers"


@pytest.fixture
def box(nano: Nano) -> Iterator[Callable[[str], str]]:
    """Make sandboxes that go away with the test: `box("name")` gives its id."""
    made: list[str] = []

    def make(id: str, parent: str = "", size: int | None = None) -> str:
        nano.store.create_read_write(id, parent or nano.top, size)
        made.append(id)
        return id

    yield make
    for id in reversed(made):
        if nano.store.exists(id):
            nano.store.remove(id)
