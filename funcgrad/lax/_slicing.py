"""JAX's slices: static ones, and windows whose place is computed.

A window that would reach over an end is moved to where it fits, as in JAX; a negative start counts from the end first.
"""

from __future__ import annotations

import builtins
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad.array import as_array
from funcgrad.errors import at_line
from funcgrad.ops import dynamic as windows
from funcgrad.ops import shape as sh
from funcgrad.ops.comparison import convert
from funcgrad.ops.indexing import gather
from funcgrad.trace.frame import type_of
from funcgrad.trace.tracer import Tracer

__all__ = [
    "dynamic_index_in_dim",
    "dynamic_slice",
    "dynamic_slice_in_dim",
    "dynamic_update_index_in_dim",
    "dynamic_update_slice",
    "dynamic_update_slice_in_dim",
    "index_in_dim",
    "index_take",
    "slice",
    "slice_in_dim",
]

INT64 = np.dtype(np.int64)


def _array(x: Any) -> Any:
    return x if type(x) is Tracer else np.asarray(x)


def _result(out: Any) -> Any:
    return out if type(out) is Tracer else as_array(np.array(out))


def _axis(name: str, axis: int, ndim: int) -> int:
    number = operator.index(axis)
    if not -ndim <= number < ndim:
        raise ValueError(f"{name}: axis {axis} is out of bounds for an array of {ndim} axes{at_line()}")
    return number % ndim


def as_position(name: str, i: Any) -> Any:
    """An integer index, or an array of them, as int64."""
    i = _array(i)
    if type_of(i).dtype.kind not in "iu":
        raise TypeError(f"{name}: indices must be integers, not {type_of(i)}{at_line()}")
    return i if type_of(i).dtype == INT64 else convert(i, dtype=INT64)


# Static ---------------------------------------------------------------------------------------------------------------


def slice(
    operand: Any, start_indices: Sequence[int], limit_indices: Sequence[int], strides: Sequence[int] | None = None
) -> Any:
    """Elements between known places, in steps.

    Parameters
    ----------
    operand
        An array.
    start_indices, limit_indices
        For each axis where to begin, and where to end (excluded); ``0 <= start <= limit <= extent``.
    strides
        The steps, 1 by default.

    Returns
    -------
    Array
        The operand's shape but for the extents of the window, in its dtype.

    Raises
    ------
    TypeError
        The places do not lie in the array.

    Examples
    --------
    >>> import numpy as np
    >>> from funcgrad import lax
    >>> lax.slice(np.arange(12).reshape(3, 4), (1, 0), (3, 4), (1, 2))
    Array([[ 4,  6],
           [ 8, 10]])
    """
    operand = _array(operand)
    shape = type_of(operand).shape
    low, high = tuple(map(operator_index, start_indices)), tuple(map(operator_index, limit_indices))
    steps = (1,) * len(shape) if strides is None else tuple(map(operator_index, strides))
    if not len(low) == len(high) == len(steps) == len(shape):
        raise TypeError(f"slice: {low}, {high} and {steps} do not fit an array of shape {shape}{at_line()}")
    if builtins.any(not 0 <= a <= b <= n or s < 1 for a, b, s, n in zip(low, high, steps, shape, strict=True)):
        raise TypeError(f"slice: {low} to {high} in steps of {steps} does not lie in shape {shape}{at_line()}")
    return _result(sh.slice_(operand, start_indices=low, limit_indices=high, strides=steps))


operator_index = operator.index


def slice_in_dim(operand: Any, start_index: int | None, limit_index: int | None, stride: int = 1, axis: int = 0) -> Any:
    """`slice` along one axis; negative places count from the end, None is the first or last.

    Returns
    -------
    Array
        The operand's shape but for the extents of the window, in its dtype.

    Examples
    --------
    >>> import numpy as np
    >>> from funcgrad import lax
    >>> lax.slice_in_dim(np.arange(5), 1, -1)
    Array([1, 2, 3])
    """
    operand = _array(operand)
    shape = type_of(operand).shape
    along = _axis("slice_in_dim", axis, len(shape))
    n = shape[along]
    first = 0 if start_index is None else operator.index(start_index)
    last = n if limit_index is None else operator.index(limit_index)
    low, high = [0] * len(shape), list(shape)
    low[along], high[along] = first + n * (first < 0), last + n * (last < 0)
    strides = [1] * len(shape)
    strides[along] = operator.index(stride)
    return slice(operand, low, high, strides)


