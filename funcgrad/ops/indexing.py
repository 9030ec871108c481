"""Which operations address elements by numbers that are computed?  gather, scatter_add, and the check of indices.

`gather` is NumPy's indexing with integer arrays on some axes: for an operand of shape ``(n0, ..., nk)``, index arrays
of one common shape I on `axes`, the result has the shape ``I + (extents of the other axes)``.  `scatter_add` is its
transpose. Both promise that the indices are within bounds; `check_index` makes it true, or raises.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad.errors import at_line
from funcgrad.ir.primitive import Pullback, Values
from funcgrad.ir.types import ArrayType
from funcgrad.ops.families import Operation, elementwise, repeat, zero, zeros_like
from funcgrad.ops.shape import counted, transpose
from funcgrad.trace.frame import bind, type_of

Axes = tuple[int, ...]


# check_index: a Python index (negative ones count from the end) as a position in 0 .. size-1 --------------------------


def _check_index(i: Any, *, size: int) -> Any:
    i = np.asarray(i)
    outside = (i < -size) | (i >= size)
    if np.any(outside):
        raise IndexError(f"index {i[outside].flat[0]} is out of bounds for axis with size {size}")
    return np.where(i < 0, i + size, i)


def _check_index_scalar(emit: Any, dtype: str, i: Any, *, size: int) -> Any:
    i = emit.cast(i, "i8")
    n, zero = emit.size(size), emit.constant(0, "i8")
    return _within(emit, emit("select", emit("lt", i, zero), emit("add", i, n), i), size)


def _within(emit: Any, position: Any, size: int) -> Any:
    """The position, checked; a safe one if it is none: the call fails, but only when it is over."""
    inside = emit("lt", emit.cast(position, "u8"), emit.cast(emit.size(size), "u8"))  # negative ones are large there
    emit.check(inside)
    return emit("select", inside, position, emit.constant(0, "i8"))


check_index = elementwise(
    "check_index", _check_index, frozenset({np.dtype(np.int64)}), None, _check_index_scalar, operands=1
)
check_index.effect = lambda *, size: IndexError(f"index is out of bounds for axis with size {size}")


# check_entry: a number in 0 .. size-1; for functions whose numbers never count from the end ---------------------------


def _check_entry(i: Any, *, size: int, message: str) -> Any:
    i = np.asarray(i)
    if np.any((i < 0) | (i >= size)):
        raise ValueError(f"{message}{at_line()}")
    return np.array(i)


def _check_entry_scalar(emit: Any, dtype: str, i: Any, *, size: int, message: str) -> Any:
    return _within(emit, emit.cast(i, "i8"), size)


check_entry = elementwise(
    "check_entry", _check_entry, frozenset({np.dtype(np.int64)}), None, _check_entry_scalar, operands=1
)
check_entry.effect = lambda *, size, message: ValueError(message)


# check_label: the number of a class, as a position in 0 .. size-1 -----------------------------------------------------


def _classes(size: int) -> str:
    return f"none of {size} classes (0 to {size - 1})" if size else "none of no classes"


def _check_label(i: Any, *, size: int, least: int, of: str) -> Any:
    i = np.asarray(i)
    outside = (i < least) | (i >= size)
    if np.any(outside):
        wrong = i[outside]
        from_one = size and np.all(wrong == size) and np.all(i > 0)
        remedy = ". Do labels count from 1? Subtract 1" if from_one else ""
        raise IndexError(f"{of}: label {wrong[0]} is {_classes(size)}{remedy}{at_line()}")
    return np.where(i < 0, i + size, i)


def _check_label_scalar(emit: Any, dtype: str, i: Any, *, size: int, least: int, of: str) -> Any:
    if least:
        return _check_index_scalar(emit, dtype, i, size=size)
    return _within(emit, emit.cast(i, "i8"), size)


check_label = elementwise(
    "check_label", _check_label, frozenset({np.dtype(np.int64)}), None, _check_label_scalar, operands=1
)
check_label.effect = lambda *, size, least, of: IndexError(f"{of}: a label is {_classes(size)}")


# gather and scatter_add -----------------------------------------------------------------------------------------------


def full_index(ndim: int, shape: tuple[int, ...], indices: Sequence[Any], axes: Axes) -> tuple[Any, ...]:
    """Index arrays for every axis, with the index shape in front and the sliced axes behind."""
    rest = [axis for axis in range(ndim) if axis not in axes]
    lines: dict[int, Any] = dict(zip(axes, indices, strict=True))
    index_ndim = np.ndim(indices[0])
    full = []
    for axis in range(ndim):
        if axis in lines:
            full.append(np.reshape(lines[axis], (*np.shape(lines[axis]), *(1,) * len(rest))))
        else:
            line = [1] * (index_ndim + len(rest))
            line[index_ndim + rest.index(axis)] = shape[axis]
            full.append(np.arange(shape[axis]).reshape(line))
    return tuple(full)


def _gather(x: Any, *indices: Any, axes: Axes) -> Any:
    x = np.asarray(x)
    return x[full_index(x.ndim, x.shape, indices, axes)]


def _gather_infer(x: ArrayType, *indices: ArrayType, axes: Axes) -> ArrayType:
    _check_indices("gather", x, indices, axes)
    return x.with_shape((*indices[0].shape, *(n for axis, n in enumerate(x.shape) if axis not in axes)))


def _check_indices(name: str, x: ArrayType, indices: Sequence[ArrayType], axes: Axes) -> None:
    if len(axes) != len(indices) or not axes or sorted(set(axes)) != list(axes) or axes[-1] >= x.ndim:
        raise TypeError(f"{name}: axes {axes} do not fit {len(indices)} indices and an operand of shape {x.shape}")
    if any(i.dtype != np.int64 or i.shape != indices[0].shape for i in indices):
        raise TypeError(f"{name}: indices must be int64 and of one shape, not {', '.join(map(str, indices))}")


def _gather_jvp(inputs: Values, tangents: Values, params: dict[str, Any]) -> tuple[Values, Values]:
    out = bind(gather, *inputs, **params)
    return out, (None if tangents[0] is None else gather(tangents[0], *inputs[1:], **params),)


def _gather_vjp(inputs: Values, wanted: Values, params: dict[str, Any]) -> tuple[Values, Pullback]:
    x, *indices = inputs
    kind = type_of(x)

    def pullback(cotangents: Values) -> Values:
        return (scatter_add(zero(kind), cotangents[0], *indices, **params), *(None for _ in indices))

    return bind(gather, *inputs, **params), pullback


def batched_indices(size: int, indices: Sequence[Any], batched: Sequence[bool]) -> list[Any]:
    """The index arrays with a batch axis, led by one that counts the examples."""
    full = [i if b else repeat(i, size) for i, b in zip(indices, batched, strict=True)]
    shape = type_of(full[0]).shape
    return [counted(np.dtype(np.int64), shape), *full]


def _gather_batch(size: int, inputs: Values, batched: Sequence[bool], params: dict[str, Any]) -> Any:
    x, *indices = inputs
    axes = tuple(axis + 1 for axis in params["axes"])
    if batched[0] and any(batched[1:]):
        return (gather(x, *batched_indices(size, indices, batched[1:]), axes=(0, *axes)),), (True,)
    if batched[0]:  # every example is read at the same places: the batch axis is one that is sliced
        out = gather(x, *indices, axes=axes)
        return (_to_front(out, type_of(indices[0]).ndim),), (True,)
    full = [i if b else repeat(i, size) for i, b in zip(indices, batched[1:], strict=True)]
    return (gather(x, *full, **params),), (True,)


def _to_front(x: Any, axis: int) -> Any:
    order = (axis, *(k for k in range(type_of(x).ndim) if k != axis))
    return x if axis == 0 else transpose(x, permutation=order)


gather = Operation(
    name="gather",
    family="linear",
    reference=_gather,
    infer=_gather_infer,
    jvp=_gather_jvp,
    vjp=_gather_vjp,
    batch=_gather_batch,
)


def _scatter_add(x: Any, updates: Any, *indices: Any, axes: Axes) -> Any:
    out = np.array(x)
    np.add.at(out, full_index(out.ndim, out.shape, indices, axes), updates)
    return out


def check_scatter(name: str, x: ArrayType, updates: ArrayType, indices: Sequence[ArrayType], axes: Axes) -> ArrayType:
    """The type of what a scatter gives, its operands checked."""
    _check_indices(name, x, indices, axes)
    expected = _gather_infer(x, *indices, axes=axes)
    if (updates.shape, updates.dtype) != (expected.shape, expected.dtype):
        raise TypeError(f"{name}: updates have type {updates}; {expected} fits")
    return x.with_shape(x.shape)


def _scatter_infer(x: ArrayType, updates: ArrayType, *indices: ArrayType, axes: Axes) -> ArrayType:
    return check_scatter("scatter_add", x, updates, indices, axes)


def _scatter_jvp(inputs: Values, tangents: Values, params: dict[str, Any]) -> tuple[Values, Values]:
    x, updates, *indices = inputs
    out = bind(scatter_add, *inputs, **params)
    tx, tu, *_ = tangents
    if tx is None and tu is None:
        return out, (None,)
    tx, tu = (zeros_like(v) if t is None else t for v, t in ((x, tx), (updates, tu)))
    return out, (scatter_add(tx, tu, *indices, **params),)


def _scatter_vjp(inputs: Values, wanted: Values, params: dict[str, Any]) -> tuple[Values, Pullback]:
    indices = inputs[2:]

    def pullback(cotangents: Values) -> Values:
        to_updates = gather(cotangents[0], *indices, **params) if wanted[1] else None
        return (cotangents[0], to_updates, *(None for _ in indices))

    return bind(scatter_add, *inputs, **params), pullback


def _scatter_batch(size: int, inputs: Values, batched: Sequence[bool], params: dict[str, Any]) -> Any:
    x, updates, *indices = inputs
    x = x if batched[0] else repeat(x, size)
    updates = updates if batched[1] else repeat(updates, size)
    axes = (0, *(axis + 1 for axis in params["axes"]))
    return (scatter_add(x, updates, *batched_indices(size, indices, batched[2:]), axes=axes),), (True,)


scatter_add = Operation(
    name="scatter_add",
    family="linear",
    reference=_scatter_add,
    infer=_scatter_infer,
    jvp=_scatter_jvp,
    vjp=_scatter_vjp,
    batch=_scatter_batch,
)
