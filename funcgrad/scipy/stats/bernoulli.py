"""The Bernoulli distribution: 1 with probability p, else 0."""

from __future__ import annotations

from typing import Any

from funcgrad import numpy as np
from funcgrad.ops.special import xlog1py, xlogy
from funcgrad.scipy._values import public
from funcgrad.scipy.stats._arguments import constant, given, probability, safe, shifted, supported


@public
def logpmf(k: Any, p: Any, loc: Any = 0) -> Any:
    """The logarithm of the probability.

    Returns
    -------
    Array
        Floats of the arguments' broadcast shape (integers count as float64).

    Examples
    --------
    >>> logpmf(1, 0.5)
    Array(-0.69314718)
    """
    k, p = shifted("bernoulli.logpmf", k, loc, p)
    p = probability(p)
    inside = ((k == 0) | (k == 1)) & (p == p)
    y = safe(inside, k)
    return supported(inside, xlogy(y, p) + xlog1py(1 - y, -p), -np.inf, k, p)


@public
def pmf(k: Any, p: Any, loc: Any = 0) -> Any:
    """The probability.

    Returns
    -------
    Array
        Floats of the arguments' broadcast shape (integers count as float64).

    Examples
    --------
    >>> from funcgrad.scipy.stats import bernoulli
    >>> bernoulli.pmf(1, 0.3)
    Array(0.3)
    """
    k, p = shifted("bernoulli.pmf", k, loc, p)
    value = np.where((p >= 0) & (p <= 1), np.where(k == 1, p, 1 - p), constant(float("nan"), p))
    return supported((k == 0) | (k == 1), value, 0.0, k, value)


@public
def cdf(k: Any, p: Any) -> Any:
    """The probability of values up to `k`.

    Returns
    -------
    Array
        Floats of the arguments' broadcast shape (integers count as float64).

    Examples
    --------
    >>> from funcgrad.scipy.stats import bernoulli
    >>> bernoulli.cdf(1, 0.3)
    Array(1.)
    """
    k, p = given("bernoulli.cdf", k, p)
    zero, one = constant(0, p), constant(1, p)
    steps = np.where(k < 0, zero, np.where(k < 1, 1 - p, one))
    return supported((p >= 0) & (p <= 1) & (k == k), steps, np.nan)


@public
def ppf(q: Any, p: Any) -> Any:
    """The least value up to which the probability is `q` or more; the ends for q = 0 (-1) and q = 1.

    Returns
    -------
    Array
        Floats of the arguments' broadcast shape (integers count as float64).

    Examples
    --------
    >>> from funcgrad.scipy.stats import bernoulli
    >>> bernoulli.ppf(0.25, 0.3)
    Array(0.)
    """
    q, p = given("bernoulli.ppf", q, p)
    zero, one = constant(0, p), constant(1, p)
    steps = np.where(q == 0, -one, np.where((q <= 1 - p) & (q < 1), zero, one))
    return supported((p >= 0) & (p <= 1) & (q >= 0) & (q <= 1), steps, np.nan)
