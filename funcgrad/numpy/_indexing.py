"""NumPy's indexing on traced arrays: integers, slices, None, Ellipsis, integer arrays,
known masks; take and its kin.
"""

from __future__ import annotations

import builtins
from typing import Any, NamedTuple

import numpy as np

from funcgrad.errors import NonConcreteBooleanIndexError, at_line
from funcgrad.numpy._common import axis_number, broadcast_shape, implements, operand
from funcgrad.numpy._common import broadcast_to as _broadcast_to
from funcgrad.numpy._shapes import moveaxis, ravel, transpose
from funcgrad.ops.comparison import convert
from funcgrad.ops.indexing import check_index, gather
from funcgrad.ops.shape import iota, reshape, rev, slice_
from funcgrad.trace.frame import type_of
from funcgrad.trace.tracer import Tracer, known

INT64 = np.dtype(np.int64)
ARRAYS = -1


class Plan(NamedTuple):
    """An index taken apart, axis by axis of the operand.

    Attributes
    ----------
    slices
        For each axis of the operand a slice (all of it, where an integer array is applied later).
    arrays
        Axis and index of every integer or integer array.
    layout
        The axes of the result: an operand axis, None for a new one, `ARRAYS` for those of the index arrays (in the
        place of the first one where all stand together, else in front).
    """

    slices: list[slice]
    arrays: list[tuple[int, Any]]
    layout: list[int | None]


def getitem(x: Any, index: Any) -> Any:
    """``x[index]``, as NumPy defines it; out of bounds raises `IndexError`."""
    plan = _take_apart(type_of(x).shape, index if isinstance(index, tuple) else (index,))
    x = _slice(x, plan.slices)
    arrays = plan.arrays
    if builtins.all(isinstance(i, (int, np.integer)) for _, i in arrays):
        return _integers(x, plan)
    shape = _index_shape("indexing", *(type_of(i).shape for _, i in arrays))
    sizes = type_of(x).shape
    lines = [_broadcast_to(positions(i, sizes[axis]), shape) for axis, i in arrays]
    axes = tuple(axis for axis, _ in arrays)
    out = gather(x, *lines, axes=axes)
    return _arrange(out, plan, len(shape))


def _index_shape(name: str, *shapes: tuple[int, ...]) -> tuple[int, ...]:
    try:
        return broadcast_shape(name, *shapes)
    except ValueError as error:
        raise IndexError(f"shape mismatch: {error}") from None


def positions(i: Any, size: int) -> Any:
    """Checked, non-negative positions along an axis."""
    kind = type_of(i)
    if kind.dtype.kind not in "iu":
        raise IndexError(
            f"arrays used as indices must be of integer (or boolean) type, not {kind.dtype.name}{at_line()}"
        )
    if type(i) is not Tracer:
        i = np.asarray(i, INT64)
        outside = (i < -size) | (i >= size)
        if outside.any():
            raise IndexError(f"index {i[outside].flat[0]} is out of bounds for axis with size {size}{at_line()}")
        return np.where(i < 0, i + size, i)
    return check_index(convert(i, dtype=INT64) if kind.dtype != INT64 else i, size=size)


def _take_apart(shape: tuple[int, ...], index: tuple[Any, ...]) -> Plan:
    slices: list[slice] = []
    arrays: list[tuple[int, Any]] = []
    layout: list[int | None] = []
    blocks, inside = 0, False
    for entry in _expand(index, len(shape)):
        axis = len(slices)
        if entry is None:
            layout.append(None)
        elif isinstance(entry, slice):
            slices.append(_known_slice(entry))
            layout.append(axis)
        else:
            slices.append(slice(None))
            arrays.append((axis, entry))
            blocks += not inside
            if not inside and blocks == 1:
                layout.append(ARRAYS)
        inside = not (entry is None or isinstance(entry, slice))
    if blocks > 1:
        layout.remove(ARRAYS)
        layout.insert(0, ARRAYS)
    return Plan(slices, arrays, layout)


def _expand(index: tuple[Any, ...], ndim: int) -> list[Any]:
    """Masks as integer arrays, the ellipsis spelled out, every axis named."""
    entries: list[Any] = []
    for entry in index:
        entries += _entry(entry)
    used = builtins.sum(e is not None and e is not Ellipsis for e in entries)
    if used > ndim:
        raise IndexError(f"too many indices for array: array is {ndim}-dimensional, but {used} were indexed{at_line()}")
    dots = [k for k, e in enumerate(entries) if e is Ellipsis]
    if len(dots) > 1:
        raise IndexError(f"an index can only have a single ellipsis ('...'){at_line()}")
    at = dots[0] if dots else len(entries)
    return [*entries[:at], *[slice(None)] * (ndim - used), *entries[at + 1 :]]


def _entry(entry: Any) -> list[Any]:
    if entry is None or entry is Ellipsis or isinstance(entry, slice):
        return [entry]
    if isinstance(entry, (bool, np.bool_)):
        raise TypeError(f"a bool is not an index of a traced array: use np.where, or x[None] for a new axis{at_line()}")
    if isinstance(entry, (list, tuple, range)):
        entry = operand(list(entry), "indexing") if len(entry) else np.zeros(0, INT64)
    kind = type_of(entry)
    if kind.dtype != np.bool_:
        return [entry]
    mask = known(entry)
    if mask is None:
        raise NonConcreteBooleanIndexError(
            f"A traced mask of type {kind} was used as an index: the size of the result would depend on its values. "
            f"Use np.where(mask, x, 0), or a sum over x * mask.{at_line()}"
        )
    return list(np.nonzero(mask))


def _known_slice(entry: slice) -> slice:
    parts = []
    for part in (entry.start, entry.stop, entry.step):
        parts.append(None if part is None else part.__index__())
    return slice(*parts)


