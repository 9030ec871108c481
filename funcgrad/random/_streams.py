"""How do a key and a position give a number?  What all samplers are made of, inside of programs.

A key is a pair of 32-bit words here. Element i of a sample is a function of the key and of i alone: the cipher of the
count i (in two words) under the key. It is the scheme that `jax.random` calls partitionable.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from funcgrad import numpy as fnp
from funcgrad.dtypes import BFLOAT16, DType
from funcgrad.ops.bits import bitcast
from funcgrad.ops.comparison import convert, xor
from funcgrad.ops.error_functions import erf_inv
from funcgrad.ops.random import threefry2x32
from funcgrad.ops.shape import counted, reshape
from funcgrad.ops.shape import slice_ as cut
from funcgrad.random._arguments import Shape, spread

Key = tuple[Any, Any]
WORD, LONG, SINGLE = np.dtype(np.uint32), np.dtype(np.uint64), np.dtype(np.float32)
HALF = LONG.type(32)
SHORT, DOUBLE = np.dtype(np.float16), np.dtype(np.float64)
FRACTION = {SHORT: 10, BFLOAT16: 7, SINGLE: 23, DOUBLE: 52}  # bits of the fraction of a float
SMALLEST = {SHORT: -14, BFLOAT16: -126, SINGLE: -126, DOUBLE: -1022}  # the exponent of the least normal number


def words(key: Any) -> Key:
    """The two words of a key that is an array."""
    first, second = (
        reshape(cut(key, start_indices=(k,), limit_indices=(k + 1,), strides=(1,)), shape=()) for k in (0, 1)
    )
    return first, second


def low_word(x: Any) -> Any:
    """The lower half of 64 bits."""
    return convert(x, dtype=WORD)


def high_word(x: Any) -> Any:
    """The upper half of 64 bits."""
    return convert(x >> HALF, dtype=WORD)


def blocks(key: Key, shape: Shape) -> Any:
    """64 random bits for each place of an array."""
    size = math.prod(shape)
    if not shape:
        return threefry2x32(*key, WORD.type(0), WORD.type(0))
    if size <= 1 << 32:
        counts = WORD.type(0), counted(WORD, (size,))
    else:
        count = counted(LONG, (size,))
        counts = high_word(count), low_word(count)
    found = threefry2x32(*key, *counts)
    return found if shape == (size,) else reshape(found, shape=shape)


def subkey(key: Key, number: int) -> Key:
    """One of the keys that a key is split into."""
    found = threefry2x32(*key, WORD.type(number >> 32), WORD.type(number & 0xFFFFFFFF))
    return high_word(found), low_word(found)


def subkeys(key: Key, count: int) -> list[Key]:
    """The keys that a key is split into."""
    return [subkey(key, k) for k in range(count)]


def bits(key: Key, shape: Shape, width: int) -> Any:
    """Unsigned integers of so many bits."""
    return shortened(blocks(key, shape), width)


def shortened(block: Any, width: int) -> Any:
    """So many bits of 64."""
    return block if width == 64 else convert(folded(block), dtype=np.dtype(f"u{width // 8}"))


def folded(block: Any) -> Any:
    """32 bits of 64."""
    return xor(high_word(block), low_word(block))


def uniform(key: Key, shape: Shape, dtype: DType, low: Any = None, high: Any = None) -> Any:
    """Numbers in [0, 1), or in [low, high): as many of the upper bits as a fraction has are put behind a 1."""
    found = unit(blocks(key, shape), dtype)
    if low is None:
        return found
    low, high = spread(low, shape), spread(high, shape)
    return fnp.maximum(low, found * (high - low) + low)


def unit(block: Any, dtype: DType) -> Any:
    """Numbers in [0, 1), of 64 random bits each."""
    digits, one = FRACTION[dtype], np.ones((), dtype)
    width = 8 if digits < 8 else 8 * dtype.itemsize
    kind = np.dtype(f"u{width // 8}")
    fraction = shortened(block, width) >> kind.type(width - digits)
    if dtype == BFLOAT16:  # no kernel looks at its bits
        return convert(convert(fraction, dtype=SINGLE) * SINGLE.type(2.0**-digits), dtype=dtype)
    return bitcast(fraction | one.view(kind)[()], new_dtype=dtype) - one[()]


def normal(key: Key, shape: Shape, dtype: DType) -> Any:
    """Standard normal numbers: the inverse error function of numbers in (-1, 1)."""
    if dtype.kind == "c":
        part = np.dtype(f"f{dtype.itemsize // 2}")
        re, im = (convert(normal(k, shape, part), dtype=dtype) for k in subkeys(key, 2))
        return (re + dtype.type(1j) * im) / np.sqrt(dtype.type(2))
    low = np.nextafter(np.array(-1, dtype), np.array(0, dtype))[()]
    found = uniform(key, shape, dtype, low, dtype.type(1))
    return np.array(math.sqrt(2), dtype)[()] * erf_inv(found)


def smallest(dtype: DType) -> Any:
    """The least normal number."""
    return np.array(2.0 ** SMALLEST[dtype], dtype)[()]
