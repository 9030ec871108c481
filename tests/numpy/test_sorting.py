"""Sorting, sets, counting and quantiles beyond NumPy's parity: sizes that are given, mistakes, derivatives, methods."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import funcgrad as fg
import funcgrad.numpy as fnp
from funcgrad.errors import ConcretizationTypeError
from tests.ops.numerics import richardson

NAN = float("nan")
RNG = np.random.default_rng(0)
TIED = np.array([3, 1, 2, 1, 3, 3])
NUMBERS = RNG.permutation(24).reshape(4, 6) / 5 - 2.0


def alike(got: Any, want: Any) -> None:
    """The same arrays, however nested."""
    for g, w in zip(fg.tree.leaves(got), fg.tree.leaves(want), strict=True):
        assert (np.asarray(g).dtype, np.shape(g)) == (np.asarray(w).dtype, np.shape(w))
        np.testing.assert_allclose(g, w, rtol=1e-14)


# Order ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kth", [0, 2, -1, (1, 3)])
@pytest.mark.parametrize("axis", [0, 1, -1, None])
def test_partition(kth: Any, axis: int | None) -> None:
    x = NUMBERS
    for run in (lambda f: f, fg.jit):
        values = run(lambda x: np.partition(x, kth, axis))(x)
        places = run(lambda x: np.argpartition(x, kth, axis))(x)
        want = np.sort(x, axis)
        taken = np.take_along_axis(x.ravel() if axis is None else x, places, 0 if axis is None else axis)
        for k in np.atleast_1d(kth):
            for found in (values, taken):
                np.testing.assert_array_equal(np.take(found, k, axis or 0), np.take(want, k, axis or 0))
        with pytest.raises(ValueError, match="out of bounds"):
            run(lambda x: np.partition(x, 99, axis))(x)


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "i1", "i8", "u2", "?", "c8", "bfloat16"])
@pytest.mark.parametrize("axis", [0, 1])
def test_partition_of_long_lines(axis: int, dtype: str) -> None:
    """These are selected from, not sorted: with equal elements and NaN, which comes last."""
    rng = np.random.default_rng(1)
    x = rng.integers(-40, 40, (300, 200)).astype(ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype)
    if x.dtype.kind not in "biu":
        x[rng.random(x.shape) < 0.1] = NAN
    want = np.sort(x.astype(np.float32) if dtype == "bfloat16" else x, axis)
    runs = (fg.jit,) if dtype == "bfloat16" else (lambda f: f, fg.jit)  # NumPy's own order of bfloat16 has NaN anywhere
    for kth in (0, 57, -1, [150, 3], np.array([], int)):
        for run in runs:
            values = run(lambda x, kth=kth: np.partition(x, kth, axis))(x)
            places = run(lambda x, kth=kth: np.argpartition(x, kth, axis))(x)
            assert (values.dtype, places.dtype) == (x.dtype, np.int64)
            for found in (values, np.take_along_axis(x, places, axis)):
                found, last = np.asarray(found, want.dtype), 0
                for k in [*sorted(int(k) % x.shape[axis] for k in np.atleast_1d(kth)), x.shape[axis]]:
                    if k < x.shape[axis]:
                        np.testing.assert_array_equal(np.take(found, k, axis), np.take(want, k, axis))
                    between = np.sort(np.take(found, range(last, k), axis), axis)
                    np.testing.assert_array_equal(between, np.take(want, range(last, k), axis))
                    last = k
    batched = fg.jit(fg.vmap(lambda line: np.partition(line, 7), in_axes=1 - axis))(x).astype(want.dtype)
    np.testing.assert_array_equal(batched[:, 7], np.take(want, 7, axis))


def test_the_derivative_of_a_selection_follows_each_element() -> None:
    rng = np.random.default_rng(2)
    x, w, t = rng.normal(size=(3, 400)), rng.normal(size=(3, 400)), rng.normal(size=(3, 400))
    for run in (lambda f: f, fg.jit):
        out, gradient = run(fg.value_and_grad(lambda x: np.sum(w * np.partition(x, 100))))(x)
        values, tangents = run(lambda x: fg.jvp(lambda x: np.partition(x, 100), (x,), (t,)))(x)
        np.testing.assert_array_equal(values, np.partition(x, 100))
        assert out == pytest.approx(np.sum(w * values))
        before, after = np.argsort(x), np.argsort(values)
        for of_x, of_values in ((gradient, w), (t, tangents)):
            np.testing.assert_array_equal(
                np.take_along_axis(of_x, before, 1), np.take_along_axis(np.asarray(of_values), after, 1)
            )


@pytest.mark.parametrize("function", [np.partition, np.argpartition])
def test_partitions_that_do_not_fit(function: Any) -> None:
    for kth, kind, error in (
        (1.5, "introselect", TypeError),
        ([[1]], "introselect", ValueError),
        (-7, "introselect", ValueError),
        (1, "quick", ValueError),
    ):
        for run in (lambda f: f, fg.jit):
            with pytest.raises(error):
                run(lambda x, kth=kth, kind=kind: function(x, kth, kind=kind))(NUMBERS)


@pytest.mark.parametrize("shape", [(0, 4), (2, 0, 4)])
def test_quantiles_of_no_lines(shape: tuple[int, ...]) -> None:
    for function in (
        lambda x: np.nanmedian(x, -1),
        lambda x: np.median(x, -1),
        lambda x: np.quantile(x, 0.3, -1),
        lambda x: np.nanquantile(x, 0.3, -1),
        lambda x: np.quantile(x, np.array([0.3, 0.5]), -1),
    ):
        alike(fg.jit(function)(np.zeros(shape)), np.asarray(function(np.zeros(shape))))


BFLOAT16 = np.array([[3.0, 1.0, 4.0], [1.0, 5.0, 9.0]], ml_dtypes.bfloat16)


@pytest.mark.parametrize(
    "function",
    [
        np.nanvar,
        np.nanstd,
        lambda x: np.quantile(x, 0.3),
        lambda x: np.percentile(x, 30, 1),
        lambda x: np.clip(x, 2, 4),
    ],
)
def test_bfloat16_gives_the_dtypes_of_numpy(function: Any) -> None:
    got, want = fg.jit(function)(BFLOAT16), np.asarray(function(BFLOAT16))
    assert got.dtype == want.dtype
    np.testing.assert_allclose(np.asarray(got, np.float32), np.asarray(want, np.float32), rtol=1e-2)


def test_take_counts_a_number_as_an_array_of_one() -> None:
    x = np.array(2.5)
    for axis in (0, -1, None):
        alike(fg.jit(lambda x, axis=axis: np.take(x, [0, -1], axis=axis))(x), np.take(x, [0, -1], axis=axis))


def test_descending_order_is_stable_and_has_nan_first() -> None:
    x = np.array([1.0, NAN, 2.0, 1.0, NAN, 2.0])
    for run in (lambda f: f, fg.jit):
        np.testing.assert_array_equal(run(lambda x: fnp.sort(x, descending=True))(x), [NAN, NAN, 2, 2, 1, 1])
        assert run(lambda x: fnp.argsort(x, descending=True))(x).tolist() == [1, 4, 2, 5, 0, 3]


def test_methods() -> None:
    assert fg.jit(lambda x: x.argsort())(TIED).tolist() == [1, 3, 2, 0, 4, 5]
    alike(fg.jit(lambda x: x.cumsum(axis=0))(NUMBERS), NUMBERS.cumsum(axis=0))
    alike(fg.jit(lambda x: x.cumprod())(NUMBERS), NUMBERS.cumprod())
    assert fg.jit(lambda x: np.sort(x).searchsorted(np.array([2, 9])))(TIED).tolist() == [2, 6]
    with pytest.raises(TypeError, match=r"np\.sort\(x\)"):
        fg.jit(lambda x: x.sort())(TIED)


def test_bins_that_are_traced() -> None:
    x = np.array([0.5, 1.5, 9.0, -1.0])
    for bins in (np.array([0.0, 1.0, 2.0]), np.array([2.0, 1.0, 0.0]), np.array([1.0])):
        for right in (False, True):
            got = fg.jit(lambda x, bins, right=right: np.digitize(x, bins, right))(x, bins)
            alike(got, np.digitize(x, bins, right))
    with pytest.raises(ValueError, match="monotonically"):
        fg.jit(lambda x: np.digitize(x, np.array([1, 3, 2])))(x)


# Sets -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [2, 3, 5])
@pytest.mark.parametrize("traced", [False, True])
def test_unique_with_everything(size: int, traced: bool) -> None:
    def function(x: Any) -> Any:
        return fnp.unique(x, return_index=True, return_inverse=True, return_counts=True, size=size, fill_value=9)

    values, index, inverse, counts = (fg.jit(function) if traced else function)(TIED.reshape(2, 3))
    n = min(size, 3)
    assert values.tolist() == [1, 2, 3, 9, 9][:size]
    assert index[:n].tolist() == [1, 2, 0][:n]
    assert inverse.tolist() == [[2, 0, 1], [0, 2, 2]]
    assert counts.tolist() == ([2, 1, 3] if size != 2 else [2, 4][:1] + [counts[1]]) + [0] * (size - 3)


def test_unique_of_known_values_needs_no_size() -> None:
    x = np.array([2.0, 1.0, 2.0, 5.0])
    gradient = fg.grad(lambda x: np.sum(np.unique(x) * np.array([1.0, 10.0, 100.0])))(x)
    assert gradient.tolist() == [10, 1, 0, 100]
    alike(fg.vjp(lambda x: np.unique(x, return_counts=True)[0], x)[0], np.unique(x))


@pytest.mark.parametrize("axis", [0, 1])
def test_unique_rows(axis: int) -> None:
    x = np.array([[1, 2, 1], [1, 1, 1], [1, 2, 1]])
    want = np.unique(x, axis=axis, return_inverse=True, return_counts=True)
    alike(fg.jit(lambda x: fnp.unique(x, False, True, True, axis=axis, size=2))(x), want)


def test_unique_results_have_names() -> None:
    x = np.array([2.0, NAN, 2.0, NAN])
    found = fg.jit(lambda x: fnp.unique_all(x, size=3))(x)
    alike(found.values, np.unique_all(x).values)
    alike(found.inverse_indices, np.unique_all(x).inverse_indices)
    alike(found.indices, np.unique_all(x).indices)
    alike(fg.jit(lambda x: fnp.unique_counts(x, size=3).counts)(x), np.unique_counts(x).counts)
    alike(fg.jit(lambda x: fnp.unique_inverse(x, size=3).inverse_indices)(x), np.unique_inverse(x).inverse_indices)
    alike(fg.jit(lambda x: fnp.unique_values(x, size=3))(TIED), np.array([1, 2, 3]))


OTHER = np.array([3, 7, 9])
FILLED: list[tuple[Callable[[], Any], Any]] = [  # as JAX 0.10.2 gives them
    (lambda: fnp.unique(TIED, size=5), [1, 2, 3, 1, 1]),
    (lambda: fnp.union1d(TIED, OTHER, size=7), [1, 2, 3, 7, 9, 1, 1]),
    (lambda: fnp.intersect1d(TIED, OTHER, size=4), [3, 3, 3, 3]),
    (lambda: fnp.setdiff1d(TIED, OTHER, size=4), [1, 2, 0, 0]),
    (lambda: fnp.setxor1d(TIED, OTHER, size=6), [1, 2, 7, 9, 1, 1]),
    (lambda: fnp.nonzero(TIED > 1, size=6)[0], [0, 2, 4, 5, 0, 0]),
    (lambda: fnp.flatnonzero(TIED > 1, size=5, fill_value=-1), [0, 2, 4, 5, -1]),
    (lambda: fnp.argwhere(TIED.reshape(2, 3) > 1, size=5), [[0, 0], [0, 2], [1, 1], [1, 2], [0, 0]]),
    (lambda: fnp.bincount(TIED, length=3), [0, 2, 1]),
]


@pytest.mark.parametrize(("call", "want"), FILLED)
def test_fills_are_those_of_jax(call: Callable[[], Any], want: Any) -> None:
    assert call().tolist() == want


def test_indices_of_what_is_common() -> None:
    x, y = np.array([4, 1, 7, 4, 3]), np.array([3, 9, 4, 4])
    want = np.intersect1d(x, y, return_indices=True)
    alike(fg.jit(lambda x, y: fnp.intersect1d(x, y, return_indices=True, size=2))(x, y), want)


@pytest.mark.parametrize(
    "function",
    [
        np.unique,
        np.nonzero,
        np.flatnonzero,
        np.argwhere,
        np.bincount,
        lambda x: np.union1d(x, x),
        lambda x: np.setdiff1d(x, x),
    ],
)
def test_sizes_that_are_unknown(function: Any) -> None:
    with pytest.raises(ConcretizationTypeError, match=r"(size|length)=n(.|\n)*at .*test_sorting\.py"):
        fg.jit(function)(TIED)


def test_vmap_of_sets() -> None:
    x = RNG.integers(0, 4, (3, 5))
    got = fg.vmap(lambda x: fnp.unique(x, size=5, fill_value=-1))(x)
    want = np.stack([np.pad(u, (0, 5 - len(u)), constant_values=-1) for u in map(np.unique, x)])
    alike(got, want)


# Counting -------------------------------------------------------------------------------------------------------------


def test_negative_numbers_cannot_be_counted() -> None:
    with pytest.raises(IndexError, match="out of bounds"):
        fg.jit(lambda x: fnp.bincount(x, length=4))(np.array([1, -1]))
    with pytest.raises(ValueError, match="negative"):
        fg.vjp(lambda w: np.bincount(np.array([1, -1]), w), np.ones(2))


def test_the_derivative_of_weighted_counts() -> None:
    weights = np.array([1.0, 2.0, 3.0])
    gradient = fg.grad(lambda w: np.sum(np.bincount(np.array([2, 0, 2]), w) ** 2))(weights)
    assert gradient.tolist() == [8, 4, 8]
    edges = np.array([0.0, 1.0, 2.0])
    gradient = fg.jit(fg.grad(lambda w: np.histogram(np.array([0.5, 1.5, 9]), edges, weights=w)[0][1]))(weights)
    assert gradient.tolist() == [0, 1, 0]


@pytest.mark.parametrize("density", [False, True])
@pytest.mark.parametrize("bins", [3, (2, 4), (np.array([-2.0, 0, 3]), 5)])
def test_histograms_of_several_dimensions(bins: Any, density: bool) -> None:
    points = RNG.normal(size=(40, 2))
    got = fg.jit(lambda p: np.histogramdd(p, bins, density=density))(points)
    alike(got, np.histogramdd(points, bins, density=density))
    alike(fnp.histogramdd(points, bins), np.histogramdd(points, bins))


def test_numbers_of_bins_that_depend_on_values() -> None:
    with pytest.raises(ConcretizationTypeError, match="bins='auto'"):
        fg.jit(lambda x: np.histogram(x, "auto"))(NUMBERS)
    alike(fg.vjp(lambda x: np.histogram_bin_edges(x, "auto"), NUMBERS)[0], np.histogram_bin_edges(NUMBERS, "auto"))


# Derivatives ----------------------------------------------------------------------------------------------------------

X = np.linspace(-3, 3, 7)
SMOOTH: dict[str, Callable[[Any], Any]] = {
    "sort": lambda x: np.sort(x, 0),
    "partition": lambda x: np.partition(x, 2, 1),
    "median": lambda x: np.median(x, 1),
    "quantile": lambda x: np.quantile(x, np.array([0.1, 0.62]), 0),
    "quantile weibull": lambda x: np.quantile(x, 0.37, method="weibull"),
    "percentile by fractions": lambda x: np.percentile(NUMBERS, 50 + 5 * x[0, :2]),
    "nanmedian": lambda x: np.nanmedian(np.where(x > 1.5, np.nan, x), 1),
    "nanquantile": lambda x: np.nanquantile(np.where(x > 1.5, np.nan, x), 0.3, 1),
    "nanmean": lambda x: np.nanmean(np.where(x > 1.5, np.nan, x), 0),
    "nanstd": lambda x: np.nanstd(np.where(x > 1.5, np.nan, x), 1),
    "nansum": lambda x: np.nansum(np.where(x > 1.5, np.nan, x * x), 1),
    "nanprod": lambda x: np.nanprod(np.where(x > 1.5, np.nan, x), 1),
    "nanmax": lambda x: np.nanmax(np.where(x > 1.5, np.nan, x), 1),
    "cumprod": lambda x: np.cumprod(x, 1),
    "nancumsum": lambda x: np.nancumsum(np.where(x > 1.5, np.nan, x * x), 1),
    "diff": lambda x: np.diff(x * x, 2, 1),
    "gradient": lambda x: np.gradient(x * x, X[:6] ** 3, axis=1, edge_order=2),
    "trapezoid": lambda x: np.trapezoid(x, np.cumsum(x * x, 1), axis=1),
    "interp": lambda x: np.interp(x, X + 0.05, X**2),
    "interp by values": lambda x: np.interp(np.array([0.1, 0.5]), np.arange(6.0), x[1]),
    "interp by places": lambda x: np.interp(0.3, np.cumsum(x[1] ** 2), X[:6]),
    "cov": lambda x: np.cov(x, aweights=np.arange(1.0, 7)),
    "corrcoef": lambda x: np.corrcoef(x[:2]),
}


@pytest.mark.parametrize("name", SMOOTH)
def test_derivatives(name: str) -> None:
    function = SMOOTH[name]
    out = np.asarray(function(NUMBERS))
    weights = RNG.normal(size=out.shape)
    direction = RNG.normal(size=NUMBERS.shape)

    def combination(x: Any) -> Any:
        return np.sum(function(x) * weights)

    want = richardson(combination, [NUMBERS], [direction], 1e-3)
    for gradient in (fg.grad(combination)(NUMBERS), fg.jit(fg.grad(combination))(NUMBERS)):
        assert np.sum(gradient * direction) == pytest.approx(float(want), rel=1e-7, abs=1e-7)


def test_nothing_but_nan() -> None:
    x = np.array([[NAN, NAN], [1.0, NAN]])
    for run in (fg.jit, lambda f: lambda x: fg.vjp(f, x)[0]):
        np.testing.assert_array_equal(run(lambda x: np.nanmax(x, 1))(x), [NAN, 1])
        np.testing.assert_array_equal(run(lambda x: np.nanmean(x, 1))(x), [NAN, 1])
        np.testing.assert_array_equal(run(lambda x: np.nanmedian(x, 1))(x), [NAN, 1])
        np.testing.assert_array_equal(run(lambda x: np.nanquantile(x, 0.5, 1))(x), [NAN, 1])
        np.testing.assert_array_equal(run(lambda x: np.nansum(x, 1))(x), [0, 1])
        np.testing.assert_array_equal(run(lambda x: np.median(x, 1))(x), [NAN, NAN])
    assert fg.jit(lambda x: np.nanargmax(x, 1))(x).tolist() == [-1, 0]


def test_interpolation_takes_no_complex_places() -> None:
    places, values = np.array([0.0, 1.0]), np.array([1.0, 3.0])
    for arguments in ((places * 1j, places, values), (places, places * 1j, values)):
        for run in (lambda f: f, fg.jit):
            with pytest.raises(TypeError):
                run(np.interp)(*arguments)
