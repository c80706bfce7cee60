"""Merged views beside folders that GNU tar made of the same layers one by one, with whiteouts done by hand."""

import io
import json
import os
import random
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

import winlayers as wl
from cli.conftest import spawn

pytestmark = pytest.mark.host

# No two are equal without case, so that both kinds of file system have the same tree.
NAMES = ["a", "b.txt", "dir", "Sub dir", "été", "x" * 110]


class Maker:
    """Makes layers at random that fit what is below them, and keeps the folder that `tar` makes of them."""

    def __init__(self, seed: int, truth: Path) -> None:
        self.random = random.Random(seed)
        self.truth = truth
        self.time = 1_000_000_000
        truth.mkdir()

    def layer(self) -> bytes:
        """Give the next layer, with which the folder is brought up to date."""
        self.members: dict[str, tarfile.TarInfo] = {}
        self.data: dict[str, bytes] = {}
        whiteouts = self.whiteouts()
        # What a whiteout lies in is a directory.
        self.hiding = {str(parent) for info in whiteouts for parent in Path(info.name).parents}
        for _ in range(self.random.randint(1, 12)):
            self.member()
        for _ in range(self.random.randint(0, 3)):
            self.hard_link()
        sink, listed = io.BytesIO(), [*self.members.values(), *whiteouts]
        if self.random.random() < 0.5:
            # Whiteouts hide what is below wherever they stand.
            listed = [*whiteouts, *self.members.values()]
        with tarfile.open(fileobj=sink, mode="w") as archive:
            for info in listed:
                archive.addfile(info, io.BytesIO(self.data.get(info.name, b"")))
        self.extract(sink.getvalue())
        return sink.getvalue()

    def whiteouts(self) -> list[tarfile.TarInfo]:
        """Delete some of what is there, and give the members that do it in a layer."""
        found = []
        for path in sorted(self.truth.rglob("*")):
            name = path.relative_to(self.truth)
            if len(name.parts) < 2 or not os.path.lexists(path) or self.random.random() > 0.15:
                continue
            if path.is_dir() and not path.is_symlink() and self.random.random() < 0.3:
                for child in path.iterdir():
                    remove(child)
                found.append(tarfile.TarInfo(f"{name}/.wh..wh..opq"))
            else:
                remove(path)
                found.append(tarfile.TarInfo(f"{name.parent}/.wh.{name.name}"))
        return found

    def member(self) -> None:
        """Add a file, a directory or a link somewhere, and the directories above it where they are needed."""
        parts = ["Files", *self.random.choices(NAMES, k=self.random.randint(1, 3))]
        name = "/".join(parts)
        above = ["/".join(parts[:n]) for n in range(1, len(parts))]
        if name in self.members or any(member.startswith(f"{name}/") for member in self.members):
            return
        if any(self.members[folder].type != tarfile.DIRTYPE for folder in above if folder in self.members):
            return
        for folder in above:
            path = self.truth / folder
            # A directory that is there, and one that is not, may be left out.
            is_known = path.is_symlink() or (path.exists() and not path.is_dir())
            if folder not in self.members and (is_known or self.random.random() < 0.5):
                self.add(folder, tarfile.DIRTYPE)
        kind = self.random.choice([tarfile.REGTYPE, tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE])
        if name in self.hiding:
            kind = tarfile.DIRTYPE
        self.add(name, kind)
        if kind == tarfile.REGTYPE:
            self.data[name] = self.random.randbytes(self.random.choice([0, 1, 512, 70_000]))
            self.members[name].size = len(self.data[name])
        if kind == tarfile.SYMTYPE:
            up = "../" * self.random.randint(0, len(parts) - 2)
            self.members[name].linkname = up + "/".join(self.random.choices(NAMES, k=2))

    def add(self, name: str, kind: bytes) -> None:
        self.time += 1
        info = tarfile.TarInfo(name)
        info.type, info.mtime, info.mode = kind, self.time, 0o755
        self.members[name] = info

    def hard_link(self) -> None:
        """Give a file of this layer, or one below, another name."""
        files = [name for name, info in self.members.items() if info.type == tarfile.REGTYPE]
        for path in sorted(self.truth.rglob("*")):
            name = path.relative_to(self.truth).as_posix()
            above = [parent.as_posix() for parent in Path(name).parents]
            if path.is_file() and not path.is_symlink() and not {name, *above} & self.members.keys():
                files.append(name)
        name = f"Files/link{self.time}"
        if files:
            self.add(name, tarfile.LNKTYPE)
            self.members[name].linkname = self.random.choice(files)

    def extract(self, tar: bytes) -> None:
        """Bring the folder up to date, with GNU tar; what changes its kind goes first."""
        for name, info in self.members.items():
            path = self.truth / name
            is_directory = path.is_dir() and not path.is_symlink()
            if os.path.lexists(path) and is_directory != (info.type == tarfile.DIRTYPE):
                remove(path)
        command = ["tar", "-x", "-C", str(self.truth), "--exclude=.wh.*"]
        subprocess.run(command, input=tar, check=True, capture_output=True)


def remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


Tree = dict[str, tuple[str, object]]


def of_folder(top: Path) -> tuple[Tree, set[frozenset[str]]]:
    """Tell what is in a folder: kinds with data, texts and times; and which names are of one file."""
    found: Tree = {}
    groups: dict[int, set[str]] = {}
    for path in top.rglob("*"):
        name = path.relative_to(top).as_posix()
        if path.is_symlink():
            found[name] = ("symlink", (str(path.readlink()), int(path.lstat().st_mtime)))
        elif path.is_dir():
            found[name] = ("directory", None)
        else:
            found[name] = ("file", (path.read_bytes(), int(path.stat().st_mtime)))
            groups.setdefault(path.stat().st_ino, set()).add(name)
    return found, {frozenset(names) for names in groups.values()}


def of_view(view: wl.LayerView) -> Tree:
    found: Tree = {}
    for entry in view.entries():
        name = entry.name.removeprefix("Files").removeprefix("/")
        shown = view.get(entry.name)  # what a hard link leads to
        seconds = shown.basic_info.last_write_time.to_unix_ns() // 10**9 if shown.basic_info.last_write_time else None
        if not name:
            continue
        if shown.kind == "symlink" and shown.reparse_point is not None:
            text = str(shown.reparse_point.print_name).replace("\\", "/")
            found[name] = ("symlink", (text, seconds))
        elif shown.kind == "directory":
            found[name] = ("directory", None)
        else:
            found[name] = (shown.kind, (shown.read(), seconds))
    return found


def chain(store: wl.LayerStore, seed: int, truth: Path) -> str:
    """Import a chain, and compare each of its layers with the folder of then; give the last one's id."""
    maker, parent = Maker(seed, truth), ""
    for number in range(2 + seed % 3):
        id = f"l{number}"
        store.apply_diff(id, parent, maker.layer())
        parent = id
        (truth / "Files").mkdir(exist_ok=True)
        expected, groups = of_folder(truth / "Files")
        assert of_view(store.view(id)) == expected, (seed, id)
        with store.mount(id) as path:
            assert of_folder(Path(path)) == (expected, groups), (seed, id)
    store.create_read_write("box", parent)
    with store.mount("box") as path:
        assert of_folder(Path(path)) == (expected, groups), (seed, "box")
    assert not store.check()
    return parent


@pytest.mark.parametrize("seed", range(int(os.environ.get("MERGED_CHAINS", "30"))))
def test_a_chain_is_what_tar_makes_of_it(seed: int, store: wl.LayerStore, tmp_path: Path) -> None:
    chain(store, seed, tmp_path / "truth")


def test_the_commands_show_it(store: wl.LayerStore, tmp_path: Path) -> None:
    last = chain(store, 2, tmp_path / "truth")
    expected, _ = of_folder(tmp_path / "truth" / "Files")
    listed = spawn(["store", "ls", last, "--home", store.home, "--json"])
    rows = [json.loads(line) for line in listed.communicate()[0].splitlines()]
    kinds = {row["path"].removeprefix("Files/"): row["kind"] for row in rows if row["path"] != "Files"}
    assert kinds.keys() == expected.keys()
    for name, (kind, facts) in expected.items():
        assert kinds[name] in ({kind, "hard_link"} if kind == "file" else {kind})
        if kind == "file":
            shown = spawn(["store", "cat", last, f"Files/{name}", "--home", store.home])
            assert isinstance(facts, tuple)
            assert shown.communicate() == (facts[0], b"")
