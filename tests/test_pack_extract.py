"""pack, extract and the sidecar: the same bytes from the same tree, back and forth without a loss, nothing outside."""

import gzip
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import winlayers as wl

posix = pytest.mark.skipif(sys.platform == "win32", reason="needs names and links of POSIX")


def tree(root: Path) -> Path:
    (root / "app" / "bin").mkdir(parents=True)
    (root / "app" / "bin" / "run.exe").write_bytes(b"MZ" + bytes(range(256)) * 2000)
    (root / "readme.txt").write_text("hello", encoding="utf-8")
    (root / "app" / "élan").write_bytes(b"")
    if sys.platform != "win32":
        os.link(root / "readme.txt", root / "app" / "same.txt")
        (root / "app" / "link").symlink_to("bin/run.exe")
        (root / "app" / "dir").symlink_to("../app/bin")
    for path in [root, *root.rglob("*")]:
        os.utime(path, (1, 1_600_000_000), follow_symlinks=not path.is_symlink())
    return root


def packed(directory: Path, **options: object) -> bytes:
    sink = io.BytesIO()
    wl.pack(directory, sink, **options)  # type: ignore[arg-type]
    return sink.getvalue()


def everything(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


def entries(tar: bytes) -> dict[str, wl.Entry]:
    return {entry.name: entry for entry in wl.LayerReader(tar)}


@posix
def test_what_becomes_of_a_tree(tmp_path: Path) -> None:
    tar = packed(tree(tmp_path / "tree"))
    with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
        kinds = {member.name: (member.type, member.linkname) for member in archive}
    assert kinds == {
        "Files": (tarfile.DIRTYPE, ""),
        "Files/app": (tarfile.DIRTYPE, ""),
        "Files/app/bin": (tarfile.DIRTYPE, ""),
        "Files/app/bin/run.exe": (tarfile.REGTYPE, ""),
        "Files/app/dir": (tarfile.SYMTYPE, "../app/bin"),
        "Files/app/link": (tarfile.SYMTYPE, "bin/run.exe"),
        "Files/app/same.txt": (tarfile.REGTYPE, ""),
        "Files/app/élan": (tarfile.REGTYPE, ""),
        "Files/readme.txt": (tarfile.LNKTYPE, "Files/app/same.txt"),
        "Hives": (tarfile.DIRTYPE, ""),
    }
    found = entries(tar)
    attributes = wl.FileAttributes
    assert found["Files/app/dir"].basic_info.attributes == attributes.REPARSE_POINT | attributes.DIRECTORY
    assert found["Files/app/link"].basic_info.attributes == attributes.REPARSE_POINT
    assert found["Files/app/bin/run.exe"].basic_info.attributes == attributes.ARCHIVE
    assert found["Files/app"].basic_info.last_write_time == wl.FileTime.from_unix_ns(1_600_000_000 * 10**9)
    owner = found["Files/app"].security_descriptor
    assert owner is not None
    assert owner.owner == "S-1-5-32-544"
    assert len(bytes(owner)) == 216


@posix
def test_the_same_bytes_whoever_packs(tmp_path: Path) -> None:
    first, second = tree(tmp_path / "one"), tmp_path / "elsewhere" / "two"
    shutil.copytree(first, second, symlinks=True)
    # copytree copies files with two names twice.
    (second / "app" / "same.txt").unlink()
    os.link(second / "readme.txt", second / "app" / "same.txt")
    os.utime(second / "app", (5, 1_600_000_000))
    (second / "app" / "bin" / "run.exe").chmod(0o700)
    os.utime(second, (0, 0))
    program = "import os, sys, winlayers as wl; os.umask(0o077); wl.pack(sys.argv[1], sys.argv[2])"
    environment = dict(os.environ, LC_ALL="C", TZ="Asia/Tokyo", HOME="/nonexistent", PYTHONUTF8="0")
    target = tmp_path / "out.tar"
    subprocess.run([sys.executable, "-c", program, second, target], check=True, env=environment)
    assert target.read_bytes() == packed(first)


def test_source_date_epoch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tree(tmp_path / "tree")
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1500000000")
    latest = wl.FileTime.from_unix_ns(1_500_000_000 * 10**9)
    assert {entry.basic_info.last_write_time for entry in wl.LayerReader(packed(root))} == {latest}
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "soon")
    with pytest.raises(wl.MisuseError):
        packed(root)


