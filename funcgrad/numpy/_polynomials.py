"""NumPy's functions of polynomials given by their coefficients, the highest power first.

What depends on the values of coefficients is done for known ones only: leading zeros of traced polynomials stay.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from funcgrad.errors import at_line
from funcgrad.numpy._common import cast, concrete, implements, operand, promoted
from funcgrad.numpy._shapes import concatenate, ravel, stack
from funcgrad.trace.frame import type_of


def _coefficients(name: str, p: Any, sized: bool = False) -> Any:
    """Coefficients as a 1-d array; one number will do unless the function needs a sized one."""
    p = operand(p, name)
    if sized and not type_of(p).shape:
        raise TypeError(f"{name}: the coefficients are a 0-d array, which has no length{at_line()}")
    if type_of(p).ndim > 1:
        raise ValueError(
            f"{name}: polynomials are 1-d arrays of coefficients, not of shape {type_of(p).shape}{at_line()}"
        )
    return ravel(p)


def _zeros(n: int, like: Any) -> Any:
    return np.zeros(n, type_of(like).dtype)


@implements(np.polyval)
def polyval(p: Any, x: Any) -> Any:
    """The value of a polynomial, by Horner's scheme."""
    p, x = operand(p, "polyval"), operand(x, "polyval")
    if not type_of(p).shape:
        raise TypeError(f"polyval: the coefficients are a 0-d array, which has no length{at_line()}")
    y = np.zeros(type_of(x).shape, type_of(x).dtype)
    for k in range(type_of(p).shape[0]):
        y = y * x + p[k]
    return y


def _aligned(name: str, a1: Any, a2: Any) -> tuple[Any, Any]:
    """Coefficients with zeros in front, so that the powers agree."""
    a, b = _coefficients(name, a1), _coefficients(name, a2)
    n = max(type_of(a).size, type_of(b).size)
    return tuple(x if type_of(x).size == n else concatenate([_zeros(n - type_of(x).size, x), x]) for x in (a, b))


@implements(np.polyadd)
def polyadd(a1: Any, a2: Any) -> Any:
    """The sum of polynomials."""
    return np.add(*_aligned("polyadd", a1, a2))


@implements(np.polysub)
def polysub(a1: Any, a2: Any) -> Any:
    """The difference of polynomials."""
    return np.subtract(*_aligned("polysub", a1, a2))


@implements(np.polymul)
def polymul(a1: Any, a2: Any) -> Any:
    """The product of polynomials."""
    a, b = promoted("polymul", _coefficients("polymul", a1), _coefficients("polymul", a2))
    if type_of(a).size < type_of(b).size:
        a, b = b, a
    n, m = type_of(a).size, type_of(b).size
    if not m:
        raise ValueError(f"polymul: a polynomial has one coefficient or more{at_line()}")
    total = concatenate([a * b[0], _zeros(m - 1, a)])
    for k in range(1, m):  # each coefficient of the shorter one moves the longer one by a power
        total = total + concatenate([_zeros(k, a), a * b[k], _zeros(m - 1 - k, a)])
    return total if type_of(total).size == n + m - 1 else total[: n + m - 1]


@implements(np.polydiv)
def polydiv(u: Any, v: Any) -> tuple[Any, Any]:
    """Quotient and remainder of polynomials; the remainder has as many coefficients as its degree can need."""
    u, v = _coefficients("polydiv", u), _coefficients("polydiv", v)
    u, v = np.add(u, 0.0), np.add(v, 0.0)
    u = cast(u, np.result_type(type_of(u).dtype, type_of(v).dtype))
    m, n = type_of(u).size - 1, type_of(v).size - 1
    scale, quotient, r = 1 / v[0], [], u
    for _ in range(m - n + 1):
        d = scale * r[0]
        quotient.append(d)
        r = concatenate([r[1 : n + 1] - d * v[1:], r[n + 1 :]])
    if m < n:
        return _zeros(1, u), u
    return stack(quotient), r if type_of(r).size else _zeros(1, u)


def _exact(x: Any) -> bool:
    return type_of(x).dtype.kind in "biu"


@implements(np.polyder)
def polyder(p: Any, m: int = 1) -> Any:
    """The derivative of a polynomial, `m` times."""
    p, order = _coefficients("polyder", p, sized=True), operator.index(m)
    if order < 0:
        raise ValueError(f"Order of derivative must be positive (see polyint){at_line()}")
    for _ in range(order):
        n = type_of(p).size - 1
        p = p[:-1] * np.arange(n, 0, -1)
    return p


@implements(np.polyint)
def polyint(p: Any, m: int = 1, k: Any = None) -> Any:
    """The antiderivative of a polynomial, `m` times, with constants of integration `k`."""
    p, order = _coefficients("polyint", p, sized=True), operator.index(m)
    if order < 0:
        raise ValueError(f"Order of integral must be positive (see polyder){at_line()}")
    constants = np.zeros(order) if k is None else np.atleast_1d(operand(k, "polyint"))
    if type_of(constants).size == 1 and order > 1:
        constants = constants[0] * np.ones(order)
    if type_of(constants).size < order:
        raise ValueError(f"k must be a scalar or a rank-1 array of length 1 or >m.{at_line()}")
    for step in range(order):
        n = type_of(p).size
        p = concatenate([p / np.arange(n, 0, -1), constants[step : step + 1]])
    return p


