"""The Cauchy distribution."""

from __future__ import annotations

import math
from typing import Any

from funcgrad import numpy as np
from funcgrad.scipy._values import floating, public
from funcgrad.scipy.stats._arguments import constant, located, logarithm, standard


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
    Array(-1.14472989)
    """
    z, scale = standard("cauchy.logpdf", x, loc, scale)
    return -np.log1p(z * z) - np.log(scale) - math.log(math.pi)


@public
def pdf(x: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The density.

    Returns
    -------
    Array
        Floats of the arguments' broadcast shape (integers count as float64).

    Examples
    --------
    >>> from funcgrad.scipy.stats import cauchy
    >>> cauchy.pdf(0.5)
    Array(0.25464791)
    """
    z, scale = standard("cauchy.pdf", x, loc, scale)
    return 1 / (math.pi * scale * (1 + z * z))


@public
def cdf(x: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The probability of values up to `x`.

    Returns
    -------
    Array
        Floats of the arguments' broadcast shape (integers count as float64).

    Examples
    --------
    >>> from funcgrad.scipy.stats import cauchy
    >>> cauchy.cdf(0.5)
    Array(0.64758362)
    """
    z, _ = standard("cauchy.cdf", x, loc, scale)
    return np.arctan2(constant(1, z), -z) / math.pi


@public
def logcdf(x: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The logarithm of `cdf`.

    Returns
    -------
    Array
        Floats of the arguments' broadcast shape (integers count as float64).

    Examples
    --------
    >>> from funcgrad.scipy.stats import cauchy
    >>> cauchy.logcdf(0.5)
    Array(-0.43450735)
    """
    return logarithm(cdf(x, loc, scale))


@public
def sf(x: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The probability of values above `x`.

    Returns
    -------
    Array
        Floats of the arguments' broadcast shape (integers count as float64).

    Examples
    --------
    >>> from funcgrad.scipy.stats import cauchy
    >>> cauchy.sf(0.5)
    Array(0.35241638)
    """
    z, _ = standard("cauchy.sf", x, loc, scale)
    return np.arctan2(constant(1, z), z) / math.pi


@public
def logsf(x: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The logarithm of `sf`.

    Returns
    -------
    Array
        Floats of the arguments' broadcast shape (integers count as float64).

    Examples
    --------
    >>> from funcgrad.scipy.stats import cauchy
    >>> cauchy.logsf(0.5)
    Array(-1.0429419)
    """
    return logarithm(sf(x, loc, scale))


def _quantile(q: Any) -> Any:
    """-1 / tan(πq), with the nearer end for π q; NaN outside of [0, 1]."""
    upper = q > 0.5
    end = np.tan(math.pi * np.where(upper, 1 - q, q))
    value = np.where(upper, constant(1, q), constant(-1, q)) / end
    return np.where((q >= 0) & (q <= 1), value, constant(np.nan, q))


@public
def ppf(q: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The value up to which the probability is `q`.

    Returns
    -------
    Array
        Floats of the arguments' broadcast shape (integers count as float64).

    Examples
    --------
    >>> from funcgrad.scipy.stats import cauchy
    >>> cauchy.ppf(0.25)
    Array(-1.)
    """
    (q,) = floating("cauchy.ppf", q)
    return located(_quantile(q), "cauchy.ppf", loc, scale)


@public
def isf(q: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The value above which the probability is `q`.

    Returns
    -------
    Array
        Floats of the arguments' broadcast shape (integers count as float64).

    Examples
    --------
    >>> from funcgrad.scipy.stats import cauchy
    >>> cauchy.isf(0.25)
    Array(1.)
    """
    (q,) = floating("cauchy.isf", q)
    return located(-_quantile(q), "cauchy.isf", loc, scale)
