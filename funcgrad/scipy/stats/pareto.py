"""The Pareto distribution: the probability of more than x is x**-b for x >= 1."""

from __future__ import annotations

from typing import Any

from funcgrad import numpy as np
from funcgrad.scipy._values import public
from funcgrad.scipy.stats._arguments import (
    constant,
    exponential,
    given,
    located,
    logarithm,
    safe,
    standard,
    supported,
)


@public
def logpdf(x: Any, b: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The logarithm of the density.

    Returns
    -------
    Array
        Floats of the arguments' broadcast shape (integers count as float64).

    Examples
    --------
    >>> logpdf([1.0, 0.5], 1.0)
    Array([  0., -inf])
    """
    z, scale, b = standard("pareto.logpdf", x, loc, scale, b)
    inside = z >= 1
    value = np.log(b) - np.log(scale) - (b + 1) * np.log(safe(inside, z, 1))
    return supported(inside, value, -np.inf, z, b)


@public
def pdf(x: Any, b: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The density.

    Returns
    -------
    Array
        Floats of the arguments' broadcast shape (integers count as float64).

    Examples
    --------
    >>> from funcgrad.scipy.stats import pareto
    >>> pareto.pdf(2.0, 3.0)
    Array(0.1875)
    """
    return exponential(logpdf(x, b, loc, scale))


@public
def logsf(x: Any, b: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The logarithm of `sf`.

    Returns
    -------
    Array
        Floats of the arguments' broadcast shape (integers count as float64).

    Examples
    --------
    >>> from funcgrad.scipy.stats import pareto
    >>> pareto.logsf(2.0, 3.0)
    Array(-2.07944154)
    """
    z, _, b = standard("pareto.logsf", x, loc, scale, b)
    return -b * np.log(np.maximum(z, constant(1, z)))


@public
def sf(x: Any, b: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The probability of values above `x`.

    Returns
    -------
    Array
        Floats of the arguments' broadcast shape (integers count as float64).

    Examples
    --------
    >>> from funcgrad.scipy.stats import pareto
    >>> pareto.sf(2.0, 3.0)
    Array(0.125)
    """
    return np.exp(logsf(x, b, loc, scale))


@public
def cdf(x: Any, b: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The probability of values up to `x`.

    Returns
    -------
    Array
        Floats of the arguments' broadcast shape (integers count as float64).

    Examples
    --------
    >>> from funcgrad.scipy.stats import pareto
    >>> pareto.cdf(2.0, 3.0)
    Array(0.875)
    """
    return -np.expm1(logsf(x, b, loc, scale))


@public
def logcdf(x: Any, b: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The logarithm of `cdf`.

    Returns
    -------
    Array
        Floats of the arguments' broadcast shape (integers count as float64).

    Examples
    --------
    >>> from funcgrad.scipy.stats import pareto
    >>> pareto.logcdf(2.0, 3.0)
    Array(-0.13353139)
    """
    return logarithm(cdf(x, b, loc, scale))


@public
def ppf(q: Any, b: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The value up to which the probability is `q`.

    Returns
    -------
    Array
        Floats of the arguments' broadcast shape (integers count as float64).

    Examples
    --------
    >>> from funcgrad.scipy.stats import pareto
    >>> pareto.ppf(0.25, 3.0)
    Array(1.10064242)
    """
    q, b = given("pareto.ppf", q, b)
    inside = (q >= 0) & (q <= 1) & (b > 0)
    z = supported(inside, np.exp(-np.log1p(-safe(inside, q)) / b), np.nan)
    return located(z, "pareto.ppf", loc, scale)
