"""The multinomial distribution: how often each of K outcomes comes up in n trials."""

from __future__ import annotations

from typing import Any

from funcgrad import numpy as np
from funcgrad.numpy._common import broadcast
from funcgrad.ops.special import lgamma, xlogy
from funcgrad.scipy._values import floating, public
from funcgrad.scipy.stats._arguments import constant, whole


@public
def logpmf(x: Any, n: Any, p: Any) -> Any:
    """The logarithm of the probability of the counts `x`, whose outcomes lie along the last axis.

    Examples
    --------
    >>> logpmf([1, 1], 2, [0.5, 0.5])
    Array(-0.69314718)
    """
    x, n, p = floating("multinomial.logpmf", x, n, p)
    x, p = broadcast("multinomial.logpmf", x, p)
    inside = (np.sum(x, axis=-1) == n) & np.all((x >= 0) & whole(x), axis=-1)
    value = lgamma(n + 1) + np.sum(xlogy(x, p) - lgamma(x + 1), axis=-1)
    return np.where(inside, value, constant(-np.inf, value))


@public
def pmf(x: Any, n: Any, p: Any) -> Any:
    """The probability.

    Examples
    --------
    >>> import numpy as np
    >>> from funcgrad.scipy.stats import multinomial
    >>> multinomial.pmf(np.array([1, 2]), 3, np.array([0.4, 0.6]))
    Array(0.432)
    """
    return np.exp(logpmf(x, n, p))
