"""Random operations on a store beside a naive model of it: layers are dicts, and a merged view is a loop over them.

Other processes hold layers meanwhile and are killed, with what they hold and in the midst of an import.
"""

import io
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

import winlayers as wl
from conftest import UNDER_WINE
from store.conftest import layer

NAMES = ["a", "b", "d/x", "d/y", "e/f/z"]
FORKS = hasattr(os, "fork")
# What a layer does to a name: None deletes it.
diffs = st.dictionaries(st.sampled_from(NAMES), st.none() | st.sampled_from(["", "1", "two"]), max_size=4)
ids = st.sampled_from(["one", "two", "Three", "four", "box", "BOX2"])


@dataclass
class Model:
    """A layer, as naive as can be."""

    parent: str
    kind: str
    tar: bytes = b""
    diff: dict[str, str | None] = field(default_factory=dict)
    mounts: int = 0
    holders: list[int] = field(default_factory=list)
    """The processes that hold it, too."""


def folders(names: set[str]) -> list[str]:
    return sorted({"/".join(name.split("/")[:n]) for name in names for n in range(1, name.count("/") + 1)})


def tar_of(diff: dict[str, str | None], below: dict[str, str]) -> bytes:
    """Write the layer that does this to what is below."""
    kept = {name for name, data in diff.items() if data is not None}
    members = [f"Files/{name}/" for name in folders(kept)]
    members += [f"Files/{name}={diff[name]}" for name in sorted(kept)]
    members += [f"-Files/{name}" for name in sorted(diff) if diff[name] is None and name in below]
    return layer(*members)


def child(work: Callable[[int], None]) -> int:
    """Run something in another process, which is there when this returns: `work` is given what to write to then."""
    wait, ready = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            work(ready)
        finally:
            os._exit(1)
    os.close(ready)
    os.read(wait, 1)
    os.close(wait)
    return pid


def kill(pid: int) -> None:
    """Kill a process that holds something."""
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


class Dying(io.BytesIO):
    """A file whose process is killed when it is read to some place."""

    end = 0

    def read(self, size: int | None = -1) -> bytes:
        if self.tell() >= self.end:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().read(min(700, size) if size and size > 0 else 700)


