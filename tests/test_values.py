"""NT values from Python: against other tools' data, against Python's own datetime, and as well-behaved values."""

import base64
import copy
import gzip
import hashlib
import inspect
import json
import pickle
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import winlayers as wl
from winlayers import exceptions

DIRECTORY_SDDL = (
    "O:BAG:SYD:(A;OICI;FA;;;BA)(A;OICI;FA;;;SY)(A;;FA;;;BA)(A;OICIIO;GA;;;CO)(A;OICI;0x1200a9;;;BU)"
    "(A;CI;LC;;;BU)(A;CI;DC;;;BU)"
)
FILE_SDDL = "O:BAG:SYD:(A;;FA;;;BA)(A;;FA;;;SY)(A;;0x1200a9;;;BU)"

VALUES: list[Callable[[], Any]] = [
    lambda: wl.FileTime(132444736001234567),
    lambda: wl.FileTime(-1),
    lambda: wl.BasicInfo(wl.FileTime(1), None, wl.FileTime(0), wl.FileTime(4), 0x420),
    lambda: wl.SecurityDescriptor.from_sddl(DIRECTORY_SDDL),
    lambda: wl.SecurityDescriptor(b"not a descriptor"),
    lambda: wl.ReparsePoint.symlink("..\\a"),
    lambda: wl.ReparsePoint.junction("C:\\a"),
    lambda: wl.ExtendedAttribute("N", b"v", 0x80),
    lambda: wl.ExtendedAttribute(b"\xff\xed\xa0\x80", b""),
    lambda: (wl.SecurityDescriptor.from_sddl(FILE_SDDL).dacl or ())[2],
]


@pytest.mark.parametrize("make", VALUES)
def test_values_are_equal_hashable_picklable_and_frozen(make: Callable[[], Any]) -> None:
    value, twin = make(), make()
    assert value == twin
    assert value is not twin
    assert hash(value) == hash(twin)
    assert value != object()
    assert value != 3
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        assert pickle.loads(pickle.dumps(value, protocol)) == value
    assert copy.deepcopy(value) == value
    assert type(value).__name__ in repr(value)
    name = next(key for key, member in vars(type(value)).items() if inspect.isgetsetdescriptor(member))
    with pytest.raises(AttributeError):
        setattr(value, name, 1)
    with pytest.raises(AttributeError):
        value.something = 1


@pytest.mark.parametrize(
    ("lesser", "greater"),
    [
        (wl.FileTime(-1), wl.FileTime(0)),
        (wl.BasicInfo(), wl.BasicInfo(wl.FileTime(-5))),
        (wl.SecurityDescriptor(b"a"), wl.SecurityDescriptor(b"b")),
        (wl.ReparsePoint.symlink("a"), wl.ReparsePoint.symlink("b")),
        (wl.ExtendedAttribute("A", b"z"), wl.ExtendedAttribute("B", b"a")),
    ],
)
def test_values_are_ordered(lesser: Any, greater: Any) -> None:
    assert lesser < greater
    assert greater >= lesser
    assert sorted([greater, lesser]) == [lesser, greater]
    with pytest.raises(TypeError):
        assert lesser < 3


# Times, against Python's own calendar.

EPOCH = datetime(1601, 1, 1, tzinfo=UTC)


@given(st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=-7, minutes=30))])))
def test_times_agree_with_datetime(moment: datetime) -> None:
    time = wl.FileTime.from_datetime(moment)
    assert time.ticks == (moment - EPOCH) // timedelta(microseconds=1) * 10
    assert time.to_datetime() == moment
    assert time.to_datetime().tzinfo is UTC
    text = moment.astimezone(UTC).isoformat(timespec="microseconds") if 1 < moment.year < 9999 else None
    if text is not None:
        assert str(time) == text.replace("+00:00", "0Z")
        assert wl.FileTime.fromisoformat(time.isoformat()) == time
    unix = datetime(1970, 1, 1, tzinfo=UTC)
    assert time.to_unix_ns() == (moment - unix) // timedelta(microseconds=1) * 1000


@given(st.integers(-(2**63), 2**63 - 1))
def test_every_time_survives(ticks: int) -> None:
    time = wl.FileTime(ticks)
    assert time.ticks == ticks
    assert wl.FileTime.from_unix_ns(time.to_unix_ns()) == time
    assert wl.FileTime.from_unix_ns(time.to_unix_ns() + 99) == time
    assert wl.FileTime.fromisoformat(str(time)) == time


