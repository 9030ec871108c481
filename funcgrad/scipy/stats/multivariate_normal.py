"""The normal distribution of vectors."""

from __future__ import annotations

import math
from typing import Any

from funcgrad import numpy as np
from funcgrad.errors import at_line
from funcgrad.scipy import linalg
from funcgrad.scipy._values import floating, public
from funcgrad.trace.frame import type_of


@public
def logpdf(x: Any, mean: Any, cov: Any, allow_singular: None = None) -> Any:
    """The logarithm of the density at points along the last axis.

    Parameters
    ----------
    x
        Shape ``(..., n)``.
    mean
        Shape ``(..., n)``, or a number.
    cov
        A covariance matrix of shape ``(..., n, n)``, or a variance.
    allow_singular
        Must be None: covariances must have a Cholesky factor, as in JAX.

    Returns
    -------
    Array
        Of the shape of the points without the axis of coordinates; floats.

    Raises
    ------
    ValueError
        The shapes of mean and covariance do not fit.
    NotImplementedError
        `allow_singular` is given.

    Examples
    --------
    >>> logpdf([0.0, 0.0], [0.0, 0.0], [[1.0, 0.0], [0.0, 1.0]])
    Array(-1.83787707)
    """
    if allow_singular is not None:
        raise NotImplementedError(f"multivariate_normal.logpdf: allow_singular is not there{at_line()}")
    x, mean, cov = floating("multivariate_normal.logpdf", x, mean, cov)
    if type_of(mean).ndim == 0:
        return -0.5 * (x - mean) ** 2 / cov - 0.5 * np.log(2 * math.pi * cov)
    n = type_of(mean).shape[-1]
    if type_of(cov).ndim == 0:
        distance = np.sum((x - mean) ** 2, axis=-1) / cov
        return -0.5 * distance - 0.5 * n * np.log(2 * math.pi * cov)
    if type_of(cov).ndim < 2 or type_of(cov).shape[-2:] != (n, n):
        raise ValueError(
            f"multivariate_normal.logpdf: mean and cov have shapes {type_of(mean).shape} and {type_of(cov).shape}; "
            f"cov needs {n} rows and columns{at_line()}"
        )
    factor = linalg.cholesky(cov, lower=True)
    difference = x - mean
    batch = np.broadcast_shapes(type_of(difference).shape[:-1], type_of(cov).shape[:-2])
    rows = np.broadcast_to(difference, (*batch, n))
    if type_of(cov).ndim == 2:  # one factor: all points are columns of one right side
        columns = np.reshape(rows, (-1, n)).T
        white = np.reshape(linalg.solve_triangular(factor, columns, lower=True).T, (*batch, n))
    else:
        factors = np.broadcast_to(factor, (*batch, n, n))
        white = linalg.solve_triangular(factors, rows[..., None], lower=True)[..., 0]
    half_log_det = np.sum(np.log(np.diagonal(factor, axis1=-2, axis2=-1)), axis=-1)
    return -0.5 * np.sum(white * white, axis=-1) - 0.5 * n * math.log(2 * math.pi) - half_log_det


@public
def pdf(x: Any, mean: Any, cov: Any) -> Any:
    """The density.

    Returns
    -------
    Array
        Of the shape of the points without the axis of coordinates; floats.

    Examples
    --------
    >>> import numpy as np
    >>> from funcgrad.scipy.stats import multivariate_normal
    >>> multivariate_normal.pdf(np.zeros(2), np.zeros(2), np.eye(2))
    Array(0.15915494)
    """
    return np.exp(logpdf(x, mean, cov))
