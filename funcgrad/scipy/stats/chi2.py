"""The chi-squared distribution: the gamma distribution of shape df/2 and scale 2."""

from __future__ import annotations

from typing import Any

from funcgrad.scipy._values import floating, public
from funcgrad.scipy.stats import gamma


def _as_gamma(function: Any, x: Any, df: Any, loc: Any, scale: Any) -> Any:
    x, df, loc, scale = floating(f"chi2.{function.__name__}", x, df, loc, scale)
    return function(x, df / 2, loc, 2 * scale)


@public
def logpdf(x: Any, df: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The logarithm of the density.

    Examples
    --------
    >>> logpdf(2.0, 2.0)
    Array(-1.69314718)
    """
    return _as_gamma(gamma.logpdf, x, df, loc, scale)


@public
def pdf(x: Any, df: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The density."""
    return _as_gamma(gamma.pdf, x, df, loc, scale)


@public
def cdf(x: Any, df: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The probability of values up to `x`."""
    return _as_gamma(gamma.cdf, x, df, loc, scale)


@public
def logcdf(x: Any, df: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The logarithm of `cdf`."""
    return _as_gamma(gamma.logcdf, x, df, loc, scale)


@public
def sf(x: Any, df: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The probability of values above `x`."""
    return _as_gamma(gamma.sf, x, df, loc, scale)


@public
def logsf(x: Any, df: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The logarithm of `sf`."""
    return _as_gamma(gamma.logsf, x, df, loc, scale)
