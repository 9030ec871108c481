"""NumPy's functions that write into their argument: here they return the new array, as in JAX."""

from __future__ import annotations

import builtins
import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from funcgrad.array import as_array
from funcgrad.errors import at_line
from funcgrad.numpy._common import axis_number, cast, has_tracer, operand
from funcgrad.numpy._indexing import INT64
from funcgrad.numpy._selection import by_mode, take, whole_lines
from funcgrad.numpy._shapes import ravel
from funcgrad.numpy._updates import update
from funcgrad.ops.comparison import select as _select
from funcgrad.ops.shape import reshape
from funcgrad.trace.frame import type_of
from funcgrad.trace.tracer import Tracer, functions, known
from funcgrad.tracebacks import boundary


def _pure(reference: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """A function that NumPy has for writing in place, as one that returns the new array (as in JAX)."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        name = reference.__name__

        @boundary
        @functools.wraps(function)
        def pure(a: Any, *args: Any, inplace: bool = True, **kwargs: Any) -> Any:
            if inplace:
                raise ValueError(
                    f"{name}: arrays under transformation are not written to. "
                    f"Use y = funcgrad.numpy.{name}(x, ..., inplace=False), which returns the new array.{at_line()}"
                )
            result = function(operand(a, name), *args, **kwargs)
            return result if has_tracer((result,)) else as_array(result)

        pure.__module__ = "funcgrad.numpy"
        functions[reference] = pure
        return pure

    return decorate


@_pure(np.fill_diagonal)
def fill_diagonal(a: Any, val: Any, wrap: bool = False) -> Any:
    """The array with its main diagonal replaced: NumPy's `numpy.fill_diagonal`, returning the new array.

    Parameters
    ----------
    a
        An array of two or more axes; with more than two, all extents must be equal.
    val
        The numbers of the diagonal, repeated as often as needed.
    wrap
        Whether the diagonal begins again below the square part of a tall matrix.
    inplace
        Must be False: nothing is written into `a`.

    Returns
    -------
    Array
        The changed array, in its shape and dtype.

    Raises
    ------
    ValueError
        The array has fewer than 2 axes, or more of different extents.

    Examples
    --------
    >>> import numpy as np
    >>> import funcgrad.numpy as fnp
    >>> fnp.fill_diagonal(np.zeros((2, 2)), 1.0, inplace=False)
    Array([[1., 0.],
           [0., 1.]])
    """
    shape = type_of(a).shape
    if len(shape) < 2:
        raise ValueError(f"fill_diagonal: array must be at least 2-d, not of shape {shape}{at_line()}")
    if len(shape) > 2 and len(set(shape)) > 1:
        raise ValueError(f"fill_diagonal: all dimensions of input must be of equal length, not {shape}{at_line()}")
    flags = np.zeros(shape, np.bool_)
    np.fill_diagonal(flags, True, wrap=wrap)
    return _written(a, np.flatnonzero(flags), val)


def _written(a: Any, places: Any, values: Any) -> Any:
    """Flat places of `a` given values, which are repeated as often as needed."""
    values = ravel(operand(values, "put"))
    count = int(np.size(places) if type(places) is not Tracer else type_of(places).size)
    if not count or not type_of(values).size:
        return np.array(a) if type(a) is not Tracer else a
    flat = take(values, np.arange(count) % type_of(values).size, 0)
    written = update("set", ravel(a), places, flat)
    return reshape(written, shape=type_of(a).shape)


@_pure(np.place)
def place(arr: Any, mask: Any, vals: Any) -> Any:
    """The array with the elements under a mask replaced in turn: NumPy's `numpy.place`, returning the new array.

    Parameters
    ----------
    arr, mask
        Arrays of equal size; a traced mask will do.
    vals
        The numbers, repeated as often as needed.
    inplace
        Must be False: nothing is written into `arr`.

    Returns
    -------
    Array
        The changed array, in its shape and dtype.

    Raises
    ------
    ValueError
        Mask and array differ in size, or there are no values to place.
    TypeError
        The values' dtype does not fit the array's.

    Examples
    --------
    >>> import numpy as np
    >>> import funcgrad.numpy as fnp
    >>> fnp.place(np.arange(5), np.array([0, 1, 1, 0, 1]), [7, 8], inplace=False)
    Array([0, 7, 8, 3, 7])
    """
    mask, vals = operand(mask, "place"), ravel(operand(vals, "place"))
    if type_of(mask).size != type_of(arr).size:
        raise ValueError(
            f"place: mask and data must be the same size, not {type_of(mask)} and {type_of(arr)}{at_line()}"
        )
    mask = ravel(mask) != 0
    source, target = type_of(vals).dtype, type_of(arr).dtype
    if not np.can_cast(source, target):
        raise TypeError(f"place: cannot cast values of dtype {source.name} to {target.name} safely{at_line()}")
    if not type_of(vals).size:
        if known(mask) is None or np.any(known(mask)):
            raise ValueError(f"Cannot insert from an empty array!{at_line()}")
        return arr
    flat = ravel(arr)
    number = np.cumsum(cast(mask, INT64)) - 1
    chosen = take(cast(vals, target), number % type_of(vals).size, 0, mode="clip")
    return reshape(_select(mask, flat, chosen), shape=type_of(arr).shape)


@_pure(np.put)
def put(a: Any, ind: Any, v: Any, mode: str = "raise") -> Any:
    """The array with flat places given values: NumPy's `numpy.put`, returning the new array.

    Parameters
    ----------
    a, ind
        The array, and places in it as if it had one axis.
    v
        The numbers, repeated as often as needed.
    mode
        ``"raise"``, ``"clip"`` or ``"wrap"``: what happens to places out of bounds.
    inplace
        Must be False: nothing is written into `a`.

    Returns
    -------
    Array
        The changed array, in its shape and dtype.

    Examples
    --------
    >>> import numpy as np
    >>> import funcgrad.numpy as fnp
    >>> fnp.put(np.arange(5), [0, 2], [-44, -55], inplace=False)
    Array([-44,   1, -55,   3,   4])
    """
    ind = operand(ind, "put")
    if not type_of(ind).size:
        return np.array(a) if type(a) is not Tracer else a
    return _written(a, ravel(by_mode("put", ind, type_of(a).size, mode)), v)


@_pure(np.put_along_axis)
def put_along_axis(arr: Any, indices: Any, values: Any, axis: int | None) -> Any:
    """The array with one element per place of `indices` replaced: NumPy's `numpy.put_along_axis`, returning the new
    array.

    Parameters
    ----------
    arr, indices
        Arrays of as many axes; `indices` holds places along `axis`.
    values
        Broadcast to the shape of `indices`.
    axis
        The axis, or None: `arr` as if it had one.
    inplace
        Must be False: nothing is written into `arr`.

    Returns
    -------
    Array
        The changed array, in its shape and dtype.

    Raises
    ------
    ValueError
        The numbers of axes differ.

    Examples
    --------
    >>> import numpy as np
    >>> import funcgrad.numpy as fnp
    >>> fnp.put_along_axis(np.zeros((2, 3)), np.array([[0], [2]]), 9.0, axis=1, inplace=False)
    Array([[9., 0., 0.],
           [0., 0., 9.]])
    """
    indices, shape = operand(indices, "put_along_axis"), type_of(arr).shape
    if axis is None:
        return reshape(_put_along(ravel(arr), indices, values, 0), shape=shape)
    if len(shape) != type_of(indices).ndim:
        raise ValueError(f"`indices` and `arr` must have the same number of dimensions{at_line()}")
    return _put_along(arr, indices, values, axis_number(axis, len(shape), "put_along_axis"))


def _put_along(arr: Any, indices: Any, values: Any, along: int) -> Any:
    shape, ishape = type_of(arr).shape, type_of(indices).shape
    if len(ishape) != len(shape):
        raise ValueError(f"put_along_axis: indices have shape {ishape}, the array {shape}{at_line()}")
    _, lines = whole_lines("put_along_axis", arr, indices, along)
    full = type_of(lines[0]).shape
    if builtins.any(n != m for k, (n, m) in enumerate(zip(full, shape, strict=True)) if k != along):
        raise IndexError(f"put_along_axis: indices of shape {ishape} do not fit an array of shape {shape}{at_line()}")
    return update("set", arr, tuple(lines), values)
