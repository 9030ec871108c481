"""Are long cumulative operations right: in blocks and pieces, along any axis, on any number of threads?"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import funcgrad as fg
from funcgrad.compile import native
from funcgrad.lower.calls import Call
from funcgrad.lower.cumulative import BLOCK, FOLDS, LONG, NARROW, TILE, kernels
from funcgrad.lower.lines import Lines
from funcgrad.lower.plan import make_plan
from funcgrad.ops import cumulative
from funcgrad.simplify import simplify

RNG = np.random.default_rng(0)
OPERATIONS = {name: getattr(cumulative, name) for name in ("cumsum", "cumprod", "cummax", "cummin", "cumlogsumexp")}
SHAPES = (
    ((BLOCK - 1,), 0),
    ((3 * BLOCK + 7,), 0),
    ((2 * LONG + 3 * BLOCK + 1,), 0),
    ((2, 2 * LONG + 1), 1),
    ((2 * LONG + 5, 3), 0),
    ((40, 700), 1),
    ((50, TILE + 3), 0),
    ((3, 90, NARROW), 1),
    ((3, 90, NARROW - 1), 1),
    ((1, 1), 1),
)


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize(("shape", "axis"), SHAPES, ids=str)
@pytest.mark.parametrize("reverse", [False, True])
def test_against_numpy(name: str, shape: tuple[int, ...], axis: int, reverse: bool) -> None:
    x = RNG.uniform(0.9, 1.1, shape)
    operation: Any = OPERATIONS[name]
    got = fg.jit(lambda x: operation(x, axis=axis, reverse=reverse))(x)
    want = operation.reference(x, axis=axis, reverse=reverse)
    np.testing.assert_allclose(got, want, rtol=1e-11 if name == "cumsum" else 1e-10)


@pytest.mark.parametrize("dtype", ["i1", "u2", "i8"])
def test_integers_wrap(dtype: str) -> None:
    limits = np.iinfo(dtype)
    x = RNG.integers(limits.min, limits.max, 2 * LONG + 9, dtype)
    got = fg.jit(lambda x: cumulative.cumsum(x, axis=0, reverse=False))(x)
    np.testing.assert_array_equal(got, np.cumsum(x, dtype=dtype))


def test_sums_of_floats_are_rounded_once() -> None:
    x = RNG.uniform(0, 1, 3 * LONG).astype(np.float32)
    got = fg.jit(lambda x: cumulative.cumsum(x, axis=0, reverse=False))(x)
    want = np.cumsum(x.astype(np.float64))
    assert np.max(np.abs(got - want) / np.spacing(want.astype(np.float32))) <= 0.5 + 1e-6


def test_extrema_carry_nan() -> None:
    x = RNG.normal(size=2 * LONG + 5 * BLOCK)
    x[LONG + 77] = np.nan
    for name in FOLDS.keys() - {"cumsum"}:
        operation: Any = OPERATIONS[name]
        got = fg.jit(lambda x, operation=operation: operation(x, axis=0, reverse=False))(x)
        np.testing.assert_array_equal(got, operation.reference(x, axis=0, reverse=False))


@pytest.mark.parametrize("dtype", ["f4", "f8", "i4", "u8", "f2", "i1"])
@pytest.mark.parametrize("name", FOLDS)
def test_long_lines_of_every_dtype(name: str, dtype: str) -> None:
    x = RNG.integers(0, 3, (2, 2 * LONG + 100)).astype(dtype)
    x = x * 0 if dtype == "f2" else x  # whose sums end at 65504
    x[:, 999::1000] = 5
    operation: Any = OPERATIONS[name]
    for reverse in (False, True):
        got = fg.jit(lambda x, r=reverse: operation(x, axis=1, reverse=r))(x)
        want = operation.reference(x, axis=1, reverse=reverse)
        np.testing.assert_array_equal(got, want)


def test_long_lines_are_read_once() -> None:
    def steps(x: Any) -> list[type]:
        return [type(s) for s in make_plan(simplify(fg.make_jaxpr(np.cumsum)(x))).steps]

    assert steps(fg.ShapeDtypeStruct((2 * LONG,), np.float32)) == [Call]
    assert Call not in steps(fg.ShapeDtypeStruct((2 * LONG - 1,), np.float32))


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_results_do_not_depend_on_threads(dtype: str) -> None:
    x = RNG.normal(size=5 * LONG + 11).astype(dtype)
    function = fg.jit(lambda x: cumulative.cumsum(x, axis=0, reverse=False))
    before = native.threads()
    results = []
    try:
        for count in (1, 2, 3):
            native.set_threads(count)
            results += [function(x) for _ in range(3)]
    finally:
        native.set_threads(before)
    assert all(np.array_equal(r, results[0]) for r in results)


def test_the_recurrence() -> None:
    for shape, axis in (((3, 1000), 1), ((300, 20), 0)):
        a, b = RNG.uniform(-1, 1, shape), RNG.normal(size=shape)
        for reverse in (False, True):
            got = fg.jit(lambda a, b, k=axis, r=reverse: cumulative.linear_recurrence(a, b, axis=k, reverse=r))(a, b)
            want = cumulative.linear_recurrence.reference(a, b, axis=axis, reverse=reverse)
            np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-13)


def test_there_is_no_python_in_a_compiled_one() -> None:
    x = np.ones((2, 3 * BLOCK))
    for operation in OPERATIONS.values():
        function = fg.jit(lambda x, operation=operation: operation(x, axis=1, reverse=False))
        assert function.lower(x).cost_analysis().get("calls", 0) == 0


def test_lines() -> None:
    lines = Lines.along((2, 3, 4), 1)
    assert (lines.outer, lines.length, lines.inner, lines.count) == (2, 3, 4, 8)
    assert lines.chunk() == 0
    assert Lines.along((10**6, 8), 1).chunk() == 1 << 12
    assert kernels.__doc__


def test_operands_that_are_reshaped_buffers() -> None:
    x = RNG.uniform(0.5, 1.5, 5 * 12 * 7)
    for operation in OPERATIONS.values():
        for axis in range(3):

            def function(x: Any, operation: Any = operation, axis: int = axis) -> Any:
                return operation(np.reshape(x, (5, 12, 7)), axis=axis, reverse=False)

            want = operation.reference(x.reshape(5, 12, 7), axis=axis, reverse=False)
            np.testing.assert_allclose(fg.jit(function)(x), want, rtol=1e-13)
