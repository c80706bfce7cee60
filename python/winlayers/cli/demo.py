"""Pack Windows programs as a layer, take it apart in every way there is, and check that each way leads back. Then keep
it in a store, change it in a sandbox, and take the change to another store.

The programs are the launchers of the package `distlib`, or the files of another folder. Everything happens in a
temporary folder. Exits with 1 when a digest disagrees.
"""

import argparse
import hashlib
import importlib.util
import io
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import winlayers as wl
from winlayers.cli.errors import Usage
from winlayers.cli.ls import entry_object
from winlayers.cli.output import CHUNK, as_json_text, escape, json_line, line, size_text

DIRECTORY_SD = "O:BAG:SYD:(A;OICI;FA;;;BA)(A;OICI;FA;;;SY)(A;OICI;0x1200a9;;;BU)"
FILE_SD = "O:BAG:SYD:(A;;FA;;;BA)(A;;FA;;;SY)(A;;0x1200a9;;;BU)"
ZONE = b"[ZoneTransfer]\r\nZoneId=3\r\n"
# The kernel caches whether an image is signed in an attribute such as this one.
ATTRIBUTE = wl.ExtendedAttribute("$KERNEL.PURGE.DEMO", b"\x01\x00")
# Two megabytes of which eight bytes are data: one range in the middle.
SPARSE_SIZE = 2 << 20
SPARSE_RANGE = (1 << 20, 8)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.add_argument("directory", metavar="DIR", nargs="?", help="a folder with files to take instead of distlib's")


def run(arguments: argparse.Namespace) -> int:
    """Go through all steps."""
    programs = _programs(arguments.directory)
    with tempfile.TemporaryDirectory(prefix="winlayers-demo-") as folder:
        demo = Demo(Path(folder), programs, as_json=arguments.json)
        for step in (
            demo.pack,
            demo.read,
            demo.verify,
            demo.backup_streams,
            demo.split_and_join,
            demo.extract_and_pack,
            demo.import_layers,
            demo.edit_a_sandbox,
            demo.take_to_another_store,
        ):
            step()
    if not arguments.json:
        line("\nEvery way led back to the same bytes." if demo.agrees else "\nDigests disagree: see above.")
    return 0 if demo.agrees else 1


