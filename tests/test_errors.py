"""Every error code is raised by some call, with its place and what was expected and found; the codes come from Rust."""

import io
import pickle
import re
from collections.abc import Callable
from pathlib import Path

import pytest

import winlayers as wl
from builders import header, member, pax, tar

ROOT = Path(__file__).resolve().parents[1]
CODE = re.compile(r'^ +[A-Z]\w+ = "([a-z_]+)", "', re.MULTILINE)


def codes() -> set[str]:
    """The closed sets of `rust/src/error/codes.rs`, and the codes that stand for a whole variant."""
    text = (ROOT / "rust" / "src" / "error" / "codes.rs").read_text(encoding="utf-8")
    return {*CODE.findall(text), "integrity", "unsupported"}


def read(layer: bytes, policy: wl.Policy | None = None, **limits: int) -> list[bytes]:
    with wl.LayerReader(layer, policy, wl.Limits(**limits)) as reader:
        return [entry.backup_stream().read() for entry in reader]


def writer(dialect: str = "go-winio", **options: str) -> wl.LayerWriter:
    return wl.LayerWriter(io.BytesIO(), dialect=dialect, **options)  # type: ignore[arg-type]


def write(entry: wl.Entry, data: bytes | None = None, **options: str) -> None:
    writer(**options).add(entry, data)


def sid_of_revision_9() -> None:
    raw = bytearray(bytes(wl.SecurityDescriptor.from_sddl("O:BA")))
    raw[20] = 9
    _ = wl.SecurityDescriptor(bytes(raw)).owner


class Reenter(io.RawIOBase):
    """A source that uses its reader while the reader reads it."""

    reader: wl.LayerReader | None = None

    def __init__(self) -> None:
        self._blocks = io.BytesIO(header() * 4000)

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        if self.reader is not None:
            next(self.reader)
        return self._blocks.read(size)


def in_use() -> None:
    source = Reenter()
    with wl.LayerReader(source) as reader:
        source.reader = reader
        for _ in range(4000):
            next(reader)


class Pipe(io.BytesIO):
    def seekable(self) -> bool:
        return False


def entry_passed() -> None:
    reader = wl.LayerReader(Pipe(tar(member(), member("Files/b"))))
    first = next(reader)
    next(reader)
    first.read()


def closed() -> None:
    reader = wl.LayerReader(tar(member()))
    reader.close()
    next(reader)


def poisoned() -> None:
    broken = writer()
    with pytest.raises(wl.RefusedError):
        broken.add(wl.Entry("../a"), b"")
    broken.add(wl.Entry("a"), b"")


def split(layer: bytes) -> tuple[bytes, dict[str, bytes]]:
    metadata, content = io.BytesIO(), dict[str, bytes]()
    wl.tarsplit.disassemble(layer, metadata, content)
    return metadata.getvalue(), content


def integrity() -> None:
    metadata, content = split(tar(member("a", b"hello")))
    content["a"] = b"jello"
    wl.tarsplit.assemble(metadata, content, io.BytesIO())


def long_line() -> None:
    wl.tarsplit.assemble(b" " * (5 << 20), {}, io.BytesIO())


WOF = wl.ReparsePoint((0x80000017).to_bytes(4, "little") + bytes(4))
EAS = {f"MSWINDOWS.xattr.{i}": "A" * 40_000 for i in range(3)}

