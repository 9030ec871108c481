"""NumPy's functions of what has come so far: cumulative sums and products, with NaN as nothing if wished."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.dtypes import is_inexact
from funcgrad.errors import at_line
from funcgrad.numpy._common import axis_number, cast, dtype_of, implements, operand
from funcgrad.numpy._reductions import _plain, _sum_dtype
from funcgrad.numpy._shapes import ravel
from funcgrad.ops import cumulative
from funcgrad.trace.frame import type_of


def _so_far(name: str, primitive: Any, a: Any, axis: int | None, dtype: Any, out: Any) -> Any:
    _plain(name, out)
    a = operand(a, name)
    a = cast(a, _sum_dtype(type_of(a).dtype, None if dtype is None else dtype_of(dtype)))
    if not type_of(a).ndim:
        axis_number(0 if axis is None else axis, 1, name)
    flat = axis is None or not type_of(a).ndim
    along = 0 if flat else axis_number(axis, type_of(a).ndim, name)
    a = ravel(a) if flat else a
    if type_of(a).dtype != np.bool_:
        return primitive(a, axis=along, reverse=False)
    extremum = cumulative.cummax if primitive is cumulative.cumsum else cumulative.cummin  # whether any, or all
    return extremum(a, axis=along, reverse=False)


@implements(np.cumsum)
def cumsum(a: Any, axis: int | None = None, dtype: Any = None, out: None = None) -> Any:
    """The sum up to and with each element."""
    return _so_far("cumsum", cumulative.cumsum, a, axis, dtype, out)


@implements(np.cumprod)
def cumprod(a: Any, axis: int | None = None, dtype: Any = None, out: None = None) -> Any:
    """The product up to and with each element."""
    return _so_far("cumprod", cumulative.cumprod, a, axis, dtype, out)


def without_nan(a: Any, instead: float) -> Any:
    """The array with another number where it has NaN."""
    kind = type_of(a)
    return np.where(np.isnan(a), kind.dtype.type(instead), a) if is_inexact(kind.dtype) else a


@implements(np.nancumsum)
def nancumsum(a: Any, axis: int | None = None, dtype: Any = None, out: None = None) -> Any:
    """As `cumsum`, NaN counting as 0."""
    return cumsum(without_nan(operand(a, "nancumsum"), 0), axis, dtype, out)


@implements(np.nancumprod)
def nancumprod(a: Any, axis: int | None = None, dtype: Any = None, out: None = None) -> Any:
    """As `cumprod`, NaN counting as 1."""
    return cumprod(without_nan(operand(a, "nancumprod"), 1), axis, dtype, out)


def _with_initial(name: str, function: Any, x: Any, axis: int | None, dtype: Any, out: Any, initial: int | None) -> Any:
    x = operand(x, name)
    x = x if type_of(x).ndim else ravel(x)
    if axis is None:
        if type_of(x).ndim > 1:
            raise ValueError(f"{name}: for arrays of more than one axis, axis is required{at_line()}")
        axis = 0
    result = function(x, axis, dtype, out)
    if initial is None:
        return result
    shape = list(type_of(result).shape)
    shape[axis_number(axis, len(shape), name)] = 1
    return np.concatenate([np.full(shape, initial, type_of(result).dtype), result], axis)


@implements(np.cumulative_sum)
def cumulative_sum(
    x: Any, /, *, axis: int | None = None, dtype: Any = None, out: None = None, include_initial: bool = False
) -> Any:
    """The Array API's `cumsum`."""
    return _with_initial("cumulative_sum", cumsum, x, axis, dtype, out, 0 if include_initial else None)


@implements(np.cumulative_prod)
def cumulative_prod(
    x: Any, /, *, axis: int | None = None, dtype: Any = None, out: None = None, include_initial: bool = False
) -> Any:
    """The Array API's `cumprod`."""
    return _with_initial("cumulative_prod", cumprod, x, axis, dtype, out, 1 if include_initial else None)