class Stores(RuleBasedStateMachine):
    """A store and its model do the same."""

    @initialize()
    def begin(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="winlayers-store-"))
        self.model: dict[str, Model] = {}
        self.reopen()

    def teardown(self) -> None:
        if hasattr(self, "folder"):
            for model in self.model.values():
                for pid in model.holders:
                    kill(pid)
            del self.store
            shutil.rmtree(self.folder)

    def files(self, id: str) -> dict[str, str]:
        """Merge the layers under this one, and this one over them."""
        if not id:
            return {}
        seen = self.files(self.model[id].parent)
        for name, data in self.model[id].diff.items():
            if data is None:
                seen.pop(name, None)
            else:
                seen[name] = data
        return seen

    def parents(self, id: str) -> list[str]:
        parent = self.model[id].parent
        return [parent, *self.parents(parent)] if parent else []

    def children(self, id: str) -> list[str]:
        return [child for child, model in self.model.items() if model.parent == id]

    def pick(self, data: st.DataObject, kinds: str, *, none: bool = False) -> str | None:
        choice = [id for id, model in self.model.items() if model.kind in kinds.split()]
        if none:
            choice.append("")
        return data.draw(st.sampled_from(choice)) if choice else None

    @rule(fsync=st.booleans())
    def reopen_with(self, fsync: bool) -> None:
        self.reopen(fsync=fsync)

    def reopen(self, *, fsync: bool = False) -> None:
        self.store = wl.LayerStore(self.folder / "home", options={"fsync": fsync})

    @rule(id=ids, data=st.data())
    def create(self, id: str, data: st.DataObject) -> None:
        parent = self.pick(data, "empty imported", none=True) or ""
        if id in self.model:
            with pytest.raises(wl.LayerExistsError):
                self.store.create(id.swapcase(), parent)
            return
        self.store.create(id, parent)
        self.model[id] = Model(parent, "empty")

    @rule(id=ids, data=st.data())
    def sandbox(self, id: str, data: st.DataObject) -> None:
        parent = self.pick(data, "empty imported")
        if parent is None:
            with pytest.raises(wl.StoreError) as raised:
                self.store.create_read_write(id, "")
            assert raised.value.code == "no_parent"
        elif id not in self.model:
            self.store.create_read_write(id, parent)
            self.model[id] = Model(parent, "sandbox")

    @rule(id=ids, data=st.data(), diff=diffs)
    def apply(self, id: str, data: st.DataObject, diff: dict[str, str | None]) -> None:
        if id in self.model:
            model = self.model[id]
            held = model.mounts or model.holders or self.children(id)
            parent = model.parent
        else:
            model, held, parent = None, None, self.pick(data, "empty imported", none=True) or ""
        tar = tar_of(diff, self.files(parent))
        if model is not None and (model.kind != "empty" or held):
            with pytest.raises(wl.StoreError) as raised:
                self.store.apply_diff(id, parent, tar)
            assert raised.value.code in {"layer_exists", "wrong_kind", "layer_in_use"}
            return
        for bad in (tar[:700], tar[:-1024] + b"\xff" * 1024):
            with pytest.raises(wl.FormatError):
                self.store.apply_diff(id, parent, bad)
        assert self.store.exists(id) == (model is not None)
        size = sum(len(value) for value in diff.values() if value is not None)
        assert self.store.apply_diff(id, parent, tar) == size
        self.model[id] = Model(parent, "imported", tar, diff)

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def get(self, data: st.DataObject) -> None:
        id = self.pick(data, "empty imported sandbox") or ""
        if self.model[id].mounts > 2:
            return
        path = Path(self.store.get(id))
        self.model[id].mounts += 1
        found = {file.relative_to(path).as_posix(): file.read_text() for file in path.rglob("*") if file.is_file()}
        assert found == self.files(id)

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def put(self, data: st.DataObject) -> None:
        id = self.pick(data, "empty imported sandbox") or ""
        self.store.put(id)
        self.model[id].mounts = max(0, self.model[id].mounts - 1)

    @rule(data=st.data(), edits=diffs)
    def edit(self, data: st.DataObject, edits: dict[str, str | None]) -> None:
        """Change the tree of a sandbox that is mounted, and see the changes in its diff."""
        id = self.pick(data, "sandbox")
        if id is None:
            return
        with self.store.mount(id) as path:
            for name, text in edits.items():
                file = Path(path, name)
                if text is None:
                    file.unlink(missing_ok=True)
                else:
                    file.parent.mkdir(parents=True, exist_ok=True)
                    file.write_text(text)
            self.model[id].diff = {**self.model[id].diff, **edits}
            files, below = self.files(id), self.files(self.model[id].parent)
            changes = {change.path.removeprefix("Files/"): change.kind for change in self.store.changes(id)}
        for name in NAMES:
            if name in files and name not in below:
                assert changes[name] == "add"
            elif name in files and files[name] != below[name]:
                assert changes[name] == "modify"
            elif name in below and name not in files:
                gone = [name, *folders({name})]
                assert any(changes.get(part) == "delete" for part in gone), changes

    @rule(data=st.data(), id=ids)
    def commit(self, data: st.DataObject, id: str) -> None:
        """Make a layer of a sandbox, as `docker commit` does: it shows what the sandbox shows."""
        box = self.pick(data, "sandbox")
        if box is None or id in self.model:
            return
        parent = self.model[box].parent
        with self.store.diff(box, parent) as stream:
            tar = stream.read()
        self.store.apply_diff(id, parent, tar)
        self.model[id] = Model(parent, "imported", tar, dict(self.model[box].diff))

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        id = self.pick(data, "empty imported sandbox") or ""
        if self.model[id].mounts or self.model[id].holders or self.children(id):
            with pytest.raises(wl.LayerInUseError):
                self.store.remove(id)
            return
        self.store.remove(id)
        del self.model[id]
        assert not (self.folder / "home" / id).exists()

    @precondition(lambda self: FORKS and self.model)
    @rule(data=st.data())
    def hold_in_another_process(self, data: st.DataObject) -> None:
        id = self.pick(data, "empty imported sandbox") or ""
        if sum(len(model.holders) for model in self.model.values()) == 2:
            return

        def hold(ready: int) -> None:
            with self.store.mount(id):
                os.write(ready, b"1")
                signal.pause()

        self.model[id].holders.append(child(hold))

    @precondition(lambda self: FORKS and any(model.holders for model in self.model.values()))
    @rule(reopened=st.booleans())
    def kill_a_holder(self, reopened: bool) -> None:
        """What a dead process held is taken back, by whoever opens the store next or cleans it up."""
        model = next(model for model in self.model.values() if model.holders)
        kill(model.holders.pop())
        if reopened:
            self.reopen()
        self.store.cleanup()

    @precondition(lambda self: FORKS)
    @rule(id=ids, data=st.data(), diff=diffs, part=st.floats(0, 1))
    def kill_an_import(self, id: str, data: st.DataObject, diff: dict[str, str | None], part: float) -> None:
        """It leaves what was there before: no layer, or an empty one."""
        if id in self.model and (self.model[id].kind != "empty" or self.model[id].mounts or self.model[id].holders):
            return
        if id in self.model and self.children(id):
            return
        parent = self.model[id].parent if id in self.model else self.pick(data, "empty imported", none=True) or ""
        tar = tar_of(diff, self.files(parent))

        def begin(ready: int) -> None:
            source = Dying(tar)
            source.end = int(part * len(tar))
            self.store.apply_diff(id, parent, source)

        assert os.WTERMSIG(os.waitpid(child(begin), 0)[1]) == signal.SIGKILL
        self.reopen()
        assert self.store.exists(id) == (id in self.model)

    @rule(force=st.booleans())
    def cleanup(self, force: bool) -> None:
        self.store.cleanup(force)
        if force:
            for model in self.model.values():
                model.mounts = 0

    @invariant()
    def all_is_as_the_model_says(self) -> None:
        if not hasattr(self, "store"):
            return
        infos = {info.id: info for info in self.store.layers()}
        assert infos.keys() == self.model.keys()
        for id, model in self.model.items():
            assert infos[id].state == model.kind
            assert infos[id].mounted == model.mounts + len(model.holders)
            assert list(infos[id].parents) == self.parents(id)
            view = self.store.view(id)
            assert {
                entry.name.removeprefix("Files/"): entry.read().decode()
                for entry in view.entries()
                if entry.kind == "file"
            } == self.files(id)
            if sys.platform == "win32":
                # Windows deletes no file that is open: what lies on the disk for a view goes when the view does.
                del view
            if model.kind == "imported":
                with self.store.diff(id) as stream:
                    assert stream.read() == model.tar
        assert not self.store.check()
        assert not list((self.folder / "home" / ".winlayers" / "tmp").iterdir())


Stores.TestCase.settings = settings(max_examples=5 if UNDER_WINE else 25, stateful_step_count=20)
TestStores = Stores.TestCase
