"""Carries, slices and branches of loops."""
# ruff: noqa: E501 - a row of the table is a line

from __future__ import annotations

import numpy as np

import funcgrad as fg
from funcgrad import errors
from tests.misuse.rows import Row, in_jit

X = np.arange(6.0).reshape(2, 3)
V = np.arange(1.0, 4.0)


def escaped() -> object:
    """Collects in a list what the loop should return."""
    seen: list[object] = []
    fg.lax.scan(lambda c, x: (seen.append(x) or c, None), 0.0, V)
    return np.stack(seen)


ROWS = [
    Row("a carry that changes its dtype", lambda: fg.lax.scan(lambda c, x: (c + x, None), np.int64(0), V), TypeError, ("carry", "i64[]", "f64[]")),
    Row("a carry that changes its shape", lambda: fg.lax.scan(lambda c, x: (np.stack([c, c]), None), 0.0, V), TypeError, ("carry", "f64[2]", "f64[]")),
    Row("a carry that changes its structure", lambda: fg.lax.scan(lambda c, x: ((c, c), None), 0.0, V), TypeError, ("carry", "structure")),
    Row("a carry that loses a key", lambda: fg.lax.scan(lambda c, x: ({"a": c["a"]}, None), {"a": 0.0, "b": 1.0}, V), TypeError, ("carry", "['b']", "is gone")),
    Row("a body that returns no pair", lambda: fg.lax.scan(lambda c, x: c + x, 0.0, V), TypeError, ("pair (carry, y)",)),
    Row("a body that returns nothing", lambda: fg.lax.scan(lambda c, x: None, 0.0, V), TypeError, ("pair (carry, y)",)),
    Row("a body of one argument", lambda: fg.lax.scan(lambda c: (c, None), 0.0, V), TypeError, ("argument",), line=False),
    Row("xs of unequal lengths", lambda: fg.lax.scan(lambda c, x: (c, None), 0.0, (V, np.ones(4))), ValueError, ("leading extents", "3, 4")),
    Row("xs that is a scalar", lambda: fg.lax.scan(lambda c, x: (c, None), 0.0, 3.0), ValueError, ("leading axis",)),
    Row("neither xs nor length", lambda: fg.lax.scan(lambda c, x: (c, None), 0.0), ValueError, ("length=",)),
    Row("another length", lambda: fg.lax.scan(lambda c, x: (c, None), 0.0, V, length=5), ValueError, ("length", "3, 5")),
    Row("a traced length", in_jit(lambda n: fg.lax.scan(lambda c, x: (c, None), 0.0, length=n), 3), errors.TracerIntegerConversionError, ("static",)),
    Row("a length that is a float", lambda: fg.lax.scan(lambda c, x: (c, None), 0.0, length=3.0), TypeError, ("length", "integer", "3.0")),
    Row("a string in the carry", lambda: fg.lax.scan(lambda c, x: (c, None), "a", V), TypeError, ("init", "'a'")),
    Row("scan of no function", lambda: fg.lax.scan(3, 0.0, V), TypeError, ("function", "3")),
    Row("scan with an odd checkpoint", lambda: fg.lax.scan(lambda c, x: (c, None), 0.0, V, checkpoint="all"), ValueError, ("checkpoint", "sqrt", "binomial")),
    Row("a y that is no array", lambda: fg.lax.scan(lambda c, x: (c, "a"), 0.0, V), TypeError, ("return arrays", "'a'")),
    Row("while_loop with a number as condition", lambda: fg.lax.while_loop(lambda x: x, lambda x: x, 1.0), TypeError, ("boolean scalar", "f64[]")),
    Row("while_loop with several conditions", lambda: fg.lax.while_loop(lambda x: x > 0, lambda x: x, V), TypeError, ("boolean scalar", "bool[3]")),
    Row("while_loop that changes its value", lambda: fg.lax.while_loop(lambda x: True, lambda x: (x, x), 1.0), TypeError, ("carry", "structure")),
    Row("while_loop that changes a dtype", lambda: fg.lax.while_loop(lambda x: x < 3, lambda x: x * 0.5, np.int64(1)), TypeError, ("carry", "i64[]", "f64[]")),
    Row("fori_loop with floats", lambda: fg.lax.fori_loop(0.0, 3.0, lambda i, x: x, 1.0), TypeError, ("lower", "integer")),
    Row("fori_loop that returns nothing", lambda: fg.lax.fori_loop(0, 3, lambda i, x: None, 1.0), TypeError, ("carry", "structure")),
    Row("cond with different dtypes", lambda: fg.lax.cond(True, lambda x: x, lambda x: np.int64(1), 1.0), TypeError, ("cond", "f64[]", "i64[]")),
    Row("cond with different structures", lambda: fg.lax.cond(True, lambda x: (x,), lambda x: x, 1.0), TypeError, ("cond", "structure")),
    Row("cond with an array", lambda: fg.lax.cond(V > 0, lambda x: x, lambda x: -x, V), TypeError, ("scalar", "numpy.where")),
    Row("cond with a string", lambda: fg.lax.cond("yes", lambda x: x, lambda x: -x, V), TypeError, ("scalar", "'yes'")),
    Row("cond with values for branches", lambda: fg.lax.cond(True, 1.0, 2.0), TypeError, ("function", "2.0")),
    Row("cond with operands twice", lambda: fg.lax.cond(True, lambda x: x, lambda x: x, 1.0, operand=2.0), TypeError, ("operand", "not both")),
    Row("cond whose branch has another arity", lambda: fg.lax.cond(True, lambda x: x, lambda: 1.0, 1.0), TypeError, ("argument",), line=False),
    Row("switch with a float", lambda: fg.lax.switch(1.0, [lambda x: x], V), TypeError, ("index", "integer")),
    Row("switch without branches", lambda: fg.lax.switch(0, [], V), ValueError, ("branch",)),
    Row("map over nothing", lambda: fg.lax.map(lambda x: x, 3.0), ValueError, ("leading axis",)),
    Row("associative_scan that changes the shape", lambda: fg.lax.associative_scan(lambda a, b: np.sum(a + b), V), (TypeError, ValueError), ("associative_scan", "shape")),
    Row("a side effect in a scan", lambda: escaped(), errors.UnexpectedTracerError, ("ended", "Return")),
]  # fmt: skip
