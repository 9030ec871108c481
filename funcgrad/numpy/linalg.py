"""NumPy's linear algebra, differentiable: ``numpy.linalg`` by name, signature and meaning, on stacks of matrices.

Where LAPACK fails (a singular matrix, one that is not positive definite), `LinAlgError` is raised, by compiled
programs too. Functions of Hermitian matrices read one triangle, as NumPy's do, and their derivatives are those along
Hermitian matrices. Derivatives of eigenvectors and singular vectors divide by differences of eigenvalues and of
singular values: where those repeat, only functions of the values alone have one.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.linalg import LinAlgError

from funcgrad.array import as_array
from funcgrad.errors import at_line
from funcgrad.numpy import _examples, _results
from funcgrad.numpy._common import broadcast_shape, broadcast_to, cast, has_tracer, implements, operand
from funcgrad.numpy._linalg_products import (
    cross,
    diagonal,
    matmul,
    matrix_transpose,
    multi_dot,
    outer,
    plain_shape,
    tensordot,
    trace,
    vecdot,
)
from funcgrad.numpy._norms import cond, matrix_norm, norm, vector_norm
from funcgrad.ops.linalg import factorizations, functions, reflections, solves, spectral
from funcgrad.ops.linalg.matrices import H, T, eye, rows_of
from funcgrad.ops.shape import reshape
from funcgrad.trace.frame import type_of
from funcgrad.trace.tracer import functions as replacements

Shape = tuple[int, ...]
_named: dict[str, Any] = {}


def _result(name: str, like: Callable[..., Any], *parts: Any) -> Any:
    """NumPy's named tuple of results."""
    if name not in _named:
        _named[name] = type(like(np.eye(1)))
    return _named[name](*parts)


def as_matrices(name: str, x: Any, square: bool = False) -> Any:
    """An operand as matrices of a dtype that has linear algebra: integers become float64."""
    x = operand(x, name)
    t = type_of(x)
    if t.ndim < 2:
        raise LinAlgError(
            f"{name}: {t.ndim}-dimensional array given (shape {t.shape}). Array must be at least two-dimensional"
            f"{at_line()}"
        )
    if square and t.shape[-1] != t.shape[-2]:
        raise LinAlgError(f"{name}: Last 2 dimensions of the array must be square, not {t.shape}{at_line()}")
    return _inexact(name, x)[0]


def _inexact(name: str, *xs: Any) -> list[Any]:
    """Operands in the dtype in which NumPy's linear algebra computes them."""
    xs = tuple(operand(x, name) for x in xs)
    kinds = [type_of(x).dtype for x in xs]
    if np.dtype(np.float16) in kinds:
        raise TypeError(f"{name}: array type float16 is unsupported in linalg{at_line()}")
    dtype = np.result_type(*(d if d.kind in "fc" else np.dtype(np.float64) for d in kinds))
    return [cast(x, dtype) for x in xs]


# Factorizations ------------------------------------------------------------------------------------------------------


@implements(np.linalg.cholesky)
def cholesky(a: Any, /, *, upper: bool = False) -> Any:
    """The lower factor L of ``a = L @ L.conj().T``, or the upper one."""
    a = as_matrices("cholesky", a, square=True)
    return H(factorizations.cholesky(H(a))) if upper else factorizations.cholesky(a)


@implements(np.linalg.qr)
def qr(a: Any, mode: str = "reduced") -> Any:
    """Orthonormal columns Q and a triangle R."""
    if mode not in ("reduced", "complete", "r", "raw"):
        raise ValueError(f"qr: Unrecognized mode '{mode}'{at_line()}")
    a = as_matrices("qr", a)
    if mode == "raw":
        h, taus = reflections.geqrf(a)
        return T(h), taus
    if mode == "r":
        return factorizations.qr(a, full_matrices=False)[1]
    return _result("qr", np.linalg.qr, *factorizations.qr(a, full_matrices=mode == "complete"))


@implements(np.linalg.svd)
def svd(a: Any, full_matrices: bool = True, compute_uv: bool = True, hermitian: bool = False) -> Any:
    """The singular value decomposition."""
    a = as_matrices("svd", a, square=hermitian)
    if hermitian:
        return _hermitian_svd(a, compute_uv)
    out = spectral.svd(a, full_matrices=bool(full_matrices), compute_uv=bool(compute_uv))
    return _result("svd", np.linalg.svd, *out) if compute_uv else out[0]