class Demo:
    """The steps, each on what the first one made."""

    def __init__(self, folder: Path, programs: dict[str, Path], *, as_json: bool) -> None:
        """Work in `folder`, on these programs by name."""
        self.folder = folder
        self.programs = programs
        self.as_json = as_json
        self.layer = folder / "layer.tar"
        self.expected: dict[str, str] = {}
        self.child = folder / "child.tar"
        self.diff = folder / "diff.tar"
        self.stores = [folder / "store", folder / "another-store"]
        self.agrees = True
        self.number = 0

    def pack(self) -> None:
        """Write the layer, with one of everything that Windows knows and a plain tar does not."""
        now = wl.FileTime.fromisoformat("2024-01-02T03:04:05.6789012Z")
        attributes = wl.FileAttributes

        def info(bits: int) -> wl.BasicInfo:
            return wl.BasicInfo(now, now, now, now, bits)

        directory_sd = wl.SecurityDescriptor.from_sddl(DIRECTORY_SD)
        file_sd = wl.SecurityDescriptor.from_sddl(FILE_SD)
        with wl.LayerWriter(self.layer, dialect="lossless") as writer:

            def directory(name: str) -> None:
                entry = wl.Entry(
                    name, kind="directory", basic_info=info(attributes.DIRECTORY), security_descriptor=directory_sd
                )
                writer.add(entry)

            directory("Files")
            directory("Files/Programs")
            made = {"Files", "Files/Programs"}
            for number, (name, path) in enumerate(self.programs.items()):
                full = f"Files/Programs/{name}"
                for parent in reversed(Path(name).parents[:-1]):
                    if f"Files/Programs/{parent.as_posix()}" not in made:
                        directory(f"Files/Programs/{parent.as_posix()}")
                        made.add(f"Files/Programs/{parent.as_posix()}")
                entry = wl.Entry(
                    full,
                    basic_info=info(attributes.ARCHIVE),
                    security_descriptor=file_sd,
                    extended_attributes=[ATTRIBUTE] if number == 0 else [],
                    size=path.stat().st_size,
                    streams=[wl.Stream("Zone.Identifier", len(ZONE))] if number == 0 else [],
                )
                with path.open("rb") as data:
                    writer.add(entry, data, {"Zone.Identifier": ZONE} if number == 0 else None)
                self.expected[full] = _sha256(path.open("rb"))
            first = next(iter(self.programs))
            writer.add(self._link("Files/Tools", wl.ReparsePoint.junction("C:\\Programs"), info, directory_sd))
            target = "Programs\\" + first.replace("/", "\\")
            writer.add(self._link("Files/default.exe", wl.ReparsePoint.symlink(target), info, file_sd))
            writer.add_hard_link("Files/same.exe", f"Files/Programs/{first}", info(attributes.ARCHIVE))
            sparse = wl.Entry(
                "Files/sparse.dat",
                basic_info=info(attributes.ARCHIVE | attributes.SPARSE_FILE),
                security_descriptor=file_sd,
                size=SPARSE_SIZE,
                sparse_ranges=[SPARSE_RANGE],
            )
            offset, length = SPARSE_RANGE
            holey = bytes(offset) + b"\xff" * length + bytes(SPARSE_SIZE - offset - length)
            writer.add(sparse, holey)
            self.expected["Files/sparse.dat"] = hashlib.sha256(holey).hexdigest()
            directory("Hives")
        self.digest = _sha256(self.layer.open("rb"))
        count = f"{len(self.programs)} program{'s' if len(self.programs) != 1 else ''}"
        rest = "a junction, a symlink, a hard link, a sparse file, a named stream, an EA"
        what = f"{count}, {rest}: {size_text(self.layer.stat().st_size)}"
        self._say("pack", what, sha256=self.digest)

    def read(self) -> None:
        """Read every file back and compare it with what was packed."""
        found: dict[str, str] = {}
        entries = 0
        with wl.LayerReader(self.layer) as reader:
            for entry in reader:
                entries += 1
                for name, _, file in entry.parts():
                    found[entry.name if name is None else f"{entry.name}:{name}"] = _sha256(file)
        first = f"Files/Programs/{next(iter(self.programs))}"
        self.expected[f"{first}:Zone.Identifier"] = hashlib.sha256(ZONE).hexdigest()
        self._check("read", f"{entries} entries, {len(found)} streams of data", found, self.expected)

    def verify(self) -> None:
        """Let the library find fault with it."""
        report = wl.verify_layer(self.layer)
        for problem in report.problems:
            line(f"     {problem.code}: {escape(problem.path)}: {escape(problem.message)}")
        self.agrees = self.agrees and not report.problems
        found = f"{len(report.problems)} problems; the go-winio dialect would lose {sum(report.loss_totals.values())}"
        self._check("verify", f"{found} things", report.diff_id, f"sha256:{self.digest}")

    def backup_streams(self) -> None:
        """Turn every entry into the stream that Windows' BackupRead gives, and those into a layer again."""
        again = self.folder / "from-streams.tar"
        size = 0
        with wl.LayerReader(self.layer) as reader, wl.LayerWriter(again, dialect="lossless") as writer:
            for entry in reader:
                if entry.kind == "hard_link":
                    writer.add_hard_link(entry.name, entry.link_name or "", entry.basic_info)
                    continue
                with tempfile.TemporaryFile(dir=self.folder) as stream, entry.backup_stream() as file:
                    while chunk := file.read(CHUNK):
                        size += stream.write(chunk)
                    stream.seek(0)
                    writer.add_backup_stream(entry.name, entry.basic_info, stream)
        what = f"{size_text(size)} of backup streams, and back"
        self._check("streams", what, _sha256(again.open("rb")), self.digest)

    def split_and_join(self) -> None:
        """Take the tar apart into metadata and data, and put it together."""
        metadata, content, again = (self.folder / name for name in ("tar-split.json.gz", "content", "joined.tar"))
        summary = wl.tarsplit.disassemble(self.layer, metadata, content)
        wl.tarsplit.assemble(metadata, content, again)
        what = f"{size_text(metadata.stat().st_size)} of metadata for {size_text(summary.size)}, and together again"
        self._check("split", what, _sha256(again.open("rb")), self.digest)

    def extract_and_pack(self) -> None:
        """Put the layer on the disk, and make a layer of what is there."""
        directory, again = self.folder / "extracted", self.folder / "packed.tar"
        wl.extract(self.layer, directory)
        sidecar = self.folder / "extracted.winlayers.ndjson"
        wl.pack(directory, again)
        what = f"onto the disk with {size_text(sidecar.stat().st_size)} beside it, and packed again"
        self._check("extract", what, _sha256(again.open("rb")), self.digest)

    def import_layers(self) -> None:
        """Put the layer into a store, and one above it that changes, adds and deletes something."""
        first = next(iter(self.programs))
        with wl.LayerWriter(self.child) as writer:
            for name in ("Files", "Files/Programs"):
                writer.add(wl.Entry(name, kind="directory"))
            writer.add_whiteout(f"Files/Programs/{first}")
            writer.add(wl.Entry("Files/Programs/readme.txt"), b"of the child\r\n")
        store = wl.LayerStore(self.stores[0])
        store.apply_diff("base", "", self.layer)
        store.apply_diff("child", "base", self.child)
        found = [store.info(layer).diff_id for layer in ("base", "child")]
        for layer in ("base", "child"):
            with store.diff(layer) as exported:
                found.append(f"sha256:{_sha256(exported)}")
        digests = [f"sha256:{_sha256(tar.open('rb'))}" for tar in (self.layer, self.child)]
        self._check("import", "the layer and a child that deletes a program, into a store", found, digests * 2)

    def edit_a_sandbox(self) -> None:
        """Mount a sandbox above both, change it with ordinary tools, and see what changed and how."""
        store = wl.LayerStore(self.stores[0])
        store.create_read_write("sandbox", "child")
        with store.mount("sandbox") as path:
            programs = Path(path, "Programs")
            seen = sorted(file.relative_to(programs).as_posix() for file in programs.rglob("*") if file.is_file())
            self._check("mount", "a sandbox: the programs are there, but for the deleted one", seen, self._kept())
            (programs / "readme.txt").write_bytes(b"of the sandbox\r\n")
            Path(path, "New").mkdir()
            Path(path, "New", "log.txt").write_bytes(b"new\r\n")
            Path(path, "sparse.dat").unlink()
        changes = [(change.kind, change.path) for change in store.changes("sandbox")]
        expected = [
            ("add", "Files/New"),
            ("add", "Files/New/log.txt"),
            ("delete", "Files/sparse.dat"),
            ("modify", "Files/Programs/readme.txt"),
        ]
        edits = sorted(change for change in changes if change[1] not in ("Files", "Files/Programs"))
        self._check("change", "with ordinary tools:", edits, expected)
        for change in store.changes("sandbox"):
            if not self.as_json:
                line(f"            {change.kind:<6}  {','.join(sorted(change.what)):<12}  {escape(change.path)}")

    def take_to_another_store(self) -> None:
        """Export the change, apply it to another store with the same layers, and compare what is seen of both."""
        first, second = (wl.LayerStore(home) for home in self.stores)
        with first.diff("sandbox") as tar, self.diff.open("wb") as file:
            while chunk := tar.read(CHUNK):
                file.write(chunk)
        second.apply_diff("base", "", self.layer)
        second.apply_diff("child", "base", self.child)
        second.apply_diff("change", "child", self.diff)
        what = f"{size_text(self.diff.stat().st_size)} of changes, applied to another store"
        exported = f"sha256:{_sha256(self.diff.open('rb'))}"
        self._check("export", what, second.info("change").diff_id, exported)
        views = [_view(first.view("sandbox")), _view(second.view("change"))]
        self._check("compare", f"both merged views: {len(views[0])} entries with all metadata", *views)

    def _kept(self) -> list[str]:
        """Give the programs that the child does not delete, and its own file."""
        return sorted([*list(self.programs)[1:], "readme.txt"])

    @staticmethod
    def _link(
        name: str, point: wl.ReparsePoint, info: Callable[[int], wl.BasicInfo], sd: wl.SecurityDescriptor
    ) -> wl.Entry:
        bits = wl.FileAttributes.REPARSE_POINT
        if point.kind == "junction":
            bits |= wl.FileAttributes.DIRECTORY
        return wl.Entry(name, kind=point.kind, basic_info=info(bits), security_descriptor=sd, reparse_point=point)

    def _check(self, step: str, what: str, found: Any, expected: Any) -> None:
        agrees = found == expected
        self.agrees = self.agrees and agrees
        self._say(step, what, agrees=agrees)

    def _say(self, step: str, what: str, *, agrees: bool | None = None, sha256: str | None = None) -> None:
        self.number += 1
        if self.as_json:
            json_line({"step": step, "what": what, "agrees": agrees, "sha256": sha256})
            return
        end = "" if agrees is None else "  [same digest]" if agrees else "  [ANOTHER DIGEST]"
        line(f"{self.number}. {step:<8} {escape(what)}{end}")
        if sha256 is not None:
            line(f"            sha256:{sha256}")


def _programs(directory: str | None) -> dict[str, Path]:
    """Give the files to pack by name."""
    if directory is not None:
        folder = Path(directory)
        found = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
        if not found:
            raise Usage(f"no files in {directory}")
        return found
    spec = importlib.util.find_spec("distlib")
    places = spec.submodule_search_locations if spec is not None else None
    found = {path.name: path for place in places or () for path in sorted(Path(place).glob("*.exe"))}
    if not found:
        raise Usage("no programs to pack", hint="pip install distlib, which has some, or name a folder with files")
    return found


def _view(view: wl.LayerView) -> list[str]:
    """Give everything about each entry, digests of its data included, as text."""
    return [as_json_text(entry_object(entry)) for entry in view.entries()]


def _sha256(file: Any) -> str:
    """Digest a file and close it."""
    with file:
        digest = hashlib.sha256()
        buffer: io.BytesIO | Any = file
        while chunk := buffer.read(CHUNK):
            digest.update(chunk)
        return digest.hexdigest()
