"""Hypothesis strategies for every value of winlayers, for backup streams and for whole layers.

They need the extra `testing` (`pip install winlayers[testing]`); `import winlayers` alone never imports hypothesis.
Every strategy gives what can exist: a value that its class takes, a layer that a `LayerWriter` of its dialect takes.
What must be refused is not generated here, except by the strategies whose names begin with `raw_`.

>>> from hypothesis import given
>>> import winlayers as wl
>>> from winlayers.testing import file_times
>>> @given(file_times())
... def test_text_keeps_every_tick(time: wl.FileTime) -> None:
...     assert wl.FileTime.fromisoformat(time.isoformat()) == time
>>> test_text_keeps_every_tick()
"""

from winlayers.testing._backup_streams import SPARSE_SHAPES, backup_streams, file_backup_streams, stream_lists, wire
from winlayers.testing._layers import LayerItem, entries, layer_items, layer_tars, layers, write_layer
from winlayers.testing._names import member_names, nt_names, stream_names
from winlayers.testing._security import aces, raw_security_descriptors, sddl, security_descriptors, sids
from winlayers.testing._values import (
    basic_infos,
    extended_attribute_lists,
    extended_attributes,
    file_attributes,
    file_times,
    reparse_points,
    stream_headers,
    streams,
)

__all__ = [
    "SPARSE_SHAPES",
    "LayerItem",
    "aces",
    "backup_streams",
    "basic_infos",
    "entries",
    "extended_attribute_lists",
    "extended_attributes",
    "file_attributes",
    "file_backup_streams",
    "file_times",
    "layer_items",
    "layer_tars",
    "layers",
    "member_names",
    "nt_names",
    "raw_security_descriptors",
    "reparse_points",
    "sddl",
    "security_descriptors",
    "sids",
    "stream_headers",
    "stream_lists",
    "stream_names",
    "streams",
    "wire",
    "write_layer",
]
