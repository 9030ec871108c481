"""NumPy's functions that pick elements: take and its kin, diagonals, conditions and choices."""

from __future__ import annotations

import builtins
from typing import Any

import numpy as np

from funcgrad.errors import NonConcreteBooleanIndexError, at_line
from funcgrad.numpy._common import (
    axis_number,
    broadcast_shape,
    cast,
    implements,
    operand,
    promoted,
)
from funcgrad.numpy._common import broadcast_to as _broadcast_to
from funcgrad.numpy._extended import extends
from funcgrad.numpy._indexing import INT64, as_int64, getitem, index_shape, placed, positions
from funcgrad.numpy._shapes import ensure_same_shape, moveaxis, ravel
from funcgrad.ops.comparison import select as _select
from funcgrad.ops.indexing import check_entry, gather
from funcgrad.ops.shape import iota
from funcgrad.trace.frame import type_of
from funcgrad.trace.tracer import functions, known


def _numpy_take(
    a: Any,
    indices: Any,
    axis: int | None = None,
    out: None = None,
    mode: str | None = None,
    unique_indices: bool = False,
    indices_are_sorted: bool = False,
    fill_value: Any = None,
) -> Any:
    if mode == "fill":
        return _take(np.asarray(a), indices, axis, mode, fill_value)
    known_mode: Any = mode or "raise"
    return np.take(a, indices, axis, out, known_mode)


_numpy_take.__name__ = "take"


@implements(_numpy_take)
def take(
    a: Any,
    indices: Any,
    axis: int | None = None,
    out: None = None,
    mode: str | None = None,
    unique_indices: bool = False,
    indices_are_sorted: bool = False,
    fill_value: Any = None,
) -> Any:
    """Elements at `indices` along an axis; mode "fill", as in JAX, gives `fill_value` where there is none."""
    indices = operand(indices, "take")
    if type_of(indices).dtype == np.bool_ or not type_of(indices).size:  # 0 and 1; an empty list has no dtype to mind
        indices = cast(indices, np.dtype(np.intp))
    return _take(operand(a, "take"), indices, axis, mode or "raise", fill_value)


functions[np.take] = take


def _take(a: Any, indices: Any, axis: int | None, mode: str, fill_value: Any) -> Any:
    if axis is None:
        a, axis = ravel(a), 0
    a = a if type_of(a).ndim else ravel(a)  # as in NumPy, a number counts as an array of one
    ndim = type_of(a).ndim
    along = axis_number(axis, ndim, "take")
    if mode == "fill":
        return getitem(a, (*[slice(None)] * along, indices), "fill", fill_value)
    lines = by_mode("take", indices, type_of(a).shape[along], mode)
    out = gather(a, lines, axes=(along,))
    n = type_of(lines).ndim
    return moveaxis(out, tuple(range(n)), tuple(range(along, along + n))) if along and n else out


def by_mode(name: str, indices: Any, size: int, mode: str) -> Any:
    """Positions within bounds, by NumPy's modes: here, unlike in `x.at`, clip sends negative numbers to 0."""
    if mode == "clip":
        indices = np.maximum(indices, 0)
    elif mode not in ("raise", "wrap"):
        raise ValueError(f"{name}: clipmode must be one of 'clip', 'raise', or 'wrap' (got {mode!r}){at_line()}")
    return placed(indices, size, mode)[0]


def whole_lines(name: str, arr: Any, indices: Any, along: int) -> tuple[Any, list[Any]]:
    """`arr` and, for each of its axes, an index array, all broadcast except along one axis."""
    shape, ishape = type_of(arr).shape, type_of(indices).shape
    full = index_shape(name, *(tuple(1 if k == along else n for k, n in enumerate(s)) for s in (shape, ishape)))
    full = tuple(ishape[along] if k == along else n for k, n in enumerate(full))
    arr = _broadcast_to(arr, tuple(shape[along] if k == along else n for k, n in enumerate(full)))
    checked = _broadcast_to(positions(indices, shape[along]), full)
    lines = [checked if k == along else iota(dtype=INT64, shape=full, dimension=k) for k in range(len(full))]
    return arr, lines


