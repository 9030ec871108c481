"""The normal distribution."""

from __future__ import annotations

import math
from typing import Any

from funcgrad import numpy as np
from funcgrad.ops.error_functions import log_ndtr, ndtri
from funcgrad.ops.transcendental import erfc
from funcgrad.scipy._values import floating, public
from funcgrad.scipy.stats._arguments import located, standard

HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)


@public
def logpdf(x: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The logarithm of the density.

    Returns
    -------
    Array
        Floats of the arguments' broadcast shape (integers count as float64).

    Examples
    --------
    >>> logpdf(0.0)
    Array(-0.91893853)
    """
    z, scale = standard("norm.logpdf", x, loc, scale)
    return -0.5 * (z * z) - HALF_LOG_2PI - np.log(scale)


@public
def pdf(x: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The density.

    Returns
    -------
    Array
        Floats of the arguments' broadcast shape (integers count as float64).

    Examples
    --------
    >>> from funcgrad.scipy.stats import norm
    >>> norm.pdf(0.5)
    Array(0.35206533)
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
    >>> from funcgrad.scipy.stats import norm
    >>> norm.cdf(0.5)
    Array(0.69146246)
    """
    z, _ = standard("norm.cdf", x, loc, scale)
    return 0.5 * erfc(z * -math.sqrt(0.5))


@public
def logcdf(x: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The logarithm of `cdf`.

    Returns
    -------
    Array
        Floats of the arguments' broadcast shape (integers count as float64).

    Examples
    --------
    >>> from funcgrad.scipy.stats import norm
    >>> norm.logcdf(0.5)
    Array(-0.36894642)
    """
    z, _ = standard("norm.logcdf", x, loc, scale)
    return log_ndtr(z)


@public
def sf(x: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The probability of values above `x`.

    Returns
    -------
    Array
        Floats of the arguments' broadcast shape (integers count as float64).

    Examples
    --------
    >>> from funcgrad.scipy.stats import norm
    >>> norm.sf(0.5)
    Array(0.30853754)
    """
    z, _ = standard("norm.sf", x, loc, scale)
    return 0.5 * erfc(z * math.sqrt(0.5))


@public
def logsf(x: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The logarithm of `sf`.

    Returns
    -------
    Array
        Floats of the arguments' broadcast shape (integers count as float64).

    Examples
    --------
    >>> from funcgrad.scipy.stats import norm
    >>> norm.logsf(0.5)
    Array(-1.17591176)
    """
    z, _ = standard("norm.logsf", x, loc, scale)
    return log_ndtr(-z)


@public
def ppf(q: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The value up to which the probability is `q`.

    Returns
    -------
    Array
        Floats of the arguments' broadcast shape (integers count as float64).

    Examples
    --------
    >>> from funcgrad.scipy.stats import norm
    >>> norm.ppf(0.25)
    Array(-0.67448975)
    """
    (q,) = floating("norm.ppf", q)
    return located(ndtri(q), "norm.ppf", loc, scale)


@public
def isf(q: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The value above which the probability is `q`.

    Returns
    -------
    Array
        Floats of the arguments' broadcast shape (integers count as float64).

    Examples
    --------
    >>> from funcgrad.scipy.stats import norm
    >>> norm.isf(0.25)
    Array(0.67448975)
    """
    (q,) = floating("norm.isf", q)
    return located(-ndtri(q), "norm.isf", loc, scale)
