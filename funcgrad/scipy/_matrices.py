"""SciPy's special matrices: those of given elements are gathered from them, the constant ones are SciPy's own."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np

from funcgrad.errors import at_line
from funcgrad.numpy._common import operand, promoted
from funcgrad.scipy._public import public
from funcgrad.trace.frame import type_of


def _constant(name: str) -> Any:
    """SciPy's function of known numbers alone."""

    def function(*args: Any, **kwargs: Any) -> Any:
        return getattr(importlib.import_module("scipy.linalg"), name)(*args, **kwargs)

    example = f"linalg.{name}(2).shape\n({1 if name == 'helmert' else 2}, 2)"
    shown = f"\n\nExamples\n--------\n>>> from funcgrad.scipy import linalg\n>>> {example}\n"
    function.__name__ = function.__qualname__ = name
    returned = "Returns\n-------\nArray\n    A matrix in SciPy's dtype."
    function.__doc__ = f"SciPy's `scipy.linalg.{name}`: a constant matrix.\n\n{returned}{shown}"
    return public(function)


dft, hadamard, helmert = _constant("dft"), _constant("hadamard"), _constant("helmert")
hilbert, invhilbert = _constant("hilbert"), _constant("invhilbert")
pascal, invpascal = _constant("pascal"), _constant("invpascal")


def _line(name: str, x: Any) -> Any:
    x = operand(x, name)
    return x if type_of(x).ndim else np.reshape(x, (1,))


def _size(x: Any) -> int:
    return int(type_of(x).shape[-1])


def _zeros(x: Any, count: int) -> Any:
    return np.zeros((*type_of(x).shape[:-1], count), type_of(x).dtype)


def _chosen(values: Any, index: np.ndarray) -> Any:
    return np.take(values, index, axis=-1)


@public
def toeplitz(c: Any, r: Any = None) -> Any:
    """Constant diagonals: first column `c`, first row `r` (the conjugate of `c` by default).

    Returns
    -------
    Array
        A matrix (of a stack of arguments a stack), in the arguments' dtype or the float that arithmetic makes of it.

    Examples
    --------
    >>> toeplitz([1, 2], [1, 3])
    Array([[1, 3],
           [2, 1]])
    """
    c = _line("toeplitz", c)
    r = np.conjugate(c) if r is None else _line("toeplitz", r)
    c, r = promoted("toeplitz", c, r)
    n, m = _size(c), _size(r)
    values = np.concatenate([np.flip(c, -1), r[..., 1:]], axis=-1)
    return _chosen(values, n - 1 - np.arange(n)[:, None] + np.arange(m))


@public
def hankel(c: Any, r: Any = None) -> Any:
    """Constant anti-diagonals: first column `c`, last row `r` (zeros by default).

    Returns
    -------
    Array
        A matrix (of a stack of arguments a stack), in the arguments' dtype or the float that arithmetic makes of it.

    Examples
    --------
    >>> hankel([1, 2])
    Array([[1, 2],
           [2, 0]])
    """
    c = _line("hankel", c)
    c, r = promoted("hankel", c, _zeros(c, _size(c)) if r is None else _line("hankel", r))
    values = np.concatenate([c, r[..., 1:]], axis=-1)
    return _chosen(values, np.arange(_size(c))[:, None] + np.arange(_size(r)))


@public
def circulant(c: Any) -> Any:
    """Each column is the one before, turned by one.

    Returns
    -------
    Array
        A matrix (of a stack of arguments a stack), in the arguments' dtype or the float that arithmetic makes of it.

    Examples
    --------
    >>> circulant([1, 2])
    Array([[1, 2],
           [2, 1]])
    """
    c = _line("circulant", c)
    n = _size(c)
    return _chosen(c, (np.arange(n)[:, None] - np.arange(n)) % max(n, 1))


@public
def companion(a: Any) -> Any:
    """The matrix whose characteristic polynomial has the coefficients `a`.

    Returns
    -------
    Array
        A matrix (of a stack of arguments a stack), in the arguments' dtype or the float that arithmetic makes of it.

    Raises
    ------
    ValueError
        There are fewer than two coefficients.

    Examples
    --------
    >>> companion([1.0, -3.0, 2.0])
    Array([[ 3., -2.],
           [ 1.,  0.]])
    """
    a = operand(a, "companion")
    n = _size(a)
    if n < 2:
        raise ValueError(f"companion: two coefficients or more are needed, not {n}{at_line()}")
    row = -a[..., 1:] / (a[..., :1] * type_of(a).dtype.type(1))
    below = np.broadcast_to(np.eye(n - 2, n - 1, dtype=type_of(row).dtype), (*type_of(a).shape[:-1], n - 2, n - 1))
    return np.concatenate([row[..., None, :], below], axis=-2)


@public
def fiedler(a: Any) -> Any:
    """Differences of all pairs, in magnitude.

    Returns
    -------
    Array
        A matrix (of a stack of arguments a stack), in the arguments' dtype or the float that arithmetic makes of it.

    Examples
    --------
    >>> fiedler([1, 4])
    Array([[0, 3],
           [3, 0]])
    """
    a = _line("fiedler", a)
    return np.abs(a[..., :, None] - a[..., None, :])


