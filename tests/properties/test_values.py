"""Every value compares, hashes, pickles and prints by what it says."""

import contextlib
import copy
import pickle
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import winlayers as wl
from winlayers import testing


def losses() -> st.SearchStrategy[wl.Loss]:
    names = testing.member_names()
    return st.builds(
        wl.Loss, names, st.none() | testing.stream_names(), st.sampled_from(["ea_order"]), st.text(max_size=8)
    )


VALUES: dict[str, st.SearchStrategy[Any]] = {
    "FileTime": testing.file_times(),
    "FileAttributes": testing.file_attributes(),
    "BasicInfo": testing.basic_infos(),
    "SecurityDescriptor": testing.security_descriptors(),
    "SecurityDescriptor of anything": testing.raw_security_descriptors().map(wl.SecurityDescriptor),
    "Ace": testing.aces(),
    "ReparsePoint": testing.reparse_points(),
    "ExtendedAttribute": testing.extended_attributes(),
    "Stream": testing.streams(),
    "StreamHeader": testing.stream_headers(),
    "Entry": testing.entries(),
    "Entry of go-winio": testing.entries(dialect="go-winio"),
    "Entry of a tar": testing.layer_tars(3).map(lambda tar: list(wl.LayerReader(tar))[-1]),
    "Loss": losses(),
    "Limits": st.builds(wl.Limits, path=st.integers(0, 2**63), entries=st.integers(0, 2**63)),
    "Policy": st.builds(wl.Policy, allow_colon=st.booleans(), allow_devices=st.booleans()),
}


@pytest.mark.parametrize("kind", VALUES)
@settings(max_examples=25)
@given(data=st.data())
def test_a_value_is_what_it_says(kind: str, data: st.DataObject) -> None:
    value = data.draw(VALUES[kind])
    twins = [copy.copy(value), copy.deepcopy(value)]
    twins += [pickle.loads(pickle.dumps(value, protocol)) for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1)]
    for twin in twins:
        assert twin == value
        assert hash(twin) == hash(value)
        assert repr(twin) == repr(value)
    assert kind.split()[0] in repr(value)
    assert value != object()


@pytest.mark.parametrize("kind", ["FileTime", "BasicInfo", "Stream", "Loss", "Limits", "Policy"])
@settings(max_examples=25)
@given(data=st.data())
def test_different_values_differ(kind: str, data: st.DataObject) -> None:
    one, other = data.draw(VALUES[kind]), data.draw(VALUES[kind])
    assert (one == other) == (repr(one) == repr(other))
    if one == other:
        assert hash(one) == hash(other)


@given(testing.extended_attribute_lists(), st.booleans())
def test_a_list_of_attributes_is_read_back(attributes: list[wl.ExtendedAttribute], on_disk: bool) -> None:
    raw = wl.ExtendedAttribute.encode_list(attributes, on_disk=on_disk)
    assert wl.ExtendedAttribute.decode_list(raw, on_disk=on_disk) == attributes


@settings(max_examples=60)
@given(testing.raw_security_descriptors())
def test_a_descriptor_of_any_bytes_answers_or_says_why_not(raw: bytes) -> None:
    sd = wl.SecurityDescriptor(raw)
    for read in (lambda: sd.owner, lambda: sd.group, lambda: sd.dacl, lambda: sd.sacl, lambda: sd.control, sd.to_sddl):
        with contextlib.suppress(wl.FormatError, wl.UnsupportedOperationError):
            read()


@settings(max_examples=60)
@given(testing.security_descriptors())
def test_sddl_keeps_a_descriptor(sd: wl.SecurityDescriptor) -> None:
    assert wl.SecurityDescriptor.from_sddl(sd.to_sddl()).to_sddl() == sd.to_sddl()


@given(testing.stream_lists())
def test_a_backup_stream_is_read_back(items: list[tuple[wl.StreamHeader, bytes]]) -> None:
    stream = testing.wire(items)
    assert [(header, header.read()) for header in wl.BackupStreamReader(stream)] == items
