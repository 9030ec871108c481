"""NumPy's functions that cut out, put in and append."""

from __future__ import annotations

import builtins
from typing import Any

import numpy as np

from funcgrad.errors import ConcretizationTypeError, at_line
from funcgrad.numpy._common import axis_number, axis_numbers, cast, implements, operand
from funcgrad.numpy._indexing import getitem, positions
from funcgrad.numpy._selection import take
from funcgrad.numpy._shapes import concatenate, moveaxis, ravel
from funcgrad.ops.shape import reshape
from funcgrad.trace.frame import type_of
from funcgrad.trace.tracer import Tracer, known


def _known(name: str, what: str, x: Any) -> Any:
    """What decides on the size of a result."""
    if type(x) is not Tracer:
        return x
    value = known(x)
    if value is None:
        raise ConcretizationTypeError(
            f"{name}: {what} is traced ({x.type}): the size of the result would depend on it.{at_line()}"
        )
    return value


def _along(name: str, arr: Any, axis: Any) -> tuple[Any, int]:
    """The array and a checked axis; without one, the array in one line."""
    arr = operand(arr, name)
    if axis is None:
        return ravel(arr), 0
    return arr, axis_number(axis, type_of(arr).ndim, name)


@implements(np.delete)
def delete(arr: Any, obj: Any, axis: Any = None) -> Any:
    """Without the slices at `obj`; one integer may be traced."""
    arr, along = _along("delete", arr, axis)
    n = type_of(arr).shape[along]
    if type(obj) is Tracer and known(obj) is None and obj.dtype.kind in "iu" and obj.ndim == 0:
        line, place = np.arange(builtins.max(n - 1, 0)), positions(obj, n)
        return take(arr, line + (line >= place), along)
    return take(arr, np.delete(np.arange(n), _known("delete", "obj", obj)), along)


@implements(np.insert)
def insert(arr: Any, obj: Any, values: Any, axis: Any = None) -> Any:
    """With values put in before the places `obj`."""
    arr, along = _along("insert", arr, axis)
    shape = type_of(arr).shape
    places = _known("insert", "obj", obj)
    n = shape[along]
    places = np.arange(n)[places] if isinstance(places, slice) else np.asarray(places)
    if places.dtype == np.bool_:
        (places,) = np.nonzero(places)
    values = cast(operand(values, "insert"), type_of(arr).dtype)
    have = type_of(values).shape
    if len(have) < len(shape):
        values = reshape(values, shape=(*(1,) * (len(shape) - len(have)), *have))
    if places.size == 1:
        values = moveaxis(values, 0, along) if places.ndim == 0 else values
        count = type_of(values).shape[along]
    else:
        count = places.size
    if places.size == 0 and not isinstance(obj, np.ndarray):
        places = places.astype(np.int64)
    values = np.broadcast_to(values, tuple(count if k == along else m for k, m in enumerate(shape)))
    order = np.insert(np.arange(n), places, n + np.arange(count))
    return take(concatenate([arr, values], along), order, along)


@implements(np.append)
def append(arr: Any, values: Any, axis: Any = None) -> Any:
    """With values joined at the end."""
    parts = [operand(arr, "append"), operand(values, "append")]
    return concatenate([ravel(x) for x in parts] if axis is None else parts, 0 if axis is None else axis)


@implements(np.trim_zeros)
def trim_zeros(filt: Any, trim: str = "fb", axis: Any = None) -> Any:
    """Without zeros at the ends; the array's values must be known."""
    kept = np.asarray(_known("trim_zeros", "the array", filt)) != 0
    ndim = kept.ndim
    axes = axis_numbers(axis, ndim, "trim_zeros")
    places = np.argwhere(kept)
    index = [slice(None)] * ndim
    for k in axes:
        low = places[:, k].min() if len(places) else kept.shape[k]
        high = places[:, k].max() + 1 if len(places) else 0
        front = low if "f" in trim.lower() else 0
        back = high if "b" in trim.lower() else kept.shape[k]
        index[k] = slice(int(front), int(back))
    return getitem(filt, tuple(index))
