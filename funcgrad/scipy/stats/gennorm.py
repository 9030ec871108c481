"""The generalised normal distribution: the density falls as exp(-|x|**β)."""

from __future__ import annotations

from typing import Any

from funcgrad import numpy as np
from funcgrad.ops.special import igammac, lgamma
from funcgrad.scipy._values import public
from funcgrad.scipy.stats._arguments import constant, given, valid


def _given(name: str, x: Any, beta: Any) -> tuple[Any, Any]:
    x, beta = given(name, x, beta)
    return x, valid(beta > 0, beta)


@public
def logpdf(x: Any, beta: Any) -> Any:
    """The logarithm of the density.

    Returns
    -------
    Array
        Floats of the arguments' broadcast shape (integers count as float64).

    Examples
    --------
    >>> logpdf(1.0, 1.0)
    Array(-1.69314718)
    """
    x, beta = _given("gennorm.logpdf", x, beta)
    return np.log(0.5 * beta) - lgamma(1 / beta) - np.abs(x) ** beta


@public
def pdf(x: Any, beta: Any) -> Any:
    """The density.

    Returns
    -------
    Array
        Floats of the arguments' broadcast shape (integers count as float64).

    Examples
    --------
    >>> from funcgrad.scipy.stats import gennorm
    >>> gennorm.pdf(0.5, 1.5)
    Array(0.3889184)
    """
    return np.exp(logpdf(x, beta))


@public
def cdf(x: Any, beta: Any) -> Any:
    """The probability of values up to `x`.

    Returns
    -------
    Array
        Floats of the arguments' broadcast shape (integers count as float64).

    Examples
    --------
    >>> from funcgrad.scipy.stats import gennorm
    >>> gennorm.cdf(0.5, 1.5)
    Array(0.74174933)
    """
    x, beta = _given("gennorm.cdf", x, beta)
    middle = x == 0  # where the incomplete gamma function is infinitely steep in |x|**beta, which is flat
    y = np.where(middle, constant(1, x), x)
    tail = 0.5 * igammac(1 / beta + 0 * y, np.abs(y) ** beta)
    density = np.exp(np.log(0.5 * beta) - lgamma(1 / beta))
    return np.where(middle, 0.5 + x * density, np.where(y < 0, tail, 1 - tail))
