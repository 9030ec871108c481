"""JAX's general gather and scatter: windows at places that an array of indices names.

The dimension numbers say how axes of the operand, of the array of indices and of the result belong together; see
https://openxla.org/xla/operation_semantics#gather and #scatter.
"""

from __future__ import annotations

import enum
import math
import operator
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from funcgrad.array import as_array
from funcgrad.errors import at_line
from funcgrad.lax._scatter import missing, over_windows, scattered
from funcgrad.lax._slicing import INT64, as_position
from funcgrad.ops import shape as sh
from funcgrad.ops.comparison import select
from funcgrad.ops.indexing import gather as _gather
from funcgrad.trace.frame import type_of
from funcgrad.trace.tracer import Tracer

__all__ = [
    "GatherDimensionNumbers",
    "GatherScatterMode",
    "ScatterDimensionNumbers",
    "gather",
    "scatter",
    "scatter_add",
    "scatter_apply",
    "scatter_max",
    "scatter_min",
    "scatter_mul",
    "scatter_sub",
]

Axes = tuple[int, ...]


class GatherDimensionNumbers(NamedTuple):
    """Which axes belong together in `gather`.

    Attributes
    ----------
    offset_dims
        The axes of the result that go through a window.
    collapsed_slice_dims
        The axes of the operand along which windows have extent 1, and that the result does not have.
    start_index_map
        For each number of an index, the axis of the operand that it is a place on.
    operand_batching_dims, start_indices_batching_dims
        Axes of the operand and of the indices that go together.
    """

    offset_dims: Axes
    collapsed_slice_dims: Axes
    start_index_map: Axes
    operand_batching_dims: Axes = ()
    start_indices_batching_dims: Axes = ()


class ScatterDimensionNumbers(NamedTuple):
    """Which axes belong together in `scatter`.

    Attributes
    ----------
    update_window_dims
        The axes of the updates that go through a window.
    inserted_window_dims
        The axes of the operand along which windows have extent 1, and that the updates do not have.
    scatter_dims_to_operand_dims
        For each number of an index, the axis of the operand that it is a place on.
    operand_batching_dims, scatter_indices_batching_dims
        Axes of the operand and of the indices that go together.
    """

    update_window_dims: Axes
    inserted_window_dims: Axes
    scatter_dims_to_operand_dims: Axes
    operand_batching_dims: Axes = ()
    scatter_indices_batching_dims: Axes = ()


class GatherScatterMode(enum.Enum):
    """What happens to windows that are not within bounds: moved to where they fit; read as a fill value and not
    written; or nothing is promised (here: as `CLIP`).
    """

    CLIP = enum.auto()
    FILL_OR_DROP = enum.auto()
    PROMISE_IN_BOUNDS = enum.auto()
    ONE_HOT = enum.auto()

    @staticmethod
    def from_any(mode: Any) -> GatherScatterMode:
        """The mode by one of its names.

        Parameters
        ----------
        mode
            ``"fill"`` or ``"drop"`` (also None: `FILL_OR_DROP`), ``"clip"``, ``"promise_in_bounds"``, ``"one_hot"``, or
            a mode.

        Returns
        -------
        GatherScatterMode
            The mode.

        Raises
        ------
        ValueError
            There is none of that name.

        Examples
        --------
        >>> import funcgrad as fg
        >>> fg.lax.GatherScatterMode.from_any("clip").name
        'CLIP'
        """
        if isinstance(mode, GatherScatterMode):
            return mode
        names = {
            None: GatherScatterMode.FILL_OR_DROP,
            "fill": GatherScatterMode.FILL_OR_DROP,
            "drop": GatherScatterMode.FILL_OR_DROP,
            "clip": GatherScatterMode.CLIP,
            "promise_in_bounds": GatherScatterMode.PROMISE_IN_BOUNDS,
            "one_hot": GatherScatterMode.ONE_HOT,
        }
        if mode not in names:
            raise ValueError(f"mode must be one of {', '.join(map(repr, names))}, not {mode!r}{at_line()}")
        return names[mode]


