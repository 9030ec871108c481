"""Are slices, windows, gather, scatter and segments what `jax.lax` and `jax.ops` make of them?"""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import funcgrad as fg
from funcgrad import lax
from tests.effort import drawn

jax = pytest.importorskip("jax")
F4 = np.dtype("f4")
X = np.arange(60, dtype=F4).reshape(3, 4, 5)


def alike(function: Any, *args: Any, tolerance: float = 0) -> None:
    """The same from funcgrad (by NumPy, and compiled) as from JAX, whose namespace `function` takes first."""
    want = np.asarray(function(jax.lax, *map(jax.numpy.asarray, args)))
    for got in (function(lax, *args), fg.jit(lambda *xs: function(lax, *xs))(*args)):
        assert type(got) is fg.Array
        assert got.dtype == want.dtype
        np.testing.assert_allclose(got, want, rtol=tolerance)


# Slices ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "function",
    [
        lambda lax, x: lax.slice(x, (1, 0, 2), (3, 4, 5)),
        lambda lax, x: lax.slice(x, (0, 1, 0), (3, 4, 5), (2, 1, 3)),
        lambda lax, x: lax.slice_in_dim(x, 1, -1, axis=1),
        lambda lax, x: lax.slice_in_dim(x, None, None, stride=2, axis=-1),
        lambda lax, x: lax.index_in_dim(x, 2, 0),
        lambda lax, x: lax.index_in_dim(x, -1, 2, keepdims=False),
        lambda lax, x: lax.index_take(x, (np.array([0, 2, 1]), np.array([1, 3, -1])), (0, 2)),
    ],
)
def test_static(function: Any) -> None:
    alike(function, X)


@pytest.mark.parametrize("start", [0, 1, 3, 9, -1, -2, -9])
def test_windows_are_moved_to_where_they_fit(start: int) -> None:
    i = np.int32(start)
    update = -np.ones((2, 1, 5), F4)
    alike(lambda lax, x, i: lax.dynamic_slice(x, (i, 0, i), (2, 4, 3)), X, i)
    alike(lambda lax, x, i: lax.dynamic_slice_in_dim(x, i, 2, axis=1), X, i)
    alike(lambda lax, x, i: lax.dynamic_index_in_dim(x, i, 2, keepdims=False), X, i)
    alike(lambda lax, x, u, i: lax.dynamic_update_slice(x, u, (i, i, 0)), X, update, i)
    alike(lambda lax, x, u, i: lax.dynamic_update_slice_in_dim(x, u, i, axis=0), X, -np.ones((1, 4, 5), F4), i)
    alike(lambda lax, x, u, i: lax.dynamic_update_index_in_dim(x, u, i, axis=1), X, -np.ones((3, 5), F4), i)


def test_windows_of_a_batch() -> None:
    starts = np.array([0, 2, 7], np.int32)

    def read(lax: Any, x: Any, i: Any) -> Any:
        return lax.dynamic_slice(x, (i, 1), (2, 3))

    def write(lax: Any, x: Any, u: Any, i: Any) -> Any:
        return lax.dynamic_update_slice(x, u, (0, i))

    batch, update = X, -np.ones((3, 4, 2), F4)
    for axes in [(0, 0), (None, 0), (0, None)]:
        x, i = (a if axis == 0 else a[0] for a, axis in zip((batch, starts), axes, strict=True))
        want = jax.vmap(lambda x, i: read(jax.lax, x, i), axes)(x, i)
        np.testing.assert_array_equal(fg.jit(fg.vmap(lambda x, i: read(lax, x, i), axes))(x, i), want)
    for axes in [(0, 0, 0), (None, 0, 0), (0, None, 0), (0, 0, None)]:
        given = [a if axis == 0 else a[0] for a, axis in zip((batch, update, starts), axes, strict=True)]
        want = jax.vmap(lambda x, u, i: write(jax.lax, x, u, i), axes)(*given)
        np.testing.assert_array_equal(fg.jit(fg.vmap(lambda x, u, i: write(lax, x, u, i), axes))(*given), want)


def test_derivatives_of_windows() -> None:
    def loss(x: Any, u: Any, i: Any) -> Any:
        y = lax.dynamic_update_slice(x, u, (i, 0, 1))
        return np.sum(lax.dynamic_slice(y, (1, i, 0), (2, 2, 5)) ** 2)

    x, u = X.astype("f8"), np.ones((2, 1, 3))
    by_x, by_u = fg.jit(fg.grad(loss, (0, 1)))(x, u, 1)
    y = x.copy()
    y[1:3, :1, 1:4] = u
    slope = np.zeros_like(x)
    slope[1:3, 1:3] = 2 * y[1:3, 1:3]
    np.testing.assert_allclose(by_u, slope[1:3, :1, 1:4])
    slope[1:3, :1, 1:4] = 0
    np.testing.assert_allclose(by_x, slope)


# gather and scatter ---------------------------------------------------------------------------------------------------

