"""What does ``x[index]`` mean on traced arrays?  NumPy's indexing, taken apart axis by axis: integers, slices, None,
Ellipsis, integer arrays, known masks.

`take_apart` serves reading (`getitem`) and writing (`Places`, for `x.at[index]`) alike.
"""

from __future__ import annotations

import builtins
import operator
from typing import Any, NamedTuple

import numpy as np

from funcgrad.errors import NonConcreteBooleanIndexError, TracerIntegerConversionError, at_line
from funcgrad.lax._scatter import missing, over_windows
from funcgrad.numpy._common import broadcast_shape
from funcgrad.numpy._common import broadcast_to as _broadcast_to
from funcgrad.numpy._shapes import transpose
from funcgrad.ops.comparison import convert, select
from funcgrad.ops.indexing import check_index, gather
from funcgrad.ops.shape import broadcast_in_dim, iota, reshape, rev, slice_
from funcgrad.trace.frame import type_of
from funcgrad.trace.tracer import Tracer, known

INT64 = np.dtype(np.int64)
ARRAYS = -1
MODES = ("raise", "promise_in_bounds", "clip", "drop", "fill", "wrap")
KNOWN_ENTRIES = (slice, int, float, complex, np.number, Tracer, np.ndarray)  # what is wrong with some, `positions` says
Shape = tuple[int, ...]


class Plan(NamedTuple):
    """An index taken apart, axis by axis of the operand.

    Attributes
    ----------
    shape
        The operand's extents, with an axis of extent 1 for every index that is True or False.
    slices
        For each axis of the operand a slice (all of it, where an integer array is applied later).
    arrays
        Axis and index of every integer or integer array.
    layout
        The axes of the result: an operand axis, None for a new one, `ARRAYS` for those of the index arrays (in the
        place of the first one where all stand together, else in front).
    """

    shape: Shape
    slices: list[slice]
    arrays: list[tuple[int, Any]]
    layout: list[int | None]


# Reading --------------------------------------------------------------------------------------------------------------


def getitem(x: Any, index: Any, mode: str = "raise", fill_value: Any = None) -> Any:
    """``x[index]``, as NumPy defines it; by default, out of bounds raises `IndexError`."""
    plan = take_apart(type_of(x).shape, index)
    x = _slice(_reshaped(x, plan.shape), plan.slices)
    if mode == "raise" and builtins.all(isinstance(i, (int, np.integer)) for _, i in plan.arrays):
        return _integers(x, plan)
    shape = index_shape("indexing", *(type_of(i).shape for _, i in plan.arrays))
    sizes = type_of(x).shape
    found = [placed(i, sizes[axis], mode) for axis, i in plan.arrays]
    lines = [_broadcast_to(line, shape) for line, _ in found]
    axes = tuple(axis for axis, _ in plan.arrays)
    if not axes:
        return _arrange(x, plan, 0)
    inside = _all([_broadcast_to(valid, shape) for _, valid in found if valid is not None])
    if inside is None:
        return _arrange(gather(x, *lines, axes=axes), plan, len(shape))
    absent = missing(type_of(x).dtype, fill_value)
    kept = tuple(n for axis, n in enumerate(sizes) if axis not in axes)
    if 0 in (sizes[axis] for axis in axes):
        return _arrange(np.broadcast_to(absent, (*shape, *kept)), plan, len(shape))
    out = gather(x, *lines, axes=axes)
    return _arrange(select(over_windows(inside, (*shape, *kept)), absent, out), plan, len(shape))


def _all(conditions: list[Any]) -> Any:
    total = None
    for condition in conditions:
        total = condition if total is None else total & condition
    return total


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
    return _reshaped(x, tuple(1 if axis is None else shape[axis] for axis in plan.layout if axis != ARRAYS))


