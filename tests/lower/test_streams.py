"""Which results are written past the caches, and are they what they would be?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import funcgrad as fg
from funcgrad.compile import cpus, engine
from funcgrad.compile.llvm import print_kernel
from funcgrad.lower import streams
from funcgrad.lower.donation import over_arguments
from funcgrad.lower.plan import Plan, make_plan
from funcgrad.simplify import simplify

LARGE = fg.ShapeDtypeStruct((5000, 4000), np.float32)
here = pytest.mark.skipif(not cpus.streaming_pays(), reason="this CPU has no such stores")


def momentum(x: Any, m: Any, g: Any) -> tuple[Any, Any]:
    m = 0.9 * m + g
    return x - 0.1 * m, m


def plan(function: Callable[..., Any], *kinds: Any, donated: tuple[int, ...] = ()) -> Plan:
    return streams.past_caches(over_arguments(make_plan(simplify(fg.make_jaxpr(function)(*kinds))), donated))


def streamed(found: Plan) -> list[bool]:
    """For each result whether it is written past the caches."""
    past = {step.buffers[k] for step in found.steps for k in getattr(getattr(step, "kernel", None), "streamed", ())}
    past |= {out for step in found.steps if getattr(step, "streamed", False) for out in step.equation.outputs}
    return [out in past for out in found.outputs]


def test_results_of_a_large_update_are_written_past_the_caches():
    assert streamed(plan(momentum, LARGE, LARGE, LARGE)) == [True, True]


def test_long_running_sums_are_written_past_the_caches():
    assert streamed(plan(np.cumsum, fg.ShapeDtypeStruct((10**7,), np.float32))) == [True]
    assert streamed(plan(np.cumsum, fg.ShapeDtypeStruct((10**6,), np.float32))) == [False]


def test_results_in_the_memory_of_arguments_are_not():
    assert streamed(plan(momentum, LARGE, LARGE, LARGE, donated=(0, 1))) == [False, False]
    assert streamed(plan(momentum, LARGE, LARGE, LARGE, donated=(1,))) == [False, False]  # where places may be shared


def test_results_that_caches_hold_are_not():
    small = fg.ShapeDtypeStruct((1000, 1000), np.float32)
    assert streamed(plan(momentum, small, small, small)) == [False, False]


def test_small_results_beside_large_ones_are_not():
    vector = fg.ShapeDtypeStruct((4000,), np.float32)

    def two(x: Any, g: Any, b: Any, h: Any) -> tuple[Any, Any]:
        return x - 0.1 * g, b - 0.1 * h

    assert streamed(plan(two, LARGE, LARGE, vector, vector)) == [True, False]


def test_results_of_which_blocks_do_not_fit_the_first_cache_are_not():
    square = fg.ShapeDtypeStruct((2000, 2000), np.float32)
    assert streamed(plan(lambda x, y: [k * x + y for k in range(2, 10)], square, square)) == [True] * 8
    assert streamed(plan(lambda x, y: [k * x + y for k in range(2, 11)], square, square)) == [False] * 9


def test_results_of_no_array_are_not():
    assert streamed(plan(lambda x: x * 2 + 1, LARGE)) == [True]
    assert streamed(plan(lambda x: np.broadcast_to(x, LARGE.shape), fg.ShapeDtypeStruct((), np.float32))) == [False]


def normalised(x: Any, y: Any) -> tuple[Any, Any]:
    centred = x - np.mean(x, axis=1, keepdims=True)
    size = np.sum(centred * centred, axis=1, keepdims=True)
    return centred / size, y * size


def test_rows_are_written_past_the_caches_when_they_are_complete():
    for columns, expected in ((4000, True), (200, False), (5000, False)):  # float32: 16 KB, too short, too long
        rows = fg.ShapeDtypeStruct((20_000_000 // columns, columns), np.float32)
        assert streamed(plan(normalised, rows, rows)) == [expected] * 2


@here
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rows_written_past_the_caches_are_what_would_be_written(
    monkeypatch: pytest.MonkeyPatch, dtype: Any, threads: int
) -> None:
    rng = np.random.default_rng(0)
    monkeypatch.setattr(streams, "LARGE", 0)
    before = fg.get_num_threads()
    fg.set_num_threads(threads)
    try:
        for shape in ((1, 256), (3, 301), (70, 1000), (513, 2048)):
            x, y = rng.standard_normal(shape).astype(dtype), rng.standard_normal(shape).astype(dtype)
            monkeypatch.setattr(streams, "MUCH", 1 << 40)
            expected = fg.jit(lambda x, y: normalised(x, y))(x, y)
            monkeypatch.setattr(streams, "MUCH", 0)
            assert streamed(plan(normalised, x, y)) == [True] * 2
            function = fg.jit(lambda x, y: normalised(x, y))
            for found, other in zip(function(x, y), expected, strict=True):
                np.testing.assert_array_equal(found, other)
    finally:
        fg.set_num_threads(before)


def test_results_that_take_much_mathematics_are_not():
    assert streamed(plan(lambda x: np.exp(x) + 1, LARGE)) == [True]
    assert streamed(plan(lambda x: np.exp(x) + np.tanh(x), LARGE)) == [False]


def test_results_that_are_read_again_are_not():
    def twice(x: Any, g: Any) -> tuple[Any, Any]:
        y = x - g
        return y, np.matmul(y, np.transpose(y[:8]))

    assert streamed(plan(twice, LARGE, LARGE)) == [False, False]


def test_results_that_are_not_written_in_order_are_not():
    square = fg.ShapeDtypeStruct((5000, 5000), np.float32)
    assert streamed(plan(lambda x, y: np.transpose(x + y) * x[::-1], square, square)) == [False]


@here
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32, np.uint64])
def test_what_is_written_past_the_caches_is_what_would_be_written(
    monkeypatch: pytest.MonkeyPatch, dtype: Any, threads: int
) -> None:
    monkeypatch.setattr(streams, "MUCH", 0)
    monkeypatch.setattr(streams, "LARGE", 0)
    before = fg.get_num_threads()
    fg.set_num_threads(threads)
    try:
        for size in (1, 15, 16, 17, 127, 128, 129, 513, 300_007):
            x, y = np.arange(size).astype(dtype), (3 * np.arange(size)[::-1]).astype(dtype)
            function = fg.jit(lambda x, y: (x + y, x * y, y - x))
            for found, expected in zip(function(x, y), (x + y, x * y, y - x), strict=True):
                np.testing.assert_array_equal(found, expected)
    finally:
        fg.set_num_threads(before)


@here
def test_a_streamed_kernel_has_stores_past_the_caches_and_a_fence_behind_them():
    (step,) = plan(momentum, LARGE, LARGE, LARGE).steps
    lines = engine.assembly(print_kernel(step.kernel, "kernel")).splitlines()
    instructions = [line.split()[0] for line in lines if line.startswith("\t")]
    assert any(name.startswith(("movnt", "vmovnt")) for name in instructions)
    assert "sfence" in instructions


@here
def test_checked_memory_sees_its_accesses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "MUCH", 0)
    monkeypatch.setattr(streams, "LARGE", 0)
    x = np.arange(1000.0)
    with fg.config.check_memory():
        np.testing.assert_array_equal(fg.jit(lambda x, y: x - 2 * y)(x, x), -x)
