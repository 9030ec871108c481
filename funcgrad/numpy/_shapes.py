"""NumPy's functions that rearrange: reshape, transpose, join, split, repeat, flip, pad, triangles."""

from __future__ import annotations

import builtins
import functools
import itertools
import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from funcgrad.errors import at_line
from funcgrad.numpy._common import (
    axis_number,
    axis_numbers,
    broadcast,
    broadcast_shape,
    concrete,
    has_tracer,
    implements,
    operand,
    promoted,
    static_shape,
)
from funcgrad.numpy._common import broadcast_to as _broadcast_to
from funcgrad.numpy._extended import completed, sharing
from funcgrad.ops import shape as sh
from funcgrad.ops.comparison import convert, ge, select
from funcgrad.ops.indexing import gather
from funcgrad.trace.frame import type_of
from funcgrad.tracebacks import boundary

Shape = tuple[int, ...]


def _reshaped(x: Any, shape: Shape) -> Any:
    return x if type_of(x).shape == shape else sh.reshape(x, shape=shape)


@sharing(np.reshape)
@implements(np.reshape)
def reshape(a: Any, /, shape: Any = None, order: str = "C", *, copy: bool | None = None) -> Any:
    """The same elements in another shape; one extent may be -1."""
    a = operand(a, "reshape")
    size, extents = type_of(a).size, list(static_shape(shape, "reshape"))
    if extents.count(-1) == 1:
        rest = int(np.prod([n for n in extents if n != -1], dtype=int))
        extents[extents.index(-1)] = size // rest if rest else -1
    if int(np.prod(extents, dtype=int)) != size or builtins.any(n < 0 for n in extents):
        raise ValueError(f"cannot reshape array of size {size} into shape {shape}{at_line()}")
    if order == "C":
        return _reshaped(a, tuple(extents))
    if order != "F":
        raise ValueError(f"reshape: order must be 'C' or 'F', not {order!r}{at_line()}")
    return transpose(_reshaped(transpose(a), tuple(reversed(extents))))


@implements(np.ravel)
def ravel(a: Any, order: str = "C") -> Any:
    """All elements in one line."""
    return reshape(a, (-1,), order)


@implements(np.transpose)
def transpose(a: Any, axes: Any = None) -> Any:
    """The array with its axes in another order (reversed by default)."""
    a = operand(a, "transpose")
    ndim = type_of(a).ndim
    order = tuple(reversed(range(ndim))) if axes is None else tuple(axis_number(k, ndim, "transpose") for k in axes)
    if sorted(order) != list(range(ndim)):
        raise ValueError(f"transpose: axes {axes} don't match array of shape {type_of(a).shape}{at_line()}")
    return a if order == tuple(range(ndim)) else sh.transpose(a, permutation=order)


@implements(np.permute_dims)
def permute_dims(a: Any, axes: Any = None) -> Any:
    """As `transpose`."""
    return transpose(a, axes)


@implements(np.matrix_transpose)
def matrix_transpose(x: Any, /) -> Any:
    """The last two axes exchanged."""
    return swapaxes(x, -1, -2)


@implements(np.swapaxes)
def swapaxes(a: Any, axis1: int, axis2: int) -> Any:
    """Two axes exchanged."""
    order = list(range(type_of(a).ndim))
    i, j = axis_number(axis1, len(order), "swapaxes"), axis_number(axis2, len(order), "swapaxes")
    order[i], order[j] = order[j], order[i]
    return transpose(a, order)


@implements(np.moveaxis)
def moveaxis(a: Any, source: Any, destination: Any) -> Any:
    """Axes moved to other places, the rest kept in order."""
    ndim = type_of(a).ndim
    sources = [axis_number(k, ndim, "moveaxis") for k in (source if isinstance(source, Sequence) else (source,))]
    targets = [
        axis_number(k, ndim, "moveaxis") for k in (destination if isinstance(destination, Sequence) else (destination,))
    ]
    if len(sources) != len(targets):
        raise ValueError(f"`source` and `destination` arguments must have the same number of elements{at_line()}")
    order = [k for k in range(ndim) if k not in sources]
    for target, axis in sorted(zip(targets, sources, strict=True)):
        order.insert(target, axis)
    return transpose(a, order)


