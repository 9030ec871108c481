"""The von Mises distribution of an angle."""

from __future__ import annotations

import math
from typing import Any

from funcgrad import numpy as np
from funcgrad.ops.bessel import bessel_i0e
from funcgrad.scipy._values import public
from funcgrad.scipy.stats._arguments import constant, given


@public
def logpdf(x: Any, kappa: Any) -> Any:
    """The logarithm of the density; NaN for a concentration below 0.

    Returns
    -------
    Array
        Floats of the arguments' broadcast shape (integers count as float64).

    Examples
    --------
    >>> logpdf(0.0, 0.0)
    Array(-1.83787707)
    """
    x, kappa = given("vonmises.logpdf", x, kappa)
    half = np.sin(0.5 * x)  # cos x - 1 = -2 sin²(x/2)
    value = -2 * kappa * half * half - np.log(2 * math.pi * bessel_i0e(kappa))
    return np.where(kappa >= 0, value, constant(np.nan, value))


@public
def pdf(x: Any, kappa: Any) -> Any:
    """The density.

    Returns
    -------
    Array
        Floats of the arguments' broadcast shape (integers count as float64).

    Examples
    --------
    >>> from funcgrad.scipy.stats import vonmises
    >>> vonmises.pdf(0.5, 2.0)
    Array(0.40385253)
    """
    return np.exp(logpdf(x, kappa))
