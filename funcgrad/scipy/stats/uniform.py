"""The uniform distribution on [loc, loc + scale]."""

from __future__ import annotations

from typing import Any

from funcgrad import numpy as np
from funcgrad.scipy._values import floating, public
from funcgrad.scipy.stats._arguments import located, standard, supported


@public
def logpdf(x: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The logarithm of the density.

    Returns
    -------
    Array
        Floats of the arguments' broadcast shape (integers count as float64).

    Examples
    --------
    >>> logpdf([0.5, 2.0])
    Array([ 0., -inf])
    """
    z, scale = standard("uniform.logpdf", x, loc, scale)
    return supported((z >= 0) & (z <= 1), 0 - np.log(scale), -np.inf, z)


@public
def pdf(x: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The density.

    Returns
    -------
    Array
        Floats of the arguments' broadcast shape (integers count as float64).

    Examples
    --------
    >>> from funcgrad.scipy.stats import uniform
    >>> uniform.pdf(0.5)
    Array(1.)
    """
    z, scale = standard("uniform.pdf", x, loc, scale)
    return supported((z >= 0) & (z <= 1), 1 / scale, 0.0, z)


@public
def cdf(x: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The probability of values up to `x`.

    Returns
    -------
    Array
        Floats of the arguments' broadcast shape (integers count as float64).

    Examples
    --------
    >>> from funcgrad.scipy.stats import uniform
    >>> uniform.cdf(0.5)
    Array(0.5)
    """
    z, _ = standard("uniform.cdf", x, loc, scale)
    return np.clip(z, 0, 1)


@public
def ppf(q: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The value up to which the probability is `q`.

    Returns
    -------
    Array
        Floats of the arguments' broadcast shape (integers count as float64).

    Examples
    --------
    >>> from funcgrad.scipy.stats import uniform
    >>> uniform.ppf(0.25)
    Array(0.25)
    """
    (q,) = floating("uniform.ppf", q)
    return located(supported((q >= 0) & (q <= 1), q, np.nan), "uniform.ppf", loc, scale)
