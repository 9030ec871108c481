"""Are calls counted and averaged as `benchmarks.timing` says?  On a clock that the test moves."""

from __future__ import annotations

import gc

import numpy as np
import pytest

from benchmarks import timing


class FakeClock:
    """Time passes only inside the call."""

    def __init__(self, *costs: float) -> None:
        self.now, self.calls, self.costs = 0.0, 0, costs

    def __call__(self) -> float:
        return self.now

    def work(self) -> str:
        assert not gc.isenabled()
        self.now += self.costs[min(self.calls, len(self.costs) - 1)]
        self.calls += 1
        return "done"


def test_the_first_call_is_timed_with_its_result() -> None:
    clock = FakeClock(2.0)
    assert timing.first(clock.work, clock) == (2.0, "done")
    assert clock.calls == 1


def test_cheap_calls_are_timed_in_groups() -> None:
    clock = FakeClock(1e-6)
    taken = timing.samples(clock.work, 0.01, clock)
    np.testing.assert_allclose(taken, 1e-6)
    assert len(taken) == pytest.approx(0.01 / timing.SAMPLE, abs=2)
    # A tenth of the time to warm up, then groups of at least 0.3 ms.
    assert clock.calls == pytest.approx(1000 + len(taken) * 300, rel=0.02)


def test_slow_calls_are_timed_singly_and_at_least_three_times() -> None:
    clock = FakeClock(5.0)
    assert timing.samples(clock.work, 0.5, clock).tolist() == [5.0] * timing.FEWEST


def test_slow_first_calls_belong_to_the_warm_up() -> None:
    clock = FakeClock(9.0, 4.0, 1.0)
    assert timing.samples(clock.work, 10.0, clock).tolist() == [1.0] * 10


def test_the_collector_comes_back_after_an_error() -> None:
    def broken() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        timing.first(broken)
    assert gc.isenabled()


def test_summary() -> None:
    found = timing.summary(np.arange(101.0))
    assert found == {"median": 50.0, "p10": 10.0, "p90": 90.0, "samples": 101}