class _Windows:
    """Windows of one size at places that an array of indices names.

    Attributes
    ----------
    axes, lines
        The axes that windows do not fill, and the positions of all their elements along each, of one shape: that of
        the indices, then the extents of `partial` axes.
    inside
        Which windows there are, of the shape of the indices (None: all).
    partial, whole
        The axes with a window of more than one place, or that the result has; and those that windows fill.
    """

    def __init__(self, name: str, shape: Axes, indices: Any, numbers: Any, sizes: Axes, mode: Any) -> None:
        _, collapsed, mapped, batching, index_batching = numbers
        indices = as_position(name, indices if type(indices) is Tracer else np.asarray(indices))
        self.shape = ishape = type_of(indices).shape[:-1]
        if type_of(indices).shape[-1:] != (len(mapped),):
            raise TypeError(
                f"{name}: indices of shape {type_of(indices).shape} must end with an axis of extent {len(mapped)}, the "
                f"number of axes that they are places on{at_line()}"
            )
        fits = len(sizes) == len(shape) and all(0 <= m <= n for m, n in zip(sizes, shape, strict=True))
        if not fits or any(sizes[k] > 1 for k in (*collapsed, *batching)):
            raise TypeError(f"{name}: windows of extents {sizes} do not fit an operand of shape {shape}{at_line()}")
        clips = GatherScatterMode.from_any(mode) is not GatherScatterMode.FILL_OR_DROP
        starts: dict[int, Any] = {}
        self.inside: Any = None
        for number, axis in enumerate(mapped):
            start = indices[..., number]
            room = shape[axis] - sizes[axis]
            bounded = np.minimum(np.maximum(start, 0), room)
            if not clips:
                fit = start == bounded
                self.inside = fit if self.inside is None else self.inside & fit
            starts[axis] = bounded
        hidden = (*collapsed, *batching)
        self.window = [k for k in range(len(shape)) if k not in hidden]
        self.whole = [k for k in self.window if sizes[k] == shape[k]]
        self.partial = [k for k in self.window if k not in self.whole]
        full = (*ishape, *(sizes[k] for k in self.partial))
        front = tuple(range(len(ishape)))
        lines = {}
        for axis in sorted((*hidden, *self.partial)):
            if axis in batching:
                along = index_batching[batching.index(axis)]
                line = sh.iota(dtype=INT64, shape=full, dimension=along)
            else:
                start = starts.get(axis, np.broadcast_to(np.int64(0), ishape))
                line = sh.broadcast_in_dim(start, shape=full, broadcast_dimensions=front)
            if axis in self.partial:
                line = line + sh.iota(dtype=INT64, shape=full, dimension=len(ishape) + self.partial.index(axis))
            lines[axis] = line
        self.axes = tuple(lines)
        self.lines = list(lines.values())
        if self.inside is not None:
            self.inside = over_windows(self.inside, full)

    def order(self, window_axes: Sequence[int]) -> list[int]:
        """Where the axes (index axes, partial ones, whole ones) stand in an array that has those of windows there."""
        ndim = len(self.shape) + len(self.window)
        free = iter(k for k in range(ndim) if k not in window_axes)
        index = [next(free) for _ in self.shape]
        place = dict(zip(self.window, window_axes, strict=True))
        return [*index, *(place[k] for k in self.partial), *(place[k] for k in self.whole)]


def _array(x: Any) -> Any:
    return x if type(x) is Tracer else np.asarray(x)


def _moved(x: Any, order: Sequence[int]) -> Any:
    return x if list(order) == list(range(len(order))) else sh.transpose(x, permutation=tuple(order))


def _result(out: Any) -> Any:
    return out if type(out) is Tracer else as_array(np.array(out))