@implements(np.squeeze)
def squeeze(a: Any, axis: Any = None) -> Any:
    """Without axes of extent 1."""
    shape = type_of(a).shape
    if axis is None or (not shape and axis in (0, -1)):  # NumPy lets a 0-d array have an axis 0 here
        axes = tuple(k for k, n in enumerate(shape) if n == 1)
    else:
        axes = axis_numbers(axis, len(shape), "squeeze")
    if builtins.any(shape[k] != 1 for k in axes):
        raise ValueError(f"cannot select an axis to squeeze out which has size not equal to one{at_line()}")
    return _reshaped(a, tuple(n for k, n in enumerate(shape) if k not in axes))


@completed(lambda count, named: named if count > 1 else {"axis": 0} | named)
@implements(np.expand_dims)
def expand_dims(a: Any, axis: Any = 0) -> Any:
    """With new axes of extent 1."""
    shape = list(type_of(a).shape)
    count = len(axis) if isinstance(axis, (tuple, list)) else 1
    for k in axis_numbers(axis, len(shape) + count, "expand_dims"):
        shape.insert(k, 1)
    return _reshaped(a, tuple(shape))


@implements(np.broadcast_to)
def broadcast_to(array: Any, shape: Any, subok: bool = False) -> Any:
    """The array repeated to `shape`."""
    array = operand(array, "broadcast_to")
    target = static_shape(shape, "broadcast_to")
    if broadcast_shape("broadcast_to", type_of(array).shape, target) != target:
        raise ValueError(f"broadcast_to: shape {type_of(array).shape} does not fit {target}{at_line()}")
    return _broadcast_to(array, target)


@implements(np.broadcast_arrays)
def broadcast_arrays(*args: Any, subok: bool = False) -> tuple[Any, ...]:
    """All arrays in their common shape."""
    args = tuple(operand(x, "broadcast_arrays") for x in args)
    shape = broadcast_shape("broadcast_arrays", *(type_of(x).shape for x in args))
    return tuple(_broadcast_to(x, shape) for x in args)


@implements(np.concatenate)
def concatenate(
    arrays: Any, axis: int | None = 0, out: None = None, *, dtype: Any = None, casting: str = "same_kind"
) -> Any:
    """Arrays joined along an axis."""
    if out is not None:
        raise TypeError(f"concatenate: out= would write into an array: traced functions are pure{at_line()}")
    parts = list(arrays)
    if not parts:
        raise ValueError(f"need at least one array to concatenate{at_line()}")
    parts = promoted("concatenate", *parts)
    if dtype is not None:
        parts = [_converted(x, np.dtype(dtype), casting) for x in parts]
    if axis is None:
        parts, axis = [ravel(x) for x in parts], 0
    shapes = [type_of(x).shape for x in parts]
    along = axis_number(axis, len(shapes[0]), "concatenate")
    if len({(*s[:along], *s[along + 1 :]) for s in shapes}) != 1 or len({len(s) for s in shapes}) != 1:
        raise ValueError(f"concatenate: shapes {', '.join(map(str, shapes))} do not fit along axis {axis}{at_line()}")
    return parts[0] if len(parts) == 1 else sh.concatenate(*parts, dimension=along)


def _converted(x: Any, dtype: np.dtype, casting: Any) -> Any:
    have = type_of(x).dtype
    if not np.can_cast(have, dtype, casting):
        raise TypeError(
            f"Cannot cast array data from {have!r} to {dtype!r} according to the rule {casting!r}{at_line()}"
        )
    return convert(x, dtype=dtype)


@implements(np.concat)
def concat(
    arrays: Any, axis: int | None = 0, out: None = None, *, dtype: Any = None, casting: str = "same_kind"
) -> Any:
    """As `concatenate`."""
    return concatenate(arrays, axis, out, dtype=dtype, casting=casting)


@implements(np.stack)
def stack(arrays: Any, axis: int = 0, out: None = None, *, dtype: Any = None, casting: str = "same_kind") -> Any:
    """Arrays of one shape joined along a new axis."""
    parts = [operand(x, "stack") for x in arrays]
    if len({type_of(x).shape for x in parts}) > 1:
        raise ValueError(f"all input arrays must have the same shape{at_line()}")
    if not parts:
        raise ValueError(f"need at least one array to stack{at_line()}")
    along = axis_number(axis, type_of(parts[0]).ndim + 1, "stack")
    return concatenate([expand_dims(x, along) for x in parts], along, out, dtype=dtype, casting=casting)


def _at_least(x: Any, ndim: int) -> Any:
    shape = type_of(x).shape
    return x if len(shape) >= ndim else _reshaped(x, (*(1,) * (ndim - len(shape)), *shape))


