"""Which windows move?  dynamic_slice reads one at a computed place, dynamic_update_slice writes one.

Operands are ``(x, *starts)`` and ``(x, update, *starts)``, with a start for each axis of x. Both promise that the
window lies within bounds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad.ir.primitive import Pullback, Values
from funcgrad.ir.types import ArrayType
from funcgrad.ops.families import Operation, repeat, zeros_like
from funcgrad.ops.indexing import gather
from funcgrad.ops.scatter import scatter
from funcgrad.ops.shape import broadcast_in_dim, iota, transpose
from funcgrad.trace.frame import bind, type_of

INT64 = np.dtype(np.int64)
Shape = tuple[int, ...]


def _window(starts: Sequence[Any], sizes: Sequence[int]) -> tuple[slice, ...]:
    return tuple(slice(int(s), int(s) + n) for s, n in zip(starts, sizes, strict=True))


def _check_window(name: str, x: ArrayType, sizes: Shape, starts: Sequence[ArrayType]) -> None:
    fits = len(sizes) == len(starts) == x.ndim and all(0 <= n <= m for n, m in zip(sizes, x.shape, strict=True))
    if not fits:
        raise TypeError(f"{name}: a window of shape {sizes} with {len(starts)} starts does not fit shape {x.shape}")
    if any(s.shape or s.dtype != INT64 for s in starts):
        raise TypeError(f"{name}: starts must be int64 numbers, not {', '.join(map(str, starts))}")


def _lines(size: int, starts: Sequence[Any], batched: Sequence[bool], sizes: Shape, shape: Shape) -> Any:
    """Where the windows of a batch lie along the axes that they do not fill: those axes, and an index for each.

    The first index counts the examples (axis 0); all have the shape ``(size, *extents of the window on those axes)``.
    """
    axes = [axis for axis, (n, m) in enumerate(zip(sizes, shape, strict=True)) if n != m]
    ishape = (size, *(sizes[axis] for axis in axes))
    lines = [iota(dtype=INT64, shape=ishape, dimension=0)]
    for position, axis in enumerate(axes, 1):
        dims = (0,) if batched[axis] else ()
        start = broadcast_in_dim(starts[axis], shape=ishape, broadcast_dimensions=dims)
        lines.append(start + iota(dtype=INT64, shape=ishape, dimension=position))
    return axes, lines


def _window_order(axes: Sequence[int], ndim: int) -> list[int]:
    """Where each axis of a batched window (the batch's first) stands once index axes are in front."""
    order = [0, *(axis + 1 for axis in axes), *(axis + 1 for axis in range(ndim) if axis not in axes)]
    return [order.index(axis) for axis in range(ndim + 1)]


def _dynamic_slice(x: Any, *starts: Any, slice_sizes: Shape) -> Any:
    return np.asarray(x)[_window(starts, slice_sizes)]


def _dynamic_slice_infer(x: ArrayType, *starts: ArrayType, slice_sizes: Shape) -> ArrayType:
    _check_window("dynamic_slice", x, slice_sizes, starts)
    return x.with_shape(slice_sizes)


def _dynamic_slice_jvp(inputs: Values, tangents: Values, params: dict[str, Any]) -> tuple[Values, Values]:
    out = bind(dynamic_slice, *inputs, **params)
    return out, (None if tangents[0] is None else dynamic_slice(tangents[0], *inputs[1:], **params),)


def _dynamic_slice_vjp(inputs: Values, wanted: Values, params: dict[str, Any]) -> tuple[Values, Pullback]:
    x, *starts = inputs

    def pullback(cotangents: Values) -> Values:
        return (dynamic_update_slice(zeros_like(x), cotangents[0], *starts), *(None for _ in starts))

    return bind(dynamic_slice, *inputs, **params), pullback


def _dynamic_slice_batch(size: int, inputs: Values, batched: Sequence[bool], params: dict[str, Any]) -> Any:
    x, *starts = inputs
    sizes = params["slice_sizes"]
    if not any(batched[1:]):
        return (dynamic_slice(x, np.int64(0), *starts, slice_sizes=(size, *sizes)),), (True,)
    shape = type_of(x).shape[1:] if batched[0] else type_of(x).shape
    axes, lines = _lines(size, starts, batched[1:], sizes, shape)
    if not axes:  # the windows are the array itself: starts can only be 0
        return (x if batched[0] else repeat(x, size),), (True,)
    if batched[0]:
        out = gather(x, *lines, axes=(0, *(axis + 1 for axis in axes)))
    else:
        out = gather(x, *lines[1:], axes=tuple(axes))
    return (transpose(out, permutation=tuple(_window_order(axes, len(shape)))),), (True,)


dynamic_slice = Operation(
    name="dynamic_slice",
    family="linear",
    reference=_dynamic_slice,
    infer=_dynamic_slice_infer,
    jvp=_dynamic_slice_jvp,
    vjp=_dynamic_slice_vjp,
    batch=_dynamic_slice_batch,
)


def _dynamic_update_slice(x: Any, update: Any, *starts: Any) -> Any:
    out = np.array(x)
    out[_window(starts, np.shape(update))] = update
    return out


def _dynamic_update_slice_infer(x: ArrayType, update: ArrayType, *starts: ArrayType) -> ArrayType:
    _check_window("dynamic_update_slice", x, update.shape, starts)
    if update.dtype != x.dtype:
        raise TypeError(f"dynamic_update_slice: the operand has type {x}, the update {update}: dtypes must be equal")
    return x.with_shape(x.shape)


def _dynamic_update_slice_jvp(inputs: Values, tangents: Values, params: dict[str, Any]) -> tuple[Values, Values]:
    x, update, *starts = inputs
    out = bind(dynamic_update_slice, *inputs)
    tx, tu, *_ = tangents
    if tx is None and tu is None:
        return out, (None,)
    tx, tu = (zeros_like(v) if t is None else t for v, t in ((x, tx), (update, tu)))
    return out, (dynamic_update_slice(tx, tu, *starts),)


def _dynamic_update_slice_vjp(inputs: Values, wanted: Values, params: dict[str, Any]) -> tuple[Values, Pullback]:
    _, update, *starts = inputs
    sizes = type_of(update).shape

    def pullback(cotangents: Values) -> Values:
        (ct,) = cotangents
        to_x = dynamic_update_slice(ct, zeros_like(update), *starts) if wanted[0] else None
        to_update = dynamic_slice(ct, *starts, slice_sizes=sizes) if wanted[1] else None
        return (to_x, to_update, *(None for _ in starts))

    return bind(dynamic_update_slice, *inputs), pullback


def _dynamic_update_slice_batch(size: int, inputs: Values, batched: Sequence[bool], params: dict[str, Any]) -> Any:
    x, update, *starts = inputs
    x = x if batched[0] else repeat(x, size)
    update = update if batched[1] else repeat(update, size)
    if not any(batched[2:]):
        return (dynamic_update_slice(x, update, np.int64(0), *starts),), (True,)
    shape, sizes = type_of(x).shape[1:], type_of(update).shape[1:]
    axes, lines = _lines(size, starts, batched[2:], sizes, shape)
    if not axes:
        return (update,), (True,)
    order = tuple(int(k) for k in np.argsort(_window_order(axes, len(shape))))
    places = (0, *(axis + 1 for axis in axes))
    moved = transpose(update, permutation=order)
    return (scatter(x, moved, *lines, axes=places, unique=True, drop=False),), (True,)


dynamic_update_slice = Operation(
    name="dynamic_update_slice",
    family="linear",
    reference=_dynamic_update_slice,
    infer=_dynamic_update_slice_infer,
    jvp=_dynamic_update_slice_jvp,
    vjp=_dynamic_update_slice_vjp,
    batch=_dynamic_update_slice_batch,
)