def test_times_out_of_range() -> None:
    with pytest.raises(OverflowError):
        wl.FileTime(2**63)
    with pytest.raises(OverflowError, match=r"\+030828-09-14T02:48:05\.4775807Z"):
        wl.FileTime(2**63 - 1).to_datetime()
    with pytest.raises(OverflowError):
        wl.FileTime(-(2**63)).to_datetime()
    for nanoseconds in (2**63 * 100, -(2**63) * 102, 2**127 - 1, -(2**127)):
        with pytest.raises(OverflowError):
            wl.FileTime.from_unix_ns(nanoseconds)
    with pytest.raises(ValueError, match="time zone"):
        wl.FileTime.from_datetime(datetime(2000, 1, 1))
    with pytest.raises(ValueError, match="2000-01-32"):
        wl.FileTime.fromisoformat("2000-01-32T00:00:00Z")


# Basic information.


def test_basic_info_layout() -> None:
    info = wl.BasicInfo(wl.FileTime(1), wl.FileTime(2), wl.FileTime(-3), None, wl.FileAttributes.ARCHIVE)
    data = b"".join(ticks.to_bytes(8, "little", signed=True) for ticks in (1, 2, -3, 0)) + b"\x20" + bytes(7)
    assert info.to_bytes() == data
    read = wl.BasicInfo.from_bytes(bytearray(data))
    assert (read.last_write_time, read.change_time) == (wl.FileTime(-3), wl.FileTime(0))
    with pytest.raises(wl.MisuseError, match="40 bytes, not 39") as caught:
        wl.BasicInfo.from_bytes(data[1:])
    assert caught.value.code == "bad_argument"


def test_attributes_are_flags_whatever_their_bits() -> None:
    for value in (0, 0x20, 0x410, 0xFFFFFFFF, 0x80000008):
        attributes = wl.BasicInfo(attributes=value).attributes
        assert isinstance(attributes, wl.FileAttributes)
        assert attributes == value
        assert attributes is wl.BasicInfo(attributes=value).attributes
    with pytest.raises(OverflowError):
        wl.BasicInfo(attributes=2**32)


def test_a_million_attributes_do_not_stay_in_memory() -> None:
    for value in range(0x1000000, 0x1000000 + 6000):
        assert wl.BasicInfo(attributes=value).attributes == value
    assert len(wl.FileAttributes._value2member_map_) <= 4096 + 64


# Extended attributes, against go-winio and real lists of WSL.


def cases(folder: Path, name: str) -> list[dict[str, Any]]:
    loaded: list[dict[str, Any]] = json.loads((folder / "go-winio" / name).read_text(encoding="utf-8"))
    return loaded


def test_extended_attributes_as_go_winio(vectors: Path) -> None:
    encoded = decoded = refused = 0
    for case in cases(vectors, "ea.json"):
        data = bytes.fromhex(case.get("hex", case.get("encoded", "")))
        if case.get("eas"):
            attributes = [
                wl.ExtendedAttribute(ea["name"], bytes.fromhex(ea["value"]), ea["flags"]) for ea in case["eas"]
            ]
            if "error" in case:
                with pytest.raises(wl.FormatError):
                    wl.ExtendedAttribute.encode_list(attributes)
                refused += 1
                continue
            assert wl.ExtendedAttribute.encode_list(attributes) == data, case["note"]
            encoded += 1
        if "error" in case:
            with pytest.raises(wl.FormatError) as caught:
                wl.ExtendedAttribute.decode_list(data)
            assert caught.value.code == "bad_extended_attributes"
            assert caught.value.offset is not None
            refused += 1
            continue
        found = [
            {"name": ea.name, "flags": ea.flags, "size": len(ea.value), "sha256": hashlib.sha256(ea.value).hexdigest()}
            for ea in wl.ExtendedAttribute.decode_list(data)
        ]
        expected = [
            {"name": ea["name"], "flags": ea["flags"], "size": ea["value"]["size"], "sha256": ea["value"]["sha256"]}
            for ea in case.get("decoded", [])
        ]
        assert found == expected, case["note"]
        decoded += 1
    assert min(encoded, decoded, refused) >= 4


def test_extended_attributes_of_wsl_on_disk(vectors: Path) -> None:
    data = (vectors / "ea-reparse" / "ea-1.bin").read_bytes()
    attributes = wl.ExtendedAttribute.decode_list(data, on_disk=True)
    assert [ea.name for ea in attributes] == ["LXXATTR", "LXATTRB"]
    assert attributes[0].value.endswith(b"user.111\0")
    assert wl.ExtendedAttribute.encode_list(attributes, on_disk=True) == data
    # The last entry leads to the end of the buffer, which go-winio takes for the end of the list.
    assert wl.ExtendedAttribute.decode_list(data) == attributes


