"""JAX's functions that make, move and join arrays: iota, full, broadcast, reshape, pad, concatenate, split."""

from __future__ import annotations

import itertools
import math
import operator as _operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad.dtypes import NUMBERS
from funcgrad.errors import at_line
from funcgrad.lax._arguments import (
    Shape,
    axes_of,
    converted,
    dtype_named,
    finished,
    integers,
    reshaped,
    same_dtype,
    strong,
)
from funcgrad.lax._arguments import operand as checked
from funcgrad.ops import shape as sh
from funcgrad.trace.frame import type_of

__all__ = [
    "broadcast", "broadcast_in_dim", "broadcast_like", "broadcast_shapes", "broadcast_to_rank", "broadcasted_iota",
    "collapse", "concatenate", "empty", "expand_dims", "full", "full_like", "iota", "pad", "reshape", "rev",
    "shape_as_value", "split", "squeeze", "stack", "tile", "transpose", "unstack",
]  # fmt: skip


def _array(x: Any, name: str) -> Any:
    return strong(checked(x, name))


def _axis(axis: Any, ndim: int, name: str) -> int:
    number = _operator.index(axis)
    if not -ndim <= number < ndim:
        raise ValueError(f"lax.{name}: axis {number} does not fit an array with {ndim} axes{at_line()}")
    return number % ndim


# Arrays of known content ---------------------------------------------------------------------------------------------


def iota(dtype: Any, size: int) -> Any:
    """0, 1, 2, ...

    Returns
    -------
    Array
        Of shape (size,) and the given dtype.

    Examples
    --------
    >>> iota(float, 3)
    Array([0., 1., 2.])
    """
    return broadcasted_iota(dtype, (size,), 0)


def broadcasted_iota(dtype: Any, shape: Sequence[int], dimension: int, *, out_sharding: None = None) -> Any:
    """0, 1, 2, ... along one axis, the same along all others.

    Returns
    -------
    Array
        Of the given shape and dtype.

    Raises
    ------
    ValueError
        The shape has no such axis.
    TypeError
        The dtype is not one of numbers.

    Examples
    --------
    >>> broadcasted_iota(int, (2, 3), 1)
    Array([[0, 1, 2],
           [0, 1, 2]])
    """
    extents = integers(shape, "broadcasted_iota", "the shape")
    if not 0 <= _operator.index(dimension) < len(extents):
        raise ValueError(f"lax.broadcasted_iota: shape {extents} has no axis {dimension}{at_line()}")
    kind = dtype_named(dtype)
    if kind not in NUMBERS:
        raise TypeError(f"lax.iota does not accept dtype {kind.name}: it takes integers, floats, complex{at_line()}")
    return finished(sh.iota(dtype=kind, shape=extents, dimension=_operator.index(dimension)))


def full(shape: Sequence[int], fill_value: Any, dtype: Any = None, *, sharding: None = None) -> Any:
    """An array filled with one number.

    Returns
    -------
    Array
        Of the given shape, and of `dtype` if it is given.

    Raises
    ------
    TypeError
        `fill_value` is no scalar.

    Examples
    --------
    >>> full((2,), 7.0)
    Array([7., 7.])
    """
    extents, value = integers(shape, "full", "the shape"), _array(fill_value, "full")
    if type_of(value).shape:
        raise TypeError(f"lax.full takes a scalar fill_value, not one of shape {type_of(value).shape}{at_line()}")
    value = value if dtype is None else converted(value, dtype_named(dtype))
    return finished(sh.broadcast_in_dim(value, shape=extents, broadcast_dimensions=()))


def full_like(x: Any, fill_value: Any, dtype: Any = None, shape: Any = None, sharding: None = None) -> Any:
    """An array like `x`, filled with one number.

    Returns
    -------
    Array
        Of the shape and dtype of `x`, unless others are given.

    Examples
    --------
    >>> import numpy as np
    >>> full_like(np.zeros(2, np.int8), 7)
    Array([7, 7], dtype=int8)
    """
    kind = x if hasattr(x, "shape") and hasattr(x, "dtype") else type_of(checked(x, "full_like"))
    return full(kind.shape if shape is None else shape, fill_value, kind.dtype if dtype is None else dtype)


