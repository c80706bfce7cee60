"""The highest memory of each work, each in a fresh process, over that of a process that does nothing."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass

from harness.inputs import Input
from harness.rows import JOIN, STREAMS, TAR, TREE, Side, go, ours
from harness.store import MEMORY, MEMORY_KIB

ALLOWED_KIB = 32 << 10
LINK_BYTES = 256  # the name under which a file of several names was packed first

# Work -> our side, and the peer where it runs in a process that tells its peak.
SIDES: dict[str, tuple[Side, Side | None]] = {
    "iterate": (ours("iterate", TAR), Side("tarfile", "standard", "iterate", TAR)),
    "to-streams": (ours("to_streams", TAR), go("go-winio", "to_streams", TAR)),
    "from-streams": (ours("from_streams", STREAMS), go("go-winio", "from_streams", STREAMS)),
    "verify": (ours("verify", TAR), None),
    "verify-gzip": (ours("verify", {"tar": "gzip"}), None),
    "verify-zstd": (ours("verify", {"tar": "zstd"}), None),
    "split": (ours("split", TAR), go("Go tar-split", "split", TAR)),
    "join": (ours("join", JOIN), go("Go tar-split", "join", JOIN)),
    "pack": (ours("pack", TREE), Side("tarfile", "standard", "pack", TREE)),
    "pack-gzip": (ours("pack_gzip", TREE), go("Go compress/gzip -6", "pack_gzip", TREE)),
    "pack-zstd": (ours("pack_zstd", TREE), go("Go klauspost zstd", "pack_zstd", TREE)),
}


@dataclass
class Peak:
    """Memory of one work on one layer, in KiB, without what the bare interpreter takes."""

    work: str
    layer: str
    ours: int
    allowed: int
    peer_name: str
    peer: int | None  # the whole process: a Go program has no interpreter to take off

    @property
    def met(self) -> bool:
        return self.ours <= self.allowed


def peak(work: str, layer: Input, with_peer: bool) -> Peak:
    own, peer = SIDES.get(work) or (MEMORY[work], None)
    nothing = peak_of(Side("nothing", "standard", "nothing"), layer)
    allowed = MEMORY_KIB - nothing if work in MEMORY else ALLOWED_KIB + allowance(work, layer)
    return Peak(
        work,
        layer.name,
        peak_of(own, layer) - nothing,
        allowed,
        peer.name if peer else "",
        peak_of(peer, layer) if peer and with_peer else None,
    )


def peak_of(side: Side, layer: Input) -> int:
    with ExitStack() as stack:
        return side.open(layer, stack)().peak_kib


def allowance(work: str, layer: Input) -> int:
    """What the architecture allows on top: 24 bytes an entry where equal names must be found; linked files in pack."""
    if work.startswith(("verify", "split")):
        return layer.entries * 24 >> 10
    return layer.hard_links * LINK_BYTES >> 10 if work.startswith("pack") else 0
