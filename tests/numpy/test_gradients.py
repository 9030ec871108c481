"""Are NumPy's functions, above all the composed ones, differentiated right?  Held against differences of NumPy's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import funcgrad as fg
from funcgrad.scipy import special
from tests.ops.numerics import assert_near, richardson

RNG = np.random.default_rng(7)
A, B = RNG.uniform(0.4, 1.6, (3, 4)), RNG.uniform(0.4, 1.6, (3, 4))
M = RNG.normal(size=(3, 3))
V = RNG.normal(size=4)
W = np.array([[0, 2, 1], [1, 1, 3]])

FUNCTIONS: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
    "hypot": (lambda x, y: np.hypot(x, y), (A, B)),
    "logaddexp": (lambda x, y: np.logaddexp(x, 3 * y), (A, B)),
    "copysign": (lambda x, y: np.copysign(x, y - 1), (A, B)),
    "heaviside": (lambda x: np.heaviside(x - 1, 0.5) * x, (A,)),
    "sinc": (lambda x: np.sinc(x), (A,)),
    "fmax, fmin": (lambda x, y: np.fmax(x, y) + 2 * np.fmin(x, y), (A, B)),
    "mod": (lambda x, y: np.mod(5 * x, y) + np.mod(-5 * x, y), (A, B)),
    "floor_divide": (lambda x, y: np.floor_divide(9 * x, y) * y, (A, B)),
    "divmod": (lambda x, y: divmod(7 * x, y)[1], (A, B)),
    "power": (lambda x, y: np.power(x, y) + x**2.5 + 2.0**x + np.float_power(x, y), (A, B)),
    "reciprocal": (lambda x: np.reciprocal(x) + np.square(x) + np.cbrt(x), (A,)),
    "deg2rad": (lambda x: np.deg2rad(x) + np.rad2deg(x), (A,)),
    "clip": (lambda x: np.clip(x, 0.7, 1.3), (A,)),
    "nan_to_num": (lambda x: np.nan_to_num(x), (A,)),
    "round": (lambda x: np.round(x, 1) * x, (A + 0.013,)),
    "where": (lambda x, y: np.where(x > y, np.sin(x), y**2), (A, B)),
    "var": (lambda x: np.var(x, axis=1, ddof=1), (A,)),
    "std": (lambda x: np.std(x, axis=0), (A,)),
    "average": (lambda x, w: np.average(x, axis=0, weights=w), (A, B)),
    "ptp": (lambda x: np.ptp(x, axis=0), (A,)),
    "prod": (lambda x: np.prod(x, axis=0) + np.prod(x), (A,)),
    "mean of some": (lambda x: np.sum(x, where=B > 1, initial=2.0, axis=1), (A,)),
    "max of some": (lambda x: np.max(x, where=B > 1, initial=0.1, axis=0), (A,)),
    "matmul": (lambda x, y: x @ y.T @ x, (A, B)),
    "matmul of stacks": (lambda x, y: np.matmul(np.stack([x, 2 * x]), y.T), (A, B)),
    "matmul of vectors": (lambda m, v: (m @ v) @ m, (A, V)),
    "dot": (lambda x, y: np.dot(x, y.T), (A, B)),
    "inner, outer, vdot": (lambda x, y: np.inner(x, y) * np.vdot(x, y) + np.sum(np.outer(x, y)), (A, B)),
    "tensordot": (lambda x, y: np.tensordot(x, y, axes=([0], [0])), (A, B)),
    "einsum": (lambda x, y, m: np.einsum("ij,kj,ik->i", x, y, m), (A, B, M)),
    "einsum of a diagonal": (lambda m: np.einsum("ii->i", m) + np.einsum("ij->", m), (M,)),
    "trace": (lambda m: np.trace(m, offset=1) * np.diagonal(m), (M,)),
    "tril, triu": (lambda m: np.tril(m) @ np.triu(m, 1), (M,)),
    "take": (lambda x: np.take(x, W, axis=1) + np.take(x, [1, 1]).sum(), (A,)),
    "take_along_axis": (lambda x: np.take_along_axis(x, W[:, :1].T.repeat(3, 0), axis=1), (A,)),
    "index": (lambda x: x[1:, ::-1] + x[[0, 0]][:, None, 2].T.sum() + x[-1, 0], (A,)),
    "choices": (
        lambda x, y: np.select([B > 1, B > 0.8], [x, y * x], y) + np.choose((B > 1).astype(int), [x, y]),
        (A, B),
    ),
    "piecewise": (lambda x: np.piecewise(x, [B > 1, B > 1.3], [np.sin, lambda x: x**3, 2.0]), (A,)),
    "diag": (lambda m, v: np.diag(m) @ np.diag(m[0], 1)[:3] + np.diagflat(v[:3], -1)[:, 0], (M, V)),
    "compress, extract": (lambda x: np.compress([1, 0, 1], x, axis=0) * np.extract([1, 0, 1] * 4, x)[:4], (A,)),
    "insert, delete, append": (
        lambda x, y: np.insert(x, [1, 1], y[:, :2], axis=1)[:, :4] + np.delete(y, 1)[:4] + np.append(x, y, axis=0)[2:5],
        (A, B),
    ),
    "flip, roll": (lambda x: np.flip(x, 0) + np.roll(x, 2, axis=1) + np.roll(x, -3), (A,)),
    "pad": (lambda x: np.pad(x, ((1, 0), (2, 1)), constant_values=3), (A,)),
    "tile, repeat": (lambda x: np.tile(x, (2, 1)) * np.repeat(x, 2, axis=0), (A,)),
    "concatenate": (lambda x, y: np.concatenate([x, y, x], axis=1) + 1, (A, B)),
    "stack": (lambda x, y: np.stack([x, y], axis=1) * np.stack([y, x], axis=1), (A, B)),
    "stacks": (lambda x, y: np.vstack([x, y]) @ np.hstack([x.T, y.T]), (A, B)),
    "split": (lambda x: np.split(x, 2, axis=1)[0] * np.array_split(x, [1, 3], axis=1)[1], (A,)),
    "moves": (lambda x: np.moveaxis(x[None], 0, 1) + np.swapaxes(x, 0, 1)[..., :1].T[0], (A,)),
    "reshapes": (lambda x: np.reshape(x, (2, -1), order="F") * np.ravel(x)[:6], (A,)),
    "squeezes": (lambda x: np.squeeze(np.expand_dims(x, (0, 2))) * np.atleast_2d(x[0]), (A,)),
    "broadcasts": (lambda x, v: np.broadcast_to(v, (3, 4)) * x + sum(np.broadcast_arrays(x, v)), (A, V)),
    "linspace": (lambda x, y: np.linspace(x, y, 5, axis=1), (A, B)),
    "full_like": (lambda x: np.full_like(x, x[0, 0]) + np.zeros_like(x) + np.ones_like(x), (A,)),
    "meshgrid": (lambda x, v: np.meshgrid(x[0], v)[0] * np.meshgrid(x[0], v)[1], (A, V)),
    "column_stack": (lambda x: np.column_stack([x[:, 0], x, x[:, 1] ** 2]), (A,)),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_against_differences(name: str) -> None:
    function, operands = FUNCTIONS[name]
    directions = [np.cos(np.arange(x.size) + k).reshape(x.shape) for k, x in enumerate(operands)]
    out, moved = fg.jvp(function, operands, tuple(directions))
    assert_near(out, function(*operands), 1e-14)
    assert_near(moved, richardson(function, list(operands), directions, h=1e-3), 1e-9)
    ct = np.sin(np.arange(out.size) + 1.0).reshape(out.shape)
    for pulled in (fg.vjp(function, *operands)[1](ct), fg.jit(lambda *xs: fg.vjp(function, *xs)[1](ct))(*operands)):
        assert_near(sum(np.sum(p * d) for p, d in zip(pulled, directions, strict=True)), np.sum(ct * moved), 1e-12)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_batches(name: str) -> None:
    function, operands = FUNCTIONS[name]
    batch = [np.stack([x, x[::-1] if x.ndim > 1 and x.shape[0] != 1 else x, 0.9 * x]) for x in operands]
    got = fg.vmap(function)(*batch)
    assert_near(got, np.stack([function(*(b[k] for b in batch)) for k in range(3)]), 1e-13)


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("run", [lambda f: f, fg.jit], ids=["eager", "compiled"])
def test_derivatives_of_logaddexp_where_its_operands_are_equal(which, run):
    """Those of log(1 + e^x) at 0 are 1/2, 1/4, 0, -1/8; in base 2 each order has another factor log 2."""

    def pair(f):
        return (lambda x: f(x, 0.0)) if which else (lambda x: f(0.0, x))

    for f, factor in ((pair(np.logaddexp), 1.0), (pair(np.logaddexp2), np.log(2)), (fg.nn.softplus, 1.0)):
        for order, expected in enumerate((0.5, 0.25, 0.0, -0.125)):
            f = fg.grad(f)
            assert run(f)(0.0) == pytest.approx(expected * factor**order, abs=1e-15)


@pytest.mark.parametrize("v", [[1.0, 1.0], [-2.0, 2.0]])
def test_second_derivatives_of_hypot_where_its_operands_are_equal(v):
    x, y = v
    expected = np.array([[y * y, -x * y], [-x * y, x * x]]) / np.hypot(x, y) ** 3
    np.testing.assert_allclose(fg.hessian(lambda v: np.hypot(v[0], v[1]))(np.array(v)), expected, rtol=1e-14)


INF, NAN = float("inf"), float("nan")
LIMITS: list[tuple[Any, tuple[float, float], tuple[float, float]]] = [  # arguments, and derivatives there
    (np.logaddexp, (-INF, -INF), (0.5, 0.5)),
    (np.logaddexp, (INF, INF), (0.5, 0.5)),
    (np.logaddexp, (-INF, 1.0), (0.0, 1.0)),
    (np.logaddexp, (2.0, 2.0), (0.5, 0.5)),
    (np.logaddexp2, (-INF, -INF), (0.5, 0.5)),
    (np.hypot, (INF, 1.0), (0.0, 0.0)),
    (np.hypot, (INF, NAN), (0.0, 0.0)),
    (np.hypot, (3.0, 4.0), (0.6, 0.8)),
    (np.hypot, (1e300, 1e300), (0.5**0.5, 0.5**0.5)),
]


@pytest.mark.parametrize(("function", "place", "want"), LIMITS)
def test_derivatives_of_pairs_at_infinity(function: Any, place: tuple[float, float], want: tuple[float, float]) -> None:
    """Forward and backward alike, and no NaN from the formula for finite numbers."""
    x, y = map(np.array, place)
    for run in (lambda f: f, fg.jit):
        np.testing.assert_array_equal(run(lambda x, y: function(x, y))(x, y), function(x, y))
        np.testing.assert_allclose(run(fg.grad(function, (0, 1)))(x, y), want, rtol=1e-12)
        slopes = [
            run(lambda t, u: fg.jvp(function, (x, y), (t, u))[1])(np.array(t), np.array(1 - t)) for t in (1.0, 0.0)
        ]
        np.testing.assert_allclose(slopes, want, rtol=1e-12)


def test_scaled_bessel_functions_scaled_back_are_smooth_at_zero() -> None:
    for function, slopes in ((np.i0, (0.0, 0.5)), (special.i0, (0.0, 0.5)), (special.i1, (0.5, 0.0))):
        for run in (lambda f: f, fg.jit):
            assert run(fg.grad(function))(0.0) == slopes[0]
            assert run(fg.grad(fg.grad(function)))(0.0) == slopes[1]


def test_arrays_of_as_many_axes_as_numpy_has() -> None:
    x = np.random.default_rng(0).random((1, 2) * 4 + (1,) * 56)
    weights = np.full_like(x, 2.0)
    weights[0, 1] = 3.0
    got = fg.jit(fg.grad(lambda x: np.sum(np.sin(x.T) * x.T * np.flip(weights).T + np.float64(0.5))))(x)
    assert got.shape == x.shape
    np.testing.assert_allclose(got, (np.cos(x) * x + np.sin(x)) * np.flip(weights), rtol=1e-12)
