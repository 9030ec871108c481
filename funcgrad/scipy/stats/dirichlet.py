"""The Dirichlet distribution on the simplex."""

from __future__ import annotations

from typing import Any

from funcgrad import numpy as np
from funcgrad.errors import at_line
from funcgrad.ops.special import lgamma, xlogy
from funcgrad.scipy._values import floating, public
from funcgrad.scipy.stats._arguments import constant
from funcgrad.trace.frame import type_of


@public
def logpdf(x: Any, alpha: Any) -> Any:
    """The logarithm of the density at points given by columns.

    Parameters
    ----------
    x
        K (or K - 1, then the last is what the sum lacks to 1) coordinates along the first axis.
    alpha
        K concentrations.

    Returns
    -------
    Array
        Of the shape of the points without the axis of coordinates; floats.

    Raises
    ------
    ValueError
        The points have neither as many coordinates as `alpha`, nor one less.

    Examples
    --------
    >>> logpdf([0.5, 0.5], [1.0, 1.0])
    Array(0.)
    """
    x, alpha = floating("dirichlet.logpdf", x, alpha)
    shape, (*_, count) = type_of(x).shape, (0, *type_of(alpha).shape)
    if type_of(alpha).ndim != 1 or not shape or shape[0] not in (count, count - 1):
        raise ValueError(
            f"dirichlet: x needs one coordinate more, or as many as alpha has, along its first axis: "
            f"shapes {shape} and {type_of(alpha).shape}{at_line()}"
        )
    if shape[0] == count - 1:
        x = np.concatenate([x, 1 - np.sum(x, axis=0, keepdims=True)])
    total = np.sum(x, axis=0)
    inside = np.all(x >= 0, axis=0) & (np.abs(total - 1) < 1e-6)
    alpha = np.broadcast_to(np.reshape(alpha, (count, *(1,) * (len(shape) - 1))), type_of(x).shape)
    normaliser = np.sum(lgamma(alpha), axis=0) - lgamma(np.sum(alpha, axis=0))
    value = np.sum(xlogy(alpha - 1, np.where(inside, x, constant(0.5, x))), axis=0) - normaliser
    return np.where(inside, value, constant(-np.inf, value))


@public
def pdf(x: Any, alpha: Any) -> Any:
    """The density.

    Returns
    -------
    Array
        Of the shape of the points without the axis of coordinates; floats.

    Examples
    --------
    >>> import numpy as np
    >>> from funcgrad.scipy.stats import dirichlet
    >>> dirichlet.pdf(np.array([0.3, 0.7]), np.array([2.0, 3.0]))
    Array(1.764)
    """
    return np.exp(logpdf(x, alpha))
