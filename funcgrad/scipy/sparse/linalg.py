"""How is a linear system solved by products with its matrix alone?  `cg`, `bicgstab` and `gmres`.

The unknown and the right-hand side are pytrees of arrays of one structure; the matrix is a function, or an array. They
are differentiated by the implicit function theorem (one more solve), not through their iterations.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from funcgrad import tree
from funcgrad.errors import at_line
from funcgrad.lax._control import while_loop
from funcgrad.lax._solves import custom_linear_solve
from funcgrad.numpy import asarray
from funcgrad.trace.frame import type_of

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
    symmetric: bool,
) -> tuple[Any, None]:  # fmt: skip
    b = tree.map(asarray, b)
    x0 = tree.map(lambda x: 0 * x, b) if x0 is None else tree.map(asarray, x0)
    if tree.structure(x0) != tree.structure(b):
        raise ValueError(
            f"{name}: x0 and b must have the same structure: {tree.structure(x0)}, {tree.structure(b)}{at_line()}"
        )
    for one, other in zip(tree.leaves(x0), tree.leaves(b), strict=True):
        if type_of(one).shape != type_of(other).shape:
            raise ValueError(
                f"{name}: arrays in x0 and b must have equal shapes: {type_of(one)} and {type_of(other)}{at_line()}"
            )
    size = sum(type_of(x).size for x in tree.leaves(b))
    most = 10 * size if maxiter is None else maxiter
    product, precondition = _linear(name, A, b), _linear(name, M, b)

    def solve(matvec: Callable[[Any], Any], rhs: Any) -> Any:
        return solver(_Problem(matvec, precondition, tol, atol, most), rhs, x0)

    def solve_again(matvec: Callable[[Any], Any], rhs: Any) -> Any:
        start = tree.map(lambda x: 0 * x, rhs)
        return solver(_Problem(matvec, precondition, tol, atol, most), rhs, start)

    x = custom_linear_solve(product, b, solve=solve, transpose_solve=solve_again, symmetric=symmetric)
    return x, None


def _linear(name: str, A: Any, b: Any) -> Callable[[Any], Any]:
    if A is None:
        return lambda x: x
    if callable(A):
        return A  # type: ignore[no-any-return]
    kind = type_of(A)
    if len(kind.shape) != 2 or kind.shape[0] != kind.shape[1]:
        raise ValueError(f"{name}: a linear operator must be a square matrix, not {kind}{at_line()}")
    return lambda x: A @ x


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
        Where to start (zeros by default).
    tol, atol
        Stop when the residual's norm is at most ``max(tol * norm(b), atol)``.
    maxiter
        The largest number of iterations (ten per unknown by default).
    M
        A preconditioner: about the inverse of A, given like A.

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
    return _solve("cg", _cg, A, b, x0, tol, atol, maxiter, M, symmetric=True)


def _limit(p: _Problem, b: Any) -> Any:
    return np.maximum(p.tol**2 * _square(b), p.atol**2)


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

    return while_loop(going, advance, (x0, r, z, _dot(r, z), 0))[0]


def bicgstab(
    A: Any, b: Any, x0: Any = None, *, tol: float = 1e-5, atol: float = 0.0, maxiter: int | None = None, M: Any = None
) -> tuple[Any, None]:
    """Solve ``A x = b`` by stabilised biconjugate gradients, for any square A; see `cg` for the parameters.

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
    return _solve("bicgstab", _bicgstab, A, b, x0, tol, atol, maxiter, M, symmetric=False)


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
    return while_loop(going, advance, (x0, r0, zero, zero, one, one, one, 0))[0]


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
        The dimension of the spaces; `maxiter` counts them.
    solve_method
        ``"batched"`` or ``"incremental"``: accepted as JAX does; both solve the small least-squares problem when a
        space is complete.

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

    def solver(p: _Problem, b: Any, x0: Any) -> Any:
        return _gmres(p, b, x0, restart)

    return _solve("gmres", solver, A, b, x0, tol, atol, maxiter, M, symmetric=False)


def _gmres(p: _Problem, b: Any, x0: Any, restart: int) -> Any:
    limit = _limit(p, b)
    size = min(restart, sum(type_of(x).size for x in tree.leaves(b)))

    def residual(x: Any) -> Any:
        return _minus(b, p.product(x))

    def going(s: Any) -> Any:
        _, r, k = s
        return (_square(r) > limit) & (k < p.maxiter)

    def cycle(s: Any) -> Any:
        x, r, k = s
        x = _plus(x, 1, p.precondition(_space(p, r, size)))
        return x, residual(x), k + 1

    return while_loop(going, cycle, (x0, residual(x0), 0))[0]


def _space(p: _Problem, r: Any, size: int) -> Any:
    """The vector of the Krylov space that makes the residual least: Arnoldi's process, twice orthogonalised."""
    basis = [_scaled(r, _quotient(1, np.sqrt(_square(r))))]
    images = []
    for _ in range(size):
        image = p.product(p.precondition(basis[-1]))
        images.append(image)
        for _ in range(2):
            parts = [_dot(v, image) for v in basis]
            for part, v in zip(parts, basis, strict=True):
                image = _plus(image, -part, v)
        basis.append(_scaled(image, _quotient(1, np.sqrt(_square(image)))))
    gram = np.stack([np.stack([_dot(a, c) for c in images]) for a in images])
    right = np.stack([_dot(a, r) for a in images])
    trace = np.real(np.trace(gram))
    ridge = np.finfo(np.dtype(type_of(trace).dtype)).eps ** 2 * trace + np.where(trace == 0, 1, 0)
    weights = np.linalg.solve(gram + ridge * np.eye(size, dtype=type_of(gram).dtype), right[:, None])[:, 0]
    total = _scaled(basis[0], weights[0])
    for k in range(1, size):
        total = _plus(total, weights[k], basis[k])
    return total


def _scaled(x: Any, factor: Any) -> Any:
    return tree.map(lambda a: factor * a, x)
