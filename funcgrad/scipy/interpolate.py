"""Functions through points of a grid, as `scipy.interpolate` has them; differentiable."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

from funcgrad import numpy as np
from funcgrad.dtypes import to_inexact
from funcgrad.errors import at_line
from funcgrad.numpy._common import cast, concrete, operand
from funcgrad.numpy._indexing import getitem
from funcgrad.scipy._values import public
from funcgrad.trace.frame import type_of
from funcgrad.tracebacks import boundary

__all__ = ["RegularGridInterpolator"]

METHODS = ("linear", "nearest")


class RegularGridInterpolator:
    """A function of points in a box, from its values on a rectangular grid.

    Parameters
    ----------
    points
        For each of n axes the ascending coordinates of the grid, 1-d; two at least for linear interpolation.
    values
        Their lengths as its first n axes; any more axes are values at a point.
    method
        ``"linear"`` or ``"nearest"``.
    bounds_error
        Whether points outside of the grid raise; needs known points, so JAX and compiled functions take False only.
    fill_value
        The value outside of the grid; None: extrapolation.

    Raises
    ------
    ValueError
        For lengths that do not fit, coordinates that do not ascend, another method; when called, for points with
        another number of coordinates, or outside of the grid with `bounds_error`.

    Examples
    --------
    >>> import funcgrad as fg
    >>> f = RegularGridInterpolator(([0.0, 1.0], [0.0, 2.0]), [[0.0, 2.0], [1.0, 3.0]])
    >>> f([0.5, 1.0])
    Array([1.5])
    >>> fg.grad(lambda x: f(x)[0])(fg.numpy.array([0.5, 1.0]))
    Array([1., 1.])
    """

    @boundary
    def __init__(
        self,
        points: Sequence[Any],
        values: Any,
        method: str = "linear",
        bounds_error: bool = False,
        fill_value: Any = float("nan"),
    ) -> None:
        self.method = _checked_method(method)
        self.bounds_error = bounds_error
        self.fill_value = fill_value
        self.grid = tuple(operand(p, "RegularGridInterpolator") for p in points)
        values = operand(values, "RegularGridInterpolator")
        self.values = cast(values, to_inexact(type_of(values).dtype))
        _check_grid(self.grid, type_of(self.values).shape)

    @public
    def __call__(self, xi: Any, method: str | None = None) -> Any:
        """The values at points of shape (..., n), or at n arrays of coordinates that broadcast."""
        method = self.method if method is None else _checked_method(method)
        columns, shape = self._columns(xi)
        if self.bounds_error:
            self._check_inside(columns)
        places = [_place(g, x) for g, x in zip(self.grid, columns, strict=True)]
        found = (self._linear if method == "linear" else self._nearest)(places)
        if self.fill_value is not None:
            inside: Any = True
            for grid, x in zip(self.grid, columns, strict=True):
                inside = np.logical_and(inside, np.logical_and(x >= grid[0], x <= grid[-1]))
            inside = np.logical_or(inside, np.isnan(sum(columns)))  # the value of no place is NaN, not what fills
            inside = np.reshape(inside, (*type_of(inside).shape, *[1] * (type_of(found).ndim - 1)))
            found = np.where(inside, found, np.asarray(self.fill_value, type_of(found).dtype))
        return np.reshape(found, (*shape, *type_of(self.values).shape[len(self.grid) :]))

    def _columns(self, xi: Any) -> tuple[list[Any], tuple[int, ...]]:
        """A flat array of coordinates for each axis, and the shape of the points."""
        n = len(self.grid)
        if isinstance(xi, tuple):
            arrays = np.broadcast_arrays(*[operand(x, "RegularGridInterpolator") for x in xi])
            xi = np.stack(arrays, axis=-1) if arrays else np.zeros((0, 0))
        points = operand(xi, "RegularGridInterpolator")
        points = points if type_of(points).ndim > 1 else np.reshape(points, (-1, n) if n == 1 else (1, -1))
        *shape, last = type_of(points).shape
        if last != n:
            message = f"RegularGridInterpolator: points of {last} coordinates in a grid of {n} axes"
            raise ValueError(message + at_line())
        points = cast(points, to_inexact(type_of(points).dtype))
        flat = np.reshape(points, (-1, n))
        return [flat[:, k] for k in range(n)], tuple(shape)

    def _check_inside(self, columns: list[Any]) -> None:
        for k, (grid, x) in enumerate(zip(self.grid, columns, strict=True)):
            values = concrete(x)
            if values is None:
                message = "RegularGridInterpolator: bounds_error needs known points: use bounds_error=False here"
                raise ValueError(message + at_line())
            outside = (values < concrete(grid)[0]) | (values > concrete(grid)[-1])
            if outside.any():
                raise ValueError(f"RegularGridInterpolator: a point lies outside of axis {k} of the grid{at_line()}")

    def _linear(self, places: list[tuple[Any, Any]]) -> Any:
        found: Any = 0
        more = [1] * (type_of(self.values).ndim - len(places))
        for corner in itertools.product((0, 1), repeat=len(places)):
            weight: Any = 1
            for upper, (_, share) in zip(corner, places, strict=True):
                weight = weight * (share if upper else 1 - share)
            indices = tuple(index + upper for (index, _), upper in zip(places, corner, strict=True))
            value = getitem(self.values, indices)
            found = found + value * np.reshape(weight, (-1, *more))
        return found

    def _nearest(self, places: list[tuple[Any, Any]]) -> Any:
        return getitem(self.values, tuple(np.where(share <= 0.5, index, index + 1) for index, share in places))


def _place(grid: Any, x: Any) -> tuple[Any, Any]:
    """The interval of the grid in which each point lies (the outermost one outside), and how far along it."""
    size = type_of(grid).shape[0]
    index = np.clip(np.searchsorted(grid, x, side="right") - 1, 0, size - 2)
    below, above = getitem(grid, index), getitem(grid, index + 1)
    return index, (x - below) / (above - below)


def _checked_method(method: str) -> str:
    if method not in METHODS:
        raise ValueError(f"RegularGridInterpolator: method must be 'linear' or 'nearest', not {method!r}{at_line()}")
    return method


def _check_grid(grid: tuple[Any, ...], shape: tuple[int, ...]) -> None:
    lengths = tuple(type_of(g).shape for g in grid)
    if not grid or any(len(s) != 1 for s in lengths):
        raise ValueError(
            f"RegularGridInterpolator: each axis needs 1-d coordinates, not of shapes {lengths}{at_line()}"
        )
    if shape[: len(grid)] != tuple(s[0] for s in lengths):
        message = f"RegularGridInterpolator: values of shape {shape} do not fit coordinates of shapes {lengths}"
        raise ValueError(message + at_line())
    for k, g in enumerate(grid):
        values = concrete(g)
        if type_of(g).shape[0] < 2:
            raise ValueError(f"RegularGridInterpolator: axis {k} needs two coordinates at least{at_line()}")
        if values is not None and not (values[1:] > values[:-1]).all():
            raise ValueError(f"RegularGridInterpolator: the coordinates of axis {k} do not ascend{at_line()}")