def test_names_of_extended_attributes() -> None:
    for raw in (b"A", b"\xc3\xa4", b"\xff", b"\xed\xa0\x80", b"\xed\xa0\x80\xed\xb0\x80", b"", b"\xff\xed\xb2\x80"):
        ea = wl.ExtendedAttribute(raw, b"")
        assert ea.raw_name == raw
        assert wl.ExtendedAttribute(ea.name, b"") == ea
    assert wl.ExtendedAttribute("\ud83d\ude00", b"").raw_name == "😀".encode()
    with pytest.raises(TypeError, match="str or bytes"):
        wl.ExtendedAttribute(3, b"")  # type: ignore[arg-type]


# Reparse points, against go-winio.


def test_reparse_points_as_go_winio(vectors: Path) -> None:
    made = read = 0
    for case in cases(vectors, "reparse.json"):
        if case["hex"]:
            data = bytes.fromhex(case["hex"])
            decoded = case.get("decoded")
            if case.get("error", "").startswith("panic"):
                # What makes Go panic is malformed, or has a name that lies outside.
                try:
                    assert wl.ReparsePoint(data).print_name is None
                except wl.FormatError as error:
                    assert error.code == "bad_reparse_point"  # noqa: PT017
            elif decoded is None:
                assert wl.ReparsePoint(data).details.get("target") is None
            elif decoded["lx"]:
                assert wl.ReparsePoint(data).details == {"target": decoded["target"].encode()}
            else:
                link = wl.ReparsePoint(data)
                assert link.kind == ("junction" if decoded["mount_point"] else "symlink")
                assert (link.print_name or "").encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace") == (
                    decoded["target"]
                )
            read += 1
        elif not case["lx"]:
            make = wl.ReparsePoint.junction if case["mount_point"] else wl.ReparsePoint.symlink
            link = make(case["target"], layout="go-winio")
            assert link.raw.hex() == case["encoded"], case["target"]
            assert link.print_name == case["target"]
            made += 1
    assert made >= 40
    assert read >= 10


def test_reparse_buffers_of_backup_streams(vectors: Path) -> None:
    tags = set()
    for spec in sorted((vectors / "go-winio").glob("*/spec.json")):
        for entry in json.loads(spec.read_text(encoding="utf-8")).get("entries") or []:
            stream = base64.b64decode(entry.get("backup_stream", ""))
            while len(stream) >= 20:
                kind, size = int.from_bytes(stream[:4], "little"), int.from_bytes(stream[8:16], "little")
                data, stream = stream[20 : 20 + size], stream[20 + size :]
                if kind == 8 and len(data) == size and size >= 8:
                    link = wl.ReparsePoint(data)
                    assert bytes(link) == data
                    tags.add(link.tag_name)
    assert tags >= {"SYMLINK", "MOUNT_POINT", "LX_SYMLINK", "AF_UNIX", "APPEXECLINK", "CLOUD", "WCI", "WOF"}


def test_reparse_points_made_here() -> None:
    link = wl.ReparsePoint.symlink("a", substitute_name="b", relative=False)
    assert (link.print_name, link.substitute_name, link.is_relative) == ("a", "b", False)
    junction = wl.ReparsePoint.junction("C:\\a", substitute_name="\\??\\Volume{1}\\")
    assert (junction.kind, junction.substitute_name) == ("junction", "\\??\\Volume{1}\\")
    assert wl.ReparsePoint.symlink("\ud800x").print_name == "\ud800x"
    with pytest.raises(ValueError, match="derives everything"):
        wl.ReparsePoint.symlink("a", relative=True, layout="go-winio")
    with pytest.raises(ValueError, match="layout is"):
        wl.ReparsePoint.junction("a", layout="x")  # type: ignore[arg-type]
    with pytest.raises(wl.FormatError, match="at most 65535 bytes"):
        wl.ReparsePoint.symlink("x" * 40_000)
    with pytest.raises(wl.FormatError) as caught:
        wl.ReparsePoint(bytes.fromhex("0c0000a0ff000000"))
    assert (caught.value.code, caught.value.field, caught.value.offset) == ("bad_reparse_point", "data length", 4)
    foreign = wl.ReparsePoint(bytes.fromhex("2a000020 0200 0000") + bytes(range(16)) + b"hi")
    assert (foreign.guid, foreign.data, foreign.tag_name) == ("03020100-0504-0706-0809-0a0b0c0d0e0f", b"hi", None)


# Security descriptors, against Windows, Wine and what other projects captured.