def empty(shape: Sequence[int], dtype: Any, *, out_sharding: None = None) -> Any:
    """An array of zeros.

    Returns
    -------
    Array
        Of the given shape, and of `dtype` if it is given.

    Examples
    --------
    >>> empty((2,), float)
    Array([0., 0.])
    """
    return full(shape, 0, dtype)


def shape_as_value(shape: Sequence[int]) -> Any:
    """A shape as an array of integers.

    Returns
    -------
    Array
        int64, one element per axis.

    Examples
    --------
    >>> shape_as_value((2, 3))
    Array([2, 3])
    """
    return finished(np.array(integers(shape, "shape_as_value", "the shape"), np.int64))


# Broadcasting --------------------------------------------------------------------------------------------------------


def broadcast(operand: Any, sizes: Sequence[int], *, out_sharding: None = None) -> Any:
    """The array repeated along new axes in front.

    Returns
    -------
    Array
        Of shape ``(*sizes, *operand.shape)``, in the operand's dtype.

    Examples
    --------
    >>> import numpy as np
    >>> broadcast(np.array([1.0, 2.0]), (2,))
    Array([[1., 2.],
           [1., 2.]])
    """
    x, new = _array(operand, "broadcast"), integers(sizes, "broadcast", "sizes")
    shape = type_of(x).shape
    dims = tuple(range(len(new), len(new) + len(shape)))
    return finished(sh.broadcast_in_dim(x, shape=(*new, *shape), broadcast_dimensions=dims))


def broadcast_in_dim(
    operand: Any, shape: Sequence[int], broadcast_dimensions: Sequence[int], *, out_sharding: None = None
) -> Any:
    """The array in a larger shape: its axis k becomes axis ``broadcast_dimensions[k]``, extents of 1 are repeated.

    Returns
    -------
    Array
        Of the given shape, in the operand's dtype.

    Raises
    ------
    TypeError
        The array does not fit the shape.

    Examples
    --------
    >>> import numpy as np
    >>> broadcast_in_dim(np.array([1.0, 2.0]), (2, 3), (0,))
    Array([[1., 1., 1.],
           [2., 2., 2.]])
    """
    x, extents = _array(operand, "broadcast_in_dim"), integers(shape, "broadcast_in_dim", "the shape")
    dims = integers(broadcast_dimensions, "broadcast_in_dim", "broadcast_dimensions")
    have = type_of(x).shape
    fits = len(dims) == len(have) and list(dims) == sorted(set(dims)) and all(0 <= d < len(extents) for d in dims)
    if not fits or any(n not in (1, extents[d]) for d, n in zip(dims, have, strict=True)):
        raise TypeError(
            f"lax.broadcast_in_dim: an array of shape {have} does not become one of shape {extents} with its axes at "
            f"{dims}{at_line()}"
        )
    return finished(sh.broadcast_in_dim(x, shape=extents, broadcast_dimensions=dims))


def broadcast_like(arr: Any, like_arr: Any) -> Any:
    """An array repeated to the shape of another of the same rank.

    Returns
    -------
    Array
        Of the shape of `like_arr`, in the dtype of `arr`.

    Examples
    --------
    >>> import numpy as np
    >>> broadcast_like(np.ones((1, 2)), np.zeros((2, 2)))
    Array([[1., 1.],
           [1., 1.]])
    """
    x, shape = _array(arr, "broadcast_like"), type_of(checked(like_arr, "broadcast_like")).shape
    return broadcast_in_dim(x, shape, tuple(range(type_of(x).ndim)))


def broadcast_shapes(*shapes: Sequence[int]) -> Shape:
    """The shape that shapes broadcast to, as NumPy says.

    Returns
    -------
    tuple of int
        The common shape.

    Examples
    --------
    >>> broadcast_shapes((2, 1), (3,))
    (2, 3)
    """
    return np.broadcast_shapes(*(integers(s, "broadcast_shapes", "a shape") for s in shapes))