GATHERS = {
    "rows": (((1, 2), (0,), (0,)), (1, 4, 5), (7, 1)),
    "windows": (((1, 2, 3), (), (0, 2)), (2, 4, 3), (7, 2)),
    "windows last": (((0, 1), (1,), (2, 1)), (2, 1, 3), (6, 2)),
    "points": (((), (0, 1, 2), (2, 0, 1)), (1, 1, 1), (2, 3, 3)),
    "between": (((0, 2), (1,), (1,)), (3, 1, 2), (4, 1)),
    "batched": (((2,), (1,), (1,), (0,), (0,)), (1, 1, 5), (3, 6, 1)),
}


def _indices(shape: tuple[int, ...], seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(-1, 6, shape).astype(np.int32)


@pytest.mark.parametrize("name", GATHERS)
@pytest.mark.parametrize("mode", [None, "clip", "fill"])
def test_gather(name: str, mode: Any) -> None:
    numbers, sizes, shape = GATHERS[name]

    def read(lax: Any, x: Any, i: Any) -> Any:
        return lax.gather(x, i, lax.GatherDimensionNumbers(*numbers), sizes, mode=mode)

    alike(read, X, _indices(shape, 0))


def test_gather_fills() -> None:
    numbers = ((1,), (0,), (0,))
    i = np.array([[0], [9]], np.int32)
    for x in (X[0], X[0].astype("i4"), X[0].astype("u1"), X[0] > 3):
        alike(lambda lax, x, i: lax.gather(x, i, lax.GatherDimensionNumbers(*numbers), (1, 5), mode="fill"), x, i)
    filled = lax.gather(X[0], i, lax.GatherDimensionNumbers(*numbers), (1, 5), mode="fill", fill_value=-1)
    np.testing.assert_array_equal(filled[1], -1)


SCATTERS = {
    "rows": (((1, 2), (0,), (0,)), (7, 4, 5), (7, 1)),
    "windows": (((1, 2, 3), (), (0, 2)), (7, 2, 4, 3), (7, 2)),
    "windows last": (((0, 1), (1,), (2, 1)), (2, 3, 6), (6, 2)),
    "points": (((), (0, 1, 2), (2, 0, 1)), (2, 3), (2, 3, 3)),
    "between": (((0, 2), (1,), (1,)), (3, 4, 2), (4, 1)),
    "whole": (((1, 2, 3), (), ()), (2, 3, 4, 5), (2, 0)),
    "batched": (((2,), (1,), (1,), (0,), (0,)), (3, 6, 5), (3, 6, 1)),
}


@pytest.mark.parametrize("name", SCATTERS)
@pytest.mark.parametrize("kind", ["scatter", "scatter_add", "scatter_mul", "scatter_min", "scatter_max", "scatter_sub"])
def test_scatter(name: str, kind: str) -> None:
    numbers, shape, ishape = SCATTERS[name]
    updates = np.random.default_rng(1).uniform(0.5, 2, shape).astype(F4)
    i = _indices(ishape, 2)

    def write(lax: Any, x: Any, i: Any, u: Any) -> Any:
        return getattr(lax, kind)(x, i, u, lax.ScatterDimensionNumbers(*numbers))

    alike(write, X, i, updates, tolerance=1e-5)


def test_scatter_apply() -> None:
    numbers = ((), (0,), (0,))
    i = np.array([[1], [2], [9]], np.int32)

    def write(lax: Any, x: Any, i: Any) -> Any:
        return lax.scatter_apply(x, i, lambda v: v * v, lax.ScatterDimensionNumbers(*numbers), update_shape=(3,))

    alike(write, X[0, 0] + 2, i)


def test_modes() -> None:
    modes = lax.GatherScatterMode
    assert modes.from_any("drop") is modes.from_any(None) is modes.FILL_OR_DROP
    assert modes.from_any(modes.CLIP) is modes.CLIP
    with pytest.raises(ValueError, match="mode must be one of"):
        modes.from_any("nearest")


# Segments -------------------------------------------------------------------------------------------------------------


@given(st.integers(0, 10**6), st.sampled_from(["sum", "prod", "min", "max"]), st.sampled_from(["f4", "i4"]))
@drawn(8)
def test_segments(seed: int, kind: str, dtype: str) -> None:
    rng = np.random.default_rng(seed)
    ids = rng.integers(-2, 6, 9).astype(np.int32)
    data = rng.integers(-3, 4, (9, 2)).astype(dtype)
    want = getattr(jax.ops, f"segment_{kind}")(data, ids, 4)
    function = getattr(lax, f"segment_{kind}")
    for got in (function(data, ids, 4), fg.jit(lambda d, i: function(d, i, 4))(data, ids)):
        assert got.dtype == want.dtype
        np.testing.assert_array_equal(got, want)


def test_the_number_of_segments() -> None:
    data, ids = np.ones(3, F4), np.array([0, 4, 4])
    np.testing.assert_array_equal(lax.segment_sum(data, ids), [1, 0, 0, 0, 2])
    with pytest.raises(fg.errors.ConcretizationTypeError, match="Pass num_segments"):
        fg.jit(lax.segment_sum)(data, ids)
    with pytest.raises(IndexError, match="out of bounds"):
        fg.jit(lambda d, i: lax.segment_sum(d, i, 3, mode="raise"))(data, ids)


def test_the_gradient_of_a_segment_sum() -> None:
    ids = np.array([0, 2, 2, -1, 7])
    gradient = fg.jit(fg.grad(lambda d: np.sum(lax.segment_sum(d, ids, 3) * np.array([1.0, 2.0, 3.0]))))(np.ones(5))
    np.testing.assert_array_equal(gradient, [1, 3, 3, 0, 0])


# Mistakes -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("function", "error", "words"),
    [
        (lambda: lax.slice(X, (0, 0, 0), (3, 4, 6)), TypeError, r"does not lie in shape \(3, 4, 5\)"),
        (lambda: lax.slice(X, (0,), (3,)), TypeError, r"do not fit an array of shape \(3, 4, 5\)"),
        (lambda: lax.index_in_dim(X, 3), IndexError, "out of bounds for axis 0 with size 3"),
        (lambda: lax.slice_in_dim(X, 0, 1, axis=3), ValueError, "axis 3 is out of bounds"),
        (lambda: lax.dynamic_slice(X, (0, 0), (1, 1, 1)), TypeError, "2 starts do not fit"),
        (lambda: lax.dynamic_slice(X, (0, 0, 0), (9, 1, 1)), TypeError, r"slice_sizes \(9, 1, 1\)"),
        (lambda: lax.dynamic_slice(X, (0.5, 0, 0), (1, 1, 1)), TypeError, "indices must be integers"),
        (lambda: lax.dynamic_update_slice(X, np.ones((1, 1, 1)), (0, 0, 0)), TypeError, "dtypes must be equal"),
        (lambda: lax.dynamic_update_slice(X, np.ones((4, 1, 1), F4), (0, 0, 0)), TypeError, "an update of shape"),
        (
            lambda: lax.gather(X, np.zeros((2, 2), int), lax.GatherDimensionNumbers((1, 2), (0,), (0,)), (1, 4, 5)),
            TypeError,
            "must end with an axis of extent 1",
        ),
        (
            lambda: lax.scatter_add(
                X, np.zeros((2, 1), int), np.ones((3, 4, 5), F4), lax.ScatterDimensionNumbers((1, 2), (0,), (0,))
            ),
            TypeError,
            "do not fit indices of shape",
        ),
        (lambda: lax.segment_sum(X, np.zeros(4, int), 2), ValueError, "must begin with the shape of segment_ids"),
    ],
)
def test_mistakes(function: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        function()


@pytest.mark.parametrize("zeros", [(), (0,), (0, 3, 5), (0, 1), (0, 1, 2)])
def test_second_derivatives_of_products_at_repeated_places(zeros: tuple[int, ...]) -> None:
    places, weights = np.array([0, 0, 0, 1, 1, 2]), np.array([1.0, 2.0, 3.0])
    z = np.arange(1.0, 10.0) / 2
    z[[3 + k for k in zeros]] = 0

    def scattered(z: Any) -> Any:
        return np.sum(z[:3].at[places].multiply(z[3:]) * weights)

    def written_out(z: Any) -> Any:
        return z[0] * z[3] * z[4] * z[5] + 2 * z[1] * z[6] * z[7] + 3 * z[2] * z[8]

    want = fg.hessian(written_out)(z)
    for second in (fg.hessian, lambda f: fg.jit(fg.jacrev(fg.jacrev(f))), lambda f: fg.jacfwd(fg.jacfwd(f))):
        np.testing.assert_allclose(second(scattered)(z), want, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("dtype", ["bfloat16", "complex64", "float32", "int8"])
@pytest.mark.parametrize("name", ["scatter_min", "scatter_max"])
def test_extremes_that_fall_outside_are_dropped(name: str, dtype: str) -> None:
    """By what changes no extreme, in every dtype; complex numbers are ordered by their real parts."""
    x, v = np.array([1, 5, 2]).astype(dtype), np.array([3, 4]).astype(dtype)
    numbers = lax.ScatterDimensionNumbers((), (0,), (0,))
    for run in (lambda f: f, fg.jit):
        got = run(lambda x, v: getattr(lax, name)(x, np.array([[1], [7]]), v, numbers, mode="fill"))(x, v)
        assert got.dtype == x.dtype
        assert np.asarray(got).astype(complex).real.tolist() == [1, 3 if name == "scatter_min" else 5, 2]


def test_extremes_of_nothing() -> None:
    for dtype, least in ((ml_dtypes.bfloat16, -np.inf), (np.float16, -np.inf), (np.int8, -128), (np.bool_, False)):
        assert lax.reduce_max(np.zeros((0, 2), dtype), (0,)).tolist() == [least, least]


def test_polygamma_of_no_whole_order() -> None:
    got = fg.jit(lambda m: lax.polygamma(m, np.array([2.5, 2.5])))(np.array([1.0, 1.5]))
    np.testing.assert_allclose(got, [0.49035775610023485, np.nan])
