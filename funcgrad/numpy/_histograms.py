"""NumPy's functions that count: bincount, histograms and their edges."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad.errors import ConcretizationTypeError, at_line
from funcgrad.numpy._common import cast, concrete, implements, operand
from funcgrad.numpy._extended import extends
from funcgrad.numpy._shapes import ravel, reshape
from funcgrad.numpy._sorting import searchsorted
from funcgrad.ops.comparison import convert
from funcgrad.ops.indexing import check_index, scatter_add
from funcgrad.trace.frame import type_of
from funcgrad.trace.tracer import Tracer

INT64, FLOAT64 = np.dtype(np.int64), np.dtype(np.float64)


def _counted(places: Any, weights: Any, length: int) -> Any:
    """The sum of weights at each place (their number without weights)."""
    ones = np.broadcast_to(np.int64(1), type_of(places).shape) if weights is None else weights
    zeros = np.broadcast_to(type_of(ones).dtype.type(0), (length,))
    return scatter_add(zeros, ones, places, axes=(0,))


@extends(np.bincount, length=None)
def bincount(x: Any, weights: Any = None, minlength: int = 0, *, length: int | None = None) -> Any:
    """How often each of the numbers 0, 1, 2, ... occurs, or the sum of weights there.

    With `length` that many are counted; larger numbers are left out.
    """
    x = operand(x, "bincount")
    kind = type_of(x)
    if kind.ndim != 1:
        raise ValueError(f"bincount: object of shape {kind.shape} has not one axis{at_line()}")
    if kind.dtype.kind not in "iub" or kind.dtype == np.uint64:
        raise TypeError(f"bincount: cannot cast array data from {kind.dtype.name} to int64 safely{at_line()}")
    if operator.index(minlength) < 0:
        raise ValueError(f"bincount: 'minlength' must not be negative{at_line()}")
    if weights is not None and kind.shape[0]:
        weights = cast(operand(weights, "bincount"), FLOAT64)
        if type_of(weights).shape != kind.shape:
            raise ValueError(
                f"bincount: the weights and list don't have the same length: {type_of(weights).shape} and "
                f"{kind.shape}{at_line()}"
            )
    n = _length(x, minlength, length)
    if not kind.shape[0]:
        return np.zeros(n, INT64)
    places: Any = np.where(x < 0, np.int64(n + 1), np.minimum(cast(x, INT64), n))
    places = check_index(places, size=n + 1) if type(places) is Tracer else places
    return _counted(places, weights, n + 1)[:n]


def _length(x: Any, minlength: int, length: int | None) -> int:
    if length is not None:
        return max(operator.index(length), operator.index(minlength))
    known = concrete(x)
    if known is None:
        raise ConcretizationTypeError(
            "numpy.bincount: the size of the result depends on the values of a traced array, which has none yet. Say "
            f"how many numbers there are: bincount(x, length=n).{at_line()}"
        )
    known = np.asarray(known)
    if known.size and known.min() < 0:
        raise ValueError(f"bincount: 'list' argument must have no negative elements{at_line()}")
    return max(int(known.max()) + 1 if known.size else 0, operator.index(minlength))


# Edges ----------------------------------------------------------------------------------------------------------------


def _limits(name: str, a: Any, given: Any) -> tuple[Any, Any]:
    """The first and the last edge."""
    if given is not None:
        first, last = given
        for x in (first, last):
            known = concrete(operand(x, name))
            if known is not None and not np.isfinite(known):
                raise ValueError(f"{name}: supplied range of [{first}, {last}] is not finite{at_line()}")
        if concrete(operand(first, name)) is not None and concrete(operand(last, name)) is not None and first > last:
            raise ValueError(f"{name}: max must be larger than min in range parameter.{at_line()}")
    elif not type_of(a).size:
        first, last = 0, 1
    else:
        first, last = np.min(a), np.max(a)
    same = np.equal(first, last)
    if type(same) is Tracer:
        return np.where(same, first - 0.5, first), np.where(same, last + 0.5, last)
    return (first - 0.5, last + 0.5) if same else (first, last)


def _edges(name: str, a: Any, bins: Any, given: Any) -> Any:
    """The edges of bins in one line."""
    if isinstance(bins, str):
        known = concrete(a)
        if known is None:
            raise ConcretizationTypeError(
                f"numpy.{name}: bins={bins!r} chooses their number from the values of a traced array, which has none "
                f"yet. Say how many bins there are.{at_line()}"
            )
        bins = len(np.histogram_bin_edges(np.asarray(known), bins, given)) - 1
    bins = operand(bins, name)
    if type_of(bins).ndim > 1:
        raise ValueError(f"{name}: `bins` must be 1d, when an array{at_line()}")
    if type_of(bins).ndim == 1:
        known = concrete(bins)
        if known is not None and np.any(np.asarray(known)[:-1] > np.asarray(known)[1:]):
            raise ValueError(f"{name}: `bins` must increase monotonically, when an array{at_line()}")
        return bins
    try:
        count = operator.index(bins)
    except ConcretizationTypeError:
        raise
    except TypeError:
        raise TypeError(f"{name}: `bins` must be an integer, a string, or an array, not {bins!r}{at_line()}") from None
    if count < 1:
        raise ValueError(f"{name}: `bins` must be positive, when an integer{at_line()}")
    first, last = _limits(name, a, given)
    dtype = np.result_type(*(x if isinstance(x, (int, float)) else type_of(x).dtype for x in (first, last, a)))
    dtype = np.result_type(dtype, np.float64) if dtype.kind in "iub" else dtype
    return cast(np.linspace(first, last, count + 1), dtype)


def _line(name: str, a: Any) -> Any:
    a = ravel(operand(a, name))
    return cast(a, np.dtype(np.uint8)) if type_of(a).dtype.kind == "b" else a


@implements(np.histogram_bin_edges)
def histogram_bin_edges(a: Any, bins: Any = 10, range: Any = None, weights: Any = None) -> Any:
    """The edges of the bins that `histogram` counts in."""
    return _edges("histogram_bin_edges", _line("histogram_bin_edges", a), bins, range)


def _bins_of(a: Any, edges: Any) -> Any:
    """The number of each element's bin, the last edge belonging to the last one; what lies outside is put behind."""
    n = type_of(edges).shape[0] - 1
    place = searchsorted(edges, a, "right") - 1
    place = np.where(a == edges[-1], n - 1, place)
    return np.where((place < 0) | (place >= n), n, place)