def broadcast_to_rank(x: Any, rank: int) -> Any:
    """The array with axes of extent 1 in front until it has `rank` axes.

    Returns
    -------
    Array
        Of `rank` axes, in the dtype of `x`.

    Raises
    ------
    ValueError
        The array has more axes.

    Examples
    --------
    >>> broadcast_to_rank(2.0, 2)
    Array([[2.]])
    """
    x = _array(x, "broadcast_to_rank")
    shape = type_of(x).shape
    if rank < len(shape):
        raise ValueError(f"lax.broadcast_to_rank: rank {rank} is less than that of shape {shape}{at_line()}")
    return finished(reshaped(x, (*(1,) * (rank - len(shape)), *shape)))


# Other shapes --------------------------------------------------------------------------------------------------------


def reshape(
    operand: Any, new_sizes: Sequence[int], dimensions: Sequence[int] | None = None, *, out_sharding: None = None
) -> Any:
    """The same elements in another shape of the same size (with `dimensions`: its axes put in that order before).

    Returns
    -------
    Array
        The operand's elements in the new shape, in its dtype.

    Raises
    ------
    TypeError
        The size would change.

    Examples
    --------
    >>> import numpy as np
    >>> reshape(np.arange(4), (2, 2))
    Array([[0, 1],
           [2, 3]])
    """
    x, extents = _array(operand, "reshape"), integers(new_sizes, "reshape", "new_sizes")
    if dimensions is not None:
        x = _transposed(x, integers(dimensions, "reshape", "dimensions"), "reshape")
    if any(n < 0 for n in extents) or math.prod(extents) != type_of(x).size:
        raise TypeError(
            f"lax.reshape: the size of the array must not change: from shape {type_of(x).shape} to {extents}{at_line()}"
        )
    return finished(reshaped(x, extents))


def expand_dims(array: Any, dimensions: Sequence[int]) -> Any:
    """The array with axes of extent 1 at the given places of the result.

    Returns
    -------
    Array
        The operand's elements in the new shape, in its dtype.

    Raises
    ------
    ValueError
        Dimensions repeat.

    Examples
    --------
    >>> import numpy as np
    >>> expand_dims(np.arange(2), (0,))
    Array([[0, 1]])
    """
    x = _array(array, "expand_dims")
    new = integers(dimensions, "expand_dims", "dimensions")
    ndim = type_of(x).ndim + len(new)
    places = sorted(_axis(k, ndim, "expand_dims") for k in new)
    if len(set(places)) != len(places):
        raise ValueError(f"lax.expand_dims: dimensions {new} are not distinct{at_line()}")
    shape = list(type_of(x).shape)
    for k in places:
        shape.insert(k, 1)
    return finished(reshaped(x, tuple(shape)))


def squeeze(array: Any, dimensions: Sequence[int]) -> Any:
    """The array without the given axes, which have extent 1.

    Returns
    -------
    Array
        The operand's elements in the new shape, in its dtype.

    Raises
    ------
    ValueError
        An axis has another extent than 1.

    Examples
    --------
    >>> import numpy as np
    >>> squeeze(np.ones((1, 2)), (0,))
    Array([1., 1.])
    """
    x = _array(array, "squeeze")
    shape = type_of(x).shape
    gone = {_axis(k, len(shape), "squeeze") for k in integers(dimensions, "squeeze", "dimensions")}
    if any(shape[k] != 1 for k in gone):
        raise ValueError(
            f"lax.squeeze: the axes {sorted(gone)} of shape {shape} have an extent that is not 1{at_line()}"
        )
    return finished(reshaped(x, tuple(n for k, n in enumerate(shape) if k not in gone)))


def collapse(operand: Any, start_dimension: int, stop_dimension: int | None = None) -> Any:
    """The array with consecutive axes made one.

    Returns
    -------
    Array
        The operand's elements in the new shape, in its dtype.

    Raises
    ------
    ValueError
        The axes are none.

    Examples
    --------
    >>> import numpy as np
    >>> collapse(np.ones((2, 3, 4)), 0, 2).shape
    (6, 4)
    """
    x = _array(operand, "collapse")
    shape = type_of(x).shape
    start, stop = _range(start_dimension, stop_dimension, len(shape))
    if not start < stop:
        raise ValueError(f"lax.collapse: axes {start_dimension}:{stop_dimension} of shape {shape} are none{at_line()}")
    return finished(reshaped(x, (*shape[:start], math.prod(shape[start:stop]), *shape[stop:])))


