"""How far is a number from another one?  Losses of predictions against targets, element by element."""

from __future__ import annotations

import math
from typing import Any

from funcgrad import numpy as np
from funcgrad.arguments import check_within
from funcgrad.losses._common import counted, floats, like, result, same_shapes
from funcgrad.nn._common import public
from funcgrad.trace.frame import type_of


def _errors(name: str, predictions: Any, targets: Any) -> tuple[Any, Any]:
    """Predictions less targets (None: 0), and the dtype of the loss."""
    if targets is None:
        return floats(name, predictions=predictions)
    predictions, targets, dtype = floats(name, predictions=predictions, targets=targets)
    same_shapes(name, predictions=predictions, targets=targets)
    return predictions - targets, dtype


@public
def squared_error(predictions: Any, targets: Any = None) -> Any:
    """(predictions - targets)², element by element; its mean is the mean squared error.

    Parameters
    ----------
    predictions, targets
        Floats of one shape; no targets are zeros.

    Returns
    -------
    Array
        A loss for each element, in the float dtype of the predictions and targets.

    Examples
    --------
    >>> squared_error([1.0, 3.0], [1.0, 1.0])
    Array([0., 4.])
    """
    errors, dtype = _errors("squared_error", predictions, targets)
    return result(errors * errors, dtype)


@public
def l2_loss(predictions: Any, targets: Any = None) -> Any:
    """Half of the `squared_error`, so that its derivative is the error.

    Returns
    -------
    Array
        A loss for each element, in the float dtype of the predictions and targets.

    Examples
    --------
    >>> l2_loss([1.0, 3.0], [1.0, 1.0])
    Array([0., 2.])
    """
    errors, dtype = _errors("l2_loss", predictions, targets)
    return result(0.5 * (errors * errors), dtype)


@public
def absolute_error(predictions: Any, targets: Any = None) -> Any:
    """abs(predictions - targets), element by element; its mean is the mean absolute error. The derivative at 0 is 0.

    Returns
    -------
    Array
        A loss for each element, in the float dtype of the predictions and targets.

    Examples
    --------
    >>> absolute_error([1.0, 3.0], [1.0, 1.0])
    Array([0., 2.])
    """
    errors, dtype = _errors("absolute_error", predictions, targets)
    return result(errors * np.sign(errors), dtype)  # not abs, whose derivative at 0 is 1


@public
def huber_loss(predictions: Any, targets: Any = None, *, delta: Any = 1.0) -> Any:
    """Half of the squared error up to `delta`, a straight line beyond (Huber 1964).

    Parameters
    ----------
    predictions, targets
        Floats of one shape; no targets are zeros.
    delta
        Where the line begins; the derivative is the error clipped to [-delta, delta].

    Returns
    -------
    Array
        A loss for each element, in the float dtype of the predictions and targets.

    Examples
    --------
    >>> huber_loss([0.5, 3.0])
    Array([0.125, 2.5  ])
    """
    check_within("huber_loss", "delta", delta, 0)
    errors, dtype = _errors("huber_loss", predictions, targets)
    size = np.abs(errors)
    near = np.minimum(size, delta)
    return result(0.5 * (near * near) + delta * (size - near), dtype)


@public
def log_cosh(predictions: Any, targets: Any = None) -> Any:
    """log(cosh(predictions - targets)): about half of the square for small errors, ``abs(error) - log(2)`` for large.

    Returns
    -------
    Array
        A loss for each element, in the float dtype of the predictions and targets.

    Examples
    --------
    >>> log_cosh([0.0, 1e-9, 1e9])
    Array([0.00000000e+00, 5.00000000e-19, 9.99999999e+08])
    """
    errors, dtype = _errors("log_cosh", predictions, targets)
    size = np.abs(errors)
    small = size < 1
    one = type_of(size).dtype.type(1)
    half = np.sinh(np.where(small, size, one) / 2)  # cosh x = 1 + 2 sinh²(x / 2), without cancellation
    far = np.where(small, one, size)
    return result(np.where(small, np.log1p(2 * (half * half)), far + np.log1p(np.exp(-2 * far)) - math.log(2)), dtype)


@public
def quantile_loss(predictions: Any, targets: Any = None, *, quantile: Any = 0.5) -> Any:
    """The pinball loss: ``quantile * e`` for e = targets - predictions >= 0, ``(quantile - 1) * e`` else
    (Koenker and Bassett 1978). Its mean is least at the targets' quantile.

    Returns
    -------
    Array
        A loss for each element, in the float dtype of the predictions and targets.

    Examples
    --------
    >>> quantile_loss([0.0, 0.0], [1.0, -1.0], quantile=0.9)
    Array([0.9, 0.1])
    """
    check_within("quantile_loss", "quantile", quantile, 0, 1)
    errors, dtype = _errors("quantile_loss", predictions, targets)
    return result(np.where(errors > 0, (1 - quantile) * errors, -quantile * errors), dtype)


