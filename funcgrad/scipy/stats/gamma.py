"""The gamma distribution."""

from __future__ import annotations

from typing import Any

from funcgrad import numpy as np
from funcgrad.ops.special import igamma, igammac, lgamma, xlogy
from funcgrad.scipy._values import public
from funcgrad.scipy.stats._arguments import constant, exponential, logarithm, safe, standard, supported


@public
def logpdf(x: Any, a: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The logarithm of the density.

    Returns
    -------
    Array
        Floats of the arguments' broadcast shape (integers count as float64).

    Examples
    --------
    >>> logpdf(1.0, 1.0)
    Array(-1.)
    """
    return _log_density(*standard("gamma.logpdf", x, loc, scale, a))


def _log_density(z: Any, scale: Any, a: Any) -> Any:
    inside = z >= 0
    y = safe(inside, z)
    return supported(inside, xlogy(a - 1, y) - y - lgamma(a) - np.log(scale), -np.inf, z, a)


@public
def pdf(x: Any, a: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The density.

    Returns
    -------
    Array
        Floats of the arguments' broadcast shape (integers count as float64).

    Examples
    --------
    >>> from funcgrad.scipy.stats import gamma
    >>> gamma.pdf(1.0, 2.0)
    Array(0.36787944)
    """
    z, scale, a = standard("gamma.pdf", x, loc, scale, a)
    empty = (z == 0) & (a > 1)  # the logarithm is infinitely steep there, the density is not
    return supported(~empty, exponential(_log_density(np.where(empty, constant(1, z), z), scale, a)), 0.0)


@public
def cdf(x: Any, a: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The probability of values up to `x`.

    Returns
    -------
    Array
        Floats of the arguments' broadcast shape (integers count as float64).

    Examples
    --------
    >>> from funcgrad.scipy.stats import gamma
    >>> gamma.cdf(1.0, 2.0)
    Array(0.26424112)
    """
    z, _, a = standard("gamma.cdf", x, loc, scale, a)
    inside = z > 0
    value = igamma(a, safe(inside, z))
    return supported(inside, value, 0.0, z, value)


@public
def logcdf(x: Any, a: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The logarithm of `cdf`.

    Returns
    -------
    Array
        Floats of the arguments' broadcast shape (integers count as float64).

    Examples
    --------
    >>> from funcgrad.scipy.stats import gamma
    >>> gamma.logcdf(1.0, 2.0)
    Array(-1.33089327)
    """
    return logarithm(cdf(x, a, loc, scale))


@public
def sf(x: Any, a: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The probability of values above `x`.

    Returns
    -------
    Array
        Floats of the arguments' broadcast shape (integers count as float64).

    Examples
    --------
    >>> from funcgrad.scipy.stats import gamma
    >>> gamma.sf(1.0, 2.0)
    Array(0.73575888)
    """
    z, _, a = standard("gamma.sf", x, loc, scale, a)
    inside = z > 0
    value = igammac(a, safe(inside, z))
    return supported(inside, value, 1.0, z, value)


@public
def logsf(x: Any, a: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The logarithm of `sf`.

    Returns
    -------
    Array
        Floats of the arguments' broadcast shape (integers count as float64).

    Examples
    --------
    >>> from funcgrad.scipy.stats import gamma
    >>> gamma.logsf(1.0, 2.0)
    Array(-0.30685282)
    """
    return logarithm(sf(x, a, loc, scale))
