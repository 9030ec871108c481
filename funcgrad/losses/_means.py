"""What is the mean of losses of which not all count alike?"""

from __future__ import annotations

from typing import Any

from funcgrad import numpy as np
from funcgrad.errors import at_line
from funcgrad.losses._common import floats, like, result
from funcgrad.nn._common import array, public
from funcgrad.trace.frame import type_of


@public
def weighted_mean(values: Any, weights: Any = None, where: Any = None, axis: Any = None) -> Any:
    """Σ weights · values / Σ weights over the examples that count; 0 (not NaN) where none does.

    Parameters
    ----------
    values
        Losses, of any shape.
    weights
        Factors that broadcast with them (default: all 1).
    where
        Which of them count. Values that do not may be NaN.
    axis
        An axis, several, or None for all.

    Returns
    -------
    Array
        One float, or the shape without `axis`.

    Raises
    ------
    ValueError
        The weights do not broadcast with the values.

    Examples
    --------
    >>> import numpy as np
    >>> labels = np.array([1, -1, 0])  # -1: no label
    >>> from funcgrad.losses import softmax_cross_entropy_with_integer_labels
    >>> losses = softmax_cross_entropy_with_integer_labels(np.zeros((3, 2)), labels, ignore_index=-1)
    >>> weighted_mean(losses, where=labels != -1)
    Array(0.69314718)
    """
    name = "weighted_mean"
    values, dtype = floats(name, values=values)
    kind = type_of(values)
    zero, one = kind.dtype.type(0), kind.dtype.type(1)
    weights = one if weights is None else like(name, weights, values)
    own = type_of(weights).shape
    if len(own) > kind.ndim or any(n not in (1, m) for n, m in zip(own[::-1], kind.shape[::-1], strict=False)):
        raise ValueError(f"{name}: weights of shape {own} do not fit values of shape {kind.shape}{at_line()}")
    if where is not None:
        where = array(where, name)
        values, weights = np.where(where, values, zero), np.where(where, weights, zero)
    total = np.sum(np.broadcast_to(weights, kind.shape), axis)
    return result(np.sum(values * weights, axis) / np.where(total == 0, one, total), dtype)