def _arrange(out: Any, plan: Plan, n: int) -> Any:
    """The `n` index axes, in front so far, put where NumPy puts them, and new axes inserted."""
    ndim = type_of(out).ndim
    before = plan.layout[: plan.layout.index(ARRAYS)] if ARRAYS in plan.layout else []
    first = builtins.sum(axis is not None for axis in before)
    if first and n:
        out = transpose(out, [*range(n, n + first), *range(n), *range(n + first, ndim)])
    if None not in plan.layout:
        return out
    extents = iter(type_of(out).shape)
    shape: list[int] = []
    for axis in plan.layout:
        shape += [next(extents) for _ in range(n)] if axis == ARRAYS else [1 if axis is None else next(extents)]
    return reshape(out, shape=tuple(shape))


# Writing --------------------------------------------------------------------------------------------------------------


class Places:
    """Where the elements that an index names lie: an index array per axis, as `scatter` takes them.

    Attributes
    ----------
    plan
        The index, taken apart.
    axes
        The axes that are not taken whole.
    inside
        Which of them there are (None: all).
    shape
        Of the elements as NumPy's index gives them.
    """

    def __init__(self, shape: Shape, index: Any, mode: str) -> None:
        self.plan = plan = take_apart(shape, index)
        sizes = plan.shape
        found = {axis: placed(i, sizes[axis], mode) for axis, i in plan.arrays}
        self.indexed = index_shape("indexing", *(type_of(i).shape for _, i in plan.arrays))
        ranges = [range(*entry.indices(n)) for entry, n in zip(plan.slices, sizes, strict=True)]
        self.partial = {
            axis: r
            for axis, (r, n) in enumerate(zip(ranges, sizes, strict=True))
            if axis not in found and r != range(n)
        }
        self.lengths = [len(r) for r in ranges]
        self.axes = tuple(sorted({*found, *self.partial}))
        self.inside = _all([self._spread(valid) for _, valid in found.values() if valid is not None])
        self.starts = {axis: line for axis, (line, _) in found.items()}
        self.shape = tuple(n for axis in plan.layout for n in self._extents(axis))

    def _extents(self, axis: int | None) -> Shape:
        return self.indexed if axis == ARRAYS else (1 if axis is None else self.lengths[axis],)

    def _spread(self, line: Any) -> Any:
        """What is known per index, for every element that is not part of a whole axis."""
        full = (*self.indexed, *(len(r) for r in self.partial.values()))
        line = _broadcast_to(line, self.indexed)
        return broadcast_in_dim(line, shape=full, broadcast_dimensions=tuple(range(len(self.indexed))))

    @property
    def lines(self) -> list[Any]:
        """For each of `axes` the positions, all of one shape: as many numbers as elements, which windows do without."""
        full = (*self.indexed, *(len(r) for r in self.partial.values()))
        lines = {axis: self._spread(line) for axis, line in self.starts.items()}
        for number, (axis, r) in enumerate(self.partial.items(), len(self.indexed)):
            count = iota(dtype=INT64, shape=full, dimension=number)
            lines[axis] = count * np.int64(r.step if len(r) > 1 else 1) + np.int64(r.start)
        return [lines[axis] for axis in self.axes]

    @property
    def is_window(self) -> bool:
        """Whether they are one block without gaps."""
        dense = builtins.all(abs(r.step) == 1 or len(r) < 2 for r in self.partial.values())
        return dense and not self.indexed and self.inside is None

    def window(self, values: Any) -> tuple[Any, list[Any]]:
        """Values of `shape` as the block, and where it starts along each axis."""
        block = tuple(1 if axis in self.starts else n for axis, n in enumerate(self.lengths))
        starts = [self.starts.get(axis, np.int64(0)) for axis in range(len(block))]
        backwards = []
        for axis, r in self.partial.items():
            starts[axis] = np.int64(min(r[0], r[-1]) if r else 0)
            backwards += [axis] if len(r) > 1 and r.step < 0 else []
        values = _reshaped(values, block)
        return rev(values, dimensions=tuple(backwards)) if backwards else values, starts

    def updates(self, values: Any) -> Any:
        """Values of `shape` in the order of a scatter's updates: index axes, then those that are taken whole."""
        labels: list[Any] = []
        for axis in self.plan.layout:
            labels += [("index", k) for k in range(len(self.indexed))] if axis == ARRAYS else [axis]
        extents = tuple(n for label, n in zip(labels, self.shape, strict=True) if label is not None)
        labels = [label for label in labels if label is not None]
        whole = [axis for axis in range(len(self.plan.shape)) if axis not in self.axes]
        wanted = [*(("index", k) for k in range(len(self.indexed))), *self.partial, *whole]
        return transpose(_reshaped(values, extents), [labels.index(label) for label in wanted])


