"""JAX's `lax` functions of what has come so far: cumulative sums, products, extrema, logsumexp."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.array import as_array
from funcgrad.errors import at_line
from funcgrad.ops import cumulative
from funcgrad.trace.frame import type_of
from funcgrad.trace.tracer import Tracer

__all__ = ["cumlogsumexp", "cummax", "cummin", "cumprod", "cumsum"]


def _so_far(primitive: Any, operand: Any, axis: int, reverse: bool) -> Any:
    ndim = type_of(operand).ndim
    if not -ndim <= axis < ndim:
        shape = type_of(operand).shape
        raise ValueError(f"lax.{primitive.name}: axis {axis} is out of bounds for shape {shape}{at_line()}")
    params = {"axis": axis % ndim, "reverse": bool(reverse)}
    primitive.infer(type_of(operand), **params)
    with np.errstate(all="ignore"):
        out = primitive(operand, **params)
    return out if type(out) is Tracer else as_array(np.array(out))


def cumsum(operand: Any, axis: int = 0, reverse: bool = False) -> Any:
    """The sum up to and with each element along an axis (from the end, if `reverse`), in the operand's dtype.

    Compiled, floats are added up in float64 and rounded once per element.

    Examples
    --------
    >>> import numpy as np
    >>> from funcgrad import lax
    >>> lax.cumsum(np.array([1, 2, 3]), reverse=True)
    Array([6, 5, 3])
    """
    return _so_far(cumulative.cumsum, operand, axis, reverse)


def cumprod(operand: Any, axis: int = 0, reverse: bool = False) -> Any:
    """The product up to and with each element along an axis; its derivative is right where elements are 0.

    Examples
    --------
    >>> import numpy as np
    >>> from funcgrad import lax
    >>> lax.cumprod(np.array([1, 2, 3]))
    Array([1, 2, 6])
    """
    return _so_far(cumulative.cumprod, operand, axis, reverse)


def cummax(operand: Any, axis: int = 0, reverse: bool = False) -> Any:
    """The largest element so far along an axis; NaN counts as the largest.

    Equal largest elements so far share the derivative, as those of a maximum do.

    Examples
    --------
    >>> import numpy as np
    >>> from funcgrad import lax
    >>> lax.cummax(np.array([1, 3, 2]))
    Array([1, 3, 3])
    """
    return _so_far(cumulative.cummax, operand, axis, reverse)


def cummin(operand: Any, axis: int = 0, reverse: bool = False) -> Any:
    """The smallest element so far along an axis; NaN counts as the smallest.

    Examples
    --------
    >>> import numpy as np
    >>> from funcgrad import lax
    >>> lax.cummin(np.array([2, 3, 1]))
    Array([2, 2, 1])
    """
    return _so_far(cumulative.cummin, operand, axis, reverse)


def cumlogsumexp(operand: Any, axis: int = 0, reverse: bool = False) -> Any:
    """The logarithm of the sum of the exponentials so far along an axis, without overflow.

    Examples
    --------
    >>> import numpy as np
    >>> from funcgrad import lax
    >>> lax.cumlogsumexp(np.array([0., -1000., 1000.]))
    Array([   0.,    0., 1000.])
    """
    return _so_far(cumulative.cumlogsumexp, operand, axis, reverse)