@implements(np.histogram)
def histogram(a: Any, bins: Any = 10, range: Any = None, density: Any = None, weights: Any = None) -> tuple[Any, Any]:
    """How many elements lie in each bin, and the edges of the bins."""
    line = _line("histogram", a)
    if weights is not None:
        weights = operand(weights, "histogram")
        if type_of(weights).shape != type_of(operand(a, "histogram")).shape:
            raise ValueError(f"histogram: weights should have the same shape as a.{at_line()}")
        weights = ravel(weights)
    edges = _edges("histogram", line, bins, range)
    n = type_of(edges).shape[0] - 1
    counts = _counted(_bins_of(line, edges), weights, n + 1)[:n]
    if density:
        widths = cast(edges[1:] - edges[:-1], FLOAT64)
        counts = counts / widths / np.sum(counts)
    return counts, edges


# Several dimensions ---------------------------------------------------------------------------------------------------


@implements(np.histogramdd)
def histogramdd(
    sample: Any, bins: Any = 10, range: Any = None, density: Any = None, weights: Any = None
) -> tuple[Any, tuple[Any, ...]]:
    """How many points lie in each box of a grid, and the edges along each axis."""
    columns = _columns(sample)
    count = len(columns)
    if isinstance(bins, (tuple, list)) or type_of(operand(bins, "histogramdd")).ndim:
        if len(bins) != count:
            raise ValueError(
                f"histogramdd: the dimension of bins must be equal to the dimension of the sample {count}{at_line()}"
            )
        each = list(bins)
    else:
        each = [bins] * count
    ranges = [None] * count if range is None else list(range)
    if len(ranges) != count:
        raise ValueError(f"histogramdd: range argument must have one entry per dimension{at_line()}")
    edges = tuple(_edges("histogramdd", x, b, r) for x, b, r in zip(columns, each, ranges, strict=True))
    sizes = tuple(type_of(e).shape[0] for e in edges)  # one more than there are bins: what lies outside
    place: Any = np.int64(0)
    for x, e, size in zip(columns, edges, sizes, strict=True):
        place = place * size + _bins_of(x, e)
    if weights is not None:
        weights = cast(ravel(operand(weights, "histogramdd")), FLOAT64)
    counts = convert(_counted(place, weights, int(np.prod(sizes, dtype=int))), dtype=FLOAT64)
    counts = reshape(counts, sizes)[tuple(slice(0, size - 1) for size in sizes)]
    if density:
        total = np.sum(counts)
        for axis, e in enumerate(edges):
            counts = counts / reshape(e[1:] - e[:-1], tuple(-1 if k == axis else 1 for k in _axes(count)))
        counts = counts / total
    return counts, edges


def _axes(count: int) -> Sequence[int]:
    return tuple(np.arange(count).tolist())


def _columns(sample: Any) -> list[Any]:
    """The coordinates of points, axis by axis."""
    if isinstance(sample, (tuple, list)):
        return [cast(ravel(operand(x, "histogramdd")), FLOAT64) for x in sample]
    points = operand(sample, "histogramdd")
    if type_of(points).ndim == 1:
        return [points]
    if type_of(points).ndim != 2:
        raise ValueError(f"histogramdd: sample has shape {type_of(points).shape}, not two axes{at_line()}")
    return [points[:, k] for k in _axes(type_of(points).shape[1])]


@implements(np.histogram2d)
def histogram2d(
    x: Any, y: Any, bins: Any = 10, range: Any = None, density: Any = None, weights: Any = None
) -> tuple[Any, Any, Any]:
    """How many points of the plane lie in each box, and the edges along both axes."""
    x, y = operand(x, "histogram2d"), operand(y, "histogram2d")
    if type_of(x).shape != type_of(y).shape:
        raise ValueError(f"histogram2d: x and y must have the same length, not {type_of(x).shape}, {type_of(y).shape}")
    both = isinstance(bins, (tuple, list)) and len(bins) in (1, 2)
    each = bins if both else [bins, bins]
    counts, edges = histogramdd([x, y], list(each), range, density, weights)
    return counts, edges[0], edges[1]