def _hermitian_svd(a: Any, compute_uv: bool) -> Any:
    """From eigenvalues: in descending order of magnitude, their signs moved into V."""
    w, v = spectral.eigh(a, compute_vectors=True)
    order = np.argsort(-np.abs(w), axis=-1, stable=True)
    w = np.take_along_axis(w, order, axis=-1)
    if not compute_uv:
        return np.abs(w)
    u = np.take_along_axis(v, order[..., None, :], axis=-1)
    sign = np.where(w < 0, type_of(w).dtype.type(-1), type_of(w).dtype.type(1))
    return _result("svd", np.linalg.svd, u, np.abs(w), H(u * rows_of(sign, type_of(u).shape)))


@implements(np.linalg.svdvals)
def svdvals(x: Any, /) -> Any:
    """The singular values."""
    return svd(x, compute_uv=False)


# Eigenvalues ---------------------------------------------------------------------------------------------------------


def _triangle(name: str, a: Any, UPLO: str) -> Any:
    if str(UPLO).upper() not in ("L", "U"):
        raise ValueError(f"{name}: UPLO argument must be 'L' or 'U', not {UPLO!r}{at_line()}")
    a = as_matrices(name, a, square=True)
    return a if UPLO.upper() == "L" else H(a)


@implements(np.linalg.eigh)
def eigh(a: Any, UPLO: str = "L") -> Any:
    """Eigenvalues and eigenvectors of Hermitian matrices, of which one triangle is read."""
    return _result("eigh", np.linalg.eigh, *spectral.eigh(_triangle("eigh", a, UPLO), compute_vectors=True))


@implements(np.linalg.eigvalsh)
def eigvalsh(a: Any, UPLO: str = "L") -> Any:
    """Eigenvalues of Hermitian matrices."""
    return spectral.eigh(_triangle("eigvalsh", a, UPLO), compute_vectors=False)[0]


