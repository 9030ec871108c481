"""How is a linear system solved by products with its matrix alone?  `cg`, `bicgstab` and `gmres`.

The unknown and the right-hand side are pytrees of arrays of one structure; the matrix is a function, or an array. They
are differentiated by the implicit function theorem (one more solve), not through their iterations.
"""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from funcgrad import tree
from funcgrad.control import linear_solve as control
from funcgrad.dtypes import is_inexact
from funcgrad.errors import at_line
from funcgrad.lax._control import fori_loop, while_loop
from funcgrad.lax._solves import custom_linear_solve
from funcgrad.lax.linalg import triangular_solve
from funcgrad.numpy import asarray
from funcgrad.numpy._common import cast, operand, promoted
from funcgrad.trace.builder import evaluate
from funcgrad.trace.frame import bind, type_of
from funcgrad.tracebacks import boundary

__all__ = ["bicgstab", "cg", "gmres"]


class _Problem(NamedTuple):
    """A system with everything that a solver needs to know."""

    product: Callable[[Any], Any]
    precondition: Callable[[Any], Any]
    tol: float
    atol: float
    maxiter: int


def _dot(x: Any, y: Any) -> Any:
    """The inner product of two pytrees, the first one conjugated."""
    pairs = zip(tree.leaves(x), tree.leaves(y), strict=True)
    return sum(np.sum(np.conj(a) * b) if type_of(a).dtype.kind == "c" else np.sum(a * b) for a, b in pairs)


def _square(x: Any) -> Any:
    return np.real(_dot(x, x))


def _plus(x: Any, factor: Any, y: Any) -> Any:
    """``x + factor * y``."""
    return tree.map(lambda a, b: a + factor * b, x, y)


def _minus(x: Any, y: Any) -> Any:
    return tree.map(lambda a, b: a - b, x, y)


def _quotient(a: Any, b: Any) -> Any:
    """``a / b``, and 0 where b is 0: a solver that has arrived stays there."""
    return np.where(b == 0, 0, a / np.where(b == 0, 1, b))


def _solve(
    name: str, solver: Callable[..., Any], A: Any, b: Any, x0: Any, tol: float, atol: float, maxiter: Any, M: Any,
    hermitian: bool,
) -> tuple[Any, None]:  # fmt: skip
    A, M = _operator(name, A), _operator(name, M)
    b, x0 = _sides(name, A, b, x0)
    leaves = tree.leaves(b)
    most = 10 * sum(type_of(x).size for x in leaves) if maxiter is None else maxiter

    def solve(matvec: Callable[[Any], Any], rhs: Any) -> Any:
        return solver(_Problem(matvec, _product(M), tol, atol, most), rhs, x0)

    def solve_transposed(vecmat: Callable[[Any], Any], rhs: Any) -> Any:
        start = tree.map(np.zeros_like, rhs)
        return solver(_Problem(vecmat, _transposed(M, rhs), tol, atol, most), rhs, start)

    symmetric = hermitian and all(type_of(x).dtype.kind == "f" for x in leaves)
    x = custom_linear_solve(_product(A), b, solve=solve, transpose_solve=solve_transposed, symmetric=symmetric)
    return x, None


def _sides(name: str, A: Any, b: Any, x0: Any) -> tuple[Any, Any]:
    """The right-hand side and the start, in the dtypes of the solution: see `cg`."""
    matrix = [] if A is None or callable(A) else [A]
    arrays = asarray if matrix else functools.partial(tree.map, asarray)
    b = arrays(b)
    x0 = tree.map(np.zeros_like, b) if x0 is None else arrays(x0)
    if tree.structure(x0) != tree.structure(b):
        raise ValueError(
            f"{name}: x0 and b must have the same structure: {tree.structure(x0)}, {tree.structure(b)}{at_line()}"
        )
    for one, other in zip(tree.leaves(x0), tree.leaves(b), strict=True):
        if type_of(one).shape != type_of(other).shape:
            raise ValueError(
                f"{name}: arrays in x0 and b must have equal shapes: {type_of(one)} and {type_of(other)}{at_line()}"
            )

    def fitting(x: Any, other: Any) -> Any:
        dtype = type_of(promoted(name, x, other, *matrix)[0]).dtype
        return cast(x, dtype if is_inexact(dtype) else np.dtype(np.float64))

    return tree.map(fitting, b, x0), tree.map(fitting, x0, b)


