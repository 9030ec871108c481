"""Are roots and solutions of linear systems differentiated by the theorem, not through the solver?"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import funcgrad as fg
from tests.ops.numerics import assert_near

RNG = np.random.default_rng(0)
A = RNG.normal(size=(4, 4)) + 4 * np.eye(4)
B = RNG.normal(size=4)


def jacobi(matvec: Any, b: Any) -> Any:
    """A solver that nobody should differentiate."""
    diagonal = np.diagonal(A)
    return fg.lax.fori_loop(0, 60, lambda i, x: x + fg.stop_gradient(b - matvec(x)) / diagonal, b * 0)


def solve(a: Any, b: Any, **options: Any) -> Any:
    return fg.lax.custom_linear_solve(lambda x: a @ x, b, jacobi, jacobi, **options)


@pytest.mark.parametrize("compiled", [False, True])
def test_linear_solve(compiled: bool) -> None:
    def mine(a: Any, b: Any) -> Any:
        return np.sum(np.sin(solve(a, b)))

    def direct(a: Any, b: Any) -> Any:
        return np.sum(np.sin(np.linalg.solve(a, b)))

    wrap = fg.jit if compiled else (lambda f: f)
    assert_near(wrap(solve)(A, B), np.linalg.solve(A, B), 1e-12)
    for argnums in (0, 1):
        want = fg.grad(direct, argnums)(A, B)
        assert_near(wrap(fg.grad(mine, argnums))(A, B), want, 1e-11)
        x = (A, B)[argnums]
        of_one = (lambda a: mine(a, B), lambda b: mine(A, b))[argnums]
        assert_near(wrap(lambda t, f=of_one: fg.jvp(f, (t,), (t,))[1])(x), np.sum(want * x), 1e-11)
    assert_near(wrap(fg.hessian(mine, 1))(A, B), fg.hessian(direct, 1)(A, B), 1e-10)
    assert_near(
        wrap(fg.vmap(fg.grad(mine, 1), in_axes=(None, 0)))(A, np.stack([B, 2 * B]))[1],
        fg.grad(direct, 1)(A, 2 * B),
        1e-11,
    )
    assert_near(
        wrap(fg.vmap(fg.grad(mine)))(np.stack([A, A]), np.stack([B, 2 * B]))[1], fg.grad(direct)(A, 2 * B), 1e-11
    )


def test_trees_aux_and_symmetry() -> None:
    scale = np.array([2.0, 4.0])

    def f(s: Any) -> Any:
        x, aux = fg.lax.custom_linear_solve(
            lambda x: {"u": s * x["u"], "v": 3.0 * x["v"]},
            {"u": np.ones(2), "v": 6.0},
            lambda matvec, b: ({"u": b["u"] / s, "v": b["v"] / 3.0}, {"n": 5}),
            symmetric=True,
            has_aux=True,
        )
        return np.sum(x["u"]) + x["v"], aux

    slope, aux = fg.grad(f, has_aux=True)(scale)
    assert_near(slope, -1 / scale**2, 1e-15)
    assert aux["n"] == 5


def newton(f: Any, x: Any) -> Any:
    return fg.lax.fori_loop(0, 30, lambda i, x: x - f(x) / fg.jvp(f, (x,), (np.ones_like(x),))[1], x)


def root(a: Any) -> Any:
    """The cube root, elementwise."""
    return fg.lax.custom_root(lambda x: x**3 - a, a, newton, lambda g, y: y / g(np.ones_like(y)))


@pytest.mark.parametrize("compiled", [False, True])
def test_root(compiled: bool) -> None:
    wrap = fg.jit if compiled else (lambda f: f)
    a = np.array([2.0, 8.0, 5.0])
    want = np.cbrt(a)
    assert_near(wrap(root)(a), want, 1e-14)
    assert_near(wrap(fg.grad(lambda a: np.sum(root(a))))(a), 1 / (3 * want**2), 1e-14)
    assert_near(wrap(lambda a: fg.jvp(root, (a,), (a,))[1])(a), want / 3, 1e-14)
    assert_near(wrap(fg.vmap(fg.grad(root)))(a), 1 / (3 * want**2), 1e-14)
    assert_near(wrap(fg.grad(fg.grad(root)))(8.0), -2 / 9 / 32, 1e-14)


def test_the_solver_of_tangents_may_close_over_what_is_differentiated_by() -> None:
    def root(a: Any) -> Any:  # of (sum of a) x³ = a: not its own transpose
        def tangent_solve(g: Any, y: Any) -> Any:
            return y * np.sum(a) / np.sum(a) / g(np.ones_like(y))

        return fg.lax.custom_root(lambda x: np.sum(a) * x**3 - a, a, newton, tangent_solve)

    a = np.array([2.0, 8.0, 5.0])
    want = fg.jacrev(lambda a: np.cbrt(a / np.sum(a)))(a)
    assert_near(fg.jacrev(root)(a), want, 1e-13)
    assert_near(fg.jit(fg.jacfwd(root))(a), want, 1e-13)
    assert_near(fg.jacrev(fg.jit(root))(a), want, 1e-13)
    twice = fg.hessian(lambda a: np.sum(root(a) ** 2))(a)
    assert_near(twice, fg.hessian(lambda a: np.sum(np.cbrt(a / np.sum(a)) ** 2))(a), 1e-12)


def test_roots_of_trees_with_aux() -> None:
    def solution(p: Any) -> Any:
        def f(x: Any) -> Any:
            return {"a": x["a"] ** 2 - p, "b": x["b"] - 3 * x["a"]}

        def search(f: Any, guess: Any) -> Any:
            a = fg.lax.fori_loop(0, 40, lambda i, x: 0.5 * (x + p / x), guess["a"])
            return {"a": a, "b": 3 * a}, 40

        def tangent_solve(g: Any, y: Any) -> Any:
            flat, unravel = fg.flatten_util.ravel_pytree(y)
            matrix = fg.jacfwd(lambda v: fg.flatten_util.ravel_pytree(g(unravel(v)))[0])(flat)
            return unravel(np.linalg.solve(matrix, flat))

        x, aux = fg.lax.custom_root(f, {"a": 1.0, "b": 0.0}, search, tangent_solve, has_aux=True)
        return x["b"], aux

    value, aux = solution(4.0)
    assert (value, aux) == (6, 40)
    slope, _ = fg.grad(solution, has_aux=True)(4.0)
    assert_near(slope, 0.75, 1e-13)
    assert_near(fg.jvp(lambda p: solution(p)[0], (4.0,), (1.0,))[1], 0.75, 1e-13)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: fg.lax.custom_linear_solve(lambda x: x[:2], B, jacobi), "matvec returned a value of type f64.2."),
        (lambda: fg.lax.custom_linear_solve(lambda x: (x,), B, jacobi), "matvec returned the structure"),
        (lambda: fg.lax.custom_linear_solve(lambda x: x, B, lambda f, b: b[0]), "solve returned a value of type"),
        (lambda: fg.lax.custom_linear_solve(lambda x: x, np.arange(3), jacobi), "dtype int64"),
        (lambda: fg.lax.custom_linear_solve(lambda x: x, B, lambda f, b: b, has_aux=True), "must return a pair"),
        (
            lambda: fg.grad(lambda b: np.sum(fg.lax.custom_linear_solve(lambda x: 2 * x, b, lambda f, b: b / 2)))(B),
            "transpose_solve required",
        ),
        (lambda: fg.lax.custom_root(lambda x: (x, x), 1.0, newton, jacobi), "f returned the structure"),
        (lambda: fg.lax.custom_root(lambda x: x, 1.0, lambda f, x: np.ones(3), jacobi), "solve returned a value"),
    ],
)
def test_mistakes(call: Any, says: str) -> None:
    with pytest.raises(TypeError, match=says) as caught:
        call()
    assert "test_solves.py" in str(caught.value)
