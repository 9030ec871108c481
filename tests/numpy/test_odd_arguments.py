"""What happens with arguments that few calls have?  As in NumPy: dtypes, shapes, values and kinds of errors.

A row is an expression of known arrays; it is evaluated by NumPy, and traced, with the functions of `funcgrad.numpy`.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest

import funcgrad as fg
import funcgrad.numpy as fnp
from funcgrad import tree

VALUES: dict[str, Any] = {
    "x": np.array([1.5, 1.7, -2.0]),
    "m": np.array([[0.5, -1.0, 2.0], [3.0, 0.25, -0.5]]),
    "i": np.array([2, 0, -3]),
    "u": np.array([200, 100, 3], np.uint8),
    "z": np.array([1.5j, -2.0, 0.5 + 1j]),
    "b": np.array([True, False, True]),
    "h": np.array([[0.5, -1.0, 2.0], [3.0, 0.25, -0.5]], np.float16),
    "f": np.array([0.1, 2.5, -1.0], np.float32),
}
# lists and tuples beside traced arrays count as arrays
OPERATORS = """
x + [1, 2, 3] | [1, 2, 3] * x | x * (1, 2, 3) | (1, 2, 3) / x | x - [1.5] | [2] ** x | x // [2, 2, 1]
divmod(x, [1, 2, 3])
x @ [1, 2, 3] | [[1, 2, 3]] @ x | m @ [[1, 2], [3, 4], [5, 6]] | x < [1, 2, 3] | [1.5, 1, 1] == x | x != [1.5, 1, 1]
i & [True, False, True] | i << [1, 2] | i + [1.5, 2, 3] | f * [1, 2, 3] | f * 2 | u + [1, 2, 3] | m * [[1], [2]]
x + [x[0], 1, 2] | x[0] + [1, 2] | x + [] | x == [1, 2] | x + ["a"] | x + [[1], [2, 3]] | x + {} | x + None
"""
UFUNCS = """
np.equal(x, x + 0.2, dtype=bool) | np.less(x, i, dtype=bool) | np.abs(z, dtype=float) | np.isnan(x, dtype=bool)
np.logical_and(x, i, dtype=bool) | np.sqrt(u, dtype="f4") | np.divide(i, 2, dtype="f4") | np.add(u, 300, dtype="u1")
np.add(z, 1, dtype=float) | np.add(x, 1, dtype="i4") | np.floor_divide(x, 2, dtype="i8") | np.frexp(x, dtype="f4")
np.ldexp(x, i, dtype="f4") | np.divmod(x, 2, dtype="f4") | np.add(1, x, dtype=complex) | np.isfinite(i, dtype="i8")
np.add(i, 1, dtype="f4", casting="unsafe") | np.add(x, i, casting="no") | np.add(x, 1, casting="no")
np.sqrt(x, dtype="f4", casting="safe") | np.add(x, i, casting="bogus") | np.multiply(x, i, dtype="f2")
"""
METHODS = """
np.subtract.reduce(m, initial=1) | np.subtract.reduce(m, axis=1, initial=1, where=b)
np.divide.reduce(i[:1]) | np.subtract.reduce(m, where=b) | np.subtract.reduce(m[:0], initial=3)
np.divide.reduceat(i, [0, 1]) | np.fmod.reduce(b) | np.logaddexp.reduce(i, where=b)
np.logaddexp.reduce(m[:0], initial=1) | np.logaddexp.reduce(m, initial=[1.5, 2.5, 3.5])
np.logical_and.reduce(m, initial=0) | np.logical_or.reduce(m, axis=1, initial=1)
np.logical_and.reduce(m, where=b) | np.maximum.reduce(i, dtype="f4")
np.add.reduce(i, dtype="f4", initial=0.5) | np.minimum.reduce(m, None, "f4") | np.equal.reduce(m)
np.equal.reduce(b) | np.bitwise_and.reduce(u, where=b) | np.bitwise_and.reduce(b, initial=1)
np.arctan2.reduce(x[0]) | np.hypot.reduce(m[:, :0], axis=None) | np.hypot.reduce(m[:, :0], 1)
np.fmax.reduce(m, (0, 1)) | np.logical_xor.accumulate(m) | np.logical_xor.accumulate(m[:0])
np.float_power.accumulate(i[:2]) | np.add.accumulate(b) | np.add.outer(2, h) | np.divmod.outer(m, x)
np.add.outer(x[0], 1) | np.subtract.reduceat(m, [], axis=1)
"""
OTHERS = """
np.sum(i, dtype=bool) | np.sum(m, axis=1, dtype=bool) | np.prod(i, dtype=bool) | np.prod(m, axis=0, dtype=bool)
np.cumsum(i, dtype=bool) | np.cumprod(i, dtype=bool) | np.cumsum(i[1:], dtype=bool) | np.cumprod(m, axis=1, dtype=bool)
np.mean(i, dtype=bool) | np.mean(x, dtype="i8") | np.mean(m, axis=0, dtype="f4") | np.mean(u, dtype="f2")
np.sum(m, axis=(0, -1), keepdims=True, initial=2, where=b) | np.take(x, []) | np.take(m, [], axis=1) | np.take(m, b)
np.take(m, [True, False], axis=0) | np.size(m, (0, 1)) | np.size(m, -1) | np.size(m, ()) | np.size(m, 5)
np.nanmax(m, where=True) | np.nanmin(m, 0, where=True) | np.nanvar(m, dtype="f4") | np.nanmax(m, initial=0, where=b)
np.fft.fft([1, np.inf, x[0]], norm="ortho") | np.fft.ihfft([1, -np.inf, x[0]]) | np.fft.irfftn(z, s=(-1,), axes=(0,))
np.fft.irfftn(h) | np.fft.irfftn(h[0]) | np.fft.irfft(h) | np.ascontiguousarray(x[0]) | np.asfortranarray(x[0])
m[None][:, [0, 1], ..., [[1], [2]]] | m[None][:, [0, 1], [[1], [2]], ...] | m[None][:, 1, ..., [0, 1]]
np.einsum("...i,...->...i", m, x[:2, None]) | np.einsum("iii", x[None, None] * m[:, :1]) | np.einsum("ij->", m)
np.einsum("iii->i", np.ones((3, 3, 3)) * x) | np.einsum("ij,ij->i", m, x[None]) | np.einsum("...ij->ij", m[None])
np.einsum("...,...->...", m, m[:1]) | np.einsum("iijj->ij", np.ones((2, 2, 3, 3)) * x) | np.einsum("i,i", x, x[:1])
np.hstack([]) | np.linalg.norm(m[:0], 2) | np.linalg.norm(m[:0], "nuc") | np.linalg.norm(m[:0], -2)
np.matmul(m, x, out=None) | np.matmul(m, x, dtype="f4") | np.matmul(m, x, dtype="i8") | np.matvec(m, x, dtype="f4")
np.matmul(i, x, casting="no") | np.vecdot(z, z, dtype="c8") | np.vecdot(m, x, out=None, axis=-1) | np.vecmat(x, m.T)
np.roll(x, i[0]) | np.roll(m, i[0], axis=-1) | np.roll(m, i[:2], axis=(0, 1)) | np.roll(m, i, axis=1)
np.roll(m, (1, i[2]), axis=(0, 1)) | np.roll(m[:0], i[0], axis=0) | np.roll(m, i[0], axis=2) | np.roll(x[0], i[0])
np.linspace(x, 3, 5, dtype=int) | np.linspace(0, x, -1) | np.linspace(0, x, 0) | np.size(m, (0, 0))
"""
ROWS = [row for row in " | ".join((OPERATORS + UFUNCS + METHODS + OTHERS).split("\n")).split(" | ") if row]
ERRORS = (TypeError, IndexError, ValueError, OverflowError)


def outcomes(lib: Any, arrays: dict[str, Any], errors: dict[str, Any]) -> dict[str, Any]:
    """What every row gives, as leaves; which kind of error is noted in `errors`."""
    results = {}
    for row in ROWS:
        try:
            results[row] = tree.leaves(eval(row, {"np": lib, **arrays}))
        except ERRORS as error:
            errors[row] = next(kind for kind in ERRORS if isinstance(error, kind))
    return results


@functools.cache
def numpys_and_traced() -> tuple[dict[str, Any], dict[str, Any]]:
    """Results and errors of all rows, known and traced: for a batch of one, as a program of all would take seconds."""
    raised: tuple[dict[str, Any], dict[str, Any]] = ({}, {})
    wanted = outcomes(np, VALUES, raised[0])
    batch = {name: value[np.newaxis] for name, value in VALUES.items()}
    found = fg.vmap(lambda arrays: outcomes(fnp, arrays, raised[1]))(batch)
    return wanted | raised[0], {row: [x[0] for x in leaves] for row, leaves in found.items()} | raised[1]


@pytest.mark.filterwarnings("ignore:.*:RuntimeWarning")
@pytest.mark.parametrize("row", ROWS)
def test_as_in_numpy(row: str) -> None:
    want, got = (found[row] for found in numpys_and_traced())
    if isinstance(want, type):
        assert got is want
        return
    for g, w in zip(map(np.asarray, got), map(np.asarray, want), strict=True):
        assert (g.dtype, g.shape) == (w.dtype, w.shape)
        np.testing.assert_allclose(g, w, rtol=1e-6 if w.dtype == np.float32 else 1e-12)


def test_derivative_of_the_deviation_of_equal_numbers() -> None:
    for function in (np.std, np.nanstd):
        np.testing.assert_array_equal(fg.grad(function)(np.full(3, 1.5)), np.zeros(3))


def test_argsort_is_stable_unless_something_else_is_said() -> None:
    x = np.arange(200) % 3
    for call in (fnp.argsort, fg.jit(fnp.argsort)):
        np.testing.assert_array_equal(call(x), np.argsort(x, kind="stable"))
    np.testing.assert_array_equal(x[fnp.argsort(x, kind="heapsort")], np.sort(x))


def test_derivatives_beside_lists() -> None:
    x = VALUES["x"]
    np.testing.assert_array_equal(fg.grad(lambda x: np.sum([1, 2, 3] * x))(x), [1.0, 2.0, 3.0])
    np.testing.assert_array_equal(fg.jit(fg.grad(lambda x: (x @ [[1.0], [2.0], [3.0]])[0]))(x), [1.0, 2.0, 3.0])
    np.testing.assert_array_equal(fg.vmap(lambda x: x + [x, 1])(x), np.stack([2 * x, x + 1], 1))
