"""NumPy's functions of integers and their bits: gcd, lcm, bitwise_count, packbits, unpackbits."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.errors import at_line
from funcgrad.numpy._common import axis_number, broadcast, implements, operand, promoted
from funcgrad.numpy._folds import part, truth
from funcgrad.numpy._shapes import moveaxis
from funcgrad.numpy._ufuncs import ufunc
from funcgrad.ops import bits as bi
from funcgrad.ops.arithmetic import abs_
from funcgrad.ops.comparison import and_, convert, shift_left, shift_right
from funcgrad.ops.reduction import reduce_sum
from funcgrad.ops.shape import broadcast_in_dim, pad, reshape
from funcgrad.trace.frame import type_of

UINT8 = np.dtype(np.uint8)


def _of_integers(name: str, primitive: Any) -> Any:
    def traced(x: Any, y: Any) -> Any:
        x, y = promoted(name, x, y)
        if type_of(x).dtype.kind not in "iu":
            raise TypeError(f"numpy.{name} takes integers, not {type_of(x).dtype.name}{at_line()}")
        return primitive(*broadcast(name, x, y))

    return traced


def _bitwise_count(x: Any) -> Any:
    """How many bits of the magnitude are set."""
    x = operand(x, "bitwise_count")
    kind = type_of(x).dtype
    if kind.kind == "b":
        return convert(x, dtype=UINT8)
    if kind.kind not in "iu":
        raise TypeError(f"numpy.bitwise_count takes integers, not {kind.name}{at_line()}")
    return convert(bi.population_count(abs_(x) if kind.kind == "i" else x), dtype=UINT8)


ufunc(np.gcd, _of_integers("gcd", bi.gcd))
ufunc(np.lcm, _of_integers("lcm", bi.lcm))
ufunc(np.bitwise_count, _bitwise_count)


def _order(bitorder: str) -> np.ndarray:
    """How far each of eight bits is shifted."""
    if bitorder not in ("big", "little"):
        raise ValueError(f"bitorder must be either 'little' or 'big', not {bitorder!r}{at_line()}")
    shifts = np.arange(8, dtype=UINT8)
    return shifts[::-1].copy() if bitorder == "big" else shifts


def _along_last(name: str, a: Any, axis: int | None) -> tuple[Any, int]:
    """The array with `axis` moved to the end (None: flat), and where it was."""
    if axis is None or not type_of(a).ndim:  # as in NumPy, a number counts as an array of one
        a = reshape(a, shape=(type_of(a).size,))
    along = axis_number(0 if axis is None else axis, type_of(a).ndim, name)
    return moveaxis(a, along, -1), along


@implements(np.packbits)
def packbits(a: Any, /, axis: int | None = None, bitorder: str = "big") -> Any:
    """Eight truth values to a byte; the last byte is filled with zeros."""
    a = operand(a, "packbits")
    shifts = _order(bitorder)
    if type_of(a).dtype.kind not in "biu":
        raise TypeError(f"Expected an input array of integer or boolean data type, not {type_of(a).dtype}{at_line()}")
    line, along = _along_last("packbits", convert(truth(a), dtype=UINT8), axis)
    shape = type_of(line).shape
    missing = -shape[-1] % 8
    config = (*((0, 0, 0),) * (len(shape) - 1), (0, missing, 0))
    line = pad(line, np.uint8(0), padding_config=config) if missing else line
    full = (*shape[:-1], (shape[-1] + missing) // 8, 8)
    shifted = shift_left(reshape(line, shape=full), np.broadcast_to(shifts, full))
    return moveaxis(reduce_sum(shifted, axes=(len(full) - 1,)), -1, along)


@implements(np.unpackbits)
def unpackbits(a: Any, /, axis: int | None = None, count: int | None = None, bitorder: str = "big") -> Any:
    """The bits of bytes, one to an element."""
    a = operand(a, "unpackbits")
    if type_of(a).dtype != UINT8:
        raise TypeError(f"Expected an input array of unsigned byte data type, not {type_of(a).dtype}{at_line()}")
    shifts = _order(bitorder)
    line, along = _along_last("unpackbits", a, axis)
    shape = (*type_of(line).shape, 8)
    spread = broadcast_in_dim(line, shape=shape, broadcast_dimensions=tuple(range(len(shape) - 1)))
    bits = and_(shift_right(spread, np.broadcast_to(shifts, shape)), np.uint8(1))
    bits = reshape(bits, shape=(*shape[:-2], shape[-2] * 8))
    n, last = shape[-2] * 8, len(shape) - 2
    if count is not None:
        wanted = count if count >= 0 else n + count
        if wanted < 0:
            raise ValueError(f"-count larger than number of elements{at_line()}")
        config = (*((0, 0, 0),) * last, (0, wanted - n, 0))
        bits = part(bits, last, 0, wanted) if wanted <= n else pad(bits, np.uint8(0), padding_config=config)
    return moveaxis(bits, -1, along)