def _operator(name: str, A: Any) -> Any:
    """A function, a square matrix, or None for the identity."""
    if A is None or callable(A):
        return A
    A = operand(A, name)
    kind = type_of(A)
    if len(kind.shape) != 2 or kind.shape[0] != kind.shape[1]:
        raise ValueError(f"{name}: a linear operator must be a square matrix, not {kind}{at_line()}")
    return A


def _product(A: Any) -> Callable[[Any], Any]:
    if A is None:
        return lambda x: x
    return A if callable(A) else lambda x: A @ x


def _transposed(M: Any, like: Any) -> Callable[[Any], Any]:
    """The transpose of a preconditioner; the identity where that is no linear function."""
    if M is None or not callable(M):
        return _product(None if M is None else np.transpose(M))
    structure = tree.structure(like)
    types = [type_of(x) for x in tree.leaves(like)]
    part, consts = control.part_of(lambda *xs: tree.leaves(M(tree.unflatten(structure, xs))), types)
    try:
        program = control.transposed(part).program
    except TypeError:
        return _product(None)
    return lambda y: tree.unflatten(structure, evaluate(program, [*consts, *tree.leaves(y)], bind))


@boundary
def cg(
    A: Any, b: Any, x0: Any = None, *, tol: float = 1e-5, atol: float = 0.0, maxiter: int | None = None, M: Any = None
) -> tuple[Any, None]:
    """Solve ``A x = b`` by conjugate gradients, for a Hermitian positive definite A.

    Parameters
    ----------
    A
        The matrix: a function of a pytree like `b`, or an array of shape ``(n, n)``.
    b
        The right-hand side: an array or a pytree of arrays.
    x0
        Where to start (zeros by default). The solution has the common dtype of `x0`, `b` and a matrix A, integers
        counting as float64.
    tol, atol
        Stop when the residual's norm is at most ``max(tol * norm(b), atol)``.
    maxiter
        The largest number of iterations (ten per unknown by default).
    M
        A preconditioner: about the inverse of A, given like A. Reverse mode solves with its transpose (with none, if
        it is a function that is not linear).

    Returns
    -------
    tuple
        The solution, and None (as in JAX: there is no report of convergence).

    References
    ----------
    Hestenes and Stiefel, "Methods of conjugate gradients for solving linear systems", 1952.

    Examples
    --------
    >>> import numpy as np
    >>> from funcgrad.scipy.sparse.linalg import cg
    >>> np.round(cg(np.array([[4.0, 1.0], [1.0, 3.0]]), np.array([1.0, 2.0]))[0], 6).tolist()
    [0.090909, 0.636364]
    """
    return _solve("cg", _cg, A, b, x0, tol, atol, maxiter, M, hermitian=True)


def _limit(p: _Problem, b: Any) -> Any:
    return np.maximum(p.tol**2 * _square(b), p.atol**2)


def _shown(x: Any, residual: Any) -> Any:
    """The solution, or NaN where the residual is no number: loops end then, as if it were small."""
    return _plus(x, 0, residual)


def _cg(p: _Problem, b: Any, x0: Any) -> Any:
    limit = _limit(p, b)
    r = _minus(b, p.product(x0))
    z = p.precondition(r)

    def going(s: Any) -> Any:
        _, r, _, _, k = s
        return (_square(r) > limit) & (k < p.maxiter)

    def advance(s: Any) -> Any:
        x, r, direction, gamma, k = s
        image = p.product(direction)
        alpha = _quotient(gamma, _dot(direction, image))
        x, r = _plus(x, alpha, direction), _plus(r, -alpha, image)
        z = p.precondition(r)
        after = _dot(r, z)
        return x, r, _plus(z, _quotient(after, gamma), direction), after, k + 1

    return _shown(*while_loop(going, advance, (x0, r, z, _dot(r, z), 0))[:2])


