"""Shapes that do not fit."""
# ruff: noqa: E501 - a row of the table is a line

from __future__ import annotations

import numpy as np

import funcgrad as fg
from tests.misuse.rows import Row, in_jit

X = np.arange(6.0).reshape(2, 3)
V = np.arange(1.0, 4.0)

ROWS = [
    Row("nothing to concatenate", lambda: fg.lax.concatenate([], 0), ValueError, ("lax.concatenate", "non-empty")),
    Row("sum of shapes", in_jit(lambda x: x + np.ones(4), X), ValueError, ("(2, 3)", "(4,)")),
    Row("product of shapes", in_jit(lambda x: x @ x, X), ValueError, ("2", "3")),
    Row("dot of shapes", in_jit(lambda x: np.dot(x, np.ones(4)), X), ValueError, ("(2, 3)", "(4,)")),
    Row("reshape", in_jit(lambda x: x.reshape(4), X), ValueError, ("6", "4")),
    Row("axis", in_jit(lambda x: np.sum(x, axis=2), X), np.exceptions.AxisError, ("axis 2", "2")),
    Row("concatenate", in_jit(lambda x: np.concatenate([x, np.ones((2, 4))]), X), ValueError, ("3", "4")),
    Row("stack", in_jit(lambda x: np.stack([x, np.ones(3)]), X), ValueError, ("shape",)),
    Row("broadcast_to", in_jit(lambda x: np.broadcast_to(x, (4, 3)), X), ValueError, ("(2, 3)", "(4, 3)")),
    Row("transpose", in_jit(lambda x: np.transpose(x, (0, 0)), X), ValueError, ("ax",)),
    Row("no axis to walk", in_jit(lambda x: list(x)), TypeError, ("0-d",)),
    Row("max of nothing", in_jit(lambda x: np.max(x[:0]), X), ValueError, ("zero-size", "identity")),
    Row("sum of shapes under grad", lambda: fg.grad(lambda x: np.sum(x + np.ones(4)))(X), ValueError, ("(2, 3)", "(4,)")),
    Row("sum of shapes under vmap", lambda: fg.vmap(lambda x: x + np.ones(4))(X), ValueError, ("(3,)", "(4,)")),
    Row("where of shapes", in_jit(lambda x: np.where(x > 0, x, np.ones(4)), X), ValueError, ("(2, 3)", "(4,)")),
    Row("einsum of sizes", in_jit(lambda x: np.einsum("ij,jk->ik", x, np.ones((2, 2))), X), ValueError, ("einsum", "j")),
    Row("einsum of a wrong string", in_jit(lambda x: np.einsum("ij,jk", x), X), ValueError, ("einsum",)),
    Row("solve of a matrix that is not square", in_jit(lambda x: np.linalg.solve(x, x), X), np.linalg.LinAlgError, ("square",)),
    Row("inverse of a matrix that is not square", in_jit(lambda x: np.linalg.inv(x), X), np.linalg.LinAlgError, ("square",)),
    Row("squeeze of a longer axis", in_jit(lambda x: np.squeeze(x, 0), X), ValueError, ("squeeze", "size")),
    Row("split into unequal parts", in_jit(lambda x: np.split(x, 2, axis=1), X), ValueError, ("split", "equal")),
    Row("hstack", in_jit(lambda x: np.hstack([x, np.ones((3, 2))]), X), ValueError, ("2", "3")),
    Row("reshape with two unknowns", in_jit(lambda x: x.reshape(-1, -1), X), ValueError, ("(-1, -1)",)),
    Row("swapaxes", in_jit(lambda x: np.swapaxes(x, 0, 2), X), np.exceptions.AxisError, ("axis 2", "2")),
    Row("expand_dims twice", in_jit(lambda x: np.expand_dims(x, (0, 0)), X), ValueError, ("duplicate",)),
    Row("argmax of nothing", in_jit(lambda x: np.argmax(x[:0]), X), ValueError, ("empty",)),
    Row("cross of long vectors", in_jit(lambda x: np.cross(x, x), np.ones(4)), ValueError, ("3-dimensional", "4")),
    Row("lax does not broadcast", in_jit(lambda x: fg.lax.add(x, V), X), TypeError, ("add", "(2, 3)", "(3,)", "broadcast")),
    Row("lax.reshape", in_jit(lambda x: fg.lax.reshape(x, (4,)), X), TypeError, ("reshape", "(2, 3)", "(4,)")),
    Row("lax.dot_general of sizes", in_jit(lambda x: fg.lax.dot_general(x, x, (((1,), (0,)), ((), ()))), X), TypeError, ("dot_general", "3", "2")),
    Row("conv of channels", in_jit(lambda x: fg.lax.conv(x, np.ones((4, 2, 3, 3)), (1, 1), "SAME"), np.ones((1, 3, 8, 8))), ValueError, ("feature", "3", "2")),
    Row("tensordot of sizes", in_jit(lambda x: np.tensordot(x, x, axes=1), X), ValueError, ("3", "2")),
    Row("fft of no axis", in_jit(lambda x: np.fft.fft(x, axis=3), X), np.exceptions.AxisError, ("axis 3",)),
]  # fmt: skip
