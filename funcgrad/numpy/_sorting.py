"""NumPy's functions that put in order, or look for a place in what is in order."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.errors import at_line
from funcgrad.numpy._common import axis_number, concrete, dtype_of, implements, operand, promoted
from funcgrad.numpy._extended import completed, extends
from funcgrad.numpy._selection import take
from funcgrad.numpy._shapes import ravel, reshape
from funcgrad.ops import partition as selection
from funcgrad.ops import sorting
from funcgrad.ops.comparison import convert
from funcgrad.trace.frame import type_of

KINDS = (None, "quicksort", "mergesort", "heapsort", "stable", "Q", "q", "M", "m", "H", "h", "S", "s")


def _sorted_line(name: str, a: Any, axis: int | None, kind: Any = None, order: Any = None) -> tuple[Any, int]:
    """The operand, flat if there is no axis, and the checked axis."""
    if order is not None:
        raise ValueError(f"{name}: order= is for arrays with named fields{at_line()}")
    if kind not in KINDS:
        raise ValueError(f"{name}: sort kind must be one of 'quick', 'heap', or 'stable' (got {kind!r}){at_line()}")
    a = operand(a, name)
    if axis is None:
        return ravel(a), 0
    return a, axis_number(axis, type_of(a).ndim, name)


@extends(np.sort, descending=False)
def sort(
    a: Any,
    axis: int | None = -1,
    kind: Any = None,
    order: Any = None,
    *,
    stable: bool | None = None,
    descending: bool = False,
) -> Any:
    """The elements in order along an axis."""
    a, along = _sorted_line("sort", a, axis, kind, order)
    return sorting.sort(a, dimension=along, descending=descending)


def _stable(count: int, named: dict[str, Any]) -> dict[str, Any]:
    """Known arrays are sorted as traced ones are, and as the Array API standard has it, unless a kind is asked for."""
    said = count > 2 or named.get("kind") is not None or named.get("stable") is not None
    return named if said else named | {"stable": True}


@completed(_stable)
@extends(np.argsort, descending=False)
def argsort(
    a: Any,
    axis: int | None = -1,
    kind: Any = None,
    order: Any = None,
    *,
    stable: bool | None = None,
    descending: bool = False,
) -> Any:
    """Where the elements stand that come first, second, ... along an axis; equal ones in the order they have."""
    a = operand(a, "argsort")
    a, along = _sorted_line("argsort", a if type_of(a).ndim else reshape(a, (1,)), axis, kind, order)
    return sorting.argsort(a, dimension=along, descending=descending)


@implements(np.sort_complex)
def sort_complex(a: Any) -> Any:
    """The elements in order along the last axis, as complex numbers."""
    ordered = sort(a)
    dtype = type_of(ordered).dtype
    single = (dtype.kind in "iu" and dtype.itemsize <= 2) or dtype == np.complex64
    return convert(ordered, dtype=dtype_of(np.complex64 if single else np.complex128))


@implements(np.lexsort)
def lexsort(keys: Any, axis: int = -1) -> Any:
    """The order by the last key, where equal by the last but one, and so on."""
    columns = [operand(k, "lexsort") for k in keys]
    if not columns:
        raise TypeError(f"lexsort: need sequence of keys with len > 0{at_line()}")
    shapes = {type_of(k).shape for k in columns}
    if len(shapes) > 1:
        raise ValueError(f"lexsort: all keys need to be the same shape, not {', '.join(map(str, shapes))}{at_line()}")
    along = axis_number(axis, len(shapes.pop()), "lexsort")
    return sorting.lexicographic(columns[::-1], along)


def _places(name: str, kth: Any, kind: str, n: int) -> tuple[int, ...]:
    """The places that are asked for, counted from the front, in order."""
    if kind != "introselect":
        raise ValueError(f"{name}: select kind must be 'introselect' (got {kind!r}){at_line()}")
    places = np.asarray(kth)
    if places.dtype.kind not in "iu":
        raise TypeError(f"{name}: partition index must be integer, not {places.dtype.name}{at_line()}")
    if places.ndim > 1:
        raise ValueError(f"{name}: kth array must have dimension <= 1, not shape {places.shape}{at_line()}")
    if np.any((places < -n) | (places >= n)):
        raise ValueError(f"{name}: kth(={kth}) out of bounds ({n}){at_line()}")
    return tuple(sorted({int(k) % n for k in places.ravel()}))


@implements(np.partition)
def partition(a: Any, kth: Any, axis: int | None = -1, kind: str = "introselect", order: Any = None) -> Any:
    """The elements with the `kth` where it stands in order, smaller ones before it, larger ones behind it."""
    a, along = _sorted_line("partition", a, axis, None, order)
    return selection.partition(a, dimension=along, kth=_places("partition", kth, kind, type_of(a).shape[along]))


@implements(np.argpartition)
def argpartition(a: Any, kth: Any, axis: int | None = -1, kind: str = "introselect", order: Any = None) -> Any:
    """Where elements stand that come in the order of `partition`."""
    a, along = _sorted_line("argpartition", a, axis, None, order)
    return selection.argpartition(a, dimension=along, kth=_places("argpartition", kth, kind, type_of(a).shape[along]))


@extends(np.searchsorted, method="scan")
def searchsorted(a: Any, v: Any, side: str = "left", sorter: Any = None, *, method: str = "scan") -> Any:
    """Before which elements of a sorted 1-d array numbers would have to be put to keep it sorted."""
    if side not in ("left", "right"):
        raise ValueError(f"searchsorted: side must be 'left' or 'right' (got {side!r}){at_line()}")
    a, v = promoted("searchsorted", a, v)
    if type_of(a).ndim != 1:
        raise ValueError(f"searchsorted: object too deep: a has shape {type_of(a).shape}, not one axis{at_line()}")
    if sorter is not None:
        if type_of(operand(sorter, "searchsorted")).shape != type_of(a).shape:
            raise ValueError(f"searchsorted: sorter.size must equal a.size{at_line()}")
        a = take(a, sorter)
    return sorting.searchsorted(a, v, side=side, batch_ndim=0)


@implements(np.digitize)
def digitize(x: Any, bins: Any, right: bool = False) -> Any:
    """The number of the bin that each element lies in."""
    x, bins = operand(x, "digitize"), operand(bins, "digitize")
    if type_of(x).dtype.kind == "c":
        raise TypeError(f"digitize: x may not be complex{at_line()}")
    if type_of(bins).ndim != 1:
        raise ValueError(f"digitize: bins have shape {type_of(bins).shape}, not one axis{at_line()}")
    n, side, edges = type_of(bins).shape[0], "left" if right else "right", concrete(bins)
    if edges is None:  # from the first and last edge, as they come
        upwards = searchsorted(bins, x, side)
        downwards = n - searchsorted(bins[::-1], x, side)
        return np.where(bins[0] <= bins[-1], upwards, downwards) if n > 1 else upwards
    steps = np.sign(np.diff(np.asarray(edges, np.float64)))
    if (np.any(steps > 0) and np.any(steps < 0)) or np.any(np.isnan(steps)):
        raise ValueError(f"digitize: bins must be monotonically increasing or decreasing{at_line()}")
    if np.any(steps < 0):
        return n - searchsorted(bins[::-1], x, side)
    return searchsorted(bins, x, side)
