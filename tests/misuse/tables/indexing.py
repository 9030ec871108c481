"""Indices."""
# ruff: noqa: E501 - a row of the table is a line

from __future__ import annotations

import numpy as np

import funcgrad as fg
from funcgrad import errors
from tests.misuse.rows import Row, in_jit

X = np.arange(6.0).reshape(2, 3)
V = np.arange(1.0, 4.0)

ROWS = [
    Row("too many indices", in_jit(lambda x: x[0, 0, 0], X), IndexError, ("3", "2")),
    Row("index", in_jit(lambda x: x[5], X), IndexError, ("5", "size 2")),
    Row("index by a float", in_jit(lambda x: x[1.0], X), IndexError, ("integer", "float64")),
    Row("traced index", in_jit(lambda x, i: x[i], X, 7), IndexError, ("out of bounds", "size 2")),
    Row("traced mask", in_jit(lambda x: x[x > 0], X), errors.NonConcreteBooleanIndexError, ("where",)),
    Row("a list of strings", in_jit(lambda x: x["a"], V), IndexError, ("integers", "'a'")),
    Row("a traced slice", in_jit(lambda x, i: x[i:], V, 1), errors.TracerIntegerConversionError, ("lax.dynamic_slice",)),
    Row("a window between traced places", in_jit(lambda x, i: x[i : i + 2], V, 1), errors.TracerIntegerConversionError, ("lax.dynamic_slice",)),
    Row("a write out of bounds", in_jit(lambda x, i: x.at[i].set(0.0), V, 7), IndexError, ("out of bounds", "size 3")),
    Row("a negative index out of bounds", in_jit(lambda x, i: x[i], V, -4), IndexError, ("out of bounds", "size 3")),
    Row("an index out of bounds under grad", lambda: fg.grad(lambda x: x[5])(V), IndexError, ("5", "size 3")),
    Row("a traced index out of bounds under grad", in_jit(fg.grad(lambda x, i: x[i]), V, 5), IndexError, ("out of bounds", "size 3")),
    Row("take out of bounds", in_jit(lambda x, i: np.take(x, i), V, 5), IndexError, ("out of bounds", "size 3")),
    Row("a mask of another shape", in_jit(lambda x: x[np.array([True, False])], V), IndexError, ("boolean", "3", "2")),
    Row("a mask of traced values under grad in jit", in_jit(fg.grad(lambda x: np.sum(x[x > 0])), V), errors.NonConcreteBooleanIndexError, ("where",)),
    Row("a mask under vmap", lambda: fg.vmap(lambda x: np.sum(x[x > 1]))(X), errors.NonConcreteBooleanIndexError, ("where",)),
    Row("at of an unknown mode", in_jit(lambda x: x.at[0].set(1.0, mode="nearest"), V), ValueError, ("mode", "'nearest'", "clip")),
    Row("at of a value that does not fit", in_jit(lambda x: x.at[:2].set(np.ones(3)), V), ValueError, ("(3,)", "(2,)")),
    Row("at called", in_jit(lambda x: x.at(0).set(1.0), V), TypeError, ("at[",)),
    Row("two ellipses", in_jit(lambda x: x[..., ...], V), IndexError, ("ellips",)),
    Row("index arrays that do not fit", in_jit(lambda x: x[np.array([0, 1]), np.array([0, 1, 2])], X), IndexError, ("(2,)", "(3,)")),
    Row("take_along_axis of another rank", in_jit(lambda x: np.take_along_axis(x, np.zeros(3, int), 1), X), ValueError, ("dimensions",)),
    Row("segment_sum without a number inside jit", in_jit(lambda s: fg.lax.segment_sum(V, s), np.arange(3)), errors.ConcretizationTypeError, ("num_segments",)),
    Row("dynamic_slice that is too long", in_jit(lambda x: fg.lax.dynamic_slice(x, (0,), (5,)), V), TypeError, ("5", "3")),
]  # fmt: skip
