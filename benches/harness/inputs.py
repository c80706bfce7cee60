"""The layers that are measured, generated on first use and kept between runs."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from harness import BENCHES, OUTPUTS, STORES, WORK
from harness.workers import Worker

ARGUMENTS = {
    "layer": [],
    "large": ["--scale", "10"],
    "hundred-thousand": ["--entries", "100000", "--small"],
    "million": ["--entries", "1000000", "--small"],
    "files": ["--entries", "115200", "--small"],
    "quick": ["--entries", "1000"],
}
ENTRIES = {
    "layer": 10_288,
    "large": 10_288,
    "hundred-thousand": 100_000,
    "million": 1_000_000,
    "files": 115_200,
    "quick": 1_000,
}
HARD_LINKS = 3_774 / 10_288  # of all entries
INPUTS = WORK / "inputs"
TRASH = WORK / "trash"
SMALL = 64 << 10  # a file that may keep its blocks


class Input:
    """One layer in every form that some work reads; each form is made when it is asked for."""

    def __init__(self, name: str, site: Path | None = None) -> None:
        self.name = name
        self.site = site  # packages of our side; stores that it made are its own
        self.entries = ENTRIES[name]
        self.hard_links = int(self.entries * HARD_LINKS)

    @property
    def tar(self) -> Path:
        return self._made("tar", lambda path: generate(path, *ARGUMENTS[self.name]))

    @property
    def tree(self) -> Path:
        """The same as files on disk."""

        def make(path: Path) -> None:
            spare = path.with_suffix(".tar.partial")
            generate(spare, "--tree", str(path), *ARGUMENTS[self.name])
            spare.unlink()

        return self._made("tree", make)

    @property
    def gzip(self) -> Path:
        """As registries hold layers: written by Go. Ten times the layer would take minutes so: igzip then."""
        if self.name == "layer":
            return self._made("tar.gz", lambda path: self._go("gzip", output=path))
        return self._made("tar.gz", lambda path: command(["igzip", "-3", "-c", self.tar], path))

    @property
    def zstd(self) -> Path:
        return self._made("tar.zst", lambda path: command(["zstd", "-3", "-T1", "-q", "-c", self.tar], path))

    @property
    def metadata(self) -> Path:
        """What Go's tar-split says of it."""
        return self._made("ndjson", lambda path: self._go("write_metadata", metadata=path))

    @property
    def streams(self) -> Path:
        """The backup streams of all its entries, as go-winio makes them, one after the other."""
        return self._made("streams", lambda path: self._go("write_streams", streams=path, index=self._path("index")))

    @property
    def index(self) -> Path:
        """Where each backup stream lies, of what name and what times."""
        return self.streams and self._path("index")

    @property
    def packed(self) -> Path:
        """What winlayers packs of the tree: made anew each time, as it is what is being worked on."""
        path = self._path("packed.tar")
        with Worker.python("layers") as worker:
            worker.ask(work="pack_to_file", tree=self.tree, output=path)
        return path

    @property
    def home(self) -> Path:
        """A store that holds it, waiting for the disk at each change."""
        return self._stored("home", tar=self.tar)

    @property
    def fast_home(self) -> Path:
        """A store that holds it and does not wait."""
        return self._stored("fast_home", tar=self.tar)

    @property
    def box(self) -> Path:
        """Such a store with a sandbox on it that is laid out, and one file in a hundred of it edited."""
        return self._stored("box", tar=self.tar)

    @property
    def box_tree(self) -> Path:
        """The files of that sandbox."""
        return self.box / "box/tree"

    @property
    def output(self) -> Path:
        """Where a run may write."""
        return OUTPUTS

    def _stored(self, form: str, **fields: Path) -> Path:
        path = STORES / (self.site.name if self.site else "") / f"{self.name}-{form}"
        if not path.exists():
            print(f"making {path.name} ...", file=sys.stderr, flush=True)
            with Worker.python("store", self.site) as worker:
                worker.ask(work=f"make_{form}", output=path, **fields)
        return path

    def _made(self, form: str, make) -> Path:
        path = self._path(form)
        if not path.exists():
            print(f"making {path.name} ...", file=sys.stderr, flush=True)
            partial = path.with_name(f"partial-{path.name}")
            shutil.rmtree(partial) if partial.is_dir() else partial.unlink(missing_ok=True)
            make(partial)
            partial.rename(path)
        return path

    def _path(self, form: str) -> Path:
        return INPUTS / f"{self.name}.{form}"

    def _go(self, work: str, **fields: Path) -> None:
        with Worker.go() as worker:
            worker.ask(work=work, tar=self.tar, **fields)


def prepare(fresh: bool = False) -> None:
    """Forgets inputs that another version of the generator made."""
    version = hashlib.sha256((BENCHES / "generate_layer.py").read_bytes()).hexdigest()
    stamp = INPUTS / "generator"
    if fresh or not stamp.exists() or stamp.read_text() != version:
        shutil.rmtree(INPUTS, ignore_errors=True)
        INPUTS.mkdir(parents=True)
        stamp.write_text(version)


def fresh_output() -> None:
    """Takes away what the last run wrote, and waits until the disk is idle.

    The files are emptied and put aside, and deleted at the end.
    """
    if OUTPUTS.exists():
        TRASH.mkdir(exist_ok=True)
        empty(OUTPUTS.rename(TRASH / str(time.monotonic_ns())))
    OUTPUTS.mkdir(parents=True)
    os.sync()


def empty(tree: Path) -> None:
    """Gives back the space that files take, but not the files: ext4 looks at every inode that was deleted in the last
    minutes, again for each new file, which would be most of what a run takes."""
    for folder, _, names in os.walk(tree):
        for name in names:
            path = Path(folder, name)
            if not path.is_symlink() and path.stat().st_size > SMALL:
                path.chmod(0o600)
                os.truncate(path, 0)


def forget_output() -> None:
    for folder in (OUTPUTS, STORES, TRASH):
        shutil.rmtree(folder, ignore_errors=True)


def generate(path: Path, *arguments: str) -> None:
    subprocess.run([sys.executable, BENCHES / "generate_layer.py", path, *arguments], check=True)


def command(arguments: list, output: Path) -> None:
    with output.open("wb") as out:
        subprocess.run(arguments, check=True, stdout=out)
