"""Which samplers are made of normal numbers?"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from funcgrad import numpy as fnp
from funcgrad.dtypes import BFLOAT16, COMPLEX, FLOATS, DType, is_inexact, promote, widened
from funcgrad.errors import at_line
from funcgrad.ops.bits import bitcast, nextafter
from funcgrad.ops.comparison import select, stop_gradient
from funcgrad.ops.error_functions import erf_inv
from funcgrad.ops.transcendental import erf
from funcgrad.random import _streams as streams
from funcgrad.random._arguments import (
    Shape,
    array,
    common_shape,
    compiled,
    converted,
    dtype_among,
    integer,
    one_key,
    parameters,
    plain,
    spread,
)
from funcgrad.random._discrete import signs
from funcgrad.trace.frame import type_of

METHODS = ("cholesky", "eigh", "svd")


def normal(key: Any, shape: Any = (), dtype: Any = None) -> Any:
    """Standard normal numbers.

    Parameters
    ----------
    key
        A key.
    shape
        Of the result.
    dtype
        A float or complex dtype (default: float64). Complex numbers have a variance of 1, half of it in each part.

    Returns
    -------
    Array
        Of the given shape and dtype.

    Examples
    --------
    >>> from funcgrad import random
    >>> random.normal(random.key(0), (3,)).round(3)
    array([-0.206, -0.785,  1.816])
    """
    key, shape, kind = plain("normal", key, shape, dtype, FLOATS | COMPLEX)
    return _normal(key, shape=shape, dtype=kind)


@compiled
def _normal(key: Any, *, shape: Shape, dtype: DType) -> Any:
    return streams.normal(streams.words(key), shape, dtype)


def truncated_normal(key: Any, lower: Any, upper: Any, shape: Any = None, dtype: Any = None) -> Any:
    """Standard normal numbers that lie between limits.

    Parameters
    ----------
    key
        A key.
    lower, upper
        The limits, of shapes that broadcast to `shape`.
    shape
        Of the result (default: that of the limits).
    dtype
        A float dtype (default: float64).

    Returns
    -------
    Array
        Of the given shape and dtype.

    Examples
    --------
    >>> from funcgrad import random
    >>> x = random.truncated_normal(random.key(0), -1.0, 1.0, (1000,))
    >>> bool(abs(x).max() < 1)
    True
    """
    kind = dtype_among("truncated_normal", float if dtype is None else dtype, FLOATS)
    key = one_key("truncated_normal", key)
    shape, (lower, upper) = parameters("truncated_normal", shape, kind, lower=lower, upper=upper)
    return _truncated_normal(key, lower, upper, shape=shape, dtype=kind)


@compiled
def _truncated_normal(key: Any, lower: Any, upper: Any, *, shape: Shape, dtype: DType) -> Any:
    root = np.array(math.sqrt(2), dtype)[()]
    found = streams.uniform(streams.words(key), shape, dtype, erf(lower / root), erf(upper / root))
    inner = _next(lower, np.inf), _next(upper, -np.inf)
    return fnp.minimum(fnp.maximum(root * erf_inv(found), spread(inner[0], shape)), spread(inner[1], shape))


def _next(limit: Any, to: float) -> Any:
    """The next number inside of a limit, which has no derivative."""
    limit, dtype = stop_gradient(limit), type_of(limit).dtype
    if dtype != BFLOAT16:
        return nextafter(limit, dtype.type(to))
    bits, zero, up = bitcast(limit, new_dtype=np.dtype(np.uint16)), dtype.type(0), to > 0
    one = np.uint16(1)
    moved = select((limit > zero) == np.bool_(up), bits - one, bits + one)
    moved = select(limit == zero, moved, np.uint16(0x0001 if up else 0x8001))
    stays = (limit != limit) | (limit == dtype.type(to))
    return select(stays, bitcast(moved, new_dtype=BFLOAT16), limit)


def lognormal(key: Any, sigma: Any = 1.0, shape: Any = None, dtype: Any = None) -> Any:
    """exp(sigma z) for standard normal z.

    Parameters
    ----------
    key
        A key.
    sigma
        The standard deviation of the logarithm, of a shape that broadcasts to `shape`.
    shape
        Of the result (default: that of `sigma`).
    dtype
        A float or complex dtype (default: float64).

    Returns
    -------
    Array
        Of the given shape (default: that of the parameters, broadcast) and dtype.

    Examples
    --------
    >>> from funcgrad import random
    >>> bool((random.lognormal(random.key(0), 0.5, (3,)) > 0).all())
    True
    """
    kind = dtype_among("lognormal", float if dtype is None else dtype, FLOATS | COMPLEX)
    key = one_key("lognormal", key)
    shape, (sigma,) = parameters("lognormal", shape, kind, sigma=sigma)
    return _lognormal(key, sigma, shape=shape, dtype=kind)


@compiled
def _lognormal(key: Any, sigma: Any, *, shape: Shape, dtype: DType) -> Any:
    return fnp.exp(streams.normal(streams.words(key), shape, dtype) * spread(sigma, shape))


def maxwell(key: Any, shape: Any = (), dtype: Any = None) -> Any:
    """Lengths of vectors of three standard normal numbers.

    Parameters
    ----------
    key
        A key.
    shape
        Of the result.
    dtype
        A float dtype (default: float64).

    Returns
    -------
    Array
        Of the given shape and dtype.

    Examples
    --------
    >>> from funcgrad import random
    >>> bool((random.maxwell(random.key(0), (3,)) > 0).all())
    True
    """
    key, shape, kind = plain("maxwell", key, shape, dtype)
    return _maxwell(key, shape=shape, dtype=kind)


@compiled
def _maxwell(key: Any, *, shape: Shape, dtype: DType) -> Any:
    return _lengths(streams.words(key), shape, dtype)


def _lengths(key: streams.Key, shape: Shape, dtype: DType) -> Any:
    found = streams.normal(key, (*shape, 3), dtype)
    return fnp.sqrt(fnp.sum(found * found, -1))


def double_sided_maxwell(key: Any, loc: Any, scale: Any, shape: Any = (), dtype: Any = None) -> Any:
    """loc + scale m, with m from `maxwell` and a random sign.

    Parameters
    ----------
    key
        A key.
    loc, scale
        Place and scale.
    shape
        The result has the shape ``(*shape, *p)``, p being what `loc` and `scale` broadcast to (and p stands for
        a `shape` of (), as in JAX).
    dtype
        A float dtype (default: float64).

    Returns
    -------
    Array
        Of the given shape (default: that of the parameters, broadcast) and dtype.

    Examples
    --------
    >>> from funcgrad import random
    >>> random.double_sided_maxwell(random.key(0), 1.0, 2.0, (3,)).shape
    (3,)
    """
    name = "double_sided_maxwell"
    key, shape, kind = plain(name, key, shape, dtype)
    inner, (loc, scale) = parameters(name, None, kind, loc=loc, scale=scale)
    return _double_sided_maxwell(key, loc, scale, shape=(shape or inner) + inner, dtype=kind)


@compiled
def _double_sided_maxwell(key: Any, loc: Any, scale: Any, *, shape: Shape, dtype: DType) -> Any:
    first, second = streams.subkeys(streams.words(key), 2)
    return signs(second, shape, dtype) * _lengths(first, shape, dtype) * spread(scale, shape) + spread(loc, shape)


def wald(key: Any, mean: Any, shape: Any = None, dtype: Any = None) -> Any:
    """Numbers with the Wald (inverse Gaussian) distribution of scale 1.

    By the transformation of J. R. Michael, W. R. Schucany, R. W. Haas, The American Statistician 30, 1976.

    Parameters
    ----------
    key
        A key.
    mean
        The mean, of a shape that broadcasts to `shape`.
    shape
        Of the result (default: that of `mean`).
    dtype
        A float dtype (default: float64).

    Returns
    -------
    Array
        Of the given shape (default: that of the parameters, broadcast) and dtype.

    Examples
    --------
    >>> from funcgrad import random
    >>> bool((random.wald(random.key(0), 2.0, (3,)) > 0).all())
    True
    """
    kind = dtype_among("wald", float if dtype is None else dtype, FLOATS)
    key = one_key("wald", key)
    shape, (mean,) = parameters("wald", shape, kind, mean=mean)
    return _wald(key, mean, shape=shape, dtype=kind)


@compiled
def _wald(key: Any, mean: Any, *, shape: Shape, dtype: DType) -> Any:
    first, second = streams.subkeys(streams.words(key), 2)
    mean, one, two = spread(mean, shape), dtype.type(1), dtype.type(2)
    z, u = streams.normal(first, shape, dtype), streams.uniform(second, shape, dtype)
    a = mean * (z * z) / two
    x = mean / (one + a + fnp.sqrt(a) * fnp.sqrt(a + two))  # mean (1 + a - √(a² + 2a)), without its cancellation
    return fnp.where(u <= mean / (mean + x), x, mean * (mean / x))


# Vectors and matrices ------------------------------------------------------------------------------------------------


def multivariate_normal(
    key: Any, mean: Any, cov: Any, shape: Any = None, dtype: Any = None, method: str = "cholesky"
) -> Any:
    """Vectors of normal numbers with a given mean and covariance.

    Parameters
    ----------
    key
        A key.
    mean
        Of shape ``(..., n)``.
    cov
        Of shape ``(..., n, n)``: symmetric and positive definite (for ``"eigh"`` and ``"svd"``, semidefinite).
    shape
        Of the result without its last axis (default: what the leading axes of `mean` and `cov` broadcast to).
    dtype
        A float dtype (default: that of `mean` and `cov`).
    method
        How a root of `cov` is found: ``"cholesky"``, ``"eigh"`` or ``"svd"``.

    Returns
    -------
    Array
        Of the given shape (default: that of the broadcast batch axes) and an axis of n more.

    Raises
    ------
    ValueError
        `method` is something else, or the shapes of mean and covariance do not fit.

    Examples
    --------
    >>> import numpy as np
    >>> from funcgrad import random
    >>> random.multivariate_normal(random.key(0), np.zeros(2), np.eye(2), (5,)).shape
    (5, 2)
    """
    name = "multivariate_normal"
    key, mean, cov = one_key(name, key), array(name, "mean", mean), array(name, "cov", cov)
    if method not in METHODS:
        raise ValueError(f"{name}: method must be one of {METHODS}, not {method!r}{at_line()}")
    have, _ = promote((type_of(x).dtype, False) for x in (mean, cov))
    have = have if is_inexact(have) else np.dtype(np.float64)
    kind = dtype_among(name, have if dtype is None else dtype, FLOATS)
    shapes = type_of(mean).shape, type_of(cov).shape
    n = shapes[0][-1] if shapes[0] else 0
    if not shapes[0] or len(shapes[1]) < 2 or shapes[1][-2:] != (n, n):
        raise ValueError(
            f"{name}: mean must have shape (..., n) and cov (..., n, n), got {shapes[0]} and {shapes[1]}{at_line()}"
        )
    leading = common_shape(name, shape, mean=shapes[0][:-1], cov=shapes[1][:-2])
    mean, cov = converted(mean, have), converted(cov, have)
    return _multivariate_normal(key, mean, cov, shape=leading, dtype=kind, method=method)


@compiled
def _multivariate_normal(key: Any, mean: Any, cov: Any, *, shape: Shape, dtype: DType, method: str) -> Any:
    have = type_of(cov).dtype
    mean, cov = converted(mean, widened(have)), converted(cov, widened(have))
    if method == "cholesky":
        factor = fnp.linalg.cholesky(cov)
    elif method == "eigh":
        values, vectors = fnp.linalg.eigh(cov)
        factor = vectors * fnp.sqrt(values)[..., None, :]
    else:
        vectors, values, _ = fnp.linalg.svd(cov)
        factor = vectors * fnp.sqrt(values)[..., None, :]
    drawn = streams.normal(streams.words(key), (*shape, type_of(mean).shape[-1]), dtype)
    found = mean + fnp.einsum("...ij,...j->...i", factor, drawn)
    return converted(found, promote([(have, False), (dtype, False)])[0])


def orthogonal(key: Any, n: int, shape: Any = (), dtype: Any = None, m: int | None = None) -> Any:
    """Orthogonal matrices, uniformly (by Haar's measure); unitary ones for complex dtypes.

    By the QR decomposition of normal matrices, with the signs of R's diagonal (F. Mezzadri, "How to generate random
    matrices from the classical compact groups", Notices of the AMS 54, 2007).

    Parameters
    ----------
    key
        A key.
    n, m
        The matrices are n × m (default: square): their columns, or if there are more of these their rows, are
        orthonormal.
    shape
        Of the axes in front.
    dtype
        A float or complex dtype (default: float64).

    Returns
    -------
    Array
        Of shape ``(*shape, n, m)`` and the dtype asked for.

    Raises
    ------
    ValueError
        `n` or `m` is negative.

    Examples
    --------
    >>> import numpy as np
    >>> from funcgrad import random
    >>> q = random.orthogonal(random.key(0), 3)
    >>> bool(np.allclose(q @ q.T, np.eye(3)))
    True
    """
    key, shape, kind = plain("orthogonal", key, shape, dtype, FLOATS | COMPLEX)
    rows = integer("orthogonal", "n", n)
    columns = rows if m is None else integer("orthogonal", "m", m)
    if min(rows, columns) < 0:
        raise ValueError(f"orthogonal: there is no matrix of {rows} × {columns}{at_line()}")
    return _orthogonal(key, n=rows, m=columns, shape=shape, dtype=kind)


@compiled
def _orthogonal(key: Any, *, n: int, m: int, shape: Shape, dtype: DType) -> Any:
    found = streams.normal(streams.words(key), (*shape, max(n, m), min(n, m)), dtype)
    q, r = fnp.linalg.qr(converted(found, widened(dtype)))
    diagonal = fnp.diagonal(r, axis1=-2, axis2=-1)
    q = converted(q * fnp.sign(diagonal)[..., None, :], dtype)
    return fnp.swapaxes(q, -2, -1) if n < m else q