def _range(start: int | None, stop: int | None, n: int) -> tuple[int, int]:
    """A range of n axes, negative ends counted from the end."""
    low = 0 if start is None else _operator.index(start)
    high = n if stop is None else _operator.index(stop)
    return min(max(low + (n if low < 0 else 0), 0), n), min(max(high + (n if high < 0 else 0), 0), n)


def transpose(operand: Any, permutation: Sequence[int]) -> Any:
    """The array with its axes in another order.

    Returns
    -------
    Array
        The operand's elements in the new shape, in its dtype.

    Examples
    --------
    >>> import numpy as np
    >>> transpose(np.ones((2, 3)), (1, 0)).shape
    (3, 2)
    """
    x = _array(operand, "transpose")
    return finished(_transposed(x, integers(permutation, "transpose", "permutation"), "transpose"))


def _transposed(x: Any, order: Shape, name: str) -> Any:
    ndim = type_of(x).ndim
    if sorted(order) != list(range(ndim)):
        raise TypeError(f"lax.{name}: {order} is no permutation of the axes of shape {type_of(x).shape}{at_line()}")
    return x if order == tuple(range(ndim)) else sh.transpose(x, permutation=order)


def rev(operand: Any, dimensions: Sequence[int]) -> Any:
    """The array with elements in reverse order along axes.

    Returns
    -------
    Array
        The operand's elements in the new shape, in its dtype.

    Examples
    --------
    >>> import numpy as np
    >>> rev(np.arange(3), (0,))
    Array([2, 1, 0])
    """
    x = _array(operand, "rev")
    axes = axes_of(dimensions, type_of(x).ndim, "rev", "dimensions")
    return finished(sh.rev(x, dimensions=tuple(sorted(axes))) if axes else x)


def _part(x: Any, start: int, stop: int, axis: int) -> Any:
    """A slice along one axis."""
    shape = type_of(x).shape
    low = tuple(start if k == axis else 0 for k in range(len(shape)))
    high = tuple(stop if k == axis else n for k, n in enumerate(shape))
    return finished(sh.slice_(x, start_indices=low, limit_indices=high, strides=(1,) * len(shape)))


# Joining, cutting, repeating ------------------------------------------------------------------------------------------


def concatenate(operands: Sequence[Any], dimension: int) -> Any:
    """Arrays of one dtype joined along an axis.

    Returns
    -------
    Array
        The parts along the axis, in their dtype.

    Raises
    ------
    ValueError
        There are no arrays.
    TypeError
        Shapes do not fit.

    Examples
    --------
    >>> import numpy as np
    >>> concatenate([np.zeros(1), np.ones(2)], 0)
    Array([0., 1., 1.])
    """
    operands = tuple(operands)
    if not operands:
        raise ValueError(f"lax.concatenate requires a non-empty sequence of arrays{at_line()}")
    parts = same_dtype("concatenate", *operands, tip="concatenate")
    shapes = [type_of(x).shape for x in parts]
    along, ndim = _operator.index(dimension), len(shapes[0])
    if len(set(map(len, shapes))) > 1 or not 0 <= along < ndim:
        raise TypeError(f"lax.concatenate: shapes {shapes} have no common axis {dimension}{at_line()}")
    if len({(*s[:along], *s[along + 1 :]) for s in shapes}) > 1:
        raise TypeError(f"lax.concatenate: shapes {shapes} do not fit along axis {along}{at_line()}")
    return finished(parts[0] if len(parts) == 1 else sh.concatenate(*parts, dimension=along))


def stack(operands: Sequence[Any], axis: int = 0) -> Any:
    """Arrays of one dtype and shape joined along a new axis.

    Returns
    -------
    Array
        The parts along the axis, in their dtype.

    Raises
    ------
    ValueError
        There are no arrays.
    TypeError
        Shapes differ.

    Examples
    --------
    >>> import numpy as np
    >>> stack([np.zeros(2), np.ones(2)])
    Array([[0., 0.],
           [1., 1.]])
    """
    parts = [_array(x, "stack") for x in operands]
    if not parts:
        raise ValueError(f"lax.stack requires a non-empty sequence of arrays{at_line()}")
    if len({type_of(x).shape for x in parts}) > 1:
        raise TypeError(f"lax.stack: shapes {[type_of(x).shape for x in parts]} differ{at_line()}")
    along = _axis(axis, type_of(parts[0]).ndim + 1, "stack")
    return concatenate([expand_dims(x, (along,)) for x in parts], along)


