"""The negative binomial distribution: failures before the n-th success."""

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
    >>> logpmf(0, 1.0, 0.5)
    Array(-0.69314718)
    """
    k, n, p = shifted("nbinom.logpmf", k, loc, n, p)
    inside = (k >= 0) & whole(k)
    y = safe(inside, k)
    value = xlogy(n, p) + xlog1py(y, -p) - np.log(n + y) - lbeta(n, y + 1)
    return supported(inside, value, -np.inf, k, n, p)


@public
def pmf(k: Any, n: Any, p: Any, loc: Any = 0) -> Any:
    """The probability.

    Examples
    --------
    >>> from funcgrad.scipy.stats import nbinom
    >>> nbinom.pmf(1, 3.0, 0.4)
    Array(0.1152)
    """
    return np.exp(logpmf(k, n, p, loc))
