"""The beta distribution on [0, 1]."""

from __future__ import annotations

from typing import Any

from funcgrad import numpy as np
from funcgrad.ops.special import betainc, lbeta, xlog1py, xlogy
from funcgrad.scipy._values import public
from funcgrad.scipy.stats._arguments import safe, standard, supported


@public
def logpdf(x: Any, a: Any, b: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The logarithm of the density.

    Examples
    --------
    >>> logpdf(0.5, 2.0, 2.0)
    Array(0.40546511)
    """
    z, scale, a, b = standard("beta.logpdf", x, loc, scale, a, b)
    inside = (z >= 0) & (z <= 1)
    y = safe(inside, z)
    value = xlogy(a - 1, y) + xlog1py(b - 1, -y) - lbeta(a, b) - np.log(scale)
    return supported(inside, value, -np.inf, z, a, b)


@public
def pdf(x: Any, a: Any, b: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The density."""
    return np.exp(logpdf(x, a, b, loc, scale))


@public
def cdf(x: Any, a: Any, b: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The probability of values up to `x`."""
    z, _, a, b = standard("beta.cdf", x, loc, scale, a, b)
    return betainc(a, b, np.clip(z, 0, 1))


@public
def logcdf(x: Any, a: Any, b: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The logarithm of `cdf`."""
    return np.log(cdf(x, a, b, loc, scale))


@public
def sf(x: Any, a: Any, b: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The probability of values above `x`."""
    z, _, a, b = standard("beta.sf", x, loc, scale, a, b)
    return betainc(b, a, 1 - np.clip(z, 0, 1))


@public
def logsf(x: Any, a: Any, b: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The logarithm of `sf`."""
    return np.log(sf(x, a, b, loc, scale))
