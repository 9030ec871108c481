"""Writing into arrays, and NumPy functions that do."""
# ruff: noqa: E501 - a row of the table is a line

from __future__ import annotations

from typing import Any

import numpy as np

import funcgrad as fg
from tests.misuse.rows import Row, in_jit

X = np.arange(6.0).reshape(2, 3)
V = np.arange(1.0, 4.0)


def write(x: Any) -> Any:
    x[0] = 1
    return x


def add_tracer_to_array(x: Any) -> Any:
    out = np.zeros(3)
    out += x
    return out


def augmented(x: Any) -> Any:
    x[0] += 1
    return x


def delete(x: Any) -> Any:
    del x[0]
    return x


ROWS = [
    Row("write into a tracer", in_jit(write, X), TypeError, ("cannot be written", "np.where")),
    Row("write into a tracer of grad", lambda: fg.grad(lambda x: np.sum(write(x)))(X), TypeError, ("cannot be written", "np.where")),
    Row("add a tracer in place", in_jit(add_tracer_to_array), TypeError, ("in-place", "x = x + y")),
    Row("out=", in_jit(lambda x: np.add(x, 1, out=np.zeros(()))), TypeError, ("out=", "x = x + y")),
    Row("np.add.at", in_jit(lambda x: np.add.at(np.zeros(3), 0, x)), TypeError, ("np.add.at",)),
    Row("an augmented assignment to an element", in_jit(augmented, V), TypeError, ("cannot be written", ".at[i]")),
    Row("a deletion", in_jit(delete, V), TypeError, ("np.delete",)),
    Row("a write under vmap", lambda: fg.vmap(write)(X), TypeError, ("cannot be written", ".at[i]")),
    Row("sort in place", in_jit(lambda x: x.sort(), V), TypeError, ("np.sort",)),
    Row("fill", in_jit(lambda x: x.fill(0.0), V), TypeError, ("np.full_like",)),
    Row("put", in_jit(lambda x: np.put(x, 0, 1.0), V), (TypeError, ValueError), ("inplace=False",)),
    Row("fill_diagonal", in_jit(lambda x: np.fill_diagonal(x, 0.0), np.eye(2)), (TypeError, ValueError), ("inplace=False",)),
    Row("copyto", in_jit(lambda x: np.copyto(x, 1.0), V), TypeError, ("copyto", "np.where")),
    Row("out= of a reduction", in_jit(lambda x: np.sum(x, out=np.zeros(())), V), TypeError, ("out=",)),
    Row("ndarray.flat", in_jit(lambda x: x.flat[0], V), TypeError, ("ravel",)),
]  # fmt: skip