def test_descriptors_as_advapi32(vectors: Path) -> None:
    for case in cases(vectors, "sd.json"):
        data = bytes.fromhex(case["hex"])
        if ":" in case["input"]:
            assert bytes(wl.SecurityDescriptor.from_sddl(case["input"])).hex() == case["hex"], case["input"]
        sd = wl.SecurityDescriptor(data)
        if "sddl" in case:
            assert sd.to_sddl() == case["sddl"]
        elif len(data) < 20:
            with pytest.raises(wl.FormatError):
                sd.to_sddl()
        else:
            # Wine wants 40 bytes; Windows does not.
            assert sd.to_sddl() == "O:BAD:NO_ACCESS_CONTROL"


def test_real_descriptors_come_back_from_sddl(vectors: Path) -> None:
    lines = (vectors / "sd" / "restic-6-real-sds.base64").read_text(encoding="ascii").split()
    blobs = [base64.b64decode(line) for line in lines]
    blobs += [path.read_bytes() for path in sorted((vectors / "sd").glob("*.bin"))]
    assert len(blobs) == 8
    for blob in blobs:
        sd = wl.SecurityDescriptor(blob)
        again = wl.SecurityDescriptor.from_sddl(sd.to_sddl())
        assert (again.owner, again.group, again.dacl, again.sacl) == (sd.owner, sd.group, sd.dacl, sd.sacl)
        assert again.to_sddl() == sd.to_sddl()
        assert bytes(sd) == blob


def test_the_defaults_of_other_builders() -> None:
    directory, file = (wl.SecurityDescriptor.from_sddl(text) for text in (DIRECTORY_SDDL, FILE_SDDL))
    assert (len(bytes(directory)), len(bytes(file))) == (216, 124)
    assert (file.owner, file.group, file.sacl) == ("S-1-5-32-544", "S-1-5-18", None)
    assert file.control == wl.SecurityControl.DACL_PRESENT | wl.SecurityControl.SELF_RELATIVE
    assert [ace.sid for ace in file.dacl or ()] == ["S-1-5-32-544", "S-1-5-18", "S-1-5-32-545"]
    assert [str(ace) for ace in directory.dacl or ()][3] == "(A;OICIIO;GA;;;CO)"


def test_null_and_absent_lists_differ_by_control() -> None:
    null, absent = wl.SecurityDescriptor.from_sddl("D:NO_ACCESS_CONTROL"), wl.SecurityDescriptor.from_sddl("O:BA")
    assert null.dacl is absent.dacl is None
    assert wl.SecurityControl.DACL_PRESENT in null.control
    assert wl.SecurityControl.DACL_PRESENT not in absent.control
    assert wl.SecurityDescriptor.from_sddl("D:").dacl == ()


def test_domain_aliases_need_a_domain() -> None:
    with pytest.raises(wl.FormatError, match="a domain SID to resolve DA") as caught:
        wl.SecurityDescriptor.from_sddl("O:DA")
    assert (caught.value.code, caught.value.offset) == ("bad_sddl", 2)
    sd = wl.SecurityDescriptor.from_sddl("O:DAG:DU", "S-1-5-21-7-8-9")
    assert (sd.owner, sd.group) == ("S-1-5-21-7-8-9-512", "S-1-5-21-7-8-9-513")
    assert sd.to_sddl("S-1-5-21-7-8-9") == "O:DAG:DU"
    with pytest.raises(wl.FormatError) as caught:
        sd.to_sddl("BA")
    assert caught.value.code == "bad_sid"


def test_entries() -> None:
    sd = wl.SecurityDescriptor.from_sddl("D:(OA;CI;RP;bf967aba-0de6-11d0-a285-00aa003049e2;;AU)")
    (ace,) = sd.dacl or ()
    assert (ace.type, ace.flags, ace.mask, ace.sid) == (5, 2, 0x10, "S-1-5-11")
    assert (ace.object_type, ace.inherited_object_type) == ("bf967aba-0de6-11d0-a285-00aa003049e2", None)
    compound = wl.Ace(bytes.fromhex("04000800 01020304"))
    assert (compound.mask, compound.sid, compound.object_type, compound.application_data) == (
        None,
        None,
        None,
        b"\1\2\3\4",
    )
    with pytest.raises(wl.UnsupportedOperationError) as caught:
        compound.to_sddl()
    assert caught.value.operation == "writing ACE type 0x04 as SDDL"
    with pytest.raises(wl.FormatError, match="expected 9, found 8"):
        wl.Ace(bytes.fromhex("04000800 0102030405"))


