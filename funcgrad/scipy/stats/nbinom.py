"""The negative binomial distribution: failures before the n-th success."""

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
    >>> logpmf(0, 1.0, 0.5)
    Array(-0.69314718)
    """
    k, n, p = _given("nbinom.logpmf", k, loc, n, p)
    inside = (k >= 0) & whole(k) & (n == n) & (p == p)
    y = safe(inside, k)
    value = xlogy(n, p) + xlog1py(y, -p) - np.log(n + y) - lbeta(n, y + 1)
    return supported(inside, value, -np.inf, k, n, p)


def _given(name: str, k: Any, loc: Any, n: Any, p: Any) -> list[Any]:
    k, n, p = shifted(name, k, loc, n, p)
    return [k, valid(n > 0, n), probability(p)]


@public
def pmf(k: Any, n: Any, p: Any, loc: Any = 0) -> Any:
    """The probability.

    Returns
    -------
    Array
        Floats of the arguments' broadcast shape (integers count as float64).

    Examples
    --------
    >>> from funcgrad.scipy.stats import nbinom
    >>> nbinom.pmf(1, 3.0, 0.4)
    Array(0.1152)
    """
    k, n, p = _given("nbinom.pmf", k, loc, n, p)

    def by_powers(p: Any) -> Any:
        inside = (k >= 0) & whole(k)
        y = safe(inside, k, 1)
        count = factor(-np.log(n + y) - lbeta(n, y + 1))
        return supported(inside, count * p**n * (1 - p) ** y, 0.0, k, n, p)

    return at_edges((p == 0) | (p == 1), p, lambda p: np.exp(logpmf(k, n, p)), by_powers)
