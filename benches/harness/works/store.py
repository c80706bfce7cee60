"""The works of the layer store, through its public Python API."""

import os
import random
import time
from pathlib import Path

import fold
import winlayers as wl
from harness.inputs import empty
from harness.works.standard import nothing

BUFFER = bytearray(1 << 20)
VIEW = memoryview(BUFFER)
REPEATED = 20  # what takes no longer than a clock tick is done so often
CHAIN = 60


def open_store(home, sync=False):
    return wl.LayerStore(home, options={"fsync": bool(sync)})


def new_store(request):
    return open_store(Path(request["output"], "home"), request.get("sync"))


# What is set up for others.


def make_home(request):
    return made(request, sync=True)


def make_fast_home(request):
    return made(request)


def make_box(request):
    def run():
        made(request)()
        store = open_store(request["output"])
        store.create_read_write("box", "layer")
        edit(store.get("box"))

    return run


def made(request, sync=False):
    return lambda: open_store(request["output"], sync).apply_diff("layer", "", request["tar"])


def edit(tree):
    """One file in a hundred gets a longer content."""
    paths = sorted(Path(folder, name) for folder, _, names in os.walk(tree) for name in names)
    for path in random.Random(1).sample(paths, len(paths) // 100):
        with path.open("ab") as file:
            file.write(b"edited")


# What is measured.


def import_(request):
    store = new_store(request)
    return lambda: store.apply_diff("layer", "", request["tar"])


def checkout(request):
    """An import, and a sandbox on it that is laid out."""
    store = new_store(request)

    def run():
        store.apply_diff("layer", "", request["tar"])
        store.create_read_write("box", "layer")
        store.get("box")

    return run


def get(request):
    """A sandbox on a layer that is there."""
    store = open_store(request["home"], request.get("sync"))
    box = f"box-{time.monotonic_ns()}"
    for last in Path(request["home"]).glob("box-*/tree"):
        empty(last)
    os.sync()

    def run():
        store.create_read_write(box, "layer")
        store.get(box)

    return run


def export(request):
    store = open_store(request["home"])

    def run():
        with store.diff("layer") as stream:
            stream.copy_to(Path(request["output"], "export.tar"))

    return run


def changes(request):
    store = open_store(request["home"])
    return lambda: len(store.changes("box"))


def diff(request):
    """The tar of a sandbox."""
    store = open_store(request["home"])

    def run():
        with store.diff("box") as stream:
            while size := stream.readinto(BUFFER):
                fold.fold(VIEW[:size])

    return run


def read_file(request):
    """One file of middling size, the last such in the tar; the process has read nothing of the layer before."""
    store = open_store(request["home"])
    path = Path(request["output"], "path").read_text()
    return lambda: len(store.view("layer").get(path).read())


def choose_file(request):
    """Says which file `read_file` is to read."""

    def run():
        with wl.LayerReader(request["tar"]) as reader:
            names = [entry.name for entry in reader if entry.kind == "file" and entry.size <= 128 << 10]
        Path(request["output"], "path").write_text(names[-1])

    return run


def look_up(request):
    """Files of the lowest of many layers, found from the top; says how many."""
    store = new_store(request)
    names = [f"Files/Windows/System32/lowest-{n}.dll" for n in range(500)]
    for layer in range(CHAIN):
        with wl.LayerWriter(Path(request["output"], "layer.tar")) as writer:
            for n in range(500):
                name = names[n] if layer == 0 else f"Files/Windows/System32/layer-{layer}-{n}.dll"
                writer.add(wl.Entry(name), b"x" * n)
        store.apply_diff(f"layer-{layer}", f"layer-{layer - 1}" if layer else "", Path(request["output"], "layer.tar"))
    view = store.view(f"layer-{CHAIN - 1}")
    for name in names:
        view.get(name)

    def run():
        for name in names:
            view.get(name)
        return len(names)

    return run


def verb(request):
    """One verb on sandboxes above a layer, some times."""
    store = open_store(request["home"], sync=True)
    boxes = [f"box-{n}" for n in range(REPEATED)]
    if not store.exists("box"):
        store.create_read_write("box", "layer")
        store.get("box")
    for box in boxes:
        if store.exists(box) != (request["verb"] == "remove"):
            store.remove(box) if store.exists(box) else store.create_read_write(box, "layer")
    for _ in range(REPEATED if request["verb"] == "put" else 0):
        store.get("box")
    verbs = {
        "second get": lambda _: store.get("box"),
        "put": lambda _: store.put("box"),
        "exists": lambda _: store.exists("box"),
        "create": lambda box: store.create_read_write(box, "layer"),
        "remove": store.remove,
    }

    def run():
        for box in boxes:
            verbs[request["verb"]](box)
        return len(boxes)

    return run


WORKS = {
    "nothing": nothing,
    "make_home": make_home,
    "make_fast_home": make_fast_home,
    "make_box": make_box,
    "import": import_,
    "checkout": checkout,
    "get": get,
    "export": export,
    "changes": changes,
    "diff": diff,
    "choose_file": choose_file,
    "read_file": read_file,
    "look_up": look_up,
    "verb": verb,
}
