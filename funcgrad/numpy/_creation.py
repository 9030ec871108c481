"""NumPy's functions that make arrays."""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np

from funcgrad.errors import at_line
from funcgrad.numpy._common import (
    axis_numbers,
    cast,
    document,
    dtype_of,
    has_tracer,
    implements,
    operand,
    static_shape,
    wrap,
)
from funcgrad.numpy._extended import sharing
from funcgrad.numpy._shapes import stack
from funcgrad.ops.comparison import convert
from funcgrad.ops.shape import broadcast_in_dim
from funcgrad.trace.frame import type_of
from funcgrad.trace.tracer import Tracer
from funcgrad.tracebacks import shorten


@implements(np.array)
def array(
    object: Any,
    dtype: Any = None,
    *,
    copy: bool | None = True,
    order: str | None = None,
    subok: bool = False,
    ndmin: int = 0,
    ndmax: int = 0,
    like: Any = None,
) -> Any:
    """An array from numbers, arrays and traced arrays, nested in lists."""
    x = _assemble(object)
    x = convert(x, dtype=type_of(x).dtype) if type_of(x).weak else x
    x = x if dtype is None else cast(x, dtype_of(dtype))
    return np.reshape(x, (1,) * (ndmin - type_of(x).ndim) + type_of(x).shape) if type_of(x).ndim < ndmin else x


def _assemble(x: Any) -> Any:
    return stack([_assemble(item) for item in x]) if isinstance(x, (list, tuple)) else operand(x, "array")


@sharing(np.asarray)
@implements(np.asarray)
def asarray(
    a: Any,
    dtype: Any = None,
    order: str | None = None,
    *,
    device: str | None = None,
    copy: bool | None = None,
    like: Any = None,
) -> Any:
    """As `array`."""
    return array(a, dtype)


def _as_array(reference: Any, ndmin: int = 0) -> Any:
    def function(a: Any, dtype: Any = None, order: Any = None, **kwargs: Any) -> Any:
        return array(a, dtype, ndmin=ndmin)

    return implements(reference)(function)


asanyarray, require = map(_as_array, (np.asanyarray, np.require))
ascontiguousarray, asfortranarray = (_as_array(f, ndmin=1) for f in (np.ascontiguousarray, np.asfortranarray))


def _like(x: Any, shape: Any, dtype: Any) -> tuple[tuple[int, ...], np.dtype]:
    kind = type_of(x)
    return (kind.shape if shape is None else static_shape(shape, "like")), (
        kind.dtype if dtype is None else dtype_of(dtype)
    )


@implements(np.zeros_like)
def zeros_like(
    a: Any, dtype: Any = None, order: str = "K", subok: bool = True, shape: Any = None, *, device: str | None = None
) -> Any:
    """Zeros in the shape and dtype of `a`."""
    return np.zeros(*_like(a, shape, dtype))


@implements(np.ones_like)
def ones_like(
    a: Any, dtype: Any = None, order: str = "K", subok: bool = True, shape: Any = None, *, device: str | None = None
) -> Any:
    """Ones in the shape and dtype of `a`."""
    return np.ones(*_like(a, shape, dtype))


@implements(np.empty_like)
def empty_like(
    prototype: Any,
    dtype: Any = None,
    order: str = "K",
    subok: bool = True,
    shape: Any = None,
    *,
    device: str | None = None,
) -> Any:
    """Zeros in the shape and dtype of `prototype`."""
    return np.zeros(*_like(prototype, shape, dtype))


@implements(np.full_like)
def full_like(
    a: Any,
    fill_value: Any,
    dtype: Any = None,
    order: str = "K",
    subok: bool = True,
    shape: Any = None,
    *,
    device: str | None = None,
) -> Any:
    """`fill_value` in the shape and dtype of `a`."""
    extents, kind = _like(a, shape, dtype)
    value = cast(operand(fill_value, "full_like"), kind)
    return (
        broadcast_in_dim(value, shape=extents, broadcast_dimensions=())
        if not type_of(value).shape
        else np.broadcast_to(value, extents)
    )


