"""NumPy's functions that split, join and turn arrays in less usual ways: block, dsplit, rot90, unstack, resize."""

from __future__ import annotations

import builtins
import operator
from typing import Any

import numpy as np

from funcgrad.errors import at_line
from funcgrad.numpy._common import axis_number, implements, operand, static_shape
from funcgrad.numpy._shapes import concatenate, flip, moveaxis, ravel, reshape, split, swapaxes, transpose
from funcgrad.ops.shape import reshape as _reshape
from funcgrad.trace.frame import type_of


def _three(x: Any) -> Any:
    x = operand(x, "atleast_3d")
    shape = type_of(x).shape
    full = {0: (1, 1, 1), 1: (1, *shape, 1), 2: (*shape, 1)}.get(len(shape), shape)
    return x if full == shape else _reshape(x, shape=full)


@implements(np.atleast_3d)
def atleast_3d(*arys: Any) -> Any:
    """With three axes or more."""
    out = tuple(map(_three, arys))
    return out[0] if len(out) == 1 else out


@implements(np.dstack)
def dstack(tup: Any) -> Any:
    """Joined along the third axis."""
    return concatenate([_three(x) for x in tup], 2)


def _splitter(name: str, least: int) -> Any:
    def splitter(ary: Any, indices_or_sections: Any) -> list[Any]:
        ndim = type_of(ary).ndim
        if ndim < least:
            raise ValueError(f"{name} only works on arrays of {least} or more dimensions{at_line()}")
        axis = {"vsplit": 0, "hsplit": 1 if ndim > 1 else 0, "dsplit": 2}[name]
        return split(ary, indices_or_sections, axis)

    return splitter


vsplit = implements(np.vsplit)(_splitter("vsplit", 2))
hsplit = implements(np.hsplit)(_splitter("hsplit", 1))
dsplit = implements(np.dsplit)(_splitter("dsplit", 3))


@implements(np.unstack)
def unstack(x: Any, /, *, axis: int = 0) -> tuple[Any, ...]:
    """The arrays that lie along an axis."""
    shape = type_of(x).shape
    if not shape:
        raise ValueError(f"Input array must be at least 1-d.{at_line()}")
    moved = moveaxis(x, axis_number(axis, len(shape), "unstack"), 0)
    return tuple(moved[k] for k in range(type_of(moved).shape[0]))


@implements(np.fliplr)
def fliplr(m: Any) -> Any:
    """Columns in reverse order."""
    if type_of(m).ndim < 2:
        raise ValueError(f"Input must be >= 2-d.{at_line()}")
    return flip(m, 1)


@implements(np.flipud)
def flipud(m: Any) -> Any:
    """Rows in reverse order."""
    if type_of(m).ndim < 1:
        raise ValueError(f"Input must be >= 1-d.{at_line()}")
    return flip(m, 0)


@implements(np.rot90)
def rot90(m: Any, k: int = 1, axes: Any = (0, 1)) -> Any:
    """Turned by `k` quarters from the first axis towards the second."""
    pair = tuple(axes)
    if len(pair) != 2:
        raise ValueError(f"len(axes) must be 2.{at_line()}")
    ndim = type_of(m).ndim
    if ndim < 2 or pair[0] == pair[1] or builtins.abs(pair[0] - pair[1]) == ndim:
        raise ValueError(f"Axes must be different.{at_line()}")
    if not builtins.all(-ndim <= a < ndim for a in pair):
        raise ValueError(f"Axes={pair} out of range for array of ndim={ndim}.{at_line()}")
    first, second = (axis_number(a, ndim, "rot90") for a in pair)
    quarters = operator.index(k) % 4
    if quarters == 0:
        return m
    if quarters == 2:
        return flip(m, (first, second))
    return swapaxes(flip(m, second), first, second) if quarters == 1 else flip(swapaxes(m, first, second), second)


@implements(np.rollaxis)
def rollaxis(a: Any, axis: int, start: int = 0) -> Any:
    """An axis moved back until it stands before `start`."""
    n = type_of(a).ndim
    source = axis_number(axis, n, "rollaxis")
    target = operator.index(start) + (n if start < 0 else 0)
    if not 0 <= target <= n:
        raise np.exceptions.AxisError(
            f"'start' arg requires {-n} <= start < {n + 1}, but {start} was passed in{at_line()}"
        )
    target -= source < target
    order = [k for k in range(n) if k != source]
    order.insert(target, source)
    return transpose(a, order)


@implements(np.block)
def block(arrays: Any) -> Any:
    """Nested lists of arrays joined: the innermost lists along the last axis, the next ones along the one before."""
    depth = _depth(arrays)
    ndim = builtins.max(depth, _widest(arrays))
    return _blocks(arrays, depth, ndim)


def _depth(x: Any) -> int:
    if isinstance(x, tuple):
        raise TypeError(f"block: only lists can be used to arrange blocks, not tuples{at_line()}")
    if not isinstance(x, list):
        return 0
    if not x:
        raise ValueError(f"block: a list at the innermost level is empty{at_line()}")
    depths = {_depth(item) for item in x}
    if len(depths) > 1:
        raise ValueError(f"block: the lists are nested to different depths{at_line()}")
    return 1 + depths.pop()


def _widest(x: Any) -> int:
    return builtins.max(map(_widest, x)) if isinstance(x, list) else type_of(operand(x, "block")).ndim


def _blocks(x: Any, depth: int, ndim: int) -> Any:
    if not isinstance(x, list):
        x = operand(x, "block")
        shape = type_of(x).shape
        return reshape(x, (*(1,) * (ndim - len(shape)), *shape))
    return concatenate([_blocks(item, depth - 1, ndim) for item in x], -depth)


@implements(np.resize)
def resize(a: Any, new_shape: Any) -> Any:
    """The elements over and over, until they fill the new shape."""
    a, shape = ravel(operand(a, "resize")), static_shape(new_shape, "resize")
    if builtins.any(n < 0 for n in shape):
        raise ValueError(f"all elements of `new_shape` must be non-negative{at_line()}")
    size, have = int(np.prod(shape, dtype=int)), type_of(a).size
    if not size or not have:
        return np.zeros(shape, type_of(a).dtype)
    repeated = concatenate([a] * -(-size // have))
    return reshape(repeated[:size], shape)


@implements(np.apply_over_axes)
def apply_over_axes(func: Any, a: Any, axes: Any) -> Any:
    """A reduction applied along axes one after another, which stay with extent 1."""
    value = operand(a, "apply_over_axes")
    ndim = type_of(value).ndim
    for axis in (axes,) if np.ndim(axes) == 0 else tuple(axes):
        along = axis + ndim if axis < 0 else axis
        found = func(value, along)
        if type_of(found).ndim != ndim:
            found = np.expand_dims(found, along)
            if type_of(found).ndim != ndim:
                raise ValueError(f"function is not returning an array of the correct shape{at_line()}")
        value = found
    return value