def gather(
    operand: Any,
    start_indices: Any,
    dimension_numbers: GatherDimensionNumbers,
    slice_sizes: Sequence[int],
    *,
    unique_indices: bool = False,
    indices_are_sorted: bool = False,
    mode: Any = None,
    fill_value: Any = None,
) -> Any:
    """Windows of an array, at the places that the last axis of `start_indices` names.

    Parameters
    ----------
    operand
        An array.
    start_indices
        Integers; the last axis holds the places of one window.
    dimension_numbers
        See `GatherDimensionNumbers`.
    slice_sizes
        The extents of a window, for each axis of the operand.
    unique_indices, indices_are_sorted
        What the caller knows; it makes no difference.
    mode
        See `GatherScatterMode`; as in JAX, windows that are not within bounds are moved to where they fit by default.
    fill_value
        What mode ``"fill"`` reads: NaN, the smallest integer, the largest unsigned one or True by default.

    Returns
    -------
    Array
        The batch axes of `start_indices` and the windows' axes, at the places that `dimension_numbers` names; in the
        operand's dtype.

    Examples
    --------
    >>> import numpy as np
    >>> from funcgrad import lax
    >>> rows = lax.GatherDimensionNumbers(offset_dims=(1,), collapsed_slice_dims=(0,), start_index_map=(0,))
    >>> lax.gather(np.arange(6.0).reshape(3, 2), np.array([[2], [0], [9]]), rows, (1, 2), mode="fill")
    Array([[ 4.,  5.],
           [ 0.,  1.],
           [nan, nan]])
    """
    operand = _array(operand)
    shape = type_of(operand).shape
    sizes = tuple(map(operator.index, slice_sizes))
    windows = _Windows("gather", shape, start_indices, dimension_numbers, sizes, "clip" if mode is None else mode)
    order = windows.order(dimension_numbers.offset_dims)
    if not windows.axes:
        out = sh.broadcast_in_dim(
            operand,
            shape=(*windows.shape, *shape),
            broadcast_dimensions=tuple(range(len(windows.shape), len(order))),
        )
    else:
        out = _gather(operand, *windows.lines, axes=windows.axes)
    if windows.inside is not None:
        kind = type_of(out)
        out = select(over_windows(windows.inside, kind.shape), missing(kind.dtype, fill_value), out)
    inverse = [order.index(k) for k in range(len(order))]
    return _result(_moved(out, inverse))


def _scatter(
    name: str, kind: str, operand: Any, indices: Any, updates: Any, numbers: Any, unique: bool, mode: Any
) -> Any:
    operand, updates = _array(operand), _array(updates)
    shape, given = type_of(operand).shape, type_of(updates)
    if given.dtype != type_of(operand).dtype:
        raise TypeError(
            f"{name}: the operand has type {type_of(operand)}, the updates {given}: dtypes must be equal{at_line()}"
        )
    hidden = (*numbers.inserted_window_dims, *numbers.operand_batching_dims)
    window = iter(numbers.update_window_dims)
    try:
        sizes = tuple(1 if k in hidden else given.shape[next(window)] for k in range(len(shape)))
    except (StopIteration, IndexError):
        sizes = ()
    windows = _Windows(name, shape, indices, numbers, sizes, mode)
    order = windows.order(numbers.update_window_dims)
    expected = (*windows.shape, *(sizes[k] for k in (*windows.partial, *windows.whole)))
    if len(order) != given.ndim or tuple(given.shape[k] for k in order) != expected:
        raise TypeError(
            f"{name}: updates of shape {given.shape} do not fit indices of shape {type_of(_array(indices)).shape} and "
            f"{numbers}{at_line()}"
        )
    if not given.size:
        return _result(operand)
    moved = _moved(updates, order)
    if not windows.axes:  # every window is the array itself: one axis is named, so that there is one to index
        windows.axes = (0,)
        windows.lines = [_every_row(windows.shape, shape)]
        moved = sh.reshape(moved, shape=(*windows.shape, *shape)) if shape else moved
        windows.inside = None if windows.inside is None else over_windows(windows.inside, (*windows.shape, shape[0]))
    out = scattered(kind, operand, moved, windows.lines, windows.axes, windows.inside, unique)
    return _result(out)


def _every_row(index_shape: Axes, shape: Axes) -> Any:
    return sh.iota(dtype=INT64, shape=(*index_shape, shape[0]), dimension=len(index_shape))


_PARAMETERS = """

    Parameters
    ----------
    operand
        An array.
    scatter_indices
        Integers; the last axis holds the places of one window.
    updates
        A window for each index, of the operand's dtype.
    dimension_numbers
        See `ScatterDimensionNumbers`.
    indices_are_sorted, unique_indices
        What the caller knows; unique ones save work in derivatives.
    mode
        See `GatherScatterMode`; as in JAX, windows that are not within bounds are left out by default.

    Returns
    -------
    Array
        Of the operand's shape and dtype.
"""


