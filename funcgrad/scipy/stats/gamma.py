"""The gamma distribution."""

from __future__ import annotations

from typing import Any

from funcgrad import numpy as np
from funcgrad.ops.special import igamma, igammac, lgamma, xlogy
from funcgrad.scipy._values import public
from funcgrad.scipy.stats._arguments import constant, safe, standard, supported


@public
def logpdf(x: Any, a: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The logarithm of the density.

    Examples
    --------
    >>> logpdf(1.0, 1.0)
    Array(-1.)
    """
    z, scale, a = standard("gamma.logpdf", x, loc, scale, a)
    inside = z >= 0
    y = safe(inside, z)
    return supported(inside, xlogy(a - 1, y) - y - lgamma(a) - np.log(scale), -np.inf, z, a)


@public
def pdf(x: Any, a: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The density."""
    return np.exp(logpdf(x, a, loc, scale))


@public
def cdf(x: Any, a: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The probability of values up to `x`."""
    z, _, a = standard("gamma.cdf", x, loc, scale, a)
    return igamma(a, np.maximum(z, constant(0, z)))


@public
def logcdf(x: Any, a: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The logarithm of `cdf`."""
    return np.log(cdf(x, a, loc, scale))


@public
def sf(x: Any, a: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The probability of values above `x`."""
    z, _, a = standard("gamma.sf", x, loc, scale, a)
    return igammac(a, np.maximum(z, constant(0, z)))


@public
def logsf(x: Any, a: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The logarithm of `sf`."""
    return np.log(sf(x, a, loc, scale))
