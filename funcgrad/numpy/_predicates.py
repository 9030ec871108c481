"""NumPy's questions about arrays: are they close, equal, real, complex, infinite?"""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.dtypes import largest
from funcgrad.errors import at_line
from funcgrad.numpy._common import cast, has_tracer, implements, operand
from funcgrad.ops.comparison import lt
from funcgrad.trace.frame import type_of


@implements(np.isclose)
def isclose(a: Any, b: Any, rtol: Any = 1.0e-5, atol: Any = 1.0e-8, equal_nan: bool = False) -> Any:
    """Whether |a - b| <= atol + rtol |b|; infinities are close to themselves alone, and NaN to NaN if `equal_nan`."""
    x, y = operand(a, "isclose"), operand(b, "isclose")
    if type_of(y).dtype.kind in "biu":
        y = cast(y, np.dtype(np.float64))
    near = np.less_equal(np.abs(np.subtract(x, y)), atol + rtol * np.abs(y))
    found = np.logical_or(np.logical_and(near, np.isfinite(y)), np.equal(x, y))
    return np.logical_or(found, np.logical_and(np.isnan(x), np.isnan(y))) if equal_nan else found


@implements(np.allclose)
def allclose(a: Any, b: Any, rtol: Any = 1.0e-5, atol: Any = 1.0e-8, equal_nan: bool = False) -> Any:
    """Whether all elements are close."""
    return np.all(isclose(a, b, rtol, atol, equal_nan))


@implements(np.array_equal)
def array_equal(a1: Any, a2: Any, equal_nan: bool = False) -> Any:
    """Whether two arrays have the same shape and elements."""
    x, y = operand(a1, "array_equal"), operand(a2, "array_equal")
    if type_of(x).shape != type_of(y).shape:
        return False
    same = np.equal(x, y)
    return np.all(np.logical_or(same, np.logical_and(np.isnan(x), np.isnan(y))) if equal_nan else same)


@implements(np.array_equiv)
def array_equiv(a1: Any, a2: Any) -> Any:
    """Whether two arrays broadcast to the same elements."""
    x, y = operand(a1, "array_equiv"), operand(a2, "array_equiv")
    try:
        np.broadcast_shapes(type_of(x).shape, type_of(y).shape)
    except ValueError:
        return False
    return np.all(np.equal(x, y))


@implements(np.iscomplexobj)
def iscomplexobj(x: Any) -> bool:
    """Whether the dtype is complex."""
    return type_of(operand(x, "iscomplexobj")).dtype.kind == "c"


@implements(np.isrealobj)
def isrealobj(x: Any) -> bool:
    """Whether the dtype is not complex."""
    return not iscomplexobj(x)


@implements(np.iscomplex)
def iscomplex(x: Any) -> Any:
    """Where the imaginary part is not zero."""
    return np.not_equal(np.imag(operand(x, "iscomplex")), 0)


@implements(np.isreal)
def isreal(x: Any) -> Any:
    """Where the imaginary part is zero."""
    return np.equal(np.imag(operand(x, "isreal")), 0)


def _infinite(name: str, x: Any, out: Any, negative: bool) -> Any:
    if out is not None:
        raise TypeError(f"numpy.{name}: out= would write into an array: traced functions are pure{at_line()}")
    x = operand(x, name)
    kind = type_of(x).dtype
    if kind.kind == "c":
        raise TypeError(f"This operation is not supported for {kind} values because it would be ambiguous.{at_line()}")
    if kind.kind in "biu":
        return np.zeros(type_of(x).shape, np.bool_)
    limit = kind.type(largest(kind))
    return lt(x, -limit) if negative else lt(limit, x)


@implements(np.isneginf)
def isneginf(x: Any, out: None = None) -> Any:
    """Where minus infinity stands."""
    return _infinite("isneginf", x, out, True)


@implements(np.isposinf)
def isposinf(x: Any, out: None = None) -> Any:
    """Where infinity stands."""
    return _infinite("isposinf", x, out, False)


def isscalar(element: Any) -> bool:
    """Whether `element` is one number: a Python or NumPy scalar, or a traced one.

    Returns
    -------
    bool
        A Python bool.

    Examples
    --------
    >>> import funcgrad as fg
    >>> fg.numpy.isscalar(3.0)
    True
    """
    return type_of(element).ndim == 0 if has_tracer((element,)) else np.isscalar(element)


isscalar.__module__ = "funcgrad.numpy"
