"""How are Gumbel's numbers drawn, and with which resolution at their ends?"""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad import numpy as fnp
from funcgrad.dtypes import DType
from funcgrad.errors import at_line
from funcgrad.ops.bits import bitcast, clz
from funcgrad.ops.comparison import convert
from funcgrad.random import _streams as streams
from funcgrad.random._arguments import Shape, compiled, plain

GUMBEL_MODES = (None, "low", "high", "highest")
SINGLE, LONG = np.dtype(np.float32), np.dtype(np.uint64)


def gumbel(key: Any, shape: Any = (), dtype: Any = None, mode: str | None = None) -> Any:
    """Numbers with the standard Gumbel distribution: -log(-log(u)) for uniform u.

    Parameters
    ----------
    key
        A key.
    shape
        Of the result.
    dtype
        A float dtype (default: float64).
    mode
        ``"low"`` (the default) draws one number u; ``"high"`` draws two, for more values near the ends;
        ``"highest"`` uses all bits of both (float32; as ``"high"`` for other dtypes).

    Returns
    -------
    Array
        Of the given shape and dtype.

    Raises
    ------
    ValueError
        `mode` is something else.

    Examples
    --------
    >>> import numpy as np
    >>> from funcgrad import random
    >>> random.gumbel(random.key(0), (2,), np.float32)
    Array([2.9233725, 3.8326178], dtype=float32)
    """
    key, shape, kind = plain("gumbel", key, shape, dtype)
    if mode not in GUMBEL_MODES:
        raise ValueError(f"gumbel: mode must be one of {GUMBEL_MODES}, not {mode!r}{at_line()}")
    return _gumbel(key, shape=shape, dtype=kind, mode=mode)


@compiled
def _gumbel(key: Any, *, shape: Shape, dtype: DType, mode: str | None) -> Any:
    return gumbel_of(streams.words(key), shape, dtype, mode)


def gumbel_of(key: streams.Key, shape: Shape, dtype: DType, mode: str | None) -> Any:
    """Gumbel's numbers, inside of programs."""
    tiny, one = streams.smallest(dtype), dtype.type(1)
    if mode in (None, "low"):
        return -fnp.log(-fnp.log(streams.uniform(key, shape, dtype, tiny, one)))
    if mode == "highest" and dtype == SINGLE:
        return _gumbel_of_64_bits(key, shape)
    both = streams.uniform(key, (2, *shape), dtype)
    high, low = both[0], both[1]
    step = dtype.type(2.0 ** -streams.FRACTION[dtype])
    x = fnp.where(high >= dtype.type(0.5), high, high + step * low + tiny)
    return -fnp.log(-fnp.log1p(-x))


def _gumbel_of_64_bits(key: streams.Key, shape: Shape) -> Any:
    both = streams.bits(key, (2, *shape), 32)
    word = (convert(both[0], dtype=LONG) << streams.HALF) | convert(both[1], dtype=LONG)
    lower = word < LONG.type(1 << 63)
    x = _fraction(fnp.where(lower, word, ~word + LONG.type(1)))
    return fnp.where(lower, -fnp.log(-fnp.log1p(-x)), -fnp.log(-fnp.log(x)))


def _fraction(word: Any) -> Any:
    """word / 2**64 in float32, rounded down; 2**-65 for 0."""
    zeros = clz(word)
    mantissa = ((word << zeros) >> LONG.type(40)) & LONG.type((1 << 23) - 1)
    exponent = (LONG.type(126) - zeros) << LONG.type(23)
    return bitcast(convert(exponent | mantissa, dtype=np.dtype(np.uint32)), new_dtype=SINGLE)
