"""Random keys."""
# ruff: noqa: E501 - a row of the table is a line

from __future__ import annotations

import numpy as np

import funcgrad as fg
from funcgrad import errors
from tests.misuse.rows import Row, in_jit

X = np.arange(6.0).reshape(2, 3)
V = np.arange(1.0, 4.0)

ROWS = [
    Row("a seed in the place of a key", lambda: fg.random.normal(0), TypeError, ("key", "funcgrad.random.key")),
    Row("an array that is no key", lambda: fg.random.uniform(V), TypeError, ("key", "uint32")),
    Row("several keys in the place of one", lambda: fg.random.normal(fg.random.split(fg.random.key(0))), (TypeError, ValueError), ("key", "vmap")),
    Row("a key that is a generator", lambda: fg.random.normal(np.random.default_rng(0)), TypeError, ("key",)),
    Row("a seed that is a float", lambda: fg.random.key(0.5), TypeError, ("integer", "float64")),
    Row("a shape that is a float", lambda: fg.random.normal(fg.random.key(0), (2.0,)), TypeError, ("shape", "2.0")),
    Row("a traced shape", in_jit(lambda n: fg.random.normal(fg.random.key(0), (n,)), 3), errors.TracerIntegerConversionError, ("static",)),
    Row("a dtype of integers", lambda: fg.random.normal(fg.random.key(0), (3,), int), (TypeError, ValueError), ("float", "int64")),
    Row("choice of nothing", lambda: fg.random.choice(fg.random.key(0), np.ones(0), (3,)), ValueError, ("nothing to draw from",)),
    Row("choice without replacement of too many", lambda: fg.random.choice(fg.random.key(0), 3, (5,), replace=False), ValueError, ("3", "5")),
    Row("fold_in of a float", lambda: fg.random.fold_in(fg.random.key(0), 1.5), TypeError, ("integer", "float")),
    Row("split into a negative number", lambda: fg.random.split(fg.random.key(0), -1), ValueError, ("-1",)),
    Row("permutation of a float", lambda: fg.random.permutation(fg.random.key(0), 1.5), TypeError, ("integer", "float64")),
    Row("an unknown generator", lambda: fg.random.key(0, impl="philox"), (ValueError, TypeError), ("philox", "threefry")),
]  # fmt: skip
