"""Which samplers are formulas of uniform numbers?"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from funcgrad import numpy as fnp
from funcgrad.dtypes import FLOATS, INTEGERS, DType
from funcgrad.ops.comparison import convert
from funcgrad.random import _streams as streams
from funcgrad.random._arguments import (
    Shape,
    array,
    common_shape,
    compiled,
    converted,
    dtype_among,
    one_key,
    parameters,
    plain,
    spread,
)
from funcgrad.trace.frame import type_of


def exponential(key: Any, shape: Any = (), dtype: Any = None) -> Any:
    """Numbers with the exponential distribution of mean 1.

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
    >>> random.exponential(random.key(0), (2,)).round(3)
    array([0.542, 0.244])
    """
    key, shape, kind = plain("exponential", key, shape, dtype)
    return _exponential(key, shape=shape, dtype=kind)


@compiled
def _exponential(key: Any, *, shape: Shape, dtype: DType) -> Any:
    return exponential_of(streams.words(key), shape, dtype)


def exponential_of(key: streams.Key, shape: Shape, dtype: DType) -> Any:
    """-log(1 - u)."""
    return -fnp.log1p(-streams.uniform(key, shape, dtype))


def laplace(key: Any, shape: Any = (), dtype: Any = None) -> Any:
    """Numbers with the Laplace distribution of scale 1.

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
    >>> random.laplace(random.key(0), (2,)).round(3)
    array([0.178, 0.838])
    """
    key, shape, kind = plain("laplace", key, shape, dtype)
    return _laplace(key, shape=shape, dtype=kind)


@compiled
def _laplace(key: Any, *, shape: Shape, dtype: DType) -> Any:
    low = np.array(2.0 ** (-1 - streams.FRACTION[dtype]) - 1, dtype)[()]
    u = streams.uniform(streams.words(key), shape, dtype, low, dtype.type(1))
    return fnp.sign(u) * fnp.log1p(-fnp.abs(u))


def logistic(key: Any, shape: Any = (), dtype: Any = None) -> Any:
    """Numbers with the logistic distribution of scale 1.

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
    >>> random.logistic(random.key(0), (2,)).round(3)
    array([-0.329, -1.287])
    """
    key, shape, kind = plain("logistic", key, shape, dtype)
    return _logistic(key, shape=shape, dtype=kind)


@compiled
def _logistic(key: Any, *, shape: Shape, dtype: DType) -> Any:
    u = streams.uniform(streams.words(key), shape, dtype, streams.smallest(dtype), dtype.type(1))
    return fnp.log(u) - fnp.log1p(-u)


def cauchy(key: Any, shape: Any = (), dtype: Any = None) -> Any:
    """Numbers with the Cauchy distribution of scale 1.

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
    >>> random.cauchy(random.key(0), (2,)).round(3)
    array([-0.262, -1.238])
    """
    key, shape, kind = plain("cauchy", key, shape, dtype)
    return _cauchy(key, shape=shape, dtype=kind)


@compiled
def _cauchy(key: Any, *, shape: Shape, dtype: DType) -> Any:
    step = np.array(2.0 ** -streams.FRACTION[dtype], dtype)[()]
    u = streams.uniform(streams.words(key), shape, dtype, step, dtype.type(1))
    return fnp.tan(np.array(math.pi, dtype)[()] * (u - dtype.type(0.5)))


def pareto(key: Any, b: Any, shape: Any = None, dtype: Any = None) -> Any:
    """Numbers above 1 with the density b x**(-b - 1).

    Parameters
    ----------
    key
        A key.
    b
        The exponent, of a shape that broadcasts to `shape`.
    shape
        Of the result (default: that of `b`).
    dtype
        A float dtype (default: float64).

    Returns
    -------
    Array
        Of the given shape (default: that of the parameters, broadcast) and dtype.

    Examples
    --------
    >>> from funcgrad import random
    >>> random.pareto(random.key(0), 2.0, (2,)).round(3)
    array([1.311, 1.13 ])
    """
    kind, key = dtype_among("pareto", float if dtype is None else dtype, FLOATS), one_key("pareto", key)
    shape, (b,) = parameters("pareto", shape, kind, b=b)
    return _pareto(key, b, shape=shape, dtype=kind)


@compiled
def _pareto(key: Any, b: Any, *, shape: Shape, dtype: DType) -> Any:
    return fnp.exp(exponential_of(streams.words(key), shape, dtype) / spread(b, shape))


def weibull_min(key: Any, scale: Any, concentration: Any, shape: Any = (), dtype: Any = None) -> Any:
    """Numbers with the Weibull distribution: scale * e**(1 / concentration) for e from `exponential`.

    Parameters
    ----------
    key
        A key.
    scale, concentration
        The scale, and the exponent of the distribution function.
    shape
        Of the uniform numbers that are drawn; the result has the shape that this one and the parameters' broadcast to.
    dtype
        A float dtype (default: float64).

    Returns
    -------
    Array
        Of the given shape (default: that of the parameters, broadcast) and dtype.

    Examples
    --------
    >>> from funcgrad import random
    >>> random.weibull_min(random.key(0), 2.0, 1.5, (2,)).round(3)
    array([1.33, 0.78])
    """
    key, shape, kind = plain("weibull_min", key, shape, dtype)
    _, (scale, concentration) = parameters("weibull_min", None, kind, scale=scale, concentration=concentration)
    return _weibull_min(key, scale, concentration, shape=shape, dtype=kind)


@compiled
def _weibull_min(key: Any, scale: Any, concentration: Any, *, shape: Shape, dtype: DType) -> Any:
    return fnp.power(exponential_of(streams.words(key), shape, dtype), dtype.type(1) / concentration) * scale


def rayleigh(key: Any, scale: Any, shape: Any = None, dtype: Any = None) -> Any:
    """Numbers with the Rayleigh distribution: scale * sqrt(-2 log u) for uniform u.

    Parameters
    ----------
    key
        A key.
    scale
        The scale, of a shape that broadcasts to `shape`.
    shape
        Of the result (default: that of `scale`).
    dtype
        A float dtype (default: float64).

    Returns
    -------
    Array
        Of the given shape (default: that of the parameters, broadcast) and dtype.

    Examples
    --------
    >>> from funcgrad import random
    >>> random.rayleigh(random.key(0), 2.0, (2,)).round(3)
    array([2.64, 3.5 ])
    """
    kind, key = dtype_among("rayleigh", float if dtype is None else dtype, FLOATS), one_key("rayleigh", key)
    shape, (scale,) = parameters("rayleigh", shape, kind, scale=scale)
    return _rayleigh(key, scale, shape=shape, dtype=kind)


@compiled
def _rayleigh(key: Any, scale: Any, *, shape: Shape, dtype: DType) -> Any:
    u = streams.uniform(streams.words(key), shape, dtype)
    return spread(scale, shape) * fnp.sqrt(fnp.log(u) * dtype.type(-2))


def triangular(key: Any, left: Any, mode: Any, right: Any, shape: Any = None, dtype: Any = None) -> Any:
    """Numbers whose density is a triangle over an interval.

    Parameters
    ----------
    key
        A key.
    left, mode, right
        The ends of the interval, and between them the place of the largest density.
    shape
        Of the result (default: what the parameters broadcast to).
    dtype
        A float dtype (default: float64).

    Returns
    -------
    Array
        Of the given shape (default: that of the parameters, broadcast) and dtype.

    Examples
    --------
    >>> from funcgrad import random
    >>> random.triangular(random.key(0), 0.0, 0.5, 1.0, (2,)).round(3)
    array([0.457, 0.329])
    """
    kind, key = dtype_among("triangular", float if dtype is None else dtype, FLOATS), one_key("triangular", key)
    shape, found = parameters("triangular", shape, kind, left=left, mode=mode, right=right)
    return _triangular(key, *found, shape=shape, dtype=kind)


@compiled
def _triangular(key: Any, left: Any, mode: Any, right: Any, *, shape: Shape, dtype: DType) -> Any:
    left, mode, right = (spread(x, shape) for x in (left, mode, right))
    u = streams.uniform(streams.words(key), shape, dtype)
    rising = left + fnp.sqrt(u * (right - left) * (mode - left))
    falling = right - fnp.sqrt((dtype.type(1) - u) * (right - left) * (right - mode))
    return fnp.where(u < (mode - left) / (right - left), rising, falling)


def geometric(key: Any, p: Any, shape: Any = None, dtype: Any = None) -> Any:
    """Numbers of trials up to the first success, each of which has probability p.

    Parameters
    ----------
    key
        A key.
    p
        Probabilities, of a shape that broadcasts to `shape`.
    shape
        Of the result (default: that of `p`).
    dtype
        An int dtype (default: int64).

    Returns
    -------
    Array
        Of the given shape (default: that of the parameters, broadcast) and dtype.

    Examples
    --------
    >>> from funcgrad import random
    >>> random.geometric(random.key(0), 0.25, (4,))
    Array([4, 6, 1, 2])
    """
    name = "geometric"
    kind, key = dtype_among(name, int if dtype is None else dtype, INTEGERS), one_key(name, key)
    p = array(name, "p", p)
    p = converted(p, type_of(p).dtype if type_of(p).dtype in FLOATS else np.dtype(np.float64))
    return _geometric(key, p, shape=common_shape(name, shape, p=type_of(p).shape), dtype=kind)


@compiled
def _geometric(key: Any, p: Any, *, shape: Shape, dtype: DType) -> Any:
    of = type_of(p).dtype
    u = streams.uniform(streams.words(key), shape, of)
    u = fnp.where(u == of.type(0), of.type(1), u)
    ratio = fnp.log(u) / spread(fnp.log1p(-p), shape)
    return convert(fnp.floor(ratio) + of.type(1), dtype=dtype)