@boundary
def bicgstab(
    A: Any, b: Any, x0: Any = None, *, tol: float = 1e-5, atol: float = 0.0, maxiter: int | None = None, M: Any = None
) -> tuple[Any, None]:
    """Solve ``A x = b`` by stabilised biconjugate gradients, for any square A; see `cg` for the parameters.

    Returns
    -------
    tuple
        x with the structure, shapes and dtypes of `b`, and None.

    References
    ----------
    van der Vorst, "Bi-CGSTAB: a fast and smoothly converging variant of Bi-CG", 1992.

    Examples
    --------
    >>> import numpy as np
    >>> from funcgrad.scipy.sparse.linalg import bicgstab
    >>> np.round(bicgstab(np.array([[4.0, 1.0], [-1.0, 3.0]]), np.array([1.0, 2.0]))[0], 6).tolist()
    [0.076923, 0.692308]
    """
    return _solve("bicgstab", _bicgstab, A, b, x0, tol, atol, maxiter, M, hermitian=False)


def _bicgstab(p: _Problem, b: Any, x0: Any) -> Any:
    limit = _limit(p, b)
    r0 = _minus(b, p.product(x0))
    one = _dot(r0, r0) * 0 + 1

    def going(s: Any) -> Any:
        _, r, _, _, _, _, _, k = s
        return (_square(r) > limit) & (k < p.maxiter)

    def advance(s: Any) -> Any:
        x, r, direction, v, rho, alpha, omega, k = s
        after = _dot(r0, r)
        beta = _quotient(after, rho) * _quotient(alpha, omega)
        direction = _plus(r, beta, _plus(direction, -omega, v))
        ahead = p.precondition(direction)
        v = p.product(ahead)
        alpha = _quotient(after, _dot(r0, v))
        half = _plus(r, -alpha, v)
        there = p.precondition(half)
        t = p.product(there)
        omega = _quotient(_dot(t, half), _dot(t, t))
        x = _plus(_plus(x, alpha, ahead), omega, there)
        return x, _plus(half, -omega, t), direction, v, after, alpha, omega, k + 1

    zero = tree.map(lambda a: 0 * a, r0)
    return _shown(*while_loop(going, advance, (x0, r0, zero, zero, one, one, one, 0))[:2])


@boundary
def gmres(
    A: Any,
    b: Any,
    x0: Any = None,
    *,
    tol: float = 1e-5,
    atol: float = 0.0,
    restart: int = 20,
    maxiter: int | None = None,
    M: Any = None,
    solve_method: str = "batched",
) -> tuple[Any, None]:
    """Solve ``A x = b`` by minimal residuals over Krylov spaces, for any square A; see `cg` for the parameters.

    Parameters
    ----------
    restart
        The dimension of the spaces, a Python int; `maxiter` counts them.
    solve_method
        ``"batched"`` or ``"incremental"``: accepted as JAX does; both solve the small least-squares problem when a
        space is complete.

    Returns
    -------
    tuple
        x with the structure, shapes and dtypes of `b`, and None.

    Raises
    ------
    ValueError
        `solve_method` is something else, or `restart` is not positive.

    References
    ----------
    Saad and Schultz, "GMRES: a generalized minimal residual algorithm", 1986.

    Examples
    --------
    >>> import numpy as np
    >>> from funcgrad.scipy.sparse.linalg import gmres
    >>> np.round(gmres(np.array([[4.0, 1.0], [-1.0, 3.0]]), np.array([1.0, 2.0]))[0], 6).tolist()
    [0.076923, 0.692308]
    """
    if solve_method not in ("batched", "incremental"):
        raise ValueError(f"gmres: solve_method must be 'batched' or 'incremental', not {solve_method!r}{at_line()}")
    if operator.index(restart) < 1:
        raise ValueError(f"gmres: restart must be positive, not {restart}{at_line()}")

    def solver(p: _Problem, b: Any, x0: Any) -> Any:
        return _gmres(p, b, x0, restart)

    return _solve("gmres", solver, A, b, x0, tol, atol, maxiter, M, hermitian=False)


