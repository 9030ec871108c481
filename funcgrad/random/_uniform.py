"""Which samplers give plain bits, uniform numbers and integers?"""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad import numpy as fnp
from funcgrad.dtypes import FLOATS, INTEGERS, UNSIGNED, DType
from funcgrad.errors import at_line
from funcgrad.lax._elementwise import mulhi
from funcgrad.ops.arithmetic import div as quotient
from funcgrad.ops.arithmetic import rem
from funcgrad.ops.comparison import convert
from funcgrad.random import _streams as streams
from funcgrad.random._arguments import (
    Shape,
    array,
    common_shape,
    compiled,
    converted,
    dtype_among,
    extents,
    one_key,
    parameters,
    spread,
)
from funcgrad.trace.frame import type_of
from funcgrad.trace.tracer import Tracer

INT64, LONG = np.dtype(np.int64), np.dtype(np.uint64)
FEW = 1 << 30


def bits(key: Any, shape: Any = (), dtype: Any = None) -> Any:
    """Random bits, as unsigned integers.

    Parameters
    ----------
    key
        A key.
    shape
        Of the result.
    dtype
        An unsigned int dtype (default: uint64).

    Returns
    -------
    Array
        Of the given shape, in an unsigned dtype.

    Examples
    --------
    >>> import numpy as np
    >>> from funcgrad import random
    >>> random.bits(random.key(0), (2,), np.uint32)
    Array([4070199207, 4202968722], dtype=uint32)
    """
    kind = dtype_among("bits", np.uint64 if dtype is None else dtype, UNSIGNED)
    return _bits(one_key("bits", key), shape=extents("bits", shape), dtype=kind)


@compiled
def _bits(key: Any, *, shape: Shape, dtype: DType) -> Any:
    return streams.bits(streams.words(key), shape, 8 * dtype.itemsize)


def uniform(key: Any, shape: Any = (), dtype: Any = None, minval: Any = 0.0, maxval: Any = 1.0) -> Any:
    """Numbers drawn uniformly from [minval, maxval).

    Parameters
    ----------
    key
        A key.
    shape
        Of the result.
    dtype
        A float dtype (default: float64).
    minval, maxval
        The ends of the interval, of shapes that broadcast to `shape`.

    Returns
    -------
    Array
        Of the given shape and dtype.

    Examples
    --------
    >>> import numpy as np
    >>> from funcgrad import random
    >>> random.uniform(random.key(0), (2,), np.float32)
    Array([0.947667 , 0.9785799], dtype=float32)
    """
    kind = dtype_among("uniform", float if dtype is None else dtype, FLOATS)
    key = one_key("uniform", key)
    if minval is _UNIT[0] and maxval is _UNIT[1]:
        return _unit(key, shape=extents("uniform", shape), dtype=kind)
    shape, (low, high) = parameters("uniform", extents("uniform", shape), kind, minval=minval, maxval=maxval)
    return _uniform(key, low, high, shape=shape, dtype=kind)


_UNIT: tuple[float, float] = uniform.__defaults__[-2:]  # type: ignore[index]


@compiled
def _unit(key: Any, *, shape: Shape, dtype: DType) -> Any:
    return streams.uniform(streams.words(key), shape, dtype)


@compiled
def _uniform(key: Any, low: Any, high: Any, *, shape: Shape, dtype: DType) -> Any:
    return streams.uniform(streams.words(key), shape, dtype, low, high)


# Integers ------------------------------------------------------------------------------------------------------------


def randint(key: Any, shape: Any, minval: Any, maxval: Any, dtype: Any = None) -> Any:
    """Integers drawn from minval, minval + 1, ..., maxval - 1 (minval, where there are none).

    The probabilities of two numbers differ by less than 2**-32 of their mean where there are up to 2**32 of them and
    the dtype has 64 bits.

    Parameters
    ----------
    key
        A key.
    shape
        Of the result.
    minval, maxval
        Integers, of shapes that broadcast to `shape`.
    dtype
        An int dtype (default: int64).

    Returns
    -------
    Array
        Integers of the given shape and dtype.

    Examples
    --------
    >>> from funcgrad import random
    >>> random.randint(random.key(0), (5,), 0, 10)
    Array([5, 1, 5, 7, 3])
    """
    kind = dtype_among("randint", int if dtype is None else dtype, INTEGERS, TypeError)
    key, size = one_key("randint", key), extents("randint", shape)
    low, high = _limit("minval", minval), _limit("maxval", maxval)
    found = common_shape("randint", size, minval=type_of(low).shape, maxval=type_of(high).shape)
    masked = _is_mask(low, high, kind)
    return _randint(key, low, high, shape=found, dtype=kind, short=_is_short(low, high), masked=masked)


def _limit(argument: str, value: Any) -> Any:
    """A limit as integers; floats are cut off."""
    value = array("randint", argument, value)
    if type_of(value).dtype.kind in "iu":
        return value
    if type(value) is not Tracer and not np.all(np.abs(value) < 2.0**63):  # NaN neither
        raise ValueError(f"randint: {argument} must fit into an integer of 64 bits, but is {value}{at_line()}")
    return converted(value, INT64)