@implements(np.vander)
def vander(x: Any, N: int | None = None, increasing: bool = False) -> Any:
    """The Vandermonde matrix: powers of `x` as columns."""
    x = operand(x, "vander")
    if type_of(x).ndim != 1:
        raise ValueError(f"x must be a one-dimensional array or sequence.{at_line()}")
    n = type_of(x).size if N is None else operator.index(N)
    x = cast(x, np.promote_types(type_of(x).dtype, np.int64))
    if n <= 0:
        return np.zeros((type_of(x).size, 0), type_of(x).dtype)
    columns = [np.ones(type_of(x).shape, type_of(x).dtype)]
    for _ in range(n - 1):
        columns.append(columns[-1] * x)
    return stack(columns if increasing else columns[::-1], 1)


@implements(np.poly)
def poly(seq_of_zeros: Any) -> Any:
    """The monic polynomial with the given zeros, or with the eigenvalues of a matrix."""
    zeros = operand(seq_of_zeros, "poly")
    shape = type_of(zeros).shape
    if len(shape) == 2 and shape[0] == shape[1] and shape[0]:
        zeros = np.linalg.eigvals(zeros)
    elif len(shape) > 1:
        raise ValueError(f"input must be 1d or non-empty square 2d array.{at_line()}")
    zeros = ravel(zeros)
    kind = type_of(zeros).dtype
    if not type_of(zeros).size:
        return np.float64(1.0)
    p = np.ones(1, kind)
    for k in range(type_of(zeros).size):
        p = concatenate([p, _zeros(1, zeros)]) - concatenate([_zeros(1, zeros), p * zeros[k]])
    return p


@implements(np.roots)
def roots(p: Any) -> Any:
    """The zeros of a polynomial: the eigenvalues of its companion matrix.

    They are complex numbers, also where all are real.  Leading and trailing zeros are taken off where the coefficients
    are known; traced ones must not begin with zero.
    """
    p = _coefficients("roots", p)
    known, trailing = concrete(p), 0
    if known is not None:
        hits = np.nonzero(known)[0]
        if not len(hits):
            return np.zeros(0)
        trailing = len(known) - int(hits[-1]) - 1
        p = p[int(hits[0]) : int(hits[-1]) + 1]
    p = cast(p, np.dtype(np.float64)) if _exact(p) else p
    n, dtype = type_of(p).size, type_of(p).dtype
    if n < 2:
        return np.zeros(trailing)
    companion = concatenate([np.reshape(-p[1:] / p[0], (1, n - 1)), np.eye(n - 2, n - 1, dtype=dtype)])
    found = np.linalg.eigvals(companion)
    return concatenate([found, _zeros(trailing, found)]) if trailing else found


@implements(np.polyfit)
def polyfit(
    x: Any, y: Any, deg: Any, rcond: Any = None, full: bool = False, w: Any = None, cov: bool | str = False
) -> Any:
    """The polynomial that fits points best, by least squares."""
    x, y = np.add(operand(x, "polyfit"), 0.0), np.add(operand(y, "polyfit"), 0.0)
    order = operator.index(deg) + 1
    kx, ky = type_of(x), type_of(y)
    if order < 1:
        raise ValueError(f"expected deg >= 0{at_line()}")
    if kx.ndim != 1 or not kx.size:
        raise TypeError(f"expected a non-empty 1D vector for x, got shape {kx.shape}{at_line()}")
    if ky.ndim not in (1, 2) or ky.shape[0] != kx.shape[0]:
        raise TypeError(f"expected 1D or 2D array for y with the length of x, got {kx.shape}, {ky.shape}{at_line()}")
    lhs, rhs = vander(x, order), y
    if w is not None:
        w = np.add(operand(w, "polyfit"), 0.0)
        if type_of(w).shape != ky.shape[:1]:
            raise TypeError(f"expected w and y to have the same length, got {type_of(w).shape}, {ky.shape}{at_line()}")
        lhs = lhs * w[:, None]
        rhs = rhs * (w[:, None] if ky.ndim == 2 else w)
    rcond = kx.size * np.finfo(kx.dtype).eps if rcond is None else rcond
    scale = np.sqrt(np.sum(lhs * lhs, axis=0))
    c, resids, rank, s = np.linalg.lstsq(lhs / scale, rhs, rcond)
    c = (c.T / scale).T
    if full:
        return c, resids, rank, s, rcond
    if not cov:
        return c
    base = np.linalg.inv(np.dot(lhs.T, lhs) / np.outer(scale, scale)) / np.outer(scale, scale)
    return (c, *_covariance(base, resids, kx.size, order, ky.ndim, cov))


def _covariance(base: Any, resids: Any, n: int, order: int, ndim: int, cov: bool | str) -> tuple[Any]:
    """The covariance of the coefficients, scaled by the mean square residual unless ``cov="unscaled"``."""
    if cov == "unscaled":
        factor: Any = 1.0
    else:
        if n <= order:
            raise ValueError(f"the number of data points must exceed order to scale the covariance matrix{at_line()}")
        factor = resids / (n - order)
    return (base * factor if ndim == 1 or cov == "unscaled" else base[:, :, None] * factor,)
