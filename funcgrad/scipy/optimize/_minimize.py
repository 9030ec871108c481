"""How is a function minimised inside a program?  Quasi-Newton methods as native loops: BFGS and L-BFGS.

Both follow Nocedal and Wright, Numerical Optimization, 2nd edition, chapters 6 and 7. Compiled, the loop, the line
search and the function are one native program; `vmap` lets every problem of a batch take as many steps as it needs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from funcgrad.errors import at_line
from funcgrad.lax._control import scan, while_loop
from funcgrad.numpy import asarray, eye
from funcgrad.numpy._common import cast
from funcgrad.scipy._values import public
from funcgrad.scipy.optimize._line_search import line_search
from funcgrad.trace.frame import type_of
from funcgrad.transform.vjp import vjp_values

HISTORY = 10  # pairs that L-BFGS remembers
METHODS = ("BFGS", "L-BFGS", "l-bfgs-experimental-do-not-rely-on-this")


class OptimizeResults(NamedTuple):
    """What a minimisation found.

    Attributes
    ----------
    x
        The last point.
    success
        Whether the norm of the gradient came below the tolerance.
    status
        0: success. 1: the iterations were used up. 3: the line search found no step, or the value or the gradient
        at the start is no number.
    fun, jac
        The value and the gradient at `x`.
    hess_inv
        The estimate of the inverse Hessian; None for L-BFGS.
    nfev, njev, nit
        How many values, gradients and iterations it took.
    """

    x: Any
    success: Any
    status: Any
    fun: Any
    jac: Any
    hess_inv: Any
    nfev: Any
    njev: Any
    nit: Any


class _State(NamedTuple):
    x: Any
    value: Any
    gradient: Any
    memory: Any
    count: Any
    evaluations: Any
    stuck: Any


@public
def minimize(
    fun: Callable[..., Any],
    x0: Any,
    args: tuple[Any, ...] = (),
    *,
    method: str,
    tol: float | None = None,
    options: Mapping[str, Any] | None = None,
) -> OptimizeResults:
    """Minimise a scalar function of a vector, in traced code.

    Parameters
    ----------
    fun
        ``fun(x, *args)``: the value, a real scalar (taken in the dtype of `x`); `x` has shape ``(n,)``.
    x0
        Where to start, of shape ``(n,)`` and a floating dtype.
    args
        More arguments of `fun`.
    method
        ``"BFGS"`` keeps an n by n matrix; ``"L-BFGS"`` (also under JAX's name
        ``"l-bfgs-experimental-do-not-rely-on-this"``) the last 10 steps.
    tol
        Stop when no component of the gradient is larger (``options["gtol"]`` likewise; 1e-5 by default).
    options
        ``"gtol"``, and ``"maxiter"`` (200 iterations per dimension by default).

    Returns
    -------
    OptimizeResults
        `x` has the shape and dtype of `x0`; the others are numbers that tell how it went.

    Raises
    ------
    TypeError, ValueError
        `args` is no tuple, `x0` is no vector of floats, or the method or an option is not known.

    Examples
    --------
    >>> import numpy as np
    >>> import funcgrad as fg
    >>> from funcgrad.scipy.optimize import minimize
    >>> result = minimize(lambda x, c: np.sum((x - c) ** 4), np.zeros(3), (np.arange(3.0),), method="BFGS", tol=1e-10)
    >>> bool(result.success), np.round(result.x, 2).tolist()
    (True, [0.0, 1.0, 2.0])
    """
    if not isinstance(args, tuple):
        raise TypeError(f"minimize: args must be a tuple, not {args!r}{at_line()}")
    if method not in METHODS:
        raise ValueError(f"minimize: method must be one of {', '.join(map(repr, METHODS))}, not {method!r}{at_line()}")
    chosen = {"gtol": 1e-5 if tol is None else tol, "maxiter": None} | dict(options or {})
    unknown = set(chosen) - {"gtol", "maxiter"}
    if unknown:
        raise ValueError(f"minimize: options {sorted(unknown)} are not known; 'gtol' and 'maxiter' are{at_line()}")
    x = asarray(x0)
    kind = type_of(x)
    if len(kind.shape) != 1 or kind.dtype.kind != "f":
        raise TypeError(f"minimize: x0 must be a vector of floats, not {kind}{at_line()}")
    most = chosen["maxiter"] if chosen["maxiter"] is not None else 200 * kind.shape[0]

    def scalar(x: Any) -> tuple[list[Any], None]:
        value = fun(x, *args)
        if type_of(value).shape != () or type_of(value).dtype.kind != "f":
            raise TypeError(f"minimize: fun must return a real scalar, not {type_of(value)}{at_line()}")
        return [cast(value, kind.dtype)], None

    def evaluate(x: Any) -> tuple[Any, Any]:
        (value,), _, pull = vjp_values(scalar, [x])
        (gradient,) = pull([np.ones_like(value)])
        return value, 0 * x if gradient is None else gradient

    dense = method == "BFGS"
    memory = eye(kind.shape[0], dtype=kind.dtype) if dense else _Pairs.empty(kind)
    value, gradient = evaluate(x)
    lost = np.isnan(value) | ~np.all(np.isfinite(gradient))
    start = _State(x, value, gradient, memory, 0, 1, lost)
    last = _run(evaluate, start, chosen["gtol"], most, _dense if dense else _limited)
    success = np.max(np.abs(last.gradient), initial=0) <= chosen["gtol"]
    status = np.where(success, 0, np.where(last.stuck, 3, 1))
    inverse = last.memory if dense else None
    return OptimizeResults(
        last.x, success, status, last.value, last.gradient, inverse, last.evaluations, last.evaluations, last.count
    )


def _run(evaluate: Any, start: _State, gtol: float, most: int, method: Any) -> _State:
    direct, remember = method

    def going(s: _State) -> Any:
        return (np.max(np.abs(s.gradient), initial=0) > gtol) & (s.count < most) & ~s.stuck

    def advance(s: _State) -> _State:
        direction = direct(s.memory, s.gradient)
        norm = np.sqrt(np.sum(s.gradient * s.gradient))
        first = np.where(s.count == 0, 1 / np.maximum(norm, 1), np.ones_like(s.value))  # nothing is known of scales yet
        search = line_search(evaluate, s.x, direction, s.value, s.gradient, first)
        step = search.step * direction
        memory = remember(s.memory, step, search.gradient - s.gradient, s.count)
        stuck = (search.step == 0) | ~np.isfinite(search.value)
        evaluations = s.evaluations + search.count
        return _State(s.x + step, search.value, search.gradient, memory, s.count + 1, evaluations, stuck)

    return while_loop(going, advance, start)  # type: ignore[no-any-return]


# BFGS: the inverse Hessian, as a matrix -------------------------------------------------------------------------------


def _dense_update(inverse: Any, step: Any, change: Any, count: Any) -> Any:
    """(I - ρ s yᵀ) H (I - ρ y sᵀ) + ρ s sᵀ, where the curvature sᵀy is positive; scaled to it before the first one."""
    curvature = np.sum(step * change)
    good = curvature > 0
    rho = 1 / np.where(good, curvature, 1.0)
    square = np.sum(change * change)
    first = np.where(good & (count == 0), curvature / np.where(square > 0, square, 1.0), 1.0)
    inverse = inverse * first
    image = inverse @ change
    outer = step[:, None] * image[None, :]
    factor = rho * rho * np.sum(change * image) + rho
    updated = inverse - rho * (outer + np.transpose(outer)) + factor * step[:, None] * step[None, :]
    return np.where(good, updated, inverse)


_dense = (lambda inverse, gradient: -(inverse @ gradient), _dense_update)


# L-BFGS: the last steps and changes of the gradient, the newest at the end --------------------------------------------


class _Pairs(NamedTuple):
    steps: Any
    changes: Any
    rhos: Any
    scale: Any

    @staticmethod
    def empty(kind: Any) -> _Pairs:
        rows = np.zeros((HISTORY, *kind.shape), kind.dtype)
        return _Pairs(rows, rows, np.zeros(HISTORY, kind.dtype), np.ones((), kind.dtype))


def _two_loops(pairs: _Pairs, gradient: Any) -> Any:
    """The product of the inverse Hessian with the gradient, negative: algorithm 7.4. Pairs with ρ = 0 do nothing."""
    rows = (pairs.steps, pairs.changes, pairs.rhos)

    def backwards(q: Any, row: Any) -> tuple[Any, Any]:
        step, change, rho = row
        alpha = rho * np.sum(step * q)
        return q - alpha * change, alpha

    def forwards(r: Any, row: Any) -> tuple[Any, None]:
        (step, change, rho), alpha = row
        return r + step * (alpha - rho * np.sum(change * r)), None

    q, alphas = scan(backwards, gradient, rows, reverse=True)
    return -scan(forwards, pairs.scale * q, (rows, alphas))[0]


def _limited_update(pairs: _Pairs, step: Any, change: Any, count: Any) -> _Pairs:
    curvature, square = np.sum(step * change), np.sum(change * change)
    good = curvature > 0
    rho = np.where(good, 1 / np.where(good, curvature, 1.0), 0.0)

    def pushed(rows: Any, row: Any) -> Any:
        return np.concatenate([rows[1:], row[None]])

    scale = np.where(good, curvature / np.where(square > 0, square, 1.0), pairs.scale)
    return _Pairs(pushed(pairs.steps, step), pushed(pairs.changes, change), pushed(pairs.rhos, rho), scale)


_limited = (_two_loops, _limited_update)
