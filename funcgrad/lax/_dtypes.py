"""JAX's functions that change the dtype, the digits or the bits of arrays; and `stop_gradient`."""

from __future__ import annotations

import operator as _operator
from typing import Any

import numpy as np

from funcgrad import tree
from funcgrad.dtypes import BFLOAT16, FLOATS, DType
from funcgrad.errors import at_line
from funcgrad.lax._arguments import check_dtype, dtype_named, finished, reshaped, strong
from funcgrad.lax._arguments import operand as checked
from funcgrad.ops import bits
from funcgrad.ops import comparison as co
from funcgrad.ops.shape import concatenate, slice_
from funcgrad.trace.frame import type_of

__all__ = ["bitcast_convert_type", "convert_element_type", "dtype", "reduce_precision", "stop_gradient"]


def convert_element_type(operand: Any, new_dtype: Any) -> Any:
    """The same numbers with another dtype.

    Returns
    -------
    Array
        Of the operand's shape, in `new_dtype`.

    Examples
    --------
    >>> convert_element_type(2.7, int)
    Array(2)
    """
    x = checked(operand, "convert_element_type")
    return finished(co.convert(strong(x), dtype=dtype_named(new_dtype)))


def bitcast_convert_type(operand: Any, new_dtype: Any) -> Any:
    """The same bits as another dtype; where it is narrower there is a last axis more, where it is wider one less.

    Returns
    -------
    Array
        Of `new_dtype`.

    Raises
    ------
    TypeError
        Bools or complex numbers are asked for, or given.
    ValueError
        A wider dtype needs a last axis of the ratio's extent.

    Examples
    --------
    >>> import numpy as np
    >>> hex(bitcast_convert_type(np.float32(1.0), np.uint32))
    '0x3f800000'
    """
    x, dtype = strong(checked(operand, "bitcast_convert_type")), dtype_named(new_dtype)
    kind = type_of(x)
    if kind.dtype == dtype:
        return finished(x)
    if "b" in (kind.dtype.kind, dtype.kind) or "c" in (kind.dtype.kind, dtype.kind):
        raise TypeError(
            f"lax.bitcast_convert_type: {kind.dtype.name} cannot be read as {dtype.name}: integers and floats "
            f"can{at_line()}"
        )
    have, wanted = kind.dtype.itemsize, dtype.itemsize
    if have == wanted:
        return finished(bits.bitcast(x, new_dtype=dtype))
    if have < wanted and kind.shape[-1:] != (wanted // have,):
        raise ValueError(
            f"lax.bitcast_convert_type: {dtype.name} from {kind.dtype.name} needs a last axis of size "
            f"{wanted // have}, but the shape is {kind.shape}{at_line()}"
        )
    words = bits.bitcast(x, new_dtype=np.dtype(f"u{have}"))
    return finished(_narrowed(words, dtype) if have > wanted else _widened(words, dtype))


def _narrowed(x: Any, dtype: DType) -> Any:
    """The low bits first, along a new last axis."""
    kind = type_of(x)
    part, width = np.dtype(f"u{dtype.itemsize}"), 8 * dtype.itemsize
    pieces = [
        reshaped(co.convert(co.shift_right(x, kind.dtype.type(k * width)), dtype=part), (*kind.shape, 1))
        for k in range(kind.dtype.itemsize // dtype.itemsize)
    ]
    return bits.bitcast(concatenate(*pieces, dimension=kind.ndim), new_dtype=dtype)


def _widened(x: Any, dtype: DType) -> Any:
    kind = type_of(x)
    whole, width = np.dtype(f"u{dtype.itemsize}"), 8 * kind.dtype.itemsize
    total: Any = None
    for k in range(kind.shape[-1]):
        low, high = (*(0,) * (kind.ndim - 1), k), (*kind.shape[:-1], k + 1)
        piece = reshaped(slice_(x, start_indices=low, limit_indices=high, strides=(1,) * kind.ndim), kind.shape[:-1])
        moved = co.shift_left(co.convert(piece, dtype=whole), whole.type(k * width))
        total = moved if total is None else co.or_(total, moved)
    return bits.bitcast(total, new_dtype=dtype)


def reduce_precision(operand: Any, exponent_bits: int, mantissa_bits: int) -> Any:
    """Floats rounded to the nearest ones of a format with fewer bits; beyond its range infinite, below it zero.

    Returns
    -------
    Array
        Of the operand's shape and dtype.

    Raises
    ------
    ValueError
        The format has no exponent, or a negative number of bits.

    Examples
    --------
    >>> reduce_precision(1.1, 5, 10)
    Array(1.09960938)
    """
    x = strong(checked(operand, "reduce_precision"))
    check_dtype("reduce_precision", x, FLOATS, "floats")
    exponent, mantissa = _operator.index(exponent_bits), _operator.index(mantissa_bits)
    if exponent < 1 or mantissa < 0:
        raise ValueError(
            f"lax.reduce_precision: a format has an exponent of 1 bit or more and no negative number of bits, not "
            f"{exponent} and {mantissa}{at_line()}"
        )
    if type_of(x).dtype == BFLOAT16:  # float32 has the same exponents, and more digits
        rounded = reduce_precision(co.convert(x, dtype=np.dtype(np.float32)), exponent, min(mantissa, 7))
        return finished(co.convert(rounded, dtype=BFLOAT16))
    return finished(bits.reduce_precision(x, exponent_bits=exponent, mantissa_bits=mantissa))


def dtype(x: Any) -> np.dtype:
    """The dtype of an array or number.

    Returns
    -------
    np.dtype
        For Python numbers that of NumPy's default.

    Examples
    --------
    >>> dtype(1.0)
    dtype('float64')
    """
    return type_of(x).dtype


def stop_gradient(x: Any) -> Any:
    """The array, through which no derivative flows; pytrees likewise.

    Returns
    -------
    pytree of Array
        The structure, shapes and dtypes of `x`.

    Examples
    --------
    >>> import funcgrad as fg
    >>> fg.grad(lambda x: x * stop_gradient(x))(3.0)
    Array(3.)
    """
    return tree.map(lambda v: finished(co.stop_gradient(strong(checked(v, "stop_gradient")))), x)
