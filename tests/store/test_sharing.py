"""One store, many threads and processes: holds are counted, and those of dead processes are taken back."""

import io
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import winlayers as wl
from builders import Trickle
from store.conftest import BASE, layer

HOLDER = """
import sys, winlayers as wl
store = wl.LayerStore(sys.argv[1], options={"fsync": False})
mount, stream = store.mount("box"), store.diff("base")
print(store.get("box"), flush=True)
sys.stdin.read()
"""


def holder(store: wl.LayerStore) -> "subprocess.Popen[str]":
    """Start a process that holds `box` twice, once of it for good, and `base` by a stream."""
    command = [sys.executable, "-c", HOLDER, store.home]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline()
    return process


def finish(process: "subprocess.Popen[str]", sign: signal.Signals | None = None) -> None:
    if sign is not None:
        process.send_signal(sign)
    process.communicate()


def test_all_threads_that_get_first_see_the_path(full: wl.LayerStore) -> None:
    start = threading.Barrier(6)

    def get(_number: int) -> str:
        start.wait()
        path = full.get("box")
        assert Path(path, "a.txt").read_text() == "hello"
        return path

    with ThreadPoolExecutor(6) as pool:
        paths = set(pool.map(get, range(6)))
    assert len(paths) == 1
    assert full.info("box").mounted == 6
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda _: full.put("box"), range(6)))
    assert full.info("box").mounted == 0


def test_one_of_many_that_make_the_same_layer_does(store: wl.LayerStore) -> None:
    start = threading.Barrier(6)

    def make(_number: int) -> str:
        start.wait()
        try:
            store.apply_diff("base", "", Trickle(BASE))
        except wl.LayerExistsError as error:
            return error.code
        return "made"

    with ThreadPoolExecutor(6) as pool:
        done = sorted(pool.map(make, range(6)))
    assert done == ["layer_exists"] * 5 + ["made"]
    assert not store.check()


def test_the_python_of_a_source_may_use_the_store(store: wl.LayerStore) -> None:
    store.apply_diff("other", "", layer())

    class Curious(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            assert store.exists("other")
            with pytest.raises(wl.LayerExistsError):
                store.create("base")
            store.cleanup()
            return super().read(size)

    assert store.apply_diff("base", "", Curious(BASE)) == 8


def test_holds_of_another_process_count(full: wl.LayerStore) -> None:
    process = holder(full)
    assert full.info("box").mounted == 2
    for id in ("box", "base"):
        with pytest.raises(wl.LayerInUseError):
            full.remove(id)
    full.cleanup()
    assert full.info("box").mounted == 2
    finish(process)
    # What `get` counted stays until somebody puts it.
    full.cleanup()
    assert full.info("box").mounted == 1
    full.put("box")
    full.remove("box")
    full.remove("base")


@pytest.mark.host
def test_holds_of_a_killed_process_are_taken_back(full: wl.LayerStore) -> None:
    finish(holder(full), signal.SIGKILL)
    again = wl.LayerStore(full.home)
    assert again.info("box").mounted == 1
    again.cleanup(force=True)
    assert again.info("box").mounted == 0
    again.remove("box")
    again.remove("base")
    assert not again.check()


@pytest.mark.host
def test_a_killed_import_leaves_nothing(store: wl.LayerStore) -> None:
    program = (
        "import sys, winlayers as wl\n"
        "store = wl.LayerStore(sys.argv[1])\n"
        "store.apply_diff('base', '', sys.stdin.buffer, lambda done, total: print('begun', flush=True))\n"
    )
    command = [sys.executable, "-c", program, store.home]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(layer("Files/a=" + "x" * (2 << 20)))
    process.stdin.flush()
    assert process.stdout.readline() == b"begun\n"
    assert not store.exists("base")
    process.kill()
    process.wait()
    process.stdin.close()
    process.stdout.close()
    again = wl.LayerStore(store.home)
    assert not again.check()
    assert again.layers() == []
    assert not list(Path(store.home, ".winlayers", "tmp").iterdir())
    again.apply_diff("base", "", BASE)


@pytest.mark.host
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_opens_the_store_for_itself(full: wl.LayerStore) -> None:
    mount, stream = full.mount("box"), full.diff("base")
    child = os.fork()
    if child == 0:
        code = 1
        try:
            # What the parent holds is not the child's to give back.
            mount.close()
            stream.close()
            full.create("made")
            code = 0 if full.info("box").mounted == 1 and not full.check() else 2
            del mount, stream
            code = code or (0 if full.info("box").mounted == 1 else 3)
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert full.exists("made")
    assert full.info("box").mounted == 1
    with pytest.raises(wl.LayerInUseError):
        full.remove("base")
    assert stream.read() == BASE
    mount.close()
    stream.close()
    assert full.info("box").mounted == 0


@pytest.mark.host
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_forks_and_threads_meet(store: wl.LayerStore) -> None:
    done = threading.Event()
    store.create("base")

    def look() -> None:
        while not done.is_set():
            store.exists("base")

    threads = [threading.Thread(target=look) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for number in range(10):
            child = os.fork()
            if child == 0:
                os._exit(0 if store.exists("base") else 1)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0, number
    finally:
        done.set()
        for thread in threads:
            thread.join()
    assert not store.check()


@pytest.mark.host
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_child_keeps_no_lock_that_its_parent_gave_back(store: wl.LayerStore) -> None:
    wait, go = os.pipe()
    children: list[int] = []

    class Forking(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            if not children:
                child = os.fork()
                if child == 0:
                    os.close(go)
                    os.read(wait, 1)
                    os._exit(0)
                children.append(child)
            return super().read(size)

    try:
        store.apply_diff("base", "", Forking(BASE))
        litter = Path(store.home, ".winlayers", "tmp", "litter")
        litter.write_text("")
        # It is swept when nobody works on the store, and the child does not.
        store.cleanup()
        assert not litter.exists()
    finally:
        os.close(go)
        os.close(wait)
        for child in children:
            os.waitpid(child, 0)


@pytest.mark.host
@pytest.mark.skipif(os.name == "nt" or (hasattr(os, "geteuid") and os.geteuid() == 0), reason="root writes anywhere")
def test_a_home_that_cannot_be_written_is_read(full: wl.LayerStore) -> None:
    home = Path(full.home)
    folders = [home, home / ".winlayers", home / ".winlayers" / "locks", home / ".winlayers" / "holders"]
    for folder in folders:
        folder.chmod(0o500)
    try:
        store = wl.LayerStore(home)
        with store.diff("base") as tar:
            assert tar.read() == BASE
        with pytest.raises(OSError, match="ead-only"):
            store.create("x")
    finally:
        for folder in folders:
            folder.chmod(0o700)
