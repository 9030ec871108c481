"""The right-skewed Gumbel distribution, of the maximum of many values."""

from __future__ import annotations

from typing import Any

from funcgrad import numpy as np
from funcgrad.scipy._values import floating, public
from funcgrad.scipy.stats._arguments import capped, double_exponential, located, log_rest, standard


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
    Array(-1.)
    """
    z, scale = standard("gumbel_r.logpdf", x, loc, scale)
    return -z - np.exp(-z) - np.log(scale)


@public
def pdf(x: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The density.

    Returns
    -------
    Array
        Floats of the arguments' broadcast shape (integers count as float64).

    Examples
    --------
    >>> from funcgrad.scipy.stats import gumbel_r
    >>> gumbel_r.pdf(0.5)
    Array(0.3307043)
    """
    z, scale = standard("gumbel_r.pdf", x, loc, scale)
    w = capped(-z)
    return np.exp(w - np.exp(w)) / scale


@public
def cdf(x: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The probability of values up to `x`.

    Returns
    -------
    Array
        Floats of the arguments' broadcast shape (integers count as float64).

    Examples
    --------
    >>> from funcgrad.scipy.stats import gumbel_r
    >>> gumbel_r.cdf(0.5)
    Array(0.54523921)
    """
    z, _ = standard("gumbel_r.cdf", x, loc, scale)
    return double_exponential(-z)


@public
def logcdf(x: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The logarithm of `cdf`.

    Returns
    -------
    Array
        Floats of the arguments' broadcast shape (integers count as float64).

    Examples
    --------
    >>> from funcgrad.scipy.stats import gumbel_r
    >>> gumbel_r.logcdf(0.5)
    Array(-0.60653066)
    """
    z, _ = standard("gumbel_r.logcdf", x, loc, scale)
    return -np.exp(-z)


@public
def sf(x: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The probability of values above `x`.

    Returns
    -------
    Array
        Floats of the arguments' broadcast shape (integers count as float64).

    Examples
    --------
    >>> from funcgrad.scipy.stats import gumbel_r
    >>> gumbel_r.sf(0.5)
    Array(0.45476079)
    """
    z, _ = standard("gumbel_r.sf", x, loc, scale)
    return -np.expm1(-np.exp(capped(-z)))


@public
def logsf(x: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The logarithm of `sf`.

    Returns
    -------
    Array
        Floats of the arguments' broadcast shape (integers count as float64).

    Examples
    --------
    >>> from funcgrad.scipy.stats import gumbel_r
    >>> gumbel_r.logsf(0.5)
    Array(-0.78798374)
    """
    z, _ = standard("gumbel_r.logsf", x, loc, scale)
    return log_rest(-z)


@public
def ppf(p: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The value up to which the probability is `p`.

    Returns
    -------
    Array
        Floats of the arguments' broadcast shape (integers count as float64).

    Examples
    --------
    >>> from funcgrad.scipy.stats import gumbel_r
    >>> gumbel_r.ppf(0.25)
    Array(-0.32663426)
    """
    (p,) = floating("gumbel_r.ppf", p)
    return located(-np.log(-np.log(p)), "gumbel_r.ppf", loc, scale)