def index_in_dim(operand: Any, index: int, axis: int = 0, keepdims: bool = True) -> Any:
    """One known place along an axis, which stays with extent 1 if `keepdims`.

    Returns
    -------
    Array
        The operand's shape with the extent 1 along the axis, or without it, in the operand's dtype.

    Raises
    ------
    IndexError
        The index is out of bounds.

    Examples
    --------
    >>> import numpy as np
    >>> from funcgrad import lax
    >>> lax.index_in_dim(np.arange(6).reshape(2, 3), -1, axis=1, keepdims=False)
    Array([2, 5])
    """
    operand = _array(operand)
    along = _axis("index_in_dim", axis, type_of(operand).ndim)
    n, place = type_of(operand).shape[along], operator.index(index)
    if not -n <= place < n:
        raise IndexError(f"index_in_dim: index {index} is out of bounds for axis {axis} with size {n}{at_line()}")
    line = slice_in_dim(operand, place % n, place % n + 1, 1, along)
    return line if keepdims else _without(line, along)


def _without(x: Any, axis: int) -> Any:
    shape = type_of(x).shape
    return _result(sh.reshape(x, shape=(*shape[:axis], *shape[axis + 1 :])))


# Windows --------------------------------------------------------------------------------------------------------------


def _starts(name: str, starts: Any, shape: Sequence[int], sizes: Sequence[int]) -> list[Any]:
    """A start for each axis, such that the window fits."""
    if not isinstance(starts, (list, tuple)):
        starts = list(_array(starts))
    if len(starts) != len(shape):
        raise TypeError(f"{name}: {len(starts)} starts do not fit an array of {len(shape)} axes{at_line()}")
    found = []
    for start, n, size in zip(starts, shape, sizes, strict=True):
        i = as_position(name, start)
        if type_of(i).shape:
            raise TypeError(f"{name}: a start is a number, not an array of shape {type_of(i).shape}{at_line()}")
        i = np.where(i < 0, i + n, i)
        found.append(np.minimum(np.maximum(i, 0), n - size))
    return found


def dynamic_slice(operand: Any, start_indices: Any, slice_sizes: Sequence[int]) -> Any:
    """A window of known size at a place that may be traced.

    Parameters
    ----------
    operand
        An array.
    start_indices
        An integer for each axis (a sequence of numbers, or a 1-d array). Negative ones count from the end; then a
        window that would reach over an end is moved to where it fits: indices are never out of bounds.
    slice_sizes
        The extents of the window.

    Returns
    -------
    Array
        Of shape `slice_sizes`, in the operand's dtype.

    Raises
    ------
    TypeError
        The sizes do not fit the array.

    Examples
    --------
    >>> import numpy as np
    >>> import funcgrad as fg
    >>> from funcgrad import lax
    >>> fg.jit(lambda x, i: lax.dynamic_slice(x, (i,), (3,)))(np.arange(10), 8)
    Array([7, 8, 9])
    """
    operand = _array(operand)
    shape = type_of(operand).shape
    sizes = tuple(map(operator.index, slice_sizes))
    if len(sizes) != len(shape) or builtins.any(not 0 <= m <= n for m, n in zip(sizes, shape, strict=True)):
        raise TypeError(f"dynamic_slice: slice_sizes {sizes} do not fit an array of shape {shape}{at_line()}")
    starts = _starts("dynamic_slice", start_indices, shape, sizes)
    return _result(windows.dynamic_slice(operand, *starts, slice_sizes=sizes) if shape else operand)


def _one_axis(operand: Any, start: Any, axis: int) -> list[Any]:
    return [start if k == axis else 0 for k in range(type_of(operand).ndim)]


def dynamic_slice_in_dim(operand: Any, start_index: Any, slice_size: int, axis: int = 0) -> Any:
    """`dynamic_slice` along one axis.

    Returns
    -------
    Array
        The operand's shape but for the extents of the window, in its dtype.

    Examples
    --------
    >>> import numpy as np
    >>> from funcgrad import lax
    >>> lax.dynamic_slice_in_dim(np.arange(10), -4, 3)
    Array([6, 7, 8])
    """
    operand = _array(operand)
    along = _axis("dynamic_slice_in_dim", axis, type_of(operand).ndim)
    sizes = [operator.index(slice_size) if k == along else n for k, n in enumerate(type_of(operand).shape)]
    return dynamic_slice(operand, _one_axis(operand, start_index, along), sizes)


def dynamic_index_in_dim(operand: Any, index: Any, axis: int = 0, keepdims: bool = True) -> Any:
    """One place along an axis, which may be traced; beyond an end, the last one before it.

    Returns
    -------
    Array
        The operand's shape with the extent 1 along the axis, or without it, in the operand's dtype.

    Examples
    --------
    >>> import numpy as np
    >>> from funcgrad import lax
    >>> lax.dynamic_index_in_dim(np.arange(6).reshape(2, 3), 1, keepdims=False)
    Array([3, 4, 5])
    """
    operand = _array(operand)
    along = _axis("dynamic_index_in_dim", axis, type_of(operand).ndim)
    line = dynamic_slice_in_dim(operand, index, 1, along)
    return line if keepdims else _without(line, along)