def test_files_at_the_top_are_not_doubled(tmp_path: Path) -> None:
    layer = tmp_path / "layer"
    tree(layer / "Files")
    names = list(entries(packed(layer)))
    assert names[0] == "Files"
    assert "Files/Files" not in names
    assert "Files/readme.txt" in names
    (layer / "extra").write_text("")
    with pytest.raises(wl.RefusedError) as refused:
        packed(layer)
    assert refused.value.code == "root_unknown"


def test_compression_follows_the_suffix(tmp_path: Path) -> None:
    root = tree(tmp_path / "tree")
    plain = packed(root)
    report = wl.pack(root, tmp_path / "layer.tar")
    assert (tmp_path / "layer.tar").read_bytes() == plain
    assert wl.pack(root, tmp_path / "layer.tar.gz") == report == wl.pack(root, tmp_path / "layer.tar.zst")
    assert gzip.decompress((tmp_path / "layer.tar.gz").read_bytes()) == plain
    assert wl.verify_layer(tmp_path / "layer.tar.zst").diff_id == report.diff_id
    assert wl.verify_layer(plain) == report
    sink = io.BytesIO()
    wl.pack(root, sink, compression="gzip")
    assert gzip.decompress(sink.getvalue()) == plain
    with pytest.raises(wl.MisuseError):
        wl.pack(root, sink, compression="lzma")


def test_a_failure_leaves_no_layer(tmp_path: Path) -> None:
    root = tree(tmp_path / "tree")
    (root / ".wh.x").write_text("")
    with pytest.raises(wl.RefusedError) as refused:
        wl.pack(root, tmp_path / "layer.tar")
    assert (refused.value.code, refused.value.member) == ("whiteout_name", b"Files/.wh.x")
    with pytest.raises(wl.MisuseError):
        wl.pack(tmp_path / "tree", tmp_path / "tree" / "layer.tar")
    assert {path.name for path in tmp_path.iterdir()} == {"tree"}
    with pytest.raises(FileNotFoundError):
        wl.pack(tmp_path / "nothing", io.BytesIO())


@pytest.mark.parametrize("dialect", ["go-winio", "lossless"])
def test_there_and_back(dialect: str, tmp_path: Path) -> None:
    sink = io.BytesIO()
    with wl.LayerWriter(sink, dialect=dialect) as writer:
        sd = wl.SecurityDescriptor.from_sddl("O:SYG:SYD:(A;;FA;;;WD)")
        times = [wl.FileTime(13 * 10**16 + i) for i in range(4)]
        info = wl.BasicInfo(times[0], times[1], times[2], times[3], wl.FileAttributes.HIDDEN)
        writer.add(wl.Entry("Files", kind="directory", security_descriptor=sd))
        eas = [wl.ExtendedAttribute(b"A", b"1"), wl.ExtendedAttribute(b"B", bytes(range(256)))]
        file = wl.Entry("Files/a", basic_info=info, security_descriptor=sd, extended_attributes=eas)
        writer.add(file, b"data", {"one": bytes(300_000) + b"x" * 300_000, "two": b""})
        writer.add(wl.Entry("Files/j", kind="junction", reparse_point=wl.ReparsePoint.junction("C:\\a")))
        writer.add_hard_link("Files/b", "Files/a", info)
        writer.add_hard_link("Files/c", "Files/in/a/lower/layer")
        writer.add_whiteout("Files/gone")
    tar = sink.getvalue()
    report = wl.extract(tar, tmp_path / "layer")
    assert (report.entries, report.size) == (6, len(tar))
    assert report.diff_id == wl.verify_layer(tar).diff_id
    assert [loss.path for loss in report.losses] == ["Files/j", "Files/c"]
    assert everything(tmp_path / "layer") == {"Files", "Files/a", "Files/j", "Files/b"}
    assert packed(tmp_path / "layer") == tar
    lines = [json.loads(line) for line in (tmp_path / "layer.winlayers.ndjson").read_text("utf-8").splitlines()]
    assert lines[0]["winlayers_sidecar"]["version"] == 1
    assert [line["member"]["name"] for line in lines if "member" in line] == [
        entry.name for entry in wl.LayerReader(tar)
    ]
    (tmp_path / "layer" / "Files" / "a").write_bytes(b"DATA")
    changed = wl.pack(tmp_path / "layer", io.BytesIO())
    assert changed.problems[0].code == "sidecar_mismatch"