def _scatterer(name: str, kind: str, summary: str) -> Callable[..., Any]:
    def function(
        operand: Any,
        scatter_indices: Any,
        updates: Any,
        dimension_numbers: ScatterDimensionNumbers,
        *,
        indices_are_sorted: bool = False,
        unique_indices: bool = False,
        mode: Any = None,
    ) -> Any:
        return _scatter(name, kind, operand, scatter_indices, updates, dimension_numbers, unique_indices, mode)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = summary + _PARAMETERS
    return function


scatter = _scatterer("scatter", "set", "The array with windows replaced; where they meet, the last one stays.")
scatter_add = _scatterer("scatter_add", "add", "The array with windows added, as often as they meet.")
scatter_mul = _scatterer("scatter_mul", "multiply", "The array multiplied by windows, as often as they meet.")
scatter_min = _scatterer("scatter_min", "min", "The least of the array and all windows there.")
scatter_max = _scatterer("scatter_max", "max", "The greatest of the array and all windows there.")


def scatter_sub(
    operand: Any,
    scatter_indices: Any,
    updates: Any,
    dimension_numbers: ScatterDimensionNumbers,
    *,
    indices_are_sorted: bool = False,
    unique_indices: bool = False,
    mode: Any = None,
) -> Any:
    """The array with windows subtracted, as often as they meet; the parameters are those of `scatter_add`.

    Returns
    -------
    Array
        Of the operand's shape and dtype.

    Examples
    --------
    >>> import numpy as np
    >>> import funcgrad as fg
    >>> from funcgrad import lax
    >>> numbers = lax.ScatterDimensionNumbers((), (0,), (0,))
    >>> lax.scatter_sub(np.zeros(3), np.array([[1]]), np.array([2.0]), numbers)
    Array([ 0., -2.,  0.])
    """
    negated = np.negative(_array(updates))
    return _scatter("scatter_sub", "add", operand, scatter_indices, negated, dimension_numbers, unique_indices, mode)


def scatter_apply(
    operand: Any,
    scatter_indices: Any,
    func: Callable[[Any], Any],
    dimension_numbers: ScatterDimensionNumbers,
    *,
    update_shape: Sequence[int] = (),
    indices_are_sorted: bool = False,
    unique_indices: bool = False,
    mode: Any = None,
) -> Any:
    """The array with a function of elements applied to windows, once however often they meet.

    `update_shape` is the shape that updates would have; the other parameters are those of `scatter`.

    Returns
    -------
    Array
        Of the operand's shape and dtype.

    Raises
    ------
    TypeError
        `func` changes the shape.

    Examples
    --------
    >>> import numpy as np
    >>> import funcgrad as fg
    >>> from funcgrad import lax
    >>> numbers = lax.ScatterDimensionNumbers((), (0,), (0,))
    >>> lax.scatter_apply(np.ones(3), np.array([[1]]), lambda x: 5 * x, numbers)
    Array([1., 5., 1.])
    """
    numbers = dimension_numbers
    shape = type_of(_array(operand)).shape
    hidden = (*numbers.inserted_window_dims, *numbers.operand_batching_dims)
    window = iter(numbers.update_window_dims)
    sizes = tuple(1 if k in hidden else update_shape[next(window)] for k in range(len(shape)))
    reading = GatherDimensionNumbers(
        numbers.update_window_dims,
        numbers.inserted_window_dims,
        numbers.scatter_dims_to_operand_dims,
        numbers.operand_batching_dims,
        numbers.scatter_indices_batching_dims,
    )
    values = func(gather(operand, scatter_indices, reading, sizes, mode="clip"))
    if type_of(values).size != math.prod(update_shape):
        raise TypeError(f"scatter_apply: func returns shape {type_of(values).shape}, not {update_shape}{at_line()}")
    return _scatter("scatter_apply", "set", operand, scatter_indices, values, numbers, unique_indices, mode)
