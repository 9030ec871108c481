"""NumPy's quantiles: of which elements in order is one made, and how?  R. J. Hyndman, Y. Fan, "Sample quantiles in
statistical packages", The American Statistician 50 (1996), number nine ways of which; NumPy adds four of older date.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from funcgrad.dtypes import BFLOAT16, is_inexact
from funcgrad.errors import at_line
from funcgrad.numpy._common import axis_numbers, broadcast_to, cast, concrete, implements, operand
from funcgrad.numpy._reductions import _plain
from funcgrad.numpy._selection import take_along_axis
from funcgrad.numpy._shapes import moveaxis, reshape
from funcgrad.ops import sorting
from funcgrad.ops.comparison import convert
from funcgrad.trace.frame import type_of

INT64 = np.dtype(np.int64)
Rule = Callable[[Any, Any], Any]


def _between(alpha: float, beta: float) -> Rule:
    return lambda n, q: n * q + (alpha + q * (1 - alpha - beta)) - 1


def _step_up(index: Any) -> Any:
    """The next whole number, or the number itself where it is whole."""
    return np.maximum(np.ceil(index), 0)


def _nearest_even(n: Any, q: Any) -> Any:
    """The nearest of the places counted from 1; halfway the even one."""
    index = n * q - 1.5
    low = np.floor(index)
    return np.maximum(np.where((index == low) & (low % 2 == 1), low, low + 1), 0)


# A whole number is the place of the element; anything else lies between two.
PLACES: dict[str, Rule] = {
    "inverted_cdf": lambda n, q: _step_up(n * q - 1),
    "closest_observation": _nearest_even,
    "lower": lambda n, q: np.floor((n - 1) * q),
    "higher": lambda n, q: np.ceil((n - 1) * q),
    "nearest": lambda n, q: np.round((n - 1) * q),
}
BETWEEN: dict[str, Rule] = {
    "averaged_inverted_cdf": lambda n, q: n * q - 1,
    "interpolated_inverted_cdf": _between(0, 1),
    "hazen": _between(0.5, 0.5),
    "weibull": _between(0, 0),
    "linear": lambda n, q: (n - 1) * q,
    "median_unbiased": _between(1 / 3, 1 / 3),
    "normal_unbiased": _between(3 / 8, 3 / 8),
    "midpoint": lambda n, q: 0.5 * (np.floor((n - 1) * q) + np.ceil((n - 1) * q)),
}


def _share(method: str, index: Any, low: Any) -> Any:
    """How far towards the next element."""
    gamma = index - low
    if method == "averaged_inverted_cdf":
        return np.where(gamma == 0, 0.5, 1.0)
    if method == "midpoint":
        return np.where(index % 1 == 0, 0.0, 0.5)
    return gamma


def _lerp(low: Any, high: Any, gamma: Any) -> Any:
    """From the nearer end, so that equal ends give themselves and the result never leaves them."""
    apart = high - low
    return np.where(gamma >= 0.5, high - apart * (1 - gamma), low + apart * gamma)


def _lines(name: str, a: Any, axis: Any) -> tuple[Any, tuple[int, ...]]:
    """The array with what is folded as its first axis, and the axes."""
    ndim = type_of(a).ndim
    axes = axis_numbers(axis, ndim, name)
    shape = type_of(a).shape
    rest = tuple(n for k, n in enumerate(shape) if k not in axes)
    count = int(np.prod([shape[k] for k in axes], dtype=int))
    return reshape(moveaxis(a, axes, tuple(range(len(axes)))) if axes else a, (count, *rest)), axes


def _kept(out: Any, front: int, axes: tuple[int, ...], keepdims: bool) -> Any:
    """A result with axes of extent 1 where there were others."""
    if not keepdims:
        return out
    shape = type_of(out).shape
    rest = list(shape[front:])
    for k in axes:
        rest.insert(k, 1)
    return reshape(out, (*shape[:front], *rest))


def _checked_fractions(name: str, q: Any, a: Any, percent: bool) -> Any:
    """What is asked for, between 0 and 1; a Python number takes the dtype of the data."""
    weak = isinstance(q, (int, float))
    q = operand(q, name)
    dtype = type_of(a).dtype
    if type_of(q).dtype.kind == "c" or dtype.kind == "c":
        raise TypeError(f"{name}: a and q must be real, not complex{at_line()}")
    if weak and dtype.kind == "f":
        q = dtype.type(q)
    if percent:
        q = q / (dtype.type(100) if dtype.kind == "f" else 100)
    known = concrete(q)
    if known is not None and not np.all((np.asarray(known) >= 0) & (np.asarray(known) <= 1)):
        limits = "Percentiles must be in the range [0, 100]" if percent else "Quantiles must be in the range [0, 1]"
        raise ValueError(f"{limits}{at_line()}")
    return q


def _at(ordered: Any, places: Any) -> Any:
    """Elements of the first axis: one of each line for each place, whose lines may be one for all."""
    kind, wanted = type_of(ordered), type_of(places)
    places = convert(places, dtype=INT64)
    front = wanted.ndim - (kind.ndim - 1)
    full = (*wanted.shape[:front], *kind.shape[1:])
    flat = reshape(broadcast_to(places, full), (math.prod(wanted.shape[:front]), *kind.shape[1:]))
    return reshape(take_along_axis(ordered, flat, 0), full)


def _quantile(name: str, a: Any, q: Any, axis: Any, method: str, keepdims: bool, skip_nan: bool) -> Any:
    if method not in PLACES and method not in BETWEEN:
        raise ValueError(f"{name}: {method!r} is not a valid method. Use one of: {[*PLACES, *BETWEEN]}{at_line()}")
    lines, axes = _lines(name, a, axis)
    n = type_of(lines).shape[0]
    if not n:
        raise IndexError(f"{name}: there are no elements along axes {axes} of shape {type_of(a).shape}{at_line()}")
    if type_of(q).ndim > 2:
        raise ValueError(f"{name}: q must be a scalar or 1d{at_line()}")
    rest = type_of(lines).ndim - 1
    ordered = sorting.sort(lines, dimension=0, descending=False)
    missing = np.isnan(ordered) if is_inexact(type_of(a).dtype) else None
    fractions = reshape(q, (*type_of(q).shape, *(1,) * rest))
    count: Any = n
    if missing is not None and skip_nan:
        count = np.sum(cast(~missing, type_of(fractions).dtype if type_of(q).dtype.kind == "f" else np.dtype("f8")), 0)
    out = _of_sorted(ordered, count, fractions, method)
    if missing is not None:
        out = np.where(missing[0] if skip_nan else missing[-1], type_of(a).dtype.type(np.nan), out)
    return _kept(out, type_of(q).ndim, axes, keepdims)


def _of_sorted(ordered: Any, count: Any, fractions: Any, method: str) -> Any:
    if method in PLACES:
        return _at(ordered, np.clip(PLACES[method](count, fractions), 0, count - 1))
    index = BETWEEN[method](count, fractions)
    if method == "linear" and type_of(index).dtype.kind in "iu":
        return _at(ordered, index)
    low = np.clip(np.floor(index), 0, count - 1)
    high = np.clip(np.floor(index) + 1, 0, count - 1)
    first, second = _at(ordered, np.maximum(low, 0)), _at(ordered, np.maximum(high, 0))
    return _lerp(first, second, _share(method, index, np.floor(index)))


# With weights --------------------------------------------------------------------------------------------------------


def _checked_weights(name: str, weights: Any, a: Any, axis: Any, method: str) -> Any:
    """Weights in the shape of the data."""
    if method != "inverted_cdf":
        raise ValueError(f"{name}: Only method 'inverted_cdf' supports weights. Got: {method}.{at_line()}")
    weights, shape = operand(weights, name), type_of(a).shape
    if type_of(weights).dtype.kind == "c":
        raise TypeError(f"{name}: weights must be real, not complex{at_line()}")
    known = concrete(weights)
    if known is not None and np.any(np.asarray(known) < 0):
        raise ValueError(f"{name}: Weights must be non-negative.{at_line()}")
    have = type_of(weights).shape
    if have == shape:
        return weights
    if axis is None:
        raise TypeError(
            f"{name}: axis must be specified when shapes of a and weights differ: {shape} and {have}{at_line()}"
        )
    axes = [k % len(shape) for k in ((axis,) if isinstance(axis, int) else axis)]
    if have != tuple(shape[k] for k in axes):
        raise ValueError(
            f"{name}: shape of weights {have} must be consistent with shape of a {shape} along axis {axis}{at_line()}"
        )
    order = tuple(int(k) for k in np.argsort(axes))
    spread = tuple(n if k in axes else 1 for k, n in enumerate(shape))
    return broadcast_to(reshape(np.transpose(weights, order), spread), shape)


def _weighted(name: str, a: Any, q: Any, axis: Any, weights: Any, keepdims: bool, skip_nan: bool) -> Any:
    """The first element in order at which the weights so far are that fraction of all."""
    lines, axes = _lines(name, a, axis)
    shares, _ = _lines(name, weights, axis)
    n, rest = type_of(lines).shape[0], type_of(lines).ndim - 1
    if not n:
        raise IndexError(f"{name}: there are no elements along axes {axes} of shape {type_of(a).shape}{at_line()}")
    order = sorting.argsort(lines, dimension=0, descending=False)
    ordered, shares = sorting.reordered(lines, order, 0), cast(sorting.reordered(shares, order, 0), np.dtype("f8"))
    missing = np.isnan(ordered) if is_inexact(type_of(a).dtype) else None
    if missing is not None and skip_nan:
        shares = np.where(missing, 0.0, shares)
    reached = np.cumsum(shares, axis=0)
    reached = reached / reached[-1:]
    if type_of(q).dtype.kind == "f":
        reached = cast(reached, type_of(q).dtype)
    reached = np.where(reached == 0, type_of(reached).dtype.type(-1), reached)  # what weighs nothing is never first
    front = type_of(q).ndim
    fractions = reshape(q, (*type_of(q).shape, *(1,) * (rest + 1)))
    places = np.sum(reached < fractions, axis=front)
    out = _at(ordered, np.minimum(places, n - 1))
    if missing is not None:
        out = np.where(missing[0] if skip_nan else missing[-1], type_of(a).dtype.type(np.nan), out)
    return _kept(out, front, axes, keepdims)


def _function(name: str, percent: bool, skip_nan: bool) -> Any:
    def function(
        a: Any,
        q: Any,
        axis: Any = None,
        out: None = None,
        overwrite_input: bool = False,
        method: str = "linear",
        keepdims: Any = False,
        *,
        weights: Any = None,
    ) -> Any:
        _plain(name, out)
        a = operand(a, name)
        fractions = _checked_fractions(name, q, a, percent)
        keep = keepdims if isinstance(keepdims, bool) else False
        if weights is None:
            out = _quantile(name, a, fractions, axis, method, keep, skip_nan)
        else:
            out = _weighted(name, a, fractions, axis, _checked_weights(name, weights, a, axis, method), keep, skip_nan)
        dtype = np.dtype(np.float32) if type_of(a).dtype == BFLOAT16 else type_of(a).dtype
        return cast(out, dtype) if isinstance(q, (int, float)) and dtype.kind == "f" else out

    return function


quantile = implements(np.quantile)(_function("quantile", False, False))
percentile = implements(np.percentile)(_function("percentile", True, False))
nanquantile = implements(np.nanquantile)(_function("nanquantile", False, True))
nanpercentile = implements(np.nanpercentile)(_function("nanpercentile", True, True))


def _median(name: str, a: Any, axis: Any, out: None, keepdims: Any, skip_nan: bool) -> Any:
    """The middle element, or the mean of the two in the middle."""
    _plain(name, out)
    a = operand(a, name)
    lines, axes = _lines(name, a, axis)
    dtype = type_of(a).dtype if is_inexact(type_of(a).dtype) else np.dtype(np.float64)
    n = type_of(lines).shape[0]
    keep = keepdims if isinstance(keepdims, bool) else False
    if not n:
        nothing = broadcast_to(np.array(np.nan, dtype), type_of(lines).shape[1:])
        return _kept(nothing, 0, axes, keep)
    ordered = sorting.sort(lines, dimension=0, descending=False)
    missing = np.isnan(ordered) if is_inexact(type_of(a).dtype) else None
    if missing is not None and skip_nan:
        count = np.sum(convert(~missing, dtype=INT64), 0)
        last = np.maximum(count - 1, 0)
        low, high = _at(ordered, last // 2), _at(ordered, np.minimum(count // 2, last))
    else:
        low, high = ordered[(n - 1) // 2], ordered[n // 2]
    low, high = cast(low, dtype), cast(high, dtype)
    middle = np.where(low == high, low, (low + high) / dtype.type(2))
    if missing is not None:
        middle = np.where(missing[0] if skip_nan else missing[-1], dtype.type(np.nan), middle)
    return _kept(middle, 0, axes, keep)


@implements(np.median)
def median(a: Any, axis: Any = None, out: None = None, overwrite_input: bool = False, keepdims: Any = False) -> Any:
    """The middle element in order, or the mean of the two in the middle."""
    return _median("median", a, axis, out, keepdims, False)


@implements(np.nanmedian)
def nanmedian(a: Any, axis: Any = None, out: None = None, overwrite_input: bool = False, keepdims: Any = False) -> Any:
    """The median of what is not NaN."""
    return _median("nanmedian", a, axis, out, keepdims, True)
