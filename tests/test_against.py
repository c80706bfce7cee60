"""The verdicts of `benches/run.py --against`: arithmetic, nothing is measured."""

import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

PLACE = Path(__file__).resolve().parents[1] / "benches" / "harness" / "verdict.py"


@pytest.fixture
def verdict(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location("verdict", PLACE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "verdict", module)  # where `dataclass` looks the types up
    spec.loader.exec_module(module)
    return module


def judged(verdict: ModuleType, *rounds: Sequence[float]) -> Any:
    """Judge rounds of (before, again, after), each of which ran twice for as long."""
    return verdict.judge([[times[who] for who in verdict.ORDER] for times in rounds])


def test_equals_are_no_slower(verdict: ModuleType) -> None:
    found = judged(verdict, (1.0, 1.0, 1.0), (2.0, 2.0, 2.0), (1.0, 1.0, 1.0))
    assert (found.before, found.after, found.ratio, found.spread) == (1.0, 1.0, 1.0, 0.0)
    assert found.no_slower


@pytest.mark.parametrize(("after", "no_slower"), [(0.5, True), (1.029, True), (1.031, False), (2.0, False)])
def test_three_percent_are_allowed(verdict: ModuleType, after: float, no_slower: bool) -> None:
    assert judged(verdict, *[(1.0, 1.0, after)] * 5).no_slower is no_slower


@pytest.mark.parametrize(("after", "no_slower"), [(1.08, True), (1.10, False)])
def test_so_is_what_equals_lie_apart(verdict: ModuleType, after: float, no_slower: bool) -> None:
    """Equals lie 4 % apart here, and `after` is compared with their middle, 1.02."""
    found = judged(verdict, *[(1.0, 1.04, after), (1.04, 1.0, after)] * 4)
    assert found.spread == pytest.approx(0.04, abs=0.001)
    assert found.no_slower is no_slower


def test_one_odd_round_decides_nothing(verdict: ModuleType) -> None:
    found = judged(verdict, *[(1.0, 1.0, 1.0)] * 4, (1.0, 3.0, 9.0))
    assert (found.ratio, found.spread) == (1.0, 0.0)


def test_a_drift_hits_all_alike(verdict: ModuleType) -> None:
    found = verdict.judge([[1.0, 1.1, 1.2, 1.3, 1.4, 1.5], [2.0, 1.9, 1.8, 1.7, 1.6, 1.5]])
    assert found.ratio == pytest.approx(1)
    assert found.spread == pytest.approx(0)


@pytest.mark.parametrize(("after", "no_slower"), [(0.00044, True), (0.00046, False)])
def test_of_short_works_the_time_counts(verdict: ModuleType, after: float, no_slower: bool) -> None:
    assert judged(verdict, *[(0.0004, 0.0004, after)] * 3).no_slower is no_slower
