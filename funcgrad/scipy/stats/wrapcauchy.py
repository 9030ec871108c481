"""The Cauchy distribution wrapped around the circle, for angles in [0, 2π]."""

from __future__ import annotations

import math
from typing import Any

from funcgrad import numpy as np
from funcgrad.scipy._values import public
from funcgrad.scipy.stats._arguments import given, supported


@public
def logpdf(x: Any, c: Any) -> Any:
    """The logarithm of the density; NaN unless 0 < c < 1.

    Returns
    -------
    Array
        Floats of the arguments' broadcast shape (integers count as float64).

    Examples
    --------
    >>> logpdf(0.0, 0.5)
    Array(-0.73926478)
    """
    x, c = given("wrapcauchy.logpdf", x, c)
    half = np.sin(0.5 * x)  # 1 + c² - 2c cos x = (1 - c)² + 4c sin²(x/2)
    value = np.log1p(-c * c) - np.log((1 - c) * (1 - c) + 4 * c * (half * half)) - math.log(2 * math.pi)
    valid = (c > 0) & (c < 1)
    return supported((x >= 0) & (x <= 2 * math.pi) & valid, value, -np.inf, x, np.where(valid, c, c * np.nan))


@public
def pdf(x: Any, c: Any) -> Any:
    """The density.

    Returns
    -------
    Array
        Floats of the arguments' broadcast shape (integers count as float64).

    Examples
    --------
    >>> from funcgrad.scipy.stats import wrapcauchy
    >>> wrapcauchy.pdf(0.5, 0.3)
    Array(0.257043)
    """
    return np.exp(logpdf(x, c))