def unstack(x: Any, axis: int = 0) -> tuple[Any, ...]:
    """The arrays that lie along an axis.

    Returns
    -------
    tuple of Array
        The slices, without the axis.

    Examples
    --------
    >>> import numpy as np
    >>> unstack(np.eye(2))
    (Array([1., 0.]), Array([0., 1.]))
    """
    x = _array(x, "unstack")
    along = _axis(axis, type_of(x).ndim, "unstack")
    return tuple(squeeze(_part(x, k, k + 1, along), (along,)) for k in range(type_of(x).shape[along]))


def split(operand: Any, sizes: Sequence[int], axis: int = 0) -> list[Any]:
    """Parts of the given sizes, in order, which must add up to the extent of the axis.

    Returns
    -------
    list of Array
        The parts, in the dtype of the operand.

    Raises
    ------
    ValueError
        The sizes do not add up to the extent.

    Examples
    --------
    >>> import numpy as np
    >>> split(np.arange(4), (1, 3))
    [Array([0]), Array([1, 2, 3])]
    """
    x, parts = _array(operand, "split"), integers(sizes, "split", "sizes")
    along = _axis(axis, type_of(x).ndim, "split")
    n = type_of(x).shape[along]
    if sum(parts) != n or any(k < 0 for k in parts):
        raise ValueError(f"lax.split: sizes {parts} do not add up to the extent {n} of axis {along}{at_line()}")
    ends = itertools.accumulate(parts, initial=0)
    return [_part(x, a, b, along) for a, b in itertools.pairwise(ends)]


def tile(operand: Any, reps: Sequence[int]) -> Any:
    """The array repeated as blocks, `reps` times along each axis.

    Returns
    -------
    Array
        The operand's elements in the new shape, in its dtype.

    Raises
    ------
    ValueError
        `reps` has another length than the shape.

    Examples
    --------
    >>> import numpy as np
    >>> tile(np.arange(2), (2,))
    Array([0, 1, 0, 1])
    """
    x, counts = _array(operand, "tile"), integers(reps, "tile", "reps")
    shape = type_of(x).shape
    if len(counts) != len(shape):
        raise ValueError(f"lax.tile: reps {counts} and shape {shape} have different lengths{at_line()}")
    blocks = tuple(n for pair in zip(counts, shape, strict=True) for n in pair)
    spread = sh.broadcast_in_dim(x, shape=blocks, broadcast_dimensions=tuple(range(1, 2 * len(shape), 2)))
    return finished(reshaped(spread, tuple(c * n for c, n in zip(counts, shape, strict=True))))


def pad(operand: Any, padding_value: Any, padding_config: Sequence[tuple[int, int, int]]) -> Any:
    """The array with a border, and with gaps between its elements: (low, high, interior) for each axis.

    Negative numbers at the ends cut off.

    Returns
    -------
    Array
        In the operand's dtype; each extent n becomes low + high + n + (n - 1) · interior.

    Raises
    ------
    ValueError
        The padding is no scalar, the configuration does not fit the axes, or less than nothing would be left.

    Examples
    --------
    >>> import numpy as np
    >>> pad(np.ones(2), 0.0, [(1, 0, 1)])
    Array([0., 1., 0., 1.])
    """
    x, value = same_dtype("pad", operand, padding_value)
    shape = type_of(x).shape
    config = tuple(integers(c, "pad", "an element of padding_config") for c in padding_config)
    if type_of(value).shape or len(config) != len(shape) or any(len(c) != 3 or c[2] < 0 for c in config):
        raise ValueError(
            f"lax.pad: padding_value must be a scalar and padding_config have (low, high, interior) for each axis of "
            f"shape {shape}, not {config}{at_line()}"
        )
    if any(low + high + n + max(n - 1, 0) * inner < 0 for n, (low, high, inner) in zip(shape, config, strict=True)):
        raise ValueError(f"lax.pad: {config} leaves less than nothing of shape {shape}{at_line()}")
    return finished(sh.pad(x, value, padding_config=config))
