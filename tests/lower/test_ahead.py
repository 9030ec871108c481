"""Are places of large scatters computed ahead of the writes, and is the result the same?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import funcgrad as fg
from funcgrad import numpy as fnp
from funcgrad.lower import ahead
from funcgrad.lower.loops import Check, Loop, walk
from funcgrad.runtime.executable import executables

RNG = np.random.default_rng(0)
SIZES = (ahead.MUCH, ahead.MUCH + 1, 3 * ahead.BLOCK * 64 + 511, 300_001)


def added(x: Any, i: Any, n: int) -> Any:
    return fnp.zeros(n, x.dtype).at[i].add(x)


def kernels(function: Callable[..., Any], *args: Any) -> list[Any]:
    """The kernels that check places."""
    executables.cache_clear()
    plan = fg.jit(function).lower(*args).compile()._executable.plan
    return [
        k
        for k in (getattr(s, "kernel", None) for s in plan.steps)
        if k and any(isinstance(i, Check) for i in walk(k.body))
    ]


def loops(kernel: Any) -> list[Loop]:
    return [i for i in walk(kernel.body) if isinstance(i, Loop) and not any(isinstance(j, Loop) for j in i.body)]


def test_the_loop_over_places_is_apart_and_free_of_order() -> None:
    (kernel,) = kernels(lambda x, i: added(x, i, 50), np.ones(ahead.MUCH), np.zeros(ahead.MUCH, np.int64))
    first, second = loops(kernel)
    assert first.independent
    assert not second.independent
    assert any(isinstance(i, Check) for i in first.body)
    assert not any(isinstance(i, Check) for i in second.body)
    (kernel,) = kernels(lambda x, i: added(x, i, 50), np.ones(99), np.zeros(99, np.int64))
    assert len(loops(kernel)) == 1


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("places", [1, 7, 1000, 200_003])
def test_every_kind_of_write(size: int, places: int) -> None:
    x = RNG.integers(-100, 100, size).astype(np.float32)  # whose sums are exact
    i = RNG.integers(-places, places, size).astype(np.int32)
    for name, fold in (("add", np.add), ("max", np.maximum), ("min", np.minimum)):
        want = np.zeros(places, np.float32)
        fold.at(want, i, x)
        got = fg.jit(lambda x, i, name=name: getattr(fnp.zeros(places, np.float32).at[i], name)(x))(x, i)
        np.testing.assert_array_equal(got, want)
    want = np.zeros(places, np.float32)
    want[i] = x
    np.testing.assert_array_equal(fg.jit(lambda x, i: fnp.zeros(places, np.float32).at[i].set(x))(x, i), want)


@pytest.mark.parametrize("mode", ["drop", "clip", "wrap"])
def test_places_out_of_bounds_in_other_modes(mode: str) -> None:
    x, i = np.ones(SIZES[2]), RNG.integers(-30, 60, SIZES[2])
    got = fg.jit(lambda x, i: fnp.zeros(20).at[i].add(x, mode=mode))(x, i)
    np.testing.assert_array_equal(got, fnp.zeros(20).at[i].add(x, mode=mode))


def test_what_is_written_may_be_computed_of_the_place() -> None:
    i = RNG.integers(0, 500, 40_000)
    got = fg.jit(lambda i: fnp.zeros(500).at[i].add(i * 2.0 + 1))(i)
    np.testing.assert_array_equal(got, np.bincount(i, i * 2.0 + 1, 500))


def test_one_place_out_of_bounds_is_seen_wherever_it_stands() -> None:
    size = SIZES[2]
    function = fg.jit(lambda x, i: added(x, i, 40))
    for where in (0, ahead.BLOCK - 1, ahead.BLOCK, size // 2, size - 1):
        i = np.zeros(size, np.int64)
        i[where] = 40
        with pytest.raises(IndexError, match=rf"index 40 is out of bounds for axis with size 40; .* i\[{where}\]"):
            function(np.ones(size), i)
        with fg.config.check_memory(), pytest.raises(IndexError, match="index 40"):
            function(np.ones(size), i)


def test_threads_change_nothing() -> None:
    x, i = RNG.normal(size=300_000).astype(np.float32), RNG.integers(0, 90, 300_000)
    before = fg.get_num_threads()
    found = []
    try:
        for count in (1, 2, 4):
            fg.set_num_threads(count)
            found.append(fg.jit(lambda x, i: added(x, i, 90))(x, i))
    finally:
        fg.set_num_threads(before)
    for other in found[1:]:
        np.testing.assert_array_equal(found[0], other)


def test_scatters_in_loops_are_left_alone() -> None:
    """Their kernels may become a part of the loop's."""

    def function(x: Any, i: Any) -> Any:
        return fg.lax.fori_loop(0, 3, lambda k, s: s + added(x, (i + k) % 40, 40), np.zeros(40))

    x, i = np.ones(20_000), RNG.integers(0, 40, 20_000)
    want = sum(np.bincount((i + k) % 40, minlength=40) for k in range(3))
    np.testing.assert_array_equal(fg.jit(function)(x, i), want)
