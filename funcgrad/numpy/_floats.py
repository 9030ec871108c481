"""NumPy's functions that take floats apart by their bits: frexp, ldexp, modf, nextafter, spacing; and logaddexp2."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.dtypes import BFLOAT16
from funcgrad.errors import at_line
from funcgrad.numpy._common import broadcast, cast, operand
from funcgrad.numpy._ufuncs import _copysign, _floating_pair, _inexact, _sign_bit, ufunc
from funcgrad.ops import arithmetic as ar
from funcgrad.ops import bits as bi
from funcgrad.ops import comparison as co
from funcgrad.ops import transcendental as tr
from funcgrad.trace.frame import type_of

INT64 = np.dtype(np.int64)


def _real_floating(name: str, x: Any) -> Any:
    x = operand(x, name)
    if type_of(x).dtype.kind == "c":
        raise TypeError(f"numpy.{name} does not accept complex numbers, got {type_of(x)}{at_line()}")
    return cast(_inexact(x), type_of(_inexact(x)).dtype)


def _layout(dtype: np.dtype) -> tuple[int, int, np.dtype]:
    """Bits of the fraction, the bias of the exponent, and the integers of the same width."""
    digits = bi.MANTISSA[dtype.itemsize]
    return digits, (1 << (8 * dtype.itemsize - 2 - digits)) - 1, np.dtype(f"i{dtype.itemsize}")


def _exponent(x: Any) -> Any:
    """The integer e with |x| = m 2**e, 1/2 <= m < 1; 0 for zeros, infinities and NaN."""
    dtype = type_of(x).dtype
    digits, bias, kind = _layout(dtype)
    of, integer = dtype.type, kind.type
    subnormal = co.lt(ar.abs_(x), of(np.finfo(dtype).tiny))
    normal = co.select(subnormal, x, ar.mul(x, of(2.0 ** (digits + 1))))
    field = co.and_(co.shift_right(bi.bitcast(normal, new_dtype=kind), integer(digits)), integer(2 * bias + 1))
    found = ar.sub(field, co.select(subnormal, integer(bias - 1), integer(bias + digits)))
    void = co.or_(co.eq(x, of(0)), co.not_(ar.is_finite(x)))
    return co.select(void, found, integer(0))


def _scaled(x: Any, n: Any) -> Any:
    """x 2**n, rounded once: far exponents go in three steps, of which only the last can round."""
    dtype = type_of(x).dtype
    if dtype == np.float16:  # single precision holds every step
        return co.convert(_scaled(co.convert(x, dtype=np.dtype(np.float32)), n), dtype=dtype)
    digits, bias, kind = _layout(dtype)
    n = _clipped(co.convert(n, dtype=INT64), 3 * bias)
    for _ in range(2):
        x, n = _step(x, n, co.gt(n, np.int64(bias)), bias)
    for _ in range(2):
        x, n = _step(x, n, co.lt(n, np.int64(1 - bias)), 2 + digits - bias)
    n = co.convert(_clipped(n, bias, 1 - bias), dtype=kind)
    power = co.shift_left(ar.add(n, kind.type(bias)), kind.type(digits))
    return ar.mul(x, bi.bitcast(power, new_dtype=dtype))


def _clipped(n: Any, high: int, low: int | None = None) -> Any:
    return ar.max_(ar.min_(n, np.int64(high)), np.int64(-high if low is None else low))


def _step(x: Any, n: Any, needed: Any, by: int) -> tuple[Any, Any]:
    one = type_of(x).dtype.type(1)
    return ar.mul(x, co.select(needed, one, one * 2.0**by)), ar.sub(n, co.select(needed, np.int64(0), np.int64(by)))


def _wide(x: Any) -> Any:
    """bfloat16 as float32, which has the same exponents."""
    return co.convert(x, dtype=np.dtype(np.float32))


def _is_brief(x: Any) -> bool:
    return type_of(x).dtype is BFLOAT16


def frexp(x: Any) -> tuple[Any, Any]:
    """The fraction, in [1/2, 1), and the exponent of 2."""
    x = _real_floating("frexp", x)
    if _is_brief(x):
        fraction, exponent = frexp(_wide(x))
        return co.convert(fraction, dtype=BFLOAT16), exponent
    exponent = _exponent(x)
    return _scaled(x, ar.neg(exponent)), co.convert(exponent, dtype=np.dtype(np.int32))


def ldexp(x: Any, i: Any) -> Any:
    """x 2**i."""
    x, i = _real_floating("ldexp", x), operand(i, "ldexp")
    kind = type_of(i).dtype
    if kind.kind not in "iub" or kind == np.uint64:
        raise TypeError(f"numpy.ldexp: the exponent has dtype {kind.name}; it must be an integer{at_line()}")
    if _is_brief(x):
        return co.convert(ldexp(_wide(x), i), dtype=BFLOAT16)
    return _scaled(*broadcast("ldexp", x, cast(i, INT64)))


def modf(x: Any) -> tuple[Any, Any]:
    """The fractional and the whole part, both with the sign of x."""
    x = _real_floating("modf", x)
    zero = type_of(x).dtype.type(0)
    whole = ar.trunc(x)
    infinite = co.eq(ar.abs_(x), zero + type_of(x).dtype.type(np.inf))
    apart = co.select(_sign_bit(x), ar.sub(x, whole), ar.neg(ar.sub(whole, x)))  # -0.0 with derivative 1
    return co.select(infinite, apart, _copysign(zero, x)), whole


def spacing(x: Any) -> Any:
    """The distance to the next number away from zero."""
    x = _real_floating("spacing", x)
    of = type_of(x).dtype.type
    if of is np.float16:  # NumPy's halves go upwards
        return co.select(ar.is_finite(x), of(np.nan), ar.sub(bi.nextafter(x, of(np.inf)), x))
    size = ar.abs_(x)
    step = ar.sub(_nextafter(size, of(np.inf)), size)
    return co.select(ar.is_finite(x), of(np.nan), co.select(co.lt(x, of(0)), step, ar.neg(step)))


def _nextafter(x: Any, y: Any) -> Any:
    """The next number after x towards y; of bfloat16 by a step of the upper half of float32's bits."""
    if not _is_brief(x):
        return bi.nextafter(x, y)
    kind, zero, unit = np.dtype(np.int32), np.float32(0), np.int32(1 << 16)
    x, y = _wide(x), _wide(y)
    grows = co.eq(co.lt(x, y), co.gt(x, zero))
    bits = ar.add(bi.bitcast(x, new_dtype=kind), co.select(grows, -unit, unit))
    moved = bi.bitcast(bits, new_dtype=np.dtype(np.float32))
    smallest = _copysign(unit.view(np.float32), y)
    found = co.select(co.eq(x, y), co.select(co.eq(x, zero), moved, smallest), y)
    return co.convert(co.select(co.or_(co.ne(x, x), co.ne(y, y)), found, ar.add(x, y)), dtype=BFLOAT16)


def _logaddexp2(x: Any, y: Any) -> Any:
    """log2(2**x + 2**y) = max + log1p(2**(min - max)) / log 2, as `logaddexp`."""
    less = co.lt(x, y)
    high = co.select(less, x, y)
    difference = ar.sub(co.select(less, y, x), high)
    missing, number = co.ne(difference, difference), type_of(high).dtype.type
    high = co.select(missing, high, ar.mul(ar.add(x, y), number(0.5)))
    rest = tr.log1p(tr.exp2(co.select(missing, difference, number(0))))
    return ar.add(high, ar.mul(rest, number(1 / np.log(2.0))))


ufunc(np.frexp, frexp)
ufunc(np.ldexp, ldexp)
ufunc(np.modf, modf)
ufunc(np.spacing, spacing)
ufunc(np.nextafter, _floating_pair("nextafter", _nextafter))
ufunc(np.logaddexp2, _floating_pair("logaddexp2", _logaddexp2))
