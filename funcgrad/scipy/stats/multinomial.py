"""The multinomial distribution: how often each of K outcomes comes up in n trials."""

from __future__ import annotations

from typing import Any

from funcgrad import numpy as np
from funcgrad.numpy._common import broadcast
from funcgrad.ops.special import lgamma, xlogy
from funcgrad.scipy._values import floating, public
from funcgrad.scipy.stats._arguments import constant, factor, whole


@public
def logpmf(x: Any, n: Any, p: Any) -> Any:
    """The logarithm of the probability of the counts `x`, whose outcomes lie along the last axis.

    Returns
    -------
    Array
        Of the shape of the points without the axis of coordinates; floats.

    Examples
    --------
    >>> logpmf([1, 1], 2, [0.5, 0.5])
    Array(-0.69314718)
    """
    x, n, p = floating("multinomial.logpmf", x, n, p)
    x, p = broadcast("multinomial.logpmf", x, p)
    value = _log_count(x, n) + np.sum(xlogy(x, p), axis=-1)
    return np.where(_inside(x, n), value, constant(-np.inf, value))


def _inside(x: Any, n: Any) -> Any:
    return (np.sum(x, axis=-1) == n) & np.all((x >= 0) & whole(x), axis=-1)


def _log_count(x: Any, n: Any) -> Any:
    """The logarithm of the multinomial coefficient."""
    return lgamma(n + 1) - np.sum(lgamma(x + 1), axis=-1)


@public
def pmf(x: Any, n: Any, p: Any) -> Any:
    """The probability.

    Returns
    -------
    Array
        Of the shape of the points without the axis of coordinates; floats.

    Examples
    --------
    >>> import numpy as np
    >>> from funcgrad.scipy.stats import multinomial
    >>> multinomial.pmf(np.array([1, 2]), 3, np.array([0.4, 0.6]))
    Array(0.432)
    """
    x, n, p = floating("multinomial.pmf", x, n, p)
    x, p = broadcast("multinomial.pmf", x, p)

    def by_powers(p: Any) -> Any:
        value = factor(_log_count(x, n)) * np.prod(p**x, axis=-1)
        return np.where(_inside(x, n), value, constant(0, value))

    edge = np.any(p == 0, axis=-1)
    half = constant(0.5, p)
    rows = np.expand_dims(edge, -1)
    usual = np.exp(logpmf(x, n, np.where(rows, half, p)))
    return np.where(edge, by_powers(np.where(rows, p, half)), usual)
