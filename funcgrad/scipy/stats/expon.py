"""The exponential distribution."""

from __future__ import annotations

from typing import Any

from funcgrad import numpy as np
from funcgrad.scipy._values import floating, public
from funcgrad.scipy.stats._arguments import constant, located, safe, standard, supported


@public
def logpdf(x: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The logarithm of the density.

    Returns
    -------
    Array
        Floats of the arguments' broadcast shape (integers count as float64).

    Examples
    --------
    >>> logpdf([1.0, -1.0])
    Array([ -1., -inf])
    """
    z, scale = standard("expon.logpdf", x, loc, scale)
    return supported(z >= 0, -z - np.log(scale), -np.inf, z)


@public
def pdf(x: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The density.

    Returns
    -------
    Array
        Floats of the arguments' broadcast shape (integers count as float64).

    Examples
    --------
    >>> from funcgrad.scipy.stats import expon
    >>> expon.pdf(1.0)
    Array(0.36787944)
    """
    return np.exp(logpdf(x, loc, scale))


@public
def cdf(x: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The probability of values up to `x`.

    Returns
    -------
    Array
        Floats of the arguments' broadcast shape (integers count as float64).

    Examples
    --------
    >>> from funcgrad.scipy.stats import expon
    >>> expon.cdf(1.0)
    Array(0.63212056)
    """
    z, _ = standard("expon.cdf", x, loc, scale)
    return -np.expm1(-np.maximum(z, constant(0, z)))


@public
def logcdf(x: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The logarithm of `cdf`.

    Returns
    -------
    Array
        Floats of the arguments' broadcast shape (integers count as float64).

    Examples
    --------
    >>> from funcgrad.scipy.stats import expon
    >>> expon.logcdf(1.0)
    Array(-0.45867515)
    """
    z, _ = standard("expon.logcdf", x, loc, scale)
    inside = z > 0
    return supported(inside, np.log(-np.expm1(-safe(inside, z))), -np.inf, z)


@public
def sf(x: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The probability of values above `x`.

    Returns
    -------
    Array
        Floats of the arguments' broadcast shape (integers count as float64).

    Examples
    --------
    >>> from funcgrad.scipy.stats import expon
    >>> expon.sf(1.0)
    Array(0.36787944)
    """
    return np.exp(logsf(x, loc, scale))


@public
def logsf(x: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The logarithm of `sf`.

    Returns
    -------
    Array
        Floats of the arguments' broadcast shape (integers count as float64).

    Examples
    --------
    >>> from funcgrad.scipy.stats import expon
    >>> expon.logsf(1.0)
    Array(-1.)
    """
    z, _ = standard("expon.logsf", x, loc, scale)
    return -np.maximum(z, constant(0, z))


@public
def ppf(q: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The value up to which the probability is `q`.

    Returns
    -------
    Array
        Floats of the arguments' broadcast shape (integers count as float64).

    Examples
    --------
    >>> from funcgrad.scipy.stats import expon
    >>> expon.ppf(0.25)
    Array(0.28768207)
    """
    (q,) = floating("expon.ppf", q)
    inside = (q >= 0) & (q <= 1)
    return located(supported(inside, -np.log1p(-safe(inside, q)), np.nan), "expon.ppf", loc, scale)