@implements(np.atleast_1d)
def atleast_1d(*arys: Any) -> Any:
    """With one axis or more."""
    out = tuple(_at_least(operand(x, "atleast_1d"), 1) for x in arys)
    return out[0] if len(out) == 1 else out


@implements(np.atleast_2d)
def atleast_2d(*arys: Any) -> Any:
    """With two axes or more."""
    out = tuple(_at_least(operand(x, "atleast_2d"), 2) for x in arys)
    return out[0] if len(out) == 1 else out


@implements(np.vstack)
def vstack(tup: Any, *, dtype: Any = None, casting: str = "same_kind") -> Any:
    """Joined as rows."""
    return concatenate([_at_least(operand(x, "vstack"), 2) for x in tup], 0, dtype=dtype, casting=casting)


@implements(np.hstack)
def hstack(tup: Any, *, dtype: Any = None, casting: str = "same_kind") -> Any:
    """Joined side by side."""
    parts = [_at_least(operand(x, "hstack"), 1) for x in tup]
    along = 0 if not parts or type_of(parts[0]).ndim == 1 else 1
    return concatenate(parts, along, dtype=dtype, casting=casting)


@implements(np.column_stack)
def column_stack(tup: Any) -> Any:
    """1-d arrays as columns of a matrix."""
    parts = [operand(x, "column_stack") for x in tup]
    return concatenate([x if type_of(x).ndim > 1 else reshape(x, (-1, 1)) for x in parts], 1)