def _always_complex(reference: Callable[..., Any]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """As `implements`, but also on plain arrays the results are complex: a dtype must not depend on values."""

    def decorate(traced: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(traced)
        def function(a: Any) -> Any:
            if has_tracer((a,)):
                return traced(a)
            found = reference(a)
            dtype = np.result_type(np.asarray(found[0] if isinstance(found, tuple) else found).dtype, np.complex64)
            if isinstance(found, tuple):
                return _result("eig", np.linalg.eig, *(as_array(np.asarray(x, dtype)) for x in found))
            return as_array(np.asarray(found, dtype))

        function.__module__ = "funcgrad.numpy.linalg"
        example = _examples.LINALG[reference.__name__]
        function.__doc__ = (
            f"NumPy's `numpy.linalg.{traced.__name__}`, differentiable and traceable; its results are always complex."
            "\n\n"
            f"See :func:`numpy.linalg.{traced.__name__}` for the parameters."
            f"{_results.section(*_results.RESULTS['numpy.linalg'][traced.__name__])}\n\n"
            f"Examples\n--------\n>>> import funcgrad.numpy as np\n>>> {example}\n"
        )
        replacements[reference] = function
        return function

    return decorate


@_always_complex(np.linalg.eig)
def eig(a: Any) -> Any:
    """Eigenvalues and right eigenvectors, always complex."""
    a = as_matrices("eig", a, square=True)
    return _result("eig", np.linalg.eig, *spectral.eig(a, compute_vectors=True))


@_always_complex(np.linalg.eigvals)
def eigvals(a: Any) -> Any:
    """Eigenvalues, always complex."""
    return spectral.eig(as_matrices("eigvals", a, square=True), compute_vectors=False)[0]


# Solutions and inverses ----------------------------------------------------------------------------------------------


@implements(np.linalg.solve)
def solve(a: Any, b: Any) -> Any:
    """x with ``a @ x = b``; a 1-d `b` is one right side, otherwise its last two axes are columns of them."""
    as_matrices("solve", a, square=True)
    a, b = _inexact("solve", a, b)
    sa, sb = type_of(a).shape, type_of(b).shape
    if not sb:
        raise ValueError(f"solve: a right side has an axis or more, not shape ()  (a has shape {sa}){at_line()}")
    columns = reshape(b, shape=(*sb, 1)) if len(sb) == 1 else b
    if type_of(columns).shape[-2] != sa[-1]:
        raise ValueError(f"solve: a matrix of shape {sa} and right sides of shape {sb} do not fit{at_line()}")
    stack = broadcast_shape("solve", sa[:-2], type_of(columns).shape[:-2])
    x = _one_matrix(a, columns) if len(sa) == 2 and len(sb) > 2 else None
    if x is None:
        x = solves.solve(
            broadcast_to(a, (*stack, *sa[-2:])), broadcast_to(columns, (*stack, *type_of(columns).shape[-2:]))
        )
    return reshape(x, shape=type_of(x).shape[:-1]) if len(sb) == 1 else x


def _one_matrix(a: Any, b: Any) -> Any:
    """One matrix for a stack of right sides, which then stand side by side."""
    shape = type_of(b).shape
    wide = np.moveaxis(b, -2, 0)
    x = solves.solve(
        a, reshape(wide, shape=(shape[-2], -1 if 0 not in shape else 0)) if 0 not in shape else wide[..., 0]
    )
    return np.moveaxis(reshape(x, shape=type_of(wide).shape), 0, -2)


@implements(np.linalg.inv)
def inv(a: Any) -> Any:
    """The inverse."""
    return solves.inv(as_matrices("inv", a, square=True))


@implements(np.linalg.pinv)
def pinv(a: Any, rcond: Any = None, hermitian: bool = False, *, rtol: Any = np._NoValue) -> Any:
    """The Moore-Penrose inverse."""
    a = as_matrices("pinv", a, square=hermitian)
    t = type_of(a)
    if rcond is not None and rtol is not np._NoValue:
        raise ValueError(f"pinv: `rtol` and `rcond` can't be both set.{at_line()}")
    if rcond is None:
        rcond = 1e-15 if rtol is np._NoValue else max(t.shape[-2:]) * np.finfo(t.dtype).eps if rtol is None else rtol
    real = np.dtype(t.dtype.char.lower())
    return functions.pinv(a, broadcast_to(cast(operand(rcond, "pinv"), real), t.shape[:-2]), hermitian=bool(hermitian))


@implements(np.linalg.lstsq)
def lstsq(a: Any, b: Any, rcond: Any = None) -> Any:
    """Least squares by the singular value decomposition: solution, residuals, rank, singular values.

    The shape of the residuals cannot depend on the rank: there are some whenever `a` has more rows than columns.
    """
    a, b = operand(a, "lstsq"), operand(b, "lstsq")
    flat = type_of(b).ndim == 1
    (m, n), rows = plain_shape("lstsq", a), type_of(b).shape[0] if flat else plain_shape("lstsq", b)[0]
    if rows != m:
        raise LinAlgError(f"lstsq: Incompatible dimensions {type_of(a).shape} and {type_of(b).shape}{at_line()}")
    a, b = _inexact("lstsq", a, b)
    dtype = type_of(a).dtype
    columns = reshape(b, shape=(rows, 1)) if flat else b
    u, s, vh = spectral.svd(a, full_matrices=False, compute_uv=True)
    limit = np.finfo(dtype).eps * max(m, n) if rcond is None else rcond
    used = s > s[:1] * type_of(s).dtype.type(limit) if min(m, n) else np.zeros(0, np.bool_)
    inverse = np.where(used, 1 / np.where(used, s, type_of(s).dtype.type(1)), type_of(s).dtype.type(0))
    x = H(vh) @ (reshape(cast(inverse, dtype), shape=(min(m, n), 1)) * (H(u) @ columns))
    rest = columns - a @ x
    residuals = np.sum(np.abs(rest) ** 2, axis=0) if m > n else np.zeros(0, type_of(s).dtype)
    return x[:, 0] if flat else x, residuals, np.sum(cast(used, np.dtype(np.int32)), dtype=np.int32), s


@implements(np.linalg.tensorinv)
def tensorinv(a: Any, ind: int = 2) -> Any:
    """The inverse of the map that `tensordot` by `a` is."""
    if ind <= 0:
        raise ValueError(f"tensorinv: Invalid ind argument {ind}: it must be positive{at_line()}")
    a = operand(a, "tensorinv")
    shape = type_of(a).shape
    rows = int(np.prod(shape[ind:], dtype=int))
    return reshape(inv(np.reshape(a, (rows, -1))), shape=(*shape[ind:], *shape[:ind]))


@implements(np.linalg.tensorsolve)
def tensorsolve(a: Any, b: Any, axes: Any = None) -> Any:
    """x with ``tensordot(a, x, x.ndim) = b``."""
    a, b = operand(a, "tensorsolve"), operand(b, "tensorsolve")
    n = type_of(a).ndim
    if axes is not None:
        order = list(range(n))
        for k in axes:
            order.remove(k)
            order.insert(n, k)
        a = np.transpose(a, order)
    shape = type_of(a).shape
    unknown = shape[-(n - type_of(b).ndim) :]
    size = int(np.prod(unknown, dtype=int))
    if type_of(a).size != size**2:
        raise LinAlgError(
            f"tensorsolve: shapes {shape} and {type_of(b).shape} do not fit: Input arrays must satisfy the requirement "
            f"prod(a.shape[b.ndim:]) == prod(a.shape[:b.ndim]){at_line()}"
        )
    return reshape(solve(np.reshape(a, (size, size)), np.ravel(b)), shape=unknown)


# Determinants, ranks, powers -----------------------------------------------------------------------------------------


@implements(np.linalg.det)
def det(a: Any) -> Any:
    """The determinant; its derivative, the matrix of cofactors, is right for singular matrices too."""
    return functions.det(as_matrices("det", a, square=True))


@implements(np.linalg.slogdet)
def slogdet(a: Any) -> Any:
    """The sign of the determinant and the logarithm of its magnitude."""
    return _result("slogdet", np.linalg.slogdet, *functions.slogdet(as_matrices("slogdet", a, square=True)))


@implements(np.linalg.matrix_rank)
def matrix_rank(A: Any, tol: Any = None, hermitian: bool = False, *, rtol: Any = None) -> Any:
    """The number of singular values above a limit."""
    if rtol is not None and tol is not None:
        raise ValueError(f"matrix_rank: `tol` and `rtol` can't be both set.{at_line()}")
    A = operand(A, "matrix_rank")
    if type_of(A).ndim < 2:
        return cast(np.any(A != 0), np.dtype(np.int64))
    s = svd(A, compute_uv=False, hermitian=hermitian)
    if tol is None:
        limit = max(type_of(A).shape[-2:]) * np.finfo(type_of(s).dtype).eps if rtol is None else np.asarray(rtol)
        tol = np.max(s, axis=-1, keepdims=True, initial=0) * (limit if rtol is None else limit[..., None])
    else:
        tol = np.asarray(tol)[..., None]
    return np.count_nonzero(s > tol, axis=-1)


@implements(np.linalg.matrix_power)
def matrix_power(a: Any, n: int) -> Any:
    """The matrix multiplied by itself `n` times (the inverse, for negative `n`)."""
    a = operand(a, "matrix_power")
    t = type_of(a)
    if t.ndim < 2 or t.shape[-1] != t.shape[-2]:
        raise LinAlgError(f"matrix_power: matrices must be square, not of shape {t.shape}{at_line()}")
    try:
        n = operator.index(n)
    except TypeError:
        raise TypeError(f"matrix_power: exponent must be an integer, not {n!r}{at_line()}") from None
    if n == 0:
        return broadcast_to(eye(t.shape[-2:], t.dtype), t.shape) + a * t.dtype.type(0)
    if n < 0:
        a, n = inv(a), -n
    result = None
    while n:
        n, odd = divmod(n, 2)
        if odd:
            result = a if result is None else result @ a
        a = a @ a if n else a
    return result


__all__ = [
    "LinAlgError", "cholesky", "cond", "cross", "det", "diagonal", "eig", "eigh", "eigvals", "eigvalsh", "inv",
    "lstsq", "matmul", "matrix_norm", "matrix_power", "matrix_rank", "matrix_transpose", "multi_dot", "norm", "outer",
    "pinv", "qr", "slogdet", "solve", "svd", "svdvals", "tensordot", "tensorinv", "tensorsolve", "trace", "vecdot",
    "vector_norm",
]  # fmt: skip
