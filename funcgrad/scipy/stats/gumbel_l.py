"""The left-skewed Gumbel distribution, of the minimum of many values."""

from __future__ import annotations

from typing import Any

from funcgrad import numpy as np
from funcgrad.scipy._values import floating, public
from funcgrad.scipy.stats._arguments import located, standard


@public
def logpdf(x: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The logarithm of the density.

    Examples
    --------
    >>> logpdf(0.0)
    Array(-1.)
    """
    z, scale = standard("gumbel_l.logpdf", x, loc, scale)
    return z - np.exp(z) - np.log(scale)


@public
def pdf(x: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The density."""
    return np.exp(logpdf(x, loc, scale))


@public
def cdf(x: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The probability of values up to `x`."""
    z, _ = standard("gumbel_l.cdf", x, loc, scale)
    return -np.expm1(-np.exp(z))


@public
def logcdf(x: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The logarithm of `cdf`."""
    z, _ = standard("gumbel_l.logcdf", x, loc, scale)
    return _log_rest(np.exp(z))


@public
def sf(x: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The probability of values above `x`."""
    z, _ = standard("gumbel_l.sf", x, loc, scale)
    return np.exp(-np.exp(z))


@public
def logsf(x: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The logarithm of `sf`."""
    z, _ = standard("gumbel_l.logsf", x, loc, scale)
    return -np.exp(z)


def _log_rest(e: Any) -> Any:
    """log(1 - exp(-e)), which is -exp(-e) for large e."""
    return np.where(e > 0.7, np.log1p(-np.exp(-e)), np.log(-np.expm1(-e)))


@public
def ppf(p: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The value up to which the probability is `p`."""
    (p,) = floating("gumbel_l.ppf", p)
    return located(np.log(-np.log1p(-p)), "gumbel_l.ppf", loc, scale)
