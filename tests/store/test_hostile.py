"""Layers that were made to hurt: refused with the store as it was, or confined, judged by every call to the system.

All cases run in one process under `strace` (Debian); each makes its store beside files that nobody may touch or read.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from builders import base256, header, member, pad, pax, tar
from store.conftest import layer

pytestmark = pytest.mark.host

ENTRIES = int(os.environ.get("HOSTILE_ENTRIES", "20000"))
"""How many entries the large layer has; `HOSTILE_ENTRIES=1000000` takes a minute."""


@dataclass(frozen=True)
class Case:
    """Layers, the lowest first, of which the last is hostile. `EXPECTED` says what becomes of it."""

    layers: tuple[bytes, ...]
    traced: bool = True


def directory(name: str) -> bytes:
    return member(name, type="5")


def link(name: str, target: str, **records: str) -> bytes:
    pairs: dict[str, str | bytes] = {"linkpath": target, **records}
    return member(name, type="2", pax=pairs)


def hard(name: str, target: str) -> bytes:
    return member(name, type="1", link=target)


def one(*members: bytes) -> Case:
    """A hostile layer above an ordinary one."""
    return Case((BELOW, tar(F, *members)))


def long(name: str) -> bytes:
    return member(pax={"path": name})


F = directory("Files/")
BELOW = layer("Files/low.txt=low", "Files/dir/", "Files/dir/deep.txt=deep")
JUNCTION = {"MSWINDOWS.mountpoint": "1"}

CASES: dict[str, Case] = {
    # Links that lead out, and members that would be written through them.
    "a member through a link of its own tar": one(link("Files/x", "/canary"), member("Files/x/y", b"1")),
    "a member through a relative link": one(link("Files/x", "../../../canary"), member("Files/x/y", b"1")),
    "a member through a link that comes later": one(member("Files/x/y", b"1"), link("Files/x", "/canary")),
    "a file over a link": one(link("Files/x", "/canary/secret"), member("Files/x", b"1")),
    "a directory over a link": one(link("Files/x", "/canary"), directory("Files/x"), member("Files/x/y", b"1")),
    "a hard link through a link": one(link("Files/x", "/canary"), hard("Files/y", "Files/x/secret")),
    "a hard link to a link": one(link("Files/x", "/canary/secret"), hard("Files/y", "Files/x")),
    "a whiteout through a link": one(link("Files/x", "/canary"), member("Files/x/.wh.secret")),
    "an opaque link": one(link("Files/x", "/canary"), member("Files/x/.wh..wh..opq")),
    "a member through a link of the layer below": Case(
        (tar(F, link("Files/x", "/canary")), tar(F, member("Files/x/y", b"1")))
    ),
    "a whiteout through a link of the layer below": Case(
        (tar(F, link("Files/x", "/canary")), tar(F, member("Files/x/.wh.secret")))
    ),
    "a hard link through a link of the layer below": Case(
        (tar(F, link("Files/x", "/canary")), tar(F, hard("Files/y", "Files/x/secret")))
    ),
    "links that lead out": one(
        link("Files/up", "../../../../canary/secret"),
        link("Files/absolute", "/canary/secret"),
        link("Files/drive", "C:\\..\\..\\canary"),
        link("Files/other-drive", "D:\\canary"),
        link("Files/share", "\\\\server\\share"),
        link("Files/device", "\\\\.\\PhysicalDrive0"),
        link("Files/nt", "\\??\\GLOBALROOT\\Device"),
        link("Files/zigzag", "dir/../../../../canary"),
        link("Files/proc", "/proc/self/root/canary"),
        link("Files/long", "x/" * 3000),
    ),
    "a junction to the root of the host": one(
        link("Files/j", "/", **JUNCTION),
        link("Files/k", "C:\\", **JUNCTION),
        link("Files/l", "\\\\?\\Volume{{00000000-0000-0000-0000-000000000000}}\\", **JUNCTION),
    ),
    "a member through a junction": one(link("Files/j", "C:\\", **JUNCTION), member("Files/j/y", b"1")),
    "links in a circle": one(link("Files/a", "b"), link("Files/b", "a"), link("Files/self", "self")),
    "a link to its own directory": one(link("Files/a", "."), link("Files/b", "b/b/b"), link("Files/c", "c/..")),
    # Hard links.
    "a hard link that leads out": one(hard("Files/x", "../../canary/secret")),
    "an absolute hard link": one(hard("Files/x", "/canary/secret")),
    "hard links in a circle": one(hard("Files/a", "Files/b"), hard("Files/b", "Files/a")),
    "a hard link to itself": one(hard("Files/a", "Files/A")),
    "a hard link to a directory": one(hard("Files/a", "Files/dir")),
    "a hard link to a whiteout": one(member("Files/.wh.low.txt"), hard("Files/a", "Files/.wh.low.txt")),
    "a hard link to what is whited out": one(member("Files/.wh.low.txt"), hard("Files/a", "Files/low.txt")),
    # Names.
    "dots": one(member("Files/../../canary/new")),
    "dots alone": one(member("..")),
    "a dot": one(member("Files/./x")),
    "an absolute name": one(member("/canary/new")),
    "a drive": one(member("C:/x")),
    "a drive with backslashes": one(member("C:\\..\\x")),
    "backslashes": one(member("Files\\..\\..\\x")),
    "a backslash behind dots": one(member("Files/..\\x")),
    "another root": one(member("canary/new")),
    "a NUL": one(member(pax={"path": "Files/a\0b"})),
    "bytes that are no text": one(member(b"Files/\xff\xfe")),
    "an unpaired surrogate": one(member(b"Files/\xed\xa0\x80")),
    "a surrogate pair in two": one(member(b"Files/\xed\xa0\x80\xed\xb0\x80")),
    "an overlong slash": one(member(b"Files/\xc0\xaf")),
    "devices": one(
        *(member(f"Files/{name}", b"1") for name in ("CON", "nul.txt", "COM1", "lpt9.tar.gz", "AUX", "PRN"))
    ),
    "a stream of a device": one(member("Files/CON", b"1"), member("Files/CON:s", b"2")),
    "trailing dots and spaces": one(
        *(member(f"Files/{name}", b"1") for name in ("a.", "a ", "a..", "...", " ", "a. ."))
    ),
    "control characters": one(member("Files/\x01\x1b[2J\x7f", b"1"), member("Files/new\nline", b"1")),
    "characters that Windows does not take": one(member('Files/<>"|?*', b"1")),
    "text from right to left": one(member("Files/exe.\u202etxt", b"1"), member("Files/\ufeff", b"1")),
    "names of the store": one(member("Files/layer.tar", b"1"), member("Files/.winlayers/state.db", b"1")),
    "a name of 255 units": one(long("Files/" + "x" * 255)),
    "a name of 255 units and 765 bytes": one(long("Files/" + "€" * 255)),
    "a name of 256 units": one(long("Files/" + "x" * 256)),
    "a path of 40,000 units": one(long("Files/" + "d/" * 20_000)),
    "a stream without its file": one(member("Files/dir:s", b"1")),
    "a stream of a directory": one(directory("Files/d"), member("Files/d:s", b"1")),
    "a stream that leads out": one(member("Files/a", b"1"), member("Files/a:../../canary", b"2")),
    "an index of a directory": one(directory("Files/d"), member("Files/d:$I30:$INDEX_ALLOCATION", b"1")),
    "files equal without case": one(member("Files/a", b"1"), member("Files/A", b"2")),
    "a file and a directory equal without case": one(member("Files/a", b"1"), directory("Files/A")),
    "directories equal without case": one(directory("Files/Dir"), member("Files/DIR/x", b"1"), member("Files/dir/y")),
    "a link and a directory equal without case": one(link("Files/x", "/canary"), member("Files/X/y", b"1")),
    "a file equal without case in the layer below": one(member("Files/LOW.TXT", b"1"), member("Files/Dir/Deep.txt")),
    "a file with members": one(member("Files/a", b"1"), member("Files/a/b", b"2")),
    "members and then their file": one(member("Files/a/b", b"2"), member("Files/a", b"1")),
    "a file twice": one(member("Files/a", b"1"), member("Files/a", b"2")),
    "Files as a file": Case((BELOW, tar(member("Files", b"1")))),
    "Files as a link": Case((BELOW, tar(link("Files", "/canary"), member("Files/x", b"1")))),
    # Whiteouts.
    "a whiteout of Files": Case((BELOW, tar(member(".wh.Files"), F, member("Files/x", b"1")))),
    "a whiteout of Files alone": Case((BELOW, tar(member(".wh.Files")))),
    "a whiteout of the parent of later members": one(member("Files/.wh.dir"), member("Files/dir/x", b"1")),
    "a whiteout of the parent of members before": one(member("Files/dir/x", b"1"), member("Files/.wh.dir")),
    "a whiteout of nothing": one(member("Files/.wh.")),
    "a whiteout of dots": one(member("Files/.wh...")),
    "a whiteout of a dot": one(member("Files/.wh..")),
    "a whiteout of a whiteout": one(member("Files/.wh..wh.x")),
    "a whiteout of another root": Case((BELOW, tar(member(".wh.canary")))),
    "a directory with the name of a whiteout": one(directory("Files/.wh.d"), member("Files/.wh.d/x", b"1")),
    "a member in a whiteout": one(member("Files/.wh.d/x", b"1")),
    "a link as a whiteout": one(link("Files/.wh.low.txt", "/canary")),
    "an opaque top": Case((BELOW, tar(member(".wh..wh..opq"), F, member("Files/x", b"1")))),
    "an opaque file": one(member("Files/a", b"1"), member("Files/a/.wh..wh..opq")),
    "a whiteout with data": one(member("Files/.wh.low.txt", b"1")),
    # Kinds, modes and sizes.
    "rights beyond all": one(
        member("Files/suid", b"1", mode=0o6777), directory("Files/d"), member("Files/d/x", mode=0)
    ),
    "a character device": one(member("Files/x", type="3")),
    "a block device": one(member("Files/x", type="4")),
    "a FIFO": one(member("Files/x", type="6")),
    "a socket, as star has it": one(member("Files/x", type="s")),
    "a sparse file of an exabyte": one(
        member(
            "Files/a",
            pad(b"0\n"),
            pax={"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": str(1 << 60)},
        )
    ),
    "a sparse file of half a tebibyte": one(
        member(
            "Files/a",
            pad(b"0\n"),
            pax={"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": str(1 << 39)},
        )
    ),
    "a size past the end": one(header("Files/a", size=base256(1 << 39, 12))),
    "a tar that ends in its middle": Case((BELOW, tar(F, member("Files/a", b"1"))[:1200])),
    "global records for all": Case((BELOW, tar(pax({"path": "Files/../../canary/new"}, "g"), F, member("Files/a")))),
    # Depth.
    "300 directories deep": one(long("Files/" + "d/" * 300 + "x")),
    "2,000 directories deep": Case((BELOW, tar(F, long("Files/" + "d/" * 2_000 + "x"))), traced=False),
}

DRIVER = r"""
import json, os, sys
import winlayers as wl

