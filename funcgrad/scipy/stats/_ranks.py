"""SciPy's statistics of samples: mode, rankdata, sem."""

from __future__ import annotations

from typing import Any, NamedTuple

from funcgrad import numpy as np
from funcgrad.errors import at_line
from funcgrad.numpy._common import axis_number, operand
from funcgrad.scipy._values import floating, public
from funcgrad.trace.frame import type_of

METHODS = ("average", "min", "max", "dense", "ordinal")


class ModeResult(NamedTuple):
    """What `mode` returns.

    Attributes
    ----------
    mode
        The most common values.
    count
        How often they occur.
    """

    mode: Any
    count: Any


def _only_propagate(name: str, nan_policy: str) -> None:
    if nan_policy not in ("propagate", "omit", "raise"):
        raise ValueError(f"{name}: nan_policy is 'propagate', 'omit' or 'raise', not {nan_policy!r}{at_line()}")
    if nan_policy != "propagate":
        raise NotImplementedError(f"{name}: nan_policy={nan_policy!r} is not there{at_line()}")


def _lines(name: str, a: Any, axis: int | None) -> Any:
    """The samples along the last axis."""
    a = operand(a, name)
    a = a if hasattr(a, "ndim") else np.asarray(a)
    if axis is None or type_of(a).ndim == 0:
        return np.ravel(a)
    return np.moveaxis(a, axis_number(axis, type_of(a).ndim, name), -1)


def _runs(ordered: Any) -> tuple[Any, Any, Any]:
    """For sorted samples: where a run of equal ones begins, and for each sample the first and last index of its run."""
    n = type_of(ordered).shape[-1]
    index = np.broadcast_to(np.arange(n), type_of(ordered).shape)
    left, right = ordered[..., :-1], ordered[..., 1:]
    differ = (left != right) & ((left == left) | (right == right))  # NaN equals NaN
    edge = np.ones((*type_of(ordered).shape[:-1], 1), bool)
    first, last = np.concatenate([edge, differ], axis=-1), np.concatenate([differ, edge], axis=-1)
    begin = np.maximum.accumulate(np.where(first, index, 0), axis=-1)
    end = np.flip(np.minimum.accumulate(np.flip(np.where(last, index, n), -1), axis=-1), -1)
    return first, begin, end


@public
def rankdata(a: Any, method: str = "average", *, axis: int | None = None, nan_policy: str = "propagate") -> Any:
    """Ranks from 1 on; `method` says which ones equal elements share ("average", "min", "max", "dense", "ordinal").

    Without an axis, of the flattened array; NaN everywhere along an axis that holds one.

    Returns
    -------
    Array
        Floats, of the shape of `a` (one axis if `axis` is None).

    Raises
    ------
    ValueError
        There is no such method.

    Examples
    --------
    >>> rankdata([10, 30, 20, 30])
    Array([1. , 3.5, 2. , 3.5])
    """
    _only_propagate("rankdata", nan_policy)
    if method not in METHODS:
        raise ValueError(f"rankdata: unknown method {method!r}: {', '.join(METHODS)} are there{at_line()}")
    x = _lines("rankdata", a, axis)
    if not type_of(x).size:
        return np.zeros(type_of(x).shape if axis is None else np.shape(a))
    order = np.argsort(x, axis=-1, stable=True)
    ordered = np.take_along_axis(x, order, axis=-1)
    first, begin, end = _runs(ordered)
    sorted_ranks = {
        "average": 0.5 * (begin + end) + 1,
        "min": begin + 1.0,
        "max": end + 1.0,
        "dense": np.cumsum(first, axis=-1) * 1.0,
        "ordinal": np.broadcast_to(np.arange(1.0, type_of(x).shape[-1] + 1), type_of(x).shape),
    }[method]
    ranks = np.take_along_axis(sorted_ranks, np.argsort(order, axis=-1), axis=-1)
    ranks = np.where(np.any(x != x, axis=-1, keepdims=True), np.nan, ranks)
    return ranks if axis is None or type_of(x).ndim == 1 else np.moveaxis(ranks, -1, axis)


@public
def mode(a: Any, axis: int | None = 0, nan_policy: str = "propagate", keepdims: bool = False) -> ModeResult:
    """The most common values along an axis (the smallest of several), and how often they occur.

    Returns
    -------
    ModeResult
        A named tuple of values, in the dtype of `a`, and counts.

    Raises
    ------
    ValueError
        There is nothing along the axis.

    Examples
    --------
    >>> mode([2, 4, 1, 1, 3, 4, 4])
    ModeResult(mode=Array(4), count=Array(3))
    """
    _only_propagate("mode", nan_policy)
    x = _lines("mode", a, axis)
    if not type_of(x).shape[-1]:
        raise ValueError(f"mode: there is nothing along axis {axis} of shape {np.shape(a)}{at_line()}")
    ordered = np.sort(x, axis=-1)
    _, begin, _ = _runs(ordered)
    length = np.arange(type_of(x).shape[-1]) - begin + 1
    place = np.argmax(length, axis=-1, keepdims=True)
    value = np.take_along_axis(ordered, place, axis=-1)
    count = np.take_along_axis(length, place, axis=-1)
    if not keepdims:
        value, count = value[..., 0], count[..., 0]
    elif axis is None:
        value, count = (np.reshape(v, (1,) * max(np.ndim(a), 1)) for v in (value, count))
    else:
        value, count = (np.moveaxis(v, -1, axis) for v in (value, count))
    return ModeResult(value, count)


@public
def sem(a: Any, axis: int | None = 0, ddof: int = 1, nan_policy: str = "propagate", *, keepdims: bool = False) -> Any:
    """The standard error of the mean along an axis; ``nan_policy="omit"`` leaves NaN out.

    Returns
    -------
    Array
        Floats, of the shape of `a` without the axis.

    Raises
    ------
    ValueError
        There is no such policy.

    Examples
    --------
    >>> sem([1.0, 2.0, 3.0])
    Array(0.57735027)
    """
    (x,) = floating("sem", a)
    if nan_policy == "omit":
        present = x == x
    elif nan_policy == "propagate":
        present = np.ones(type_of(x).shape, bool)
    else:
        raise ValueError(f"sem: nan_policy is 'propagate' or 'omit', not {nan_policy!r}{at_line()}")
    count = np.sum(present, axis=axis, keepdims=True)
    known = np.where(present, x, type_of(x).dtype.type(0))
    mean = np.sum(known, axis=axis, keepdims=True) / count
    squares = np.where(present, x - mean, type_of(x).dtype.type(0)) ** 2
    variance = np.sum(squares, axis=axis, keepdims=True) / (count - ddof)
    result = np.sqrt(variance / count).astype(type_of(x).dtype)
    return result if keepdims else np.squeeze(result, axis)
