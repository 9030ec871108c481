"""Do transformations nest in any order, without taking one perturbation for another?"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import funcgrad as fg
from tests.ops.numerics import assert_near

X = np.linspace(0.3, 1.2, 4)


def test_perturbation_confusion() -> None:
    # Siskind and Pearlmutter 2005: d/dx x (d/dy (x + y)) at 1 is 1, not 2
    assert fg.grad(lambda x: x * fg.grad(lambda y: x + y)(1.0))(1.0) == 1
    assert fg.jvp(lambda x: x * fg.jvp(lambda y: x + y, (1.0,), (1.0,))[1], (1.0,), (1.0,))[1] == 1
    assert fg.grad(lambda x: x * fg.jvp(lambda y: x * y, (1.0,), (1.0,))[1])(3.0) == 6
    assert fg.jvp(lambda x: x * fg.grad(lambda y: x * y)(1.0), (3.0,), (1.0,))[1] == 6
    assert fg.grad(lambda x: fg.grad(lambda y: x * x)(2.0))(3.0) == 0


def test_amazing_bug() -> None:
    # Manzyuk et al. 2019: a derivative that is a function, applied inside itself
    def shift(u: Any) -> Callable[[Any], Callable[[Any], Any]]:
        return lambda f: lambda x: f(x + u)

    def derivative(f: Any, x: Any) -> Callable[[Any], Any]:
        return lambda y: fg.jvp(lambda u: f(u)(y), (x,), (1.0,))[1]

    h = derivative(lambda u: lambda y: np.exp(y + u), 0.0)
    assert h(1.0) == pytest.approx(np.e)
    assert fg.jvp(lambda u: shift(u)(h)(1.0), (0.0,), (1.0,))[1] == pytest.approx(np.e)


def test_derivatives_of_any_order() -> None:
    f: Any = np.exp
    for _ in range(6):
        f = fg.grad(f)
    assert f(0.5) == pytest.approx(np.exp(0.5), rel=1e-14)
    g: Any = lambda x: x**5  # noqa: E731
    for factor in (5, 20, 60, 120, 120, 0):
        g = fg.grad(g)
        assert g(1.0) == factor


def test_closures_over_outer_tracers() -> None:
    def f(x: Any) -> Any:
        inner = fg.jit(lambda y: np.sum(np.sin(y) * x))
        return inner(x) + fg.vmap(lambda y: y * x[0])(x)[1] + fg.grad(lambda y: np.sum(y**2 * x))(x)[2]

    expected = np.sum(np.sin(X) * X) + X[1] * X[0] + 2 * X[2] * X[2]
    for function in (f, fg.jit(f)):
        assert function(X) == pytest.approx(expected, rel=1e-14)
    gradient = np.sin(X) + X * np.cos(X) + np.array([X[1], X[0], 4 * X[2], 0])
    for function in (fg.grad(f), fg.jit(fg.grad(f)), fg.grad(fg.jit(f))):
        assert_near(function(X), gradient, 1e-14)


def network(x: Any) -> Any:
    """A function of a vector that uses products, reductions, choices and indices."""
    w = np.sin(np.arange(16.0)).reshape(4, 4)
    h = np.tanh(w @ x)
    return np.sum(np.where(h > 0, h, 0.1 * h) ** 2) + np.max(x) * x[1] + fg.nn.logsumexp(h)


ORDERS = list(itertools.permutations(["jit", "vmap", "grad"]))


@pytest.mark.parametrize("order", ORDERS, ids="-".join)
def test_orders_of_transformations(order: tuple[str, ...]) -> None:
    batch = np.stack([X, X[::-1], -X])
    expected = np.stack([fg.grad(network)(x) for x in batch])
    f: Any = network
    if order.index("grad") < order.index("vmap"):
        for name in order:
            f = getattr(fg, name)(f)
    else:  # the gradient of a sum over the batch
        for name in order:
            f = fg.grad(lambda xs, f=f: np.sum(f(xs))) if name == "grad" else getattr(fg, name)(f)
    assert_near(f(batch), expected, 1e-13)


@pytest.mark.parametrize("inner", ["jit", "none"])
def test_hessians_four_ways(inner: str) -> None:
    f: Any = fg.jit(network) if inner == "jit" else network
    basis = np.eye(4)
    ways = [
        fg.vmap(lambda v: fg.jvp(fg.grad(f), (X,), (v,))[1])(basis),  # forward over reverse
        fg.vmap(lambda v: fg.grad(lambda x: np.sum(fg.grad(f)(x) * v))(X))(basis),  # reverse over reverse
        fg.vmap(lambda v: fg.grad(lambda x: fg.jvp(f, (x,), (v,))[1])(X))(basis),  # reverse over forward
        fg.vmap(lambda v: fg.vmap(lambda w: fg.jvp(lambda x: fg.jvp(f, (x,), (v,))[1], (X,), (w,))[1])(basis))(
            basis
        ),  # forward twice
    ]
    step = 1e-4
    differences = np.stack(
        [(fg.grad(network)(X + step * v) - fg.grad(network)(X - step * v)) / (2 * step) for v in basis]
    )
    assert_near(ways[0], differences, 1e-6)
    for way in ways[1:]:
        assert_near(way, ways[0], 1e-12)


def test_vmap_of_vmap() -> None:
    x, y = np.arange(6.0).reshape(2, 3), np.arange(12.0).reshape(3, 4)
    outer = fg.vmap(fg.vmap(lambda a, b: a * b, in_axes=(None, 0)), in_axes=(0, None))
    np.testing.assert_array_equal(outer(X, X), np.outer(X, X))
    product = fg.vmap(fg.vmap(np.dot, in_axes=(None, 1)), in_axes=(0, None))
    np.testing.assert_array_equal(product(x, y), x @ y)


def test_vmap_over_indices_and_scatter() -> None:
    table, batch = np.arange(12.0).reshape(4, 3), np.array([[0, 3], [1, 1], [-1, 2]])
    np.testing.assert_array_equal(fg.vmap(lambda i: fg.numpy.take(table, i, axis=0))(batch), table[batch])
    gradient = fg.vmap(lambda i: fg.grad(lambda t: np.sum(t[i] ** 2))(table))(batch)
    for got, i in zip(gradient, batch, strict=True):
        want = np.zeros_like(table)
        np.add.at(want, i, 2 * table[i])
        np.testing.assert_array_equal(got, want)


def test_the_same_variable_twice_and_unused_ones() -> None:
    assert fg.grad(lambda x: x * x * x)(2.0) == 12
    assert fg.grad(lambda x, y: y * y, argnums=(0, 1))(2.0, 3.0) == (0, 6)
    assert fg.grad(lambda x: 3.0)(2.0) == 0
    np.testing.assert_array_equal(fg.vmap(lambda x: 3.0)(X), np.full(4, 3.0))
    assert fg.jvp(lambda x: 3.0, (2.0,), (1.0,)) == (3, 0)


def test_stop_gradient() -> None:
    def f(x: Any) -> Any:
        return x * fg.stop_gradient(x * x)

    assert fg.grad(f)(3.0) == 9
    assert fg.jvp(f, (3.0,), (1.0,))[1] == 9
    assert fg.jit(fg.grad(f))(3.0) == 9
    tree = fg.stop_gradient({"a": X, "b": 2})
    assert tree["b"] == 2
    assert np.array_equal(tree["a"], X)
