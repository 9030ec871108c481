"""The beta distribution on [0, 1]."""

from __future__ import annotations

from typing import Any

from funcgrad import numpy as np
from funcgrad.ops.special import betainc, lbeta, xlog1py, xlogy
from funcgrad.scipy._values import public
from funcgrad.scipy.stats._arguments import constant, exponential, logarithm, safe, standard, supported


@public
def logpdf(x: Any, a: Any, b: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The logarithm of the density.

    Returns
    -------
    Array
        Floats of the arguments' broadcast shape (integers count as float64).

    Examples
    --------
    >>> logpdf(0.5, 2.0, 2.0)
    Array(0.40546511)
    """
    return _log_density(*standard("beta.logpdf", x, loc, scale, a, b))


def _log_density(z: Any, scale: Any, a: Any, b: Any) -> Any:
    inside = (z >= 0) & (z <= 1)
    y = safe(inside, z)
    value = xlogy(a - 1, y) + xlog1py(b - 1, -y) - lbeta(a, b) - np.log(scale)
    return supported(inside, value, -np.inf, z, a, b)


@public
def pdf(x: Any, a: Any, b: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The density.

    Returns
    -------
    Array
        Floats of the arguments' broadcast shape (integers count as float64).

    Examples
    --------
    >>> from funcgrad.scipy.stats import beta
    >>> beta.pdf(0.5, 2.0, 3.0)
    Array(1.5)
    """
    z, scale, a, b = standard("beta.pdf", x, loc, scale, a, b)
    empty = ((z == 0) & (a > 1)) | ((z == 1) & (b > 1))  # the logarithm is infinitely steep there, the density is not
    return supported(~empty, exponential(_log_density(np.where(empty, constant(0.5, z), z), scale, a, b)), 0.0, a, b)


@public
def cdf(x: Any, a: Any, b: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The probability of values up to `x`.

    Returns
    -------
    Array
        Floats of the arguments' broadcast shape (integers count as float64).

    Examples
    --------
    >>> from funcgrad.scipy.stats import beta
    >>> beta.cdf(0.5, 2.0, 3.0)
    Array(0.6875)
    """
    z, _, a, b = standard("beta.cdf", x, loc, scale, a, b)
    inside = (z > 0) & (z < 1)
    value = betainc(a, b, safe(inside, z))
    return supported(inside, value, np.where(z >= 1, constant(1, z), constant(0, z)), z, value)


@public
def logcdf(x: Any, a: Any, b: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The logarithm of `cdf`.

    Returns
    -------
    Array
        Floats of the arguments' broadcast shape (integers count as float64).

    Examples
    --------
    >>> from funcgrad.scipy.stats import beta
    >>> beta.logcdf(0.5, 2.0, 3.0)
    Array(-0.37469345)
    """
    return logarithm(cdf(x, a, b, loc, scale))


@public
def sf(x: Any, a: Any, b: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The probability of values above `x`.

    Returns
    -------
    Array
        Floats of the arguments' broadcast shape (integers count as float64).

    Examples
    --------
    >>> from funcgrad.scipy.stats import beta
    >>> beta.sf(0.5, 2.0, 3.0)
    Array(0.3125)
    """
    z, _, a, b = standard("beta.sf", x, loc, scale, a, b)
    inside = (z > 0) & (z < 1)
    value = betainc(b, a, 1 - safe(inside, z))
    return supported(inside, value, np.where(z <= 0, constant(1, z), constant(0, z)), z, value)


@public
def logsf(x: Any, a: Any, b: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The logarithm of `sf`.

    Returns
    -------
    Array
        Floats of the arguments' broadcast shape (integers count as float64).

    Examples
    --------
    >>> from funcgrad.scipy.stats import beta
    >>> beta.logsf(0.5, 2.0, 3.0)
    Array(-1.16315081)
    """
    return logarithm(sf(x, a, b, loc, scale))