def test_a_list_longer_than_its_descriptor() -> None:
    data = bytearray(bytes(wl.SecurityDescriptor.from_sddl(FILE_SDDL)))
    data[50] = 255
    with pytest.raises(wl.FormatError) as caught:
        assert wl.SecurityDescriptor(data).dacl
    error = caught.value
    assert (error.format, error.field, error.expected, error.found, error.offset) == (
        "security descriptor",
        "ACL size",
        "8 to 76",
        "255",
        50,
    )


@given(st.binary(max_size=80))
def test_any_bytes_are_a_value_or_an_error(data: bytes) -> None:
    sd = wl.SecurityDescriptor(b"\x01\x00\x14\x80" + data)
    for name in ("owner", "group", "dacl", "sacl", "control"):
        try:
            getattr(sd, name)
        except wl.FormatError as error:
            assert error.offset is not None  # noqa: PT017
    assert repr(sd)
    for make in (wl.ReparsePoint, wl.Ace, wl.ExtendedAttribute.decode_list):
        try:
            make(data)
        except wl.FormatError as error:
            assert error.found  # noqa: PT017


# Names.


def test_folding_is_that_of_a_real_volume(vectors: Path) -> None:
    """Find the volume's own $UpCase, file 10 of its master file table, and compare all 65,536 units."""
    image = gzip.decompress((vectors / "ntfs" / "testfs1.gz").read_bytes())
    sector, cluster = int.from_bytes(image[11:13], "little"), image[13]
    table = int.from_bytes(image[48:56], "little") * sector * cluster
    record = image[table + 10 * 1024 : table + 11 * 1024]
    assert record[:4] == b"FILE"
    at = int.from_bytes(record[20:22], "little")
    while record[at : at + 4] != b"\x80\0\0\0":
        at += int.from_bytes(record[at + 4 : at + 8], "little")
    run = record[at + int.from_bytes(record[at + 32 : at + 34], "little") :]
    sizes, starts = run[0] & 15, run[0] >> 4
    start = int.from_bytes(run[1 + sizes : 1 + sizes + starts], "little") * sector * cluster
    upcase = image[start : start + 131_072]
    units = b"".join(unit.to_bytes(2, "little") for unit in range(65_536))
    # One by one: a high surrogate and the low one after it would be one character.
    folded = [wl.fold_name(chr(unit)) for unit in range(65_536)]
    assert b"".join(c.encode("utf-16-le", "surrogatepass") for c in folded) == upcase
    assert upcase != units


def test_folding_leaves_alone_what_has_no_case() -> None:
    assert wl.fold_name("ß ı 𐐨 \ud800") == "ß ı 𐐨 \ud800"


# Exceptions.


@pytest.mark.parametrize("name", exceptions.__all__)
def test_exceptions_survive_pickling_with_all_they_know(name: str) -> None:
    kind = getattr(wl, name)
    if kind is wl.LossWarning:
        assert pickle.loads(pickle.dumps(kind("x"))).args == ("x",)
        return
    facts = [parameter for parameter in inspect.signature(kind).parameters if parameter != "message"]
    error = kind("what happened", **{fact: f"the {fact}" for fact in facts})
    twin = pickle.loads(pickle.dumps(error))
    assert type(twin) is kind
    assert str(twin) == "what happened"
    for fact in facts:
        assert getattr(twin, fact) == f"the {fact}"
    assert isinstance(error, wl.WinLayersError)
    plain = kind()
    assert (plain.hint, str(plain)) == (None, "")
    assert plain.code.isidentifier()


def test_the_family_of_exceptions() -> None:
    parents = {
        wl.FormatError: ValueError,
        wl.RefusedError: ValueError,
        wl.LimitExceededError: wl.RefusedError,
        wl.MisuseError: RuntimeError,
        wl.LayerNotFoundError: LookupError,
        wl.UnsupportedOperationError: NotImplementedError,
        wl.HcsError: wl.BackendError,
        wl.StoreDamagedError: wl.StoreError,
        wl.LayerInUseError: wl.StoreError,
        wl.LayerExistsError: wl.StoreError,
    }
    for kind, parent in parents.items():
        assert issubclass(kind, parent)


def test_an_error_of_the_core_arrives_with_its_facts() -> None:
    with pytest.raises(
        ValueError, match=r"^at byte 2: SDDL section: expected O:, G:, D: or S:, found \"Q\"$"
    ) as caught:
        wl.SecurityDescriptor.from_sddl("D:Q")
    error = caught.value
    assert isinstance(error, wl.FormatError)
    assert pickle.loads(pickle.dumps(error)).__dict__ == error.__dict__
    assert (error.code, error.format, error.member, error.hint) == ("bad_sddl", "SDDL", None, None)
