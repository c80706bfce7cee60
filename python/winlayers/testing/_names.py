"""Names as NT has them: any UTF-16, unpaired surrogates included, and those that Win32 minds."""

from functools import cache

from hypothesis import strategies as st

__all__ = ["member_names", "nt_names", "stream_names"]

_RESERVED = [
    "CON",
    "nul.txt",
    "COM1",
    "LPT¹",
    "aux.tar.gz",
    "CONIN$",
    "trailing.",
    "space ",
    "a<b>",
    "x|y?",
    "\x01",
    "~1",
]


def _join_surrogates(name: str) -> str:
    return name.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")


@cache
def nt_names(max_units: int = 255) -> st.SearchStrategy[str]:
    """One component of a path: 1 to `max_units` UTF-16 units, never `.` or `..`, and no `/ \\ :` or NUL in it.

    Unpaired surrogates are in it as Python has them, characters beyond U+FFFF as one character. Names that Win32
    reserves come often, and so does the longest one.

    >>> from hypothesis import given, settings
    >>> import winlayers as wl
    >>> @settings(max_examples=5, deadline=None)
    ... @given(nt_names())
    ... def test(name):
    ...     assert not set(name) & set('/:')
    >>> test()
    """
    characters = st.characters(blacklist_characters="/\\:\0", blacklist_categories=[])
    free = st.text(characters, min_size=1, max_size=12).map(_join_surrogates)
    longest = st.sampled_from("aß€\ud800").map(lambda unit: unit * max_units)
    plain = st.text("abcXYZ09._- ", min_size=1, max_size=8)
    reserved = st.sampled_from(_RESERVED)

    def fits(name: str) -> bool:
        return name not in {".", ".."} and len(name.encode("utf-16-le", "surrogatepass")) // 2 <= max_units

    return st.one_of(plain, free, reserved, longest).filter(fits)


@cache
def stream_names() -> st.SearchStrategy[str]:
    """Name of a named stream, without its colon and `:$DATA`.

    >>> from hypothesis import given, settings
    >>> import winlayers as wl
    >>> @settings(max_examples=5, deadline=None)
    ... @given(stream_names())
    ... def test(name):
    ...     assert wl.Stream(name).name == name
    >>> test()
    """
    return st.one_of(st.sampled_from(["Zone.Identifier", "WofCompressedData", "$DATA"]), nt_names()).filter(
        lambda name: "\0" not in name
    )


@cache
def member_names(max_depth: int = 4) -> st.SearchStrategy[str]:
    """Name of a layer's member: under `Files/`, `Hives/` or `UtilityVM/`, and never that of a whiteout.

    >>> from hypothesis import given, settings
    >>> import winlayers as wl
    >>> @settings(max_examples=5, deadline=None)
    ... @given(member_names())
    ... def test(name):
    ...     assert wl.Entry(name).name_is_utf16
    >>> test()
    """
    roots = st.sampled_from(["Files", "Hives", "UtilityVM/Files"])
    component = nt_names().filter(lambda name: not name.startswith(".wh."))
    return st.tuples(roots, st.lists(component, max_size=max_depth)).map(lambda parts: "/".join([parts[0], *parts[1]]))