def attempt(results, name, call):
    try:
        results[name] = None
        return call()
    except wl.WinLayersError as error:
        results[name] = error.code
    except OSError as error:
        results[name] = f"OSError {error.errno}: {error}"

def listing(home):
    found = []
    for folder, folders, files in os.walk(home):
        found += [os.path.relpath(os.path.join(folder, name), home) for name in folders + files]
    return sorted(name for name in found if not name.startswith((".winlayers/locks/", ".winlayers/holders/")))

def read_all(view):
    # Reading a layer opens nothing outside: data that was found elsewhere would have the canary's text.
    for entry in view.entries():
        if entry.size < 1 << 20:
            for _, _, file in entry.parts():
                assert b"canary" not in file.read(), entry.name

def directories(top):
    for folder, names, files in os.walk(top):
        depth = os.path.relpath(folder, top).count(os.sep)
        if depth > 60:
            names.clear()
        yield folder, files, [name for name in names + files if os.path.islink(os.path.join(folder, name))]

def look(top):
    for folder, files, links in directories(top):
        for name in links:
            target = os.path.realpath(os.path.join(folder, name))
            assert (target + "/").startswith(os.path.realpath(top) + "/"), (folder, name, target)

def edit(top):
    for number, (folder, files, links) in enumerate(list(directories(top))):
        flags = os.O_WRONLY | os.O_NOFOLLOW
        for name in sorted(files):
            path = os.path.join(folder, name)
            if name not in links and os.lstat(path).st_size < 1 << 20:
                with open(os.open(path, flags | os.O_APPEND), "wb") as file:
                    file.write(b"edited")
        if sorted(files) and number % 2 == 0:
            os.unlink(os.path.join(folder, sorted(files)[0]))
        with open(os.open(os.path.join(folder, "new of user"), flags | os.O_CREAT, 0o644), "wb") as file:
            file.write(b"new")

