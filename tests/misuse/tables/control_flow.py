"""Conditions, numbers and sizes that are traced (JAX: the errors page; autograd and Numba: their FAQs)."""
# ruff: noqa: E501 - a row of the table is a line

from __future__ import annotations

import math
from typing import Any

import numpy as np

import funcgrad as fg
from funcgrad import errors
from tests.misuse.rows import JIT, Row, in_jit

X = np.arange(6.0).reshape(2, 3)
V = np.arange(1.0, 4.0)


def branch(x: Any) -> Any:
    if x > 0:
        return x
    return -x


def loop(x: Any) -> Any:
    while x < 10:
        x = x * 2
    return x


def asserting(x: Any) -> Any:
    assert x > 0
    return x


def matching(x: Any) -> Any:
    match x:
        case 1.0:
            return x
    return -x


def counting(n: Any) -> Any:
    total = 0
    for i in range(n):
        total += i
    return total


def conditional_expression(x: Any) -> Any:
    return x if x.sum() > 0 else -x


def mean_until(x: Any) -> Any:
    return np.mean(x[: int(x[0])])


ROWS = [
    Row("if", in_jit(branch), errors.TracerBoolConversionError, ("bool[]", "if", *JIT)),
    Row("while", in_jit(loop), errors.TracerBoolConversionError, ("while", *JIT)),
    Row("and", in_jit(lambda x: x and 1), errors.TracerBoolConversionError, JIT),
    Row("not", in_jit(lambda x: not x), errors.TracerBoolConversionError, JIT),
    Row("min of Python", in_jit(lambda x: min(x, 3.0)), errors.TracerBoolConversionError, JIT),
    Row("float", in_jit(lambda x: float(x)), errors.ConcretizationTypeError, ("float()", "f64[]", "static")),
    Row("int", in_jit(lambda x: int(x)), errors.ConcretizationTypeError, ("int()", "static")),
    Row("complex", in_jit(lambda x: complex(x)), errors.ConcretizationTypeError, ("complex()", "static")),
    Row("range", in_jit(lambda n: sum(range(n)), 3), errors.TracerIntegerConversionError, ("i64[]", "static")),
    Row("list index", in_jit(lambda n: [1, 2][n], 1), errors.TracerIntegerConversionError, ("index", "static")),
    Row("a shape", in_jit(lambda n: np.zeros(n), 3), TypeError, ("integer", "Tracer<i64[]"), line=False),  # NumPy's own message,
    Row("a shape of funcgrad.numpy", in_jit(lambda n: fg.numpy.zeros((n,)), 3), errors.TracerIntegerConversionError, ("static",)),
    Row("item", in_jit(lambda x: x.item()), errors.ConcretizationTypeError, (".item()", "static")),
    Row("np.array", in_jit(lambda x: np.array([x, 1.0])), errors.TracerArrayConversionError, ("np.stack",)),
    Row("np.asarray", in_jit(lambda x: np.asarray(x)), errors.TracerArrayConversionError, ("NumPy array",)),
    Row("math.sin", in_jit(lambda x: math.sin(x)), TypeError, ("float()", "np.sin")),
    Row("format", in_jit(lambda x: f"{x:.3f}"), errors.ConcretizationTypeError, ("format", "static")),
    Row("hash", in_jit(lambda x: {x: 1}), TypeError, ("unhashable",)),
    Row("in vmap", lambda: fg.vmap(branch)(X[0]), errors.TracerBoolConversionError, ("where",)),
    Row("grad in jit", in_jit(fg.grad(branch)), errors.TracerBoolConversionError, JIT),
    Row("assert", in_jit(asserting), errors.TracerBoolConversionError, ("assert", *JIT)),
    Row("match", in_jit(matching), errors.TracerBoolConversionError, JIT),
    Row("a conditional expression", in_jit(conditional_expression, V), errors.TracerBoolConversionError, ("bool[]", *JIT)),
    Row("a for loop over a traced count", in_jit(counting, 3), errors.TracerIntegerConversionError, ("size", "static")),
    Row("a slice of traced length", in_jit(mean_until, V), errors.ConcretizationTypeError, ("int()", "static")),
    Row("a chained comparison", in_jit(lambda x: 0 < x < 1), errors.TracerBoolConversionError, JIT),
    Row("or", in_jit(lambda x: x or 1.0), errors.TracerBoolConversionError, JIT),
    Row("max of Python", in_jit(lambda x: max(x, 0.0)), errors.TracerBoolConversionError, JIT),
    Row("any of Python", in_jit(lambda x: any(x > 1), V), errors.TracerBoolConversionError, JIT),
    Row("sorted", in_jit(lambda x: sorted(x), V), errors.TracerBoolConversionError, JIT),
    Row("list.index", in_jit(lambda x: [1.0, 2.0].index(x)), errors.TracerBoolConversionError, JIT),
    Row("x in a list", in_jit(lambda x: x in [1.0, 2.0]), errors.TracerBoolConversionError, JIT),
    Row("the truth of an array", in_jit(lambda x: 1 if x > 0 else 2, V), errors.TracerBoolConversionError, JIT),
    Row("tolist", in_jit(lambda x: x.tolist(), V), errors.ConcretizationTypeError, (".tolist()", "static")),
    Row("math.isnan", in_jit(lambda x: math.isnan(x)), errors.ConcretizationTypeError, ("float()", "np.")),
    Row("round to digits of a traced number", in_jit(lambda n: round(3.14159, n), 2), errors.TracerIntegerConversionError, ("static",)),
    Row("repetition of a list", in_jit(lambda n: [0] * n, 3), errors.TracerIntegerConversionError, ("static",)),
    Row("bytes of a traced length", in_jit(lambda n: bytes(n), 3), TypeError, ("Tracer",), line=False),
    Row("hex", in_jit(lambda n: hex(n), 3), errors.TracerIntegerConversionError, ("static",)),
    Row("fg.numpy.arange of a traced number", in_jit(lambda n: fg.numpy.arange(n), 3), errors.ConcretizationTypeError, ("static",)),
    Row("reshape to a traced size", in_jit(lambda x, n: x.reshape(n, -1), X, 2), errors.TracerIntegerConversionError, ("static",)),
    Row("a traced axis", in_jit(lambda x, n: np.sum(x, axis=n), X, 1), errors.TracerIntegerConversionError, ("static",)),
    Row("linspace of a traced number", in_jit(lambda n: fg.numpy.linspace(0.0, 1.0, n), 3), errors.TracerIntegerConversionError, ("static",)),
    Row("eye of a traced size", in_jit(lambda n: fg.numpy.eye(n), 3), errors.TracerIntegerConversionError, ("static",)),
    Row("repeat of a traced count", in_jit(lambda x, n: np.repeat(x, n), V, 2), errors.ConcretizationTypeError, ("size", "static")),
    Row("one_hot of traced width", in_jit(lambda n: fg.nn.one_hot(np.arange(2), n), 3), errors.ConcretizationTypeError, ("static",)),
    Row("unique", in_jit(lambda x: np.unique(x), V), errors.ConcretizationTypeError, ("size=",)),
    Row("nonzero", in_jit(lambda x: np.nonzero(x), V), errors.ConcretizationTypeError, ("size=",)),
    Row("where of one argument", in_jit(lambda x: np.where(x > 1), V), errors.ConcretizationTypeError, ("size=",)),
    Row("bincount", in_jit(lambda x: np.bincount(x), np.arange(3)), errors.ConcretizationTypeError, ("length=",)),
    Row("if under jacfwd in jit", in_jit(fg.jacfwd(branch)), errors.TracerBoolConversionError, JIT),
    Row("if in the body of a scan", lambda: fg.lax.scan(lambda c, x: (branch(c), None), 1.0, V), errors.TracerBoolConversionError, JIT),
    Row("if under vmap of grad", lambda: fg.vmap(fg.grad(branch))(V), errors.TracerBoolConversionError, ("where", "in_axes=None")),
]  # fmt: skip
