"""What is a convolution?  `conv_general_dilated`: windows of one operand times a kernel, summed, in groups.

Both operands lead with the axis of groups, in one order of axes only; other layouts are transposes and reshapes
around it, which cost nothing where kernels read through them:

======== ======================================= =========================================================
operand   axes                                    meaning
======== ======================================= =========================================================
x         ``group, batch, *space, feature``       what the windows move over
w         ``group, *window, feature, out``        the kernel; it is not reversed
result    ``group, batch, *places, out``          one place per position of the window
======== ======================================= =========================================================

With groups as an axis the family is closed: both transposes are convolutions again, groups of features and of examples
are the same thing, and a batch of kernels is a convolution with more groups.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad.dtypes import BFLOAT16, NUMBERS
from funcgrad.ir.primitive import Values
from funcgrad.ir.types import ArrayType
from funcgrad.ops.comparison import convert
from funcgrad.ops.contraction import dot_general
from funcgrad.ops.families import bilinear, operation
from funcgrad.ops.shape import broadcast_in_dim, concatenate, pad, reshape, rev, slice_, transpose
from funcgrad.trace.frame import type_of

Ints = tuple[int, ...]
Pads = tuple[tuple[int, int], ...]
Window = dict[str, Any]
HALF = frozenset({np.dtype(np.float16), BFLOAT16})  # what is summed in float32
NAMES = ("window_dimensions", "window_strides", "padding", "base_dilation", "window_dilation")  # of a fold over windows
FEW = 32  # elements of a window whose products are written out
MANY = 8  # groups that make a vector
LONG, BLOCK = 4, 16  # elements of a window (and blocks of places) from which on a single output is computed in blocks


def dilated(n: int, dilation: int) -> int:
    """The extent of `n` elements with ``dilation - 1`` holes between neighbours."""
    return (n - 1) * dilation + 1 if n else 0


def places(n: int, window: int, stride: int, pads: tuple[int, int], dilations: tuple[int, int]) -> int:
    """How many positions a window has along an axis; `dilations` of what it moves over, and its own."""
    room = dilated(n, dilations[0]) + sum(pads) - dilated(window, dilations[1])
    return max(room // stride + 1, 0)


def result_shape(shape: Ints, window: Window) -> Ints:
    """How many places the window has along each axis."""
    dimensions, strides, padding, base, own = (window[name] for name in NAMES)
    return tuple(map(places, shape, dimensions, strides, padding, zip(base, own, strict=True)))


# Meaning -------------------------------------------------------------------------------------------------------------


def spread_out(x: Any, axes: Sequence[int], padding: Pads, dilations: Ints, value: Any = 0) -> Any:
    """`x` with holes between neighbours and borders (or cuts, where they are negative) along axes."""
    shape = list(x.shape)
    inner: list[slice] = [slice(None)] * x.ndim
    cut: list[slice] = [slice(None)] * x.ndim
    for axis, (low, high), step in zip(axes, padding, dilations, strict=True):
        wide = dilated(x.shape[axis], step)
        shape[axis] = wide + max(low, 0) + max(high, 0)
        inner[axis] = slice(max(low, 0), max(low, 0) + wide, step)
        cut[axis] = slice(max(-low, 0), max(shape[axis] - max(-high, 0), max(-low, 0)))
    full = np.full(shape, value, x.dtype)
    full[tuple(inner)] = x
    return full[tuple(cut)]


def windows(x: Any, axes: Sequence[int], sizes: Ints, strides: Ints, dilations: Ints) -> Any:
    """A view of all windows of `x`: along each of `axes` the places, behind all axes the elements of a window."""
    spans = [dilated(n, d) for n, d in zip(sizes, dilations, strict=True)]
    view = np.lib.stride_tricks.sliding_window_view(x, spans, tuple(axes)) if spans else x
    index: list[slice] = [slice(None)] * view.ndim
    for k, (axis, stride, dilation) in enumerate(zip(axes, strides, dilations, strict=True)):
        index[axis], index[x.ndim + k] = slice(None, None, stride), slice(None, None, dilation)
    return view[tuple(index)]


def _reference(x: Any, w: Any, *, window_strides: Ints, padding: Pads, lhs_dilation: Ints, rhs_dilation: Ints) -> Any:
    """By ``np.matmul`` on windows laid out as rows; half precision is summed in float32."""
    x, w = np.asarray(x), np.asarray(w)
    kind = x.dtype
    shape = _infer_shape(x.shape, w.shape, window_strides, padding, lhs_dilation, rhs_dilation)
    if 0 in (*shape, *w.shape, *x.shape):
        return np.zeros(shape, kind)
    if kind in HALF:
        x, w = x.astype(np.float32), w.astype(np.float32)
    axes = range(2, x.ndim - 1)
    full = spread_out(x, axes, padding, lhs_dilation)
    rows = windows(full, axes, w.shape[1:-2], window_strides, rhs_dilation)
    order = (*range(x.ndim - 1), *range(x.ndim, rows.ndim), x.ndim - 1)
    groups, out = w.shape[0], w.shape[-1]
    left = rows.transpose(order).reshape(groups, -1, math.prod(w.shape[1:-1]))
    return np.matmul(left, w.reshape(groups, -1, out)).reshape(shape).astype(kind, copy=False)


def _infer_shape(x: Ints, w: Ints, strides: Ints, padding: Pads, lhs: Ints, rhs: Ints) -> Ints:
    spatial = map(places, x[2:-1], w[1:-2], strides, padding, zip(lhs, rhs, strict=True))
    return (*x[:2], *spatial, w[-1])


def _infer(
    x: ArrayType, w: ArrayType, *, window_strides: Ints, padding: Pads, lhs_dilation: Ints, rhs_dilation: Ints
) -> ArrayType:
    if x.dtype != w.dtype or x.dtype not in NUMBERS:
        raise TypeError(f"conv_general_dilated: operands have dtypes {x.dtype.name} and {w.dtype.name}")
    rank = x.ndim - 3
    lengths = {len(window_strides), len(padding), len(lhs_dilation), len(rhs_dilation)}
    if w.ndim != x.ndim or lengths != {rank} or x.shape[0] != w.shape[0] or x.shape[-1] != w.shape[-2]:
        raise TypeError(f"conv_general_dilated: operands {x} and {w} do not fit")
    return x.with_shape(_infer_shape(x.shape, w.shape, window_strides, padding, lhs_dilation, rhs_dilation))


# Derivatives: y[p] = sum over k of x[s p + r k - low] w[k], where x has its elements at multiples of l ---------------


def _swapped(x: Any) -> Any:
    """The last two axes exchanged."""
    ndim = type_of(x).ndim
    return transpose(x, permutation=(*range(ndim - 2), ndim - 1, ndim - 2))


def _turned(x: Any) -> Any:
    """The batch axis (or the first one of the window) and the last axis exchanged."""
    ndim = type_of(x).ndim
    return transpose(x, permutation=(0, ndim - 1, *range(2, ndim - 1), 1))


def _transpose_x(
    ct: Any,
    w: Any,
    types: Sequence[ArrayType],
    *,
    window_strides: Ints,
    padding: Pads,
    lhs_dilation: Ints,
    rhs_dilation: Ints,
) -> Any:
    """The cotangent, opened by the stride, under the reversed window: a place for every element of x."""
    tx, tw = types
    pads = []
    for n, k, m, s, (low, _), left, right in zip(
        tx.shape[2:-1], tw.shape[1:-2], ct.shape[2:-1], window_strides, padding, lhs_dilation, rhs_dilation, strict=True
    ):
        before = dilated(k, right) - 1 - low
        pads.append((before, dilated(n, left) + dilated(k, right) - 1 - dilated(m, s) - before))
    reversed_window = rev(_swapped(w), dimensions=tuple(range(1, tw.ndim - 2)))
    return conv_general_dilated(
        ct,
        reversed_window,
        window_strides=lhs_dilation,
        padding=tuple(pads),
        lhs_dilation=window_strides,
        rhs_dilation=rhs_dilation,
    )


def _transpose_w(
    ct: Any,
    x: Any,
    types: Sequence[ArrayType],
    *,
    window_strides: Ints,
    padding: Pads,
    lhs_dilation: Ints,
    rhs_dilation: Ints,
) -> Any:
    """The cotangent as a window over x, examples in the part of features: a place for every element of w."""
    tx, tw = types
    pads = []
    for n, k, m, s, (low, _), left, right in zip(
        tx.shape[2:-1], tw.shape[1:-2], ct.shape[2:-1], window_strides, padding, lhs_dilation, rhs_dilation, strict=True
    ):
        pads.append((low, dilated(m, s) + dilated(k, right) - 1 - dilated(n, left) - low))
    ndim = tx.ndim
    places_first = transpose(ct, permutation=(0, *range(2, ndim - 1), 1, ndim - 1))
    found = conv_general_dilated(
        _turned(x),
        places_first,
        window_strides=rhs_dilation,
        padding=tuple(pads),
        lhs_dilation=lhs_dilation,
        rhs_dilation=window_strides,
    )
    return transpose(found, permutation=(0, *range(2, ndim - 1), 1, ndim - 1))


# Batches -------------------------------------------------------------------------------------------------------------


def _batch(
    size: int, inputs: Values, batched: Sequence[bool], params: dict[str, Any]
) -> tuple[Values, tuple[bool, ...]]:
    """Both operands: more groups; only x: more examples; only the kernel: more outputs."""
    x, w = inputs
    if all(batched):
        out = conv_general_dilated(_joined(x, 0), _joined(w, 0), **params)
        return (_split(out, 0, size),), (True,)
    if batched[0]:
        out = conv_general_dilated(_joined(_moved(x, 0, 1), 1), w, **params)
        return (_moved(_split(out, 1, size), 1, 0),), (True,)
    last = type_of(w).ndim - 2
    out = conv_general_dilated(x, _joined(_moved(w, 0, last), last), **params)
    return (_moved(_split(out, last, size), last, 0),), (True,)


def _joined(x: Any, axis: int) -> Any:
    """Two neighbouring axes as one."""
    shape = type_of(x).shape
    return reshape(x, shape=(*shape[:axis], shape[axis] * shape[axis + 1], *shape[axis + 2 :]))


def _split(x: Any, axis: int, size: int) -> Any:
    """One axis as two, the first of which has `size`."""
    shape = type_of(x).shape
    return reshape(x, shape=(*shape[:axis], size, shape[axis] // max(size, 1), *shape[axis + 1 :]))


def _moved(x: Any, source: int, target: int) -> Any:
    order = [k for k in range(type_of(x).ndim) if k != source]
    order.insert(target, source)
    return transpose(x, permutation=tuple(order))


conv_general_dilated = bilinear("conv_general_dilated", _reference, _infer, (_transpose_x, _transpose_w), _batch)


# What kernels make of it ----------------------------------------------------------------------------------------------


def taps(x: Any, value: Any, window: Window) -> list[Any]:
    """For each element of the window, in C order, what it meets at all places."""
    dimensions, strides, padding, base, own = (window[name] for name in NAMES)
    config = tuple((low, high, d - 1) for (low, high), d in zip(padding, base, strict=True))
    if any(map(any, config)):
        x = pad(x, value, padding_config=config)
    counts = result_shape(
        type_of(x).shape, {**window, "padding": ((0, 0),) * len(base), "base_dilation": (1,) * len(base)}
    )
    found = []
    for element in itertools.product(*map(range, dimensions)):
        first = [e * d if m else 0 for e, d, m in zip(element, own, counts, strict=True)]
        last = [f + (m - 1) * s + 1 if m else f for f, m, s in zip(first, counts, strides, strict=True)]
        found.append(slice_(x, start_indices=tuple(first), limit_indices=tuple(last), strides=strides))
    return found


def _expand(types: tuple[ArrayType, ...], params: dict[str, Any]) -> Any:
    x, w = types
    if x.dtype in HALF:
        narrow = x.dtype
        return lambda x, w: (convert(_in_single(x, w, params), dtype=narrow),)
    window = math.prod(w.shape[1:-2])
    plain = not any(low or high for low, high in params["padding"]) and set(params["lhs_dilation"]) <= {1}
    if window == 1 and plain and 0 not in (*x.shape, *w.shape):
        return lambda x, w: (_pointwise(x, w, params["window_strides"]),)
    out = _infer(x, w, **params)
    if x.shape[0] >= MANY and {x.shape[1], w.shape[-1]} == {1} and x.dtype.kind == "f":
        few = math.prod(out.shape[2:-1])
        if few <= min(FEW, window) and 0 not in (*x.shape, *w.shape):
            return lambda x, w: (_by_channels_w(x, w, params),)
    by_channels = x.shape[0] >= MANY and {x.shape[-1], w.shape[-1]} == {1} and x.dtype.kind == "f"
    if by_channels and window <= FEW and 0 not in (*x.shape, *w.shape, *out.shape):
        return lambda x, w: (_by_channels(x, w, params),)
    plain = x.ndim > 3 and {params[name][-1] for name in ("window_strides", "lhs_dilation", "rhs_dilation")} == {1}
    if plain and w.shape[-1] == 1 and w.shape[-3] >= LONG and out.shape[-2] >= BLOCK * LONG and x.dtype.kind == "f":
        return lambda x, w: (_in_blocks(x, w, params),)
    return None


def _in_blocks(x: Any, w: Any, params: dict[str, Any]) -> Any:
    """One output, as a block of neighbouring places for outputs: the window's shifts are its kernel.

    y[B q + r] = sum over j of x[B q + j - low] w[j - r].
    """
    kind, kernel = type_of(x), type_of(w)
    shape = _infer(kind, kernel, **params).shape
    count, window, axis = shape[-2], kernel.shape[-3], kernel.ndim - 3
    blocks, wide = -(-count // BLOCK), window + BLOCK - 1
    config = tuple((BLOCK - 1, BLOCK - 1, 0) if k == axis else (0, 0, 0) for k in range(kernel.ndim))
    padded = pad(w, kernel.dtype.type(0), padding_config=config)
    shifts = []
    for r in range(BLOCK):
        low = tuple(BLOCK - 1 - r if k == axis else 0 for k in range(kernel.ndim))
        high = tuple(low[k] + wide if k == axis else n for k, n in enumerate(kernel.shape))
        shifts.append(slice_(padded, start_indices=low, limit_indices=high, strides=(1,) * kernel.ndim))
    *pads, (before, _) = params["padding"]
    behind = BLOCK * (blocks - 1) + wide - kind.shape[-2] - before
    changed = {"padding": (*pads, (before, behind)), "window_strides": (*params["window_strides"][:-1], BLOCK)}
    out = conv_general_dilated(x, concatenate(*shifts, dimension=kernel.ndim - 1), **{**params, **changed})
    line = reshape(out, shape=(*shape[:-2], blocks * BLOCK, 1))
    return slice_(line, start_indices=(0,) * kind.ndim, limit_indices=shape, strides=(1,) * kind.ndim)


def _window(sizes: Ints, params: dict[str, Any]) -> Window:
    """A fold's window over examples, space and channels."""
    inner = (sizes, params["window_strides"], params["padding"], params["lhs_dilation"], params["rhs_dilation"])
    ends = (1, 1, (0, 0), 1, 1)
    return {name: (end, *values, end) for name, values, end in zip(NAMES, inner, ends, strict=True)}


