"""Are functions that Numba compiles traced by their Python bodies, and does it say whose body fails?"""

from __future__ import annotations

import numba
import numpy as np
import pytest

import funcgrad as fg
from funcgrad.errors import TracerArrayConversionError, TracerBoolConversionError

X, FIRST = np.arange(1.0, 4.0), np.array([1.0, 0.0, 0.0])


@numba.njit
def energy(x, k=2, scale=1.0):
    return np.sum(np.sin(x)) * k * scale


@numba.njit
def outer(x):
    return energy(x) + energy(x, 3) + energy(x, scale=2.0)


@numba.njit
def odd_squares(x):
    total = 0.0
    for i in numba.prange(len(x)):
        total += x[i] ** 2 if i % 2 else 0.0
    return total


@numba.njit
def product(pair):
    return pair[0] * pair[1]


@numba.njit
def absolute(x):
    return x if x > 0 else -x


@numba.njit
def doubled(x):
    out = np.zeros(len(x))
    for i in range(len(x)):
        out[i] = 2 * x[i]
    return out


@numba.njit("float64(float64)")
def square(x):
    return x * x


@numba.njit
def checked(x):
    if len(x) < 5:
        raise ValueError("too short")
    return x


SLOPES = {
    "grad": (lambda: fg.grad(energy)(X), 2 * np.cos(X)),
    "by keyword": (lambda: fg.grad(energy)(X, scale=3.0), 6 * np.cos(X)),
    "jit": (lambda: fg.jit(energy)(X, 3), 3 * np.sum(np.sin(X))),
    "vmap": (lambda: fg.vmap(energy)(np.stack([X, X * 2])), [2 * np.sum(np.sin(k * X)) for k in (1, 2)]),
    "functions that call functions": (lambda: fg.jit(fg.grad(outer))(X), 9 * np.cos(X)),
    "a loop": (lambda: fg.grad(odd_squares)(X), [0.0, 4.0, 0.0]),
    "a tuple": (lambda: fg.grad(product)((2.0, 3.0)), (3.0, 2.0)),
    "hessian": (lambda: fg.hessian(energy)(X), np.diag(-2 * np.sin(X))),
    "branches on known values": (lambda: fg.grad(absolute)(-2.0), -1.0),
    "in a function": (
        lambda: fg.grad(lambda x: energy(x * 2) + product((x[0], 3.0)))(X),
        4 * np.cos(2 * X) + [3, 0, 0],
    ),
}


@pytest.mark.parametrize("name", SLOPES)
def test_a_body_is_traced(name):
    run, expected = SLOPES[name]
    found = run()
    pairs = zip(found, expected, strict=True) if type(expected) is tuple else [(found, expected)]
    for a, b in pairs:
        np.testing.assert_allclose(a, b, rtol=1e-13)


def test_known_arguments_are_numbas():
    before = len(energy.signatures)
    assert energy(X[:2], 1.0, 1) == np.sum(np.sin(X[:2]))
    assert len(energy.signatures) == before + 1


WHOSE = "body of a function of Numba's, {}: called with traced values .* fg.numba_call"
MISTAKES = {
    "a branch": (lambda: fg.jit(absolute)(1.0), TracerBoolConversionError, WHOSE.format("absolute")),
    "a write": (lambda: fg.jit(doubled)(X), ValueError, WHOSE.format("doubled")),
    "a write of known values": (
        lambda: fg.grad(lambda x: outer(doubled(x)))(X),
        ValueError,
        r"written into a NumPy array.*\n.*\n.*" + WHOSE.format("doubled"),
    ),
    "signatures": (
        lambda: fg.grad(square)(2.0),
        TracerArrayConversionError,
        r"handed to square, which Numba compiled for given signatures.*square.py_func.*\n  at .*test_numba_bodies",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_what_cannot_be_traced_says_whose_body_it_is(name):
    run, kind, message = MISTAKES[name]
    with pytest.raises(kind, match=message) as caught:
        run()
    assert str(caught.value).count("That was in") <= 1


def test_errors_of_the_users_own_are_left_alone():
    with pytest.raises(ValueError, match=r"\Atoo short\Z"):
        fg.jit(checked)(X)
    assert fg.grad(square.py_func)(2.0) == 4
