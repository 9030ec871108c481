"""Integrals of samples, as `scipy.integrate` has them; differentiable."""

from __future__ import annotations

from typing import Any

from funcgrad import numpy as np
from funcgrad.scipy._values import public

__all__ = ["trapezoid"]


@public
def trapezoid(y: Any, x: Any = None, dx: Any = 1.0, axis: int = -1) -> Any:
    """The integral along an axis of the straight lines through points.

    Parameters
    ----------
    y
        Samples.
    x
        Where they were taken: one array for all lines, or one of `y`'s shape. None: `dx` apart.
    dx
        The distance between samples, without `x`.
    axis
        Along which to integrate.

    Returns
    -------
    Array
        The shape of `y` without the axis; floats or complex numbers, integers count as float64.

    Examples
    --------
    >>> trapezoid([1.0, 2.0, 3.0])
    Array(4.)
    >>> trapezoid([1.0, 2.0, 3.0], x=[0.0, 1.0, 3.0])
    Array(6.5)
    """
    return np.trapezoid(y, x, dx, axis)
