"""NumPy's functions that treat arrays as sets, and those that say where elements are true.

How long their results are depends on values. Where those are known (outside `jit` and `vmap`) that is no matter;
elsewhere JAX's `size` says it, and `fill_value` what stands in places that are left over.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from funcgrad.dtypes import is_inexact
from funcgrad.errors import at_line
from funcgrad.numpy._common import axis_number, broadcast_to, implements, operand, promoted
from funcgrad.numpy._extended import extends, length_of
from funcgrad.numpy._folds import truth
from funcgrad.numpy._selection import take
from funcgrad.numpy._shapes import moveaxis, ravel, reshape
from funcgrad.ops import sorting
from funcgrad.ops.comparison import convert
from funcgrad.ops.cumulative import cumsum
from funcgrad.ops.indexing import scatter_add
from funcgrad.trace.frame import type_of

INT64 = np.dtype(np.int64)


# Where elements are true ----------------------------------------------------------------------------------------------


def places_of(mask: Any, size: int) -> tuple[Any, Any]:
    """The positions of the first `size` true elements of a 1-d mask, and which of them there are."""
    n = type_of(mask).shape[0]
    so_far = cumsum(convert(mask, dtype=INT64), axis=0, reverse=False)
    wanted = np.arange(1, size + 1)
    found = sorting.searchsorted(so_far, wanted, side="left", batch_ndim=0)
    there = wanted <= (so_far[-1] if n else np.int64(0))
    return np.minimum(found, max(n - 1, 0)), there


def chosen(x: Any, mask: Any, size: int, fill_value: Any) -> Any:
    """The elements of a 1-d array where a mask is true, `fill_value` behind them."""
    if not type_of(x).shape[0]:
        return broadcast_to(convert(fill_value, dtype=type_of(x).dtype), (size,))
    positions, there = places_of(mask, size)
    return np.where(there, take(x, positions), convert(fill_value, dtype=type_of(x).dtype))


@extends(np.nonzero, size=None, fill_value=None)
def nonzero(a: Any, *, size: int | None = None, fill_value: Any = None) -> tuple[Any, ...]:
    """The indices of elements that are not zero, an array for each axis."""
    a = operand(a, "nonzero")
    shape = type_of(a).shape
    if not shape:
        raise ValueError(f"nonzero: calling nonzero on 0d arrays is not allowed. Use np.atleast_1d(x).{at_line()}")
    mask = ravel(truth(a))
    n = length_of(mask, size, "nonzero")
    fills = fill_value if isinstance(fill_value, tuple) else (fill_value,) * len(shape)
    if len(fills) != len(shape):
        raise ValueError(f"nonzero: fill_value has {len(fills)} entries for {len(shape)} axes{at_line()}")
    if not type_of(a).size:
        return tuple(np.full(n, 0 if f is None else f) for f in fills)
    positions, there = places_of(mask, n)
    found = []
    for axis, fill in enumerate(fills):
        inner = int(np.prod(shape[axis + 1 :], dtype=int))
        index = positions // inner % shape[axis]
        found.append(np.where(there, index, np.int64(0) if fill is None else fill))
    return tuple(found)


@extends(np.flatnonzero, size=None, fill_value=None)
def flatnonzero(a: Any, *, size: int | None = None, fill_value: Any = None) -> Any:
    """The positions of elements that are not zero, in one line."""
    return nonzero(ravel(operand(a, "flatnonzero")), size=size, fill_value=fill_value)[0]


@extends(np.argwhere, size=None, fill_value=None)
def argwhere(a: Any, *, size: int | None = None, fill_value: Any = None) -> Any:
    """The indices of elements that are not zero, a row for each."""
    a = operand(a, "argwhere")
    if not type_of(a).ndim:
        return np.zeros((length_of(truth(a), size, "argwhere"), 0), INT64)
    return np.stack(nonzero(a, size=size, fill_value=fill_value), 1)


# Distinct elements ----------------------------------------------------------------------------------------------------


class Groups(NamedTuple):
    """Elements in order, equal ones side by side.

    Attributes
    ----------
    order
        Where each stands in the array.
    first
        Which of them are the first of their kind.
    """

    order: Any
    first: Any


def _unlike(x: Any, equal_nan: bool) -> Any:
    """Which elements (or columns) of a sorted line differ from the one before."""
    differs = x[1:] != x[:-1]
    if equal_nan and is_inexact(type_of(x).dtype):
        differs = differs & ~(np.isnan(x[1:]) & np.isnan(x[:-1]))
    return differs


def _grouped(keys: list[Any], n: int, equal_nan: bool) -> Groups:
    if not keys or not n:
        return Groups(np.arange(n), np.arange(n) == 0)
    order = sorting.lexicographic(keys, 0)
    differs = None
    for key in keys:
        each = _unlike(take(key, order), equal_nan)
        differs = each if differs is None else differs | each
    return Groups(order, np.concatenate([np.ones(1, bool), differs]))


@extends(np.unique, size=None, fill_value=None)
def unique(
    ar: Any,
    return_index: bool = False,
    return_inverse: bool = False,
    return_counts: bool = False,
    axis: int | None = None,
    *,
    equal_nan: bool = True,
    sorted: bool = True,
    size: int | None = None,
    fill_value: Any = None,
) -> Any:
    """The distinct elements in order; where each stands first, which each element is, how often each occurs."""
    ar = operand(ar, "unique")
    shape = type_of(ar).shape
    rows = reshape(ar, (-1,)) if axis is None else moveaxis(ar, axis_number(axis, len(shape), "unique"), 0)
    n = type_of(rows).shape[0]
    flat = rows if axis is None else reshape(rows, (n, int(np.prod(type_of(rows).shape[1:], dtype=int))))
    keys = [flat] if axis is None else [flat[:, k] for k in range(type_of(flat).shape[1])]
    order, first = _grouped(keys, n, equal_nan)
    count = length_of(first, size, "unique")
    if not n:
        return _nothing_unique(rows, count, fill_value, axis, (return_index, return_inverse, return_counts))
    starts, there = places_of(first, count)
    places = take(order, np.where(there, starts, 0))
    values = take(rows, places, 0)
    if fill_value is not None:
        mask = reshape(there, (count, *(1,) * (type_of(rows).ndim - 1)))
        values = np.where(mask, values, convert(fill_value, dtype=type_of(ar).dtype))
    results = [values if axis is None else moveaxis(values, 0, axis)]
    if return_index:
        results.append(places)
    if return_inverse:
        number = cumsum(convert(first, dtype=INT64), axis=0, reverse=False) - 1
        inverse = scatter_add(np.zeros(n, INT64), number, order, axes=(0,))
        results.append(reshape(inverse, shape) if axis is None else inverse)
    if return_counts:
        ends = np.where(there, starts, n)
        results.append(np.concatenate([ends[1:], np.full(1, n)]) - ends)
    return results[0] if len(results) == 1 else tuple(results)


def _nothing_unique(rows: Any, count: int, fill_value: Any, axis: int | None, wanted: tuple[bool, bool, bool]) -> Any:
    if count and fill_value is None:
        raise ValueError(f"unique: an array of size 0 and size={count} need a fill_value{at_line()}")
    kind = type_of(rows)
    values = np.full((count, *kind.shape[1:]), 0 if fill_value is None else fill_value, kind.dtype)
    results = [values if axis is None else np.moveaxis(values, 0, axis)]
    results += [np.zeros(count if k != 1 else 0, INT64) for k, asked in enumerate(wanted) if asked]
    return results[0] if len(results) == 1 else tuple(results)


class UniqueAllResult(NamedTuple):
    """What `unique_all` returns."""

    values: Any
    indices: Any
    inverse_indices: Any
    counts: Any


class UniqueCountsResult(NamedTuple):
    """What `unique_counts` returns."""

    values: Any
    counts: Any


class UniqueInverseResult(NamedTuple):
    """What `unique_inverse` returns."""

    values: Any
    inverse_indices: Any


@extends(np.unique_all, size=None, fill_value=None)
def unique_all(x: Any, /, *, size: int | None = None, fill_value: Any = None) -> UniqueAllResult:
    """The distinct elements, where each stands first, which each element is, how often each occurs."""
    return UniqueAllResult(*unique(x, True, True, True, equal_nan=False, size=size, fill_value=fill_value))


@extends(np.unique_counts, size=None, fill_value=None)
def unique_counts(x: Any, /, *, size: int | None = None, fill_value: Any = None) -> UniqueCountsResult:
    """The distinct elements, and how often each occurs."""
    values, counts = unique(x, return_counts=True, equal_nan=False, size=size, fill_value=fill_value)
    return UniqueCountsResult(values, counts)


@extends(np.unique_inverse, size=None, fill_value=None)
def unique_inverse(x: Any, /, *, size: int | None = None, fill_value: Any = None) -> UniqueInverseResult:
    """The distinct elements, and which of them each element is."""
    values, inverse = unique(x, return_inverse=True, equal_nan=False, size=size, fill_value=fill_value)
    return UniqueInverseResult(values, inverse)


@extends(np.unique_values, size=None, fill_value=None)
def unique_values(x: Any, /, *, size: int | None = None, fill_value: Any = None) -> Any:
    """The distinct elements."""
    return unique(x, equal_nan=False, size=size, fill_value=fill_value)


# Operations on sets ---------------------------------------------------------------------------------------------------


@implements(np.isin)
def isin(
    element: Any, test_elements: Any, assume_unique: bool = False, invert: bool = False, *, kind: str | None = None
) -> Any:
    """Which elements occur in another array."""
    if kind not in (None, "sort", "table"):
        raise ValueError(f"isin: kind is None, 'sort' or 'table', not {kind!r}{at_line()}")
    element, test = promoted("isin", element, test_elements)
    test = sorting.sort(ravel(test), dimension=0, descending=False)
    n = type_of(test).shape[0]
    if not n:
        return np.full(type_of(element).shape, invert)
    place = sorting.searchsorted(test, element, side="left", batch_ndim=0)
    found = take(test, np.minimum(place, n - 1)) == element
    return ~found if invert else found


def _sides(name: str, ar1: Any, ar2: Any) -> tuple[Any, Any]:
    ar1, ar2 = promoted(name, ar1, ar2)
    return ravel(ar1), ravel(ar2)


def _distinct(x: Any) -> tuple[Any, Any, Any]:
    """A line in order, which elements are the first of their kind, and where each stood."""
    order, first = _grouped([x], type_of(x).shape[0], True)
    return take(x, order), first, order


def _smallest(x: Any, mask: Any) -> Any:
    """The first element of a line where a mask is true."""
    return take(x, np.argmax(mask)) if type_of(x).shape[0] else 0


@extends(np.union1d, size=None, fill_value=None)
def union1d(ar1: Any, ar2: Any, *, size: int | None = None, fill_value: Any = None) -> Any:
    """The distinct elements of two arrays, in order."""
    return unique(np.concatenate(_sides("union1d", ar1, ar2)), size=size, fill_value=fill_value)


@extends(np.intersect1d, size=None, fill_value=None)
def intersect1d(
    ar1: Any,
    ar2: Any,
    assume_unique: bool = False,
    return_indices: bool = False,
    *,
    size: int | None = None,
    fill_value: Any = None,
) -> Any:
    """The distinct elements that both arrays have, in order; and where each stands first in both."""
    ar1, ar2 = _sides("intersect1d", ar1, ar2)
    values, first, order = _distinct(ar1)
    mask = first & isin(values, ar2)
    count = length_of(mask, size, "intersect1d")
    common = chosen(values, mask, count, _smallest(values, mask) if fill_value is None else fill_value)
    if not return_indices:
        return common
    ordered, _, order2 = _distinct(ar2)
    places = np.minimum(sorting.searchsorted(ordered, values, side="left", batch_ndim=0), len(order2) - 1)
    seconds = take(order2, places) if type_of(ar2).shape[0] else np.zeros(type_of(values).shape, INT64)
    n1, n2 = type_of(ar1).shape[0], type_of(ar2).shape[0]
    return common, chosen(order, mask, count, n1), chosen(seconds, mask, count, n2)


@extends(np.setdiff1d, size=None, fill_value=None)
def setdiff1d(
    ar1: Any, ar2: Any, assume_unique: bool = False, *, size: int | None = None, fill_value: Any = None
) -> Any:
    """The distinct elements of one array that another does not have."""
    ar1, ar2 = (ravel(operand(x, "setdiff1d")) for x in (ar1, ar2))
    values, first = (ar1, True) if assume_unique else _distinct(ar1)[:2]
    mask = isin(values, ar2, invert=True) & first
    return chosen(values, mask, length_of(mask, size, "setdiff1d"), 0 if fill_value is None else fill_value)


@extends(np.setxor1d, size=None, fill_value=None)
def setxor1d(
    ar1: Any, ar2: Any, assume_unique: bool = False, *, size: int | None = None, fill_value: Any = None
) -> Any:
    """The distinct elements that one of two arrays has and the other has not, in order."""
    ar1, ar2 = _sides("setxor1d", ar1, ar2)
    (x, own1, _), (y, own2, _) = _distinct(ar1), _distinct(ar2)
    values = np.concatenate([x, y])
    mask = np.concatenate([own1 & isin(x, ar2, invert=True), own2 & isin(y, ar1, invert=True)])
    order = sorting.argsort(values, dimension=0, descending=False)
    values, mask = take(values, order), take(mask, order)
    fill = _smallest(values, mask) if fill_value is None else fill_value
    return chosen(values, mask, length_of(mask, size, "setxor1d"), fill)