def _reshaped(x: Any, shape: Shape) -> Any:
    return x if type_of(x).shape == shape else reshape(x, shape=shape)


# Integers -------------------------------------------------------------------------------------------------------------


def index_shape(name: str, *shapes: Shape) -> Shape:
    """The common shape of index arrays, or NumPy's error."""
    try:
        return broadcast_shape(name, *shapes)
    except ValueError as error:
        raise IndexError(f"shape mismatch: {error}") from None


def positions(i: Any, size: int) -> Any:
    """Checked, non-negative positions along an axis."""
    _check_integers(i)
    if type(i) is not Tracer:
        i = as_int64(i)
        outside = (i < -size) | (i >= size)
        if outside.any():
            raise IndexError(f"index {i[outside].flat[0]} is out of bounds for axis with size {size}{at_line()}")
        return np.where(i < 0, i + size, i)
    return check_index(as_int64(i), size=size)


def placed(i: Any, size: int, mode: str) -> tuple[Any, Any]:
    """Positions along an axis that are within bounds, and which of them stand for one (None: all)."""
    if mode == "raise":
        return positions(i, size), None
    _check_integers(i)
    if not size and type_of(i).size and mode not in ("drop", "fill"):
        raise IndexError(f"index is out of bounds for axis with size 0{at_line()}")
    i = as_int64(i)
    if mode == "wrap":
        return np.remainder(i, size) if size else i, None
    i = np.where(i < 0, i + size, i)
    if mode in ("clip", "promise_in_bounds"):
        return np.minimum(np.maximum(i, 0), size - 1), None
    inside = (i >= 0) & (i < size)
    return np.where(inside, i, 0), inside


def as_int64(i: Any) -> Any:
    """An index as the primitives take it."""
    if type(i) is Tracer:
        return i if i.dtype == INT64 else convert(i, dtype=INT64)
    try:
        return np.asarray(i, INT64)
    except OverflowError:
        raise IndexError(f"index {i} is out of bounds for every array{at_line()}") from None


def _check_integers(i: Any) -> None:
    kind = type_of(i)
    if kind.dtype.kind not in "iu":
        raise IndexError(
            f"arrays used as indices must be of integer (or boolean) type, not {kind.dtype.name}{at_line()}"
        )


# Taking an index apart ------------------------------------------------------------------------------------------------


def take_apart(shape: Shape, index: Any) -> Plan:
    """The plan of an index into an array of `shape`."""
    extents: list[int] = []
    slices: list[slice] = []
    arrays: list[tuple[int, Any]] = []
    layout: list[int | None] = []
    blocks, inside = 0, False
    rest = iter(shape)
    for entry in _expand(index if isinstance(index, tuple) else (index,), len(shape)):
        apart = entry is None or entry is Ellipsis or isinstance(entry, slice)
        if entry is None:
            layout.append(None)
        elif isinstance(entry, slice):
            layout.append(len(slices))
            slices.append(_known_slice(entry))
            extents.append(next(rest))
        elif not apart:
            blocks += not inside
            if not inside and blocks == 1:
                layout.append(ARRAYS)
            added = _flag_as_array(entry) if _is_flag(entry) else None
            for line in [added] if added is not None else _lines_of(entry, shape, len(shape) - _left(rest)):
                arrays.append((len(slices), line))
                slices.append(slice(None))
                extents.append(1 if added is not None else next(rest))
        inside = not apart
    if blocks > 1:
        layout.remove(ARRAYS)
        layout.insert(0, ARRAYS)
    return Plan(tuple(extents), slices, arrays, layout)


