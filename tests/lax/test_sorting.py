"""Do lax's sorts, largest elements and cumulative functions do what JAX's do, with their derivatives at the edges?"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import funcgrad as fg
from funcgrad import lax
from funcgrad.lax import _cumulative, _sorting

NAN = float("nan")
RNG = np.random.default_rng(0)
TIED = RNG.integers(0, 4, (5, 7))
NUMBERS = RNG.normal(size=(5, 7))
CUMULATIVE = [getattr(lax, name) for name in _cumulative.__all__]


@pytest.fixture
def jax() -> Any:
    return pytest.importorskip("jax")


def held_against_jax(jax: Any, ours: Any, theirs: Any, *arguments: Any) -> None:
    """The same values and dtypes, traced and not."""
    with jax.enable_x64(True):
        want = [np.asarray(x) for x in jax.tree.leaves(theirs(*arguments))]
    for function in (ours, fg.jit(ours)):
        got = fg.tree.leaves(function(*arguments))
        assert [x.dtype for x in got] == [x.dtype for x in want]
        for g, w in zip(got, want, strict=True):
            np.testing.assert_allclose(g, w, rtol=1e-12, atol=1e-12)


# Sorting --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("num_keys", [1, 2, 3])
@pytest.mark.parametrize("dimension", [0, 1, -1])
def test_sort_of_several_arrays(jax: Any, num_keys: int, dimension: int) -> None:
    operands = (TIED, TIED[::-1] % 2, NUMBERS)

    def sort(library: Any) -> Any:
        return lambda *xs: library.sort(xs, dimension=dimension, num_keys=num_keys)

    held_against_jax(jax, sort(lax), sort(jax.lax), *operands)


def test_sort_key_val(jax: Any) -> None:
    held_against_jax(jax, lax.sort_key_val, jax.lax.sort_key_val, TIED, NUMBERS)


@pytest.mark.parametrize("dtype", ["f4", "f8", "i4", "u1"])
def test_top_k(jax: Any, dtype: str) -> None:
    x = TIED.astype(dtype)
    held_against_jax(jax, lambda x: lax.top_k(x, 3), lambda x: jax.lax.top_k(x, 3), x)


def test_top_k_counts_nan_as_the_largest() -> None:
    values, indices = lax.top_k(np.array([1.0, NAN, 3.0]), 2)
    np.testing.assert_array_equal(values, [NAN, 3.0])
    assert indices.tolist() == [1, 2]


def test_approximate_extrema_are_exact() -> None:
    values, indices = fg.jit(lambda x: lax.approx_max_k(x, 2, reduction_dimension=0))(NUMBERS)
    np.testing.assert_array_equal(values, np.sort(NUMBERS, 0)[:-3:-1])
    np.testing.assert_array_equal(np.take_along_axis(NUMBERS, indices, 0), values)
    values, _ = lax.approx_min_k(NUMBERS, 2)
    np.testing.assert_array_equal(values, np.sort(NUMBERS, 1)[:, :2])


def test_zeros_are_equal_and_keep_their_order() -> None:
    x = np.array([0.0, -0.0, 0.0, -0.0, -1.0])
    order = fg.jit(lambda x: lax.sort_key_val(x, np.arange(5))[1])(x)
    assert order.tolist() == [4, 0, 1, 2, 3]


def test_the_derivative_of_a_sort_follows_the_order() -> None:
    weights = np.arange(5.0)
    x = np.array([3.0, 1.0, 2.0, 1.0, NAN])

    def f(x: Any) -> Any:
        return np.sum(lax.sort(x) * weights)

    for gradient in (fg.grad(f), fg.jit(fg.grad(f))):
        assert gradient(x).tolist() == [3, 0, 2, 1, 4]  # equal elements in the order they have


def test_derivatives_of_sorts_are_those_of_jax(jax: Any) -> None:
    def value(library: Any) -> Any:
        def f(x: Any, y: Any) -> Any:
            first, second = library.sort((x, y), num_keys=1)
            top, _ = library.top_k(y, 2)
            return (first**2 * second).sum() + (top**3).sum()

        return f

    with jax.enable_x64(True):
        want = jax.grad(value(jax.lax), (0, 1))(NUMBERS, NUMBERS[::-1].copy())
    for got, w in zip(fg.jit(fg.grad(value(lax), (0, 1)))(NUMBERS, NUMBERS[::-1].copy()), want, strict=True):
        np.testing.assert_allclose(got, w, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: lax.sort(np.ones(3), dimension=1), ValueError, r"lax\.sort: axis 1 .*shape \(3,\)"),
        (lambda: lax.sort((np.ones(3), np.ones(4))), TypeError, r"one shape, not \(3,\), \(4,\)"),
        (lambda: lax.sort((np.ones(3),), num_keys=2), ValueError, "num_keys=2 does not fit 1 arrays"),
        (lambda: lax.top_k(np.ones(3), 4), ValueError, r"k=4 .*axis -1 of \(3,\)"),
        (lambda: lax.cumsum(np.ones((2, 3)), axis=2), ValueError, r"lax\.cumsum: axis 2 .*shape \(2, 3\)"),
        (lambda: lax.cumlogsumexp(np.arange(3)), TypeError, "does not accept dtype int64"),
    ],
)
def test_mistakes(call: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        call()


def test_results_are_the_callers_own() -> None:
    x = np.array([1.0, 2.0])
    for function in (lax.sort, lax.cumsum, lambda x: lax.top_k(x, 1)[0]):
        out = function(x)
        assert type(out) is fg.Array
        assert not np.shares_memory(out, x)


def test_everything_is_exported() -> None:
    assert set(_sorting.__all__) | set(_cumulative.__all__) <= set(lax.__all__)


# Cumulative -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("function", CUMULATIVE, ids=lambda f: f.__name__)
@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("reverse", [False, True])
def test_cumulative_functions_and_derivatives(jax: Any, function: Any, axis: int, reverse: bool) -> None:
    theirs = getattr(jax.lax, function.__name__)
    held_against_jax(jax, lambda x: function(x, axis, reverse), lambda x: theirs(x, axis, reverse), NUMBERS)
    if function is lax.cumlogsumexp or not axis or reverse:  # JAX takes seconds to compile these
        return
    weights = RNG.normal(size=NUMBERS.shape)
    held_against_jax(
        jax,
        fg.grad(lambda x: (function(x, axis, reverse) * weights).sum()),
        jax.grad(lambda x: (theirs(x, axis, reverse) * weights).sum()),
        NUMBERS,
    )


def test_the_derivative_of_a_product_with_zeros() -> None:
    x = np.array([2.0, 0.0, 3.0, 0.0, 5.0])
    for jacobian_row in range(5):
        gradient = fg.grad(lambda x, k=jacobian_row: lax.cumprod(x)[k])(x)
        want = [np.prod(np.delete(x[: jacobian_row + 1], k)) if k <= jacobian_row else 0.0 for k in range(5)]
        assert gradient.tolist() == want


def test_equal_largest_elements_share_the_derivative() -> None:
    x = np.array([1.0, 3.0, 3.0, 2.0, 3.0])
    gradient = fg.grad(lambda x: lax.cummax(x)[4])
    assert gradient(x).tolist() == fg.grad(np.max)(x).tolist() == [0, 1 / 3, 1 / 3, 0, 1 / 3]
    assert fg.grad(lambda x: lax.cummax(x)[3])(x).tolist() == [0, 0.5, 0.5, 0, 0]


def test_logsumexp_of_infinities() -> None:
    x = np.array([-np.inf, 0.0, 0.0, -np.inf, 800.0])
    out, gradient = fg.jit(fg.value_and_grad(lambda x: lax.cumlogsumexp(x)[3]))(x)
    assert out == pytest.approx(np.log(2), rel=1e-15)
    np.testing.assert_allclose(gradient, [0, 0.5, 0.5, 0, 0], rtol=1e-15)
    assert fg.jit(lax.cumlogsumexp)(x).tolist() == pytest.approx([-np.inf, 0, np.log(2), np.log(2), 800])


def test_nan_stays() -> None:
    x = np.array([1.0, NAN, 3.0])
    for function in CUMULATIVE:
        for run in (function, fg.jit(function)):
            assert np.isnan(run(x)).tolist() == [False, True, True]