def _gmres(p: _Problem, b: Any, x0: Any, restart: int) -> Any:
    limit = _limit(p, b)
    size = min(restart, sum(type_of(x).size for x in tree.leaves(b)))
    if not size:
        return x0

    def residual(x: Any) -> Any:
        return _minus(b, p.product(x))

    def going(s: Any) -> Any:
        _, r, k = s
        return (_square(r) > limit) & (k < p.maxiter)

    def cycle(s: Any) -> Any:
        x, r, k = s
        x = _plus(x, 1, p.precondition(_space(p, r, size)))
        return x, residual(x), k + 1

    return _shown(*while_loop(going, cycle, (x0, residual(x0), 0))[:2])


def _space(p: _Problem, r: Any, size: int) -> Any:
    """The vector of the Krylov space that makes the residual least: Arnoldi's process, twice orthogonalised."""
    flat, unflat = _flattened(r)
    dtype = type_of(flat).dtype
    length = _norm(flat)
    basis = np.concatenate([(flat * _quotient(1, length))[None], np.zeros((size, type_of(flat).size), dtype)])

    def grow(k: Any, state: Any) -> Any:
        basis, hessenberg = state
        image = _flattened(p.product(p.precondition(unflat(basis[k]))))[0]
        whole, parts = _norm(image), asarray(np.zeros(size + 1, dtype))
        for _ in range(2):
            part = np.conj(basis) @ image
            image, parts = image - part @ basis, parts + part
        rest = _norm(image)
        rest = np.where(rest > np.finfo(dtype).eps * whole, rest, 0)  # else the space has all of the solution
        basis = basis.at[k + 1].set(image * _quotient(1, rest))
        return basis, hessenberg.at[k].set(parts.at[k + 1].set(cast(rest, dtype)))

    basis, hessenberg = fori_loop(0, size, grow, (basis, np.zeros((size, size + 1), dtype)))
    return unflat(_least(np.transpose(hessenberg), length) @ basis[:size])


def _least(hessenberg: Any, length: Any) -> Any:
    """The x that makes ``hessenberg @ x - length * e1`` least; 0 for columns that depend on those before."""
    dtype = type_of(hessenberg).dtype
    wide = np.result_type(dtype, np.float32)  # LAPACK has no float16
    q, r = np.linalg.qr(cast(hessenberg, wide))
    size = np.abs(np.diagonal(r))
    good = size > np.finfo(wide).eps * np.max(size)
    right = np.where(good, np.conj(q[0]) * cast(length, wide), 0)
    solved = triangular_solve(r + np.diag(np.where(good, 0, 1 - np.diagonal(r))), right[:, None], left_side=True)
    return cast(np.where(good, solved[:, 0], 0), dtype)


def _norm(x: Any) -> Any:
    return np.sqrt(np.real(np.sum(np.conj(x) * x)))


def _flattened(x: Any) -> tuple[Any, Callable[[Any], Any]]:
    """The elements of a pytree as one vector, and the way back."""
    leaves, structure = tree.flatten(x)
    types = [type_of(v) for v in leaves]
    flat = np.concatenate([np.reshape(v, (-1,)) for v in leaves])

    def unflat(vector: Any) -> Any:
        parts, first = [], 0
        for t in types:
            last = first + math.prod(t.shape)
            parts.append(cast(np.reshape(vector[first:last], t.shape), t.dtype))
            first = last
        return tree.unflatten(structure, parts)

    return flat, unflat