def _left(rest: Any) -> int:
    return int(operator.length_hint(rest))


def _expand(index: tuple[Any, ...], ndim: int) -> list[Any]:
    """Every entry as an array or a slice, every axis named: those of the ellipsis behind it, as there may be none."""
    entries = [_entry(entry) for entry in index]
    used = builtins.sum(_consumed(entry) for entry in entries)
    if used > ndim:
        raise IndexError(f"too many indices for array: array is {ndim}-dimensional, but {used} were indexed{at_line()}")
    dots = [k for k, e in enumerate(entries) if e is Ellipsis]
    if len(dots) > 1:
        raise IndexError(f"an index can only have a single ellipsis ('...'){at_line()}")
    at = dots[0] if dots else len(entries)
    return [*entries[: at + 1], *[slice(None)] * (ndim - used), *entries[at + 1 :]]


def _consumed(entry: Any) -> int:
    """How many axes of the operand an entry stands for."""
    if entry is None or entry is Ellipsis:
        return 0
    return type_of(entry).ndim if not isinstance(entry, slice) and type_of(entry).dtype == np.bool_ else 1


def _entry(entry: Any) -> Any:
    if isinstance(entry, (np.bool_, bool)):
        return np.asarray(entry)
    if entry is None or entry is Ellipsis or isinstance(entry, KNOWN_ENTRIES):
        return entry
    if isinstance(entry, (list, tuple, range)):
        items = list(entry)
        return np.array(items) if items else np.zeros(0, INT64)
    try:
        return operator.index(entry)
    except TypeError:
        raise IndexError(
            "only integers, slices (`:`), ellipsis (`...`), None and integer or boolean arrays are valid indices, "
            f"not {entry!r}{at_line()}"
        ) from None


def _is_flag(entry: Any) -> bool:
    return type_of(entry).dtype == np.bool_ and not type_of(entry).shape


def _flag_as_array(entry: Any) -> Any:
    """True is an index array of one element into a new axis of one element, False one of none."""
    return np.zeros(int(bool(_known_mask(entry))), INT64)


def _lines_of(entry: Any, shape: Shape, axis: int) -> list[Any]:
    """The index arrays that an entry stands for: a mask is one for each of its axes."""
    if type_of(entry).dtype != np.bool_:
        return [entry]
    mask = _known_mask(entry)
    for k, n in enumerate(mask.shape, axis):
        if n != shape[k]:
            raise IndexError(
                f"boolean index did not match indexed array along axis {k}; size of axis is {shape[k]} but size of "
                f"corresponding boolean axis is {n}{at_line()}"
            )
    return list(np.nonzero(mask))


def _known_mask(entry: Any) -> Any:
    mask = known(entry)
    if mask is None:
        raise NonConcreteBooleanIndexError(
            f"A traced mask of type {type_of(entry)} was used as an index: the size of the result would depend on its "
            f"values. Use np.where(mask, x, 0), or a sum over x * mask.{at_line()}"
        )
    return np.asarray(mask)


def _known_slice(entry: slice) -> slice:
    parts: list[int | None] = []
    for part in (entry.start, entry.stop, entry.step):
        if type(part) is Tracer and known(part) is None:
            raise TracerIntegerConversionError(
                f"A traced value of type {part.type} was used in a slice: the size of the result would depend on it. "
                "For a window of known size that begins at it write funcgrad.lax.dynamic_slice_in_dim(x, start, size, "
                f"axis), to write one funcgrad.lax.dynamic_update_slice_in_dim.{at_line()}"
            )
        try:
            parts.append(None if part is None else operator.index(part))
        except TypeError:
            raise TypeError(f"slice indices must be integers or None, not {part!r}{at_line()}") from None
    if parts[2] == 0:
        raise ValueError(f"slice step cannot be zero{at_line()}")
    return slice(*parts)
