"""The logistic distribution."""

from __future__ import annotations

from typing import Any

from funcgrad import numpy as np
from funcgrad.ops.error_functions import logit
from funcgrad.ops.transcendental import logistic as expit
from funcgrad.scipy._values import floating, public
from funcgrad.scipy.stats._arguments import located, standard


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
    Array(-1.38629436)
    """
    z, scale = standard("logistic.logpdf", x, loc, scale)
    size = np.abs(z)
    return -size - 2 * np.log1p(np.exp(-size)) - np.log(scale)


@public
def pdf(x: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The density.

    Returns
    -------
    Array
        Floats of the arguments' broadcast shape (integers count as float64).

    Examples
    --------
    >>> from funcgrad.scipy.stats import logistic
    >>> logistic.pdf(0.5)
    Array(0.23500371)
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
    >>> from funcgrad.scipy.stats import logistic
    >>> logistic.cdf(0.5)
    Array(0.62245933)
    """
    z, _ = standard("logistic.cdf", x, loc, scale)
    return expit(z)


@public
def sf(x: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The probability of values above `x`.

    Returns
    -------
    Array
        Floats of the arguments' broadcast shape (integers count as float64).

    Examples
    --------
    >>> from funcgrad.scipy.stats import logistic
    >>> logistic.sf(0.5)
    Array(0.37754067)
    """
    z, _ = standard("logistic.sf", x, loc, scale)
    return expit(-z)


@public
def ppf(x: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The value up to which the probability is `x`.

    Returns
    -------
    Array
        Floats of the arguments' broadcast shape (integers count as float64).

    Examples
    --------
    >>> from funcgrad.scipy.stats import logistic
    >>> logistic.ppf(0.25)
    Array(-1.09861229)
    """
    (x,) = floating("logistic.ppf", x)
    return located(logit(x), "logistic.ppf", loc, scale)


@public
def isf(x: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The value above which the probability is `x`.

    Returns
    -------
    Array
        Floats of the arguments' broadcast shape (integers count as float64).

    Examples
    --------
    >>> from funcgrad.scipy.stats import logistic
    >>> logistic.isf(0.25)
    Array(1.09861229)
    """
    (x,) = floating("logistic.isf", x)
    return located(-logit(x), "logistic.isf", loc, scale)