def _slice(x: Any, slices: list[slice]) -> Any:
    shape = type_of(x).shape
    low, high, steps, backwards = [], [], [], []
    for axis, (entry, n) in enumerate(zip(slices, shape, strict=True)):
        start, stop, step = entry.indices(n)
        count = len(range(start, stop, step))
        if step < 0:  # the same elements forwards, then reversed
            start, step = start + (count - 1) * step, -step
            backwards.append(axis)
        low.append(start if count else 0)
        high.append(start + (count - 1) * step + 1 if count else 0)
        steps.append(step if count > 1 else 1)
    if tuple(low) != (0,) * len(shape) or tuple(high) != shape or builtins.any(s != 1 for s in steps):
        x = slice_(x, start_indices=tuple(low), limit_indices=tuple(high), strides=tuple(steps))
    return rev(x, dimensions=tuple(backwards)) if backwards else x


def _integers(x: Any, plan: Plan) -> Any:
    """Known integers are slices of one element whose axis goes."""
    shape = type_of(x).shape
    low, high = [0] * len(shape), list(shape)
    for axis, i in plan.arrays:
        if not -shape[axis] <= i < shape[axis]:
            raise IndexError(f"index {i} is out of bounds for axis {axis} with size {shape[axis]}{at_line()}")
        low[axis] = int(i) % shape[axis]
        high[axis] = low[axis] + 1
    if plan.arrays:
        x = slice_(x, start_indices=tuple(low), limit_indices=tuple(high), strides=(1,) * len(shape))
    out = tuple(1 if axis is None else shape[axis] for axis in plan.layout if axis != ARRAYS)
    return x if out == type_of(x).shape else reshape(x, shape=out)


def _arrange(out: Any, plan: Plan, n: int) -> Any:
    """The `n` index axes, in front so far, put where NumPy puts them, and new axes inserted."""
    ndim = type_of(out).ndim
    first = builtins.sum(axis is not None for axis in plan.layout[: plan.layout.index(ARRAYS)])
    if first and n:
        out = transpose(out, [*range(n, n + first), *range(n), *range(n + first, ndim)])
    if None not in plan.layout:
        return out
    extents = iter(type_of(out).shape)
    shape: list[int] = []
    for axis in plan.layout:
        shape += [next(extents) for _ in range(n)] if axis == ARRAYS else [1 if axis is None else next(extents)]
    return reshape(out, shape=tuple(shape))


@implements(np.take)
def take(a: Any, indices: Any, axis: int | None = None, out: None = None, mode: str = "raise") -> Any:
    """Elements at `indices` along an axis."""
    a, indices = operand(a, "take"), operand(indices, "take")
    if axis is None:
        a, axis = ravel(a), 0
    ndim = type_of(a).ndim
    along = axis_number(axis, ndim, "take")
    lines = _by_mode(indices, type_of(a).shape[along], mode)
    out = gather(a, lines, axes=(along,))
    n = type_of(lines).ndim
    return moveaxis(out, tuple(range(n)), tuple(range(along, along + n))) if along and n else out


def _by_mode(indices: Any, size: int, mode: str) -> Any:
    if mode == "clip":
        return (
            np.clip(indices, 0, size - 1)
            if type(indices) is not Tracer
            else convert(np.clip(indices, 0, size - 1), dtype=INT64)
        )
    if mode == "wrap":
        return convert(np.remainder(indices, size), dtype=INT64)
    if mode != "raise":
        raise ValueError(f"take: clipmode must be one of 'clip', 'raise', or 'wrap' (got {mode!r}){at_line()}")
    return positions(indices, size)


@implements(np.take_along_axis)
def take_along_axis(arr: Any, indices: Any, axis: int | None = -1) -> Any:
    """For each place of `indices` the element of `arr` that stands there along an axis."""
    arr, indices = operand(arr, "take_along_axis"), operand(indices, "take_along_axis")
    if axis is None:
        arr, axis = ravel(arr), 0
    shape, ishape = type_of(arr).shape, type_of(indices).shape
    if len(shape) != len(ishape):
        raise ValueError(f"`indices` and `arr` must have the same number of dimensions{at_line()}")
    along = axis_number(axis, len(shape), "take_along_axis")
    full = _index_shape(
        "take_along_axis", *(tuple(1 if k == along else n for k, n in enumerate(s)) for s in (shape, ishape))
    )
    full = tuple(ishape[along] if k == along else n for k, n in enumerate(full))
    arr = _broadcast_to(arr, tuple(shape[along] if k == along else n for k, n in enumerate(full)))
    checked = _broadcast_to(positions(indices, shape[along]), full)
    lines = [checked if k == along else iota(dtype=INT64, shape=full, dimension=k) for k in range(len(full))]
    return gather(arr, *lines, axes=tuple(range(len(full))))


@implements(np.diagonal)
def diagonal(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    """A diagonal, as the last axis."""
    ndim = type_of(a).ndim
    i, j = axis_number(axis1, ndim, "diagonal"), axis_number(axis2, ndim, "diagonal")
    shape = type_of(a).shape
    n = builtins.max(builtins.min(shape[i] + builtins.min(offset, 0), shape[j] - builtins.max(offset, 0)), 0)
    line = np.arange(n, dtype=INT64)
    lines = {i: line - builtins.min(offset, 0), j: line + builtins.max(offset, 0)}
    axes = tuple(sorted((i, j)))
    return moveaxis(gather(a, *(lines[k] for k in axes), axes=axes), 0, -1)


@implements(np.trace)
def trace(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    """The sum along a diagonal."""
    return np.sum(diagonal(a, offset, axis1, axis2), axis=-1)