RAISES: dict[str, Callable[[], object]] = {
    "bad_tar": lambda: read(header(checksum=b"000000\0 ")),
    "bad_layer_tar": lambda: read(member(pax={"MSWINDOWS.fileattr": "x"})),
    "bad_backup_stream": lambda: list(wl.BackupStreamReader(b"\1")),
    "bad_tar_split": lambda: wl.tarsplit.assemble(b"{}\n", {}, io.BytesIO()),
    "bad_gzip": lambda: read(b"\x1f\x8b\x08\x00" + b"\xff" * 20),
    "bad_zstd": lambda: read(b"\x28\xb5\x2f\xfd" + b"\xff" * 20),
    "bad_reparse_point": lambda: wl.ReparsePoint(b"short"),
    "bad_extended_attributes": lambda: wl.ExtendedAttribute.decode_list(b"short"),
    "bad_security_descriptor": lambda: wl.SecurityDescriptor(b"short").owner,
    "bad_sddl": lambda: wl.SecurityDescriptor.from_sddl("Q:"),
    "bad_sid": sid_of_revision_9,
    "limit_path": lambda: read(member("Files/abc"), path=8),
    "limit_component": lambda: read(member("Files/abc"), component=4),
    "limit_pax_body": lambda: read(member(pax={"a": "b" * 100}), pax_body=50),
    "limit_extended_attributes": lambda: read(member(pax=dict(EAS))),
    "limit_reparse_point": lambda: read(member(pax={"WINLAYERS.reparse": "A" * 32_000})),
    "limit_security_descriptor": lambda: read(member(pax={"MSWINDOWS.rawsd": "AAAAAAAA"}), security_descriptor=5),
    "limit_streams": lambda: read(tar(member(), member("Files/a:b"), member("Files/a:c")), streams=1),
    "limit_entries": lambda: read(tar(member(), member("Files/b")), entries=1),
    "limit_member_bytes": lambda: read(member(data=b"abc"), member_bytes=2),
    "limit_total_bytes": lambda: read(tar(member(), member("Files/b")), total_bytes=500),
    "limit_sparse_ranges": lambda: read(
        member(data=b"ab", pax={"GNU.sparse.map": "0,1,1,1", "GNU.sparse.size": "2"}), sparse_ranges=1
    ),
    "limit_line": long_line,
    "name_escapes": lambda: read(member("../a")),
    "name_backslash": lambda: read(member("a\\b")),
    "name_nul": lambda: write(wl.Entry("a\0b"), b""),
    "name_empty": lambda: read(member("a//b")),
    "name_colon": lambda: read(member("a:b")),
    "whiteout_name": lambda: write(wl.Entry("Files/.wh.a"), b""),
    "member_type": lambda: read(member(type="3")),
    "reparse_tag": lambda: write(wl.Entry("a", kind="reparse", reparse_point=WOF)),
    "stream_order": lambda: writer().add_backup_stream("a", wl.BasicInfo(), b"\x0b" + bytes(19)),
    "pax_key": lambda: write(wl.Entry("a", extended_attributes=[wl.ExtendedAttribute("A=B", b"")]), b""),
    "loss": lambda: write(wl.Entry("a", object_id=bytes(16)), b"", on_loss="error"),
    "in_use": in_use,
    "entry_passed": entry_passed,
    "entry_detached": lambda: wl.Entry("a").read(),
    "closed": closed,
    "poisoned": poisoned,
    "bad_argument": lambda: writer(dialect="zip"),
    "bad_data": lambda: write(wl.Entry("a", size=3), b"ab"),
    "integrity": integrity,
    "unsupported": lambda: wl.SecurityDescriptor.from_sddl("D:(XA;;GA;;;WD;(a == 1))"),
}

# Raised where layers meet a disk, or in Rust alone: the file whose tests name the code.
ELSEWHERE = {
    "bad_chain": "tests/store/test_errors.py",
    "bad_guid": "rust/src/nt/guid.rs",
    "bad_image": "rust/src/image/tests.rs",
    "bad_layer_id": "tests/store/test_errors.py",
    "bad_sidecar": "rust/src/layer/extract/tests.rs",
    "bad_transport": "rust/src/transport/tests.rs",
    "case_collision": "tests/test_verify.py",
    "duplicate_name": "tests/test_pack_extract.py",
    "file_changed": "rust/src/layer/pack/tests.rs",
    "has_children": "tests/store/test_errors.py",
    "home_unsupported": "tests/store/test_errors.py",
    "home_version": "tests/store/test_errors.py",
    "layer_damaged": "tests/store/test_errors.py",
    "layer_exists": "tests/store/test_errors.py",
    "layer_in_use": "tests/store/test_errors.py",
    "layer_not_found": "tests/store/test_errors.py",
    "link_escapes": "tests/test_pack_extract.py",
    "name_not_unicode": "rust/src/layer/extract/tests.rs",
    "name_reserved": "tests/test_pack_extract.py",
    "no_parent": "tests/store/test_errors.py",
    "root_unknown": "tests/test_pack_extract.py",
    "target_exists": "tests/test_pack_extract.py",
    "transport_form": "rust/src/transport/tests.rs",
    "wrong_kind": "tests/store/test_errors.py",
    "wrong_parent": "tests/store/test_errors.py",
}


def test_the_table_has_every_code() -> None:
    assert RAISES.keys() | ELSEWHERE.keys() == codes()
    assert not RAISES.keys() & ELSEWHERE.keys()
    for code, file in ELSEWHERE.items():
        assert f'"{code}"' in (ROOT / file).read_text(encoding="utf-8"), code


