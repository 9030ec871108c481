"""SciPy's functions of matrices: exponential, square root, polar factors, Sylvester's equation, any function."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from funcgrad.errors import at_line
from funcgrad.ops.comparison import convert
from funcgrad.ops.linalg import equations, functions, solves, spectral
from funcgrad.ops.linalg.matrices import H, rows_of
from funcgrad.scipy._public import inexact, matrix, public
from funcgrad.trace.frame import type_of


def _complexified(x: Any) -> Any:
    return convert(x, dtype=np.result_type(type_of(x).dtype, np.complex64))


@public
def expm(A: Any) -> Any:
    """The exponential of matrices (Al-Mohy and Higham 2009); differentiable at every matrix.

    Returns
    -------
    Array
        Of the shape of `a`; floats or complex numbers, integers count as float64.

    Examples
    --------
    >>> expm([[0.0, 1.0], [0.0, 0.0]])
    Array([[1., 1.],
           [0., 1.]])
    """
    return functions.expm(matrix("expm", A, square=True))


@public
def expm_frechet(
    A: Any, E: Any, method: str | None = None, compute_expm: bool = True, check_finite: bool = True
) -> Any:
    """The exponential of `A` and its derivative in the direction `E` (or the derivative alone).

    Returns
    -------
    tuple of Array or Array
        Both of the shape of `A`; floats or complex numbers.

    Raises
    ------
    ValueError
        The shapes differ.

    Examples
    --------
    >>> expm_frechet([[0.0]], [[2.0]], compute_expm=False)
    Array([[2.]])
    """
    a, e = inexact("expm_frechet", A, E)
    matrix("expm_frechet", a, square=True)
    if type_of(a).shape != type_of(e).shape:
        raise ValueError(f"expm_frechet: shapes {type_of(a).shape} and {type_of(e).shape} differ{at_line()}")
    moved = functions.frechet(a, e)
    return (functions.expm(a), moved) if compute_expm else moved


@public
def sqrtm(A: Any) -> Any:
    """The principal square root of matrices, always complex.

    Returns
    -------
    Array
        Complex, of the shape of `A`.

    Examples
    --------
    >>> sqrtm([[4.0, 0.0], [0.0, -1.0]])
    Array([[2.+0.j, 0.+0.j],
           [0.+0.j, 0.+1.j]])
    """
    return equations.sqrtm(_complexified(matrix("sqrtm", A, square=True)))


@public
def funm(A: Any, func: Callable[[Any], Any], disp: bool = True) -> Any:
    """A function of diagonalizable matrices, from `func` of the eigenvalues: ``V @ diag(func(w)) @ inv(V)``; complex.

    With ``disp=False`` also an estimate of the relative error, as in SciPy.

    Returns
    -------
    Array
        Complex, of the shape of `A`; with ``disp=False`` a pair of it and an estimate of its error.

    Examples
    --------
    >>> import numpy as np
    >>> funm([[1.0, 0.0], [0.0, 4.0]], np.sqrt)
    Array([[1.+0.j, 0.+0.j],
           [0.+0.j, 2.+0.j]])
    """
    a = matrix("funm", A, square=True)
    w, v = spectral.eig(a, compute_vectors=True)
    out = (v * rows_of(func(w), type_of(v).shape)) @ solves.inv(v)
    if disp:
        return out
    size = np.max(np.abs(v), axis=(-2, -1)) * np.max(np.abs(solves.inv(v)), axis=(-2, -1))
    return out, size * np.finfo(type_of(v).dtype).eps


@public
def polar(a: Any, side: str = "right") -> tuple[Any, Any]:
    """U with orthonormal columns and P positive: ``a = U @ P`` (or ``P @ U`` for ``side="left"``).

    Derivatives go through the singular value decomposition: singular values must differ.

    Returns
    -------
    tuple of Array
        U of the shape of `a`, and P square.

    Raises
    ------
    ValueError
        `side` is something else.

    Examples
    --------
    >>> polar([[0.0, 2.0], [3.0, 0.0]])[1]
    Array([[3., 0.],
           [0., 2.]])
    """
    if side not in ("right", "left"):
        raise ValueError(f"polar: side must be 'right' or 'left', not {side!r}{at_line()}")
    u, s, vh = spectral.svd(matrix("polar", a), full_matrices=False, compute_uv=True)
    if side == "right":
        return u @ vh, (H(vh) * rows_of(s, type_of(H(vh)).shape)) @ vh
    return u @ vh, (u * rows_of(s, type_of(u).shape)) @ H(u)


@public
def solve_sylvester(a: Any, b: Any, q: Any) -> Any:
    """x with ``a @ x + x @ b = q``.

    Returns
    -------
    Array
        x, of the shape of `q`.

    Raises
    ------
    ValueError
        `q` does not fit the matrices.

    Examples
    --------
    >>> solve_sylvester([[1.0]], [[2.0]], [[6.0]])
    Array([[2.]])
    """
    a, b, q = inexact("solve_sylvester", a, b, q)
    sizes = type_of(matrix("solve_sylvester", a, True)).shape[-1], type_of(matrix("solve_sylvester", b, True)).shape[-1]
    if type_of(q).shape[-2:] != sizes:
        raise ValueError(f"solve_sylvester: {type_of(q).shape} does not fit matrices of {sizes} rows{at_line()}")
    return equations.sylvester(a, b, q)
