"""JAX's `lax` functions of what has come so far: cumulative sums, products, extrema, logsumexp."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.array import as_array
from funcgrad.errors import at_line
from funcgrad.ops import cumulative
from funcgrad.ops.arithmetic import is_finite
from funcgrad.ops.comparison import convert, eq, select, stop_gradient
from funcgrad.ops.complex import real
from funcgrad.ops.transcendental import exp, log
from funcgrad.quiet import quiet
from funcgrad.trace.frame import type_of
from funcgrad.trace.tracer import Tracer

__all__ = ["cumlogsumexp", "cummax", "cummin", "cumprod", "cumsum"]


def _checked(name: str, operand: Any, axis: int, reverse: bool) -> dict[str, Any]:
    ndim = type_of(operand).ndim
    if not -ndim <= axis < ndim:
        shape = type_of(operand).shape
        raise ValueError(f"lax.{name}: axis {axis} is out of bounds for shape {shape}{at_line()}")
    return {"axis": axis % ndim, "reverse": bool(reverse)}


def _so_far(primitive: Any, operand: Any, axis: int, reverse: bool) -> Any:
    params = _checked(primitive.name, operand, axis, reverse)
    primitive.infer(type_of(operand), **params)
    with quiet():
        out = primitive(operand, **params)
    return out if type(out) is Tracer else as_array(np.array(out))


def cumsum(operand: Any, axis: int = 0, reverse: bool = False) -> Any:
    """The sum up to and with each element along an axis (from the end, if `reverse`), in the operand's dtype.

    Compiled, floats are added up in float64 and rounded once per element.

    Returns
    -------
    Array
        Of the operand's shape and dtype.

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

    Returns
    -------
    Array
        Of the operand's shape and dtype.

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

    Returns
    -------
    Array
        Of the operand's shape and dtype.

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

    Returns
    -------
    Array
        Of the operand's shape and dtype.

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

    Returns
    -------
    Array
        Of the operand's shape and dtype.

    Examples
    --------
    >>> import numpy as np
    >>> from funcgrad import lax
    >>> lax.cumlogsumexp(np.array([0., -1000., 1000.]))
    Array([   0.,    0., 1000.])
    """
    if type_of(operand).dtype.kind == "c":
        return _complex_logsumexp(operand, axis, reverse)
    return _so_far(cumulative.cumlogsumexp, operand, axis, reverse)


def _complex_logsumexp(operand: Any, axis: int, reverse: bool) -> Any:
    """log(s) + m with s[i] = exp(m[i-1] - m[i]) s[i-1] + exp(x[i] - m[i]), m being the largest real part so far."""
    kind = type_of(operand)
    so_far = _checked("cumlogsumexp", operand, axis, reverse)
    with quiet():
        top = stop_gradient(cumulative.cummax(real(operand), **so_far))
        top = select(is_finite(top), type_of(top).dtype.type(0), top)
        before = cumulative.shifted(top, -np.inf, **so_far)
        zero, one = (kind.dtype.type(k) for k in (0, 1))
        fading, terms = convert(exp(before - top), dtype=kind.dtype), exp(operand - convert(top, dtype=kind.dtype))
        total = cumulative.linear_recurrence(fading, terms, **so_far)
        void = eq(total, zero)
        out = select(void, log(select(void, total, one)) + convert(top, dtype=kind.dtype), kind.dtype.type(-np.inf))
    return out if type(out) is Tracer else as_array(np.array(out))
