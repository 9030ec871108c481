"""Are ratios taken round by round?"""

from __future__ import annotations

import pytest

from benchmarks.results import Outcome, Row
from benchmarks.workload import InstalledSize, Workload


def outcome(**rows: list[float]) -> Outcome:
    steady = {
        peer: [{"median": value, "p10": value, "p90": value} for value in values] for peer, values in rows.items()
    }
    return Outcome(InstalledSize("w", "summary", {}), [Row(peer, steady=each) for peer, each in steady.items()])


def test_the_ratio_is_the_median_of_the_ratios_of_the_rounds() -> None:
    # The machine was four times slower in the second round: the ratio does not see it.
    both = outcome(funcgrad=[1.0, 4.0, 1.1], jax=[2.0, 8.0, 2.2])
    assert both.ratio("steady", "jax") == pytest.approx(0.5)
    assert both.ratio("cold", "jax") is None


def test_there_is_no_ratio_without_both() -> None:
    assert outcome(jax=[1.0]).ratio("steady", "jax") is None
    assert outcome(funcgrad=[1.0]).ratio("steady", "jax") is None


def test_there_is_no_ratio_to_who_does_something_else() -> None:
    tracing = Workload("w", "make a program", dict, {}, 0.0, checks=("numpy",))
    rows = [Row(peer, steady=[{"median": 1.0, "p10": 1.0, "p90": 1.0}]) for peer in ("funcgrad", "jax", "numpy")]
    both = Outcome(tracing, rows)
    assert both.ratio("steady", "jax") == 1.0
    assert both.ratio("steady", "numpy") is None


def test_the_share_of_the_limit() -> None:
    both = outcome(funcgrad=[2.0, 2.0, 4.0])
    both.limit += [1.0, 1.8, 2.0]
    assert both.share("funcgrad") == pytest.approx(0.5)
    assert both.share("jax") is None