def run(store, layers, results):
    last = f"l{len(layers) - 1}"
    for number, tar in enumerate(layers[:-1]):
        store.apply_diff(f"l{number}", f"l{number - 1}" if number else "", tar)
    before = listing(store.home)
    attempt(results, "import", lambda: store.apply_diff(last, f"l{len(layers) - 2}", layers[-1]))
    if results["import"] is not None:
        assert listing(store.home) == before, "something is left"
        assert not store.exists(last)
    else:
        attempt(results, "read", lambda: read_all(store.view(last)))
        def mount_base():
            with store.mount(last) as path:
                look(path)
        attempt(results, "mount", mount_base)
        store.create_read_write("box", last)
        def use():
            with store.mount("box") as path:
                look(path)
                edit(path)
            store.changes("box")
            with store.diff("box") as tar:
                store.apply_diff("again", last, tar)
            attempt(results, "read again", lambda: read_all(store.view("again")))
            store.remove("again")
        attempt(results, "use", use)
        attempt(results, "changes", lambda: store.changes(last))
        assert not store.check(), store.check()
        store.remove("box")
        store.remove(last)
        assert listing(store.home) == before, "something is left"
    assert not store.check(), store.check()

for number, case in enumerate(json.loads(open(sys.argv[1]).read())):
    try:
        os.close(os.open(f"/case/{number}", os.O_RDONLY))
    except OSError:
        pass
    results = {}
    try:
        layers = [open(path, "rb").read() for path in case["layers"]]
        run(wl.LayerStore(case["home"], options={"fsync": False}), layers, results)
    except Exception as error:
        results["error"] = f"{type(error).__name__}: {error}"
    print(json.dumps(results), flush=True)
