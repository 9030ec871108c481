"""Linear algebra of `jax.lax.linalg`, by name, argument order and meaning, on stacks of matrices.

Where LAPACK fails, `LinAlgError` is raised (JAX returns NaN). What JAX offers for other hardware is left out.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.errors import at_line
from funcgrad.lax._arguments import public
from funcgrad.ops import complex as cx
from funcgrad.ops.linalg import factorizations, reflections, solves, spectral
from funcgrad.ops.linalg.matrices import H, T, hermitian, rows_of
from funcgrad.ops.shape import pad, reshape
from funcgrad.trace.frame import type_of


@public
def cholesky(x: Any, *, symmetrize_input: bool = True) -> Any:
    """The lower Cholesky factor.

    Parameters
    ----------
    x
        Hermitian positive matrices, ``(..., n, n)``.
    symmetrize_input
        Whether the Hermitian part is taken first; otherwise the lower triangle is read.

    Returns
    -------
    Array
        A triangle of the argument's shape and dtype.

    Raises
    ------
    numpy.linalg.LinAlgError
        A matrix is not positive definite.

    Examples
    --------
    >>> import numpy as np
    >>> cholesky(np.array([[4.0, 2.0], [2.0, 5.0]]))
    Array([[2., 0.],
           [1., 2.]])
    """
    return factorizations.cholesky(hermitian(x) if symmetrize_input else x)


@public
def cholesky_update(r_matrix: Any, w_vector: Any) -> Any:
    """The upper factor of ``R.T @ R + w @ w.T`` from R: that of R with w as one more row.

    Returns
    -------
    Array
        A triangle of the argument's shape and dtype.

    Examples
    --------
    >>> import numpy as np
    >>> cholesky_update(np.array([[3.0]]), np.array([4.0]))
    Array([[5.]])
    """
    shape = type_of(r_matrix).shape
    row = reshape(w_vector, shape=(*shape[:-2], 1, shape[-1]))
    _, r = factorizations.qr(np.concatenate([r_matrix, row], axis=-2), full_matrices=False)
    signs = np.where(np.diagonal(r, 0, -2, -1) < 0, type_of(r).dtype.type(-1), type_of(r).dtype.type(1))
    return T(T(r) * rows_of(signs, shape))


@public
def eig(x: Any, *, compute_left_eigenvectors: bool = True, compute_right_eigenvectors: bool = True) -> list[Any]:
    """Eigenvalues, left and right eigenvectors (those that are asked for) of general matrices; always complex.

    Returns
    -------
    list of Array
        Complex: eigenvalues of shape (..., n), and matrices (..., n, n) whose columns are vectors.

    Examples
    --------
    >>> import numpy as np
    >>> eig(np.diag([1.0, 2.0]), compute_left_eigenvectors=False)[0]
    Array([1.+0.j, 2.+0.j])
    """
    if not (compute_left_eigenvectors or compute_right_eigenvectors):
        return list(spectral.eig(x, compute_vectors=False))
    w, right = spectral.eig(x, compute_vectors=True)
    found = [w]
    if compute_left_eigenvectors:
        left = H(solves.inv(right))
        found.append(left / rows_of(np.sqrt(np.sum(np.abs(left) ** 2, axis=-2)), type_of(left).shape))
    return [*found, right] if compute_right_eigenvectors else found


@public
def eigh(
    x: Any, *, lower: bool = True, symmetrize_input: bool = True, sort_eigenvalues: bool = True
) -> tuple[Any, Any]:
    """Eigenvectors and eigenvalues (in this order) of Hermitian matrices.

    Returns
    -------
    tuple of Array
        Vectors as columns, (..., n, n), in the dtype of `x`, and eigenvalues, (..., n), floats in ascending order.

    Examples
    --------
    >>> import numpy as np
    >>> eigh(np.diag([2.0, 1.0]))[1]
    Array([1., 2.])
    """
    x = hermitian(x) if symmetrize_input else x if lower else H(x)
    w, v = spectral.eigh(x, compute_vectors=True)
    return v, w


@public
def hessenberg(a: Any) -> tuple[Any, Any]:
    """Similar matrices with one diagonal below the main one, in LAPACK's form: reflections below, and their factors.

    Returns
    -------
    tuple of Array
        Of shapes (..., n, n) and (..., n - 1), in the dtype of `a`.

    Examples
    --------
    >>> import numpy as np
    >>> hessenberg(np.eye(3))[1]
    Array([0., 0.])
    """
    return reflections.hessenberg(a)  # type: ignore[no-any-return]


@public
def householder_product(a: Any, taus: Any) -> Any:
    """The first columns of the product of the reflections that LAPACK keeps in `a` and `taus`.

    Returns
    -------
    Array
        Of the shape and dtype of `a`.

    Examples
    --------
    >>> import numpy as np
    >>> householder_product(np.zeros((2, 2)), np.array([2.0, 0.0]))
    Array([[-1.,  0.],
           [-0.,  1.]])
    """
    return reflections.householder_product(a, taus)


@public
def lu(x: Any) -> tuple[Any, Any, Any]:
    """Both triangular factors in one matrix, LAPACK's pivots (from 0), and the permutation of rows.

    Returns
    -------
    tuple of Array
        Of the shape and dtype of `x`; int32 of shape (..., min(m, n)); int32 of shape (..., m).

    Examples
    --------
    >>> import numpy as np
    >>> lu(np.array([[1.0, 2.0], [2.0, 2.0]]))[2]
    Array([1, 0], dtype=int32)
    """
    return factorizations.lu(x)  # type: ignore[no-any-return]


@public
def lu_pivots_to_permutation(pivots: Any, permutation_size: int) -> Any:
    """The permutation that successive exchanges of rows make.

    Returns
    -------
    Array
        int32, of shape (..., permutation_size).

    Examples
    --------
    >>> import numpy as np
    >>> lu_pivots_to_permutation(np.array([2, 2], np.int32), 3)
    Array([2, 0, 1], dtype=int32)
    """
    return factorizations.lu_pivots_to_permutation(pivots, size=permutation_size)


@public
def ormqr(a: Any, taus: Any, c: Any, *, left: bool = True, transpose: bool = False) -> Any:
    """The product of `c` and the square Q of reflections (``Q @ c``, ``c @ Q``, or with ``Q^H``).

    Returns
    -------
    Array
        Of the shape and dtype of `c`.

    Examples
    --------
    >>> import numpy as np
    >>> ormqr(np.zeros((2, 1)), np.array([2.0]), np.eye(2))
    Array([[-1.,  0.],
           [ 0.,  1.]])
    """
    *lead, m, n = type_of(a).shape
    zero, keep = type_of(a).dtype.type(0), [(0, 0, 0)] * len(lead)
    square = pad(a, zero, padding_config=(*keep, (0, 0, 0), (0, m - n, 0)))
    factors = pad(taus, zero, padding_config=(*keep, (0, m - type_of(taus).shape[-1], 0)))
    q = reflections.householder_product(square, factors)
    q = H(q) if transpose else q
    return q @ c if left else c @ q


@public
def qr(x: Any, *, pivoting: bool = False, full_matrices: bool = True) -> tuple[Any, Any]:
    """Orthonormal columns and a triangle.

    Returns
    -------
    tuple of Array
        Q and R in the dtype of `x`: of shapes (..., m, m) and (..., m, n), or with k = min(m, n) for m and m's place
        unless `full_matrices`.

    Raises
    ------
    TypeError
        `pivoting` is asked for.

    Examples
    --------
    >>> import numpy as np
    >>> qr(np.array([[3.0], [4.0]]), full_matrices=False)[1]
    Array([[-5.]])
    """
    if pivoting:
        raise TypeError(f"qr: pivoting=True is not supported: use svd for the rank of a matrix{at_line()}")
    return factorizations.qr(x, full_matrices=full_matrices)  # type: ignore[no-any-return]


@public
def schur(x: Any, *, compute_schur_vectors: bool = True) -> tuple[Any, ...]:
    """The (real, for real matrices) triangular form and its orthonormal basis; no derivative.

    Returns
    -------
    tuple of Array
        T and the vectors (T alone without `compute_schur_vectors`), of the shape and dtype of `x`.

    Examples
    --------
    >>> import numpy as np
    >>> schur(np.array([[1.0, 2.0], [0.0, 3.0]]))[0]
    Array([[1., 2.],
           [0., 3.]])
    """
    form, vectors = spectral.schur(x)
    return (form, vectors) if compute_schur_vectors else (form,)


@public
def svd(x: Any, *, full_matrices: bool = True, compute_uv: bool = True) -> Any:
    """The singular value decomposition, or only its values.

    Returns
    -------
    tuple of Array
        U, the singular values (floats, descending) and Vh; only the values without `compute_uv`.

    Examples
    --------
    >>> import numpy as np
    >>> svd(np.diag([1.0, 2.0]), compute_uv=False)
    Array([2., 1.])
    """
    out = spectral.svd(x, full_matrices=full_matrices, compute_uv=compute_uv)
    return out if compute_uv else out[0]


@public
def symmetric_product(
    a_matrix: Any, c_matrix: Any, *, alpha: float = 1.0, beta: float = 0.0, symmetrize_output: bool = False
) -> Any:
    """``alpha * a @ a.T + beta * c`` (all of it: it is symmetric whether or not `symmetrize_output` asks for it).

    Returns
    -------
    Array
        Of shape (..., n, n), in the dtype of `a_matrix`.

    Examples
    --------
    >>> import numpy as np
    >>> symmetric_product(np.array([[1.0], [2.0]]), np.zeros((2, 2)))
    Array([[1., 2.],
           [2., 4.]])
    """
    return alpha * (a_matrix @ T(a_matrix)) + beta * c_matrix


@public
def triangular_solve(
    a: Any,
    b: Any,
    *,
    left_side: bool = False,
    lower: bool = False,
    transpose_a: bool = False,
    conjugate_a: bool = False,
    unit_diagonal: bool = False,
) -> Any:
    """x with ``op(a) @ x = b``, or ``x @ op(a) = b``; a zero on the diagonal gives infinities and NaN.

    Returns
    -------
    Array
        Of the shape and dtype of `b`.

    Examples
    --------
    >>> import numpy as np
    >>> triangular_solve(np.array([[2.0, 0.0], [1.0, 1.0]]), np.array([4.0, 3.0]), left_side=True, lower=True)
    Array([2., 1.])
    """
    shape = type_of(b).shape
    flat = len(shape) == type_of(a).ndim - 1
    matrix = reshape(b, shape=(*shape, 1) if left_side else (*shape[:-1], 1, shape[-1])) if flat else b
    x = solves.triangular_solve(
        a,
        matrix,
        left_side=left_side,
        lower=lower,
        transpose_a=transpose_a,
        conjugate_a=conjugate_a and cx.is_complex(a),
        unit_diagonal=unit_diagonal,
    )
    return reshape(x, shape=shape) if flat else x


@public
def tridiagonal(a: Any, *, lower: bool = True) -> tuple[Any, Any, Any, Any]:
    """A Hermitian matrix as a similar tridiagonal one: reflections, diagonal, off-diagonal, their factors.

    Returns
    -------
    tuple of Array
        Of shapes (..., n, n), (..., n), (..., n - 1) and (..., n - 1); diagonals are floats.

    Examples
    --------
    >>> import numpy as np
    >>> tridiagonal(np.array([[1.0, 2.0], [2.0, 3.0]]))[2]
    Array([2.])
    """
    return reflections.tridiagonal(a, lower=lower)  # type: ignore[no-any-return]


@public
def tridiagonal_solve(dl: Any, d: Any, du: Any, b: Any) -> Any:
    """x with the tridiagonal matrix times x = b; ``dl[0]`` and ``du[-1]`` are not read.

    Returns
    -------
    Array
        Of the shape and dtype of `b`.

    Examples
    --------
    >>> import numpy as np
    >>> tridiagonal_solve(np.zeros(2), np.array([2.0, 4.0]), np.zeros(2), np.array([[2.0], [4.0]]))
    Array([[1.],
           [1.]])
    """
    return solves.tridiagonal_solve(dl, d, du, b)


__all__ = [
    "cholesky", "cholesky_update", "eig", "eigh", "hessenberg", "householder_product", "lu", "lu_pivots_to_permutation",
    "ormqr", "qr", "schur", "svd", "symmetric_product", "triangular_solve", "tridiagonal", "tridiagonal_solve",
]  # fmt: skip
