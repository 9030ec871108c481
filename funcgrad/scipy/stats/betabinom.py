"""The binomial distribution whose probability is drawn from a beta distribution."""

from __future__ import annotations

from typing import Any

from funcgrad import numpy as np
from funcgrad.ops.special import lbeta
from funcgrad.scipy._values import public
from funcgrad.scipy.stats._arguments import safe, shifted, supported, whole


@public
def logpmf(k: Any, n: Any, a: Any, b: Any, loc: Any = 0) -> Any:
    """The logarithm of the probability.

    Returns
    -------
    Array
        Floats of the arguments' broadcast shape (integers count as float64).

    Examples
    --------
    >>> logpmf(1, 1, 2.0, 2.0)
    Array(-0.69314718)
    """
    k, n, a, b = shifted("betabinom.logpmf", k, loc, n, a, b)
    valid = (n >= 0) & (a > 0) & (b > 0)
    inside = (k >= 0) & (k <= n) & whole(k) & valid
    y, n = safe(inside, k), safe(inside, n, 1)
    value = lbeta(y + a, n - y + b) - lbeta(a, b) - np.log1p(n) - lbeta(n - y + 1, y + 1)
    return supported(inside, value, -np.inf, k, np.where(valid, a, a * np.nan))


@public
def pmf(k: Any, n: Any, a: Any, b: Any, loc: Any = 0) -> Any:
    """The probability.

    Returns
    -------
    Array
        Floats of the arguments' broadcast shape (integers count as float64).

    Examples
    --------
    >>> from funcgrad.scipy.stats import betabinom
    >>> betabinom.pmf(1, 4, 2.0, 3.0)
    Array(0.28571429)
    """
    return np.exp(logpmf(k, n, a, b, loc))
