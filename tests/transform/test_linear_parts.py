"""Does `linearize` leave loops and branches behind, and is what waits for tangents right under every transformation?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import funcgrad as fg
from tests.ops.numerics import assert_near

X, T = np.linspace(0.3, 1.2, 4), np.arange(1.0, 5.0)


def rounds(x: Any) -> Any:
    return fg.lax.fori_loop(0, 5, lambda i, c: np.sin(c) * x + 0.1 * c, x)


def stacked(x: Any) -> Any:
    carry, ys = fg.lax.scan(lambda c, v: (np.sin(c) * v, (np.cos(c) + v, 1)), x[0], x * x, reverse=True)
    return carry + np.sum(ys[0])


def choice(x: Any) -> Any:
    return fg.lax.cond(x[0] > 0.2, lambda x: np.sin(x) * x, lambda x: x, x)


def nested(x: Any) -> Any:
    return fg.lax.scan(lambda c, v: (rounds(c * v), np.sum(c)), x, x)[0]


def unknown(x: Any) -> Any:
    return fg.lax.while_loop(lambda c: np.sum(c) < 20, lambda c: c * 1.5 + np.sin(c), x)


FUNCTIONS: dict[str, Callable[[Any], Any]] = {f.__name__: f for f in (rounds, stacked, choice, nested, unknown)}


def pushed(f: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda x: fg.linearize(f, x)[1](T)


@pytest.mark.parametrize("jitted", [False, True], ids=["", "jit"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_linearize_is_jvp(name: str, jitted: bool) -> None:
    f = FUNCTIONS[name]
    linearized = pushed(fg.jit(f) if jitted else f)

    def want(x: Any) -> Any:
        return fg.jvp(f, (x,), (T,))[1]

    batch = np.stack([X, 1.1 * X])
    assert_near(linearized(X), want(X), 1e-12)
    assert_near(fg.jit(linearized)(X), want(X), 1e-12)
    assert_near(fg.vmap(linearized)(batch), np.stack([want(x) for x in batch]), 1e-12)
    assert_near(fg.jvp(linearized, (X,), (T,))[1], fg.jvp(want, (X,), (T,))[1], 1e-11)
    assert_near(fg.grad(lambda x: np.sum(linearized(x)))(X), fg.grad(lambda x: np.sum(want(x)))(X), 1e-11)


@pytest.mark.parametrize("jitted", [False, True], ids=["", "jit"])
@pytest.mark.parametrize("name", ["rounds", "stacked", "choice", "nested"])
def test_what_is_nonlinear_has_been_done(name: str, jitted: bool) -> None:
    f = FUNCTIONS[name]
    _, f_jvp = fg.linearize(fg.jit(f) if jitted else f, X)
    listing = str(fg.make_jaxpr(f_jvp)(T))
    assert "sin" not in listing
    assert "cos" not in listing


def test_the_value_is_computed_once() -> None:
    seen: list[int] = []

    def f(x: Any) -> Any:
        def step(i: Any, c: Any) -> Any:
            fg.debug.callback(lambda i: seen.append(int(i)), i)
            return np.sin(c)

        return fg.lax.fori_loop(0, 3, step, x)

    _, f_jvp = fg.linearize(f, X)
    for _ in range(2):
        f_jvp(T)
    assert seen == [0, 1, 2]


def test_a_loop_of_unknown_length_is_run_once() -> None:
    seen: list[float] = []

    def f(x: Any) -> Any:
        def step(c: Any) -> Any:
            fg.debug.callback(lambda c: seen.append(float(c[0])), c)
            return c * 1.5 + np.sin(c)

        return fg.lax.while_loop(lambda c: np.sum(c) < 20, step, x)

    y, f_jvp = fg.linearize(f, X)
    assert_near(y, f(X), 1e-14)
    half = len(seen) // 2
    assert half > 1
    assert seen[:half] == seen[half:]
    listing = str(fg.make_jaxpr(f_jvp)(T))
    assert not any(name in listing for name in ("while", "sin", "cos"))
    assert_near(f_jvp(T), fg.jvp(f, (X,), (T,))[1], 1e-12)
    assert_near(fg.linear_transpose(f_jvp, X)(T)[0], fg.vjp(f, X)[1](T)[0], 1e-12)


@pytest.mark.parametrize("end", [0, 3, 80])
@pytest.mark.parametrize("checkpoint", [None, "binomial"])
def test_loops_of_no_iteration_and_of_many(checkpoint: Any, end: int) -> None:
    def f(x: Any) -> Any:
        def step(c: Any) -> Any:
            return c[0] + 1, np.sin(c[1]) * x

        return fg.lax.while_loop(lambda c: c[0] < end, step, (0, x * x), checkpoint=checkpoint)[1]

    want, slope = fg.jvp(f, (X,), (T,))
    got, f_jvp = fg.linearize(f, X)
    assert_near(got, want, 1e-14)
    assert_near(f_jvp(T), slope, 1e-12)
    assert_near(fg.jacfwd(f)(X), np.diag(slope / T), 1e-12)
    assert_near(fg.hessian(lambda x: np.sum(f(x)))(X), fg.jacrev(lambda x: fg.vjp(f, x)[1](np.ones(4))[0])(X), 1e-9)


def test_the_transpose_of_a_transpose() -> None:
    matrix = np.arange(12.0).reshape(3, 4)

    def f(x: Any) -> Any:
        return matrix @ fg.lax.scan(lambda c, v: (c + v, None), np.zeros(4), np.stack([x, 2 * x]))[0]

    once = fg.linear_transpose(f, X)
    twice = fg.linear_transpose(lambda ct: once(ct)[0], np.zeros(3))
    assert_near(twice(X)[0], f(X), 1e-13)
    assert_near(once(np.ones(3))[0], 3 * matrix.sum(0), 1e-13)