@pytest.mark.parametrize("code", RAISES)
def test_a_code_is_raised_with_its_facts(code: str) -> None:
    with pytest.raises(wl.WinLayersError) as raised:
        RAISES[code]()
    error = raised.value
    assert error.code == code
    assert str(error)
    if isinstance(error, wl.FormatError):
        assert error.format
        assert error.field
        assert error.expected
        assert error.found
        assert (error.offset, error.member) != (None, None), "no place"
    elif isinstance(error, wl.LimitExceededError):
        assert code == f"limit_{error.limit}"
        assert error.size is not None
        assert error.max is not None
        assert error.size > error.max
    elif isinstance(error, wl.RefusedError):
        assert error.rule == code
        assert error.member
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), str(copy), vars(copy)) == (type(error), str(error), vars(error))


@pytest.mark.parametrize(
    ("layer", "allow"),
    [
        (member("../a"), "allow_escaping_names"),
        (member("a\\b"), "allow_backslash"),
        (member("a:b"), "allow_colon"),
        (member("a//b"), "allow_empty_names"),
        (member(type="3"), "allow_devices"),
    ],
)
def test_a_policy_allows_one_thing(layer: bytes, allow: str) -> None:
    with pytest.raises(wl.RefusedError):
        read(layer)
    assert len(read(layer, wl.Policy(**{allow: True}))) == 1
    assert len(read(layer, wl.Policy.permissive())) == 1


# The system's errors, and those of the user's own files.


def test_the_systems_errors_have_errno_and_filename(tmp_path: Path) -> None:
    missing = str(tmp_path / "missing")
    calls: list[Callable[[], object]] = [
        lambda: wl.LayerReader(missing),
        lambda: wl.BackupStreamReader(missing),
        lambda: writer().add_backup_stream("a", wl.BasicInfo(), missing),
    ]
    for call in calls:
        with pytest.raises(FileNotFoundError) as raised:
            call()
        assert (raised.value.errno, raised.value.filename) == (2, missing)
    with pytest.raises(FileNotFoundError) as raised:
        wl.LayerWriter(str(tmp_path / "no" / "layer.tar"))
    assert raised.value.errno == 2
    assert raised.value.filename


class PaperError(Exception):
    pass


class Broken(io.RawIOBase):
    def __init__(self, front: bytes, *, seekable: bool) -> None:
        self._front, self._seekable = io.BytesIO(front), seekable

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return self._seekable

    def seek(self, offset: int, whence: int = 0) -> int:
        return 10_000 if whence == 2 else self._front.seek(offset, whence)

    def tell(self) -> int:
        return self._front.tell()

    def read(self, size: int = -1) -> bytes:
        if chunk := self._front.read(size):
            return chunk
        raise PaperError("out of paper")

    def write(self, data: object) -> int:
        raise PaperError("out of paper")


@pytest.mark.parametrize("seekable", [True, False])
def test_an_exception_of_the_users_file_comes_out_as_itself(seekable: bool) -> None:
    with pytest.raises(PaperError, match="out of paper"):
        [entry.read() for entry in wl.LayerReader(Broken(member(data=b"x" * 600)[:1024], seekable=seekable))]
    stream = Broken(b"\1" + bytes(7) + b"\x20" + bytes(11) + b"x", seekable=seekable)
    with pytest.raises(PaperError):
        [header.read() for header in wl.BackupStreamReader(stream)]
    for dialect in ("go-winio", "lossless"):
        broken = writer(dialect)
        with pytest.raises(PaperError):
            broken.add_backup_stream("a", wl.BasicInfo(), Broken(b"\1" + bytes(19), seekable=seekable))
        with pytest.raises(wl.MisuseError) as raised:
            broken.add_whiteout("b")
        assert raised.value.code == "poisoned"


def test_an_exception_of_the_users_sink_comes_out_as_itself() -> None:
    out = wl.LayerWriter(Broken(b"", seekable=False))
    with pytest.raises(PaperError):
        out.add(wl.Entry("a"), bytes(1 << 20))


def test_pax_records_behind_each_other_are_the_last_ones() -> None:
    (entry,) = wl.LayerReader(tar(pax({"path": "b"}) + pax({"path": "c"}), member("a")))
    assert entry.name == "c"