@implements(np.full)
def full(
    shape: Any, fill_value: Any, dtype: Any = None, order: str = "C", *, device: str | None = None, like: Any = None
) -> Any:
    """An array filled with one value."""
    value = operand(fill_value, "full")
    value = cast(value, type_of(value).dtype if dtype is None else dtype_of(dtype))
    return np.broadcast_to(value, static_shape(shape, "full"))


@implements(np.linspace)
def linspace(
    start: Any,
    stop: Any,
    num: int = 50,
    endpoint: bool = True,
    retstep: bool = False,
    dtype: Any = None,
    axis: int = 0,
    *,
    device: str | None = None,
) -> Any:
    """Evenly spaced numbers between two traced ends."""
    num = operator.index(num)
    if num < 0:
        raise ValueError(f"linspace: Number of samples, {num}, must be non-negative.{at_line()}")
    steps = max(num - 1 if endpoint else num, 1)
    start, stop = start + 0.0, stop + 0.0
    line = (np.arange(num) / steps).astype(result_type(start, stop))
    shaped = line.reshape((num,) + (1,) * max(np.ndim(start), np.ndim(stop)))
    out = start + shaped * (stop - start)
    if endpoint and num > 1:  # the end is met exactly
        out = np.where(np.arange(num).reshape(np.shape(shaped)) == num - 1, stop, out)
    out = np.moveaxis(out, 0, axis) if axis else out
    if dtype is not None:
        out = cast(np.floor(out) if dtype_of(dtype).kind in "iu" else out, dtype_of(dtype))
    return (out, (stop - start) / steps) if retstep else out


@implements(np.meshgrid)
def meshgrid(*xi: Any, copy: bool = True, sparse: bool = False, indexing: str = "xy") -> tuple[Any, ...]:
    """Coordinate matrices from coordinate vectors."""
    if indexing not in ("xy", "ij"):
        raise ValueError(f"meshgrid: indexing is 'xy' or 'ij', not {indexing!r}{at_line()}")
    n = len(xi)
    places = [1, 0, *range(2, n)] if indexing == "xy" and n > 1 else list(range(n))
    lines = [
        np.reshape(x, tuple(-1 if k == place else 1 for k in range(n))) for x, place in zip(xi, places, strict=True)
    ]
    return tuple(lines) if sparse else tuple(np.broadcast_arrays(*lines))


@implements(np.copy)
def copy(a: Any, order: str = "K", subok: bool = False) -> Any:
    """The same array: traced arrays are never written to."""
    return a


@implements(np.shape)
def shape(a: Any) -> tuple[int, ...]:
    """The extents."""
    return a.shape if type(a) is Tracer else type_of(a).shape


@implements(np.ndim)
def ndim(a: Any) -> int:
    """The number of axes."""
    return type_of(a).ndim


@implements(np.size)
def size(a: Any, axis: int | tuple[int, ...] | None = None) -> int:
    """The number of elements."""
    kind = a if type(a) is Tracer else type_of(a)
    return kind.size if axis is None else math.prod(kind.shape[k] for k in axis_numbers(axis, kind.ndim, "size"))


@implements(np.result_type)
def result_type(*xs: Any) -> np.dtype:
    """The dtype that NumPy's promotion gives."""
    kinds = [type_of(x) for x in xs if type(x) is Tracer]
    marks = [1.0 if k.dtype.kind == "f" else 1 if k.dtype.kind == "i" else True for k in kinds if k.weak]
    return np.result_type(*(x for x in xs if type(x) is not Tracer), *(k.dtype for k in kinds if not k.weak), *marks)


def eager(reference: Any) -> Any:
    """A function of known arguments only: NumPy's result as an `Array`."""

    def function(*args: Any, **kwargs: Any) -> Any:
        try:
            if has_tracer(args):
                args = tuple(x.__index__() if type(x) is Tracer else x for x in args)
            return wrap(reference(*args, **kwargs))
        except BaseException as error:
            shorten(error)
            raise

    function.__name__ = function.__qualname__ = reference.__name__
    function.__module__ = "funcgrad.numpy"
    function.__doc__ = document(reference)
    return function


zeros, ones, empty = eager(np.zeros), eager(np.ones), eager(np.empty)
arange, eye, identity, tri = map(eager, (np.arange, np.eye, np.identity, np.tri))
