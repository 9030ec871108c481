"""The geometric distribution: the number of the first trial that succeeds."""

from __future__ import annotations

from typing import Any

from funcgrad import numpy as np
from funcgrad.ops.special import xlog1py
from funcgrad.scipy._values import public
from funcgrad.scipy.stats._arguments import probability, safe, shifted, supported, whole


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
    k, p = shifted("geom.logpmf", k, loc, p)
    p = probability(p)
    inside = (k >= 1) & whole(k) & (p == p)
    return supported(inside, xlog1py(safe(inside, k, 2) - 1, -p) + np.log(p), -np.inf, k, p)


@public
def pmf(k: Any, p: Any, loc: Any = 0) -> Any:
    """The probability.

    Returns
    -------
    Array
        Floats of the arguments' broadcast shape (integers count as float64).

    Examples
    --------
    >>> from funcgrad.scipy.stats import geom
    >>> geom.pmf(2, 0.3)
    Array(0.21)
    """
    k, p = shifted("geom.pmf", k, loc, p)
    p = probability(p)
    inside = (k >= 1) & whole(k) & (p == p)
    return supported(inside, p * (1 - p) ** (safe(inside, k, 2) - 1), 0.0, k, p)