def _sections(name: str, n: int, indices: Any, equal: bool) -> list[int]:
    if isinstance(indices, (tuple, list, np.ndarray)):
        return [builtins.min(builtins.max(int(i) + (n if i < 0 else 0), 0), n) for i in indices]
    count = operator.index(indices)
    if count <= 0:
        raise ValueError(f"{name}: the number of sections must be larger than 0{at_line()}")
    if equal and n % count:
        raise ValueError(f"{name}: array split does not result in an equal division{at_line()}")
    sizes = [n // count + (k < n % count) for k in range(count)]
    return [int(k) for k in np.cumsum(sizes)[:-1]]


def _split(name: str, ary: Any, indices: Any, axis: int, equal: bool) -> list[Any]:
    shape = type_of(ary).shape
    along = axis_number(axis, len(shape), name)
    cuts = [0, *_sections(name, shape[along], indices, equal), shape[along]]
    parts = []
    for start, stop in itertools.pairwise(cuts):
        low = tuple(start if k == along else 0 for k in range(len(shape)))
        high = tuple(builtins.max(start, stop) if k == along else n for k, n in enumerate(shape))
        parts.append(sh.slice_(ary, start_indices=low, limit_indices=high, strides=(1,) * len(shape)))
    return parts


@implements(np.split)
def split(ary: Any, indices_or_sections: Any, axis: int = 0) -> list[Any]:
    """Cut along an axis into equal parts or at given places."""
    return _split("split", ary, indices_or_sections, axis, True)


@implements(np.array_split)
def array_split(ary: Any, indices_or_sections: Any, axis: int = 0) -> list[Any]:
    """Cut along an axis into parts as equal as can be."""
    return _split("array_split", ary, indices_or_sections, axis, False)


@implements(np.flip)
def flip(m: Any, axis: Any = None) -> Any:
    """Elements in reverse order along axes."""
    axes = axis_numbers(axis, type_of(m).ndim, "flip")
    return sh.rev(m, dimensions=axes) if axes else m


@implements(np.roll)
def roll(a: Any, shift: Any, axis: Any = None) -> Any:
    """Elements moved along axes, those that leave at one end entering at the other."""
    shape = type_of(a).shape
    if axis is None:
        return reshape(roll(ravel(a), shift, 0), shape)
    if has_tracer((shift,)):
        return _rolled_by_traced(a, operand(shift, "roll"), axis)
    for s, k in np.broadcast(shift, axis):
        along = axis_number(k, len(shape), "roll")
        n = shape[along]
        cut = (n - operator.index(s)) % n if n else 0
        if cut:
            head, tail = _split("roll", a, [cut], along, False)
            a = concatenate([tail, head], along)
    return a


def _rolled_by_traced(a: Any, shift: Any, axis: Any) -> Any:
    """`roll` by numbers that are known when the program runs."""
    shape = broadcast_shape("roll", type_of(shift).shape, np.shape(axis))
    if len(shape) > 1:
        raise ValueError(f"roll: 'shift' and 'axis' should be scalars or 1D sequences{at_line()}")
    shifts = np.ravel(_broadcast_to(shift, shape))
    for j, k in enumerate(np.broadcast_to(axis, shape).ravel().tolist()):
        n = type_of(a).shape[axis_number(k, type_of(a).ndim, "roll")]
        a = np.take(a, np.arange(n) - shifts[j], k, mode="wrap") if n else a
    return a


@implements(np.tile)
def tile(A: Any, reps: Any) -> Any:
    """The array repeated as blocks."""
    counts = static_shape(reps, "tile")
    shape = type_of(A).shape
    ndim = builtins.max(len(counts), len(shape))
    counts, full = (1,) * (ndim - len(counts)) + counts, (1,) * (ndim - len(shape)) + shape
    blocks = tuple(n for pair in zip(counts, full, strict=True) for n in pair)
    placed = sh.broadcast_in_dim(_reshaped(A, full), shape=blocks, broadcast_dimensions=tuple(range(1, 2 * ndim, 2)))
    return _reshaped(placed, tuple(c * n for c, n in zip(counts, full, strict=True)))


def _signed_counts(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, with counts of uint64 as int64, which NumPy wants."""

    @boundary
    @functools.wraps(function)
    def with_counts(a: Any, repeats: Any, *args: Any, **kwargs: Any) -> Any:
        signed = isinstance(repeats, np.ndarray) and repeats.dtype == np.uint64
        return function(a, repeats.astype(np.int64) if signed else repeats, *args, **kwargs)

    return with_counts


@_signed_counts
@implements(np.repeat)
def repeat(a: Any, repeats: Any, axis: int | None = None) -> Any:
    """Each element repeated along an axis (by one known count, or one for each element)."""
    if np.ndim(repeats):
        return _repeated_each(a, repeats, axis)
    count = operator.index(repeats)
    if count < 0:
        raise ValueError(f"repeats may not contain negative values{at_line()}")
    if axis is None or not type_of(a).shape:
        a, axis = ravel(a), axis or 0
    shape = type_of(a).shape
    along = axis_number(axis, len(shape), "repeat")
    wide = (*shape[: along + 1], count, *shape[along + 1 :])
    dims = tuple(k if k <= along else k + 1 for k in range(len(shape)))
    spread = sh.broadcast_in_dim(a, shape=wide, broadcast_dimensions=dims)
    return _reshaped(spread, (*shape[:along], shape[along] * count, *shape[along + 1 :]))


def _repeated_each(a: Any, repeats: Any, axis: int | None) -> Any:
    counts = concrete(operand(repeats, "repeat"))
    if counts is None:
        raise TypeError(
            f"repeat: the counts must be known, as the size of the result depends on them; np.take(x, indices) repeats "
            f"by traced indices{at_line()}"
        )
    if axis is None or not type_of(a).shape:
        a, axis = ravel(a), axis or 0
    along = axis_number(axis, type_of(a).ndim, "repeat")
    places = np.repeat(np.arange(type_of(a).shape[along]), counts)
    return moveaxis(gather(a, places, axes=(along,)), 0, along)


def _triangle(m: Any, k: int, lower: bool) -> Any:
    kind = type_of(m)
    if kind.ndim == 0:
        raise TypeError(f"tril and triu take arrays of one or more axes, not shape (){at_line()}")
    if kind.ndim == 1:  # as NumPy does: every row of the matrix is the array
        m = _broadcast_to(m, kind.shape * 2)
        kind = type_of(m)
    rows = sh.iota(dtype=np.dtype(np.int64), shape=kind.shape, dimension=kind.ndim - 2)
    columns = sh.iota(dtype=np.dtype(np.int64), shape=kind.shape, dimension=kind.ndim - 1)
    keep = ge(rows + k, columns) if lower else ge(columns, rows + k)
    return select(keep, kind.dtype.type(0), m)


@implements(np.tril)
def tril(m: Any, k: int = 0) -> Any:
    """The lower triangle, zeros above diagonal `k`."""
    return _triangle(m, k, True)


@implements(np.triu)
def triu(m: Any, k: int = 0) -> Any:
    """The upper triangle, zeros below diagonal `k`."""
    return _triangle(m, k, False)


def ensure_same_shape(name: str, *xs: Any) -> list[Any]:
    """Operands broadcast to a common shape, 0-d ones too."""
    xs = tuple(broadcast(name, *xs))
    shape = builtins.max((type_of(x).shape for x in xs), key=len)
    return [_broadcast_to(x, shape) for x in xs]
