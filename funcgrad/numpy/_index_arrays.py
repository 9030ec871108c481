"""NumPy's functions that make indices: of diagonals and triangles, open meshes, and flat places from coordinates."""

from __future__ import annotations

import builtins
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad.errors import NonConcreteBooleanIndexError, at_line
from funcgrad.numpy._common import broadcast, implements, operand, static_shape
from funcgrad.numpy._indexing import as_int64
from funcgrad.ops.indexing import check_entry
from funcgrad.ops.shape import reshape
from funcgrad.trace.frame import type_of
from funcgrad.trace.tracer import Tracer, known

Shape = tuple[int, ...]


def _number(x: Any) -> int:
    """A size: traced ones raise the error that says so."""
    return int(x.__index__())


@implements(np.diag_indices)
def diag_indices(n: Any, ndim: int = 2) -> tuple[Any, ...]:
    """The places of the diagonal of an array of extents `n`."""
    return np.diag_indices(_number(n), ndim)


@implements(np.diag_indices_from)
def diag_indices_from(arr: Any) -> tuple[Any, ...]:
    """The places of the diagonal of an array."""
    shape = type_of(arr).shape
    if len(shape) < 2:
        raise ValueError(f"diag_indices_from: input array must be at least 2-d, not of shape {shape}{at_line()}")
    if len(set(shape)) > 1:
        raise ValueError(f"diag_indices_from: all dimensions must be of equal length, not {shape}{at_line()}")
    return np.diag_indices(shape[0], len(shape))


@implements(np.tril_indices)
def tril_indices(n: Any, k: Any = 0, m: Any = None) -> tuple[Any, ...]:
    """The places of a lower triangle."""
    return np.tril_indices(_number(n), _number(k), m)


@implements(np.triu_indices)
def triu_indices(n: Any, k: Any = 0, m: Any = None) -> tuple[Any, ...]:
    """The places of an upper triangle."""
    return np.triu_indices(_number(n), _number(k), m)


def _matrix(name: str, arr: Any) -> Shape:
    shape = type_of(arr).shape
    if len(shape) != 2:
        raise ValueError(f"{name}: input array must be 2-d, not of shape {shape}{at_line()}")
    return shape


@implements(np.tril_indices_from)
def tril_indices_from(arr: Any, k: Any = 0) -> tuple[Any, ...]:
    """The places of the lower triangle of a matrix."""
    n, m = _matrix("tril_indices_from", arr)
    return np.tril_indices(n, _number(k), m)


@implements(np.triu_indices_from)
def triu_indices_from(arr: Any, k: Any = 0) -> tuple[Any, ...]:
    """The places of the upper triangle of a matrix."""
    n, m = _matrix("triu_indices_from", arr)
    return np.triu_indices(n, _number(k), m)


@implements(np.mask_indices)
def mask_indices(n: Any, mask_func: Any, k: Any = 0) -> tuple[Any, ...]:
    """The places that a function such as `triu` leaves standing."""
    return np.mask_indices(_number(n), mask_func, _number(k))


@implements(np.ix_)
def ix_(*args: Any) -> tuple[Any, ...]:
    """An open mesh from sequences: indices that name every combination."""
    lines = []
    for k, arg in enumerate(args):
        x = operand(arg, "ix_")
        if type_of(x).ndim != 1:
            raise ValueError(f"Cross index must be 1 dimensional, not of shape {type_of(x).shape}{at_line()}")
        if type_of(x).dtype == np.bool_:
            mask = known(x)
            if mask is None:
                raise NonConcreteBooleanIndexError(
                    f"ix_: a traced mask of type {type_of(x)} names an unknown number of places{at_line()}"
                )
            (x,) = np.nonzero(mask)
        shape = tuple(type_of(x).size if k == axis else 1 for axis in range(len(args)))
        lines.append(reshape(x, shape=shape))
    return tuple(lines)


def _checked(i: Any, size: int, message: str) -> Any:
    """Coordinates within bounds: negative ones are not."""
    return check_entry(i, size=size, message=message)


@implements(np.unravel_index)
def unravel_index(indices: Any, shape: Any, order: str = "C") -> tuple[Any, ...]:
    """Coordinates from flat places."""
    _known_order("unravel_index", order)
    extents = static_shape(shape, "unravel_index")
    size = math.prod(extents)
    message = f"unravel_index: an index is out of bounds for an array with size {size}"
    left = _checked(_integers("unravel_index", indices), size, message)
    found: list[Any] = []
    for n in extents if order == "F" else reversed(extents):
        size = builtins.max(n, 1)
        found.append(left % size)
        left = left // size
    return tuple(found if order == "F" else reversed(found))


def _integers(name: str, x: Any) -> Any:
    x = operand(x, name)
    if type_of(x).dtype.kind not in "iu":
        raise TypeError(f"{name}: only int indices permitted, not {type_of(x).dtype.name}{at_line()}")
    return as_int64(x)


def _known_order(name: str, order: str) -> None:
    if order not in ("C", "F"):
        raise ValueError(f"{name}: only 'C' or 'F' order is permitted, not {order!r}{at_line()}")


@implements(np.ravel_multi_index)
def ravel_multi_index(multi_index: Any, dims: Any, mode: Any = "raise", order: str = "C") -> Any:
    """Flat places from coordinates."""
    name = "ravel_multi_index"
    _known_order(name, order)
    extents = static_shape(dims, name)
    lines = broadcast(name, *(_integers(name, i) for i in multi_index))
    modes = mode if isinstance(mode, Sequence) and not isinstance(mode, str) else (mode,) * len(extents)
    if len(lines) != len(extents):
        raise ValueError(f"{name}: {len(extents)} extents, but {len(lines)} arrays of coordinates{at_line()}")
    placed = [_by_mode(name, i, n, m) for i, n, m in zip(lines, extents, modes, strict=True)]
    flat: Any = np.int64(0)
    pairs = list(zip(placed, extents, strict=True))
    for i, n in reversed(pairs) if order == "F" else pairs:
        flat = flat * n + i
    return flat


def _by_mode(name: str, i: Any, size: int, mode: str) -> Any:
    if mode == "raise":
        return _checked(i, size, f"{name}: invalid entry in coordinates array (of an axis with size {size})")
    if mode == "wrap":
        return np.remainder(i, size)
    if mode != "clip":
        raise ValueError(f"{name}: mode must be 'raise', 'wrap' or 'clip', not {mode!r}{at_line()}")
    return np.clip(i, 0, size - 1) if type(i) is Tracer else np.clip(np.asarray(i), 0, size - 1)
