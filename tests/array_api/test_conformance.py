"""What does the Array API standard (2025.12) ask of each group of functions, beside signatures and dtypes?

Values, shapes and errors as the pages of the standard state them: axes and `keepdims`, empty and NaN operands, scalars
on either side, names of results, copies, devices, indices. Known arrays and, where values need not be known, compiled
code.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import funcgrad as fg
import funcgrad.numpy as xp
from funcgrad import tree

X = np.array([[3.0, -1.0, 2.0], [0.5, 4.0, -2.5]], np.float32)
I8 = np.array([[3, -1, 2], [0, 4, -2]], np.int8)
nan, inf = np.nan, np.inf
CUBE = np.arange(24.0).reshape(2, 3, 4)

# operand, call, what comes out: nested lists are values, a tuple of ints a shape
Row = tuple[Any, Callable[[Any], Any], Any]
ROWS: dict[str, Row] = {
    # statistical functions
    "sum of nothing": (np.zeros((0, 2)), lambda x: (xp.sum(x), xp.sum(x, axis=0)), ([0.0], [0.0, 0.0])),
    "prod of nothing": (np.zeros((0, 2)), lambda x: xp.prod(x, axis=0, keepdims=True), [[1.0, 1.0]]),
    "several axes": (CUBE, lambda x: xp.max(x, axis=(0, -1), keepdims=True), [[[15.0], [19.0], [23.0]]]),
    "no axes": (X, lambda x: xp.sum(x, axis=()), X.tolist()),
    "correction": (np.array([1.0, 2.0, 4.0]), lambda x: xp.var(x, correction=1.0), [7 / 3]),
    "half a correction": (np.array([1.0, 2.0, 4.0]), lambda x: xp.var(x, correction=0.5), [14 / 7.5]),
    "NaN spreads": (
        np.array([1.0, nan, 2.0]),
        lambda x: [f(x) for f in (xp.max, xp.min, xp.sum, xp.prod, xp.mean, xp.std, xp.var)],
        ([nan],) * 7,
    ),
    "dtype of sums": (I8, lambda x: xp.sum(x, dtype=xp.int8), [6]),
    "running sums": (I8[0], lambda x: xp.cumulative_sum(x, include_initial=True), [0, 3, 2, 4]),
    "running products": (I8, lambda x: xp.cumulative_prod(x, axis=0, dtype=xp.float32), [[3, -1, 2], [0, -4, -4]]),
    # searching, sorting, sets
    "argmax": (X, lambda x: (xp.argmax(x), xp.argmax(x, axis=1, keepdims=True)), ([4], [[0], [1]])),
    "the first of equals": (np.array([2.0, 5.0, 5.0]), lambda x: (xp.argmax(x), xp.argmin(-x)), ([1], [1])),
    "argmin, all axes kept": (X, lambda x: xp.argmin(x, keepdims=True), [[5]]),
    "count_nonzero": (I8, lambda x: xp.count_nonzero(x, axis=0, keepdims=True), [[1, 2, 2]]),
    "count of several axes": (CUBE, lambda x: xp.count_nonzero(x, axis=(0, 1)), [5, 6, 6, 6]),
    "searchsorted, sorter": (
        np.array([3.0, 1.0, 2.0]),
        lambda x: xp.searchsorted(x, xp.asarray([2.0, 0.0]), side="right", sorter=xp.asarray([1, 2, 0])),
        [2, 0],
    ),
    "searchsorted, a number": (CUBE[0, 0], lambda x: xp.searchsorted(x, 2, side="right"), [3]),
    "isin": (I8, lambda x: (xp.isin(x, 4), xp.isin(2, x, invert=True)), ([[0, 0, 0], [0, 1, 0]], [False])),
    "where, scalars": (X > 0, lambda c: xp.where(c, 1, 2.0), [[1.0, 2.0, 1.0], [1.0, 1.0, 2.0]]),
    "argsort downwards is stable": (
        np.array([2, 1, 2, 3]),
        lambda x: xp.argsort(x, descending=True, stable=True),
        [3, 0, 2, 1],
    ),
    "sort along the first axis": (X, lambda x: xp.sort(x, axis=0, descending=True), [[3, 4, 2], [0.5, -1, -2.5]]),
    "sort of nothing": (np.zeros((0, 2)), lambda x: xp.sort(x, axis=-1), (0, 2)),
    "all and any of nothing": (np.zeros((0,)), lambda x: (xp.all(x), xp.any(x)), ([True], [False])),
    # indexing, manipulation
    "take": (X, lambda x: xp.take(x, xp.asarray([2, 0]), axis=-1), [[2.0, 3.0], [-2.5, 0.5]]),
    "take_along_axis": (X, lambda x: xp.take_along_axis(x, xp.asarray([[2], [0]])), [[2.0], [0.5]]),
    "diff": (X, lambda x: xp.diff(x, n=2, prepend=xp.zeros((2, 1), dtype=xp.float32)), [[-7, 7], [3, -10]]),
    "roll of several axes": (X, lambda x: xp.roll(x, (1, -1), axis=(0, 1)), [[4.0, -2.5, 0.5], [-1.0, 2.0, 3.0]]),
    "roll of all": (I8, lambda x: xp.roll(x, 1), [[-2, 3, -1], [2, 0, 4]]),
    "concat without an axis": (X, lambda x: xp.concat([x[:1], x[0, :1]], axis=None), [3.0, -1.0, 2.0, 3.0]),
    "unstack": (I8, lambda x: xp.unstack(x, axis=1), ([3, 0], [-1, 4], [2, -2])),
    "repeat by uint64": (
        I8[0],
        lambda x: xp.repeat(x, xp.asarray([1, 0, 2], dtype=xp.uint64)),
        [3, 2, 2],
    ),
    "tile to more axes": (I8[0], lambda x: xp.tile(x, (2, 1)), [[3, -1, 2]] * 2),
    "squeeze": (X[None, :, None], lambda x: xp.squeeze(x, axis=(0, -2)), (2, 3)),
    "several new axes": (X, lambda x: xp.expand_dims(x, axis=(0, -1)), (1, 2, 3, 1)),
    "axes from the end": (CUBE, lambda x: xp.permute_dims(x, (-1, 0, -2)), (4, 2, 3)),
    "reshape": (X, lambda x: xp.reshape(x, (3, -1), copy=True), (3, 2)),
    "triangles of stacks": (CUBE, lambda x: xp.tril(x, k=-1)[1], [[0] * 4, [16, 0, 0, 0], [20, 21, 0, 0]]),
    "indices": (
        X,
        lambda x: (x[..., None], x[:, ::-1], x[()], x[-1, 0]),
        ((2, 3, 1), X[:, ::-1].tolist(), (2, 3), [0.5]),
    ),
    # elementwise functions, with scalars on either side
    "scalars": (X, lambda x: (xp.atan2(0.0, x[0]), xp.maximum(x[0], 1)), ([0, np.pi, 0], [3.0, 1.0, 2.0])),
    "integer scalars": (I8, lambda x: (xp.bitwise_and(x[0], 3), xp.bitwise_or(4, x[0])), ([3, 3, 2], [7, -1, 6])),
    "clip by name and by place": (X, lambda x: xp.clip(x[0], 0.0, max=2.5), [2.5, 0.0, 2.0]),
    "clip by arrays": (X, lambda x: xp.clip(x, x[:1], max=xp.asarray(3.0, dtype=xp.float32)), [[3, -1, 2], [3, 3, 2]]),
    "clip by nothing": (X, lambda x: xp.clip(x), X.tolist()),
    # linear algebra and transforms
    "vecdot conjugates": (np.array([[1j, 2.0]]), lambda x: xp.vecdot(x, x), [5 + 0j]),
    "vecdot of columns": (X, lambda x: xp.vecdot(x, x, axis=0), [9.25, 17.0, 10.25]),
    "outer": (I8, lambda x: xp.linalg.outer(x[0], x[1, :2]), [[0, 12], [0, -4], [0, 8]]),
    "vector_norm of all": (X, lambda x: xp.linalg.vector_norm(x, ord=1), [13.0]),
    "vector_norm of 0": (
        I8.astype(float),
        lambda x: xp.linalg.vector_norm(x, axis=1, ord=0, keepdims=True),
        [[3], [2]],
    ),
    "matrix_norm": (X, lambda x: xp.linalg.matrix_norm(x, ord=inf, keepdims=True), [[7.0]]),
    "diagonal, trace": (X, lambda x: (xp.linalg.diagonal(x, offset=1), xp.linalg.trace(x)), ([-1, -2.5], [7])),
    "upper factor": (
        np.array([[4.0, 2.0], [2.0, 5.0]]),
        lambda x: xp.linalg.cholesky(x, upper=True),
        [[2.0, 1.0], [0.0, 2.0]],
    ),
    "power of none": (X[:, :2], lambda x: xp.linalg.matrix_power(x, 0), [[1.0, 0.0], [0.0, 1.0]]),
    "rank by tolerances": (np.eye(2) * [1.0, 0.1], lambda x: xp.linalg.matrix_rank(x, rtol=0.5), [1]),
    "solve, one vector for many": (np.stack([np.eye(2)] * 3), lambda x: xp.linalg.solve(x, x[0, 0]), [[1.0, 0.0]] * 3),
    "shift": (CUBE, lambda x: xp.fft.fftshift(x[0, 0]), [2.0, 3.0, 0.0, 1.0]),
    "lengths and norms": (X, lambda x: xp.fft.rfft(x, n=2, axis=-1, norm="forward"), [[1, 2], [2.25, -1.75]]),
    "tensordot": (X, lambda x: xp.tensordot(x, x, axes=((0, 1), (0, 1))), [36.5]),
    "matmul of vectors": (X, lambda x: xp.matmul(x[0], x[1]), [-7.5]),
    # creation
    "linspace": (X, lambda x: xp.linspace(0, 1, num=2, endpoint=False) + x[0, 0], [3.0, 3.5]),
    "eye": (X, lambda x: xp.eye(2, 3, k=1, dtype=xp.float32) * x, [[0.0, -1.0, 0.0], [0.0, 0.0, -2.5]]),
    "meshgrid": (X, lambda x: xp.meshgrid(x[0], x[1, :2], indexing="ij"), ((3, 2), (3, 2))),
}


@pytest.mark.parametrize("name", ROWS)
def test_values_and_shapes(name: str) -> None:
    x, call, wanted = ROWS[name]
    several = isinstance(wanted, tuple) and not isinstance(wanted[0], int)
    with np.errstate(invalid="ignore"):
        known = call(x)
    for got in (known, fg.jit(call)(x)):
        for g, w, k in zip(tree.leaves(got), wanted if several else [wanted], tree.leaves(known), strict=True):
            assert g.dtype == k.dtype
            shape = w if isinstance(w, tuple) else np.shape(w) if g.ndim else ()
            assert g.shape == shape
            if not isinstance(w, tuple):
                np.testing.assert_allclose(g, np.reshape(w, shape), rtol=1e-6)


NAMED = {
    "eig": ("eigenvalues", "eigenvectors"),
    "eigh": ("eigenvalues", "eigenvectors"),
    "qr": ("Q", "R"),
    "slogdet": ("sign", "logabsdet"),
    "svd": ("U", "S", "Vh"),
}


@pytest.mark.parametrize("name", NAMED)
def test_results_have_names(name: str) -> None:
    function, matrix = getattr(xp.linalg, name), np.array([[2.0, 1.0], [1.0, 3.0]])
    for form in (function, fg.jit(function)):
        assert form(matrix)._fields == NAMED[name]


def test_sets() -> None:
    x = xp.asarray([[3.0, nan, 0.0], [3.0, nan, -0.0]])
    found = xp.unique_all(x)
    assert found._fields == ("values", "indices", "inverse_indices", "counts")
    assert found.inverse_indices.shape == x.shape
    np.testing.assert_array_equal(xp.take(found.values, found.inverse_indices), x)
    np.testing.assert_array_equal(xp.reshape(x, (-1,))[found.indices], found.values)
    assert np.sum(np.isnan(found.values)) == 2  # each NaN is a value of its own
    assert sorted(found.counts.tolist()) == [1, 1, 2, 2]
    assert xp.unique_counts(x)._fields == ("values", "counts")
    assert xp.unique_inverse(x)._fields == ("values", "inverse_indices")
    assert xp.unique_values(x).shape == (4,)


def test_copies() -> None:
    x = xp.asarray([[1.0, 2.0]])
    functions: list[Callable[..., Any]] = [
        lambda copy: xp.asarray(x, copy=copy),
        lambda copy: xp.reshape(x, (2, 1), copy=copy),
        lambda copy: xp.astype(x, xp.float64, copy=copy),
    ]
    for function in functions:
        assert np.shares_memory(function(False), x)
        assert not np.shares_memory(function(True), x)
        assert type(function(False)) is fg.Array
    assert xp.astype(x, xp.float64, copy=False) is x
    assert fg.jit(lambda x: xp.reshape(xp.asarray(x, copy=False), (2, 1), copy=False))(x).shape == (2, 1)
    for impossible in (lambda: xp.asarray([1.0], copy=False), lambda: xp.reshape(np.ones((2, 3)).T, (6,), copy=False)):
        with pytest.raises(ValueError, match="copy"):
            impossible()


def test_devices() -> None:
    info = xp.__array_namespace_info__()
    assert info.default_device() in info.devices()
    assert xp.ones(2, device=info.default_device()).device == "cpu"
    x = xp.ones(2)
    assert x.to_device(x.device).tolist() == [1.0, 1.0]
    for call in (
        lambda: xp.zeros(2, device="gpu"), lambda: xp.asarray([1], device="gpu"), lambda: xp.eye(2, device="gpu"),
        lambda: xp.arange(2, device="gpu"), lambda: xp.astype(x, xp.int8, device="gpu"),
        lambda: xp.full_like(x, 1, device="gpu"), lambda: xp.fft.fftfreq(2, device="gpu"),
        lambda: info.dtypes(device="gpu"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match="gpu"):
            call()
    assert info.capabilities()["max dimensions"] == 64


def test_namespaces_by_version() -> None:
    for version in (None, "2021.12", "2022.12", "2023.12", "2024.12", "2025.12"):
        assert xp.ones(2).__array_namespace__(api_version=version) is xp
    with pytest.raises(ValueError, match="1999"):
        xp.ones(2).__array_namespace__(api_version="1999.12")
    assert fg.jit(lambda x: x.__array_namespace__(api_version="2023.12").sum(x))(np.ones(3)) == 3.0


def test_python_scalars_beside_arrays() -> None:
    cases: list[tuple[Any, Any]] = [(np.ones(2, np.float32), 2), (np.ones(2, np.float32), 2.0), (np.ones(2, "c8"), 1j)]
    for x, scalar in [*cases, (np.ones(2, np.int8), 3)]:
        for op in (operator.add, operator.sub, operator.mul, operator.pow, operator.eq):
            for call in (lambda x: op(x, scalar), lambda x: op(scalar, x)):  # noqa: B023
                want = np.bool_ if op is operator.eq else x.dtype
                assert call(x).dtype == fg.jit(call)(x).dtype == want
    with pytest.raises(OverflowError):
        fg.jit(lambda x: x + 300)(np.ones(2, np.int8))


ERRORS: dict[str, tuple[Callable[[Any], Any], type[Exception]]] = {
    "largest of nothing": (lambda x: xp.max(x[:0]), ValueError),
    "running sums of matrices": (lambda x: xp.cumulative_sum(x), ValueError),
    "squeeze": (lambda x: xp.squeeze(x, axis=0), ValueError),
    "axis": (lambda x: xp.sum(x, axis=5), IndexError),
    "expand_dims": (lambda x: xp.expand_dims(x, axis=4), IndexError),
    "broadcast_to": (lambda x: xp.broadcast_to(x, (3, 2)), ValueError),
    "nonzero of a number": (lambda x: xp.nonzero(xp.asarray(1.0)), ValueError),
    "transpose of a vector": (lambda x: xp.matrix_transpose(x[0]), ValueError),
    "matmul of a number": (lambda x: xp.matmul(x[0, 0], x), ValueError),
    "outer of matrices": (lambda x: xp.linalg.outer(x, x), ValueError),
    "cross": (lambda x: xp.linalg.cross(x[:, :2], x[:, :2]), ValueError),
    "kind": (lambda x: xp.isdtype(x.dtype, "number"), ValueError),
    "floats as bits": (lambda x: xp.bitwise_and(x, x), TypeError),
    "an array as an index": (lambda x: [1, 2][x[0, 0]], TypeError),
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors(name: str) -> None:
    call, error = ERRORS[name]
    for form in (call, fg.jit(call)):
        with pytest.raises(error):
            form(X)