def _by_channels(x: Any, w: Any, params: dict[str, Any]) -> Any:
    """Groups of one feature and one output: products of slices, groups last, so that they fill vectors."""
    kind, kernel = type_of(x), type_of(w)
    groups, last = kind.shape[0], kind.ndim - 1
    lines = reshape(transpose(x, permutation=(*range(1, last + 1), 0)), shape=(*kind.shape[1:last], groups))
    factors = reshape(transpose(w, permutation=(*range(1, last + 1), 0)), shape=(math.prod(kernel.shape[1:-2]), groups))
    seen = taps(lines, kind.dtype.type(0), _window(kernel.shape[1:-2], params))
    total = None
    for k, tap in enumerate(seen):
        factor = slice_(factors, start_indices=(k, 0), limit_indices=(k + 1, groups), strides=(1, 1))
        spread = broadcast_in_dim(
            reshape(factor, shape=(groups,)), shape=type_of(tap).shape, broadcast_dimensions=(last - 1,)
        )
        total = tap * spread if total is None else total + tap * spread
    out = transpose(total, permutation=(last - 1, *range(last - 1)))
    return reshape(out, shape=(*type_of(out).shape, 1))


def _by_channels_w(x: Any, w: Any, params: dict[str, Any]) -> Any:
    """The gradient by such a kernel: for each place a sum of products of slices over examples and window."""
    kind, kernel = type_of(x), type_of(w)
    groups, last = kind.shape[0], kind.ndim - 1
    order = (last, *range(2, last), 0)  # examples, space, groups
    lines = reshape(transpose(x, permutation=(*order, 1)), shape=tuple(kind.shape[k] for k in order))
    order = (last - 1, *range(1, last - 1), 0)
    factors = reshape(transpose(w, permutation=(*order, last)), shape=tuple(kernel.shape[k] for k in order))
    exchanged = {**params, "window_strides": params["rhs_dilation"], "rhs_dilation": params["window_strides"]}
    places_ = _infer(kind, kernel, **params).shape[2:-1]
    seen = taps(lines, kind.dtype.type(0), _window(places_, exchanged))
    factors_shape = type_of(factors).shape
    whole = (slice_(tap, start_indices=(0,) * last, limit_indices=factors_shape, strides=(1,) * last) for tap in seen)
    axes = tuple(range(last - 1))
    sums = [reshape(operation("reduce_sum")(tap * factors, axes=axes), shape=(1, groups)) for tap in whole]
    return reshape(transpose(concatenate(*sums, dimension=0), permutation=(1, 0)), shape=(groups, 1, *places_, 1))


def _in_single(x: Any, w: Any, params: dict[str, Any]) -> Any:
    wide = np.dtype(np.float32)
    return conv_general_dilated(convert(x, dtype=wide), convert(w, dtype=wide), **params)


def _pointwise(x: Any, w: Any, strides: Ints) -> Any:
    """A window of one element is a product of matrices."""
    kind, ndim = type_of(x), type_of(x).ndim
    if set(strides) - {1}:
        x = slice_(x, start_indices=(0,) * ndim, limit_indices=kind.shape, strides=(1, 1, *strides, 1))
    kernel = type_of(w).shape
    matrices = reshape(w, shape=(kernel[0], *kernel[-2:]))
    return dot_general(x, matrices, dimension_numbers=(((ndim - 1,), (1,)), ((0,), (0,))))


conv_general_dilated.expand = _expand