def _is_short(low: Any, high: Any) -> bool:
    """Whether there are known to be at most `FEW` numbers."""
    if type(low) is Tracer or type(high) is Tracer or not (np.size(low) and np.size(high)):
        return False
    return int(np.max(high)) - int(np.min(low)) <= FEW


def _is_mask(low: Any, high: Any, dtype: DType) -> bool:
    """Whether there are known to be a power of two of numbers, all of the dtype: some of the bits are the result."""
    if type(low) is Tracer or type(high) is Tracer or np.ndim(low) or np.ndim(high):
        return False
    limits, count = np.iinfo(dtype), int(high) - int(low)
    return count > 0 and count.bit_count() == 1 and limits.min <= int(low) and int(high) <= int(limits.max)


@compiled
def _randint(key: Any, minval: Any, maxval: Any, *, shape: Shape, dtype: DType, short: bool, masked: bool) -> Any:
    kind = dtype if dtype.itemsize >= 4 else np.dtype(np.int32)  # of what is computed
    limits = np.iinfo(dtype)
    if kind is not dtype:
        minval = _clipped(minval, limits.min, limits.max, kind)
        maxval = _clipped(maxval, limits.min, limits.max + 1, kind)
    limits = np.iinfo(kind)
    beyond = _exceeds(maxval, int(limits.max))
    low, high = (_clipped(x, limits.min, limits.max, kind) for x in (minval, maxval))
    unsigned = np.dtype(f"u{kind.itemsize}")
    span = fnp.where(high <= low, unsigned.type(1), convert(high, dtype=unsigned) - convert(low, dtype=unsigned))
    span = fnp.where(beyond & (high > low), span + unsigned.type(1), span)
    first, second = (streams.blocks(k, shape) for k in streams.subkeys(streams.words(key), 2))
    if masked:
        found = (second if kind.itemsize == 8 else streams.folded(second)) & spread(span - unsigned.type(1), shape)
    elif kind.itemsize == 8 and short:
        found = _few_below(first, second, span, shape)
    elif kind.itemsize == 8:
        found = _below(first, second, span, shape)
    else:
        found = _below(streams.folded(first), streams.folded(second), span, shape)
    return convert(spread(low, shape) + convert(found, dtype=kind), dtype=dtype)


def _below(first: Any, second: Any, span: Any, shape: Shape) -> Any:
    """(first * 2**width + second) % span by way of the remainders of both; 0 stands for a span of 2**width."""
    of = type_of(span).dtype
    whole = span == of.type(0)
    safe = fnp.where(whole, of.type(1), span)
    inverse = quotient(of.type(np.iinfo(of).max), safe)
    factor = rem(of.type(1 << 4 * of.itemsize), safe)
    factor, safe, inverse = (spread(x, shape) for x in (rem(factor * factor, safe), safe, inverse))
    found = _remainder(first, safe, inverse) * factor + _remainder(second, safe, inverse)
    return fnp.where(spread(whole, shape), second, _remainder(found, safe, inverse))


def _remainder(x: Any, span: Any, inverse: Any) -> Any:
    """x % span without a division: `inverse` is floor((2**width - 1) / span), so that the quotient is one less at most.

    P. Barrett, "Implementing the Rivest Shamir and Adleman public key encryption algorithm", CRYPTO 86.
    """
    rest = x - mulhi(x, inverse) * span
    return fnp.minimum(rest, rest - span)


def _few_below(first: Any, second: Any, span: Any, shape: Shape) -> Any:
    """The same for 64 bits and a span of at most `FEW`: four words times powers of 2**32 add up to 64 bits."""
    power_1 = rem(LONG.type(1 << 32), span)
    power_2 = rem(power_1 * power_1, span)
    power_3 = rem(power_2 * power_1, span)
    inverse = quotient(LONG.type(2**64 - 1), span)
    low, half = LONG.type(0xFFFFFFFF), streams.HALF
    found = (
        (first >> half) * spread(power_3, shape)
        + (first & low) * spread(power_2, shape)
        + (second >> half) * spread(power_1, shape)
        + (second & low)
    )
    span = spread(span, shape)
    rest = streams.low_word(found - mulhi(found, spread(inverse, shape)) * span)
    return convert(fnp.minimum(rest, rest - streams.low_word(span)), dtype=LONG)


def _exceeds(x: Any, limit: int) -> Any:
    """Whether integers are larger than a number, which their dtype may not hold."""
    most = int(np.iinfo(type_of(x).dtype).max)
    return x > type_of(x).dtype.type(limit) if limit < most else np.bool_(False)


def _clipped(x: Any, low: int, high: int, dtype: DType) -> Any:
    """Integers within limits, in a dtype that holds these."""
    own = np.iinfo(type_of(x).dtype)
    of = type_of(x).dtype.type
    return convert(fnp.minimum(fnp.maximum(x, of(max(low, own.min))), of(min(high, own.max))), dtype=dtype)
