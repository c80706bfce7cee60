"""Whether a work got slower: arithmetic over runs that took turns, and nothing else."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

ALLOWED = 0.03  # over the spread of a pair of equals
SHORT = 0.001  # seconds: a ratio says little of works that are shorter
ALLOWED_SECONDS = 50e-6  # so much longer may those take

ORDER = (0, 1, 2, 2, 1, 0)
"""Who runs when in a round: `before` (0), the same again (1) and `after` (2), then back: a drift hits all alike."""


@dataclass(frozen=True)
class Verdict:
    """What rounds of `before`, the same again, and `after` say."""

    before: float  # median seconds
    after: float
    ratio: float  # of `after` to `before`: the median over the rounds
    spread: float  # how far half of the rounds put two equals apart

    @property
    def no_slower(self) -> bool:
        if self.before < SHORT:
            return self.after - self.before <= ALLOWED_SECONDS
        return self.ratio <= 1 + self.spread + ALLOWED


def judge(rounds: Sequence[Sequence[float]]) -> Verdict:
    """Judges rounds of six times in seconds, each in the order of `ORDER`."""
    sides = [
        [sum(t for t, who in zip(times, ORDER, strict=True) if who == side) / 2 for times in rounds]
        for side in range(3)
    ]
    before, again, after = sides
    equals = [(one + other) / 2 for one, other in zip(before, again, strict=True)]
    return Verdict(
        statistics.median(equals),
        statistics.median(after),
        statistics.median(new / old for new, old in zip(after, equals, strict=True)),
        statistics.median(abs(other / one - 1) for one, other in zip(before, again, strict=True)),
    )
