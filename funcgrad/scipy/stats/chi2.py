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

    Returns
    -------
    Array
        Floats of the arguments' broadcast shape (integers count as float64).

    Examples
    --------
    >>> logpdf(2.0, 2.0)
    Array(-1.69314718)
    """
    return _as_gamma(gamma.logpdf, x, df, loc, scale)


@public
def pdf(x: Any, df: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The density.

    Returns
    -------
    Array
        Floats of the arguments' broadcast shape (integers count as float64).

    Examples
    --------
    >>> from funcgrad.scipy.stats import chi2
    >>> chi2.pdf(1.0, 3.0)
    Array(0.24197072)
    """
    return _as_gamma(gamma.pdf, x, df, loc, scale)


@public
def cdf(x: Any, df: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The probability of values up to `x`.

    Returns
    -------
    Array
        Floats of the arguments' broadcast shape (integers count as float64).

    Examples
    --------
    >>> from funcgrad.scipy.stats import chi2
    >>> chi2.cdf(1.0, 3.0)
    Array(0.19874804)
    """
    return _as_gamma(gamma.cdf, x, df, loc, scale)


@public
def logcdf(x: Any, df: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The logarithm of `cdf`.

    Returns
    -------
    Array
        Floats of the arguments' broadcast shape (integers count as float64).

    Examples
    --------
    >>> from funcgrad.scipy.stats import chi2
    >>> chi2.logcdf(1.0, 3.0)
    Array(-1.61571737)
    """
    return _as_gamma(gamma.logcdf, x, df, loc, scale)


@public
def sf(x: Any, df: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The probability of values above `x`.

    Returns
    -------
    Array
        Floats of the arguments' broadcast shape (integers count as float64).

    Examples
    --------
    >>> from funcgrad.scipy.stats import chi2
    >>> chi2.sf(1.0, 3.0)
    Array(0.80125196)
    """
    return _as_gamma(gamma.sf, x, df, loc, scale)


@public
def logsf(x: Any, df: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The logarithm of `sf`.

    Returns
    -------
    Array
        Floats of the arguments' broadcast shape (integers count as float64).

    Examples
    --------
    >>> from funcgrad.scipy.stats import chi2
    >>> chi2.logsf(1.0, 3.0)
    Array(-0.22157983)
    """
    return _as_gamma(gamma.logsf, x, df, loc, scale)
