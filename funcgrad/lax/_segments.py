"""Sums, products and extremes of segments: what `jax.ops` has.  A number says to which segment each row belongs."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from funcgrad.array import as_array
from funcgrad.errors import ConcretizationTypeError, at_line
from funcgrad.lax._scatter import UPDATES, over_windows, scattered
from funcgrad.lax._slicing import as_position
from funcgrad.ops.indexing import check_index
from funcgrad.trace.frame import type_of
from funcgrad.trace.tracer import Tracer, known

__all__ = ["segment_max", "segment_min", "segment_prod", "segment_sum"]

MODES = ("drop", "clip", "promise_in_bounds", "raise")


def _segments(name: str, kind: str, data: Any, ids: Any, count: Any, unique: bool, mode: Any) -> Any:
    data = data if type(data) is Tracer else np.asarray(data)
    ids = as_position(name, ids)
    shape, ishape = type_of(data).shape, type_of(ids).shape
    if shape[: len(ishape)] != ishape:
        raise ValueError(f"{name}: data of shape {shape} must begin with the shape of segment_ids, {ishape}{at_line()}")
    number = _count(name, ids, count)
    mode = {None: "drop", "fill": "drop"}.get(mode, mode)
    if mode not in ("drop", "clip", "promise_in_bounds", "raise"):
        raise ValueError(
            f"{name}: mode must be 'drop', 'clip', 'promise_in_bounds' or 'raise', not {mode!r}{at_line()}"
        )
    inside = None
    if mode == "raise":
        places = check_index(np.where(ids < 0, number, ids), size=number)
    elif mode == "drop":
        inside = (ids >= 0) & (ids < number)
        places = np.where(inside, ids, 0)
    else:
        places = np.minimum(np.maximum(ids, 0), number - 1)
    dtype = type_of(data).dtype
    neutral = UPDATES[kind].neutral
    assert neutral is not None
    empty = dtype.type(0 if kind == "add" else neutral(dtype))  # what leaves a sum as it is is -0.0
    start = np.broadcast_to(empty, (number, *shape[len(ishape) :]))
    if not number or not type_of(data).size:
        return as_array(np.array(start))
    out = scattered(kind, start, data, [over_windows(places, ishape)], (0,), inside, unique)
    return out if type(out) is Tracer else as_array(np.array(out))


def _count(name: str, ids: Any, count: Any) -> int:
    if count is not None:
        number = operator.index(count)
        if number < 0:
            raise ValueError(f"{name}: num_segments must be non-negative, not {number}{at_line()}")
        return number
    value = known(ids)
    if value is None:
        raise ConcretizationTypeError(
            f"{name}: segment_ids are traced ({type_of(ids)}): the size of the result would depend on them. "
            f"Pass num_segments.{at_line()}"
        )
    return int(np.max(value, initial=-1)) + 1


def segment_sum(
    data: Any,
    segment_ids: Any,
    num_segments: int | None = None,
    indices_are_sorted: bool = False,
    unique_indices: bool = False,
    bucket_size: int | None = None,
    mode: Any = None,
) -> Any:
    """The sum of the rows of each segment.

    Parameters
    ----------
    data
        An array; what comes after the axes of `segment_ids` belongs to a row.
    segment_ids
        To which segment each row belongs; they need not be sorted. As in `jax.ops`, those that are negative or too
        large are left out; ``mode="raise"`` makes them an `IndexError`.
    num_segments
        How many segments there are: by default as many as the ids tell, which must then be known.
    indices_are_sorted, unique_indices, bucket_size
        What the caller knows, and a hint; they make no difference.
    mode
        ``"drop"`` (default), ``"clip"``, ``"promise_in_bounds"`` or ``"raise"``.

    Returns
    -------
    Array
        Of shape ``(num_segments, *data.shape[1:])``, in the dtype of `data`.

    Examples
    --------
    >>> import numpy as np
    >>> from funcgrad import lax
    >>> lax.segment_sum(np.array([5.0, 1.0, 2.0, 3.0]), np.array([0, 0, 1, 3]), 4)
    Array([6., 2., 0., 3.])
    """
    return _segments("segment_sum", "add", data, segment_ids, num_segments, unique_indices, mode)


def segment_prod(
    data: Any,
    segment_ids: Any,
    num_segments: int | None = None,
    indices_are_sorted: bool = False,
    unique_indices: bool = False,
    bucket_size: int | None = None,
    mode: Any = None,
) -> Any:
    """The product of the rows of each segment, 1 where there are none; the parameters are those of `segment_sum`.

    Returns
    -------
    Array
        Of shape ``(num_segments, *data.shape[1:])``, in the dtype of `data`.

    Examples
    --------
    >>> import numpy as np
    >>> from funcgrad import lax
    >>> lax.segment_prod(np.array([5.0, 1.0, 2.0, 3.0]), np.array([0, 0, 1, 1]), 3)
    Array([5., 6., 1.])
    """
    return _segments("segment_prod", "multiply", data, segment_ids, num_segments, unique_indices, mode)


def segment_max(
    data: Any,
    segment_ids: Any,
    num_segments: int | None = None,
    indices_are_sorted: bool = False,
    unique_indices: bool = False,
    bucket_size: int | None = None,
    mode: Any = None,
) -> Any:
    """The greatest of the rows of each segment, -inf (the smallest integer) where there are none; the parameters are
    those of `segment_sum`.

    Returns
    -------
    Array
        Of shape ``(num_segments, *data.shape[1:])``, in the dtype of `data`.

    Examples
    --------
    >>> import numpy as np
    >>> from funcgrad import lax
    >>> lax.segment_max(np.array([5.0, 1.0, 2.0, 3.0]), np.array([0, 0, 1, 1]), 3)
    Array([  5.,   3., -inf])
    """
    return _segments("segment_max", "max", data, segment_ids, num_segments, unique_indices, mode)


def segment_min(
    data: Any,
    segment_ids: Any,
    num_segments: int | None = None,
    indices_are_sorted: bool = False,
    unique_indices: bool = False,
    bucket_size: int | None = None,
    mode: Any = None,
) -> Any:
    """The least of the rows of each segment, inf (the largest integer) where there are none; the parameters are those
    of `segment_sum`.

    Returns
    -------
    Array
        Of shape ``(num_segments, *data.shape[1:])``, in the dtype of `data`.

    Examples
    --------
    >>> import numpy as np
    >>> from funcgrad import lax
    >>> lax.segment_min(np.array([5.0, 1.0, 2.0, 3.0]), np.array([0, 0, 1, 1]), 3)
    Array([ 1.,  2., inf])
    """
    return _segments("segment_min", "min", data, segment_ids, num_segments, unique_indices, mode)