@implements(np.take_along_axis)
def take_along_axis(arr: Any, indices: Any, axis: int | None = -1) -> Any:
    """For each place of `indices` the element of `arr` that stands there along an axis."""
    arr, indices = operand(arr, "take_along_axis"), operand(indices, "take_along_axis")
    if axis is None:
        arr, axis = ravel(arr), 0
    ndim = type_of(arr).ndim
    if ndim != type_of(indices).ndim:
        raise ValueError(f"`indices` and `arr` must have the same number of dimensions{at_line()}")
    along = axis_number(axis, ndim, "take_along_axis")
    arr, lines = whole_lines("take_along_axis", arr, indices, along)
    return gather(arr, *lines, axes=tuple(range(len(lines))))


@implements(np.diagonal)
def diagonal(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    """A diagonal, as the last axis."""
    ndim = type_of(a).ndim
    if ndim < 2:
        raise ValueError(f"diag requires an array of at least two dimensions, not shape {type_of(a).shape}{at_line()}")
    i, j = axis_number(axis1, ndim, "diagonal"), axis_number(axis2, ndim, "diagonal")
    if i == j:
        raise ValueError(f"diagonal: axis1 and axis2 cannot be the same, {axis1} and {axis2}{at_line()}")
    shape = type_of(a).shape
    n = builtins.max(builtins.min(shape[i] + builtins.min(offset, 0), shape[j] - builtins.max(offset, 0)), 0)
    line = np.arange(n, dtype=INT64)
    lines = {i: line - builtins.min(offset, 0), j: line + builtins.max(offset, 0)}
    axes = tuple(sorted((i, j)))
    return moveaxis(gather(a, *(lines[k] for k in axes), axes=axes), 0, -1)


@implements(np.trace)
def trace(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1, dtype: Any = None, out: None = None) -> Any:
    """The sum along a diagonal."""
    return np.sum(diagonal(a, offset, axis1, axis2), axis=-1, dtype=dtype)


@implements(np.diag)
def diag(v: Any, k: int = 0) -> Any:
    """The matrix with a diagonal, or the diagonal of a matrix."""
    v = operand(v, "diag")
    ndim = type_of(v).ndim
    if ndim == 2:
        return diagonal(v, k)
    if ndim != 1:
        raise ValueError(f"diag: input must be 1- or 2-d, not of shape {type_of(v).shape}{at_line()}")
    n = type_of(v).size + abs(k)
    zero = type_of(v).dtype.type(0)
    row = iota(dtype=INT64, shape=(n, n), dimension=0)
    column = iota(dtype=INT64, shape=(n, n), dimension=1)
    if not type_of(v).size:
        return np.zeros((n, n), type_of(v).dtype)
    place = np.clip(row + builtins.min(k, 0), 0, type_of(v).size - 1)
    return _select(column - row == k, zero, gather(v, place, axes=(0,)))


@implements(np.diagflat)
def diagflat(v: Any, k: int = 0) -> Any:
    """The matrix whose diagonal is `v`, all in one line."""
    return diag(ravel(operand(v, "diagflat")), k)


@extends(np.compress, size=None, fill_value=0)
def compress(
    condition: Any, a: Any, axis: int | None = None, out: None = None, *, size: int | None = None, fill_value: Any = 0
) -> Any:
    """The slices along an axis where a condition holds."""
    condition, a = operand(condition, "compress"), operand(a, "compress")
    if type_of(condition).ndim != 1:
        raise ValueError(f"condition must be a 1-d array, not of shape {type_of(condition).shape}{at_line()}")
    if axis is None:
        a, axis = ravel(a), 0
    n = type_of(a).shape[axis_number(axis, type_of(a).ndim, "compress")]
    places = _places("compress", condition, n, size)
    return _take(a, places, axis, "raise" if size is None else "fill", fill_value)


@extends(np.extract, size=None, fill_value=0)
def extract(condition: Any, arr: Any, *, size: int | None = None, fill_value: Any = 0) -> Any:
    """The elements where a condition holds."""
    line, values = ravel(operand(condition, "extract")), ravel(operand(arr, "extract"))
    return compress(line, values, 0, size=size, fill_value=fill_value)


def _places(name: str, condition: Any, n: int, size: int | None) -> Any:
    """Where a condition holds; of a known number, then places that there are none at."""
    mask = known(condition)
    if mask is not None:
        found = np.flatnonzero(mask)
        return found if size is None else np.concatenate([found[:size], np.full(builtins.max(size - len(found), 0), n)])
    if size is None:
        raise NonConcreteBooleanIndexError(
            f"{name}: the condition is traced: the size of the result would depend on its values. "
            f"Pass size=, or use np.where(condition, x, 0).{at_line()}"
        )
    return functions[np.flatnonzero](condition, size=size, fill_value=n)


def _integers(name: str, a: Any) -> Any:
    if type_of(a).dtype.kind not in "biu":
        raise TypeError(f"{name}: numbers must be integers, not {type_of(a).dtype.name}{at_line()}")
    return as_int64(a)


@implements(np.choose)
def choose(a: Any, choices: Any, out: None = None, mode: str = "raise") -> Any:
    """From each element's array of choices, by its number."""
    arrays = promoted("choose", *(choices if isinstance(choices, (list, tuple)) else list(operand(choices, "choose"))))
    if mode == "raise":
        number = check_entry(
            _integers("choose", operand(a, "choose")),
            size=len(arrays),
            message=f"choose: invalid entry in choice array: there are {len(arrays)} choices",
        )
    else:
        number = by_mode("choose", operand(a, "choose"), len(arrays), mode)
    number, *arrays = ensure_same_shape("choose", number, *arrays)
    stacked = np.stack(arrays)
    shape = type_of(number).shape
    lines = [number, *(iota(dtype=INT64, shape=shape, dimension=k) for k in range(len(shape)))]
    return gather(stacked, *lines, axes=tuple(range(len(lines))))


@implements(np.select)
def select(condlist: Any, choicelist: Any, default: Any = 0) -> Any:
    """From the array that belongs to the first condition that holds."""
    if len(condlist) != len(choicelist):
        raise ValueError(f"list of cases must be same length as list of conditions{at_line()}")
    if not len(condlist):
        raise ValueError(f"select with an empty condition list is not possible{at_line()}")
    conditions = [operand(c, "select") for c in condlist]
    for k, c in enumerate(conditions):
        if type_of(c).dtype != np.bool_:
            raise TypeError(f"invalid entry {k} in condlist: should be boolean ndarray{at_line()}")
    *choices, result = promoted("select", *choicelist, default)
    shape = broadcast_shape("select", *(type_of(x).shape for x in (*conditions, *choices, result)))
    result = _broadcast_to(result, shape)
    for condition, choice in zip(reversed(conditions), reversed(choices), strict=True):
        result = _select(_broadcast_to(condition, shape), result, _broadcast_to(choice, shape))
    return result


@implements(np.piecewise)
def piecewise(x: Any, condlist: Any, funclist: Any, *args: Any, **kw: Any) -> Any:
    """For each element the function whose condition holds (the last one that does); all are computed everywhere."""
    x = operand(x, "piecewise")
    shape, dtype = type_of(x).shape, type_of(x).dtype
    single = type_of(condlist).ndim == 0 if not isinstance(condlist, (list, tuple)) else False
    if single or (isinstance(condlist, (list, tuple)) and shape and all(np.ndim(c) == 0 for c in condlist)):
        condlist = [condlist if single else functions[np.array](list(condlist))]
    conditions = [cast(operand(c, "piecewise"), np.dtype(np.bool_)) for c in condlist]
    n = len(conditions)
    if len(funclist) not in (n, n + 1):
        raise ValueError(f"with {n} condition(s), either {n} or {n + 1} functions are expected{at_line()}")
    values = [f(x, *args, **kw) if callable(f) else f for f in funclist]
    result = values[n] if len(values) > n else 0
    result = np.broadcast_to(cast(operand(result, "piecewise"), dtype), shape)
    for condition, value in zip(conditions, values[:n], strict=True):
        result = np.where(condition, cast(operand(value, "piecewise"), dtype), result)
    return result
