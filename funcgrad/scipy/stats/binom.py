"""The binomial distribution: how many of n trials succeed."""

from __future__ import annotations

from typing import Any

from funcgrad import numpy as np
from funcgrad.ops.special import lbeta, xlog1py, xlogy
from funcgrad.scipy._values import public
from funcgrad.scipy.stats._arguments import safe, shifted, supported, whole


@public
def logpmf(k: Any, n: Any, p: Any, loc: Any = 0) -> Any:
    """The logarithm of the probability.

    Examples
    --------
    >>> logpmf(1, 2, 0.5)
    Array(-0.69314718)
    """
    k, n, p = shifted("binom.logpmf", k, loc, n, p)
    inside = (k >= 0) & (k <= n) & whole(k)
    y, n = safe(inside, k), safe(inside, n, 1)
    value = xlogy(y, p) + xlog1py(n - y, -p) - np.log1p(n) - lbeta(n - y + 1, y + 1)
    return supported(inside, value, -np.inf, k, p)


@public
def pmf(k: Any, n: Any, p: Any, loc: Any = 0) -> Any:
    """The probability.

    Examples
    --------
    >>> from funcgrad.scipy.stats import binom
    >>> binom.pmf(1, 4, 0.3)
    Array(0.4116)
    """
    return np.exp(logpmf(k, n, p, loc))
