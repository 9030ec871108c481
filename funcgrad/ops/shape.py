"""Which operations move elements without changing them?
Broadcast, reshape, transpose, slice, reverse, pad, concatenate, iota.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad.dtypes import DType
from funcgrad.ir.types import ArrayType
from funcgrad.ops.families import Operation, batched_by, linear, nondifferentiable, operation
from funcgrad.trace.frame import running

Shape = tuple[int, ...]
SMALL = 1024  # elements that are written faster than a view is made of them


def _check(condition: bool, message: str, *shown: Any) -> None:
    if not condition:
        raise TypeError(message.format(*shown))


# broadcast_in_dim: operand axis k becomes axis broadcast_dimensions[k]; an extent of 1 is repeated --------------------


def _broadcast(x: Any, *, shape: Shape, broadcast_dimensions: Shape) -> Any:
    x = np.asarray(x)
    if x.ndim == 0 and x.dtype.kind in "fciub":  # np.broadcast_to takes ten times as long
        out: np.ndarray = np.ndarray(shape, x.dtype, x, 0, (0,) * len(shape))
        out.flags.writeable = False
        return out
    x = x.reshape(_expanded(x.shape, len(shape), broadcast_dimensions))
    if x.size > 1 and math.prod(shape) <= SMALL:
        out = np.empty(shape, x.dtype)
        out[...] = x
        return out
    return np.broadcast_to(x, shape)


@functools.lru_cache(maxsize=4096)
def _expanded(have: Shape, ndim: int, broadcast_dimensions: Shape) -> Shape:
    """The shape of an operand with axes of extent 1 where it has none."""
    expanded = [1] * ndim
    for axis, extent in zip(broadcast_dimensions, have, strict=True):
        expanded[axis] = extent
    return tuple(expanded)


def _broadcast_infer(x: ArrayType, *, shape: Shape, broadcast_dimensions: Shape) -> ArrayType:
    ordered = list(broadcast_dimensions) == sorted(set(broadcast_dimensions)) and len(broadcast_dimensions) == x.ndim
    _check(ordered, "broadcast_in_dim: axes {} do not fit an operand of shape {}", broadcast_dimensions, x.shape)
    fits = all(extent in (1, shape[axis]) for axis, extent in zip(broadcast_dimensions, x.shape, strict=True))
    message = "broadcast_in_dim: shape {} does not broadcast to {} along {}"
    _check(fits, message, x.shape, shape, broadcast_dimensions)
    return x.with_shape(shape)


def _broadcast_transpose(ct: Any, x: ArrayType, *, shape: Shape, broadcast_dimensions: Shape) -> Any:
    summed = _repeated(x.shape, shape, broadcast_dimensions)
    if summed:
        ct = operation("reduce_sum")(ct, axes=summed)
    return reshape(ct, shape=x.shape) if len(shape) - len(summed) != x.ndim else ct


@functools.lru_cache(maxsize=4096)
def _repeated(have: Shape, shape: Shape, broadcast_dimensions: Shape) -> Shape:
    """The axes of `shape` along which an operand of shape `have` is repeated."""
    kept = {axis for axis, extent in zip(broadcast_dimensions, have, strict=True) if extent == shape[axis]}
    return tuple(axis for axis in range(len(shape)) if axis not in kept)


def _broadcast_batch(size: int, x: Any, *, shape: Shape, broadcast_dimensions: Shape) -> Any:
    dims = (0, *(axis + 1 for axis in broadcast_dimensions))
    return broadcast_in_dim(x, shape=(size, *shape), broadcast_dimensions=dims)


broadcast_in_dim = linear("broadcast_in_dim", _broadcast, _broadcast_infer, _broadcast_transpose, _broadcast_batch)


# reshape -------------------------------------------------------------------------------------------------------------


def _reshape_infer(x: ArrayType, *, shape: Shape) -> ArrayType:
    out = x.with_shape(shape)
    size = x.size
    _check(out.size == size, "reshape: cannot reshape an array of shape {} ({} elements) into {}", x.shape, size, shape)
    return out


reshape: Operation = linear(
    "reshape",
    lambda x, *, shape: (x if type(x) is np.ndarray else np.asarray(x)).reshape(shape),
    _reshape_infer,
    lambda ct, x, *, shape: reshape(ct, shape=x.shape),
    lambda size, x, *, shape: reshape(x, shape=(size, *shape)),
)


# transpose -----------------------------------------------------------------------------------------------------------


def _transpose_infer(x: ArrayType, *, permutation: Shape) -> ArrayType:
    _check(
        sorted(permutation) == list(range(x.ndim)),
        "transpose: {} is no permutation of the axes of {}",
        permutation,
        x.shape,
    )
    return x.with_shape(tuple(x.shape[axis] for axis in permutation))


transpose: Operation = linear(
    "transpose",
    lambda x, *, permutation: np.transpose(x, permutation),
    _transpose_infer,
    lambda ct, x, *, permutation: transpose(ct, permutation=tuple(sorted(range(x.ndim), key=permutation.__getitem__))),
    lambda size, x, *, permutation: transpose(x, permutation=(0, *(axis + 1 for axis in permutation))),
)


# slice: start <= index < limit in steps of strides > 0 ----------------------------------------------------------------


def _slice(x: Any, *, start_indices: Shape, limit_indices: Shape, strides: Shape) -> Any:
    return x[tuple(map(slice, start_indices, limit_indices, strides))]


def _slice_infer(x: ArrayType, *, start_indices: Shape, limit_indices: Shape, strides: Shape) -> ArrayType:
    inside = len(start_indices) == len(limit_indices) == len(strides) == x.ndim and all(
        0 <= a <= b <= n and s > 0 for a, b, s, n in zip(start_indices, limit_indices, strides, x.shape, strict=True)
    )
    message = "slice: {}:{}:{} does not lie in an array of shape {}"
    _check(inside, message, start_indices, limit_indices, strides, x.shape)
    return x.with_shape(tuple(-(-(b - a) // s) for a, b, s in zip(start_indices, limit_indices, strides, strict=True)))


def _slice_transpose(ct: Any, x: ArrayType, *, start_indices: Shape, limit_indices: Shape, strides: Shape) -> Any:
    config = []
    for n, a, s, m in zip(x.shape, start_indices, strides, ct.shape, strict=True):
        used = (m - 1) * s + 1 if m else 0
        config.append((a, n - a - used, s - 1))
    return pad(ct, ct.dtype.type(0), padding_config=tuple(config))


def _slice_batch(size: int, x: Any, *, start_indices: Shape, limit_indices: Shape, strides: Shape) -> Any:
    return slice_(x, start_indices=(0, *start_indices), limit_indices=(size, *limit_indices), strides=(1, *strides))


slice_ = linear("slice", _slice, _slice_infer, _slice_transpose, _slice_batch)


# rev -----------------------------------------------------------------------------------------------------------------


def _rev_infer(x: ArrayType, *, dimensions: Shape) -> ArrayType:
    _check(all(0 <= axis < x.ndim for axis in dimensions), "rev: axes {} do not fit shape {}", dimensions, x.shape)
    return x


rev: Operation = linear(
    "rev",
    lambda x, *, dimensions: np.flip(x, dimensions),
    _rev_infer,
    lambda ct, x, *, dimensions: rev(ct, dimensions=dimensions),
    lambda size, x, *, dimensions: rev(x, dimensions=tuple(axis + 1 for axis in dimensions)),
)


# pad: (low, high, interior) for each axis; low and high may be negative (they cut) ------------------------------------

Config = tuple[tuple[int, int, int], ...]


def _padded_extent(n: int, config: tuple[int, int, int]) -> int:
    low, high, interior = config
    return low + high + n + max(n - 1, 0) * interior


def _pad(x: Any, value: Any, *, padding_config: Config) -> Any:
    full = np.full(
        [
            max(low, 0) + max(high, 0) + n + max(n - 1, 0) * k
            for n, (low, high, k) in zip(x.shape, padding_config, strict=True)
        ],
        value,
        x.dtype,
    )
    inner = tuple(
        slice(max(low, 0), max(low, 0) + n + max(n - 1, 0) * k, k + 1)
        for n, (low, high, k) in zip(x.shape, padding_config, strict=True)
    )
    full[inner] = x
    cut = tuple(
        slice(max(-low, 0), n - max(-high, 0)) for n, (low, high, _) in zip(full.shape, padding_config, strict=True)
    )
    return full[cut]


def _pad_infer(x: ArrayType, value: ArrayType, *, padding_config: Config) -> ArrayType:
    _check(value.shape == () and value.dtype == x.dtype, "pad: the value has type {}, the operand {}", value, x)
    _check(len(padding_config) == x.ndim, "pad: {} does not fit shape {}", padding_config, x.shape)
    shape = tuple(map(_padded_extent, x.shape, padding_config))
    _check(all(n >= 0 for n in shape), "pad: {} leaves less than nothing of shape {}", padding_config, x.shape)
    return x.with_shape(shape)


def _pad_transpose(ct: Any, x: ArrayType, value: ArrayType, *, padding_config: Config) -> tuple[Any, Any]:
    zero = ct.dtype.type(0)
    opened = pad(ct, zero, padding_config=tuple((-low, -high, 0) for low, high, _ in padding_config))
    inner = slice_(
        opened,
        start_indices=(0,) * x.ndim,
        limit_indices=opened.shape,
        strides=tuple(k + 1 for *_, k in padding_config),
    )
    everything = operation("reduce_sum")(ct, axes=tuple(range(x.ndim)))
    return inner, everything - operation("reduce_sum")(inner, axes=tuple(range(x.ndim)))


def _pad_batch(size: int, x: Any, value: Any, *, padding_config: Config) -> Any:
    # The value differs from example to example: pad with zeros, then add the value where there is padding.
    config = ((0, 0, 0), *padding_config)
    zero = x.dtype.type(0)
    inside = pad(np.ones(x.shape, np.bool_), np.bool_(False), padding_config=config)
    spread = broadcast_in_dim(value, shape=inside.shape, broadcast_dimensions=(0,))
    return operation("select")(inside, spread, pad(x, zero, padding_config=config))


pad = linear("pad", _pad, _pad_infer, _pad_transpose, _pad_batch)


def _pad_batch_any(size: int, inputs: Any, batched: Sequence[bool], params: dict[str, Any]) -> Any:
    if not batched[1]:
        config = ((0, 0, 0), *params["padding_config"])
        return (pad(*inputs, padding_config=config),), (True,)
    return batched_by(_pad_batch)(size, inputs, batched, params)


pad.batch = _pad_batch_any  # the common case, one value for all examples, needs no second array


# concatenate ---------------------------------------------------------------------------------------------------------


def _concatenate_infer(*types: ArrayType, dimension: int) -> ArrayType:
    first = types[0]
    rest = {(t.shape[:dimension], t.shape[dimension + 1 :], t.dtype) for t in types}
    if len(rest) > 1 or not 0 <= dimension < first.ndim:
        raise TypeError(f"concatenate: {', '.join(map(str, types))} do not fit along axis {dimension}")
    extent = sum(t.shape[dimension] for t in types)
    return first.with_shape((*first.shape[:dimension], extent, *first.shape[dimension + 1 :]))


def _concatenate_transpose(ct: Any, *types: ArrayType, dimension: int) -> tuple[Any, ...]:
    parts, start = [], 0
    for t in types:
        stop = start + t.shape[dimension]
        low = tuple(start if axis == dimension else 0 for axis in range(t.ndim))
        high = tuple(stop if axis == dimension else n for axis, n in enumerate(t.shape))
        parts.append(slice_(ct, start_indices=low, limit_indices=high, strides=(1,) * t.ndim))
        start = stop
    return tuple(parts)


concatenate: Operation = linear(
    "concatenate",
    lambda *xs, dimension: np.concatenate(xs, dimension),
    _concatenate_infer,
    _concatenate_transpose,
    lambda size, *xs, dimension: concatenate(*xs, dimension=dimension + 1),
)


# iota ----------------------------------------------------------------------------------------------------------------


def _iota(*, dtype: DType, shape: Shape, dimension: int) -> Any:
    line = np.arange(shape[dimension]).astype(dtype)
    return _broadcast(line, shape=shape, broadcast_dimensions=(dimension,))


def _iota_infer(*, dtype: DType, shape: Shape, dimension: int) -> ArrayType:
    _check(0 <= dimension < len(shape), "iota: shape {} has no axis {}", shape, dimension)
    return ArrayType(shape, dtype)


def _no_operand(size: int, **params: Any) -> Any:
    raise AssertionError("iota has no operand to be batched")


iota = nondifferentiable("iota", _iota, _iota_infer, _no_operand)


def counted(dtype: DType, shape: Shape, dimension: int = 0) -> Any:
    """Positions along an axis: where a program is being made, an equation rather than an array of all of them."""
    params = {"dtype": dtype, "shape": shape, "dimension": dimension}
    return running.builders[-1].process(iota, (), params)[0] if running.builders else iota(**params)
