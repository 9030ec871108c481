"""The left-skewed Gumbel distribution, of the minimum of many values."""

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
    z, scale = standard("gumbel_l.logpdf", x, loc, scale)
    return z - np.exp(z) - np.log(scale)


@public
def pdf(x: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The density.

    Returns
    -------
    Array
        Floats of the arguments' broadcast shape (integers count as float64).

    Examples
    --------
    >>> from funcgrad.scipy.stats import gumbel_l
    >>> gumbel_l.pdf(0.5)
    Array(0.31704192)
    """
    z, scale = standard("gumbel_l.pdf", x, loc, scale)
    w = capped(z)
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
    >>> from funcgrad.scipy.stats import gumbel_l
    >>> gumbel_l.cdf(0.5)
    Array(0.80770435)
    """
    z, _ = standard("gumbel_l.cdf", x, loc, scale)
    return -np.expm1(-np.exp(capped(z)))


@public
def logcdf(x: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The logarithm of `cdf`.

    Returns
    -------
    Array
        Floats of the arguments' broadcast shape (integers count as float64).

    Examples
    --------
    >>> from funcgrad.scipy.stats import gumbel_l
    >>> gumbel_l.logcdf(0.5)
    Array(-0.21355919)
    """
    z, _ = standard("gumbel_l.logcdf", x, loc, scale)
    return log_rest(z)


@public
def sf(x: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The probability of values above `x`.

    Returns
    -------
    Array
        Floats of the arguments' broadcast shape (integers count as float64).

    Examples
    --------
    >>> from funcgrad.scipy.stats import gumbel_l
    >>> gumbel_l.sf(0.5)
    Array(0.19229565)
    """
    z, _ = standard("gumbel_l.sf", x, loc, scale)
    return double_exponential(z)


@public
def logsf(x: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The logarithm of `sf`.

    Returns
    -------
    Array
        Floats of the arguments' broadcast shape (integers count as float64).

    Examples
    --------
    >>> from funcgrad.scipy.stats import gumbel_l
    >>> gumbel_l.logsf(0.5)
    Array(-1.64872127)
    """
    z, _ = standard("gumbel_l.logsf", x, loc, scale)
    return -np.exp(z)


@public
def ppf(p: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The value up to which the probability is `p`.

    Returns
    -------
    Array
        Floats of the arguments' broadcast shape (integers count as float64).

    Examples
    --------
    >>> from funcgrad.scipy.stats import gumbel_l
    >>> gumbel_l.ppf(0.25)
    Array(-1.24589932)
    """
    (p,) = floating("gumbel_l.ppf", p)
    return located(np.log(-np.log1p(-p)), "gumbel_l.ppf", loc, scale)
