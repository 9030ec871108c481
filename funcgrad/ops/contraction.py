"""What is a product of arrays?  `dot_general`: contraction over pairs of axes, with batch axes in common."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from funcgrad.dtypes import NUMBERS, code
from funcgrad.ir.primitive import Values
from funcgrad.ir.types import ArrayType
from funcgrad.ops.arithmetic import add, mul
from funcgrad.ops.families import bilinear
from funcgrad.ops.shape import broadcast_in_dim, reshape, slice_, transpose
from funcgrad.trace.frame import type_of

MANY, SMALL, SMALLEST = 64, 40, 9  # rows (or columns), and elements of a matrix, of products that are written out
Axes = tuple[int, ...]
Numbers = tuple[tuple[Axes, Axes], tuple[Axes, Axes]]  # ((contracted of x, of y), (batch of x, of y))


@functools.lru_cache(maxsize=4096)
def free_axes(ndim: int, contracted: Axes, batch: Axes) -> Axes:
    """The axes of one operand that are neither contracted nor batch."""
    return tuple(axis for axis in range(ndim) if axis not in contracted and axis not in batch)


def _reference(x: Any, y: Any, *, dimension_numbers: Numbers) -> Any:
    """By ``np.matmul`` on operands brought to ``batch, free, contracted``."""
    (cx, cy), (bx, by) = dimension_numbers
    x, y = np.asarray(x), np.asarray(y)
    if x.ndim == y.ndim == 2 and len(cx) == 1 and not bx:
        return np.matmul(x if cx == (1,) else x.T, y if cy == (0,) else y.T)
    fx, fy = free_axes(x.ndim, cx, bx), free_axes(y.ndim, cy, by)
    batch = tuple(x.shape[axis] for axis in bx)
    k = math.prod(x.shape[axis] for axis in cx)
    out_x, out_y = tuple(x.shape[axis] for axis in fx), tuple(y.shape[axis] for axis in fy)
    m, n = math.prod(out_x), math.prod(out_y)
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


def _transpose_x(ct: Any, y: Any, types: Sequence[ArrayType], *, dimension_numbers: Numbers, swap: bool = False) -> Any:
    """The cotangent of x: ct contracted with y over y's free axes, its axes put back in x's order."""
    numbers, permutation = _transposed(types[0].ndim, types[1].ndim, dimension_numbers, swap)
    return _arranged(dot_general(ct, y, dimension_numbers=numbers), permutation)


@functools.lru_cache(maxsize=4096)
def _transposed(x_ndim: int, y_ndim: int, dimension_numbers: Numbers, swap: bool) -> tuple[Numbers, Axes]:
    """How a cotangent and y are contracted, and how the axes of the product stand in x."""
    (cx, cy), (bx, by) = dimension_numbers
    fx, fy = free_axes(x_ndim, cx, bx), free_axes(y_ndim, cy, by)
    nb = len(bx)
    start = nb if swap else nb + len(fx)  # with swap, the cotangent has the free axes of the other operand first
    second = tuple(range(start, start + len(fy)))
    order = (*bx, *fx, *(axis for _, axis in sorted(zip(cy, cx, strict=True))))  # of the product, in x's axes
    return ((second, fy), (tuple(range(nb)), by)), tuple(order.index(axis) for axis in range(x_ndim))


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


def _expand(types: Sequence[ArrayType], params: dict[str, Any]) -> Callable[..., Values] | None:
    """Products of few terms as these terms: such loops fuse with others, and the library is slow with few columns."""
    x_shape, y_shape = (t.shape for t in types)
    numbers, number_type = params["dimension_numbers"], types[0].dtype
    k = _few_terms(x_shape, y_shape, numbers, code(number_type))
    if not k:
        return None
    (cx, cy), (bx, by) = numbers
    fx, fy = free_axes(len(x_shape), cx, bx), free_axes(len(y_shape), cy, by)
    shape = (*(x_shape[axis] for axis in (*bx, *fx)), *(y_shape[axis] for axis in fy))
    nb, nx, ny = len(bx), len(fx), len(fy)

    def terms(operand: Any, axes: Axes, contracted: Axes, places: Axes) -> list[Any]:
        """The operand at each place of the contracted axes, in the shape of the product."""
        kept = tuple(shape[place] for place in places)
        lines = reshape(_arranged(operand, (*contracted, *axes)), shape=(k, *kept))
        parts = (_line(lines, number) for number in range(k))
        return [broadcast_in_dim(part, shape=shape, broadcast_dimensions=places) for part in parts]

    def product(x: Any, y: Any) -> Values:
        left = terms(x, (*bx, *fx), cx, tuple(range(nb + nx)))
        right = terms(y, (*by, *fy), cy, (*range(nb), *range(nb + nx, nb + nx + ny)))
        total = functools.reduce(add, map(mul, left, right))
        return (add(total, number_type.type(0)) if number_type.kind in "fc" else total,)  # 0 + x: never -0

    return product


def _few_terms(x: Axes, y: Axes, numbers: Numbers, dtype: str) -> int:
    """How many terms the elements of a product of such operands have, if these are better written out; else 0.

    They are where there is one, where many rows are multiplied by a small matrix (the library leads from a dozen
    columns on), and where a very small one is multiplied by many columns.
    """
    (cx, cy), (bx, by) = numbers
    terms = math.prod([x[axis] for axis in cx])
    if terms == 1 or terms > SMALL or dtype not in ("f4", "f8"):
        return int(terms == 1)
    rows = math.prod(x[axis] for axis in free_axes(len(x), cx, bx))
    columns = math.prod(y[axis] for axis in free_axes(len(y), cy, by))
    narrow, most = min(rows, columns), SMALL if rows >= columns else SMALLEST
    return terms if max(rows, columns) >= MANY and narrow > 1 and narrow * terms <= most else 0


def _line(x: Any, number: int) -> Any:
    """``x[number]``, as views."""
    shape = type_of(x).shape
    start = (number, *(0 for _ in shape[1:]))
    part = slice_(x, start_indices=start, limit_indices=(number + 1, *shape[1:]), strides=(1,) * len(shape))
    return reshape(part, shape=shape[1:])


dot_general.expand = _expand
