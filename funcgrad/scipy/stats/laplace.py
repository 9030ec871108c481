"""The Laplace distribution."""

from __future__ import annotations

import math
from typing import Any

from funcgrad import numpy as np
from funcgrad.scipy._values import public
from funcgrad.scipy.stats._arguments import standard


@public
def logpdf(x: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The logarithm of the density.

    Returns
    -------
    Array
        Floats of the arguments' broadcast shape (integers count as float64).

    Examples
    --------
    >>> logpdf(0.0)
    Array(-0.69314718)
    """
    z, scale = standard("laplace.logpdf", x, loc, scale)
    return -np.abs(z) - np.log(scale) - math.log(2)


@public
def pdf(x: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The density.

    Returns
    -------
    Array
        Floats of the arguments' broadcast shape (integers count as float64).

    Examples
    --------
    >>> from funcgrad.scipy.stats import laplace
    >>> laplace.pdf(0.5)
    Array(0.30326533)
    """
    return np.exp(logpdf(x, loc, scale))


@public
def cdf(x: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The probability of values up to `x`.

    Returns
    -------
    Array
        Floats of the arguments' broadcast shape (integers count as float64).

    Examples
    --------
    >>> from funcgrad.scipy.stats import laplace
    >>> laplace.cdf(0.5)
    Array(0.69673467)
    """
    z, _ = standard("laplace.cdf", x, loc, scale)
    tail = 0.5 * np.exp(-np.abs(z))
    return np.where(z < 0, tail, 1 - tail)
