"""The binomial distribution: how many of n trials succeed."""

from __future__ import annotations

from typing import Any

from funcgrad import numpy as np
from funcgrad.ops.special import lbeta, xlog1py, xlogy
from funcgrad.scipy._values import public
from funcgrad.scipy.stats._arguments import at_edges, factor, probability, safe, shifted, supported, valid, whole


@public
def logpmf(k: Any, n: Any, p: Any, loc: Any = 0) -> Any:
    """The logarithm of the probability.

    Returns
    -------
    Array
        Floats of the arguments' broadcast shape (integers count as float64).

    Examples
    --------
    >>> logpmf(1, 2, 0.5)
    Array(-0.69314718)
    """
    k, n, p = _given("binom.logpmf", k, loc, n, p)
    inside = (k >= 0) & (k <= n) & whole(k) & (p == p)
    y, m = safe(inside, k), safe(inside, n, 1)
    value = xlogy(y, p) + xlog1py(m - y, -p) + _log_count(y, m)
    return supported(inside, value, -np.inf, k, n, p)


def _given(name: str, k: Any, loc: Any, n: Any, p: Any) -> list[Any]:
    k, n, p = shifted(name, k, loc, n, p)
    return [k, valid(n >= 0, n), probability(p)]


def _log_count(k: Any, n: Any) -> Any:
    """The logarithm of the binomial coefficient."""
    return -np.log1p(n) - lbeta(n - k + 1, k + 1)


@public
def pmf(k: Any, n: Any, p: Any, loc: Any = 0) -> Any:
    """The probability.

    Returns
    -------
    Array
        Floats of the arguments' broadcast shape (integers count as float64).

    Examples
    --------
    >>> from funcgrad.scipy.stats import binom
    >>> binom.pmf(1, 4, 0.3)
    Array(0.4116)
    """
    k, n, p = _given("binom.pmf", k, loc, n, p)

    def by_powers(p: Any) -> Any:
        inside = (k >= 0) & (k <= n) & whole(k)
        y, m = safe(inside, k, 1), safe(inside, n, 1)
        return supported(inside, factor(_log_count(y, m)) * p**y * (1 - p) ** (m - y), 0.0, k, n, p)

    return at_edges((p == 0) | (p == 1), p, lambda p: np.exp(logpmf(k, n, p)), by_powers)
