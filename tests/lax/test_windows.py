"""Is `reduce_window` JAX's?  Sums and extrema, any computation, derivatives at ties, mistakes."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest

import funcgrad as fg
from funcgrad import lax

jax = pytest.importorskip("jax")

RNG = np.random.default_rng(5)
X = RNG.standard_normal((2, 7, 6, 3)).astype("f4")
WINDOWS: dict[str, tuple[Any, ...]] = {
    "tiles": ((1, 2, 2, 1), (1, 2, 2, 1), "VALID"),
    "overlapping": ((1, 3, 3, 1), (1, 2, 1, 1), "SAME"),
    "numbers": ((2, 3, 1, 2), (1, 2, 1, 1), [(0, 1), (2, 0), (0, 0), (0, 0)]),
    "dilated": ((1, 2, 3, 1), (1, 1, 2, 1), "VALID", None, (1, 3, 2, 1)),
}
FOLDS: dict[str, tuple[float, Any, Any]] = {
    "sum": (0.0, np.add, jax.lax.add),
    "max": (-np.inf, np.maximum, jax.lax.max),
    "min": (np.inf, np.minimum, jax.lax.min),
}


@pytest.mark.parametrize("fold", FOLDS)
@pytest.mark.parametrize("name", WINDOWS)
def test_values_and_derivatives_are_those_of_jax(name: str, fold: str) -> None:
    window, (init, own, peer) = WINDOWS[name], FOLDS[fold]
    f = lambda x: lax.reduce_window(x, init, own, *window)  # noqa: E731
    want, pull = jax.vjp(lambda x: jax.lax.reduce_window(x, np.float32(init), peer, *window), X)
    np.testing.assert_allclose(f(X), want, rtol=2e-6, atol=1e-6)
    np.testing.assert_allclose(fg.jit(f)(X), want, rtol=2e-6, atol=1e-6)
    ct = RNG.standard_normal(want.shape).astype("f4")
    got = fg.jit(lambda x, ct: fg.vjp(f, x)[1](ct)[0])(X, ct)
    if name == "dilated" and fold != "sum":  # jax has no derivative of dilated extrema: each of its own windows
        want = sum(ct[index] * np.asarray(fg.grad(lambda x, i=index: f(x)[i])(X)) for index in np.ndindex(*want.shape))
        np.testing.assert_allclose(got, want, rtol=2e-6, atol=1e-6)
        return
    np.testing.assert_allclose(got, pull(ct)[0], rtol=2e-6, atol=1e-6)


@pytest.mark.parametrize("strides", [(2,), (1,), (3,)], ids=str)
def test_the_first_of_equals_takes_the_derivative(strides: tuple[int, ...]) -> None:
    x = np.array([1.0, 2.0, 2.0, 2.0, 0.0, 0.0, -1.0])
    for init, own, peer in (FOLDS["max"], FOLDS["min"]):
        f = lambda x, init=init, own=own: lax.reduce_window(x, init, own, (2,), strides, "VALID").sum()  # noqa: E731
        want = jax.grad(
            lambda x, i=init, p=peer: jax.lax.reduce_window(x, np.float32(i), p, (2,), strides, "VALID").sum()
        )(x.astype("f4"))
        np.testing.assert_array_equal(fg.grad(f)(x), want)
        np.testing.assert_array_equal(fg.jit(fg.grad(f))(x), want)


@pytest.mark.parametrize("strides", [(2,), (1,)], ids=str)
def test_nan_is_the_extremum(strides: tuple[int, ...]) -> None:
    x = np.array([1.0, np.nan, np.nan, 5.0])
    f = lambda x: lax.reduce_window(x, -np.inf, np.maximum, (2,), strides, "VALID")  # noqa: E731
    want = np.array([np.nan, np.nan] if strides == (2,) else [np.nan] * 3)
    np.testing.assert_array_equal(f(x), want)
    np.testing.assert_array_equal(fg.jit(f)(x), want)
    gradient = lambda x: fg.grad(lambda x: f(x).sum())(x)  # noqa: E731
    want = [0, 1, 1, 0] if strides == (2,) else [0, 2, 1, 0]
    assert gradient(x).tolist() == want
    assert fg.jit(gradient)(x).tolist() == want


def test_padding_attains_no_extremum() -> None:
    x = np.array([-np.inf, -np.inf])
    f = lambda x: lax.reduce_window(x, -np.inf, np.maximum, (3,), (1,), [(2, 2)]).sum()  # noqa: E731
    assert fg.jit(fg.grad(f))(x).tolist() == fg.grad(f)(x).tolist() == [3, 1]


def test_any_computation() -> None:
    window = WINDOWS["overlapping"]
    for init, own, peer in (
        (1.0, np.multiply, jax.lax.mul),
        (2.0, np.add, jax.lax.add),
        (0.5, np.maximum, jax.lax.max),
        (0.0, lambda a, b: np.hypot(a, b), lambda a, b: jax.numpy.hypot(a, b)),
    ):
        f = lambda x, i=init, o=own: lax.reduce_window(x, i, o, *window)  # noqa: E731
        want = jax.lax.reduce_window(X, np.float32(init), peer, *window)
        np.testing.assert_allclose(fg.jit(f)(X), want, rtol=1e-5)
        np.testing.assert_allclose(f(X), want, rtol=1e-5)


def test_a_product_is_differentiated_past_zeros() -> None:
    x = np.array([2.0, 0.0, 3.0, 0.0])
    f = lambda x: lax.reduce_window(x, 1.0, np.multiply, (2,), (1,), "VALID").sum()  # noqa: E731
    assert fg.jit(fg.grad(f))(x).tolist() == [0, 5, 0, 3]


def test_several_operands() -> None:
    x, where = np.array([3.0, 1.0, 2.0, 5.0, 4.0]), np.arange(5)

    def larger(a: Any, b: Any) -> Any:
        better = b[0] > a[0]
        return np.where(better, b[0], a[0]), np.where(better, b[1], a[1])

    f = lambda x, i: lax.reduce_window((x, i), (-np.inf, -1), larger, (3,), (1,), "VALID")  # noqa: E731
    for got in (f(x, where), fg.jit(f)(x, where)):
        assert [g.tolist() for g in got] == [[3, 5, 5], [0, 3, 3]]


def test_batches() -> None:
    f = lambda x: lax.reduce_window(x, -np.inf, np.maximum, (3, 2, 1), (2, 1, 1), "SAME")  # noqa: E731
    want = np.stack([f(x) for x in X])
    np.testing.assert_array_equal(fg.jit(fg.vmap(f))(X), want)


@pytest.mark.parametrize("dtype", ["b1", "i4", "u1", "f2", "f8"])
def test_dtypes(dtype: str) -> None:
    x = RNG.integers(0, 9, (4, 6)).astype(dtype)
    least = {"b": False, "i": np.iinfo("i4").min, "u": 0}.get(x.dtype.kind, -np.inf)
    f = lambda x: lax.reduce_window(x, x.dtype.type(least), np.maximum, (2, 3), (1, 2), "SAME")  # noqa: E731
    want = jax.lax.reduce_window(x.astype("f4"), -np.inf, jax.lax.max, (2, 3), (1, 2), "SAME")
    got = fg.jit(f)(x)
    assert got.dtype == x.dtype
    np.testing.assert_array_equal(got, np.asarray(want).astype(dtype))


@pytest.mark.parametrize("strides", [2, 1])
def test_bfloat16(strides: int) -> None:
    x = X.astype(ml_dtypes.bfloat16)
    wide = x.astype("f4")
    for init, fold, _ in FOLDS.values():
        f = lambda x, i=init, o=fold: lax.reduce_window(x, i, o, (1, 2, 2, 1), (1, strides, strides, 1), "VALID")  # noqa: E731
        gradient = lambda x, f=f: fg.grad(lambda x: f(x).astype("f4").sum())(x)  # noqa: E731
        for g, want in ((f, f(wide)), (gradient, gradient(wide))):
            for got in (g(x), fg.jit(g)(x)):
                assert got.dtype == x.dtype
                np.testing.assert_array_equal(got.astype("f4"), want.astype(x.dtype).astype("f4"))


def test_shapes() -> None:
    arguments = ((5, 6), (2, 2), (1, 2), [(0, 1), (2, 0)], (2, 1), (1, 3))
    assert lax.reduce_window_shape_tuple(*arguments) == jax.lax.reduce_window_shape_tuple(*arguments)


MISTAKES: dict[str, tuple[tuple[Any, ...], type[Exception], str]] = {
    "length": ((0.0, np.add, (2,), (1, 1), "VALID"), ValueError, "window_dimensions .* length 2"),
    "stride": ((0.0, np.add, (2, 2), (1, 0), "VALID"), ValueError, "window_strides must be positive"),
    "padding": ((0.0, np.add, (2, 2), (1, 1), "FULL"), ValueError, "'FULL'"),
    "init": ((np.ones(2), np.add, (2, 2), (1, 1), "VALID"), TypeError, "init_value"),
    "computation": ((0.0, lambda a, b: a < b, (2, 2), (1, 1), "VALID"), TypeError, "computation gives"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes(name: str) -> None:
    args, kind, message = MISTAKES[name]
    with pytest.raises(kind, match=message):
        lax.reduce_window(np.ones((3, 4)), *args)
