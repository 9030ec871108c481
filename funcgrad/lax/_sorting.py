"""JAX's `lax` functions that sort, or find the largest elements."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.array import as_array
from funcgrad.errors import at_line
from funcgrad.ops import sorting
from funcgrad.ops.comparison import convert
from funcgrad.trace.frame import type_of
from funcgrad.trace.tracer import Tracer

__all__ = ["approx_max_k", "approx_min_k", "sort", "sort_key_val", "top_k"]


def _own(x: Any) -> Any:
    """A result as the caller's own array."""
    return x if type(x) is Tracer else as_array(np.array(x))


def _axis(name: str, axis: int, x: Any) -> int:
    ndim = type_of(x).ndim
    if not -ndim <= axis < ndim:
        raise ValueError(f"lax.{name}: axis {axis} is out of bounds for shape {type_of(x).shape}{at_line()}")
    return axis % ndim


def sort(operand: Any, dimension: int = -1, is_stable: bool = True, num_keys: int = 1) -> Any:
    """Sort along an axis; several arrays by the first `num_keys` of them.

    Parameters
    ----------
    operand
        An array, or a sequence of arrays of one shape, which are all put in the same order.
    dimension
        The axis.
    is_stable
        Elements whose keys are equal keep their order, whatever this says.
    num_keys
        How many of the arrays are keys: where the first ones are equal the second ones decide.

    Returns
    -------
    array, or tuple of arrays
        NaN comes last, and -0 equals 0.

    Raises
    ------
    TypeError
        The arrays differ in shape.
    ValueError
        There is no such axis, or the number of keys is not one of the arrays'.

    Examples
    --------
    >>> import numpy as np
    >>> from funcgrad import lax
    >>> lax.sort((np.array([2, 1, 2]), np.array([3., 2., 1.])), num_keys=2)
    (Array([1, 2, 2]), Array([2., 1., 3.]))
    """
    if not isinstance(operand, (tuple, list)):
        along = _axis("sort", dimension, operand)
        return _own(sorting.sort(operand, dimension=along, descending=False))
    shapes = [type_of(x).shape for x in operand]
    if len(set(shapes)) != 1:
        raise TypeError(f"lax.sort: arrays must have one shape, not {', '.join(map(str, shapes))}{at_line()}")
    if not 1 <= num_keys <= len(operand):
        raise ValueError(f"lax.sort: num_keys={num_keys} does not fit {len(operand)} arrays{at_line()}")
    along = _axis("sort", dimension, operand[0])
    order = sorting.lexicographic(operand[:num_keys], along)
    return tuple(_own(sorting.reordered(x, order, along)) for x in operand)


def sort_key_val(keys: Any, values: Any, dimension: int = -1, is_stable: bool = True) -> tuple[Any, Any]:
    """Sort keys along an axis, and put values in the same order.

    Returns
    -------
    tuple of Array
        Keys and values, with the shapes and dtypes they came with.

    Examples
    --------
    >>> import numpy as np
    >>> from funcgrad import lax
    >>> lax.sort_key_val(np.array([3, 1, 2]), np.array([0., 1., 2.]))
    (Array([1, 2, 3]), Array([1., 2., 0.]))
    """
    first, second = sort((keys, values), dimension, is_stable, 1)
    return first, second


def top_k(operand: Any, k: int, *, axis: int = -1) -> tuple[Any, Any]:
    """The `k` largest elements along an axis, the largest first, and where they stand.

    Of equal elements the first comes first; NaN counts as the largest.

    Returns
    -------
    values, indices
        Indices are int32, as JAX's.

    Raises
    ------
    ValueError
        `k` is negative or larger than the axis.

    Examples
    --------
    >>> import numpy as np
    >>> from funcgrad import lax
    >>> lax.top_k(np.array([1., 5., 3.]), 2)
    (Array([5., 3.]), Array([1, 2], dtype=int32))
    """
    return _top("top_k", operand, k, axis, descending=True)


def _top(name: str, operand: Any, k: int, axis: int, *, descending: bool) -> tuple[Any, Any]:
    along, shape = _axis(name, axis, operand), type_of(operand).shape
    if not 0 <= k <= shape[along]:
        raise ValueError(f"lax.{name}: k={k} must lie between 0 and the size of axis {axis} of {shape}{at_line()}")
    first = sorting.top_places(operand, dimension=along, k=k, descending=descending)
    return _own(sorting.reordered(operand, first, along)), _own(convert(first, dtype=np.dtype(np.int32)))


def approx_max_k(
    operand: Any,
    k: int,
    reduction_dimension: int = -1,
    recall_target: float = 0.95,
    reduction_input_size_override: int = -1,
    aggregate_to_topk: bool = True,
) -> tuple[Any, Any]:
    """As `top_k` along `reduction_dimension`: exact, whatever the other arguments say.

    Returns
    -------
    tuple of Array
        Values in the dtype of `operand`, and int32 positions; both have the extent `k` along the axis.

    Examples
    --------
    >>> import numpy as np
    >>> from funcgrad import lax
    >>> lax.approx_max_k(np.array([1., 5., 3.]), 1)
    (Array([5.]), Array([1], dtype=int32))
    """
    return _top("approx_max_k", operand, k, reduction_dimension, descending=True)


def approx_min_k(
    operand: Any,
    k: int,
    reduction_dimension: int = -1,
    recall_target: float = 0.95,
    reduction_input_size_override: int = -1,
    aggregate_to_topk: bool = True,
) -> tuple[Any, Any]:
    """The `k` smallest elements, the smallest first, and where they stand: exact.

    Returns
    -------
    tuple of Array
        Values in the dtype of `operand`, and int32 positions; both have the extent `k` along the axis.

    Examples
    --------
    >>> import numpy as np
    >>> from funcgrad import lax
    >>> lax.approx_min_k(np.array([1., 5., 3.]), 1)
    (Array([1.]), Array([0], dtype=int32))
    """
    return _top("approx_min_k", operand, k, reduction_dimension, descending=False)
