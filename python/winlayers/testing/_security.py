"""Security descriptors: valid ones through SDDL, and bytes that only look like one."""

import struct
from functools import cache

from hypothesis import strategies as st

import winlayers as wl

__all__ = ["aces", "raw_security_descriptors", "sddl", "security_descriptors", "sids"]

_ALIASES = ["BA", "SY", "BU", "CO", "WD", "AU", "IU", "LS", "NS", "AN"]
_RIGHTS = ["FA", "FR", "FW", "FX", "GA", "GR", "GX", "0x1200a9", "LC", "DC", "RCWD", "0x1"]
_FLAGS = ["", "OI", "CI", "OICI", "OICIIO", "NP", "ID", "OICIID"]
_GUIDS = ["", "bf967aba-0de6-11d0-a285-00aa003049e2"]


@cache
def sids() -> st.SearchStrategy[str]:
    """A SID as text: `S-1-`, an authority below 2**48 and up to 15 sub-authorities.

    >>> from hypothesis import given, settings
    >>> import winlayers as wl
    >>> @settings(max_examples=5, deadline=None)
    ... @given(sids())
    ... def test(sid):
    ...     assert wl.SecurityDescriptor.from_sddl('O:' + sid).owner == sid
    >>> test()
    """
    authority = st.one_of(st.sampled_from([0, 1, 5, 15, 16]), st.integers(0, 2**48 - 1))
    parts = st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=15)

    def text(sid: tuple[int, list[int]]) -> str:
        first = str(sid[0]) if sid[0] < 2**32 else f"0x{sid[0]:012x}"
        return "-".join(["S", "1", first, *map(str, sid[1])])

    return st.tuples(authority, parts).map(text)


@cache
def _trustees() -> st.SearchStrategy[str]:
    return st.one_of(st.sampled_from(_ALIASES), sids())


def _ace_texts(kinds: list[str]) -> st.SearchStrategy[str]:
    rights = st.lists(st.sampled_from([r for r in _RIGHTS if not r.startswith("0x")]), min_size=1, max_size=3).map(
        "".join
    )
    mask = st.one_of(st.sampled_from(_RIGHTS), rights, st.integers(1, 2**32 - 1).map(hex))
    guid = st.sampled_from(_GUIDS)

    def text(parts: tuple[str, str, str, str, str, str]) -> str:
        kind, flags, mask, first, second, who = parts
        if not kind.startswith("O"):
            first = second = ""
        return f"({kind};{flags};{mask};{first};{second};{who})"

    return st.tuples(st.sampled_from(kinds), st.sampled_from(_FLAGS), mask, guid, guid, _trustees()).map(text)


@cache
def sddl() -> st.SearchStrategy[str]:
    """A security descriptor as SDDL text: owner, group, DACL and SACL, each of which may be missing.

    >>> from hypothesis import given, settings
    >>> import winlayers as wl
    >>> @settings(max_examples=5, deadline=None)
    ... @given(sddl())
    ... def test(text):
    ...     wl.SecurityDescriptor.from_sddl(text)
    >>> test()
    """
    who = st.one_of(st.just(""), _trustees())
    control = st.sampled_from(["", "P", "AI", "PAI", "AR"])
    dacl = st.tuples(control, st.lists(_ace_texts(["A", "D", "OA", "OD"]), max_size=6).map("".join)).map("".join)
    audit = _ace_texts(["AU"]).map(lambda ace: ace.replace(";", ";SA", 1))
    label = st.sampled_from(["LW", "ME", "HI", "SI"]).map(lambda level: f"(ML;;NW;;;{level})")
    sacl = st.tuples(control, st.lists(st.one_of(audit, label), max_size=3).map("".join)).map("".join)

    def join(parts: tuple[str, str, str | None, str | None]) -> str:
        pairs = zip(["O:", "G:", "D:", "S:"], [parts[0] or None, parts[1] or None, *parts[2:]], strict=True)
        return "".join(key + value for key, value in pairs if value is not None)

    return st.tuples(who, who, st.none() | dacl, st.none() | sacl).map(join)


@cache
def security_descriptors() -> st.SearchStrategy[wl.SecurityDescriptor]:
    """A valid self-relative security descriptor.

    >>> from hypothesis import given, settings
    >>> import winlayers as wl
    >>> @settings(max_examples=5, deadline=None)
    ... @given(security_descriptors())
    ... def test(sd):
    ...     assert wl.SecurityDescriptor.from_sddl(sd.to_sddl()) == sd
    >>> test()
    """
    return sddl().map(wl.SecurityDescriptor.from_sddl)


@cache
def aces() -> st.SearchStrategy[wl.Ace]:
    """An entry of an ACL, as descriptors have them.

    >>> from hypothesis import given, settings
    >>> import winlayers as wl
    >>> @settings(max_examples=5, deadline=None)
    ... @given(aces())
    ... def test(ace):
    ...     assert wl.Ace(bytes(ace)) == ace
    >>> test()
    """

    def all_of(sd: wl.SecurityDescriptor) -> list[wl.Ace]:
        return [*(sd.dacl or ()), *(sd.sacl or ())]

    return security_descriptors().map(all_of).filter(bool).flatmap(st.sampled_from)


@cache
def raw_security_descriptors() -> st.SearchStrategy[bytes]:
    """Bytes where a descriptor should be: valid ones, damaged ones, headers that lie, and noise.

    >>> from hypothesis import given, settings
    >>> import winlayers as wl
    >>> @settings(max_examples=5, deadline=None)
    ... @given(raw_security_descriptors())
    ... def test(raw):
    ...     assert bytes(wl.SecurityDescriptor(raw)) == raw
    >>> test()
    """
    valid = security_descriptors().map(bytes)

    def damaged(parts: tuple[bytes, int, int]) -> bytes:
        raw, at, byte = parts
        at %= len(raw)
        return raw[:at] + bytes([byte]) + raw[at + 1 :]

    offsets = st.integers(0, 2**32 - 1) | st.integers(0, 40)
    lying = st.tuples(st.integers(0, 2**16 - 1), offsets, offsets, offsets, offsets, st.binary(max_size=60)).map(
        lambda parts: struct.pack("<BBHIIII", 1, 0, *parts[:5]) + parts[5]
    )
    cut = st.tuples(valid, st.integers(0, 20)).map(lambda parts: parts[0][: -parts[1] or None])
    broken = st.tuples(valid, st.integers(0, 2**16), st.integers(0, 255)).map(damaged)
    return st.one_of(st.binary(max_size=80), valid, broken, cut, lying)
