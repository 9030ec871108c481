"""SciPy's linear algebra, differentiable: ``scipy.linalg`` as far as `jax.scipy.linalg` goes, on stacks of matrices.

`overwrite_a`, `check_finite` and the like are accepted and mean nothing. A matrix that LAPACK refuses raises
`LinAlgError`, by compiled programs too.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.linalg import LinAlgError

from funcgrad.errors import at_line
from funcgrad.numpy import linalg as nla
from funcgrad.ops import complex as cx
from funcgrad.ops.comparison import convert, eq
from funcgrad.ops.linalg import equations, factorizations, reflections, solves, spectral
from funcgrad.ops.linalg.matrices import INT64, H, conj, diagonal, from_diagonal, rows_of, tril, triu
from funcgrad.ops.shape import iota, reshape
from funcgrad.scipy._functions import expm, expm_frechet, funm, polar, solve_sylvester, sqrtm
from funcgrad.scipy._matrices import (
    block_diag,
    circulant,
    companion,
    convolution_matrix,
    dft,
    fiedler,
    fiedler_companion,
    hadamard,
    hankel,
    helmert,
    hilbert,
    invhilbert,
    invpascal,
    leslie,
    pascal,
    toeplitz,
)
from funcgrad.scipy._public import inexact, matrix, public
from funcgrad.trace.frame import type_of

TRANSPOSITIONS = {0: 0, 1: 1, 2: 2, "N": 0, "T": 1, "C": 2}


def _columns(name: str, a: Any, b: Any) -> tuple[Any, Any, bool]:
    """A square matrix, right sides as columns, and whether they were one vector."""
    a, b = inexact(name, a, b)
    matrix(name, a, square=True)
    shape = type_of(b).shape
    flat = len(shape) == 1
    if not shape or (shape[0] if flat else shape[-2]) != type_of(a).shape[-1]:
        raise ValueError(f"{name}: shapes {type_of(a).shape} and {shape} are incompatible{at_line()}")
    b = reshape(b, shape=(*shape, 1)) if flat else b
    stack = np.broadcast_shapes(type_of(a).shape[:-2], type_of(b).shape[:-2])
    a = np.broadcast_to(a, (*stack, *type_of(a).shape[-2:]))
    return a, np.broadcast_to(b, (*stack, *type_of(b).shape[-2:])), flat


def _vector(x: Any, flat: bool) -> Any:
    return x[..., 0] if flat else x


def _solve_triangle(a: Any, b: Any, *, lower: bool, flip: int = 0, unit: bool = False) -> Any:
    return solves.triangular_solve(
        a, b, left_side=True, lower=lower, transpose_a=flip > 0, conjugate_a=flip == 2 and cx.is_complex(a),
        unit_diagonal=unit,
    )  # fmt: skip


# Solutions -----------------------------------------------------------------------------------------------------------


@public
def solve(
    a: Any,
    b: Any,
    lower: bool = False,
    overwrite_a: bool = False,
    overwrite_b: bool = False,
    check_finite: bool = True,
    assume_a: str | None = None,
) -> Any:
    """x with ``a @ x = b``; with ``assume_a="pos"`` by Cholesky factors of one triangle.

    Returns
    -------
    Array
        x, of the shape of `b`; floats or complex numbers.

    Raises
    ------
    ValueError
        `assume_a` is something else.

    Examples
    --------
    >>> solve([[2.0, 0.0], [0.0, 4.0]], [2.0, 4.0])
    Array([1., 1.])
    """
    kinds = (None, "gen", "general", "sym", "symmetric", "her", "hermitian", "pos", "positive definite")
    if assume_a not in kinds:
        raise ValueError(f"solve: assume_a {assume_a!r} is not a recognized structure{at_line()}")
    if assume_a in ("pos", "positive definite"):
        return cho_solve(cho_factor(a, lower), b)
    a, b, flat = _columns("solve", a, b)
    return _vector(solves.solve(a, b), flat)


@public
def solve_triangular(
    a: Any,
    b: Any,
    trans: int | str = 0,
    lower: bool = False,
    unit_diagonal: bool = False,
    overwrite_b: bool = False,
    check_finite: bool = True,
) -> Any:
    """x with ``op(a) @ x = b`` for a triangle of `a`; `trans`: 0 or ``"N"``, 1 or ``"T"``, 2 or ``"C"``.

    Returns
    -------
    Array
        x, of the shape of `b`; floats or complex numbers.

    Raises
    ------
    numpy.linalg.LinAlgError
        The diagonal has a zero.
    ValueError
        `trans` is something else.

    Examples
    --------
    >>> solve_triangular([[2.0, 0.0], [1.0, 1.0]], [4.0, 3.0], lower=True)
    Array([2., 1.])
    """
    if trans not in TRANSPOSITIONS:
        raise ValueError(f"solve_triangular: trans must be 0, 1, 2, 'N', 'T' or 'C', not {trans!r}{at_line()}")
    a, b, flat = _columns("solve_triangular", a, b)
    if not unit_diagonal:
        solves.check_nonzero(diagonal(a), message="singular matrix: a diagonal element is 0")
    return _vector(_solve_triangle(a, b, lower=lower, flip=TRANSPOSITIONS[trans], unit=unit_diagonal), flat)


@public
def inv(a: Any, overwrite_a: bool = False, check_finite: bool = True) -> Any:
    """The inverse.

    Returns
    -------
    Array
        Of the shape of `a`; floats or complex numbers, integers count as float64.

    Examples
    --------
    >>> inv([[2.0, 0.0], [0.0, 4.0]])
    Array([[0.5 , 0.  ],
           [0.  , 0.25]])
    """
    return solves.inv(matrix("inv", a, square=True))


@public
def det(a: Any, overwrite_a: bool = False, check_finite: bool = True) -> Any:
    """The determinant.

    Returns
    -------
    Array
        Of the stack's shape; floats or complex numbers.

    Examples
    --------
    >>> det([[1.0, 2.0], [3.0, 5.0]])
    Array(-1.)
    """
    return nla.det(matrix("det", a, square=True))


# Factorizations ------------------------------------------------------------------------------------------------------


@public
def cholesky(a: Any, lower: bool = False, overwrite_a: bool = False, check_finite: bool = True) -> Any:
    """The upper (or lower) Cholesky factor, from the same triangle of `a`.

    Returns
    -------
    Array
        Of the shape of `a`; floats or complex numbers, integers count as float64.

    Examples
    --------
    >>> cholesky([[4.0, 2.0], [2.0, 5.0]])
    Array([[2., 1.],
           [0., 2.]])
    """
    return nla.cholesky(matrix("cholesky", a, square=True), upper=not lower)


@public
def cho_factor(a: Any, lower: bool = False, overwrite_a: bool = False, check_finite: bool = True) -> tuple[Any, bool]:
    """A Cholesky factor for `cho_solve`, and whether it is the lower one.

    Returns
    -------
    tuple
        A matrix of the shape and dtype of `a` (its other triangle is not meant), and `lower`.

    Examples
    --------
    >>> cho_solve(cho_factor([[4.0]]), [8.0])
    Array([2.])
    """
    return cholesky(a, lower), bool(lower)


@public
def cho_solve(c_and_lower: tuple[Any, bool], b: Any, overwrite_b: bool = False, check_finite: bool = True) -> Any:
    """x with ``a @ x = b`` from the factor of `a` that `cho_factor` gives.

    Returns
    -------
    Array
        x, of the shape of `b`; floats or complex numbers.

    Examples
    --------
    >>> import numpy as np
    >>> from funcgrad.scipy import linalg
    >>> linalg.cho_solve(linalg.cho_factor(np.diag([4.0, 9.0])), np.array([4.0, 18.0]))
    Array([1., 2.])
    """
    factor, lower = c_and_lower
    c, b, flat = _columns("cho_solve", factor, b)
    inner = _solve_triangle(c, b, lower=bool(lower), flip=0 if lower else 2)
    return _vector(_solve_triangle(c, inner, lower=bool(lower), flip=2 if lower else 0), flat)


@public
def lu_factor(a: Any, overwrite_a: bool = False, check_finite: bool = True) -> tuple[Any, Any]:
    """Both triangular factors in one matrix, and LAPACK's exchanges of rows (from 0).

    Returns
    -------
    tuple of Array
        Of the shape of `a`, floats or complex numbers, and int32 of shape (..., min(m, n)).

    Examples
    --------
    >>> lu_factor([[1.0, 2.0], [2.0, 2.0]])[1]
    Array([1, 1], dtype=int32)
    """
    factors, pivots, _ = factorizations.lu(matrix("lu_factor", a))
    return factors, pivots


@public
def lu_solve(
    lu_and_piv: tuple[Any, Any], b: Any, trans: int = 0, overwrite_b: bool = False, check_finite: bool = True
) -> Any:
    """x with ``op(a) @ x = b`` from what `lu_factor` gives.

    Returns
    -------
    Array
        x, of the shape of `b`; floats or complex numbers.

    Examples
    --------
    >>> import numpy as np
    >>> from funcgrad.scipy import linalg
    >>> linalg.lu_solve(linalg.lu_factor(np.diag([2.0, 4.0])), np.array([2.0, 8.0]))
    Array([1., 2.])
    """
    factors, b, flat = _columns("lu_solve", lu_and_piv[0], b)
    n = type_of(factors).shape[-1]
    permutation = factorizations.lu_pivots_to_permutation(convert(lu_and_piv[1], dtype=np.dtype(np.int32)), size=n)
    permutation = np.broadcast_to(permutation, type_of(factors).shape[:-1])
    if trans == 2:
        return conj(_vector(solves.lu_solve(factors, permutation, conj(b), transposed=True), flat))
    return _vector(solves.lu_solve(factors, permutation, b, transposed=trans == 1), flat)


@public
def lu(a: Any, permute_l: bool = False, overwrite_a: bool = False, check_finite: bool = True) -> tuple[Any, ...]:
    """``a = P @ L @ U``: three matrices, or ``P @ L`` and U.

    Returns
    -------
    tuple of Array
        Floats or complex numbers; for an m × n matrix with k = min(m, n) of shapes (m, m), (m, k) and (k, n).

    Examples
    --------
    >>> lu([[1.0, 2.0], [2.0, 2.0]])[2]
    Array([[2., 2.],
           [0., 1.]])
    """
    a = matrix("lu", a)
    m, n = type_of(a).shape[-2:]
    factors, _, permutation = factorizations.lu(a)
    lower = factorizations.lower_of(factors)[..., : min(m, n)]
    upper = triu(factors[..., : min(m, n), :])
    shape = (*type_of(a).shape[:-2], m, m)
    rows = iota(dtype=INT64, shape=shape, dimension=len(shape) - 2)
    p = convert(eq(rows, rows_of(convert(permutation, dtype=INT64), shape)), dtype=cx.to_real(type_of(a).dtype))
    return (convert(p, dtype=type_of(lower).dtype) @ lower, upper) if permute_l else (p, lower, upper)


@public
def qr(
    a: Any,
    overwrite_a: bool = False,
    lwork: Any = None,
    mode: str = "full",
    pivoting: bool = False,
    check_finite: bool = True,
) -> tuple[Any, ...]:
    """Orthonormal columns and a triangle; `mode`: ``"full"``, ``"economic"``, ``"r"``.

    Returns
    -------
    tuple of Array
        Q and R (``"r"``: R alone), floats or complex numbers.

    Raises
    ------
    ValueError
        There is no such mode.
    TypeError
        `pivoting` is asked for.

    Examples
    --------
    >>> qr([[3.0], [4.0]], mode="economic")[1]
    Array([[-5.]])
    """
    if mode not in ("full", "economic", "r"):
        raise ValueError(f"qr: mode must be 'full', 'economic' or 'r', not {mode!r}{at_line()}")
    if pivoting:
        raise TypeError(f"qr: pivoting=True is not supported: use svd for the rank of a matrix{at_line()}")
    q, r = factorizations.qr(matrix("qr", a), full_matrices=mode != "economic")
    return (r,) if mode == "r" else (q, r)


@public
def hessenberg(a: Any, calc_q: bool = False, overwrite_a: bool = False, check_finite: bool = True) -> Any:
    """H with ``a = Q @ H @ Q^H`` and nothing below its first subdiagonal; with `calc_q` Q too. No derivative.

    Returns
    -------
    Array or tuple of Array
        Of the shape of `a`; floats or complex numbers.

    Examples
    --------
    >>> import numpy as np
    >>> from funcgrad.scipy import linalg
    >>> linalg.hessenberg(np.diag([1.0, 2.0]))
    Array([[1., 0.],
           [0., 2.]])
    """
    a = matrix("hessenberg", a, square=True)
    packed, taus = reflections.hessenberg(a)
    h = triu(packed, -1)
    if not calc_q:
        return h
    *lead, n, _ = type_of(a).shape
    inner = reflections.householder_product(packed[..., 1:, :-1], taus) if n > 1 else None
    q = np.broadcast_to(np.eye(n, dtype=type_of(a).dtype), (*lead, n, n))
    if inner is not None:
        top = np.broadcast_to(np.eye(1, n, dtype=type_of(a).dtype), (*lead, 1, n))
        side = np.zeros((*lead, n - 1, 1), type_of(a).dtype)
        q = np.concatenate([top, np.concatenate([side, inner], axis=-1)], axis=-2)
    return h, q


@public
def schur(a: Any, output: str = "real", overwrite_a: bool = False, check_finite: bool = True) -> tuple[Any, Any]:
    """T and Z with ``a = Z @ T @ Z^H`` and T triangular (``output="real"``: with blocks of 2). No derivative.

    Returns
    -------
    tuple of Array
        T and Z, of the matrices' shape; complex unless `schur` is asked for the real form.

    Raises
    ------
    ValueError
        `output` is something else.

    Examples
    --------
    >>> import numpy as np
    >>> from funcgrad.scipy import linalg
    >>> linalg.schur(np.diag([1.0, 2.0]))[0]
    Array([[1., 0.],
           [0., 2.]])
    """
    if output not in ("real", "complex", "r", "c"):
        raise ValueError(f"schur: output must be 'real' or 'complex', not {output!r}{at_line()}")
    a = matrix("schur", a, square=True)
    return spectral.schur(_complexified(a) if output[0] == "c" else a)  # type: ignore[no-any-return]


def _complexified(x: Any) -> Any:
    return convert(x, dtype=np.result_type(type_of(x).dtype, np.complex64))


@public
def rsf2csf(T: Any, Z: Any, check_finite: bool = True) -> tuple[Any, Any]:
    """A real Schur pair as a complex one. No derivative.

    Returns
    -------
    tuple of Array
        T and Z, of the matrices' shape; complex unless `schur` is asked for the real form.

    Examples
    --------
    >>> import numpy as np
    >>> from funcgrad.scipy import linalg
    >>> linalg.rsf2csf(np.diag([1.0, 2.0]), np.eye(2))[0].real
    Array([[1., 0.],
           [0., 2.]])
    """
    t, z = inexact("rsf2csf", T, Z)
    return equations.rsf2csf(t, z)  # type: ignore[no-any-return]


@public
def svd(
    a: Any,
    full_matrices: bool = True,
    compute_uv: bool = True,
    overwrite_a: bool = False,
    check_finite: bool = True,
    lapack_driver: str = "gesdd",
) -> Any:
    """The singular value decomposition.

    Returns
    -------
    tuple of Array or Array
        U, the singular values (floats, descending) and Vh; only the values without `compute_uv`.

    Examples
    --------
    >>> svd([[0.0, 2.0], [1.0, 0.0]], compute_uv=False)
    Array([2., 1.])
    """
    out = spectral.svd(matrix("svd", a), full_matrices=bool(full_matrices), compute_uv=bool(compute_uv))
    return tuple(out) if compute_uv else out[0]


# Eigenvalues ---------------------------------------------------------------------------------------------------------


@public
def eigh(
    a: Any,
    b: Any = None,
    lower: bool = True,
    eigvals_only: bool = False,
    overwrite_a: bool = False,
    overwrite_b: bool = False,
    type: int = 1,
    check_finite: bool = True,
) -> Any:
    """Eigenvalues (and vectors) of Hermitian `a`, or of the pair with positive `b`: ``a @ v = w * (b @ v)`` for
    `type` 1, ``a @ b @ v = w * v`` for 2, ``b @ a @ v = w * v`` for 3.

    Returns
    -------
    tuple of Array or Array
        Eigenvalues, ascending floats of shape (..., n), and vectors as columns; only the values with `eigvals_only`.

    Raises
    ------
    ValueError
        `type` is none of 1, 2 and 3.

    Examples
    --------
    >>> eigh([[2.0, 0.0], [0.0, 8.0]], [[1.0, 0.0], [0.0, 2.0]], eigvals_only=True)
    Array([2., 4.])
    """
    if type not in (1, 2, 3):
        raise ValueError(f"eigh: type must be 1, 2 or 3, not {type!r}{at_line()}")
    a, *rest = inexact("eigh", a) if b is None else inexact("eigh", a, b)
    a, *rest = (matrix("eigh", x, square=True) for x in (a, *rest))
    a, *rest = (x if lower else H(x) for x in (a, *rest))
    if not rest:
        out = spectral.eigh(a, compute_vectors=not eigvals_only)
        return out[0] if eigvals_only else tuple(out)
    factor, whole = factorizations.cholesky(rest[0]), _whole(a)
    if type == 1:
        inner = _solve_triangle(factor, H(_solve_triangle(factor, whole, lower=True)), lower=True)
    else:
        inner = H(factor) @ whole @ factor
    out = spectral.eigh(inner, compute_vectors=not eigvals_only)
    if eigvals_only:
        return out[0]
    w, y = out
    return w, (factor @ y if type == 3 else _solve_triangle(factor, y, lower=True, flip=2))


def _whole(a: Any) -> Any:
    """The Hermitian matrix of which the lower triangle is given."""
    below = tril(a, -1)
    middle = from_diagonal(diagonal(a))
    return below + H(below) + (middle if not cx.is_complex(a) else convert(cx.real(middle), dtype=type_of(a).dtype))


@public
def eigh_tridiagonal(
    d: Any, e: Any, eigvals_only: bool = False, select: str = "a", select_range: tuple[int, int] | None = None
) -> Any:
    """Eigenvalues (and vectors) of a tridiagonal Hermitian matrix; ``select="i"`` takes those in a range of numbers.

    Returns
    -------
    tuple of Array or Array
        Eigenvalues, ascending floats, and vectors as columns; only the values with `eigvals_only`.

    Raises
    ------
    ValueError
        `select` is something else, `select_range` is missing, or the lengths do not fit.

    Examples
    --------
    >>> eigh_tridiagonal([1.0, 3.0], [0.0], eigvals_only=True)
    Array([1., 3.])
    """
    if select not in ("a", "all", "i"):
        raise ValueError(f"eigh_tridiagonal: select is 'a' or 'i', not {select!r}: "
                         f"how many eigenvalues lie in an interval depends on values{at_line()}")  # fmt: skip
    d, e = inexact("eigh_tridiagonal", d, e)
    shape = (*type_of(d).shape, type_of(d).shape[-1])
    n = shape[-1]
    if type_of(e).shape[-1] != max(n - 1, 0):
        raise ValueError(f"eigh_tridiagonal: shapes {type_of(d).shape} and {type_of(e).shape} do not fit{at_line()}")
    beside = np.concatenate([e, np.zeros((*type_of(e).shape[:-1], 1), type_of(e).dtype)], axis=-1)
    below = np.where(np.eye(n, k=-1, dtype=np.bool_), rows_of(beside, shape), type_of(e).dtype.type(0))
    out = spectral.eigh(from_diagonal(d) + below, compute_vectors=not eigvals_only)
    if select == "i":
        if select_range is None:
            raise ValueError(f"eigh_tridiagonal: select='i' needs select_range{at_line()}")
        chosen = slice(int(select_range[0]), int(select_range[1]) + 1)
        out = tuple(x[..., chosen] for x in out)
    return out[0] if eigvals_only else tuple(out)


__all__ = [
    "LinAlgError", "block_diag", "cho_factor", "cho_solve", "cholesky", "circulant", "companion",
    "convolution_matrix", "det", "dft", "eigh", "eigh_tridiagonal", "expm", "expm_frechet", "fiedler",
    "fiedler_companion", "funm", "hadamard", "hankel", "helmert", "hessenberg", "hilbert", "inv", "invhilbert",
    "invpascal", "leslie", "lu", "lu_factor", "lu_solve", "pascal", "polar", "qr", "rsf2csf", "schur", "solve",
    "solve_sylvester", "solve_triangular", "sqrtm", "svd", "toeplitz",
]  # fmt: skip
