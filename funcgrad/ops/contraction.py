"""What is a product of arrays?  `dot_general`: contraction over pairs of axes, with batch axes in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad.dtypes import NUMBERS
from funcgrad.ir.primitive import Values
from funcgrad.ir.types import ArrayType
from funcgrad.ops.families import bilinear
from funcgrad.ops.shape import transpose
from funcgrad.trace.frame import type_of

Axes = tuple[int, ...]
Numbers = tuple[tuple[Axes, Axes], tuple[Axes, Axes]]  # ((contracted of x, of y), (batch of x, of y))


def free_axes(ndim: int, contracted: Axes, batch: Axes) -> Axes:
    """The axes of one operand that are neither contracted nor batch."""
    return tuple(axis for axis in range(ndim) if axis not in contracted and axis not in batch)


def _reference(x: Any, y: Any, *, dimension_numbers: Numbers) -> Any:
    """By ``np.matmul`` on operands brought to ``batch, free, contracted``."""
    (cx, cy), (bx, by) = dimension_numbers
    x, y = np.asarray(x), np.asarray(y)
    fx, fy = free_axes(x.ndim, cx, bx), free_axes(y.ndim, cy, by)
    batch = tuple(x.shape[axis] for axis in bx)
    k = int(np.prod([x.shape[axis] for axis in cx], dtype=int))
    out_x, out_y = tuple(x.shape[axis] for axis in fx), tuple(y.shape[axis] for axis in fy)
    m, n = int(np.prod(out_x, dtype=int)), int(np.prod(out_y, dtype=int))
    left = np.transpose(x, (*bx, *fx, *cx)).reshape(*batch, m, k)
    right = np.transpose(y, (*by, *cy, *fy)).reshape(*batch, k, n)
    return np.reshape(np.matmul(left, right), (*batch, *out_x, *out_y))


def _infer(x: ArrayType, y: ArrayType, *, dimension_numbers: Numbers) -> ArrayType:
    (cx, cy), (bx, by) = dimension_numbers
    if x.dtype != y.dtype or x.dtype not in NUMBERS:
        raise TypeError(f"dot_general: operands have dtypes {x.dtype.name} and {y.dtype.name}")
    if [x.shape[a] for a in (*cx, *bx)] != [y.shape[a] for a in (*cy, *by)]:
        raise TypeError(f"dot_general: shapes {x.shape} and {y.shape} do not fit along {dimension_numbers}")
    free = [x.shape[a] for a in free_axes(x.ndim, cx, bx)] + [y.shape[a] for a in free_axes(y.ndim, cy, by)]
    return ArrayType((*(x.shape[a] for a in bx), *free), x.dtype)


def _rank(axes: Axes) -> Axes:
    return tuple(int(k) for k in np.argsort(axes))


def _transpose_x(ct: Any, y: Any, types: Sequence[ArrayType], *, dimension_numbers: Numbers, swap: bool = False) -> Any:
    """The cotangent of x: ct contracted with y over y's free axes, its axes put back in x's order."""
    (cx, cy), (bx, by) = dimension_numbers
    tx, ty = types
    fx, fy = free_axes(tx.ndim, cx, bx), free_axes(ty.ndim, cy, by)
    nb = len(bx)
    ct_batch = tuple(range(nb))
    start = nb if swap else nb + len(fx)  # with swap, ct has the free axes of the other operand first
    second = tuple(range(start, start + len(fy)))
    order = (*bx, *fx, *(cx[k] for k in _rank(cy)))  # of the product below, in x's axes
    product = dot_general(ct, y, dimension_numbers=((second, fy), (ct_batch, by)))
    return _arranged(product, tuple(order.index(axis) for axis in range(tx.ndim)))


def _arranged(x: Any, permutation: Axes) -> Any:
    return x if permutation == tuple(range(len(permutation))) else transpose(x, permutation=permutation)


def _transpose_y(ct: Any, x: Any, types: Sequence[ArrayType], *, dimension_numbers: Numbers) -> Any:
    (cx, cy), (bx, by) = dimension_numbers
    return _transpose_x(ct, x, (types[1], types[0]), dimension_numbers=((cy, cx), (by, bx)), swap=True)


def _batch(
    size: int, inputs: Values, batched: Sequence[bool], params: dict[str, Any]
) -> tuple[Values, tuple[bool, ...]]:
    (cx, cy), (bx, by) = params["dimension_numbers"]
    x, y = inputs
    if all(batched):
        numbers = ((_up(cx), _up(cy)), ((0, *_up(bx)), (0, *_up(by))))
        return (dot_general(x, y, dimension_numbers=numbers),), (True,)
    if batched[0]:  # the new axis is the first free axis of x: it stands behind the batch axes
        out = dot_general(x, y, dimension_numbers=((_up(cx), cy), (_up(bx), by)))
        position = len(bx)
    else:
        out = dot_general(x, y, dimension_numbers=((cx, _up(cy)), (bx, _up(by))))
        position = len(bx) + len(free_axes(type_of(x).ndim, cx, bx))
    ndim = type_of(out).ndim
    front = (position, *(axis for axis in range(ndim) if axis != position))
    return (_arranged(out, front),), (True,)


def _up(axes: Axes) -> Axes:
    return tuple(axis + 1 for axis in axes)


dot_general = bilinear("dot_general", _reference, _infer, (_transpose_x, _transpose_y), _batch)