def dynamic_update_slice(operand: Any, update: Any, start_indices: Any) -> Any:
    """The array with a window replaced, at a place that may be traced.

    Parameters
    ----------
    operand, update
        Arrays of one dtype and as many axes; `update` is no larger along any.
    start_indices
        As in `dynamic_slice`: a window that would reach over an end is moved to where it fits.

    Returns
    -------
    Array
        Of the operand's shape and dtype.

    Raises
    ------
    TypeError
        The update does not fit the operand, or their dtypes differ.

    Notes
    -----
    Inside `jit` nothing is copied where nothing else needs the old array.

    Examples
    --------
    >>> import numpy as np
    >>> from funcgrad import lax
    >>> lax.dynamic_update_slice(np.zeros(6), np.ones(3), (5,))
    Array([0., 0., 0., 1., 1., 1.])
    """
    operand, update = _array(operand), _array(update)
    shape, sizes = type_of(operand).shape, type_of(update).shape
    if type_of(update).weak or type(update) is not Tracer:
        update = convert(update, dtype=type_of(operand).dtype) if not sizes else update
    if len(sizes) != len(shape) or builtins.any(m > n for m, n in zip(sizes, shape, strict=True)):
        raise TypeError(f"dynamic_update_slice: an update of shape {sizes} does not fit shape {shape}{at_line()}")
    if type_of(update).dtype != type_of(operand).dtype:
        raise TypeError(
            f"dynamic_update_slice: the operand has type {type_of(operand)}, the update {type_of(update)}: dtypes must "
            f"be equal{at_line()}"
        )
    starts = _starts("dynamic_update_slice", start_indices, shape, sizes)
    return _result(windows.dynamic_update_slice(operand, update, *starts) if shape else update)


def dynamic_update_slice_in_dim(operand: Any, update: Any, start_index: Any, axis: int) -> Any:
    """`dynamic_update_slice` along one axis.

    Returns
    -------
    Array
        Of the operand's shape and dtype.

    Examples
    --------
    >>> import numpy as np
    >>> from funcgrad import lax
    >>> lax.dynamic_update_slice_in_dim(np.zeros((2, 3)), np.ones((2, 1)), 1, axis=1)
    Array([[0., 1., 0.],
           [0., 1., 0.]])
    """
    operand = _array(operand)
    along = _axis("dynamic_update_slice_in_dim", axis, type_of(operand).ndim)
    return dynamic_update_slice(operand, update, _one_axis(operand, start_index, along))


def dynamic_update_index_in_dim(operand: Any, update: Any, index: Any, axis: int) -> Any:
    """One place along an axis replaced; `update` has that axis with extent 1, or not at all.

    Returns
    -------
    Array
        Of the operand's shape and dtype.

    Examples
    --------
    >>> import numpy as np
    >>> from funcgrad import lax
    >>> lax.dynamic_update_index_in_dim(np.zeros((2, 3)), np.ones(3), 1, axis=0)
    Array([[0., 0., 0.],
           [1., 1., 1.]])
    """
    operand, update = _array(operand), _array(update)
    along = _axis("dynamic_update_index_in_dim", axis, type_of(operand).ndim)
    shape = type_of(update).shape
    if len(shape) != type_of(operand).ndim:
        update = sh.reshape(update, shape=(*shape[:along], 1, *shape[along:]))
    return dynamic_update_slice_in_dim(operand, update, index, along)


def index_take(src: Any, idxs: Sequence[Any], axes: Sequence[int]) -> Any:
    """Elements of several axes at once: index arrays of one shape, taken modulo the extents.

    Returns
    -------
    Array
        The index arrays' shape, then the axes that are left, in the dtype of `src`.

    Examples
    --------
    >>> import numpy as np
    >>> from funcgrad import lax
    >>> lax.index_take(np.arange(12).reshape(3, 4), (np.array([0, -1]), np.array([1, 2])), (0, 1))
    Array([ 1, 10])
    """
    src = _array(src)
    shape = type_of(src).shape
    order = sorted((_axis("index_take", axis, len(shape)), k) for k, axis in enumerate(axes))
    lines = [np.remainder(as_position("index_take", idxs[k]), shape[axis]) for axis, k in order]
    return _result(gather(src, *lines, axes=tuple(axis for axis, _ in order)))
