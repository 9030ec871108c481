"""Images between their pixels, as `scipy.ndimage` has them; differentiable."""

from __future__ import annotations

import itertools
import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as _np

from funcgrad import numpy as np
from funcgrad.dtypes import to_inexact
from funcgrad.errors import at_line
from funcgrad.numpy._common import cast, operand
from funcgrad.numpy._indexing import getitem
from funcgrad.scipy._values import public
from funcgrad.trace.frame import type_of

__all__ = ["map_coordinates"]

Fixer = Callable[[Any, int], Any]


def _mirror(index: Any, size: int) -> Any:
    """d c b | a b c d | c b a: around the middle of the outermost pixels."""
    period = max(2 * (size - 1), 1)
    folded = index % period
    return np.where(folded < size, folded, period - folded)


def _reflect(index: Any, size: int) -> Any:
    """d c b a | a b c d | d c b a: around the edges of the outermost pixels."""
    folded = index % (2 * size)
    return np.where(folded < size, folded, 2 * size - 1 - folded)


_FIXERS: dict[str, Fixer] = {
    "constant": lambda index, size: index,
    "nearest": lambda index, size: np.clip(index, 0, size - 1),
    "wrap": lambda index, size: index % size,
    "mirror": _mirror,
    "reflect": _reflect,
}
_FIXERS |= {"grid-constant": _FIXERS["constant"], "grid-wrap": _FIXERS["wrap"], "grid-mirror": _FIXERS["reflect"]}


def _whole(coordinates: Any) -> Any:
    """The nearest integers; halves go up, as in SciPy."""
    kind = type_of(coordinates).dtype.kind
    return cast(np.floor(coordinates + 0.5) if kind == "f" else coordinates, _np.dtype(_np.int64))


def _neighbours(coordinate: Any, order: int) -> list[tuple[Any, Any]]:
    """Pixels along one axis, and the weight of each (None: 1)."""
    if order == 0:
        return [(_whole(coordinate), None)]
    coordinate = cast(coordinate, to_inexact(type_of(coordinate).dtype))
    below = np.floor(coordinate)
    share = coordinate - below
    first = cast(below, _np.dtype(_np.int64))
    return [(first, 1 - share), (first + 1, share)]


@public
def map_coordinates(input: Any, coordinates: Sequence[Any], order: int, mode: str = "constant", cval: Any = 0.0) -> Any:
    """The values of an array between its elements.

    Parameters
    ----------
    input
        Of n axes.
    coordinates
        n arrays of one shape: where to look along each axis, counted in elements.
    order
        0: the nearest element; 1: linear interpolation. Splines of higher order are in SciPy only.
    mode
        What lies outside, named as in JAX: ``"constant"`` (`cval`), ``"nearest"`` (the outermost element), ``"wrap"``
        (the array once more), ``"mirror"`` (around outermost elements), ``"reflect"`` (around their edges).
        ``"constant"`` and ``"wrap"`` are SciPy's ``"grid-constant"`` and ``"grid-wrap"``, which are taken too.
    cval
        A number.

    Returns
    -------
    Of the coordinates' shape and `input`'s dtype; integers are rounded.

    Raises
    ------
    ValueError
        For another number of coordinates than axes, or coordinates of different shapes; for an unknown mode.
    NotImplementedError
        For another order.

    Examples
    --------
    >>> import funcgrad as fg
    >>> image = [[0.0, 1.0], [2.0, 3.0]]
    >>> map_coordinates(image, [[0.5], [0.25]], order=1)
    Array([1.25])
    >>> fg.grad(lambda x: map_coordinates(image, [x, 0.25], order=1))(0.5)
    Array(2.)
    """
    image = operand(input, "map_coordinates")
    shape, dtype = type_of(image).shape, type_of(image).dtype
    places = [operand(c, "map_coordinates") for c in coordinates]
    _check(shape, places, order, mode)
    fix = _FIXERS[mode]
    found: Any = 0
    per_axis = [_neighbours(c, order) for c in places]
    for choice in itertools.product(*per_axis):
        found = found + _weighted(image, cval, [(fix(i, n), n, w) for (i, w), n in zip(choice, shape, strict=True)])
    if dtype.kind in "iu" and type_of(found).dtype.kind == "f":
        found = np.round(found)
    return cast(found, dtype)


def _weighted(image: Any, cval: Any, chosen: list[tuple[Any, int, Any]]) -> Any:
    """The elements at some indices, or `cval` outside, times the product of the weights."""
    inside: Any = True
    for index, size, _ in chosen:
        inside = np.logical_and(inside, np.logical_and(index >= 0, index < size))
    indices = tuple(np.clip(index, 0, size - 1) for index, size, _ in chosen)
    value = np.where(inside, getitem(image, indices) if indices else image, np.asarray(cval, type_of(image).dtype))
    for _, _, weight in chosen:
        value = value if weight is None else value * weight
    return value


def _check(shape: tuple[int, ...], places: list[Any], order: int, mode: str) -> None:
    if mode not in _FIXERS:
        raise ValueError(f"map_coordinates: mode must be one of {', '.join(_FIXERS)}, not {mode!r}{at_line()}")
    if operator.index(order) not in (0, 1):
        message = (
            f"map_coordinates: order must be 0 or 1, not {order}; splines of higher order are in scipy.ndimage only"
        )
        raise NotImplementedError(message + at_line())
    if len(places) != len(shape):
        message = f"map_coordinates: {len(places)} coordinates for an array of {len(shape)} axes"
        raise ValueError(message + at_line())
    if len({type_of(c).shape for c in places}) > 1:
        listed = " ".join(str(type_of(c).shape) for c in places)
        raise ValueError(f"map_coordinates: the coordinates' shapes differ: {listed}{at_line()}")
    if 0 in shape:
        raise ValueError(f"map_coordinates: an array of shape {shape} has no elements{at_line()}")
    if any(type_of(c).dtype.kind == "c" for c in places):
        raise TypeError(f"map_coordinates: coordinates are real numbers{at_line()}")
