"""How are running combinations computed in few rounds?  `associative_scan`: even and odd elements, recursively."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from funcgrad import tree
from funcgrad.array import as_array
from funcgrad.errors import at_line
from funcgrad.ops.families import operation
from funcgrad.trace.frame import type_of

__all__ = ["associative_scan"]


def associative_scan(fn: Callable[[Any, Any], Any], elems: Any, reverse: bool = False, axis: int = 0) -> Any:
    """The running combinations of the slices along an axis by an associative function, in O(log n) rounds.

    The rounds combine whole arrays (Blelloch 1990), so that `fn` is called on arrays and not on slices.

    Parameters
    ----------
    fn
        ``fn(a, b)``: takes and returns pytrees like `elems`, and must be associative.
    elems
        A pytree of arrays of equal extent along `axis`.
    reverse
        Whether to start from the end.
    axis
        Which axis counts the elements.

    Returns
    -------
    pytree of Array
        The structure, shapes and dtypes of `elems`.

    Raises
    ------
    TypeError
        `fn` is no function, or changes shapes or the structure.
    ValueError
        A leaf has no such axis, or extents along it differ.

    Examples
    --------
    >>> import operator
    >>> import numpy as np
    >>> import funcgrad as fg
    >>> fg.lax.associative_scan(operator.add, np.arange(1, 6))
    Array([ 1,  3,  6, 10, 15])
    """
    if not callable(fn):
        raise TypeError(f"associative_scan: a function is needed, not {fn!r}{at_line()}")
    leaves, structure = tree.flatten(elems)
    types = [type_of(x) for x in leaves]
    for t in types:
        if not -t.ndim <= axis < t.ndim:
            raise ValueError(f"associative_scan: axis {axis} is out of bounds for a leaf of type {t}{at_line()}")
    extents = {t.shape[axis] for t in types}
    if len(extents) > 1:
        raise ValueError(f"associative_scan: extents along the axis differ: {sorted(extents)}{at_line()}")
    axes = [axis % t.ndim for t in types]
    flip = operation("rev")

    def turned(values: Sequence[Any]) -> list[Any]:
        return [flip(x, dimensions=(k,)) for x, k in zip(values, axes, strict=True)] if reverse else list(values)

    def combine(a: list[Any], b: list[Any]) -> list[Any]:
        result = tree.leaves(fn(tree.unflatten(structure, a), tree.unflatten(structure, b)))
        if [type_of(x).shape for x in result] != [type_of(x).shape for x in a]:
            raise TypeError(f"associative_scan: fn must keep shapes and the structure of its arguments{at_line()}")
        return result

    found = turned(_run(combine, turned(leaves), axes))
    return tree.unflatten(structure, [as_array(x) if isinstance(x, np.ndarray) else x for x in found])


def _run(combine: Callable[[list[Any], list[Any]], list[Any]], xs: list[Any], axes: list[int]) -> list[Any]:
    """The running combinations: those of pairs give every second one, and one more combination each the others."""
    n = type_of(xs[0]).shape[axes[0]] if xs else 0
    if n < 2:
        return xs
    lows, highs = _cuts(xs, axes, 0, n - 1, 2), _cuts(xs, axes, 1, n, 2)
    odd = _run(combine, combine(lows, highs), axes)
    even = _cuts(xs, axes, 0, 1)
    if n > 2:
        later = combine(_cuts(odd, axes, 0, (n - 1) // 2), _cuts(xs, axes, 2, n, 2))
        join = operation("concatenate")
        even = [join(a, b, dimension=k) for a, b, k in zip(even, later, axes, strict=True)]
    return [_interleaved(a, b, k) for a, b, k in zip(even, odd, axes, strict=True)]


def _cuts(xs: Sequence[Any], axes: Sequence[int], start: int, stop: int, step: int = 1) -> list[Any]:
    """A slice of every array along its axis."""
    found = []
    for x, k in zip(xs, axes, strict=True):
        shape = type_of(x).shape
        lows, highs, steps = [0] * len(shape), list(shape), [1] * len(shape)
        lows[k], highs[k], steps[k] = start, stop, step
        found.append(operation("slice")(x, start_indices=tuple(lows), limit_indices=tuple(highs), strides=tuple(steps)))
    return found


def _interleaved(even: Any, odd: Any, axis: int) -> Any:
    """even[0], odd[0], even[1], ...: there may be one more that is even."""
    reshape, join = operation("reshape"), operation("concatenate")
    shape = type_of(odd).shape
    pairs = shape[axis]
    front, back = shape[:axis], shape[axis + 1 :]
    both = [reshape(x, shape=(*front, pairs, 1, *back)) for x in (*_cuts([even], [axis], 0, pairs), odd)]
    woven = reshape(join(*both, dimension=axis + 1), shape=(*front, 2 * pairs, *back))
    extra = type_of(even).shape[axis]
    if extra == pairs:
        return woven
    return join(woven, *_cuts([even], [axis], pairs, extra), dimension=axis)
