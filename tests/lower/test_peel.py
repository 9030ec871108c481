"""Are results that an iteration overwrites unread computed once, and right?"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import funcgrad as fg
import funcgrad.numpy as fnp
from funcgrad import lax
from funcgrad.lower.counting import counted
from funcgrad.lower.peel import peeled
from funcgrad.simplify import simplify
from funcgrad.trace.builder import trace
from funcgrad.trace.frame import type_of

N, X = 6, np.linspace(-1, 1, 3000)


def energy(i: Any, state: Any) -> Any:
    """A step, and the energy at its end, which no step reads."""
    x, _, _ = state
    x = x - 0.1 * np.tanh(x) * i
    return x, np.sum(np.log1p(np.exp(x))), x[0]


def plain(x: Any) -> Any:
    return lax.fori_loop(0, N, energy, (x, 0.0, 0.0))


def swapped(x: Any) -> Any:
    """Two parts change places, one is set to a number, one to what is given, and one unread is there twice."""

    def step(_: Any, s: Any) -> Any:
        a, b, c, _, _, _ = s
        e = np.exp(a - b)
        return b * 0.5, a, 3.0 + 0.0 * c, x, e, e

    return lax.fori_loop(0, N, step, (x, x * 2, 1.0, x + 1, x, x))


def nested(x: Any) -> Any:
    """The loop in a loop that reads what it gives."""

    def step(c: Any, u: Any) -> Any:
        y, e, f = lax.fori_loop(0, N, energy, (c * u, 0.0, 0.0))
        return y + 1e-3 * e, f

    return lax.scan(step, x, np.linspace(0.5, 1, 3))


def written_out(function: Any, x: Any) -> Any:
    """The same with Python's loops."""
    fori, scan = lax.fori_loop, lax.scan

    def fori_loop(lower: int, upper: int, body: Any, state: Any) -> Any:
        for i in range(lower, upper):
            state = body(i, state)
        return state

    def scan_(f: Any, c: Any, xs: Any) -> Any:
        ys = []
        for u in xs:
            c, y = f(c, u)
            ys.append(y)
        return c, fnp.stack(ys)

    try:
        lax.fori_loop, lax.scan = fori_loop, scan_
        return function(x)
    finally:
        lax.fori_loop, lax.scan = fori, scan


def total(function: Any) -> Any:
    return lambda x: sum(fnp.sum(leaf * leaf) for leaf in fg.tree.leaves(function(x)))


WAYS = {
    "values": (lambda f: f, X),
    "grad": (lambda f: fg.grad(total(f)), X),
    "vmap": (fg.vmap, np.stack([X, X[::-1]])),
    "vmap of grad": (lambda f: fg.vmap(fg.grad(total(f))), np.stack([X, X[::-1]])),
}


@pytest.mark.parametrize("function", [plain, swapped, nested])
@pytest.mark.parametrize("name", WAYS)
def test_values_and_derivatives(function: Any, name: str) -> None:
    way, x = WAYS[name]
    found = fg.tree.leaves(fg.jit(way(function))(x))
    wanted = fg.tree.leaves(way(lambda x: written_out(function, x))(x))
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)


def lengths(function: Any, x: Any) -> list[int]:
    program = peeled(counted(simplify(trace(lambda *xs: fg.tree.leaves(function(*xs)), [type_of(x)])[0])))
    return [e.params["length"] for e in program.equations if e.primitive.name == "scan"]


def test_which_loops_run_once_less() -> None:
    assert lengths(plain, X) == [N - 1]
    assert lengths(swapped, X) == [N - 1]
    assert lengths(plain, X[:5]) == [N]  # nothing is saved
    assert lengths(lambda x: lax.fori_loop(0, 3, energy, (x, 0.0, 0.0)), X) == [3]  # as much is compiled
    assert lengths(lambda x: lax.fori_loop(0, N, lambda i, s: (np.sin(s[0]) + s[1], s[0]), (x, x)), X) == [N]
    assert lengths(lambda x: lax.fori_loop(0, N, lambda i, s: (s[0] + 1, s[0] * 2), (x, x)), X) == [N]  # cheap


def test_callbacks_are_called_every_time() -> None:
    seen: list[float] = []

    def step(i: Any, s: Any) -> Any:
        fg.debug.callback(lambda e: seen.append(float(e)), np.sum(np.exp(s[0])), ordered=True)
        return s[0] * 0.5, np.exp(s[0])

    last = fg.jit(lambda x: lax.fori_loop(0, N, step, (x, x)))(X)
    np.testing.assert_allclose(seen, [np.exp(X * 0.5**k).sum() for k in range(N)], rtol=1e-12)
    np.testing.assert_allclose(last[1], np.exp(X * 0.5 ** (N - 1)), rtol=1e-12)