@posix
def test_a_packed_tree_extracts_to_the_same_tree(tmp_path: Path) -> None:
    root = tree(tmp_path / "tree")
    tar = packed(root)
    wl.extract(tar, tmp_path / "layer")
    out = tmp_path / "layer" / "Files"
    assert everything(out) == everything(root)
    for path in root.rglob("*"):
        copy = out / path.relative_to(root)
        assert copy.is_symlink() == path.is_symlink()
        assert copy.lstat().st_mtime_ns == path.lstat().st_mtime_ns
        if path.is_file():
            assert copy.read_bytes() == path.read_bytes()
    assert (out / "readme.txt").samefile(out / "app" / "same.txt")
    assert packed(tmp_path / "layer") == tar


def hostile(*members: tuple[str, bytes, str]) -> bytes:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w") as tar:
        for name, kind, link in members:
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, link
            tar.addfile(info)
    return sink.getvalue()


FILE, DIRECTORY, LINK, HARD = tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE


@pytest.mark.parametrize(
    ("members", "code"),
    [
        ([("../out", FILE, "")], "name_escapes"),
        ([("/out", FILE, "")], "name_escapes"),
        ([("C:/out", FILE, "")], "name_escapes"),
        ([("Files/../../out", FILE, "")], "name_escapes"),
        ([("Files\\..\\out", FILE, "")], "name_backslash"),
        ([("Files/l", LINK, ".."), ("Files/l/x", FILE, "")], "link_escapes"),
        ([("Files/l", LINK, "/etc"), ("Files/l/x", FILE, "")], "link_escapes"),
        ([("Files/l", LINK, "x"), ("Files/l", FILE, "")], "duplicate_name"),
        ([("Files/h", HARD, "../secret")], "link_escapes"),
        ([("Files/h", HARD, "/etc/passwd")], "link_escapes"),
        ([("Files/a", FILE, ""), ("Files/a/b", FILE, "")], "link_escapes"),
    ],
)
def test_hostile_layers_write_nothing(members: list[tuple[str, bytes, str]], code: str, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    with pytest.raises(wl.RefusedError) as refused:
        wl.extract(hostile(*members), tmp_path / "layer")
    assert refused.value.code == code
    assert everything(tmp_path) == {"secret"}


def test_whiteouts_delete_nothing(tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("here")
    wl.extract(
        hostile(("Files", DIRECTORY, ""), (".wh.Files", FILE, ""), ("Files/.wh...", FILE, "")), tmp_path / "layer"
    )
    assert everything(tmp_path) == {"victim", "layer", "layer/Files", "layer.winlayers.ndjson"}


def test_bombs_are_bounded(tmp_path: Path) -> None:
    many = hostile(*[(f"Files/{i}", FILE, "") for i in range(2000)])
    with pytest.raises(wl.LimitExceededError):
        wl.extract(many, tmp_path / "layer", limits=wl.Limits(entries=1000))
    sink = io.BytesIO()
    with wl.LayerWriter(sink) as writer:
        writer.add(wl.Entry("Files/big"), bytes(32 << 20))
    with pytest.raises(wl.LimitExceededError):
        wl.extract(gzip.compress(sink.getvalue()), tmp_path / "layer", limits=wl.Limits(total_bytes=1 << 20))
    assert everything(tmp_path) == set()


def test_a_layer_cut_anywhere_leaves_nothing_or_all(tmp_path: Path) -> None:
    sink = io.BytesIO()
    with wl.LayerWriter(sink) as writer:
        writer.add(wl.Entry("Files", kind="directory"))
        writer.add(wl.Entry("Files/a"), b"a" * 600, {"s": b"s"})
        writer.add(wl.Entry("Files/b"), b"b")
    tar = sink.getvalue()
    for end in range(0, len(tar) - 1024, 37):
        try:
            wl.extract(tar[:end], tmp_path / "layer")
        except wl.FormatError:
            assert everything(tmp_path) == set(), end
        else:
            # It ends behind a member: a layer without end blocks.
            assert wl.verify_layer(tar[:end]).problem_totals.keys() == {"end_blocks"}, end
            shutil.rmtree(tmp_path / "layer")
            (tmp_path / "layer.winlayers.ndjson").unlink()


def test_targets_are_never_replaced(tmp_path: Path) -> None:
    tar = hostile(("Files", DIRECTORY, ""))
    wl.extract(tar, tmp_path / "layer")
    with pytest.raises(wl.RefusedError) as refused:
        wl.extract(tar, tmp_path / "layer")
    assert refused.value.code == "target_exists"
    shutil.rmtree(tmp_path / "layer")
    with pytest.raises(wl.RefusedError):
        wl.extract(tar, tmp_path / "layer")
    assert everything(tmp_path) == {"layer.winlayers.ndjson"}


def _big(root: Path) -> bytes:
    root.mkdir()
    (root / "big").write_bytes(os.urandom(1 << 20) * 40)
    return packed(root)


@pytest.mark.parametrize("how", ["progress", "signal"])
def test_an_interrupt_leaves_nothing(how: str, tmp_path: Path) -> None:
    if how == "signal" and sys.platform == "win32":
        pytest.skip("no signals between threads")
    tar = _big(tmp_path / "tree")

    def stop(done: int, total: int | None) -> None:
        if done > 2 << 20:
            if how == "progress":
                raise KeyboardInterrupt
            signal.raise_signal(signal.SIGINT)

    runs: list[Callable[[], object]] = [
        lambda: wl.extract(tar, tmp_path / "layer", progress=stop),
        lambda: wl.pack(tmp_path / "tree", tmp_path / "layer.tar.gz", progress=stop),
        lambda: wl.verify_layer(tar, progress=stop),
    ]
    for run in runs:
        with pytest.raises(KeyboardInterrupt):
            run()
        assert {path.name for path in tmp_path.iterdir()} == {"tree"}


def test_other_threads_run_meanwhile(tmp_path: Path) -> None:
    tar = _big(tmp_path / "tree")
    done = threading.Event()
    counted = 0

    def work() -> None:
        wl.verify_layer(tar)
        done.set()

    thread = threading.Thread(target=work)
    thread.start()
    while not done.is_set():
        counted += 1
    thread.join()
    assert counted > 0


# A path of Win32 has no dots and spaces at the end of a name: they are dropped before a file is made.
END = ". " if sys.platform == "win32" else ""
NAMES = (
    st.lists(st.sampled_from("abcdé. -_~"), min_size=1, max_size=5)
    .map(lambda letters: "".join(letters).rstrip(END))
    .filter(lambda name: name.strip(". "))
)


@settings(deadline=None, max_examples=40)
@given(
    st.dictionaries(
        NAMES,
        st.one_of(st.binary(max_size=2000), st.dictionaries(NAMES, st.binary(max_size=9), max_size=3)),
        max_size=5,
    )
)
def test_any_tree(tmp_path_factory: pytest.TempPathFactory, content: dict[str, bytes | dict[str, bytes]]) -> None:
    folder = tmp_path_factory.mktemp("any")
    root = folder / "tree"
    root.mkdir()
    for name, value in content.items():
        if isinstance(value, bytes):
            (root / name).write_bytes(value)
        else:
            (root / name).mkdir()
            for inner, data in value.items():
                (root / name / inner).write_bytes(data)
    tar = packed(root)
    assert {problem.code for problem in wl.verify_layer(tar).problems} <= {"name_reserved"}
    wl.extract(tar, folder / "layer")
    assert packed(folder / "layer") == tar
    assert everything(folder / "layer" / "Files") == everything(root)
