"""How is an array changed at an index?  As a window where the index is one, else element by element.

Slices and integers name a window: its place is known without an index array, and whole rows of it are written at once.
"""

from __future__ import annotations

import builtins
import math
from typing import Any

import numpy as np

from funcgrad.dtypes import BFLOAT16
from funcgrad.errors import at_line
from funcgrad.lax._scatter import UPDATES, over_windows, scattered
from funcgrad.numpy._common import broadcast_to as _broadcast_to
from funcgrad.numpy._common import cast, has_tracer, operand
from funcgrad.numpy._indexing import Places
from funcgrad.ops.comparison import select
from funcgrad.ops.dynamic import dynamic_slice, dynamic_update_slice
from funcgrad.ops.shape import pad, reshape, slice_
from funcgrad.trace.frame import type_of
from funcgrad.trace.tracer import Tracer, known

SMALL = 4  # a window is, of which this many make no more than the array
WIDE = 32  # elements of a row that is written in vectors


def update(kind: str, x: Any, index: Any, values: Any, mode: str = "raise", unique: bool = False) -> Any:
    """`x` with `values` written (or added, ...) at `index`."""
    dtype = type_of(x).dtype
    values = cast_values(kind, operand(values, f"at[].{kind}"), dtype)
    mask = _traced_mask(index)
    if mask is not None:
        return _under_mask(kind, x, mask, values)
    places = Places(type_of(x).shape, index, mode)
    number = reshape(values, shape=()) if type_of(values).size == 1 else None
    values = _spread(kind, values, places.shape)
    plan = places.plan
    flat = x if plan.shape == type_of(x).shape else reshape(x, shape=plan.shape)
    if 0 in places.shape or 0 in plan.shape:
        return x
    if places.is_window and (places.axes if kind == "set" else _pays(kind, places)):
        out = _in_window(kind, flat, *places.window(values), number)
    elif not places.axes:
        out = cast(_joined(kind, flat, places.updates(values)), dtype)
    else:
        once = unique or all(type_of(i).size < 2 for _, i in plan.arrays)
        updates = places.updates(values)
        out = scattered(kind, flat, updates, places.lines, places.axes, places.inside, once)
    return out if plan.shape == type_of(x).shape else reshape(out, shape=type_of(x).shape)


def _pays(kind: str, places: Places) -> bool:
    """Whether a window is read and written as a whole: rows that are long. Few elements are added one by one, for the
    sake of derivatives: then cotangents of the array stay as they are.
    """
    last = len(places.plan.shape) - 1
    wide = last not in places.starts and places.lengths[last] >= WIDE
    large = math.prod(places.plan.shape) < SMALL * math.prod(places.shape)
    return bool(places.partial) and wide and (kind != "add" or large)


def _in_window(kind: str, x: Any, block: Any, starts: list[Any], number: Any) -> Any:
    """`x` with a block (or the number that fills it) joined to what is there.

    A block is added as one that is as large as `x`: a single loop reads both and writes the sum, which needs no
    copy of `x`, and cotangents pass as they are. Around it stands -0, as 0 would make 0 of -0.
    """
    shape, sizes, dtype = type_of(x).shape, type_of(block).shape, type_of(x).dtype
    moves = has_tracer(starts)
    ends = [] if moves else [int(start) + n for start, n in zip(starts, sizes, strict=True)]
    if kind == "add" and not moves and type(block) is Tracer and dtype.kind != "b":
        around = [(end - n, m - end, 0) for end, n, m in zip(ends, sizes, shape, strict=True)]
        return np.add(x, pad(block, np.negative(dtype.type(0)), padding_config=tuple(around)))
    if kind != "set":
        if moves:
            old = dynamic_slice(x, *starts, slice_sizes=sizes)
        else:
            low = tuple(end - n for end, n in zip(ends, sizes, strict=True))
            old = slice_(x, start_indices=low, limit_indices=tuple(ends), strides=(1,) * len(shape))
        block = cast(_joined(kind, old, block if number is None else number), dtype)
    return dynamic_update_slice(x, block, *starts)


def _joined(kind: str, old: Any, new: Any) -> Any:
    ufunc = UPDATES[kind].ufunc
    return ufunc(old, new) if ufunc else new


def cast_values(kind: str, values: Any, dtype: np.dtype) -> Any:
    """Values in the dtype of the array: `set` converts as an assignment does, the others only within a kind."""
    have = type_of(values)
    if kind != "set":
        result = have.dtype
        if have.weak and dtype != BFLOAT16:
            result = np.result_type(dtype, 1.0 if have.dtype.kind == "f" else have.dtype)
        elif have.weak and have.dtype.kind != "c":  # any Python number, as other floats take it
            result = dtype
        if not np.can_cast(result, dtype, "same_kind"):
            raise TypeError(
                f"at[].{kind}: values of dtype {have.dtype.name} do not fit an array of dtype {dtype.name}: "
                f"convert one of them.{at_line()}"
            )
    if have.dtype.kind == "c" and dtype.kind != "c":
        raise TypeError(f"at[].{kind}: complex values do not fit an array of dtype {dtype.name}{at_line()}")
    return cast(values, dtype)


def _spread(kind: str, values: Any, shape: tuple[int, ...]) -> Any:
    """Values broadcast to the shape of what the index names; as in an assignment, leading extents of 1 do not count."""
    have = type_of(values).shape
    kept = have
    while len(kept) > len(shape) and kept[0] == 1:
        kept = kept[1:]
    values = values if kept == have else reshape(values, shape=kept)
    fits = len(kept) <= len(shape) and builtins.all(
        n in (1, m) for n, m in zip(reversed(kept), reversed(shape), strict=False)
    )
    if not fits:
        raise ValueError(
            f"at[].{kind}: could not broadcast values of shape {have} to the indexed shape {shape}{at_line()}"
        )
    return _broadcast_to(values, shape)


def _traced_mask(index: Any) -> Any:
    """A mask that is not known, as the only index."""
    entry = index[0] if isinstance(index, tuple) and len(index) == 1 else index
    unknown = type(entry) is Tracer and entry.dtype == np.bool_ and known(entry) is None
    return entry if unknown else None


def _under_mask(kind: str, x: Any, mask: Any, values: Any) -> Any:
    """Where an unknown mask holds; values may vary along the other axes only."""
    shape, over = type_of(x).shape, type_of(mask).shape
    if shape[: len(over)] != over:
        raise IndexError(f"boolean index of shape {over} did not match an array of shape {shape}{at_line()}")
    if type_of(values).ndim > len(shape) - len(over):
        raise TypeError(
            f"values of shape {type_of(values).shape} under a traced mask of shape {over}: which one belongs to which "
            f"element depends on the mask. Use np.where(mask, values, x).{at_line()}"
        )
    written = cast(_joined(kind, x, _broadcast_to(values, shape)), type_of(x).dtype)
    return select(over_windows(mask, shape), x, written)