@public
def fiedler_companion(a: Any) -> Any:
    """A pentadiagonal matrix with the characteristic polynomial `a`.

    Returns
    -------
    Array
        A matrix (of a stack of arguments a stack), in the arguments' dtype or the float that arithmetic makes of it.

    Examples
    --------
    >>> fiedler_companion([1.0, -3.0, 2.0])
    Array([[ 3., -2.],
           [ 1.,  0.]])
    """
    a = operand(a, "fiedler_companion")
    a = a / a[..., :1]
    n = _size(a) - 1
    if n < 2:
        return -a[..., 1:, None] if n == 1 else np.zeros((0, 0), type_of(a).dtype)
    rows, columns, sources = _fiedler_places(n)
    index = np.full((n, n), n + 2)
    index[rows, columns] = sources
    unit = np.ones((*type_of(a).shape[:-1], 1), type_of(a).dtype)
    return _chosen(np.concatenate([-a, unit, _zeros(a, 1)], axis=-1), index)


def _fiedler_places(n: int) -> tuple[list[int], list[int], list[int]]:
    """Where coefficients stand (by number) and ones (by n + 1)."""
    places = [(0, 0, 1)]
    places += [(k, k + 1, k + 2) for k in range(0, n - 1, 2)]
    places += [(k, k + 2, n + 1) for k in range(0, n - 2, 2)]
    places += [(k + 2, k, n + 1) for k in range(1, n - 2, 2)]
    places += [(k + 1, k, k + 2) for k in range(1, n - 1, 2)]
    places += [(1, 0, n + 1)]
    rows, columns, sources = zip(*places, strict=True)
    return list(rows), list(columns), list(sources)


@public
def leslie(f: Any, s: Any) -> Any:
    """Fecundities in the first row, survivals below the diagonal.

    Returns
    -------
    Array
        A matrix (of a stack of arguments a stack), in the arguments' dtype or the float that arithmetic makes of it.

    Raises
    ------
    ValueError
        There is not one survival less than fecundities.

    Examples
    --------
    >>> leslie([0.5, 2.0], [0.1])
    Array([[0.5, 2. ],
           [0.1, 0. ]])
    """
    f, s = promoted("leslie", _line("leslie", f), _line("leslie", s))
    n = _size(f)
    if _size(s) != n - 1:
        raise ValueError(f"leslie: {n} fecundities go with {n - 1} survivals, not {_size(s)}{at_line()}")
    index = np.full((n, n), 2 * n - 1)
    index[0] = np.arange(n)
    index[np.arange(1, n), np.arange(n - 1)] = n + np.arange(n - 1)
    return _chosen(np.concatenate([f, s, _zeros(f, 1)], axis=-1), index)


@public
def convolution_matrix(a: Any, n: int, mode: str = "full") -> Any:
    """The matrix that convolves a vector of `n` elements with `a`.

    Returns
    -------
    Array
        A matrix (of a stack of arguments a stack), in the arguments' dtype or the float that arithmetic makes of it.

    Raises
    ------
    ValueError
        `n` is not positive, `a` is empty, or there is no such mode.

    Examples
    --------
    >>> convolution_matrix([1, 2], 2)
    Array([[1, 0],
           [2, 1],
           [0, 2]])
    """
    a = _line("convolution_matrix", a)
    m = _size(a)
    if n <= 0 or m == 0:
        raise ValueError(f"convolution_matrix: n must be positive and a not empty: n={n}, {m} elements{at_line()}")
    if mode not in ("full", "same", "valid"):
        raise ValueError(f"convolution_matrix: mode must be 'full', 'valid' or 'same', not {mode!r}{at_line()}")
    index = np.arange(m + n - 1)[:, None] - np.arange(n)
    index = np.where((index < 0) | (index >= m), m, index)
    if mode == "same":
        start = (min(m, n) - 1) // 2
        index = index[start : start + max(m, n)]
    elif mode == "valid":
        index = index[min(m, n) - 1 : max(m, n)]
    return _chosen(np.concatenate([a, _zeros(a, 1)], axis=-1), index)


@public
def block_diag(*arrs: Any) -> Any:
    """The matrices along the diagonal, zeros beside them.

    Returns
    -------
    Array
        A matrix with as many rows and columns as all of them together, in their promoted dtype.

    Raises
    ------
    ValueError
        An array has more than 2 axes.

    Examples
    --------
    >>> block_diag([[1]], [[2, 3]])
    Array([[1, 0, 0],
           [0, 2, 3]])
    """
    if not arrs:
        return np.zeros((1, 0))
    parts = [x if type_of(x).ndim > 1 else np.reshape(x, (1, -1)) for x in promoted("block_diag", *arrs)]
    if any(type_of(x).ndim > 2 for x in parts):
        raise ValueError(f"block_diag: matrices are needed, not arrays of more axes{at_line()}")
    total, before, rows = sum(_size(x) for x in parts), 0, []
    for x in parts:
        n, m = type_of(x).shape
        left = np.zeros((n, before), type_of(x).dtype)
        rows.append(np.concatenate([left, x, np.zeros((n, total - before - m), type_of(x).dtype)], axis=1))
        before += m
    return np.concatenate(rows, axis=0)
