"""Are cotangents of parts put side by side where they lie apart, and added up where they do not?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import funcgrad as fg
import funcgrad.numpy as fnp
from funcgrad.ir.interpret import interpret
from funcgrad.simplify import simplify
from tests.effort import drawn

X = np.linspace(0.5, 2.0, 12)
M = X.reshape(3, 4)

CASES: dict[str, tuple[Callable[[Any], Any], np.ndarray, dict[str, int]]] = {
    "elements": (lambda x: x[0] * x[1] * fnp.sin(x[2]), X[:3], {"concatenate": 1}),
    "halves": (lambda x: fnp.sum(x[:6] * x[6:] ** 2), X, {"concatenate": 1}),
    "with gaps": (lambda x: fnp.sum(x[1:3]) * x[7] ** 2, X, {"concatenate": 1}),
    "one part twice": (lambda x: fnp.sin(x[3]) * fnp.cos(x[3]), X, {"pad": 1}),
    "parts and everything": (lambda x: fnp.sum(x**2) * x[0] * x[5], X, {"concatenate": 1}),
    "parts of parts": (lambda x: x[:4][0] * x[:4][2] * fnp.sum(x[4:]) * x[:4][1] * x[:4][3], X, {"concatenate": 1}),
    "overlapping": (lambda x: fnp.sum((x[1:] - x[:-1]) ** 2), X, {"pad": 2, "add": 1}),
    "two rows of parts": (
        lambda x: fnp.sum(x[1:] ** 2) * fnp.sum(x[:1] ** 3) + fnp.sum(x[-1:] * x[:1]) * fnp.sum(x[:-1] ** 3),
        X,
        {"concatenate": 2, "add": 1},
    ),
    "columns": (lambda x: fnp.sum(x[:, :2] * x[:, 2:] ** 2), M, {"concatenate": 1}),
    "along two axes": (
        lambda x: fnp.sum(x[0] * x[1]) * fnp.sum(x[:, 0] * x[:, 3]),
        M,
        {"concatenate": 2, "add": 1},
    ),
    "corners": (lambda x: fnp.sum(x[:2, :2] ** 2) * fnp.sum(x[2:, 2:]), M, {"pad": 2, "add": 1}),
    "strides": (lambda x: fnp.sum(x[::2] * x[1::2] ** 2), X, {"pad": 2, "add": 1}),
    "split": (lambda x: fnp.prod(fnp.stack([p.sum() for p in fnp.split(x, 4)])), X, {"concatenate": 1}),
    "complex": (lambda x: fnp.real(x[0] * x[1] * (1 + 2j)), X[:2].astype(complex), {"concatenate": 1}),
}


@pytest.mark.parametrize("name", CASES)
def test_cases(name):
    function, x, expected = CASES[name]
    program = fg.make_jaxpr(fg.grad(function))(x)
    after = simplify(program)
    counts = Counter(equation.primitive.name for equation in after.equations)
    assert "add_any" not in counts
    for primitive in ("concatenate", "pad"):
        assert counts[primitive] >= expected.get(primitive, 0)
        assert primitive in expected or name == "split" or not counts[primitive]
    assert "add" not in expected or counts["add"] >= expected["add"]
    (old,), (new,) = interpret(program, [x]), interpret(after, [x])
    np.testing.assert_allclose(new, old, rtol=1e-14)
    np.testing.assert_allclose(fg.jit(fg.grad(function))(x), old, rtol=1e-13)


def test_under_vmap_nothing_is_padded():
    def f(u):
        return fnp.stack([u[0] * u[1:4].sum(), u[4] * u[2]])

    program = simplify(fg.make_jaxpr(fg.vmap(fg.jacrev(f)))(np.ones((7, 5))))
    names = {equation.primitive.name for equation in program.equations}
    assert "pad" in names  # u[1:4] and u[2] overlap
    program = simplify(fg.make_jaxpr(fg.vmap(fg.jacrev(lambda u: fnp.stack([u[0] * u[1], u[2]]))))(np.ones((7, 3))))
    assert not {"pad", "add_any"} & {equation.primitive.name for equation in program.equations}


@st.composite
def reads(draw):
    """Slices of a vector of 9 elements, some of them of slices."""
    found = []
    for _ in range(draw(st.integers(1, 6))):
        low = draw(st.integers(0, 8))
        high = draw(st.integers(low + 1, 9))
        inner = draw(st.none() | st.integers(0, high - low - 1))
        found.append((low, high, inner))
    return found


@given(reads())
@drawn(6)
def test_any_parts(parts):
    x = np.linspace(-1.0, 1.5, 9)

    def f(x):
        total = 0.0
        for number, (low, high, inner) in enumerate(parts):
            part = x[low:high] if inner is None else x[low:high][inner]
            total = total + fnp.sum(fnp.sin(part * (number + 1)))
        return total

    expected = np.zeros(9)
    for number, (low, high, inner) in enumerate(parts):
        where = slice(low, high) if inner is None else slice(low + inner, low + inner + 1)
        expected[where] += (number + 1) * np.cos(x[where] * (number + 1))
    np.testing.assert_allclose(fg.jit(fg.grad(f))(x), expected, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(fg.jit(fg.hessian(f))(x), fg.hessian(f)(x), rtol=1e-12, atol=1e-13)
