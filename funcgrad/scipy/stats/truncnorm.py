"""The normal distribution between a and b (in units of the scale, from loc)."""

from __future__ import annotations

from typing import Any

from funcgrad import numpy as np
from funcgrad.ops.error_functions import log_ndtr
from funcgrad.ops.transcendental import erfc
from funcgrad.scipy._values import public
from funcgrad.scipy.stats import norm
from funcgrad.scipy.stats._arguments import constant, exponential, log_difference, safe, standard, supported, valid


def _log_mass(a: Any, b: Any) -> Any:
    """log(Φ(b) - Φ(a)) for a <= b: from the nearer tail, or as 1 less both tails."""
    right = a > 0
    low, high = np.where(right, -b, a), np.where(right, -a, b)  # by symmetry, in the left half
    tail = high <= 0
    bounded = low > -np.inf
    start = np.where(bounded, low, constant(-1, low))  # log_ndtr is infinitely steep at -inf
    least = np.where(bounded, log_ndtr(start), constant(-float("inf"), low))
    within = log_difference(log_ndtr(np.where(tail, high, start + 1)), least)
    root = 0.5**0.5
    both = 0.5 * erfc(-low * root) + 0.5 * erfc(np.where(tail, constant(1, b), high) * root)
    return np.where(tail, within, np.log1p(-both))


def _log_both(name: str, x: Any, a: Any, b: Any, loc: Any, scale: Any) -> Any:
    """The logarithms of the masses below and above `x`, over that of the whole."""
    z, _, a, b = standard(name, x, loc, scale, a, b, positive=False)
    b = valid(a < b, b)
    z = np.minimum(np.maximum(z, a), b)
    whole = _log_mass(a, b)
    return _log_mass(a, z) - whole, _log_mass(z, b) - whole


def _log_other(likely: Any, other: Any) -> Any:
    """The logarithm of a probability near 1, by that of its complement."""
    near = likely > -0.1
    rest = np.exp(np.where(near, np.minimum(other, constant(0, other)), constant(-1, other)))
    return np.where(near, np.log1p(-rest), likely)


@public
def logpdf(x: Any, a: Any, b: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The logarithm of the density.

    Returns
    -------
    Array
        Floats of the arguments' broadcast shape (integers count as float64).

    Examples
    --------
    >>> import numpy as np
    >>> logpdf([0.0, 2.0], -np.inf, 0.0)
    Array([-0.22579135,        -inf])
    """
    z, scale, a, b = standard("truncnorm.logpdf", x, loc, scale, a, b, positive=False)
    b = valid(a < b, b)
    inside = (z >= a) & (z <= b)
    value = norm.logpdf(safe(inside, z)) - _log_mass(a, b) - np.log(scale)
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
    >>> from funcgrad.scipy.stats import truncnorm
    >>> truncnorm.pdf(0.5, -1.0, 1.0)
    Array(0.51570345)
    """
    return exponential(logpdf(x, a, b, loc, scale))


@public
def logcdf(x: Any, a: Any, b: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The logarithm of `cdf`.

    Returns
    -------
    Array
        Floats of the arguments' broadcast shape (integers count as float64).

    Examples
    --------
    >>> from funcgrad.scipy.stats import truncnorm
    >>> truncnorm.logcdf(0.5, -1.0, 1.0)
    Array(-0.24788049)
    """
    below, above = _log_both("truncnorm.logcdf", x, a, b, loc, scale)
    return _log_other(below, above)


@public
def cdf(x: Any, a: Any, b: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The probability of values up to `x`.

    Returns
    -------
    Array
        Floats of the arguments' broadcast shape (integers count as float64).

    Examples
    --------
    >>> from funcgrad.scipy.stats import truncnorm
    >>> truncnorm.cdf(0.5, -1.0, 1.0)
    Array(0.78045321)
    """
    return exponential(logcdf(x, a, b, loc, scale))


@public
def logsf(x: Any, a: Any, b: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The logarithm of `sf`.

    Returns
    -------
    Array
        Floats of the arguments' broadcast shape (integers count as float64).

    Examples
    --------
    >>> from funcgrad.scipy.stats import truncnorm
    >>> truncnorm.logsf(0.5, -1.0, 1.0)
    Array(-1.51618991)
    """
    below, above = _log_both("truncnorm.logsf", x, a, b, loc, scale)
    return _log_other(above, below)


@public
def sf(x: Any, a: Any, b: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The probability of values above `x`.

    Returns
    -------
    Array
        Floats of the arguments' broadcast shape (integers count as float64).

    Examples
    --------
    >>> from funcgrad.scipy.stats import truncnorm
    >>> truncnorm.sf(0.5, -1.0, 1.0)
    Array(0.21954679)
    """
    return exponential(logsf(x, a, b, loc, scale))