"""

# The code of the error that a step ends with; a step that is not named goes through.
EXPECTED: dict[str, dict[str, str]] = {
    "a member through a link of its own tar": {"import": "link_escapes"},
    "a member through a relative link": {"import": "link_escapes"},
    "a member through a link that comes later": {"import": "duplicate_name"},
    "a file over a link": {"import": "duplicate_name"},
    "a directory over a link": {"import": "duplicate_name"},
    "a hard link through a link": {"mount": "bad_layer_tar", "use": "bad_layer_tar"},
    "a whiteout through a link": {"import": "link_escapes"},
    "an opaque link": {"import": "link_escapes"},
    "a hard link through a link of the layer below": {"mount": "bad_layer_tar", "use": "bad_layer_tar"},
    "a member through a junction": {"import": "link_escapes"},
    "a hard link that leads out": {"mount": "bad_layer_tar", "use": "bad_layer_tar"},
    "an absolute hard link": {"mount": "bad_layer_tar", "use": "bad_layer_tar"},
    "hard links in a circle": {"mount": "bad_layer_tar", "use": "bad_layer_tar"},
    "a hard link to itself": {"mount": "bad_layer_tar", "use": "bad_layer_tar"},
    "a hard link to a directory": {"mount": "bad_layer_tar", "use": "bad_layer_tar"},
    "a hard link to a whiteout": {"mount": "bad_layer_tar", "use": "bad_layer_tar"},
    "a hard link to what is whited out": {"mount": "bad_layer_tar", "use": "bad_layer_tar"},
    "dots": {"import": "name_escapes"},
    "dots alone": {"import": "name_escapes"},
    "a dot": {"mount": "name_reserved", "use": "name_reserved"},
    "an absolute name": {"import": "name_escapes"},
    "a drive": {"import": "name_escapes"},
    "a drive with backslashes": {"import": "name_backslash"},
    "backslashes": {"import": "name_backslash"},
    "a backslash behind dots": {"import": "name_backslash"},
    "another root": {"import": "root_unknown"},
    "a NUL": {"import": "bad_tar"},
    "bytes that are no text": {"import": "name_not_unicode"},
    "a surrogate pair in two": {"import": "name_not_unicode"},
    "an overlong slash": {"import": "name_not_unicode"},
    "a name of 255 units and 765 bytes": {"mount": "name_reserved", "use": "name_reserved"},
    "a name of 256 units": {"import": "limit_component"},
    "a path of 40,000 units": {"import": "limit_path"},
    "a stream without its file": {"import": "name_colon"},
    "files equal without case": {"import": "case_collision"},
    "a file and a directory equal without case": {"import": "case_collision"},
    "a link and a directory equal without case": {"import": "link_escapes"},
    "a file with members": {"import": "duplicate_name"},
    "members and then their file": {"import": "duplicate_name"},
    "a file twice": {"import": "duplicate_name"},
    "Files as a file": {"import": "root_unknown"},
    "Files as a link": {"import": "root_unknown"},
    "a whiteout of nothing": {"import": "bad_layer_tar"},
    "a whiteout of dots": {"import": "name_escapes"},
    "a whiteout of a dot": {"import": "name_escapes"},
    "a whiteout of another root": {"import": "root_unknown"},
    "a directory with the name of a whiteout": {"import": "whiteout_name"},
    "a member in a whiteout": {"import": "whiteout_name"},
    "an opaque file": {"import": "duplicate_name"},
    "a whiteout with data": {"import": "bad_layer_tar"},
    "a character device": {"import": "member_type"},
    "a block device": {"import": "member_type"},
    "a FIFO": {"import": "member_type"},
    "a socket, as star has it": {"import": "member_type"},
    "a sparse file of an exabyte": {"import": "limit_member_bytes"},
    "a size past the end": {"import": "bad_tar"},
    "global records for all": {"import": "name_escapes"},
}

CALLS = [
    *("open", "openat", "openat2", "creat", "mkdir", "mkdirat", "mknod", "mknodat", "truncate", "rmdir", "unlink"),
    *("unlinkat", "rename", "renameat", "renameat2", "link", "linkat", "symlink", "symlinkat", "chmod", "fchmodat"),
    *(
        "fchmodat2",
        "chown",
        "lchown",
        "fchownat",
        "utime",
        "utimes",
        "utimensat",
        "setxattr",
        "lsetxattr",
        "removexattr",
    ),
]
WRITES = re.compile(r"O_CREAT|O_WRONLY|O_RDWR|O_TRUNC|O_APPEND")
TEXT = r'"((?:[^"\\]|\\.)*)"'
PLACE = re.compile(rf"(?:(?:AT_FDCWD|\d+)<([^>]*)>, )?{TEXT}")


def places(call: str, rest: str) -> Iterator[str]:
    """Give the paths that a call would change."""
    arguments, _, result = rest.rpartition(" = ")
    if call.startswith(("open", "creat")):
        if WRITES.search(arguments):
            # Where it is in truth: whatever links led there.
            yield result.partition("<")[2].rpartition(">")[0].removesuffix(" (deleted)")
        return
    found = [(folder, name) for folder, name in PLACE.findall(arguments)]
    if call.startswith("symlink"):
        found = found[1:]  # what it says is not where it is
    for folder, name in found:
        yield os.path.normpath(Path(folder, name.encode().decode("unicode_escape")))


def run(folder: Path, names: list[str], *wrapper: str) -> list[dict[str, str | None]]:
    """Run cases in one process; give what each step of them ended with."""
    cases: list[dict[str, object]] = []
    for name in names:
        layers = []
        for number, data in enumerate(CASES[name].layers):
            path = folder / "inputs" / f"{len(cases)}-{number}.tar"
            path.write_bytes(data)
            layers.append(os.fspath(path))
        cases.append({"home": os.fspath(folder / "homes" / str(len(cases))), "layers": layers})
    (folder / "cases.json").write_text(json.dumps(cases))
    environment = {**os.environ, "TMPDIR": os.fspath(folder / "tmp"), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [*wrapper, sys.executable, "-c", DRIVER, os.fspath(folder / "cases.json")]
    done = subprocess.run(command, capture_output=True, check=False, env=environment, cwd=folder, timeout=300)
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """Run all cases; give what became of each, and the places outside of its home that it changed or tried to."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    found: dict[str, dict[str, Any]] = {}
    for traced in (True, False):
        folder = tmp_path_factory.mktemp("hostile")
        for name in ("inputs", "homes", "tmp", "canary"):
            (folder / name).mkdir()
        (folder / "canary" / "secret").write_bytes(b"canary")
        before = [(path, path.lstat()) for path in sorted((folder / "canary").rglob("*"))]
        names = [name for name, case in CASES.items() if case.traced == traced]
        log = folder / "log"
        wrapper = ["strace", "-f", "-y", "-qq", "-s", "70000", "-o", os.fspath(log)]
        wrapper += ["-e", "trace=" + ",".join(f"?{call}" for call in CALLS)]
        results = run(folder, names, *(wrapper if traced else []))
        outside: dict[int, list[str]] = {}
        number = -1
        for text in log.read_text(errors="replace").splitlines() if traced else []:
            if marker := re.search(r'"/case/(\d+)"', text):
                number = int(marker[1])
            elif (match := re.match(r"\d+ +(\w+)\((.*)", text)) and number >= 0:
                allowed = (os.fspath(folder / "homes" / str(number)), os.fspath(folder / "tmp"), "/dev/null")
                for place in places(match[1], match[2]):
                    if place and not any(place == top or place.startswith(top + "/") for top in allowed):
                        outside.setdefault(number, []).append(text)
        assert not traced or number == len(names) - 1
        for index, (name, result) in enumerate(zip(names, results, strict=True)):
            found[name] = {"steps": result, "outside": outside.get(index, [])}
        assert before == [(path, path.lstat()) for path in sorted((folder / "canary").rglob("*"))]
        assert (folder / "canary" / "secret").read_bytes() == b"canary"
        left = sorted(path.name for path in folder.iterdir())
        assert left == sorted(["inputs", "homes", "tmp", "canary", "cases.json", *(["log"] if traced else [])])
        assert not list((folder / "tmp").iterdir())
    return found