@public
def poisson_nll_loss(
    predictions: Any, targets: Any, *, log_input: bool = True, full: bool = False, epsilon: Any = 1e-8
) -> Any:
    """The negative log-likelihood of counts under Poisson distributions.

    Parameters
    ----------
    predictions
        The logarithms of the rates (``exp(p) - targets * p``), or the rates themselves (``p - targets * log(p + ε)``).
    targets
        Counts, floats or integers.
    log_input
        Whether the predictions are logarithms.
    full
        Whether to add Stirling's approximation of log(targets!) for targets above 1.
    epsilon
        Keeps the logarithm of a rate from -inf.

    Returns
    -------
    Array
        A loss for each element, in the float dtype of the predictions and targets.

    Examples
    --------
    >>> poisson_nll_loss([0.0], [3])
    Array([1.])
    """
    name = "poisson_nll_loss"
    predictions, dtype = floats(name, predictions=predictions)
    targets = like(name, targets, predictions)
    same_shapes(name, predictions=predictions, targets=targets)
    if log_input:
        loss = np.exp(predictions) - targets * predictions
    else:
        loss = predictions - targets * np.log(predictions + epsilon)
    if full:
        many = targets > 1
        n = np.where(many, targets, type_of(targets).dtype.type(1))
        loss = loss + np.where(many, n * np.log(n) - n + 0.5 * np.log(2 * math.pi * n), type_of(n).dtype.type(0))
    return result(loss, dtype)


@public
def gaussian_nll_loss(
    predictions: Any, targets: Any, variances: Any, *, full: bool = False, epsilon: Any = 1e-6
) -> Any:
    """The negative log-likelihood of targets under normal distributions.

    Parameters
    ----------
    predictions, targets, variances
        Floats of one shape: means, numbers, variances (at least `epsilon`, below which no derivative flows).
    full
        Whether to add the constant log(2π) / 2.
    epsilon
        The least variance.

    Returns
    -------
    Array
        A loss for each element, in the float dtype of the predictions and targets.

    Examples
    --------
    >>> gaussian_nll_loss([0.0], [2.0], [1.0])
    Array([2.])
    """
    name = "gaussian_nll_loss"
    mean, x, variance, dtype = floats(name, predictions=predictions, targets=targets, variances=variances)
    same_shapes(name, predictions=mean, targets=x, variances=variance)
    variance = np.where(variance > epsilon, variance, type_of(variance).dtype.type(epsilon))
    errors = x - mean
    loss = 0.5 * (np.log(variance) + errors * errors / variance)
    return result(loss + 0.5 * math.log(2 * math.pi) if full else loss, dtype)


@public
def cosine_similarity(predictions: Any, targets: Any, *, epsilon: Any = 0.0, axis: Any = -1, where: Any = None) -> Any:
    """The cosine of the angle between vectors.

    Parameters
    ----------
    predictions, targets
        Floats whose shapes broadcast.
    epsilon
        The least squared length that is divided by. With 0, a vector of zeros gives NaN.
    axis
        An axis, several, or None for all.
    where
        Which elements count.

    Returns
    -------
    Array
        The predictions' shape without the axis; floats.

    Examples
    --------
    >>> cosine_similarity([1.0, 0.0], [3.0, 4.0])
    Array(0.6)
    """
    a, b, dtype = floats("cosine_similarity", predictions=predictions, targets=targets)
    return result(_cosine(a, b, epsilon, axis, where), dtype)


@public
def cosine_distance(predictions: Any, targets: Any, *, epsilon: Any = 0.0, axis: Any = -1, where: Any = None) -> Any:
    """One less the `cosine_similarity`.

    Returns
    -------
    Array
        The predictions' shape without the axis; floats.

    Examples
    --------
    >>> cosine_distance([1.0, 0.0], [0.0, 4.0])
    Array(1.)
    """
    a, b, dtype = floats("cosine_distance", predictions=predictions, targets=targets)
    return result(1 - _cosine(a, b, epsilon, axis, where), dtype)


def _cosine(a: Any, b: Any, epsilon: Any, axis: Any, where: Any) -> Any:
    units = [x / np.sqrt(np.maximum(np.sum(x * x, axis, keepdims=True, **counted(where)), epsilon)) for x in (a, b)]
    return np.sum(units[0] * units[1], axis, **counted(where))
