"""Rows of operations that write at computed places, and of windows that move."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tests.ops.rows import ALL, FLOATS, REALS, Draw, Row, fixed

OUTSIDE = np.array([0, -1, 17, 3, 18, 3, 40, 0])


def _rows(draw: Draw) -> tuple[Any, ...]:
    """Seven updates that meet at four rows."""
    return draw.normal(18, 2), draw.normal(7, 2), draw.positions((7,), 4)


def _once(draw: Draw) -> tuple[Any, ...]:
    return draw.normal(18, 2), draw.normal(7, 2), draw.rng.permutation(18)[:7]


def _middle(draw: Draw) -> tuple[Any, ...]:
    return draw.normal(5, 18, 2), draw.normal(7, 5, 2), draw.positions((7,), 4)


def _two_axes(draw: Draw) -> tuple[Any, ...]:
    return draw.normal(5, 18, 2), draw.normal(4, 3, 18), draw.positions((4, 3), 5), draw.positions((4, 3), 2)


def _distinct(draw: Draw) -> tuple[Any, ...]:
    """Numbers no two of which are near each other, so that the extreme is one of them."""
    both = draw.distinct(18 + 7, 2)
    return both[:18], both[18:], draw.positions((7,), 4)


def _distinct_on_two_axes(draw: Draw) -> tuple[Any, ...]:
    numbers = draw.distinct(5 * 18 * 2 + 4 * 3 * 18)
    x, updates = numbers[:180].reshape(5, 18, 2), numbers[180:].reshape(4, 3, 18)
    return x, updates, draw.positions((4, 3), 5), draw.positions((4, 3), 2)


def _factors(draw: Draw) -> tuple[Any, ...]:
    return draw.near_one(18, 2), draw.near_one(7, 2), draw.positions((7,), 4)


def _factors_once(draw: Draw) -> tuple[Any, ...]:
    return draw.near_one(18, 2), draw.near_one(7, 2), draw.rng.permutation(18)[:7]


def _dropped(draw: Draw) -> tuple[Any, ...]:
    return draw.normal(18, 2), draw.normal(8, 2), OUTSIDE


def _window(*starts: int) -> Callable[[Draw], tuple[Any, ...]]:
    return lambda draw: (draw.normal(5, 18, 3), *map(np.int64, starts))


def _update(shape: tuple[int, ...], *starts: int) -> Callable[[Draw], tuple[Any, ...]]:
    return lambda draw: (draw.normal(5, 18, 3), draw.normal(*shape), *map(np.int64, starts))


_set = {"unique": False, "drop": False}
ROWS: tuple[Row, ...] = (
    Row("scatter", _rows, ALL, fixed(axes=(0,), **_set)),
    Row("scatter", _middle, FLOATS, fixed(axes=(1,), **_set), variant="middle axis"),
    Row("scatter", _two_axes, FLOATS, fixed(axes=(0, 2), **_set), variant="two axes"),
    Row("scatter", _once, FLOATS, fixed(axes=(0,), unique=True, drop=False), variant="unique"),
    Row("scatter", _dropped, ALL, fixed(axes=(0,), unique=False, drop=True), variant="drop"),
    Row("scatter_mul", _factors, REALS, fixed(axes=(0,), unique=False), ulps=8, slope_ulps=24, analytic=False),
    Row("scatter_mul", _factors_once, FLOATS, fixed(axes=(0,), unique=True), ulps=2, variant="unique"),
    Row("scatter_min", _distinct, ALL, fixed(axes=(0,)), analytic=False),
    Row("scatter_max", _distinct, ALL, fixed(axes=(0,)), analytic=False),
    Row("scatter_max", _distinct_on_two_axes, FLOATS, fixed(axes=(0, 2)), analytic=False, variant="two axes"),
    Row("dynamic_slice", _window(1, 3, 0), ALL, fixed(slice_sizes=(2, 7, 3))),
    Row("dynamic_slice", _window(4, 17, 2), FLOATS, fixed(slice_sizes=(1, 1, 1)), variant="one element"),
    Row("dynamic_slice", _window(5, 0, 0), FLOATS, fixed(slice_sizes=(0, 18, 3)), variant="empty"),
    Row("dynamic_update_slice", _update((2, 7, 3), 1, 3, 0), ALL),
    Row("dynamic_update_slice", _update((5, 18, 3), 0, 0, 0), FLOATS, variant="all"),
    Row("dynamic_update_slice", _update((0, 18, 3), 5, 0, 0), FLOATS, variant="nothing"),
)