@pytest.mark.parametrize("name", CASES)
def test_a_hostile_layer_is_refused_or_confined(name: str, outcomes: dict[str, dict[str, Any]]) -> None:
    outcome = outcomes[name]
    assert not outcome["outside"]
    assert {step: code for step, code in outcome["steps"].items() if code is not None} == EXPECTED.get(name, {})


LARGE = r"""
import io, resource, sys, tarfile
import winlayers as wl

class Layer(io.RawIOBase):
    # A tar that is made while it is read.
    def __init__(self, entries):
        self.parts = self.make(entries)
        self.rest = b""
    def make(self, entries):
        for number in range(entries):
            name = f"Files/d{number // 1000}/f{number}" if number % 1000 else f"Files/d{number // 1000}/"
            info = tarfile.TarInfo(name)
            info.type = tarfile.REGTYPE if number % 1000 else tarfile.DIRTYPE
            yield info.tobuf(tarfile.PAX_FORMAT)
        yield bytes(1024)
    def readable(self):
        return True
    def read(self, size=-1):
        while len(self.rest) < size and (part := next(self.parts, None)):
            self.rest += part
        out, self.rest = self.rest[:size], self.rest[size:]
        return out

store = wl.LayerStore(sys.argv[1], options={"fsync": False})
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
store.apply_diff("many", "", Layer(int(sys.argv[2])))
view = store.view("many")
assert view.get("files/D3/F3001").size == 0
assert sum(1 for entry in view.entries("Files", recursive=False)) == -(-int(sys.argv[2]) // 1000)
assert store.info("many").entries == int(sys.argv[2])
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> 10)
"""


def test_many_entries_take_little_memory(tmp_path: Path) -> None:
    command = [sys.executable, "-c", LARGE, os.fspath(tmp_path / "home"), str(ENTRIES)]
    done = subprocess.run(command, capture_output=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr.decode()
    assert int(done.stdout) < 256
