"""Which convolutions are there?  JAX's: `conv_general_dilated` with any layout, and what is made of it.

A *spec* lists the axes of an operand by role: of what is convolved and of the result ``(batch, feature, *space)``, of
the kernel ``(out feature, in feature, *window)``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad.dtypes import NUMBERS
from funcgrad.errors import at_line
from funcgrad.lax._layouts import (
    DEFAULTS,
    Ints,
    Pads,
    conv_dimension_numbers,
    finished,
    integers,
    operand,
    pad_pairs,
    padtype_to_pads,
    positive,
)
from funcgrad.ops import convolution as ops
from funcgrad.ops.comparison import convert
from funcgrad.ops.contraction import dot_general
from funcgrad.ops.convolution import NAMES, dilated, taps
from funcgrad.ops.shape import concatenate, reshape, rev, transpose
from funcgrad.trace.frame import type_of

__all__ = [
    "conv",
    "conv_general_dilated",
    "conv_general_dilated_local",
    "conv_general_dilated_patches",
    "conv_transpose",
    "conv_with_general_padding",
]


def conv_general_dilated(
    lhs: Any,
    rhs: Any,
    window_strides: Sequence[int],
    padding: Any,
    lhs_dilation: Sequence[int] | None = None,
    rhs_dilation: Sequence[int] | None = None,
    dimension_numbers: Any = None,
    feature_group_count: int = 1,
    batch_group_count: int = 1,
    precision: Any = None,
    preferred_element_type: Any = None,
) -> Any:
    """Windows of `lhs` times the kernel `rhs`, summed; with any number of spatial axes (none is a product).

    Parameters
    ----------
    lhs, rhs
        Arrays of one dtype. The kernel is not reversed.
    window_strides
        Steps of the window, along each spatial axis.
    padding
        ``"SAME"``, ``"SAME_LOWER"``, ``"VALID"``, or pairs of zeros to put before and behind (negative: to cut off).
    lhs_dilation, rhs_dilation
        Distances between neighbouring elements of `lhs` and of the window, holes being zero.
    dimension_numbers
        See `conv_dimension_numbers`.
    feature_group_count
        Features are convolved in that many groups, each with its part of the kernel's outputs.
    batch_group_count
        The same, examples being grouped.
    precision
        Ignored: products have the precision of the dtype.
    preferred_element_type
        The dtype to compute in, and of the result.

    Returns
    -------
    Array
        Batch, features and spatial axes in the output's order; in the operands' dtype, or in `preferred_element_type`.

    Raises
    ------
    TypeError, ValueError
        Shapes, dtypes or parameters do not fit.

    Examples
    --------
    >>> import numpy as np
    >>> x, w = np.arange(5.0).reshape(1, 1, 5), np.array([[[1.0, -1.0]]])
    >>> conv_general_dilated(x, w, (1,), "VALID")
    Array([[[-1., -1., -1., -1.]]])
    """
    name = "conv_general_dilated"
    lhs, rhs = _typed(name, lhs, rhs, preferred_element_type)
    dims = conv_dimension_numbers(type_of(lhs).shape, type_of(rhs).shape, dimension_numbers)
    groups = _check_groups(name, lhs, rhs, dims, feature_group_count, batch_group_count)
    rank = len(dims.lhs_spec) - 2
    strides = positive(integers(window_strides, rank, name, "window_strides"), name, "window_strides")
    left = positive(integers(lhs_dilation, rank, name, "lhs_dilation", 1), name, "lhs_dilation")
    right = positive(integers(rhs_dilation, rank, name, "rhs_dilation", 1), name, "rhs_dilation")
    pads = _pads(name, lhs, rhs, dims, strides, padding, left, right)
    x = _canonical_x(lhs, dims.lhs_spec, groups, by_batch=batch_group_count > 1)
    w = _canonical_w(rhs, dims.rhs_spec, groups)
    out = ops.conv_general_dilated(x, w, window_strides=strides, padding=pads, lhs_dilation=left, rhs_dilation=right)
    return finished(_laid_out(out, dims.out_spec))


def _typed(name: str, lhs: Any, rhs: Any, preferred: Any) -> tuple[Any, Any]:
    lhs, rhs = operand(lhs, name), operand(rhs, name)
    kinds = type_of(lhs), type_of(rhs)
    if kinds[0].dtype != kinds[1].dtype or kinds[0].dtype not in NUMBERS:
        found = f"{kinds[0]} and {kinds[1]}"
        raise TypeError(f"{name} takes two arrays of numbers of one dtype, not {found}{at_line()}")
    if preferred is not None and np.dtype(preferred) != kinds[0].dtype:
        lhs, rhs = (convert(x, dtype=np.dtype(preferred)) for x in (lhs, rhs))
    return lhs, rhs


def _check_groups(name: str, lhs: Any, rhs: Any, dims: Any, by_feature: int, by_batch: int) -> int:
    """How many groups there are."""
    left, right = type_of(lhs).shape, type_of(rhs).shape
    (batch, feature), (outs, ins) = dims.lhs_spec[:2], dims.rhs_spec[:2]
    groups = max(by_feature, by_batch)
    fits = (
        min(by_feature, by_batch) == 1
        and left[feature] == right[ins] * by_feature
        and left[batch] % by_batch == 0
        and right[outs] % groups == 0
    )
    if not fits:
        raise ValueError(
            f"{name}: operands of shapes {left} and {right} with dimension_numbers {tuple(dims)} do not fit: "
            f"feature_group_count {by_feature} times the kernel's {right[ins]} features must be {left[feature]}, "
            f"batch_group_count {by_batch} must divide the batch of {left[batch]}, both (one of them 1) the "
            f"kernel's {right[outs]} outputs{at_line()}"
        )
    return groups


def _pads(name: str, lhs: Any, rhs: Any, dims: Any, strides: Ints, padding: Any, left: Ints, right: Ints) -> Pads:
    space = [type_of(lhs).shape[k] for k in dims.lhs_spec[2:]]
    if not isinstance(padding, str):
        return pad_pairs(padding, len(space), name)
    if set(left) - {1}:
        raise ValueError(
            f"{name}: padding {padding!r} says nothing where lhs_dilation is {left}: give numbers, or use "
            f"conv_transpose{at_line()}"
        )
    window = [dilated(type_of(rhs).shape[k], d) for k, d in zip(dims.rhs_spec[2:], right, strict=True)]
    return tuple(padtype_to_pads(space, window, strides, padding))


def _arranged(x: Any, order: Ints) -> Any:
    return x if order == tuple(range(len(order))) else transpose(x, permutation=order)


def _canonical_x(x: Any, spec: Ints, groups: int, by_batch: bool) -> Any:
    """``group, batch, *space, feature``."""
    batch, feature, *space = spec
    x = _arranged(x, (batch, *space, feature))
    n, *extents, c = type_of(x).shape
    if groups == 1:
        return reshape(x, shape=(1, n, *extents, c))
    if by_batch:
        return reshape(x, shape=(groups, n // groups, *extents, c))
    parts = reshape(x, shape=(n, *extents, groups, c // groups))
    last = len(spec)
    return transpose(parts, permutation=(last - 1, *range(last - 1), last))


def _canonical_w(w: Any, spec: Ints, groups: int) -> Any:
    """``group, *window, feature, out``."""
    outs, ins, *window = spec
    w = _arranged(w, (*window, ins, outs))
    *extents, c, o = type_of(w).shape
    if groups == 1:
        return reshape(w, shape=(1, *extents, c, o))
    parts = reshape(w, shape=(*extents, c, groups, o // groups))
    last = len(spec)
    return transpose(parts, permutation=(last - 1, *range(last - 1), last))


def _laid_out(out: Any, spec: Ints) -> Any:
    """The result with its axes where the caller wants them."""
    groups, n, *extents, o = type_of(out).shape
    if groups > 1:
        last = len(spec)
        out = transpose(out, permutation=(*range(1, last), 0, last))
    out = reshape(out, shape=(n, *extents, groups * o))
    batch, feature, *space = spec
    order = (batch, *space, feature)  # where each axis of `out` belongs
    return _arranged(out, tuple(order.index(k) for k in range(len(order))))


# What is made of it ---------------------------------------------------------------------------------------------------


def conv(
    lhs: Any,
    rhs: Any,
    window_strides: Sequence[int],
    padding: Any,
    precision: Any = None,
    preferred_element_type: Any = None,
) -> Any:
    """`conv_general_dilated` of ``NCHW`` by ``OIHW``, without dilation.

    Returns
    -------
    Array
        Batch, features and spatial axes in the output's order; in the operands' dtype, or in `preferred_element_type`.

    Examples
    --------
    >>> import numpy as np
    >>> conv(np.ones((1, 1, 3, 3)), np.ones((1, 1, 2, 2)), (1, 1), "VALID").shape
    (1, 1, 2, 2)
    """
    return conv_general_dilated(lhs, rhs, window_strides, padding, preferred_element_type=preferred_element_type)


def conv_with_general_padding(
    lhs: Any,
    rhs: Any,
    window_strides: Sequence[int],
    padding: Any,
    lhs_dilation: Sequence[int] | None,
    rhs_dilation: Sequence[int] | None,
    precision: Any = None,
    preferred_element_type: Any = None,
) -> Any:
    """`conv_general_dilated` of ``NCHW`` by ``OIHW``, without groups.

    Returns
    -------
    Array
        Batch, features and spatial axes in the output's order; in the operands' dtype, or in `preferred_element_type`.

    Examples
    --------
    >>> import numpy as np
    >>> import funcgrad as fg
    >>> from funcgrad import lax
    >>> image, kernel = np.ones((1, 1, 3)), np.ones((1, 1, 2))
    >>> lax.conv_with_general_padding(image, kernel, (1,), ((0, 0),), None, None)
    Array([[[2., 2.]]])
    """
    return conv_general_dilated(
        lhs,
        rhs,
        window_strides,
        padding,
        lhs_dilation,
        rhs_dilation,
        preferred_element_type=preferred_element_type,
    )


def conv_transpose(
    lhs: Any,
    rhs: Any,
    strides: Sequence[int],
    padding: Any,
    rhs_dilation: Sequence[int] | None = None,
    dimension_numbers: Any = None,
    transpose_kernel: bool = False,
    precision: Any = None,
    preferred_element_type: Any = None,
    use_consistent_padding: bool = False,
) -> Any:
    """The convolution that undoes the shape of one: `lhs` opened by the strides, under the window.

    Parameters
    ----------
    lhs, rhs, rhs_dilation, dimension_numbers, precision, preferred_element_type
        As in `conv_general_dilated`; by default ``NHWC`` and ``HWIO`` (and likewise with other numbers of axes).
    strides
        Of the convolution to be undone: the factor by which space grows.
    padding, use_consistent_padding
        ``"SAME"``, ``"VALID"``: of the convolution to be undone; or pairs of numbers: of the opened operand, and
        with `use_consistent_padding` of the convolution to be undone.
    transpose_kernel
        Reverse the window and exchange its features: this is then the derivative of the convolution.

    Returns
    -------
    Array
        Batch, features and spatial axes in the output's order; in the operands' dtype, or in `preferred_element_type`.

    Raises
    ------
    ValueError
        `dimension_numbers` are missing where they have no default.

    Examples
    --------
    >>> import numpy as np
    >>> conv_transpose(np.ones((1, 2, 1)), np.ones((2, 1, 1)), (2,), "SAME").shape
    (1, 4, 1)
    """
    name = "conv_transpose"
    lhs, rhs = operand(lhs, name), operand(rhs, name)
    ndim = type_of(lhs).ndim
    if dimension_numbers is None:
        if ndim not in DEFAULTS:
            raise ValueError(f"{name}: give dimension_numbers for operands of {ndim} axes{at_line()}")
        dimension_numbers = DEFAULTS[ndim]
    dims = conv_dimension_numbers(type_of(lhs).shape, type_of(rhs).shape, dimension_numbers)
    steps = positive(integers(strides, ndim - 2, name, "strides"), name, "strides")
    right = positive(integers(rhs_dilation, ndim - 2, name, "rhs_dilation", 1), name, "rhs_dilation")
    spans = [dilated(type_of(rhs).shape[k], d) for k, d in zip(dims.rhs_spec[2:], right, strict=True)]
    if isinstance(padding, str):
        pads = tuple(_undoing(name, k, s, padding.upper()) for k, s in zip(spans, steps, strict=True))
    else:
        pads = pad_pairs(padding, ndim - 2, name)
        if use_consistent_padding:
            pads = tuple((k - 1 - low, k - 1 - high) for k, (low, high) in zip(spans, pads, strict=True))
    if transpose_kernel:
        order = list(range(ndim))
        order[dims.rhs_spec[0]], order[dims.rhs_spec[1]] = dims.rhs_spec[1], dims.rhs_spec[0]
        rhs = transpose(rev(rhs, dimensions=tuple(sorted(dims.rhs_spec[2:]))), permutation=tuple(order))
    return conv_general_dilated(
        lhs, rhs, (1,) * (ndim - 2), pads, steps, right, dims, preferred_element_type=preferred_element_type
    )


def _undoing(name: str, window: int, stride: int, padding: str) -> tuple[int, int]:
    """Padding of the opened operand that undoes a kind of padding."""
    if padding == "SAME":
        total = window + stride - 2
        before = window - 1 if stride > window - 1 else math.ceil(total / 2)
    elif padding == "VALID":
        total = window + stride - 2 + max(window - stride, 0)
        before = window - 1
    else:
        raise ValueError(f"{name}: padding must be 'SAME', 'VALID' or pairs of integers, not {padding!r}{at_line()}")
    return before, total - before


def conv_general_dilated_patches(
    lhs: Any,
    filter_shape: Sequence[int],
    window_strides: Sequence[int],
    padding: Any,
    lhs_dilation: Sequence[int] | None = None,
    rhs_dilation: Sequence[int] | None = None,
    dimension_numbers: Any = None,
    precision: Any = None,
    preferred_element_type: Any = None,
) -> Any:
    """What the window sees at each place: features times window elements where the result has its features.

    Parameters are those of `conv_general_dilated`, with the window's shape instead of a kernel. Each feature's window
    elements stand together, in C order.

    Returns
    -------
    Array
        Batch, features times window elements, and spatial axes, in the output's order and the operand's dtype.

    Examples
    --------
    >>> import numpy as np
    >>> conv_general_dilated_patches(np.arange(4.0).reshape(1, 1, 4), (2,), (1,), "VALID")
    Array([[[0., 1., 2.],
            [1., 2., 3.]]])
    """
    name = "conv_general_dilated_patches"
    lhs = operand(lhs, name)
    if preferred_element_type is not None:
        lhs = convert(lhs, dtype=np.dtype(preferred_element_type))
    ndim = type_of(lhs).ndim
    window = positive(integers(filter_shape, ndim - 2, name, "filter_shape"), name, "filter_shape")
    shape, kernel = type_of(lhs).shape, [0] * ndim
    dims = conv_dimension_numbers(shape, shape, dimension_numbers)
    for axis, n in zip(dims.rhs_spec, (1, shape[dims.lhs_spec[1]], *window), strict=True):
        kernel[axis] = n
    strides = positive(integers(window_strides, ndim - 2, name, "window_strides"), name, "window_strides")
    left = positive(integers(lhs_dilation, ndim - 2, name, "lhs_dilation", 1), name, "lhs_dilation")
    right = positive(integers(rhs_dilation, ndim - 2, name, "rhs_dilation", 1), name, "rhs_dilation")
    pads = _pads(name, lhs, np.broadcast_to(np.int8(0), kernel), dims, strides, padding, left, right)
    batch, feature, *space = dims.lhs_spec
    x = _arranged(lhs, (batch, *space, feature))
    n, *_, c = type_of(x).shape
    numbers = ((1, *window, 1), (1, *strides, 1), ((0, 0), *pads, (0, 0)), (1, *left, 1), (1, *right, 1))
    seen = taps(x, type_of(x).dtype.type(0), dict(zip(NAMES, numbers, strict=True)))
    places = type_of(seen[0]).shape[1:-1]
    parts = [reshape(tap, shape=(n, *places, c, 1)) for tap in seen]
    out = reshape(concatenate(*parts, dimension=ndim), shape=(n, *places, c * len(seen)))
    order = (dims.out_spec[0], *dims.out_spec[2:], dims.out_spec[1])
    return finished(_arranged(out, tuple(order.index(k) for k in range(ndim))))


def conv_general_dilated_local(
    lhs: Any,
    rhs: Any,
    window_strides: Sequence[int],
    padding: Any,
    filter_shape: Sequence[int],
    lhs_dilation: Sequence[int] | None = None,
    rhs_dilation: Sequence[int] | None = None,
    dimension_numbers: Any = None,
    precision: Any = None,
) -> Any:
    """A convolution whose kernel differs from place to place.

    The kernel has the result's spatial axes, and as its input features those of `conv_general_dilated_patches`;
    the other parameters are those of `conv_general_dilated`.

    Returns
    -------
    Array
        Batch, features and spatial axes in the output's order; in the operands' dtype, or in `preferred_element_type`.

    Raises
    ------
    ValueError
        The patches do not fit the kernel.

    Examples
    --------
    >>> import numpy as np
    >>> x, w = np.arange(4.0).reshape(1, 1, 4), np.ones((1, 2, 3)) * np.arange(3)
    >>> conv_general_dilated_local(x, w, (1,), "VALID", (2,))
    Array([[[ 0.,  3., 10.]]])
    """
    name = "conv_general_dilated_local"
    lhs, rhs = _typed(name, lhs, rhs, None)
    dims = conv_dimension_numbers(type_of(lhs).shape, type_of(rhs).shape, dimension_numbers)
    seen = conv_general_dilated_patches(lhs, filter_shape, window_strides, padding, lhs_dilation, rhs_dilation, dims)
    space, window = dims.out_spec[2:], dims.rhs_spec[2:]
    numbers = (((dims.out_spec[1],), (dims.rhs_spec[1],)), (space, window))
    left, right = type_of(seen).shape, type_of(rhs).shape
    if [left[k] for k in (*space, dims.out_spec[1])] != [right[k] for k in (*window, dims.rhs_spec[1])]:
        raise ValueError(f"{name}: patches of shape {left} do not fit a kernel of shape {right}{at_line()}")
    out = dot_general(seen, rhs, dimension_numbers=numbers)  # space, batch, out
    order = (*space, dims.out_spec[0], dims.out_spec[1])
    return finished(_arranged(out, tuple(order.index(k) for k in range(len(order)))))
