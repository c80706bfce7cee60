"""The values of the layer store, which the native module asks for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from winlayers._native import Limits

__all__ = ["Change", "CustomImageInfo", "LayerInfo", "StoreOptions"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreOptions:
    """How a store works.

    `fsync`: whether a change waits until it is on the disk; without, a power failure may cost the changes before it,
    a killed process costs nothing either way. `sandbox_size`: bytes of a sandbox that is made without a size, None for
    what the host takes. `base_images`: the JSON that `LayerStore.custom_image_infos` reads on a host without HCS.
    `format`: what `apply_diff` takes and `diff` gives: "layer" for layer tars, "transport" for plain tars of transport
    folders, which Docker's driver calls TP4; layers are kept as layer tars whatever it is. `limits`: bounds on what is
    imported.

    For the Host Compute Service of Windows: `hcs_timeout`: seconds that one call may take, None for as long as it
    does; one that takes longer is HcsError with the name "ERROR_TIMEOUT", and may still be at work. `hcs_api`: which
    functions are called: "vmcompute", "computestorage" (Windows Server 2019 and later), or "auto" for the former where
    they are there, as all other tools do.

    >>> import winlayers as wl
    >>> wl.StoreOptions(fsync=False)
    StoreOptions(fsync=False, sandbox_size=None, base_images=None, format='layer', limits=None,
                 hcs_timeout=None, hcs_api='auto')
    """

    fsync: bool = True
    sandbox_size: int | None = None
    base_images: str | None = None
    format: str = "layer"
    limits: Limits | None = None
    hcs_timeout: float | None = None
    hcs_api: str = "auto"


@dataclass(frozen=True, slots=True)
class LayerInfo:
    """What is known about a layer without reading it.

    `parents`: nearest first. `diff_id`, `size` and `entries` are those of its uncompressed tar, None for what was not
    imported. `chain_id` stands for the layer with all below it, as the OCI image specification computes it. `state`:
    "empty", "imported", "sandbox", or "folder" for files that a Windows host or the driver "windowsdiff" put there.
    `mounted`: how often it is mounted.

    >>> import winlayers as wl
    >>> wl.LayerInfo("base", (), "sha256:00", "sha256:00", 1024, 0, "imported", 0).state
    'imported'
    """

    id: str
    parents: tuple[str, ...]
    diff_id: str | None
    chain_id: str | None
    size: int | None
    entries: int | None
    state: str
    mounted: int


@dataclass(frozen=True, slots=True)
class Change:
    """One path that a layer adds, modifies or deletes.

    `path` has its root before it, as in a layer: "Files/Windows/x.dll". `kind`: "add", "modify" or "delete". `what` is
    new of it: "data", "attributes", "security", "times", "streams", "links"; empty for what is deleted. `size`: bytes
    of data that the layer itself has for it.

    >>> import winlayers as wl
    >>> wl.Change("Files/a.txt", "modify", frozenset({"data"})).kind
    'modify'
    """

    path: str
    kind: str
    what: frozenset[str] = frozenset()
    size: int = 0


@dataclass(frozen=True, slots=True)
class CustomImageInfo:
    """A base image that the host has, and the layer that stands for it.

    `id`: of that layer: the first 32 bytes, in hex, of the SHA-384 of the last part of `path`. `size` in bytes;
    `created_time` as the host wrote it (RFC 3339).

    >>> import winlayers as wl
    >>> wl.CustomImageInfo("00", "core", "1", "C:/core", 5, "2016-03-14T00:00:00Z").name
    'core'
    """

    id: str
    name: str
    version: str
    path: str
    size: int
    created_time: str
